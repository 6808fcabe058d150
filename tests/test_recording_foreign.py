"""The matches a method does not use: as measured by the matchers themselves."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from zvr_core.attention import Site
from zvr_core.matching import CosineMatcher, FlowMatcher
from zvr_core.methods.base import Method
from zvr_core.methods.presets import diffir2vr, per_frame
from zvr_core.methods.token_merging import CosineMerging, OutputRadius
from zvr_core.recording.foreign import MeasuredCosine, own_matcher, recorded_matcher
from zvr_core.ring_search import SpatialCosineMatcher


def site(stage="up", cell=8):
    return Site(f"{stage}.1.0", "path", stage, (4, 6), (4, 6), cell, 8, 1)


def no_flow():
    raise AssertionError("cosine looks at no flow")


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3), st.integers(1, 14), st.integers(1, 14), st.integers(0, 99))
def test_the_faster_search_finds_the_same(frames, h, w, seed):
    rng = torch.Generator().manual_seed(seed)
    tokens, key = torch.randn(frames, h * w, 5, generator=rng), seed % frames
    fast, slow = (m.match(tokens, (h, w), key, no_flow) for m in (MeasuredCosine(), CosineMatcher(measure=True)))
    assert torch.equal(fast.target, slow.target)
    for name in ("score", "margin"):
        assert torch.allclose(getattr(fast, name), getattr(slow, name), atol=1e-6), name


def test_the_margin_of_a_token_that_occurs_twice_is_zero():
    tokens = torch.eye(12).repeat(2, 1, 1)
    tokens[1, 11] = tokens[1, 0]  # in the key frame, far from each other on a grid of 3 × 4
    matches = MeasuredCosine().match(tokens, (3, 4), 1, no_flow)
    assert (matches.target[0, 0], matches.margin[0, 0], matches.margin[0, 1]) == (0, 0, 1)


def test_the_published_rule_is_recorded_with_the_methods_own_radius():
    method = Method("wide", (CosineMerging(radius=OutputRadius(64.0)),))
    assert recorded_matcher("cosine_spatial", site(), method) == SpatialCosineMatcher(8, measure=True)
    assert recorded_matcher("cosine_spatial", site(), per_frame()) == SpatialCosineMatcher(3, measure=True)


def test_flow_is_rounded_as_the_method_does():
    assert recorded_matcher("flow", site(), diffir2vr(parity=True)) == FlowMatcher("truncate")
    assert recorded_matcher("flow", site(), per_frame()) == FlowMatcher()


@pytest.mark.parametrize(
    ("place", "expected"), [(site("down"), ["flow"]), (site("up"), ["cosine_spatial"]), (site("mid"), []), (site("up", 32), [])]
)
def test_what_diffir2vr_merges_by(place, expected):
    assert [matcher.name for matcher in own_matcher(diffir2vr(), place)] == expected
