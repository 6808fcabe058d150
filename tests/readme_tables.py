"""The README's tables of results, made of the tables in data/evaluation: python tests/readme_tables.py prints them."""

from __future__ import annotations

import math
from pathlib import Path

from zvr_core.evaluation.table import BASELINE, REFERENCES, Line, Stat, Table, open_table

FOLDER = Path(__file__).parents[1] / "data" / "evaluation"
WORDS = {
    "one step": "one step (posterior mean)",
    "per_frame": "per frame",
    "shared_noise": "shared noise",
    "latent_warping": "latent warping",
    "flow_merging": "flow merging",
    "cosine_merging": "cosine merging",
    "diffir2vr": "DiffIR2VR",
}
NOTHING = "–"


def number(stat: Stat | None, digits: int) -> str:
    """A mean."""
    return f"{stat.mean:.{digits}f}" if stat else NOTHING


def percent(stat: Stat | None) -> str:
    """By how much blur is passed, with the deviation over clips."""
    if not stat:
        return NOTHING
    spread = "" if math.isnan(stat.over_clips) else f" ± {stat.over_clips:.0f}"
    return f"{stat.mean:+.0f} %{spread}".replace("-", "−")


def quality_rows(table: Table) -> list[str]:
    """One line a method: fidelity, sharpness, and the warping error with that of blur alone."""
    return [quality_row(line) for line in table.lines]


def quality_row(line: Line) -> str:
    compared = line.method not in (BASELINE, *REFERENCES)
    mark = f" ({line.mark})" if compared and line.mark else ""
    control = number(line.controls.get("warping"), 2) + mark if compared else NOTHING
    values = [
        number(line.values.get(key), digits) for key, digits in (("psnr", 2), ("ssim", 3), ("lpips", 3), ("sharpness", 2), ("warping", 2))
    ]
    beyond = percent(line.beyond.get("warping") if compared else None)
    return f"| {' | '.join([WORDS.get(line.method, line.method), *values, control, beyond])} |"


def short_rows(table: Table, degradation: str = "") -> list[str]:
    """One line a method, without references: LPIPS, sharpness, warping error, and how far it passes that of blur alone."""
    lines = [line for line in table.lines if line.method not in REFERENCES]
    lines = [line for line in lines if line.degradation == (degradation or table.degradations[0])]
    return [
        f"| {line.method} | {number(line.values.get('psnr'), 2)} | {number(line.values.get('lpips'), 3)} | "
        f"{number(line.values.get('sharpness'), 2)} | {number(line.values.get('warping'), 2)} | "
        f"{NOTHING if line.method == BASELINE else percent(line.beyond.get('warping')) + (f' ({line.mark})' if line.mark else '')} |"
        for line in lines
    ]


def spread_over_seeds(table: Table) -> str:
    """The largest standard deviation over seeds of the means that the quality table shows, in words."""
    most = {key: max(line.values[key].over_seeds for line in table.lines if key in line.values) for key in ("psnr", "lpips", "warping")}
    return ", ".join(f"{key} {value:.4f}" for key, value in most.items())


if __name__ == "__main__":
    quality = open_table(FOLDER / "methods.json")
    print("\n".join(quality_rows(quality)), spread_over_seeds(quality), sep="\n\n")
    for name in ("table_2_left", "table_2_right", "table_4", "matchers"):
        print(f"\n{name}", *short_rows(open_table(FOLDER / f"{name}.json")), sep="\n")
    table = open_table(FOLDER / "table_1.json")
    for degradation in table.degradations:
        print(f"\ntable_1 {degradation}", *short_rows(table, degradation), sep="\n")
