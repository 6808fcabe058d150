"""Noise as a pure function of (seed, purpose, step, absolute frame).

A run draws nothing from a generator that is passed along: so its noise depends neither on window size, device or order, and a
rewound, forked or resumed run needs no generator state.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch


def generator_for(seed: int, *purpose: object) -> torch.Generator:
    """A CPU generator whose state depends on its arguments only, the same on every machine."""
    digest = hashlib.sha256("/".join(map(str, (seed, *purpose))).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)  # generators take 63 bits


@dataclass(frozen=True)
class NoiseSource:
    """Standard normal draws of one run."""

    seed: int

    def draw(self, purpose: str, step: int, frame: int, shape: Sequence[int]) -> torch.Tensor:
        """One float32 draw of `shape` on the CPU; `purpose` keeps the uses apart ("start", "step", "condition")."""
        return torch.randn(tuple(shape), generator=generator_for(self.seed, purpose, step, frame), dtype=torch.float32)

    def stack(self, purpose: str, step: int, frames: Sequence[int], shape: Sequence[int]) -> torch.Tensor:
        """The draws of several frames, (F, *shape)."""
        return torch.stack([self.draw(purpose, step, frame, shape) for frame in frames])
