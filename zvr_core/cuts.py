"""Where a new scene starts: after a cut no motion explains the next frame, so no window may span it."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from kornia.filters import gaussian_blur2d

from zvr_core.errors import ZvrError
from zvr_core.flow import DIS, warp
from zvr_core.frames import Frames

SIDE = 64  # px, the longer side that frames are reduced to: a scene is recognised, fast motion is a few pixels, noise averages out
CONTRAST = 2 / 255  # less is noise: two flat frames are alike, a flat one and a picture are not
NOISY = 0.2  # share of a thumbnail's deviation that is noise; clean ones have 0.04 to 0.08, those under noise of 75 levels this or more
SMOOTH = 3.0  # px: under that much noise thumbnails are compared through a Gaussian of this deviation


def scene_cuts(frames: Frames, threshold: float = 0.6) -> list[int]:
    """The frames that start a new scene, in order, without frame 0; only thumbnails of three frames are kept at a time.

    Frame t starts one when its `likeness` to the frame before is under `threshold`, unless frame t + 1 is like that frame again: a
    flash or a spoilt frame is passed over.  Fades and dissolves have no cut.  Raises ZvrError for a threshold outside 0 to 1.
    """
    if not 0 <= threshold <= 1:
        raise ZvrError(f"threshold {threshold} given for scene cuts, a likeness from 0 to 1 expected; 0.6 is usual")
    small = lru_cache(maxsize=3)(lambda t: thumbnail(frames, t))  # files are read forwards, each frame once
    cuts, last = [], 0  # `last` is the last frame that was not passed over
    for t in range(1, len(frames)):
        if likeness(small(last), small(t)) < threshold:
            if t + 1 < len(frames) and likeness(small(last), small(t + 1)) >= threshold:
                continue
            cuts.append(t)
        last = t
    return cuts


def likeness(a: torch.Tensor, b: torch.Tensor) -> float:
    """The correlation of a with b, both (3, h, w) in [0, 1], after the motion between them is undone; 1 is the same picture.

    Undoing the motion lets fast motion pass, and the correlation does not see a change of light.  On the clips it was tried on,
    frames of one scene had 0.7 or more at four times their speed; frames on both sides of a cut 0.55 or less.  Where noise would hide
    that two frames are alike, both are smoothed: then no scene is cut in two up to noise of 150 levels, and up to one cut in four is
    missed (eight real clips reduced to 320 pixels and by 4, 2026-11-22).
    """
    if max(noise_share(a), noise_share(b)) >= NOISY:
        a, b = gaussian_blur2d(torch.stack([a, b]), 4 * int(SMOOTH) + 1, (SMOOTH, SMOOTH), "replicate")
    moved = warp(b[None], DIS()(a, b)[None], padding="border")[0]
    a, b = (x - x.mean((-2, -1), keepdim=True) for x in (a, moved))
    floor = CONTRAST**2
    return float(((a * b).mean() + floor) / (((a * a).mean() + floor) * ((b * b).mean() + floor)).sqrt())


def noise_share(picture: torch.Tensor) -> float:
    """How much of a picture's (3, h, w) standard deviation is noise, about: by the Laplacian differences of Immerkær (1996)."""
    if min(picture.shape[-2:]) < 3:
        return 0.0
    kernel = torch.tensor([[1.0, -2.0, 1.0], [-2.0, 4.0, -2.0], [1.0, -2.0, 1.0]]) / 6
    noise = F.conv2d(picture[:, None], kernel[None, None]).abs().mean() * math.sqrt(math.pi / 2)
    return float(noise / picture.std((-2, -1)).mean().clamp(min=CONTRAST))


def thumbnail(frames: Frames, index: int) -> torch.Tensor:
    """One frame, (3, h, w), reduced by area so that no side is longer than `SIDE`."""
    frame = frames[index : index + 1]
    height, width = frame.shape[-2:]
    scale = min(1, SIDE / max(height, width))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    return F.interpolate(frame, size=size, mode="area")[0]
