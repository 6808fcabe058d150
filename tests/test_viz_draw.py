"""Pictures from arrays: what lands where, in which colour."""

import numpy as np
import pytest
import torch

from zvr_core.errors import ZvrError
from zvr_core.metrics import profile_flicker
from zvr_viz import draw
from zvr_viz.flow_colours import flow_colours, largest_flow, wheel, wheel_table, with_arrows
from zvr_viz.geometry import Lattice
from zvr_viz.latents import fitted, principal
from zvr_viz.matches import pairs
from zvr_viz.matchmap import GAP
from zvr_viz.palette import COSINE, FLOW, INK, MISSING, PAPER, Scale, rgb
from zvr_viz.profile import Cut, flicker, profile
from zvr_viz.strokes import Stroke, dashes, lines
from zvr_viz.words import colour_bar, label, legend, notice, width_of, wrapped

LATTICE = Lattice((3, 4), 8, (24, 32))
GREY = np.full((24, 32, 3), 120, np.uint8)


def constant(x, y, size=(4, 5)):
    return np.broadcast_to(np.array([x, y], float)[:, None, None], (2, *size))


def test_markers_land_on_the_middle_of_their_targets():
    chosen = pairs({"flow": np.full(12, 2), "cosine": np.full(12, 8)}, LATTICE.grid, choice=[5])
    picture = draw.match_map(GREY, GREY, LATTICE, chosen, zoom=3)
    for mark, (x, y) in ((FLOW, (32 + GAP + 19.5, 3.5)), (COSINE, (32 + GAP + 3.5, 19.5))):
        assert np.array_equal(picture[round(3 * y + 1), round(3 * x + 1)], mark.rgb)


def test_a_match_map_has_both_frames_and_a_legend():
    chosen = pairs({"flow": np.arange(12)}, LATTICE.grid, choice=[5])
    picture = draw.match_map(GREY, np.zeros_like(GREY), LATTICE, chosen)
    assert picture.shape[1] == 2 * 32 + GAP
    assert picture.shape[0] > 24
    assert picture[0, 0].mean() > picture[0, -1].mean()  # the key frame was black


def test_missing_targets_draw_nothing():
    none = pairs({"flow": np.full(12, -1)}, LATTICE.grid, choice=[5])
    empty = pairs({"flow": np.full(12, -1)}, LATTICE.grid, choice=[])
    assert np.array_equal(draw.match_map(GREY, GREY, LATTICE, none)[:24], draw.match_map(GREY, GREY, LATTICE, empty)[:24])


def test_frames_of_another_size_are_refused():
    with pytest.raises(ZvrError, match="output's size"):
        draw.match_map(GREY, GREY[:8], LATTICE, pairs({"flow": np.arange(12)}, LATTICE.grid))


def test_a_token_map_paints_cells():
    scale = Scale(0, 11, "words")
    picture = draw.token_map(np.arange(12), LATTICE, scale)
    assert np.array_equal(picture[8:16, 8:16], np.broadcast_to(scale.paint(5), (8, 8, 3)))


def test_a_similarity_map_marks_the_targets():
    picture = draw.similarity_map(np.zeros(12), LATTICE, {"flow": 0, "cosine": 11}, truth=7, zoom=4)
    assert np.array_equal(picture[14, 14], FLOW.rgb)
    assert np.array_equal(picture[78, 110], COSINE.rgb)
    assert np.array_equal(picture[46, 110], rgb(PAPER))


def test_a_mask_changes_only_what_is_hidden():
    hidden = np.zeros((24, 32), bool)
    hidden[:, :8] = True
    picture = draw.mask(GREY, hidden)
    assert np.array_equal(picture[:, 8:], GREY[:, 8:])
    assert (picture[:, :8] != GREY[:, :8]).any(-1).all()
    with pytest.raises(ZvrError, match="must be equal"):
        draw.mask(GREY, hidden.T)


def test_a_dashed_line_leaves_gaps_and_a_solid_one_none():
    assert [round(float(a[0])) for a, _ in dashes(np.zeros(2), np.array([20.0, 0]), (6, 4))] == [0, 10]
    for mark, gaps in ((FLOW, False), (COSINE, True)):
        canvas = np.full((9, 60, 3), 120, np.uint8)
        lines(canvas, [Stroke(np.array([2.0, 4]), np.array([57.0, 4]), mark)], 2)
        drawn = np.abs(canvas[4, 4:56].astype(int) - mark.rgb).sum(-1) < 60
        assert drawn.any()
        assert drawn.all() != gaps


@pytest.mark.parametrize(("x", "y", "place"), [(1, 0, (200, 398)), (-1, 0, (200, 1)), (0, 1, (398, 200)), (0, -1, (1, 200))])
def test_a_motion_has_the_colour_of_the_wheel_in_its_direction(x, y, place):
    assert np.abs(flow_colours(constant(x, y), 1.0)[0, 0].astype(int) - wheel(400)[place]).max() <= 8


def test_no_motion_is_white_and_unknown_motion_grey():
    assert flow_colours(constant(0, 0), 5.0).min() >= 245
    assert np.array_equal(flow_colours(constant(np.nan, 1), 5.0)[0, 0], rgb(MISSING))


def test_from_the_maximum_on_the_colour_stays():
    assert np.array_equal(flow_colours(constant(3, 4), 5.0), flow_colours(constant(30, 40), 5.0))
    assert not np.array_equal(flow_colours(constant(3, 4), 5.0), flow_colours(constant(3, 4), 10.0))


def test_all_directions_of_one_length_look_equally_strong():
    from skimage.color import rgb2lab

    lightness = rgb2lab(wheel_table()[:, -1][None] / 255)[..., 0]
    assert np.ptp(lightness) < 1.5


def test_arrows_point_along_the_motion():
    white = np.full((40, 40, 3), 255, np.uint8)
    drawn = (with_arrows(white, constant(8, 0, (40, 40)), 8.0, every=40) < 128).all(-1)
    x = np.nonzero(drawn)[1]
    assert x.min() >= 19  # from the middle to the right


@pytest.mark.parametrize(("flow", "most"), [(np.zeros((4, 5, 2)), 1.0), (np.zeros((2, 4, 5)), 0.0)])
def test_flow_of_another_shape_or_scale_is_refused(flow, most):
    with pytest.raises(ZvrError, match="given"):
        flow_colours(flow, most)


def test_the_largest_flow_forgets_what_is_not_finite():
    assert largest_flow([constant(3, 4), constant(np.inf, 0)]) == pytest.approx(5)
    assert largest_flow([]) == 1


def test_a_profile_is_one_row_of_every_frame():
    frames = np.random.default_rng(0).integers(0, 256, (4, 6, 5, 3), np.uint8)
    assert np.array_equal(profile(frames, Cut(2)), frames[:, 2])
    assert np.array_equal(profile(frames, Cut(3, "column"), 2)[::2], frames[:, :, 3])
    for wrong in (Cut(6), Cut(5, "column")):
        with pytest.raises(ZvrError, match="the frames have"):
            profile(frames, wrong)
    with pytest.raises(ZvrError, match="'row' or 'column'"):
        Cut(0, "diagonal")


def test_flicker_is_the_number_of_the_metrics():
    frames = np.random.default_rng(0).integers(0, 256, (5, 8, 9, 3), np.uint8)
    whole = torch.from_numpy(frames).permute(0, 3, 1, 2) / 255
    assert flicker(frames) == pytest.approx(profile_flicker(whole), rel=1e-5)
    assert flicker(Cut(3).of(frames)) == pytest.approx(profile_flicker(whole[:, :, 3:4]), rel=1e-5)


def test_what_stands_still_or_brightens_evenly_does_not_flicker():
    still = np.full((4, 3, 3, 3), 100, np.uint8)
    assert flicker(still) == 0
    assert flicker(still + 10 * np.arange(4, dtype=np.uint8)[:, None, None, None]) == pytest.approx(0, abs=1e-4)
    assert np.isnan(flicker(still[:2]))


def test_profiles_are_stacked_under_their_names():
    frames = np.full((4, 6, 200, 3), 90, np.uint8)
    picture = draw.profiles({"one": frames, "two": frames}, Cut(1), height=12)
    assert picture.shape == (2 * (18 + 12), 200, 3)
    assert (picture[18:30] == 90).all()


def test_a_linear_map_of_the_latents_is_found():
    rng = np.random.default_rng(0)
    latents = rng.normal(size=(2, 4, 6, 5))
    pictures = np.einsum("nchw,cd->nhwd", latents, rng.normal(size=(4, 3)) * 8) + 120
    projection = fitted(latents, pictures.clip(0, 255).round().astype(np.uint8))
    assert np.abs(projection.paint(latents[0]).astype(int) - pictures[0]).max() <= 3


def test_latents_that_say_little_about_the_picture_are_shown_by_their_own_variation():
    rng = np.random.default_rng(0)
    latents, pictures = rng.normal(size=(2, 4, 6, 5)), rng.integers(0, 256, (2, 6, 5, 3), np.uint8)
    assert "principal" in fitted(latents, pictures).words


@pytest.mark.parametrize("channels", [1, 2, 4, 16])
def test_any_number_of_channels_has_colours(channels):
    latents = np.random.default_rng(0).normal(size=(2, channels, 6, 5))
    painted = principal(latents).paint(latents[0])
    assert painted.shape == (6, 5, 3)
    assert painted.std() > 10
    with pytest.raises(ZvrError, match="expected by this projection"):
        principal(latents).paint(np.zeros((channels + 1, 6, 5)))


def test_a_notice_is_never_blank_and_never_larger():
    for size in ((200, 300), (24, 60), (90, 40)):
        picture = notice("trace has no truth; give the true frames when recording", size)
        assert picture.shape == (*size, 3)
        assert (np.abs(picture.astype(int) - rgb(INK)).sum(-1) < 90).any()


def test_words_wrap_and_legends_fit():
    assert all(width_of(row) <= 100 for row in wrapped("how far flow and cosine disagree, in tokens", 100))
    assert label("two words", 60).shape[1] == 60
    assert legend([FLOW, COSINE], 150).shape[0] == 2 * legend([FLOW, COSINE], 500).shape[0]
    bar = colour_bar(Scale(0, 1, "words"), 120)
    assert np.array_equal(bar[8, 4], Scale(0, 1, "w").paint(0))


def test_flow_pictures_say_what_their_colours_mean():
    field = np.array(constant(6, 0, (120, 160)))
    picture = draw.flow(field, 10.0, np.zeros((120, 160), bool))
    assert picture.shape[1] > 160 + 90  # the wheel
    assert picture.shape[0] > 120  # the words
