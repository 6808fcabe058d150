"""RecordAt as a value, and what it costs."""

import math
import subprocess
import sys
from collections import namedtuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recording import a_run

from zvr_core.errors import ZvrError
from zvr_core.recording.choice import RecordAt, Steps
from zvr_core.recording.estimate import Estimate, estimate
from zvr_core.recording.recorder import record

SITES = ("down.1.0", "up.0.0", "up.1.0")


@pytest.mark.parametrize(
    ("given_steps", "expected"),
    [("all", range(10)), (3, (0, 3, 6, 9)), (slice(2, 5), (2, 3, 4)), (slice(None, None, 4), (0, 4, 8)), ([5, 0], (0, 5)), ((-1,), (9,))],
)
def test_steps_of_ten(given_steps, expected):
    assert RecordAt(steps=given_steps).steps.of(10) == tuple(expected)


@given(st.lists(st.integers(-6, 5), max_size=8))
def test_steps_are_ascending_and_each_once(numbers):
    assert Steps(tuple(numbers)).of(6) == tuple(sorted({n % 6 for n in numbers}))


@pytest.mark.parametrize(("steps", "words"), [([10], "0 to 9"), ([-11], "-1 for the last"), (slice(20, 30), "0:10")])
def test_steps_that_the_run_does_not_have(steps, words):
    with pytest.raises(ZvrError, match=words):
        RecordAt(steps=steps).steps.of(10)


@pytest.mark.parametrize("steps", ["some", 0, True, 1.5, None])
def test_what_is_no_choice_of_steps(steps):
    with pytest.raises(ZvrError, match=r"given"):
        RecordAt(steps=steps)


def test_sites_come_in_the_models_order_and_misspelt_ones_get_the_nearest():
    assert RecordAt(sites=("up.1.0", "down.1.0")).chosen_sites(SITES) == ("down.1.0", "up.1.0")
    assert RecordAt(sites="up.1.0").chosen_sites(SITES) == ("up.1.0",)
    with pytest.raises(ZvrError, match=r"did you mean up\.1\.0"):
        RecordAt(sites=("up.1.9",)).chosen_sites(SITES)


def test_no_site_is_looked_at_where_only_latents_are_wanted():
    assert RecordAt(what={"x_t"}).chosen_sites(SITES) == ()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"matchers": ("cosin",)}, "did you mean cosine"),
        ({"what": {"latents"}}, "unknown thing to record"),
        ({"similarity": 48, "matchers": ("cosine",)}, "matchers that can disagree"),
        ({"similarity": -1}, "48 is usual"),
        ({"entropy": True}, "similarity=48"),
        ({"tokens": "some"}, "16 is usual"),
        ({"tokens": 0}, "16 is usual"),
        ({"preview": 0}, "320 is usual"),
    ],
)
def test_what_makes_no_sense_is_refused(settings, words):
    with pytest.raises(ZvrError, match=words):
        RecordAt(**settings)


@pytest.mark.parametrize("at", [RecordAt(), RecordAt.everything(), RecordAt(steps=[1, -1], sites=("up.1.0",), tokens=4, what={"x0"})])
def test_json_and_back(at):
    again = RecordAt.from_json(at.to_json(10))
    assert again.steps.of(10) == at.steps.of(10)
    assert again.to_json(10) == at.to_json(10)


def test_recording_choices_load_no_torch():
    code = "import sys, zvr_core.recording.choice; sys.exit('torch' in sys.modules or 'zarr' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_latents_cost_their_bytes_on_disk_or_in_memory(embedded):
    run = a_run(embedded)
    expected = (4 + 1) * 3 * math.prod(embedded.latent_shape((12, 16))) * 4
    assert estimate(run.clip, embedded, run.method, 4, RecordAt(what=())).arrays["x_t"] == expected
    assert estimate(run.clip, embedded, run.method, 4) == Estimate({}, expected)


@pytest.mark.parametrize("at", [RecordAt(steps=2, matchers=(), what={"matches"}), RecordAt.everything()])
def test_the_estimate_covers_what_is_written(embedded, tmp_path, at):
    run = record(a_run(embedded, steps=2), tmp_path / "a.zarr", at)
    promised = estimate(run.clip, embedded, run.method, 2, at)
    written = {spec.path for spec in run.finish().trace._reader.layout.arrays.values() if run.trace._reader.has(spec.path)}
    files = [path for path in (tmp_path / "a.zarr").rglob("c.*") if path.is_file()]
    assert written <= promised.arrays.keys()
    assert sum(path.stat().st_size for path in files) < 1.2 * promised.total + 100 * len(files)


def test_unknown_sites_are_refused_before_anything_runs(embedded):
    run = a_run(embedded)
    with pytest.raises(ZvrError, match=r"unknown site to record 'up\.7'"):
        estimate(run.clip, embedded, run.method, 4, RecordAt(sites=("up.7",)))


def test_a_disk_that_is_too_small_is_refused(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage(1000, 500, 500))
    Estimate({"x_t": 500}).check_room(tmp_path / "new" / "run.zarr")
    with pytest.raises(ZvrError, match=r"501 bytes, but .* has 500 bytes free") as error:
        Estimate({"x_t": 501}).check_room(tmp_path / "new" / "run.zarr")
    assert "\n" not in str(error.value)
