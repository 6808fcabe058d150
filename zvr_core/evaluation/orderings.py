"""Do published orderings hold here?  Computed from the numbers, with their spread.

    published numbers ─► for each measure, every two methods in the order of the paper ─► paired differences here ─► a word

A word follows from the 95 % interval of the mean difference (Student's t, over clips, or over seeds where there is one clip only).  With
many orderings some hold or fail by chance; nothing is corrected for that.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations

from scipy.special import stdtrit

from zvr_core.evaluation.table import MEASURES, Record, Verdict

HOLDS, FAILS, WITHIN = "holds", "does not hold", "within the spread"
UNKNOWN, SINGLE = "not computed", "no spread known"  # SINGLE: one result each
Numbers = Mapping[str, Mapping[str, float]]  # by method and measure
Published = Mapping[str, Numbers]  # by degradation


def judge(published: Published, records: Sequence[Record]) -> tuple[Verdict, ...]:
    """One verdict for every two methods that the paper orders, by measure; equal published numbers are no ordering."""
    verdicts = []
    for degradation, numbers in published.items():
        own = [record for record in records if record.degradation == degradation]
        for measure, better, worse in orderings(numbers):
            difference, half_width, word = compare(own, measure, better, worse, lambda r, key: r.values.get(key))
            temporal = MEASURES[measure].temporal
            fair = compare(own, measure, better, worse, to_control)[2] if temporal else ""
            both = (numbers[better][measure], numbers[worse][measure])
            verdicts.append(Verdict(degradation, measure, better, worse, both, difference, half_width, word, fair))
    return tuple(verdicts)


def orderings(numbers: Numbers) -> Iterator[tuple[str, str, str]]:
    """Each measure with every two methods that have it: the better one first."""
    for measure in dict.fromkeys(measure for own in numbers.values() for measure in own):
        ranked = sorted((own[measure] * -MEASURES[measure].better, method) for method, own in numbers.items() if measure in own)
        yield from ((measure, better, worse) for (best, better), (worst, worse) in combinations(ranked, 2) if best < worst)


def to_control(record: Record, measure: str) -> float | None:
    """A temporal measure over that of the blur-matched control."""
    control = record.control.get(measure, 0.0)
    return record.values[measure] / control if measure in record.values and control > 0 else None


Read = Callable[[Record, str], float | None]


def compare(records: Sequence[Record], measure: str, better: str, worse: str, read: Read) -> tuple[float, float, str]:
    """The mean paired difference of two methods, the half-width of its 95 % interval, and the word for it."""
    found = {(r.method, r.clip, r.seed): value for r in records if (value := read(r, measure)) is not None}
    by_clip: dict[str, list[float]] = {}
    for (method, clip, seed), value in found.items():
        if method == better and (worse, clip, seed) in found:
            by_clip.setdefault(clip, []).append(value - found[worse, clip, seed])
    sample = [statistics.fmean(seeds) for seeds in by_clip.values()]
    if len(sample) == 1:
        (sample,) = by_clip.values()
    mean, half_width = interval(sample)
    return mean, half_width, word_for(mean * MEASURES[measure].better, half_width)


def interval(sample: Sequence[float]) -> tuple[float, float]:
    """Mean and half-width of its 95 % interval; NaN for what is not known."""
    if len(sample) < 2:
        return (sample[0] if sample else math.nan), math.nan
    return statistics.fmean(sample), float(stdtrit(len(sample) - 1, 0.975)) * statistics.stdev(sample) / math.sqrt(len(sample))


def word_for(gain: float, half_width: float) -> str:
    """What follows from a mean gain, above 0 where the ordering holds."""
    if math.isnan(gain):
        return UNKNOWN
    if math.isnan(half_width):
        return SINGLE
    if abs(gain) <= half_width:
        return WITHIN
    return HOLDS if gain > 0 else FAILS
