"""The sharpness–consistency plane: every method where it stands, and the line that blur alone draws.

    plane(open_table("table.json")).savefig("plane.pdf")

The control mixes per-frame samples with their one-step posterior mean, with no temporal method at all: at the left end of its curve all
mean, at the right end all samples.  A method is steadier than blur alone only where it lies below the curve.
"""

from __future__ import annotations

from matplotlib.axes import Axes

from zvr_core.errors import ZvrError, unknown
from zvr_core.evaluation.table import BASELINE, MEASURES, REFERENCES, TEMPORAL, Line, Table
from zvr_viz.palette import INK, MISSING, PAPER, series_mark
from zvr_viz.picture import NORMAL, SHAPES, SMALL, Picture, caption, grid_lines

GAP = 0.055  # of the axes' height: between two labels


def plane(table: Table, measure: str = "warping", degradation: str = "") -> Picture:
    """All methods of one degradation (by default the first), means over clips and seeds; bars are standard deviations over seeds.

    Raises ZvrError for a measure that is not temporal, a degradation that is not in the table, and where there is nothing to draw.
    """
    if measure not in TEMPORAL:
        raise unknown("temporal measure", measure, TEMPORAL)
    degradation = degradation or next(iter(table.degradations), "")
    if degradation not in table.degradations:
        raise unknown("degradation", degradation, table.degradations)
    lines = [line for line in table.lines if line.degradation == degradation and {measure, "sharpness"} <= line.values.keys()]
    if not lines:
        raise ZvrError(f"no method has {MEASURES[measure].words} and sharpness on {degradation}; see what the table says was not computed")
    words = MEASURES[measure].words
    figure = Picture(7.5, 4.6, f"{words} against sharpness of {len(lines)} results, with the curve of blur alone")
    axes = figure.subplots()
    grid_lines(axes)
    reference = "truth" if any(line.method == "truth" for line in lines) else "per frame"
    axes.set_xlabel(f"sharpness relative to {reference}", fontsize=SMALL)
    axes.set_ylabel(f"{words} (lower is steadier)", fontsize=SMALL)
    draw_control(axes, table, measure, degradation)
    for number, line in enumerate(lines):
        draw_method(axes, line, measure, number)
    draw_labels(axes, lines, measure)
    caption(axes, f"{degradation}: below the curve is steadier than blur alone")
    return figure


def draw_control(axes: Axes, table: Table, measure: str, degradation: str) -> None:
    """The curve, with the weight of the samples at its points."""
    curve = table.curves.get(degradation, {})
    if measure not in curve:
        return
    words = "blur alone: samples of one frame each,\nmixed with their posterior mean at this weight"
    axes.plot(
        curve["sharpness"], curve[measure], "o-", color=INK, markerfacecolor=PAPER, markersize=4, linewidth=1.4, zorder=2, label=words
    )
    axes.fill_between(curve["sharpness"], curve[measure], 0, color=MISSING, alpha=0.12, linewidth=0, zorder=1)
    for weight, x, y in list(zip(curve["weight"], curve["sharpness"], curve[measure], strict=True))[::2]:
        axes.annotate(f"{weight:g}", (x, y), (-3, 6), textcoords="offset points", fontsize=SMALL, ha="right", color=INK)
    axes.legend(loc="lower right", fontsize=SMALL, frameon=False, labelcolor=INK)


def draw_method(axes: Axes, line: Line, measure: str, number: int) -> None:
    """One point; references are hollow."""
    mark, x, y = series_mark(number, line.method), line.values["sharpness"], line.values[measure]
    fill = PAPER if line.method in (*REFERENCES, BASELINE) else mark.colour
    axes.errorbar(
        x.mean, y.mean, xerr=spread(x.over_seeds), yerr=spread(y.over_seeds), color=mark.colour, fmt=SHAPES[mark.marker], markersize=7,
        markerfacecolor=fill, elinewidth=0.8, zorder=4,
    )  # fmt: skip


def spread(deviation: float) -> float:
    """A bar's half length; none where the deviation is not known."""
    return deviation if deviation == deviation else 0.0


def draw_labels(axes: Axes, lines: list[Line], measure: str) -> None:
    """Names in a column on the right, in the points' order from top to bottom, each with a thin line to its point."""
    axes.set_ylim(bottom=0)
    low, high = axes.get_ylim()
    ranked = sorted(((line.values[measure].mean / (high - low), line) for line in lines), key=lambda pair: pair[0])
    height = -GAP
    for wish, line in ranked:
        height = max(height + GAP, min(wish, 1 - GAP * (len(ranked) - 1 - ranked.index((wish, line)))))
        point, thin = (line.values["sharpness"].mean, line.values[measure].mean), {"arrowstyle": "-", "color": MISSING, "linewidth": 0.6}
        axes.annotate(
            line.method, point, (1.03, height), textcoords="axes fraction", fontsize=NORMAL, va="center", color=INK, arrowprops=thin,
            annotation_clip=False,
        )  # fmt: skip
