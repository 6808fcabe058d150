"""Recorded clips whose true motion was measured: folders of frames and of flow files; `datasets` knows those of the benchmarks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from zvr_core.errors import ZvrError
from zvr_core.flow import warp
from zvr_core.scenes.flow_io import read_flow

EDGE = 1.0  # px: four neighbours whose motion differs by more lie on a border between motions


def white(file: Path) -> torch.Tensor:
    """Where a picture is white, (H, W) bool."""
    return opened(file, "L") >= 128


@dataclass(frozen=True)
class Recorded:
    """Frames and the true flow from each to its next; a `Truth`.

    Between frames that are not neighbours the flows are followed one after the other: what is hidden or lost on the way is unknown.
    What `read_hidden` finds in the file beside a flow counts as occluded, and so does what leaves the frame or has no known motion.
    """

    name: str
    frames: tuple[Path, ...]
    flows: tuple[Path, ...]
    occlusions: tuple[Path, ...] = ()
    read_hidden: Callable[[Path], torch.Tensor] = white

    @classmethod
    def open(cls, name: str, frames: Path, flows: Path, occlusions: Path | None = None) -> Recorded:
        """From folders, files in the order of their names; occlusions are white in pictures.

        Raises ZvrError where a folder holds no files or too few.
        """
        pictures, fields = listed(frames, (".png", ".jpg", ".ppm")), listed(flows, (".flo", ".png"))
        hidden = listed(occlusions, (".png",)) if occlusions else ()
        for folder, kind, files in ((flows, "flow", fields), (occlusions, "occlusion", hidden)):
            if folder and len(files) < len(pictures) - 1:
                raise ZvrError(
                    f"{folder} holds {len(files)} {kind} files; {len(pictures)} frames need {len(pictures) - 1}; complete the folder"
                )
        return cls(name, pictures, fields, hidden)

    def __len__(self) -> int:
        return len(self.frames)

    @cached_property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        height, width, _ = opened(self.frames[0], "RGB").shape
        return height, width

    def render(self, frame: int) -> torch.Tensor:
        """One frame (3, H, W), float32 in [0, 1]."""
        file = self.frames[frame]
        return self._fitting(opened(file, "RGB").permute(2, 0, 1), file) / 255  # (3, H, W)

    def clip(self) -> torch.Tensor:
        """All frames, (F, 3, H, W)."""
        return torch.stack([self.render(frame) for frame in range(len(self))])

    def flow(self, a: int, b: int, cell: int = 1) -> torch.Tensor:
        """Flow a→b at the cell centres of a, (2, h, w) in cells; NaN: unknown, or on a border between motions."""
        middle = around_centres(self._flow(a, b), cell)  # (4, 2, h, w)
        spread = (middle.amax(0) - middle.amin(0)).amax(0)  # (h, w)
        return torch.where(spread <= EDGE, middle.mean(0), torch.nan) / cell

    def occluded(self, a: int, b: int, cell: int = 1) -> torch.Tensor:
        """Where the cell centres of a are not seen in b, or their motion is unknown, (h, w) bool."""
        return around_centres(~self._seen(self._flow(a, b), a, b), cell).any(0)

    def _flow(self, a: int, b: int) -> torch.Tensor:
        for frame in (a, b):
            if not 0 <= frame < len(self):
                raise ZvrError(f"frame {frame} of {self.name!r} asked; it has frames 0 to {len(self) - 1}")
        if a == b:
            return torch.zeros(2, *self.size)
        if b == a + 1:
            return self._fitting(read_flow(self.flows[a]), self.flows[a])
        if b == a - 1:
            flow = self._flow(b, a)
            return inverted(flow, self._seen(flow, b, a))
        before = b - 1 if b > a else b + 1
        return followed(self._sure(a, before), self._sure(before, b))

    def _sure(self, a: int, b: int) -> torch.Tensor:
        """The flow of what is seen in both frames, NaN elsewhere."""
        flow = self._flow(a, b)
        return torch.where(self._seen(flow, a, b), flow, torch.nan)

    def _seen(self, flow: torch.Tensor, a: int, b: int) -> torch.Tensor:
        """Where what a shows is seen in b, to which it moves by `flow`, (H, W) bool."""
        if b == a + 1 and self.occlusions:
            return stays_inside(flow) & ~self._fitting(self.read_hidden(self.occlusions[a]), self.occlusions[a])
        return stays_inside(flow)

    def _fitting(self, values: torch.Tensor, file: Path) -> torch.Tensor:
        if values.shape[-2:] != self.size:
            given, expected = (f"{side[1]}×{side[0]}" for side in (values.shape[-2:], self.size))
            raise ZvrError(f"{file} is of {given} pixels, its frames are of {expected}; they belong to other clips")
        return values


def opened(file: Path, mode: str) -> torch.Tensor:
    """A picture as uint8, (H, W, …); raises ZvrError where it cannot be read."""
    try:
        with Image.open(file) as picture:
            return torch.from_numpy(np.array(picture.convert(mode)))
    except (OSError, SyntaxError) as error:  # SyntaxError: a broken PNG chunk
        raise ZvrError(f"{file} cannot be read as a picture ({type(error).__name__}); the file is missing or damaged") from error


def stays_inside(flow: torch.Tensor) -> torch.Tensor:
    """Where a flow (2, H, W) leads to a place between the frame's pixels, (H, W) bool; false for NaN."""
    height, width = flow.shape[1:]
    x, y = torch.arange(width) + flow[0], torch.arange(height)[:, None] + flow[1]
    return (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)


def followed(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """One flow after another, (2, H, W) each, the second sampled bilinearly where the first one leads.

    NaN where the first leads out, and where the second is unknown or has a border between motions.
    """
    height, width = first.shape[1:]
    x, y = torch.arange(width) + first[0], torch.arange(height)[:, None] + first[1]
    left, top = x.nan_to_num().floor().long().clamp(0, width - 1), y.nan_to_num().floor().long().clamp(0, height - 1)
    right, bottom = x.nan_to_num().ceil().long().clamp(0, width - 1), y.nan_to_num().ceil().long().clamp(0, height - 1)
    around = torch.stack([second[:, row, column] for row in (top, bottom) for column in (left, right)])  # (4, 2, H, W)
    alike = (around.amax(0) - around.amin(0)).amax(0) <= EDGE  # (H, W), false for NaN
    total = first + warp(second.nan_to_num()[None], first[None], padding="border")[0]
    return torch.where(alike & stays_inside(first), total, torch.nan)


def around_centres(values: torch.Tensor, cell: int) -> torch.Tensor:
    """The four pixels around each cell's centre (of an odd cell: the one, four times), (…, H, W) to (4, …, h, w)."""
    height, width = values.shape[-2:]
    rows, columns = (
        [(torch.arange(0, side, cell) + offset).clamp(max=side - 1) for offset in ((cell - 1) // 2, cell // 2)] for side in (height, width)
    )
    return torch.stack([values[..., row[:, None], column] for row in rows for column in columns])


def inverted(flow: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """The flow b→a, (2, H, W), from a→b and where it is seen: each pixel of b gets the mean of the motions that land around it.

    Right to within what the motion changes over one pixel; NaN where nothing lands or motions that differ do.
    """
    height, width = seen.shape
    motion = -flow[:, seen]  # (2, n)
    y, x = torch.nonzero(seen, as_tuple=True)
    at_x, at_y = x + flow[0, seen], y + flow[1, seen]
    sums = torch.zeros(5, height * width)  # weight, motion, motion²
    for dx, dy in product((0, 1), (0, 1)):
        column, row = at_x.floor() + dx, at_y.floor() + dy
        weight = (1 - (at_x - column).abs()) * (1 - (at_y - row).abs())
        place = row.clamp(max=height - 1) * width + column.clamp(max=width - 1)  # clamped only where the weight is 0
        sums.index_add_(1, place.long(), weight * torch.cat([torch.ones_like(motion[:1]), motion, motion.square()]))
    mean, square = (sums[1:] / sums[0]).reshape(2, 2, height, width)
    return torch.where((square - mean.square()).sum(0) <= EDGE**2 / 4, mean, torch.nan)


def listed(folder: Path, suffixes: tuple[str, ...]) -> tuple[Path, ...]:
    """The files of a folder that have one of the suffixes, sorted; raises ZvrError where there are none."""
    files = tuple(sorted(p for p in folder.glob("*") if p.suffix.lower() in suffixes))
    if not files:
        raise ZvrError(f"{folder} holds no {' or '.join(suffixes)} files; check the path")
    return files
