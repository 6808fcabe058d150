"""From the numbers of single cells to a table: means, spreads, differences from per frame, and what equal blur alone would give.

    records (clip, degradation, method, seed) ─► build ─► Table ─► evaluation_text (csv, md), save and open_table (json)

Two spreads stand beside each mean and mean different things: over seeds, how far the draw of the noise moves it on a clip; over clips,
how different clips are.  Differences are paired, on the same clip and seed, so that the difference between clips drops out.
Plain Python: a saved table opens without torch.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from zvr_core.errors import ZvrError

BASELINE = "per_frame"  # the method that all others are compared with
REFERENCES = ("bicubic", "one step", "truth")  # rows that are no methods


@dataclass(frozen=True)
class Measure:
    """What a column holds; `better` is 1 for higher, -1 for lower, 0 for neither; `temporal`: blur alone lowers it."""

    words: str
    better: int
    digits: int
    temporal: bool = False


MEASURES = {
    "psnr": Measure("PSNR dB", 1, 2),
    "ssim": Measure("SSIM", 1, 3),
    "lpips": Measure("LPIPS", -1, 3),
    "sharpness": Measure("sharpness", 0, 2),
    "correlation": Measure("detail correlation", 1, 2),
    "warping": Measure("E_warp ×10³", -1, 2, True),
    "inter": Measure("E_inter", -1, 2, True),
    "lpips_inter": Measure("LPIPS_inter", -1, 3, True),
    "flicker": Measure("flicker", -1, 2, True),
    "pck_down": Measure("true matches, down", 1, 2),
    "pck_mid": Measure("true matches, mid", 1, 2),
    "pck_up": Measure("true matches, up", 1, 2),
    "seconds": Measure("s / frame", -1, 2),
}
TEMPORAL = tuple(key for key, measure in MEASURES.items() if measure.temporal)


@dataclass(frozen=True)
class Record:
    """What was measured on one result, by key in `MEASURES`; what could not be measured is not in it.

    `control` holds the temporal measures of the blur-matched control (`control_curve`); `mark` is "> 1" where the result is sharper than
    per frame, and "< 0" where no mixture is as blurred, so that there is no control.
    """

    clip: str
    degradation: str
    method: str
    seed: int
    values: Mapping[str, float]
    control: Mapping[str, float] = field(default_factory=dict)
    mark: str = ""


@dataclass(frozen=True)
class Stat:
    """A mean over clips of means over seeds, with the standard deviation over seeds (pooled) and over clips; NaN for one of them."""

    mean: float
    over_seeds: float
    over_clips: float
    clips: int
    count: int  # results

    @staticmethod
    def of(values: Iterable[tuple[str, float]]) -> Stat:
        """Of numbers with the clip each belongs to."""
        by_clip: dict[str, list[float]] = {}
        for clip, value in values:
            by_clip.setdefault(clip, []).append(value)
        means = [statistics.fmean(seeds) for seeds in by_clip.values()]
        variances = [statistics.variance(seeds) for seeds in by_clip.values() if len(seeds) > 1]
        return Stat(
            mean=statistics.fmean(means),
            over_seeds=math.sqrt(statistics.fmean(variances)) if variances else math.nan,
            over_clips=statistics.stdev(means) if len(means) > 1 else math.nan,
            clips=len(means),
            count=sum(map(len, by_clip.values())),
        )


Stats = Mapping[str, Stat]  # by key in MEASURES; what was not measured is not in it


@dataclass(frozen=True)
class Line:
    """One method on one degradation: its numbers, their differences from per frame, its control's, and by how many % it passes that."""

    degradation: str
    method: str
    cells: int
    wanted: int
    values: Stats
    deltas: Stats
    controls: Stats
    beyond: Stats
    mark: str = ""


@dataclass(frozen=True)
class Verdict:
    """Whether a published ordering holds here: `first` is better than `second` by `measure`, says the paper.

    `difference` is that of first minus second here, paired, with the half-width of its 95 % interval; `word` and `at_equal_sharpness`
    say what follows from that; the latter compares how each stands to its own control, "" for measures that blur does not lower.
    """

    degradation: str
    measure: str
    first: str
    second: str
    published: tuple[float, float]
    difference: float
    half_width: float
    word: str
    at_equal_sharpness: str = ""


@dataclass(frozen=True)
class Absent:
    """What was not computed, for how many cells, and why, in one line."""

    what: str
    cells: int
    why: str


@dataclass(frozen=True)
class Table:
    """An evaluation; `about` says how it was made, line by line; `curves` has the control's points for each degradation."""

    title: str
    about: tuple[str, ...]
    lines: tuple[Line, ...]
    curves: Mapping[str, Mapping[str, Sequence[float]]] = field(default_factory=dict)
    absent: tuple[Absent, ...] = ()
    verdicts: tuple[Verdict, ...] = ()

    @property
    def degradations(self) -> tuple[str, ...]:
        """In the order of the lines."""
        return tuple(dict.fromkeys(line.degradation for line in self.lines))

    @property
    def measures(self) -> tuple[str, ...]:
        """What at least one line has."""
        return tuple(key for key in MEASURES if any(key in line.values for line in self.lines))


def build_lines(records: Sequence[Record], wanted: Mapping[tuple[str, str], int]) -> tuple[Line, ...]:
    """One line per (degradation, method) of `wanted`, which says how many cells were asked for; references come first."""
    baseline = {(r.clip, r.degradation, r.seed): r.values for r in records if r.method == BASELINE}
    lines = []
    for degradation in dict.fromkeys(degradation for degradation, _ in wanted):
        own = [record for record in records if record.degradation == degradation]
        asked = {method: count for (other, method), count in wanted.items() if other == degradation}
        shown = {name: asked[BASELINE] for name in REFERENCES if any(r.method == name for r in own)} | asked
        for method, count in shown.items():
            results = [record for record in own if record.method == method]
            lines.append(line(degradation, method, results, baseline, count))
    return tuple(lines)


def line(degradation: str, method: str, results: Sequence[Record], baseline: Mapping[Any, Mapping[str, float]], wanted: int) -> Line:
    """The statistics of one method's results."""
    values, deltas, controls, beyond = (
        {key: Stat.of(found) for key in MEASURES if (found := [(r.clip, n) for r in results if (n := number(r, key)) is not None])}
        for number in (
            lambda r, key: r.values.get(key),
            lambda r, key: difference(r.values, baseline.get((r.clip, r.degradation, r.seed), {}), key),
            lambda r, key: r.control.get(key),
            excess,
        )
    )
    marks = [record.mark for record in results if record.mark]
    mark = "" if not marks else f"{marks[0]} in {len(marks)} of {len(results)}" if len(marks) < len(results) else marks[0]
    return Line(degradation, method, len(results), wanted, values, {} if method == BASELINE else deltas, controls, beyond, mark)


def difference(values: Mapping[str, float], others: Mapping[str, float], key: str) -> float | None:
    """Of one measure of two results, where both have it."""
    return values[key] - others[key] if key in values and key in others else None


def excess(record: Record, key: str) -> float | None:
    """By how many percent a temporal measure passes its control: below 0, the result is steadier than blur alone makes it."""
    if key not in record.control or key not in record.values or record.control[key] <= 0:
        return None
    return 100 * (record.values[key] / record.control[key] - 1)


def save_json(table: Table, cells: Sequence[Mapping[str, Any]] = ()) -> str:
    """The table and the cells it was made of; NaN, which JSON does not know, as null."""
    return json.dumps(without_nan({"table": asdict(table), "cells": list(cells)}), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def without_nan(value: Any) -> Any:
    """The same, with null for what is no finite number."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: without_nan(inner) for key, inner in value.items()}
    return [without_nan(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def open_table(path: str | Path) -> Table:
    """The table of a .json file that `zvr evaluate` wrote; raises ZvrError for any other."""
    try:
        saved = json.loads(Path(path).read_text())["table"]
        lines = tuple(
            Line(**{**entry, **{part: stats(entry[part]) for part in ("values", "deltas", "controls", "beyond")}})
            for entry in saved.pop("lines")
        )
        verdicts = tuple(Verdict(**numbers(entry, "difference", "half_width", "published")) for entry in saved.pop("verdicts"))
        absent = tuple(Absent(**entry) for entry in saved.pop("absent"))
        return Table(lines=lines, verdicts=verdicts, absent=absent, about=tuple(saved.pop("about")), **saved)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ZvrError(f"{path} is no table that zvr evaluate wrote ({type(error).__name__}); make one with -o table.json") from error


def stats(entries: Mapping[str, Mapping[str, Any]]) -> dict[str, Stat]:
    """Statistics from JSON."""
    return {key: Stat(**numbers(entry, "over_seeds", "over_clips")) for key, entry in entries.items()}


def numbers(entry: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """An entry from JSON with NaN where it has null, and tuples for lists, at `names`."""
    read = {
        name: math.nan if entry[name] is None else tuple(entry[name]) if isinstance(entry[name], list) else entry[name] for name in names
    }
    return {**entry, **read}
