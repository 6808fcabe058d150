"""Recorded clips whose true motion was measured: folders of frames and flow files, as Sintel, KITTI and Middlebury give them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from zvr_core.errors import ZvrError, unknown
from zvr_core.flow_io import read_flow

EDGE = 1.0  # px: four neighbours whose motion differs by more lie on a border between motions


@dataclass(frozen=True)
class Recorded:
    """Frames and the true flow from each to its next; a `Truth`.

    Without occlusion pictures (255 where occluded), what leaves the frame or has no known motion counts as occluded.
    """

    name: str
    frames: tuple[Path, ...]
    flows: tuple[Path, ...]
    occlusions: tuple[Path, ...] = ()

    @classmethod
    def open(cls, name: str, frames: Path, flows: Path, occlusions: Path | None = None) -> Recorded:
        """From folders, files in the order of their names; raises ZvrError where one holds none or too few."""
        pictures, fields = listed(frames, (".png", ".jpg", ".ppm")), listed(flows, (".flo", ".png"))
        hidden = listed(occlusions, (".png",)) if occlusions else ()
        if len(pictures) - 1 > len(fields):
            raise ZvrError(f"{flows} holds {len(fields)} flow files; {len(pictures)} frames need {len(pictures) - 1}; complete the folder")
        return cls(name, pictures, fields, hidden)

    def __len__(self) -> int:
        return len(self.frames)

    @cached_property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        _, height, width = self.render(0).shape
        return height, width

    def render(self, frame: int) -> torch.Tensor:
        """One frame (3, H, W), float32 in [0, 1]."""
        with Image.open(self.frames[frame]) as picture:
            return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1) / 255  # (3, H, W)

    def clip(self) -> torch.Tensor:
        """All frames, (F, 3, H, W)."""
        return torch.stack([self.render(frame) for frame in range(len(self))])

    def flow(self, a: int, b: int, cell: int = 1) -> torch.Tensor:
        """Flow between neighbours a, b at the cell centres of a, (2, h, w) in cells; NaN: unknown, or on a border of motions."""
        middle = around_centres(self._flow(a, b), cell)  # (4, 2, h, w)
        spread = (middle.amax(0) - middle.amin(0)).amax(0)  # (h, w)
        return torch.where(spread <= EDGE, middle.mean(0), torch.nan) / cell

    def occluded(self, a: int, b: int, cell: int = 1) -> torch.Tensor:
        """Where the cell centres of a are not seen in b, or their motion is unknown, (h, w) bool."""
        return around_centres(~self._seen(a, b), cell).any(0)

    def _flow(self, a: int, b: int) -> torch.Tensor:
        if a == b:
            return torch.zeros(2, *self.size)
        if b == a - 1:
            return inverted(self._flow(b, a), self._seen(b, a))
        if b != a + 1 or not 0 <= a < len(self.flows):
            raise ZvrError(f"{self.name} knows the motion between neighbouring frames, 0 to {len(self) - 1}; asked: {a} to {b}")
        flow = read_flow(self.flows[a])
        if flow.shape[1:] != self.size:
            given, expected = (f"{side[1]}×{side[0]}" for side in (flow.shape[1:], self.size))
            raise ZvrError(f"{self.flows[a]} is of {given} pixels, its frames are of {expected}; they belong to other clips")
        return flow

    def _seen(self, a: int, b: int) -> torch.Tensor:
        flow = self._flow(a, b)
        height, width = self.size
        x, y = torch.arange(width) + flow[0], torch.arange(height)[:, None] + flow[1]
        seen = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)  # (H, W), false for NaN
        if self.occlusions and b == a + 1:
            with Image.open(self.occlusions[a]) as picture:
                seen &= torch.from_numpy(np.array(picture.convert("L"))) < 128
        return seen


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


def sintel(root: str | Path, scene: str, rendering: str = "clean") -> Recorded:
    """A scene of an MPI-Sintel folder (Butler et al. 2012), `rendering` clean or final, with its flow and its occlusions.

    `root` is the folder that holds `training`, or `training` itself; raises ZvrError for an unknown scene or a folder without flow.
    """
    training = Path(root) / "training" if (Path(root) / "training").is_dir() else Path(root)
    if not (training / "flow").is_dir():
        raise ZvrError(f"{training} has no folder 'flow'; expected an MPI-Sintel folder with its training part")
    scenes = [p.name for p in (training / "flow").iterdir()]
    if scene not in scenes:
        raise unknown("Sintel scene", scene, scenes)
    occlusions = training / "occlusions" / scene
    return Recorded.open(scene, training / rendering / scene, training / "flow" / scene, occlusions if occlusions.is_dir() else None)
