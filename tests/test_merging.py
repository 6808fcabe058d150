"""Merge and unmerge: nothing is lost, nothing is invented, and the counts are the published ones."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention

from zvr_core.errors import ZvrError
from zvr_core.matching import BlendedMatches, Matches
from zvr_core.merged import JointSequence, KeyAndOwn
from zvr_core.merging import joint_matches, merge

DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def draw_matches(frames: int, count: int, key: int, rng: torch.Generator) -> Matches:
    target = torch.randint(count, (frames, count), generator=rng)
    score = torch.randn(frames, count, generator=rng)
    target[key], score[key] = torch.arange(count), torch.inf
    return Matches("drawn", key, (1, count), target, score)


def blended(matches: Matches, corners: torch.Tensor, weights: torch.Tensor) -> BlendedMatches:
    return BlendedMatches(matches.matcher, matches.key, matches.grid, matches.target, matches.score, corners=corners, weights=weights)


# ── nothing merged ──


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", ["replace", "mean"])
def test_ratio_zero_gives_every_token_back_bit_for_bit(dtype: torch.dtype, mode: str, rng: torch.Generator):
    tokens = torch.randn(2, 5, 12, 8, generator=rng).to(dtype)
    merged = merge(tokens, draw_matches(5, 12, 2, rng), 0.0, mode)  # type: ignore[arg-type]
    assert merged.sequence.shape == (2, 60, 8)  # attention stays joint over the window
    assert merged.count == 0
    assert torch.equal(merged.unmerge(merged.sequence), tokens)


def test_one_frame_is_plain_self_attention(rng: torch.Generator):
    tokens = torch.randn(2, 1, 12, 8, generator=rng)
    merged = merge(tokens, draw_matches(1, 12, 0, rng), 0.9)
    assert torch.equal(merged.sequence, tokens[:, 0])
    assert torch.equal(merged.unmerge(merged.sequence), tokens)
    assert merged.context is merged.queries


# ── what is merged ──


@settings(deadline=None, max_examples=60)
@given(
    frames=st.integers(1, 6), count=st.integers(1, 20), ratio=st.floats(0, 1), rank=st.sampled_from(["window", "frame"]),
    streams=st.integers(1, 3), seed=st.integers(0, 99),
)  # fmt: skip
def test_every_token_has_exactly_one_provider(frames: int, count: int, ratio: float, rank: str, streams: int, seed: int):
    rng = torch.Generator().manual_seed(seed)
    key = int(torch.randint(frames, (), generator=rng))
    matches = [draw_matches(frames, count, key, rng) for _ in range(streams)]
    numbers = torch.arange(frames * count, dtype=torch.float64).view(1, frames, count, 1).expand(streams, -1, -1, -1)
    merged = merge(numbers, matches, ratio, rank=rank)  # type: ignore[arg-type]
    received = merged.unmerge(merged.sequence)[..., 0].long()  # (S, F, N): each token's own number, or its key token's
    assert torch.equal(received, merged.provider)
    for stream, own in enumerate(matches):
        gone = received[stream] != numbers[stream, ..., 0]
        assert torch.equal(received[stream][gone], (key * count + own.target)[gone])
        assert int(gone.sum()) == merged.count
        assert merged.sequence.shape[1] == frames * count - merged.count


@pytest.mark.parametrize("ratio", [0.1, 0.3, 0.6, 0.9, 1.0])
def test_counts_are_the_published_ones(ratio: float, rng: torch.Generator):
    for frames, count in ((2, 7), (5, 13), (10, 31)):
        merged = merge(torch.randn(1, frames, count, 3, generator=rng), draw_matches(frames, count, 1, rng), ratio)
        assert merged.count == min((frames - 1) * count, int((frames - 1) * count * ratio))


def test_the_best_of_the_whole_window_go_first(rng: torch.Generator):
    matches = draw_matches(3, 4, 1, rng)
    matches.score[0], matches.score[2] = torch.tensor([9.0, 8, 7, 6]), torch.tensor([5.0, 4, 3, 2])
    provider = merge(torch.randn(1, 3, 4, 2, generator=rng), matches, 0.5).provider[0]
    assert torch.equal(provider[0], 4 + matches.target[0])
    assert torch.equal(provider[2], torch.arange(8, 12))


def test_ranked_by_frame_each_frame_loses_its_share(rng: torch.Generator):
    merged = merge(torch.randn(1, 4, 10, 2, generator=rng), draw_matches(4, 10, 0, rng), 0.35, rank="frame")
    own = torch.arange(40).view(4, 10)
    assert (merged.provider[0] != own).sum(1).tolist() == [0, 3, 3, 3]


def test_among_equal_scores_the_lowest_frame_and_token_goes_first(rng: torch.Generator):
    matches = draw_matches(3, 6, 1, rng)
    matches.score[[0, 2]] = 0.5
    gone = merge(torch.randn(1, 3, 6, 2, generator=rng), matches, 8 / 12).provider[0] != torch.arange(18).view(3, 6)
    assert gone.flatten().nonzero()[:, 0].tolist() == [0, 1, 2, 3, 4, 5, 12, 13]


def test_sequence_is_unmerged_sources_in_order_then_the_key_frame(rng: torch.Generator):
    matches = draw_matches(3, 2, 0, rng)
    matches.score[1:] = torch.tensor([[1.0, 4.0], [3.0, 2.0]])
    tokens = torch.arange(6.0).view(1, 3, 2, 1)
    assert merge(tokens, matches, 0.5).sequence.flatten().tolist() == [2, 5, 0, 1]


def test_tokens_with_score_minus_infinity_stay(rng: torch.Generator):
    matches = draw_matches(3, 10, 2, rng)
    matches.score[0, :7] = -torch.inf
    merged = merge(torch.randn(1, 3, 10, 2, generator=rng), matches, 1.0)
    assert merged.count == 13
    assert torch.equal(merged.provider[0, 0, :7], torch.arange(7))


def test_streams_with_unequal_counts_merge_the_smaller_one(rng: torch.Generator):
    few, many = draw_matches(3, 10, 2, rng), draw_matches(3, 10, 2, rng)
    few.score[0] = -torch.inf
    for rank, count in (("window", 10), ("frame", 9)):
        merged = merge(torch.randn(2, 3, 10, 2, generator=rng), [few, many], 0.9, rank=rank)  # type: ignore[arg-type]
        assert merged.count == count


def test_streams_matched_apart_are_merged_apart(rng: torch.Generator):
    tokens, matches = torch.randn(2, 3, 10, 4, generator=rng), [draw_matches(3, 10, 1, rng) for _ in range(2)]
    together = merge(tokens, matches, 0.6, "mean")
    for s in range(2):
        alone = merge(tokens[s : s + 1], matches[s], 0.6, "mean")
        assert torch.equal(together.sequence[s], alone.sequence[0])
        assert torch.equal(together.unmerge(together.sequence)[s], alone.unmerge(alone.sequence)[0])


def test_one_match_serves_all_streams(rng: torch.Generator):
    tokens, matches = torch.randn(3, 4, 10, 4, generator=rng), draw_matches(4, 10, 1, rng)
    one, each = merge(tokens, matches, 0.5), merge(tokens, [matches] * 3, 0.5)
    assert torch.equal(one.sequence, each.sequence)
    assert torch.equal(one.unmerge(one.sequence), each.unmerge(each.sequence))


def test_joint_match_takes_the_stream_that_scores_highest(rng: torch.Generator):
    first, second = draw_matches(2, 3, 0, rng), draw_matches(2, 3, 0, rng)
    first.score[1], second.score[1] = torch.tensor([1.0, 0.0, 0.5]), torch.tensor([0.0, 1.0, 0.5])
    joint = joint_matches([first, second])
    assert joint.target[1].tolist() == [first.target[1, 0], second.target[1, 1], first.target[1, 2]]
    assert joint.score[1].tolist() == [1, 1, 0.5]


# ── mean and blends ──


@pytest.mark.parametrize("dtype", DTYPES)
def test_mean_averages_a_key_token_with_what_is_merged_into_it(dtype: torch.dtype):
    tokens = torch.tensor([[1.0, 2], [10, 20], [5, 6]]).view(1, 3, 2, 1).to(dtype)
    target = torch.tensor([[0, 0], [0, 1], [1, 0]])
    score = torch.tensor([[2.0, 1.0], [torch.inf, torch.inf], [3.0, 0.0]])
    merged = merge(tokens, Matches("given", 1, (1, 2), target, score), 0.75, "mean")
    assert torch.equal(merged.sequence.flatten(), torch.tensor([6, 13 / 3, 12.5]).to(dtype))


def test_replace_leaves_key_tokens_as_they_are(rng: torch.Generator):
    tokens = torch.randn(1, 4, 9, 3, generator=rng)
    assert torch.equal(merge(tokens, draw_matches(4, 9, 2, rng), 0.8).sequence[:, -9:], tokens[:, 2])


@pytest.mark.parametrize("dtype", DTYPES)
def test_blended_tokens_receive_the_weighted_outputs_of_their_corners(dtype: torch.dtype):
    plain = Matches("given", 1, (1, 3), torch.tensor([[0, 1, 2], [0, 1, 2]]), torch.tensor([[5.0, 4, 3], [torch.inf] * 3]))
    corners = torch.tensor([0, 1, 2, 2]).expand(2, 3, 4)
    weights = torch.tensor([0.5, 0.25, 0.25, 0.0]).expand(2, 3, 4)
    merged = merge(torch.zeros(1, 2, 3, 1, dtype=dtype), blended(plain, corners, weights), 2 / 3)
    output = torch.tensor([7.0, 8, 16, 32], dtype=dtype).view(1, 4, 1)  # the unmerged token, then the key frame
    assert merged.unmerge(output).flatten().tolist() == [16, 16, 7, 8, 16, 32]


def test_blended_mean_adds_each_share():
    plain = Matches("given", 1, (1, 2), torch.tensor([[0, 1], [0, 1]]), torch.tensor([[5.0, 4], [torch.inf] * 2]))
    corners, weights = torch.tensor([0, 1, 1, 1]).expand(2, 2, 4), torch.tensor([0.75, 0.25, 0, 0]).expand(2, 2, 4)
    tokens = torch.tensor([[8.0, 0.0], [1.0, 3.0]]).view(1, 2, 2, 1)
    merged = merge(tokens, blended(plain, corners, weights), 0.5, "mean")
    assert merged.sequence.flatten().tolist() == pytest.approx([0, (1 + 6) / 1.75, (3 + 2) / 1.25])


# ── the cheaper ending ──


def attend(queries: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
    return scaled_dot_product_attention(queries, context, context)


def test_below_its_limit_each_frame_attends_to_itself_and_the_key_frame(rng: torch.Generator):
    tokens = torch.randn(2, 3, 5, 4, generator=rng)
    merged = merge(tokens, draw_matches(3, 5, 1, rng), 0.2, attend=KeyAndOwn(0.3))
    assert merged.queries.shape == (6, 5, 4)
    assert merged.context.shape == (6, 10, 4)
    out = merged.unmerge(attend(merged.queries, merged.context))
    wanted = attend(tokens[1, 2], torch.cat([tokens[1, 2], tokens[1, 1]]))
    assert torch.allclose(out[1, 2], wanted, atol=1e-6)
    assert merged.count == 0
    assert torch.equal(merged.provider, torch.arange(15).view(1, 3, 5))


def test_the_key_frame_is_not_changed_by_seeing_itself_twice(rng: torch.Generator):
    tokens = torch.randn(1, 3, 5, 4, generator=rng)
    merged = merge(tokens, draw_matches(3, 5, 1, rng), 0.0, attend=KeyAndOwn())
    out = merged.unmerge(attend(merged.queries, merged.context))
    assert torch.allclose(out[:, 1], attend(tokens[:, 1], tokens[:, 1]), atol=1e-6)


def test_at_its_limit_attention_is_still_joint(rng: torch.Generator):
    merged = merge(torch.randn(1, 3, 5, 4, generator=rng), draw_matches(3, 5, 1, rng), 0.3, attend=KeyAndOwn(0.3))
    assert isinstance(merged, JointSequence)


def test_gradients_flow_back_to_every_token(rng: torch.Generator):
    tokens = torch.randn(2, 3, 6, 4, generator=rng, requires_grad=True)
    for mode, reached in (("replace", 18 - 7), ("mean", 18)):
        tokens.grad = None
        merged = merge(tokens, draw_matches(3, 6, 1, rng), 0.6, mode)  # type: ignore[arg-type]
        merged.unmerge(merged.sequence).sum().backward()
        assert tokens.grad is not None
        assert (tokens.grad != 0).all(-1).sum(dim=(1, 2)).tolist() == [reached] * 2


# ── bad input ──


@pytest.mark.parametrize("ratio", [-0.1, 1.1, float("nan")])
def test_impossible_ratios_are_refused(ratio: float, rng: torch.Generator):
    with pytest.raises(ZvrError, match="ratio"):
        merge(torch.randn(1, 3, 5, 4), draw_matches(3, 5, 1, rng), ratio)


def test_bad_input_is_named(rng: torch.Generator):
    tokens, matches = torch.randn(2, 3, 5, 4), draw_matches(3, 5, 1, rng)
    for arguments, says in (
        ((tokens[0], matches, 0.5), "streams, frames"),
        ((tokens[:, :0], matches, 0.5), "none of them 0"),
        ((tokens[:, :2], matches, 0.5), "matches of"),
        ((tokens, [matches] * 3, 0.5), "3 matches given for 2 streams"),
        ((tokens, [matches, draw_matches(3, 5, 2, rng)], 0.5), "one key"),
        ((tokens, matches, 0.5, "average"), "merge mode"),
        ((tokens, matches, 0.5, "mean", "video"), "ranking"),
    ):
        with pytest.raises(ZvrError, match=says):
            merge(*arguments)  # type: ignore[arg-type]


def test_nan_scores_are_refused(rng: torch.Generator):
    matches = draw_matches(3, 5, 1, rng)
    matches.score[0, 0] = torch.nan
    with pytest.raises(ZvrError, match="NaN"):
        merge(torch.randn(1, 3, 5, 4), matches, 0.5)
