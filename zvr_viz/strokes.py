"""Lines and markers on pictures: smooth, at fractions of pixels, each with a halo so that it shows on dark and on bright ground."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from zvr_viz.palette import INK, PAPER, RGB, Mark, rgb

FINE = 4  # cv2 takes positions in 1/16 pixels
HALO = 0.35  # how much of the light under a line is seen
MARKERS: dict[str, list[tuple[float, float]]] = {  # corners on a circle of radius 1
    "circle": [(float(np.cos(a)), float(np.sin(a))) for a in np.linspace(0, 2 * np.pi, 16, endpoint=False)],
    "square": [(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)],
    "triangle": [(0, -1.1), (1.0, 0.8), (-1.0, 0.8)],
    "diamond": [(0, -1.3), (1.0, 0), (0, 1.3), (-1.0, 0)],
}


def halo_of(mark: Mark) -> tuple[int, int, int]:
    """Light around what is not light itself."""
    return rgb(INK) if mark.colour == PAPER else rgb(PAPER)


@dataclass(frozen=True)
class Stroke:
    """A line from `start` to `end`, (x, y) in pixels."""

    start: NDArray
    end: NDArray
    mark: Mark

    @property
    def known(self) -> bool:
        """Whether both ends are: a missing target is NaN."""
        return bool(np.isfinite(self.start).all() and np.isfinite(self.end).all())


def lines(canvas: RGB, strokes: Sequence[Stroke], width: int = 2) -> None:
    """Draws the strokes onto the canvas in their order, over one thin light line under each; skips what has a missing end."""
    known = [stroke for stroke in strokes if stroke.known]
    light = canvas.copy()
    for s in known:
        cv2.line(light, fixed(s.start), fixed(s.end), halo_of(s.mark), width + 2, cv2.LINE_AA, FINE)
    cv2.addWeighted(light, HALO, canvas, 1 - HALO, 0, dst=canvas)
    for s in known:
        for a, b in dashes(s.start, s.end, s.mark.dash):
            cv2.line(canvas, fixed(a), fixed(b), s.mark.rgb, width, cv2.LINE_AA, FINE)


def dashes(start: NDArray, end: NDArray, pattern: tuple[int, ...]) -> Iterator[tuple[NDArray, NDArray]]:
    """The drawn pieces of a line; `pattern` is on, off, on, off … in pixels, empty for all of it."""
    length = float(np.hypot(*(end - start)))
    if not pattern or length == 0:
        yield start, end
        return
    at, index = 0.0, 0
    while at < length:
        stop = min(at + pattern[index % len(pattern)], length)
        if index % 2 == 0:
            yield start + (end - start) * (at / length), start + (end - start) * (stop / length)
        at, index = stop, index + 1


def marker(canvas: RGB, place: NDArray, mark: Mark, radius: float = 4.0) -> None:
    """Fills the mark's shape around `place` (x, y); nothing where the place is missing (NaN)."""
    if not np.isfinite(place).all():
        return
    shape = np.array(MARKERS[mark.marker])
    for colour, size in ((halo_of(mark), radius + 1.5), (mark.rgb, radius)):
        corners = np.array([fixed(corner) for corner in place + size * shape], np.int32)
        cv2.fillPoly(canvas, [corners], colour, cv2.LINE_AA, FINE)


def ring(canvas: RGB, place: NDArray, colour: str, radius: float = 5.0) -> None:
    """An open circle around `place`: shows what is under it."""
    if np.isfinite(place).all():
        for paint, width in ((PAPER if colour != PAPER else INK, 3), (colour, 1)):
            cv2.circle(canvas, fixed(place), round(radius * 2**FINE), rgb(paint), width, cv2.LINE_AA, FINE)


def arrow(canvas: RGB, start: NDArray, end: NDArray, colour: str = INK) -> None:
    """A thin arrow."""
    cv2.arrowedLine(canvas, whole(start), whole(end), rgb(colour), 1, cv2.LINE_AA, tipLength=0.4)


def box(canvas: RGB, top_left: NDArray, bottom_right: NDArray, colour: str, width: int = 1) -> None:
    """A rectangle with a halo."""
    for paint, thickness in ((PAPER if colour != PAPER else INK, width + 2), (colour, width)):
        cv2.rectangle(canvas, whole(top_left), whole(bottom_right), rgb(paint), thickness)


def fixed(place: NDArray) -> tuple[int, int]:
    """A place as cv2 wants it with `FINE` binary digits after the point."""
    return round(float(place[0]) * 2**FINE), round(float(place[1]) * 2**FINE)


def whole(place: NDArray) -> tuple[int, int]:
    """A place rounded to pixels."""
    return round(float(place[0])), round(float(place[1]))
