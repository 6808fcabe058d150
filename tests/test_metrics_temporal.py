"""Temporal measures against closed forms: exact pans, still scenes, independent noise, lines in time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
import torch
from skimage import data

from zvr_core import scenes
from zvr_core.correspondence import Upsampled
from zvr_core.degrade import Blur, Noise
from zvr_core.errors import ZvrError
from zvr_core.metrics.temporal import (
    FlowMidpoint,
    Motion,
    flow_map_error,
    frame_similarity,
    interpolation_error,
    interpolation_lpips,
    motions,
    profile_flicker,
    residual_flicker,
    true_motions,
    warping_error,
)

TEMPORAL: list[Callable[[torch.Tensor], object]] = [
    lambda x: warping_error(x, motions(x)),
    interpolation_error,
    profile_flicker,
    lambda x: residual_flicker(x, x),
    lambda x: flow_map_error(x, x),
    frame_similarity,
]


@dataclass(frozen=True, eq=False)
class Pan:
    """An estimator that knows: every pixel moves by (x, y) from `first` to any other frame, and by the opposite to it."""

    x: float
    y: float
    first: torch.Tensor
    name: str = "pan"

    def __call__(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        sign = 1 if torch.equal(a, self.first) else -1
        return sign * torch.tensor([float(self.x), float(self.y)])[:, None, None].expand(2, *a.shape[-2:])


NO_MOTION = Pan(0, 0, torch.empty(0))


def pan(x: int, y: int, count: int = 4, height: int = 96, width: int = 128) -> torch.Tensor:
    """A crop of a photograph whose content moves by (x, y) whole pixels a frame."""
    photo = torch.from_numpy(data.astronaut()).permute(2, 0, 1) / 255
    corners = [(60 - y * t, 150 - x * t) for t in range(count)]
    return torch.stack([photo[:, top : top + height, left : left + width] for top, left in corners])


def still(count: int, seen: int = 1, height: int = 64, width: int = 64) -> list[Motion]:
    return [Motion(torch.zeros(2, height, width), torch.full((height, width), bool(seen))) for _ in range(count - 1)]


def exact(x: int, y: int, count: int = 4, height: int = 96, width: int = 128) -> list[Motion]:
    """The pan's motion: what leaves the frame is not visible."""
    columns, rows = torch.arange(width) + x, torch.arange(height)[:, None] + y
    visible = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    flow = torch.tensor([float(x), float(y)])[:, None, None].expand(2, height, width)
    return [Motion(flow, visible)] * (count - 1)


def noisy(count: int, sigma: float = 0.05) -> torch.Tensor:
    return Noise(sigma)(torch.full((count, 3, 64, 64), 0.5), 0, 0)


def test_warping_error_of_an_exact_pan_is_zero_and_coverage_is_the_overlap() -> None:
    error = warping_error(pan(5, -3), exact(5, -3))
    assert error.value == 0
    assert error.coverage == pytest.approx((128 - 5) * (96 - 3) / (128 * 96))


@pytest.mark.parametrize("shift", [(0, 0), (3, 2), (-6, 1)])
def test_warping_error_of_a_pan_by_dis_is_near_zero(shift: tuple[int, int]) -> None:
    x = pan(*shift)
    measured, unaligned = warping_error(x, motions(x)), warping_error(x, still(4, 1, 96, 128))
    assert measured.coverage > 0.85
    assert measured.value < 0.05 * unaligned.value or unaligned.value == measured.value == 0


def test_flow_points_from_a_frame_to_the_next_one() -> None:
    x = pan(5, -3)
    step = next(motions(x))
    torch.testing.assert_close(step.flow.flatten(1).median(1).values, torch.tensor([5.0, -3.0]), atol=0.1, rtol=0)


def test_visible_is_what_the_next_frame_still_shows_on_the_grid_of_the_earlier_one() -> None:
    x = pan(5, -3, 2)
    step = next(motions(x, Pan(5, -3, x[0])))
    assert torch.equal(step.visible, exact(5, -3)[0].visible)


@pytest.mark.parametrize("sigma", [0.02, 0.05, 0.1])
def test_warping_error_of_independent_noise_is_twice_its_variance(sigma: float) -> None:
    error = warping_error(noisy(6, sigma), still(6))
    assert error.value == pytest.approx(2 * sigma**2 * 1e3, rel=0.03)
    assert error.coverage == 1


def test_warping_error_of_a_brightness_step_is_its_square_per_channel() -> None:
    x = torch.zeros(2, 3, 64, 64)
    x[1, 0] = 51 / 255  # one of three channels
    assert warping_error(x, still(2)).value == pytest.approx(1e3 * 0.2**2 / 3)


def test_values_are_rounded_to_eight_bits_and_clamped_before_they_are_compared() -> None:
    x = torch.full((2, 3, 64, 64), 100 / 255)
    x[1] += 0.4 / 255
    assert warping_error(x, still(2)).value == 0
    assert warping_error(torch.stack([x[0] + 3, x[0] + 1]), still(2)).value == 0


def test_only_visible_pixels_count() -> None:
    x = torch.zeros(2, 3, 64, 64)
    x[1, :, :32] = 1
    half = torch.arange(64)[:, None].expand(64, 64) >= 32
    error = warping_error(x, [Motion(torch.zeros(2, 64, 64), half)])
    assert (error.value, error.coverage) == (0, 0.5)


def test_pair_of_which_nothing_is_visible_is_left_out_of_the_error_but_not_of_the_coverage() -> None:
    x = torch.zeros(3, 3, 64, 64)
    x[1:] = 0.2
    error = warping_error(x, [still(2)[0], still(2, 0)[0]])
    assert error.value == pytest.approx(1e3 * 0.04)
    assert error.coverage == 0.5


def test_nothing_visible_at_all_is_said_in_words() -> None:
    with pytest.raises(ZvrError, match="no pixel is visible"):
        warping_error(noisy(3), still(3, 0))


def test_constant_frames_have_no_error_and_no_nan() -> None:
    x = torch.full((3, 3, 32, 40), 0.4)
    assert warping_error(x, motions(x)).value == 0
    assert interpolation_error(x) == profile_flicker(x) == residual_flicker(x, x) == flow_map_error(x, x) == 0


def test_blur_lowers_the_warping_error() -> None:
    x = pan(3, 2)
    motion = list(motions(x))
    flickering = Noise(0.1)(x, 0, 0)
    values = [warping_error(Blur(sigma)(flickering), motion).value for sigma in (0, 1, 2)]
    assert values == sorted(values, reverse=True)
    assert warping_error(x, motion).value < values[-1]  # the floor


def test_floor_is_the_error_of_the_truth_by_the_same_motion_and_is_not_known_without() -> None:
    x = pan(3, 2)
    motion = list(motions(x))
    result = Noise(0.1)(x, 0, 0)
    error = warping_error(result, motion, x)
    assert error.floor == warping_error(x, motion).value < error.value == warping_error(result, motion).value
    assert math.isnan(warping_error(result, motion).floor)
    with pytest.raises(ZvrError, match="the result has 4 frames, the truth 3"):
        warping_error(result, motion, x[:3])


def test_the_flow_is_named() -> None:
    x = pan(3, 2)
    assert warping_error(x, motions(x)).flow == "DIS medium"
    assert warping_error(x, motions(x, Pan(3, 2, x[0]))).flow == "pan"
    assert warping_error(x, exact(3, 2)).flow == "given flow"


def test_true_motion_of_a_pan_by_whole_pixels_leaves_no_error() -> None:
    scene = scenes.pan(camera=(5, -3), size=(96, 128), count=3)
    error = warping_error(scene.clip(), true_motions(scene))
    assert (error.value, error.flow) == (0, "true motion of pan")
    assert error.coverage == pytest.approx((128 - 5) * (96 - 3) / (128 * 96))


def test_unknown_true_motion_is_not_counted() -> None:
    pair = scenes.bundled_scene("motorcycle")
    error = warping_error(pair.clip(), true_motions(pair))
    assert 0.7 < error.coverage < 0.9
    assert error.value < 0.3 * warping_error(pair.clip(), still(2, 1, *pair.size)).value


def test_without_truth_the_upsampled_input_gives_the_motion() -> None:
    x = pan(4, 4)
    lq = torch.nn.functional.interpolate(x, scale_factor=0.5, mode="bicubic", antialias=True)
    source = Upsampled(lq, 2)
    assert len(source) == 4
    assert source[1:3].shape == (2, 3, 96, 128)
    error, unaligned = warping_error(x, motions(source)), warping_error(x, still(4, 1, 96, 128))
    assert error.value < 0.1 * unaligned.value


@pytest.mark.parametrize("count", [2, 4, 0])
def test_motion_of_another_length_is_an_error(count: int) -> None:
    with pytest.raises(ZvrError, match="motion"):
        warping_error(noisy(3), still(count) if count else iter(()))


def test_motion_of_another_size_is_an_error_that_names_both() -> None:
    with pytest.raises(ZvrError, match="64 × 64 pixels need 2 motions of that size, 40 × 32 pixels given"):
        warping_error(noisy(3), still(3, 1, 32, 40))


@pytest.mark.parametrize("measure", TEMPORAL)
def test_one_frame_has_no_temporal_measure_and_that_is_said(measure) -> None:
    with pytest.raises(ZvrError, match="undefined for a clip of length 1; at least"):
        measure(noisy(1))


@pytest.mark.parametrize("size", [(7, 5), (1, 1), (13, 40)])
def test_tiny_frames_work(size: tuple[int, int]) -> None:
    x = pan(0, 0, 3, *size)
    for measure in TEMPORAL:
        measure(x)


def test_midpoint_along_an_exact_pan_is_the_frame_between() -> None:
    first, between, last = pan(4, -2, 3)
    middle = FlowMidpoint(Pan(8, -4, first))(first, last)
    inside = (..., slice(4, -4), slice(8, -8))
    torch.testing.assert_close(middle[inside], between[inside])


def test_interpolation_error_of_an_alternating_brightness_is_its_step() -> None:
    x = torch.full((5, 3, 32, 32), 0.4)
    x[1::2] += 10 / 255
    assert interpolation_error(x) == pytest.approx(10, abs=1e-3)


def test_interpolation_error_of_independent_noise_without_motion_is_known() -> None:
    error = interpolation_error(noisy(6), FlowMidpoint(NO_MOTION))
    assert error == pytest.approx(255 * 0.05 * math.sqrt(1.5), rel=0.03)  # variance 1 of the frame, 1/2 of the mean of two
    assert FlowMidpoint(NO_MOTION).name == "pan midpoint"


def test_interpolation_error_of_a_pan_is_far_below_that_without_flow() -> None:
    x = pan(4, 2)
    assert interpolation_error(x) < 0.5 * interpolation_error(x, FlowMidpoint(NO_MOTION))


def test_interpolation_lpips_compares_the_interpolated_with_the_actual_frame() -> None:
    x = torch.linspace(0, 1, 4)[:, None, None, None].expand(4, 3, 40, 40)  # even brightening: the middle is exact
    assert interpolation_lpips(x, lambda a, b: (a - b).abs().mean((1, 2, 3)), FlowMidpoint(NO_MOTION)) == pytest.approx(0, abs=1e-6)


def test_profile_flicker_of_a_line_in_time_is_zero_and_of_an_alternation_twice_its_step() -> None:
    line = torch.linspace(0, 1, 6)[:, None, None, None].expand(6, 3, 8, 8)
    assert profile_flicker(line) == pytest.approx(0, abs=1e-4)
    alternation = torch.zeros(6, 3, 8, 8)
    alternation[::2] = 3 / 255
    assert profile_flicker(alternation) == pytest.approx(6, abs=1e-4)


def test_residual_flicker_ignores_a_constant_error_and_sees_an_alternating_one() -> None:
    truth = pan(3, 1)
    assert residual_flicker(truth + 0.1, truth) == pytest.approx(0, abs=1e-3)
    alternating = truth.clone()
    alternating[::2] += 4 / 255
    assert residual_flicker(alternating, truth) == pytest.approx(4, abs=1e-3)


@dataclass(frozen=True)
class Unrelated:
    """Every frame's vector is at a right angle to all others."""

    name: str = "unrelated"
    vectors: Iterator[torch.Tensor] = field(default_factory=lambda: iter(torch.eye(4)))

    def __call__(self, frames: torch.Tensor) -> torch.Tensor:
        return next(self.vectors)[None]


def test_frame_similarity_is_one_for_equal_and_zero_for_orthogonal_embeddings() -> None:
    x = noisy(1).expand(4, -1, -1, -1)
    assert frame_similarity(x) == pytest.approx(1, abs=1e-5)
    assert frame_similarity(x, Unrelated()) == 0


def test_flow_map_error_of_two_pans_is_the_length_of_their_difference() -> None:
    assert flow_map_error(pan(4, 0), pan(0, 0)) == pytest.approx(4, rel=0.1)


def test_error_of_a_warp_by_half_a_pixel_stays_defined_at_the_border() -> None:
    x = torch.full((2, 3, 16, 16), 0.8)
    half = Motion(torch.full((2, 16, 16), 0.5), torch.ones(16, 16, dtype=torch.bool))
    assert warping_error(x, [half]).value == pytest.approx(0, abs=1e-9)
