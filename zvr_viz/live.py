"""`explore(run)`: the explorer on a restoration that still goes; step, run, pause, go back, fork.

The run computes on a background thread (driver.py), so the kernel stays usable, and goes on when the view is closed.  What is
shown comes from its recording, in memory where the run records nothing itself; so only what is looked at travels.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

from zvr_core.catalogue import METHODS
from zvr_core.errors import ZvrError
from zvr_core.recording.choice import RecordAt
from zvr_viz.driver import Driver
from zvr_viz.explorer import Explorer

PROBES = 48  # tokens a frame whose similarities are recorded
CAN = {
    "paused": ("step", "run", "back", "fork"),
    "running": ("pause",),
    "finished": ("back", "fork"),
    "failed": ("step", "run", "back", "fork"),
}


def explore_run(run: Any, **options: Any) -> LiveExplorer:
    """The explorer on a running Restoration; see `LiveExplorer`."""
    return LiveExplorer(run, **options)


def recording(run: Any, at: RecordAt | None = None) -> Any:
    """The run, if it records; else the run with a recording in memory of what `at` says (of a fork: what the run before records)."""
    try:
        _ = run.trace
    except ZvrError:
        from zvr_core.recording.recorder import record

        return record(run, at=at)
    return run


class LiveExplorer(Explorer):
    """The explorer's panes on a run, and its buttons: the same as the methods `step`, `go`, `pause`, `back`, `fork`.

    They return at once; `wait()` waits until there is nothing to do.  `run` is the run that the buttons drive: pause and wait before
    you touch it yourself.  After a fork that is the fork, shown as A against the run before as B.
    """

    def __init__(self, run: Any, **options: Any) -> None:
        self._turn, self._said = threading.RLock(), ""
        self.driver = Driver(recording(run, RecordAt(similarity=PROBES)), self._tell)
        self._shown = self.driver.run.index
        super().__init__(self.run.trace, **options)
        self._tell()

    def __repr__(self) -> str:
        return f"LiveExplorer: step {self.run.index} of {self.run.steps}, {self.driver.state}"

    @property
    def run(self) -> Any:
        """The run that the buttons drive."""
        return self.driver.run

    def step(self, n: int = 1) -> None:
        """Goes on by n steps."""
        self._say("")
        self.driver.go(self.run.index + n)

    def go(self) -> None:
        """Goes on to the end."""
        self._say("")
        self.driver.go()

    def pause(self) -> None:
        """Stops at the end of the step that is being done."""
        self.driver.pause()

    def back(self, step: int) -> None:
        """Goes back to where `step` begins; what came after is forgotten."""
        self._say(f"back at step {step}")
        self.driver.order(lambda: self.run.rewind(step))

    def fork(self, from_step: int, method: str = "", merge_ratio: float | None = None) -> None:
        """Another run from where `from_step` begins, with another method by name, or another merge ratio at the schedule's start."""
        self._say(f"forking at step {from_step}")
        self.driver.order(lambda: self._fork(from_step, method, merge_ratio))

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until there is nothing to do; whether that came before the time (in seconds) was up."""
        return self.driver.wait(timeout)

    def act(self, order: dict[str, Any]) -> None:
        """What a button says."""
        match order["action"]:
            case "step":
                self.step()
            case "run":
                self.go()
            case "pause":
                self.pause()
            case "back":
                self.back(order["step"])
            case "fork":
                self.fork(order["step"], order.get("method", ""), order.get("ratio"))

    def refresh(self) -> None:
        """Shows the steps that are new."""
        with self._turn:
            _ = self.run.trace  # waits until the latest step can be read
            super().refresh()

    def answer(self, content: dict[str, Any]) -> None:
        """Gives the view what it asks for, but not while a step is being shown."""
        with self._turn:
            super().answer(content)

    def _fork(self, step: int, method: str, merge_ratio: float | None) -> None:
        before = self.run
        changed = another(before, method, merge_ratio)
        self.driver.run = recording(before.fork(from_step=step, method=changed))
        ratio = "" if merge_ratio_of(changed) is None else f", merge ratio {merge_ratio_of(changed):g}"
        self._said = f"A was forked from B at step {step}: {changed.name}{ratio}"
        with self._turn:
            self._shown = self.run.index
            self.show(self.run.trace, before.trace)

    def _say(self, words: str) -> None:
        self._said = words

    def _tell(self) -> None:
        """Brings the view up to date; called by the driver on its thread."""
        with self._turn:
            if self.run.index != self._shown:
                self._shown = self.run.index
                self.refresh()
            self.live = self._live()

    def _live(self) -> dict[str, Any]:
        state, run = self.driver.state, self.run
        return {
            "state": state,
            "step": run.index,
            "steps": run.steps,
            "seconds_left": self.driver.seconds_left,
            "status": self.driver.error or self._said or state,
            "can": list(CAN[state]),
            "methods": list(dict.fromkeys([*METHODS, run.method.name])),
            "method": run.method.name,
            "ratio": merge_ratio_of(run.method),
            "follow": True,
        }


def another(run: Any, name: str, merge_ratio: float | None) -> Any:
    """The run's method, or the one of a name with windows of the same length, with another merge ratio where one is given.

    Raises ZvrError for an unknown name or a ratio outside 0 to 1.
    """
    from zvr_core.methods.presets import load_method

    method = run.method if name in ("", run.method.name) else load_method(name, window=max(map(len, run.windows)))
    if merge_ratio is None or merge_ratio_of(method) is None:
        return method
    return replace(method, plugins=tuple(with_ratio(plugin, merge_ratio) for plugin in method.plugins))


def merge_ratio_of(method: Any) -> float | None:
    """The merge ratio where the schedule starts; None where the method merges nothing."""
    return next((getattr(p.ratio, ratio_field(p.ratio)) for p in method.plugins if hasattr(p, "ratio")), None)


def with_ratio(plugin: Any, ratio: float) -> Any:
    """The plug-in with its merge ratio starting at `ratio`; others as they are."""
    return replace(plugin, ratio=replace(plugin.ratio, **{ratio_field(plugin.ratio): ratio})) if hasattr(plugin, "ratio") else plugin


def ratio_field(schedule: Any) -> str:
    """What a schedule calls the ratio it starts with: an annealed one `first`, a constant one `value`."""
    return "first" if hasattr(schedule, "first") else "value"
