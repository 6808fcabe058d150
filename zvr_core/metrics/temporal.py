"""Temporal measures: how steady a clip is. Blur lowers all of them: compare at equal sharpness (sharpness.py).

Published numbers of these names cannot be compared across papers: flow, mask, range, divisor and scale differ or are not stated. Here
all are stated, and results carry the name of the flow they were measured with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import torch
import torch.nn.functional as F

from zvr_core.colour import luma
from zvr_core.errors import ZvrError
from zvr_core.flow import DIS, FlowEstimator, occluded_squared, warp
from zvr_core.frames import Frames, check_length, each, paired, runs, size_of
from zvr_core.metrics.embeddings import HISTOGRAMS, Embedding

if TYPE_CHECKING:  # scenes load photographs
    from zvr_core.scenes.truth import Truth

DEFAULT_FLOW = DIS()
Distance = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # one number a frame, as an Lpips gives


@dataclass(frozen=True, eq=False)
class Motion:
    """From one frame to the next: `flow` t→t+1 in pixels, (2, H, W), and `visible`, (H, W) bool: the pixel is in both frames."""

    flow: torch.Tensor
    visible: torch.Tensor
    flow_name: str = "given flow"


def motions(source: Frames, estimator: FlowEstimator = DEFAULT_FLOW) -> Iterator[Motion]:
    """The motion between consecutive frames of `source`, one at a time: the ground truth, or else the input, `correspondence.Upsampled`.

    Both flows come from `estimator` (DIS medium by default) at the size of `source`. Visible is what passes the squared
    forward-backward test with 0.01 and 0.5 px² (Sundaram et al. 2010, section 4). Keep the motions of a clip in a list to measure
    several results by the same. Raises ZvrError for fewer than two frames.
    """
    for a, b in runs(source, 2, "motion"):
        there, back = estimator(a, b), estimator(b, a)
        yield Motion(there, ~occluded_squared(back, there), estimator.name)


def true_motions(truth: Truth) -> Iterator[Motion]:
    """The exact motion between consecutive frames of a scene or a recorded clip: nothing is estimated, nothing is tested."""
    for t in range(len(truth) - 1):
        yield Motion(truth.flow(t, t + 1), ~truth.occluded(t, t + 1), f"true motion of {truth.name}")


@dataclass(frozen=True)
class WarpingError:
    """E_warp × 1e3 as `value`, the share of pixels that were visible and so counted as `coverage`, and whose `flow` it was.

    `floor` is the same number of the truth: frames differ by more than motion. NaN where no truth was given.
    """

    value: float
    coverage: float
    floor: float
    flow: str


def warping_error(frames: Frames, motion: Iterable[Motion], truth: Frames | None = None) -> WarpingError:
    """E_warp × 1e3: mean squared difference, per channel, of each frame and the next one warped onto it, where visible in both.

    Values in [0, 1], rounded to 8 bits. Per pair sum(M (V_t - warp(V_{t+1}))²) / (3 sum(M)), then the mean over the pairs; pairs of which
    nothing is visible (cuts) are left out. Definition of Lai et al. (2018), section 4, in the convention of their code (per channel, one
    third of the formula in the paper), with our flow (`motions`, or `true_motions`), without their motion boundaries, × 1e3. Raises
    ZvrError for fewer than two frames, for a truth or a motion of another length or size, and when nothing is visible in any pair.
    """
    check_length(frames, 2, "the warping error")
    errors, floors, shares, names = [], [], [], set()
    steps = iter(motion)
    beside = ((frame, frame) for frame in each(frames)) if truth is None else paired(frames, truth)
    for (now, exact_now), (following, exact_following) in pairwise(beside):
        step = checked(next(steps, None), now, len(frames))
        shares.append(float(step.visible.float().mean()))
        names.add(step.flow_name)
        if shares[-1] > 0:
            errors.append(pair_error(now, following, step))
            floors.append(pair_error(exact_now, exact_following, step) if truth is not None else math.nan)
    if next(steps, None) is not None:
        raise ZvrError(f"{len(frames)} frames given, but motions of a longer clip; measure the motion on the same frames")
    if not errors:
        raise ZvrError("the warping error is undefined: no pixel is visible in two consecutive frames by this flow")
    return WarpingError(1e3 * mean(errors), mean(shares), 1e3 * mean(floors), ", ".join(sorted(names)))


def pair_error(frame: torch.Tensor, following: torch.Tensor, step: Motion) -> float:
    """Mean squared difference, per channel, of a frame and the next one warped onto it, (1, 3, H, W) each, where visible."""
    warped = warp(rounded(following), step.flow.to(frame.device)[None], padding="border")  # (1, 3, H, W)
    return float((rounded(frame) - warped)[..., step.visible.to(frame.device)].square().mean())


def checked(step: Motion | None, frame: torch.Tensor, count: int) -> Motion:
    """The motion, if there is one and it has the frame's size; else ZvrError."""
    if step is None or step.visible.shape != frame.shape[-2:]:
        found = "no more" if step is None else size_of(step.visible) + " pixels"
        raise ZvrError(f"{count} frames of {size_of(frame)} pixels need {count - 1} motions of that size, {found} given")
    return step


class Interpolator(Protocol):
    """Makes the frame in the middle of two."""

    @property
    def name(self) -> str: ...

    def __call__(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """The frame half way from `a` to `b`, (3, H, W) each."""
        ...


@dataclass(frozen=True)
class FlowMidpoint:
    """Both frames warped half way along the flow and averaged, no occlusion handling.

    The flows from the middle are approximated as in Super SloMo (Jiang et al. 2018, equation 4) at t = 1/2, without its networks.
    """

    estimator: FlowEstimator = DEFAULT_FLOW

    @property
    def name(self) -> str:
        return f"{self.estimator.name} midpoint"

    def __call__(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        to_b = (self.estimator(a, b) - self.estimator(b, a))[None] / 4  # (1, 2, H, W)
        return ((warp(a[None], -to_b, padding="border") + warp(b[None], to_b, padding="border")) / 2)[0]


MIDPOINT = FlowMidpoint()


def interpolated(frames: Frames, interpolate: Interpolator = MIDPOINT) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Each inner frame and its interpolation from both neighbours, (1, 3, H, W) each; ZvrError for fewer than three frames."""
    for before, actual, after in runs(frames, 3, "the interpolation error"):
        yield actual[None], interpolate(before, after)[None]


def interpolation_error(frames: Frames, interpolate: Interpolator = MIDPOINT) -> float:
    """E_inter: RMS difference, on 0 to 255, of each inner frame and its interpolation from both neighbours; mean over the frames.

    Needs no truth. Form of VidToMe (Li et al. 2024); the papers do not name their interpolator, ours is `FlowMidpoint` with DIS medium by
    default. Raises ZvrError for fewer than three frames.
    """
    return mean(255 * float((actual - middle).square().mean().sqrt()) for actual, middle in interpolated(frames, interpolate))


def interpolation_lpips(frames: Frames, lpips: Distance, interpolate: Interpolator = MIDPOINT) -> float:
    """LPIPS_inter: LPIPS (AlexNet) of each inner frame and its interpolation, mean over the frames; see `interpolation_error`."""
    return mean(float(lpips(middle, actual)) for actual, middle in interpolated(frames, interpolate))


def profile_flicker(frames: Frames) -> float:
    """Mean |Y_{t-1} - 2 Y_t + Y_{t+1}| of luma at fixed pixels, in 8-bit levels: the jitter along the time axis of a temporal profile.

    A still or evenly brightening clip has 0; motion counts, too, so read it beside the truth's. Raises ZvrError for fewer than three
    frames. Source: our definition, for the temporal profiles of Caballero et al. (2017).
    """
    grey = (luma(run) for run in runs(frames, 3, "profile flicker"))
    return 255 * mean(float((before - 2 * now + after).abs().mean()) for before, now, after in grey)


def residual_flicker(result: Frames, truth: Frames) -> float:
    """Mean |r_t - r_{t+1}| with r = luma of result minus truth, in 8-bit levels: change over time that the truth does not have.

    0 for the truth and for any error that stays. Raises ZvrError for fewer than two frames or different lengths or sizes. Source: ours.
    """
    check_length(result, 2, "residual flicker")
    residuals = (luma(ours) - luma(exact) for ours, exact in paired(result, truth))
    return 255 * mean(float((after - before).abs().mean()) for before, after in pairwise(residuals))


def frame_similarity(frames: Frames, embed: Embedding = HISTOGRAMS) -> float:
    """FS: mean cosine similarity of the embeddings of consecutive frames.

    Papers use CLIP (`embeddings.load_clip`, from a local folder); without it the numbers are those of our own embedding, and not comparable
    with theirs: write `embed.name` beside them. Raises ZvrError for fewer than two frames.
    """
    check_length(frames, 2, "frame similarity")
    vectors = torch.cat([embed(frame) for frame in each(frames)])  # (F, D)
    return float(F.cosine_similarity(vectors[:-1], vectors[1:]).mean())


def flow_map_error(result: Frames, truth: Frames, estimator: FlowEstimator = DEFAULT_FLOW) -> float:
    """OFME in our reading: mean distance, in pixels, of the flows t→t+1 estimated on the result and on the truth.

    ZVRE (2024) gives the name only. Raises ZvrError for fewer than two frames or different lengths or sizes.
    """
    check_length(result, 2, "the flow map error")
    steps = pairwise(paired(result, truth))
    return mean(float((estimator(a[0], b[0]) - estimator(x[0], y[0])).norm(dim=0).mean()) for (a, x), (b, y) in steps)


def rounded(frames: torch.Tensor) -> torch.Tensor:
    """Values in [0, 1] as 8-bit files would hold them."""
    return (frames.clamp(0, 1) * 255).round() / 255


def mean(values: Iterable[float]) -> float:
    """The arithmetic mean."""
    collected = list(values)
    return sum(collected) / len(collected)
