"""A recording can be rewound, forked, closed and gone on with, and begun in the middle of a run."""

import numpy as np
import pytest
import torch
from recording import a_run, latents, with_inertia

from zvr_core.errors import ZvrError
from zvr_core.methods.presets import per_frame
from zvr_core.recording.choice import RecordAt
from zvr_core.recording.recorder import record, recorder_of
from zvr_core.trace import Missing, open_trace


def test_rewinding_cuts_the_trace_and_going_on_writes_it_anew(embedded, plain):
    run = record(a_run(embedded), None, RecordAt())
    run.step(3)
    run.rewind(1)
    assert run.trace.steps == 1
    assert torch.equal(latents(run), torch.stack([plain.history[1, f] for f in range(3)]))
    assert torch.equal(latents(run.finish()), latents(plain))
    assert (run.trace.steps, run.trace.closed) == (4, True)


def test_a_finished_recording_can_be_rewound_to_the_start(embedded, plain, tmp_path):
    run = record(a_run(embedded), tmp_path / "a.zarr", RecordAt(matchers=())).finish().rewind(0)
    assert not run.trace.has("restored")
    assert torch.equal(latents(run.finish()), latents(plain))
    assert open_trace(tmp_path / "a.zarr").steps == 4


def test_a_method_with_state_can_be_rewound(embedded):
    straight = a_run(embedded, with_inertia()).finish()
    run = record(a_run(embedded, with_inertia()), None, RecordAt(what=())).finish().rewind(2)
    assert torch.equal(latents(run.finish()), latents(straight))


def test_a_step_that_was_left_half_done_is_recorded_once(embedded):
    run = record(a_run(embedded, frames=6), None, RecordAt(matchers=()))
    next(iter(run.passes()))  # one window of the first step
    run.finish()
    straight = a_run(embedded, frames=6).finish()
    assert np.array_equal(run.trace.x_t(4, 0), straight.history[4, 0].numpy())
    own = straight.rewind(0).step().matches["up.1.0"]
    for number, window in enumerate(straight.windows):
        for i, frame in enumerate(window.frames):
            assert np.array_equal(run.trace.target(0, "up.1.0", frame, "cosine_spatial"), own[number].target[i].numpy())
    assert run.trace.merged_count(0, "up.1.0") == sum(run.trace.merged(0, "up.1.0", f).sum() for f in range(6))


def test_a_closed_recording_opens_again_when_its_run_goes_on(embedded, plain, tmp_path):
    run = record(a_run(embedded), tmp_path / "a.zarr", RecordAt(matchers=()))
    with recorder_of(run):
        run.step(2)
    assert open_trace(tmp_path / "a.zarr").closed
    assert torch.equal(latents(run.finish()), latents(plain))
    assert open_trace(tmp_path / "a.zarr").steps == 4


def test_a_fork_shares_its_parents_files_and_goes_its_own_way(embedded, tmp_path):
    parent = record(a_run(embedded), tmp_path / "a.zarr", RecordAt(matchers=()))
    parent.step(2)
    child = record(parent.fork(seed=9), tmp_path / "b.zarr").finish()
    parent.finish()
    a, b = open_trace(tmp_path / "a.zarr"), open_trace(tmp_path / "b.zarr")
    assert np.array_equal(a.target(0, "up.1.0", 0, "cosine_spatial"), b.target(0, "up.1.0", 0, "cosine_spatial"))
    assert (tmp_path / "b.zarr/x_t/c.1.0.0.0.0").stat().st_nlink == 2
    assert (b.steps, b.seed) == (4, 9)
    assert b.closed
    straight = a_run(embedded)
    straight.step(2)
    assert torch.equal(latents(straight.fork(seed=9).finish()), latents(child))


def test_a_fork_with_another_method_keeps_the_past_only(embedded, tmp_path):
    parent = record(a_run(embedded), None, RecordAt(matchers=()))
    parent.step(2)
    child = record(parent.fork(method=per_frame(3)), tmp_path / "b.zarr").finish()
    assert np.array_equal(child.trace.x_t(1, 0), parent.trace.x_t(1, 0))
    assert child.trace.steps == 4


def test_a_fork_that_does_not_record_survives_its_parents_rewinding(embedded):
    parent = record(a_run(embedded), None, RecordAt(what=()))
    parent.step(3)
    past = [parent.history[step, 0] for step in range(4)]
    child = parent.fork()
    grandchild = child.fork(from_step=2)
    parent.rewind(0).fork()
    assert all(torch.equal(child.history[step, 0], past[step]) for step in range(4))
    assert torch.equal(grandchild.history[2, 0], past[2])
    with pytest.raises(ZvrError, match="does not record"):
        _ = child.trace


def test_recording_may_begin_in_the_middle(embedded, plain):
    run = a_run(embedded)
    run.step(2)
    record(run, None, RecordAt(matchers=())).finish()
    assert np.array_equal(run.trace.x_t(1, 2), plain.history[1, 2].numpy())
    assert torch.equal(latents(run), latents(plain))
    with pytest.raises(Missing, match="before the fork at step 2"):
        run.trace.target(1, "up.1.0", 0, "cosine_spatial")
