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

from zvr_core.cosine import MAX_BYTES, KeySearch, chunk_bytes
from zvr_core.errors import ZvrError
from zvr_core.matching import Flow, Matches, found

SLACK = 1 + 1e-5  # float32 cosines of parallel tokens exceed 1 by a few units in the last place
WINDOW_COST = 12  # gathering a tile's window takes as long as comparing about 12 rows with it (measured)


@dataclass(frozen=True)
class SpatialCosineMatcher:
    """Cosine, weighted by exp(-floor(d / R)) with d the distance in tokens from the token's own position.

    `radius` R is in tokens of the grid at hand (published: width // 30, at least 1); motion beyond R is hardly ever found, since
    the first ring already costs a factor e.  Works in chunks of at most `max_bytes`, and copies the key frame for those rows
    only that must see all of it.
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
    if not radius > 0:
        raise ZvrError(f"radius {radius} given, a positive number of tokens expected; the published choice is max(1, grid width // 30)")


@torch.no_grad()
def ring_search(search: KeySearch, expected: torch.Tensor, radius: float, max_bytes: int = MAX_BYTES) -> None:
    """Fills `search`; `expected` (F·N,) is the key token around which each row's prior is centred."""
    (h, w), rows = search.grid, search.sources()
    most = math.isqrt(h * w // 2)  # a window of half the key frame is no better than all of it
    ring = 0
    while len(rows) and (margin := math.ceil((ring + 1) * radius) - 1) * 2 + 4 <= most:
        certain = search.certain()[rows]
        bound = math.exp(-(ring + 1)) * SLACK  # of everything outside this window
        # a row with a positive score knows how far it must look; one without tries what is cheap, then looks at everything
        cheap = ring == 0 or (2 * margin + 4) ** 2 <= h * w // 32
        due = rows[(certain > bound) | (certain <= 0) & cheap] if ring else rows
        side = min(16, max(4, math.isqrt(32 * h * w // max(1, len(due)))))
        search_windows(search, due, expected, Tiling(search.grid, side, margin), radius, max_bytes)
        rows, ring = rows[search.certain()[rows] <= bound], ring + 1
    if len(rows):
        weights = offset_weights((h, w), radius, search.device)

        def weigh(scores: torch.Tensor, some: torch.Tensor) -> torch.Tensor:
            y, x = expected[some] // w, expected[some] % w
            lines = (h - 1 - y[:, None] + torch.arange(h, device=y.device)) * (2 * w - 1) + (w - 1 - x[:, None])  # (R, h)
            return scores.mul_(weights.index_select(0, lines.flatten()).view_as(scores))  # (R, N)

        search.search_all(rows, weigh, max_bytes)


@dataclass(frozen=True)
class Tiling:
    """A grid in square tiles of `side` cells, each in a window that reaches `margin` cells farther on all sides."""

    grid: tuple[int, int]
    side: int
    margin: int

    @property
    def tiles(self) -> tuple[int, int]:
        """Rows and columns of tiles."""
        return -(-self.grid[0] // self.side), -(-self.grid[1] // self.side)

    def of_cells(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """The tile of each cell, and its place inside the tile; both (N,)."""
        y, x = (torch.arange(n, device=device) for n in self.grid)
        tile = (y // self.side)[:, None] * self.tiles[1] + x // self.side
        place = (y % self.side)[:, None] * self.side + x % self.side
        return tile.flatten(), place.flatten()

    def windows(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """The cells in each tile's window, and whether they are on the grid; both (tiles, W)."""
        reach = torch.arange(-self.margin, self.side + self.margin, device=device)
        y, x = (torch.arange(n, device=device)[:, None] * self.side + reach for n in self.tiles)
        inside_y, inside_x = ((at >= 0) & (at < n) for at, n in zip((y, x), self.grid, strict=True))
        y, x = (at.clamp(0, n - 1) for at, n in zip((y, x), self.grid, strict=True))
        cells = y[:, None, :, None] * self.grid[1] + x[None, :, None, :]  # (rows, columns, edge, edge)
        inside = inside_y[:, None, :, None] & inside_x[None, :, None, :]
        return cells.flatten(2).flatten(0, 1), inside.flatten(2).flatten(0, 1)

    def weights(self, radius: float, device: torch.device) -> torch.Tensor:
        """The prior from each place in the tile to each cell of its window: (side², W)."""
        reach = torch.arange(-self.margin, self.side + self.margin, device=device)
        apart = reach - torch.arange(self.side, device=device)[:, None]  # (side, edge)
        return ring_weight(apart[:, None, :, None], apart[None, :, None, :], radius).flatten(2).flatten(0, 1)


def ring_weight(dy: torch.Tensor, dx: torch.Tensor, radius: float) -> torch.Tensor:
    """exp(-floor(d / R)), float32; the distance in float64, so that a ring's edge is where it should be."""
    return torch.exp(-torch.floor((dy.double() ** 2 + dx.double() ** 2).sqrt() / radius)).float()


def offset_weights(grid: tuple[int, int], radius: float, device: torch.device) -> torch.Tensor:
    """A view (lines, w) of a small table of offsets: line (h-1-y+i)·(2w-1) + (w-1-x) weighs grid row i as seen from cell (y, x)."""
    h, w = grid
    dy, dx = torch.arange(1 - h, h, device=device), torch.arange(1 - w, w, device=device)
    return ring_weight(dy[:, None], dx, radius).flatten().unfold(0, w, 1)


def search_windows(
    search: KeySearch, rows: torch.Tensor, expected: torch.Tensor, tiling: Tiling, radius: float, max_bytes: int
) -> None:
    """Compares each row with the window of the tile it is expected in."""
    tile_of, place_of = tiling.of_cells(search.device)
    at = expected[rows]
    members, tile = grouped(tile_of[at], tiling.tiles[0] * tiling.tiles[1])  # (G, P), (G,)
    cells, inside = tiling.windows(search.device)
    scale = search.inverse[search.key_rows][cells] * inside  # (tiles, W): nothing outside the grid has a positive score
    weights, place = tiling.weights(radius, search.device), place_of[at]
    size, width, channels = members.shape[1], cells.shape[1], search.rows.shape[1]
    key = search.rows[search.key_rows]
    per_group = 4 * (channels * (size + width) + (4 if search.measure else 2) * size * width)
    for m, t in zip(*(part.split(max(1, chunk_bytes(search.device, max_bytes) // per_group)) for part in (members, tile)), strict=True):
        left = search.rows.index_select(0, rows[m].flatten()).float().view(len(m), size, channels)
        right = key.index_select(0, cells[t].flatten()).float().view(len(m), width, channels)
        products = torch.bmm(left, right.transpose(1, 2))  # (G, P, W)
        products.mul_(scale[t][:, None]).mul_(weights.index_select(0, place[m].flatten()).view_as(products))
        search.record(rows[m], cells[t], products)


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
