import math

import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler

from zvr_core.catalogue import SAMPLERS as CATALOGUE
from zvr_core.errors import ZvrError
from zvr_core.memory import Memory
from zvr_core.methods.base import Context
from zvr_core.models.base import Prediction
from zvr_core.sampler import DDIM, SAMPLERS, DPMSolver, SpacedAncestral
from zvr_core.windows import Window

SD21 = DDIMScheduler(1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False)
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
TRAILING = DDIMScheduler(1000, **BETAS, timestep_spacing="trailing")
KINDS = ["sample", "epsilon", "v_prediction"]


def context(memory=None, start=0):
    """Samplers look at nothing but the memory and the window."""
    window = Window(start, start + 1, start)
    return Context(0, 1, 0, 0.0, window, (0, 0), 1, flow=None, memory=memory or Memory(persistent=DPMSolver.persistent))


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
    rng, where = torch.Generator().manual_seed(0), context()
    x0, x = torch.randn(2, 1, 3, 8, 8, generator=rng)
    for i, alpha_bar in enumerate(prepared.alpha_bar):
        known = Prediction(x, x, alpha_bar, "epsilon").with_x0(x0)
        x = prepared.step(i, known, torch.randn(x.shape, generator=rng), where)
    slack = 1e-4 if sampler in (SpacedAncestral(), DPMSolver()) else 2 * math.sqrt(1 - float(SD21.final_alpha_cumprod)) + 0.1
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


def test_the_catalogue_lists_the_samplers_that_exist():
    assert list(CATALOGUE) == list(SAMPLERS)


def gaussian_x0(x, alpha_bar):
    """The best guess of x0 ~ N(1, 0.2²) from x: a network that is not linear in log-SNR, and whose exact path is known."""
    a, variance = alpha_bar**0.5, 0.04
    return 1 + a * variance / (alpha_bar * variance + 1 - alpha_bar) * (x - a)


def gaussian_path(sampler, scheduler, steps, x):
    """Where a sampler goes for the Gaussian: x after each step."""
    prepared, where, path = sampler.prepare(scheduler, steps), context(), []
    for i, alpha_bar in enumerate(prepared.alpha_bar):
        known = Prediction(x, x, alpha_bar, scheduler.config.prediction_type).with_x0(gaussian_x0(x, alpha_bar))
        x = prepared.step(i, known, x, where)
        where.memory.commit()
        path.append(x)
    return path


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 20])
def test_dpm_solver_goes_where_that_of_diffusers_goes(steps):
    """Trailing times, which both space alike; theirs ends at noise level 0, too."""
    theirs = DPMSolverMultistepScheduler(
        1000, **BETAS, prediction_type="sample", timestep_spacing="trailing", algorithm_type="dpmsolver++", final_sigmas_type="zero"
    )
    theirs.set_timesteps(steps)
    assert tuple(theirs.timesteps.tolist()) == DPMSolver().prepare(TRAILING, steps).timesteps
    x = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    for t, mine in zip(theirs.timesteps, gaussian_path(DPMSolver(), TRAILING, steps, x), strict=True):
        x = theirs.step(gaussian_x0(x, float(TRAILING.alphas_cumprod[t])), t, x).prev_sample
        assert torch.allclose(mine, x, atol=2e-5)


@pytest.mark.parametrize(("sampler", "gain"), [(DDIM(), 2), (DPMSolver(), 4)], ids=["ddim", "dpm++"])
def test_twice_the_steps_give_the_order_of_the_sampler(sampler, gain):
    """On the exact path of a Gaussian, halfway: the error of a first-order sampler halves, that of a second-order one quarters."""
    start = torch.linspace(-2, 2, 9)
    errors = [float((gaussian_path(sampler, TRAILING, steps, start)[steps // 2 - 1] - exact(start)).abs().max()) for steps in (50, 100)]
    assert errors[0] / errors[1] == pytest.approx(gain, rel=0.2)


def exact(start):
    """Where the path of the Gaussian that begins at `start` is at time 499: its number of standard deviations stays."""
    first, middle = (float(TRAILING.alphas_cumprod[t]) for t in (999, 499))
    deviation = {alpha_bar: (0.04 * alpha_bar + 1 - alpha_bar) ** 0.5 for alpha_bar in (first, middle)}
    return middle**0.5 + deviation[middle] * (start - first**0.5) / deviation[first]


def test_dpm_solver_starts_anew_where_its_past_is_unknown():
    """After a fork from another sampler: a first-order step, which is DDIM's."""
    prepared, ddim = (sampler.prepare(SD21, 10) for sampler in (DPMSolver(), DDIM()))
    p = prediction(alpha_bar=prepared.alpha_bar[4])
    where = context()
    prepared.step(2, prediction(seed=1), p.x_t, where)  # too long ago
    assert torch.allclose(prepared.step(4, p, p.x_t, where), ddim.step(4, p, p.x_t), atol=1e-5)


def test_dpm_solver_keeps_the_past_of_each_window_apart():
    prepared, memory = DPMSolver().prepare(SD21, 10), Memory(persistent=DPMSolver.persistent)
    first, second, now = (prediction("sample", 0.4, seed) for seed in range(3))
    for start, p in ((0, first), (5, second)):
        prepared.step(3, p, p.x_t, context(memory, start))
    after_first, after_second = (prepared.step(4, now, now.x_t, context(memory, start)) for start in (0, 5))
    assert torch.equal(memory.slots["dpm++", 0, 1], now.x0)
    expected = prepared.weight_x0[4] * prepared.extrapolate[4] * (second.x0 - first.x0)
    assert torch.allclose(after_first - after_second, expected, atol=1e-5)


def test_dpm_solver_begins_where_there_is_no_signal():
    """Schedules rescaled to zero terminal SNR (Lin et al. 2024) start at log-SNR minus infinity."""
    scheduler = DDIMScheduler(1000, **BETAS, timestep_spacing="trailing", prediction_type="sample", rescale_betas_zero_snr=True)
    assert float(scheduler.alphas_cumprod[-1]) == 0
    assert all(x.isfinite().all() for x in gaussian_path(DPMSolver(), scheduler, 10, torch.randn(1, 3, 4, 4)))
