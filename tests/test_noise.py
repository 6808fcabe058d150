import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from zvr_core.methods.base import IndependentNoise, SharedNoise
from zvr_core.noise import NoiseSource
from zvr_core.windows import Window

SHAPE = (4, 16, 16)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**40), st.sampled_from(["start", "step"]), st.integers(0, 99), st.integers(0, 10**6))
def test_a_draw_depends_on_its_four_arguments_alone(seed, purpose, step, frame):
    first = NoiseSource(seed).draw(purpose, step, frame, SHAPE)
    torch.manual_seed(step)  # the global generator plays no part
    assert torch.equal(first, NoiseSource(seed).draw(purpose, step, frame, SHAPE))


def test_each_argument_changes_the_draw():
    base = NoiseSource(1).draw("start", 0, 0, SHAPE)
    others = [
        NoiseSource(2).draw("start", 0, 0, SHAPE),
        *(NoiseSource(1).draw(*key, SHAPE) for key in [("step", 0, 0), ("start", 1, 0), ("start", 0, 1)]),
    ]
    assert all(abs(float((base * other).mean())) < 0.15 for other in others)


def test_draws_are_standard_normal():
    drawn = NoiseSource(0).stack("start", 0, range(64), SHAPE)
    assert abs(float(drawn.mean())) < 0.01
    assert abs(float(drawn.std()) - 1) < 0.01


def test_independent_noise_does_not_depend_on_the_window():
    source, noise = NoiseSource(3), IndependentNoise()
    whole = noise.noise(source, "start", 0, Window(0, 6, 3), SHAPE)
    parts = [noise.noise(source, "start", 0, Window(a, a + 3, a + 1), SHAPE) for a in (0, 3)]
    assert torch.equal(whole, torch.cat(parts))


def test_shared_noise_is_one_draw_of_unit_variance():
    drawn = SharedNoise().noise(NoiseSource(0), "start", 0, Window(4, 7, 5), (16, 32, 32))
    assert torch.equal(drawn[0], drawn[2])
    assert abs(float(drawn[0].std()) - 1) < 0.02
