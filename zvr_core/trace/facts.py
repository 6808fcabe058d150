"""What a trace says about its run, from its header: no array is read."""

from __future__ import annotations

from typing import Any

import numpy as np

from zvr_core.errors import unknown
from zvr_core.trace.header import Header, TraceSite, TraceWindow
from zvr_core.trace.reader import Reader

ALIASES = {"confidence": "error", "true_target": "truth_flow"}  # what is made of another array


class TraceFacts:
    """Names, sizes, schedules, windows and sites of a recorded run."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    @property
    def path(self) -> str:
        """Where the trace lies: a folder or a URL."""
        return self._reader.name

    @property
    def header(self) -> Header:
        """All of this as one value."""
        return self._reader.header

    @property
    def file(self) -> str:
        """The name of the trace's folder."""
        return self.path.rstrip("/").rsplit("/", 1)[-1]

    @property
    def attributes(self) -> dict[str, Any]:
        """All of the root's attributes, as JSON."""
        return self._reader.attributes

    @property
    def name(self) -> str:
        """Of the clip."""
        return self.header.name

    @property
    def model(self) -> dict[str, Any]:
        """Name, scale, cell, kind, hash of the weights, dtype and device."""
        return dict(self.header.model)

    @property
    def method(self) -> str:
        """The method's name; `header.method` describes it."""
        return self.header.method_name

    @property
    def seed(self) -> int:
        """Of all noise."""
        return self.header.seed

    @property
    def fps(self) -> float:
        """Frames a second."""
        return self.header.fps

    @property
    def scale(self) -> int:
        """Output pixels per input pixel, along a side."""
        return self.header.scale

    @property
    def steps(self) -> int:
        """The whole steps that are there."""
        return self._reader.steps

    @property
    def total_steps(self) -> int:
        """The steps of the whole run."""
        return self.header.steps

    @property
    def closed(self) -> bool:
        """Whether its writer has ended in good order."""
        return bool(self.attributes["closed"])

    @property
    def timesteps(self) -> np.ndarray:
        """The model's t of each step of the run."""
        return np.array(self.header.timesteps)

    @property
    def alpha_bar(self) -> np.ndarray:
        """ᾱ of each step of the run."""
        return np.array(self.header.alpha_bar)

    @property
    def log_snr(self) -> np.ndarray:
        """log(ᾱ / (1 - ᾱ)) of each step of the run: what noise levels of different schedules are compared by."""
        alpha_bar = self.alpha_bar.clip(1e-12, 1 - 1e-12)
        return np.log(alpha_bar / (1 - alpha_bar))

    @property
    def frames(self) -> int:
        """F."""
        return self.header.frames

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the output."""
        return self.header.size

    @property
    def lq_size(self) -> tuple[int, int]:
        """(H, W) of the input."""
        return self.header.lq_size

    @property
    def windows(self) -> tuple[TraceWindow, ...]:
        """Which frames shared attention, and their key frames."""
        return self.header.windows

    @property
    def key(self) -> np.ndarray:
        """The key frame of each frame's window, (F,); of several windows, the one in which the frame is most central."""
        keys, off = np.full(self.frames, -1), np.full(self.frames, np.inf)
        for window in self.windows:
            frames = np.arange(window.start, window.stop)
            distance = np.abs(frames - (window.start + window.stop - 1) / 2)
            nearer = frames[distance < off[frames]]
            keys[nearer] = window.key
            off[frames] = np.minimum(distance, off[frames])
        return keys

    @property
    def sites(self) -> tuple[TraceSite, ...]:
        """The recorded self-attention layers."""
        return self.header.sites

    def site(self, name: str) -> TraceSite:
        """A recorded layer; raises ZvrError with the nearest names that exist."""
        return self.sites[self._number(name)]

    @property
    def match_steps(self) -> tuple[int, ...]:
        """The whole steps with matches."""
        return tuple(step for step in self.header.match_steps if step < self.steps)

    @property
    def matchers(self) -> tuple[str, ...]:
        """Whose targets are recorded."""
        return self.header.matchers

    def own(self, site: str) -> str:
        """The matcher that the method itself merged by at a site; "" where it merges nothing."""
        return self.header.own.get(self.site(site).name, "")

    def has(self, what: str) -> bool:
        """Whether something can be read: a method of this class ("preview", "truth", "similarity") or a matcher ("cosine")."""
        names = {path.rsplit("/", 1)[-1] for path in self.attributes["arrays"]}
        return ALIASES.get(what, what) in names or f"{what}_target" in names

    def _number(self, site: str) -> int:
        names = [known.name for known in self.sites]
        if site not in names:
            raise unknown("site", site, names)
        return names.index(site)
