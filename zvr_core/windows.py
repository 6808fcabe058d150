"""Windows: which frames share attention in one pass, and which of them is the key frame."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from zvr_core.errors import ZvrError


@dataclass(frozen=True)
class Window:
    """Consecutive frames [start, stop) that go through the network together (the paper's "batch")."""

    start: int
    stop: int
    key: int  # absolute number of the key frame
    previous_key: int = -1  # key frame of the window before, in the same scene; -1 at the start of a scene

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def frames(self) -> range:
        """The absolute frame numbers."""
        return range(self.start, self.stop)

    @property
    def key_index(self) -> int:
        """The position of the key frame inside the window."""
        return self.key - self.start

    @property
    def continues(self) -> bool:
        """Whether a window of the same scene comes before."""
        return self.previous_key >= 0


def window_lengths(count: int, size: int) -> list[int]:
    """Disjoint windows of `size` frames; a remainder of one or two frames joins the last window, a longer one stands alone.

    Source: the published code of DiffIR2VR-Zero (Yeh et al. 2024), whose paper calls these batches.
    """
    if size < 1:
        raise ZvrError(f"window size {size} given, at least 1 expected; use --window 1 for frame by frame")
    lengths = []
    while count > 0:
        lengths.append(size if count - size > 2 else count)
        count -= lengths[-1]
    return lengths


def plan_windows(count: int, size: int, cuts: Sequence[int] = ()) -> tuple[Window, ...]:
    """Windows over `count` frames that never span a scene cut; `cuts` are the first frames of new scenes.

    The key frame is the middle one, floor(F / 2), as in the published code (the paper says "randomly sampled").
    """
    windows: list[Window] = []
    edges = [0, *sorted(cut for cut in set(cuts) if 0 < cut < count), count]
    for first, last in itertools.pairwise(edges):
        start, previous_key = first, -1
        for length in window_lengths(last - first, size):
            windows.append(Window(start, start + length, start + length // 2, previous_key))
            previous_key = windows[-1].key
            start += length
    return tuple(windows)
