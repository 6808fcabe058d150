"""Layers, moments, histories, and what memory keeps across steps."""

import gc
import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from zvr_core.errors import ZvrError
from zvr_core.history import KeepSteps, LastStep, Layer, Shelf
from zvr_core.memory import Memory
from zvr_core.windows import Window


def number(value):
    return torch.tensor([float(value)])


def filled(history, steps):
    for step in range(steps):
        moment = history.begin()
        moment.put(Window(0, 2, 1), torch.full((2, 1, 1, 1), float(step)))
        moment.slots[("slot", 0)] = number(step)
        history.append(step, moment)
    return history


def test_a_layer_is_a_mapping_of_copies():
    layer = Layer(Shelf(1000))
    layer["a"] = number(1)
    layer["a"].zero_()
    assert (float(layer["a"]), list(layer), len(layer), "b" in layer) == (1.0, ["a"], 1, False)
    with pytest.raises(KeyError):
        layer["b"]


def test_layers_on_one_shelf_do_not_see_each_other():
    shelf = Shelf(1000)
    one, other = Layer(shelf), Layer(shelf)
    one[0], other[0] = number(1), number(2)
    assert (float(one[0]), float(other[0])) == (1, 2)


@pytest.mark.parametrize("max_bytes", [0, 1000])
def test_a_shelf_drops_what_no_layer_holds(max_bytes):
    shelf = Shelf(max_bytes)
    gone, kept = Layer(shelf), Layer(shelf)
    gone[0] = gone[1] = kept[0] = number(1)
    del gone
    gc.collect()
    kept[1] = number(2)
    assert len(shelf) == 2
    assert float(kept[0]) == 1


def test_a_deleted_key_is_gone_and_may_come_back():
    layer = Layer(Shelf(1000))
    layer[0] = number(1)
    del layer[0]
    assert 0 not in layer
    layer[0] = number(2)
    assert float(layer.pop(0)) == 2


def test_moments_hold_windows():
    moment = filled(KeepSteps(), 2).moment(1)
    assert torch.equal(moment.latents(Window(0, 2, 1)), torch.ones(2, 1, 1, 1))


def test_every_step_is_there_by_step_and_frame():
    history = filled(KeepSteps(), 4)
    assert [float(history[step, 1]) for step in range(4)] == [0, 1, 2, 3]
    assert history.latest == 3


def test_rewinding_drops_the_future_and_frees_it():
    history = filled(KeepSteps(), 4)
    history.rewind(1)
    assert history.latest == 1
    with pytest.raises(ZvrError, match="step 2 is not kept, steps 0 to 1 are"):
        history.moment(2)
    history.begin().slots["sweep"] = number(0)
    assert len(history.shelf) == 2 * 3 + 1


def test_forks_share_moments_and_go_their_own_ways():
    history = filled(KeepSteps(), 3)
    fork = history.fork(1)
    assert fork.moment(1) is history.moment(1)
    other = fork.begin()
    other.x_t[0] = number(7)
    fork.append(2, other)
    history.rewind(0)
    assert (float(fork[1, 0]), float(fork[2, 0]), history.latest) == (1, 7, 0)


def test_an_empty_history_says_so():
    with pytest.raises(ZvrError, match="step 0 is not kept, none is"):
        KeepSteps().moment(0)


def test_the_last_step_alone():
    history = filled(LastStep(1000), 3)
    assert (history.latest, len(history.moments), float(history[2, 0])) == (2, 1, 2)
    with pytest.raises(ZvrError, match="step 1 is not kept, step 2 is"):
        history.rewind(1)


def test_persistent_slots_go_on_and_others_end():
    memory = Memory({("old", 1): number(1), ("kept", 1): number(2)}, after := {}, persistent={"old", "new"})
    memory.slots["new", 1], memory.slots["passing", 1] = number(3), "anything"
    memory.commit()
    assert memory.slots["passing", 1] == "anything"
    memory.end_step()
    assert {key: float(value) for key, value in after.items()} == {("new", 1): 3, ("old", 1): 1}


def test_what_a_failed_pass_wrote_is_taken_back():
    memory = Memory({("average",): number(1)}, {}, persistent={"average"})
    memory.slots[("average",)] = number(5)
    memory.discard()
    assert float(memory.slots[("average",)]) == 1
    memory.slots[("average",)] = number(2)
    memory.commit()
    memory.slots[("average",)] = number(5)
    memory.discard()
    assert float(memory.slots[("average",)]) == 2


KEYS = st.one_of(st.text(max_size=3), st.integers(-9, 9), st.tuples(st.booleans(), st.text(max_size=2)))


@settings(max_examples=15, deadline=None)
@given(st.dictionaries(st.tuples(st.just("slot"), KEYS), st.floats(-9, 9, width=32), max_size=3))
def test_persistent_memory_is_written_down_and_restored(slots):
    memory = Memory({}, {}, persistent={"slot"})
    memory.slots.update({key: number(value) for key, value in slots.items()})
    memory.commit()
    written = memory.persistent()
    assert all(isinstance(json.loads(key), list) for key in written)
    restored = Memory({}, {}, persistent={"slot"})
    restored.restore(written)
    assert {key: float(value) for key, value in restored.slots.items()} == slots


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (("slot", 1), [number(1)], r"persistent slot \('slot', 1\) holds a list; a tensor expected"),
        (("slot", frozenset()), number(1), "has a key that JSON cannot hold"),
    ],
)
def test_what_cannot_be_recorded_is_refused(key, value, message):
    memory = Memory({}, {}, persistent={"slot"})
    memory.slots[key] = value
    with pytest.raises(ZvrError, match=message):
        memory.commit()
