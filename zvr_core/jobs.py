"""What the commands do, file to file, with a progress bar."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from zvr_core.clip import Clip, load_clip
from zvr_core.degrade import degrade_clip, parse_degradation
from zvr_core.methods.presets import load_method
from zvr_core.models.load import load_model
from zvr_core.restore import Restoration
from zvr_core.sampler import SAMPLERS
from zvr_core.writing import Written, check_target, target_kind, write_clip


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
) -> Written:
    """Restores a file into a file and says what became of size, cuts and sound."""
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
    )
    height, width = (side * run.model.scale for side in run.size)
    say(f"{clip.name}: {len(clip)} frames of {run.size[1]}×{run.size[0]} to {width}×{height}, {run.steps} steps, {method}")
    for cut in run.cuts:
        say(f"scene cut before frame {cut}: no window spans it")
    watch(run, method)
    written = write_clip(run.frames(), output, clip.fps, audio_from=clip.audio, overwrite=overwrite)
    say(f"{output}: {written.frames} frames, {width}×{height}; sound: {written.audio}")
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
    say(f"{output}: {written.frames} frames, {first.shape[-1]}×{first.shape[-2]}; sound: {written.audio}")
    return written
