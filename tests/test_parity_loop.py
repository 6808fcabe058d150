"""Published behaviour outside attention, re-derived in plain numpy: latent warping with its masks and its memory."""

import numpy as np
import pytest
import torch

from zvr_core.correspondence import KnownFlow
from zvr_core.methods.base import Context, Memory
from zvr_core.methods.latent_warping import LatentWarping
from zvr_core.windows import Window

CELL = 8


class RandomMotion:
    """Any flow and any occlusion between any two frames."""

    def __init__(self, grid, count, seed):
        self.size, self.count, self.seed = (grid[0] * CELL, grid[1] * CELL), count, seed

    def __len__(self):
        return self.count

    def _rng(self, a, b):
        return np.random.default_rng([self.seed, a, b])

    def flow(self, a, b):
        return torch.from_numpy(self._rng(a, b).normal(0, 20, (2, *self.size)).astype(np.float32))

    def occluded(self, a, b):
        return torch.from_numpy(self._rng(a, b).random(self.size) < 0.01)


def cells(motion, a, b, grid):
    """The published reduction to latent cells: flow from the 2×2 centre pixels over 8, visible where no pixel is occluded."""
    flow = motion.flow(a, b).numpy().reshape(2, grid[0], CELL, grid[1], CELL)
    middle = flow[:, :, 3:5, :, 3:5].mean((2, 4)) / CELL  # (2, h, w)
    occluded = motion.occluded(a, b).numpy().reshape(grid[0], CELL, grid[1], CELL).any((1, 3))
    return middle, ~occluded


def nearest(z, flow):
    """z(p + flow(p)), nearest neighbour, zeros outside."""
    h, w = z.shape[-2:]
    y, x = np.mgrid[:h, :w]
    at_x, at_y = np.rint(x + flow[0]).astype(int), np.rint(y + flow[1]).astype(int)
    inside = (at_x >= 0) & (at_x < w) & (at_y >= 0) & (at_y < h)
    return np.where(inside, z[:, at_y.clip(0, h - 1), at_x.clip(0, w - 1)], 0)


def paste(target, source, motion, a, b, grid):
    flow, visible = cells(motion, a, b, grid)
    return np.where(visible, nearest(source, flow), target)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("grid", [(6, 9), (11, 5)])
def test_latent_warping_over_two_windows(grid, seed):
    motion = RandomMotion(grid, 7, seed)
    x0 = torch.randn(7, 3, *grid, generator=torch.Generator().manual_seed(seed))
    windows, memory, flow = [Window(0, 4, 2), Window(4, 7, 5, previous_key=2)], Memory(), KnownFlow(motion)
    ours = [LatentWarping().x0(x0[w.start : w.stop], Context(0, 50, 999, 0.1, w, grid, CELL, flow, memory)) for w in windows]

    expected = x0.numpy().copy()
    for f in (0, 1, 3):
        expected[f] = paste(expected[f], expected[2], motion, f, 2, grid)
    expected[5] = paste(expected[5], expected[2], motion, 5, 2, grid)
    for f in (4, 6):
        expected[f] = paste(expected[f], expected[5], motion, f, 5, grid)
    assert np.array_equal(torch.cat(ours).numpy(), expected)
