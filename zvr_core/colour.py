"""Colour: luma, and two ways to give a restored frame the colours of a reference.

Generative restorers drift in colour from frame to frame; both fixes keep the detail of the sample and take the slow variation from the
reference (the upsampled input or the model's stage-1 output). They may leave [0, 1]: clamp when storing.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from zvr_core.errors import ZvrError

LEVELS = 5  # dilations 1, 2, 4, 8, 16: the low band is a blur with a standard deviation of 13 pixels


def luma(frames: torch.Tensor) -> torch.Tensor:
    """Luma of RGB frames, (F, 3, H, W) to (F, 1, H, W); weights 0.299, 0.587, 0.114 (ITU-R BT.601)."""
    weights = torch.tensor([0.299, 0.587, 0.114], dtype=frames.dtype, device=frames.device)
    return (frames * weights[:, None, None]).sum(-3, keepdim=True)  # (F, 1, H, W)


def binomial_blur(frames: torch.Tensor, dilation: int) -> torch.Tensor:
    """Blur with [1 2 1] / 4 in both directions, taps `dilation` pixels apart, replicated borders; any size, also 1 × 1."""
    d = dilation
    x = F.pad(frames, (d, d, d, d), mode="replicate")  # (F, C, H + 2d, W + 2d)
    x = (x[..., : -2 * d, :] + 2 * x[..., d:-d, :] + x[..., 2 * d :, :]) / 4  # (F, C, H, W + 2d)
    return (x[..., : -2 * d] + 2 * x[..., d:-d] + x[..., 2 * d :]) / 4  # (F, C, H, W)


def low_band(frames: torch.Tensor, levels: int = LEVELS) -> torch.Tensor:
    """The low band of the à-trous wavelet transform, (F, C, H, W).

    Level i blurs the result of level i - 1 with taps 2^i apart. What a level removes is its detail band, so the sum of all details (the
    high band) is `frames - low_band(frames)`: the transform needs no inverse. Source: Starck, Murtagh and Bijaoui (1998), chapter 1.
    """
    for level in range(levels):
        frames = binomial_blur(frames, 2**level)
    return frames


def wavelet_fix(sample: torch.Tensor, reference: torch.Tensor, levels: int = LEVELS) -> torch.Tensor:
    """High band of `sample` plus low band of `reference`, both (F, 3, H, W).

    Raises ZvrError when the sizes differ. Source: the colour correction that StableSR (Wang et al. 2024) introduced and DiffIR2VR-Zero's
    published code uses: 5 levels, 3 × 3 binomial kernel, replicated borders.
    """
    check_same_size(sample, reference)
    return sample + low_band(reference - sample, levels)  # the bands are linear: low(reference) - low(sample) in one pass


def adain(sample: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """`sample` with mean and standard deviation of every frame and channel taken from `reference`, both (F, 3, H, W).

    A constant channel keeps no detail and gets the reference's mean. Raises ZvrError when the sizes differ. Source: Huang and Belongie
    (2017), equation 8.
    """
    check_same_size(sample, reference)
    spread, mean = torch.std_mean(sample, (-2, -1), correction=0, keepdim=True)  # (F, 3, 1, 1)
    new_spread, new_mean = torch.std_mean(reference, (-2, -1), correction=0, keepdim=True)
    return (sample - mean) * (new_spread / spread.clamp(min=1e-6)) + new_mean


def check_same_size(sample: torch.Tensor, reference: torch.Tensor) -> None:
    """Raise ZvrError unless both have the same shape."""
    if sample.shape != reference.shape:
        raise ZvrError(
            f"the sample has shape {tuple(sample.shape)}, its colour reference {tuple(reference.shape)}; "
            "the same shape is expected: resize the reference to the sample"
        )
