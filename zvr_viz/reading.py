"""What pictures ask of a trace: one frame of some kind at output size, one default place to look at, one scale for all steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from zvr_core.agreement import distance
from zvr_core.errors import ZvrError, unknown
from zvr_core.trace import Missing, Trace, TraceSite
from zvr_viz.encode import spaced
from zvr_viz.flow_colours import largest_flow
from zvr_viz.geometry import Lattice
from zvr_viz.palette import RGB, Scale, disagreement_scale, nice

KINDS = {"lq": "input (LQ)", "preview": "estimate at this step", "restored": "result", "truth": "ground truth"}
SAMPLES = 24  # (step, frame) pairs looked at to fix a scale


@dataclass(frozen=True)
class Spot:
    """One place of a trace: a step, a site, a frame."""

    step: int
    site: TraceSite
    frame: int


def spot(trace: Trace, step: int | None = None, site: str | None = None, frame: int | None = None) -> Spot:
    """The place asked for; else the middle recorded step, the finest site in which the method matches, the frame farthest from its key.

    Raises Missing where the trace has no steps or no sites, ZvrError for a step, site or frame it has not.
    """
    if not trace.steps:
        raise Missing(f"{trace.file} has no complete step yet; run at least one")
    if not trace.sites:
        raise Missing(f"{trace.file} has no sites; record them: RecordAt(sites='all')")
    known = trace.match_steps or tuple(range(trace.steps))
    step = known[len(known) // 2] if step is None else step
    frame = int(np.abs(np.arange(trace.frames) - trace.key).argmax()) if frame is None else frame
    for kind, number, count in (("step", step, trace.steps), ("frame", frame, trace.frames)):
        if not 0 <= number < count:
            raise ZvrError(f"{kind} {number} given, {trace.file} has {kind}s 0 to {count - 1}")
    return Spot(step, trace.site(site) if site is not None else favourite_site(trace), frame)


def favourite_site(trace: Trace) -> TraceSite:
    """The finest of the sites where the method matches; of several, the first in an up block."""
    own = [site for site in trace.sites if trace.own(site.name)] or list(trace.sites)
    return max(own, key=lambda site: (site.tokens, site.stage == "up"))


def lattice(trace: Trace, site: TraceSite) -> Lattice:
    """The site's tokens on pictures of output size."""
    return Lattice(site.grid, site.cell, trace.size)


def matcher_pair(trace: Trace) -> tuple[str, ...]:
    """Flow and the plain cosine where both are recorded, else the first two of what is; raises Missing where nothing is."""
    order = [name for name in ("flow", "cosine", "cosine_spatial") if name in trace.matchers]
    pair = tuple(dict.fromkeys([*order, *trace.matchers]))[:2]
    if not pair:
        raise Missing(f"{trace.file} has no matches; record them: RecordAt(matchers=('flow', 'cosine'))")
    return pair


def resized(picture: RGB, size: tuple[int, int]) -> RGB:
    """The picture at another size (H, W): cubic when enlarged, averaged when shrunk."""
    if picture.shape[:2] == size:
        return picture
    method = Image.Resampling.BICUBIC if picture.shape[0] < size[0] else Image.Resampling.BOX
    return np.array(Image.fromarray(picture).resize((size[1], size[0]), method))


def picture(trace: Trace, kind: str, frame: int, step: int = -1) -> RGB:
    """A frame at output size, (H, W, 3): kind "lq", "restored", "truth", or "preview" of the estimate at `step`; raises Missing."""
    if kind not in KINDS:
        raise unknown("kind of picture", kind, KINDS)
    if kind == "preview":
        return resized(trace.preview(step if step >= 0 else trace.steps - 1, frame), trace.size)
    return resized({"lq": trace.lq, "restored": trace.restored, "truth": trace.truth}[kind](frame), trace.size)


def best_picture(trace: Trace, frame: int, step: int) -> RGB:
    """The frame as it was estimated at the step, or where that was not recorded the input; raises Missing."""
    try:
        return picture(trace, "preview", frame, step)
    except Missing:
        return picture(trace, "lq", frame)


def backdrop(trace: Trace, frame: int, step: int, kind: str = "") -> RGB:
    """What marks are drawn upon: the kind of picture asked for, or the best there is, or grey."""
    if kind:
        return picture(trace, kind, frame, step)
    try:
        return best_picture(trace, frame, step)
    except Missing:
        return np.full((*trace.size, 3), 200, np.uint8)


def clip(trace: Trace, kind: str, step: int = -1) -> RGB:
    """All frames of a kind, (F, H, W, 3); raises Missing."""
    return np.stack([picture(trace, kind, frame, step) for frame in range(trace.frames)])


def noise_level(trace: Trace) -> NDArray:
    """√(1 - ᾱ) of every step: the share of noise in x_t, 1 is noise alone."""
    return np.sqrt((1 - trace.alpha_bar).clip(0, 1))


def disagreement(trace: Trace, at: Spot, matchers: tuple[str, ...] = ("flow", "cosine")) -> NDArray:
    """How far two matchers' targets lie apart, in tokens, (N,); NaN where one has none.  Raises Missing."""
    a, b = (trace.target(at.step, at.site.name, at.frame, name) for name in matchers)
    return distance(a, b, at.site.grid)


def true_targets(trace: Trace, at: Spot) -> NDArray:
    """The true targets, (N,); -1 where unknown, also where the trace has none."""
    try:
        return trace.true_target(at.site.name, at.frame)
    except Missing:
        return np.full(at.site.tokens, -1)


def fixed_scale(trace: Trace, site: TraceSite, matchers: tuple[str, ...] = ("flow", "cosine")) -> Scale:
    """One scale for the disagreement at a site, for all steps and frames: its end is what 19 of 20 tokens stay under, rounded up.

    Looks at `SAMPLES` recorded places, evenly spaced, so that it is the same whichever step is asked for first.
    """
    places = [(step, frame) for step in trace.match_steps for frame in range(trace.frames) if frame != trace.key[frame]]
    sample = [places[index] for index in spaced(len(places), SAMPLES)]
    looked = [disagreement(trace, Spot(step, site, frame), matchers) for step, frame in sample]
    found = np.concatenate([np.zeros(1), *looked])
    return disagreement_scale(max(2.0, nice(float(np.nanquantile(found, 0.95)))))


def max_flow(trace: Trace) -> float:
    """The motion with the full colour, in pixels: 99 of 100 pixels of a trace move less.  Raises Missing."""
    return nice(largest_flow([trace.flow(frame)[:, ::2, ::2] for frame in spaced(trace.frames, SAMPLES)]))
