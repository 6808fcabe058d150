"""Numbers per step of a recorded run: how often matches are right, how often they agree, how steady the estimate is."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from zvr_core.trace import Missing, Trace, TraceSite
from zvr_viz.charts import Chart, Panel
from zvr_viz.encode import spaced
from zvr_viz.palette import RGB, matcher_mark, series_mark
from zvr_viz.reading import spot
from zvr_viz.tokens import share_within

MOST_FRAMES = 8  # frames looked at, evenly spaced: curves of long clips stay quick


def metric_curves(trace: Trace, site: str | None = None, step: int = 0) -> Chart:
    """Match accuracy, agreement of flow and cosine, and the warping error of the estimate over the steps, at one site.

    Means over at most `MOST_FRAMES` frames that are not key frames.  A match is right, and two agree, where they are at most a
    neighbouring token apart.  The warping error is `warping_error` of the decoded estimates.
    """
    panels = (accuracy_panel(trace, site), agreement_panel(trace, site), warping_panel(trace))
    where = site or (spot(trace).site.name if trace.sites and trace.steps else "no site")
    says = f"match accuracy and agreement at {where}, warping error of the estimate, over the steps"
    return Chart(panels, trace.total_steps, says, cursor=step)


def accuracy_panel(trace: Trace, site: str | None) -> Panel:
    """How often each matcher finds the true place."""
    title = "Match accuracy"
    try:
        at = spot(trace, site=site).site
        matchers = any_matcher(trace)
        truth = {frame: trace.true_target(at.name, frame) for frame in other_frames(trace)}
        return Panel(title, "share of tokens", {matcher_mark(name): over_steps(trace, at, name, truth) for name in matchers}, top=1)
    except Missing as missing:
        return Panel(title, "share of tokens", missing=str(missing), top=1)


def agreement_panel(trace: Trace, site: str | None) -> Panel:
    """How often each cosine says what flow says."""
    title = "Agreement with flow"
    try:
        at = spot(trace, site=site).site
        others = [name for name in any_matcher(trace) if name != "flow"]
        flow = {frame: trace.target(trace.match_steps[0], at.name, frame, "flow") for frame in other_frames(trace)}
        return Panel(title, "share of tokens", {matcher_mark(name): over_steps(trace, at, name, flow) for name in others}, top=1)
    except Missing as missing:
        return Panel(title, "share of tokens", missing=str(missing), top=1)


def any_matcher(trace: Trace) -> tuple[str, ...]:
    """The recorded matchers; raises Missing for none."""
    if not trace.matchers or not trace.match_steps:
        raise Missing(f"{trace.file} has no matches; record them: RecordAt(matchers=('flow', 'cosine'))")
    return trace.matchers


def other_frames(trace: Trace) -> list[int]:
    """Some frames that are not key frames; raises Missing for none."""
    frames = [frame for frame in range(trace.frames) if frame != trace.key[frame]]
    if not frames:
        raise Missing(f"{trace.file} has key frames only: nothing to compare them with; record a clip of two frames or more")
    return [frames[index] for index in spaced(len(frames), MOST_FRAMES)]


def over_steps(trace: Trace, site: TraceSite, matcher: str, reference: dict[int, NDArray]) -> NDArray:
    """The share of a matcher's targets that are those of the reference, by frame, or neighbours: (S,), NaN where not recorded."""
    shares = np.full(trace.total_steps, np.nan)
    for step in trace.match_steps:
        found = [share_within(trace.target(step, site.name, frame, matcher), targets, site.grid) for frame, targets in reference.items()]
        known = [share for share in found if not np.isnan(share)]
        shares[step] = np.mean(known) if known else np.nan
    return shares


def warping_panel(trace: Trace) -> Panel:
    """How far the decoded estimates miss their warped key frames."""
    title, unit = "Warping error of the estimate, to the key frame", "E_warp × 1e3"
    try:
        frames = other_frames(trace)
        errors = np.full(trace.total_steps, np.nan)
        for step in range(trace.steps):
            found = [to_key(trace, step, frame) for frame in frames]
            errors[step] = np.nanmean(found) if not np.isnan(found).all() else np.nan
        return Panel(title, unit, {series_mark(0, "decoded x0"): errors})
    except Missing as missing:
        return Panel(title, unit, missing=str(missing))


def to_key(trace: Trace, step: int, frame: int) -> float:
    """The warping error of one decoded estimate; raises Missing."""
    here, key = (trace.preview(step, at) for at in (frame, int(trace.key[frame])))
    return warping_error(here, key, trace.flow(frame), ~trace.occluded(frame))


def warping_error(frame: RGB, key: RGB, flow: NDArray, visible: NDArray) -> float:
    """Mean squared difference × 1e3, values in 0 to 1, of a frame (h, w, 3) and its key frame warped onto it, where visible.

    `flow` frame→key (2, H, W) in pixels of its own size and `visible` (H, W) are brought to the frame's size.  NaN where nothing is
    visible.  The measure of `zvr_core.metrics.temporal.warping_error`, to the key frame instead of the next.
    """
    height, width = frame.shape[:2]
    rows = ((np.arange(height) + 0.5) * flow.shape[1] / height).astype(int)
    columns = ((np.arange(width) + 0.5) * flow.shape[2] / width).astype(int)
    x, y = flow[:, rows][:, :, columns] * np.array([width / flow.shape[2], height / flow.shape[1]])[:, None, None]
    x, y = x + np.arange(width), y + np.arange(height)[:, None]
    seen = visible[rows][:, columns] & np.isfinite(x + y) & (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    if not seen.any():
        return float("nan")
    place = x.astype(np.float32), y.astype(np.float32)
    warped = cv2.remap(key.astype(np.float32) / 255, *place, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return float(1e3 * np.square(frame / 255 - warped)[seen].mean())
