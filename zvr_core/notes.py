"""What plug-ins report during one pass, and what becomes of it.

Every context carries notes: `Notes` forgets what it is told, so that a run nobody looks at pays nothing; `PassNotes` keeps it for
observers and events, and looks on at attention sites.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch

from zvr_core.attention import Edited, Site, TokenEdit, drop_padding, unchanged
from zvr_core.events import Edit, Observer, SiteView
from zvr_core.matching import Matches
from zvr_core.merged import Merged

if TYPE_CHECKING:
    from zvr_core.methods.base import Context


class Notes:
    """Nobody looks."""

    edits: Sequence[Edit] = ()
    x0: Sequence[tuple[str, torch.Tensor]] = ()  # after each plug-in that edited it
    matches: Mapping[str, Matches] = MappingProxyType({})  # by site name

    def say(self, **numbers: float | torch.Tensor) -> None:
        """For plug-ins: numbers about the edit they are making."""

    def merging(self, site: Site, ratio: float, matches: Matches, merged: Merged) -> None:
        """For plug-ins that merge tokens: what is matched and merged at a site, `matches` of the last stream."""

    def edited(self, plugin: str, hook: str, before: torch.Tensor, after: torch.Tensor, site: str = "") -> None:
        """For the method: a plug-in's hook has returned."""

    def around(
        self, network: torch.nn.Module, sites: Iterable[Site], edits: Mapping[str, TokenEdit], context: Context
    ) -> Mapping[str, TokenEdit]:
        """The edits of a pass by module path, with whatever looks on at the sites."""
        return edits


@dataclass
class PassNotes(Notes):
    """Keeps what it is told about one window at one step, and shows the sites an observer wants."""

    window: int  # its number
    observer: Observer
    edits: list[Edit] = field(default_factory=list)
    x0: list[tuple[str, torch.Tensor]] = field(default_factory=list)
    matches: dict[str, Matches] = field(default_factory=dict)
    _merged: dict[str, tuple[float, Merged]] = field(default_factory=dict)
    _numbers: dict[str, float | torch.Tensor] = field(default_factory=dict)

    def say(self, **numbers: float | torch.Tensor) -> None:
        self._numbers.update(numbers)

    def merging(self, site: Site, ratio: float, matches: Matches, merged: Merged) -> None:
        self.say(ratio=ratio, merged=merged.count)
        self.matches[site.name], self._merged[site.name] = matches, (ratio, merged)

    def edited(self, plugin: str, hook: str, before: torch.Tensor, after: torch.Tensor, site: str = "") -> None:
        numbers = {name: float(number) for name, number in self._numbers.items()}
        self._numbers.clear()
        if after is not before or numbers:
            self.edits.append(Edit(plugin, hook, self.window, site, numbers))
        if hook == "x0" and after is not before:
            self.x0.append((plugin, after))

    def around(
        self, network: torch.nn.Module, sites: Iterable[Site], edits: Mapping[str, TokenEdit], context: Context
    ) -> Mapping[str, TokenEdit]:
        wanted = [site for site in sites if self.observer.wants(context.step, site)]
        shown = {s.path: self._shown(s, edits.get(s.path, unchanged), network.get_submodule(s.path), context) for s in wanted}
        return {**edits, **shown}

    def _shown(self, site: Site, edit: TokenEdit, attention: torch.nn.Module, context: Context) -> TokenEdit:
        """The same edit, which shows the observer what it saw and did."""

        def show(hidden: torch.Tensor) -> Edited:
            edited = edit(hidden)
            self.observer.saw(self._view(site, hidden, edited, attention, len(context.window)), context)
            return edited

        return show

    def _view(self, site: Site, hidden: torch.Tensor, edited: Edited, attention: torch.nn.Module, frames: int) -> SiteView:
        whole = hidden[-frames:]  # the last stream, (F, L, C)
        tokens = drop_padding(site)(whole).hidden if whole.shape[1] > site.tokens else whole  # (F, N, C)
        own = torch.arange(frames * site.tokens, device=tokens.device).view(frames, site.tokens)  # (F, N)
        ratio, merged = self._merged.get(site.name, (0.0, None))
        provider = own if merged is None else merged.provider[-1]
        sequence = tokens
        if edited.hidden is not hidden:
            attended = edited.keywords.get("encoder_hidden_states", edited.hidden)  # (S·n, L, C), n = 1 or F
            last = attended[-max(1, len(attended) * frames // len(hidden)) :]
            sequence = last[0] if len(last) == 1 else last  # (L, C) or (F, L, C)
        matches = (self.matches[site.name],) if site.name in self.matches else ()
        return SiteView(site, tokens, matches, provider != own, provider, ratio, sequence, attention)
