"""Where tokens lie on a picture: the one place that turns token numbers into pixels and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zvr_core.errors import ZvrError

Points = NDArray[np.float64]  # (n, 2) as x, y in pixels; (0, 0) is the middle of the first pixel


@dataclass(frozen=True)
class Lattice:
    """A token grid (h, w) of cells of `cell` pixels over a picture of `size` (H, W); the last cells may stick out of it.

    Raises ZvrError where cells would hold no pixel of the picture.
    """

    grid: tuple[int, int]
    cell: int
    size: tuple[int, int]

    def __post_init__(self) -> None:
        if any(n < 1 or (n - 1) * self.cell >= side for n, side in zip(self.grid, self.size, strict=True)):
            raise ZvrError(
                f"a grid of {self.grid[1]}×{self.grid[0]} cells of {self.cell} pixels given for a picture of "
                f"{self.size[1]}×{self.size[0]} pixels, which holds fewer; give the picture at output size"
            )

    @property
    def count(self) -> int:
        """N, the number of tokens."""
        return self.grid[0] * self.grid[1]

    def centres(self, tokens: ArrayLike) -> Points:
        """The middles of tokens (n,), at the border of the picture where they would lie outside; NaN for the missing token -1."""
        numbers = self.checked(tokens)
        row, column = np.divmod(numbers, self.grid[1])
        middle = (self.cell - 1) / 2
        x = np.minimum(column * self.cell + middle, self.size[1] - 1)
        y = np.minimum(row * self.cell + middle, self.size[0] - 1)
        return np.where((numbers >= 0)[:, None], np.stack([x, y], axis=1), np.nan)  # (n, 2)

    def token_at(self, x: float, y: float) -> int:
        """The token at a pixel; raises ZvrError outside the picture."""
        if not (-0.5 <= x < self.size[1] - 0.5 and -0.5 <= y < self.size[0] - 0.5):
            raise ZvrError(f"pixel x={x}, y={y} given, the picture has {self.size[1]}×{self.size[0]}; count from 0 at the top left")
        row, column = int((y + 0.5) // self.cell), int((x + 0.5) // self.cell)
        return min(row, self.grid[0] - 1) * self.grid[1] + min(column, self.grid[1] - 1)

    def spread(self, values: NDArray) -> NDArray:
        """Values of tokens (N, …) as pixels, (H, W, …): each cell filled with its token's value."""
        if len(values) != self.count:
            raise ZvrError(f"{len(values)} values given for a grid of {self.grid[1]}×{self.grid[0]} tokens; one for each is expected")
        rows, columns = (np.minimum(np.arange(side) // self.cell, n - 1) for side, n in zip(self.size, self.grid, strict=True))
        return values.reshape(*self.grid, *values.shape[1:])[rows][:, columns]  # (H, W, …)

    def checked(self, tokens: ArrayLike) -> NDArray[np.int64]:
        """Token numbers as an array (n,); raises ZvrError for one that the grid has not."""
        numbers = np.atleast_1d(np.asarray(tokens, np.int64))
        if numbers.size and not (numbers.min() >= -1 and numbers.max() < self.count):
            wrong = numbers[(numbers < -1) | (numbers >= self.count)][0]
            raise ZvrError(f"token {wrong} given, the grid of {self.grid[1]}×{self.grid[0]} has tokens 0 to {self.count - 1}")
        return numbers
