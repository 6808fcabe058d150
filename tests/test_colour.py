"""Colour fixes against closed forms and a plain re-derivation in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from zvr_core.colour import adain, low_band, luma, wavelet_fix
from zvr_core.errors import ZvrError

SIZES = [(1, 1), (1, 9), (7, 5), (15, 16), (40, 23)]


def frames(height: int, width: int, seed: int = 0, count: int = 2) -> torch.Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


def published_low_band(image: np.ndarray) -> np.ndarray:
    """Five levels of a 3 × 3 kernel with dilation 2^i on one channel, pixel by pixel, indices clipped at the border of each level."""
    kernel = np.outer([1, 2, 1], [1, 2, 1]) / 16
    height, width = image.shape
    for level in range(5):
        blurred = np.zeros_like(image)
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                rows = np.clip(np.arange(height) + dy * 2**level, 0, height - 1)
                columns = np.clip(np.arange(width) + dx * 2**level, 0, width - 1)
                blurred += kernel[dy + 1, dx + 1] * image[rows][:, columns]
        image = blurred
    return image


@settings(deadline=None, max_examples=15)
@given(height=st.integers(1, 24), width=st.integers(1, 24), seed=st.integers(0, 99))
def test_low_band_is_the_published_five_level_form(height: int, width: int, seed: int) -> None:
    x = frames(height, width, seed, count=1).double()
    expected = np.stack([published_low_band(channel) for channel in x[0].numpy()])
    np.testing.assert_allclose(low_band(x)[0].numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("size", SIZES)
def test_fix_is_sum_of_published_details_plus_low_band_of_the_reference(size: tuple[int, int]) -> None:
    sample, reference = frames(*size, seed=1), frames(*size, seed=2)
    details = sum(low_band(sample, i) - low_band(sample, i + 1) for i in range(5))
    torch.testing.assert_close(wavelet_fix(sample, reference), details + low_band(reference), atol=1e-6, rtol=0)


@pytest.mark.parametrize("size", SIZES)
def test_low_and_high_band_add_up_to_the_image(size: tuple[int, int]) -> None:
    x = frames(*size)
    high = sum(low_band(x, i) - low_band(x, i + 1) for i in range(5))
    torch.testing.assert_close(high + low_band(x), x, atol=1e-6, rtol=0)


@pytest.mark.parametrize("fix", [wavelet_fix, adain])
@pytest.mark.parametrize("size", SIZES)
def test_fix_with_itself_is_the_identity(fix, size: tuple[int, int]) -> None:
    x = frames(*size)
    torch.testing.assert_close(fix(x, x), x, atol=1e-6, rtol=0)


@pytest.mark.parametrize("fix", [wavelet_fix, adain])
def test_constant_shift_of_colour_is_removed(fix) -> None:
    x = frames(20, 30)
    shift = torch.tensor([0.2, -0.1, 0.05])[:, None, None]
    torch.testing.assert_close(fix(x + shift, x), x, atol=1e-6, rtol=0)


def test_wavelet_fix_keeps_the_detail_of_the_sample() -> None:
    checkerboard = (torch.arange(32)[:, None] + torch.arange(32)) % 2 * 0.5  # removed whole by the first level
    sample = checkerboard.expand(1, 3, 32, 32)
    fixed = wavelet_fix(sample, torch.full_like(sample, 0.7))
    inside = (..., slice(1, -1), slice(1, -1))
    assert float(fixed[inside].max() - fixed[inside].min()) == pytest.approx(0.5, abs=0.05)
    assert float(fixed.mean()) == pytest.approx(0.7, abs=1e-3)


def test_adain_removes_a_gain_per_channel_and_frame() -> None:
    x = frames(16, 16)
    gain = torch.tensor([[0.5, 2.0, 1.5], [1.2, 0.1, 0.9]])[..., None, None]
    torch.testing.assert_close(adain(gain * x + 0.1, x), x, atol=1e-5, rtol=0)


def test_adain_of_a_constant_frame_is_the_mean_of_the_reference() -> None:
    reference = frames(8, 8)
    fixed = adain(torch.full_like(reference, 0.3), reference)
    torch.testing.assert_close(fixed, reference.mean((-2, -1), keepdim=True).expand_as(fixed), atol=1e-6, rtol=0)


@pytest.mark.parametrize("fix", [wavelet_fix, adain])
def test_different_sizes_are_an_error_that_names_both(fix) -> None:
    with pytest.raises(ZvrError, match=r"\(2, 3, 8, 8\).*\(2, 3, 4, 4\)"):
        fix(frames(8, 8), frames(4, 4))


def test_luma_of_grey_is_its_value_and_of_green_is_its_weight() -> None:
    torch.testing.assert_close(luma(torch.full((1, 3, 2, 2), 0.4)), torch.full((1, 1, 2, 2), 0.4))
    green = torch.zeros(1, 3, 1, 1)
    green[:, 1] = 1
    assert float(luma(green)) == pytest.approx(0.587)
