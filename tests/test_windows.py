import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zvr_core.errors import ZvrError
from zvr_core.windows import plan_windows, window_lengths


@pytest.mark.parametrize(
    ("count", "size", "lengths"),
    [(12, 10, [12]), (13, 10, [10, 3]), (22, 10, [10, 12]), (25, 10, [10, 10, 5]), (8, 3, [3, 5]), (4, 1, [1, 3]), (1, 10, [1])],
)
def test_the_published_window_rule(count, size, lengths):
    assert window_lengths(count, size) == lengths


@given(st.integers(1, 200), st.integers(1, 30), st.sets(st.integers(-3, 220), max_size=6))
def test_windows_hold_every_frame_once_and_span_no_cut(count, size, cuts):
    windows = plan_windows(count, size, sorted(cuts))
    assert [f for w in windows for f in w.frames] == list(range(count))
    assert all(not (w.start < cut < w.stop) for w in windows for cut in cuts)
    assert all(w.key == w.start + len(w) // 2 for w in windows)


@given(st.integers(1, 100), st.integers(1, 30), st.sets(st.integers(1, 99), max_size=4))
def test_a_window_continues_its_predecessor_except_after_a_cut(count, size, cuts):
    windows = plan_windows(count, size, sorted(cuts))
    for before, after in itertools.pairwise(windows):
        assert after.previous_key == (-1 if after.start in cuts else before.key)
    assert not windows[0].continues


def test_a_window_of_no_frames_is_refused():
    with pytest.raises(ZvrError, match="window size 0 given"):
        plan_windows(3, 0)
