"""Matchers that repair what the published ones get wrong; each is small, and most wrap another matcher.

    FlowCentredCosine(radius)    the prior sits where the flow points, so motion has no limit
    ConfidenceFloor(inner)       what is occluded is never merged
    MutualNearest(inner)         a match must hold in both directions
    FlowOrCosine(cosine)         for each token whichever is surer
    TextureAware(inner)          smooth areas are merged before texture

They nest: ConfidenceFloor(TextureAware(FlowMatcher())).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from zvr_core.cosine import MAX_BYTES, KeySearch
from zvr_core.errors import ZvrError
from zvr_core.matching import Flow, FlowMatcher, Matcher, Matches, TokenFlowLike, flow_places, found, nearest
from zvr_core.ring_search import check_radius, ring_search


@dataclass(frozen=True)
class FlowCentredCosine:
    """Cosine weighted by exp(-floor(d / R)) with d the distance in tokens from where the optical flow points.

    The published prior is centred on the token's own position and loses whatever moves by R tokens or more; here flow says where
    to look, and the features decide within R tokens of it.
    """

    radius: float
    measure: bool = False
    max_bytes: int = MAX_BYTES
    name: ClassVar[str] = "cosine_flow"

    def __post_init__(self) -> None:
        check_radius(self.radius)

    def match(self, tokens: torch.Tensor, grid: tuple[int, int], key: int, flow: Flow) -> Matches:
        search = KeySearch(tokens, grid, key, self.measure)
        y, x = nearest(flow_places(flow(), tokens.shape[0], grid, tokens.device)).unbind(-1)  # (F, N) each
        ring_search(search, (y * grid[1] + x).flatten(), self.radius, self.max_bytes)
        return found(self.name, search, tokens, key)


@dataclass(frozen=True)
class ConfidenceFloor:
    """Never merges a token that is occluded in the key frame, or whose round trip misses by more than `max_error` pixels.

    The published method merges by rank alone: at ratio 0.9 occluded tokens are merged, too.
    """

    inner: Matcher
    max_error: float = math.inf

    @property
    def name(self) -> str:
        return f"{self.inner.name}+floor"

    def match(self, tokens: torch.Tensor, grid: tuple[int, int], key: int, flow: Flow) -> Matches:
        matches = self.inner.match(tokens, grid, key, flow)
        return without(matches, unreliable(flow(), self.max_error).to(matches.score.device), self.name)


@dataclass(frozen=True)
class MutualNearest:
    """Never merges a token that its target's own best match misses by more than `tolerance` tokens along an axis.

    The inner matcher runs once more from the key frame to each frame, so it must do without flow: CosineMatcher or
    SpatialCosineMatcher.
    """

    inner: Matcher
    tolerance: int = 1

    @property
    def name(self) -> str:
        return f"{self.inner.name}+mutual"

    def match(self, tokens: torch.Tensor, grid: tuple[int, int], key: int, flow: Flow) -> Matches:
        matches = self.inner.match(tokens, grid, key, self._no_flow)
        returned = torch.stack([self._there_and_back(tokens, grid, key, f, matches.target[f]) for f in range(len(tokens))])  # (F, N)
        own = torch.arange(tokens.shape[1], device=returned.device)
        dy, dx = (returned // grid[1] - own // grid[1]).abs(), (returned % grid[1] - own % grid[1]).abs()
        return without(matches, torch.maximum(dy, dx) > self.tolerance, self.name)

    def _there_and_back(self, tokens: torch.Tensor, grid: tuple[int, int], key: int, frame: int, target: torch.Tensor) -> torch.Tensor:
        """The tokens of `frame` that its targets match best, (N,)."""
        if frame == key:
            return target
        pair = torch.stack([tokens[frame], tokens[key]])
        return self.inner.match(pair, grid, 0, self._no_flow).target[1][target]

    def _no_flow(self) -> TokenFlowLike:
        raise ZvrError(f"{self.inner.name} looks at flow, which is known in one direction only; give MutualNearest a cosine matcher")


@dataclass(frozen=True)
class FlowOrCosine:
    """For each token the surer of two: flow, with confidence exp(-error in pixels), or cosine, with its score.

    Occluded tokens go with cosine.  Both confidences reach up to 1, and tokens are ranked by the one that won.
    """

    cosine: Matcher

    @property
    def name(self) -> str:
        return f"flow_or_{self.cosine.name}"

    def match(self, tokens: torch.Tensor, grid: tuple[int, int], key: int, flow: Flow) -> Matches:
        cosine, moved = self.cosine.match(tokens, grid, key, flow), FlowMatcher().match(tokens, grid, key, flow)
        confidence, hidden = moved.score.exp(), unreliable(flow(), math.inf).to(moved.score.device)  # (F, N) each
        surer = (confidence > cosine.score) & ~hidden
        target = torch.where(surer, moved.target, cosine.target)
        return Matches(self.name, key, grid, target, torch.where(surer, confidence, cosine.score))


@dataclass(frozen=True)
class TextureAware:
    """Merges smooth areas before textured ones, which need their own tokens most.

    Tokens are ranked by the place of their score less `strength` times the place of their texture (both from 0 to 1 over the
    window), so that at any ratio a larger share of the smooth tokens is merged; scores of any unit will do.  Texture is how
    unlike its neighbours a token is.  Source: the idea of ZVRM (arXiv 2608.26476), which sets one ratio for tokens it classifies
    as smooth and one for textured ones, on decoded frames; here tokens are enough.
    """

    inner: Matcher
    strength: float = 0.5

    @property
    def name(self) -> str:
        return f"{self.inner.name}+texture"

    def match(self, tokens: torch.Tensor, grid: tuple[int, int], key: int, flow: Flow) -> Matches:
        matches = self.inner.match(tokens, grid, key, flow)
        sources = [frame for frame in range(len(tokens)) if frame != key]
        score = matches.score.clone()
        if sources:
            ranked = place(-matches.score[sources]) + self.strength * place(texture(tokens, grid, sources))
            score[sources] = torch.where(matches.score[sources] > -torch.inf, -ranked, -torch.inf)
        return replace(matches, matcher=self.name, score=score)


def unreliable(flow: TokenFlowLike, max_error: float) -> torch.Tensor:
    """Tokens (F, N) whose flow cannot be trusted."""
    return (flow.occluded | (flow.error > max_error)).flatten(1)


def without(matches: Matches, refused: torch.Tensor, name: str) -> Matches:
    """The matches with score -inf where `refused` (F, N); the key frame's own row stays."""
    score = matches.score.masked_fill(refused, -torch.inf)
    score[matches.key] = torch.inf
    return replace(matches, matcher=name, score=score)


def place(values: torch.Tensor) -> torch.Tensor:
    """Each value's place in ascending order, from 0 to 1, in the values' shape; equal values share the first of their places."""
    flat = values.flatten()
    return (torch.searchsorted(flat.sort().values, flat) / max(1, len(flat) - 1)).view_as(values)


@torch.no_grad()
def texture(tokens: torch.Tensor, grid: tuple[int, int], frames: Sequence[int]) -> torch.Tensor:
    """1 - the mean cosine of each token with its up to four neighbours, (frames, N)."""
    return torch.stack([frame_texture(tokens[frame].unflatten(0, grid)).flatten() for frame in frames])


def frame_texture(tokens: torch.Tensor) -> torch.Tensor:
    """The same for one frame's tokens (h, w, C): (h, w)."""
    unit = torch.nn.functional.normalize(tokens.float(), dim=-1)
    right, down = 1 - (unit[:, :-1] * unit[:, 1:]).sum(-1), 1 - (unit[:-1] * unit[1:]).sum(-1)  # (h, w-1), (h-1, w)
    return over_sides(right, down) / over_sides(torch.ones_like(right), torch.ones_like(down)).clamp_min(1)


def over_sides(right: torch.Tensor, down: torch.Tensor) -> torch.Tensor:
    """The sum over each cell's up to four sides: of its right and left (h, w-1), and of its lower and upper (h-1, w)."""
    pad = torch.nn.functional.pad
    return pad(right, (0, 1)) + pad(right, (1, 0)) + pad(down, (0, 0, 0, 1)) + pad(down, (0, 0, 1, 0))
