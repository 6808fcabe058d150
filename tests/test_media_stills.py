"""Folders of images and single images: order, precision, and what is refused."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from zvr_core.clip import load_clip
from zvr_core.errors import ZvrError

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)  # (H, W, 3)
DEEP = RNG.integers(0, 65536, (5, 7, 3), dtype=np.uint16)


def exact(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1) / np.iinfo(image.dtype).max


def folder(path: Path, names: list[str]) -> Path:
    """A folder whose images are grey; their levels count in the order of the names."""
    path.mkdir()
    for level, name in enumerate(names):
        Image.new("L", (7, 5), level).save(path / name)
    return path


def test_frames_come_in_natural_order_whatever_their_names(tmp_path):
    names = ["frame_1.png", "frame_2.PNG", "frame_10.JPG", "Frame_11.jpeg", "frame_100.bmp", "take2_1.tif", "take10_0.webp"]
    clip = load_clip(folder(tmp_path / "shot", names))
    assert (clip.name, clip.shape) == ("shot", (7, 3, 5, 7))
    assert [round(float(frame.mean()) * 255) for frame in clip] == list(range(7))


def test_hidden_files_other_files_and_folders_do_not_count(tmp_path):
    shot = folder(tmp_path / "shot", ["a.png", ".b.png", "._a.png"])
    (shot / "notes.txt").write_text("no frame")
    (shot / "masks.png").mkdir()
    assert len(load_clip(shot)) == 1


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".TIFF"])
def test_lossless_formats_give_the_stored_pixels(tmp_path, suffix):
    Image.fromarray(COLOUR).save(tmp_path / f"x{suffix}")
    assert torch.equal(load_clip(tmp_path / f"x{suffix}")[0], exact(COLOUR))


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_lossy_formats_come_close(tmp_path, suffix):
    smooth = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    Image.fromarray(smooth).save(tmp_path / f"x{suffix}", quality=95)
    torch.testing.assert_close(load_clip(tmp_path / f"x{suffix}")[0], exact(smooth), atol=4 / 255, rtol=0)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bits_keep_their_precision_in_colour_and_grey(tmp_path, suffix):
    cv2.imwrite(str(tmp_path / f"colour{suffix}"), DEEP[..., ::-1])
    cv2.imwrite(str(tmp_path / f"grey{suffix}"), DEEP[..., 0])
    assert torch.equal(load_clip(tmp_path / f"colour{suffix}")[0], exact(DEEP))
    assert torch.equal(load_clip(tmp_path / f"grey{suffix}")[0], exact(DEEP)[:1].expand(3, -1, -1))


@pytest.mark.parametrize("image", [np.dstack([COLOUR, COLOUR[..., 0]]), np.dstack([DEEP, DEEP[..., 0]])], ids=["8 bits", "16 bits"])
def test_what_is_transparent_is_laid_over_black(tmp_path, image):
    cv2.imwrite(str(tmp_path / "x.png"), image[..., [2, 1, 0, 3]])
    torch.testing.assert_close(load_clip(tmp_path / "x.png")[0], exact(image)[:3] * exact(image)[3:])


def test_grey_with_alpha_palettes_and_bitmaps_become_colour(tmp_path):
    image = Image.fromarray(COLOUR)
    palette = image.quantize(16)
    palette.save(tmp_path / "palette.png", transparency=palette.getpixel((0, 0)))
    shown = load_clip(tmp_path / "palette.png")[0]
    assert torch.equal(shown[:, 0, 0], torch.zeros(3))
    assert torch.equal(shown[:, 4, 6], exact(np.asarray(palette.convert("RGB")))[:, 4, 6])
    image.convert("1").save(tmp_path / "bitmap.png")
    assert set(load_clip(tmp_path / "bitmap.png")[0].unique().tolist()) == {0.0, 1.0}
    Image.merge("LA", (Image.new("L", (2, 2), 255), Image.new("L", (2, 2), 51))).save(tmp_path / "la.png")
    torch.testing.assert_close(load_clip(tmp_path / "la.png")[0], torch.full((3, 2, 2), 0.2))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_exif_orientation_is_respected(tmp_path, suffix):
    image = Image.fromarray(np.zeros((16, 48, 3), np.uint8))
    image.paste((255, 255, 255), (0, 0, 16, 16))  # the left third is white
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by 90°
    image.save(tmp_path / f"x{suffix}", exif=exif)
    for clip in (load_clip(tmp_path / f"x{suffix}"), load_clip(tmp_path)):
        assert clip.shape == (1, 3, 48, 16)
        assert clip[0][:, :14].min() > 0.9
        assert clip[0][:, 18:].max() < 0.1


def test_one_pixel_is_an_image(tmp_path):
    Image.new("RGB", (1, 1), "white").save(tmp_path / "x.png")
    assert torch.equal(load_clip(tmp_path / "x.png")[:], torch.ones(1, 3, 1, 1))


def test_a_folder_without_images_says_what_it_holds(tmp_path):
    with pytest.raises(ZvrError, match=r"holds no images \(no files\)"):
        load_clip(tmp_path)
    (tmp_path / "movie.mp4").touch()
    with pytest.raises(ZvrError, match=r"holds no images \(1 \.mp4\); frames end in \.png"):
        load_clip(tmp_path)


def test_the_first_frame_of_another_size_is_named_with_both_sizes(tmp_path):
    shot = folder(tmp_path / "shot", ["1.png", "2.png", "3.png"])
    Image.new("L", (8, 6)).save(shot / "2.png")
    with pytest.raises(ZvrError, match=r"2\.png is 8×6 pixels, but 1\.png is 7×5"):
        load_clip(shot)


@pytest.mark.parametrize("content", [b"", b"not an image"])
def test_an_unreadable_image_in_a_folder_is_named(tmp_path, content):
    shot = folder(tmp_path / "shot", ["1.png", "2.png"])
    (shot / "2.png").write_bytes(content)
    with pytest.raises(ZvrError, match=r"2\.png cannot be read as an image"):
        load_clip(shot)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp"])
def test_an_image_that_ends_early_is_an_error_not_a_grey_frame(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    Image.fromarray(RNG.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ZvrError, match="cannot be read as an image"):
        load_clip(path)
    with pytest.raises(ZvrError, match="cannot be read as an image"):
        load_clip(tmp_path)[0]


def test_32_bits_a_channel_are_an_error(tmp_path):
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "x.tif")
    with pytest.raises(ZvrError, match="has 32 bits a channel, 8 or 16 expected"):
        load_clip(tmp_path / "x.tif")


def test_an_animated_image_is_not_cut_to_its_first_frame(tmp_path):
    first, *rest = (Image.new("RGB", (4, 4), colour) for colour in ("red", "green", "blue"))
    first.save(tmp_path / "x.webp", save_all=True, append_images=rest)
    with pytest.raises(ZvrError, match="is an animation of 3 frames"):
        load_clip(tmp_path / "x.webp")
