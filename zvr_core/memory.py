"""What plug-ins and samplers remember: within a step, and, where they say so, from step to step."""

from __future__ import annotations

import json
from collections import ChainMap
from collections.abc import Collection, Hashable, Mapping, MutableMapping
from typing import Any

import torch

from zvr_core.errors import ZvrError


class Memory:
    """`slots[name, …]` of one step: tensors of a name declared `persistent` go on to the next step, all else ends with this one.

    A slot is read as it was last written, in this step or before; a key is a tuple whose first item is the name.  What a pass
    writes counts once the pass is done: `commit` keeps it, `discard` takes it back.  Values are replaced, never changed in place.
    """

    def __init__(
        self,
        before: MutableMapping[Hashable, torch.Tensor] | None = None,
        after: MutableMapping[Hashable, torch.Tensor] | None = None,
        persistent: Collection[str] = (),
    ) -> None:
        """`before`: what the last step left; `after`: where this step's persistent slots go (histories keep both)."""
        self._before = {} if before is None else before
        self._after = {} if after is None else after
        self._persistent = persistent
        self._passing: dict[Hashable, Any] = {}
        self.slots: ChainMap[Hashable, Any] = ChainMap({}, self._passing, self._after, self._before)

    def commit(self) -> None:
        """A pass is done.  Raises ZvrError where a persistent slot holds no tensor, or its key cannot be written down."""
        written = self.slots.maps[0]
        for key, value in written.items():
            if self._lasts(key):
                check_slot(key, value)
                self._after[key] = value
            else:
                self._passing[key] = value
        written.clear()

    def discard(self) -> None:
        """A pass has failed."""
        self.slots.maps[0].clear()

    def end_step(self) -> None:
        """Persistent slots that were not written live on as they are."""
        for key in self._before:
            if self._lasts(key) and key not in self._after:
                self._after[key] = self._before[key]

    def persistent(self) -> dict[str, torch.Tensor]:
        """The persistent slots as they stand, by key as JSON text; restoring them restores all that lasts."""
        keys = dict.fromkeys(key for key in [*self._before, *self._after] if self._lasts(key))
        return {json.dumps(key): self.slots[key] for key in keys}

    def restore(self, slots: Mapping[str, torch.Tensor]) -> None:
        """Takes what `persistent` gave for what the last step left."""
        for key, value in slots.items():
            self._before[tuples(json.loads(key))] = value

    def _lasts(self, key: Hashable) -> bool:
        return isinstance(key, tuple) and key[0] in self._persistent


def check_slot(key: Hashable, value: object) -> None:
    """Raises ZvrError for what cannot be recorded."""
    if not isinstance(value, torch.Tensor):
        raise ZvrError(f"persistent slot {key!r} holds a {type(value).__name__}; a tensor expected: several go into slots of their own")
    try:
        same = tuples(json.loads(json.dumps(key))) == key
    except TypeError:
        same = False
    if not same:
        raise ZvrError(f"persistent slot {key!r} has a key that JSON cannot hold; a tuple of texts and numbers expected")


def tuples(key: Any) -> Any:
    """JSON's lists as the tuples they were."""
    return tuple(map(tuples, key)) if isinstance(key, list) else key
