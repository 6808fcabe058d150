"""What the tests of flow share: a texture in closed form, constant flows, random pictures."""

from __future__ import annotations

import math

import torch


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def texture(height: int, width: int, x: float = 0.0, y: float = 0.0) -> torch.Tensor:
    """A grey picture (3, H, W) in [0, 1], defined everywhere in closed form, seen from (x, y): 40 waves of 6 pixels or longer."""
    random = torch.rand(40, 3, generator=generator(), dtype=torch.float64)
    angle, length, phase = 2 * math.pi * random[:, 0], 6 + 40 * random[:, 1], 2 * math.pi * random[:, 2]
    rows, columns = torch.meshgrid(torch.arange(height) + y, torch.arange(width) + x, indexing="ij")
    along = columns[..., None] * angle.cos() + rows[..., None] * angle.sin()
    waves = torch.sin(2 * math.pi * along / length + phase).mean(-1)
    return (0.5 + 1.5 * waves).clamp(0, 1).float().expand(3, -1, -1)


def constant(x: float, y: float, height: int = 6, width: int = 8) -> torch.Tensor:
    """One flow for all pixels, (1, 2, H, W)."""
    return torch.tensor([float(x), float(y)]).view(1, 2, 1, 1).expand(1, 2, height, width).clone()


def picture(height: int = 6, width: int = 8, frames: int = 1) -> torch.Tensor:
    return torch.randn(frames, 3, height, width, generator=generator(height * width))
