"""A matplotlib figure that shows itself in notebooks, small, on paper of its own, with words for those who cannot see it."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from zvr_core.trace import Missing
from zvr_viz.encode import within
from zvr_viz.palette import FAINT, INK, MISSING, PAPER, RGB, Mark, Scale

DPI = 100
BUDGET = 140_000  # bytes of a still in a notebook
SMALL, NORMAL = 8, 9  # pt: no text is smaller
SHAPES = {"circle": "o", "square": "s", "triangle": "^", "diamond": "D"}


class Picture(Figure):
    """A figure of `width` × `height` inches that `says` in one sentence what it shows; no pyplot, no window, no global state.

    A notebook stores it as PNG within `BUDGET` bytes; `savefig("name.pdf")` writes it with all its lines for paper.  `layout` is
    matplotlib's: "compressed" for pictures, which keep their shape, "constrained" for curves.
    """

    def __init__(self, width: float, height: float, says: str, layout: Literal["compressed", "constrained"] = "compressed") -> None:
        super().__init__(figsize=(width, height), dpi=DPI, layout=layout, facecolor=PAPER)
        FigureCanvasAgg(self)
        self.says = says

    def __repr__(self) -> str:
        return f"Picture: {self.says}"

    def pixels(self) -> RGB:
        """The figure as it is stored in notebooks, (H, W, 3)."""
        canvas = FigureCanvasAgg(self)
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[..., :3].copy()

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        return {"image/png": within(self.pixels(), BUDGET), "text/plain": repr(self)}, {"image/png": {"alt": self.says}}


def plain(axes: Axes) -> Axes:
    """Axes for a picture: a thin frame, no ticks."""
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(color=MISSING, linewidth=0.5)
    return axes


def show(axes: Axes, picture: RGB, *, stretch: bool = False) -> None:
    """The picture (H, W, 3), unsmoothed: one pixel is one pixel.  `stretch` fills the axes."""
    plain(axes).imshow(picture, interpolation="nearest", interpolation_stage="rgba", aspect="auto" if stretch else "equal")


def columns_of(axes: Axes) -> int:
    """About how many letters fit across the axes, which before layout are narrower than after it: at least sixteen."""
    return max(16, int(axes.get_position().width * axes.get_figure(root=True).get_figwidth() * 16))  # type: ignore[union-attr]


def caption(axes: Axes, text: str) -> None:
    """A heading, left, wrapped to the axes' width."""
    rows = [row for line in text.split("\n") for row in textwrap.wrap(line, columns_of(axes))]
    axes.set_title("\n".join(rows), fontsize=NORMAL, loc="left", color=INK)


def say(axes: Axes, text: str) -> None:
    """Words where a picture cannot be: what is missing, and how to get it."""
    plain(axes).set_facecolor("#F2F2F2")
    words = "\n".join(textwrap.wrap(text, columns_of(axes)))
    axes.text(0.5, 0.5, words, ha="center", va="center", fontsize=SMALL, color=INK, transform=axes.transAxes)


def words_only(text: str) -> Picture:
    """A figure that says why there is none."""
    figure = Picture(7, 1.6, text)
    say(figure.subplots(), text)
    return figure


@dataclass(frozen=True)
class Pane:
    """One picture of a gallery: a short heading, what draws it (and may raise Missing), and below it a colour bar or words."""

    heading: str
    draw: Callable[[Axes], None]
    below: Callable[[], Scale] | str = ""


def gallery(panes: Sequence[Pane], size: tuple[int, int], says: str, columns: int, side: float = 3.2) -> Picture:
    """Panes of pictures of `size` (H, W) in rows, aligned, `side` inches on the longer side; `says` becomes the title."""
    rows = -(-len(panes) // columns)
    across, down = (side * length / max(size) for length in (size[1], size[0]))
    across = max(across, 2.0)  # or the words have no room
    figure = Picture(across * columns, (down + 0.75) * rows + 0.4, says)
    grid = figure.add_gridspec(2 * rows, columns, height_ratios=[down, 0.12] * rows)
    for index, pane in enumerate(panes):
        row, column = divmod(index, columns)
        axes, below = (figure.add_subplot(grid[2 * row + part, column]) for part in (0, 1))
        panel(axes, pane.draw, below, pane.below)
        caption(axes, pane.heading)
    title(figure, says)
    return figure


def title(figure: Figure, text: str) -> None:
    """A title, left, wrapped to the figure's width."""
    rows = textwrap.wrap(text[0].upper() + text[1:], int(figure.get_figwidth() * 13))
    figure.suptitle("\n".join(rows), fontsize=NORMAL + 1, color=INK, x=0.01, ha="left")


def panel(axes: Axes, draw: Callable[[Axes], None], below: Axes | None = None, legend: Callable[[], Scale] | str = "") -> None:
    """Draws, or says what was not recorded: nothing is blank.  `legend` stands in the axes `below`: a colour bar, or words."""
    if below is not None:
        below.set_axis_off()
    try:
        draw(axes)
        if below is not None and callable(legend):
            below.set_axis_on()
            bar(below, legend())
        elif below is not None:
            words = "\n".join(textwrap.wrap(str(legend), columns_of(axes)))
            below.text(0, 1, words, fontsize=SMALL, color=INK, va="top", transform=below.transAxes)
    except Missing as missing:
        axes.clear()
        say(axes, str(missing))


def bar(axes: Axes, scale: Scale) -> None:
    """The colours of a scale, with its words."""
    colours = scale.paint(np.linspace(scale.low, scale.high, 256))[None]  # (1, 256, 3)
    plain(axes).imshow(colours, aspect="auto", extent=(scale.low, scale.high, 0, 1), interpolation="nearest")
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.tick_params(labelsize=SMALL, colors=INK, labelbottom=True)
    axes.set_xlabel("\n".join(textwrap.wrap(scale.words, columns_of(axes))), fontsize=SMALL, color=INK)


def linestyle(mark: Mark) -> Any:
    """The mark's dashes as matplotlib has them."""
    return (0, mark.dash) if mark.dash else "-"


def handle(mark: Mark) -> Line2D:
    """The mark's entry in a legend."""
    line: Any = "none" if mark.marker == "diamond" else linestyle(mark)
    return Line2D(
        [], [], color=mark.colour, linestyle=line, marker=SHAPES[mark.marker], label=mark.words, markersize=6,
        markeredgecolor=INK if mark.colour == PAPER else PAPER, markeredgewidth=0.8,
    )  # fmt: skip


def legend(figure: Figure, marks: list[Mark]) -> None:
    """All marks in words under the figure."""
    if marks:
        columns = min(len(marks), int(figure.get_figwidth() / 1.5))
        style: dict[str, Any] = {"fontsize": NORMAL, "frameon": False, "labelcolor": INK, "handlelength": 3.2}
        figure.legend(handles=[handle(mark) for mark in marks], loc="outside lower center", ncols=columns, **style)


def grid_lines(axes: Axes) -> None:
    """Axes for curves."""
    axes.grid(True, color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=SMALL, colors=INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
