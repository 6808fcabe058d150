"""Images as frames: a folder of them in natural order, or a single one.

8-bit images are read with Pillow, which refuses a file that ends early (OpenCV fills it up); 16-bit images with OpenCV, because
Pillow cuts 16-bit colour to 8 bits. EXIF orientation is applied to 8-bit images; colour profiles are ignored; of several pages the
first counts. Opening a folder reads every header, the pixels are read when they are asked for.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import ExifTags, Image, ImageOps

from zvr_core.errors import ZvrError
from zvr_core.media.sound import SILENCE, Sound

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class StillPictures:
    """Image files of one size, (H, W), in order."""

    paths: tuple[Path, ...]
    size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.paths)

    def picture(self, i: int) -> np.ndarray:
        picture = read_image(self.paths[i])
        check_size(self.paths[i], picture.shape[:2], self.paths[0], self.size)
        return picture

    def sound(self, i: int) -> Sound:
        return SILENCE


def open_folder(folder: Path) -> StillPictures:
    """The images of a folder in natural order; hidden files, other files and subfolders do not count.

    Raises ZvrError when there is no image, when one cannot be read, or when one has another size than the first.
    """
    files = [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]
    paths = sorted((path for path in files if path.suffix.lower() in SUFFIXES), key=natural)
    if not paths:
        kinds = ", ".join(f"{count} {kind or 'without suffix'}" for kind, count in Counter(path.suffix for path in files).most_common(3))
        raise ZvrError(f"{folder} holds no images ({kinds or 'no files'}); frames end in {', '.join(SUFFIXES)}")
    size = image_size(paths[0])
    for path in paths:
        check_size(path, image_size(path), paths[0], size)
    return StillPictures(tuple(paths), size)


def open_image(path: Path) -> StillPictures:
    """A single image as one frame; raises ZvrError when it cannot be read or is an animation."""
    with opened(path) as image:
        count = getattr(image, "n_frames", 1)
        if count > 1 and image.format in ("PNG", "WEBP"):
            raise ZvrError(f"{path} is an animation of {count} frames, one image was expected; save it as a GIF, a video, or a folder")
    height, width = read_image(path).shape[:2]
    return StillPictures((path,), (height, width))


def natural(path: Path) -> tuple[list[str | int], str]:
    """The sort key in which frame_2 comes before frame_10."""
    parts = re.split(r"(\d+)", path.name.casefold())
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], path.name


def check_size(path: Path, size: tuple[int, ...], first: Path, expected: tuple[int, int]) -> None:
    """Raises ZvrError for an image that has another size than the first one of its folder."""
    if size != expected:
        given, usual = f"{size[1]}×{size[0]}", f"{expected[1]}×{expected[0]}"
        raise ZvrError(f"{path} is {given} pixels, but {first.name} is {usual}; frames of one folder need one size: resize or remove it")


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """An image with only its header read; whatever goes wrong inside becomes a ZvrError."""
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path) as image:
            yield image
    except ZvrError:
        raise
    except Exception as error:  # Pillow's plug-ins raise OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error …
        raise ZvrError(f"{path} cannot be read as an image ({' '.join(str(error).split())}); replace or remove it") from error


def image_size(path: Path) -> tuple[int, int]:
    """(H, W) from the header, upright."""
    with opened(path) as image:
        width, height = image.size
        stated = image.format != "TIFF" and not is_deep(image) and "exif" in image.info  # Pillow turns TIFF by itself
        sideways = stated and image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
        return (width, height) if sideways else (height, width)


def is_deep(image: Image.Image) -> bool:
    """Whether a file stores 16 bits a channel: Pillow's mode hides it, the raw mode in its tiles does not ("RGB;16B")."""
    return any("16" in str(tile[3]) for tile in getattr(image, "tile", None) or ())


def read_image(path: Path) -> np.ndarray:
    """The pixels of a file, (H, W) or (H, W, 3 or 4), uint8 or uint16; raises ZvrError when it cannot be read."""
    with opened(path) as image:
        deep = is_deep(image)
        image.load()  # raises if the file ends early
        if deep:
            return read_deep(path)
        if image.mode in ("I", "F"):
            raise ZvrError(f"{path} has 32 bits a channel, 8 or 16 expected; convert it")
        upright = ImageOps.exif_transpose(image)
        mode = "RGBA" if upright.has_transparency_data else "L" if upright.mode in ("1", "L") else "RGB"
        return np.asarray(upright.convert(mode))


def read_deep(path: Path) -> np.ndarray:
    """The pixels of a 16-bit file in full precision, in the order red, green, blue, alpha."""
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise OSError("OpenCV cannot decode it")
    return pixels if pixels.ndim == 2 else pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]
