"""Each better matcher does the one thing it is for, on scenes where the right answer is known."""

from __future__ import annotations

import pytest
import torch

from zvr_core.correspondence import TokenFlow
from zvr_core.errors import ZvrError
from zvr_core.matchers import ConfidenceFloor, FlowCentredCosine, FlowOrCosine, MutualNearest, TextureAware, texture
from zvr_core.matching import CosineMatcher, FlowMatcher, Matches
from zvr_core.merging import merge
from zvr_core.ring_search import SpatialCosineMatcher

GRID = (12, 20)
N = GRID[0] * GRID[1]


def panned(shift: int, rng: torch.Generator, noise: float = 0.0) -> torch.Tensor:
    """Two frames (2, N, 24); frame 0 shows what frame 1 shows `shift` tokens to the right."""
    scene = torch.randn(GRID[0], GRID[1] + shift, 24, generator=rng)
    tokens = torch.stack([scene[:, shift:], scene[:, : GRID[1]]]).flatten(1, 2)
    return tokens + noise * torch.randn(tokens.shape, generator=rng)


def pan_flow(shift: float, error: float = 0.0) -> TokenFlow:
    flow = torch.zeros(2, 2, *GRID)
    flow[0, 0] = shift
    return TokenFlow(flow, torch.full((2, *GRID), error), torch.zeros(2, *GRID, dtype=torch.bool))


def right_share(matches: Matches, shift: int) -> float:
    """The share of the tokens of frame 0 that are still in view in frame 1 and are matched rightly."""
    wanted = torch.arange(N).view(GRID)[:, shift:]
    return float((matches.target[0].view(GRID)[:, : GRID[1] - shift] == wanted).float().mean())


# ── the prior centred on the flow ──


def test_prior_around_the_flow_finds_motion_that_the_published_prior_cannot(rng: torch.Generator):
    tokens, flow = panned(7, rng, noise=0.5), pan_flow(7)
    published = SpatialCosineMatcher(2).match(tokens, GRID, 1, lambda: flow)
    centred = FlowCentredCosine(2).match(tokens, GRID, 1, lambda: flow)
    assert right_share(published, 7) < 0.2
    assert right_share(centred, 7) > 0.95


def test_features_correct_a_flow_that_is_a_token_off(rng: torch.Generator):
    tokens = panned(5, rng)
    assert right_share(FlowCentredCosine(2).match(tokens, GRID, 1, lambda: pan_flow(4)), 5) == 1
    assert right_share(FlowMatcher().match(tokens, GRID, 1, lambda: pan_flow(4)), 5) == 0


def test_without_motion_it_is_the_published_matcher(rng: torch.Generator):
    tokens = panned(1, rng, noise=1.0)
    published, centred = (m.match(tokens, GRID, 1, lambda: pan_flow(0)) for m in (SpatialCosineMatcher(2), FlowCentredCosine(2)))
    assert torch.equal(published.target, centred.target)
    assert torch.equal(published.score, centred.score)


# ── the confidence floor ──


def test_occluded_tokens_are_never_merged_even_at_ratio_one(rng: torch.Generator):
    tokens, flow = panned(3, rng), pan_flow(3)
    flow.occluded[0, 2:5] = True
    matches = ConfidenceFloor(FlowMatcher()).match(tokens, GRID, 1, lambda: flow)
    merged = merge(tokens[None], matches, 1.0)
    assert merged.count == N - 3 * GRID[1]
    own = merged.provider[0, 0] == torch.arange(N)
    assert torch.equal(own.view(GRID), flow.occluded[0])


def test_errors_above_the_floor_are_refused(rng: torch.Generator):
    flow = pan_flow(0)
    flow.error[0, 0] = 3.0
    matches = ConfidenceFloor(CosineMatcher(), max_error=2.0).match(panned(0, rng), GRID, 1, lambda: flow)
    assert torch.equal((matches.score[0] == -torch.inf).view(GRID), flow.error[0] > 2)
    assert (matches.score[1] == torch.inf).all()


# ── mutual nearest ──


def test_a_repeated_token_is_merged_only_where_the_match_is_mutual(rng: torch.Generator):
    tokens = panned(0, rng)
    tokens[0, 5] = tokens[0, 100] + 0.01  # both look like key token 100
    matches = MutualNearest(CosineMatcher(), tolerance=0).match(tokens, GRID, 1, no_flow)
    assert matches.target[0, 5] == matches.target[0, 100] == 100
    assert matches.score[0, 5] == -torch.inf
    assert (matches.score[0] > -torch.inf).sum() == N - 1


def test_tolerance_forgives_a_neighbour(rng: torch.Generator):
    tokens = panned(0, rng)
    tokens[0, 101] = tokens[0, 100] + 0.01
    for tolerance, refused in ((0, True), (1, False)):
        matches = MutualNearest(SpatialCosineMatcher(2), tolerance).match(tokens, GRID, 1, no_flow)
        assert (matches.score[0, 101] == -torch.inf) == refused


def test_mutual_check_of_a_flow_matcher_is_refused(rng: torch.Generator):
    with pytest.raises(ZvrError, match="one direction"):
        MutualNearest(FlowMatcher()).match(panned(0, rng), GRID, 1, lambda: pan_flow(0))


def no_flow() -> TokenFlow:
    raise AssertionError("flow was asked for")


# ── flow or cosine ──


def test_each_token_goes_with_the_surer_matcher(rng: torch.Generator):
    tokens, flow = panned(0, rng, noise=0.5), pan_flow(2)
    flow.occluded[0, :6] = True  # flow says nothing here, and is perfect elsewhere
    matches = FlowOrCosine(CosineMatcher()).match(tokens, GRID, 1, lambda: flow)
    cosine, moved = (m.match(tokens, GRID, 1, lambda: flow) for m in (CosineMatcher(), FlowMatcher()))
    hidden = flow.occluded[0].flatten()
    assert torch.equal(matches.target[0], torch.where(hidden, cosine.target[0], moved.target[0]))
    assert torch.equal(matches.score[0], torch.where(hidden, cosine.score[0], torch.ones(N)))


def test_a_bad_round_trip_lets_the_features_decide(rng: torch.Generator):
    tokens = panned(0, rng)
    matches = FlowOrCosine(CosineMatcher()).match(tokens, GRID, 1, lambda: pan_flow(2, error=1.0))
    assert torch.equal(matches.target[0], torch.arange(N))


# ── texture ──


def half_textured(rng: torch.Generator) -> torch.Tensor:
    """Two equal frames: the left half smooth, the right half noise."""
    frame = torch.ones(*GRID, 24) + 0.05 * torch.randn(*GRID, 24, generator=rng)
    frame[:, GRID[1] // 2 :] += 2 * torch.randn(GRID[0], GRID[1] // 2, 24, generator=rng)
    return torch.stack([frame, frame]).flatten(1, 2)


def test_texture_is_zero_where_neighbours_are_alike_and_high_in_noise(rng: torch.Generator):
    found = texture(half_textured(rng), GRID, [0])[0].view(GRID)
    assert found[:, : GRID[1] // 2 - 1].max() < 0.05 < 0.2 < found[:, GRID[1] // 2 + 1 :].min()


def test_texture_of_a_checkerboard_of_opposed_tokens_is_two():
    signs = 1 - 2.0 * ((torch.arange(4)[:, None] + torch.arange(6)) % 2)
    assert torch.equal(texture(signs.view(1, 24, 1), (4, 6), [0]), torch.full((1, 24), 2.0))


def test_smooth_tokens_are_merged_first(rng: torch.Generator):
    tokens = half_textured(rng)
    merged = merge(tokens[None], TextureAware(FlowMatcher(), strength=2.0).match(tokens, GRID, 1, lambda: pan_flow(0)), 0.5)
    gone = (merged.provider[0, 0] >= N).view(GRID)
    assert gone[:, : GRID[1] // 2 - 1].all()
    assert not gone[:, GRID[1] // 2 + 1 :].any()


def test_no_strength_keeps_the_order(rng: torch.Generator):
    tokens, flow = half_textured(rng), pan_flow(0)
    flow.error[0] = torch.rand(GRID, generator=rng)
    plain = FlowMatcher().match(tokens, GRID, 1, lambda: flow)
    aware = TextureAware(FlowMatcher(), strength=0.0).match(tokens, GRID, 1, lambda: flow)
    assert torch.equal(plain.score[0].argsort(stable=True), aware.score[0].argsort(stable=True))


def test_one_frame_passes_through(rng: torch.Generator):
    one = TokenFlow(torch.zeros(1, 2, *GRID), torch.zeros(1, *GRID), torch.zeros(1, *GRID, dtype=torch.bool))
    for matcher in (TextureAware(CosineMatcher()), MutualNearest(CosineMatcher()), ConfidenceFloor(FlowMatcher()), FlowCentredCosine(2)):
        matches = matcher.match(torch.randn(1, N, 4, generator=rng), GRID, 0, lambda: one)
        assert torch.equal(matches.target, torch.arange(N)[None])
        assert (matches.score == torch.inf).all()


def test_wrappers_nest_and_say_so(rng: torch.Generator):
    tokens, flow = panned(0, rng), pan_flow(0)
    flow.occluded[0, 0, 0] = True
    matcher = TextureAware(ConfidenceFloor(FlowMatcher("bilinear")))
    matches = matcher.match(tokens, GRID, 1, lambda: flow)
    assert matches.matcher == matcher.name == "flow+floor+texture"
    assert matches.score[0, 0] == -torch.inf
    assert matches.shares()[0].shape == (2, N, 4)
