"""The first thing a newcomer runs: a bundled clip, restored per frame and with the published method, seen side by side."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from zvr_core.bundled import bundled
from zvr_core.catalogue import METHODS
from zvr_core.clip import Clip, load_clip
from zvr_core.compare import Restored, Row, measure, posterior_mean, restored
from zvr_core.errors import unknown
from zvr_core.jobs import say, watch
from zvr_core.media.writing import write_clip
from zvr_core.methods.base import Method
from zvr_core.methods.presets import load_method
from zvr_core.metrics.temporal import motions
from zvr_core.models.base import Model
from zvr_core.models.codec import upsample
from zvr_core.models.load import load_model
from zvr_core.recording.choice import RecordAt
from zvr_core.recording.clip import Truth
from zvr_core.recording.recorder import record, recorder_of
from zvr_core.restore import Restoration
from zvr_core.scenes import bundled_scene
from zvr_core.sheet import sheet, side_by_side

FPS = 6  # slow enough to see flicker
TRACE = "trace.zarr"  # the recording of the method's run, in the output folder


def run_demo(output: Path, name: str = "pan", steps: int = 20, seed: int = 0) -> list[Row]:
    """Restores `data/inputs/<name>` per frame and with DiffIR2VR's method, writes videos, a sheet and a table into `output`."""
    known = [p.name for p in sorted(bundled("inputs").iterdir()) if (p / "lq").is_dir()]
    if name not in known:
        raise unknown("bundled clip", name, known)
    lq, truth = load_clip(bundled(f"inputs/{name}/lq"), name=name), load_clip(bundled(f"inputs/{name}/hq"))[:]
    say(f"{name}: {len(lq)} frames of {lq.shape[-1]}×{lq.shape[-2]}, degraded from {truth.shape[-1]}×{truth.shape[-2]}; restoring ×4")
    model = load_model("embedded")
    known_truth = Truth(truth, bundled_scene(name))
    results = {
        "per_frame": restored(lq, model, load_method("per_frame"), steps, seed, watch),
        "diffir2vr": recorded(lq, model, load_method("diffir2vr"), steps, seed, output / TRACE, known_truth),
    }
    mean, sample = posterior_mean(lq, model, seed), results["per_frame"].frames
    motion = list(motions(truth))
    clips = {"bicubic": Restored(upsample(lq[:], model.scale).clamp(0, 1), 0.0), **results, "truth": Restored(truth, 0.0)}
    rows = [measure(label, result, truth, motion, sample, mean) for label, result in clips.items()]
    write_results(output, {label: result.frames for label, result in clips.items()}, motion, rows)
    return rows


def recorded(lq: Clip, model: Model, method: Method, steps: int, seed: int, path: Path, truth: Truth) -> Restored:
    """A restoration with a trace of all that happened inside; its seconds are those of the restoration alone."""
    spent: list[float] = []

    def watch_and_record(run: Restoration, label: str) -> Restoration:
        record(run, path, RecordAt(similarity=48), truth, overwrite=True)
        with recorder_of(run) as recorder:
            watch(run, label)
        spent.extend(seconds for purpose, seconds in recorder.seconds.items() if purpose != "clip")  # flows: the method needs them, too
        return run

    path.parent.mkdir(parents=True, exist_ok=True)
    result = restored(lq, model, method, steps, seed, watch_and_record)
    return replace(result, seconds=result.seconds - sum(spent) / len(lq))


def write_results(output: Path, clips: dict[str, torch.Tensor], motion: list, rows: list[Row]) -> None:
    """Videos, sheet and table; says where each is."""
    output.mkdir(parents=True, exist_ok=True)
    for label in (label for label in clips if label in METHODS):
        write_clip(clips[label].split(1), output / f"{label}.mp4", FPS, overwrite=True)
    write_clip(side_by_side(clips), output / "side_by_side.mp4", FPS, overwrite=True)
    write_clip(sheet(clips, motion, len(motion) // 2)[None].split(1), output / "side_by_side.png", FPS, overwrite=True)
    table = "\n".join([Row.HEADER, *map(str, rows)])
    (output / "table.md").write_text(table + "\n")
    print(table)
    for path in sorted(output.iterdir()):
        say(f"wrote {path}")
