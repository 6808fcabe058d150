"""A trace is whole at any moment: killed, full disks, rewound, forked, or read while it is written."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import zarr
from plain_trace import check, partial, plain_header, put_clip, put_step, write
from zarr.storage import LocalStore, MemoryStore, WrapperStore

from zvr_core.errors import ZvrError
from zvr_core.trace import Trace, open_trace
from zvr_core.trace.writer import TraceWriter


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.zarr"


# ── steps ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_whole_run_is_closed_and_all_there(path):
    trace = open_trace(write(path))
    assert trace.closed and trace.steps == trace.total_steps == 4
    check(trace)


@pytest.mark.parametrize("frames, window", [(1, 1), (7, 3), (40, 7), (70, 70)])
def test_clips_of_any_length_come_window_by_window(path, frames, window):
    check(open_trace(write(path, frames=frames, window=window, steps=2)))


def test_a_step_is_seen_only_when_it_is_committed(path):
    writer = partial(path, 2)
    put_step(writer, 2)
    assert open_trace(path).steps == 2
    writer.commit(2)
    writer.flush()
    assert open_trace(path).steps == 3
    assert not open_trace(path).closed
    writer.close()


def test_frames_of_the_clip_are_seen_only_when_all_are_there(path):
    writer = partial(path, 0)
    picture = np.zeros((2, 24, 40, 3), np.uint8)
    writer.put("clip/restored", picture)
    writer.commit_clip()
    writer.flush()
    assert not open_trace(path).has("restored")
    writer.put("clip/restored", picture[:1], frame=2)
    writer.close()
    assert open_trace(path).has("restored")


def test_a_trace_in_memory_is_read_while_it_is_written():
    store = MemoryStore()
    writer = partial(store, 1)
    trace = Trace(store)
    assert trace.steps == 1 and trace.seconds(0) == 0
    put_step(writer, 1)
    writer.commit(1)
    writer.flush()
    assert trace.refresh().steps == 2
    check(trace)
    writer.close()


def test_threads_may_read_while_another_writes():
    store, failures = MemoryStore(), []
    writer = partial(store, 1, steps=8)

    def read():
        trace = Trace(store)
        try:
            while trace.refresh().steps < 8:
                check(trace)
        except BaseException as error:
            failures.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for step in range(1, 8):
        put_step(writer, step)
        writer.commit(step)
    writer.close()
    for reader in readers:
        reader.join()
    assert not failures


# ── ends ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """Traces whose writers were killed at random moments."""
    rng = np.random.default_rng(0)
    script = Path(__file__).with_name("plain_trace.py")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])}
    paths = [tmp_path_factory.mktemp("killed") / f"{number}.zarr" for number in range(3)]
    writers = [subprocess.Popen([sys.executable, str(script), str(path)], stdout=subprocess.PIPE, env=environment) for path in paths]
    for writer, path in zip(writers, paths, strict=True):
        assert writer.stdout.readline() == b"going\n"
        with pytest.raises(ZvrError, match="being written by a run that still lives"):
            TraceWriter.reopen(path)
        time.sleep(rng.uniform(0, 0.3))
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
    return paths


def test_what_was_killed_opens_with_all_whole_steps(killed):
    for path in killed:
        trace = open_trace(path)
        assert trace.steps >= 1 and not trace.closed
        check(trace)


def test_what_was_killed_goes_on_after_its_last_whole_step(killed, tmp_path):
    for number, path in enumerate(killed):
        shutil.copytree(path, copy := tmp_path / f"{number}.zarr")
        (copy / "x_t" / "c.9999.0.0.0.0.partial").write_bytes(b"half")
        with TraceWriter.reopen(copy) as writer:
            whole = writer.complete
            put_step(writer, whole)
            writer.commit(whole)
        assert not list(copy.rglob("*.partial"))
        assert open_trace(copy).steps == whole + 1
        check(open_trace(copy))


def test_files_of_a_step_that_never_ended_are_cleared(path):
    writer = partial(path, 2)
    writer._files.release()  # as the end of its process would
    shutil.copy(path / "x0" / "c.1.0.0.0.0", path / "x0" / "c.2.0.0.0.0")
    TraceWriter.reopen(path).close()
    assert not (path / "x0" / "c.2.0.0.0.0").exists()
    check(open_trace(path))


def test_an_error_inside_keeps_the_steps_and_is_not_hidden(path):
    with pytest.raises(KeyboardInterrupt), TraceWriter(path, plain_header()) as writer:
        put_clip(writer)
        put_step(writer, 0)
        writer.commit(0)
        raise KeyboardInterrupt
    assert open_trace(path).steps == 1 and open_trace(path).closed


def test_a_step_that_was_not_committed_leaves_nothing_behind(path):
    writer = partial(path, 1)
    put_step(writer, 1)
    writer.close()
    assert not list(path.glob("x0/c.1.*")) and not (path / "state" / "2").exists()
    assert np.isnan(zarr.open_array(path / "seconds", mode="r")[1])


def test_a_closed_writer_says_so(path):
    writer = partial(path, 1)
    writer.close()
    writer.close()
    writer.flush()
    put_step(writer, 1)
    for call in (lambda: writer.commit(1), lambda: writer.truncate(0)):
        with pytest.raises(ZvrError, match=r"run\.zarr is closed; go on with it"):
            call()


class Broken(WrapperStore):
    """A disk that gives up after so many files."""

    def __init__(self, store, number, after):
        super().__init__(store)
        self.number, self.left = number, after

    async def set(self, key, value):
        self.left -= 1
        if self.left < 0:
            raise OSError(self.number, os.strerror(self.number))
        await super().set(key, value)


@pytest.mark.parametrize("number, fix", [(errno.ENOSPC, "free space there, or record less"), (errno.EROFS, "choose a folder")])
def test_a_disk_that_gives_up_costs_no_whole_step(path, number, fix):
    writer = TraceWriter(Broken(LocalStore(path), number, after=60), plain_header(steps=50))
    with pytest.raises(ZvrError, match=f"cannot write .*{os.strerror(number)}; {fix}"):
        put_clip(writer)
        for step in range(50):
            put_step(writer, step)
            writer.commit(step)
    with pytest.raises(ZvrError):
        writer.close()
    assert 1 <= open_trace(path).steps < 50
    check(open_trace(path))


def test_a_disk_that_is_full_at_once_is_said_at_once(path):
    with pytest.raises(ZvrError, match="No space left"):
        TraceWriter(Broken(LocalStore(path), errno.ENOSPC, after=0), plain_header())


# ── where a trace may begin ──────────────────────────────────────────────────────────────────────────────────────────


def test_an_old_trace_is_replaced_only_on_request(path):
    write(path)
    with pytest.raises(ZvrError, match=r"run\.zarr exists and is not empty; .*overwrite=True"):
        TraceWriter(path, plain_header())
    TraceWriter(path, plain_header(), overwrite=True).close()
    assert open_trace(path).steps == 0
    assert not (path / "x0").exists()


def test_what_is_no_trace_is_never_replaced(path):
    path.mkdir()
    (path / "thesis.tex").write_text("years of work")
    with pytest.raises(ZvrError, match="holds something else than a trace"):
        TraceWriter(path, plain_header(), overwrite=True)
    assert (path / "thesis.tex").exists()


def test_a_file_is_no_place_for_a_trace(path):
    path.write_text("")
    with pytest.raises(ZvrError, match="is a file, a folder was expected"):
        TraceWriter(path, plain_header(), overwrite=True)


def test_a_url_is_no_place_for_a_trace():
    with pytest.raises(ZvrError, match="recorded to a folder"):
        TraceWriter("https://example.org/run.zarr", plain_header())


def test_two_writers_of_one_trace_are_one_too_many(path):
    writer = partial(path, 1)
    for second in (lambda: TraceWriter(path, plain_header(), overwrite=True), lambda: TraceWriter.reopen(path)):
        with pytest.raises(ZvrError, match="being written"):
            second()
    writer.close()
    TraceWriter.reopen(path).close()


def test_a_store_of_a_folder_is_locked_like_the_folder(path):
    writer = partial(path, 1)
    with pytest.raises(ZvrError, match="being written"):
        TraceWriter.reopen(writer.store)
    writer.close()
    TraceWriter.reopen(writer.store).close()


def test_nothing_is_reopened_where_nothing_is(path):
    with pytest.raises(ZvrError, match="no such folder"):
        TraceWriter.reopen(path)


# ── what may be put ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"name": "x_s", "values": []}, "unknown array 'x_s'; did you mean x_t"),
        ({"name": "merged", "values": [], "site": "up.0.9"}, "unknown site 'up.0.9'; did you mean up.0.0"),
        ({"name": "merged", "values": np.zeros((3, 4)), "site": "mid.0"}, r"values of shape \(3, 4\) given, \(frames, 6\) expected"),
        ({"name": "x0", "values": np.zeros((3, 4, 3, 5)), "step": 4}, "step 4 given, steps 0 to 3 expected"),
        ({"name": "x0", "values": np.zeros((3, 4, 3, 5)), "frame": 1}, "frames 1 to 3 given, the clip has 3"),
    ],
)
def test_what_the_header_does_not_allow_is_refused(arguments, words):
    with TraceWriter(MemoryStore(), plain_header()) as writer, pytest.raises(ZvrError, match=words):
        writer.put(**arguments)


def test_a_preview_that_does_not_fit_is_refused():
    with TraceWriter(MemoryStore(), plain_header()) as writer, pytest.raises(ZvrError, match="lower the quality"):
        writer.put_previews(0, [bytes(2000)])


def test_state_that_is_no_number_is_refused():
    with TraceWriter(MemoryStore(), plain_header()) as writer, pytest.raises(ZvrError, match="state basis of type"):
        writer.put_state(1, {"basis": np.array(["text"])})


def test_estimates_too_large_for_half_precision_become_infinite_without_a_warning():
    with TraceWriter(store := MemoryStore(), plain_header()) as writer:
        writer.put("x0", np.full((3, 4, 3, 5), 1e6, np.float32))
        writer.commit(0)
    assert np.isposinf(Trace(store).x0(0, 0)).all()


def test_documents_are_plain_json_without_pickles(path):
    write(path)
    for file in path.rglob("zarr.json"):
        json.loads(file.read_text())
    assert {file.name.split(".")[0] for file in path.rglob("*") if file.is_file()} == {"zarr", "c"}
