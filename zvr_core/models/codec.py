"""The latent codec of the embedded model: an orthonormal DCT of what bicubic upsampling misses.

A learned autoencoder of the size we can ship loses more detail than the diffusion model could restore: it would be the
bottleneck.  A fixed orthonormal transform loses only the coefficients it drops, costs next to nothing, and can be explained on a
blackboard: cut the residual (frame minus upsampled input) into 4×4 patches of three colours, take the 3-D DCT-II of each, keep
the 16 coefficients with the largest variance over the training photographs, and divide each by its standard deviation.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F


def dct_matrix(n: int) -> torch.Tensor:
    """The orthonormal DCT-II matrix, shape (n, n), row = frequency (Ahmed, Natarajan & Rao 1974)."""
    frequency = torch.arange(n, dtype=torch.float64)[:, None]
    position = torch.arange(n, dtype=torch.float64)[None]
    matrix = torch.cos(math.pi * (position + 0.5) * frequency / n) * math.sqrt(2 / n)
    matrix[0] /= math.sqrt(2)
    return matrix


def upsample(lq: torch.Tensor, factor: int) -> torch.Tensor:
    """Bicubic enlargement by a whole factor, (F, 3, h, w) to (F, 3, factor·h, factor·w): the baseline of every table."""
    return F.interpolate(lq, scale_factor=factor, mode="bicubic", align_corners=False)


@dataclass(frozen=True)
class ResidualDCT:
    """Frames to latents and back, as the residual over the bicubic upsampling of the input.

    `kept` lists the (colour, vertical, horizontal) frequencies of the latent channels, `std` the standard deviation of each
    coefficient for pixel values in [0, 1].  Latents have about unit variance; there is one latent cell per input pixel.
    """

    kept: tuple[tuple[int, int, int], ...]
    std: tuple[float, ...]
    factor: int = 4

    @property
    def channels(self) -> int:
        return len(self.kept)

    def basis(self, like: torch.Tensor) -> torch.Tensor:
        """The kept basis patches, (C, 3, factor, factor), on the device and in the dtype of `like`."""
        colour, patch = dct_matrix(3), dct_matrix(self.factor)
        patches = [torch.einsum("a,b,d->abd", colour[c], patch[v], patch[u]) for c, v, u in self.kept]
        return torch.stack(patches).to(like)

    def encode(self, frames: torch.Tensor, lq: torch.Tensor) -> torch.Tensor:
        """Latents (F, C, h, w) of `frames` (F, 3, factor·h, factor·w) in [0, 1], given their degraded input (F, 3, h, w)."""
        residual = frames - upsample(lq, self.factor)
        return F.conv2d(residual, self.basis(residual), stride=self.factor) / self._scale(lq)

    def decode(self, latents: torch.Tensor, lq: torch.Tensor) -> torch.Tensor:
        """Frames (F, 3, factor·h, factor·w), not clamped, from latents (F, C, h, w) and the degraded input (F, 3, h, w)."""
        latents = latents * self._scale(latents)
        return upsample(lq, self.factor) + F.conv_transpose2d(latents, self.basis(latents), stride=self.factor)

    def _scale(self, like: torch.Tensor) -> torch.Tensor:
        return torch.tensor(self.std).to(like)[None, :, None, None]

    @classmethod
    def load(cls, folder: Path) -> ResidualDCT:
        """Reads `config.json` of a `codec` folder."""
        config = json.loads((Path(folder) / "config.json").read_text())
        kept = tuple((int(c), int(v), int(u)) for c, v, u in config["kept"])
        return cls(kept=kept, std=tuple(config["std"]), factor=config["factor"])

    def save(self, folder: Path) -> None:
        """Writes `config.json` into a `codec` folder."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        config = {"_class_name": "ResidualDCT", "factor": self.factor, "kept": self.kept, "std": self.std}
        (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
