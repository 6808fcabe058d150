"""A method is an ordered tuple of plug-ins; a plug-in overrides the hooks it needs, and every default is the identity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from zvr_core.attention import Edited, Site, TokenEdit
from zvr_core.correspondence import CorrespondenceService
from zvr_core.errors import ZvrError
from zvr_core.memory import Memory
from zvr_core.noise import NoiseSource
from zvr_core.notes import Notes
from zvr_core.windows import Window, plan_windows


@dataclass(frozen=True)
class Context:
    """What a hook may know about the pass it is called in."""

    step: int  # 0 .. steps - 1
    steps: int
    t: int  # the network's time
    alpha_bar: float
    window: Window
    grid: tuple[int, int]  # (h, w) latent cells that show the picture
    cell: int  # output pixels per latent cell
    flow: CorrespondenceService
    memory: Memory
    notes: Notes = Notes()


class PlugIn:
    """Overrides what it needs.  Subclasses are frozen dataclasses: values that can be compared, printed and varied.

    `persistent` names the memory slots that outlive a step.  What a hook is given it leaves as it is, and returns something new.
    """

    persistent: ClassVar[tuple[str, ...]] = ()

    def plan(self, count: int, cuts: Sequence[int]) -> tuple[Window, ...]:
        """Windows over `count` frames; one owner."""
        raise NotImplementedError

    def noise(self, source: NoiseSource, purpose: str, step: int, window: Window, shape: Sequence[int]) -> torch.Tensor:
        """One draw a frame of the window, (F, *shape), unit variance each; one owner."""
        raise NotImplementedError

    def sites(self, sites: Sequence[Site], size: tuple[int, int]) -> Sequence[Site]:
        """The attention sites as the other hooks see them; `size` is (H, W) of the output."""
        return sites

    def latent(self, x_t: torch.Tensor, context: Context) -> torch.Tensor:
        """x_t (F, C, h, w) before the network."""
        return x_t

    def tokens(self, site: Site, context: Context) -> TokenEdit | None:
        """The edit around one self-attention call, or None where this plug-in leaves the site alone."""
        return None

    def drops_padding(self) -> bool:
        """Whether transformer blocks compute on picture tokens only."""
        return False

    def x0(self, x0: torch.Tensor, context: Context) -> torch.Tensor:
        """The clean estimate (F, C, h, w)."""
        return x0

    def frames(self, frames: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        """Decoded frames (F, 3, H, W); `reference` is the input, bicubically enlarged to the same size."""
        return frames


@dataclass(frozen=True)
class Windows(PlugIn):
    """Disjoint windows of `size` frames (published default 10), key frame in the middle, none across a scene cut."""

    size: int = 10

    def plan(self, count: int, cuts: Sequence[int]) -> tuple[Window, ...]:
        return plan_windows(count, self.size, cuts)


@dataclass(frozen=True)
class IndependentNoise(PlugIn):
    """Fresh noise for every frame: what image models do, and why they flicker."""

    def noise(self, source: NoiseSource, purpose: str, step: int, window: Window, shape: Sequence[int]) -> torch.Tensor:
        return source.stack(purpose, step, window.frames, shape)


@dataclass(frozen=True)
class SharedNoise(PlugIn):
    """The same noise for every frame: the simplest temporal method (used by Rerender-A-Video, SVI, VISION-XL and others)."""

    def noise(self, source: NoiseSource, purpose: str, step: int, window: Window, shape: Sequence[int]) -> torch.Tensor:
        return source.draw(purpose, step, 0, shape).expand(len(window), *shape)


@dataclass(frozen=True)
class WindowNoise(PlugIn):
    """Noise numbered by the place in the window, as the published code draws it: each window repeats that of the one before."""

    def noise(self, source: NoiseSource, purpose: str, step: int, window: Window, shape: Sequence[int]) -> torch.Tensor:
        return source.stack(purpose, step, range(len(window)), shape)


def owner(plugins: Sequence[PlugIn], hook: str, default: PlugIn) -> PlugIn:
    """The one plug-in that overrides `hook`; two are an error that names both."""
    owners = [p for p in plugins if getattr(type(p), hook) is not getattr(PlugIn, hook)]
    if len(owners) > 1:
        names = " and ".join(type(p).__name__ for p in owners)
        raise ZvrError(f"{names} both own the hook {hook!r}; one owner expected; keep one of them")
    return owners[0] if owners else default


@dataclass(frozen=True)
class Method:
    """A name and an ordered tuple of plug-ins: edits fold in this order."""

    name: str
    plugins: tuple[PlugIn, ...] = ()

    def __post_init__(self) -> None:
        owner(self.plugins, "plan", Windows())  # two owners are refused when the method is made, not when it runs
        owner(self.plugins, "noise", IndependentNoise())

    @property
    def _planner(self) -> PlugIn:
        return owner(self.plugins, "plan", Windows())

    @property
    def noise_plugin(self) -> PlugIn:
        """Whose `noise` draws for this method."""
        return owner(self.plugins, "noise", IndependentNoise())

    def plan(self, count: int, cuts: Sequence[int]) -> tuple[Window, ...]:
        """The planner's windows, checked: together they hold every frame once."""
        windows = self._planner.plan(count, cuts)
        if [frame for window in windows for frame in window.frames] != list(range(count)):
            raise ZvrError(f"{type(self._planner).__name__} planned windows that do not hold each of {count} frames once, in order")
        return windows

    def sites(self, sites: Sequence[Site], size: tuple[int, int]) -> Sequence[Site]:
        for plugin in self.plugins:
            sites = plugin.sites(sites, size)
        return sites

    @property
    def persistent(self) -> frozenset[str]:
        """The memory slots that outlive a step."""
        return frozenset(name for plugin in self.plugins for name in plugin.persistent)

    @property
    def _named(self) -> Sequence[tuple[str, PlugIn]]:
        """The plug-ins by class name; the second of a class is numbered."""
        names = [type(plugin).__name__ for plugin in self.plugins]
        seconds = [names[: i + 1].count(name) for i, name in enumerate(names)]
        return [(name if n == 1 else f"{name} {n}", p) for name, n, p in zip(names, seconds, self.plugins, strict=True)]

    def latent(self, x_t: torch.Tensor, context: Context) -> torch.Tensor:
        for name, plugin in self._named:
            edited = plugin.latent(x_t, context)
            context.notes.edited(name, "latent", x_t, edited)
            x_t = edited
        return x_t

    def tokens(self, sites: Sequence[Site], context: Context) -> dict[str, TokenEdit]:
        """The edits of one pass by module path; a site has one owner, since the first merge gives up the frame structure."""
        edits: dict[str, TokenEdit] = {}
        for site in sites:
            found = [(name, edit) for name, p in self._named if (edit := p.tokens(site, context)) is not None]
            if len(found) > 1:
                names = " and ".join(name for name, _ in found)
                raise ZvrError(f"{names} both edit the tokens of {site.name}; one owner a site expected; give them different stages")
            edits.update((site.path, noted(edit, name, site, context.notes)) for name, edit in found)
        return edits

    def padded_sites(self, sites: Sequence[Site]) -> Sequence[Site]:
        """The sites whose blocks run without padding tokens."""
        return sites if any(p.drops_padding() for p in self.plugins) else ()

    def x0(self, x0: torch.Tensor, context: Context) -> torch.Tensor:
        for name, plugin in self._named:
            edited = plugin.x0(x0, context)
            context.notes.edited(name, "x0", x0, edited)
            x0 = edited
        return x0

    def frames(self, frames: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        for plugin in self.plugins:
            frames = plugin.frames(frames, reference)
        return frames


def noted(edit: TokenEdit, plugin: str, site: Site, notes: Notes) -> TokenEdit:
    """The same edit, put on record."""

    def edit_and_note(hidden: torch.Tensor) -> Edited:
        edited = edit(hidden)
        notes.edited(plugin, "tokens", hidden, edited.hidden, site.name)
        return edited

    return edit_and_note
