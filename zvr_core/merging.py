"""Merge and unmerge: the tokens of all frames of a window in one attention call, without those a key token stands for.

    tokens (S, F, N, C) ─► choose which are merged ─► [unmerged in frame order | key frame] ─► attention ─► back to (S, F, N, C)

A merged token receives the attention output of its target in the key frame, every other token its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch

from zvr_core.errors import ZvrError, unknown
from zvr_core.matching import Matches
from zvr_core.merged import JOINT, Joint, JointSequence, KeyAndOwn, Merged, numbered, own_and_key

Mode = Literal["replace", "mean"]
Rank = Literal["window", "frame"]


def merge(
    tokens: torch.Tensor,
    matches: Matches | Sequence[Matches],
    ratio: float,
    mode: Mode = "replace",
    rank: Rank = "window",
    attend: Joint | KeyAndOwn = JOINT,
) -> Merged:
    """Merges the best-matched share `ratio` of the tokens (S, F, N, C) outside the key frame into their targets.

    `matches`: one for all streams, or one a stream.  `mode`: "replace" leaves key tokens as they are (published), "mean" averages
    each with the tokens merged into it.  `rank`: the best int(n · ratio) of all n = (F-1)·N tokens of the window, as published,
    or of each frame's N.  Tokens with score -inf stay; where that leaves streams with unequal counts, the smallest holds for all.
    A ratio of 0 and a window of one frame merge nothing.  Raises ZvrError for a ratio outside [0, 1], NaN scores, and matches of
    another shape.  Source: VidToMe (Li et al. 2024); DiffIR2VR-Zero (Yeh et al. 2024), section 3.3.
    """
    per_stream = [matches] if isinstance(matches, Matches) else list(matches)
    check_merge(tokens, per_stream, ratio, mode, rank)
    streams, frames, count, channels = tokens.shape
    key = per_stream[0].key
    if frames > 1 and attend.ends(ratio):
        return own_and_key(tokens, key)
    chosen = choose([m.score for m in per_stream], key, ratio, rank)
    layouts = [layout(m, mask) for m, mask in zip(per_stream, chosen, strict=True)]
    order, places, weights = (torch.stack(parts) for parts in zip(*layouts, strict=True))
    flat, wanted = tokens.reshape(-1, channels), numbered(order[..., None], streams, frames * count)[:, 0]  # (S·F·N, C), (S·L,)
    sequence = flat.index_select(0, wanted).view(streams, -1, channels)  # (S, L, C)
    if mode == "mean":
        for s, stream in enumerate(tokens):
            sequence[s, -count:] = key_means(stream, per_stream[s % len(per_stream)], chosen[s % len(chosen)])
    heaviest = places.gather(-1, weights.argmax(-1, keepdim=True))[..., 0]  # (S or 1, F·N)
    provider = order.gather(1, heaviest).view(-1, frames, count)
    return JointSequence(sequence, provider, int(chosen[0].sum()), places, weights)


def check_merge(tokens: torch.Tensor, matches: Sequence[Matches], ratio: float, mode: str, rank: str) -> None:
    """Raises ZvrError for what `merge` cannot do."""
    if tokens.ndim != 4 or 0 in tokens.shape:
        raise ZvrError(f"tokens of shape {tuple(tokens.shape)} given, (streams, frames, tokens, channels) expected, none of them 0")
    if not 0 <= ratio <= 1:
        raise ZvrError(f"merge ratio {ratio} given, a number from 0 to 1 expected; 0.6 is usual")
    if mode not in ("replace", "mean"):
        raise unknown("merge mode", mode, ("replace", "mean"))
    if rank not in ("window", "frame"):
        raise unknown("ranking", rank, ("window", "frame"))
    if len(matches) not in (1, tokens.shape[0]):
        raise ZvrError(f"{len(matches)} matches given for {tokens.shape[0]} streams; give one for all or one a stream")
    for m in matches:
        if m.score.shape != tokens.shape[1:3] or m.key != matches[0].key:
            raise ZvrError(
                f"matches of {tuple(m.score.shape)} tokens given for {tuple(tokens.shape[1:3])}; match these frames, with one key"
            )
        if m.score.isnan().any():
            raise ZvrError("match scores hold NaN; give -inf to tokens that must not be merged")


def choose(scores: Sequence[torch.Tensor], key: int, ratio: float, rank: Rank) -> list[torch.Tensor]:
    """Which tokens are merged, (F, N) bool for each stream, equally many in each; the lowest (frame, token) first among equals."""
    frames, count = scores[0].shape
    sources = [frame for frame in range(frames) if frame != key]
    ranked = [score[sources] if rank == "frame" else score[sources].flatten()[None] for score in scores]  # (blocks, n)
    masks = [torch.zeros_like(block, dtype=torch.bool) for block in ranked]
    for block in range(len(ranked[0]) if sources else 0):
        wanted = int(ranked[0].shape[1] * ratio)
        available = min(int((stream[block] > -torch.inf).sum()) for stream in ranked)
        for stream, mask in zip(ranked, masks, strict=True):
            mask[block] = best(stream[block], min(wanted, available))
    chosen = torch.zeros(len(scores), frames, count, dtype=torch.bool, device=scores[0].device)
    chosen[:, sources] = torch.stack(masks).view(len(scores), len(sources), count)
    return list(chosen)


def best(score: torch.Tensor, r: int) -> torch.Tensor:
    """A mask of the r highest of `score` (n,), the first among equals."""
    if r == 0:
        return torch.zeros_like(score, dtype=torch.bool)
    threshold = score.kthvalue(len(score) - r + 1).values
    mask, tied = score > threshold, (score == threshold).nonzero()[:, 0]
    mask[tied[: r - int(mask.sum())]] = True
    return mask


def layout(matches: Matches, merged: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of one stream: the tokens of the sequence in order (L,), and for each token its rows in it (F·N, K) with their weights."""
    frames, count = merged.shape
    numbers = torch.arange(frames * count, device=merged.device)
    kept = ~merged
    kept[matches.key] = False
    order = torch.cat([numbers[kept.flatten()], numbers[matches.key * count : (matches.key + 1) * count]])  # (L,)
    own = torch.empty_like(numbers)
    own[order] = numbers[: len(order)]  # its own row; never read where merged
    targets, weights = (share.flatten(0, 1) for share in matches.shares())  # (F·N, K)
    of_key, alone = len(order) - count + targets, torch.zeros_like(weights)
    alone[:, 0] = 1
    chosen = merged.flatten()[:, None]
    return order, torch.where(chosen, of_key, own[:, None]), torch.where(chosen, weights, alone)


def key_means(tokens: torch.Tensor, matches: Matches, merged: torch.Tensor) -> torch.Tensor:
    """The key tokens (N, C) of one stream, each averaged with the tokens (by their share) that are merged into it."""
    total = tokens[matches.key].float()
    weight = torch.ones_like(total[:, 0])
    targets, shares = matches.shares()
    for frame, mask in enumerate(merged):
        for k in range(targets.shape[-1] if mask.any() else 0):
            at, share = targets[frame, mask, k], shares[frame, mask, k]
            total = total.index_add(0, at, tokens[frame, mask].float() * share[:, None])
            weight = weight.index_add(0, at, share)
    return (total / weight[:, None]).to(tokens.dtype)


def joint_matches(matches: Sequence[Matches]) -> Matches:
    """One match for several streams: for each token that of the stream which scores it highest, the first among equals.

    Source: the aligned batches of VidToMe (Li et al. 2024).
    """
    scores, which = torch.stack([m.score for m in matches]).max(0)  # (F, N)
    target = torch.stack([m.target for m in matches]).gather(0, which[None])[0]
    return Matches(f"{matches[0].matcher} (joint)", matches[0].key, matches[0].grid, target, scores)
