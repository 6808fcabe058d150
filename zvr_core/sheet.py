"""Labelled pictures side by side: for a video, and for a sheet that makes its point without one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont

from zvr_core.flow import warp
from zvr_core.frames import Frames
from zvr_core.metrics.temporal import Motion

GAP, BAR = 8, 26  # pixels between pictures, and of a label
PAPER, INK = 1.0, (30, 30, 30)


def label(text: str, width: int) -> torch.Tensor:
    """A line of dark text on white paper, (3, BAR, width)."""
    image = Image.new("RGB", (width, BAR), "white")
    size = 17.0
    while (font := ImageFont.load_default(size)).getlength(text) > width and size > 6:
        size -= 1
    ImageDraw.Draw(image).text((0, BAR // 2), text, fill=INK, font=font, anchor="lm")
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1) / 255  # (3, BAR, width)


def enlarged(frames: torch.Tensor, zoom: int) -> torch.Tensor:
    """Frames (n, 3, H, W) with every pixel `zoom` times as large: nothing is smoothed."""
    return F.interpolate(frames, scale_factor=zoom, mode="nearest")


def row(pictures: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Pictures (3, H, W) of one size side by side, each under its label, (3, BAR + H, n·(W + GAP) - GAP)."""
    columns = [torch.cat([label(text, picture.shape[-1]), picture], 1) for text, picture in pictures.items()]
    gap = torch.full((3, columns[0].shape[1], GAP), PAPER)
    parts = [part for column in columns for part in (gap, column)]
    return torch.cat(parts[1:], 2)


def side_by_side(clips: Mapping[str, Frames], zoom: int = 1) -> Iterator[torch.Tensor]:
    """The frames of several clips of one size as labelled rows, one at a time, (1, 3, H', W'); both sides even, as H.264 likes."""
    count = min(len(clip) for clip in clips.values())
    for t in range(count):
        frame = row({text: enlarged(clip[t : t + 1], zoom)[0] for text, clip in clips.items()})
        yield F.pad(frame, (0, frame.shape[-1] % 2, 0, frame.shape[-2] % 2), value=PAPER)[None]


def flicker_map(frames: Frames, motion: list[Motion], t: int, gain: float = 4.0) -> torch.Tensor:
    """How much each pixel changes from frame t to the next beyond its motion, (3, H, W): white is no change, times `gain`.

    What is not visible in both frames is grey: nothing can be said there.
    """
    moved = warp(frames[t + 1 : t + 2], motion[t].flow[None], padding="border")[0]
    change = (frames[t : t + 1][0] - moved).abs().mean(0)  # (H, W)
    return torch.where(motion[t].visible, (1 - gain * change).clamp(0, 1), torch.tensor(0.8)).expand(3, -1, -1)


def sheet(clips: Mapping[str, Frames], motion: list[Motion], t: int, zoom: int = 2) -> torch.Tensor:
    """One frame of each clip, and under it what flickers there, (3, H', W')."""
    frames = row({text: enlarged(clip[t : t + 1], zoom)[0] for text, clip in clips.items()})
    changes = row(
        {
            f"flicker of {text}" if i else f"flicker of {text}: change beyond motion, times 4": enlarged(
                flicker_map(clip, motion, t)[None], zoom
            )[0]
            for i, (text, clip) in enumerate(clips.items())
        }
    )
    return torch.cat([frames, torch.full((3, GAP, frames.shape[-1]), PAPER), changes], 1)
