"""How sharp a clip is, and the blur-matched control: what a temporal number is worth at equal sharpness.

Blur lowers every temporal measure, so a lower warping error alone proves nothing. The control is no temporal method at all: samples made
frame by frame, mixed with their one-step posterior mean until they are as sharp as the method under test.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from zvr_core.colour import luma
from zvr_core.degradations import blur
from zvr_core.errors import ZvrError
from zvr_core.frames import Frames, each, paired, size_of

SIGMA = 1.5  # pixels; what is finer counts as detail
BORDER = 8  # pixels not counted on each side: the replicated border is no detail
CONSTANT = 1e-10  # energy below which a clip has no detail; rounding to 8 bits alone gives 1e-6


def high_pass(frames: torch.Tensor) -> torch.Tensor:
    """Luma minus its Gaussian blur with σ = 1.5 px, border of 8 px cropped, (F, 3, H, W) to (F, 1, H - 16, W - 16).

    Raises ZvrError for frames of 16 or fewer pixels a side.
    """
    if min(frames.shape[-2:]) <= 2 * BORDER:
        raise ZvrError(f"sharpness is undefined for frames of {size_of(frames)} pixels: {BORDER} are cropped on each side, 17 are needed")
    grey = luma(frames)
    return (grey - blur(grey, SIGMA))[..., BORDER:-BORDER, BORDER:-BORDER]


def sharpness(frames: Frames) -> torch.Tensor:
    """Mean square of the high-pass of every frame, (F,); in units of [0, 1]². Raises ZvrError for frames too small."""
    return torch.stack([high_pass(frame).square().mean() for frame in each(frames)])  # (F,)


def relative_sharpness(result: Frames, reference: Frames) -> float:
    """Sharpness of `result` over that of `reference`, both as mean over the clip; 1 is as sharp.

    Uncorrelated grain is sharp, too: read it beside `high_pass_correlation`. Raises ZvrError when the reference is constant.
    """
    of_reference = float(sharpness(reference).mean())
    if of_reference < CONSTANT:
        raise ZvrError("relative sharpness is undefined: the reference has no detail (constant frames)")
    return float(sharpness(result).mean()) / of_reference


def high_pass_correlation(result: Frames, truth: Frames) -> float:
    """Correlation, -1 to 1, of the high-passes over all pixels and frames: how much of the detail is the truth's; 0 without detail."""
    a, b, both = inner_products(result, truth)
    return both / math.sqrt(a * b) if min(a, b) >= CONSTANT else 0.0


def inner_products(first: Frames, second: Frames) -> tuple[float, float, float]:
    """Mean over pixels and frames of h1², h2² and h1 h2 for the high-passes of two clips of equal size."""
    sums = torch.zeros(3, dtype=torch.float64)
    for a, b in paired(first, second):
        h1, h2 = high_pass(a).double(), high_pass(b).double()
        sums += torch.stack([(h1 * h1).mean(), (h2 * h2).mean(), (h1 * h2).mean()]).cpu()
    of_first, of_second, of_both = (sums / len(first)).tolist()
    return of_first, of_second, of_both


@dataclass(frozen=True, eq=False)
class Mixture:
    """weight · sample + (1 - weight) · mean, computed for the frames that are asked for."""

    sample: Frames
    mean: Frames
    weight: float

    def __len__(self) -> int:
        return len(self.sample)

    def __getitem__(self, part: slice) -> torch.Tensor:
        return torch.lerp(self.mean[part], self.sample[part], self.weight)


@dataclass(frozen=True, eq=False)
class Control:
    """The blur-matched control: `frames` with their `weight`, and a `mark`.

    The mark is "> 1" where the method under test is sharper than the samples themselves, "< 0" where no mixture is so blurred, else "".
    """

    weight: float
    frames: Mixture
    mark: str


def match_sharpness(sample: Frames, mean: Frames, target: float) -> Control:
    """Samples made frame by frame, mixed with their one-step posterior mean to the sharpness `target`.

    `target` is `sharpness(method).mean()`. The high-pass is linear, so the sharpness of a mixture is a quadratic in the weight w,
    |m|² + 2 w <m, s - m> + w² |s - m|² for the high-passes s and m: no search is needed. Raises ZvrError for different lengths or
    sizes. Source: the project's own control.
    """
    of_sample, of_mean, both = inner_products(sample, mean)
    a, b = max(of_sample - 2 * both + of_mean, 1e-12), both - of_mean
    weight = 1.0 if target >= of_sample else largest_root(a, b, of_mean - target)
    reached = a * weight**2 + 2 * b * weight + of_mean
    mark = "" if math.isclose(reached, target, rel_tol=1e-4) else "> 1" if target > reached else "< 0"
    return Control(weight, Mixture(sample, mean, weight), mark)


def largest_root(a: float, b: float, c: float) -> float:
    """The largest w in [0, 1] with a w² + 2 b w + c = 0, else the w with the least value; for a > 0 and a positive value at w = 1."""
    root = math.sqrt(max(0.0, b * b - a * c)) if c <= 0 or -b < a else 0.0
    return min(1.0, max(0.0, (-b + root) / a))
