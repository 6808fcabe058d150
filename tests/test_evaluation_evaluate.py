"""Cells, their keys, and a sweep that computes nothing twice; with the embedded model on tiny clips."""

import json
from dataclasses import replace

import pytest
import torch

from zvr_core.compare import measure, posterior_mean, restored
from zvr_core.errors import ZvrError
from zvr_core.evaluation.cell import Cell, Outcome, Settings, compute, load_source
from zvr_core.evaluation.choices import of_split, parse_seeds
from zvr_core.evaluation.control_curve import control_at
from zvr_core.evaluation.evaluate import ResultsFolder, attempt, here, plan, sweep
from zvr_core.evaluation.paper_tables import PLAIN, hybrid, load_preset
from zvr_core.evaluation.records import assemble, records
from zvr_core.media.writing import write_clip
from zvr_core.methods.presets import load_method
from zvr_core.scenes import pan

D = "blur=1.2,down=4,noise=5"
TINY = Settings(steps=2, frames=3)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Three frames of 48×32 under a pan, as PNG files."""
    folder = tmp_path_factory.mktemp("clips") / "small"
    write_clip(pan(size=(32, 48), count=3).clip(), folder, fps=10)
    return str(folder)


@pytest.fixture(scope="module")
def baseline(clip):
    """The per-frame cell and its outcome."""
    cell = Cell(clip, D, load_method("per_frame"), 0, TINY)
    return cell, compute(cell)


@pytest.fixture(scope="module")
def shared(clip):
    """A cell of another method and its outcome."""
    cell = Cell(clip, D, load_method("shared_noise"), 0, TINY)
    return cell, compute(cell)


# ── cells ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_cell_measures_what_compare_measures(baseline, shared, embedded):
    """The one-at-a-time code of the demo and the cells of a sweep give the same numbers."""
    cell, _ = shared
    source = load_source(cell.clip, D, 3, 320, 4)
    result = restored(source.lq, embedded, cell.method, 2, 0)
    sample = restored(source.lq, embedded, load_method("per_frame"), 2, 0).frames
    row = measure("x", result, source.truth, source.motion, sample, posterior_mean(source.lq, embedded, 0))
    (record,) = [r for r in records(dict([baseline, shared])) if r.method == "shared_noise"]
    assert record.values["psnr"] == pytest.approx(row.psnr)
    assert record.values["warping"] == pytest.approx(row.warping)
    assert record.values["sharpness"] == pytest.approx(row.sharpness)
    assert record.control["warping"] == pytest.approx(row.control, rel=0.01)
    assert record.mark == row.mark


def test_the_per_frame_cell_carries_its_references_and_the_control(baseline):
    _, outcome = baseline
    assert outcome.references.keys() == {"bicubic", "one step", "truth"}
    assert outcome.curve["sharpness"][-1] == pytest.approx(outcome.values["sharpness"])
    assert outcome.curve["warping"][0] == pytest.approx(outcome.references["one step"]["warping"])
    assert control_at(outcome.curve, outcome.values["sharpness"])[0]["inter"] == pytest.approx(outcome.values["inter"])


def test_other_cells_carry_none(shared):
    assert (shared[1].references, shared[1].curve) == ({}, {})


def test_no_temporal_number_goes_without_sharpness_and_correlation(baseline):
    assert {"sharpness", "correlation", "warping", "inter", "flicker"} <= baseline[1].values.keys()


def test_without_truth_all_is_relative_to_per_frame(clip):
    outcomes = {c: compute(c) for c in plan([clip], ["none"], [load_method("per_frame"), load_method("shared_noise")], [0], TINY)}
    base, shared = (r for r in records(outcomes) if r.method in ("per_frame", "shared_noise"))
    assert base.values["sharpness"] == 1
    assert not {"psnr", "ssim", "lpips", "correlation"} & shared.values.keys()
    assert "warping" in shared.control
    table = assemble(outcomes, PLAIN, "none", "")
    assert "relative to per frame" in " ".join(table.about)
    assert table.absent[0].why.startswith("no truth")
    assert [line.method for line in table.lines] == ["bicubic", "one step", "per_frame", "shared_noise"]


def test_two_frames_leave_some_measures_undefined_and_say_so(clip):
    outcome = compute(Cell(clip, D, load_method("shared_noise"), 0, replace(TINY, frames=2)))
    assert "warping" in outcome.values
    assert "at least 3 frames" in outcome.undefined["inter"]


def test_one_frame_has_no_temporal_numbers(clip):
    outcome = compute(Cell(clip, D, load_method("per_frame"), 0, replace(TINY, frames=1)))
    assert {"psnr", "sharpness"} <= outcome.values.keys()
    assert "warping" not in outcome.values


def test_on_a_scene_of_known_motion_matches_are_checked():
    outcome = compute(Cell("scene:pan", D, hybrid("flow", "cosine_spatial"), 0, replace(TINY, frames=2, steps=1)))
    assert outcome.values["pck_down"] == 1
    assert 0 < outcome.values["pck_up"] < 1
    assert outcome.facts["flow"] == "true motion of pan"


def test_truth_is_reduced_and_cropped_to_whole_cells(clip):
    source = load_source(clip, D, 2, 40, 4)
    assert source.truth.shape == (2, 3, 16, 32)  # 40×27, cropped to 16
    assert source.lq.shape == (2, 3, 4, 8)


def test_a_degradation_that_the_model_cannot_undo_is_an_error(clip):
    with pytest.raises(ZvrError, match="makes frames 8 times smaller, but the model enlarges 4 times"):
        load_source(clip, "blur=1.2,down=8", 2, 0, 4)


def test_a_table_reports_the_degradation_that_the_model_cannot_undo(clip):
    preset = replace(
        load_preset("1"), changes=("", "down=8"), numbers={"down=8": {"per_frame+colour": {"psnr": 1}, "diffir2vr": {"psnr": 2}}}
    )
    cells = plan([clip], preset.degradations(D), [load_method("per_frame"), *preset.methods], [0], TINY)
    outcomes = {cell: attempt(cell) if "down=8" in cell.degradation else Outcome({"psnr": 20.0}) for cell in cells}
    table = assemble(outcomes, preset, D, "")
    (absent,) = table.absent
    assert (absent.what, absent.cells) == ("blur=1.2,down=8,noise=5", 4)
    assert "8 times smaller" in absent.why
    assert {verdict.word for verdict in table.verdicts if "down=8" in verdict.degradation} == {"not computed"}


# ── keys ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_setting_makes_another_cell(clip, tmp_path):
    cell = Cell(clip, D, load_method("diffir2vr"), 0, TINY)
    others = [
        replace(cell, seed=1),
        replace(cell, degradation="down=4"),
        replace(cell, method=load_method("diffir2vr", merge_ratio=(0.9, 0.0))),
        replace(cell, settings=replace(TINY, steps=3)),
        replace(cell, settings=replace(TINY, width=0)),
        replace(cell, settings=replace(TINY, lpips="folder")),
        replace(cell, clip=str(tmp_path)),
    ]
    assert len({cell.key, *(other.key for other in others)}) == 8


def test_a_name_and_the_place_of_the_weights_make_no_other_cell(clip):
    cell = Cell(clip, D, load_method("diffir2vr"), 0, replace(TINY, lpips="here"))
    assert replace(cell, method=replace(cell.method, name="renamed")).key == cell.key
    assert replace(cell, settings=replace(TINY, lpips="there")).key == cell.key


def test_keys_do_not_depend_on_the_process(clip):
    assert Cell("scene:pan", "none", load_method("per_frame"), 0).key == Cell("scene:pan", "none", load_method("per_frame"), 0).key
    assert " at 0x" not in repr([method.plugins for method in map(load_method, ("per_frame", "diffir2vr"))])


# ── sweeps ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def quick(cells):
    """Outcomes without any work."""
    return [(cell, Outcome({"psnr": float(cell.seed)})) for cell in cells]


def test_a_rerun_computes_only_what_is_missing(clip, tmp_path):
    asked = []

    def counting(cells):
        asked.append(len(cells))
        return quick(cells)

    method = [load_method("per_frame")]
    sweep(plan([clip], [D], method, [0, 1], TINY), ResultsFolder(tmp_path), counting)
    outcomes = sweep(plan([clip], [D], method, [0, 1, 2], TINY), ResultsFolder(tmp_path), counting)
    assert asked == [2, 1]
    assert [outcome.values["psnr"] for outcome in outcomes.values()] == [0, 1, 2]


def test_what_was_done_before_an_interrupt_is_kept(clip, tmp_path):
    def interrupted(cells):
        yield from quick(cells[:2])
        raise KeyboardInterrupt

    cells = plan([clip], [D], [load_method("per_frame")], range(5), TINY)
    with pytest.raises(KeyboardInterrupt, match=r"2 of 5 results are in .*; the same command goes on from there"):
        sweep(cells, ResultsFolder(tmp_path), interrupted)
    assert len(list(tmp_path.glob("*.json"))) == 2
    assert [path for path in tmp_path.iterdir() if path.suffix != ".json"] == []


def test_a_failed_cell_stops_nothing_and_is_tried_again(clip, tmp_path):
    cells = plan([clip], [D], [load_method("per_frame")], [0, 1], TINY)
    sweep(cells, ResultsFolder(tmp_path), lambda cells: [(cells[0], Outcome(error="broken")), *quick(cells[1:])])
    assert ResultsFolder(tmp_path).read(cells[0]) is None
    assert ResultsFolder(tmp_path).read(cells[1]) is not None


def test_a_damaged_result_is_computed_again(clip, tmp_path):
    (cell,) = plan([clip], [D], [load_method("per_frame")], [0], TINY)
    folder = ResultsFolder(tmp_path)
    sweep([cell], folder, quick)
    folder.file(cell).write_text(folder.file(cell).read_text()[:-30])
    assert folder.read(cell) is None


def test_results_read_back_as_they_were(clip, baseline, tmp_path):
    cell, outcome = baseline
    ResultsFolder(tmp_path).write(cell, outcome)
    assert json.loads(json.dumps(outcome.as_dict())) == ResultsFolder(tmp_path).read(cell).as_dict()


def test_an_unreadable_clip_is_a_failed_cell(tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"no video" * 100)
    outcome = attempt(Cell(str(tmp_path / "broken.mp4"), D, load_method("per_frame"), 0, TINY))
    assert "broken.mp4" in outcome.error and "\n" not in outcome.error


def test_other_peoples_exceptions_become_one_line(clip, monkeypatch):
    monkeypatch.setattr("zvr_core.evaluation.cell.restored", lambda *_: torch.zeros(2) + torch.zeros(3))
    ((_, outcome),) = here([Cell(clip, D, load_method("per_frame"), 0, TINY)])
    assert outcome.error.startswith("RuntimeError: The size of tensor a")


def test_failed_cells_are_counted_with_their_reason(clip, baseline):
    cell, outcome = baseline
    failed = {replace(cell, seed=seed): Outcome(error="out of luck") for seed in (1, 2)}
    table = assemble({cell: outcome, **failed}, PLAIN, D, "no weights")
    line = table.lines[-1]
    assert (line.cells, line.wanted) == (1, 3)
    assert [(absent.what, absent.cells, absent.why) for absent in table.absent] == [
        (D, 2, "out of luck"),
        ("LPIPS, LPIPS_inter", 3, "no weights"),
    ]


def test_without_the_per_frame_cell_there_is_no_control(shared):
    cell, outcome = shared
    (record,) = records({cell: outcome})
    assert record.control == {}
    assert "sharpness" in record.values  # relative to the truth, which the cell knows itself


# ── choices ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_seeds_are_numbers_and_ranges():
    assert parse_seeds("0-2,5") == (0, 1, 2, 5)
    assert parse_seeds("3, 1,3") == (3, 1)


@pytest.mark.parametrize("text", ["x", "", "0-", "-1", "2-1", "1.5", "1,,2"])
def test_other_seeds_are_errors(text):
    with pytest.raises(ZvrError, match=r"seeds .* given, whole numbers and ranges expected, as in 0-2,5") as caught:
        parse_seeds(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text"), [("s.json", '{"report": ["dog"], "development": ["cat", "cow"]}'), ("s.txt", "report: dog\n\ndevelopment: cat cow\n")]
)
def test_a_split_keeps_its_clips(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    clips = ("clips/dog", "clips/cat.mp4", "clips/cow/video.mp4", "clips/other")
    assert of_split(clips, tmp_path / name, "development") == ("clips/cat.mp4", "clips/cow/video.mp4")


def test_wrong_splits_are_errors(tmp_path):
    (tmp_path / "s.txt").write_text("report: dog\n")
    with pytest.raises(ZvrError, match="unknown split 'reprot'; did you mean report"):
        of_split(("dog",), tmp_path / "s.txt", "reprot")
    with pytest.raises(ZvrError, match="none of the 1 clips given is in split 'report'"):
        of_split(("cat",), tmp_path / "s.txt", "report")
    (tmp_path / "s.json").write_text("[1]")
    for path in ("s.json", "nowhere.txt"):
        with pytest.raises(ZvrError, match=path):
            of_split(("dog",), tmp_path / path, "report")
