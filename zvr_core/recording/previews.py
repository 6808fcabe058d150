"""Previews: small JPEG pictures of x0, made while the run goes.

Where decoding costs next to nothing, as with the embedded model's fixed transform, x0 is decoded.  A learned decoder may cost as
much as a step; there a linear map of the latent channels stands in for it.  It is fitted once, by least squares, to the colours
of the LQ frames at the places of the first clean estimates that the run makes: the network has seen these frames, so already its
first estimate has their colours, and no decoder runs at all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from zvr_core.models.base import Model
from zvr_core.models.codec import ResidualDCT

QUALITIES = (90, 75, 50, 20)  # of JPEG: the first whose result fits is taken


class Previewer(Protocol):
    """Makes pictures of clean latents."""

    def pictures(self, x0: torch.Tensor, condition: torch.Tensor, lq: Callable[[], torch.Tensor]) -> torch.Tensor:
        """(F, 3, H, W) in [0, 1], of any size, from x0 (F, C, h, w), the model's condition, and the LQ frames where it asks for them."""

    def state(self) -> dict[str, torch.Tensor]:
        """What it has learned from this run."""

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """Takes what `state` gave."""


@dataclass(frozen=True)
class Decoded:
    """Previews by the model's own decoder."""

    model: Model
    size: tuple[int, int]  # (H, W) of the LQ frames

    def pictures(self, x0: torch.Tensor, condition: torch.Tensor, lq: Callable[[], torch.Tensor]) -> torch.Tensor:
        return self.model.decode(x0, condition, self.size).clamp(0, 1)

    def state(self) -> dict[str, torch.Tensor]:
        return {}

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """Nothing is learned."""


class Projected:
    """Previews by a linear map from latent channels to colours, fitted to the first x0 it sees."""

    def __init__(self, grid: tuple[int, int]) -> None:
        """`grid`: (h, w) of the latent cells that show the picture."""
        self.grid = grid
        self.map: dict[str, torch.Tensor] = {}  # "latent to colour": (C + 1, 3), once it is fitted

    def pictures(self, x0: torch.Tensor, condition: torch.Tensor, lq: Callable[[], torch.Tensor]) -> torch.Tensor:
        h, w = self.grid
        cells = with_one(x0[..., :h, :w].float().cpu().movedim(1, -1))  # (F, h, w, C + 1)
        if not self.map:
            colours = F.interpolate(lq(), size=self.grid, mode="area").movedim(1, -1)  # (F, h, w, 3)
            self.map["latent to colour"] = fit_linear(cells.flatten(0, 2), colours.flatten(0, 2))
        return (cells @ self.map["latent to colour"]).clamp(0, 1).movedim(-1, 1)  # (F, 3, h, w)

    def state(self) -> dict[str, torch.Tensor]:
        return dict(self.map)

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        self.map = dict(state)


def previewer_of(model: Model, size: tuple[int, int]) -> Previewer:
    """What makes previews for a model at an input of `size` (H, W)."""
    return Decoded(model, size) if isinstance(getattr(model, "codec", None), ResidualDCT) else Projected(model.valid_grid(size))


def with_one(values: torch.Tensor) -> torch.Tensor:
    """A column of ones beside values (…, C), for the constant term: (…, C + 1)."""
    return torch.cat([values, torch.ones_like(values[..., :1])], -1)


def fit_linear(inputs: torch.Tensor, outputs: torch.Tensor) -> torch.Tensor:
    """The matrix (C, D) that takes inputs (M, C) closest to outputs (M, D), by least squares in float64."""
    return torch.linalg.lstsq(inputs.double(), outputs.double(), driver="gelsd").solution.float()  # gelsd: any rank


def preview_size(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """(h, w) of the preview of pictures of `size` (H, W): at most `longest` px, never enlarged, at least 1 px."""
    ratio = min(1.0, longest / max(size))
    return max(1, math.floor(size[0] * ratio + 0.5)), max(1, math.floor(size[1] * ratio + 0.5))


def jpeg(picture: torch.Tensor, size: tuple[int, int], room: int) -> bytes:
    """A picture (3, H, W) in [0, 1] at `size` (h, w) as JPEG, in the best quality that takes at most `room` bytes, else in the lowest."""
    pixels = (255 * picture).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()[..., ::-1]  # (H, W, 3), blue first
    how = cv2.INTER_AREA if size[0] < pixels.shape[0] or size[1] < pixels.shape[1] else cv2.INTER_CUBIC
    small = cv2.resize(np.ascontiguousarray(pixels), size[::-1], interpolation=how)
    data = b""
    for quality in QUALITIES:
        data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
        if len(data) <= room:
            break
    return data
