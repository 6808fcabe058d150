"""What the explorer gets: a description, and parts as bytes in the order in which they are likely to be looked at."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from sample_trace import make_trace

from zvr_core.errors import ZvrError
from zvr_core.trace import open_trace
from zvr_viz.encode import decoded
from zvr_viz.parts import coarse, part
from zvr_viz.payload import first_view, head, labels, load, order, preload, step_axis
from zvr_viz.quality import quality

SITE = "up.1.0"


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    return open_trace(make_trace(tmp_path_factory.mktemp("payload") / "pan", frames=3, steps=4, sites=(("up.1.0", 16), ("mid.0", 32))))


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    path = tmp_path_factory.mktemp("payload") / "pan"
    return open_trace(make_trace(path, frames=3, steps=2, sites=(("up.1.0", 16),), method_name="per_frame"))


def names(traces, view=None):
    return list(order(traces, step_axis(traces), view or first_view(traces[0])))


def test_the_description_is_small_json(trace):
    text = json.dumps(head([trace], step_axis([trace])), allow_nan=False)
    assert len(text) < 5000
    about = json.loads(text)["runs"][0]
    place = {"name": SITE, "stage": "up", "grid": [6, 8], "cell": 16, "own": "cosine_spatial", "wide": False, "most": 2.0}
    assert about["sites"][0] == place
    assert about["key"] == [int(key) for key in trace.key] and about["missing"] == {}


def test_matches_come_back_as_they_were(trace):
    data = part(trace, f"match/2/{SITE}/0")
    n = trace.site(SITE).tokens
    assert len(data) == 12 * n  # 3 × 2 bytes of tokens, 6 bytes of numbers
    cosine, spatial, provider = np.frombuffer(data, np.uint16, 3 * n).reshape(3, n)
    score, margin, *_, offset, merged = np.frombuffer(data, np.uint8, offset=6 * n).reshape(6, n)
    assert (cosine == trace.target(2, SITE, 0, "cosine")).all() and (spatial == trace.target(2, SITE, 0, "cosine_spatial")).all()
    assert (provider + n * offset.view(np.int8).astype(int) == trace.provider(2, SITE, 0)).all()
    np.testing.assert_allclose(score / 127 - 1, trace.score(2, SITE, 0, "cosine"), atol=0.005)
    np.testing.assert_allclose(margin / 254 * 0.5, trace.margin(2, SITE, 0, "cosine"), atol=0.002)
    assert (merged == trace.merged(2, SITE, 0)).all()


def test_scores_of_the_key_frame_are_missing(trace):
    n, key = trace.site(SITE).tokens, int(trace.key[0])
    assert set(np.frombuffer(part(trace, f"match/2/{SITE}/{key}"), np.uint8, n, 6 * n)) == {255}


def test_flow_and_truth_come_back_as_they_were(trace):
    data, n = part(trace, f"flow/{SITE}/0"), trace.site(SITE).tokens
    target, truth = np.frombuffer(data, np.uint16, offset=4 * n).reshape(2, n).astype(int)
    assert (np.frombuffer(data, np.float32, n) == trace.score(0, SITE, 0, "flow")).all()
    assert (target == trace.target(0, SITE, 0, "flow")).all()
    assert (np.where(truth == 65535, -1, truth) == trace.true_target(SITE, 0)).all()


def test_similarity_rows_come_back_as_they_were(trace):
    data = part(trace, f"rows/1/{SITE}/0")
    tokens, cosines = trace.similarity(1, SITE, 0)
    assert np.frombuffer(data, np.int32, len(tokens) + 1).tolist() == [*tokens, -1]
    found = np.frombuffer(data, np.uint8, offset=4 * (len(tokens) + 1)).reshape(cosines.shape)
    np.testing.assert_allclose(found / 127 - 1, cosines, atol=1e-6)


@pytest.mark.parametrize("kind", ["match", "rows"])
def test_coarse_numbers_change_little_and_tokens_not_at_all(trace, kind):
    fine = np.frombuffer(part(trace, f"{kind}/1/{SITE}/0"), np.uint8)
    rough = np.frombuffer(coarse(trace, f"{kind}/1/{SITE}/0", fine.tobytes()), np.uint8)
    n, probes = trace.site(SITE).tokens, len(trace.similarity(1, SITE, 0)[0])
    exact = np.ones(len(fine), bool)
    exact[slice(6 * n, 10 * n) if kind == "match" else slice(4 * (probes + 1), None)] = False
    assert (rough[exact] == fine[exact]).all() and (fine[~exact] - rough[~exact] < 4).all() and (rough != fine).any()
    assert ((rough == 255) == (fine == 255)).all()


def test_pictures_are_jpeg_of_one_size(trace):
    sizes = {decoded(part(trace, key)).shape for key in ("preview/0/0", "truth/0", "restored/0")}
    assert sizes == {(48, 64, 3)}
    assert decoded(part(trace, "lq/0")).shape == (48, 64, 3)


def test_the_quality_of_exact_matches_is_one(trace):
    found = quality(trace, 3, SITE)
    assert found["right"]["flow"] == 1.0
    assert found["agree"]["cosine"] == pytest.approx(found["right"]["cosine"], abs=0.1)
    assert quality(trace, 0, SITE)["agree"]["cosine"] < found["agree"]["cosine"] < 1
    assert found["ratio"] == pytest.approx(trace.ratio(3, SITE)) and found["merged"] == trace.merged_count(3, SITE)


def test_the_view_comes_first_and_everything_comes_once(trace):
    view = first_view(trace)
    found = names([trace])
    assert found[:3] == [f"0/preview/{view['step']}/0", f"0/match/{view['step']}/{SITE}/0", f"0/rows/{view['step']}/{SITE}/0"]
    assert len(found) == len(set(found))
    assert len(found) == 4 * 3 * (1 + 2 * 2) + 3 * 3 + 2 * 3 + 2  # steps × frames × (preview, 2 sites × 2), stills, flows, curves


def test_preloading_stops_at_the_budget_and_goes_on_from_there(trace):
    coming = order([trace], step_axis([trace]), first_view(trace))
    first = preload([trace], coming, 20_000)
    assert 0 < len(first.pack) <= 20_000 and len(first.pack) == sum(length for _, length in first.index)
    rest = preload([trace], coming)
    everything = preload([trace], iter(names([trace])))
    assert len(first.index) + len(rest.index) in (len(everything.index), len(everything.index) - 1)  # the one that did not fit is left
    assert preload([trace], iter(names([trace])), 0).index == []


def test_preloading_stops_when_time_is_up(trace):
    assert len(preload([trace], iter(names([trace])), seconds=0).index) == 1


def test_two_runs_share_an_axis_and_are_told_apart(trace, short):
    assert step_axis([trace, short]) == trace.compare(short)
    assert labels([trace, short]) == ["diffir2vr", "per_frame"]
    assert labels([trace, trace]) == ["run A", "run B"]
    assert f"1/match/{step_axis([trace, short])[0][1]}/{SITE}/0" in names([trace, short])


def test_two_sites_of_a_run_without_steps_are_described(tmp_path):
    trace = open_trace(make_trace(tmp_path / "empty", frames=2, steps=3, sites=(("up.1.0", 16),), stop_after=0))
    about = head([trace], step_axis([trace]))
    assert about["axis"] == [] and about["runs"][0]["missing"]["steps"] == "no step of this run is complete yet"
    assert all("/preview/" not in name for name in names([trace]))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("0/preview/9/0", "step 9"),
        ("0/match/0/up.9.0/0", "did you mean"),
        ("0/nothing/0", "known kinds"),
        ("2/preview/0/0", "there are 1 runs"),
    ],
)
def test_what_does_not_exist_is_said(trace, name, words):
    with pytest.raises(ZvrError, match=words):
        load([trace], name)


def test_neither_torch_nor_a_notebook_is_needed():
    code = "import sys, zvr_viz.export; print([m for m in ('torch', 'diffusers', 'IPython', 'matplotlib') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
