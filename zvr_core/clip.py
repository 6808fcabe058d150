"""A clip: a lazy sequence of frames from a video file, a GIF, a folder of images, one image, or an array."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Protocol, overload

import numpy as np
import torch

from zvr_core.errors import ZvrError
from zvr_core.media.sound import SILENCE, Sound
from zvr_core.media.stills import SUFFIXES, open_folder, open_image
from zvr_core.media.video import open_video
from zvr_core.words import frames_of

Rate = Fraction | float | str  # frames a second: 25, 29.97, "30000/1001"
DEFAULT_FPS = Fraction(25)  # of folders, images and arrays, which know no rate
LARGEST = {np.dtype(np.uint8): 255.0, np.dtype(np.uint16): 65535.0, np.dtype(np.float32): 1.0}  # the value that is white


class Pictures(Protocol):
    """Where a clip's frames come from: `picture(i)` is (H, W) or (H, W, 3 or 4) in uint8, uint16, or float32 in [0, 1]."""

    @property
    def size(self) -> tuple[int, int]: ...

    def __len__(self) -> int: ...

    def picture(self, i: int) -> np.ndarray: ...

    def sound(self, i: int) -> Sound: ...


@dataclass(frozen=True, eq=False)
class Clip:
    """A sequence of F frames, read when they are asked for.

    `clip[i]` is (3, H, W) and `clip[a:b:step]` is (n, 3, H, W), float32 in [0, 1], freshly made; `clip.subclip(a, b)` reads nothing
    yet. `fps` is in frames a second. A clip is not for several threads at once: a video file has one reading position.
    """

    source: Pictures
    fps: Fraction
    name: str
    span: range

    def __len__(self) -> int:
        return len(self.span)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(F, 3, H, W)."""
        return (len(self), 3, *self.source.size)

    @property
    def audio(self) -> Sound:
        """The sound beside these frames; false if there is none."""
        return self.source.sound(self.span.start)

    @overload
    def __getitem__(self, part: slice, /) -> torch.Tensor: ...
    @overload
    def __getitem__(self, part: int, /) -> torch.Tensor: ...
    def __getitem__(self, part: slice | int, /) -> torch.Tensor:
        if not isinstance(part, slice):
            i = range(len(self))[part]  # IndexError where there is no such frame; -1 is the last
            return self[i : i + 1][0]  # (3, H, W)
        wanted = self.span[part]
        frames = torch.empty(len(wanted), 3, *self.source.size)
        for slot in sorted(range(len(wanted)), key=wanted.__getitem__):  # a video file reads forwards only
            frames[slot] = unit_rgb(self.source.picture(wanted[slot]))
        return frames

    def __iter__(self) -> Iterator[torch.Tensor]:
        return (self[i] for i in range(len(self)))

    def chunks(self, size: int = 16) -> Iterator[torch.Tensor]:
        """The frames in order, at most `size` at a time, (n, 3, H, W)."""
        return (self[start : start + size] for start in range(0, len(self), size))

    def subclip(self, start: int | None = None, stop: int | None = None) -> Clip:
        """The frames [start, stop) with their sound, counted as in a slice; raises ZvrError when that is no frame at all."""
        span = self.span[start:stop]
        if not span:
            given = f"{'' if start is None else start}:{'' if stop is None else stop}"
            raise ZvrError(f"frames {given} of {self.name} given, but it has frames 0:{len(self)}; choose a part of those")
        return replace(self, span=span)

    def __repr__(self) -> str:
        sound = "with" if self.audio else "no"
        return f"Clip({self.name!r}, {frames_of(len(self), self.source.size)}, {float(self.fps):.5g} fps, {sound} sound)"


def load_clip(source: str | Path | np.ndarray | torch.Tensor, *, fps: Rate | None = None, name: str | None = None) -> Clip:
    """Open a clip; what can be wrong with it is found here, as far as that does not take reading every image.

    `source`: a video file or animated GIF (video.py says how it is read), a folder of images in natural order or one image (stills.py),
    or an array: NumPy (F, H, W, 3), (F, H, W) or (H, W, 3), torch also (F, 3, H, W); uint8, uint16, or floats in [0, 1]; not copied.
    Grey becomes three equal channels, and what is transparent is laid over black. `fps` replaces the rate of a video and is the rate of
    anything else (25 by default). Raises ZvrError for whatever cannot be read, in one line.
    """
    if isinstance(source, (np.ndarray, torch.Tensor)):
        return _clip(ArrayPictures(as_frames(source)), fps, DEFAULT_FPS, name or "array")
    path = Path(source).expanduser()
    if not path.exists():
        raise ZvrError(f"no such file or folder: {path}; give a video, a GIF, a folder of frames, or an image")
    if path.is_dir():
        return _clip(open_folder(path), fps, DEFAULT_FPS, name or path.resolve().name)
    if path.stat().st_size == 0:
        raise ZvrError(f"{path} is empty (0 bytes), a video or an image was expected; copy or export it again")
    if path.suffix.lower() in SUFFIXES:
        return _clip(open_image(path), fps, DEFAULT_FPS, name or path.stem)
    video = open_video(path)
    return _clip(video, fps, video.fps, name or path.stem)


def _clip(pictures: Pictures, fps: Rate | None, own: Fraction, name: str) -> Clip:
    return Clip(pictures, own if fps is None else as_rate(fps), name, range(len(pictures)))


def as_rate(fps: Rate) -> Fraction:
    """Frames a second as a fraction; raises ZvrError unless it is positive."""
    try:
        rate = Fraction(fps).limit_denominator(1001)  # 1001: the denominator of the NTSC rates
    except (ValueError, TypeError, OverflowError, ZeroDivisionError):
        rate = Fraction(0)
    if rate <= 0:
        raise ZvrError(f"{fps} frames a second given, a positive number expected, such as 25 or 30000/1001")
    return rate


def unit_rgb(picture: np.ndarray) -> torch.Tensor:
    """A picture (H, W) or (H, W, 3 or 4) as (3, H, W) float32 in [0, 1]: grey three times, alpha laid over black."""
    planes = np.moveaxis(picture.reshape(*picture.shape[:2], -1), 2, 0).astype(np.float32, order="C")  # (C, H, W)
    pixels = torch.from_numpy(planes).div_(LARGEST[picture.dtype]).clamp_(0, 1)
    if len(pixels) == 4:
        pixels = pixels[:3] * pixels[3:]
    return pixels.expand(3, -1, -1)  # (3, H, W)


@dataclass(frozen=True, eq=False)
class ArrayPictures:
    """Frames in memory (or in a memory-mapped file), (F, H, W, C)."""

    frames: np.ndarray

    @property
    def size(self) -> tuple[int, int]:
        return self.frames.shape[1], self.frames.shape[2]

    def __len__(self) -> int:
        return len(self.frames)

    def picture(self, i: int) -> np.ndarray:
        picture = self.frames[i]
        return picture if picture.dtype in LARGEST else picture.astype(np.float32)

    def sound(self, i: int) -> Sound:
        return SILENCE


def as_frames(array: np.ndarray | torch.Tensor) -> np.ndarray:
    """An array of any accepted layout as (F, H, W, 1 or 3); raises ZvrError for other shapes, types and values.

    Where both readings fit, NumPy means channels last and torch channels first.
    """
    given, first = tuple(array.shape), isinstance(array, torch.Tensor)
    if isinstance(array, torch.Tensor):
        array = array.detach().cpu()
        array = (array.float() if array.is_floating_point() else array).numpy()
    if array.size == 0:
        raise ZvrError(f"an array of shape {given} is empty; at least one frame of one pixel is needed")
    if array.ndim == 3 and first and given[0] == 3:
        raise ZvrError(f"a tensor of shape {given} is one colour image or 3 grey ones; say so with [None] or [:, None]")
    if array.ndim == 3:
        array = array[None] if given[2] == 3 else array[..., None]  # (1, H, W, 3), or (F, H, W, 1)
    elif array.ndim == 4 and given[1] in (1, 3) and (first or given[3] not in (1, 3)):
        array = np.moveaxis(array, 1, 3)  # (F, H, W, C)
    if array.ndim != 4 or array.shape[3] not in (1, 3):
        raise ZvrError(f"an array of shape {given} given, (F, H, W, 3), (F, H, W) or (H, W, 3) expected; torch also (F, 3, H, W)")
    if array.dtype not in (np.uint8, np.uint16) and not np.issubdtype(array.dtype, np.floating):
        raise ZvrError(f"an array of {array.dtype} given, uint8, uint16 or floats in [0, 1] expected; convert it first")
    if np.issubdtype(array.dtype, np.floating):
        for i, frame in enumerate(array):  # one at a time: the array may be memory-mapped
            check_unit(frame, f"frame {i} of the array")
    return array


def check_unit(values: np.ndarray, what: str) -> None:
    """Raises ZvrError unless all values are numbers in [0, 1], give or take what resizing overshoots."""
    low, high = float(values.min()), float(values.max())  # NaN if any value is
    if not (low >= -0.25 and high <= 1.25):  # 0.25: resizing overshoots; [-1, 1] and [0, 255] stay errors
        raise ZvrError(f"{what} has values from {low:g} to {high:g}, floats in [0, 1] expected; divide by the white level, replace NaN")
