"""The command line, as a user meets it: in a process of its own."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from zvr_core.clip import load_clip
from zvr_core.media.writing import write_clip

ZVR = [sys.executable, "-m", "zvr_core"]
FAST = {**os.environ, "OMP_NUM_THREADS": "1"}


def zvr(*arguments, **keywords):
    return subprocess.run([*ZVR, *map(str, arguments)], capture_output=True, text=True, env=FAST, timeout=300, check=False, **keywords)


def refused(*arguments):
    """One line on standard error, exit code 2, nothing on standard output."""
    done = zvr(*arguments)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


@pytest.fixture
def clip(tmp_path):
    frames = torch.rand(3, 3, 9, 14, generator=torch.Generator().manual_seed(0))
    return write_clip([frames], tmp_path / "input.mkv", 12).path


def test_restoring_a_video_keeps_frames_and_rate_and_enlarges_by_four(clip, tmp_path):
    done = zvr("restore", clip, "-o", tmp_path / "out.mp4", "--steps", 2)
    assert done.returncode == 0, done.stderr
    restored = load_clip(tmp_path / "out.mp4")
    assert restored.shape == (3, 3, 36, 56)
    assert restored.fps == 12
    assert "sound: none in the source" in done.stderr


def test_part_of_a_clip_into_a_folder(clip, tmp_path):
    assert zvr("restore", clip, "-o", tmp_path / "out", "--steps", 1, "--frames", "1:", "--method", "per_frame").returncode == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["00000.png", "00001.png"]


def test_the_same_command_gives_the_same_file(clip, tmp_path):
    for name in ("a.mkv", "b.mkv"):
        assert zvr("restore", clip, "-o", tmp_path / name, "--steps", 1, "--seed", 3).returncode == 0
    assert torch.equal(load_clip(tmp_path / "a.mkv")[:], load_clip(tmp_path / "b.mkv")[:])


def test_degrading_is_seeded_and_lossless(clip, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        done = zvr("degrade", clip, "-o", tmp_path / name, "--with", "noise=20", "--seed", seed)
        assert done.returncode == 0, done.stderr
    a, b, c = (load_clip(tmp_path / name)[:] for name in "abc")
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert a.shape == (3, 3, 9, 14)


@pytest.mark.parametrize("command", ["models", "methods"])
def test_lists(command):
    done = zvr(command)
    assert done.returncode == 0
    assert any(name in done.stdout for name in ("embedded", "diffir2vr"))


def test_a_missing_input(tmp_path):
    assert "no such file or folder" in refused("restore", tmp_path / "none.mp4", "-o", tmp_path / "out.mp4")


def test_a_misspelt_method(clip, tmp_path):
    assert "did you mean diffir2vr" in refused("restore", clip, "-o", tmp_path / "out.mp4", "--method", "diffir2v")


def test_a_misspelt_model(clip, tmp_path):
    assert "did you mean embedded" in refused("restore", clip, "-o", tmp_path / "out.mp4", "--model", "embeded")


def test_a_misspelt_option(clip, tmp_path):
    assert "--metod" in refused("restore", clip, "-o", tmp_path / "out.mp4", "--metod", "x")


def test_no_output(clip):
    assert "-o" in refused("restore", clip)


def test_an_existing_output_is_kept_unless_asked(clip, tmp_path):
    target = tmp_path / "out.mp4"
    target.write_bytes(b"precious")
    assert "--overwrite" in refused("restore", clip, "-o", target, "--steps", 1)
    assert target.read_bytes() == b"precious"
    assert zvr("restore", clip, "-o", target, "--steps", 1, "--overwrite").returncode == 0
    assert len(load_clip(target)) == 3


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--steps", "0", "steps 0 given"),
        ("--steps", "many", "many"),
        ("--window", "0", "window size 0 given"),
        ("--frames", "5:2", "frames 5:2"),
        ("--frames", "x", "START:STOP expected"),
        ("--device", "tpu", "device 'tpu' is not available"),
        ("--dtype", "int8", "unknown dtype"),
        ("--sampler", "eular", "unknown sampler"),
    ],
)
def test_impossible_settings(clip, tmp_path, option, value, words):
    assert words in refused("restore", clip, "-o", tmp_path / "out.mp4", option, value)
    assert not (tmp_path / "out.mp4").exists()


def test_a_corrupt_video(tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"not a video at all" * 50)
    assert "broken.mp4" in refused("restore", tmp_path / "broken.mp4", "-o", tmp_path / "out.mp4")


def test_an_impossible_recipe(clip, tmp_path):
    assert "blurr" in refused("degrade", clip, "-o", tmp_path / "out", "--with", "blurr=2")
    assert not (tmp_path / "out").exists()


def test_an_output_place_that_does_not_exist(clip, tmp_path):
    assert "nowhere" in refused("restore", clip, "-o", tmp_path / "nowhere" / "out.mp4", "--steps", 1)


def test_an_unknown_kind_of_output_is_refused_before_any_work(clip, tmp_path):
    started = time.monotonic()
    assert ".docx" in refused("restore", clip, "-o", tmp_path / "out.docx", "--steps", 500)
    assert time.monotonic() - started < 60  # 500 steps would take minutes


def test_ctrl_c_leaves_nothing_and_says_so(clip, tmp_path):
    running = subprocess.Popen(
        [*ZVR, "restore", str(clip), "-o", str(tmp_path / "out.mp4"), "--steps", "900"], stderr=subprocess.PIPE, text=True, env=FAST,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background job's children would ignore it
    )  # fmt: skip
    assert "to 56×36" in running.stderr.readline()  # the run has begun
    time.sleep(1)
    running.send_signal(signal.SIGINT)
    _, words = running.communicate(timeout=60)
    assert running.returncode == 130, words
    assert words.rstrip().endswith("zvr: interrupted; nothing was written")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["input.mkv"]
