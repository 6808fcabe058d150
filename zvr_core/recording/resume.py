"""Goes on with a recorded run after a crash, a kill or Ctrl-C, from its last whole step to the bit-identical end."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from zvr_core.clip import Clip
from zvr_core.correspondence import CorrespondenceService
from zvr_core.errors import ZvrError
from zvr_core.methods.base import Method
from zvr_core.methods.describe import rebuild
from zvr_core.models.base import Model
from zvr_core.models.load import load_model
from zvr_core.recording.choice import RecordAt
from zvr_core.recording.clip import TracedFlow, traced_clip
from zvr_core.recording.header import flow_name, machine, traced_windows, weights_hash
from zvr_core.recording.recorder import Recorder
from zvr_core.sampler import Sampler
from zvr_core.trace.header import Header
from zvr_core.trace.history import TraceHistory
from zvr_core.trace.reader import Reader
from zvr_core.trace.writer import TraceWriter

if TYPE_CHECKING:
    from zvr_core.restore import Restoration

log = logging.getLogger(__name__)
DEPENDS = {"threads": "threads", "capability": "CPU capability", "torch": "version of torch", "zvr": "version of zvr"}


def resume(
    path: str | Path,
    *,
    model: Model | None = None,
    method: Method | None = None,
    sampler: Sampler | None = None,
    flow: CorrespondenceService | None = None,
    device: str = "",
    max_bytes: int = 1 << 30,
) -> Restoration:
    """The run that recorded the trace at `path`, standing where its last whole step ended, and recording on.

    Clip, flows and x_t come from the trace; `model` by default is loaded by its name (onto `device`, by default the recorded one),
    `method` and `sampler` are rebuilt from their descriptions, and other flow than the trace's needs its service.  Logs a warning
    where the machine computes differently, so that results agree only nearly.  Raises ZvrError for a trace that somebody still
    writes, one without its clip, weights that have changed, and methods that cannot be rebuilt.
    """
    from zvr_core.restore import Restoration

    writer = TraceWriter.reopen(Path(path).expanduser())
    try:
        reader = Reader(writer.store, str(path))
        header = reader.header
        if not reader.has("clip/lq"):
            raise ZvrError(f"{path} was stopped before the clip was recorded, so there is nothing to go on with; run it again")
        method = method or rebuild(header.method)
        sampler = sampler or rebuild(header.sampler)
        model = model or load_model(header.model["name"], device=device or header.model["device"], dtype=header.model["dtype"])
        check_weights(header, model)
        warn_of_differences(header)
        clip = traced_clip(reader)
        recorder = Recorder(RecordAt.from_json(header.recorded), writer)
        history = TraceHistory(recorder, max_bytes // 4)
        if writer.complete:
            history.remember(writer.complete)
        run = Restoration(
            clip, model, method, steps=header.steps, seed=header.seed, sampler=sampler, max_bytes=max_bytes, observer=recorder,
            history=history, flow=flow or traced_flow(reader, clip, max_bytes // 2),
        )  # fmt: skip
        check_windows(header, run)
        recorder.follow(run)
    except BaseException:
        writer.close()
        raise
    if run.index == run.steps:
        recorder.finish()
    return run


def traced_flow(reader: Reader, clip: Clip, max_bytes: int) -> CorrespondenceService:
    """The flows of the trace; raises ZvrError where it has none and they were had in another way than by default."""
    flow = TracedFlow(reader, clip, max_bytes)
    if not reader.has("clip/flow") and reader.header.settings["flow"] != flow_name(flow.others):
        raise ZvrError(f"{reader.name} has no flows, and they came from {reader.header.settings['flow']}; give it again: flow=…")
    return flow


def check_weights(header: Header, model: Model) -> None:
    """Raises ZvrError for a model whose weights are not those of the recorded run."""
    if weights_hash(model.network) != header.model["weights"]:
        raise ZvrError(
            f"the weights of {model.name} are not those that {header.name} was recorded with, in {header.model['dtype']}; "
            "give the model with those (model=…), or begin a new run"
        )


def check_windows(header: Header, run: Restoration) -> None:
    """Raises ZvrError where a given method plans other windows than the recorded one."""
    if header.windows != traced_windows(run.windows):
        raise ZvrError(f"{run.method.name} plans other windows than the recorded run; resume with its method, or fork it")


def warn_of_differences(header: Header) -> None:
    """A log line for each thing that keeps the end from being bit-identical."""
    now = machine()
    for name, words in DEPENDS.items():
        if header.machine.get(name) != now[name]:
            was = header.machine.get(name)
            log.warning("recorded with %s %s, resumed with %s: the end will be nearly the same, not bit for bit", words, was, now[name])
