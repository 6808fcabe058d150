"""All measures in one place. Frames are (F, 3, H, W) in [0, 1]: tensors, or clips that are read frame by frame.

| measure | function | unit, better | needs |
|---|---|---|---|
| PSNR | `psnr` | dB, higher | truth |
| SSIM | `ssim` | up to 1, higher | truth, 11 px a side |
| LPIPS AlexNet | `load_lpips()` | 0 is equal, lower | truth, weights, 31 px a side |
| sharpness | `relative_sharpness` | 1 is as sharp | a reference, 17 px a side |
| high-pass correlation | `high_pass_correlation` | up to 1, higher | truth, 17 px a side |
| warping error E_warp | `warping_error` | per-channel MSE × 1e3, lower | `motions` of truth or input, or `true_motions`; 2 frames |
| E_inter, LPIPS_inter | `interpolation_error`, `interpolation_lpips` | RMS on 0 to 255; LPIPS, lower | 3 frames |
| profile flicker | `profile_flicker` | 8-bit levels, lower | 3 frames |
| residual flicker | `residual_flicker` | 8-bit levels, lower | truth, 2 frames |
| frame similarity FS | `frame_similarity` | up to 1, higher | 2 frames; CLIP in papers, else our own embedding |
| OFME | `flow_map_error` | pixels, lower | truth, 2 frames |

Definitions and sources are in the docstrings. Temporal numbers mean something only at equal sharpness: `match_sharpness`.
"""

from __future__ import annotations

import torch
from kornia.metrics import ssim as ssim_map

from zvr_core.errors import ZvrError
from zvr_core.frames import Frames, paired, size_of
from zvr_core.metrics.embeddings import load_clip_embedding
from zvr_core.metrics.lpips import Lpips, load_lpips
from zvr_core.metrics.sharpness import Control, high_pass_correlation, match_sharpness, relative_sharpness, sharpness
from zvr_core.metrics.temporal import (
    FlowMidpoint,
    Motion,
    WarpingError,
    flow_map_error,
    frame_similarity,
    interpolation_error,
    interpolation_lpips,
    motions,
    profile_flicker,
    residual_flicker,
    true_motions,
    warping_error,
)

__all__ = [
    "Control",
    "FlowMidpoint",
    "Lpips",
    "Motion",
    "WarpingError",
    "flow_map_error",
    "frame_similarity",
    "high_pass_correlation",
    "interpolation_error",
    "interpolation_lpips",
    "load_clip_embedding",
    "load_lpips",
    "match_sharpness",
    "motions",
    "profile_flicker",
    "psnr",
    "relative_sharpness",
    "residual_flicker",
    "sharpness",
    "ssim",
    "true_motions",
    "warping_error",
]

SSIM_WINDOW = 11  # pixels


def psnr(result: Frames, truth: Frames) -> torch.Tensor:
    """PSNR of every frame in dB, (F,): -10 log10 of the mean squared error over all pixels and channels; infinite for equal frames.

    The PSNR of a clip is the mean over its frames. Raises ZvrError for different lengths or sizes.
    """
    return torch.stack([-10 * (ours - exact).square().mean().log10() for ours, exact in paired(result, truth)])  # (F,)


def ssim(result: Frames, truth: Frames) -> torch.Tensor:
    """SSIM of every frame, (F,): Gaussian window of 11 px with σ = 1.5, whole windows only, mean over R, G and B.

    Source: Wang et al. (2004), by kornia. Raises ZvrError for different lengths or sizes, or fewer than 11 pixels a side.
    """
    values = []
    for ours, exact in paired(result, truth):
        if min(ours.shape[-2:]) < SSIM_WINDOW:
            raise ZvrError(f"SSIM is undefined for frames of {size_of(ours)} pixels: its window of {SSIM_WINDOW} does not fit in")
        values.append(ssim_map(ours, exact, SSIM_WINDOW, eps=0.0, padding="valid").mean())
    return torch.stack(values)  # (F,)
