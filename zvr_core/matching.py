"""Matches: for every token of a window, which token of the key frame it is.

    tokens (F, N, C) of one stream, or the optical flow  ─►  matcher.match(…)  ─►  Matches(target, score)  ─►  merging

Flow looks at no token and costs no score; cosine looks at no flow.  Further matchers: `ring_search` (the published spatial
prior) and `matchers` (better than published).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import torch

from zvr_core.cosine import MAX_BYTES, KeySearch, check_window
from zvr_core.errors import ZvrError, unknown

Rounding = Literal["nearest", "truncate", "bilinear"]


class TokenFlowLike(Protocol):
    """Where the cells of F frames lie in the key frame; see `correspondence.TokenFlow`."""

    @property
    def flow(self) -> torch.Tensor: ...  # (F, 2, h, w) in cells: x, y

    @property
    def error(self) -> torch.Tensor: ...  # (F, h, w) of the round trip, in pixels

    @property
    def occluded(self) -> torch.Tensor: ...  # (F, h, w) bool


Flow = Callable[[], TokenFlowLike]  # called only by matchers that look at it


@dataclass(frozen=True)
class Matches:
    """One target in the key frame for each token of a window, and what tokens are ranked by.

    The key frame's own row is arange(N) with score +inf.  A score of -inf means: never merge this token.  `cosine` and `margin`
    (best score minus the best outside the 3 × 3 tokens around it; +inf where nothing lies outside) are there where the matcher
    was asked to measure.
    """

    matcher: str
    key: int  # the key frame's index in the window
    grid: tuple[int, int]  # (h, w)
    target: torch.Tensor  # (F, N) int64
    score: torch.Tensor  # (F, N) float32, higher is better
    cosine: torch.Tensor | None = None  # (F, N) float32: of each token and its target
    margin: torch.Tensor | None = None  # (F, N) float32

    def shares(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The key tokens that together stand for each token, and their weights, which sum to 1; both (F, N, K)."""
        return self.target[..., None], torch.ones_like(self.score)[..., None]


@dataclass(frozen=True, kw_only=True)
class BlendedMatches(Matches):
    """Matches between cells: four key tokens each; `target` is the heaviest of them."""

    corners: torch.Tensor  # (F, N, 4) int64
    weights: torch.Tensor  # (F, N, 4) float32

    def shares(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.corners, self.weights


class Matcher(Protocol):
    """Finds matches in `tokens` (F, N, C) of one stream (CFG row), any float dtype and device; scores are float32.

    `grid` (h, w) without padding; `key` is the key frame's index in the window.  Bad shapes and tokens that are not finite raise
    ZvrError; one frame matches itself.
    """

    @property
    def name(self) -> str: ...

    def match(self, tokens: torch.Tensor, grid: tuple[int, int], key: int, flow: Flow) -> Matches: ...


@dataclass(frozen=True)
class FlowMatcher:
    """Follows the optical flow; ranked by -error, the forward-backward error in pixels (the order of Eq. 5 and 6).

    `rounding`: "nearest" cell; "truncate" as the published code does, half a token off to the upper left on average; "bilinear"
    shares between the four cells around the place.  Places outside the picture are clamped to its edge.
    Source: DiffIR2VR-Zero (Yeh et al. 2024), section 3.3.
    """

    rounding: Rounding = "nearest"
    name: ClassVar[str] = "flow"

    def __post_init__(self) -> None:
        if self.rounding not in ("nearest", "truncate", "bilinear"):
            raise unknown("rounding", self.rounding, ("nearest", "truncate", "bilinear"))

    def match(self, tokens: torch.Tensor, grid: tuple[int, int], key: int, flow: Flow) -> Matches:
        frames, count, _ = check_window(tokens, grid, key)
        moved = flow()
        place = flow_places(moved, frames, grid, tokens.device)  # (F, N, 2): y, x
        score = -moved.error.to(tokens.device).reshape(frames, count).float()
        score[key] = torch.inf
        if self.rounding == "bilinear":
            corners, weights = bilinear(place, grid)
            target = corners.gather(-1, weights.argmax(-1, keepdim=True))[..., 0]  # (F, N)
            own = torch.arange(count, device=target.device)
            target[key], corners[key], weights[key] = own, own[:, None], torch.tensor([1.0, 0, 0, 0], device=weights.device)
            return BlendedMatches(self.name, key, grid, target, score, corners=corners, weights=weights)
        cell = place.long() if self.rounding == "truncate" else nearest(place)
        target = cell[..., 0] * grid[1] + cell[..., 1]  # (F, N)
        target[key] = torch.arange(count, device=target.device)
        return Matches(self.name, key, grid, target, score)


@dataclass(frozen=True)
class CosineMatcher:
    """The most similar key token wherever it is: what the features say.  Ranked by cosine.

    `measure` adds the by-products of `Matches`.  Works in chunks of at most `max_bytes` beside one float32 copy of the key frame.
    Source: VidToMe (Li et al. 2024).
    """

    measure: bool = False
    max_bytes: int = MAX_BYTES
    name: ClassVar[str] = "cosine"

    @torch.no_grad()
    def match(self, tokens: torch.Tensor, grid: tuple[int, int], key: int, flow: Flow) -> Matches:
        search = KeySearch(tokens, grid, key, self.measure)
        search.search_all(search.sources(), max_bytes=self.max_bytes)
        return found(self.name, search, tokens, key)


def found(name: str, search: KeySearch, tokens: torch.Tensor, key: int) -> Matches:
    """The matches of a finished search; with `measure`, the cosine and the margin of each."""
    frames, count, _ = tokens.shape
    target, score = search.target.view(frames, count), search.score.view(frames, count)
    if not search.measure:
        return Matches(name, key, search.grid, target, score)
    margin = (search.score - search.runner_up).view(frames, count)
    return Matches(name, key, search.grid, target, score, cosine_to_key(tokens, key, target), margin)


@torch.no_grad()
def cosine_to_key(tokens: torch.Tensor, key: int, target: torch.Tensor) -> torch.Tensor:
    """The cosine (F, N) in float32 of tokens (F, N, C) and the key tokens `target` (F, N) that any matcher gave them."""
    unit = torch.nn.functional.normalize(tokens[key].float(), dim=-1)
    rows = [torch.nn.functional.normalize(frame.float(), dim=-1) for frame in tokens]
    return torch.stack([(row * unit[at]).sum(-1) for row, at in zip(rows, target, strict=True)])


def flow_places(flow: TokenFlowLike, frames: int, grid: tuple[int, int], device: torch.device) -> torch.Tensor:
    """Where each token lies in the key frame, in cells, clamped to the grid: (F, N, 2) as y, x.  Raises ZvrError for another grid."""
    h, w = grid
    if flow.flow.shape != (frames, 2, h, w):
        raise ZvrError(f"a flow of shape {tuple(flow.flow.shape)} given, {(frames, 2, h, w)} expected; ask for this window and grid")
    if not flow.flow.isfinite().all() or flow.error.isnan().any():
        raise ZvrError("the flow holds values that are not finite; check the frames it was estimated from")
    x, y = flow.flow.to(device).float().unbind(1)  # (F, h, w) each
    x = (x + torch.arange(w, device=device)).clamp(0, w - 1)
    y = (y + torch.arange(h, device=device)[:, None]).clamp(0, h - 1)
    return torch.stack([y, x], dim=-1).flatten(1, 2)  # (F, N, 2)


def nearest(place: torch.Tensor) -> torch.Tensor:
    """The cell a place lies in; halfway, the later one."""
    return (place + 0.5).long()


def bilinear(place: torch.Tensor, grid: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """The four cells around places (F, N, 2) and their weights: corners (F, N, 4), weights (F, N, 4)."""
    low = place.long()
    part = place - low
    high = torch.minimum(low + 1, torch.tensor(grid, device=place.device) - 1)
    corners = [y[..., 0] * grid[1] + x[..., 1] for y in (low, high) for x in (low, high)]
    weights = [y[..., 0] * x[..., 1] for y in (1 - part, part) for x in (1 - part, part)]
    return torch.stack(corners, dim=-1), torch.stack(weights, dim=-1)
