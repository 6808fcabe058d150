"""Which tokens a picture of matches shows, and where each rule sends them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zvr_core.agreement import SAME, distance, largest
from zvr_core.errors import ZvrError
from zvr_viz.geometry import Lattice


class Choice(Protocol):
    """Picks tokens of a grid, given how far the rules disagree at each, (N,), NaN where one has no target."""

    def tokens(self, disagreement: NDArray, grid: tuple[int, int]) -> NDArray: ...


@dataclass(frozen=True)
class Largest:
    """The tokens on which the rules disagree most, `count` of them: more than about 48 pairs of lines nobody can follow."""

    count: int = 48

    def tokens(self, disagreement: NDArray, grid: tuple[int, int]) -> NDArray:
        return largest(disagreement, self.count)


@dataclass(frozen=True)
class Spaced:
    """Every `every`-th token in both directions, from the middle of the first such patch."""

    every: int = 4

    def tokens(self, disagreement: NDArray, grid: tuple[int, int]) -> NDArray:
        rows, columns = (np.arange(min(self.every // 2, side - 1), side, self.every) for side in grid)
        return (rows[:, None] * grid[1] + columns).ravel()


@dataclass(frozen=True)
class Box:
    """All tokens of the rows `top` to `bottom` and columns `left` to `right`, ends not included."""

    top: int
    left: int
    bottom: int
    right: int

    def tokens(self, disagreement: NDArray, grid: tuple[int, int]) -> NDArray:
        if not (0 <= self.top < self.bottom <= grid[0] and 0 <= self.left < self.right <= grid[1]):
            raise ZvrError(f"{self} given, the grid has {grid[0]} rows and {grid[1]} columns of tokens; top < bottom and left < right")
        return (np.arange(self.top, self.bottom)[:, None] * grid[1] + np.arange(self.left, self.right)).ravel()


@dataclass(frozen=True)
class Listed:
    """These tokens."""

    numbers: tuple[int, ...]

    def tokens(self, disagreement: NDArray, grid: tuple[int, int]) -> NDArray:
        return np.asarray(self.numbers, int)


@dataclass(frozen=True, eq=False)
class Pairs:
    """Chosen tokens (n,) and their targets by each matcher, (n,) each, -1 where it has none; `truth` -1 where unknown."""

    tokens: NDArray
    targets: Mapping[str, NDArray]
    truth: NDArray
    agree: NDArray  # (n,) bool: all matchers within `SAME` of the first

    def places(self, lattice: Lattice) -> tuple[NDArray, dict[str, NDArray], NDArray]:
        """Tokens, targets by matcher, and true places, in pixels, (n, 2) each; NaN where missing."""
        return lattice.centres(self.tokens), {name: lattice.centres(to) for name, to in self.targets.items()}, lattice.centres(self.truth)


def pairs(
    targets: Mapping[str, ArrayLike], grid: tuple[int, int], truth: ArrayLike | None = None, choice: Choice | Sequence[int] = Largest()
) -> Pairs:
    """The pairs of targets (N,) of one or two matchers at the tokens of a choice (or a list of tokens).

    Raises ZvrError for no matcher, more than two, another length than the grid's, and tokens outside it.
    """
    if not 1 <= len(targets) <= 2:
        raise ZvrError(f"matches of {len(targets)} matchers given ({', '.join(targets)}); one or two can be compared in one picture")
    found = {name: np.asarray(to, np.int64) for name, to in targets.items()}
    count = grid[0] * grid[1]
    true = np.full(count, -1) if truth is None else np.asarray(truth, np.int64)
    for name, to in (*found.items(), ("truth", true)):
        if to.shape != (count,):
            raise ZvrError(f"targets of shape {to.shape} given for {name}; one for each of {grid[1]}×{grid[0]} tokens is expected")
    first, *_, last = [*found.values()] * 2  # with one matcher, itself: nothing to disagree with
    apart = distance(first, last, grid)
    chosen = choice.tokens(apart, grid) if hasattr(choice, "tokens") else np.asarray(choice, int)
    if chosen.size and not (chosen.min() >= 0 and chosen.max() < count):
        raise ZvrError(f"tokens {chosen.min()} to {chosen.max()} asked for, the grid of {grid[1]}×{grid[0]} has 0 to {count - 1}")
    return Pairs(chosen, {name: to[chosen] for name, to in found.items()}, true[chosen], apart[chosen] < SAME)
