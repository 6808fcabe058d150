"""A trace in words: short and stable in a terminal, folding out in a notebook without script, and safe to show."""

from dataclasses import replace
from html.parser import HTMLParser

import pytest
from plain_trace import plain_header, put_clip, put_step, write
from zarr.storage import MemoryStore

from zvr_core.trace import Trace, open_trace
from zvr_core.trace.writer import TraceWriter

VOID = {"meta", "br"}


class Tags(HTMLParser):
    """Checks that tags are closed in order, and keeps them and the text."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.text = [], [], ""

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.seen.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    return open_trace(write(tmp_path_factory.mktemp("deep") / "run.zarr"))


def parsed(trace):
    tags = Tags()
    tags.feed(trace._repr_html_())
    assert not tags.open
    return tags


def test_a_terminal_gets_one_stable_line(trace):
    assert repr(trace) == "Trace('run.zarr': plain, 3 frames of 40×24, plain, 4 steps, 3 sites, flow · cosine)"


def test_an_unfinished_run_says_how_far_it_is():
    writer = TraceWriter(store := MemoryStore(), plain_header(sites=(), matchers=()))
    put_clip(writer)
    writer.flush()
    assert repr(Trace(store)) == "Trace('memory': plain, 3 frames of 40×24, plain, 0 of 4 steps, 0 sites, no matches)"
    assert "being written or cut off" in parsed(Trace(store)).text
    writer.close()


def test_a_notebook_gets_fold_outs_without_script(trace):
    tags = parsed(trace)
    assert tags.seen.count("details") == 4 and "script" not in tags.seen
    for words in ("run.zarr", "all 4 steps", "up.0.0", "grids/3x5/cosine_target", "step, site, frame, token", "4×2×3×15"):
        assert words in tags.text


def test_the_html_knows_nothing_of_this_machine(trace):
    html = trace._repr_html_()
    assert "/tmp" not in html and "deep" not in html and html == open_trace(trace.path)._repr_html_()


def test_names_are_escaped():
    bad = "<img src=x onerror=alert(1)>"
    header = plain_header(name=bad, method_name=bad, model={"name": bad}, method={bad: bad})
    header = replace(header, sites=tuple(replace(site, name=f"{bad}{number}") for number, site in enumerate(header.sites)))
    TraceWriter(store := MemoryStore(), header).close()
    tags = parsed(Trace(store))
    assert "img" not in tags.seen and bad in tags.text


def test_a_run_of_one_step_and_one_site_is_counted_in_the_singular():
    header = plain_header(steps=1, sites=plain_header().sites[:1])
    with TraceWriter(store := MemoryStore(), header) as writer:
        put_step(writer, 0)
        writer.commit(0)
    assert "1 step, 1 site," in repr(Trace(store))
