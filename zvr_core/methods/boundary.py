"""Plug-ins at the edges of the loop: what happens to padding, and to decoded frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from zvr_core.attention import Site
from zvr_core.colour import wavelet_fix
from zvr_core.methods.base import PlugIn


@dataclass(frozen=True)
class PaddingRemoval(PlugIn):
    """Transformer blocks compute on tokens that show the picture; padding bypasses them (Yeh et al. 2024, section 3.3)."""

    def drops_padding(self) -> bool:
        return True


@dataclass(frozen=True)
class WholeTokensOnly(PlugIn):
    """Tokens that show the picture only in part count as padding, as in the published code: the grid is rounded down."""

    def sites(self, sites: Sequence[Site], size: tuple[int, int]) -> Sequence[Site]:
        return [replace(site, grid=(max(1, size[0] // site.cell), max(1, size[1] // site.cell))) for site in sites]


@dataclass(frozen=True)
class WaveletColourFix(PlugIn):
    """Low frequencies from the input, high frequencies from the restored frame: stops colours from drifting."""

    def frames(self, frames: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        return wavelet_fix(frames, reference)
