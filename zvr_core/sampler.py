"""Samplers: from x_t and a prediction to x_{t-1}.

A sampler is a value (`DDIM(eta=0)`); `prepare` binds it to a model's noise schedule and a number of steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from diffusers import DDIMScheduler

from zvr_core.errors import ZvrError
from zvr_core.methods.base import Context
from zvr_core.models.base import Prediction


class PreparedSampler(Protocol):
    """A sampler bound to a noise schedule and a number of steps."""

    @property
    def timesteps(self) -> tuple[int, ...]:
        """The network's time at each step."""

    @property
    def alpha_bar(self) -> tuple[float, ...]:
        """The share of signal variance ᾱ in x_t at each step."""

    def draws(self, i: int) -> bool:
        """Whether step i needs noise."""

    def step(self, i: int, prediction: Prediction, noise: torch.Tensor, context: Context) -> torch.Tensor:
        """x_{t-1} (F, C, h, w) from the prediction of step i; `noise` is ignored where `draws(i)` is false.

        Multistep samplers keep past predictions in `context.memory`; the others do without a context.
        """


class Sampler(Protocol):
    """A value that names a sampler; `persistent` names the memory slots in which it goes from step to step."""

    persistent: ClassVar[tuple[str, ...]]

    def prepare(self, scheduler: DDIMScheduler, steps: int) -> PreparedSampler:
        """Binds the sampler to a noise schedule; raises ZvrError for an impossible number of steps."""


def check_steps(steps: int, trained: int) -> None:
    """Refuses a number of steps that the noise schedule cannot be cut into."""
    if not 1 <= steps <= trained:
        raise ZvrError(f"steps {steps} given, 1 to {trained} expected; 20 to 50 is usual (--steps 20)")


@dataclass(frozen=True)
class DDIM:
    """Denoising diffusion implicit models (Song et al. 2021, Eq. 12): deterministic at eta 0, as noisy as DDPM at eta 1."""

    eta: float = 0.0
    persistent: ClassVar[tuple[str, ...]] = ()

    def prepare(self, scheduler: DDIMScheduler, steps: int) -> PreparedDDIM:
        check_steps(steps, scheduler.config.num_train_timesteps)
        if not 0 <= self.eta <= 1:
            raise ZvrError(f"eta {self.eta} given, 0 to 1 expected; 0 is deterministic DDIM")
        scheduler = DDIMScheduler.from_config(scheduler.config, clip_sample=False, thresholding=False)
        scheduler.set_timesteps(steps)
        timesteps = tuple(int(t) for t in scheduler.timesteps)
        return PreparedDDIM(scheduler, self.eta, timesteps, tuple(float(scheduler.alphas_cumprod[t]) for t in timesteps))


@dataclass(frozen=True)
class PreparedDDIM:
    """DDIM on diffusers' own scheduler: with nothing edited, bit for bit what the shipped pipelines compute."""

    scheduler: DDIMScheduler
    eta: float
    timesteps: tuple[int, ...]
    alpha_bar: tuple[float, ...]

    def draws(self, i: int) -> bool:
        return self.eta > 0

    def step(self, i: int, prediction: Prediction, noise: torch.Tensor, context: Context | None = None) -> torch.Tensor:
        drawn = {"variance_noise": noise} if self.draws(i) else {}
        return self.scheduler.step(prediction.out, self.timesteps[i], prediction.x_t, eta=self.eta, **drawn).prev_sample


@dataclass(frozen=True)
class SpacedAncestral:
    """Ancestral sampling on evenly spaced times, 0 and T-1 included: the sampler of DiffIR2VR-Zero.

    Source: Ho et al. 2020, Eq. 7, on the respaced schedule of Nichol & Dhariwal 2021, section 4.
    """

    persistent: ClassVar[tuple[str, ...]] = ()

    def prepare(self, scheduler: DDIMScheduler, steps: int) -> PreparedAncestral:
        trained = scheduler.config.num_train_timesteps
        check_steps(steps, trained)
        last = trained - 1
        timesteps = [round(k * last / max(steps - 1, 1)) for k in range(steps)] if steps > 1 else [last]
        alpha_bar = scheduler.alphas_cumprod.double()[timesteps]
        before = torch.cat([torch.ones(1, dtype=torch.float64), alpha_bar[:-1]])
        alpha = alpha_bar / before
        return PreparedAncestral(
            timesteps=tuple(reversed(timesteps)),
            alpha_bar=tuple(alpha_bar.flip(0).tolist()),
            weight_x0=tuple(((1 - alpha) * before.sqrt() / (1 - alpha_bar)).flip(0).tolist()),
            weight_x_t=tuple(((1 - before) * alpha.sqrt() / (1 - alpha_bar)).flip(0).tolist()),
            std=tuple(((1 - alpha) * (1 - before) / (1 - alpha_bar)).sqrt().flip(0).tolist()),
        )


@dataclass(frozen=True)
class PreparedAncestral:
    """Posterior mean of (x0, x_t) plus the posterior's standard deviation times noise; none at the last step."""

    timesteps: tuple[int, ...]
    alpha_bar: tuple[float, ...]
    weight_x0: tuple[float, ...]
    weight_x_t: tuple[float, ...]
    std: tuple[float, ...]

    def draws(self, i: int) -> bool:
        return self.std[i] > 0

    def step(self, i: int, prediction: Prediction, noise: torch.Tensor, context: Context | None = None) -> torch.Tensor:
        mean = self.weight_x0[i] * prediction.x0 + self.weight_x_t[i] * prediction.x_t
        return mean + self.std[i] * noise if self.draws(i) else mean


@dataclass(frozen=True)
class DPMSolver:
    """DPM-Solver++(2M), deterministic, on DDIM's times: each step goes along an x0 extrapolated from the last two.

    Source: Lu et al. 2022 (arXiv 2211.01095), Algorithm 2.  The last step, to noise level 0, ends at its x0, as in diffusers.
    """

    persistent: ClassVar[tuple[str, ...]] = ("dpm++",)

    def prepare(self, scheduler: DDIMScheduler, steps: int) -> PreparedDPMSolver:
        ddim = DDIM().prepare(scheduler, steps)
        alpha_bar = torch.tensor([*ddim.alpha_bar, 1.0], dtype=torch.float64)  # ends without noise
        alpha, sigma = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
        h = (alpha / sigma).log().diff()  # steps in half log-SNR; the last is infinite
        extrapolate = torch.zeros(steps, dtype=torch.float64)
        extrapolate[1:-1] = h[1:-1] / h[:-2] / 2  # 1 / (2 r): none at the first step and at the last
        shrink = sigma[1:] / sigma[:-1]
        weight_x0 = alpha[1:] - alpha[:-1] * shrink  # -α (exp(-h) - 1)
        return PreparedDPMSolver(ddim.timesteps, ddim.alpha_bar, *(tuple(v.tolist()) for v in (shrink, weight_x0, extrapolate)))


@dataclass(frozen=True)
class PreparedDPMSolver:
    """x_{t-1} = shrink · x_t + weight_x0 · D with D = x0 + extrapolate · (x0 - x0 of the step before)."""

    timesteps: tuple[int, ...]
    alpha_bar: tuple[float, ...]
    shrink: tuple[float, ...]
    weight_x0: tuple[float, ...]
    extrapolate: tuple[float, ...]

    def draws(self, i: int) -> bool:
        return False

    def step(self, i: int, prediction: Prediction, noise: torch.Tensor, context: Context) -> torch.Tensor:
        x0, slots, slot = prediction.x0, context.memory.slots, ("dpm++", context.window.start, context.window.stop)
        known = int(slots.get((*slot, "step"), i)) == i - 1  # not at the first step, nor after a fork from another sampler
        before = slots[slot].to(x0) if known else x0
        slots[slot], slots[*slot, "step"] = x0, torch.tensor(i)
        return self.shrink[i] * prediction.x_t + self.weight_x0[i] * (x0 + self.extrapolate[i] * (x0 - before))


SAMPLERS: dict[str, Sampler] = {"ddim": DDIM(), "ddpm": DDIM(eta=1.0), "spaced": SpacedAncestral(), "dpm++": DPMSolver()}
