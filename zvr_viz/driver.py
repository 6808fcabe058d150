"""Drives a run on a background thread, one step at a time, so that a pause is never further away than the end of a step.

Nothing here knows widgets: the explorer's buttons give orders, `tell` is called after whatever has changed.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from zvr_core.errors import ZvrError


class Run(Protocol):
    """What a restoration needs to be driven and looked at."""

    @property
    def index(self) -> int:
        """Steps done."""

    @property
    def steps(self) -> int:
        """Steps in all."""

    @property
    def trace(self) -> Any:
        """What it recorded so far."""

    def step(self, n: int = 1) -> Any:
        """Does `n` steps; the event it returns says how many `seconds` the last took."""

    def rewind(self, step: int) -> Any:
        """Goes back to where `step` begins."""


class Driver:
    """A run, a target step, and a thread that lives only while there is something to do.

    Orders are obeyed in the order they came, between two steps.  An order that fails leaves the run where it was and its reason
    in `error`; the next order clears it.  `tell()` is called on the thread that changed something.
    """

    def __init__(self, run: Run, tell: Callable[[], None]) -> None:
        self.run, self.tell = run, tell
        self.error = ""
        self._target = run.index
        self._orders: deque[Callable[[], None]] = deque()
        self._seconds: deque[float] = deque(maxlen=5)  # of the latest steps
        self._idle = threading.Condition()
        self._thread: threading.Thread | None = None

    @property
    def state(self) -> str:
        """One of "paused", "running", "finished", "failed"."""
        if self.error:
            return "failed"
        if self.run.index >= self.run.steps:
            return "finished"
        return "running" if self.run.index < self._target else "paused"

    @property
    def seconds_left(self) -> float | None:
        """To the end, from the mean of the latest steps; None before the first."""
        if not self._seconds:
            return None
        return (self.run.steps - self.run.index) * sum(self._seconds) / len(self._seconds)

    def go(self, to: int | None = None) -> None:
        """Lets the run go on, to its end or until `to` steps are done; returns at once."""
        with self._idle:
            self.error = ""
            self._target = min(self.run.steps if to is None else to, self.run.steps)
            self._wake()
        self.tell()

    def pause(self) -> None:
        """Stops after the step that is being done; returns at once, `wait()` waits for it."""
        self._target = 0
        self.tell()

    def order(self, action: Callable[[], None]) -> None:
        """Pauses, then does `action` between two steps; returns at once."""
        with self._idle:
            self.error, self._target = "", 0
            self._orders.append(action)
            self._wake()

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until there is nothing to do; whether that came before the time was up."""
        with self._idle:
            return self._idle.wait_for(lambda: self._thread is None, timeout)

    def _wake(self) -> None:
        """Starts the thread if it sleeps; call with the lock held."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="zvr run", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while action := self._next():
            try:
                action()
                self.tell()
            except Exception as error:  # whatever it is, it is told in words, and the kernel lives on
                with self._idle:
                    self.error, self._target = in_words(error), 0
                    self._orders.clear()
                with suppress(Exception):  # perhaps telling is what failed
                    self.tell()

    def _next(self) -> Callable[[], None] | None:
        with self._idle:
            if self._orders:
                return self._orders.popleft()
            if self.run.index < self._target:
                return self._step
            self._thread = None
            self._idle.notify_all()
            return None

    def _step(self) -> None:
        self._seconds.append(self.run.step().seconds)


def in_words(error: Exception) -> str:
    """One line: zvr's own errors say all that is needed, others are named."""
    text = " ".join(str(error).split()) or "no reason given"
    return text if isinstance(error, ZvrError) else f"{type(error).__name__}: {text}"
