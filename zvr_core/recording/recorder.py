"""Turns what a run shows its observers into the arrays of a trace.

record(run, "run.zarr")  ─►  the clip, once  ─►  each site, pass and step, as the run goes  ─►  the restored frames
"""

from __future__ import annotations

import atexit
import json
import shutil
import threading
import weakref
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import torch
from zarr.abc.store import Store
from zarr.storage import MemoryStore

from zvr_core.attention import Site
from zvr_core.errors import ZvrError
from zvr_core.events import Event, PassView, SiteView
from zvr_core.history import KeepSteps
from zvr_core.media.writing import as_bytes
from zvr_core.methods.base import Context
from zvr_core.recording.choice import RecordAt
from zvr_core.recording.clip import Truth, check_truth, put_clip, put_flow_matches
from zvr_core.recording.estimate import recorded_bytes
from zvr_core.recording.foreign import flow_matcher
from zvr_core.recording.header import header_of
from zvr_core.recording.previews import jpeg, previewer_of
from zvr_core.recording.projection import Projections
from zvr_core.recording.sites import Arrays, SiteRecorder, Stopwatch, half
from zvr_core.trace import Trace
from zvr_core.trace.fork import fork_trace
from zvr_core.trace.header import Header
from zvr_core.trace.history import ForkedHistory, TraceHistory
from zvr_core.trace.reader import Reader
from zvr_core.trace.writer import TraceWriter

if TYPE_CHECKING:
    from zvr_core.restore import Restoration

CLOSING = "closes a trace nobody holds"  # the name of a thread
OWN = "recorder/"  # begins the keys of what the recorder itself carries from step to step


class Recorder:
    """Observes one run and writes its trace; a context that closes the trace, whatever happens inside."""

    def __init__(self, record: RecordAt, writer: TraceWriter) -> None:
        self.record, self.writer, self.header = record, writer, writer.header
        self.watch = Stopwatch()
        self._steps, self._sites = frozenset(self.header.match_steps), frozenset(site.name for site in self.header.sites)
        self._projections = Projections(self.header.token_channels)
        self._seen: dict[str, tuple[float, int, Arrays]] = {}  # of the pass that is under way: ratio, merged tokens, arrays by site
        self._new_step()
        self._closed, self._writers = False, [writer]
        _close_when_gone(self, self._writers)

    def follow(self, run: Restoration) -> None:
        """From now on it is this run that is recorded."""
        self.run = run
        self._previewer = previewer_of(run.model, run.size)
        self._site_recorder = SiteRecorder(self.record, run.method, self.header, self._projections, self.watch)
        self._recall(self.writer.complete)

    @property
    def seconds(self) -> Mapping[str, float]:
        """What recording has cost so far: "clip", "kept" (what the loop has anyway), "foreign", "similarity", "tokens", "restored"."""
        return dict(self.watch.seconds)

    # ── the observer ───────────────────────────────────────────────────────────────────────────────────────────────────

    def wants(self, step: int, site: Site) -> bool:
        return step in self._steps and site.name in self._sites

    def saw(self, view: SiteView, context: Context) -> None:
        self._seen[view.site.name] = view.ratio, int(view.merged.sum()), self._site_recorder.arrays(view, context)

    def passed(self, view: PassView) -> None:
        step, window = view.context.step, view.context.window
        if self._closed or window.start in self._passed:  # a step that was left half done is begun again
            self._begin_again(step)
        self._passed.add(window.start)
        with self.watch("kept"):
            for site, (ratio, merged, arrays) in self._seen.items():
                self._ratio[site] = ratio
                self._merged[site] += merged
                for name, values in arrays.items():
                    self.writer.put(name, values, step=step, site=site, frame=window.start)
            self._seen.clear()
            if step == 0:
                self.writer.put("x_t", view.x_t.cpu().numpy(), frame=window.start)
            self.writer.put("x_t", view.x_next.cpu().numpy(), step=step + 1, frame=window.start)
            if "x0" in self.record.what:
                self.writer.put("x0", half(view.x0), step=step, frame=window.start)
            if "preview" in self.record.what:
                self._preview(view)

    def ended(self, event: Event) -> None:
        with self.watch("kept"):
            for site, ratio in self._ratio.items():
                self.writer.put("ratio", ratio, step=event.step, site=site)
                self.writer.put("merged_count", self._merged[site], step=event.step, site=site)
            self.writer.put("seconds", event.seconds, step=event.step)
            self.writer.put_state(event.step + 1, {key: value.cpu().numpy() for key, value in self._state().items()})
            self.writer.commit(event.step)
        self._new_step()
        if event.step + 1 == event.steps:
            with self.watch("restored"):
                self.finish()

    # ── what it carries ────────────────────────────────────────────────────────────────────────────────────────────────

    def _new_step(self) -> None:
        self._passed: set[int] = set()  # first frames of the windows that are done
        self._ratio: dict[str, float] = {}
        self._merged: Counter[str] = Counter()

    def _preview(self, view: PassView) -> None:
        window, clip = view.context.window, self.run.clip
        pictures = self._previewer.pictures(view.x0, self.run.conditions(window), lambda: clip[window.start : window.stop])
        room = self.writer.layout.arrays["preview"].shape[-1]
        jpegs = [jpeg(picture, self.header.preview, room) for picture in pictures]
        self.writer.put_previews(view.context.step, jpegs, frame=window.start)

    def _state(self) -> dict[str, torch.Tensor]:
        """The persistent slots of the run, and what was fitted for the recording."""
        axes = {f"{OWN}projection/{site}": value for site, value in self._projections.state().items()}
        colours = {f"{OWN}preview/{name}": value for name, value in self._previewer.state().items()}
        return {**self.run.memory.persistent(), **axes, **colours}

    def _recall(self, step: int) -> None:
        """Takes up what was fitted before a step."""
        state = {key: torch.tensor(value) for key, value in self.reader().state(step).items() if key.startswith(OWN)}
        self._projections.restore(_below(f"{OWN}projection/", state))
        self._previewer.restore(_below(f"{OWN}preview/", state))

    # ── the trace ──────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def trace(self) -> Trace:
        """The recording so far."""
        with suppress(ZvrError):  # where the disk is full, what was written before can still be read
            self.writer.flush()
        return Trace(self.writer.store)

    def reader(self) -> Reader:
        """Reads what was handed over so far."""
        self.writer.flush()
        if self._reader.steps != self.writer.complete:
            self._reader.refresh()
        return self._reader

    def slots(self, step: int) -> dict[str, torch.Tensor]:
        """The run's persistent slots as they enter a step, by key as JSON."""
        state = self.reader().state(step)
        return {key: torch.tensor(value) for key, value in state.items() if not key.startswith(OWN)}

    def rewind(self, step: int) -> None:
        """Forgets `step` and what came after it."""
        self._seen.clear()
        self._begin_again(step)
        self._recall(step)

    def _begin_again(self, step: int) -> None:
        if self._closed:
            self.writer, self._closed = TraceWriter.reopen(self.writer.store), False
            self._writers.append(self.writer)
        self.writer.truncate(step)
        self.__dict__.pop("_reader", None)
        self._new_step()

    def catch_up(self, run: Restoration) -> None:
        """Writes x_t and slots of the steps that were done before the recording began."""
        known = self.writer.complete
        for step in range(known + bool(known), run.index + bool(run.index)):
            moment = run.history.moment(step)
            for frame in range(self.header.frames):
                self.writer.put("x_t", moment.x_t[frame][None].cpu().numpy(), step=step, frame=frame)
            self.writer.put_state(step, {json.dumps(key): value.cpu().numpy() for key, value in moment.slots.items()})
            if step:
                self.writer.commit(step - 1)

    def close(self) -> None:
        """Ends the trace; rewinding opens it again."""
        self._closed = True
        self.writer.close()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._closed = True
        self.writer.__exit__(kind, error, trace)

    @cached_property
    def _reader(self) -> Reader:
        return Reader(self.writer.store, "the trace of this run")

    def finish(self) -> None:
        """Adds the restored frames, and ends the trace."""
        if "restored" in self.record.what and not self.reader().has("clip/restored"):
            for frame, picture in enumerate(as_bytes(self.run.frames())):
                self.writer.put("clip/restored", picture[None], frame=frame)
        self.close()


def record(
    run: Restoration, path: str | Path | Store | None = None, at: RecordAt | None = None, truth: Truth = Truth(), *, overwrite: bool = False
) -> Restoration:
    """Records a run from where it stands, into a folder, a zarr store or, without `path`, memory; returns it: its past is the trace.

    `at`: by default `RecordAt()`; a fork of a recording run goes on with what that one records, and shares its files up to there.
    Steps that were done before have x_t only.  Raises ZvrError for what the run or the disk does not have, a folder that is not
    empty (without `overwrite`), a truth of another clip, and a run that records already.
    """
    if isinstance(run.history, TraceHistory):
        raise ZvrError("this run records already; look at run.trace, or record another run or a fork of this one")
    target = MemoryStore() if path is None else path if isinstance(path, Store) else Path(path).expanduser()
    recorder = begin(run, target, at, truth, overwrite)
    recorder.follow(run)
    history = TraceHistory(recorder, run.history.shelf.max_bytes if isinstance(run.history, KeepSteps) else 1 << 28)
    history.append(run.index, run.history.moment(run.index))
    run.history = history
    return run.observe(recorder)


def recorder_of(run: Restoration) -> Recorder:
    """The recorder of a run; raises ZvrError where it does not record."""
    if not isinstance(run.history, TraceHistory):
        raise ZvrError("this run does not record; call record(run, 'run.zarr') before it goes")
    return run.history.recorder


def begin(run: Restoration, target: Path | Store, at: RecordAt | None, truth: Truth, overwrite: bool) -> Recorder:
    """The recorder of a new trace that holds the clip and the run's past."""
    past = run.history
    inherited = past.origin.record if isinstance(past, ForkedHistory) else RecordAt()
    record = at or inherited
    header = replace(header_of(run, record), forked=run.index)
    check_truth(header, truth)
    if isinstance(target, Path):
        recorded_bytes(header, record).check_room(target)
    if isinstance(past, ForkedHistory) and past.shared == run.index and continues(past.origin.header, header):
        past.origin.writer.flush()
        return Recorder(record, fork_trace(past.origin.writer.store, target, run.index, header=header, overwrite=overwrite))
    recorder = Recorder(record, TraceWriter(target, header, overwrite=overwrite))
    try:
        with recorder.watch("clip"):
            put_clip(recorder.writer, run.clip, run.flow, truth, "flow" in record.what)
            put_flow_matches(recorder.writer, run.flow, flow_matcher(run.method))
        recorder.catch_up(run)
    except BaseException:
        recorder.close()
        if isinstance(target, Path):
            shutil.rmtree(target, ignore_errors=True)
        raise
    return recorder


def continues(parent: Header, child: Header) -> bool:
    """Whether a fork's arrays go on where its parent's are: the same windows, and the same things recorded."""
    return parent.windows == child.windows and parent.recorded == child.recorded and parent.matchers == child.matchers


def _below(start: str, values: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The values whose keys begin with `start`, by the rest of their keys."""
    return {key.removeprefix(start): value for key, value in values.items() if key.startswith(start)}


def _close_last(writers: list[TraceWriter]) -> None:
    """Ends the latest writer of a recorder that is gone; too late to tell anybody what goes wrong."""
    with suppress(ZvrError):
        writers[-1].close()


def _close_when_gone(recorder: Recorder, writers: list[TraceWriter]) -> None:
    """Has the latest writer closed when nobody holds the recorder any more, or before this process ends.

    A thread of its own does it: the garbage collector may call from a thread that the writer waits for, zarr's among them.  At the
    end it happens before `atexit`, by which time zarr's threads are gone.
    """
    end = weakref.finalize(recorder, lambda: threading.Thread(target=_close_last, args=(writers,), name=CLOSING).start())
    end.atexit = False
    getattr(threading, "_register_atexit", atexit.register)(lambda: _close_last(writers) if end.detach() else None)
