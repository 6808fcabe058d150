"""One HTML file: complete, small, safe, and honest about what was left out."""

from __future__ import annotations

import base64
import json
import re
import zlib

import numpy as np
import pytest
from sample_trace import make_trace

from zvr_core.cli import main
from zvr_core.errors import ZvrError
from zvr_core.trace import open_trace
from zvr_viz.export import THINNINGS, Thinning, folded, inline, save_html
from zvr_viz.payload import load

SITE = "up.1.0"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    name = "<script>alert(1)</script>"
    return make_trace(tmp_path_factory.mktemp("export") / "pan", frames=3, steps=6, sites=(("up.1.0", 16),), name=name)


@pytest.fixture(scope="module")
def trace(path):
    return open_trace(path)


def contents(file):
    """What a file holds: the description, and the parts by name."""
    text = file.read_text()
    given = json.loads(re.search(r'id="head">(.*?)</script>', text, re.S)[1])
    pack = zlib.decompress(base64.b64decode(re.search(r'id="pack">(.*?)</script>', text, re.S)[1]))
    parts, before, place = {}, np.zeros(0, np.uint8), 0
    for name, length in given["index"]:
        now = np.frombuffer(pack, np.uint8, length, place)
        before = now ^ before if len(before) == length else now
        parts[name], place = before.tobytes(), place + length
    return given, parts


def test_a_small_recording_is_kept_whole(trace, tmp_path):
    assert save_html(trace, tmp_path / "page.html") == ""
    given, parts = contents(tmp_path / "page.html")
    assert given["head"]["axis"] == [[step] for step in range(6)] and not given["head"]["kernel"]
    for name in ("0/preview/5/2", f"0/match/3/{SITE}/1", f"0/rows/0/{SITE}/2", f"0/flow/{SITE}/0", f"0/curve/{SITE}/6", "0/truth/1"):
        assert parts[name] == load([trace], name)


@pytest.mark.parametrize("budget", [400_000, 150_000, 120_000])
def test_a_file_fits_its_budget_and_says_what_was_thinned(trace, tmp_path, budget):
    said = save_html(trace, tmp_path / "page.html", budget=budget)
    assert (tmp_path / "page.html").stat().st_size <= budget
    assert contents(tmp_path / "page.html")[0]["head"]["note"] == (f"thinned to fit: {said}" if said else "")


def test_a_budget_that_nothing_fits_is_refused_and_nothing_is_written(trace, tmp_path):
    with pytest.raises(ZvrError, match=r"a budget of 1000 bytes given, .* are needed at least"):
        save_html(trace, tmp_path / "page.html", budget=1000)
    assert list(tmp_path.iterdir()) == []


def test_thinning_says_in_words_what_it_does():
    assert Thinning().words() == ""
    said = "every 3rd step, similarity rows of every 2nd frame, pictures at quality 60, at most 320 pixels, scores in steps of 0.03"
    assert Thinning(3, 2, 60, 320, True).words() == said
    assert Thinning(rows=-1).words() == "no similarity rows"
    assert len({thinning.words() for thinning in THINNINGS}) == len(THINNINGS)


def test_thinning_keeps_the_rows_that_are_seen_first():
    view = {"frame": 1, "site": SITE}
    kept = [[f for f in range(4) if Thinning(rows=rows).keeps(f"0/rows/2/{SITE}/{f}", view)] for rows in (1, 2, 0, -1)]
    assert kept == [[0, 1, 2, 3], [1, 3], [1], []]
    assert not Thinning(rows=0).keeps("0/rows/2/down.0.0/1", view)
    assert Thinning(rows=-1).keeps("0/preview/2/1", view)


def test_a_thinned_axis_keeps_first_and_last(trace, tmp_path, monkeypatch):
    monkeypatch.setattr("zvr_viz.export.THINNINGS", (Thinning(steps=2),))
    save_html(trace, tmp_path / "page.html")
    given, parts = contents(tmp_path / "page.html")
    assert given["head"]["axis"][0] == [0] and given["head"]["axis"][-1] == [5] and len(given["head"]["axis"]) == 3
    assert {name.split("/")[2] for name in parts if "/preview/" in name} == {str(step) for (step,) in given["head"]["axis"]}


def test_names_cannot_become_markup(trace, tmp_path):
    save_html(trace, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert "<script>alert" not in text and "&lt;script&gt;alert" in text
    assert contents(tmp_path / "page.html")[0]["head"]["runs"][0]["name"] == "<script>alert(1)</script>"


def test_json_inside_a_script_is_harmless():
    value = {"a": "</script><!--\u2028", "b": [1.5, None]}
    assert "<" not in inline(value) and json.loads(inline(value)) == value


def test_nothing_comes_from_outside(trace, tmp_path):
    save_html(trace, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert "default-src 'none'" in text
    assert not re.search(r"https?://", text)


def test_folding_can_be_undone():
    parts = [b"abcd", b"abce", b"xyz", b"", b"xyz"]
    data = folded(parts)
    assert data[:4] == b"abcd" and data[4:7] == b"\0\0\0" and data[8:11] == b"xyz" and data[11:] == b"xyz"


def test_the_command_writes_a_file_beside_the_trace(path, capsys):
    with pytest.raises(SystemExit) as done:
        main(["html", str(path)])
    assert done.value.code == 0
    assert path.with_suffix(".html").stat().st_size > 50_000
    assert str(path.with_suffix(".html")) in capsys.readouterr().out
    with pytest.raises(SystemExit) as again:
        main(["html", str(path)])
    assert again.value.code == 2 and "--overwrite" in capsys.readouterr().err


def test_the_command_says_what_is_wrong_in_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit) as done:
        main(["html", str(tmp_path / "nothing"), "-o", str(tmp_path / "x.html")])
    assert done.value.code == 2 and capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "x.html").exists()
