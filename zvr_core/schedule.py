"""When and how strongly: periods and ratios, as fractions of the executed steps.

A schedule is a value that is called with the step i (0 to S-1) and the number of steps S.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from zvr_core.errors import ZvrError


class Schedule(Protocol):
    """A number for each step."""

    def __call__(self, i: int, S: int) -> float: ...


@dataclass(frozen=True)
class Period:
    """The steps from a fraction `start` to a fraction `end` of all, [start·S, end·S): at least one where end > start.

    Raises ZvrError unless 0 <= start <= end <= 1.
    """

    start: float = 0.0
    end: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end <= 1:
            raise ZvrError(
                f"period {self.start} to {self.end} given, fractions of the steps from 0 to 1, in order, expected; as in (0, 0.1)"
            )

    def steps(self, S: int) -> range:
        """The steps inside, of S."""
        if self.end == self.start:
            return range(0)
        first = min(math.ceil(rounded(S * self.start)), S - 1)
        return range(first, max(first + 1, self.edges(S)[1]))

    def edges(self, S: int) -> tuple[int, int]:
        """The steps between which a schedule runs, the second past the end."""
        return int(rounded(S * self.start)), int(rounded(S * self.end))

    def contains(self, i: int, S: int) -> bool:
        """Whether step i of S lies inside."""
        return i in self.steps(S)


@dataclass(frozen=True)
class PublishedPeriod(Period):
    """The published code's rule, i >= S·start and i < int(S·end): for (0, 0.1) and fewer than 10 steps it is empty."""

    def steps(self, S: int) -> range:
        return range(math.ceil(S * self.start), int(S * self.end))

    def edges(self, S: int) -> tuple[int, int]:
        return int(S * self.start), int(S * self.end)


def rounded(step: float) -> float:
    """Removes the last bits, so that 0.29 · 100 is 29."""
    return round(step, 6)


@dataclass(frozen=True)
class Constant:
    """The same number at every step."""

    value: float

    def __call__(self, i: int, S: int) -> float:
        return self.value


@dataclass(frozen=True)
class CosineAnnealing:
    """A quarter of a cosine from `first` to `last` over a period: last + (first - last)·cos(π/2 · δ · progress).

    `delta` makes it fall faster (> 1) or stop short (< 1); `floor` is the least ratio.  Before and after the period the ratio is
    that of its edge.  With the defaults these are the published ratios (README commands), which never quite reach `last`.
    Source: DiffIR2VR-Zero (Yeh et al. 2024), Eq. 8; progress as in the published code.
    """

    first: float = 0.6
    last: float = 0.0
    period: Period = Period()
    delta: float = 1.0
    floor: float = 0.0

    def __post_init__(self) -> None:
        for name in ("first", "last", "floor"):
            if not 0 <= getattr(self, name) <= 1:
                raise ZvrError(f"merge ratio {name}={getattr(self, name)} given, a number from 0 to 1 expected; 0.6 to 0 is usual")
        if not self.delta >= 0:
            raise ZvrError(f"delta {self.delta} given, a number from 0 up expected; 1 is published")

    def __call__(self, i: int, S: int) -> float:
        begin, end = self.period.edges(S)
        progress = (i - begin) / (end - begin + 1e-6)
        angle = math.pi / 2 * min(max(self.delta * progress, 0.0), 1.0)
        return max(self.floor, self.last + (self.first - self.last) * math.cos(angle))
