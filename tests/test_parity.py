"""The published behaviour, derived again in plain numpy (float64), against the package.

Scores are drawn from continuous distributions, so equal scores do not occur, and the seeds are such that no two scores at a
decision are closer than float32 can tell: targets and providers must agree exactly.
Sources: DiffIR2VR-Zero (Yeh et al. 2024) and its published code, VidToMe (Li et al. 2024).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from zvr_core.correspondence import TokenFlow
from zvr_core.matching import FlowMatcher
from zvr_core.merging import merge
from zvr_core.ring_search import SpatialCosineMatcher
from zvr_core.schedule import CosineAnnealing, PublishedPeriod

GRIDS = ((5, 9), (8, 6), (7, 13), (10, 10))
RATIOS = (0.1, 0.37, 0.6, 0.9, 1.0)


@dataclass(frozen=True)
class Published:
    """What the published merge decides: source tokens in order of merging with their targets, and how many are merged."""

    frames: int
    count: int
    order: np.ndarray  # ((F-1)·N,) positions among the sources, best first
    target: np.ndarray  # ((F-1)·N,) key token of each source, in source order
    ratio: float

    @property
    def key(self) -> int:
        return self.frames // 2

    @property
    def r(self) -> int:
        return min(len(self.order), int(len(self.order) * self.ratio))

    def sources(self) -> np.ndarray:
        """Numbers f·N + n of the source tokens: all frames but the key frame, in order, row-major."""
        numbers = np.arange(self.frames * self.count)
        return numbers[numbers // self.count != self.key]

    def provider(self) -> np.ndarray:
        """The token whose attention output each token receives, (F, N)."""
        provider = np.arange(self.frames * self.count)
        merged = self.order[: self.r]
        provider[self.sources()[merged]] = self.key * self.count + self.target[merged]
        return provider.reshape(self.frames, self.count)

    def sequence(self, tokens: np.ndarray) -> np.ndarray:
        """[unmerged sources in order of rank | key tokens] of tokens (F, N, C)."""
        flat = tokens.reshape(-1, tokens.shape[-1])
        return np.concatenate([flat[self.sources()[self.order[self.r :]]], tokens[self.key]])

    def attend(self, tokens: np.ndarray) -> np.ndarray:
        """Joint self-attention (identity projections) over the merged sequence, unmerged: (F, N, C)."""
        sequence = self.sequence(tokens)
        out = softmax_attention(sequence)
        full = np.empty_like(tokens).reshape(-1, tokens.shape[-1])
        sources, key_out = self.sources(), out[-self.count :]
        full[self.key * self.count : (self.key + 1) * self.count] = key_out
        full[sources[self.order[self.r :]]] = out[: -self.count]
        full[sources[self.order[: self.r]]] = key_out[self.target[self.order[: self.r]]]
        return full.reshape(tokens.shape)


def softmax_attention(x: np.ndarray) -> np.ndarray:
    scores = x @ x.T / math.sqrt(x.shape[-1])
    scores = np.exp(scores - scores.max(-1, keepdims=True))
    return scores / scores.sum(-1, keepdims=True) @ x


def published_flow(flow: np.ndarray, confidence: np.ndarray, ratio: float) -> Published:
    """Flow (F, 2, h, w), confidence (F, h, w): the clamped place is truncated; sources of all frames are sorted together."""
    frames, _, h, w = flow.shape
    y, x = np.mgrid[:h, :w]
    to_x = np.trunc(np.clip(x + flow[:, 0], 0, w - 1)).astype(int)
    to_y = np.trunc(np.clip(y + flow[:, 1], 0, h - 1)).astype(int)
    others = [f for f in range(frames) if f != frames // 2]
    order = np.argsort(-confidence[others].reshape(-1), kind="stable")
    return Published(frames, h * w, order, (to_y * w + to_x)[others].reshape(-1), ratio)


def published_cosine(tokens: np.ndarray, grid: tuple[int, int], radius: int, ratio: float) -> Published:
    """Tokens (F, N, C): cosine · exp(-floor(d / R)) over all key tokens; the best is the target, and the rank."""
    frames, (h, w) = tokens.shape[0], grid
    unit = tokens / np.linalg.norm(tokens, axis=-1, keepdims=True)
    y, x = (part.reshape(-1) for part in np.mgrid[:h, :w])
    distance = np.sqrt((y[:, None] - y) ** 2 + (x[:, None] - x) ** 2)
    others = [f for f in range(frames) if f != frames // 2]
    scores = unit[others] @ unit[frames // 2].T * np.exp(-np.floor(distance / radius))  # (F-1, N, N)
    scores = scores.reshape(-1, h * w)
    return Published(frames, h * w, np.argsort(-scores.max(-1), kind="stable"), scores.argmax(-1), ratio)


def draw_flow(rng: np.random.Generator, frames: int, grid: tuple[int, int]) -> TokenFlow:
    flow = torch.from_numpy(rng.normal(0, 3, (frames, 2, *grid))).float()
    error = torch.from_numpy(rng.gamma(1.0, 2.0, (frames, *grid))).float()
    return TokenFlow(flow, error, torch.zeros(frames, *grid, dtype=torch.bool))


def always(flow: TokenFlow) -> Callable[[], TokenFlow]:
    return lambda: flow


def no_flow() -> TokenFlow:
    raise AssertionError("flow was asked for")


@pytest.mark.parametrize("frames", range(2, 13))
def test_flow_merging_gives_every_token_the_published_provider(frames: int):
    rng = np.random.default_rng(frames)
    for grid in GRIDS:
        flow = draw_flow(rng, frames, grid)
        matches = FlowMatcher("truncate").match(torch.zeros(frames, grid[0] * grid[1], 1), grid, frames // 2, always(flow))
        for ratio in RATIOS:
            expected = published_flow(flow.flow.numpy(), np.exp(-flow.error.double().numpy()), ratio)
            merged = merge(torch.zeros(1, frames, grid[0] * grid[1], 1), matches, ratio)
            assert merged.count == expected.r
            assert np.array_equal(merged.provider[0].numpy(), expected.provider())


@pytest.mark.parametrize("radius", range(1, 9))
def test_cosine_merging_gives_every_token_the_published_provider(radius: int):
    rng = np.random.default_rng(radius)
    for frames in range(2, 13):
        grid = GRIDS[frames % len(GRIDS)]
        common = rng.normal(size=16) * (frames % 3)  # from noise to strongly alike
        tokens = (rng.normal(size=(frames, grid[0] * grid[1], 16)) + common).astype(np.float32)
        matches = SpatialCosineMatcher(radius).match(torch.from_numpy(tokens), grid, frames // 2, no_flow)
        for ratio in RATIOS:
            expected = published_cosine(tokens.astype(np.float64), grid, radius, ratio)
            merged = merge(torch.from_numpy(tokens)[None], matches, ratio)
            assert merged.count == expected.r
            assert np.array_equal(merged.provider[0].numpy(), expected.provider())


def test_opposed_tokens_match_far_away_as_published():
    rng = np.random.default_rng(0)
    grid, direction = (7, 13), rng.normal(size=16)
    tokens = (0.2 * rng.normal(size=(3, 91, 16)) + direction).astype(np.float32)
    tokens[1] *= -1
    matches = SpatialCosineMatcher(2).match(torch.from_numpy(tokens), grid, 1, no_flow)
    expected = published_cosine(tokens.astype(np.float64), grid, 2, 1.0)
    assert (matches.score[[0, 2]] < 0).all()
    assert np.array_equal(matches.target[[0, 2]].numpy().reshape(-1), expected.target)


@pytest.mark.parametrize("ratio", RATIOS)
def test_attention_output_is_the_published_one(ratio: float):
    rng = np.random.default_rng(7)
    tokens = rng.normal(size=(4, 45, 16)).astype(np.float32)
    matches = SpatialCosineMatcher(3).match(torch.from_numpy(tokens), (5, 9), 2, no_flow)
    merged = merge(torch.from_numpy(tokens)[None], matches, ratio)
    out = torch.nn.functional.scaled_dot_product_attention(merged.queries, merged.context, merged.context)
    expected = published_cosine(tokens.astype(np.float64), (5, 9), 3, ratio).attend(tokens.astype(np.float64))
    assert np.allclose(merged.unmerge(out)[0].numpy(), expected, atol=1e-5)


def test_mean_mode_averages_targets_with_their_sources():
    rng = np.random.default_rng(3)
    tokens = rng.normal(size=(5, 54, 8)).astype(np.float32)
    expected = published_cosine(tokens.astype(np.float64), (6, 9), 2, 0.7)
    total, weight = tokens[2].astype(np.float64), np.ones(54)
    for source in expected.order[: expected.r]:
        total[expected.target[source]] += tokens.reshape(-1, 8)[expected.sources()[source]]
        weight[expected.target[source]] += 1
    matches = SpatialCosineMatcher(2).match(torch.from_numpy(tokens), (6, 9), 2, no_flow)
    merged = merge(torch.from_numpy(tokens)[None], matches, 0.7, "mean")
    assert np.allclose(merged.sequence[0, -54:].numpy(), total / weight[:, None], atol=1e-5)


@pytest.mark.parametrize("S", [1, 2, 8, 20, 50])
@pytest.mark.parametrize("first", [0.6, 0.9])
def test_ratio_annealing_is_the_published_one(S: int, first: float):
    ratio = CosineAnnealing(first, 0.0, PublishedPeriod(0.0, 1.0))
    for i in range(S):
        expected = 0.0 + (first - 0.0) * np.cos(np.pi / 2 * (i - int(S * 0.0)) / (int(S * 1.0) - int(S * 0.0) + 1e-6))
        assert ratio(i, S) == pytest.approx(expected, abs=1e-12)


def test_sequence_lengths_of_the_published_example():
    """Ten frames of 64 × 113 tokens at 0.6: 33268 tokens at step 0, 44706 at step 25 and 71094 at step 49 of 50."""
    ratio, count = CosineAnnealing(0.6, 0.0, PublishedPeriod()), 64 * 113
    lengths = [10 * count - int(9 * count * ratio(i, 50)) for i in (0, 25, 49)]
    assert lengths == [33268, 44706, 71094]


@pytest.mark.parametrize(("S", "steps"), [(50, 5), (20, 2), (10, 1), (9, 0), (2, 0)])
def test_warping_period_is_the_published_one(S: int, steps: int):
    assert [i for i in range(S) if PublishedPeriod(0.0, 0.1).contains(i, S)] == list(range(steps))
