"""The past of a recording run is its trace: only where the run stands is in memory."""

from __future__ import annotations

import json
import weakref
from collections.abc import Hashable, Iterator, MutableMapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import torch

from zvr_core.history import KeepSteps, Moment
from zvr_core.memory import tuples
from zvr_core.trace.trace import Trace

if TYPE_CHECKING:
    from zvr_core.recording.recorder import Recorder


class Past(MutableMapping[Any, torch.Tensor]):
    """Tensors of a step that is in the trace; they cannot be changed any more."""

    def __init__(self, recorder: Recorder, step: int) -> None:
        self.recorder, self.step = recorder, step

    def __setitem__(self, key: Hashable, value: torch.Tensor) -> NoReturn:
        raise TypeError("the past of a recording cannot be changed; rewind the run")

    def __delitem__(self, key: Hashable) -> NoReturn:
        raise TypeError("the past of a recording cannot be changed; rewind the run")


class PastLatents(Past):
    """x_t by frame, read when asked for."""

    def __getitem__(self, frame: int) -> torch.Tensor:
        if frame not in range(len(self)):
            raise KeyError(frame)
        return torch.from_numpy(np.array(self.recorder.reader().at("x_t", step=self.step, frame=frame)))

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self)))

    def __len__(self) -> int:
        return self.recorder.writer.header.frames


class PastSlots(Past):
    """Persistent slots by key, read together when one is asked for."""

    @cached_property
    def _slots(self) -> dict[Hashable, torch.Tensor]:
        return {tuples(json.loads(key)): value for key, value in self.recorder.slots(self.step).items()}

    def __getitem__(self, key: Hashable) -> torch.Tensor:
        return self._slots[key]

    def __iter__(self) -> Iterator[Hashable]:
        return iter(self._slots)

    def __len__(self) -> int:
        return len(self._slots)


class TraceHistory(KeepSteps):
    """The moments of a recording run; a fork shares them until this run rewinds past them, and then has copies."""

    def __init__(self, recorder: Recorder, max_bytes: int) -> None:
        super().__init__(max_bytes)
        self.recorder = recorder
        self._forks: weakref.WeakSet[ForkedHistory] = weakref.WeakSet()

    @property
    def trace(self) -> Trace:
        return self.recorder.trace

    def remember(self, steps: int) -> None:
        """The moments up to `steps` are those of the trace."""
        self.moments = {s: Moment(PastLatents(self.recorder, s), PastSlots(self.recorder, s)) for s in range(steps + 1)}

    def append(self, step: int, moment: Moment) -> None:
        self.remember(step - 1)
        self.moments = {**self.moments, step: moment}

    def rewind(self, step: int) -> None:
        self.moment(step)
        for fork in self._forks:
            fork.leave(step)
        self.recorder.rewind(step)
        super().rewind(step)

    def fork(self, step: int) -> ForkedHistory:  # type: ignore[override]  # a fork does not record
        child = ForkedHistory(self.shelf.max_bytes)
        child.moments, child.origin, child.shared, child.family = self.moments, self.recorder, step, self._forks
        child.rewind(step)
        self._forks.add(child)
        return child


class ForkedHistory(KeepSteps):
    """The past of a run that left a recording one: the trace's up to there, and of its own since then in memory.

    `shared`: so many steps are the same in the trace of `origin`; `family`: all runs that left it.
    """

    origin: Recorder
    shared: int
    family: weakref.WeakSet[ForkedHistory]

    def rewind(self, step: int) -> None:
        super().rewind(step)
        self.shared = min(self.shared, step)

    def fork(self, step: int) -> ForkedHistory:
        child = ForkedHistory(self.shelf.max_bytes)
        child.shelf, child.moments, child.origin, child.family = self.shelf, self.moments, self.origin, self.family
        child.shared = self.shared
        child.rewind(step)
        self.family.add(child)
        return child

    def leave(self, step: int) -> None:
        """Copies what the trace will not hold any more once its run is rewound to `step`."""
        self.shared = min(self.shared, step)
        self.moments = {s: self._copy(moment) if s > step else moment for s, moment in self.moments.items()}

    def _copy(self, moment: Moment) -> Moment:
        if not isinstance(moment.x_t, Past):
            return moment
        copy = self.begin()
        copy.x_t.update(moment.x_t)
        copy.slots.update(moment.slots)
        return copy
