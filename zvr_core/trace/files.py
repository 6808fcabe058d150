"""The files of one trace: who may write them, what they are called, and how they become visible.

A step's files are written first, the root document with `complete` last; every file replaces its predecessor by a rename, so a
file that a fork shares with its parent is never changed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from zarr.abc.store import Store
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import collect_aiterator, sync
from zarr.storage import LocalStore

from zvr_core.errors import ZvrError
from zvr_core.trace.folder import existing, open_to_write, words
from zvr_core.trace.format import Document, group_document, to_json
from zvr_core.trace.header import read_header


class TraceFiles:
    """The documents and files of a trace in a folder or a zarr store, and the right to write them."""

    def __init__(self, store: Store, lock: int) -> None:
        self.store, self._lock = store, lock
        self.name = file_name(store)
        self.attributes: dict[str, Any] = {}
        self.documents: dict[str, Document] = {}  # of all groups and arrays below the root

    @classmethod
    def create(cls, target: str | Path | Store, attributes: Mapping[str, Any], *, overwrite: bool = False) -> TraceFiles:
        """Begins a trace; raises ZvrError where something else is, and where one cannot write."""
        files = cls(*open_to_write(target, new=True, overwrite=overwrite))
        try:
            files.publish(attributes)
        except ZvrError:
            files.release()
            raise
        return files

    @classmethod
    def reopen(cls, target: str | Path | Store) -> TraceFiles:
        """Goes on with a trace whose writer has ended, however it ended."""
        files = cls(*open_to_write(target, new=False))
        try:
            files._look()
        except ZvrError:
            files.release()
            raise
        for key in list(files.list_keys()):
            if key.endswith(".partial"):  # a file that its writer did not live to finish
                files.delete(key)
            elif key.endswith("/zarr.json"):
                files.documents[key.removesuffix("/zarr.json")] = files.read(key)
        return files

    @classmethod
    def look(cls, target: str | Path | Store) -> TraceFiles:
        """The files of a trace that is only read."""
        files = cls(target if isinstance(target, Store) else LocalStore(existing(target)), -1)
        files._look()
        return files

    def _look(self) -> None:
        root = self.read("zarr.json")
        read_header(root, self.name)
        self.attributes = root["attributes"]

    def publish(self, attributes: Mapping[str, Any], *, consolidated: bool = False) -> None:
        """Writes the root document: what it names is there from now on."""
        self.attributes |= attributes
        members = {path: self.documents[path] for path in self.documents if not path.startswith("state")}  # only resuming reads those
        self.write({"zarr.json": to_json(group_document(self.attributes, members if consolidated else None))})

    def add(self, path: str, document: Document) -> dict[str, bytes]:
        """The documents to write for a new array or group and the groups above it; none where it is known."""
        parents = [path[:at] for at, letter in enumerate(path) if letter == "/"]
        new = {at: group_document({}) for at in parents if at not in self.documents}
        if self.documents.get(path) != document:
            new[path] = document
        self.documents |= new
        return {f"{at}/zarr.json": to_json(document) for at, document in new.items()}

    def write(self, files: Mapping[str, bytes]) -> None:
        """Writes or replaces files; raises ZvrError on a full or protected disk."""
        with words(f"cannot write {self.name}"):
            if isinstance(self.store, LocalStore):
                for key, value in files.items():
                    replace_file(self.store.root / key, value)
            else:
                sync(_set_all(self.store, files))

    def read(self, key: str) -> Document:
        """One document; {} where there is none."""
        return parse(read_bytes(self.store, key), f"{self.name}/{key}")

    def delete(self, key: str) -> None:
        with words(f"cannot delete {key} of {self.name}"):
            if isinstance(self.store, LocalStore):
                remove_file(self.store.root / key)
            else:
                sync(self.store.delete(key))
        self.documents.pop(key.removesuffix("/zarr.json"), None)

    def list_keys(self) -> Iterator[str]:
        """The names of all files."""
        if not isinstance(self.store, LocalStore):
            yield from collect_aiterator(self.store.list())
            return
        for folder, _, names in os.walk(self.store.root):
            inside = Path(folder).relative_to(self.store.root).as_posix()
            yield from (name if inside == "." else f"{inside}/{name}" for name in names)

    def release(self) -> None:
        """Gives up the right to write."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def read_bytes(store: Store, key: str) -> bytes:
    """A whole file; b"" where there is none."""
    if isinstance(store, LocalStore):
        path = store.root / key
        return path.read_bytes() if path.is_file() else b""
    buffer = sync(store.get(key, default_buffer_prototype()))
    return b"" if buffer is None else buffer.to_bytes()


def replace_file(path: Path, value: bytes) -> None:
    """Writes beside it, then renames: a reader, and a fork that shares the old file, never see half of it.

    Through zarr's store the same takes three times as long.
    """
    beside = path.with_name(f"{path.name}.partial")
    try:
        beside.write_bytes(value)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(value)
    beside.replace(path)


def remove_file(path: Path) -> None:
    """Removes a file, and the folders above that hold nothing any more; the trace's own always holds its root document."""
    path.unlink()
    with suppress(OSError):  # the first that is not empty
        for folder in path.parents:
            folder.rmdir()


def parse(raw: bytes, name: str) -> Document:
    """A document from its file; raises ZvrError where that was cut off."""
    try:
        return json.loads(raw) if raw else {}
    except ValueError as error:
        raise ZvrError(f"{name} is damaged: it is not JSON; copy the trace again, or record it again") from error


async def _set_all(store: Store, files: Mapping[str, bytes]) -> None:
    make = default_buffer_prototype().buffer.from_bytes
    for key, value in files.items():
        await store.set(key, make(value))


def file_name(store: Store) -> str:
    """How a trace is called in messages."""
    return str(store.root) if isinstance(store, LocalStore) else "memory"
