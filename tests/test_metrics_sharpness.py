"""Sharpness and the blur-matched control against closed forms."""

from __future__ import annotations

import math

import pytest
import torch

from zvr_core.degrade import Blur, Noise
from zvr_core.errors import ZvrError
from zvr_core.metrics.sharpness import Mixture, high_pass, high_pass_correlation, match_sharpness, relative_sharpness, sharpness


def texture(count: int = 2, seed: int = 0, size: int = 64) -> torch.Tensor:
    grey = torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(seed))
    return Blur(0.7)(grey.expand(-1, 3, -1, -1))


def test_sharpness_of_a_sine_follows_the_frequency_response_of_the_gaussian() -> None:
    frequency, amplitude = 2 * math.pi / 6, 0.3  # radians per pixel: whole periods in the 48 columns that count
    sine = 0.5 + amplitude * torch.sin(frequency * torch.arange(64)).expand(1, 3, 64, 64)
    passed = 1 - math.exp(-((1.5 * frequency) ** 2) / 2)
    assert float(sharpness(sine)) == pytest.approx((amplitude * passed) ** 2 / 2, rel=0.02)


def test_blur_lowers_sharpness_monotonically() -> None:
    x = texture()
    values = [relative_sharpness(Blur(sigma)(x), x) for sigma in (0, 0.5, 1, 2, 4)]
    assert values[0] == pytest.approx(1)
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.05


def test_grain_is_sharp_but_not_correlated() -> None:
    x, blurred = texture(), Blur(2)(texture())
    grainy = Noise(0.1)(blurred)
    assert relative_sharpness(grainy, x) > relative_sharpness(blurred, x)
    assert high_pass_correlation(grainy, x) < high_pass_correlation(blurred, x)


def test_border_does_not_count() -> None:
    x = texture(1)
    framed = x.clone()
    framed[..., :2] = framed[..., :2, :] = 1
    assert torch.equal(high_pass(framed), high_pass(x))
    assert high_pass(x).shape == (1, 1, 48, 48)


def test_correlation_with_itself_is_one_with_the_inverse_minus_one_with_other_noise_zero() -> None:
    x = texture(2, size=128)
    assert high_pass_correlation(x, x) == pytest.approx(1)
    assert high_pass_correlation(1 - x, x) == pytest.approx(-1)
    assert abs(high_pass_correlation(texture(2, 1, 128), x)) < 0.05


def test_constant_frames_give_words_or_zero_but_never_nan() -> None:
    flat, x = torch.full((2, 3, 32, 32), 0.37), texture(size=32)
    assert relative_sharpness(flat, x) == pytest.approx(0, abs=1e-6)
    assert high_pass_correlation(flat, x) == high_pass_correlation(x, flat) == high_pass_correlation(flat, flat) == 0
    with pytest.raises(ZvrError, match="constant"):
        relative_sharpness(x, flat)


def test_frames_of_sixteen_pixels_leave_nothing_to_measure() -> None:
    with pytest.raises(ZvrError, match="undefined for frames of 20 × 16 pixels"):
        sharpness(torch.rand(1, 3, 16, 20))
    assert math.isfinite(float(sharpness(torch.rand(1, 3, 17, 17))))


def test_mixture_is_lazy_and_linear() -> None:
    sample, mean = texture(3, 1), texture(3, 2)
    mixed = Mixture(sample, mean, 0.25)
    assert len(mixed) == 3
    torch.testing.assert_close(mixed[1:3], 0.25 * sample[1:3] + 0.75 * mean[1:3])


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9, 1.0])
def test_control_is_as_sharp_as_the_target(share: float) -> None:
    sample = texture(3)
    mean = Blur(1.5)(sample)
    low, high = float(sharpness(mean).mean()), float(sharpness(sample).mean())
    target = low + share * (high - low)
    control = match_sharpness(sample, mean, target)
    assert 0 <= control.weight <= 1
    assert control.mark == ""
    assert float(sharpness(control.frames).mean()) == pytest.approx(target, rel=1e-4)


def test_weight_of_independent_grain_over_a_flat_mean_is_the_square_root_of_the_ratio() -> None:
    sample, flat = texture(), torch.full((2, 3, 64, 64), 0.5)
    control = match_sharpness(sample, flat, 0.49 * float(sharpness(sample).mean()))
    assert control.weight == pytest.approx(0.7, abs=1e-4)


def test_method_sharper_than_per_frame_gets_weight_one_and_a_mark() -> None:
    sample = texture()
    control = match_sharpness(sample, Blur(1)(sample), 2 * float(sharpness(sample).mean()))
    assert (control.weight, control.mark) == (1.0, "> 1")
    torch.testing.assert_close(control.frames[0:2], sample)


def test_method_more_blurred_than_the_mean_gets_weight_zero_and_a_mark() -> None:
    sample = texture()
    mean = Blur(1)(sample)
    control = match_sharpness(sample, mean, 0.5 * float(sharpness(mean).mean()))
    assert (control.weight, control.mark) == (0.0, "< 0")


def test_target_below_both_ends_is_met_where_detail_cancels() -> None:
    sample = texture()
    control = match_sharpness(sample, 1 - sample, 0.25 * float(sharpness(sample).mean()))  # high-pass (2 w - 1) s
    assert (control.weight, control.mark) == (pytest.approx(0.75, abs=1e-4), "")


@pytest.mark.parametrize("ratio", [0.5, 1.0, 2.0])
def test_sample_equal_to_its_mean_is_no_division_by_zero(ratio: float) -> None:
    x = texture()
    control = match_sharpness(x, x, ratio * float(sharpness(x).mean()))
    assert 0 <= control.weight <= 1
    assert control.mark == {0.5: "< 0", 1.0: "", 2.0: "> 1"}[ratio]


@pytest.mark.parametrize("target", [0.0, 0.1])
def test_control_of_constant_frames_is_defined(target: float) -> None:
    flat = torch.full((2, 3, 32, 32), 0.5)
    assert 0 <= match_sharpness(flat, flat, target).weight <= 1
