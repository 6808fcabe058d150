"""The explorer as one HTML file, opened from disk as a reader opens it: it draws, listens to the keys, and asks nobody."""

from __future__ import annotations

import pytest
from harness import PAIR, Stamped, grey, shown, stamp
from sample_trace import make_trace

from zvr_viz.export import save_html


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    trace = Stamped(make_trace(folder / "pan", frames=3, steps=6, sites=(("down.0.0", 16), ("up.1.0", 16))))
    save_html(trace, folder / "page.html", show=[], step=2, frame=0)
    return (folder / "page.html").as_uri()


def test_keys_step_through_the_file_at_once(page, saved):
    page.goto(saved)
    shown(page, 2)
    assert grey(page, PAIR, 0.25, 0.25) == pytest.approx(stamp(2, 0), abs=4)
    page.keyboard.press("ArrowRight")  # no click and no Tab before
    shown(page, 3)
    assert grey(page, PAIR, 0.25, 0.25) == pytest.approx(stamp(3, 0), abs=4)
    page.keyboard.press("Home")
    shown(page, 0)


def test_a_file_that_is_embedded_leaves_the_keys_to_the_page_around_it(page, saved, tmp_path):
    (tmp_path / "slides.html").write_text(f'<!doctype html><button autofocus>next slide</button><iframe src="{saved}"></iframe>')
    page.goto((tmp_path / "slides.html").as_uri())
    inner = page.frame_locator("iframe").locator(".zvr[data-step='2']")
    inner.wait_for()
    assert not inner.evaluate("element => element.ownerDocument.hasFocus()")


def test_it_asks_nobody(page, saved):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(saved)
    shown(page, 2)
    assert [url for url in asked if not url.startswith(("blob:", "data:"))] == [saved]
