"""What recording costs, as a share of the same run without it.

    OMP_NUM_THREADS=1 python tests/bench/bench_record.py --sizes 64x40 214x120 --steps 4 --repeats 5

Whole jobs in one process, taken in turns so that a busy machine slows all alike: from the clip to the restored frames, once without
recording, with what the loop has anyway, with the three matchers at every step and site, with tokens.  The least of all repeats
counts.  CPU time is that of all threads: it also counts what the writer does in the background, which wall time does not show
where a core is idle.  Limits: 10 % at 256×160, 5 % at 856×480; 25 % more for the matchers, 15 % more for tokens.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F

from zvr_core.clip import Clip, load_clip
from zvr_core.history import LastStep
from zvr_core.jobs import restored_frames
from zvr_core.methods.presets import load_method
from zvr_core.models.load import load_model
from zvr_core.recording.choice import RecordAt
from zvr_core.recording.recorder import record, recorder_of
from zvr_core.restore import Restoration

KINDS = {
    "defaults, own matches": RecordAt(matchers=()),
    "three matchers": RecordAt(),
    "three matchers, similarity": RecordAt(similarity=48),
    "tokens": RecordAt(matchers=(), tokens="full"),
}


Job = tuple[float, float, dict[str, float]]  # seconds of wall and CPU, and the recorder's own account


def walk(frames: int, width: int, height: int) -> Clip:
    """A camera that walks over a smooth picture, a pixel a frame."""
    canvas = torch.rand(1, 3, height // 6 + 4, (width + frames) // 6 + 4, generator=torch.Generator().manual_seed(0))
    canvas = F.interpolate(canvas, scale_factor=6, mode="bicubic").clamp(0, 1)[0]
    return load_clip((255 * torch.stack([canvas[:, :height, t : t + width] for t in range(frames)])).byte().permute(0, 2, 3, 1).numpy())


def job(clip: Clip, model, method: str, steps: int, folder: Path, kind: str) -> Job:
    """One whole restoration."""
    wall, cpu = time.perf_counter(), time.process_time()
    run = Restoration(clip, model, load_method(method, window=len(clip)), steps=steps, history=LastStep())
    if kind:
        record(run, folder / "run.zarr", KINDS[kind], overwrite=True)
    run.finish()
    frames = restored_frames(run) if kind else run.frames()
    assert sum(map(len, frames)) == len(clip)
    account = dict(recorder_of(run).seconds) if kind else {}
    return time.perf_counter() - wall, time.process_time() - cpu, account


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=["64x40", "214x120"], help="of the input; the output is four times as large")
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--method", default="diffir2vr")
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model("embedded")
    with tempfile.TemporaryDirectory() as folder:
        job(walk(2, 16, 16), model, args.method, 1, Path(folder), "tokens")  # loads what is loaded once
    for size in args.sizes:
        clip = walk(args.frames, *map(int, size.split("x")))
        output = "×".join(str(4 * int(side)) for side in size.split("x"))
        print(f"\n{output}, {args.frames} frames, {args.steps} steps, {args.method}; ", end="", flush=True)
        compare(lambda kind, folder, clip=clip: job(clip, model, args.method, args.steps, folder, kind), args.repeats)


def compare(one: Callable[[str, Path], Job], repeats: int) -> None:
    """Takes all kinds in turns and prints the table."""
    times: dict[str, list[Job]] = defaultdict(list)
    for _ in range(repeats):
        for kind in ("", *KINDS):
            gc.collect()
            with tempfile.TemporaryDirectory() as folder:
                times[kind].append(one(kind, Path(folder)))
    wall, cpu = (min(t[i] for t in times[""]) for i in (0, 1))
    print(f"without a trace {wall:.1f} s wall, {cpu:.1f} s CPU\n\n| recorded | wall | CPU | its own clock |\n|---|---:|---:|---|")
    for kind in KINDS:
        fastest = min(times[kind], key=lambda t: t[1])
        parts = ", ".join(f"{name} {value / fastest[0]:.1%}" for name, value in fastest[2].items())
        print(f"| {kind} | {min(t[0] for t in times[kind]) / wall - 1:+.1%} | {fastest[1] / cpu - 1:+.1%} | {parts} |", flush=True)


if __name__ == "__main__":
    main()
