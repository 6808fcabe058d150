"""Distances between what two matchers say."""

import numpy as np

from zvr_core.agreement import distance, largest


def test_the_same_target_is_no_distance_apart():
    target = np.arange(12, dtype=np.int32)
    assert (distance(target, target, (3, 4)) == 0).all()


def test_distance_is_euclidean_in_tokens_of_the_grid():
    assert distance(np.array([0]), np.array([3 * 5 + 4]), (4, 5)) == 5.0  # 3 rows and 4 columns
    assert distance(np.array([4]), np.array([5]), (2, 5)) == np.float32(np.hypot(1, 4))  # the end of a row is not beside the next


def test_what_has_no_target_has_no_distance():
    apart = distance(np.array([-1, 2, 3]), np.array([0, -1, 3]), (2, 2))
    assert np.isnan(apart[:2]).all() and apart[2] == 0
    assert apart.dtype == np.float32


def test_distances_are_taken_frame_by_frame():
    assert distance(np.zeros((3, 6), int), np.ones((3, 6), int), (2, 3)).shape == (3, 6)


def test_the_largest_come_first_and_ties_go_to_the_lowest_token():
    assert largest(np.array([1, 3, 2, 3, np.nan]), 3).tolist() == [1, 3, 2]


def test_tokens_without_distance_are_never_chosen():
    assert largest(np.array([np.nan, 1, np.nan]), 5).tolist() == [1]
    assert largest(np.full(3, np.nan), 2).tolist() == []
