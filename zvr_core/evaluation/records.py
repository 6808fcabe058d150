"""From the outcomes of cells to a table: relative sharpness, the control of each result, what is missing, and how it was all made."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from zvr_core.evaluation.cell import NONE, Cell, Outcome, clip_name
from zvr_core.evaluation.control_curve import control_at
from zvr_core.evaluation.orderings import judge
from zvr_core.evaluation.paper_tables import Preset
from zvr_core.evaluation.table import BASELINE, MEASURES, Absent, Record, Table, build_lines

SPREAD = "numbers: mean (standard deviation over seeds; over clips); of blur alone: the blur-matched control, and by how much it is passed"


def records(outcomes: Mapping[Cell, Outcome]) -> list[Record]:
    """The numbers of all results that there are, relative sharpness and control included.

    Sharpness is relative to the truth, or to per frame where there is no truth.  Where the per-frame cell of a clip and seed failed,
    there are no controls.
    """
    baseline = {(c.clip, c.degradation, c.seed): o for c, o in outcomes.items() if c.method.name == BASELINE and not o.error}
    found = []
    for cell, outcome in outcomes.items():
        base = baseline.get((cell.clip, cell.degradation, cell.seed), Outcome())
        entries = {} if outcome.error else {**outcome.references, cell.method.name: outcome.values}
        for name, values in entries.items():
            control, mark = control_at(base.curve, values["sharpness"]) if name != "truth" and "sharpness" in base.curve else ({}, "")
            values = relative(values, reference_sharpness(outcome, base))
            found.append(Record(cell.clip, cell.degradation, name, cell.seed, values, control, mark))
    return found


def reference_sharpness(outcome: Outcome, base: Outcome) -> float:
    """That of the truth, else of the per-frame restoration; 0 where neither is known."""
    return outcome.facts.get("truth_sharpness", base.values.get("sharpness", 0.0))


def relative(values: Mapping[str, float], reference: float) -> dict[str, float]:
    """The same numbers with sharpness relative to `reference`, and without it where that is 0."""
    others = {key: value for key, value in values.items() if key != "sharpness"}
    return {**others, "sharpness": values["sharpness"] / reference} if reference and "sharpness" in values else others


def control_curves(outcomes: Mapping[Cell, Outcome]) -> dict[str, dict[str, list[float]]]:
    """The control's points for each degradation, mean over clips and seeds, with relative sharpness: what a figure draws."""
    found: dict[str, list[dict[str, Any]]] = {}
    for cell, outcome in outcomes.items():
        reference = reference_sharpness(outcome, outcome)
        if outcome.curve.get("sharpness") and reference:
            relative_curve = {**outcome.curve, "sharpness": [value / reference for value in outcome.curve["sharpness"]]}
            found.setdefault(cell.degradation, []).append(relative_curve)
    return {degradation: mean_curve(curves) for degradation, curves in found.items()}


def mean_curve(curves: Sequence[Mapping[str, Sequence[float]]]) -> dict[str, list[float]]:
    """Point by point, of what all curves have."""
    shared = [key for key in curves[0] if all(key in curve for curve in curves)]
    return {key: [statistics.fmean(values) for values in zip(*(curve[key] for curve in curves), strict=True)] for key in shared}


def absences(outcomes: Mapping[Cell, Outcome], weights: str) -> tuple[Absent, ...]:
    """All that is missing from the table, and why; `weights`: why there is no LPIPS."""
    failed = Counter((cell.degradation, outcome.error) for cell, outcome in outcomes.items() if outcome.error)
    undefined = Counter((MEASURES[key].words, why) for outcome in outcomes.values() for key, why in outcome.undefined.items())
    blind = sum(cell.degradation == NONE for cell in outcomes)
    general = [
        Absent("PSNR, SSIM, LPIPS, detail correlation", blind, "no truth: the clips are the input; all else is relative to per frame")
    ]
    general += [Absent("LPIPS, LPIPS_inter", len(outcomes), weights)] if weights else []
    return tuple([Absent(what, count, why) for (what, why), count in (failed + undefined).items()] + [a for a in general if a.cells])


def assemble(outcomes: Mapping[Cell, Outcome], preset: Preset, degradation: str, weights: str) -> Table:
    """The table of a sweep; `degradation` as the user gave it, `weights`: why there is no LPIPS."""
    wanted = Counter((cell.degradation, cell.method.name) for cell in outcomes)
    found = records(outcomes)
    return Table(
        title=preset.title,
        about=(*about(outcomes), *preset.notes),
        lines=build_lines(found, wanted),
        curves=control_curves(outcomes),
        absent=absences(outcomes, weights),
        verdicts=judge(preset.published(degradation), found),
    )


def about(outcomes: Mapping[Cell, Outcome]) -> list[str]:
    """How the numbers were made, in lines."""
    settings = next(iter(outcomes)).settings
    clips = list(dict.fromkeys(clip_name(cell.clip) for cell in outcomes))
    seeds = sorted({cell.seed for cell in outcomes})
    flows = sorted({outcome.facts["flow"].split(" of ")[0] for outcome in outcomes.values() if "flow" in outcome.facts})
    coverage = [outcome.facts["coverage"] for outcome in outcomes.values() if "coverage" in outcome.facts]
    size = f"at most {settings.frames} frames" * bool(settings.frames) + f", at most {settings.width} pixels wide" * bool(settings.width)
    truth = "relative to per frame" if all(cell.degradation == NONE for cell in outcomes) else "relative to the truth"
    return [
        f"model {settings.model}, {settings.steps} DDIM steps, seeds {', '.join(map(str, seeds))}; {size.strip(', ') or 'whole clips'}",
        f"{len(clips)} clips: {', '.join(clips)}",
        f"E_warp by {' and '.join(flows) or 'no flow'} on {100 * statistics.fmean(coverage or [0]):.0f} % of the pixels; sharpness {truth}",
        SPREAD,
    ]
