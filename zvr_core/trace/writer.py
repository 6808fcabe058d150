"""Writes a trace, step by step, in the background: a step is visible once it is whole, whenever the process ends.

put(…), put(…), commit(step)  ─►  queue of two  ─►  thread: the files of the step, then `complete` in the root document
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from zarr.abc.store import Store

from zvr_core.errors import ZvrError
from zvr_core.trace.buffers import Block, Buffers
from zvr_core.trace.files import TraceFiles, read_bytes
from zvr_core.trace.format import array_document, file_bytes, group_document
from zvr_core.trace.header import Header
from zvr_core.trace.layout import RESULT, ArraySpec, Layout, state_spec

WAITING = 2  # batches in the queue: a run that is faster than the disk waits, and memory does not grow


@dataclass(frozen=True)
class Batch:
    """What the thread writes in one go; `attributes` of the root make it visible."""

    blocks: Sequence[Block]
    state: Mapping[str, np.ndarray]
    state_step: int
    attributes: Mapping[str, Any]


class TraceWriter:
    """Writes one trace to a folder, or to an open zarr store such as `zarr.storage.MemoryStore()`.

    `overwrite` replaces a trace that is there.  What goes wrong in the background is raised, as ZvrError, by the next call.
    As a context it closes the trace, also after Ctrl-C: the steps so far are kept.
    """

    def __init__(self, target: str | Path | Store, header: Header, *, overwrite: bool = False) -> None:
        """Raises ZvrError when the folder is not empty, is being written, or cannot be written."""
        self._begin(TraceFiles.create(target, header.attributes(), overwrite=overwrite))

    @classmethod
    def reopen(cls, target: str | Path | Store) -> TraceWriter:
        """Goes on after the last whole step of a trace whose writer has ended, by whatever means."""
        return cls.over(TraceFiles.reopen(target))

    @classmethod
    def over(cls, files: TraceFiles) -> TraceWriter:
        """Goes on with a trace's files."""
        writer = cls.__new__(cls)
        writer._begin(files)
        try:
            writer._tidy()
            writer._load_ledgers()
        except ZvrError:
            writer._end()
            raise
        return writer

    def _begin(self, files: TraceFiles) -> None:
        self._files = files
        self.header = Header.read(files.attributes)
        self.layout = Layout(self.header)
        self._buffers = Buffers(self.layout)
        self._state: dict[str, np.ndarray] = {}
        self._state_step = 0
        self._written = set(files.attributes["arrays"])
        self._queue: queue.Queue[Batch | None] = queue.Queue(WAITING)
        self._failures: list[BaseException] = []
        self._thread = threading.Thread(target=self._work, name="trace writer", daemon=True)
        self._thread.start()
        self.complete = int(files.attributes["complete"])

    @property
    def store(self) -> Store:
        """Where the trace lies; `Trace(writer.store)` reads it while it is written."""
        return self._files.store

    # -- what a run calls

    def put(self, name: str, values: Any, *, step: int = 0, site: str = "", frame: int = 0) -> None:
        """Keeps values (n, …) of the frames from `frame` on until the step is committed; each frame is put once.

        `name` as in the layout; with `site`, without the grid: "cosine_target".  x_t has one step more: x_t[s + 1] belongs to the
        commit of step s.  Raises ZvrError for what the header does not allow.
        """
        self._check()
        self._buffers.put(name, values, step=step, site=site, frame=frame)
        if self.header.frames > self.layout.block:  # a long clip: do not wait for all of it
            self._send(tuple(self._buffers.take_whole()), {})

    def put_previews(self, step: int, jpegs: Sequence[bytes], *, frame: int = 0) -> None:
        """Keeps small pictures, as JPEG, of the frames from `frame` on; raises ZvrError for one that is too long."""
        room = self._buffers.spec("preview").shape[-1]
        longest = max(map(len, jpegs), default=0)
        if longest > room:
            raise ZvrError(f"a preview of {longest} bytes given, at most {room} fit; lower the quality of the JPEG")
        padded = b"".join(jpeg.ljust(room, b"\0") for jpeg in jpegs)
        self.put("preview", np.frombuffer(padded, np.uint8).reshape(-1, room), step=step, frame=frame)
        self.put("preview_length", [len(jpeg) for jpeg in jpegs], step=step, frame=frame)

    def put_state(self, step: int, values: Mapping[str, np.ndarray]) -> None:
        """Keeps what a method carries into `step`, by any text; raises ZvrError for what is not made of numbers."""
        for key, value in values.items():
            if np.asarray(value).dtype.kind not in "biuf":
                raise ZvrError(f"state {key} of type {np.asarray(value).dtype} given; floats, integers or booleans expected")
        self._state, self._state_step = {key: np.array(value) for key, value in values.items()}, step

    def commit(self, step: int) -> None:
        """Hands over what was put: with it, `step` is whole.  Waits while two steps are waiting."""
        self._send(tuple(self._buffers.take(everything=False)), {"complete": step + 1})
        self.complete = step + 1

    def commit_clip(self) -> None:
        """Hands over what was put before the first step or after the last: pictures and flows of the clip, x_t[0]."""
        self._send(tuple(self._buffers.take(everything=False)), {"complete": self.complete})

    def flush(self) -> None:
        """Waits until everything handed over can be read."""
        self._queue.join()
        self._check()

    def truncate(self, step: int) -> None:
        """Keeps the first `step` steps, as if the others had never been: for a run that was rewound."""
        if not 0 <= step <= self.complete:
            raise ZvrError(f"step {step} to rewind to given, but {self._files.name} has {self.complete} whole steps; choose one of those")
        self._check_open()
        self.flush()
        self._buffers.drop_steps(step)
        self._buffers.forget(RESULT)
        self._state, self.complete = {}, step
        self._written.discard(RESULT)
        rewound = self._files.attributes["rewound"] + 1
        self._files.publish({"complete": step, "closed": False, "rewound": rewound, "arrays": sorted(self._written)})
        self._tidy()
        self.commit_clip()

    def close(self) -> None:
        """Writes what is left of the clip, and the documents of all arrays into one, which remote readers need.

        What was put for a step that was not committed is dropped.  Closing again does nothing.
        """
        if not self._thread.is_alive():
            return
        self._buffers.drop_steps(self.complete)
        self._state = {}
        try:
            self._send(tuple(self._buffers.take(everything=True)), {"closed": True})
        finally:
            self._end()
        self._check()

    def _end(self) -> None:
        self._queue.put(None)
        self._thread.join()
        self._files.release()

    def __enter__(self) -> TraceWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self.close()
        except ZvrError:
            if error is None:
                raise

    # -- the thread

    def _send(self, blocks: Iterable[Block], attributes: Mapping[str, Any]) -> None:
        self._check()
        blocks = tuple(blocks)
        if not blocks and not attributes:
            return
        self._check_open()
        self._written |= {block.spec.path for block in blocks}
        shown = {"arrays": sorted(path for path in self._written if self._buffers.shown(path))} if attributes else {}
        state = self._state if attributes else {}
        self._queue.put(Batch(blocks, state, self._state_step, {**attributes, **shown}))
        if attributes:
            self._state = {}

    def _work(self) -> None:
        while (batch := self._queue.get()) is not None:
            try:
                if not self._failures:
                    self._write(batch)
            except BaseException as error:
                self._failures.append(error)
            finally:
                self._queue.task_done()
        self._queue.task_done()

    def _write(self, batch: Batch) -> None:
        for block in batch.blocks:
            self._write_file(block.spec, block.key, block.values)
        if batch.state:
            self._files.write(self._files.add(f"state/{batch.state_step}", group_document({"keys": list(batch.state)})))
        for number, value in enumerate(batch.state.values()):
            spec = state_spec(batch.state_step, number, value.shape, str(value.dtype))
            self._write_file(spec, spec.key(), value)
        if batch.attributes:
            self._files.publish(batch.attributes, consolidated=bool(batch.attributes.get("closed")))

    def _write_file(self, spec: ArraySpec, key: str, values: np.ndarray) -> None:
        """One file, and before it the document of its array."""
        self._files.write({**self._files.add(spec.path, array_document(spec)), key: file_bytes(spec, values)})

    def _check(self) -> None:
        """Raises what went wrong in the background."""
        if self._failures and isinstance(self._failures[0], ZvrError):
            raise self._failures[0]
        if self._failures:
            raise RuntimeError("the thread that writes the trace has failed") from self._failures[0]

    def _check_open(self) -> None:
        if not self._thread.is_alive():
            raise ZvrError(f"{self._files.name} is closed; go on with it: TraceWriter.reopen(path)")

    def _tidy(self) -> None:
        """Deletes the files of steps that are not whole, or not part of the trace any more."""
        known = self._files.attributes["arrays"]
        for key in [key for key in self._files.list_keys() if not self.layout.belongs(key, self.complete, known)]:
            self._files.delete(key)

    def _load_ledgers(self) -> None:
        """Reads the small arrays of all steps, which are written anew as a whole."""
        for path in self._written:
            spec = self.layout.arrays[path]
            raw = read_bytes(self._files.store, spec.key()) if spec.ledger and spec.in_steps else b""
            if raw:
                self._buffers.put_ledger(path, np.frombuffer(raw, spec.dtype).reshape(spec.shape))
