"""PSNR and SSIM against closed forms and scikit-image; what is undefined is said in words."""

from __future__ import annotations

import math

import pytest
import torch
from skimage.metrics import structural_similarity

from zvr_core import metrics
from zvr_core.errors import ZvrError
from zvr_core.frames import runs
from zvr_core.metrics import psnr, ssim


def clip(count: int = 3, height: int = 24, width: int = 32, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("offset", [0.1, 0.01])
def test_psnr_of_a_constant_offset_is_known(offset: float) -> None:
    x = clip() * 0.8
    torch.testing.assert_close(psnr(x + offset, x), torch.full((3,), -20 * math.log10(offset)), atol=1e-3, rtol=0)


def test_psnr_is_per_frame_and_infinite_for_an_equal_frame() -> None:
    x = torch.zeros(2, 3, 7, 5)
    y = x.clone()
    y[1] = 1
    assert psnr(y, x).tolist() == [math.inf, 0.0]


def test_ssim_is_that_of_scikit_image() -> None:
    truth = clip(1)
    result = (truth + 0.1 * clip(1, seed=1)).clamp(0, 1)
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0, "channel_axis": 0}
    expected = structural_similarity(result[0].numpy(), truth[0].numpy(), **settings)
    assert float(ssim(result, truth)) == pytest.approx(expected, abs=1e-5)


def test_ssim_of_equal_frames_is_one_also_when_they_are_constant() -> None:
    for x in (clip(2), torch.zeros(2, 3, 11, 11), torch.full((2, 3, 11, 30), 0.7)):
        torch.testing.assert_close(ssim(x, x), torch.ones(2), atol=1e-5, rtol=0)


def test_ssim_of_constant_frames_is_its_luminance_term() -> None:
    x, y, c = 0.2, 0.6, 0.01**2
    value = ssim(torch.full((1, 3, 12, 12), x), torch.full((1, 3, 12, 12), y))
    assert float(value) == pytest.approx((2 * x * y + c) / (x * x + y * y + c), abs=1e-4)


def test_ssim_of_a_frame_smaller_than_the_window_is_said_in_words() -> None:
    with pytest.raises(ZvrError, match="SSIM is undefined for frames of 5 × 7 pixels"):
        ssim(clip(1, 7, 5), clip(1, 7, 5))


@pytest.mark.parametrize("measure", [psnr, ssim, metrics.high_pass_correlation, metrics.residual_flicker, metrics.flow_map_error])
def test_other_number_or_size_of_frames_is_an_error_that_names_both(measure) -> None:
    with pytest.raises(ZvrError, match="the result has 3 frames, the truth 2"):
        measure(clip(3), clip(2))
    with pytest.raises(ZvrError, match="the result is 32 × 24 pixels, the truth 24 × 32"):
        measure(clip(3), clip(3, 32, 24))


@pytest.mark.parametrize("bad", [torch.zeros(2, 1, 24, 24), torch.zeros(3, 24, 24)])
def test_other_shapes_than_frames_of_three_channels_are_an_error(bad: torch.Tensor) -> None:
    with pytest.raises(ZvrError, match=r"\(F, 3, H, W\) expected"):
        psnr(bad, bad)


def test_clip_without_frames_is_an_error() -> None:
    with pytest.raises(ZvrError, match="at least one frame"):
        psnr(clip(0), clip(0))


@pytest.mark.parametrize("values", [(0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (0.2, 0.7, 0.4)], ids=str)
def test_constant_frames_give_no_nan(values: tuple[float, ...]) -> None:
    x = torch.tensor(values)[:, None, None, None].expand(3, 3, 24, 32)
    truth = torch.full_like(x, 0.5)
    motion = list(metrics.motions(truth))
    error = metrics.warping_error(x, motion, truth)
    numbers = [
        *psnr(x, truth),
        *ssim(x, truth),
        metrics.high_pass_correlation(x, truth),
        *(error.value, error.coverage, error.floor),
        metrics.interpolation_error(x),
        metrics.profile_flicker(x),
        metrics.residual_flicker(x, truth),
        metrics.frame_similarity(x),
        metrics.flow_map_error(x, truth),
        metrics.match_sharpness(x, truth, 0.0).weight,
    ]
    assert all(math.isfinite(float(number)) for number in numbers)
    with pytest.raises(ZvrError, match="no detail"):
        metrics.relative_sharpness(x, truth)


class CountingClip:
    """A clip that is never read more than one frame at a time, and each frame once."""

    def __init__(self, frames: torch.Tensor) -> None:
        self.frames, self.reads = frames, [0] * len(frames)

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, part: slice) -> torch.Tensor:
        chosen = range(*part.indices(len(self)))
        assert len(chosen) == 1
        self.reads[chosen[0]] += 1
        return self.frames[part]


@pytest.mark.parametrize("measure", [psnr, ssim, metrics.relative_sharpness, metrics.high_pass_correlation, metrics.residual_flicker])
def test_clips_are_read_frame_by_frame_and_give_the_same_numbers(measure) -> None:
    result, truth = clip(), clip(seed=1)
    lazy = CountingClip(result)
    torch.testing.assert_close(measure(lazy, CountingClip(truth)), measure(result, truth))
    assert lazy.reads == [1, 1, 1]


def test_runs_of_frames_overlap_and_read_each_frame_once() -> None:
    frames = torch.arange(5.0)[:, None, None, None].expand(5, 3, 2, 2)
    lazy = CountingClip(frames)
    assert [run[:, 0, 0, 0].tolist() for run in runs(lazy, 3, "x")] == [[0, 1, 2], [1, 2, 3], [2, 3, 4]]
    assert lazy.reads == [1] * 5


def test_every_name_of_the_table_exists() -> None:
    named = {word.rstrip("()") for word in metrics.__doc__.split("`")[1::2]}
    assert named <= set(metrics.__all__)
