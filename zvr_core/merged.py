"""What one self-attention call sees instead of the frames of a window, and the way back.

`JointSequence` is the published way, all frames in one sequence; `OwnAndKey` a cheaper one for the last steps.  Nothing but
indices is made beside the sequence and the result: each is one gather.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch


class Merged(Protocol):
    """What one self-attention call sees instead of (S, F, N, C) tokens, and the way back."""

    @property
    def sequence(self) -> torch.Tensor:
        """(B, L, C): what attention is asked for; `queries` is another name for it."""

    @property
    def queries(self) -> torch.Tensor: ...

    @property
    def context(self) -> torch.Tensor:
        """(B, K, C): what attention looks at; the very same object as `queries` for plain self-attention."""

    @property
    def provider(self) -> torch.Tensor:
        """(S or 1, F, N): the number f·N + n of the token whose output each token receives (of a blend, the heaviest)."""

    @property
    def count(self) -> int:
        """Merged tokens of each stream."""

    def unmerge(self, output: torch.Tensor) -> torch.Tensor:
        """(S, F, N, C) from the attention output (B, L, C)."""


@dataclass(frozen=True)
class JointSequence:
    """All frames in one sequence per stream: [unmerged sources in frame order | key frame], (S, L, C)."""

    sequence: torch.Tensor
    provider: torch.Tensor  # (S or 1, F, N)
    count: int
    places: torch.Tensor  # (S or 1, F·N, K): rows of the sequence that each token's output is made of
    weights: torch.Tensor  # (S or 1, F·N, K), summing to 1

    @property
    def queries(self) -> torch.Tensor:
        return self.sequence

    @property
    def context(self) -> torch.Tensor:
        return self.sequence

    def unmerge(self, output: torch.Tensor) -> torch.Tensor:
        streams, length, channels = output.shape
        flat, places = output.reshape(-1, channels), numbered(self.places, streams, length)  # (S·L, C), (S·F·N, K)
        if places.shape[1] == 1:
            tokens = flat.index_select(0, places[:, 0])
        else:
            weights = self.weights.expand(streams, -1, -1).flatten(0, 1).to(flat)
            tokens = torch.nn.functional.embedding_bag(places, flat, mode="sum", per_sample_weights=weights)
        return tokens.view(streams, *self.provider.shape[1:], channels)  # (S, F, N, C)


@dataclass(frozen=True)
class OwnAndKey:
    """Nothing merged; each frame attends to its own tokens and the key frame's: queries (S·F, N, C), context (S·F, 2N, C)."""

    sequence: torch.Tensor
    context: torch.Tensor
    provider: torch.Tensor  # (1, F, N)
    count: int = 0

    @property
    def queries(self) -> torch.Tensor:
        return self.sequence

    def unmerge(self, output: torch.Tensor) -> torch.Tensor:
        return output.unflatten(0, (-1, self.provider.shape[1]))  # (S, F, N, C)


@dataclass(frozen=True)
class Joint:
    """Attention over all frames at any ratio, as published: as the ratio falls to 0 the cost grows to F² frames' attention."""

    def ends(self, ratio: float) -> bool:
        """Whether joint attention has ended at this ratio."""
        return False


JOINT = Joint()


@dataclass(frozen=True)
class KeyAndOwn:
    """A cheaper ending, not published: below this merge ratio a frame attends to itself and to the key frame alone (see OwnAndKey).

    Its cost is that of 2·F frames' attention.  Joint attention over 10 frames costs as much at ratio 0.61 and five times as
    much at 0.  The key frame sees its tokens twice, which leaves its softmax as it is.
    """

    below: float = 0.3

    def ends(self, ratio: float) -> bool:
        """Whether joint attention has ended at this ratio."""
        return ratio < self.below


def own_and_key(tokens: torch.Tensor, key: int) -> OwnAndKey:
    """Tokens (S, F, N, C), each frame beside the key frame."""
    frames, count = tokens.shape[1:3]
    context = torch.cat([tokens, tokens[:, key : key + 1].expand_as(tokens)], dim=2)  # (S, F, 2N, C)
    provider = torch.arange(frames * count, device=tokens.device).view(1, frames, count)
    return OwnAndKey(tokens.flatten(0, 1), context.flatten(0, 1), provider)


def numbered(places: torch.Tensor, streams: int, length: int) -> torch.Tensor:
    """Row numbers (S or 1, M, K) within a stream as numbers over all streams of `length` rows: (S·M, K)."""
    first = torch.arange(0, streams * length, length, device=places.device)[:, None, None]
    return (places + first).flatten(0, 1)
