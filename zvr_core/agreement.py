"""How far two matchers disagree about the same token."""

from __future__ import annotations

import numpy as np

SAME = 1.5  # tokens: two targets agree where they are the same token or neighbours, diagonal ones included


def distance(target_a: np.ndarray, target_b: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """The Euclidean distance in tokens between two targets (…, N) of each token on a grid (h, w), float32; NaN where either is -1."""
    (row_a, column_a), (row_b, column_b) = (np.divmod(target.astype(np.int64), grid[1]) for target in (target_a, target_b))
    apart = np.hypot(row_a - row_b, column_a - column_b).astype(np.float32)
    return np.where((target_a < 0) | (target_b < 0), np.float32(np.nan), apart)


def largest(distance: np.ndarray, count: int) -> np.ndarray:
    """The tokens of the `count` largest distances (N,), largest first; ties go to the lowest token, NaN is never among them."""
    order = np.argsort(-distance, kind="stable")  # NaN comes last
    return order[: min(count, int(np.isfinite(distance).sum()))]
