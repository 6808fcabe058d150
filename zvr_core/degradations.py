"""Degradations as values: `degradation(frames, first_frame, seed) -> frames`.

Each is a pure function of (seed, absolute frame): frames (n, 3, H, W) in [0, 1] are processed one by one, so the result does not depend on
how a clip is cut into chunks. Results are clamped to [0, 1], as any video file would. The functions above the values are the plain
operators; they neither check nor clamp, take a batch, and a strength may be one number or one per frame.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Protocol

import torch
import torch.nn.functional as F
from kornia.enhance import jpeg_codec_differentiable
from kornia.filters import gaussian_blur2d

from zvr_core.colour import luma
from zvr_core.errors import ZvrError
from zvr_core.masks import Boxes, Holes
from zvr_core.models.codec import upsample
from zvr_core.noise import generator_for


def per_frame(value: float | torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
    """A strength as one value a frame, (n,)."""
    return torch.as_tensor(value, dtype=frames.dtype, device=frames.device).expand(frames.shape[0])


def blur(frames: torch.Tensor, sigma: float | torch.Tensor) -> torch.Tensor:
    """Gaussian blur of `sigma` pixels; 0 is the identity."""
    sigma = per_frame(sigma, frames).clamp(min=1e-3)
    size = 2 * math.ceil(3 * float(sigma.max())) + 1
    return gaussian_blur2d(frames, (size, size), sigma[:, None].expand(-1, 2), border_type="replicate")


def downscale(frames: torch.Tensor, factor: int) -> torch.Tensor:
    """Antialiased bicubic reduction by a whole factor, (n, 3, H, W) to (n, 3, H // factor, W // factor)."""
    size = (frames.shape[-2] // factor, frames.shape[-1] // factor)
    return F.interpolate(frames, size=size, mode="bicubic", antialias=True)


def noise(frames: torch.Tensor, sigma: float | torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """White Gaussian noise with standard deviation `sigma` (for pixel values in [0, 1])."""
    drawn = torch.randn(frames.shape, generator=generator, dtype=frames.dtype)
    return frames + per_frame(sigma, frames)[:, None, None, None] * drawn.to(frames.device)


def jpeg(frames: torch.Tensor, quality: float | torch.Tensor) -> torch.Tensor:
    """JPEG compression at `quality` 1 to 100 (kornia's differentiable codec)."""
    height, width = frames.shape[-2:]
    padded = F.pad(frames, (0, -width % 16, 0, -height % 16), mode="replicate")
    return jpeg_codec_differentiable(padded, per_frame(quality, frames))[..., :height, :width]


class Degradation(Protocol):
    """What every degradation can do; anything with this call is one."""

    def __call__(self, frames: torch.Tensor, first_frame: int, seed: int) -> torch.Tensor:
        """Degrade frames (n, 3, H, W) in [0, 1], whose absolute numbers start at `first_frame`."""
        ...


class FrameByFrame:
    """A degradation that is defined by what it does to one frame."""

    def __call__(self, frames: torch.Tensor, first_frame: int = 0, seed: int = 0) -> torch.Tensor:
        """Degrade frames (n, 3, H, W) in [0, 1], whose absolute numbers start at `first_frame`; the result is clamped to [0, 1]."""
        return torch.cat([self.degrade(frame[None], first_frame + i, seed).clamp(0, 1) for i, frame in enumerate(frames)])

    def degrade(self, frame: torch.Tensor, index: int, seed: int) -> torch.Tensor:
        """Degrade one frame, (1, 3, H, W)."""
        raise NotImplementedError


@dataclass(frozen=True)
class Blur(FrameByFrame):
    """Gaussian blur with a standard deviation of `sigma` pixels, 0 to 100; 0 is the identity."""

    sigma: float

    def __post_init__(self) -> None:
        check_range("blur sigma", self.sigma, 0, 100, "pixels")

    def degrade(self, frame: torch.Tensor, index: int, seed: int) -> torch.Tensor:
        return blur(frame, self.sigma) if self.sigma > 0 else frame


@dataclass(frozen=True)
class Downscale(FrameByFrame):
    """Antialiased bicubic reduction by a whole `factor`; a remainder of pixels is squeezed in, not cropped."""

    factor: int

    def __post_init__(self) -> None:
        check_factor(self.factor)

    def degrade(self, frame: torch.Tensor, index: int, seed: int) -> torch.Tensor:
        check_reducible(frame, self.factor)
        return downscale(frame, self.factor)


@dataclass(frozen=True)
class Upscale(FrameByFrame):
    """Bicubic enlargement by a whole `factor` up to 16: so that a clip reduced by 8 suits a model that enlarges by 4."""

    factor: int

    def __post_init__(self) -> None:
        check_factor(self.factor)
        check_range("upscale factor", self.factor, 1, 16)

    def degrade(self, frame: torch.Tensor, index: int, seed: int) -> torch.Tensor:
        return upsample(frame, self.factor)


@dataclass(frozen=True)
class Resize(FrameByFrame):
    """Resampling to a given size; `mode` is "area", or "bilinear" or "bicubic" with antialiasing."""

    height: int
    width: int
    mode: str = "bicubic"

    def degrade(self, frame: torch.Tensor, index: int, seed: int) -> torch.Tensor:
        return F.interpolate(frame, size=(self.height, self.width), mode=self.mode, antialias=self.mode != "area")


@dataclass(frozen=True)
class Noise(FrameByFrame):
    """White Gaussian noise with standard deviation `sigma` in units of [0, 1] (5 levels of 8 bits are 5 / 255), new in every frame."""

    sigma: float

    def __post_init__(self) -> None:
        check_range("noise sigma", self.sigma, 0, 10, "in units of [0, 1]: for 8-bit levels divide by 255")

    def degrade(self, frame: torch.Tensor, index: int, seed: int) -> torch.Tensor:
        return noise(frame, self.sigma, generator_for(seed, "noise", index))


@dataclass(frozen=True)
class Jpeg(FrameByFrame):
    """JPEG compression of every frame at `quality` 1 (worst) to 100."""

    quality: float

    def __post_init__(self) -> None:
        check_range("JPEG quality", self.quality, 1, 100)

    def degrade(self, frame: torch.Tensor, index: int, seed: int) -> torch.Tensor:
        return jpeg(frame, self.quality)


@dataclass(frozen=True)
class Mask(FrameByFrame):
    """Missing pixels, replaced by `fill`; the holes are drawn once per clip and stay where they are."""

    holes: Holes = field(default_factory=Boxes)
    fill: float = 0.0

    def __post_init__(self) -> None:
        check_range("mask fill", self.fill, 0, 1)

    def missing(self, height: int, width: int, seed: int) -> torch.Tensor:
        """The missing pixels, (H, W) bool; restoration methods for known holes need it, too."""
        return self.holes(height, width, generator_for(seed, "mask"))

    def degrade(self, frame: torch.Tensor, index: int, seed: int) -> torch.Tensor:
        height, width = frame.shape[-2:]
        return frame.masked_fill(self.missing(height, width, seed).to(frame.device), self.fill)


@dataclass(frozen=True)
class Grey(FrameByFrame):
    """Colour removed: all three channels are the luma."""

    def degrade(self, frame: torch.Tensor, index: int, seed: int) -> torch.Tensor:
        return luma(frame).expand_as(frame)


@dataclass(frozen=True)
class LowLight(FrameByFrame):
    """A dark exposure: gain · pixel ** gamma, then sensor noise; `gain` 0 to 1, `gamma` ≥ 1, `noise` as in Noise."""

    gain: float = 0.3
    gamma: float = 1.5
    noise: float = 5 / 255

    def __post_init__(self) -> None:
        check_range("low-light gain", self.gain, 0, 1)
        check_range("low-light gamma", self.gamma, 1, 10)
        check_range("low-light noise", self.noise, 0, 10, "in units of [0, 1]: for 8-bit levels divide by 255")

    def degrade(self, frame: torch.Tensor, index: int, seed: int) -> torch.Tensor:
        return Noise(self.noise).degrade(self.gain * frame**self.gamma, index, seed)


def check_range(name: str, value: float, low: float, high: float, unit: str = "") -> None:
    """Raise ZvrError unless low ≤ value ≤ high (NaN never is)."""
    if not low <= value <= high:
        raise ZvrError(f"{name} {value:g} given, {low:g} to {high:g} expected{f' ({unit})' if unit else ''}")


def check_factor(factor: int) -> None:
    """Raise ZvrError unless `factor` is a whole number of at least 1."""
    if not (factor >= 1 and float(factor).is_integer()):
        raise ZvrError(f"factor {factor:g} given, a whole number of at least 1 expected")


def check_reducible(frame: torch.Tensor, factor: int) -> None:
    """Raise ZvrError when a frame has fewer pixels than `factor` on a side."""
    height, width = frame.shape[-2:]
    if min(height, width) < factor:
        raise ZvrError(f"a clip of {width} × {height} pixels cannot be reduced by {factor}: no pixel would be left; use a smaller factor")
