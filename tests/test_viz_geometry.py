"""Where tokens lie, and which of them are shown."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zvr_core.errors import ZvrError
from zvr_viz.geometry import Lattice
from zvr_viz.matches import Box, Largest, Spaced, pairs
from zvr_viz.matchmap import GAP, Diptych, marks
from zvr_viz.palette import BOTH, COSINE, FLOW, TRUTH

GRID = (3, 4)


def test_a_token_lies_in_the_middle_of_its_cell():
    lattice = Lattice(GRID, 8, (24, 32))
    assert lattice.centres([0, 1, 4, 11]).tolist() == [[3.5, 3.5], [11.5, 3.5], [3.5, 11.5], [27.5, 19.5]]


def test_cells_that_stick_out_have_their_middle_at_the_border():
    assert Lattice((2, 2), 8, (9, 10)).centres([3]).tolist() == [[9.0, 8.0]]


def test_the_missing_token_lies_nowhere():
    assert np.isnan(Lattice(GRID, 8, (24, 32)).centres([-1])).all()


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 16), st.data())
def test_the_token_at_its_middle_is_itself(h, w, cell, data):
    size = tuple((n - 1) * cell + data.draw(st.integers(1, cell)) for n in (h, w))
    lattice = Lattice((h, w), cell, size)
    token = data.draw(st.integers(0, h * w - 1))
    assert lattice.token_at(*lattice.centres(token)[0]) == token


def test_spreading_fills_each_cell_with_its_token():
    lattice = Lattice((2, 3), 4, (7, 10))
    pixels = lattice.spread(np.arange(6))
    assert pixels.shape == (7, 10)
    assert all(pixels[y, x] == lattice.token_at(x, y) for y in range(7) for x in range(10))


@pytest.mark.parametrize("wrong", [{"grid": (4, 4)}, {"grid": (0, 4)}, {"size": (16, 32)}])
def test_a_grid_must_fit_the_picture(wrong):
    with pytest.raises(ZvrError, match="output size"):
        Lattice(**{"grid": GRID, "cell": 8, "size": (24, 32), **wrong})


def test_tokens_and_pixels_outside_are_refused():
    lattice = Lattice(GRID, 8, (24, 32))
    with pytest.raises(ZvrError, match="token 12 given"):
        lattice.centres([12])
    with pytest.raises(ZvrError, match="32×24"):
        lattice.token_at(32, 0)
    with pytest.raises(ZvrError, match="4×3"):
        lattice.spread(np.zeros(5))


def test_the_largest_disagreements_are_chosen_first():
    cosine = np.arange(12)
    cosine[5], cosine[7] = 4, 4  # one and three tokens away
    assert pairs({"flow": np.arange(12), "cosine": cosine}, GRID, choice=Largest(2)).tokens.tolist() == [7, 5]


def test_other_choices():
    targets = {"flow": np.arange(12), "cosine": np.arange(12)}
    assert pairs(targets, GRID, choice=Spaced(2)).tokens.tolist() == [5, 7]
    assert pairs(targets, GRID, choice=Spaced(50)).tokens.tolist() == [11]
    assert pairs(targets, GRID, choice=Box(1, 2, 3, 4)).tokens.tolist() == [6, 7, 10, 11]
    assert pairs(targets, GRID, choice=[3, 1]).tokens.tolist() == [3, 1]


def test_neighbours_agree_and_others_do_not():
    chosen = pairs({"flow": np.full(12, 0), "cosine": np.arange(12)}, GRID, choice=[0, 1, 2, 4, 5, 6])
    assert chosen.agree.tolist() == [True, True, False, True, True, False]


@pytest.mark.parametrize(
    ("targets", "choice", "words"),
    [
        ({}, Largest(), "0 matchers"),
        ({name: np.zeros(12) for name in "abc"}, Largest(), "3 matchers"),
        ({"flow": np.zeros(11)}, Largest(), "4×3 tokens"),
        ({"flow": np.zeros(12)}, [12], "0 to 11"),
        ({"flow": np.zeros(12)}, Box(0, 0, 4, 4), "3 rows and 4 columns"),
    ],
)
def test_pairs_that_cannot_be_made(targets, choice, words):
    with pytest.raises(ZvrError, match=words):
        pairs(targets, GRID, choice=choice)


def test_lines_lead_from_the_token_to_its_target_in_the_other_frame():
    lattice = Lattice(GRID, 8, (24, 32))
    chosen = pairs({"flow": np.zeros(12), "cosine": np.full(12, 11)}, GRID, choice=[5])
    cosine, flow = Diptych(lattice).strokes(chosen)
    assert (flow.mark, flow.start.tolist(), flow.end.tolist()) == (FLOW, [11.5, 11.5], [32 + GAP + 3.5, 3.5])
    assert (cosine.mark, cosine.end.tolist()) == (COSINE, [32 + GAP + 27.5, 19.5])
    below = Diptych(lattice, below=True).strokes(chosen)[1]
    assert below.end.tolist() == [3.5, 24 + GAP + 3.5]


def test_where_the_rules_agree_there_is_one_black_line():
    chosen = pairs({"flow": np.arange(12), "cosine": np.arange(12)}, GRID, choice=[5])
    assert [stroke.mark for stroke in Diptych(Lattice(GRID, 8, (24, 32))).strokes(chosen)] == [BOTH]


def test_the_legend_explains_what_is_drawn_and_nothing_else():
    same, other = np.arange(12), np.arange(12)[::-1]
    assert marks(pairs({"flow": same, "cosine": same}, GRID, choice=[0])) == [BOTH]
    assert marks(pairs({"flow": same, "cosine": other}, GRID, same, choice=[0])) == [FLOW, COSINE, TRUTH]
    assert marks(pairs({"flow": same}, GRID, choice=[0])) == [FLOW]
