"""What enters a pass from outside: noise, and what the model sees of the degraded clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from zvr_core.clip import Clip
from zvr_core.history import Layer, Shelf
from zvr_core.methods.base import PlugIn
from zvr_core.models.base import Model
from zvr_core.noise import NoiseSource
from zvr_core.windows import Window


@dataclass(frozen=True)
class Draws:
    """The noise of one run: two that are equal draw the same."""

    plugin: PlugIn
    source: NoiseSource
    windows: tuple[Window, ...]
    device: torch.device

    def __call__(self, purpose: str, step: int, window: Window, shape: Sequence[int]) -> torch.Tensor:
        """One draw a frame, (F, *shape)."""
        return self.plugin.noise(self.source, purpose, step, window, shape).to(self.device)


class Conditions:
    """The model's view of the input, frame by frame: encoded when first asked for, then kept on a shelf and never changed."""

    def __init__(self, clip: Clip, model: Model, draws: Draws, shelf: Shelf) -> None:
        self.clip, self.model, self.draws = clip, model, draws
        self.kept, self.drew = Layer(shelf), False

    def __call__(self, window: Window) -> torch.Tensor:
        """The condition (F, …) of a window, on the model's device."""
        if not all(frame in self.kept for frame in window.frames):
            self._encode(window)
        return torch.stack([self.kept[frame] for frame in window.frames]).to(self.model.device)

    def serve(self, draws: Draws) -> bool:
        """Whether a run with other draws would encode the same: the draws are equal, or encoding never asked for one."""
        return draws == self.draws or (len(self.kept) > 0 and not self.drew)

    @torch.no_grad()
    def _encode(self, window: Window) -> None:
        def draw(purpose: str, shape: Sequence[int]) -> torch.Tensor:
            self.drew = True
            return self.draws(purpose, 0, window, shape)

        lq = self.clip[window.start : window.stop].to(self.model.device)
        for frame, value in zip(window.frames, self.model.encode(lq, draw), strict=True):
            if frame not in self.kept:
                self.kept[frame] = value
