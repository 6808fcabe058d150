"""Pictures as bytes."""

import numpy as np
import pytest

from zvr_core.errors import ZvrError
from zvr_viz.encode import FRAME_GAP, decoded, film_strip, jpeg, kept_colours, palette_png, png, shrunk, spaced, webp, within

SMOOTH = np.stack(np.broadcast_arrays(np.arange(120)[:, None], np.arange(160), 90), -1).astype(np.uint8)
NOISE = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)


@pytest.mark.parametrize("encode", [jpeg, webp])
def test_frames_come_back_nearly(encode):
    assert np.abs(decoded(encode(SMOOTH, 95)).astype(int) - SMOOTH).mean() < 3


def test_png_comes_back_exactly():
    assert np.array_equal(decoded(png(NOISE)), NOISE)


def test_few_colours_keep_those_that_mean_something():
    picture = NOISE.copy()
    kept = kept_colours()
    picture[0, : len(kept)] = kept
    for colours in (112, 256):
        assert np.array_equal(decoded(palette_png(picture, colours))[0, : len(kept)], kept)


def test_few_colours_are_near_the_true_ones():
    assert np.abs(decoded(palette_png(SMOOTH)).astype(int) - SMOOTH).mean() < 6


def test_a_budget_is_kept_and_what_fits_is_exact():
    assert np.array_equal(decoded(within(SMOOTH, 50_000)), SMOOTH)
    data = within(np.tile(NOISE, (4, 4, 1)), 40_000)
    assert len(data) <= 40_000
    assert decoded(data).shape[0] < 480
    with pytest.raises(ZvrError, match="budget of 10 bytes"):
        within(NOISE, 10)


def test_strips_stand_in_rows_on_white():
    frames = [np.full((6, 8, 3), value, np.uint8) for value in (10, 20, 30)]
    strip = film_strip(frames, 2)
    assert strip.shape == (12 + FRAME_GAP, 16 + FRAME_GAP, 3)
    assert (strip[:6, :8] == 10).all() and (strip[:6, -8:] == 20).all() and (strip[-6:, :8] == 30).all() and (strip[-1, -1] == 255).all()


@pytest.mark.parametrize("frames", [[], [np.zeros((2, 3, 3), np.uint8), np.zeros((3, 2, 3), np.uint8)]])
def test_a_strip_needs_frames_of_one_size(frames):
    with pytest.raises(ZvrError, match="film strip"):
        film_strip(frames)


def test_shrinking_keeps_the_shape_and_never_enlarges():
    assert shrunk(NOISE, 80).shape == (60, 80, 3)
    assert shrunk(NOISE, 500) is NOISE


@pytest.mark.parametrize("wrong", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
def test_what_is_no_picture_is_refused(wrong):
    with pytest.raises(ZvrError, match="uint8 is expected"):
        jpeg(wrong)


def test_bytes_that_are_no_picture_are_refused():
    with pytest.raises(ZvrError, match="no picture"):
        decoded(b"not a picture")


def test_spaced_numbers_have_both_ends():
    assert spaced(50, 3) == [0, 24, 49]
    assert spaced(3, 10) == [0, 1, 2]
    assert spaced(5, 1) == [4]
    assert spaced(0, 4) == spaced(0, 1) == []
    with pytest.raises(ZvrError, match="at least 1"):
        spaced(5, 0)
