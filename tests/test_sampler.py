import math

import pytest
import torch
from diffusers import DDIMScheduler

from zvr_core.errors import ZvrError
from zvr_core.models.base import Prediction
from zvr_core.sampler import DDIM, SAMPLERS, SpacedAncestral

SD21 = DDIMScheduler(1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False)
KINDS = ["sample", "epsilon", "v_prediction"]


def prediction(kind="epsilon", alpha_bar=0.4, seed=0):
    rng = torch.Generator().manual_seed(seed)
    x_t, out = torch.randn(2, 2, 3, 4, 4, generator=rng)
    return Prediction(x_t, out, alpha_bar, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_rewriting_x0_and_reading_it_back_is_exact(kind):
    wanted = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(prediction(kind).with_x0(wanted).x0, wanted, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_all_prediction_types_agree_on_the_same_truth(kind):
    rng = torch.Generator().manual_seed(2)
    x0, eps = torch.randn(2, 1, 3, 4, 4, generator=rng)
    a, s = math.sqrt(0.3), math.sqrt(0.7)
    out = {"sample": x0, "epsilon": eps, "v_prediction": a * eps - s * x0}[kind]
    assert torch.allclose(Prediction(a * x0 + s * eps, out, 0.3, kind).x0, x0, atol=1e-6)


def test_an_unknown_prediction_type_is_named():
    with pytest.raises(ZvrError, match="'score' given"):
        _ = prediction("score").x0


@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS.keys())
@pytest.mark.parametrize("steps", [1, 2, 7, 20, 50])
def test_knowing_x0_every_sampler_ends_at_x0(sampler, steps):
    prepared = sampler.prepare(SD21, steps)
    assert len(prepared.timesteps) == len(prepared.alpha_bar) == steps
    rng = torch.Generator().manual_seed(0)
    x0, x = torch.randn(2, 1, 3, 8, 8, generator=rng)
    for i, alpha_bar in enumerate(prepared.alpha_bar):
        known = Prediction(x, x, alpha_bar, "epsilon").with_x0(x0)
        x = prepared.step(i, known, torch.randn(x.shape, generator=rng))
    slack = 1e-4 if sampler == SpacedAncestral() else 2 * math.sqrt(1 - float(SD21.final_alpha_cumprod)) + 0.1
    assert float((x - x0).abs().mean()) < slack


def test_spaced_times_are_the_published_ones():
    prepared = SpacedAncestral().prepare(SD21, 50)
    assert prepared.timesteps[:3] == (999, 979, 958)
    assert prepared.timesteps[-1] == 0


def test_published_posterior_weights_of_x0():
    """The weights that spec'd runs of the published sampler showed for its first five steps."""
    weights = SpacedAncestral().prepare(SD21, 50).weight_x0[:5]
    assert weights == pytest.approx([0.0164, 0.0188, 0.0196, 0.0224, 0.0232], abs=2e-4)


def test_the_posterior_keeps_the_variance_of_the_forward_process():
    """A sample of q(x_t | x0) stepped with the true x0 is a sample of q(x_{t-1} | x0)."""
    prepared = SpacedAncestral().prepare(SD21, 10)
    for i in range(9):
        variance = prepared.weight_x_t[i] ** 2 * (1 - prepared.alpha_bar[i]) + prepared.std[i] ** 2
        assert variance == pytest.approx(1 - prepared.alpha_bar[i + 1], rel=1e-6)
        mean = prepared.weight_x0[i] + prepared.weight_x_t[i] * prepared.alpha_bar[i] ** 0.5
        assert mean == pytest.approx(prepared.alpha_bar[i + 1] ** 0.5, rel=1e-6)


def test_ddim_is_diffusers_own_bit_for_bit():
    scheduler = DDIMScheduler.from_config(SD21.config)
    scheduler.set_timesteps(20)
    prepared = DDIM().prepare(SD21, 20)
    p = prediction()
    expected = scheduler.step(p.out, scheduler.timesteps[3], p.x_t).prev_sample
    assert torch.equal(prepared.step(3, p, p.x_t), expected)


def test_only_stochastic_steps_ask_for_noise():
    assert not DDIM().prepare(SD21, 5).draws(0)
    assert DDIM(eta=1.0).prepare(SD21, 5).draws(0)
    spaced = SpacedAncestral().prepare(SD21, 5)
    assert [spaced.draws(i) for i in range(5)] == [True] * 4 + [False]


@pytest.mark.parametrize("steps", [0, -1, 1001])
@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS.keys())
def test_impossible_numbers_of_steps_are_refused(sampler, steps):
    with pytest.raises(ZvrError, match=f"steps {steps} given"):
        sampler.prepare(SD21, steps)


def test_an_eta_outside_its_range_is_refused():
    with pytest.raises(ZvrError, match=r"eta 1.5 given"):
        DDIM(eta=1.5).prepare(SD21, 5)
