"""Counts and sizes in words."""

import pytest

from zvr_core.words import counted, frames_of, size_text, times


@pytest.mark.parametrize("count, words", [(0, "0 steps"), (1, "1 step"), (2, "2 steps")])
def test_one_thing_is_not_many(count, words):
    assert counted(count, "step") == words


def test_sides_are_joined():
    assert times(4, 8) == "4×8"


@pytest.mark.parametrize("count, words", [(1, "1 frame of 8×4"), (3, "3 frames of 8×4")])
def test_frames_are_told_with_their_size_width_first(count, words):
    assert frames_of(count, (4, 8)) == words


@pytest.mark.parametrize("count, words", [(0, "0 bytes"), (999, "999 bytes"), (1000, "1 kB"), (1_534_000, "1.53 MB"), (10**13, "10 TB")])
def test_sizes_are_written_in_words(count, words):
    assert size_text(count) == words
