"""A trace in words: one stable line for a terminal, and a summary that folds out in a notebook with CSS alone.

The fold-outs follow the idea of xarray's `formatting_html`: a plain text is there for front ends that strip the style.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zvr_core.trace.layout import Layout
from zvr_core.words import counted, frames_of, size_text, times

if TYPE_CHECKING:
    from zvr_core.trace.trace import Trace


def text(trace: Trace) -> str:
    """One line without addresses, paths or times."""
    return f"Trace({trace.file!r}: {', '.join(facts(trace))})"


def facts(trace: Trace) -> list[str]:
    """What one wants to know first, in words."""
    steps = counted(trace.steps, "step") if trace.steps == trace.total_steps else f"{trace.steps} of {counted(trace.total_steps, 'step')}"
    sites = counted(len(trace.sites), "site")
    return [
        trace.name,
        frames_of(trace.frames, trace.size),
        trace.method,
        steps,
        sites,
        " · ".join(trace.matchers) or "no matches",
    ]


def html(trace: Trace) -> str:
    """The summary, with sites, windows, arrays and settings to fold out; every text is escaped."""
    head = trace.header
    specs = [Layout(head).arrays[path] for path in trace.attributes["arrays"]]
    total = sum(spec.nbytes for spec in specs)
    sites = [(s.name, s.stage, times(*s.grid[::-1]), f"{s.cell} px", s.channels, s.heads, trace.own(s.name) or "–") for s in head.sites]
    windows = [(f"{w.start} to {w.stop - 1}", w.key, w.previous_key if w.previous_key >= 0 else "–") for w in head.windows]
    arrays = [(s.path, ", ".join(s.dims), times(*s.shape), s.dtype, size_text(s.nbytes)) for s in specs]
    settings = {
        "method": head.method,
        "sampler": head.sampler,
        "recorded": head.recorded,
        "machine": head.machine,
        "settings": head.settings,
    }
    return "".join(
        [
            f'<div class="zvr-trace"><style>{style()}</style><pre class="zvr-plain">{escape(text(trace))}</pre>',
            f"<header>{escape(trace.file)}<small>{escape(state(trace))}</small></header>",
            summary(trace),
            fold("Sites", len(sites), table(("name", "stage", "tokens", "cell", "channels", "heads", "merges by"), sites)),
            fold("Windows", len(windows), table(("frames", "key frame", "key frame before"), windows)),
            fold(
                "Arrays",
                f"{len(arrays)}, {size_text(total)} before compression",
                table(("path", "dimensions", "shape", "type", "size"), arrays),
            ),
            fold("Settings", "", f"<pre>{escape(json.dumps(settings, indent=2, ensure_ascii=False))}</pre>"),
            "</div>",
        ]
    )


def state(trace: Trace) -> str:
    """How far the run has come."""
    if trace.steps == trace.total_steps:
        return f"all {trace.steps} steps"
    return f"{trace.steps} of {trace.total_steps} steps" + ("" if trace.closed else ", being written or cut off")


def summary(trace: Trace) -> str:
    """The first facts as a list of terms."""
    head = trace.header
    (height, width), (lq_height, lq_width) = trace.size, trace.lq_size
    model: Mapping[str, Any] = {"name": "–", "dtype": "", "device": "", **head.model}
    rows = {
        "clip": f"{trace.name}, {counted(trace.frames, 'frame')}, {trace.fps:.5g} fps, {lq_width}×{lq_height} → {width}×{height}",
        "method": f"{trace.method}, seed {trace.seed}",
        "model": f"{Path(str(model['name'])).name} {model['dtype']} {model['device']}".strip(),
        "matchers": " · ".join(trace.matchers) or "–",
        "matches at": f"{len(trace.match_steps)} of {trace.steps} steps",
    }
    return f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{escape(value)}</dd>' for name, value in rows.items())}</dl>"


def fold(title: str, note: object, inside: str) -> str:
    """A part that opens on a click."""
    return f"<details><summary>{escape(title)}<small>{escape(str(note))}</small></summary><div>{inside}</div></details>"


def table(names: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Rows of values under their names."""
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(f"<tr>{''.join(f'<td>{escape(str(value))}</td>' for value in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


@cache
def style() -> str:
    """The style sheet beside this file."""
    return Path(__file__).with_suffix(".css").read_text(encoding="utf-8")
