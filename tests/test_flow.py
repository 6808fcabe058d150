"""Optical flow against closed forms: known translations, hand-written loops, a moving square."""

from __future__ import annotations

import math

import cv2
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from zvr_core.errors import ZvrError
from zvr_core.flow import (
    DIS,
    confidence,
    flow_at_cells,
    leaves_frame,
    occluded,
    occluded_squared,
    reduce_cells,
    resize_flow,
    round_trip,
    warp,
)

SIZES = [(1, 1), (7, 5), (1, 40), (12, 40), (15, 44), (11, 300), (300, 11), (17, 31), (45, 46), (64, 96)]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def texture(height: int, width: int, x: float = 0.0, y: float = 0.0) -> torch.Tensor:
    """A grey picture (3, H, W) in [0, 1], defined everywhere in closed form, seen from (x, y): 40 waves of 6 pixels or longer."""
    random = torch.rand(40, 3, generator=generator(), dtype=torch.float64)
    angle, length, phase = 2 * math.pi * random[:, 0], 6 + 40 * random[:, 1], 2 * math.pi * random[:, 2]
    rows, columns = torch.meshgrid(torch.arange(height) + y, torch.arange(width) + x, indexing="ij")
    along = columns[..., None] * angle.cos() + rows[..., None] * angle.sin()
    waves = torch.sin(2 * math.pi * along / length + phase).mean(-1)
    return (0.5 + 1.5 * waves).clamp(0, 1).float().expand(3, -1, -1)


def constant(x: float, y: float, height: int = 6, width: int = 8) -> torch.Tensor:
    """One flow for all pixels, (1, 2, H, W)."""
    return torch.tensor([float(x), float(y)]).view(1, 2, 1, 1).expand(1, 2, height, width).clone()


def picture(height: int = 6, width: int = 8, frames: int = 1) -> torch.Tensor:
    return torch.randn(frames, 3, height, width, generator=generator(height * width))


# DIS


@pytest.mark.parametrize(("x", "y"), [(0.0, 0.0), (4.0, 0.0), (5.3, -2.7), (-0.5, 0.25)])
def test_dis_finds_a_translation_within_a_tenth_of_a_pixel(x: float, y: float) -> None:
    a, b = texture(120, 160), texture(120, 160, -x, -y)  # what a shows at p, b shows at p + (x, y)
    flow = DIS()(a, b)[:, 16:-16, 16:-16]
    assert flow.dtype == torch.float32
    assert (flow - torch.tensor([x, y]).view(2, 1, 1)).norm(dim=0).max() < 0.1


def test_warping_b_by_the_flow_from_a_to_b_makes_a_and_the_other_direction_does_not() -> None:
    a, b = texture(96, 128), texture(96, 128, -5, -3)
    right, wrong = DIS()(a, b), DIS()(b, a)
    inner = (..., slice(12, -12), slice(12, -12))
    assert (warp(b[None], right[None])[0] - a)[inner].abs().max() < 0.02
    assert (warp(b[None], wrong[None])[0] - a)[inner].abs().mean() > 0.1


def test_dis_is_the_same_with_any_number_of_threads() -> None:
    a, b, threads = texture(120, 160), texture(120, 160, 3, 1), cv2.getNumThreads()
    flows = []
    try:
        for count in (1, 2, 5):
            cv2.setNumThreads(count)
            flows.append(DIS()(a, b))
    finally:
        cv2.setNumThreads(threads)
    assert torch.equal(flows[0], flows[1])
    assert torch.equal(flows[0], flows[2])


@pytest.mark.parametrize("preset", ["ultrafast", "fast", "medium"])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_dis_takes_every_size(preset: str, height: int, width: int) -> None:
    a, b = torch.rand(2, 3, height, width, generator=generator())
    flow = DIS(preset)(a, b)
    assert flow.shape == (2, height, width)
    assert torch.isfinite(flow).all()
    assert torch.equal(DIS(preset)(a, a), torch.zeros(2, height, width))


def test_dis_keeps_nothing_between_calls() -> None:
    dis, a, b = DIS(), texture(90, 100), texture(90, 100, 2, 1)
    first = dis(a, b)
    dis(a[:, :20, :20], b[:, :20, :20])
    assert torch.equal(dis(a, b), first)


def test_flat_frames_do_not_move() -> None:
    assert torch.equal(DIS()(torch.zeros(3, 40, 50), torch.ones(3, 40, 50)), torch.zeros(2, 40, 50))


def test_bad_input_of_dis_is_named() -> None:
    with pytest.raises(ZvrError, match="'slow'; choose one of: fast, medium, ultrafast"):
        DIS("slow")
    with pytest.raises(ZvrError, match=r"\(3, 20, 20\) and \(3, 20, 21\)"):
        DIS()(torch.zeros(3, 20, 20), torch.zeros(3, 20, 21))
    with pytest.raises(ZvrError, match="one shape"):
        DIS()(torch.zeros(1, 20, 20), torch.zeros(1, 20, 20))


# warp


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
@pytest.mark.parametrize("padding", ["zeros", "border"])
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (480, 853)])
def test_zero_flow_is_a_copy(mode: str, padding: str, size: tuple[int, int]) -> None:
    x = picture(*size)
    assert torch.equal(warp(x, torch.zeros(1, 2, *size), mode, padding), x)


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_whole_translations_are_exact(mode: str) -> None:
    x = picture(30, 2000)
    warped = warp(x, constant(3, -2, 30, 2000), mode)
    assert torch.equal(warped[..., 2:, :-3], x[..., :-2, 3:])
    assert not warped[..., :2, :].any()
    assert not warped[..., -3:].any()


def test_border_padding_repeats_the_border() -> None:
    x = picture()
    assert torch.equal(warp(x, constant(100, 0), padding="border"), x[..., -1:].expand_as(x))
    assert torch.equal(warp(x, constant(-2.5, 0), padding="border")[..., :2], x[..., :1].expand(-1, -1, -1, 2))


@pytest.mark.parametrize(("x", "whole"), [(0.5, 1), (1.5, 2), (-0.5, 0), (-1.5, -1), (0.49999997, 0), (-0.50000006, -1), (2.4, 2)])
def test_nearest_rounds_halves_up_everywhere(x: float, whole: int) -> None:
    image = picture(4, 900)
    assert torch.equal(warp(image, constant(x, 0, 4, 900), "nearest"), warp(image, constant(whole, 0, 4, 900), "nearest"))


def test_half_a_pixel_is_the_mean_of_two() -> None:
    x = picture()
    assert torch.allclose(warp(x, constant(0.5, 0))[..., :-1], (x[..., :-1] + x[..., 1:]) / 2)
    assert torch.allclose(warp(x, constant(0, 0.5))[..., :-1, :], (x[..., :-1, :] + x[..., 1:, :]) / 2)


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 1000))
@settings(deadline=None, max_examples=25)
def test_bilinear_is_the_hand_written_loop(height: int, width: int, seed: int) -> None:
    x = torch.randn(1, 1, height, width, generator=generator(seed))
    flow = 3 * torch.randn(1, 2, height, width, generator=generator(seed + 1))
    warped = warp(x, flow)
    for row in range(height):
        for column in range(width):
            at_x, at_y = column + float(flow[0, 0, row, column]), row + float(flow[0, 1, row, column])
            expected = sum(
                float(x[0, 0, j, i]) * max(0, 1 - abs(at_x - i)) * max(0, 1 - abs(at_y - j)) for j in range(height) for i in range(width)
            )
            assert float(warped[0, 0, row, column]) == pytest.approx(expected, abs=1e-5)


def test_it_agrees_with_grid_sample() -> None:
    x, flow = picture(20, 30), 8 * torch.randn(1, 2, 20, 30, generator=generator(1))
    rows, columns = torch.meshgrid(torch.arange(20.0), torch.arange(30.0), indexing="ij")
    grid = torch.stack([2 * (columns + flow[0, 0]) / 29 - 1, 2 * (rows + flow[0, 1]) / 19 - 1], dim=-1)[None]
    for padding in ("zeros", "border"):
        expected = F.grid_sample(x, grid, mode="bilinear", padding_mode=padding, align_corners=True)
        assert torch.allclose(warp(x, flow, padding=padding), expected, atol=1e-4)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e10])
def test_a_flow_to_nowhere_gives_zeros(value: float) -> None:
    assert not warp(picture(), constant(value, 0)).any()
    assert not warp(picture(), constant(value, 0), "nearest").any()


def test_one_picture_is_warped_by_many_flows_and_many_by_one() -> None:
    x, flow = picture(frames=3), torch.randn(3, 2, 6, 8, generator=generator(1))
    assert torch.equal(warp(x[:1], flow)[2:], warp(x[:1], flow[2:]))
    assert torch.equal(warp(x, flow[:1])[2:], warp(x[2:], flow[:1]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_dtype_of_the_picture_is_kept(dtype: torch.dtype) -> None:
    x = picture().to(dtype)
    assert warp(x, constant(0.25, 0)).dtype == dtype
    assert torch.equal(warp(x, constant(1, 0))[..., :-1], x[..., 1:])


def test_a_mask_is_warped_to_the_nearest() -> None:
    mask = picture() > 0
    assert torch.equal(warp(mask, constant(1, 0), "nearest")[..., :-1], mask[..., 1:])


def test_gradients_flow_to_the_picture() -> None:
    x = picture().requires_grad_()
    warp(x, constant(2, 0)).sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, (torch.arange(8) >= 2).float().expand_as(x))  # the first two columns are never fetched


def test_bad_input_of_warp_is_named() -> None:
    with pytest.raises(ZvrError, match=r"8×6 pixels given for a picture of 9×6 pixels.*resize_flow"):
        warp(picture(6, 9), constant(0, 0))
    with pytest.raises(ZvrError, match="'linear'"):
        warp(picture(), constant(0, 0), "linear")  # type: ignore[arg-type]
    with pytest.raises(ZvrError, match="'zero'; did you mean zeros"):
        warp(picture(), constant(0, 0), padding="zero")  # type: ignore[arg-type]


# round trip and occlusion


def test_a_round_trip_of_opposite_translations_has_no_error_inside() -> None:
    forward, backward = constant(2, 1), constant(-2, -1)
    error = round_trip(forward, backward)[0]
    assert error.shape == (6, 8)
    assert torch.equal(error[1:, 2:], torch.zeros(5, 6))
    assert torch.equal(error[0], torch.full((8,), math.sqrt(5)))  # it left the frame, where the flow is zero


def test_a_round_trip_with_the_wrong_direction_misses_by_twice_the_way() -> None:
    assert torch.equal(round_trip(constant(-3, 0), constant(-3, 0))[0, :, 3:], torch.full((6, 5), 6.0))


def test_the_error_lies_on_the_grid_of_the_backward_flow() -> None:
    forward, backward = torch.zeros(2, 1, 4), torch.zeros(2, 1, 4)
    backward[0, 0, 3] = -2  # only pixel 3 goes to 1, and from there nothing leads back
    assert round_trip(forward, backward).tolist() == [[0, 0, 0, 2]]


def test_an_error_that_is_not_a_number_is_infinite() -> None:
    backward = constant(float("nan"), 0)
    assert torch.isinf(round_trip(constant(0, 0), backward)).all()
    assert occluded(constant(0, 0), backward).all()
    assert occluded_squared(constant(0, 0), backward).all()


def moving_square(shift: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Flows a→b and b→a (2, 20, 30) of a square that moves right over a still background, and what it hides in b, on the grid of a."""
    there, back, hidden = torch.zeros(2, 20, 30), torch.zeros(2, 20, 30), torch.zeros(20, 30, dtype=torch.bool)
    there[0, 5:15, 5:15] = shift
    back[0, 5:15, 5 + shift : 15 + shift] = -shift
    hidden[5:15, 15 : 15 + shift] = True
    return there, back, hidden


@pytest.mark.parametrize("test", [occluded, occluded_squared])
@pytest.mark.parametrize("shift", [1, 4, 9])
def test_a_moving_square_hides_the_strip_before_it(test, shift: int) -> None:
    there, back, hidden = moving_square(shift)
    assert torch.equal(test(back, there), hidden)  # the flow a→b is the one to warp with, so it is the backward one on the grid of a
    assert torch.equal(test(torch.stack([back, there]), torch.stack([there, back]))[0], hidden)


@pytest.mark.parametrize("test", [occluded, occluded_squared])
def test_what_leaves_the_frame_is_occluded(test) -> None:
    result = test(constant(3, 0), constant(-3, 0))[0]
    assert torch.equal(result, (torch.arange(8) < 3).expand(6, 8))


@pytest.mark.parametrize("test", [occluded, occluded_squared])
def test_jitter_at_the_border_is_not_occluded(test) -> None:
    assert not test(constant(0.2, 0), constant(-0.2, 0)).any()


@pytest.mark.parametrize(
    ("test", "length", "limit"),
    [
        (occluded, 1, 0.52),
        (occluded, 100, 2.5),
        (occluded_squared, 1, (0.52 / 0.995) ** 0.5),
        (occluded_squared, 100, (200.5 / 0.995) ** 0.5),
    ],
)
def test_the_thresholds_are_the_published_ones(test, length: float, limit: float) -> None:
    for miss, expected in ((limit - 0.01, False), (limit + 0.01, True)):  # |f| + |b| is 2·length, |f|² + |b|² is 2·length² + miss²/2
        forward, backward = constant(miss / 2 - length, 0, 3, 300), constant(miss / 2 + length, 0, 3, 300)
        assert bool(test(forward, backward)[0, 1, 50]) is expected


def test_thresholds_are_arguments() -> None:
    forward, backward = constant(-2, 0.3), constant(2, 0)
    assert not occluded(forward, backward)[..., :6].any()
    assert occluded(forward, backward, alpha=0, beta=0.2)[..., :6].all()
    assert occluded_squared(forward, backward, alpha=0, beta=0.05)[..., :6].all()


def test_leaving_means_that_not_even_a_neighbour_is_in_the_frame() -> None:
    assert leaves_frame(constant(-0.9, 0)).sum() == 0
    assert leaves_frame(constant(-1, 0)).sum() == 6
    assert leaves_frame(constant(0, 1.5)).sum() == 8
    assert leaves_frame(constant(float("nan"), 0)).all()


def test_confidence_is_the_exponential_of_the_plain_error() -> None:
    assert torch.allclose(confidence(torch.tensor([0.0, 1.0, 2.0])), torch.tensor([1.0, math.exp(-1), math.exp(-2)]))
    assert confidence(torch.tensor(torch.inf)) == 0


# other grids


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
