"""Recording, resuming and looking at traces from the command line."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from recording import moving_clip
from test_recording_resume import complete

from zvr_core.cli import main
from zvr_core.clip import load_clip
from zvr_core.errors import ZvrError
from zvr_core.media.writing import write_clip
from zvr_core.methods.base import PlugIn
from zvr_core.trace import open_trace
from zvr_core.trace.files import TraceFiles

ZVR = [sys.executable, "-m", "zvr_core"]
FAST = {**os.environ, "OMP_NUM_THREADS": "1"}
SHORT = ("--steps", 3, "--window", 3)


def zvr(*arguments):
    """Runs a command in this process; its exit code."""
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return end.value.code


@pytest.fixture
def refused(capsys):
    """Runs a command that must fail with one line, and returns the line."""

    def run(*arguments):
        assert zvr(*arguments) == 2
        said = capsys.readouterr()
        line = said.err.splitlines()[-1]
        assert line.startswith("zvr: ")
        assert said.out == ""
        return line

    return run


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_clip([moving_clip(6)[:]], tmp_path_factory.mktemp("clip") / "input.mkv", 12).path


@pytest.fixture(scope="module")
def recorded(clip):
    """A restored video and its trace."""
    assert zvr("restore", clip, "-o", clip.parent / "out.mkv", "--record", clip.parent / "run.zarr", "--record-similarity", 4, *SHORT) == 0
    return clip.parent


def test_the_trace_holds_the_video(recorded):
    trace = open_trace(recorded / "run.zarr")
    restored = load_clip(recorded / "out.mkv")
    assert (trace.steps, trace.closed, trace.frames) == (3, True, 6)
    assert (255 * restored[2]).round().byte().permute(1, 2, 0).numpy().tolist() == trace.restored(2).tolist()
    assert len(trace.similarity(1, "up.1.0", 0)[0]) == 4


def test_recording_changes_nothing_and_the_size_is_said_before(clip, recorded, tmp_path, capsys):
    assert zvr("restore", clip, "-o", tmp_path / "plain.mkv", *SHORT) == 0
    assert torch.equal(load_clip(tmp_path / "plain.mkv")[:], load_clip(recorded / "out.mkv")[:])
    arguments = ["--record", tmp_path / "b.zarr", "--record-steps", "0,-1", "--record-sites", "up.1.0", *SHORT]
    assert zvr("restore", clip, "-o", tmp_path / "b.mkv", *arguments) == 0
    assert "about" in capsys.readouterr().err
    trace = open_trace(tmp_path / "b.zarr")
    assert (trace.match_steps, [site.name for site in trace.sites]) == ((0, 2), ["up.1.0"])


def test_info_says_what_is_inside_without_torch(recorded):
    code = "import sys; from zvr_core.trace.info import trace_info; print(trace_info(sys.argv[1])); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, str(recorded / "run.zarr")], capture_output=True, text=True, check=True)
    for part in (
        "input, 6 frames of 16×12 to 64×48, 12 fps",
        "embedded",
        "diffir2vr, DDIM(eta=0.0), seed 0",
        "3 of 3",
        "up.1.0 (8×6, merges by",
    ):
        assert part in done.stdout


def test_ctrl_c_keeps_the_trace_and_resuming_ends_at_the_same_frames(clip, recorded, tmp_path):
    trace, command = (
        tmp_path / "run.zarr",
        [*ZVR, "restore", clip, "-o", tmp_path / "a.mkv", "--steps", 40, "--record", tmp_path / "run.zarr"],
    )
    heard = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}  # a background job's children would ignore it
    process = subprocess.Popen([*map(str, command)], stderr=subprocess.PIPE, text=True, env=FAST, **heard)
    while process.poll() is None and complete(trace) < 1:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    said = process.communicate()[1]
    assert process.returncode == 130, said
    assert f"of 40 steps are kept; go on with: zvr resume {trace} -o {tmp_path / 'a.mkv'}" in said.splitlines()[-1]
    assert 1 <= open_trace(trace).steps < 40
    assert not (tmp_path / "a.mkv").exists()


def test_resume_writes_the_video(recorded, tmp_path, capsys):
    assert zvr("resume", recorded / "run.zarr", "-o", tmp_path / "again.mkv") == 0
    assert torch.equal(load_clip(tmp_path / "again.mkv")[:], load_clip(recorded / "out.mkv")[:])
    assert load_clip(tmp_path / "again.mkv").fps == 12


def test_nan_in_the_middle_says_how_to_go_on(clip, tmp_path, monkeypatch, refused):
    broken = PlugIn.x0
    monkeypatch.setattr(PlugIn, "x0", lambda self, x0, context: x0 * float("nan") if context.step == 1 else broken(self, x0, context))
    line = refused("restore", clip, "-o", tmp_path / "a.mkv", "--record", tmp_path / "run.zarr", *SHORT)
    assert "not finite" in line
    assert "1 of 3 steps are kept; go on with: zvr resume" in line
    assert not (tmp_path / "a.mkv").exists()


def test_a_disk_that_fills_up_in_the_middle(clip, tmp_path, monkeypatch, refused):
    write = TraceFiles.write

    def full(self, files):
        if any(name.startswith("x_t/c.3.") for name in files):
            raise ZvrError("cannot write the trace: No space left on device; free space there")
        write(self, files)

    monkeypatch.setattr(TraceFiles, "write", full)
    line = refused("restore", clip, "-o", tmp_path / "a.mkv", "--record", tmp_path / "run.zarr", *SHORT)
    assert "No space left on device" in line
    assert "2 of 3 steps are kept" in line


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--record-steps", "::2"], "add --record PATH"),
        (["--record", "{}/run.zarr", "--record-steps", "often"], "--record-steps ::5"),
        (["--record", "{}/run.zarr", "--record-steps", "7"], "0 to 2"),
        (["--record", "{}/run.zarr", "--record-sites", "up.1.7"], "did you mean up.1"),
        (["--record", "{}"], "exists; choose another place for the trace"),
    ],
)
def test_bad_options_are_refused_in_one_line(clip, tmp_path, refused, options, words):
    (tmp_path / "something").touch()
    filled = [option.format(tmp_path) for option in options]
    assert words in refused("restore", clip, "-o", tmp_path / "a.mkv", *SHORT, *filled)
    assert not (tmp_path / "run.zarr").exists()


def test_a_disk_without_room(clip, tmp_path, refused, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("usage", (), {"free": 1000}))
    line = refused("restore", clip, "-o", tmp_path / "a.mkv", "--record", tmp_path / "run.zarr", *SHORT)
    assert "has 1 kB free" in line
    assert not (tmp_path / "run.zarr").exists()


def test_what_is_no_trace(clip, tmp_path, refused):
    assert "no such file or folder" in refused("resume", tmp_path / "none.zarr", "-o", tmp_path / "a.mkv")
    assert str(clip.parent) in refused("info", clip.parent)
