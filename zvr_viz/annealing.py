"""Equation 8 with handles: r, delta, begin and end of the merge schedule, as a curve and in tokens.

Source: DiffIR2VR-Zero (Yeh et al. 2024), Eq. 8; `zvr_core.schedule.CosineAnnealing` is what runs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import ipywidgets as widgets
import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from zvr_core.errors import ZvrError
from zvr_core.schedule import CosineAnnealing, Period
from zvr_viz.charts import Chart, Panel
from zvr_viz.palette import series_mark
from zvr_viz.picture import Picture

RATIO, KEPT = series_mark(0, "merge ratio"), series_mark(1, "seen by attention")


@dataclass(frozen=True)
class Annealed:
    """What a schedule does to a window of `frames` frames with `tokens` tokens each, in `steps` steps; all arrays (S,).

    `merged` tokens take the output of another one; `seen` is the length of the sequence that attends, `everything` before merging.
    Outside the period nothing is merged and every frame attends to itself alone.
    """

    schedule: CosineAnnealing
    steps: int
    frames: int
    tokens: int

    def __post_init__(self) -> None:
        for name in ("steps", "frames", "tokens"):
            if getattr(self, name) < 1:
                raise ZvrError(f"{name}={getattr(self, name)} given, at least 1 expected")

    @property
    def ratio(self) -> NDArray:
        """The share of tokens outside the key frame that is merged."""
        inside = self.schedule.period.steps(self.steps)
        return np.array([self.schedule(step, self.steps) if step in inside else 0.0 for step in range(self.steps)])

    @property
    def merged(self) -> NDArray:
        """How many tokens that is."""
        return (self.ratio * (self.frames - 1) * self.tokens).astype(int)

    @property
    def everything(self) -> int:
        return self.frames * self.tokens

    @property
    def seen(self) -> NDArray:
        """How many tokens attend to each other."""
        inside = np.isin(np.arange(self.steps), list(self.schedule.period.steps(self.steps)))
        return np.where(inside, self.everything - self.merged, self.tokens)

    def says(self, step: int) -> str:
        """One step in words."""
        ratio, merged, seen = self.ratio[step], self.merged[step], self.seen[step]
        others = (self.frames - 1) * self.tokens
        if step not in self.schedule.period.steps(self.steps):
            return f"Step {step}: outside the period; nothing is merged, each frame attends to its own {self.tokens} tokens."
        return (
            f"Step {step}: ratio {ratio:.2f}; {merged} of the {others} tokens outside the key frame take another token's output; "
            f"attention sees {seen} of {self.everything} tokens, {100 * (seen / self.everything) ** 2:.0f} % of the pairs."
        )

    def chart(self) -> Chart:
        """The curve, and the tokens."""
        panels = (
            Panel("Merge ratio (Eq. 8)", "share of tokens", {RATIO: self.ratio}, top=1),
            Panel("Tokens that attend to each other", "tokens of a window", {KEPT: self.seen}, top=self.everything),
        )
        return Chart(panels, self.steps, self.sentence)

    @property
    def sentence(self) -> str:
        s = self.schedule
        words = f"from {s.first:g} to {s.last:g} with delta {s.delta:g} over {s.period.start:g} to {s.period.end:g} of {self.steps} steps"
        return f"merge ratio {words}; {self.frames} frames of {self.tokens} tokens"


class AnnealingChart(widgets.VBox):  # type: ignore[misc]
    """Sliders for r at the first and last step, delta, begin and end; the curve and its meaning in tokens follow.

    `chart.schedule` is the schedule shown, to be given to a method: `FlowMerging(ratio=chart.schedule, …)`.  Without a kernel its still
    shows the schedule it was made with.
    """

    def __init__(self, schedule: CosineAnnealing = CosineAnnealing(), steps: int = 50, frames: int = 10, tokens: int = 1024) -> None:
        self.annealed = Annealed(schedule, steps, frames, tokens)
        self.sliders = {
            "first": slider("r at begin", schedule.first, 1),
            "last": slider("r at end", schedule.last, 1),
            "delta": slider("delta", schedule.delta, 3),
        }
        start, end = schedule.period.start, schedule.period.end
        self.period = widgets.FloatRangeSlider(value=(start, end), min=0, max=1, step=0.02, description="begin, end", readout_format=".2f")
        self.words = widgets.HTML()
        self.view = go.FigureWidget(self.annealed.chart().figure)
        self.view.layout.sliders = ()
        self.view.layout.height = 400
        for handle in (*self.sliders.values(), self.period):
            handle.observe(self.follow, names="value")
        self.tell()
        super().__init__([*self.sliders.values(), self.period, self.view, self.words])

    @property
    def schedule(self) -> CosineAnnealing:
        """What the sliders say."""
        return self.annealed.schedule

    @property
    def still(self) -> Picture:
        """The chart as it stands."""
        return self.annealed.chart().still

    def follow(self, _: Any = None) -> None:
        """Redraws after a slider has moved."""
        values = {name: round(handle.value, 4) for name, handle in self.sliders.items()}
        period = Period(*(round(edge, 4) for edge in self.period.value))
        self.annealed = replace(self.annealed, schedule=replace(self.schedule, period=period, **values))
        with self.view.batch_update():
            for trace, values_of in zip(self.view.data, (self.annealed.ratio, self.annealed.seen), strict=True):
                trace.y = values_of.tolist()
        self.tell()

    def tell(self) -> None:
        """The first, middle and last step of the period in words."""
        inside = self.schedule.period.steps(self.annealed.steps) or range(1)
        shown = sorted({inside[0], inside[len(inside) // 2], inside[-1]})
        self.words.value = "<br>".join(self.annealed.says(step) for step in shown)

    def __repr__(self) -> str:
        return f"AnnealingChart: {self.annealed.sentence}"

    def _repr_mimebundle_(self, **options: Any) -> Any:
        live = super()._repr_mimebundle_(**options)
        still, metadata = self.still._repr_mimebundle_()
        return {**(live[0] if isinstance(live, tuple) else live or {}), **still, "text/plain": repr(self)}, metadata


def slider(words: str, value: float, most: float) -> widgets.FloatSlider:
    """A slider from 0 to `most`, or to the value where that is more."""
    return widgets.FloatSlider(value=value, min=0, max=max(most, value), step=0.01, description=words, readout_format=".2f")
