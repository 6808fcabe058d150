"""Figures of frames: flow and occlusion, temporal profiles, and the steps of one frame from noise to picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache, partial

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from zvr_core.errors import ZvrError
from zvr_core.trace import Missing, Trace
from zvr_viz.draw import mask
from zvr_viz.encode import spaced
from zvr_viz.flow_colours import flow_colours, wheel
from zvr_viz.latents import Projection, fitted, principal
from zvr_viz.palette import CONFIDENCE, FLOW, INK, PAPER, RGB
from zvr_viz.picture import NORMAL, SMALL, Pane, Picture, caption, gallery, panel, plain, show, words_only
from zvr_viz.profile import FLICKER, Cut, flicker
from zvr_viz.reading import KINDS, best_picture, clip, max_flow, noise_level, picture, resized, spot


def flow_figure(trace: Trace, frame: int | None = None) -> Picture:
    """How a frame moves to its key frame: frame, flow (colours and arrows, one fixed maximum per trace), confidence, occlusion."""
    try:
        frame = spot(trace, frame=frame).frame
    except Missing as missing:
        return words_only(str(missing))
    height, width = trace.size
    key = int(trace.key[frame])

    def motion(axes: Axes) -> None:
        if frame == key:
            raise Missing(f"frame {frame} is the key frame of its window: no motion to show; look at another frame")
        field, most = trace.flow(frame), max_flow(trace)
        show(axes, flow_colours(field, most))
        arrows(axes, field, most)
        corner = plain(axes.inset_axes((0.83, 0.02, 0.15, 0.15 * width / height)))
        corner.imshow(wheel(96))

    panes = [
        Pane(f"frame {frame}, input", lambda axes: show(axes, picture(trace, "lq", frame))),
        Pane(f"flow to key frame {key}", motion, flow_words(trace)),
        Pane("confidence", lambda axes: show(axes, CONFIDENCE.paint(trace.confidence(frame))), lambda: CONFIDENCE),
        Pane(
            "occlusion",
            lambda axes: show(axes, mask(picture(trace, "lq", frame), trace.occluded(frame))),
            "hatched pixels are not in the key frame",
        ),
    ]
    return gallery(panes, trace.size, f"how frame {frame} moves to its key frame {key}", 2 if width > height else 4)


def arrows(axes: Axes, field: NDArray, most: float) -> None:
    """Arrows on a grid; a motion of `most` pixels reaches from one to the next."""
    every = max(4, max(field.shape[1:]) // 12)
    y, x = np.meshgrid(*(np.arange(every // 2, side, every) for side in field.shape[1:]), indexing="ij")
    u, v = field[:, y, x] * (every / most)
    axes.quiver(x, y, u, v, color=INK, angles="xy", scale_units="xy", scale=1, width=0.004)


def flow_words(trace: Trace) -> str:
    """What the colours of flow mean in numbers."""
    try:
        return f"direction as in the wheel; full colour and arrow: {max_flow(trace):g} px or more"
    except Missing:
        return ""


def temporal_profile(trace: Trace, cut: Cut | None = None, compare: Mapping[str, Trace | RGB] | None = None) -> Picture:
    """One row or column of pixels over time: input, other runs, this run's result, ground truth, with the flicker of each.

    `cut`: `Cut(40)` or `Cut(64, "column")`, by default the middle row; `compare`: other results by name, traces or frames
    (F, H, W, 3), such as {"per frame": trace}.  After Figure 16 of DiffIR2VR-Zero (Yeh et al. 2024).
    """
    cut = cut or Cut(trace.size[0] // 2)
    sources: dict[str, Callable[[], RGB]] = {KINDS["lq"]: partial(clip, trace, "lq")}
    for name, other in (compare or {}).items():
        sources[name] = partial(clip, other, "restored") if isinstance(other, Trace) else partial(np.asarray, other)
    sources |= {trace.method or KINDS["restored"]: partial(clip, trace, "restored"), KINDS["truth"]: partial(clip, trace, "truth")}
    cut.of(np.empty((1, *trace.size, 3), np.uint8))  # a cut outside the frames is said here
    figure = Picture(9, 1.15 * len(sources) + 0.5, f"{cut.words} over {trace.frames} frames of {', '.join(sources)}", "constrained")
    axes = figure.subplot_mosaic([["where", name] for name in sources], width_ratios=[1, 2.6])
    panel(axes["where"], lambda axes: draw_cut(axes, best_picture(trace, trace.frames // 2, trace.steps - 1), cut))
    figure.supxlabel(FLICKER, fontsize=SMALL, color=INK)
    for name, frames in sources.items():
        panel(axes[name], partial(draw_profile, name=name, frames=frames, cut=cut))
    return figure


def draw_cut(axes: Axes, frame: RGB, cut: Cut) -> None:
    """A frame with a line where the profile is taken."""
    show(axes, frame)
    line = axes.axhline if cut.axis == "row" else axes.axvline
    line(cut.index, color=PAPER, linewidth=3)
    line(cut.index, color=FLOW.colour, linewidth=1.5)
    caption(axes, f"{cut.words} of each frame; time runs downwards")


def draw_profile(axes: Axes, name: str, frames: Callable[[], RGB], cut: Cut) -> None:
    """One profile with its number; raises Missing where there is no time, either."""
    pixels = cut.of(frames())
    if len(pixels) == 1:
        raise Missing(f"{name}: the clip has one frame; a profile needs several")
    show(axes, pixels, stretch=True)
    number = flicker(pixels)
    caption(axes, f"{name}: flicker {'undefined under 3 frames' if np.isnan(number) else f'{number:.2f}'}")


def step_strip(trace: Trace, frame: int | None = None, steps: Sequence[int] = (), most: int = 7) -> Picture:
    """One frame from noise to picture: x_t, the clean estimate x0 (both as a linear map of the latents), and x0 decoded.

    `steps`: which; by default at most `most`, evenly spaced, with the first and the last.
    """
    try:
        at = spot(trace, frame=frame)
    except Missing as missing:
        return words_only(str(missing))
    chosen = list(steps) or spaced(trace.steps, most)
    for step in chosen:
        if not 0 <= step < trace.steps:
            raise ZvrError(f"step {step} given, {trace.file} has steps 0 to {trace.steps - 1}")
    height, width = trace.size
    across = 9.0 / max(len(chosen), 4)
    says = f"frame {at.frame} at {len(chosen)} of {trace.steps} steps"
    figure = Picture(across * len(chosen) + 0.6, (across * height / width) * 3 + 0.7, says)
    axes = figure.subplots(3, len(chosen), squeeze=False)
    projection = cache(lambda: latent_projection(trace))
    rows: dict[str, Callable[[int], RGB]] = {
        "noisy\nlatents x_t": lambda step: projection().paint(trace.x_t(step, at.frame)),
        "estimate\nx0": lambda step: projection().paint(trace.x0(step, at.frame)),
        "x0\ndecoded": lambda step: trace.preview(step, at.frame),
    }
    noise = noise_level(trace)
    with suppress(Missing):
        figure.supxlabel(f"latents: {projection().words}", fontsize=SMALL, color=INK)
    for (name, read), places in zip(rows.items(), axes, strict=True):
        for step, place in zip(chosen, places, strict=True):
            panel(place, partial(draw_step, read=read, step=step, size=trace.size))
        places[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=NORMAL, color=INK)
    for step, place in zip(chosen, axes[0], strict=True):
        caption(place, f"step {step}\nnoise {noise[step]:.2f}")
    return figure


def draw_step(axes: Axes, read: Callable[[int], RGB], step: int, size: tuple[int, int]) -> None:
    """One picture of a strip; raises Missing."""
    show(axes, resized(read(step), size))


def latent_projection(trace: Trace) -> Projection:
    """One linear map for all latents of a trace, fitted where its last estimates were decoded; raises Missing without latents."""
    frames = spaced(trace.frames, 8)
    latents = np.stack([trace.x0(trace.steps - 1, frame) for frame in frames])
    try:
        pictures = [resized(trace.preview(trace.steps - 1, frame), latents.shape[2:]) for frame in frames]
    except Missing:
        return principal(latents)
    return fitted(latents, np.stack(pictures))
