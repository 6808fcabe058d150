"""How good the matches of a step are at one site: do flow and features agree, and which of them is right?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zvr_core.trace import Trace
from zvr_viz.tokens import share_within


def quality(trace: Trace, step: int, site: str) -> dict[str, object]:
    """Shares of the tokens outside key frames, in [0, 1], None where nothing can be compared.

    `agree`: of each matcher by features, how many of its targets agree with the flow's; `right`: of each matcher, how many agree with
    the true ones, where these are known; `ratio` and `merged` are what the method did.
    """
    frames = [frame for frame in range(trace.frames) if frame != trace.key[frame]]
    grid = trace.site(site).grid
    names = [name for name in trace.matchers if name == "flow" or trace.has(name)]
    found = {name: stacked([trace.target(step, site, frame, name) for frame in frames]) for name in names}
    true = stacked([trace.true_target(site, frame) for frame in frames]) if trace.has("true_target") else stacked([])
    return {
        "agree": {name: share(found["flow"], to, grid) for name, to in found.items() if name != "flow" and "flow" in found},
        "right": {name: share(true, to, grid) for name, to in found.items()},
        "ratio": number(trace.ratio(step, site)) if trace.has("ratio") else None,
        "merged": trace.merged_count(step, site) if trace.has("merged_count") else None,
    }


def stacked(arrays: list[NDArray]) -> NDArray:
    """Arrays of one length in one, (n·N,)."""
    return np.concatenate(arrays) if arrays else np.zeros(0, int)


def share(first: NDArray, second: NDArray, grid: tuple[int, int]) -> float | None:
    """How many targets agree of those that both have; None where there is no such token."""
    if len(first) != len(second):
        return None
    return number(share_within(first, second, grid))


def number(value: float) -> float | None:
    """A number as JSON knows it."""
    return round(value, 4) if np.isfinite(value) else None
