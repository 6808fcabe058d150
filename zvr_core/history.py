"""What a run keeps of its past: for each step, all that it takes to begin there again.

A history is a row of moments.  Moments are written once and then only read, so a fork shares those of its parent, and what is
dropped by rewinding is forgotten as soon as no fork holds it.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections import deque
from collections.abc import Hashable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

import torch

from zvr_core.errors import ZvrError
from zvr_core.store import ArrayStore
from zvr_core.windows import Window


class Shelf(ArrayStore):
    """An array store for several threads (a viewer reads while the run goes on) that drops what its layers no longer hold."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(max_bytes)
        self.numbers = itertools.count()
        self.left: deque[list[Hashable]] = deque()  # keys of layers that are gone; swept later, since layers may go at any moment
        self._lock = threading.Lock()

    def __setitem__(self, key: Hashable, tensor: torch.Tensor) -> None:
        with self._lock:
            while self.left:
                for gone in self.left.popleft():
                    self._drop(gone)
            super().__setitem__(key, tensor)

    def __getitem__(self, key: Hashable) -> torch.Tensor:
        with self._lock:
            return super().__getitem__(key)

    def _drop(self, key: Hashable) -> None:
        if key in self._memory:
            self._release(key)
        if key in self._disk:
            self._disk.pop(key).path.unlink()


class Layer(MutableMapping[Any, torch.Tensor]):
    """Tensors by key, stored as values on a shelf, which forgets them when nobody holds the layer any more."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf, self._number = shelf, next(shelf.numbers)
        self._keys: dict[Hashable, None] = {}  # in the order they came
        self._places: list[Hashable] = []
        weakref.finalize(self, shelf.left.append, self._places).atexit = False

    def __setitem__(self, key: Hashable, tensor: torch.Tensor) -> None:
        self._shelf[self._number, key] = tensor
        if key not in self._keys:
            self._keys[key] = None
            self._places.append((self._number, key))

    def __getitem__(self, key: Hashable) -> torch.Tensor:
        """A copy; raises KeyError for an unknown key."""
        if key not in self._keys:
            raise KeyError(key)
        return self._shelf[self._number, key]

    def __delitem__(self, key: Hashable) -> None:
        del self._keys[key]

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def __iter__(self) -> Iterator[Hashable]:
        return iter(list(self._keys))

    def __len__(self) -> int:
        return len(self._keys)


@dataclass(frozen=True)
class Moment:
    """All that a step begins with: x_t by absolute frame, and the persistent slots of memory."""

    x_t: MutableMapping[int, torch.Tensor]
    slots: MutableMapping[Hashable, torch.Tensor]

    def put(self, window: Window, latents: torch.Tensor) -> None:
        """x_t (F, C, h, w) of a window."""
        for frame, latent in zip(window.frames, latents, strict=True):
            self.x_t[frame] = latent

    def latents(self, window: Window) -> torch.Tensor:
        """x_t (F, C, h, w) of a window."""
        return torch.stack([self.x_t[frame] for frame in window.frames])


class History(Protocol):
    """Where the moments of a run live; a recording's history is its trace.

    A run reads `moment(i)`, fills `begin()` window by window, and calls `append(i + 1, …)` when the step is whole.  A history that
    holds moments already makes a new run stand at its latest: that is how one resumes.
    """

    @property
    def latest(self) -> int:
        """The last step whose moment is there, -1 for none."""

    def moment(self, step: int) -> Moment:
        """What enters `step`; raises ZvrError where it is not kept."""

    def begin(self) -> Moment:
        """An empty moment to fill; forgotten unless it is appended."""

    def append(self, step: int, moment: Moment) -> None:
        """Keeps a whole moment."""

    def rewind(self, step: int) -> None:
        """Drops the moments after `step`; forks keep theirs."""

    def fork(self, step: int) -> History:
        """Another history with the same moments up to `step`; what becomes of either from now on is its own affair."""

    @property
    def trace(self) -> Any:
        """The recording, or a ZvrError that says how to make one."""

    def __getitem__(self, place: tuple[int, int]) -> torch.Tensor:
        """x_t of (step, frame), a copy."""


class KeepSteps:
    """Every step's moment, in one shelf of `max_bytes`: beyond that, the longest unused lie in temporary files."""

    def __init__(self, max_bytes: int = 1 << 28) -> None:
        self.shelf = Shelf(max_bytes)
        self.moments: Mapping[int, Moment] = {}  # replaced, never changed: so a viewer in another thread may read it

    @property
    def latest(self) -> int:
        return max(self.moments, default=-1)

    @property
    def trace(self) -> Any:
        raise ZvrError("this run does not record; call record(run, 'run.zarr') before it goes")

    def __getitem__(self, place: tuple[int, int]) -> torch.Tensor:
        step, frame = place
        return self.moment(step).x_t[frame]

    def moment(self, step: int) -> Moment:
        if step not in self.moments:
            raise ZvrError(f"step {step} is not kept, {self._kept()}; a run with history=KeepSteps() keeps all it has done")
        return self.moments[step]

    def begin(self) -> Moment:
        return Moment(Layer(self.shelf), Layer(self.shelf))

    def append(self, step: int, moment: Moment) -> None:
        self.moments = {**self.moments, step: moment}

    def rewind(self, step: int) -> None:
        self.moment(step)
        self.moments = {s: moment for s, moment in self.moments.items() if s <= step}

    def fork(self, step: int) -> Self:
        child = type(self)(self.shelf.max_bytes)
        child.shelf, child.moments = self.shelf, self.moments
        child.rewind(step)
        return child

    def _kept(self) -> str:
        steps = sorted(self.moments)
        return f"steps {steps[0]} to {steps[-1]} are" if len(steps) > 1 else f"step {steps[0]} is" if steps else "none is"


class LastStep(KeepSteps):
    """Only where the run stands: for long clips that nobody wants to rewind.  Needs room for two steps while one is made."""

    def append(self, step: int, moment: Moment) -> None:
        self.moments = {step: moment}
