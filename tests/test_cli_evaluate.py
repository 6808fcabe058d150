"""`zvr evaluate` from end to end, and every kind of bad input: one line, exit code 2."""

import csv
import json

import pytest

from zvr_core.cli import main
from zvr_core.evaluation.table import open_table
from zvr_core.media.writing import write_clip
from zvr_core.scenes import pan

FAST = ("--steps", "1", "--frames", "2", "--lpips", "nowhere")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips") / "small"
    write_clip(pan(size=(32, 48), count=2).clip(), folder, fps=10)
    return str(folder)


@pytest.fixture
def zvr(capsys, monkeypatch, tmp_path):
    """Runs the command in an empty folder: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            main(["evaluate", *map(str, arguments)])
        return end.value.code, *capsys.readouterr()

    return run


@pytest.fixture
def refused(zvr):
    """The one line of an error."""

    def run(*arguments):
        code, out, err = zvr(*arguments)
        lines = err.strip().splitlines()
        assert (code, out, len(lines)) == (2, "", 1), err
        return lines[0]

    return run


def test_a_table_is_written_and_printed_and_a_rerun_computes_nothing(zvr, clip, tmp_path):
    command = ("--clips", clip, "--methods", "shared_noise", "--seeds", "0-1", *FAST)
    code, out, err = zvr(*command, "-o", "t.md")
    assert code == 0, err
    assert out.strip() == (tmp_path / "t.md").read_text().strip()
    assert "| shared_noise |" in out and "| truth |" in out
    assert "LPIPS, LPIPS_inter: 4 cells: no alexnet" in out
    assert len(list((tmp_path / "t.md.results").glob("*.json"))) == 4
    code, again, err = zvr(*command, "-o", "t.json", "--results", "t.md.results")
    assert "4 are in t.md.results, 0 to compute" in err
    assert again == out
    assert open_table(tmp_path / "t.json").lines[-1].cells == 2
    assert len(json.loads((tmp_path / "t.json").read_text())["cells"]) == 4


def test_an_unreadable_clip_is_reported_and_the_others_are_computed(zvr, clip, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"no video" * 100)
    code, out, _ = zvr("--clips", clip, "broken.mp4", "--methods", "per_frame", *FAST, "-o", "t.csv")
    assert code == 0
    rows = list(csv.DictReader((tmp_path / "t.csv").open()))
    assert {row["results"] for row in rows if row["method"] == "per_frame"} == {"1"}
    assert any("broken.mp4" in row["why_absent"] for row in rows)
    assert "broken.mp4" in out


def test_a_table_of_the_paper_says_which_orderings_hold(zvr, clip):
    code, out, err = zvr("--table", "4", "--clips", clip, *FAST, "-o", "t.md")
    assert code == 0, err
    assert "# Table 4: unmerging" in out and "| averaging |" in out
    assert "Of 1 published orderings: 1 not computed." in out  # the paper orders these by LPIPS, whose weights are not there


def test_splits_choose_clips(zvr, clip, tmp_path):
    (tmp_path / "s.txt").write_text("development: small\nreport: other\n")
    code, out, err = zvr("--clips", clip, *FAST, "--methods", "per_frame", "-o", "t.md", "--splits", "s.txt", "--split", "development")
    assert code == 0, err
    assert "1 clips: small" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--methods", "difir2vr"), "unknown method 'difir2vr'; did you mean diffir2vr"),
        (("--table", "2"), "unknown table '2'; choose one of: 1, 2-left"),
        (("--seeds", "x"), "seeds 'x' given"),
        (("--degrade", "blurr=2"), "unknown degradation 'blurr'; did you mean blur"),
        (("--degrade", "blur=much"), "'blur=much' given"),
        (("--model", "embeded"), "unknown model 'embeded'"),
        (("--steps", "0"), "steps 0 given"),
        (("--frames", "-1"), "--frames -1 given"),
        (("--workers", "-1"), "--workers -1 given"),
        (("--split", "report"), "--splits"),
        (("--table", "1", "--degrade", "none"), "has no such step"),
        (("--device", "tpu"), "device 'tpu' is not available"),
        (("--results", "no/where"), "no/where"),
    ],
)
def test_wrong_options_are_one_line(refused, clip, tmp_path, arguments, words):
    assert words in refused("--clips", clip, "-o", "t.md", "--lpips", "nowhere", *arguments)
    assert sorted(tmp_path.iterdir()) == []


def test_wrong_clips_are_one_line(refused, clip):
    assert "no clips given" in refused("-o", "t.md")
    assert "did you mean small" in refused("--clips", clip.replace("small", "smal"), "-o", "t.md")
    assert "unknown clip 'nowhere/clip'" in refused("--clips", "nowhere/clip", "-o", "t.md")
    assert "unknown scene 'pann'; did you mean pan" in refused("--clips", "scene:pann", "-o", "t.md")


def test_outputs_that_cannot_be_written_are_one_line(refused, clip, tmp_path):
    (tmp_path / "t.md").write_text("precious")
    assert "table.md" in refused("--clips", clip, "-o", "t.docx")
    assert "no folder nowhere" in refused("--clips", clip, "-o", "nowhere/t.md")
    assert "--overwrite" in refused("--clips", clip, "-o", "t.md")
    assert (tmp_path / "t.md").read_text() == "precious"
