"""Methods and samplers as JSON, and back."""

import json
import math
from dataclasses import dataclass

import pytest

from zvr_core.errors import ZvrError
from zvr_core.matchers import ConfidenceFloor, TextureAware
from zvr_core.matching import FlowMatcher
from zvr_core.merging import KeyAndOwn
from zvr_core.methods.base import Method, PlugIn, Windows
from zvr_core.methods.describe import describe, rebuild
from zvr_core.methods.presets import BUILDERS, diffir2vr
from zvr_core.methods.token_merging import FlowMerging, TokenMerging
from zvr_core.sampler import SAMPLERS
from zvr_core.schedule import Constant


def through_json(value):
    return rebuild(json.loads(json.dumps(describe(value), allow_nan=False)))


@pytest.mark.parametrize("name", BUILDERS)
def test_every_named_method_comes_back_equal(name):
    method = BUILDERS[name](window=7)
    assert through_json(method) == method


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_comes_back_equal(name):
    assert through_json(SAMPLERS[name]) == SAMPLERS[name]


@pytest.mark.parametrize(
    "method",
    [
        diffir2vr(parity=True),
        diffir2vr(attend=KeyAndOwn(0.2), merge_ratio=(0.9, 0.1)),
        Method("mine", (TokenMerging(matcher=ConfidenceFloor(TextureAware(FlowMatcher("bilinear")))),)),
        Method("mine", (TokenMerging(matcher=ConfidenceFloor(FlowMatcher(), max_error=math.inf), ratio=Constant(0.5)),)),
    ],
)
def test_choices_deep_inside_come_back_equal(method):
    assert through_json(method) == method


def test_a_description_reads_like_the_value():
    description = describe(diffir2vr().plugins[1])
    assert description["type"] == "zvr_core.methods.latent_warping:LatentWarping"
    assert description["period"] == {"type": "zvr_core.schedule:Period", "start": 0.0, "end": 0.1}
    assert description["across"] is True


@dataclass(frozen=True)
class Mine(PlugIn):
    strength: float = 2.0


def test_plug_ins_from_elsewhere_are_described_but_not_rebuilt():
    description = describe(Method("mine", (Windows(3), Mine())))
    assert description["plugins"][1] == {"type": f"{__name__}:Mine", "strength": 2.0}
    with pytest.raises(ZvrError, match=r"cannot rebuild .*:Mine: only classes of zvr_core are; pass method=…"):
        rebuild(description)


def test_functions_are_named_but_not_rebuilt():
    description = json.loads(json.dumps(describe(FlowMerging(ratio=lambda i, s: 0.5))))
    with pytest.raises(ZvrError, match=r"cannot rebuild builtins:function.*pass method=…"):
        rebuild(description)


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ({"type": "zvr_core.methods.base:Gone"}, "this version of zvr_core has none"),
        ({"type": "zvr_core.nowhere:Gone"}, "this version of zvr_core has none"),
        ({"type": "zvr_core.methods.base:owner"}, "it is no value"),
        ({"type": "zvr_core.methods.base:Windows", "length": 3}, "recorded by another version"),
        ({"type": "zvr_core.evil.os:system"}, "this version of zvr_core has none"),
        ({"type": "os:system", "command": "true"}, "only classes of zvr_core are"),
        ({"name": "diffir2vr"}, "cannot rebuild None: only classes of zvr_core are"),
    ],
)
def test_what_is_no_value_of_this_version_is_refused(description, message):
    with pytest.raises(ZvrError, match=message):
        rebuild(description)
