"""One step's event, gathered window by window; what it keeps lies on a shelf, so that long clips fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import torch

from zvr_core.events import Edit, Event, Observer, PassView
from zvr_core.history import Layer, Moment, Shelf
from zvr_core.matching import Matches
from zvr_core.methods.base import Context
from zvr_core.notes import Notes, PassNotes
from zvr_core.windows import Window


@dataclass
class Gathering:
    """For a run that somebody looks at; with `keep` the event holds latents and matches, too."""

    shelf: Shelf
    keep: bool
    done: Event = field(init=False)
    edits: list[Edit] = field(default_factory=list)
    latents: dict[str, Layer] = field(default_factory=dict)
    matches: dict[str, StoredMatches] = field(default_factory=dict)

    def notes(self, number: int, observer: Observer) -> Notes:
        """The notes of one pass."""
        return PassNotes(number, observer)

    def add(self, view: PassView, notes: Notes) -> None:
        """One window is done."""
        self.edits += view.edits
        if self.keep:
            named = {"predicted": view.predicted, "x0": view.x0, **{f"x0 after {plugin}": x0 for plugin, x0 in view.edited}}
            for name, latents in named.items():
                layer = self.latents.setdefault(name, Layer(self.shelf))
                for frame, latent in zip(view.context.window.frames, latents, strict=True):
                    layer[frame] = latent
            for site, matches in notes.matches.items():
                self.matches.setdefault(site, StoredMatches(self.shelf)).keep(view.number, matches)

    def event(self, context: Context, windows: tuple[Window, ...], now: Moment, after: Moment, seconds: float) -> Event:
        """The step is done; `context` of any of its passes."""
        c, latents = context, {"x_t": now.x_t, "x_next": after.x_t, **self.latents}
        return Event(c.step, c.steps, c.t, c.alpha_bar, seconds, windows, tuple(self.edits), self.matches, latents)


@dataclass
class Unlooked(Gathering):
    """For a run that nobody looks at."""

    keep: bool = False

    def notes(self, number: int, observer: Observer) -> Notes:
        return Notes()


class StoredMatches(Mapping[int, Matches]):
    """The matches of one site by number of the window, loaded when asked for."""

    def __init__(self, shelf: Shelf) -> None:
        self._tensors = Layer(shelf)
        self._others: dict[int, tuple[type[Matches], dict[str, Any]]] = {}

    def keep(self, number: int, matches: Matches) -> None:
        """Stores a copy."""
        values = {f.name: getattr(matches, f.name) for f in fields(matches)}
        self._others[number] = type(matches), {name: v for name, v in values.items() if not isinstance(v, torch.Tensor)}
        for name, value in values.items():
            if isinstance(value, torch.Tensor):
                self._tensors[number, name] = value

    def __getitem__(self, number: int) -> Matches:
        kind, others = self._others[number]
        tensors: dict[str, Any] = {name: tensor for (n, name), tensor in self._tensors.items() if n == number}
        return kind(**others, **tensors)

    def __iter__(self) -> Iterator[int]:
        return iter(self._others)

    def __len__(self) -> int:
        return len(self._others)
