"""Arrays in, RGB arrays out: every picture that needs no axes.

Pictures are (H, W, 3) uint8; values of tokens are (N,) and lie on a `Lattice`; NaN and -1 are missing and drawn grey or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zvr_core.errors import ZvrError
from zvr_viz.flow_colours import flow_colours, wheel, with_arrows
from zvr_viz.geometry import Lattice
from zvr_viz.matches import Pairs
from zvr_viz.matchmap import Diptych, marks
from zvr_viz.palette import BOTH, INK, RGB, SIMILARITY, TRUTH, Scale, faded, matcher_mark, rgb
from zvr_viz.profile import Cut, flicker, profile
from zvr_viz.strokes import Stroke, box, lines, marker, ring
from zvr_viz.words import beside, colour_bar, label, legend, stacked

HATCH = 6  # pixels from one line of a hatching to the next


def match_map(source: RGB, key: RGB, lattice: Lattice, pairs: Pairs, zoom: int = 1, below: bool = False) -> RGB:
    """Source and key frame, faded, with the matches of chosen tokens between them, and a legend underneath.

    `zoom` enlarges the frames, not the lines; `below` puts the key frame under the source.  Open circles are the tokens; in the key
    frame stand a blue circle for flow, an orange square for cosine, a black circle where they agree; a white diamond is the true place.
    """
    pair = Diptych(lattice, below)
    canvas = enlarged(pair.canvas(faded(source), faded(key)), zoom)
    strokes = [Stroke(zoomed(s.start, zoom), zoomed(s.end, zoom), s.mark) for s in pair.strokes(pairs) if s.known]
    lines(canvas, strokes, 1)
    for place in pair.true_places(pairs):
        marker(canvas, zoomed(place, zoom), TRUTH, 6)
    for stroke in strokes:
        ring(canvas, stroke.start, BOTH.colour, 3)
        marker(canvas, stroke.end, stroke.mark, 3)
    return stacked(canvas, legend(marks(pairs), canvas.shape[1]))


def token_map(values: ArrayLike, lattice: Lattice, scale: Scale) -> RGB:
    """One colour per token, (H, W, 3)."""
    return lattice.spread(scale.paint(np.asarray(values, np.float32)))


def similarity_map(
    row: ArrayLike, lattice: Lattice, targets: Mapping[str, int], truth: int = -1, scale: Scale = SIMILARITY, zoom: int = 1
) -> RGB:
    """The cosines (N,) of one token with all key tokens, and where flow, cosine and the truth send it."""
    canvas = enlarged(token_map(row, lattice, scale), zoom)
    marker(canvas, zoomed(lattice.centres(truth)[0], zoom), TRUTH, 8)
    for name, target in targets.items():
        marker(canvas, zoomed(lattice.centres(target)[0], zoom), matcher_mark(name), 5)
    return canvas


def mask(picture: RGB, hidden: NDArray) -> RGB:
    """The picture, hatched and paler where `hidden` (H, W) bool: the shape shows without colour."""
    if hidden.shape != picture.shape[:2]:
        raise ZvrError(f"a mask of shape {hidden.shape} given for a picture of {picture.shape[:2]}; they must be equal")
    y, x = np.indices(hidden.shape)
    veiled = (0.45 * picture + 0.55 * 255).astype(np.uint8)
    stripes = np.asarray((x + y) % HATCH < 2)
    hatched = np.where(stripes[..., None], np.array(rgb(INK), np.uint8), veiled)
    return np.where(hidden[..., None], hatched, picture)


def token_box(picture: RGB, lattice: Lattice, token: int, colour: str = INK) -> RGB:
    """The picture with a frame around one token's cell."""
    canvas, half = picture.copy(), (lattice.cell - 1) / 2
    centre = lattice.centres(token)[0]
    box(canvas, centre - half, centre + half, colour)
    return canvas


def flow(field: NDArray, max_flow: float, hidden: NDArray | None = None) -> RGB:
    """A flow (2, H, W) in pixels as colours and arrows, with occluded pixels (H, W) hatched, the wheel, and what it means in words."""
    hidden = np.zeros(field.shape[1:], bool) if hidden is None else hidden
    picture = with_arrows(mask(flow_colours(field, max_flow), hidden), np.where(hidden, np.nan, field), max_flow)
    side = min(96, picture.shape[0])
    words = label(f"motion to the key frame; full colour and arrow: {max_flow:g} pixels or more", picture.shape[1])
    return beside(stacked(picture, words), wheel(side))


def profiles(clips: Mapping[str, RGB], cut: Cut, height: int = 96) -> RGB:
    """The profiles of clips (F, H, W, 3), each under its name, with its flicker underneath; about `height` pixels each."""
    parts = []
    for name, frames in clips.items():
        drawn = profile(frames, cut, max(1, height // len(frames)))
        parts += [label(f"{name}: flicker {flicker(cut.of(frames)):.2f}", drawn.shape[1]), drawn]
    return stacked(*parts)


def layer(values: ArrayLike, lattice: Lattice, scale: Scale, zoom: int = 1) -> RGB:
    """A token map with its colour bar."""
    picture = enlarged(token_map(values, lattice, scale), zoom)
    return stacked(picture, colour_bar(scale, picture.shape[1]))


def enlarged(picture: RGB, zoom: int) -> RGB:
    """Every pixel `zoom` times as large; a copy in any case."""
    return picture.repeat(zoom, axis=0).repeat(zoom, axis=1)


def zoomed(place: NDArray, zoom: int) -> NDArray:
    """Where a pixel's middle lies in a picture enlarged so."""
    return (place + 0.5) * zoom - 0.5
