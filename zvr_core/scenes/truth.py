"""What a clip with true motion offers, whether it was rendered (`Scene`) or recorded (`Recorded`)."""

from __future__ import annotations

from typing import Protocol

import torch


class Truth(Protocol):
    """Frames and their true motion."""

    @property
    def name(self) -> str: ...

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        ...

    def __len__(self) -> int: ...

    def render(self, frame: int) -> torch.Tensor:
        """One frame (3, H, W), float32 in [0, 1]."""
        ...

    def clip(self) -> torch.Tensor:
        """All frames, (F, 3, H, W)."""
        ...

    def flow(self, a: int, b: int, cell: int = 1) -> torch.Tensor:
        """True flow a→b at the cell centres of frame a, (2, h, w), as x, y in cells of `cell` pixels; NaN: unknown."""
        ...

    def occluded(self, a: int, b: int, cell: int = 1) -> torch.Tensor:
        """Where what the cell centres of frame a show is not seen in frame b or not known, (h, w) bool."""
        ...
