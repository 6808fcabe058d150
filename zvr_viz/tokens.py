"""Numbers about tokens that pictures show and that nobody records: plain numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zvr_core.agreement import SAME, distance


def provider_age(providers: ArrayLike) -> NDArray[np.int32]:
    """For how many recorded steps in a row, this one included, each token has had the same provider: (S, N) to (S, N).

    The provider is the token whose attention output it received; its own number where it was not merged.  1 at the first step and
    whenever the provider has changed; 0 where none was recorded (-1).  Old providers are stable sharing, ones are flicker in the making.
    """
    numbers = np.asarray(providers)
    age = np.zeros(numbers.shape, np.int32)
    for step, now in enumerate(numbers):
        before = age[step - 1] * (numbers[step - 1] == now) if step else 0
        age[step] = np.where(now >= 0, before + 1, 0)
    return age


def share_within(targets: ArrayLike, others: ArrayLike, grid: tuple[int, int]) -> float:
    """The share of tokens whose two targets are the same token or neighbours; of those that have both, NaN where none has."""
    apart = distance(np.asarray(targets), np.asarray(others), grid)
    known = np.isfinite(apart)
    return float((apart[known] < SAME).mean()) if known.any() else float("nan")


def percent(share: float) -> str:
    """A share in words."""
    return "unknown" if np.isnan(share) else f"{100 * share:.0f}\N{NO-BREAK SPACE}%"
