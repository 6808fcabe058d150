"""Flow on other grids, against the published reduction and hand-written loops."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from motion import constant, generator

from zvr_core.errors import ZvrError
from zvr_core.flow import confidence, flow_at_cells, reduce_cells, resize_flow


def test_a_constant_flow_is_scaled_by_the_ratio_of_each_axis() -> None:
    resized = resize_flow(constant(6, 4, 8, 12), (4, 3))
    assert torch.equal(resized, constant(1.5, 2, 4, 3))
    assert torch.equal(resize_flow(constant(6, 4, 8, 12)[0], (16, 24)), constant(12, 8, 16, 24)[0])


def test_the_same_size_is_a_copy() -> None:
    flow = torch.randn(2, 7, 5, generator=generator())
    assert torch.equal(resize_flow(flow, (7, 5)), flow)


@pytest.mark.parametrize("cell", [8, 16])
def test_cells_and_resizing_are_the_published_reduction(cell: int) -> None:
    flow = torch.randn(2, 2, 3 * cell, 4 * cell, generator=generator())
    first, second = slice(cell // 2 - 1, None, cell), slice(cell // 2, None, cell)
    middle = sum(flow[..., rows, columns] for rows in (first, second) for columns in (first, second)) / 4
    assert torch.equal(flow_at_cells(flow, (3, 4), cell), middle / cell)
    published = F.interpolate(flow, scale_factor=1 / cell, mode="bilinear") / cell
    assert torch.allclose(middle / cell, published, rtol=1e-6, atol=1e-7)  # kernels may add the four in another order
    assert torch.allclose(resize_flow(flow, (3, 4)), published, rtol=1e-6, atol=1e-7)


def test_a_grid_may_leave_out_the_last_part_of_a_cell_as_published() -> None:
    flow = torch.randn(1, 2, 21, 35, generator=generator())
    published = F.interpolate(flow, scale_factor=1 / 8, mode="bilinear") / 8
    assert torch.allclose(flow_at_cells(flow, (2, 4), 8), published, rtol=1e-6, atol=1e-7)


def ceiling(side: int, cell: int) -> int:
    return -(-side // cell)


@given(st.integers(1, 13), st.integers(1, 13), st.integers(1, 6), st.integers(0, 100))
@settings(deadline=None, max_examples=40)
def test_the_flow_of_a_cell_is_that_at_its_centre(height: int, width: int, cell: int, seed: int) -> None:
    flow = torch.randn(2, height, width, generator=generator(seed))
    grid = ceiling(height, cell), ceiling(width, cell)
    cells = flow_at_cells(flow, grid, cell)
    for row in range(grid[0]):
        for column in range(grid[1]):
            rows = {min(height - 1, row * cell + k) for k in ((cell - 1) // 2, cell // 2)}
            columns = {min(width - 1, column * cell + k) for k in ((cell - 1) // 2, cell // 2)}
            middle = torch.stack([flow[:, j, i] for j in rows for i in columns])
            assert torch.allclose(cells[:, row, column], middle.mean(0) / cell, atol=1e-6)


@pytest.mark.parametrize("how", ["min", "max", "mean"])
@pytest.mark.parametrize("offset", [-9, 9])
@given(st.integers(1, 13), st.integers(1, 13), st.integers(1, 6))
@settings(deadline=None, max_examples=15)
def test_cells_are_reduced_over_exactly_the_pixels_they_have(how, offset: int, height: int, width: int, cell: int) -> None:
    values = offset + torch.randn(height, width, generator=generator(), dtype=torch.float64)  # float32 rounds -9 by 1e-6
    grid = ceiling(height, cell), ceiling(width, cell)
    cells = reduce_cells(values, grid, cell, how)
    for row in range(grid[0]):
        for column in range(grid[1]):
            block = values[row * cell : (row + 1) * cell, column * cell : (column + 1) * cell]
            assert float(cells[row, column]) == pytest.approx(float(getattr(block, how)()), abs=1e-6)


def test_the_least_error_is_the_published_max_pool_of_the_confidence() -> None:
    error = 2 * torch.rand(1, 24, 40, generator=generator())
    assert torch.equal(confidence(reduce_cells(error, (3, 5), 8)), F.max_pool2d(confidence(error), 8))


@pytest.mark.parametrize("grid", [(24, 23), (23, 41), (0, 4)])
def test_a_grid_with_empty_cells_is_refused(grid: tuple[int, int]) -> None:
    for reduction in (flow_at_cells, reduce_cells):
        with pytest.raises(ZvrError, match=r"cells of 8 pixels given.*320×180 pixels holds 40×23"):
            reduction(torch.zeros(2, 180, 320), grid, 8)


def test_an_unknown_reduction_is_refused() -> None:
    with pytest.raises(ZvrError, match="'median'"):
        reduce_cells(torch.zeros(8, 8), (1, 1), 8, "median")  # type: ignore[arg-type]
