"""What the explorer gets before anybody asks: a description of the recordings, and as many of their parts as a budget allows.

Pure functions of traces; zvr_viz.explorer sends the result to a notebook, zvr_viz.export writes it into a file.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, product
from typing import Any

import numpy as np

from zvr_core.agreement import SAME
from zvr_core.errors import ZvrError
from zvr_core.trace import Trace, TraceSite
from zvr_viz import palette
from zvr_viz.parts import MARGIN_MOST, part, steps_note, token_type
from zvr_viz.reading import favourite_site

Traces = Sequence[Trace]
BUDGET = 16 << 20  # bytes
STILLS = ("lq", "truth", "restored")


def head(traces: Traces, axis: Sequence[Sequence[int]], epoch: str = "") -> dict[str, Any]:
    """The recordings as JSON.  `axis` holds for each place of the step axis one step of each run, see `step_axis`; parts of another
    `epoch` are forgotten."""
    return {
        "epoch": epoch,
        "axis": [list(place) for place in axis],
        "frames": min(trace.frames for trace in traces),
        "first": first_view(traces[0]),
        "kernel": False,
        "runs": [describe(trace, label) for trace, label in zip(traces, labels(traces), strict=True)],
        "palette": {
            "marks": {name: mark.colour for name, mark in palette.MATCHERS.items()},
            "maps": {name: [f"#{colour}" for colour in text.split()] for name, text in palette.ANCHORS.items()},
        },
        "same": SAME,
        "margin": MARGIN_MOST,
        "note": "",
    }


def step_axis(traces: Traces) -> Sequence[tuple[int, ...]]:
    """The steps that are shown together: those of one run, or pairs of two runs with the nearest noise level."""
    first, *others = traces
    return first.compare(others[0]) if others and others[0].steps else [(step,) for step in range(first.steps)]


def describe(trace: Trace, label: str) -> dict[str, Any]:
    """One recording as JSON."""
    sigma = np.sqrt((1 - trace.alpha_bar) / trace.alpha_bar.clip(1e-12))
    return {
        "label": label,
        "name": trace.name,
        "model": str(trace.model.get("name", "")),
        "method": trace.method,
        "seed": trace.seed,
        "steps": trace.steps,
        "total": trace.total_steps,
        "frames": trace.frames,
        "sigma": [float(f"{value:.4g}") for value in sigma],
        "noise": [round(float(value), 4) for value in np.sqrt(1 - trace.alpha_bar)],
        "size": list(trace.size),
        "key": [int(key) for key in trace.key],
        "windows": [[window.start, window.stop, window.key] for window in trace.windows],
        "sites": [describe_site(trace, site) for site in trace.sites],
        "features": [name for name in trace.matchers if name != "flow"],
        "matched": list(trace.match_steps),
        "pictures": [kind for kind in ("preview", *STILLS) if trace.has(kind)],
        "truth": trace.has("true_target"),
        "missing": missing(trace),
    }


def describe_site(trace: Trace, site: TraceSite) -> dict[str, Any]:
    """One site as JSON; `most` is the end of its scale of distances, in tokens: the same for every step and run."""
    return {
        "name": site.name,
        "stage": site.stage,
        "grid": list(site.grid),
        "cell": site.cell,
        "own": trace.own(site.name),
        "wide": token_type(site) is np.uint32,
        "most": palette.nice(max(site.grid) / 4),
    }


def missing(trace: Trace) -> dict[str, str]:
    """What a recording has not, and how to record it, in words."""
    notes = {}
    if not trace.steps:
        notes["steps"] = "no step of this run is complete yet"
    if not trace.sites:
        notes["sites"] = "no attention site was recorded; record them with RecordAt(sites='all')"
    elif not trace.match_steps:
        notes["match"] = "no matches were recorded; record them with RecordAt(what={…, 'matches'})"
    elif len(trace.match_steps) < trace.steps:
        notes["match"] = steps_note(trace)
    if not trace.has("similarity"):
        notes["rows"] = "no similarity rows were recorded; record them with RecordAt(similarity=48)"
    if not trace.has("true_target"):
        notes["truth"] = "the true motion is not known; for a clip that knows it, record(…, truth=Truth(frames, motion))"
    if not trace.has("preview"):
        notes["preview"] = "no pictures of the steps were recorded; record them with RecordAt(what={…, 'preview'})"
    return notes


def labels(traces: Traces) -> list[str]:
    """A short name for each run: the first fact that tells one from the other, or a letter."""
    facts = [(t.method, t.name, str(t.model.get("name", "")), f"seed {t.seed}", f"{t.total_steps} steps") for t in traces]
    letters = tuple(f"run {letter}" for letter, _ in zip("AB", traces, strict=False))
    return list(next((names for names in zip(*facts, strict=True) if len(set(names)) == len(traces)), letters))


def first_view(trace: Trace) -> dict[str, Any]:
    """Where an explorer opens: half way, at the finest site where the method matches, on the frame farthest from its key frame."""
    steps = trace.match_steps or tuple(range(trace.steps)) or (0,)
    return {
        "step": steps[len(steps) // 2],
        "frame": int(np.abs(np.arange(trace.frames) - trace.key).argmax()),
        "site": favourite_site(trace).name if trace.sites else "",
    }


def order(traces: Traces, axis: Sequence[Sequence[int]], view: Mapping[str, Any]) -> Iterator[str]:
    """The names of all parts, each once, those first that are most likely to be looked at: the view itself, its pair of frames over
    all steps, all frames of its step, then the rest by distance from the frame that is shown."""
    frames = range(min(trace.frames for trace in traces))
    near = sorted(frames, key=lambda frame: abs(frame - view["frame"]))
    first, key = near[:1], [int(traces[0].key[frame]) for frame in near[:1]]
    steps = sorted(axis, key=lambda place: abs(place[0] - view["step"]))
    sites = sorted((site.name for site in traces[0].sites), key=lambda name: name != view["site"])
    site = sites[:1]
    parts = chain(
        moments(("preview", "match", "rows"), steps[:1], site, first),
        moments(("preview",), steps[:1], site, key),
        (f"{run}/flow/{name}/{frame}" for name in site for frame in first for run in range(len(traces))),
        moments(("preview", "match", "rows"), steps, site, first),
        moments(("preview",), steps, site, key),
        (f"{run}/curve/{name}/{trace.steps}" for name in sites for run, trace in enumerate(traces)),
        moments(("preview",), steps[:1], site, near),
        (f"{run}/{kind}/{frame}" for frame in near for kind in STILLS for run in range(len(traces))),
        (f"{run}/flow/{name}/{frame}" for name in sites for frame in near for run in range(len(traces))),
        moments(("match",), steps[:1], sites, near),
        moments(("match", "rows"), steps, sites, first),
        moments(("preview", "match"), steps, sites, near),
        moments(("rows",), steps, sites, near),
    )
    return iter(dict.fromkeys(parts))


def moments(kinds: Sequence[str], axis: Sequence[Sequence[int]], sites: Sequence[str], frames: Sequence[int]) -> Iterator[str]:
    """The names of parts that each step has: previews, or what its sites have."""
    for frame, place, kind in product(frames, axis, kinds):
        for run, step in enumerate(place):
            for where in sites if kind != "preview" else [""]:
                yield "/".join(filter(None, (str(run), kind, str(step), where, str(frame))))


@dataclass(frozen=True)
class Parts:
    """Parts one after the other in `pack`; `index` holds their names and lengths."""

    index: list[tuple[str, int]]
    pack: bytes


def preload(traces: Traces, names: Iterator[str], budget: int = BUDGET, seconds: float = math.inf) -> Parts:
    """The next of the named parts, until the budget in bytes or the time is used up; what was not recorded takes no room."""
    chosen: dict[str, bytes] = {}
    until, used = time.monotonic() + seconds, 0
    for name in names:
        try:
            data = load(traces, name)
        except ZvrError:
            continue
        if used + len(data) > budget:
            break
        chosen[name] = data
        used += len(data)
        if time.monotonic() > until:
            break
    return Parts([(name, len(data)) for name, data in chosen.items()], b"".join(chosen.values()))


def load(traces: Traces, name: str) -> bytes:
    """The bytes of one part; raises ZvrError in words where it was not recorded."""
    run, _, key = name.partition("/")
    if not run.isdecimal() or int(run) >= len(traces):
        raise ZvrError(f"part {name!r} asked for, but there are {len(traces)} runs")
    return part(traces[int(run)], key)
