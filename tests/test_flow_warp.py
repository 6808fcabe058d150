"""Warping against closed forms: whole and half translations, a hand-written loop, grid_sample."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from motion import constant, generator, picture

from zvr_core.errors import ZvrError
from zvr_core.flow import warp


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
