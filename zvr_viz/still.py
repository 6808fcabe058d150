"""The explorer as one picture, for where no kernel answers: the steps of a frame, and where flow and features send its tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zvr_core.errors import ZvrError
from zvr_core.trace import Trace
from zvr_viz.encode import film_strip, shrunk, spaced, within
from zvr_viz.match_figures import match_map
from zvr_viz.matches import Largest
from zvr_viz.palette import RGB
from zvr_viz.payload import first_view
from zvr_viz.reading import backdrop
from zvr_viz.words import label, notice, stacked

BUDGET = 150_000  # bytes: a notebook holds several
COLUMNS = 6  # steps in the strip
SHOWN = 24  # pairs of lines
WIDTH = 880  # pixels


def still(traces: Sequence[Trace], state: Mapping[str, Any]) -> bytes:
    """PNG of at most `BUDGET` bytes: for each run a film strip over the steps and a match map of the place in `state`."""
    return within(stacked(*(part for trace in traces for part in panels(trace, {**first_view(trace), **state}))), BUDGET)


def panels(trace: Trace, view: Mapping[str, Any]) -> list[RGB]:
    """One frame at evenly spaced steps, under words that say so, and its match map; words where there is none."""
    if not trace.steps:
        return [notice(f"{trace.name}: no step is complete yet", (60, WIDTH))]
    frame = min(int(view["frame"]), trace.frames - 1)
    steps = spaced(trace.steps, COLUMNS)
    side = (WIDTH - 4 * (len(steps) - 1)) // len(steps) if len(steps) == COLUMNS else WIDTH // COLUMNS
    height, width = trace.size
    small = [shrunk(backdrop(trace, frame, step), side * max(height, width) // width) for step in steps]
    words = f"{trace.name}, {trace.method}: frame {frame} at steps {', '.join(map(str, steps))} of {trace.total_steps}"
    return [label(words, WIDTH), film_strip(small), matches(trace, view, frame)]


def matches(trace: Trace, view: Mapping[str, Any], frame: int) -> RGB:
    """The match map, or why there is none."""
    try:
        return match_map(trace, min(int(view["step"]), trace.steps - 1), view["site"] or None, frame, choice=Largest(SHOWN)).pixels()
    except ZvrError as error:
        return notice(str(error), (60, WIDTH))
