"""What the tests of recording share: a small moving clip, a method that remembers, an observer that keeps what it saw."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import ClassVar

import torch
import torch.nn.functional as F

from zvr_core.clip import load_clip
from zvr_core.events import Unobserved
from zvr_core.methods.base import Method, PlugIn, Windows
from zvr_core.methods.presets import diffir2vr
from zvr_core.restore import Restoration


def moving_clip(frames=3, height=12, width=16):
    """A camera that moves by a pixel a frame over a smooth picture, in 8 bits."""
    canvas = torch.rand(1, 3, height // 3 + 4, (width + frames) // 3 + 4, generator=torch.Generator().manual_seed(0))
    canvas = F.interpolate(canvas, scale_factor=3, mode="bicubic").clamp(0, 1)[0]
    frames = torch.stack([canvas[:, :height, t : t + width] for t in range(frames)])
    return load_clip((255 * frames).round().byte().permute(0, 2, 3, 1).numpy(), name="moving", fps="30000/1001")


def a_run(model, method=None, *, frames=3, steps=4, **settings):
    """A short run of a method, by default in one window; to find the model's sites takes longer than a step, so that is done once."""
    if not hasattr(model.sites, "cache_info"):
        model.sites = lru_cache(model.sites)
    return Restoration(moving_clip(frames), model, method or diffir2vr(window=2), steps=steps, seed=3, **settings)


def latents(run):
    """x_t (F, C, h, w) where the run stands."""
    return torch.stack([run.history[run.index, frame] for frame in range(len(run.clip))])


@dataclass(frozen=True)
class Inertia(PlugIn):
    """Mixes each x0 with that of the step before: a method with state."""

    persistent: ClassVar[tuple[str, ...]] = ("inertia",)

    def x0(self, x0, context):
        slot = ("inertia", context.window.start)
        mixed = 0.75 * x0 + 0.25 * context.memory.slots.get(slot, x0).to(x0)
        context.memory.slots[slot] = mixed
        return mixed


def with_inertia():
    """Per frame, with inertia."""
    return Method("inertia", (Windows(2), Inertia()))


@dataclass
class Watcher(Unobserved):
    """Keeps copies of all site views and passes."""

    sites: dict = field(default_factory=dict)
    passes: dict = field(default_factory=dict)

    def wants(self, step, site):
        return True

    def saw(self, view, context):
        self.sites[context.step, view.site.name, context.window.start] = view

    def passed(self, view):
        self.passes[view.context.step, view.context.window.start] = view
