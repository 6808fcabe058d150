"""What a frame shows, as one vector: for the frame similarity FS.

HISTOGRAMS     our own: small, needs no weights, says what it is
load_clip_embedding(…)   CLIP, which papers use, from a local folder
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.nn.functional as F

from zvr_core.colour import luma
from zvr_core.errors import ZvrError


class Embedding(Protocol):
    """One vector per frame: (F, 3, H, W) in [0, 1] to (F, D)."""

    @property
    def name(self) -> str: ...

    def __call__(self, frames: torch.Tensor) -> torch.Tensor: ...


@dataclass(frozen=True)
class Histograms:
    """Mean colours, and histograms of edge directions, of `cells` × `cells` parts of the frame; both count alike.

    Edges are counted by their length, in `directions` directions without sign, as in HOG (Dalal & Triggs 2005, section 6), and each half
    has unit length. It sees colour and layout, not meaning: consecutive frames come close to 1. Any size, also constant frames.
    """

    cells: int = 4
    directions: int = 8

    @property
    def name(self) -> str:
        return f"colour and edge histograms {self.cells}×{self.cells}"

    def __call__(self, frames: torch.Tensor) -> torch.Tensor:
        colours = F.adaptive_avg_pool2d(frames, self.cells).flatten(1)  # (F, 3·cells²)
        edges = F.adaptive_avg_pool2d(self._edges(frames), self.cells).flatten(1)  # (F, directions·cells²)
        halves = [F.pad(colours, (0, 1), value=1.0), edges + 1e-3]  # black frames and frames without edges are alike, not undefined
        return torch.cat([F.normalize(half, dim=1) for half in halves], dim=1) / math.sqrt(2)

    def _edges(self, frames: torch.Tensor) -> torch.Tensor:
        """The length of the gradient of luma at every pixel, in the channel of its direction, (F, directions, H, W)."""
        grey = F.pad(luma(frames), (1, 1, 1, 1), mode="replicate")  # (F, 1, H + 2, W + 2)
        dx, dy = grey[..., 1:-1, 2:] - grey[..., 1:-1, :-2], grey[..., 2:, 1:-1] - grey[..., :-2, 1:-1]
        angle = torch.atan2(dy, dx).remainder(math.pi) / math.pi * self.directions  # 0 to directions
        return torch.zeros_like(dx).repeat(1, self.directions, 1, 1).scatter(1, angle.long() % self.directions, torch.hypot(dx, dy))


HISTOGRAMS = Histograms()


@dataclass(frozen=True, eq=False)
class ClipEmbedding:
    """The image half of a CLIP model (Radford et al. 2021); make it with `load_clip_embedding`."""

    name: str
    network: Any

    @torch.no_grad()
    def __call__(self, frames: torch.Tensor) -> torch.Tensor:
        """Shorter side resized to the network's (bicubic), middle cropped, CLIP's own mean and deviation."""
        side = self.network.config.image_size
        height, width = frames.shape[-2:]
        size = [round(side * n / min(height, width)) for n in (height, width)]
        top, left = (size[0] - side) // 2, (size[1] - side) // 2
        small = F.interpolate(frames, size=size, mode="bicubic", antialias=True).clamp(0, 1)[..., top : top + side, left : left + side]
        mean, deviation = small.new_tensor([[0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]])[..., None, None]
        return self.network((small - mean) / deviation).image_embeds  # (F, D)


def load_clip_embedding(folder: str | Path, device: str | torch.device = "cpu") -> ClipEmbedding:
    """CLIP from a local folder in the layout of transformers (config.json, model.safetensors).

    Raises ZvrError where there is none, or it cannot be read.
    """
    if not (Path(folder) / "config.json").is_file():
        raise ZvrError(f"no config.json in {folder}; a CLIP folder as transformers saves it is expected, such as clip-vit-base-patch32")
    from transformers import CLIPVisionModelWithProjection

    try:
        network = CLIPVisionModelWithProjection.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # whatever a damaged folder makes transformers stumble over
        raise ZvrError(f"{folder} cannot be read as a CLIP model ({type(error).__name__}); fetch it again") from error
    return ClipEmbedding(f"CLIP {Path(folder).resolve().name}", network.eval().to(device))
