"""Seeded degradations: what was done to a clip before anyone tries to undo it.

The functions take frames (n, 3, H, W) in [0, 1]; a strength may be one number or one per frame.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from kornia.enhance import jpeg_codec_differentiable
from kornia.filters import gaussian_blur2d


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
