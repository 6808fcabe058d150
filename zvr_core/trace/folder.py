"""The folder of a trace: whether there is one, and who may write it."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from zarr.abc.store import Store
from zarr.storage import LocalStore

from zvr_core.errors import ZvrError
from zvr_core.trace.header import FORMAT

with suppress(ImportError):  # not on Windows, where nobody is kept from writing a trace twice
    import fcntl

FULL, PROTECTED = (errno.ENOSPC, errno.EDQUOT), (errno.EROFS, errno.EACCES, errno.EPERM)


def open_to_write(target: str | Path | Store, *, new: bool, overwrite: bool = False) -> tuple[Store, int]:
    """The store to write to, and the lock on its folder (-1: none is needed)."""
    if isinstance(target, LocalStore):
        target = target.root
    if isinstance(target, Store):
        return target, -1
    if "://" in str(target):
        raise ZvrError(f"{target} given, but a trace is recorded to a folder; give a path, and copy the folder there when it is closed")
    path = Path(target).expanduser()
    if new and path.is_file():
        raise ZvrError(f"{path} is a file, a folder was expected for the trace; choose another path, such as run.zarr")
    if not new:
        existing(path)
    with words(f"cannot write to {path}"):
        if new:
            path.mkdir(parents=True, exist_ok=True)
    lock = take_lock(path)
    if new and any(path.iterdir()):
        try:
            clear(path, overwrite)
        except ZvrError:
            os.close(lock)
            raise
    return LocalStore(path), lock


def existing(target: str | Path) -> Path:
    """The folder of a trace; raises ZvrError, saying what is there instead."""
    path = Path(target).expanduser()
    if not path.exists():
        raise ZvrError(f"no such folder: {path}; give the folder of a trace, such as run.zarr")
    if path.is_file():
        raise ZvrError(f"{path} is a file, but a trace is a folder; give the folder that zvr restore --record wrote")
    if not any(path.iterdir()):
        raise ZvrError(f"{path} is an empty folder; give one that zvr restore --record wrote")
    if not (path / "zarr.json").is_file():
        raise ZvrError(f"{path} is a folder, but no trace: there is no zarr.json in it; give one that zvr restore --record wrote")
    return path


def take_lock(path: Path) -> int:
    """Locks a folder for as long as this process lives; raises ZvrError when another writer does; -1 where locks do not exist."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:  # Windows opens no folders
        return -1
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise ZvrError(f"{path} is being written by a run that still lives; end or close it, or record to another path") from None
    except (OSError, NameError):  # some network file systems, and Windows, know no such lock
        os.close(descriptor)
        return -1
    return descriptor


def clear(path: Path, overwrite: bool) -> None:
    """Empties the folder of an old trace; raises ZvrError when that was not asked for, or when it holds anything else."""
    if not overwrite:
        raise ZvrError(f"{path} exists and is not empty; choose another path, or replace it with overwrite=True (--overwrite)")
    try:
        attributes = json.loads((path / "zarr.json").read_bytes())["attributes"]
    except (OSError, ValueError, KeyError, TypeError):
        attributes = {}
    if attributes.get("format") != FORMAT:
        raise ZvrError(f"{path} holds something else than a trace, which overwrite does not delete; choose another path")
    with words(f"cannot replace {path}"):
        (path / "zarr.json").unlink()  # first: half a deleted trace is none
        for entry in path.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


@contextmanager
def words(what: str) -> Iterator[None]:
    """Says in one line what the operating system refused, and the fix."""
    try:
        yield
    except OSError as error:
        fix = "record to another disk"
        if error.errno in FULL:
            fix = "free space there, or record less (RecordAt, --record-steps)"
        if error.errno in PROTECTED:
            fix = "choose a folder that you may write to"
        raise ZvrError(f"{what}: {error.strerror or error}; {fix}") from error
