"""Similarity rows: how like each key token is to a chosen few of the others, and how widely their attention looks.

All N × N scores of a site would not fit on a disk; the tokens on which flow and cosine disagree most are the ones worth a look.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from zvr_core.agreement import distance, largest

MISSING = 255  # in uint8 similarities; cosines -1 … 1 are 0 … 254


def disagreeing(flow: torch.Tensor, cosine: torch.Tensor, grid: tuple[int, int], frames: Sequence[int], count: int) -> torch.Tensor:
    """For each of `frames`, the `count` tokens whose targets (F, N) by flow and by cosine lie farthest apart, (frames, count)."""
    pairs = ((flow[f].cpu().numpy(), cosine[f].cpu().numpy()) for f in frames)
    return torch.from_numpy(np.stack([largest(distance(a, b, grid), count) for a, b in pairs])).long()


@torch.no_grad()
def similarity_rows(tokens: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    """The cosines of tokens (P, C) with all tokens of the key frame (N, C), as uint8 (P, N): 0 is -1, 254 is 1."""
    cosine = F.normalize(tokens.float(), dim=-1) @ F.normalize(key.float(), dim=-1).T  # (P, N)
    return (127 * (1 + cosine.clamp(-1, 1))).round().to(torch.uint8)


@torch.no_grad()
def attention_entropy(attention: torch.nn.Module, tokens: torch.Tensor, sequence: torch.Tensor) -> torch.Tensor:
    """How widely each of P tokens (P, C) looks over a sequence (L, C): the entropy of its attention in nats, mean over heads, (P,).

    0 looks at one token, log L at all alike.  `attention` is the site's own module: its queries, keys and scale.
    """
    parts: Any = attention  # a diffusers Attention
    dtype = next(attention.parameters()).dtype
    query, key = parts.to_q(tokens.to(dtype)), parts.to_k(sequence.to(dtype))  # (P, C), (L, C)
    query, key = (x.unflatten(-1, (parts.heads, -1)).transpose(0, 1) for x in (query, key))  # (heads, P, c), (heads, L, c)
    query, key = normed(getattr(parts, "norm_q", None), query), normed(getattr(parts, "norm_k", None), key)
    logits = (query.float() @ key.float().transpose(1, 2)) * parts.scale  # (heads, P, L)
    share = logits.softmax(-1)
    return (logits.logsumexp(-1) - (share * logits).sum(-1)).mean(0)


def normed(norm: torch.nn.Module | None, x: torch.Tensor) -> torch.Tensor:
    """Queries or keys as the module's own norm leaves them, where it has one."""
    return x if norm is None else norm(x)
