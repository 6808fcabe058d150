"""Clips: lazy, exact, and clear about what they do not take."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from zvr_core.clip import load_clip
from zvr_core.errors import ZvrError

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (6, 5, 7, 3), dtype=np.uint8)  # (F, H, W, 3)
EXACT = torch.from_numpy(COLOUR).permute(0, 3, 1, 2) / 255  # (F, 3, H, W)


@pytest.mark.parametrize(
    "array",
    [
        COLOUR,
        COLOUR.astype(np.uint16) * 257,
        COLOUR / 255,
        (COLOUR / 255).astype(np.float32),
        torch.from_numpy(COLOUR),
        EXACT,
        EXACT.double(),
    ],
    ids=["uint8", "uint16", "float64", "float32", "torch channels last", "torch channels first", "torch float64"],
)
def test_every_layout_and_type_of_array_gives_the_same_frames(array):
    clip = load_clip(array)
    assert clip.shape == (6, 3, 5, 7)
    torch.testing.assert_close(clip[:], EXACT, atol=1e-7, rtol=0)


def test_uint16_keeps_more_than_8_bits():
    assert load_clip(np.full((1, 2, 2, 3), 1, np.uint16))[0].unique() == torch.tensor([1 / 65535])


def test_half_precision_tensors_are_taken():
    torch.testing.assert_close(load_clip(EXACT.bfloat16())[:], EXACT, atol=0.004, rtol=0)


def test_an_image_is_a_clip_of_one_frame():
    assert load_clip(COLOUR[0]).shape == (1, 3, 5, 7)
    assert torch.equal(load_clip(COLOUR[0])[0], EXACT[0])


def test_grey_becomes_three_equal_channels():
    clip = load_clip(COLOUR[..., 0])
    assert clip.shape == (6, 3, 5, 7)
    assert torch.equal(clip[:], EXACT[:, :1].expand(-1, 3, -1, -1))


@settings(deadline=None, max_examples=60)
@given(st.slices(6), st.integers(-6, 5))
def test_parts_of_a_clip_are_parts_of_its_frames(part, i):
    wanted = torch.from_numpy(EXACT.numpy()[np.arange(6)[part]])
    assert torch.equal(load_clip(COLOUR)[part], wanted)
    assert torch.equal(load_clip(COLOUR)[i], EXACT[i])


def test_a_clip_can_be_iterated_and_ends():
    clip = load_clip(COLOUR)
    assert torch.equal(torch.stack(list(clip)), EXACT)
    assert [len(chunk) for chunk in clip.chunks(4)] == [4, 2]
    with pytest.raises(IndexError):
        clip[6]


def test_frames_are_fresh_so_that_changing_them_changes_nothing_else():
    clip = load_clip(COLOUR[..., 0])
    clip[0].zero_()
    clip[:].zero_()
    assert torch.equal(clip[0], EXACT[0, :1].expand(3, -1, -1))


@pytest.mark.parametrize(
    ("start", "stop", "kept"), [(None, None, range(6)), (2, 5, range(2, 5)), (-2, None, range(4, 6)), (4, 99, range(4, 6))]
)
def test_a_subclip_counts_like_a_slice(start, stop, kept):
    part = load_clip(COLOUR).subclip(start, stop)
    assert part.shape[0] == len(kept)
    assert torch.equal(part[:], EXACT[list(kept)])
    assert torch.equal(part.subclip(1)[0], EXACT[kept[1]])


def test_an_empty_subclip_is_an_error_that_names_the_frames_there_are():
    with pytest.raises(ZvrError, match=r"frames 9: of array given, but it has frames 0:6"):
        load_clip(COLOUR).subclip(9)


@pytest.mark.parametrize(
    ("fps", "rate"),
    [(24, Fraction(24)), (29.97, Fraction(2997, 100)), (30000 / 1001, Fraction(30000, 1001)), ("30000/1001", Fraction(30000, 1001))],
)
def test_the_rate_is_a_fraction(fps, rate):
    assert load_clip(COLOUR, fps=fps).fps == rate


@pytest.mark.parametrize("fps", [0, -5, "fast", float("nan"), float("inf"), "1/0"])
def test_a_rate_that_is_none_is_an_error(fps):
    with pytest.raises(ZvrError, match="positive number"):
        load_clip(COLOUR, fps=fps)


def test_an_array_has_default_rate_name_and_silence():
    clip = load_clip(COLOUR)
    assert (clip.fps, clip.name, bool(clip.audio)) == (25, "array", False)
    assert load_clip(COLOUR, name="mine").name == "mine"
    assert repr(clip) == "Clip('array', 6 frames of 7×5, 25 fps, no sound)"


@pytest.mark.parametrize("shape", [(1, 1, 1, 3), (1, 1, 1), (3, 1, 5, 3)])
def test_tiny_clips_work(shape):
    assert torch.equal(load_clip(np.full(shape, 255, np.uint8))[0].unique(), torch.ones(1))


@pytest.mark.parametrize(
    ("array", "complaint"),
    [
        (np.zeros((2, 3, 4, 5, 3)), r"shape \(2, 3, 4, 5, 3\) given"),
        (np.zeros(5), r"shape \(5,\) given"),
        (np.zeros((2, 8, 8, 4)), r"\(2, 8, 8, 4\) given, \(F, H, W, 3\)"),
        (np.zeros((2, 8, 8, 2)), r"\(2, 8, 8, 2\) given"),
        (torch.zeros(2, 5, 8, 8), r"\(2, 5, 8, 8\) given"),
        (torch.zeros(3, 8, 8), "one colour image or 3 grey"),
        (np.zeros((0, 8, 8, 3)), "is empty"),
        (np.zeros((2, 0, 8, 3), np.uint8), "is empty"),
        (np.full((2, 8, 8, 3), 128.0), "values from 128 to 128"),
        (np.zeros((2, 8, 8, 3)) - 1, "divide by the white level"),
        (np.zeros((2, 8, 8, 3), np.int64), "array of int64 given"),
        (np.zeros((2, 8, 8, 3), bool), "array of bool given"),
    ],
)
def test_arrays_that_are_no_frames_are_errors_in_one_line(array, complaint):
    with pytest.raises(ZvrError, match=complaint) as caught:
        load_clip(array)
    assert "\n" not in str(caught.value)


def test_nan_is_an_error_that_names_the_frame():
    array = np.zeros((3, 4, 4, 3), np.float32)
    array[1, 2, 2, 0] = np.nan
    with pytest.raises(ZvrError, match="frame 1 of the array has values from nan to nan"):
        load_clip(array)


def test_a_path_that_does_not_exist_and_an_empty_file_are_errors(tmp_path):
    with pytest.raises(ZvrError, match=r"no such file or folder: .*nothing\.mp4"):
        load_clip(tmp_path / "nothing.mp4")
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(ZvrError, match="is empty"):
        load_clip(tmp_path / "empty.mp4")
