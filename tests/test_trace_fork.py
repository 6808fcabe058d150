"""A trace that was rewound has forgotten; one that was forked shares, and opens alone."""

import errno
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
from plain_trace import check, partial, plain_header, put_step, write
from zarr.storage import MemoryStore

from zvr_core.errors import ZvrError
from zvr_core.trace import Missing, Trace, open_trace
from zvr_core.trace.fork import fork_trace
from zvr_core.trace.writer import TraceWriter


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.zarr"


def test_a_rewound_trace_has_forgotten_later_steps(path):
    writer = partial(path, 4)
    writer.truncate(2)
    assert open_trace(path).steps == 2
    assert not list(path.glob("x0/c.[23]*")) and not list(path.glob("x_t/c.[34]*")) and not (path / "state" / "3").exists()
    for step in (2, 3):
        put_step(writer, step, offset=10)
        writer.commit(step)
    writer.close()
    trace = open_trace(path)
    assert [trace.seconds(step) for step in range(4)] == [0, 1, 12, 13]
    assert [trace.x0(step, 0).mean() for step in range(4)] == [0, 1, 12, 13]


def test_a_reader_forgets_what_was_rewound():
    store = MemoryStore()
    writer = partial(store, 2)
    trace = Trace(store)
    assert (trace.x0(1, 0) == 1).all()
    writer.truncate(1)
    put_step(writer, 1, offset=10)
    writer.commit(1)
    writer.close()
    assert (trace.refresh().x0(1, 0) == 11).all()


def test_a_trace_is_not_rewound_to_steps_it_does_not_have(path):
    with partial(path, 1) as writer, pytest.raises(ZvrError, match="has 1 whole steps"):
        writer.truncate(2)


def test_a_fork_shares_the_files_of_its_parent_and_opens_alone(path, tmp_path):
    write(path)
    with fork_trace(path, tmp_path / "fork.zarr", 2) as writer:
        assert writer.complete == 2
    shared = [file for file in (tmp_path / "fork.zarr").rglob("c.*") if file.stat().st_nlink > 1]
    assert {file.name for file in shared if file.parent.name == "x_t"} == {f"c.{step}.0.0.0.0" for step in range(3)}
    shutil.rmtree(path)
    fork = open_trace(tmp_path / "fork.zarr")
    assert fork.steps == 2 and fork.header.forked == 2
    check(fork)


def test_a_fork_goes_its_own_way_and_its_parent_stays(path, tmp_path):
    write(path)
    other = replace(plain_header(), method_name="other", seed=5)
    with fork_trace(path, tmp_path / "fork.zarr", 2, header=other) as writer:
        for step in (2, 3):
            put_step(writer, step, offset=10)
            writer.commit(step)
    fork = open_trace(tmp_path / "fork.zarr")
    assert (fork.method, fork.seed) == ("other", 5)
    assert [fork.x0(step, 0).mean() for step in range(4)] == [0, 1, 12, 13]
    assert [fork.seconds(step) for step in range(4)] == [0, 1, 12, 13]
    check(open_trace(path))


def test_a_parent_that_is_recorded_anew_leaves_its_fork_alone(path, tmp_path):
    with partial(path, 4) as writer:
        fork_trace(path, tmp_path / "fork.zarr", 4).close()
        writer.truncate(0)
        for step in range(4):
            put_step(writer, step, offset=20)
            writer.commit(step)
    check(open_trace(tmp_path / "fork.zarr"))
    check(open_trace(path), offset=20)


def test_a_fork_is_copied_where_it_cannot_be_linked(path, tmp_path, monkeypatch):
    write(path)
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(errno.EXDEV, "another disk")))
    fork_trace(path, tmp_path / "fork.zarr", 3).close()
    check(open_trace(tmp_path / "fork.zarr"))


@pytest.mark.parametrize("kind", ["memory to memory", "memory to disk", "disk to memory"])
def test_forks_may_go_to_memory_and_back(path, kind):
    parent = path if kind.startswith("disk") else MemoryStore()
    target = path if kind.endswith("disk") else MemoryStore()
    write(parent)
    fork_trace(parent, target, 3).close()
    check(open_trace(target))


def test_a_fork_leaves_the_parents_result_behind(path, tmp_path):
    with partial(path, 4) as writer:
        writer.put("clip/restored", np.zeros((3, 24, 40, 3), np.uint8))
    fork_trace(path, tmp_path / "fork.zarr", 2).close()
    assert open_trace(path).has("restored") and not open_trace(tmp_path / "fork.zarr").has("restored")
    assert not (tmp_path / "fork.zarr" / "clip" / "restored").exists()


def test_a_closed_trace_that_is_reopened_keeps_its_result(path):
    with partial(path, 4) as writer:
        writer.put("clip/restored", np.zeros((3, 24, 40, 3), np.uint8))
    TraceWriter.reopen(path).close()
    assert open_trace(path).has("restored")
    check(open_trace(path))


@pytest.mark.parametrize("step", [-1, 5])
def test_a_fork_leaves_where_the_parent_was(path, tmp_path, step):
    write(path)
    with pytest.raises(ZvrError, match=f"step {step} given to fork from, but .* has 4 whole steps"):
        fork_trace(path, tmp_path / "fork.zarr", step)


def test_a_fork_of_other_shapes_is_refused(path, tmp_path):
    write(path)
    with pytest.raises(ZvrError, match="other shapes"):
        fork_trace(path, tmp_path / "fork.zarr", 2, header=plain_header(frames=6))


def test_a_fork_does_not_replace_its_parent(path):
    write(path)
    with pytest.raises(ZvrError, match="its own parent"):
        fork_trace(path, path, 2, overwrite=True)
    check(open_trace(path))


def test_matches_that_only_the_fork_has_are_missing_before_it(path, tmp_path):
    write(path)
    more = replace(plain_header(), matchers=("flow", "cosine", "cosine_flow"))
    with fork_trace(path, tmp_path / "fork.zarr", 3, header=more) as writer:
        put_step(writer, 3)
        writer.put("cosine_flow_target", np.zeros((3, 6)), step=3, site="mid.0")
        writer.commit(3)
    fork = open_trace(tmp_path / "fork.zarr")
    assert (fork.target(3, "mid.0", 0, "cosine_flow") == 0).all()
    with pytest.raises(Missing, match="before the fork at step 3"):
        fork.target(2, "mid.0", 0, "cosine_flow")
