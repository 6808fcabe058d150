"""Step, rewind, fork: a run as something one holds."""

import itertools
import threading
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch
from test_restore import clip_of

from zvr_core.errors import ZvrError
from zvr_core.events import Unobserved
from zvr_core.history import KeepSteps, LastStep
from zvr_core.methods.base import Method, PlugIn, SharedNoise, Windows
from zvr_core.methods.presets import diffir2vr, per_frame
from zvr_core.noise import NoiseSource
from zvr_core.notes import Notes
from zvr_core.restore import Restoration
from zvr_core.sampler import DDIM, DPMSolver, SpacedAncestral


@dataclass(frozen=True)
class MovingAverage(PlugIn):
    """Carries state across steps: x0 is averaged with all that came before."""

    persistent: ClassVar = ("average",)

    def x0(self, x0, context):
        slots, slot = context.memory.slots, ("average", context.window.start)
        averaged = torch.lerp(slots[slot].to(x0), x0, 0.5) if slot in slots else x0
        slots[slot] = averaged
        return averaged


class Counter(Unobserved):
    """Counts passes."""

    def __init__(self):
        self.passes = 0

    def passed(self, view):
        self.passes += 1


AVERAGED = Method("averaged", (*diffir2vr(2).plugins, MovingAverage()))


def fresh(model, method=AVERAGED, **settings):
    return Restoration(clip_of(5, 6, 10), model, method, **{"steps": 3, "seed": 3, **settings})


@pytest.fixture(scope="module")
def parent(embedded):
    """A run that has gone nowhere, and whose forks are runs like any other (a test says so)."""
    return fresh(embedded)


@pytest.fixture
def run(parent):
    return parent.fork()


@pytest.fixture(scope="module")
def finished(parent):
    return latents(parent.fork().finish())


def latents(run):
    """What the run has come to."""
    return torch.stack([run.history[run.index, frame] for frame in range(len(run.clip))])


def test_one_event_a_step(run, finished):
    events = list(run)
    assert [event.step for event in events] == [0, 1, 2]
    assert [event.t for event in events] == list(run.prepared.timesteps)
    assert torch.equal(events[-1].x_next(), finished)
    assert all(torch.equal(a.x_next(), b.x_t()) for a, b in itertools.pairwise(events))


def test_breaking_off_and_going_on(run, finished):
    for event in run:
        if event.step == 1:
            break
    assert run.index == 2
    assert torch.equal(latents(run.finish()), finished)


def test_stepping_by_several(run, finished):
    assert [run.step().step, run.step(2).step] == [0, 2]
    assert torch.equal(latents(run), finished)


def test_a_step_that_is_left_half_done_is_begun_again(run, finished):
    run.step()
    assert next(run.passes()).step == 1
    assert run.index == 1
    assert torch.equal(latents(run.finish()), finished)


@pytest.mark.parametrize("sampler", [DDIM(), DDIM(eta=1.0), SpacedAncestral(), DPMSolver()], ids=repr)
def test_rewinding_to_any_step_changes_no_bit(parent, sampler):
    run = parent.fork(sampler=sampler)
    expected = latents(run.finish())
    for step in (2, 0, 1, 3):
        assert torch.equal(latents(run.rewind(step).finish()), expected), step


def test_rewinding_works_from_disk_as_well(embedded, finished):
    run = fresh(embedded, max_bytes=1).finish()
    assert torch.equal(latents(run.rewind(1).finish()), finished)


def test_a_fork_that_changes_nothing_ends_where_its_parent_ends(run, finished):
    run.step(2)
    for step in range(3):
        assert torch.equal(latents(run.fork(from_step=step).finish()), finished)
    assert run.index == 2


def test_a_fork_costs_only_the_steps_after_it(run):
    counter = Counter()
    run.step(2)
    run.fork(from_step=1, method=per_frame(2), observer=counter).finish()
    assert counter.passes == 2 * 2  # two windows, two steps


def test_a_fork_from_step_0_is_a_fresh_run_with_its_choices(embedded, run):
    run.step()
    choices = {"method": diffir2vr(5), "seed": 4, "sampler": SpacedAncestral()}
    assert torch.equal(latents(run.fork(from_step=0, **choices).finish()), latents(fresh(embedded, **choices).finish()))


def test_a_fork_shares_all_but_what_it_changes(run):
    run.step()
    fork = run.fork(method=per_frame(5), seed=9)
    assert (fork.clip, fork.model, fork.flow, fork.conditions) == (run.clip, run.model, run.flow, run.conditions)
    assert fork.history.moments[1] is run.history.moments[1]
    assert (fork.seed, fork.method.name, run.seed, run.method.name) == (9, "per_frame", 3, "averaged")


def test_a_fork_may_rewind_into_its_parents_past(run, finished):
    run.step(2)
    fork = run.fork(method=per_frame(5)).finish()
    assert not torch.equal(latents(fork), finished)
    back = fork.rewind(1).fork(method=AVERAGED)  # with the state its parent had there
    assert torch.equal(latents(back.finish()), finished)


def test_what_becomes_of_the_parent_does_not_leak_into_a_fork(run, finished):
    run.step(2)
    fork = run.fork()
    run.rewind(0)
    run.history.append(0, run.history.begin())  # the parent takes another turn
    run.method, run.draws = per_frame(2), replace(run.draws, source=NoiseSource(77))
    assert not torch.equal(latents(run.finish()), finished)
    assert torch.equal(latents(fork.finish()), finished)
    assert torch.equal(latents(fork.rewind(1).finish()), finished)


def test_what_becomes_of_a_fork_does_not_leak_into_its_parent(run, finished):
    run.step(2)
    run.fork(from_step=1, seed=8, method=diffir2vr(5)).finish()
    run.fork(from_step=0, seed=8).step()
    assert torch.equal(latents(run.rewind(1).finish()), finished)


def test_samplers_may_change_where_they_stand_at_the_same_noise_level(run, finished):
    run.step()
    assert not torch.equal(latents(run.fork(sampler=DPMSolver()).finish()), finished)
    with pytest.raises(ZvrError, match="another noise level at step 1"):
        run.fork(sampler=SpacedAncestral())


def test_a_new_seed_encodes_the_input_anew_where_that_draws_noise(tmp_path):
    from twins import save_x4

    from zvr_core.models.load import load_model

    save_x4(tmp_path)
    run = Restoration(clip_of(2, 8, 8), load_model(tmp_path), per_frame(2), steps=2)
    run.step()
    same, other = run.fork(seed=0), run.fork(seed=1)
    assert same.conditions is run.conditions
    assert not torch.equal(other.conditions(run.windows[0]), run.conditions(run.windows[0]))


def test_state_that_is_not_declared_ends_with_its_step(parent):
    """Latent warping keeps the key frame's x0 for the next window of the same step only."""
    run = parent.fork(method=diffir2vr(2), sampler=DPMSolver())
    run.step()
    assert {key[0] for key in run.memory.slots} == {"dpm++"}


def test_a_run_goes_on_elsewhere_from_x_t_and_persistent_memory(embedded, parent):
    """What resuming is made of: no other state is needed."""
    run = parent.fork(sampler=DPMSolver())
    run.step(2)
    history = KeepSteps()
    moment = history.begin()
    moment.x_t.update(enumerate(latents(run)))
    history.append(2, moment)
    other = fresh(embedded, sampler=DPMSolver(), history=history)
    other.memory.restore(run.memory.persistent())
    assert other.index == 2
    assert torch.equal(latents(other.finish()), latents(run.finish()))


def test_a_run_that_keeps_its_last_step_only(embedded, finished):
    run = fresh(embedded, history=LastStep())
    run.step(2)
    assert torch.equal(latents(run.fork().finish()), finished)
    with pytest.raises(ZvrError, match="step 1 is not kept, step 2 is; a run with history=KeepSteps"):
        run.rewind(1)
    assert torch.equal(latents(run.rewind(2).finish()), finished)
    assert len(run.history.moments) == 1


def test_other_threads_run_without_gradients(run, finished):
    """Grad mode belongs to a thread; a viewer runs in the background."""
    events = []
    thread = threading.Thread(target=lambda: events.extend(run))
    thread.start()
    thread.join()
    assert torch.equal(latents(run), finished)
    assert not events[0].x0().requires_grad


def test_forks_take_turns_in_the_model_they_share(run, finished):
    run.step()
    fork = run.fork(method=per_frame(5))
    expected = latents(run.fork(method=per_frame(5)).finish())
    threads = [threading.Thread(target=r.finish) for r in (run, fork)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert torch.equal(latents(run), finished)
    assert torch.equal(latents(fork), expected)


def test_a_run_nobody_looks_at_takes_no_notes(parent):
    class Curious(PlugIn):
        def x0(self, x0, context):
            taken.append(type(context.notes) is not Notes)
            return x0

    taken = []
    run = parent.fork(method=Method("curious", (Windows(5), Curious()))).finish()
    run.rewind(0).step()
    assert taken == [False, False, False, True]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda run: run.step(0), r"step 0 given, a whole number from 1 to 2 expected \(steps that are left\)"),
        (lambda run: run.step(-1), "step -1 given"),
        (lambda run: run.step(3), "step 3 given, a whole number from 1 to 2"),
        (lambda run: run.step(1.5), "step 1.5 given"),
        (lambda run: run.rewind(2), r"rewind 2 given, a whole number from 0 to 1 expected \(steps done so far\)"),
        (lambda run: run.rewind(-1), "rewind -1 given"),
        (lambda run: run.fork(from_step=2), "from_step 2 given, a whole number from 0 to 1"),
        (lambda run: run.fork(from_step="last"), "from_step last given"),
        (lambda run: run.trace, "does not record; call record"),
    ],
)
def test_steps_out_of_range_are_refused_and_change_nothing(started, call, message):
    before = latents(started)
    with pytest.raises(ZvrError, match=message):
        call(started)
    assert started.index == 1
    assert torch.equal(latents(started), before)


@pytest.fixture(scope="module")
def started(parent):
    run = parent.fork(method=per_frame(5))
    run.step()
    return run


def test_stepping_past_the_end_is_refused(parent):
    run = parent.fork(method=per_frame(5)).finish()
    with pytest.raises(ZvrError, match="all 3 steps are done"):
        run.step()
    assert list(run) == []


def test_one_frame_steps_as_well(embedded):
    run = Restoration(clip_of(1, 5, 7), embedded, Method("one", (Windows(3), SharedNoise(), MovingAverage())), steps=2, sampler=DPMSolver())
    expected = latents(run.finish())
    assert torch.equal(latents(run.rewind(1).finish()), expected)
