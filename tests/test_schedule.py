"""Periods and schedules against closed forms."""

from __future__ import annotations

import math

import pytest

from zvr_core.errors import ZvrError
from zvr_core.schedule import Constant, CosineAnnealing, Period, PublishedPeriod


def test_first_tenth_of_fifty_steps_is_five_steps():
    assert list(Period(0, 0.1).steps(50)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("S", range(1, 10))
def test_first_tenth_of_few_steps_is_one_step_where_the_published_rule_has_none(S: int):
    assert list(Period(0, 0.1).steps(S)) == [0]
    assert list(PublishedPeriod(0, 0.1).steps(S)) == []


@pytest.mark.parametrize("S", [1, 2, 7, 50])
def test_whole_period_holds_every_step(S: int):
    assert [i for i in range(-1, S + 1) if Period().contains(i, S)] == list(range(S))


def test_neighbouring_periods_share_no_step_and_leave_none_out():
    for S in (10, 20, 50, 100):
        assert [*Period(0, 0.3).steps(S), *Period(0.3, 0.7).steps(S), *Period(0.7, 1).steps(S)] == list(range(S))


def test_last_steps_are_found_in_short_runs():
    assert list(Period(0.95, 1).steps(10)) == [9]


def test_equal_ends_are_an_empty_period():
    assert not list(Period(0.5, 0.5).steps(10))


def test_rounding_errors_of_fractions_do_not_lose_a_step():
    assert 0.29 * 100 < 29
    assert Period(0, 0.29).steps(100) == range(29)
    assert PublishedPeriod(0, 0.29).steps(100) == range(28)


@pytest.mark.parametrize("ends", [(-0.1, 1), (0, 1.1), (0.6, 0.5), (math.nan, 1)])
def test_impossible_periods_are_refused(ends: tuple[float, float]):
    with pytest.raises(ZvrError, match="period"):
        Period(*ends)


def test_constant_is_constant():
    assert [Constant(0.4)(i, 3) for i in range(3)] == [0.4] * 3


def test_annealing_falls_along_a_quarter_cosine():
    ratio = CosineAnnealing(0.6, 0.0)
    assert ratio(0, 50) == 0.6
    assert ratio(25, 50) == pytest.approx(0.6 * math.cos(math.pi / 4), abs=1e-6)
    assert all(ratio(i, 50) > ratio(i + 1, 50) for i in range(49))


def test_annealing_never_reaches_its_end_inside_the_period():
    assert 0 < CosineAnnealing(0.9, 0.0)(49, 50) < 0.03


def test_annealing_ends_at_the_last_ratio_not_at_zero():
    assert CosineAnnealing(0.9, 0.3)(10**6, 50) == pytest.approx(0.3)


def test_annealing_holds_its_edges_outside_the_period():
    ratio = CosineAnnealing(0.6, 0.1, Period(0.2, 0.6))
    assert ratio(0, 10) == ratio(2, 10) == 0.6
    assert ratio(6, 10) == pytest.approx(ratio(9, 10), abs=1e-5) == pytest.approx(0.1, abs=1e-5)


def test_delta_two_reaches_the_end_in_half_the_time():
    assert CosineAnnealing(0.6, 0.0, delta=2.0)(5, 10) == pytest.approx(0.0, abs=1e-5)
    assert CosineAnnealing(0.6, 0.0, delta=0.0)(9, 10) == 0.6


def test_floor_is_never_passed():
    assert min(CosineAnnealing(0.6, 0.0, floor=0.2)(i, 50) for i in range(50)) == 0.2


def test_one_step_runs_at_the_first_ratio():
    assert CosineAnnealing()(0, 1) == 0.6


@pytest.mark.parametrize("wrong", [{"first": 1.2}, {"last": -0.1}, {"floor": 2.0}, {"delta": -1.0}, {"first": math.nan}])
def test_impossible_ratios_are_refused(wrong: dict[str, float]):
    with pytest.raises(ZvrError):
        CosineAnnealing(**wrong)  # type: ignore[arg-type]
