"""The restoration loop, as something one can hold: step, look, rewind, fork.

    x_t ─► [latent] ─► network with attention sites [tokens] ─► x0 ─► [x0] ─► sampler ─► x_{t-1}

Step-major: at each step all windows in order, so a window may look at its predecessor's estimate of the same step.  What goes from
step to step is a `history.Moment`: x_t, and the memory slots that somebody declared persistent.
"""

from __future__ import annotations

import copy
import operator
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from zvr_core.attention import attach, without_padding
from zvr_core.clip import Clip
from zvr_core.correspondence import Correspondence, CorrespondenceService, Upsampled
from zvr_core.cuts import scene_cuts
from zvr_core.errors import ZvrError
from zvr_core.events import Event, Observer, Pass, PassView, Together, Unobserved
from zvr_core.finite import finite_pass
from zvr_core.gather import Gathering, Unlooked
from zvr_core.history import History, KeepSteps, Moment, Shelf
from zvr_core.inputs import Conditions, Draws
from zvr_core.memory import Memory
from zvr_core.methods.base import Context, Method
from zvr_core.methods.presets import per_frame
from zvr_core.models.base import Model
from zvr_core.models.codec import upsample
from zvr_core.noise import NoiseSource
from zvr_core.notes import Notes
from zvr_core.sampler import DDIM, Sampler
from zvr_core.windows import Window


class Restoration:
    """A run: clip, model, method, and where it stands.  `for event in run:` takes it step by step to the end.

    `steps` network passes a frame; `seed` of all noise; `max_bytes` of x_t, conditions and flows stay in memory, the rest goes
    to temporary files.  `flow` is a correspondence service; by default DIS flow on the bicubically enlarged input.  `observer`
    looks on; `history` keeps past steps (`LastStep()` for runs that nobody rewinds).  Runs that share a model take turns in it
    when they are forks of one another; others must not run at the same time.
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
        observer: Observer = Unobserved(),
        history: History | None = None,
    ) -> None:
        self.clip, self.model, self.observer = clip, model, observer
        self.size: tuple[int, int] = (clip.shape[-2], clip.shape[-1])
        self.flow = flow or Correspondence(Upsampled(clip, model.scale), max_bytes=max_bytes // 2)
        self.cuts = scene_cuts(clip)
        self.history: History = KeepSteps(max_bytes // 4) if history is None else history
        self._shelf, self._turn = Shelf(max_bytes // 4), threading.Lock()
        self._network_sites = model.sites(self.size)
        self._follow(method or per_frame(), seed, sampler or DDIM(), steps)
        self.conditions = Conditions(clip, model, self.draws, self._shelf)
        if self.history.latest < 0:
            self.history.append(0, self.history.begin())
        self._stand(self.history.latest)

    def _follow(self, method: Method, seed: int, sampler: Sampler, steps: int) -> None:
        """All that follows from the choices a fork may change."""
        self.method, self.seed, self.sampler = method, seed, sampler
        self.prepared = sampler.prepare(self.model.scheduler, steps)
        self.windows = method.plan(len(self.clip), self.cuts)
        self.sites = method.sites(self._network_sites, (self.size[0] * self.model.scale, self.size[1] * self.model.scale))
        self.draws = Draws(method.noise_plugin, NoiseSource(seed), self.windows, self.model.device)
        self._persistent = method.persistent | set(sampler.persistent)

    def _stand(self, step: int) -> None:
        self.index = step  # steps done
        self.memory = Memory(self.history.moment(step).slots, persistent=self._persistent)

    @property
    def steps(self) -> int:
        """The number of steps of the whole run."""
        return len(self.prepared.timesteps)

    def __iter__(self) -> Iterator[Event]:
        while self.index < self.steps:
            yield self.step()

    def step(self, n: int = 1) -> Event:
        """Goes on by n steps; returns the event of the last.  Raises ZvrError for fewer than 1, and for more than are left."""
        if self.index == self.steps:
            raise ZvrError(f"all {self.steps} steps are done, none is left; run.frames() has the result, run.rewind(step) goes back")
        for left in reversed(range(checked("step", n, 1, self.steps - self.index, "steps that are left"))):
            gathering = Gathering(self._shelf, keep=left == 0)
            for _ in self._step(gathering):
                pass
        return gathering.done

    def rewind(self, step: int) -> Restoration:
        """Back to where `step` begins, 0 to `index`; going on gives bit for bit what it gave before."""
        self.history.rewind(checked("rewind", step, 0, self.index, "steps done so far"))
        self._stand(step)
        return self

    def fork(
        self,
        *,
        from_step: int | None = None,
        method: Method | None = None,
        seed: int | None = None,
        sampler: Sampler | None = None,
        observer: Observer = Unobserved(),
    ) -> Restoration:
        """Another run that begins where `from_step` (by default, the next) begins, with some choices changed.

        It shares clip, model, flow and past; neither run notices what becomes of the other.  From step 0, x_T is drawn anew.
        Raises ZvrError for a step that is not done, and a sampler that stands at another noise level there.
        """
        step = self.index if from_step is None else checked("from_step", from_step, 0, self.index, "steps done so far")
        fork = copy.copy(self)
        fork._follow(method or self.method, self.seed if seed is None else seed, sampler or self.sampler, self.steps)
        if 0 < step < self.steps and abs(fork.prepared.alpha_bar[step] - self.prepared.alpha_bar[step]) > 1e-6:
            raise ZvrError(f"{fork.sampler} has another noise level at step {step} than {self.sampler}; fork from step 0")
        fork.observer, fork.history = observer, self.history.fork(step)
        if not self.conditions.serve(fork.draws):
            fork.conditions = Conditions(self.clip, self.model, fork.draws, self._shelf)
        if step == 0:
            fork.history.append(0, fork.history.begin())
        fork._stand(step)
        return fork

    def observe(self, observer: Observer) -> Restoration:
        """One more observer looks on from now on."""
        self.observer = Together((self.observer, observer)) if self._observed else observer
        return self

    @property
    def _observed(self) -> bool:
        return type(self.observer) is not Unobserved  # which is a base for observers, too

    def passes(self) -> Iterator[Pass]:
        """Runs to the end, yielding after each window of each step; a step that is left half done is begun again."""
        while self.index < self.steps:
            yield from self._step(Gathering(self._shelf, keep=False) if self._observed else Unlooked(self._shelf))

    def finish(self) -> Restoration:
        """Runs all remaining steps."""
        for _ in self.passes():
            pass
        return self

    def _step(self, gathering: Gathering) -> Iterator[Pass]:
        """All windows, one step; until the last is done, the run stands where it stood."""
        i, t, alpha_bar, began = self.index, self.prepared.timesteps[self.index], self.prepared.alpha_bar[self.index], time.perf_counter()
        grid, cell, now, after = self.model.valid_grid(self.size), self.model.cell, self.history.moment(i), self.history.begin()
        memory = Memory(now.slots, after.slots, self._persistent)
        for number, window in enumerate(self.windows):
            notes = gathering.notes(number, self.observer)
            context = Context(i, self.steps, t, alpha_bar, window, grid, cell, self.flow, memory, notes)
            view = self._finite_pass(context, number, self._entering(i, window, now))
            after.put(window, view.x_next)
            memory.commit()
            gathering.add(view, notes)
            self.observer.passed(view)
            yield Pass(i, self.steps, t, number, len(self.windows), view.seconds)
        memory.end_step()
        self.history.append(i + 1, after)
        self._stand(i + 1)
        gathering.done = gathering.event(context, self.windows, now, after, time.perf_counter() - began)
        self.observer.ended(gathering.done)

    @torch.no_grad()
    def _finite_pass(self, context: Context, number: int, x_t: torch.Tensor) -> PassView:
        """One pass, timed; raises ZvrError where it does not end in finite values."""
        began, condition = time.perf_counter(), self.conditions(context.window)

        def attempt(notes: Notes) -> PassView:
            return self._pass(replace(context, notes=notes), number, x_t, condition)

        with self._turn:
            view = finite_pass(attempt, context, x_t, condition)
        return replace(view, seconds=time.perf_counter() - began)

    def _pass(self, context: Context, number: int, x_t: torch.Tensor, condition: torch.Tensor) -> PassView:
        """One window, one step: the method, on one screen.  Writes nothing but slots of memory."""
        i, method, network, notes = context.step, self.method, self.model.network, context.notes
        noisy = method.latent(x_t, context)  # (F, C, h, w)
        with (
            without_padding(network, method.padded_sites(self.sites)),
            attach(network, notes.around(network, self.sites, method.tokens(self.sites, context), context)),
        ):
            prediction = self.model.predict(noisy, context.t, context.alpha_bar, condition)
        predicted = prediction.x0
        x0 = method.x0(predicted, context)
        if x0 is not predicted:  # untouched, the network's own output goes on, so a run per frame equals the shipped pipeline
            prediction = prediction.with_x0(x0)
        noise = self.draws("step", i, context.window, x_t.shape[1:]) if self.prepared.draws(i) else x_t
        x_next = self.prepared.step(i, prediction, noise, context)
        return PassView(context, number, x_t, predicted, tuple(notes.x0), x0, x_next, tuple(notes.edits), 0.0)

    def _entering(self, i: int, window: Window, now: Moment) -> torch.Tensor:
        """x_t of a window, (F, C, h, w); at step 0 it is drawn first."""
        if i == 0 and window.start not in now.x_t:
            now.put(window, self.draws("start", 0, window, self.model.latent_shape(self.size)))
        return now.latents(window).to(self.model.device)

    @torch.no_grad()
    def frames(self) -> Iterator[torch.Tensor]:
        """The restored frames, window by window, (n, 3, scale·H, scale·W) in [0, 1]; the run must have ended."""
        if self.index < self.steps:
            raise ZvrError(f"the run stands at step {self.index} of {self.steps}; finish it first: run.finish()")
        result = self.history.moment(self.index)
        for window in self.windows:
            decoded = self.model.decode(result.latents(window).to(self.model.device), self.conditions(window), self.size)
            reference = upsample(self.clip[window.start : window.stop], self.model.scale)
            yield self.method.frames(decoded.cpu(), reference).clamp(0, 1)

    @staticmethod
    def resume(path: str | Path, **changes: Any) -> Restoration:
        """The run that was recorded at `path`, standing where its last complete step ended; see `zvr_core.recording.resume`."""
        from zvr_core.recording.resume import resume

        return resume(path, **changes)

    @property
    def trace(self) -> Any:
        """The recording of this run; raises ZvrError where it does not record."""
        return self.history.trace


def checked(name: str, given: int, low: int, high: int, what: str) -> int:
    """The given whole number; raises ZvrError outside low to high."""
    try:
        number = operator.index(given)
    except TypeError:
        number = low - 1
    if not low <= number <= high:
        raise ZvrError(f"{name} {given} given, a whole number from {low} to {high} expected ({what})")
    return number
