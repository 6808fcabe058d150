"""Figures of the tokens of one frame: layers of numbers, and what one token resembles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from zvr_core.trace import Missing, Trace
from zvr_viz.draw import token_box, token_map
from zvr_viz.layers import LAYERS, layer
from zvr_viz.match_figures import dots
from zvr_viz.palette import COSINE, FLOW, RGB, SIMILARITY, TRUTH, Mark
from zvr_viz.picture import Pane, Picture, gallery, legend, show, words_only
from zvr_viz.reading import Spot, backdrop, lattice, spot, true_targets

HEADINGS = {"picture": "the frame", "margin": "margin of cosine", "age": "age of the provider", "confidence": "confidence of the flow"}


def token_layers(
    trace: Trace, step: int | None = None, site: str | None = None, frame: int | None = None, layers: Sequence[str] = tuple(LAYERS)
) -> Picture:
    """Maps of one frame's tokens, one panel each, every colour bar in words and fixed for the whole trace.

    `layers`: "picture", "disagreement", "margin", "age", "merged", "confidence", "occlusion".  Raises ZvrError for another.
    """
    chosen = {name: layer(name) for name in layers}
    try:
        at = spot(trace, step, site, frame)
    except Missing as missing:
        return words_only(str(missing))
    columns = min(len(chosen), 4 if trace.size[1] >= trace.size[0] else 7)
    says = f"tokens of frame {at.frame} at step {at.step}, site {at.site.name}: {', '.join(chosen)}"
    return gallery([one.pane(HEADINGS.get(name, name), trace, at) for name, one in chosen.items()], trace.size, says, columns)


def similarity_map(
    trace: Trace, token: int | None = None, step: int | None = None, site: str | None = None, frame: int | None = None
) -> Picture:
    """What one token resembles: its cosines with all tokens of the key frame, and where flow, cosine and the truth send it.

    Without `token`: of those with a recorded row, and where possible a known true place, the one on which the rules disagree most.
    """
    try:
        at = spot(trace, step, site, frame)
        tokens, rows = trace.similarity(at.step, at.site.name, at.frame)
        index = row_of(tokens, token, at, true_targets(trace, at))
    except Missing as missing:
        return words_only(str(missing))
    return similarity_figure(trace, at, int(tokens[index]), rows[index])


def row_of(tokens: np.ndarray, token: int | None, at: Spot, truth: np.ndarray) -> int:
    """Which of the recorded rows is the token's; of the first with a known true place, where none is asked for; raises Missing."""
    known = tokens[tokens >= 0]
    if not len(known):
        raise Missing(f"step {at.step}, frame {at.frame} has no similarity rows; record them: RecordAt(steps='all', similarity=48)")
    if token is None:
        return int((truth[known] >= 0).argmax())
    if token not in known:
        few = ", ".join(map(str, known[:6]))
        raise Missing(f"token {token} has no similarity row at step {at.step}; these have: {few} …; record more: RecordAt(similarity=200)")
    return int(np.flatnonzero(tokens == token)[0])


def similarity_figure(trace: Trace, at: Spot, token: int, row: np.ndarray) -> Picture:
    """The token in its frame, its targets in the key frame, and the cosines there."""
    cells, key = lattice(trace, at.site), int(trace.key[at.frame])
    targets = {mark: to for mark, to in places_of(trace, at, token).items() if to >= 0}
    numbers = ", ".join(f"{row[to]:.2f} at the {mark.words}" for mark, to in targets.items())

    def marked(picture: RGB, axes: Axes) -> None:
        show(axes, picture)
        for mark, to in targets.items():
            dots(axes, cells.centres(to), mark, 90 if mark == TRUTH else 36)

    panes = [
        Pane(f"token {token} of frame {at.frame}", lambda axes: show(axes, token_box(backdrop(trace, at.frame, at.step), cells, token))),
        Pane(f"where it goes in key frame {key}", lambda axes: marked(backdrop(trace, key, at.step), axes), numbers),
        Pane("what it resembles there", lambda axes: marked(token_map(row, cells, SIMILARITY), axes), lambda: SIMILARITY),
    ]
    says = f"cosines of token {token} of frame {at.frame} with key frame {key} at step {at.step}, site {at.site.name}: {numbers}"
    figure = gallery(panes, trace.size, says, 3)
    legend(figure, list(targets))
    return figure


def places_of(trace: Trace, at: Spot, token: int) -> dict[Mark, int]:
    """The targets of one token, -1 where unknown; the truth first, so that the others lie on it."""
    found = {TRUTH: -1, FLOW: -1, COSINE: -1}
    readers = {
        TRUTH: lambda: trace.true_target(at.site.name, at.frame),
        FLOW: lambda: trace.target(at.step, at.site.name, at.frame, "flow"),
        COSINE: lambda: trace.target(at.step, at.site.name, at.frame, "cosine"),
    }
    for mark, read in readers.items():
        try:
            found[mark] = int(read()[token])
        except Missing:
            continue
    return found
