"""Which pixel of one frame is which pixel of another: the one service that every method asks.

    frames ─► estimator ─► flow a→b, b→a ─► round-trip error, occlusion ─► the same for the cells of a token or latent grid

Everything is computed once for an ordered pair of frames and kept in an `ArrayStore`, so memory does not grow with the clip.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import torch

from zvr_core.errors import ZvrError
from zvr_core.flow import DIS, FlowEstimator, Reduction, confidence, flow_at_cells, occluded, reduce_cells, round_trip
from zvr_core.frames import Frames
from zvr_core.models.codec import upsample
from zvr_core.store import ArrayStore


class SizedFrames(Frames, Protocol):
    """Frames that say their shape, (F, 3, H, W), before any is read: clips and tensors do."""

    @property
    def shape(self) -> Sequence[int]: ...


class KnownMotion(Protocol):
    """What is known of a clip with exact motion, such as a scene: flow (2, H, W) in pixels, NaN where unknown; occlusion (H, W) bool."""

    @property
    def size(self) -> tuple[int, int]: ...

    def __len__(self) -> int: ...

    def flow(self, a: int, b: int) -> torch.Tensor: ...

    def occluded(self, a: int, b: int) -> torch.Tensor: ...


@dataclass(frozen=True)
class Upsampled:
    """Frames enlarged bicubically by a whole factor, clamped to [0, 1], as they are read."""

    frames: SizedFrames
    factor: int

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        count, channels, height, width = self.frames.shape
        return count, channels, height * self.factor, width * self.factor

    def __getitem__(self, index: slice, /) -> torch.Tensor:
        return upsample(self.frames[index], self.factor).clamp(0, 1)


@dataclass(frozen=True)
class TokenFlow:
    """Where the cells of F frames lie in one other frame.

    `flow` (F, 2, h, w) in cells; `error` (F, h, w) of the round trip, in *pixels*; `occluded` (F, h, w) bool.
    """

    flow: torch.Tensor
    error: torch.Tensor
    occluded: torch.Tensor

    @property
    def confidence(self) -> torch.Tensor:
        """exp(-error), (F, h, w)."""
        return confidence(self.error)


class CorrespondenceService(ABC):
    """Flows between any two of `count` frames of `size` (H, W); a subclass says how a flow is had.

    All answers are on the grid of frame `a` and point into `b`, so warping b with `flow(a, b)` makes a.  Between a frame and
    itself nothing moves.  Frames that do not exist raise ZvrError.
    """

    def __init__(self, count: int, size: tuple[int, int], max_bytes: int) -> None:
        self.count, self.size = count, size
        self._store = ArrayStore(max_bytes)

    @abstractmethod
    def _flow(self, a: int, b: int) -> torch.Tensor:
        """The flow between two different frames, (2, H, W)."""

    def _occluded(self, a: int, b: int) -> torch.Tensor:
        """By the published test; (H, W) bool."""
        return occluded(self.flow(b, a), self.flow(a, b))

    def flow(self, a: int, b: int) -> torch.Tensor:
        """Flow a→b, (2, H, W) in pixels."""
        return self._once(lambda: torch.zeros(2, *self.size) if a == b else self._flow(a, b), "flow", a, b)

    def error(self, a: int, b: int) -> torch.Tensor:
        """How far a pixel of a misses itself after going to b and back, (H, W) in pixels."""
        return self._once(lambda: round_trip(self.flow(b, a), self.flow(a, b)), "error", a, b)

    def confidence(self, a: int, b: int) -> torch.Tensor:
        """exp(-error), (H, W)."""
        return confidence(self.error(a, b))

    def occluded(self, a: int, b: int) -> torch.Tensor:
        """Where what a shows is not seen in b, (H, W) bool."""
        return self._once(lambda: self._occluded(a, b), "occluded", a, b)

    def to_key(self, frame_ids: Sequence[int], key_id: int, grid: tuple[int, int], cell: int, how: Reduction = "min") -> TokenFlow:
        """Where the cells of `frame_ids` lie in frame `key_id`.

        `grid` (h, w) counts the cells of `cell` pixels that show the picture (a model's padding is not among them): cell (y, x)
        holds the pixels from (y·cell, x·cell) on, as many as the picture has.  The flow of a cell is that at its centre; its
        error the least of its pixels (the published, optimistic choice; `how` may be max or mean); it is occluded where any of
        its pixels is.  A cell of unknown flow is occluded, with flow 0 and an infinite error.  Raises ZvrError where a cell would
        hold no pixel.
        """
        cells = torch.stack([self._cells(frame, key_id, grid, cell, how) for frame in frame_ids])  # (F, 4, h, w)
        return TokenFlow(cells[:, :2], cells[:, 2], cells[:, 3] > 0)

    def to_frame(self, frame_id: int, source_id: int, grid: tuple[int, int], cell: int, how: Reduction = "min") -> TokenFlow:
        """Where the cells of one frame lie in another, with F = 1."""
        return self.to_key([frame_id], source_id, grid, cell, how)

    def _cells(self, a: int, b: int, grid: tuple[int, int], cell: int, how: Reduction) -> torch.Tensor:
        """x and y of the flow, the error and the occlusion of each cell, (4, h, w)."""

        def compute() -> torch.Tensor:
            flow = flow_at_cells(self.flow(a, b), grid, cell)
            unknown = ~flow.isfinite().all(0)  # (h, w)
            error = reduce_cells(self.error(a, b), grid, cell, how).masked_fill(unknown, torch.inf)
            hidden = reduce_cells(self.occluded(a, b).float(), grid, cell, "max").masked_fill(unknown, 1)
            return torch.cat([flow.masked_fill(unknown, 0), error[None], hidden[None]])

        return self._once(compute, "cells", a, b, grid, cell, how)

    def _once(self, compute: Callable[[], torch.Tensor], what: str, a: int, b: int, *details: Hashable) -> torch.Tensor:
        for frame in (a, b):
            if not 0 <= frame < self.count:
                raise ZvrError(f"frame {frame} asked of a clip of {self.count}; frames are numbered 0 to {self.count - 1}")
        key = (what, a, b, *details)
        if key not in self._store:
            self._store[key] = compute()
        return self._store[key]


class Correspondence(CorrespondenceService):
    """Flows that `estimator` finds in `frames`, which have the size that flows shall have; at most `max_bytes` stay in memory."""

    def __init__(self, frames: SizedFrames, estimator: FlowEstimator = DIS(), max_bytes: int = 1 << 28) -> None:
        super().__init__(len(frames), (frames.shape[-2], frames.shape[-1]), max_bytes)
        self.estimator = estimator
        # both directions of a pair, and the key frame of a window, need a frame again at once: it is decoded and enlarged once
        self._frame = lru_cache(maxsize=3)(lambda index: frames[index : index + 1][0])

    def _flow(self, a: int, b: int) -> torch.Tensor:
        flow = self.estimator(self._frame(a), self._frame(b))
        if flow.shape != (2, *self.size):
            raise ZvrError(f"{self.estimator.name} gave a flow of shape {tuple(flow.shape)}, {(2, *self.size)} expected; correct it there")
        return flow.float()


class KnownFlow(CorrespondenceService):
    """The exact flow and occlusion of a synthetic scene, asked like an estimated one."""

    def __init__(self, motion: KnownMotion, max_bytes: int = 1 << 28) -> None:
        super().__init__(len(motion), motion.size, max_bytes)
        self.motion = motion

    def _flow(self, a: int, b: int) -> torch.Tensor:
        return self.motion.flow(a, b)

    def _occluded(self, a: int, b: int) -> torch.Tensor:
        return self.motion.occluded(a, b)
