"""Token merging across frames: matched tokens of a window share one attention output.

Source: VidToMe (Li et al. 2024) and DiffIR2VR-Zero (Yeh et al. 2024), section 3.3, Eqs. 5 to 8.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from zvr_core.attention import Edited, Site, TokenEdit
from zvr_core.correspondence import TokenFlow
from zvr_core.errors import ZvrError
from zvr_core.matching import FlowMatcher, Matcher
from zvr_core.merging import Joint, KeyAndOwn, Mode, Rank, merge
from zvr_core.methods.base import Context, PlugIn
from zvr_core.ring_search import SpatialCosineMatcher
from zvr_core.schedule import CosineAnnealing, Period, Schedule


@dataclass(frozen=True)
class TokenMerging(PlugIn):
    """Joins the frames of a window to one token sequence at each site of `stages`, and merges a share of matched tokens.

    `ratio` and `period`: how many and when; `max_cell`: the coarsest grid that is merged, in output pixels per token (published:
    16, the two finest grids); `mode`, `rank`, `attend`: see `merging.merge`.
    """

    stages: tuple[str, ...] = ("down", "mid", "up")
    matcher: Matcher = FlowMatcher()
    ratio: Schedule = CosineAnnealing()
    period: Period = Period()
    max_cell: int = 16
    mode: Mode = "replace"
    rank: Rank = "window"
    attend: Joint | KeyAndOwn = Joint()

    def matcher_at(self, site: Site) -> Matcher:
        """The matcher for one site's grid."""
        return self.matcher

    def tokens(self, site: Site, context: Context) -> TokenEdit | None:
        window = context.window
        if site.stage not in self.stages or site.cell > self.max_cell or len(window) == 1:
            return None
        if not self.period.contains(context.step, context.steps):
            return None
        ratio, matcher = self.ratio(context.step, context.steps), self.matcher_at(site)

        def flow() -> TokenFlow:
            return context.flow.to_key(window.frames, window.key, site.grid, site.cell)

        def edit(hidden: torch.Tensor) -> Edited:
            tokens = hidden.unflatten(0, (-1, len(window)))  # (S, F, N, C)
            matches = [matcher.match(stream, site.grid, window.key_index, flow) for stream in tokens]
            merged = merge(tokens, matches, ratio, self.mode, self.rank, self.attend)
            context.notes.merging(site, ratio, matches[-1], merged)
            elsewhere = {} if merged.context is merged.queries else {"encoder_hidden_states": merged.context}
            return Edited(merged.queries, lambda output: merged.unmerge(output).flatten(0, 1), elsewhere)  # (S·F, N, C)

        return edit


@dataclass(frozen=True)
class FlowMerging(TokenMerging):
    """Merging along optical flow, ranked by forward-backward consistency; published for the down blocks."""

    stages: tuple[str, ...] = ("down",)
    matcher: Matcher = FlowMatcher()


@dataclass(frozen=True)
class OutputRadius:
    """The radius of the spatial prior in output pixels, at each grid at least 2 tokens.

    Below that every token matches its own position and the matcher shows nothing.  24 px found more true matches than 32 on the
    development clips (tests/bench/bench_radius.py); they are slow, and a smaller radius forbids fast motion.  Raises ZvrError
    unless positive.
    """

    pixels: float = 24.0

    def __post_init__(self) -> None:
        if not self.pixels > 0:
            raise ZvrError(f"radius {self.pixels} given, a positive number of output pixels expected; 24 to 32 is usual")

    def tokens(self, site: Site) -> int:
        """The radius in tokens of a site's grid."""
        return max(2, round(self.pixels / site.cell))


@dataclass(frozen=True)
class PublishedRadius:
    """A thirtieth of the grid's width in tokens, at least 1: on grids under 60 tokens the identity map."""

    def tokens(self, site: Site) -> int:
        """The radius in tokens of a site's grid."""
        return max(1, site.grid[1] // 30)


@dataclass(frozen=True)
class CosineMerging(TokenMerging):
    """Merging by cosine similarity with a spatial prior of a given radius; published for the up blocks."""

    stages: tuple[str, ...] = ("up",)
    radius: OutputRadius | PublishedRadius = OutputRadius()

    def matcher_at(self, site: Site) -> Matcher:
        return SpatialCosineMatcher(self.radius.tokens(site))
