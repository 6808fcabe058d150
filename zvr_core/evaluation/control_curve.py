"""The blur-matched control of a whole sweep: measured once for a clip and seed, it stands beside every method.

Samples made frame by frame are mixed with their one-step posterior mean at nine weights, and each mixture is measured.  The sharpness of
a mixture is a quadratic in the weight, so the weight that is as sharp as a method is found exactly, as in `sharpness.match_sharpness`;
the temporal measures there are read off a cubic spline (E_warp is a quadratic, too, up to rounding to 8 bits).  So a method's cell needs
no frames of another cell.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from scipy.interpolate import CubicSpline

from zvr_core.metrics.sharpness import Mixture, largest_root

WEIGHTS = tuple(i / 8 for i in range(9))  # of the per-frame sample; 1 - weight of its posterior mean
Curve = Mapping[str, Sequence[float]]  # "weight", "sharpness" and temporal measures, at each weight


def trace_curve(sample: torch.Tensor, mean: torch.Tensor, measure: Callable[[torch.Tensor], Mapping[str, float]]) -> Curve:
    """What `measure` says of the mixtures of two clips (F, 3, H, W), from all mean to all sample."""
    points = [measure(Mixture(sample, mean, weight)[:]) for weight in WEIGHTS]
    return {"weight": WEIGHTS, **{key: [point[key] for point in points] for key in points[0]}}


def control_at(curve: Curve, sharpness: float) -> tuple[dict[str, float], str]:
    """The temporal measures of the mixture that is as sharp, and a mark.

    "> 1": sharper than the samples themselves, which then are the control.  "< 0": no mixture is as blurred, so there is no control.
    """
    at_0, at_half, at_1 = (curve["sharpness"][list(curve["weight"]).index(weight)] for weight in (0.0, 0.5, 1.0))
    a = 2 * (at_0 + at_1) - 4 * at_half
    b = (at_1 - at_0 - a) / 2  # sharpness(w) = a w² + 2 b w + at_0
    weight = 1.0 if sharpness >= at_1 else largest_root(max(a, 1e-12), b, at_0 - sharpness)
    reached = a * weight**2 + 2 * b * weight + at_0
    if not math.isclose(reached, sharpness, rel_tol=1e-4):
        if sharpness < reached:
            return {}, "< 0"
        return {key: values[-1] for key, values in temporal(curve).items()}, "> 1"
    return {key: float(CubicSpline(curve["weight"], np.asarray(values))(weight)) for key, values in temporal(curve).items()}, ""


def temporal(curve: Curve) -> Curve:
    """The curve without weight and sharpness."""
    return {key: values for key, values in curve.items() if key not in ("weight", "sharpness")}
