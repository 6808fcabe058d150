"""Colours: what three colour deficiencies leave of them, and what a number looks like.

Deficiencies are simulated by the matrices of Machado, Oliveira and Fernandes (2009) at full strength, on linear RGB.
"""

from itertools import combinations

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from zvr_core.errors import ZvrError
from zvr_viz.flow_colours import flow_colours
from zvr_viz.palette import ANCHORS, BOTH, COSINE, FLOW, INK, MISSING, OTHER, PAPER, SERIES, TRUTH, Scale, colour_table, faded, nice, rgb

DEFICIENCIES = {
    "none": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
everyone = pytest.mark.parametrize("deficiency", DEFICIENCIES)


def seen(colours, deficiency):
    """What is seen of sRGB colours (n, 3) in 0 to 255, as CIELAB (n, 3)."""
    value = np.asarray(colours, float) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    left = (linear @ np.array(DEFICIENCIES[deficiency]).T).clip(0, 1)
    return rgb2lab(np.where(left <= 0.0031308, 12.92 * left, 1.055 * left ** (1 / 2.4) - 0.055))


def least_difference(colours, deficiency):
    return min(deltaE_ciede2000(a, b) for a, b in combinations(seen(colours, deficiency), 2))


@everyone
def test_the_marks_of_a_match_map_differ_for_everyone(deficiency):
    marks = [mark.rgb for mark in (FLOW, COSINE, BOTH, TRUTH)]
    assert least_difference([*marks, rgb(MISSING)], deficiency) > 20  # 2 can be told apart side by side; 20 is another colour


@everyone
def test_the_series_of_a_chart_differ_for_everyone(deficiency):
    assert least_difference([mark.rgb for mark in SERIES], deficiency) > 10


def test_marks_differ_without_any_colour():
    assert len({(mark.dash, mark.marker) for mark in SERIES}) == len(SERIES)
    assert len({(mark.dash, mark.marker) for mark in (FLOW, COSINE, OTHER, TRUTH)}) == 4


@everyone
@pytest.mark.parametrize("name", ANCHORS)
def test_scales_grow_lighter_all_the_way_for_everyone(name, deficiency):
    lightness = seen(colour_table(name), deficiency)[:, 0]
    assert np.all(np.diff(lightness[::4]) > 0)
    assert lightness[-1] - lightness[0] > 50


@everyone
def test_right_and_left_motion_differ_for_all_but_the_rarest(deficiency):
    right, left = (flow_colours(np.array([x, 0.0]).reshape(2, 1, 1), 1.0)[0, 0] for x in (1.0, -1.0))
    up, down = (flow_colours(np.array([0.0, y]).reshape(2, 1, 1), 1.0)[0, 0] for y in (-1.0, 1.0))
    assert max(least_difference([right, left], deficiency), least_difference([up, down], deficiency)) > 25
    if deficiency != "tritanopia":
        assert least_difference([right, left], deficiency) > 25


@everyone
def test_words_stand_out_on_their_paper(deficiency):
    paper, ink = seen([rgb(PAPER), rgb(INK)], deficiency)
    assert paper[0] - ink[0] > 80


def test_a_scale_ends_in_the_ends_of_its_map_and_paints_missing_grey():
    painted = Scale(2, 4, "words").paint([2, 4, -9, 99, np.nan, np.inf])
    table = colour_table("viridis")
    assert np.array_equal(painted, [table[0], table[-1], table[0], table[-1], rgb(MISSING), table[-1]])


def test_the_same_value_has_the_same_colour_whatever_else_is_there():
    scale = Scale(0, 10, "words", "magma")
    assert np.array_equal(scale.paint([3.0, 9.0])[0], scale.paint([[3.0]])[0, 0])


def test_a_scale_must_rise():
    with pytest.raises(ZvrError, match="from 1 to 1"):
        Scale(1, 1, "words")


def test_an_unknown_map_names_those_there_are():
    with pytest.raises(ZvrError, match="viridis"):
        colour_table("viridas")


@pytest.mark.parametrize(("number", "end"), [(0.7, 0.8), (1, 1), (1.2, 1.5), (24, 30), (26, 30), (101, 150), (0, 1), (float("nan"), 1)])
def test_scales_end_at_round_numbers(number, end):
    assert nice(number) == pytest.approx(end)


def test_a_faded_picture_has_no_colour_that_a_mark_has():
    picture = np.stack([np.full((2, 2, 3), mark.rgb, np.uint8) for mark in (FLOW, COSINE, BOTH)]).reshape(6, 2, 3)
    lab = rgb2lab(faded(picture) / 255)
    assert lab[..., 0].min() > 40
    assert np.hypot(lab[..., 1], lab[..., 2]).max() < 20
