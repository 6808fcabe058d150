"""The published spatial-aware cosine match, exactly, without the score matrix.

A key token at distance d from where it is expected scores cos · exp(-floor(d / R)).  Since cos <= 1, whatever lies in ring k
or farther (d >= k·R) scores at most exp(-k): once a score inside exceeds that, nothing outside can win.  So tokens are compared
with a small window, and only those that are not yet certain go on to wider ones.  Tokens expected in the same tile of the key
frame share its window, which makes the comparison a small matrix product.

A token whose cosines are all negative is different: the weight lifts them towards 0, so the *farthest* key token tends to win.
Such rows are compared with the whole key frame.  "Exact" means: the key token of the highest float32 product cos · weight, the
lowest one on ties; where the weight underflows (beyond ring 103) products are 0 and tie.
Source: DiffIR2VR-Zero (Yeh et al. 2024), Eq. 7, with the distance not squared, as in the published code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from zvr_core.cosine import MAX_BYTES, KeySearch, Weigh, chunk_bytes
from zvr_core.errors import ZvrError
from zvr_core.matching import Flow, Matches, found

SLACK = 1 + 1e-5  # float32 cosines of parallel tokens exceed 1 by a few units in the last place
WINDOW_COST = 12  # gathering a tile's window takes as long as comparing about 12 rows with it (measured)


@dataclass(frozen=True)
class SpatialCosineMatcher:
    """Cosine, weighted by exp(-floor(d / R)) with d the distance in tokens from the token's own position.

    `radius` R is in tokens of the grid at hand (published: width // 30, at least 1); motion beyond R is hardly ever found, since
    the first ring already costs a factor e.  `measure` adds the by-products of `Matches`, which takes wider windows.  Works in
    chunks of at most `max_bytes`; rows that must see all of the key frame need a float32 copy of it beside that.
    """

    radius: float
    measure: bool = False
    max_bytes: int = MAX_BYTES
    name: ClassVar[str] = "cosine_spatial"

    def __post_init__(self) -> None:
        check_radius(self.radius)

    def match(self, tokens: torch.Tensor, grid: tuple[int, int], key: int, flow: Flow) -> Matches:
        search = KeySearch(tokens, grid, key, self.measure)
        own = torch.arange(tokens.shape[1], device=tokens.device).repeat(tokens.shape[0])  # (F·N,)
        ring_search(search, own, self.radius, self.max_bytes)
        return found(self.name, search, tokens, key)


def check_radius(radius: float) -> None:
    """Raises ZvrError where a radius makes no sense."""
    if not 1 <= radius < math.inf:
        raise ZvrError(f"radius {radius} given, 1 or more tokens expected; published: grid width // 30; for no prior use CosineMatcher")


@torch.no_grad()
def ring_search(search: KeySearch, expected: torch.Tensor, radius: float, max_bytes: int = MAX_BYTES) -> None:
    """Fills `search`; `expected` (F·N,) is the key token around which each row's prior is centred."""
    (h, w), channels, rows = search.grid, search.tokens.shape[1], search.sources()
    widest = math.isqrt(min(h * w // 4, max_bytes // (8 * channels)))  # beyond, one large product is as fast as many small ones
    ring = 0
    while len(rows) and (margin := math.ceil((ring + 1) * radius) - 1) * 2 + 4 <= widest:
        certain = search.certain()[rows]
        bound = math.exp(-(ring + 1)) * SLACK  # of everything outside this window
        # a row with a positive score knows how far it must look; one without tries what is cheap, then looks at everything
        cheap = ring == 0 or (2 * margin + 4) ** 2 <= h * w // 32
        due = rows[(certain > bound) | (certain <= 0) & cheap] if ring else rows
        if len(due):
            side = min(16, max(4, math.isqrt(32 * h * w // len(due))))
            search_windows(search, due, expected, Tiling(search.grid, side, margin, radius), max_bytes)
        rows, ring = rows[search.certain()[rows] <= bound], ring + 1
    if len(rows):
        search.search_all(rows, everywhere(search.grid, expected, radius), max_bytes)


def everywhere(grid: tuple[int, int], expected: torch.Tensor, radius: float) -> Weigh:
    """The prior over the whole key frame, made for some rows at a time from one small table of offsets."""
    h, w = grid
    lines = offset_weights((1 - h, h), (1 - w, w), radius, expected.device).flatten().unfold(0, w, 1)  # a view

    def weigh(products: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        y, x = expected[rows] // w, expected[rows] % w
        first = (h - 1 - y) * (2 * w - 1) + (w - 1 - x)  # of the line that weighs grid row 0 as seen from (y, x)
        line = first[:, None] + torch.arange(h, device=y.device) * (2 * w - 1)  # (R, h)
        return products.mul_(lines.index_select(0, line.flatten()).view_as(products))  # (R, N)

    return weigh


def offset_weights(y: tuple[int, int], x: tuple[int, int], radius: float, device: torch.device) -> torch.Tensor:
    """exp(-floor(d / R)) for all offsets of the ranges y and x; distances in float64, so that a ring's edge is where it should be."""
    dy, dx = (torch.arange(*offsets, dtype=torch.float64) for offsets in (y, x))
    return torch.exp(-torch.floor((dy[:, None] ** 2 + dx**2).sqrt() / radius)).float().to(device)


@dataclass(frozen=True)
class Tiling:
    """A grid in square tiles of `side` cells, each in a window that reaches `margin` cells farther on all sides."""

    grid: tuple[int, int]
    side: int
    margin: int
    radius: float

    @property
    def edge(self) -> int:
        """The width of a window."""
        return self.side + 2 * self.margin

    @property
    def tiles(self) -> tuple[int, int]:
        """Rows and columns of tiles."""
        return -(-self.grid[0] // self.side), -(-self.grid[1] // self.side)

    def of(self, cells: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The tile of each cell (M,), and its place inside the tile."""
        y, x = (torch.arange(n, device=cells.device) for n in self.grid)
        tile = (y // self.side)[:, None] * self.tiles[1] + x // self.side  # (h, w)
        place = (y % self.side)[:, None] * self.side + x % self.side
        return tile.flatten()[cells], place.flatten()[cells]

    def windows(self, tile: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The cells in the windows of tiles (G,), and whether they are on the grid; both (G, W)."""
        reach = torch.arange(-self.margin, self.side + self.margin, device=tile.device)
        y, x = ((part * self.side)[:, None] + reach for part in (tile // self.tiles[1], tile % self.tiles[1]))  # (G, edge)
        on_y, on_x = ((at >= 0) & (at < n) for at, n in zip((y, x), self.grid, strict=True))
        y, x = (at.clamp(0, n - 1) for at, n in zip((y, x), self.grid, strict=True))
        return (y[:, :, None] * self.grid[1] + x[:, None]).flatten(1), (on_y[:, :, None] & on_x[:, None]).flatten(1)

    def weights(self, device: torch.device) -> torch.Tensor:
        """The prior from each place in a tile to each cell of its window: (side², W)."""
        offsets = (1 - self.side - self.margin, self.side + self.margin)
        seen = offset_weights(offsets, offsets, self.radius, device).unfold(0, self.edge, 1).unfold(1, self.edge, 1)
        return seen.flip(0, 1).flatten(2).flatten(0, 1)  # from the last place on: the first sees the largest offsets


def search_windows(search: KeySearch, rows: torch.Tensor, expected: torch.Tensor, tiling: Tiling, max_bytes: int) -> None:
    """Compares each row with the window of the tile it is expected in."""
    tile, place = tiling.of(expected[rows])
    members, tile_of = grouped(tile, tiling.tiles[0] * tiling.tiles[1])  # (G, P), (G,)
    weights, key, scale = tiling.weights(search.device), search.tokens[search.key_rows], search.inverse[search.key_rows]
    size, width, channels = members.shape[1], tiling.edge**2, key.shape[1]
    per_group = 4 * (channels * (size + width) + (4 if search.measure else 2) * size * width)
    step = max(1, chunk_bytes(search.device, max_bytes) // per_group)
    for some, tiles in zip(members.split(step), tile_of.split(step), strict=True):
        cells, inside = tiling.windows(tiles)  # (G, W)
        left = search.tokens.index_select(0, rows[some].flatten()).float().view(-1, size, channels)
        right = key.index_select(0, cells.flatten()).float().view(-1, width, channels)
        products = search.multiply(left, right.transpose(1, 2))  # (G, P, W)
        products.mul_((scale[cells] * inside)[:, None])  # nothing outside the grid has a positive score
        products.mul_(weights.index_select(0, place[some].flatten()).view_as(products))
        search.record(rows[some], cells, products)


def grouped(tile: torch.Tensor, tiles: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Positions (M,) gathered into groups of one size that lie in one tile each: members (G, P), tile (G,).

    A group that is not full repeats its last member.  The size is the one that wastes least.
    """
    order, counts = tile.argsort(stable=True), torch.bincount(tile, minlength=tiles)
    sizes = torch.arange(8, 257, 8, device=tile.device)[:, None]
    groups = (counts + sizes - 1) // sizes  # (sizes, tiles)
    best = int((groups.sum(1) * (sizes[:, 0] + WINDOW_COST)).argmin())
    size, groups = int(sizes[best]), groups[best]
    of = torch.repeat_interleave(torch.arange(tiles, device=tile.device), groups)
    nth = torch.arange(len(of), device=tile.device) - (groups.cumsum(0) - groups)[of]  # within its tile
    last = counts.cumsum(0)[of] - 1
    first = last + 1 - counts[of] + nth * size
    return order[torch.minimum(first[:, None] + torch.arange(size, device=tile.device), last[:, None])], of
