"""Reads the arrays of a trace, one chunk at a time, and says in words what is not there."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from types import EllipsisType
from typing import Any

import numpy as np
import zarr
from zarr.abc.store import Store
from zarr.core.sync import sync

from zvr_core.errors import ZvrError
from zvr_core.trace.files import parse, read_bytes
from zvr_core.trace.format import Document
from zvr_core.trace.header import Header, read_header
from zvr_core.trace.layout import ArraySpec, Layout

CACHE_BYTES = 64 << 20
HOW = {  # what makes a run record an array
    "truth": "give the true frames and motion when recording (truth=…)",
    "restored": "it is there once the run has ended: run.finish()",
    "similarity": "record with RecordAt(similarity=48)",
    "entropy": "record with RecordAt(entropy=True, similarity=48)",
    "tokens": 'record with RecordAt(tokens="full")',
    "x_t": 'record with "x_t" in RecordAt(what=…)',
    "x0": 'record with "x0" in RecordAt(what=…)',
    "preview": 'record with "preview" in RecordAt(what=…)',
    "lq": 'record with "clip" in RecordAt(what=…)',
    "clip": 'record with "flow" in RecordAt(what=…)',
    "matches": 'record with "matches" in RecordAt(what=…)',
}


class Missing(ZvrError):  # noqa: N818 - it is no fault, and viewers show it
    """Something that was not recorded; the text says what, and how to record it."""


class Reader:
    """The arrays of one trace; safe for several threads."""

    def __init__(self, store: Store, name: str) -> None:
        self.store, self.name = store, name
        self._cache = Cache(CACHE_BYTES)
        self._arrays: dict[str, zarr.Array] = {}
        self.attributes: dict[str, Any] = {"rewound": 0}
        self.refresh()

    def refresh(self) -> None:
        """Reads the root document again: a run that is still writing has more steps by now."""
        with self._reading("zarr.json"):
            document = parse(read_bytes(self.store, "zarr.json"), self.name)
        self.header: Header = read_header(document, self.name)
        self.layout = Layout(self.header)
        rewound, self.attributes = self.attributes["rewound"], document["attributes"]
        self._members = document.get("consolidated_metadata", {}).get("metadata", {})
        self._cache.forget(lambda path: self.attributes["rewound"] != rewound or self.layout.arrays[path].ledger)

    @property
    def steps(self) -> int:
        return int(self.attributes["complete"])

    def has(self, path: str) -> bool:
        return path in self.attributes["arrays"]

    def at(self, path: str, *, step: int = 0, row: int = 0, frame: int = 0, site: str = "") -> np.ndarray:
        """The values at a step, a row of sites and a frame, read-only; raises Missing, or ZvrError where there is no such place."""
        spec = self._spec(path, step, frame, site)
        if spec.ledger:
            values = self._cache.get((path,), lambda: self._read(path, ...))
            where = {"step": step, "site": row, "frame": frame}
            return values[tuple(where[dim] for dim in spec.dims)]
        if "site" in spec.dims and step not in self.header.match_steps:
            raise self._absent(spec, step, frame, site)  # a merged mask of zeros would look like one that was recorded
        key, index = self._place(spec, step, row, frame)
        values = self._cache.get(key, lambda: self._read(path, index))[frame - key[-1]]
        if empty(spec, values):
            raise self._absent(spec, step, frame, site)
        return values

    def ahead(self, paths: Iterable[str], *, step: int, row: int, frame: int) -> None:
        """Reads several arrays at one place at once, in half the time that one after the other takes; what fails, fails in `at`."""
        places = {path: self._place(self.layout.arrays[path], step, row, frame) for path in paths if self.has(path)}
        new = {path: place for path, place in places.items() if place[0] not in self._cache}

        async def read(arrays: list[zarr.Array]) -> list[Any]:
            places = [index for _, index in new.values()]
            return await asyncio.gather(*[array.async_array.getitem(at) for array, at in zip(arrays, places, strict=True)])

        with suppress(Exception):
            opened = [self._open(path) for path in new]  # before the loop runs: to open is to wait for it
            for (key, _), found in zip(new.values(), sync(read(opened)), strict=True):
                values = np.asarray(found)
                values.flags.writeable = False
                self._cache.put(key, values)

    @staticmethod
    def _place(spec: ArraySpec, step: int, row: int, frame: int) -> tuple[tuple[Any, ...], tuple[int | slice, ...]]:
        """The chunk of an array that holds a step, a row of sites and a frame: its key in the cache, and where it is."""
        size = spec.chunks[spec.dims.index("frame")]
        first = frame // size * size
        place: dict[str, int | slice] = {"step": step, "moment": step, "site": row, "frame": slice(first, first + size)}
        return (spec.path, step * spec.in_steps, row, first), tuple(place.get(dim, slice(None)) for dim in spec.dims)

    def state(self, step: int) -> dict[str, np.ndarray]:
        """What a method carried into a step, by its keys; nothing where it carries nothing."""
        if not 0 <= step <= self.steps:
            raise ZvrError(f"step {step} asked of {self.name}, which has state for steps 0 to {self.steps}")
        keys = self._document(f"state/{step}").get("attributes", {}).get("keys", [])
        return {key: self._read(f"state/{step}/{number}", ...) for number, key in enumerate(keys)}

    def _spec(self, path: str, step: int, frame: int, site: str) -> ArraySpec:
        spec = self.layout.arrays.get(path)
        if spec is None or path not in self.attributes["arrays"]:
            raise Missing(f"{self.name} has no {path.rsplit('/', 1)[-1]}; {how(path)}")
        last = self.steps - (spec.dims[0] != "moment")
        if spec.in_steps and not 0 <= step <= last:
            more = "" if last + 1 >= self.header.steps else f" (of {self.header.steps}, the run has not come further)"
            known = f"has steps 0 to {last}{more}" if last >= 0 else "has no whole step yet"
            raise ZvrError(f"step {step} of {path} asked of {self.name}, which {known}")
        if "frame" in spec.dims and not 0 <= frame < self.header.frames:
            raise ZvrError(f"frame {frame} asked of {self.name}, which has frames 0 to {self.header.frames - 1}")
        return spec

    def _read(self, path: str, index: tuple[int | slice, ...] | EllipsisType) -> np.ndarray:
        with self._reading(path):
            values = np.asarray(self._open(path)[index])
        values.flags.writeable = False
        return values

    def _open(self, path: str) -> zarr.Array:
        if path not in self._arrays:
            document = self._document(path)
            if not document:
                raise self._gone(f"{path}/zarr.json")
            self._arrays[path] = zarr.Array.from_dict(zarr.storage.StorePath(self.store, path), document)
        return self._arrays[path]

    def _document(self, path: str) -> Document:
        """What describes an array or group: all of them came with the root of a closed trace; {} where there is none."""
        key = f"{path}/zarr.json"
        with self._reading(key):
            return self._members.get(path) or parse(read_bytes(self.store, key), f"{self.name}/{key}")

    @contextmanager
    def _reading(self, path: str) -> Iterator[None]:
        """Says in one line what zarr, a codec, the disk or the network found wrong."""
        try:
            yield
        except ZvrError:
            raise
        except Exception as error:
            reason = (str(error).strip().split("\n")[0] or type(error).__name__).rstrip(".")
            raise ZvrError(
                f"cannot read {path} of {self.name}: {reason}; the file is cut off or out of reach: copy the trace again"
            ) from error

    def _gone(self, key: str) -> ZvrError:
        return ZvrError(f"{self.name} is damaged: {key} is missing; copy the trace again, or record it again")

    def _absent(self, spec: ArraySpec, step: int, frame: int, site: str) -> ZvrError:
        """The error for values that were never written: on purpose, or because their file is gone."""
        head, key = self.header, spec.key(step, frame)
        with self._reading(key):
            if step in head.match_steps and step >= head.forked and not sync(self.store.exists(key)):
                return self._gone(key)
        what = spec.name.replace("_target", " matches") + (f" of {site}" if site else "")
        fork = f", which is before the fork at step {head.forked}" if step < head.forked else ""
        return Missing(f'{self.name} has no {what} at step {step}{fork}; record with RecordAt(steps="all") (was: {some(head.match_steps)})')


def some(steps: tuple[int, ...]) -> str:
    """Numbers in words, not too many of them."""
    return ", ".join(map(str, steps)) if len(steps) < 9 else f"{steps[0]}, {steps[1]}, … {steps[-1]}"


def empty(spec: ArraySpec, values: np.ndarray) -> bool:
    """Whether these are the values of something that was never written; only where no recorded value looks like that."""
    first = values.flat[0] if values.size else 0
    if spec.name in ("x_t", "x0"):
        return bool(np.isnan(first) and np.isnan(values).all())
    return bool(spec.name.endswith(("_target", "provider")) and first == -1 and (values == -1).all())


def how(path: str) -> str:
    """How to record what is missing."""
    name = path.rsplit("/", 1)[-1]
    for kind in ("target", "score", "margin"):
        matcher = name.removesuffix(f"_{kind}")
        if matcher not in (name, "flow"):
            return f'record with "{matcher}" in RecordAt(matchers=…)'
    for start in ("truth", "similarity", "preview"):
        name = start if name.startswith(start) else name
    return HOW.get(name, HOW["clip" if path.startswith("clip/") else "matches"])


class Cache:
    """Arrays by (path, …): the most recently used, at most `most` bytes of them."""

    def __init__(self, most: int) -> None:
        self.most, self.held = most, 0
        self._items: OrderedDict[tuple[str | int, ...], np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def __contains__(self, key: object) -> bool:
        with self._lock:
            return key in self._items

    def get(self, key: tuple[str | int, ...], read: Callable[[], np.ndarray]) -> np.ndarray:
        with self._lock:
            if key in self._items:
                self._items.move_to_end(key)
                return self._items[key]
        values = read()  # outside of the lock: two threads may read the same, none waits for another
        self.put(key, values)
        return values

    def put(self, key: tuple[str | int, ...], values: np.ndarray) -> None:
        """Keeps values, and lets the least recently used go."""
        with self._lock:
            self.held += 0 if key in self._items else values.nbytes
            self._items[key] = values
            while self.held > self.most and len(self._items) > 1:
                self.held -= self._items.popitem(last=False)[1].nbytes

    def forget(self, which: Callable[[Any], bool]) -> None:
        """Drops the arrays of the paths that `which` names."""
        with self._lock:
            for key in [key for key in self._items if which(key[0])]:
                self.held -= self._items.pop(key).nbytes
