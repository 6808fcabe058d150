"""Curves over the steps: one set of data, drawn by plotly to be touched and by matplotlib to be seen where nothing runs."""

from __future__ import annotations

import html
import json
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from zvr_viz.palette import FAINT, INK, PAPER, Mark
from zvr_viz.picture import NORMAL, SHAPES, SMALL, Picture, grid_lines, linestyle, say

SYMBOLS = {"circle": "circle", "square": "square", "triangle": "triangle-up", "diamond": "diamond"}
BAND = "#CFE3F1"  # behind steps in which something is active


@dataclass(frozen=True)
class Panel:
    """One set of axes: curves (S,) by their marks, in `unit`; `missing` says why there are none; `top` fixes the end of the axis."""

    title: str
    unit: str
    series: Mapping[Mark, NDArray] = field(default_factory=dict)
    missing: str = ""
    top: float | None = None


@dataclass(frozen=True)
class Band:
    """Steps in which something is active, shaded in all panels; `words` for the legend."""

    words: str
    steps: range


@dataclass(frozen=True)
class Chart:
    """Panels over one axis of steps with a cursor; in a notebook the plotly figure, and its still where plotly is not."""

    panels: tuple[Panel, ...]
    steps: int
    says: str
    bands: tuple[Band, ...] = ()
    cursor: int = 0

    @property
    def figure(self) -> go.Figure:
        """To be touched: hover reads all curves of a step, the slider moves the cursor, without a kernel."""
        rows = len(self.panels)
        titles = [panel.title for panel in self.panels]
        figure = make_subplots(rows, 1, shared_xaxes=True, vertical_spacing=0.24 / rows, subplot_titles=titles)
        for row, panel in enumerate(self.panels, 1):
            low, high = figure.layout[f"yaxis{row}"].domain
            legend = f"legend{row}" if row > 1 else "legend"
            for mark, values in panel.series.items():
                figure.add_trace(curve(mark, values).update(legend=legend), row, 1)
            figure.update_layout({legend: {"y": high, "yanchor": "top"}})
            figure.update_yaxes(title_text=panel.unit, rangemode="tozero", range=panel.top and [0, panel.top * 1.04], row=row, col=1)
            if panel.missing:
                figure.add_annotation(text=wrapped(panel.missing), x=0.5, y=(low + high) / 2, xref="paper", yref="paper", showarrow=False)
        figure.update_layout(shapes=[self.line(), *map(shaded, self.bands)], sliders=[self.slider()], height=170 * rows + 130, **STYLE)
        figure.update_xaxes(range=[-0.5, self.steps - 0.5], gridcolor=FAINT, zeroline=False)
        figure.update_yaxes(gridcolor=FAINT, zeroline=False)
        return figure

    @property
    def still(self) -> Picture:
        """To be seen: the same curves, the cursor where it starts."""
        figure = Picture(8, 1.75 * len(self.panels) + 0.5, self.says, "constrained")
        for axes, panel in zip(figure.subplots(len(self.panels), 1, sharex=True, squeeze=False).ravel(), self.panels, strict=True):
            if panel.missing:
                say(axes, f"{panel.title}: {panel.missing}")
                continue
            grid_lines(axes)
            for band in self.bands:
                words = band.words if panel is self.panels[0] else None
                axes.axvspan(band.steps.start - 0.5, band.steps.stop - 0.5, color=BAND, label=words, zorder=0)
            for mark, values in panel.series.items():
                known = np.flatnonzero(np.isfinite(values))
                axes.plot(
                    known, values[known], color=mark.colour, linestyle=linestyle(mark), linewidth=1.6, marker=SHAPES[mark.marker],
                    markersize=4, markevery=max(1, len(known) // 12), label=mark.words,
                )  # fmt: skip
            axes.axvline(self.cursor, color=INK, linewidth=0.8)
            axes.set_title(panel.title, fontsize=NORMAL, loc="left", color=INK)
            axes.set_ylabel(panel.unit, fontsize=SMALL, color=INK)
            axes.set_ylim(0, panel.top and panel.top * 1.04)
            axes.legend(fontsize=SMALL, frameon=False, loc="upper left", bbox_to_anchor=(1, 1), labelcolor=INK, handlelength=3)
        axes.tick_params(labelsize=SMALL, labelbottom=True)
        axes.set(xlim=(-0.5, self.steps - 0.5))
        axes.set_xlabel("step (from noise to picture)", fontsize=NORMAL, color=INK)
        return figure

    def line(self) -> dict[str, Any]:
        """The cursor."""
        return upright("line", self.cursor, self.cursor) | {"line": {"color": INK, "width": 1}}

    def slider(self) -> dict[str, Any]:
        """Moves the cursor."""
        moves = [
            {"method": "relayout", "label": str(step), "args": [{"shapes[0].x0": step, "shapes[0].x1": step}]} for step in range(self.steps)
        ]
        return {"active": self.cursor, "steps": moves, "currentvalue": {"prefix": "step "}, "pad": {"t": 30}, "ticklen": 3}

    def __repr__(self) -> str:
        return f"Chart: {self.says}"

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data, metadata = self.still._repr_mimebundle_()
        return {**data, "application/vnd.plotly.v1+json": json.loads(self.figure.to_json()), "text/plain": repr(self)}, metadata


STYLE = {
    "paper_bgcolor": PAPER,
    "plot_bgcolor": PAPER,
    "font": {"color": INK, "size": 12},
    "hovermode": "x unified",
    "hoversubplots": "axis",
    "showlegend": True,
    "margin": {"l": 60, "r": 20, "t": 30, "b": 40},
}


def curve(mark: Mark, values: NDArray) -> go.Scatter:
    """A curve of plotly in the style of its mark, through the steps that were recorded."""
    known = np.flatnonzero(np.isfinite(values))
    shown = [round(float(value), 6) for value in values[known]]
    dash = ",".join(f"{length}px" for length in mark.dash) or "solid"
    style = {"color": mark.colour, "dash": dash, "width": 2}
    marker = {"symbol": SYMBOLS[mark.marker], "size": 6}
    return go.Scatter(x=known.tolist(), y=shown, name=mark.words, mode="lines+markers", line=style, marker=marker)


def shaded(band: Band) -> dict[str, Any]:
    """A band of plotly, behind everything."""
    look = {"fillcolor": BAND, "line": {"width": 0}, "layer": "below", "label": {"text": band.words, "textposition": "top left"}}
    return upright("rect", band.steps.start - 0.5, band.steps.stop - 0.5) | look


def upright(kind: str, start: float, stop: float) -> dict[str, Any]:
    """A shape of plotly from one step to another, through all panels."""
    return {"type": kind, "xref": "x", "yref": "paper", "x0": start, "x1": stop, "y0": 0, "y1": 1}


def wrapped(text: str, width: int = 70) -> str:
    """Lines for plotly, with nothing in them that it would take for markup."""
    return "<br>".join(html.escape(line) for line in textwrap.wrap(text, width))
