"""The explorer in a notebook: panes on one or two recordings, joined by one cursor (step, frame, site, token, row).

All drawing is JavaScript (static/); Python sends what fits a budget at the start, answers requests for the rest, and hears where the
cursor came to rest.
"""

from __future__ import annotations

import base64
import math
import time
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import anywidget
import traitlets

from zvr_core.errors import ZvrError
from zvr_core.trace import Trace
from zvr_viz.module import module_text, style_text
from zvr_viz.payload import BUDGET, Traces, first_view, head, load, order, preload, step_axis
from zvr_viz.still import still

MOMENT = 0.8  # seconds that loading ahead may keep the user waiting
BREATH = 0.02  # seconds that it may keep the kernel busy at a time, while nobody asks for anything


def explore(subject: Any, trace_b: Trace | None = None, *, budget: int = BUDGET, **state: Any) -> Explorer:
    """The explorer of a recording, of two recordings on one step axis, or of a run (anything with `step` and `finish`).

    `budget`: bytes that are sent at once; more makes more steps instant.  `state`: where to start, for example
    `explore(trace, step=3, site="up.1.0")`, or all of another explorer's view, `explore(trace, **viewer.state)`.
    """
    if callable(getattr(subject, "step", None)) and callable(getattr(subject, "finish", None)):
        from zvr_viz.live import explore_run

        return explore_run(subject, budget=budget, **state)
    return Explorer(subject, trace_b, budget=budget, **state)


class Explorer(anywidget.AnyWidget):
    """The widget; `state` is a small dict that restores the same view."""

    _esm = module_text()
    _css = style_text()
    head = traitlets.Dict().tag(sync=True)
    index: traitlets.List = traitlets.List().tag(sync=True)
    pack = traitlets.Bytes().tag(sync=True)
    state = traitlets.Dict().tag(sync=True)
    live = traitlets.Dict().tag(sync=True)

    def __init__(self, trace: Trace, trace_b: Trace | None = None, *, budget: int = BUDGET, **state: Any) -> None:
        self.budget, self._shows = budget, 0
        self.traces: Traces = (trace,) if trace_b is None else (trace, trace_b)
        super().__init__(**self._contents(state), state=state)
        self.on_msg(lambda _, content, buffers: self.answer(content))

    def show(self, trace: Trace, trace_b: Trace | None = None) -> None:
        """Other recordings in the same view."""
        self.traces = (trace,) if trace_b is None else (trace, trace_b)
        self._shows += 1
        self._replace()

    def refresh(self) -> None:
        """Shows the steps that a run has added to its trace since, or taken back."""
        for trace in self.traces:
            trace.refresh()
        if self._epoch == self.head["epoch"]:
            self.head = self._head()
        else:
            self._replace()

    @property
    def _epoch(self) -> str:
        """Changes when parts that were sent before are not true any more."""
        return "/".join(str(count) for count in (self._shows, *(trace.attributes["rewound"] for trace in self.traces)))

    def _contents(self, state: dict[str, Any]) -> dict[str, Any]:
        """What JavaScript gets at once: the description, and the parts that can be had within moments."""
        self._coming = order(self.traces, step_axis(self.traces), {**first_view(self.traces[0]), **state})
        parts = preload(self.traces, self._coming, self.budget, MOMENT)
        self._left = self.budget - len(parts.pack)
        return {"head": self._head(), "index": parts.index, "pack": parts.pack}

    def _head(self) -> dict[str, Any]:
        note = f"{self.budget / 2**20:.3g} MB of the recording are loaded ahead; the rest comes from the kernel when it is looked at"
        return head(self.traces, step_axis(self.traces), self._epoch) | {"kernel": True, "help": note}

    def _replace(self) -> None:
        with self.hold_sync():
            for name, value in reversed(self._contents(self.state).items()):  # the head last: it is what JavaScript waits for
                setattr(self, name, value)

    def answer(self, content: dict[str, Any]) -> None:
        """Handles a message of the view: parts that are asked for by name, whatever comes next in order, or an order to a run."""
        kind = content.get("kind")
        if kind == "live":
            self.act(content)
        elif kind == "fetch":
            self._deliver(content["id"], *self._fetch(content["keys"], BREATH if content.get("patient") else math.inf))
        elif kind == "more":
            parts = preload(self.traces, self._coming, self._left, BREATH)
            self._left -= len(parts.pack)
            ends = list(accumulate(length for _, length in parts.index))
            found = {name: parts.pack[end - length : end] for (name, length), end in zip(parts.index, ends, strict=True)}
            self._deliver(content["id"], found, {}, more=bool(found))

    def _fetch(self, names: Sequence[str], seconds: float) -> tuple[dict[str, bytes], dict[str, str]]:
        """Parts by name, as many as can be had in a time, at least one; and why some are not there."""
        until = time.monotonic() + seconds
        found: dict[str, bytes] = {}
        missing: dict[str, str] = {}
        for name in names:
            try:
                found[name] = load(self.traces, name)
            except ZvrError as error:
                missing[name] = str(error)
            except Exception as error:  # whatever it is, the view must hear of it, or it waits for ever
                missing[name] = f"{type(error).__name__}: {error}"
            if time.monotonic() > until:
                break
        return found, missing

    def _deliver(self, asked: str, found: dict[str, bytes], missing: dict[str, str], more: bool = True) -> None:
        about = {"kind": "parts", "id": asked, "epoch": self.head["epoch"], "keys": list(found), "missing": missing, "more": more}
        self.send(about, list(found.values()))

    def act(self, order: dict[str, Any]) -> None:
        """An order of the control bar; a recording has none (see zvr_viz.live)."""

    def __repr__(self) -> str:
        runs = " against ".join(f"{trace.name} ({trace.method}, {trace.steps} steps, {trace.frames} frames)" for trace in self.traces)
        return f"Explorer of {runs}"

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The widget, a picture for where there is no kernel, and the text."""
        bundle = super()._repr_mimebundle_(**kwargs)
        data, about = bundle if bundle else ({}, {})
        picture = base64.b64encode(still(self.traces, self.state)).decode()
        return {**data, "image/png": picture}, {**about, "image/png": {"alt": repr(self)}}
