"""Temporal profiles: one row (or column) of pixels over time.  A steady clip draws clean streaks, a flickering one combs.

Source of the picture: Caballero et al. (2017).  DiffIR2VR-Zero (Yeh et al. 2024) compares methods by it in Figure 16.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zvr_core.errors import ZvrError
from zvr_viz.palette import RGB

LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601, as zvr_core.colour.luma
FLICKER = "flicker: mean |Y(t-1) - 2 Y(t) + Y(t+1)| of luma, in 8-bit levels; motion counts, too: compare with the truth's"


@dataclass(frozen=True)
class Cut:
    """Where a profile is taken: at pixel `index` of the rows, or of the columns."""

    index: int
    axis: str = "row"  # or "column"

    def __post_init__(self) -> None:
        if self.axis not in ("row", "column"):
            raise ZvrError(f"a cut along {self.axis!r} given; 'row' or 'column' is expected")

    def of(self, frames: NDArray) -> NDArray:
        """The pixels (F, L, 3) of frames (F, H, W, 3); raises ZvrError outside them."""
        if frames.ndim != 4 or frames.shape[-1] != 3:
            raise ZvrError(f"frames of shape {frames.shape} given; (F, H, W, 3) is expected")
        side = frames.shape[1 if self.axis == "row" else 2]
        if not 0 <= self.index < side:
            raise ZvrError(f"{self.axis} {self.index} given, the frames have {self.axis}s 0 to {side - 1}")
        return frames[:, self.index] if self.axis == "row" else frames[:, :, self.index]

    @property
    def words(self) -> str:
        return f"{self.axis} {self.index}"


def profile(frames: RGB, cut: Cut, thickness: int = 1) -> RGB:
    """The profile of frames (F, H, W, 3): time downwards, each frame `thickness` pixels high, (F · thickness, L, 3)."""
    return np.repeat(cut.of(frames), thickness, axis=0)


def flicker(frames: RGB) -> float:
    """Mean |Y(t-1) - 2 Y(t) + Y(t+1)| of luma at fixed pixels of (F, …, 3) uint8, in 8-bit levels: the jitter along the time axis.

    The number of `zvr_core.metrics.profile_flicker`, without torch: 0 for a still or evenly brightening clip; motion counts, too, so
    read it beside the truth's.  NaN for fewer than three frames, where it is undefined.
    """
    if len(frames) < 3:
        return float("nan")
    luma = frames.astype(np.float32) @ LUMA.astype(np.float32)
    return float(np.mean([np.abs(a - 2 * b + c).mean() for a, b, c in zip(luma, luma[1:], luma[2:], strict=False)]))
