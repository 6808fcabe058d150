"""What every measure needs of a sequence of frames: its length, and some of them when asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Protocol

import torch

from zvr_core.errors import ZvrError


class Frames(Protocol):
    """A clip whose frames are read when asked for, `frames[a:b]` -> (n, 3, H, W) in [0, 1]; a tensor (F, 3, H, W) is one, too."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> torch.Tensor: ...


def each(frames: Frames) -> Iterator[torch.Tensor]:
    """One frame after the other, (1, 3, H, W); raises ZvrError when there is none or the shape is wrong."""
    if len(frames) == 0:
        raise ZvrError("a clip without frames given, at least one frame expected")
    for t in range(len(frames)):
        frame = frames[t : t + 1]
        if frame.dim() != 4 or frame.shape[1] != 3:
            raise ZvrError(f"frames of shape {tuple(frame.shape)} given, (F, 3, H, W) expected")
        yield frame


def paired(result: Frames, truth: Frames) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Frames of two clips side by side, (1, 3, H, W) each; raises ZvrError when number or size of the frames differ."""
    if len(result) != len(truth):
        raise ZvrError(f"the result has {len(result)} frames, the truth {len(truth)}; cut them to the same frames")
    for ours, exact in zip(each(result), each(truth), strict=True):
        if ours.shape != exact.shape:
            raise ZvrError(f"the result is {size_of(ours)} pixels, the truth {size_of(exact)}; crop or resize them to one size")
        yield ours, exact


def runs(frames: Frames, length: int, measure: str) -> Iterator[torch.Tensor]:
    """All runs of `length` consecutive frames, (length, 3, H, W), each frame read once; ZvrError where `check_length` says so."""
    check_length(frames, length, measure)
    run: deque[torch.Tensor] = deque(maxlen=length)
    for frame in each(frames):
        run.append(frame)
        if len(run) == length:
            yield torch.cat(list(run))  # (length, 3, H, W)


def check_length(frames: Frames, least: int, measure: str) -> None:
    """Raise ZvrError when the clip has fewer frames than `measure`, the name that the message gives, needs."""
    if len(frames) < least:
        raise ZvrError(f"{measure} is undefined for a clip of length {len(frames)}; at least {least} frames are needed")


def size_of(frames: torch.Tensor) -> str:
    """The size of frames (…, H, W) in words, "W × H"."""
    return f"{frames.shape[-1]} × {frames.shape[-2]}"
