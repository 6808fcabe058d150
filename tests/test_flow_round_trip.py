"""Round trips and occlusion against a moving square and constant flows; the published thresholds."""

from __future__ import annotations

import math

import pytest
import torch
from motion import constant

from zvr_core.flow import confidence, leaves_frame, occluded, occluded_squared, round_trip


def test_a_round_trip_of_opposite_translations_has_no_error_inside() -> None:
    forward, backward = constant(2, 1), constant(-2, -1)
    error = round_trip(forward, backward)[0]
    assert error.shape == (6, 8)
    assert torch.equal(error[1:, 2:], torch.zeros(5, 6))
    assert torch.equal(error[0], torch.full((8,), math.sqrt(5)))  # it left the frame, where the flow is zero


def test_a_round_trip_with_the_wrong_direction_misses_by_twice_the_way() -> None:
    assert torch.equal(round_trip(constant(-3, 0), constant(-3, 0))[0, :, 3:], torch.full((6, 5), 6.0))


def test_the_error_lies_on_the_grid_of_the_backward_flow() -> None:
    forward, backward = torch.zeros(2, 1, 4), torch.zeros(2, 1, 4)
    backward[0, 0, 3] = -2  # only pixel 3 goes to 1, and from there nothing leads back
    assert round_trip(forward, backward).tolist() == [[0, 0, 0, 2]]


def test_an_error_that_is_not_a_number_is_infinite() -> None:
    backward = constant(float("nan"), 0)
    assert torch.isinf(round_trip(constant(0, 0), backward)).all()
    assert occluded(constant(0, 0), backward).all()
    assert occluded_squared(constant(0, 0), backward).all()


def moving_square(shift: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Flows a→b and b→a (2, 20, 30) of a square that moves right over a still background, and what it hides in b, on the grid of a."""
    there, back, hidden = torch.zeros(2, 20, 30), torch.zeros(2, 20, 30), torch.zeros(20, 30, dtype=torch.bool)
    there[0, 5:15, 5:15] = shift
    back[0, 5:15, 5 + shift : 15 + shift] = -shift
    hidden[5:15, 15 : 15 + shift] = True
    return there, back, hidden


@pytest.mark.parametrize("test", [occluded, occluded_squared])
@pytest.mark.parametrize("shift", [1, 4, 9])
def test_a_moving_square_hides_the_strip_before_it(test, shift: int) -> None:
    there, back, hidden = moving_square(shift)
    assert torch.equal(test(back, there), hidden)  # the flow a→b is the one to warp with, so it is the backward one on the grid of a
    assert torch.equal(test(torch.stack([back, there]), torch.stack([there, back]))[0], hidden)


@pytest.mark.parametrize("test", [occluded, occluded_squared])
def test_what_leaves_the_frame_is_occluded(test) -> None:
    result = test(constant(3, 0), constant(-3, 0))[0]
    assert torch.equal(result, (torch.arange(8) < 3).expand(6, 8))


@pytest.mark.parametrize("test", [occluded, occluded_squared])
def test_jitter_at_the_border_is_not_occluded(test) -> None:
    assert not test(constant(0.2, 0), constant(-0.2, 0)).any()


@pytest.mark.parametrize(
    ("test", "length", "limit"),
    [
        (occluded, 1, 0.52),
        (occluded, 100, 2.5),
        (occluded_squared, 1, (0.52 / 0.995) ** 0.5),
        (occluded_squared, 100, (200.5 / 0.995) ** 0.5),
    ],
)
def test_the_thresholds_are_the_published_ones(test, length: float, limit: float) -> None:
    for miss, expected in ((limit - 0.01, False), (limit + 0.01, True)):  # |f| + |b| is 2·length, |f|² + |b|² is 2·length² + miss²/2
        forward, backward = constant(miss / 2 - length, 0, 3, 300), constant(miss / 2 + length, 0, 3, 300)
        assert bool(test(forward, backward)[0, 1, 50]) is expected


def test_thresholds_are_arguments() -> None:
    forward, backward = constant(-2, 0.3), constant(2, 0)
    assert not occluded(forward, backward)[..., :6].any()
    assert occluded(forward, backward, alpha=0, beta=0.2)[..., :6].all()
    assert occluded_squared(forward, backward, alpha=0, beta=0.05)[..., :6].all()


def test_leaving_means_that_not_even_a_neighbour_is_in_the_frame() -> None:
    assert leaves_frame(constant(-0.9, 0)).sum() == 0
    assert leaves_frame(constant(-1, 0)).sum() == 6
    assert leaves_frame(constant(0, 1.5)).sum() == 8
    assert leaves_frame(constant(float("nan"), 0)).all()


def test_confidence_is_the_exponential_of_the_plain_error() -> None:
    assert torch.allclose(confidence(torch.tensor([0.0, 1.0, 2.0])), torch.tensor([1.0, math.exp(-1), math.exp(-2)]))
    assert confidence(torch.tensor(torch.inf)) == 0
