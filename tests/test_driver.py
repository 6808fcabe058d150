"""A run on a background thread: it goes, pauses, goes back, fails and goes on, and ends bit for bit where it ends without a thread."""

import threading

import pytest
import torch

from zvr_core import Restoration, ZvrError, load_clip, load_method
from zvr_core.bundled import bundled
from zvr_core.events import Unobserved
from zvr_viz.driver import Driver, in_words

LONG = 60  # seconds: far more than five steps take


class Gate(Unobserved):
    """An observer that lets steps end one by one, or fail, when the test says so."""

    def __init__(self):
        self.begun, self.opened, self.problem = threading.Semaphore(0), threading.Semaphore(0), None

    def passed(self, view):
        self.begun.release()
        assert self.opened.acquire(timeout=LONG)
        if self.problem:
            raise self.problem


@pytest.fixture(scope="module")
def small():
    """Two frames of 12×16."""
    return load_clip(load_clip(bundled("inputs/pan/lq"))[0:2][:, :, :12, :16], name="small")


@pytest.fixture
def run(embedded, small):
    return Restoration(small, embedded, load_method("per_frame"), steps=5)


def quiet():
    """Tells nobody."""


def workers():
    return [thread for thread in threading.enumerate() if thread.name == "zvr run"]


def test_it_goes_as_far_as_told_and_then_no_thread_is_left(run):
    driver = Driver(run, quiet)
    assert (driver.state, driver.seconds_left) == ("paused", None)
    driver.go(2)
    assert driver.wait(LONG)
    assert (run.index, driver.state) == (2, "paused")
    assert driver.seconds_left > 0
    driver.go()
    assert driver.wait(LONG)
    assert (run.index, driver.state, driver.seconds_left) == (5, "finished", 0)
    assert not workers()


def test_a_run_on_a_thread_ends_bit_for_bit_as_one_without(run, embedded, small):
    driver = Driver(run, quiet)
    driver.go()
    assert driver.wait(LONG)
    plain = Restoration(small, embedded, load_method("per_frame"), steps=5).finish()
    assert torch.equal(next(run.frames()), next(plain.frames()))


def test_a_pause_lets_the_step_end_and_stops_there(run):
    gate = Gate()
    driver = Driver(run.observe(gate), quiet)
    driver.go()
    assert gate.begun.acquire(timeout=LONG)
    assert driver.state == "running"
    driver.pause()
    assert not driver.wait(0)
    gate.opened.release()
    assert driver.wait(LONG)
    assert (run.index, driver.state) == (1, "paused")


def test_orders_are_obeyed_between_steps_and_in_turn(run):
    gate, seen = Gate(), []
    driver = Driver(run.observe(gate), quiet)
    driver.go()
    assert gate.begun.acquire(timeout=LONG)
    driver.order(lambda: seen.append(run.index))
    driver.order(lambda: seen.append("second"))
    assert seen == []
    gate.opened.release()
    assert driver.wait(LONG)
    assert seen == [1, "second"]
    assert driver.state == "paused"


def test_going_back_and_on_again_changes_nothing(run):
    driver = Driver(run, quiet)
    driver.go()
    assert driver.wait(LONG)
    first = next(run.frames())
    driver.order(lambda: run.rewind(2))
    assert driver.wait(LONG)
    assert (run.index, driver.state) == (2, "paused")
    driver.go()
    assert driver.wait(LONG)
    assert torch.equal(next(run.frames()), first)


def test_an_error_is_told_in_words_and_the_run_goes_on_from_the_last_whole_step(run):
    gate, told = Gate(), []
    driver = Driver(run.observe(gate), lambda: told.append((driver.state, driver.error)))
    gate.opened.release()
    driver.go(1)
    assert driver.wait(LONG)
    gate.problem = ZvrError("the disk is full; choose another")
    gate.opened.release()
    driver.go()
    assert driver.wait(LONG)
    assert (run.index, driver.state) == (1, "failed")
    assert told[-1] == ("failed", "the disk is full; choose another")
    gate.problem = None
    for _ in range(4):
        gate.opened.release()
    driver.go()
    assert driver.wait(LONG)
    assert (run.index, driver.state, driver.error) == (5, "finished", "")


def test_orders_behind_one_that_fails_are_dropped(run):
    gate, seen = Gate(), []
    driver = Driver(run.observe(gate), quiet)
    driver.go()
    assert gate.begun.acquire(timeout=LONG)
    driver.order(lambda: run.rewind(9))
    driver.order(lambda: seen.append("too late"))
    gate.opened.release()
    assert driver.wait(LONG)
    assert driver.error.startswith("rewind 9 given, a whole number from 0 to 1 expected")
    assert seen == []


def test_it_lives_on_when_telling_fails(run):
    def tell():
        raise RuntimeError("the view is gone")

    driver = Driver(run, quiet)
    driver.tell = tell
    driver.order(lambda: run.step())
    assert driver.wait(LONG)
    assert driver.error == "RuntimeError: the view is gone"
    driver.tell = quiet
    driver.go(3)
    assert driver.wait(LONG)
    assert run.index == 3


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ZvrError("step 9 given, 0 to 4 expected"), "step 9 given, 0 to 4 expected"),
        (KeyError("x"), "KeyError: 'x'"),
        (MemoryError(), "MemoryError: no reason given"),
        (RuntimeError("line one\n  line two"), "RuntimeError: line one line two"),
    ],
)
def test_errors_become_one_line(error, words):
    assert in_words(error) == words
