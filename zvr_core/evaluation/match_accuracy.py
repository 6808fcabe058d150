"""Looks on while a clip of known motion is restored: how many of the method's own matches are true?"""

from __future__ import annotations

import statistics
from collections import defaultdict

from zvr_core.correspondence_quality import score_matches
from zvr_core.events import SiteView, Unobserved
from zvr_core.methods.base import Context
from zvr_core.scenes import Truth
from zvr_core.token_truth import TokenTruth
from zvr_core.windows import Window


class MatchAccuracy(Unobserved):
    """Share of tokens visible in the key frame whose target is at most one token from the true one; mean over sites and steps of a stage.

    `scene` tells the true motion of the clip.
    """

    def __init__(self, scene: Truth) -> None:
        self.scene = scene
        self._shares: dict[str, list[float]] = defaultdict(list)
        self._truths: dict[tuple[Window, tuple[int, int]], TokenTruth] = {}

    def wants(self, step: int, site: object) -> bool:
        return True

    def saw(self, view: SiteView, context: Context) -> None:
        window, site = context.window, view.site
        for matches in view.matches:
            if (window, site.grid) not in self._truths:
                truth = TokenTruth.of_scene(self.scene, window.frames, window.key, site.grid, site.cell)
                self._truths[window, site.grid] = truth
            table = score_matches([matches], self._truths[window, site.grid])
            rows = table[(table.matcher == matches.matcher) & (table.group == "visible")]
            self._shares[site.stage] += rows.pck1.dropna().tolist()

    def means(self) -> dict[str, float]:
        """By "pck_" and stage; empty where nothing was matched."""
        return {f"pck_{stage}": statistics.fmean(shares) for stage, shares in self._shares.items() if shares}
