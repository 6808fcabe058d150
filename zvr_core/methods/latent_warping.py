"""Hierarchical latent warping: predicted x0 follows the optical flow from key frame to key frame, and from key frame to frame.

Source: DiffIR2VR-Zero (Yeh et al. 2024), section 3.2, Eq. 4; where paper and published code differ, the code's reading (a
frame keeps its own content where it is occluded; the gather uses the flow from the current frame to the source).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zvr_core.flow import warp
from zvr_core.methods.base import Context, PlugIn
from zvr_core.schedule import Period


@dataclass(frozen=True)
class LatentWarping(PlugIn):
    """Replaces the visible part of each frame's x0 by its key frame's, in the first 10 % of the steps (at least one).

    `across` also warps each key frame from the key frame of the window before, after that one's own warp.
    """

    period: Period = Period(0.0, 0.1)
    across: bool = True

    def x0(self, x0: Tensor, context: Context) -> Tensor:
        if not self.period.contains(context.step, context.steps):
            return x0
        window, k = context.window, context.window.key_index
        x0, shares = x0.clone(), []
        if self.across and window.continues:
            source = context.memory.slots["latent warping", "key x0"].to(x0)
            shares.append(self._paste(x0[k : k + 1], source, context, [window.key], window.previous_key))
        for f in window.frames:
            if f != window.key:
                i = f - window.start
                shares.append(self._paste(x0[i : i + 1], x0[k : k + 1], context, [f], window.key))
        context.memory.slots["latent warping", "key x0"] = x0[k : k + 1].clone()
        context.notes.say(warped=sum(shares) / len(window))
        return x0

    def _paste(self, target: Tensor, source: Tensor, context: Context, frames: list[int], source_frame: int) -> Tensor:
        """In place, on the part of the padded latent that shows the picture: where visible, the warped source (nearest).

        Returns the share of cells replaced.
        """
        h, w = context.grid
        moved = context.flow.to_key(frames, source_frame, context.grid, context.cell)
        warped = warp(source[..., :h, :w], moved.flow.to(source), mode="nearest")  # (1, C, h, w)
        visible = ~moved.occluded.to(source.device)[:, None]  # (1, 1, h, w)
        target[..., :h, :w] = torch.where(visible, warped, target[..., :h, :w])
        return visible.float().mean()
