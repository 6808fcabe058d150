"""Matches for a recording: those of rules that the method at hand does not use, and the margins of all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from zvr_core.attention import Site
from zvr_core.cosine import KeySearch
from zvr_core.matchers import FlowCentredCosine
from zvr_core.matching import Flow, FlowMatcher, Matcher, Matches
from zvr_core.methods.base import Method
from zvr_core.methods.token_merging import CosineMerging, OutputRadius, TokenMerging
from zvr_core.ring_search import SpatialCosineMatcher

BLOCK = 128  # key tokens: on a CPU, the largest of a row and then its place in one block is five times as fast as both at once (measured)


class MeasuredSearch(KeySearch):
    """A search of the whole key frame that keeps the margin, too, in half the time `KeySearch` takes for it.

    Only here is the place of a product in its row the number of its key token: so the 3 × 3 around the best are nine places to
    blot out, instead of a question to each of N.  And all products are made in one buffer, whose rows are padded to whole blocks.
    """

    def __init__(self, tokens: torch.Tensor, grid: tuple[int, int], key: int) -> None:
        super().__init__(tokens, grid, key, measure=True)
        offsets = torch.arange(-1, 2, device=self.device)
        self._dy, self._dx = (part.flatten() for part in torch.meshgrid(offsets, offsets, indexing="ij"))  # (9,) each
        self._buffer = self._rows(0)  # (R, blocks, BLOCK)

    def multiply(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        """The products (R, N) of left (R, C) and right (C, N), in the buffer: valid until the next call."""
        if len(left) > len(self._buffer):
            self._buffer = self._rows(len(left))
        products = self._buffer[: len(left)].flatten(1)[:, : right.shape[1]]
        with torch.autocast(self.device.type, enabled=False):
            return torch.mm(left, right, out=products)

    def _rows(self, count: int) -> torch.Tensor:
        """Room for products of `count` rows; what is not a key token never wins."""
        h, w = self.grid
        return torch.full((count, -(-h * w // BLOCK), BLOCK), -torch.inf, device=self.device)

    def record(self, rows: torch.Tensor, cells: torch.Tensor, products: torch.Tensor) -> None:
        """Keeps the best and the runner-up of `products` (1, R, N), made by `multiply`, for rows (1, R); `cells` are all in order."""
        blocks = self._buffer[: rows.shape[1]]
        best, block = blocks.amax(-1).max(-1)  # (R,), the first among equals
        target = block * BLOCK + blocks[torch.arange(len(block), device=self.device), block].argmax(-1)
        (h, w), inverse = self.grid, self.inverse[rows[0]]
        y, x = (target // w)[:, None] + self._dy, (target % w)[:, None] + self._dx  # (R, 9)
        near = torch.where((y >= 0) & (y < h) & (x >= 0) & (x < w), y * w + x, target[:, None])
        runner_up = products[0].scatter_(-1, near, -torch.inf).amax(-1)
        self.target[rows[0]], self.score[rows[0]], self.runner_up[rows[0]] = target, best * inverse, runner_up * inverse


@dataclass(frozen=True)
class MeasuredCosine:
    """`CosineMatcher(measure=True)`, faster, and without the cosines: those are the scores."""

    name: str = "cosine"

    @torch.no_grad()
    def match(self, tokens: torch.Tensor, grid: tuple[int, int], key: int, flow: Flow) -> Matches:
        search = MeasuredSearch(tokens, grid, key)
        search.search_all(search.sources())
        target, score, runner_up = (values.view(tokens.shape[:2]) for values in (search.target, search.score, search.runner_up))
        return Matches(self.name, key, grid, target, score, margin=score - runner_up)


def recorded_matcher(name: str, site: Site, method: Method) -> Matcher:
    """The matcher of a name in a recording, with margins where it has any; radii and rounding are the method's own, where it has them."""
    radius = next((p.radius for p in method.plugins if isinstance(p, CosineMerging)), OutputRadius()).tokens(site)
    makers: dict[str, Callable[[], Matcher]] = {
        "flow": lambda: flow_matcher(method),
        "cosine": MeasuredCosine,
        "cosine_spatial": lambda: SpatialCosineMatcher(radius, measure=True),
        "cosine_flow": lambda: FlowCentredCosine(radius, measure=True),
    }
    return makers[name]()


def flow_matcher(method: Method) -> FlowMatcher:
    """The method's own way to follow the flow, or the usual one."""
    matchers = (p.matcher for p in method.plugins if isinstance(p, TokenMerging))
    return next((matcher for matcher in matchers if isinstance(matcher, FlowMatcher)), FlowMatcher())


def own_matcher(method: Method, site: Site) -> tuple[Matcher, ...]:
    """The matcher by which a method merges at a site, in any step: one or none."""
    return tuple(
        plugin.matcher_at(site)
        for plugin in method.plugins
        if isinstance(plugin, TokenMerging) and site.stage in plugin.stages and site.cell <= plugin.max_cell
    )[:1]
