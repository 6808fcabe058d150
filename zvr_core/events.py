"""What a run says about itself while it goes: to observers, site by site and pass by pass; to everybody, one event a step.

    site called   ─► Observer.saw(SiteView)      only at steps and sites that `wants` asked for
    window done   ─► Observer.passed(PassView)
    step done     ─► Observer.ended(Event), and the value of `for event in run`

Views hold the loop's own tensors for as long as the call lasts: look, copy, never write.  Events hand out copies, when asked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import torch

from zvr_core.errors import ZvrError
from zvr_core.windows import Window

if TYPE_CHECKING:  # both import this module's neighbours
    from zvr_core.attention import Site
    from zvr_core.matching import Matches
    from zvr_core.methods.base import Context


@dataclass(frozen=True)
class Edit:
    """What one plug-in did in one pass: which hook, at which site, and the numbers it reports."""

    plugin: str  # its class name
    hook: str  # "latent", "tokens" or "x0"
    window: int  # its number
    site: str = ""  # short name, for "tokens"
    numbers: Mapping[str, float] = field(default_factory=dict)  # ratio, merged (tokens), warped (share of cells replaced) …


@dataclass(frozen=True)
class SiteView:
    """What one self-attention site saw in one pass, in the last stream (of guidance rows, the conditional one), without padding."""

    site: Site
    tokens: torch.Tensor  # (F, N, C) before any edit
    matches: tuple[Matches, ...]  # the method's own: none or one
    merged: torch.Tensor  # (F, N) bool
    provider: torch.Tensor  # (F, N) int64: the number f·N + n of the token whose output each token receives, often its own
    ratio: float  # of merging; 0 where nothing merges
    sequence: torch.Tensor  # what is attended to: (L, C) by all frames, or (F, L, C) by each frame for itself
    attention: torch.nn.Module


@dataclass(frozen=True)
class PassView:
    """One window at one step."""

    context: Context
    number: int  # of the window
    x_t: torch.Tensor  # (F, C, h, w) as it came, before any plug-in's edit
    predicted: torch.Tensor  # x0 as the network said it
    edited: tuple[tuple[str, torch.Tensor], ...]  # (plug-in, x0 after its edit) for each that edited
    x0: torch.Tensor  # after all edits
    x_next: torch.Tensor  # x_{t-1}
    edits: tuple[Edit, ...]
    seconds: float


@dataclass(frozen=True)
class Pass:
    """One window at one step has gone through the network."""

    step: int
    steps: int
    t: int
    window: int  # its number
    windows: int
    seconds: float


@dataclass(frozen=True)
class Event:
    """One whole step.  Latents come one frame (C, h, w) at a time, or all of them (F, C, h, w); each call makes a copy."""

    step: int
    steps: int
    t: int  # the network's time
    alpha_bar: float
    seconds: float
    windows: tuple[Window, ...]
    edits: tuple[Edit, ...]
    matches: Mapping[str, Mapping[int, Matches]] = field(repr=False)  # the method's own, by site name and number of the window
    latents: Mapping[str, Mapping[int, torch.Tensor]] = field(repr=False)  # by name and frame, loaded when asked for

    @property
    def sigma(self) -> float:
        """Noise over signal, sqrt((1 - ᾱ) / ᾱ)."""
        return math.sqrt((1 - self.alpha_bar) / self.alpha_bar) if self.alpha_bar > 0 else math.inf

    def x_t(self, frame: int | None = None) -> torch.Tensor:
        """What entered the step."""
        return self._latent("x_t", frame)

    def x_next(self, frame: int | None = None) -> torch.Tensor:
        """What enters the next step: x_{t-1}."""
        return self._latent("x_next", frame)

    def predicted(self, frame: int | None = None) -> torch.Tensor:
        """The clean latent as the network predicted it, before any edit."""
        return self._latent("predicted", frame)

    def x0(self, frame: int | None = None) -> torch.Tensor:
        """The clean latent after all edits."""
        return self._latent("x0", frame)

    def x0_after(self, plugin: str, frame: int | None = None) -> torch.Tensor:
        """The clean latent after the edit of one plug-in, by class name."""
        return self._latent(f"x0 after {plugin}", frame)

    def _latent(self, name: str, frame: int | None) -> torch.Tensor:
        if name not in self.latents:
            raise ZvrError(
                f"step {self.step} keeps no {name!r}; it keeps {', '.join(self.latents)}; take events from run.step() or the run"
            )
        if frame is None:
            return torch.stack([self._latent(name, f) for window in self.windows for f in window.frames])
        if frame not in self.latents[name]:
            raise ZvrError(f"frame {frame} given, 0 to {self.windows[-1].stop - 1} whose {name!r} was kept expected")
        return self.latents[name][frame]


class Observer(Protocol):
    """Looks on while a run goes.  What it raises stops the run; what it does changes no bit of the result."""

    def wants(self, step: int, site: Site) -> bool:
        """Whether `saw` is to be called for this site at this step: nothing is attached where it is not."""

    def saw(self, view: SiteView, context: Context) -> None:
        """One site was called in one pass."""

    def passed(self, view: PassView) -> None:
        """One window went through one step."""

    def ended(self, event: Event) -> None:
        """One step of all windows is done; latents that nobody asked to keep are not in the event."""


class Unobserved:
    """Nobody looks; also a base for observers that only look at some of it."""

    def wants(self, step: int, site: Site) -> bool:
        return False

    def saw(self, view: SiteView, context: Context) -> None:
        """Looks away."""

    def passed(self, view: PassView) -> None:
        """Looks away."""

    def ended(self, event: Event) -> None:
        """Looks away."""


@dataclass(frozen=True)
class Together:
    """Several observers as one, called in order."""

    observers: tuple[Observer, ...]

    def wants(self, step: int, site: Site) -> bool:
        return any(observer.wants(step, site) for observer in self.observers)

    def saw(self, view: SiteView, context: Context) -> None:
        for observer in self.observers:
            if observer.wants(context.step, view.site):
                observer.saw(view, context)

    def passed(self, view: PassView) -> None:
        for observer in self.observers:
            observer.passed(view)

    def ended(self, event: Event) -> None:
        for observer in self.observers:
            observer.ended(event)
