"""Means, two spreads, paired differences and verdicts, in closed form; and that a table survives being saved."""

import csv
import io
import math
import statistics

import pytest
import torch
from scipy import stats

from zvr_core.errors import ZvrError
from zvr_core.evaluation.control_curve import WEIGHTS, control_at, trace_curve
from zvr_core.evaluation.orderings import FAILS, HOLDS, SINGLE, UNKNOWN, WITHIN, interval, judge, orderings
from zvr_core.evaluation.table import Absent, Record, Stat, Table, build_lines, open_table, save_json
from zvr_core.evaluation.text import as_csv, as_markdown
from zvr_core.metrics import match_sharpness, motions, profile_flicker, sharpness, warping_error
from zvr_core.scenes import pan

D = "blur=1"


def record(method, clip="a", seed=0, warping=4.0, control=5.0, **values):
    return Record(clip, D, method, seed, {"warping": warping, "sharpness": 0.5, **values}, {"warping": control})


@pytest.fixture
def table():
    """Two clips and two seeds; the method is 1 below per frame on clip a, and 3 below on b."""
    records = [
        record(method, clip, seed, warping=level + seed - less)
        for clip, level, down in (("a", 4.0, 1.0), ("b", 8.0, 3.0))
        for seed in (0, 1)
        for method, less in (("per_frame", 0.0), ("new", down))
    ]
    lines = build_lines(records, {(D, "per_frame"): 4, (D, "new"): 5})
    verdicts = judge({D: {"new": {"warping": 1.0}, "per_frame": {"warping": 2.0}}}, records)
    return Table("Title", ("about",), lines, {D: {"weight": [0.0, 1.0], "sharpness": [0.1, 0.5]}}, (Absent("x", 1, "why | not"),), verdicts)


def test_the_mean_is_over_clips_not_over_results():
    assert Stat.of([("a", 1.0), ("a", 3.0), ("b", 8.0)]).mean == 5


def test_spreads_over_seeds_and_over_clips_are_two_numbers():
    stat = Stat.of([("a", 1.0), ("a", 3.0), ("b", 10.0), ("b", 12.0)])
    assert stat.over_seeds == pytest.approx(math.sqrt(2))
    assert stat.over_clips == pytest.approx(statistics.stdev([2, 11]))
    assert (stat.clips, stat.count) == (2, 4)


def test_one_result_has_no_spread():
    stat = Stat.of([("a", 1.0)])
    assert math.isnan(stat.over_seeds) and math.isnan(stat.over_clips)


def test_differences_are_paired_by_clip_and_seed(table):
    delta = table.lines[1].deltas["warping"]
    assert delta.mean == -2
    assert delta.over_seeds == 0  # clips differ, and seeds, but not the difference between seeds
    assert table.lines[0].deltas == {}


def test_beyond_blur_is_a_percentage_of_the_control():
    line = build_lines([record("per_frame"), record("new", warping=4.0, control=5.0)], {(D, "per_frame"): 1, (D, "new"): 1})[1]
    assert line.beyond["warping"].mean == pytest.approx(-20)


def test_what_was_not_measured_is_not_in_the_table(table):
    assert "psnr" not in table.measures
    assert "psnr" not in as_csv(table)


def test_references_come_first_and_only_where_there_are_any():
    records = [record("per_frame"), record("truth"), record("bicubic")]
    assert [line.method for line in build_lines(records, {(D, "per_frame"): 1})] == ["bicubic", "truth", "per_frame"]


def test_a_method_that_always_failed_has_a_line_without_numbers():
    line = build_lines([record("per_frame")], {(D, "per_frame"): 1, (D, "new"): 3})[1]
    assert (line.cells, line.wanted, line.values) == (0, 3, {})


def test_a_table_survives_being_saved(table, tmp_path):
    (tmp_path / "t.json").write_text(save_json(table))
    again = open_table(tmp_path / "t.json")
    assert again.lines == table.lines
    assert again.verdicts[0].word == table.verdicts[0].word
    assert as_markdown(again) == as_markdown(table)


def test_other_files_are_no_tables(tmp_path):
    for text in ("[]", "{}", "no json", '{"table": {"lines": 3}}'):
        (tmp_path / "t.json").write_text(text)
        with pytest.raises(ZvrError, match="is no table that zvr evaluate wrote"):
            open_table(tmp_path / "t.json")


def test_markdown_has_as_many_cells_in_each_row(table):
    for block in as_markdown(table).split("\n\n"):
        rows = [line.replace("\\|", "") for line in block.splitlines() if line.startswith("|")]
        assert len({row.count("|") for row in rows}) <= 1


def test_markdown_says_counts_spreads_and_reasons(table):
    text = as_markdown(table)
    assert "4 of 5" in text
    assert "8.00" not in text and "6.50 (0.71; 2.83)" in text
    assert "- x: 1 cell: why | not" in text


def test_csv_has_a_row_a_measure_and_a_row_a_reason(table):
    rows = list(csv.DictReader(io.StringIO(as_csv(table))))
    new = next(row for row in rows if row["method"] == "new" and row["measure"] == "warping")
    assert (float(new["mean"]), float(new["minus_per_frame"]), new["results"], new["wanted"]) == (4.5, -2, "4", "5")
    assert rows[-1]["why_absent"] == "why | not"


# ── the control curve ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def control():
    """Samples, their mean, the motion, and the curve of both."""
    mean = pan(size=(64, 96), count=3).clip() * 0.6 + 0.2
    noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(0))
    sample, motion = mean + 0.05 * noise, list(motions(mean))

    def measure(frames):
        return {
            "sharpness": float(sharpness(frames).mean()),
            "warping": warping_error(frames, motion).value,
            "flicker": profile_flicker(frames),
        }

    return sample, mean, motion, trace_curve(sample, mean, measure)


@pytest.mark.parametrize("weight", [0.05, 0.3, 0.61, 0.97])
def test_the_curve_gives_what_matching_the_sharpness_gives(control, weight):
    sample, mean, motion, curve = control
    target = float(sharpness(torch.lerp(mean, sample, weight)).mean())
    exact = match_sharpness(sample, mean, target)
    values, mark = control_at(curve, target)
    assert mark == exact.mark == ""
    assert values["warping"] == pytest.approx(warping_error(exact.frames, motion).value, rel=5e-3, abs=2e-3)  # 8 bits
    assert values["flicker"] == pytest.approx(profile_flicker(exact.frames), rel=5e-3)


def test_sharper_than_per_frame_is_compared_with_per_frame_and_marked(control):
    *_, curve = control
    values, mark = control_at(curve, 2 * curve["sharpness"][-1])
    assert mark == "> 1"
    assert values["warping"] == curve["warping"][-1]


def test_more_blurred_than_every_mixture_has_no_control(control):
    *_, curve = control
    assert control_at(curve, 0.5 * curve["sharpness"][0]) == ({}, "< 0")


def test_per_frame_is_its_own_control(control):
    *_, curve = control
    assert WEIGHTS[-1] == 1
    assert control_at(curve, curve["sharpness"][-1])[0]["warping"] == pytest.approx(curve["warping"][-1])


# ── orderings ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_orderings_name_the_better_method_first():
    numbers = {"a": {"psnr": 20.0, "lpips": 0.1}, "b": {"psnr": 21.0, "lpips": 0.2}}
    assert sorted(orderings(numbers)) == [("lpips", "a", "b"), ("psnr", "b", "a")]


def test_equal_published_numbers_are_no_ordering():
    assert list(orderings({"a": {"ssim": 0.649}, "b": {"ssim": 0.649}})) == []


def test_all_pairs_are_ordered():
    assert len(list(orderings({name: {"lpips": i} for i, name in enumerate("abcd")}))) == 6


def test_the_interval_is_students():
    sample = [1.0, 2.0, 4.0, 7.0]
    low, high = stats.t.interval(0.95, 3, statistics.fmean(sample), stats.sem(sample))
    assert interval(sample) == pytest.approx(((low + high) / 2, (high - low) / 2))


@pytest.mark.parametrize(
    ("differences", "word"),
    [([-1.0, -1.1, -0.9], HOLDS), ([1.0, 1.1, 0.9], FAILS), ([-1.0, 1.1, 0.2], WITHIN), ([-1.0], SINGLE), ([], UNKNOWN)],
)
def test_words_follow_from_differences_over_clips(differences, word):
    records = [record("b", clip, warping=5.0) for clip in "xyz"] + [
        record("a", clip, warping=5.0 + d) for clip, d in zip("xyz", differences, strict=False)
    ]
    (verdict,) = judge({D: {"a": {"warping": 1.0}, "b": {"warping": 2.0}}}, records)
    assert verdict.word == word


def test_one_clip_is_judged_over_its_seeds():
    records = [record(m, "x", seed, warping=5.0 - (m == "a") + 0.01 * seed * (m == "a")) for m in "ab" for seed in range(3)]
    assert judge({D: {"a": {"warping": 1.0}, "b": {"warping": 2.0}}}, records)[0].word == HOLDS


def test_blur_alone_does_not_hold_at_equal_sharpness():
    """The method is steadier, but only as much as its control: raw the ordering holds, at equal sharpness nothing is left."""
    records = []
    for i, clip in enumerate("xyz"):
        records.append(record("a", clip, warping=4.0 + 0.01 * i, control=4.0))
        records.append(record("b", clip, warping=5.0, control=5.0 - 0.012 * i))
    (verdict,) = judge({D: {"a": {"warping": 1.0}, "b": {"warping": 2.0}}}, records)
    assert (verdict.word, verdict.at_equal_sharpness) == (HOLDS, WITHIN)


def test_measures_that_blur_does_not_lower_have_no_second_verdict():
    (verdict,) = judge({D: {"a": {"psnr": 2.0}, "b": {"psnr": 1.0}}}, [])
    assert verdict.at_equal_sharpness == ""
