"""The explorer on a run of the embedded model: what its buttons do, what it says, and what it leaves alone."""

import subprocess
import sys

import numpy as np
import pytest

from zvr_core import Restoration, ZvrError, load_clip, load_method
from zvr_core.bundled import bundled
from zvr_core.events import Unobserved
from zvr_core.methods.presets import diffir2vr
from zvr_core.recording.recorder import record
from zvr_core.schedule import Constant
from zvr_viz.explorer import explore
from zvr_viz.live import LiveExplorer, another, merge_ratio_of

LONG = 60  # seconds: far more than four steps take
STEPS = 4


class Trouble(Unobserved):
    """An observer that fails when told to."""

    problem = None

    def passed(self, view):
        if self.problem:
            raise self.problem


@pytest.fixture(scope="module")
def small():
    """Three frames of 16×20."""
    return load_clip(load_clip(bundled("inputs/pan/lq"))[0:3][:, :, :16, :20], name="small")


@pytest.fixture
def run(embedded, small):
    return Restoration(small, embedded, load_method("diffir2vr"), steps=STEPS)


def done(viewer):
    """The viewer, after all orders are obeyed."""
    assert viewer.wait(LONG)
    return viewer


def test_exploring_a_run_that_records_nothing_records_it_in_memory(run):
    viewer = explore(run)
    assert isinstance(viewer, LiveExplorer)
    assert viewer.run.trace.steps == 0
    viewer.step()
    done(viewer)
    assert run.trace.steps == 1
    assert run.trace.target(0, run.trace.sites[0].name, 0, "cosine").shape == (run.trace.sites[0].tokens,)


def test_a_run_that_records_keeps_its_recording(run, tmp_path):
    record(run, tmp_path / "run.zarr")
    viewer = explore(run)
    viewer.step()
    done(viewer)
    assert (tmp_path / "run.zarr").is_dir()
    assert viewer.run.trace.steps == 1


def test_buttons_step_run_pause_and_go_back(run):
    viewer = explore(run)
    assert (viewer.live["state"], viewer.live["step"], viewer.live["seconds_left"]) == ("paused", 0, None)
    viewer.act({"kind": "live", "action": "step"})
    assert done(viewer).live["step"] == 1
    assert viewer.live["can"] == ["step", "run", "back", "fork"]
    assert viewer.live["seconds_left"] > 0
    viewer.act({"kind": "live", "action": "run"})
    assert done(viewer).live["state"] == "finished"
    assert viewer.live["status"] == "finished"
    viewer.act({"kind": "live", "action": "back", "step": 2})
    assert (done(viewer).live["step"], viewer.live["state"], run.index) == (2, "paused", 2)
    assert viewer.head["runs"][0]["steps"] == 2
    viewer.act({"kind": "live", "action": "run"})
    viewer.act({"kind": "live", "action": "pause"})
    assert done(viewer).live["state"] in ("paused", "finished")


def test_a_fork_is_shown_beside_the_run_it_came_from_and_leaves_it_alone(run):
    viewer = explore(run)
    viewer.step(2)
    done(viewer)
    viewer.act({"kind": "live", "action": "fork", "step": 1, "ratio": 0.2, "method": "diffir2vr"})
    fork = done(viewer).run
    assert (fork is run, fork.index, run.index) == (False, 1, 2)
    assert viewer.live["ratio"] == 0.2
    assert viewer.live["status"] == "A was forked from B at step 1: diffir2vr, merge ratio 0.2"
    viewer.go()
    assert done(viewer).live["state"] == "finished"
    assert (fork.index, run.index) == (STEPS, 2)
    assert [described["steps"] for described in viewer.head["runs"]] == [STEPS, 2]
    site = next(site.name for site in fork.trace.sites if fork.trace.own(site.name))
    assert fork.trace.ratio(2, site) < run.trace.ratio(1, site)


def test_a_fork_may_take_another_method(run):
    viewer = explore(run)
    viewer.step()
    done(viewer).fork(1, "per_frame")
    done(viewer).step()
    assert done(viewer).run.method.name == "per_frame"
    assert (viewer.live["method"], viewer.live["ratio"]) == ("per_frame", None)
    assert viewer.run.windows == run.windows


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ({"action": "fork", "step": 9, "method": "diffir2vr"}, "from_step 9 given, a whole number from 0 to 1 expected"),
        ({"action": "fork", "step": 1, "method": "difir2vr"}, "unknown method 'difir2vr'; did you mean diffir2vr"),
        ({"action": "fork", "step": 1, "ratio": 1.5}, "merge ratio first=1.5 given"),
        ({"action": "back", "step": 3}, "rewind 3 given, a whole number from 0 to 1 expected"),
    ],
)
def test_an_impossible_order_is_answered_in_words_and_harms_nothing(run, order, words):
    viewer = explore(run)
    viewer.step()
    done(viewer).act({"kind": "live", **order})
    assert done(viewer).live["state"] == "failed"
    assert words in viewer.live["status"]
    viewer.step()
    assert (done(viewer).live["state"], viewer.live["step"]) == ("paused", 2)


def test_an_error_in_the_run_is_said_and_the_run_goes_on_afterwards(run):
    trouble = Trouble()
    run.observe(trouble)
    viewer = explore(run)
    viewer.step()
    done(viewer)
    trouble.problem = MemoryError("no room for step 2")
    viewer.go()
    assert (done(viewer).live["state"], viewer.live["status"]) == ("failed", "MemoryError: no room for step 2")
    trouble.problem = None
    viewer.go()
    assert (done(viewer).live["state"], run.index) == ("finished", STEPS)


def test_closing_the_view_does_not_stop_the_run(run):
    viewer = explore(run)
    viewer.go()
    viewer.close()
    assert done(viewer).run.index == STEPS
    assert len(list(run.frames())) == 1


def test_what_is_seen_live_is_what_a_plain_run_gives(run, embedded, small):
    viewer = explore(run)
    viewer.go()
    done(viewer)
    plain = Restoration(small, embedded, load_method("diffir2vr"), steps=STEPS).finish()
    for frame in range(len(small)):
        assert np.array_equal(run.trace.x_t(STEPS, frame), plain.history[STEPS, frame].numpy())


def test_its_text_says_where_it_stands_and_nothing_that_varies(run):
    viewer = explore(run)
    viewer.step()
    assert repr(done(viewer)) == f"LiveExplorer: step 1 of {STEPS}, paused"


def test_a_ratio_is_changed_where_merging_starts(embedded, run):
    assert merge_ratio_of(run.method) == 0.6
    assert merge_ratio_of(another(run, "", 0.3)) == 0.3
    assert merge_ratio_of(load_method("per_frame")) is None
    assert another(run, "per_frame", 0.3).name == "per_frame"
    constant = diffir2vr().plugins[2]
    run.method = type(run.method)("constant", (type(constant)(ratio=Constant(0.5)),))
    assert merge_ratio_of(another(run, "constant", 0.4)) == 0.4
    with pytest.raises(ZvrError, match="unknown method"):
        another(run, "nothing", None)


def test_importing_it_loads_no_model_code():
    script = "import zvr_viz.live, sys; print(sorted({'torch', 'diffusers', 'kornia'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "[]\n"
