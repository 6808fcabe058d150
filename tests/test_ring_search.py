"""The windowed search gives what the dense score matrix gives: cosines that are noise, alike, opposed or zero, on any grid.

Float32 sums of one product differ in their last bits between matrix shapes, so where two key tokens score equally up to 1e-6 of
their weights either may win; equal products (one-hot tokens) go to the lowest token exactly.
"""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from zvr_core.correspondence import TokenFlow
from zvr_core.errors import ZvrError
from zvr_core.matching import Matches
from zvr_core.ring_search import SpatialCosineMatcher, grouped

KINDS = ("noise", "alike", "opposed", "mixed")


def no_flow() -> TokenFlow:
    raise AssertionError("flow was asked for")


def draw_tokens(kind: str, frames: int, count: int, rng: torch.Generator, channels: int = 12) -> torch.Tensor:
    noise = torch.randn(frames, count, channels, generator=rng)
    common = torch.randn(channels, generator=rng)
    match kind:
        case "alike":
            return noise + 2 * common
        case "opposed":
            sign = torch.ones(frames, 1, 1)
            sign[frames // 2] = -1
            return (0.2 * noise + common) * sign
        case "mixed":  # some tokens are zero, some opposed, some alike
            return noise * torch.randint(0, 2, (frames, count, 1), generator=rng) + common * torch.randint(
                -1, 2, (frames, 1, 1), generator=rng
            )
    return noise


def ring_weights(grid: tuple[int, int], radius: float) -> torch.Tensor:
    """exp(-floor(d / R)) between all tokens, (N, N) float32."""
    y, x = torch.arange(grid[0] * grid[1]) // grid[1], torch.arange(grid[0] * grid[1]) % grid[1]
    distance = ((y[:, None] - y) ** 2 + (x[:, None] - x) ** 2).double().sqrt()
    return torch.exp(-(distance / radius).floor()).float()


def dense_scores(tokens: torch.Tensor, grid: tuple[int, int], key: int, radius: float) -> torch.Tensor:
    unit = torch.nn.functional.normalize(tokens.float(), dim=-1)
    return (unit @ unit[key].T) * ring_weights(grid, radius)  # (F, N, N)


def assert_best(matches: Matches, tokens: torch.Tensor, radius: float) -> None:
    scores, weights = dense_scores(tokens, matches.grid, matches.key, radius), ring_weights(matches.grid, radius)
    best, at = scores.max(-1)
    got = scores.gather(-1, matches.target[..., None])[..., 0]
    weight_at, weight_got = (weights.expand_as(scores).gather(-1, t[..., None])[..., 0] for t in (at, matches.target))
    sources = [f for f in range(len(scores)) if f != matches.key]
    assert (best - got <= 1e-6 * (weight_at + weight_got))[sources].all()
    assert ((matches.score - got).abs() <= 1e-6 * weight_got)[sources].all()


@settings(deadline=None, max_examples=60)
@given(
    kind=st.sampled_from(KINDS), h=st.integers(1, 14), w=st.integers(1, 19), frames=st.integers(2, 4), radius=st.integers(1, 8),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_search_is_exact(kind: str, h: int, w: int, frames: int, radius: int, seed: int):
    tokens = draw_tokens(kind, frames, h * w, torch.Generator().manual_seed(seed))
    matches = SpatialCosineMatcher(radius).match(tokens, (h, w), frames // 2, no_flow)
    assert_best(matches, tokens, radius)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("radius", [1, 2, 2.5, 4])
def test_search_is_exact_on_a_grid_with_many_rings(kind: str, radius: float, rng: torch.Generator):
    grid = (26, 41)
    tokens = draw_tokens(kind, 3, grid[0] * grid[1], rng)
    assert_best(SpatialCosineMatcher(radius).match(tokens, grid, 2, no_flow), tokens, radius)


@pytest.mark.parametrize("kind", KINDS)
def test_margin_is_exact(kind: str, rng: torch.Generator):
    grid, key = (17, 22), 1
    tokens = draw_tokens(kind, 3, grid[0] * grid[1], rng)
    matches = SpatialCosineMatcher(2, measure=True).match(tokens, grid, key, no_flow)
    assert_best(matches, tokens, 2)
    scores = dense_scores(tokens, grid, key, 2)
    y, x = torch.arange(grid[0] * grid[1]) // grid[1], torch.arange(grid[0] * grid[1]) % grid[1]
    near = ((y - y[matches.target[..., None]]).abs() <= 1) & ((x - x[matches.target[..., None]]).abs() <= 1)
    expected = scores.amax(-1) - scores.masked_fill(near, -9).amax(-1)
    assert matches.margin is not None
    assert torch.allclose(matches.margin[[0, 2]], expected[[0, 2]], atol=1e-6)


@pytest.mark.parametrize("max_bytes", [1, 50_000, 1 << 20])
def test_chunks_change_nothing(max_bytes: int, rng: torch.Generator):
    grid = (12, 14)
    for kind in KINDS:
        tokens = draw_tokens(kind, 3, grid[0] * grid[1], rng)
        assert_best(SpatialCosineMatcher(2, max_bytes=max_bytes).match(tokens, grid, 0, no_flow), tokens, 2)


def one_hot(frames: int, count: int, sign: float) -> torch.Tensor:
    tokens = torch.zeros(frames, count, 4)
    tokens[..., 1] = 1.0
    tokens[0] *= sign
    return tokens


def test_equal_tokens_match_the_lowest_token_inside_the_first_ring():
    grid, radius = (9, 16), 3
    weights = ring_weights(grid, radius)
    matches = SpatialCosineMatcher(radius).match(one_hot(2, 144, 1.0), grid, 0, no_flow)
    assert torch.equal(matches.target[1], weights.argmax(-1))


def test_opposed_tokens_match_the_lowest_token_of_the_farthest_ring():
    grid, radius = (9, 16), 3
    weights = ring_weights(grid, radius)
    matches = SpatialCosineMatcher(radius).match(one_hot(2, 144, -1.0), grid, 0, no_flow)
    assert torch.equal(matches.target[1], weights.argmin(-1))
    assert torch.equal(matches.score[1], -weights.amin(-1))


def test_beyond_ring_103_weights_are_zero_and_tie():
    grid = (1, 240)
    matches = SpatialCosineMatcher(1).match(one_hot(2, 240, -1.0), grid, 0, no_flow)
    assert matches.target[1, 0] == 104
    assert matches.target[1, 200] == 0


def test_a_translation_inside_the_radius_is_found_everywhere_but_at_the_edge(rng: torch.Generator):
    scene = torch.randn(20, 30, 24, generator=rng)
    tokens = torch.stack([scene[:16, 2:26], scene[:16, :24]]).flatten(1, 2)  # frame 0 shows what is 2 tokens to the right
    target = SpatialCosineMatcher(3).match(tokens, (16, 24), 1, no_flow).target[0].view(16, 24)
    assert torch.equal(target[:, :-2], torch.arange(384).view(16, 24)[:, 2:])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_tokens_are_compared_in_float32(rng: torch.Generator, dtype: torch.dtype):
    tokens = draw_tokens("alike", 3, 15 * 20, rng).to(dtype)
    half, full = (SpatialCosineMatcher(2).match(t, (15, 20), 1, no_flow) for t in (tokens, tokens.float()))
    assert torch.equal(half.target, full.target)
    assert torch.equal(half.score, full.score)


def test_autocast_does_not_lower_the_precision(rng: torch.Generator):
    tokens = draw_tokens("noise", 3, 15 * 20, rng)
    with torch.autocast("cpu", torch.bfloat16):
        cast = SpatialCosineMatcher(2).match(tokens, (15, 20), 1, no_flow)
    assert torch.equal(cast.score, SpatialCosineMatcher(2).match(tokens, (15, 20), 1, no_flow).score)


def test_streams_may_be_views_of_a_larger_tensor(rng: torch.Generator):
    tokens = torch.randn(2, 3, 15 * 20, 8, generator=rng)
    wide = torch.cat([tokens, tokens], dim=-1)[..., :8]
    assert torch.equal(*(SpatialCosineMatcher(2).match(t[1], (15, 20), 1, no_flow).target for t in (tokens, wide)))


@pytest.mark.parametrize("radius", [0, 0.5, -2, float("nan"), float("inf")])
def test_impossible_radii_are_refused(radius: float):
    with pytest.raises(ZvrError, match="radius"):
        SpatialCosineMatcher(radius)


def test_tokens_that_are_not_finite_are_refused():
    tokens = torch.randn(2, 300, 4)
    tokens[0, 7, 0] = torch.nan
    with pytest.raises(ZvrError, match="frame 0"):
        SpatialCosineMatcher(2).match(tokens, (15, 20), 1, no_flow)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=400))
def test_groups_hold_every_row_once_with_others_of_its_tile(tiles: list[int]):
    tile = torch.tensor(tiles)
    members, of = grouped(tile, 10)
    assert (tile[members] == of[:, None]).all()
    assert members.unique().tolist() == list(range(len(tiles)))
    kept = torch.cat([group.unique() for group in members])
    assert len(kept) == len(tiles)  # only its own last member is ever repeated
