"""Merging with a matcher that is chosen by name: what tables of matchers compare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from zvr_core.attention import Site
from zvr_core.errors import unknown
from zvr_core.matchers import ConfidenceFloor, FlowCentredCosine, FlowOrCosine, MutualNearest, TextureAware
from zvr_core.matching import CosineMatcher, FlowMatcher, Matcher
from zvr_core.methods.token_merging import OutputRadius, TokenMerging
from zvr_core.ring_search import SpatialCosineMatcher

MATCHERS: dict[str, Callable[[float], Matcher]] = {  # made for a radius of the spatial prior in tokens; most look at none
    "flow": lambda radius: FlowMatcher(),
    "flow, truncated": lambda radius: FlowMatcher("truncate"),
    "flow, bilinear": lambda radius: FlowMatcher("bilinear"),
    "flow+floor": lambda radius: ConfidenceFloor(FlowMatcher()),
    "flow+texture": lambda radius: TextureAware(FlowMatcher()),
    "cosine": lambda radius: CosineMatcher(),
    "cosine+mutual": lambda radius: MutualNearest(CosineMatcher()),
    "cosine_spatial": SpatialCosineMatcher,
    "cosine_spatial+floor": lambda radius: ConfidenceFloor(SpatialCosineMatcher(radius)),
    "cosine_spatial+mutual": lambda radius: MutualNearest(SpatialCosineMatcher(radius)),
    "cosine_flow": FlowCentredCosine,
    "flow or cosine_spatial": lambda radius: FlowOrCosine(SpatialCosineMatcher(radius)),
}


@dataclass(frozen=True)
class NamedMatching(TokenMerging):
    """Merging by the matcher `by`, a name in `MATCHERS` (else ZvrError); the radius of spatial priors is in output pixels."""

    by: str = "flow"
    radius: OutputRadius = OutputRadius()

    def __post_init__(self) -> None:
        if self.by not in MATCHERS:
            raise unknown("matcher", self.by, MATCHERS)

    def matcher_at(self, site: Site) -> Matcher:
        return MATCHERS[self.by](self.radius.tokens(site))
