"""What is true of the tokens of some frames: where each lies in the key frame, whether it is seen there, how much texture it shows.

| group | tokens |
|---|---|
| all | each of them |
| visible, occluded | their true place in the key frame is known and inside; it is seen there, or something hides it |
| textured, smooth | not hidden; luma inside the cell has a standard deviation of at least `TEXTURED`, or less |
| slow, fast | visible; the token moved by less than `FAST` pixels to its place in the key frame, or more |

Plain numpy: no model and no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from zvr_core.trace.true_targets import Grid, hidden_tokens, nearest_tokens, true_places

if TYPE_CHECKING:
    from zvr_core.scenes.truth import Truth

TEXTURED = 8.0  # 8-bit levels of luma
FAST = 16.0  # px
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


@dataclass(frozen=True, eq=False)
class TokenTruth:
    """The truth about F frames of N tokens; NaN is unknown.  Tokens whose motion is unknown are neither visible nor occluded."""

    grid: Grid
    cell: int  # px
    places: NDArray[np.float32]  # (F, N, 2): y, x in tokens of the key frame
    hidden: NDArray[np.bool_]  # (F, N): not seen in the key frame
    texture: NDArray[np.float32]  # (F, N): 8-bit levels

    @staticmethod
    def of(flows: Sequence[Any], occluded: Sequence[Any], pictures: Sequence[Any], grid: Grid, cell: int) -> TokenTruth:
        """From each frame's flow to the key frame, (2, H, W) in pixels, what is occluded there, (H, W), and its picture, (H, W, 3) uint8.

        Without pictures the texture is unknown.  Raises ZvrError where a cell of the grid would hold no pixel.
        """
        places = np.stack([true_places(flow, grid, cell) for flow in flows])  # (F, N, 2)
        textures = [texture(picture, grid, cell) for picture in pictures] or [np.full(places.shape[1], np.nan)] * len(places)
        return TokenTruth(grid, cell, places, np.stack([hidden_tokens(hidden, grid, cell) for hidden in occluded]), np.stack(textures))

    @staticmethod
    def of_scene(scene: Truth, frames: Sequence[int], key: int, grid: Grid, cell: int) -> TokenTruth:
        """From a clip with exact motion."""
        pictures = [255 * np.moveaxis(np.asarray(scene.render(f)), 0, -1) for f in frames]  # (H, W, 3)
        return TokenTruth.of([scene.flow(f, key) for f in frames], [scene.occluded(f, key) for f in frames], pictures, grid, cell)

    @staticmethod
    def unknown(frames: int, grid: Grid, cell: int) -> TokenTruth:
        """Nothing is known: every token belongs to the group "all" alone."""
        shape = (frames, grid[0] * grid[1])
        nothing = np.full(shape, np.nan, np.float32)
        return TokenTruth(grid, cell, np.stack([nothing, nothing], -1), np.ones(shape, bool), nothing)

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, frames: Sequence[int]) -> TokenTruth:
        """The truth about some of the frames."""
        return TokenTruth(self.grid, self.cell, self.places[frames], self.hidden[frames], self.texture[frames])

    @cached_property
    def target(self) -> NDArray[np.int32]:
        """The token each token lies in, seen or hidden, (F, N); -1 where it is unknown or outside."""
        return nearest_tokens(self.places, self.grid)

    @cached_property
    def groups(self) -> dict[str, NDArray[np.bool_]]:
        """Members (F, N) of each group."""
        inside, seen = self.target >= 0, ~self.hidden
        moved = self.cell * np.linalg.norm(self.places - positions(np.arange(self.places.shape[1]), self.grid), axis=-1)  # (F, N) px
        return {
            "all": np.ones_like(seen),
            "visible": seen & inside,
            "occluded": self.hidden & inside,
            "textured": seen & (self.texture >= TEXTURED),
            "smooth": seen & (self.texture < TEXTURED),
            "slow": seen & inside & (moved < FAST),
            "fast": seen & inside & (moved >= FAST),
        }


def positions(tokens: NDArray, grid: Grid) -> NDArray[np.float32]:
    """Row and column of tokens (…), (…, 2); NaN for -1."""
    place = np.stack(np.divmod(tokens, grid[1]), -1).astype(np.float32)
    place[np.asarray(tokens) < 0] = np.nan
    return place


def texture(picture: NDArray, grid: Grid, cell: int) -> NDArray[np.float32]:
    """Standard deviation of luma inside each cell, (N,), in 8-bit levels, of a picture (H, W, 3) in 0 to 255."""
    grey = np.asarray(picture, np.float32) @ np.array(LUMA, np.float32)  # (H, W)
    height, width = grid[0] * cell, grid[1] * cell
    grey = np.pad(grey[:height, :width], [(0, max(0, height - grey.shape[0])), (0, max(0, width - grey.shape[1]))], mode="edge")
    return grey.reshape(grid[0], cell, grid[1], cell).std((1, 3)).ravel()
