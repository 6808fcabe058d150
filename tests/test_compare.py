import pytest
import torch

from zvr_core.clip import load_clip
from zvr_core.compare import Restored, Row, measure, posterior_mean, restored
from zvr_core.methods.presets import per_frame
from zvr_core.metrics import motions
from zvr_core.scenes import pan


@pytest.fixture(scope="module")
def truth():
    return pan(size=(64, 96), count=3).clip()


@pytest.fixture(scope="module")
def motion(truth):
    return list(motions(truth))


def blurred(frames, weight):
    from zvr_core.degrade import blur

    return torch.lerp(blur(frames, 2.0), frames, weight)


def test_the_truth_measures_as_perfect(truth, motion):
    row = measure("truth", Restored(truth, 0.0), truth, motion, truth, blurred(truth, 0.0))
    assert row.psnr == float("inf")
    assert row.ssim == pytest.approx(1)
    assert row.sharpness == pytest.approx(1)


def test_a_mixture_is_its_own_control(truth, motion):
    """A result that is nothing but the per-frame samples blurred has the warping error of blur: the control finds it out."""
    noisy = (truth + 0.05 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    mean = blurred(truth, 0.0)
    row = measure("blurred", Restored(torch.lerp(mean, noisy, 0.6), 1.0), truth, motion, noisy, mean)
    assert row.control == pytest.approx(row.warping, rel=0.05)


def test_results_sharper_than_per_frame_are_marked(truth, motion):
    row = measure("sharp", Restored(truth, 1.0), truth, motion, blurred(truth, 0.5), blurred(truth, 0.0))
    assert row.mark == "> 1"
    assert "(> 1)" in str(row)


def test_rows_have_the_columns_of_the_header(truth, motion):
    row = measure("truth", Restored(truth, 2.0), truth, motion, truth, blurred(truth, 0.0))
    assert str(row).count("|") == Row.HEADER.splitlines()[0].count("|")


def test_the_posterior_mean_is_one_step_of_the_model(embedded):
    clip = load_clip(torch.rand(2, 3, 12, 12, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(posterior_mean(clip, embedded, 0), restored(clip, embedded, per_frame(), 1, 0).frames)
