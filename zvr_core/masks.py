"""Holes for inpainting: where a clip loses its pixels. A hole takes a size and a generator and returns (H, W), True = missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import torch

from zvr_core.errors import ZvrError


class Holes(Protocol):
    """Anything that says which pixels are missing."""

    def __call__(self, height: int, width: int, rng: torch.Generator) -> torch.Tensor:
        """(H, W) bool, True = missing."""
        ...


@dataclass(frozen=True)
class Boxes:
    """Random rectangles, each side `smallest` to `largest` of the frame's side."""

    count: int = 4
    smallest: float = 0.1
    largest: float = 0.3

    def __post_init__(self) -> None:
        check_count("boxes", self.count)
        if not 0 < self.smallest <= self.largest <= 1:
            raise ZvrError(f"box sides {self.smallest} to {self.largest} given, 0 < smallest ≤ largest ≤ 1 of the frame's side expected")

    def __call__(self, height: int, width: int, rng: torch.Generator) -> torch.Tensor:
        missing = torch.zeros(height, width, dtype=torch.bool)
        for size, place in torch.rand(self.count, 2, 2, generator=rng):
            shares = self.smallest + (self.largest - self.smallest) * size
            h, w = max(1, round(float(shares[0]) * height)), max(1, round(float(shares[1]) * width))
            top, left = round(float(place[0]) * (height - h)), round(float(place[1]) * (width - w))
            missing[top : top + h, left : left + w] = True
        return missing


@dataclass(frozen=True)
class Strokes:
    """Random polylines of `corners` points, `width` of the shorter side thick: free-form holes as in Yu et al. (2019), figure 3."""

    count: int = 4
    corners: int = 5
    width: float = 0.03

    def __post_init__(self) -> None:
        check_count("strokes", self.count)
        check_count("corners", self.corners)
        if not 0 < self.width <= 1:
            raise ZvrError(f"stroke width {self.width} given, 0 to 1 of the frame's shorter side expected")

    def __call__(self, height: int, width: int, rng: torch.Generator) -> torch.Tensor:
        canvas = np.zeros((height, width), np.uint8)
        corners = torch.rand(self.count, self.corners, 2, generator=rng) * torch.tensor([width - 1.0, height - 1.0])
        thickness = max(1, round(self.width * min(height, width)))
        cv2.polylines(canvas, list(corners.round().int().numpy()), isClosed=False, color=1, thickness=thickness)
        return torch.from_numpy(canvas).bool()


@dataclass(frozen=True, eq=False)
class GivenHoles:
    """A mask the user brings, (H, W), nonzero = missing."""

    missing: torch.Tensor

    def __call__(self, height: int, width: int, rng: torch.Generator) -> torch.Tensor:
        if self.missing.shape != (height, width):
            raise ZvrError(f"the mask has shape {tuple(self.missing.shape)}, the clip needs ({height}, {width}); resize the mask")
        return self.missing.bool()


def check_count(name: str, count: int) -> None:
    """Raise ZvrError unless `count` is a whole number from 1 to 1000."""
    if not (1 <= count <= 1000 and float(count).is_integer()):
        raise ZvrError(f"{count:g} {name} given, a whole number from 1 to 1000 expected")
