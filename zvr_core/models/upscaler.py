"""The adapter for upscalers that see the degraded input beside the noisy latent.

Two model families share it: `stabilityai/stable-diffusion-x4-upscaler` (473 M parameters, an AutoencoderKL, a text prompt,
classifier-free guidance, noise on the input) and the embedded model (6.1 M parameters, a fixed transform as codec).  Both
concatenate the input's RGB to x_t, so latents have one cell per input pixel.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDIMScheduler, DDPMScheduler, UNet2DConditionModel

from zvr_core.attention import Site, find_sites
from zvr_core.models.base import Draw, Prediction


class Codec(Protocol):
    """Latents to frames."""

    @property
    def factor(self) -> int:
        """Output pixels per latent cell."""

    @property
    def channels(self) -> int:
        """Of a latent."""

    def decode(self, latents: torch.Tensor, lq: torch.Tensor) -> torch.Tensor:
        """Frames (F, 3, factor·h, factor·w) from latents (F, C, h, w) and the input (F, 3, h, w) in [0, 1]."""


@dataclass(frozen=True)
class LearnedCodec:
    """An AutoencoderKL, frame by frame, in its own dtype."""

    vae: AutoencoderKL

    @property
    def factor(self) -> int:
        return 2 ** (len(self.vae.config.block_out_channels) - 1)

    @property
    def channels(self) -> int:
        return self.vae.config.latent_channels

    def decode(self, latents: torch.Tensor, lq: torch.Tensor) -> torch.Tensor:
        scaled = latents.to(self.vae.dtype) / self.vae.config.scaling_factor
        frames = [self.vae.decode(z).sample.float() for z in scaled.split(1)]
        return torch.cat(frames) / 2 + 0.5


class Augmentation(Protocol):
    """What is done to the input before the network sees it."""

    @property
    def labels(self) -> tuple[int, ...]:
        """The class label that tells the network about it, if it takes one."""

    def apply(self, lq: torch.Tensor, draw: Draw) -> torch.Tensor:
        """The input (F, 3, h, w) in [-1, 1] as the network gets it."""


@dataclass(frozen=True)
class Untouched:
    """The network sees the input as it is."""

    labels: tuple[int, ...] = ()

    def apply(self, lq: torch.Tensor, draw: Draw) -> torch.Tensor:
        return lq


@dataclass(frozen=True)
class NoisyInput:
    """The network sees the input with noise of a known level: a second source of flicker, and one that can be shared, too."""

    scheduler: DDPMScheduler
    level: int = 20

    @property
    def labels(self) -> tuple[int, ...]:
        return (self.level,)

    def apply(self, lq: torch.Tensor, draw: Draw) -> torch.Tensor:
        return self.scheduler.add_noise(lq, draw("condition", lq.shape[1:]).to(lq), torch.tensor([self.level]))


@dataclass
class Upscaler:
    """A UNet2DConditionModel that takes [x_t, input RGB] and text; see `zvr_core.models.base.Model` for the calls.

    `text` is (1, L, D) without and (2, L, D) with classifier-free guidance: the unconditional row first, as in diffusers.
    """

    name: str
    network: UNet2DConditionModel
    codec: Codec
    scheduler: DDIMScheduler
    text: torch.Tensor
    guidance: float = 1.0
    augmentation: Augmentation = field(default_factory=Untouched)
    _found: dict[tuple[int, int], tuple[Site, ...]] = field(default_factory=dict, init=False, repr=False)

    @property
    def device(self) -> torch.device:
        return self.network.device

    @property
    def scale(self) -> int:
        return self.codec.factor

    @property
    def cell(self) -> int:
        return self.codec.factor

    @cached_property
    def _multiple(self) -> int:
        return 2 ** (len(self.network.config.block_out_channels) - 1)

    @cached_property
    def _skeleton(self) -> UNet2DConditionModel:
        """The network without memory or arithmetic, to learn where attention happens at a given size."""
        with torch.device("meta"):
            return UNet2DConditionModel.from_config(copy.deepcopy(dict(self.network.config)))

    def valid_grid(self, size: tuple[int, int]) -> tuple[int, int]:
        return size

    def latent_shape(self, size: tuple[int, int]) -> tuple[int, int, int]:
        h, w = (math.ceil(side / self._multiple) * self._multiple for side in size)
        return (self.codec.channels, h, w)

    def sites(self, size: tuple[int, int]) -> tuple[Site, ...]:
        if size not in self._found:  # a probe takes longer to say where the sites are than a small run to use them
            self._found[size] = self._find_sites(size)
        return self._found[size]

    def _find_sites(self, size: tuple[int, int]) -> tuple[Site, ...]:
        channels, h, w = self.latent_shape(size)
        x = torch.zeros(1, channels + 3, h, w, device="meta")
        labels = torch.zeros(len(self.augmentation.labels), dtype=torch.long, device="meta") if self.augmentation.labels else None
        text = torch.zeros(1, *self.text.shape[1:], device="meta")
        return find_sites(
            self._skeleton, lambda: self._skeleton(x, torch.zeros((), device="meta"), text, labels), (h, w), size, self.codec.factor
        )

    def encode(self, lq: torch.Tensor, draw: Draw) -> torch.Tensor:
        _, h, w = self.latent_shape((lq.shape[-2], lq.shape[-1]))
        padded = F.pad(lq, (0, w - lq.shape[-1], 0, h - lq.shape[-2]), mode="replicate")  # (F, 3, h, w)
        return self.augmentation.apply(padded * 2 - 1, draw)

    def predict(self, x_t: torch.Tensor, t: int, alpha_bar: float, condition: torch.Tensor) -> Prediction:
        rows = self.text.shape[0]
        x = torch.cat([x_t, condition], 1).repeat(rows, 1, 1, 1).to(self.network.dtype)  # (rows·F, C + 3, h, w)
        x = x.contiguous(memory_format=torch.channels_last)
        text = self.text.to(x).repeat_interleave(len(x_t), 0)  # (rows·F, L, D)
        labels = torch.tensor(self.augmentation.labels, device=x.device).expand(len(x)) if self.augmentation.labels else None
        out = self.network(x, t, text, class_labels=labels).sample.float()
        return Prediction(x_t, self._guide(out.chunk(rows)), alpha_bar, self.scheduler.config.prediction_type)

    def _guide(self, rows: Sequence[torch.Tensor]) -> torch.Tensor:
        """Classifier-free guidance (Ho & Salimans 2022, Eq. 6) over [unconditional, conditional], or the one row there is."""
        return rows[0] + self.guidance * (rows[1] - rows[0]) if len(rows) == 2 else rows[0]

    def decode(self, latents: torch.Tensor, condition: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        frames = self.codec.decode(latents, condition / 2 + 0.5)
        return frames[..., : size[0] * self.scale, : size[1] * self.scale]
