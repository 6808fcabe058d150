"""What the commands do, file to file, with a progress bar."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from zvr_core.clip import Clip, load_clip, unit_rgb
from zvr_core.degrade import degrade_clip, parse_degradation
from zvr_core.errors import ZvrError
from zvr_core.history import LastStep
from zvr_core.media.writing import Written, check_target, target_kind, write_clip
from zvr_core.methods.presets import load_method
from zvr_core.models.load import load_model
from zvr_core.recording.choice import RecordAt
from zvr_core.recording.estimate import estimate
from zvr_core.recording.recorder import record, recorder_of
from zvr_core.recording.resume import resume
from zvr_core.restore import Restoration
from zvr_core.sampler import SAMPLERS
from zvr_core.words import counted, frames_of, times


def say(message: str) -> None:
    """A line on standard error: standard output stays free for results."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(message, markup=False)


def watch(run: Restoration, label: str) -> Restoration:
    """Runs to the end with a progress bar: step, window, time left."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), TextColumn("step {task.fields[step]}/{task.fields[steps]}"),
        TextColumn("window {task.fields[window]}/{task.fields[windows]}"), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as bar:
        total = run.steps * len(run.windows)
        task = bar.add_task(label, total=total, step=0, steps=run.steps, window=0, windows=len(run.windows))
        for done in run.passes():
            bar.update(task, advance=1, step=done.step + 1, window=done.window + 1)
    return run


def restore_file(
    source: Path,
    output: Path,
    *,
    model: str,
    method: str,
    steps: int,
    sampler: str,
    window: int,
    start: int | None,
    stop: int | None,
    seed: int,
    device: str,
    dtype: str,
    max_bytes: int,
    overwrite: bool,
    trace: Path | None = None,
    at: RecordAt = RecordAt(),
) -> Written:
    """Restores a file into a file, recording into `trace` where one is given; says what became of size, cuts and sound."""
    check_target(output, target_kind(output), overwrite)  # before hours of work, not after
    clip = part(load_clip(source), start, stop)
    run = Restoration(
        clip,
        load_model(model, device=device, dtype=dtype),
        load_method(method, window=window),
        steps=steps,
        seed=seed,
        sampler=SAMPLERS[sampler],
        max_bytes=max_bytes,
        history=LastStep(max_bytes // 4),
    )
    height, width = (side * run.model.scale for side in run.size)
    told = [f"{frames_of(len(clip), run.size)} to {times(width, height)}", counted(run.steps, "step"), method]
    say(f"{clip.name}: {', '.join(told)}")
    for cut in run.cuts:
        say(f"scene cut before frame {cut}: no window spans it")
    if trace is None:
        return write_result(watch(run, method).frames(), run, output, overwrite)
    say(f"recording into {trace}: {estimate(clip, run.model, run.method, steps, at)}; the flows of all frames come first")
    record(run, trace, at, overwrite=overwrite)
    return write_result(watch_recording(run, method, f"zvr resume {trace} -o {output}"), run, output, overwrite)


def resume_file(trace: Path, output: Path, *, device: str, max_bytes: int, overwrite: bool) -> Written:
    """Goes on with a recorded run that was stopped, and writes its result into a file."""
    check_target(output, target_kind(output), overwrite)
    run = resume(trace, device=device, max_bytes=max_bytes)
    say(f"{run.clip.name}: {run.index} of {run.steps} steps are done, {run.method.name}")
    return write_result(watch_recording(run, run.method.name, f"zvr resume {trace} -o {output}"), run, output, overwrite)


def watch_recording(run: Restoration, label: str, again: str) -> Iterator[torch.Tensor]:
    """Runs a recording run to the end with a progress bar; its frames, which the trace has already.

    Whatever stops it, the whole steps are kept, and the message says how to go on.
    """
    try:
        with recorder_of(run):
            watch(run, label)
    except (KeyboardInterrupt, ZvrError) as stop:
        kept = f"{run.trace.steps} of {run.steps} steps are kept; go on with: {again}"
        raise type(stop)(f"{stop}; {kept}" if str(stop) else kept) from stop
    return restored_frames(run)


def restored_frames(run: Restoration) -> Iterator[torch.Tensor]:
    """The result of a recorded run, one frame (1, 3, H, W) at a time, without decoding it again where the trace has it."""
    if not run.trace.has("restored"):
        yield from run.frames()
        return
    trace = run.trace
    for frame in range(trace.frames):
        yield unit_rgb(trace.restored(frame))[None]


def write_result(frames: Iterable[torch.Tensor], run: Restoration, output: Path, overwrite: bool) -> Written:
    """Writes the restored frames with the sound of the clip."""
    written = write_clip(frames, output, run.clip.fps, audio_from=run.clip.audio, overwrite=overwrite)
    height, width = (side * run.model.scale for side in run.size)
    say(f"{output}: {counted(written.frames, 'frame')}, {times(width, height)}; sound: {written.audio}")
    return written


def part(clip: Clip, start: int | None, stop: int | None) -> Clip:
    """The frames [start, stop) of a clip."""
    return clip if start is None and stop is None else clip.subclip(start, stop)


def degrade_file(source: Path, output: Path, *, recipe: str, seed: int, overwrite: bool) -> Written:
    """Degrades a file into a file."""
    check_target(output, target_kind(output), overwrite)
    chain = parse_degradation(recipe)
    clip = load_clip(source)
    chunks: Iterator = degrade_clip(clip, chain, seed)
    first = next(chunks)  # an impossible recipe fails before anything is written
    written = write_clip(itertools.chain([first], chunks), output, clip.fps, audio_from=clip.audio, overwrite=overwrite)
    say(f"{output}: {counted(written.frames, 'frame')}, {times(first.shape[-1], first.shape[-2])}; sound: {written.audio}")
    return written
