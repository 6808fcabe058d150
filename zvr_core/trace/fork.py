"""A fork of a trace: its parent's steps up to one, as hard links, so that it costs no space and yet opens alone."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from zarr.abc.store import Store
from zarr.storage import LocalStore

from zvr_core.errors import ZvrError
from zvr_core.trace.files import TraceFiles, read_bytes
from zvr_core.trace.folder import words
from zvr_core.trace.header import Header
from zvr_core.trace.layout import RESULT, Layout
from zvr_core.trace.writer import TraceWriter


def fork_trace(
    parent: str | Path | Store, target: str | Path | Store, step: int, *, header: Header | None = None, overwrite: bool = False
) -> TraceWriter:
    """Begins the trace of a run that left `parent` before `step`, and returns its writer.

    `header` says what is different (method, seed); by default nothing is.  The parent may be still written, deleted later, or
    written anew: files are replaced, never changed.  Raises ZvrError when the parent has too few steps or other shapes.
    """
    origin = TraceFiles.look(parent)
    old = Header.read(origin.attributes)
    new = replace(header or old, forked=step)
    complete = origin.attributes["complete"]
    if not 0 <= step <= complete:
        raise ZvrError(f"step {step} given to fork from, but {origin.name} has {complete} whole steps; choose one of 0 to {complete}")
    check_shapes(old, new)
    if not isinstance(target, Store) and Path(target).expanduser().resolve() == Path(origin.name).resolve():
        raise ZvrError(f"{target} given to fork to, but that is its own parent; choose another path")
    shown = sorted(set(origin.attributes["arrays"]) & Layout(new).arrays.keys() - {RESULT})
    files = TraceFiles.create(target, new.attributes(), overwrite=overwrite)
    try:
        for key in inherited(origin, Layout(old), step, shown):
            share(origin, files, key)
        files.publish({"complete": step, "arrays": shown})
    finally:
        files.release()
    writer = TraceWriter.reopen(target)
    writer.truncate(step)  # the ledgers know later steps
    return writer


def inherited(origin: TraceFiles, layout: Layout, step: int, shown: Collection[str]) -> list[str]:
    """The files of a parent that its fork shares: all but the root document."""
    keys = [key for key in origin.list_keys() if "/" in key and not key.endswith(".partial")]
    paths = {key: key.rpartition("/")[0] for key in keys}
    return [key for key in keys if (paths[key] in shown or paths[key] not in layout.arrays) and layout.belongs(key, step, shown)]


def check_shapes(old: Header, new: Header) -> None:
    """Raises ZvrError when a fork's arrays would not continue its parent's."""
    before, after = Layout(old).arrays, Layout(new).arrays
    different = [path for path in before.keys() & after.keys() if before[path] != after[path]]
    if different or old.grids != new.grids:
        raise ZvrError(f"a fork with other shapes ({', '.join(sorted(different)[:3])}) given; fork with the parent's clip, steps and sites")


def share(origin: TraceFiles, target: TraceFiles, key: str) -> None:
    """The same file in another trace: a hard link where there can be one, else a copy."""
    if not (isinstance(origin.store, LocalStore) and isinstance(target.store, LocalStore)):
        target.write({key: read_bytes(origin.store, key)})
        return
    source, place = f"{origin.store.root}/{key}", f"{target.store.root}/{key}"
    with words(f"cannot write {place}"):
        try:
            os.link(source, place)
        except FileNotFoundError:  # the first of its folder
            Path(place).parent.mkdir(parents=True)
            share(origin, target, key)
        except OSError:  # another disk, or a file system without links
            Path(place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, place)
