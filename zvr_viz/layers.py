"""Layers over the tokens of one frame: each knows how to read itself from a trace, its colours, and its words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zvr_core.errors import unknown
from zvr_core.trace import Missing, Trace
from zvr_viz.draw import mask, token_map
from zvr_viz.palette import CONFIDENCE, MARGIN, RGB, Scale, age_scale
from zvr_viz.picture import Pane, show
from zvr_viz.reading import Spot, backdrop, best_picture, disagreement, fixed_scale, lattice, matcher_pair
from zvr_viz.tokens import provider_age


@dataclass(frozen=True)
class Layer:
    """`paint` gives (H, W, 3) and raises Missing; `legend` is the scale of its colours, or words."""

    paint: Callable[[Trace, Spot], RGB]
    legend: Callable[[Trace, Spot], Scale] | str = ""

    def pane(self, heading: str, trace: Trace, at: Spot) -> Pane:
        """The layer of one place."""
        legend = self.legend
        below = legend if isinstance(legend, str) else lambda: legend(trace, at)
        return Pane(heading, lambda axes: show(axes, self.paint(trace, at)), below)


def layer(name: str) -> Layer:
    """The layer of a name; raises ZvrError for an unknown one."""
    if name not in LAYERS:
        raise unknown("layer", name, LAYERS)
    return LAYERS[name]


def of_tokens(values: Callable[[Trace, Spot], NDArray], scale: Callable[[Trace, Spot], Scale]) -> Layer:
    """A layer of one number per token."""
    return Layer(lambda trace, at: token_map(values(trace, at), lattice(trace, at.site), scale(trace, at)), scale)


def apart(trace: Trace, at: Spot) -> NDArray:
    """How far the two rules disagree, (N,), NaN on the key frame."""
    if at.frame == trace.key[at.frame]:
        raise Missing(f"frame {at.frame} is the key frame of its window: nothing to match; look at another frame")
    return disagreement(trace, at, matcher_pair(trace))


def recorded_steps(trace: Trace, at: Spot) -> list[int]:
    """The recorded steps up to this one; raises Missing where this one was not."""
    if at.step not in trace.match_steps:
        raise Missing(f"{trace.file} has no matches at step {at.step}; record with RecordAt(steps='all')")
    return [step for step in trace.match_steps if step <= at.step]


def margin(trace: Trace, at: Spot) -> NDArray:
    """How sure cosine is, (N,)."""
    recorded_steps(trace, at)
    return trace.margin(at.step, at.site.name, at.frame, "cosine")


def ages(trace: Trace, at: Spot) -> NDArray:
    """The age of each token's provider at this step, (N,); NaN where none was recorded."""
    steps = recorded_steps(trace, at)
    age = provider_age(np.stack([trace.provider(step, at.site.name, at.frame) for step in steps]))[-1]
    return np.where(age > 0, age, np.nan)


def merged(trace: Trace, at: Spot) -> RGB:
    """The frame, hatched where tokens take another one's output."""
    recorded_steps(trace, at)
    cells = lattice(trace, at.site).spread(trace.merged(at.step, at.site.name, at.frame))
    return mask(backdrop(trace, at.frame, at.step), cells)


def occlusion(trace: Trace, at: Spot) -> RGB:
    """The frame, hatched where the flow leads nowhere."""
    return mask(backdrop(trace, at.frame, at.step), trace.occluded(at.frame))


LAYERS = {
    "picture": Layer(lambda trace, at: best_picture(trace, at.frame, at.step)),
    "disagreement": of_tokens(apart, lambda trace, at: fixed_scale(trace, at.site, matcher_pair(trace))),
    "margin": of_tokens(margin, lambda trace, at: MARGIN),
    "age": of_tokens(ages, lambda trace, at: age_scale(len(trace.match_steps))),
    "merged": Layer(merged, "hatched tokens take the attention output of another one"),
    "confidence": Layer(lambda trace, at: CONFIDENCE.paint(trace.confidence(at.frame)), lambda trace, at: CONFIDENCE),
    "occlusion": Layer(occlusion, "hatched pixels are not in the key frame"),
}
