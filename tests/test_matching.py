"""Flow and plain cosine matches: translations give exact matches; bad input is named."""

from __future__ import annotations

import pytest
import torch

from zvr_core.correspondence import TokenFlow
from zvr_core.errors import ZvrError
from zvr_core.matching import CosineMatcher, FlowMatcher, Matches, cosine_to_key

GRID = (5, 7)
N = GRID[0] * GRID[1]


def no_flow() -> TokenFlow:
    raise AssertionError("flow was asked for")


def uniform_flow(x: float, y: float, frames: int = 3, grid: tuple[int, int] = GRID) -> TokenFlow:
    flow = torch.tensor([x, y]).view(1, 2, 1, 1).expand(frames, 2, *grid).clone()
    error = torch.arange(frames * grid[0] * grid[1], dtype=torch.float32).view(frames, *grid)
    return TokenFlow(flow, error, torch.zeros(frames, *grid, dtype=torch.bool))


def flow_matches(x: float, y: float, rounding: str = "nearest") -> Matches:
    flow = uniform_flow(x, y)
    return FlowMatcher(rounding).match(torch.randn(3, N, 4), GRID, 1, lambda: flow)  # type: ignore[arg-type]


def cell(y: int, x: int) -> int:
    return y * GRID[1] + x


def dense_cosine(tokens: torch.Tensor, key: int) -> torch.Tensor:
    unit = torch.nn.functional.normalize(tokens.double(), dim=-1)
    return unit @ unit[key].T  # (F, N, N)


# ── flow ──


def test_no_motion_matches_every_token_with_itself():
    assert torch.equal(flow_matches(0, 0).target, torch.arange(N).expand(3, N))


def test_translation_by_whole_cells_is_found_and_clamped_at_the_edge():
    target = flow_matches(2, 1).target[0].view(GRID)
    assert target[0, 0] == cell(1, 2)
    assert target[4, 6] == cell(4, 6)
    assert target[2, 5] == cell(3, 6)


@pytest.mark.parametrize(("x", "nearest", "truncated"), [(0.4, 3, 3), (0.6, 4, 3), (-0.4, 3, 2), (-0.6, 2, 2), (0.5, 4, 3)])
def test_nearest_rounds_where_the_published_code_truncates(x: float, nearest: int, truncated: int):
    assert flow_matches(x, 0).target[0, 3] == nearest
    assert flow_matches(x, 0, "truncate").target[0, 3] == truncated


def test_bilinear_weights_put_the_token_where_the_flow_points():
    matches = flow_matches(0.25, 0.75, "bilinear")
    corners, weights = matches.shares()
    assert torch.allclose(weights.sum(-1), torch.ones(3, N))
    inner = corners[0, cell(1, 1)], weights[0, cell(1, 1)]
    assert ((inner[0] % GRID[1]) * inner[1]).sum() == pytest.approx(1.25)
    assert ((inner[0] // GRID[1]) * inner[1]).sum() == pytest.approx(1.75)
    assert matches.target[0, cell(1, 1)] == cell(2, 1)  # the heaviest corner


def test_bilinear_at_whole_cells_is_the_nearest_match():
    matches = flow_matches(1, 2, "bilinear")
    assert torch.equal(matches.target, flow_matches(1, 2).target)
    assert matches.shares()[1].amax(-1).min() == 1


def test_flow_is_ranked_by_error_in_pixels_and_the_key_frame_is_itself():
    matches = flow_matches(1, 1)
    assert torch.equal(matches.score[0], -torch.arange(N, dtype=torch.float32))
    assert torch.equal(matches.target[1], torch.arange(N))
    assert (matches.score[1] == torch.inf).all()


def test_flow_of_another_grid_is_refused():
    with pytest.raises(ZvrError, match="flow of shape"):
        FlowMatcher().match(torch.randn(3, N, 4), GRID, 1, lambda: uniform_flow(0, 0, grid=(7, 5)))


def test_flow_that_is_not_finite_is_refused():
    with pytest.raises(ZvrError, match="not finite"):
        flow_matches(float("nan"), 0)


def test_unknown_rounding_is_refused_with_the_nearest_name():
    with pytest.raises(ZvrError, match="nearest"):
        FlowMatcher("nearst")  # type: ignore[arg-type]


# ── plain cosine ──


def test_a_permutation_of_the_key_frame_is_undone(rng: torch.Generator):
    order = torch.randperm(N, generator=rng)
    key = torch.randn(N, 16, generator=rng)
    matches = CosineMatcher().match(torch.stack([key[order], key]), GRID, 1, no_flow)
    assert torch.equal(matches.target[0], order)
    assert torch.allclose(matches.score[0], torch.ones(N))


def test_length_of_a_token_does_not_matter(rng: torch.Generator):
    tokens = torch.randn(3, N, 8, generator=rng)
    scaled = tokens * torch.rand(3, N, 1, generator=rng).add(0.1)
    assert torch.equal(CosineMatcher().match(tokens, GRID, 0, no_flow).target, CosineMatcher().match(scaled, GRID, 0, no_flow).target)


def test_ties_go_to_the_lowest_token():
    same = torch.zeros(2, N, 4)
    same[..., 2] = 1.0
    assert (CosineMatcher().match(same, GRID, 0, no_flow).target[1] == 0).all()


def test_zero_tokens_have_cosine_zero_with_everything():
    tokens = torch.zeros(2, N, 4)
    tokens[0, 3:] = torch.tensor([-1.0, 0, 0, 0])  # the key frame: three zero tokens, then negative ones
    tokens[1, 1:] = torch.tensor([1.0, 0, 0, 0])
    matches = CosineMatcher().match(tokens, GRID, 0, no_flow)
    assert (matches.score[1] == 0).all()
    assert (matches.target[1] == 0).all()


def test_one_frame_matches_itself():
    matches = CosineMatcher().match(torch.randn(1, N, 4), GRID, 0, no_flow)
    assert torch.equal(matches.target, torch.arange(N)[None])
    assert (matches.score == torch.inf).all()


@pytest.mark.parametrize("max_bytes", [1, 4000, 1 << 28])
def test_chunks_change_nothing(rng: torch.Generator, max_bytes: int):
    tokens = torch.randn(4, N, 8, generator=rng)
    scores = dense_cosine(tokens, 2)
    matches = CosineMatcher(max_bytes=max_bytes).match(tokens, GRID, 2, no_flow)
    sources = [0, 1, 3]
    assert torch.equal(matches.target[sources], scores[sources].argmax(-1))
    assert torch.allclose(matches.score[sources].double(), scores[sources].amax(-1), atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_tokens_are_compared_in_float32(rng: torch.Generator, dtype: torch.dtype):
    tokens = torch.randn(3, N, 32, generator=rng).to(dtype)
    half, full = (CosineMatcher().match(t, GRID, 1, no_flow) for t in (tokens, tokens.float()))
    assert half.score.dtype == torch.float32
    assert torch.equal(half.target, full.target)
    assert torch.equal(half.score, full.score)


def test_by_products_are_there_when_asked_for(rng: torch.Generator):
    tokens = torch.randn(3, N, 8, generator=rng)
    matches = CosineMatcher(measure=True).match(tokens, GRID, 1, no_flow)
    scores = dense_cosine(tokens, 1)[0]  # (N, N)
    y, x = torch.arange(N) // GRID[1], torch.arange(N) % GRID[1]
    best = scores.argmax(-1)
    near = ((y - y[best, None]).abs() <= 1) & ((x - x[best, None]).abs() <= 1)
    assert matches.margin is not None
    assert matches.cosine is not None
    assert torch.allclose(matches.margin[0].double(), scores.amax(-1) - scores.masked_fill(near, -9).amax(-1), atol=1e-6)
    assert torch.allclose(matches.cosine[0], matches.score[0], atol=1e-6)
    assert CosineMatcher().match(tokens, GRID, 1, no_flow).margin is None


def test_margin_is_infinite_where_nothing_lies_outside():
    matches = CosineMatcher(measure=True).match(torch.randn(2, 4, 8), (2, 2), 0, no_flow)
    assert matches.margin is not None
    assert (matches.margin[1] == torch.inf).all()


def test_cosine_of_any_matchers_targets(rng: torch.Generator):
    tokens = torch.randn(3, N, 8, generator=rng)
    target = torch.randint(N, (3, N), generator=rng)
    expected = dense_cosine(tokens, 1).gather(-1, target[..., None])[..., 0]
    assert torch.allclose(cosine_to_key(tokens, 1, target).double(), expected, atol=1e-6)


# ── bad input ──


@pytest.mark.parametrize(
    ("shape", "grid", "key", "says"),
    [
        ((3, N, 4), (5, 8), 1, "grid of 5 × 8"),
        ((3, N, 4), GRID, 3, "key frame 3"),
        ((3, N, 4), GRID, -1, "key frame -1"),
        ((0, N, 4), GRID, 0, "none of them 0"),
        ((3, 0, 4), (0, 7), 0, "none of them 0"),
        ((N, 4), GRID, 0, "expected"),
    ],
)
def test_bad_windows_are_named(shape: tuple[int, ...], grid: tuple[int, int], key: int, says: str):
    for matcher in (CosineMatcher(), FlowMatcher()):
        with pytest.raises(ZvrError, match=says):
            matcher.match(torch.zeros(shape), grid, key, lambda: uniform_flow(0, 0))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_tokens_that_are_not_finite_are_refused_with_their_frame(value: float):
    tokens = torch.randn(3, N, 4)
    tokens[2, 5, 1] = value
    with pytest.raises(ZvrError, match="frame 2 of the window"):
        CosineMatcher().match(tokens, GRID, 0, no_flow)
