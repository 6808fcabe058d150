"""Where tokens truly are in another frame, from exact flow: plain numpy, for viewers and measures alike.

A token's place is that of its cell's centre.  Places and targets are counted in tokens of the grid: (y, x), and n = y·w + x.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zvr_core.errors import ZvrError

Grid = tuple[int, int]  # (h, w)
EDGE = 1.0  # px: four neighbours whose motion differs by more lie on a border between motions, and the centre has neither


def true_places(flow: NDArray, grid: Grid, cell: int) -> NDArray[np.float32]:
    """Where each token lies after `flow`, (2, H, W) as x, y in pixels, NaN unknown: (N, 2) as y, x in tokens.

    Places may lie outside the grid.  NaN where the motion at the cell's centre is unknown, or where two motions meet.  Raises
    ZvrError where a cell of the grid would hold no pixel.
    """
    h, w = grid
    around = around_centres(np.asarray(flow, np.float32), grid, cell)  # (4, 2, h, w)
    alike = (around.max(0) - around.min(0)).max(0) <= EDGE  # (h, w), false for NaN
    x, y = np.where(alike, around.mean(0), np.nan) / cell  # (h, w) each
    return np.stack([y + np.arange(h)[:, None], x + np.arange(w)], -1).reshape(h * w, 2).astype(np.float32)  # (N, 2)


def nearest_tokens(places: NDArray, grid: Grid) -> NDArray[np.int32]:
    """The token each place (…, 2) lies in, (…); halfway, the later one; -1 where it is unknown or outside the grid."""
    cells = np.floor(np.nan_to_num(places, nan=-1.0) + 0.5).astype(np.int32)
    inside = ((cells >= 0) & (cells < grid)).all(-1)
    return np.where(inside, cells[..., 0] * grid[1] + cells[..., 1], -1).astype(np.int32)


def hidden_tokens(occluded: NDArray, grid: Grid, cell: int) -> NDArray[np.bool_]:
    """Which tokens are not seen in the other frame, (N,): any of the pixels around the cell's centre is `occluded`, (H, W) bool."""
    return around_centres(np.asarray(occluded, bool), grid, cell).any(0).reshape(-1)


def true_targets(flow: NDArray, occluded: NDArray, grid: Grid, cell: int) -> NDArray[np.int32]:
    """The true target of each token, (N,): the token it lies in, -1 where that is unknown, occluded or outside the other frame."""
    targets = nearest_tokens(true_places(flow, grid, cell), grid)
    return np.where(hidden_tokens(occluded, grid, cell), -1, targets).astype(np.int32)


def around_centres(values: NDArray, grid: Grid, cell: int) -> NDArray:
    """The four pixels around each cell's centre (of an odd cell: the one, four times), (…, H, W) to (4, …, h, w)."""
    height, width = values.shape[-2:]
    most = (-(-height // cell), -(-width // cell))
    if not (0 < grid[0] <= most[0] and 0 < grid[1] <= most[1]):
        given, has = f"{grid[1]}×{grid[0]} cells of {cell} pixels", f"{width}×{height} pixels holds {most[1]}×{most[0]}"
        raise ZvrError(f"a grid of {given} given, but a picture of {has}; ask for the picture's own cells, without the model's padding")
    rows, columns = (
        [np.minimum(np.arange(n) * cell + middle, side - 1) for middle in ((cell - 1) // 2, cell // 2)]
        for n, side in zip(grid, (height, width), strict=True)
    )
    return np.stack([values[..., row[:, None], column] for row in rows for column in columns])
