"""A run that was killed goes on to the bit-identical end."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from recording import a_run, latents, moving_clip, with_inertia
from twins import save_x4

import zvr_core.recording.resume
from zvr_core.correspondence import Correspondence, Upsampled
from zvr_core.errors import ZvrError
from zvr_core.flow import DIS
from zvr_core.media.sound import Sound
from zvr_core.methods.base import Method, Windows
from zvr_core.methods.presets import per_frame
from zvr_core.models.load import load_model
from zvr_core.recording.choice import RecordAt
from zvr_core.recording.header import weights_hash
from zvr_core.recording.recorder import record
from zvr_core.restore import Restoration
from zvr_core.sampler import DPMSolver
from zvr_core.trace import open_trace
from zvr_core.trace.writer import TraceWriter

STEPS = 5
RUNS = {
    "plain": ({}, RecordAt(matchers=("flow",), tokens=3)),
    "state": ({"method": with_inertia()}, RecordAt(what=())),
    "dpm": ({"sampler": DPMSolver()}, RecordAt(what={"flow"})),
}
SCRIPT = """
import sys, torch
torch.set_num_threads(1)
sys.path.insert(0, sys.argv[1])
from test_recording_resume import RUNS, STEPS, a_run, record
from zvr_core.models.load import load_model
model = load_model("embedded")
runs = [record(a_run(model, steps=STEPS, **settings), f"{sys.argv[2]}/{name}.zarr", at) for name, (settings, at) in RUNS.items()]
for _ in range(STEPS):
    for run in runs:
        run.step()
"""


def complete(path):
    """The whole steps of a trace, straight from its root document."""
    try:
        return json.loads((path / "zarr.json").read_text())["attributes"]["complete"]
    except FileNotFoundError:
        return 0


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """Traces of runs whose process was killed without warning in the middle."""
    folder = tmp_path_factory.mktemp("killed")
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(Path(__file__).parent), str(folder)], env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    while process.poll() is None and complete(folder / "dpm.zarr") < 2:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it ended before it was killed"
    return folder


@pytest.mark.parametrize("name", RUNS)
def test_a_killed_run_goes_on_to_the_same_end(embedded, killed, name):
    settings, at = RUNS[name]
    straight = record(a_run(embedded, steps=STEPS, **settings), None, at).finish()
    run = Restoration.resume(killed / f"{name}.zarr", model=embedded, **({"method": with_inertia()} if name == "state" else {}))
    assert 2 <= run.index < STEPS
    assert torch.equal(latents(run.finish()), latents(straight))
    ours, theirs = open_trace(killed / f"{name}.zarr"), straight.trace
    assert (ours.steps, ours.closed) == (STEPS, True)
    assert ours.attributes["arrays"] == theirs.attributes["arrays"]
    if name == "plain":
        for step in range(STEPS):
            for read in ("tokens", "merged", "provider"):
                assert np.array_equal(getattr(ours, read)(step, "up.1.0", 1), getattr(theirs, read)(step, "up.1.0", 1))
            assert ours.preview_jpeg(step, 2) == theirs.preview_jpeg(step, 2)
        assert np.array_equal(ours.restored(1), theirs.restored(1))


@pytest.fixture
def stopped(embedded, tmp_path):
    """A trace that was closed after two of four steps."""
    run = record(a_run(embedded), tmp_path / "a.zarr", RecordAt(matchers=()))
    run.step(2)
    run.history.recorder.close()
    return tmp_path / "a.zarr"


def edit(path, **attributes):
    """Changes the root document."""
    document = json.loads((path / "zarr.json").read_text())
    document["attributes"] |= attributes
    (path / "zarr.json").write_text(json.dumps(document))


def test_all_is_rebuilt_from_the_trace(stopped):
    """The clip's file may be gone: frames, rate and flow come from the trace, the model from its name."""
    run = Restoration.resume(stopped)
    assert (run.index, run.method, run.seed) == (2, a_run(run.model).method, 3)
    assert torch.equal(run.clip[:], moving_clip()[:])
    assert (run.clip.name, run.clip.fps) == ("moving", Fraction(30000, 1001))
    assert torch.equal(run.flow.flow(0, 1), Correspondence(Upsampled(moving_clip(), 4), DIS()).flow(0, 1))
    assert torch.equal(run.flow.occluded(2, 1), Correspondence(Upsampled(moving_clip(), 4), DIS()).occluded(2, 1))
    run.rewind(1)
    assert torch.equal(latents(run.finish()), latents(a_run(run.model).finish()))


def test_a_model_from_a_folder_and_its_fitted_previews(tmp_path, monkeypatch):
    """Found again from anywhere; the linear map of the previews goes on as it was."""
    save_x4(tmp_path / "x4")
    monkeypatch.chdir(tmp_path)
    at, method = RecordAt(matchers=(), what={"preview"}), per_frame(2)
    straight = record(a_run(load_model("x4"), method, steps=3), None, at).finish()
    run = record(a_run(load_model("x4"), method, steps=3), "a.zarr", at)
    run.step(2)
    run.history.recorder.close()
    monkeypatch.chdir("/")
    again = Restoration.resume(tmp_path / "a.zarr").finish()
    assert torch.equal(latents(again), latents(straight))
    assert again.trace.preview_jpeg(2, 1) == straight.trace.preview_jpeg(2, 1)


def test_the_sound_comes_from_the_file_where_it_is_still_there(embedded, stopped, tmp_path):
    (tmp_path / "film.mp4").touch()
    edit(stopped, settings={"flow": "", "sound": str(tmp_path / "film.mp4"), "sound_start": "1/2"})
    assert Restoration.resume(stopped, model=embedded).clip.audio == Sound(tmp_path / "film.mp4", Fraction(1, 2))


def test_a_finished_run_resumes_at_its_end(embedded, tmp_path):
    run = record(a_run(embedded, steps=2), tmp_path / "a.zarr", RecordAt(matchers=())).finish()
    again = Restoration.resume(tmp_path / "a.zarr", model=embedded)
    assert again.index == again.steps == 2
    assert torch.equal(torch.cat(list(again.frames())), torch.cat(list(run.frames())))


def test_a_run_that_still_lives_is_left_alone(embedded, tmp_path):
    run = record(a_run(embedded), tmp_path / "a.zarr", RecordAt(what=()))
    run.step()
    with pytest.raises(ZvrError, match="still lives"):
        Restoration.resume(tmp_path / "a.zarr", model=embedded)


def test_other_weights_are_refused(embedded, stopped):
    edit(stopped, model={**open_trace(stopped).model, "weights": "0" * 64})
    with pytest.raises(ZvrError, match="are not those"):
        Restoration.resume(stopped, model=embedded)


def test_the_hash_sees_every_weight():
    network = torch.nn.Linear(3, 2)
    before = weights_hash(network)
    assert before == weights_hash(network)
    with torch.no_grad():
        network.bias[1] += 1e-3
    assert weights_hash(network) != before


def test_another_machine_is_warned_of(embedded, stopped, caplog):
    edit(stopped, machine={**open_trace(stopped).header.machine, "threads": 64, "capability": "AVX9"})
    with caplog.at_level(logging.WARNING, zvr_core.recording.resume.__name__):
        Restoration.resume(stopped, model=embedded)
    assert [record.message.split(",")[0] for record in caplog.records] == ["recorded with threads 64", "recorded with CPU capability AVX9"]


def test_other_windows_are_refused(embedded, stopped):
    edit(stopped, windows=[{"start": 0, "stop": 2, "key": 1, "previous_key": -1}, {"start": 2, "stop": 3, "key": 2, "previous_key": 1}])
    with pytest.raises(ZvrError, match="plans other windows"):
        Restoration.resume(stopped, model=embedded)


def test_a_method_from_elsewhere_has_to_be_given_again(embedded, tmp_path):
    run = record(a_run(embedded, Method("mine", (Windows(2), *with_inertia().plugins[1:]))), tmp_path / "a.zarr", RecordAt(what=()))
    run.step()
    run.history.recorder.close()
    with pytest.raises(ZvrError, match="method=…"):
        Restoration.resume(tmp_path / "a.zarr", model=embedded)


def test_a_trace_without_its_clip(embedded, tmp_path):
    run = record(a_run(embedded), None, RecordAt(what=()))
    TraceWriter(tmp_path / "a.zarr", run.history.recorder.header).close()
    with pytest.raises(ZvrError, match="before the clip was recorded"):
        Restoration.resume(tmp_path / "a.zarr", model=embedded)


def test_what_is_no_trace(tmp_path):
    with pytest.raises(ZvrError):
        Restoration.resume(tmp_path / "none.zarr")
