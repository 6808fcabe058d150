"""What is recorded of one attention site in one pass: matches of several rules, merging, similarities, tokens."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from zvr_core.correspondence import TokenFlow
from zvr_core.events import SiteView
from zvr_core.matching import Matches
from zvr_core.methods.base import Context, Method
from zvr_core.recording.choice import RecordAt
from zvr_core.recording.foreign import recorded_matcher
from zvr_core.recording.projection import Projections
from zvr_core.recording.similarity import MISSING, attention_entropy, disagreeing, similarity_rows
from zvr_core.trace.header import Header

Arrays = dict[str, np.ndarray]  # by name, the first dimension is the frame in the window


class Stopwatch:
    """Seconds spent, by purpose."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def __call__(self, purpose: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[purpose] += time.perf_counter() - began


@dataclass(frozen=True)
class SiteRecorder:
    """Makes the arrays of one site; time goes to "kept" (what the loop has anyway), "foreign", "similarity" and "tokens"."""

    record: RecordAt
    method: Method
    header: Header
    projections: Projections
    watch: Stopwatch = field(default_factory=Stopwatch)

    def arrays(self, view: SiteView, context: Context) -> Arrays:
        """By name, without the grid."""
        arrays: Arrays = {}
        if "matches" in self.record.what:
            own = {matches.matcher: matches for matches in view.matches}
            with self.watch("foreign"):
                found = own | {name: self._measured(name, view, context, own) for name in self._searched(own)}
            with self.watch("kept"):
                arrays |= merging(view, context.window.start)
                for name in found.keys() & set(self.header.matchers) - {"flow"}:
                    arrays |= matching(name, found[name])
            with self.watch("similarity"):
                arrays |= self._similarity(view, found, context.window.key_index)
        with self.watch("tokens"):
            arrays |= self._tokens(view)
        return arrays

    def _searched(self, own: Mapping[str, Matches]) -> list[str]:
        """The matchers to run: flow is known once per clip, so only where it chooses tokens; the method's own for their margins."""
        return [name for name in self.record.matchers if name != "flow" or (self.record.similarity and name not in own)]

    def _measured(self, name: str, view: SiteView, context: Context, own: Mapping[str, Matches]) -> Matches:
        """The matches of a rule, with margins; what the method itself matched stays as it was."""
        window, site = context.window, view.site

        def flow() -> TokenFlow:
            return context.flow.to_key(window.frames, window.key, site.grid, site.cell)

        matches = recorded_matcher(name, site, self.method).match(view.tokens, site.grid, window.key_index, flow)
        return replace(own[name], margin=matches.margin) if name in own else matches

    def _similarity(self, view: SiteView, found: Mapping[str, Matches], key: int) -> Arrays:
        """Of the tokens of largest disagreement in each frame but the key frame."""
        frames, count = view.tokens.shape[:2]
        sources = [frame for frame in range(frames) if frame != key]
        if not self.record.similarity or not sources:
            return {}
        probes = self.header.probes
        flow, cosine = found["flow"].target, found[self.record.cosine].target
        chosen = disagreeing(flow, cosine, view.site.grid, sources, probes).to(view.tokens.device)  # (F - 1, P)
        tokens, rows = np.full((frames, probes), -1, np.int32), np.full((frames, probes, count), MISSING, np.uint8)
        tokens[sources] = chosen.cpu().numpy()
        for frame, probe in zip(sources, chosen, strict=True):
            rows[frame] = similarity_rows(view.tokens[frame, probe], view.tokens[key]).cpu().numpy()
        arrays: Arrays = {"similarity_token": tokens, "similarity": rows}
        if self.record.entropy:
            entropy = np.full((frames, probes), np.nan, np.float16)
            for frame, probe in zip(sources, chosen, strict=True):
                asking = view.tokens.flatten(0, 1)[view.provider[frame, probe]]  # (P, C): a merged token asks nothing itself
                sequence = view.sequence if view.sequence.ndim == 2 else view.sequence[frame]
                entropy[frame] = attention_entropy(view.attention, asking, sequence).cpu().numpy()
            arrays["entropy"] = entropy
        return arrays

    def _tokens(self, view: SiteView) -> Arrays:
        """(F, N, C), or (F, N, k) where they are projected."""
        if self.record.tokens == "none":
            return {}
        values = view.tokens if self.record.tokens == "full" else self.projections(view.site.name, view.tokens)
        return {"tokens": half(values)}


def matching(name: str, matches: Matches) -> Arrays:
    """Targets, scores, and margins where they were measured, (F, N) each."""
    measured = {} if matches.margin is None else {f"{name}_margin": half(matches.margin)}
    return {f"{name}_target": matches.target.int().cpu().numpy(), f"{name}_score": half(matches.score), **measured}


def merging(view: SiteView, start: int) -> Arrays:
    """Which tokens are merged, and whose output each receives as absolute frame · N + token, (F, N) each."""
    provider = (view.provider + start * view.tokens.shape[1]).int()
    return {"merged": view.merged.to(torch.uint8).cpu().numpy(), "provider": provider.cpu().numpy()}


def half(values: torch.Tensor) -> np.ndarray:
    """As float16."""
    return values.to(torch.float16).cpu().numpy()
