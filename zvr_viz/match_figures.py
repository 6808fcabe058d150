"""Match maps as figures: flow against cosine at one step, over the steps (Figure 5), over settings (Figure 10)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from zvr_core.errors import ZvrError
from zvr_core.trace import Missing, Trace
from zvr_viz.look import Look
from zvr_viz.matches import Choice, Largest, Listed
from zvr_viz.matchmap import marks
from zvr_viz.palette import INK, PAPER, TRUTH, Mark
from zvr_viz.picture import NORMAL, SHAPES, Picture, caption, legend, linestyle, panel, show, title, words_only
from zvr_viz.reading import Spot, matcher_pair, noise_level, spot

WIDTH, HEIGHT = 8.0, 4.0  # inches of one panel, and its height at most; several share the width of a page


def match_map(
    trace: Trace,
    step: int | None = None,
    site: str | None = None,
    frame: int | None = None,
    *,
    matchers: Sequence[str] = (),
    choice: Choice | Sequence[int] = Largest(),
    picture: str = "",
) -> Picture:
    """Where flow and cosine send the same tokens of a frame: the frame and its key frame side by side.

    `choice`: `Largest(48)` disagreements by default, or `Spaced(4)`, `Box(top, left, bottom, right)`, a list of tokens.  `picture`
    behind the lines: "preview" of the estimate at that step where recorded, "lq", "restored" or "truth".  Without step, site and frame:
    `reading.spot`.  What was not recorded is said in the panel; raises ZvrError for a step, site or frame the trace has not.
    """
    steps = () if step is None else (step,)
    return figure10([trace], [""], steps, site, frame, matchers=matchers, choice=choice, picture=picture)


def figure5(
    trace: Trace,
    steps: Sequence[int] = (),
    site: str | None = None,
    frame: int | None = None,
    *,
    matchers: Sequence[str] = (),
    choice: Choice | Sequence[int] = Largest(24),
    picture: str = "",
) -> Picture:
    """Match maps of several steps in rows, of the same tokens (chosen at the first): when do the two rules come together?

    `steps`: first, middle and last recorded one by default.  Half as many tokens as in `match_map`, for three maps are read at once.
    After Figure 5 of DiffIR2VR-Zero (Yeh et al. 2024).
    """
    known = trace.match_steps or tuple(range(trace.steps))
    chosen = tuple(steps) or tuple(sorted({known[0], known[len(known) // 2], known[-1]})) if known else ()
    return figure10([trace], [""], chosen, site, frame, matchers=matchers, choice=choice, picture=picture)


def figure10(
    traces: Sequence[Trace],
    labels: Sequence[str] = (),
    steps: Sequence[int] = (),
    site: str | None = None,
    frame: int | None = None,
    *,
    matchers: Sequence[str] = (),
    choice: Choice | Sequence[int] = Largest(24),
    picture: str = "",
) -> Picture:
    """Match maps of several runs in columns, of the same tokens, at one or more steps of the first (rows).

    The other runs are shown where their noise is nearest.  `labels` say what differs, by default the methods.  After Figure 10 of
    DiffIR2VR-Zero (Yeh et al. 2024).  Raises ZvrError for no trace and for another number of labels.
    """
    labels = list(labels) or [trace.method for trace in traces]
    if not traces or len(labels) != len(traces):
        raise ZvrError(f"{len(traces)} traces and {len(labels)} labels given; at least one trace, and a label for each, are expected")
    try:
        first = spot(traces[0], steps[0] if steps else None, site, frame)
        look = aligned(traces, first, Look(traces[0], first, tuple(matchers) or matcher_pair(traces[0]), choice, picture))
        rows = [[look(trace, step) for trace in traces] for step in steps or (first.step,)]
    except Missing as missing:
        return words_only(str(missing))
    return drawn(same_tokens(rows), labels)


def aligned(traces: Sequence[Trace], first: Spot, panel: Look) -> Callable[[Trace, int], Look]:
    """The panel of any of the runs at a step of the first, where its noise is nearest; wide frames of several runs go below each other."""
    height, width = traces[0].size
    below = len(traces) > 1 and width > height

    def look(trace: Trace, step: int) -> Look:
        there = step if trace is traces[0] else dict(traces[0].compare(trace))[step]
        return replace(panel, trace=trace, at=spot(trace, there, first.site.name, first.frame), below=below)

    return look


def same_tokens(rows: list[list[Look]]) -> list[list[Look]]:
    """All panels of one grid with the tokens that the first one chooses."""
    first = rows[0][0]
    try:
        choice = Listed(tuple(first.pairs().tokens.tolist()))
    except Missing:
        return rows
    return [[replace(look, choice=choice) if look.at.site.grid == first.at.site.grid else look for look in row] for row in rows]


def drawn(rows: list[list[Look]], labels: Sequence[str]) -> Picture:
    """All panels with one legend."""
    first, columns = rows[0][0], len(rows[0])
    height, width = first.trace.size
    aspect = 2 * height / width if first.below else height / (2 * width)
    across = min(WIDTH if len(rows) == columns == 1 else 6.0 / min(columns, 2), HEIGHT / aspect)
    tokens = f"{len(first.choice.numbers)} tokens" if isinstance(first.choice, Listed) else "tokens"
    says = f"where {' and '.join(first.matchers)} send {tokens} of frame {first.at.frame}, site {first.at.site.name}"
    figure = Picture(max(across * columns + 0.8, 5), (across * aspect + 0.4) * len(rows) + 0.8, says)
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for row, places in zip(rows, axes, strict=True):
        for look, place, label in zip(row, places, labels if row is rows[0] else [""] * columns, strict=True):
            panel(place, partial(draw, look=look, label=label))
        noise = noise_level(row[0].trace)[row[0].at.step]
        words = f"step {row[0].at.step}\nnoise {noise:.2f}"
        places[0].set_ylabel(words, rotation=0, ha="right", va="center", fontsize=NORMAL, color=INK)
    title(figure, says)
    legend(figure, explained(rows))
    return figure


def draw(axes: Axes, look: Look, label: str = "") -> None:
    """The two frames, the lines, the markers, and how often the rules are right."""
    chosen, pair = look.pairs(), look.pair
    show(axes, look.canvas())
    strokes = [stroke for stroke in pair.strokes(chosen) if stroke.known]
    ends = [np.stack([stroke.start, stroke.end]) for stroke in strokes]
    styles = [linestyle(stroke.mark) for stroke in strokes]
    axes.add_collection(LineCollection(ends, colors=PAPER, linewidths=2.2, alpha=0.35))
    axes.add_collection(LineCollection(ends, colors=[stroke.mark.colour for stroke in strokes], linewidths=1.0, linestyles=styles))
    dots(axes, pair.true_places(chosen), TRUTH, 50)
    for mark in dict.fromkeys(stroke.mark for stroke in strokes):
        dots(axes, np.array([stroke.end for stroke in strokes if stroke.mark == mark]), mark, 20)
    dots(axes, np.array([stroke.start for stroke in strokes]).reshape(-1, 2), Mark("token", PAPER), 12)
    caption(axes, "\n".join(text for text in (label, look.numbers()) if text))


def dots(axes: Axes, places: np.ndarray, mark: Mark, area: float) -> None:
    """The mark's shape at places (n, 2), NaN skipped."""
    edge = INK if mark.colour == PAPER else PAPER
    axes.scatter(
        places[:, 0], places[:, 1], s=area, marker=SHAPES[mark.marker], color=mark.colour, edgecolors=edge, linewidths=0.7, zorder=3
    )


def explained(rows: list[list[Look]]) -> list[Mark]:
    """The legend: every mark that some panel has."""
    found: dict[Mark, None] = {}
    for look in (look for row in rows for look in row):
        try:
            found |= dict.fromkeys(marks(look.pairs()))
        except Missing:
            continue
    return sorted(found, key=lambda mark: mark == TRUTH)
