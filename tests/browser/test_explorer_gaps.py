"""Whatever a trace lacks, the explorer says what it is and how to record it; nothing is blank, nothing complains."""

from __future__ import annotations

import pytest
from gaps import GAPS
from harness import Stamped, Wired, open_widget

from zvr_core.trace import open_trace


@pytest.mark.parametrize("gap", GAPS)
def test_what_is_missing_is_said(page, tmp_path, gap):
    make, words = GAPS[gap]
    open_widget(page, Wired(open_trace(make(tmp_path / "trace")), step=1))
    page.wait_for_selector(".zvr[data-step]")
    page.wait_for_function("words => document.querySelector('.zvr').innerText.includes(words)", arg=words)
    for key in ("ArrowRight", "ArrowDown", ".", "m", "p", " ", " ", "]", "End"):
        page.keyboard.press(key)
    page.wait_for_timeout(200)
    for sheet in page.locator(".zvr-sheet").all():
        assert sheet.bounding_box()["height"] >= 1


def test_a_picture_that_cannot_be_decoded_is_said(page, tmp_path):
    class Broken(Stamped):
        def preview_jpeg(self, step, frame):
            return b"no picture"

    open_widget(page, Wired(Broken(GAPS["one step"][0](tmp_path / "trace"))))
    page.wait_for_function("document.querySelector('.zvr').innerText.includes('cannot be decoded')")
