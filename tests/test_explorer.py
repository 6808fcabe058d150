"""The explorer's Python side: what it tells, what it answers, what a notebook keeps of it."""

from __future__ import annotations

import base64
import json

import pytest
from sample_trace import make_trace

from zvr_core.trace import open_trace
from zvr_core.trace.writer import TraceWriter
from zvr_viz.encode import decoded
from zvr_viz.explorer import Explorer, explore
from zvr_viz.module import ORDER, module_text, style_text
from zvr_viz.still import BUDGET, still

SITE = "up.1.0"


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    return open_trace(make_trace(tmp_path_factory.mktemp("explorer") / "pan", frames=3, steps=4, sites=(("up.1.0", 16),)))


class Heard(Explorer):
    """Keeps what would go to the front end."""

    def send(self, content, buffers=None):
        self.said = content, buffers or []


def test_the_text_is_stable(trace):
    assert repr(explore(trace)) == "Explorer of pan (diffir2vr, 4 steps, 3 frames)"
    assert repr(explore(trace, trace)).endswith("against pan (diffir2vr, 4 steps, 3 frames)")


def test_a_notebook_keeps_the_widget_a_picture_and_the_text(trace):
    data, about = explore(trace)._repr_mimebundle_()
    assert set(data) == {"text/plain", "application/vnd.jupyter.widget-view+json", "image/png"}
    assert len(base64.b64decode(data["image/png"])) <= BUDGET
    assert about["image/png"]["alt"] == data["text/plain"]


def test_the_still_shows_the_steps_and_the_matches(trace):
    picture = decoded(still([trace], {"step": 1, "site": SITE, "frame": 0}))
    assert picture.shape[1] >= 800 and picture.shape[0] > 300
    assert picture.std() > 20
    assert (still([trace], {"frame": 0}) != still([trace], {"frame": 2})) and still([trace], {}) == still([trace], {})


def test_the_still_of_a_run_without_steps_says_so(tmp_path):
    empty = open_trace(make_trace(tmp_path / "empty", frames=2, steps=3, sites=(("up.1.0", 16),), stop_after=0))
    assert decoded(still([empty], {})).shape[0] >= 60


def test_state_and_settings_reach_the_view(trace):
    viewer = explore(trace, step=3, site=SITE)
    assert viewer.state == {"step": 3, "site": SITE}
    assert viewer.index[0][0] == "0/preview/3/0"
    json.dumps(viewer.head, allow_nan=False)


def test_what_is_asked_for_is_answered_and_what_is_not_there_is_explained(trace):
    viewer = Heard(trace)
    viewer.answer({"kind": "fetch", "id": "a:1", "keys": ["0/preview/0/1", "0/preview/9/0", "0/curve/nowhere/4"]})
    content, buffers = viewer.said
    assert content["id"] == "a:1" and content["keys"] == ["0/preview/0/1"]
    assert buffers == [trace.preview_jpeg(0, 1)]
    assert "step 9" in content["missing"]["0/preview/9/0"] and "unknown site" in content["missing"]["0/curve/nowhere/4"]


def test_a_failure_nobody_thought_of_is_an_answer_too(trace):
    viewer = Heard(trace)
    viewer.answer({"kind": "fetch", "id": "a:1", "keys": ["0/preview/one/1"]})
    assert "ValueError" in viewer.said[0]["missing"]["0/preview/one/1"]


def test_the_rest_comes_bit_by_bit_until_the_budget_is_used_up(trace):
    viewer = Heard(trace, budget=30_000)
    loaded = {name for name, _ in viewer.index}
    size = len(viewer.pack)
    for _ in range(500):
        viewer.answer({"kind": "more", "id": "a:1"})
        content, buffers = viewer.said
        if not content["more"]:
            break
        assert not loaded & set(content["keys"])
        loaded |= set(content["keys"])
        size += sum(map(len, buffers))
    assert 20_000 < size <= 30_000


def test_without_a_budget_everything_is_asked_for(trace):
    viewer = Heard(trace, budget=0)
    assert viewer.index == [] and viewer.pack == b""
    assert "0 MB" in viewer.head["help"]


def test_other_recordings_can_be_shown_in_the_same_view(trace):
    viewer = explore(trace)
    viewer.show(trace, trace)
    assert viewer.head["epoch"] == "1/0/0" and [len(place) for place in viewer.head["axis"]] == [2] * 4


def test_new_steps_appear_on_refresh(tmp_path):
    path = tmp_path / "growing"
    make_trace(path, frames=2, steps=3, sites=(("up.1.0", 16),), stop_after=1)
    viewer = explore(open_trace(path))
    assert viewer.head["axis"] == [[0]]
    viewer.traces = (open_trace(make_trace(tmp_path / "later", frames=2, steps=3, sites=(("up.1.0", 16),), stop_after=2)),)
    viewer.refresh()
    assert viewer.head["axis"] == [[0], [1]] and viewer.head["epoch"] == "0/0"


def test_after_a_rewind_nothing_old_is_shown(tmp_path):
    path = make_trace(tmp_path / "rewound", frames=2, steps=3, sites=(("up.1.0", 16),))
    viewer = explore(open_trace(path))
    assert any("/preview/2/" in name for name, _ in viewer.index)
    with TraceWriter.reopen(path) as writer:
        writer.truncate(1)
    viewer.refresh()
    assert viewer.head["axis"] == [[0]] and viewer.head["epoch"] == "0/1"
    assert not any("/preview/2/" in name for name, _ in viewer.index)


def test_orders_reach_whoever_drives_a_run(trace):
    orders = []

    class Driven(Explorer):
        def act(self, order):
            orders.append(order)

    Driven(trace).answer({"kind": "live", "action": "step", "step": 0})
    assert orders == [{"kind": "live", "action": "step", "step": 0}]
    assert explore(trace).live == {}


def test_the_module_is_one_text_that_needs_nothing_else():
    module = module_text()
    assert module.count("export default") == 1 and "import " not in module.replace("import(", "")
    assert "</script" not in module.lower() and "http" not in module and "http" not in style_text()
    assert len(ORDER) == len(set(ORDER))
