"""The restoration loop, as something one can hold: it advances pass by pass and says what it did.

    x_t ─► [latent] ─► network with attention sites [tokens] ─► x0 ─► [x0] ─► sampler ─► x_{t-1}

Step-major: at each step all windows in order, so a window may look at its predecessor's estimate of the same step, and nothing
has to be kept across steps but x_t.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from zvr_core.attention import attach, without_padding
from zvr_core.clip import Clip
from zvr_core.correspondence import Correspondence, CorrespondenceService, Upsampled
from zvr_core.cuts import scene_cuts
from zvr_core.errors import ZvrError
from zvr_core.methods.base import Context, Memory, Method
from zvr_core.methods.presets import per_frame
from zvr_core.models.base import Model
from zvr_core.models.codec import upsample
from zvr_core.noise import NoiseSource
from zvr_core.sampler import DDIM, Sampler
from zvr_core.store import ArrayStore
from zvr_core.windows import Window


@dataclass(frozen=True)
class Pass:
    """One window at one step has gone through the network."""

    step: int
    steps: int
    t: int
    window: int  # its number
    windows: int
    seconds: float


class Restoration:
    """A run: clip, model, method, and where it stands.

    `steps` network passes a frame; `seed` of all noise; `max_bytes` of x_t, conditions and flows stay in memory, the rest goes
    to temporary files.  `flow` is a correspondence service; by default DIS flow on the bicubically enlarged input.
    """

    def __init__(
        self,
        clip: Clip,
        model: Model,
        method: Method | None = None,
        *,
        steps: int = 20,
        seed: int = 0,
        sampler: Sampler | None = None,
        flow: CorrespondenceService | None = None,
        max_bytes: int = 1 << 30,
    ) -> None:
        self.clip, self.model, self.method = clip, model, method or per_frame()
        self.size: tuple[int, int] = (clip.shape[-2], clip.shape[-1])
        self.sampler = (sampler or DDIM()).prepare(model.scheduler, steps)
        self.source = NoiseSource(seed)
        self.flow = flow or Correspondence(Upsampled(clip, model.scale), max_bytes=max_bytes // 2)
        self.cuts = scene_cuts(clip)
        self.windows = self.method.plan(len(clip), self.cuts)
        self.sites = self.method.sites(model.sites(self.size), (self.size[0] * model.scale, self.size[1] * model.scale))
        self.memory = Memory()
        self.x_t, self.condition = ArrayStore(max_bytes // 4), ArrayStore(max_bytes // 4)
        self.index = 0  # steps done

    @property
    def steps(self) -> int:
        """The number of steps of the whole run."""
        return len(self.sampler.timesteps)

    def passes(self) -> Iterator[Pass]:
        """Runs to the end, yielding after each window of each step."""
        while self.index < self.steps:
            yield from self._step(self.index)
            self.index += 1
            self.memory.end_step()

    def _step(self, i: int) -> Iterator[Pass]:
        for number, window in enumerate(self.windows):
            began = time.perf_counter()
            self._pass(i, window)
            yield Pass(i, self.steps, self.sampler.timesteps[i], number, len(self.windows), time.perf_counter() - began)

    @torch.no_grad()
    def _pass(self, i: int, window: Window) -> None:
        """One window, one step: the method, on one screen."""
        t, alpha_bar = self.sampler.timesteps[i], self.sampler.alpha_bar[i]
        context = Context(i, self.steps, t, alpha_bar, window, self.model.valid_grid(self.size), self.model.cell, self.flow, self.memory)
        x_t = self._load(self.x_t, window) if i else self._draw("start", 0, window)  # (F, C, h, w)
        x_t = self.method.latent(x_t, context)
        condition = self._load(self.condition, window) if i else self._encode(window)
        with (
            without_padding(self.model.network, self.method.padded_sites(self.sites)),
            attach(self.model.network, self.method.tokens(self.sites, context)),
        ):
            prediction = self.model.predict(x_t, t, alpha_bar, condition)
        x0 = prediction.x0
        edited = self.method.x0(x0, context)
        if edited is not x0:  # untouched, the network's own output goes on, so a run per frame equals the shipped pipeline
            prediction = prediction.with_x0(edited)
        noise = self._draw("step", i, window) if self.sampler.draws(i) else x_t
        self._save(self.x_t, window, self.sampler.step(i, prediction, noise), i)

    def _draw(self, purpose: str, step: int, window: Window, shape: Sequence[int] = ()) -> torch.Tensor:
        shape = shape or self.model.latent_shape(self.size)
        return self.method.noise(self.source, purpose, step, window, shape).to(self.model.device)

    def _encode(self, window: Window) -> torch.Tensor:
        lq = self.clip[window.start : window.stop].to(self.model.device)
        condition = self.model.encode(lq, lambda purpose, shape: self._draw(purpose, 0, window, shape))
        for frame, value in zip(window.frames, condition, strict=True):
            self.condition[frame] = value
        return condition

    def _load(self, store: ArrayStore, window: Window) -> torch.Tensor:
        return torch.stack([store[frame] for frame in window.frames]).to(self.model.device)

    def _save(self, store: ArrayStore, window: Window, values: torch.Tensor, step: int) -> None:
        if not torch.isfinite(values).all():
            raise ZvrError(
                f"x_t of frames {window.start} to {window.stop - 1} is not finite after step {step}; "
                "check the input for extreme values, or compute in float32 (--dtype float32)"
            )
        for frame, value in zip(window.frames, values, strict=True):
            store[frame] = value

    def run(self) -> Restoration:
        """Runs all remaining steps."""
        for _ in self.passes():
            pass
        return self

    @torch.no_grad()
    def frames(self) -> Iterator[torch.Tensor]:
        """The restored frames, window by window, (n, 3, scale·H, scale·W) in [0, 1]; the run must have ended."""
        if self.index < self.steps:
            raise ZvrError(f"the run stands at step {self.index} of {self.steps}; finish it first: run.run()")
        for window in self.windows:
            decoded = self.model.decode(self._load(self.x_t, window), self._load(self.condition, window), self.size)
            reference = upsample(self.clip[window.start : window.stop], self.model.scale)
            yield self.method.frames(decoded.cpu(), reference).clamp(0, 1)
