"""Similarity rows and attention entropy: closed forms."""

import math

import pytest
import torch
from diffusers.models.attention_processor import Attention

from zvr_core.recording.similarity import attention_entropy, disagreeing, similarity_rows


def test_parallel_orthogonal_and_opposite_tokens():
    key = torch.tensor([[2.0, 0], [0, 5], [-1, 0]])
    assert similarity_rows(torch.tensor([[3.0, 0]]), key).tolist() == [[254, 127, 0]]


def test_a_token_of_zeros_is_like_nothing():
    assert similarity_rows(torch.zeros(1, 4), torch.randn(3, 4)).tolist() == [[127, 127, 127]]


def test_the_tokens_of_largest_disagreement_first(rng):
    flow = torch.arange(12).repeat(2, 1)
    cosine = flow.clone()
    cosine[1, 4], cosine[1, 7] = 11, 0  # on a grid of 3 × 4: 3.2 and 3.2; token 7 sits at (1, 3), 0 at (0, 0)
    assert sorted(disagreeing(flow, cosine, (3, 4), [1], 2)[0].tolist()) == [4, 7]
    assert disagreeing(flow, cosine, (3, 4), [0, 1], 3).shape == (2, 3)


@pytest.fixture
def attention():
    torch.manual_seed(0)
    return Attention(query_dim=8, heads=2, dim_head=4).eval()


def test_queries_of_zero_look_everywhere_alike(attention):
    torch.nn.init.zeros_(attention.to_q.weight)
    entropy = attention_entropy(attention, torch.randn(5, 8), torch.randn(30, 8))
    assert torch.allclose(entropy, torch.full((5,), math.log(30)))


def test_a_sharp_attention_looks_at_one_token(attention):
    attention.scale = 1e4
    assert attention_entropy(attention, torch.randn(5, 8), torch.randn(30, 8)).max() < 1e-3


def test_entropy_is_that_of_the_modules_own_attention(attention):
    tokens, sequence = torch.randn(5, 8), torch.randn(30, 8)
    query = attention.head_to_batch_dim(attention.to_q(tokens)[None])
    key = attention.head_to_batch_dim(attention.to_k(sequence)[None])
    shares = attention.get_attention_scores(query, key)  # (heads, P, L)
    expected = torch.distributions.Categorical(probs=shares).entropy().mean(0)
    assert torch.allclose(attention_entropy(attention, tokens, sequence), expected, atol=1e-5)
