"""A table as text: Markdown for people, CSV for programs.  Missing numbers are "–" there and empty here."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from zvr_core.evaluation.table import BASELINE, MEASURES, REFERENCES, TEMPORAL, Absent, Line, Stat, Table, Verdict

ARROWS = {1: " ↑", -1: " ↓", 0: ""}
NOTHING = "–"
T = TypeVar("T")


def as_markdown(table: Table) -> str:
    """Everything there is to say: how it was made, the numbers, differences from per frame, verdicts, and what is missing."""
    parts = [f"# {table.title}", "\n".join(f"- {text}" for text in table.about)]
    for degradation in table.degradations:
        lines = [line for line in table.lines if line.degradation == degradation]
        parts += [f"## {degradation}", values(lines, table.measures), differences(lines, table.measures)]
    if table.verdicts:
        parts += ["## Do the published orderings hold here?", summary(table.verdicts), orderings(table.verdicts)]
    if table.absent:
        parts += ["## Not computed", "\n".join(map(absence, table.absent))]
    return "\n\n".join(part for part in parts if part) + "\n"


def values(lines: Sequence[Line], measures: Sequence[str]) -> str:
    """The numbers; after each temporal one that of blur alone, and by how much it is passed."""
    columns = [(MEASURES[key].words + ARROWS[MEASURES[key].better], lambda line, key=key: stat(line, key)) for key in measures]
    for key in reversed([key for key in measures if key in TEMPORAL]):
        columns.insert(measures.index(key) + 1, ("of blur alone", lambda line, key=key: blur_alone(line, key)))
    incomplete = any(line.cells < line.wanted for line in lines)
    counts = [("cells", lambda line: f"{line.cells} of {line.wanted}")] if incomplete else []
    return grid([("", lambda line: line.method), *columns, *counts], lines)


def differences(lines: Sequence[Line], measures: Sequence[str]) -> str:
    """Each method minus per frame, paired; nothing where there is nothing to compare."""
    compared = [line for line in lines if line.deltas]
    columns = [(MEASURES[key].words, lambda line, key=key: shown(line.deltas.get(key), MEASURES[key].digits, "+")) for key in measures]
    return (
        "Minus per frame, on the same clip and seed:\n\n" + grid([("", lambda line: line.method), *columns], compared) if compared else ""
    )


def stat(line: Line, key: str) -> str:
    """One mean with its spreads."""
    return shown(line.values.get(key), MEASURES[key].digits)


def blur_alone(line: Line, key: str) -> str:
    """The control's mean, by how many percent it is passed, and the mark: "> 1" is sharper than per frame, "< 0" more blurred than all."""
    if line.method in (BASELINE, *REFERENCES):  # the control is made of these
        return NOTHING
    if key not in line.controls:
        return f"{NOTHING} ({line.mark})" if line.mark else NOTHING
    mark = f" ({line.mark})" if line.mark else ""
    beyond = f", {shown(line.beyond[key], 0, '+', ' %')}" if key in line.beyond else ""
    return f"{line.controls[key].mean:.{MEASURES[key].digits}f}{beyond}{mark}"


def shown(number: Stat | None, digits: int, sign: str = "", unit: str = "") -> str:
    """A mean and, in brackets, its deviations over seeds and over clips."""
    if number is None:
        return NOTHING
    spreads = "; ".join(NOTHING if math.isnan(n) else f"{n:.{digits}f}" for n in (number.over_seeds, number.over_clips))
    return f"{number.mean:{sign}.{digits}f}{unit}" + (f" ({spreads})" if number.count > 1 else "")


def summary(verdicts: Sequence[Verdict]) -> str:
    """How many of each word."""

    def counted(words: Iterable[str]) -> str:
        return ", ".join(f"{count} {word}" for word, count in Counter(words).most_common())

    fair = [verdict.at_equal_sharpness for verdict in verdicts if verdict.at_equal_sharpness]
    temporal = f"  Of {len(fair)} temporal ones, at equal sharpness: {counted(fair)}." if fair else ""
    chance = "  Words follow from 95 % intervals; with so many orderings some hold or fail by chance."
    return f"Of {len(verdicts)} published orderings: {counted(v.word for v in verdicts)}.{temporal}{chance}"


def orderings(verdicts: Sequence[Verdict]) -> str:
    """One line a verdict."""

    def difference(v: Verdict) -> str:
        digits = MEASURES[v.measure].digits + 1
        known = [f"{n:{sign}.{digits}f}" for n, sign in ((v.difference, "+"), (v.half_width, "")) if not math.isnan(n)]
        return " ± ".join(known) or NOTHING

    return grid(
        [
            ("degradation", lambda v: v.degradation),
            ("by", lambda v: MEASURES[v.measure].words),
            ("published: better", lambda v: f"{v.first} {v.published[0]:g}"),
            ("than", lambda v: f"{v.second} {v.published[1]:g}"),
            ("difference here, 95 %", difference),
            ("ordering", lambda v: v.word),
            ("at equal sharpness", lambda v: v.at_equal_sharpness or NOTHING),
        ],
        verdicts,
    )


def absence(absent: Absent) -> str:
    """One line."""
    return f"- {absent.what}: {absent.cells} {'cell' if absent.cells == 1 else 'cells'}: {absent.why}"


def grid(columns: Sequence[tuple[str, Callable[[T], str]]], rows: Sequence[T]) -> str:
    """A Markdown table; bars in texts are escaped."""
    cells = [[heading for heading, _ in columns], *([cell(row).replace("|", "\\|") for _, cell in columns] for row in rows)]
    rule = "|---" * len(columns) + "|"
    head, *body = ("| " + " | ".join(row) + " |" for row in cells)
    return "\n".join([head, rule, *body])


# ── CSV ────────────────────────────────────────────────────────────────────────────────────────────────────────────────

COLUMNS = (
    "degradation", "method", "measure", "mean", "std_over_seeds", "std_over_clips", "minus_per_frame", "minus_per_frame_std_over_seeds",
    "minus_per_frame_std_over_clips", "blur_alone", "percent_beyond_blur", "percent_beyond_blur_std_over_clips", "mark", "results",
    "wanted", "why_absent",
)  # fmt: skip


def as_csv(table: Table) -> str:
    """One row per degradation, method and measure; then one for each thing that is missing, with its reason."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for line in table.lines:
        writer.writerows(csv_row(line, key) for key in MEASURES if key in line.values)
    for absent in table.absent:
        writer.writerow({"measure": absent.what, "wanted": absent.cells, "why_absent": absent.why})
    return text.getvalue()


def csv_row(line: Line, key: str) -> dict[str, object]:
    """One measure of one line."""
    own, minus, control, beyond = (part.get(key) for part in (line.values, line.deltas, line.controls, line.beyond))
    row = {
        "degradation": line.degradation, "method": line.method, "measure": key, "mark": line.mark, "wanted": line.wanted,
        "results": own and own.count, "mean": own and own.mean, "std_over_seeds": own and own.over_seeds,
        "std_over_clips": own and own.over_clips, "minus_per_frame": minus and minus.mean,
        "minus_per_frame_std_over_seeds": minus and minus.over_seeds, "minus_per_frame_std_over_clips": minus and minus.over_clips,
        "blur_alone": control and control.mean, "percent_beyond_blur": beyond and beyond.mean,
        "percent_beyond_blur_std_over_clips": beyond and beyond.over_clips,
    }  # fmt: skip
    return {name: value for name, value in row.items() if value is not None and value == value}
