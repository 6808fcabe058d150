"""A recording refuses the wrong place in one line, and keeps whole steps when a disk fills, a run breaks or its owner forgets it."""

import asyncio
import errno
import gc
import os
import threading

import numpy as np
import pytest
from recording import a_run
from zarr.core.sync import _get_loop
from zarr.storage import MemoryStore

from zvr_core.errors import ZvrError
from zvr_core.methods.base import Method, PlugIn, Windows
from zvr_core.recording.choice import RecordAt
from zvr_core.recording.recorder import CLOSING, record, recorder_of
from zvr_core.trace import open_trace


def test_a_run_records_once(embedded):
    run = record(a_run(embedded, steps=1), None, RecordAt(what=()))
    with pytest.raises(ZvrError, match="records already"):
        record(run)
    with pytest.raises(ZvrError, match="does not record"):
        recorder_of(a_run(embedded, steps=1))


def test_a_folder_that_is_not_empty_needs_overwrite(embedded, tmp_path):
    record(a_run(embedded, steps=1), tmp_path / "a.zarr", RecordAt(what=())).finish()
    with pytest.raises(ZvrError, match="overwrite=True"):
        record(a_run(embedded, steps=1), tmp_path / "a.zarr")
    assert record(a_run(embedded, steps=1), tmp_path / "a.zarr", RecordAt(what=()), overwrite=True).finish().trace.steps == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is protected from root")
def test_a_read_only_folder(embedded, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(ZvrError, match="may write"):
        record(a_run(embedded, steps=1), tmp_path / "a.zarr")


class FullStore(MemoryStore):
    """A disk with room for so many files."""

    room = 10**6

    async def set(self, *arguments, **keywords):
        FullStore.room -= 1
        if FullStore.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        await super().set(*arguments, **keywords)


def test_a_full_disk_stops_the_run_in_one_line_and_keeps_whole_steps(embedded, monkeypatch):
    run = record(a_run(embedded), FullStore(), RecordAt(matchers=()))
    run.step()
    recorder_of(run).writer.flush()
    monkeypatch.setattr(FullStore, "room", 3)
    with pytest.raises(ZvrError, match=r"No space left on device; free space") as error:
        run.finish()
    assert "\n" not in str(error.value)
    recorder_of(run).__exit__(ZvrError, error.value, None)
    assert run.trace.steps == 1


def test_a_recorder_may_be_collected_by_any_thread_also_one_that_its_writer_waits_for(embedded, tmp_path):
    held = [record(a_run(embedded), tmp_path / "run.zarr", RecordAt(matchers=()))]
    held[0].step()

    async def drop():
        held.clear()
        gc.collect()

    asyncio.run_coroutine_threadsafe(drop(), _get_loop()).result(timeout=60)  # zarr's own thread
    for thread in [t for t in threading.enumerate() if t.name == CLOSING]:
        thread.join(60)
    assert open_trace(tmp_path / "run.zarr").closed


class Breaks(PlugIn):
    def x0(self, x0, context):
        return x0 * float("nan") if context.step == 2 else x0


def test_nan_keeps_the_steps_before(embedded):
    run = record(a_run(embedded, Method("breaks", (Windows(3), Breaks()))), None, RecordAt(matchers=()))
    with pytest.raises(ZvrError, match="step 2"):
        run.finish()
    assert run.trace.steps == 2
    assert np.isfinite(run.trace.x_t(2, 0)).all()
