"""Colours that mean the same everywhere: marks of categories, scales of numbers.

Colour never speaks alone: every category also has a line style and a marker shape, every scale a legend in words.  Both survive the
three colour deficiencies (tests/test_viz_palette.py simulates them).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zvr_core.errors import ZvrError, unknown

RGB = NDArray[np.uint8]

PAPER, INK, FAINT, MISSING = "#FFFFFF", "#1A1A1A", "#D9D9D9", "#8C8C8C"  # every picture brings its own paper: dark themes do not reach it


def rgb(colour: str) -> tuple[int, int, int]:
    """The three bytes of "#RRGGBB"."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


@dataclass(frozen=True)
class Mark:
    """How one category is drawn: `words` for the legend, colour, `dash` (lengths on and off in px; empty is solid), marker shape."""

    words: str
    colour: str
    dash: tuple[int, ...] = ()
    marker: str = "circle"  # circle, square, triangle, diamond

    @property
    def rgb(self) -> tuple[int, int, int]:
        return rgb(self.colour)


# The colours are Okabe and Ito's (2008), chosen so that no deficiency confuses two of one picture.
FLOW = Mark("flow match", "#0072B2")
COSINE = Mark("cosine match", "#E69F00", (6, 4), "square")
SPATIAL = Mark("cosine match with spatial prior", "#E69F00", (2, 3), "triangle")
OTHER = Mark("other match", "#CC79A7", (8, 3, 2, 3), "triangle")
BOTH = Mark("both agree", "#000000")
TRUTH = Mark("true place", "#FFFFFF", (), "diamond")  # white with a dark edge: found on any picture
MATCHERS = {"flow": FLOW, "cosine": COSINE, "cosine_spatial": SPATIAL}

SERIES = (  # for curves of sites and runs, in this order
    Mark("", "#0072B2", (), "circle"),
    Mark("", "#E69F00", (6, 3), "square"),
    Mark("", "#000000", (2, 2), "triangle"),
    Mark("", "#009E73", (8, 3, 2, 3), "diamond"),
    Mark("", "#CC79A7", (), "square"),
    Mark("", "#56B4E9", (6, 3), "triangle"),
)


def matcher_mark(name: str) -> Mark:
    """How the matches of a matcher are drawn."""
    return MATCHERS.get(name, Mark(f"{name} match", OTHER.colour, OTHER.dash, OTHER.marker))


def series_mark(index: int, words: str) -> Mark:
    """The mark of the curve number `index`; after six they repeat."""
    mark = SERIES[index % len(SERIES)]
    return Mark(words, mark.colour, mark.dash, mark.marker)


ANCHORS = {  # equally spaced along the maps viridis, magma (Smith and van der Walt 2015) and cividis (Nuñez et al. 2018)
    "viridis": "440154 472d7b 3b528b 2c728e 21918c 28ae80 5ec962 addc30 fde725",
    "magma": "000004 1c1044 4f127b 812581 b5367a e55064 fb8761 fec287 fcfdbf",
    "cividis": "00224e 123570 3b496c 575d6d 707173 8a8678 a59c74 c3b369 e1cc55 fee838",
}


@cache
def colour_table(name: str) -> RGB:
    """256 colours, (256, 3), from dark to light; raises ZvrError for an unknown map."""
    if name not in ANCHORS:
        raise unknown("colour map", name, ANCHORS)
    anchors = np.array([rgb(f"#{text}") for text in ANCHORS[name].split()])  # (A, 3)
    place = np.linspace(0, len(anchors) - 1, 256)
    table = np.stack([np.interp(place, range(len(anchors)), channel) for channel in anchors.T], axis=1)  # (256, 3)
    table = table.round().astype(np.uint8)
    table.flags.writeable = False  # it is shared
    return table


@dataclass(frozen=True)
class Scale:
    """Which number has which colour, and what the numbers are in `words`; one scale serves a whole view, over all steps and runs."""

    low: float
    high: float
    words: str
    colours: str = "viridis"

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ZvrError(f"a colour scale from {self.low} to {self.high} given; it must end above its start")

    def paint(self, values: ArrayLike) -> RGB:
        """Values of any shape to colours (…, 3); beyond the ends the end's colour, grey where a value is missing (NaN)."""
        numbers = np.asarray(values, np.float32)
        place = (numbers - self.low) / (self.high - self.low) * 255
        index = np.nan_to_num(place, nan=0.0, posinf=255.0, neginf=0.0).clip(0, 255).round().astype(np.uint8)
        return np.where(np.isnan(numbers)[..., None], np.array(rgb(MISSING), np.uint8), colour_table(self.colours)[index])


DISAGREEMENT = "how far flow and cosine disagree, in tokens"


def disagreement_scale(most: float) -> Scale:
    """Dark where both rules agree, light where they are `most` tokens apart or more."""
    return Scale(0, most, DISAGREEMENT, "magma")


CONFIDENCE = Scale(0, 1, "1: the flow there and back returns to its start")
MARGIN = Scale(0, 0.2, "lead of the best cosine over those elsewhere")
SIMILARITY = Scale(0, 1, "cosine similarity to the token; 0 or less is darkest", "cividis")


def age_scale(steps: int) -> Scale:
    """For the age of providers over `steps` recorded steps."""
    return Scale(0, max(steps, 1), "recorded steps in a row with the same provider", "cividis")


def nice(number: float) -> float:
    """The least of 1, 1.5, 2, 3, 4, 5, 6, 8, 10, 15 … that is not below `number`: a round end for a scale."""
    if not number > 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(number))
    return float(next(step * power for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * power >= number * (1 - 1e-9)))


def faded(picture: RGB) -> RGB:
    """A picture (H, W, 3) as a ground for lines: paler and nearly grey, so that no colour in it can be taken for a mark's."""
    grey = (picture @ np.array([0.299, 0.587, 0.114]))[..., None]
    return (0.6 * (0.3 * picture + 0.7 * grey) + 0.4 * 255).astype(np.uint8)
