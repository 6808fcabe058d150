"""Cosine search in a key frame: for every other token of a window, the most similar key token.

Tokens are read in place and in their own precision; only chunks of them are ever converted, and no score matrix outlives its
chunk.  Ties go to the lowest token of the key frame.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from zvr_core.errors import ZvrError

MAX_BYTES = 1 << 28
CACHED = 1 << 22  # bytes: on a CPU larger chunks leave the cache, smaller ones are many (measured: best of 1 to 16 MB)

Weigh = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # scores (R, N), rows (R,) -> weighted scores


def unweighted(scores: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """The plain cosine: every key token counts alike."""
    return scores


class KeySearch:
    """Tokens (F, N, C), numbered f·N + n as "rows", and what is known so far about the best key token of each.

    A token of norm zero has cosine 0 with everything.  With `measure`, the best score outside the 3 × 3 tokens around the best
    one is kept, too.  Raises ZvrError for an empty window, a grid that does not hold N tokens, and tokens that are not finite.
    """

    def __init__(self, tokens: torch.Tensor, grid: tuple[int, int], key: int, measure: bool = False) -> None:
        frames, count, _ = check_window(tokens, grid, key)
        self.grid, self.measure, self.device = grid, measure, tokens.device
        self.tokens = tokens.reshape(frames * count, -1)  # (F·N, C)
        self.key_rows = slice(key * count, (key + 1) * count)
        self.inverse = inverse_norms(tokens)  # (F·N,)
        self.target = torch.arange(count, device=self.device).repeat(frames)  # (F·N,)
        self.score = torch.full_like(self.inverse, torch.inf)
        self.runner_up = torch.full_like(self.inverse, -torch.inf)

    def sources(self) -> torch.Tensor:
        """The rows of all frames but the key frame."""
        rows = torch.arange(len(self.tokens), device=self.device)
        return torch.cat([rows[: self.key_rows.start], rows[self.key_rows.stop :]])

    def certain(self) -> torch.Tensor:
        """What must exceed the bound of all unseen key tokens, per row: the lowest number that is asked for."""
        return self.runner_up if self.measure else self.score

    def record(self, rows: torch.Tensor, cells: torch.Tensor, products: torch.Tensor) -> None:
        """Keeps the best of `products` (G, P, W): rows (G, P) against key tokens `cells` (G, W), not yet divided by |row|."""
        best, at = products.max(-1)  # (G, P)
        target, inverse = cells.gather(-1, at), self.inverse[rows]
        self.target[rows], self.score[rows] = target, best * inverse
        if self.measure:
            near = around(cells[:, None], target[..., None], self.grid[1])  # (G, P, W)
            self.runner_up[rows] = products.masked_fill_(near, -torch.inf).amax(-1) * inverse

    def multiply(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        """The matrix product in float32, also under autocast."""
        with torch.autocast(self.device.type, enabled=False):
            return left @ right

    def search_all(self, rows: torch.Tensor, weigh: Weigh = unweighted, max_bytes: int = MAX_BYTES) -> None:
        """Compares `rows` (M,) with the whole key frame, a few rows at a time."""
        key = self.tokens[self.key_rows].float() * self.inverse[self.key_rows, None]  # (N, C)
        cells = torch.arange(len(key), device=self.device)[None]
        per_row = 4 * (key.shape[1] + (4 if self.measure else 2) * len(key))
        for some in rows.split(max(1, chunk_bytes(self.device, max_bytes, 2 * CACHED) // per_row)):
            products = self.multiply(self.tokens.index_select(0, some).float(), key.T)  # (R, N)
            self.record(some[None], cells, weigh(products, some)[None])


def check_window(tokens: torch.Tensor, grid: tuple[int, int], key: int) -> tuple[int, int, int]:
    """(F, N, C) of well-formed tokens; raises ZvrError otherwise."""
    if tokens.ndim != 3 or 0 in tokens.shape:
        raise ZvrError(f"tokens of shape {tuple(tokens.shape)} given, (frames, tokens, channels) expected, none of them 0")
    frames, count, channels = tokens.shape
    if grid[0] * grid[1] != count:
        raise ZvrError(f"a grid of {grid[0]} × {grid[1]} given for {count} tokens a frame; pass the site's grid (h, w) without padding")
    if not 0 <= key < frames:
        raise ZvrError(f"key frame {key} given for a window of {frames}; number it within the window, 0 to {frames - 1}")
    return frames, count, channels


def inverse_norms(tokens: torch.Tensor) -> torch.Tensor:
    """1 / |token| in float32, (F·N,), frame by frame; raises ZvrError where a token is not finite."""
    norms = torch.stack([torch.linalg.vector_norm(frame, dim=-1, dtype=torch.float32) for frame in tokens])  # (F, N)
    finite = norms.isfinite().all(dim=1)
    if not finite.all():
        frame = int(finite.int().argmin())
        raise ZvrError(f"tokens of frame {frame} of the window are not finite; check x_t, or compute in float32")
    return norms.flatten().clamp_min(1e-12).reciprocal()


def around(cells: torch.Tensor, centre: torch.Tensor, width: int) -> torch.Tensor:
    """Whether `cells` lie in the 3 × 3 around `centre` on a grid of `width` (numbers of cells; they broadcast)."""
    y, x, centre_y, centre_x = (part.int() for part in (cells // width, cells % width, centre // width, centre % width))
    return ((y - centre_y).abs() <= 1) & ((x - centre_x).abs() <= 1)


def chunk_bytes(device: torch.device, max_bytes: int, cached: int = CACHED) -> int:
    """The memory of one chunk: as allowed, but on a CPU no more than stays in the cache."""
    return min(max_bytes, cached) if device.type == "cpu" else max_bytes
