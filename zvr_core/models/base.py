"""One calling convention for all base models: encode the input, predict x0, decode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from diffusers import DDIMScheduler

from zvr_core.attention import Site
from zvr_core.errors import ZvrError

Draw = Callable[[str, Sequence[int]], torch.Tensor]  # (purpose, shape) -> one draw a frame, (F, *shape)


@dataclass(frozen=True)
class Prediction:
    """What the network said about x_t (F, C, h, w), all in float32; `kind` is diffusers' `prediction_type`."""

    x_t: torch.Tensor
    out: torch.Tensor
    alpha_bar: float
    kind: str

    @property
    def x0(self) -> torch.Tensor:
        """The predicted clean latent (F, C, h, w) (Ho et al. 2020, Eq. 15; Salimans & Ho 2022, appendix D for v)."""
        a, s = self.alpha_bar**0.5, (1 - self.alpha_bar) ** 0.5
        match self.kind:
            case "sample":
                return self.out
            case "epsilon":
                return (self.x_t - s * self.out) / a
            case "v_prediction":
                return a * self.x_t - s * self.out
        raise ZvrError(f"prediction type {self.kind!r} given; sample, epsilon or v_prediction expected; check scheduler_config.json")

    def with_x0(self, x0: torch.Tensor) -> Prediction:
        """The prediction whose clean latent is `x0`: the output is rewritten, so every sampler sees the edit."""
        a, s = self.alpha_bar**0.5, (1 - self.alpha_bar) ** 0.5
        out = {
            "sample": lambda: x0,
            "epsilon": lambda: (self.x_t - a * x0) / s,
            "v_prediction": lambda: (a * self.x_t - x0) / s,
        }[self.kind]()
        return replace(self, out=out)


class Model(Protocol):
    """A base model that restores single images.  Sizes are (H, W) of the degraded input."""

    name: str
    network: torch.nn.Module
    scheduler: DDIMScheduler

    @property
    def device(self) -> torch.device:
        """Where the network is."""

    @property
    def scale(self) -> int:
        """Output pixels per input pixel."""

    @property
    def cell(self) -> int:
        """Output pixels per latent cell."""

    def latent_shape(self, size: tuple[int, int]) -> tuple[int, int, int]:
        """(C, h, w) of one frame's latent, padding included."""

    def valid_grid(self, size: tuple[int, int]) -> tuple[int, int]:
        """(h, w) of the latent cells that show the picture."""

    def sites(self, size: tuple[int, int]) -> tuple[Site, ...]:
        """The self-attention sites of the network at this size."""

    def encode(self, lq: torch.Tensor, draw: Draw) -> torch.Tensor:
        """The condition of frames (F, 3, H, W) in [0, 1], one tensor a frame."""

    def predict(self, x_t: torch.Tensor, t: int, alpha_bar: float, condition: torch.Tensor) -> Prediction:
        """The network's prediction for x_t (F, C, h, w) at time t."""

    def decode(self, latents: torch.Tensor, condition: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Frames (F, 3, scale·H, scale·W), not clamped, padding cropped."""
