"""How good is the embedded model on real video, and does the method help?  Prints the README's table.

    python tests/bench/bench_quality.py --data ../shared/data --split report --seeds 0,1

Clips are scaled to 320 pixels wide, degraded (blur 1.2, ×4, noise 5/255, seed 0) and restored; LPIPS is computed where its
weights are.  Settings are chosen on the development clips; the report clips are run to report.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

import torch
import torch.nn.functional as F

from zvr_core.clip import load_clip
from zvr_core.compare import Restored, measure, posterior_mean, restored
from zvr_core.degrade import degrade_clip, parse_degradation
from zvr_core.errors import ZvrError
from zvr_core.methods.presets import load_method
from zvr_core.metrics import load_lpips, motions
from zvr_core.models.codec import upsample
from zvr_core.models.load import load_model

SPLITS = {
    "development": ["davis_blackswan", "davis_dog", "davis_car-roundabout", "mdn_flower"],
    "report": ["davis_camel", "davis_cows", "davis_parkour", "davis_bmx-trees", "vid4_calendar"],
}
METHODS = ["per_frame", "shared_noise", "latent_warping", "flow_merging", "cosine_merging", "diffir2vr"]
COLUMNS = ["psnr", "ssim", "lpips", "sharpness", "warping", "control", "excess"]


def high_resolution(folder: Path, frames: int, width: int) -> torch.Tensor:
    """The first frames of a clip, scaled to `width` and cropped to whole cells of 16 pixels, (F, 3, H, W)."""
    files = sorted(folder.glob("*.mp4"))
    clip = load_clip(files[0] if files else folder)[:frames]
    height = round(clip.shape[-2] * width / clip.shape[-1])
    clip = F.interpolate(clip, size=(height, width), mode="bicubic", antialias=True).clamp(0, 1)
    return clip[..., : height // 16 * 16, : width // 16 * 16]


def rows_of_clip(truth: torch.Tensor, model, lpips, methods: list[str], seeds: list[int], steps: int):
    """One dictionary of numbers for each result on one clip."""
    lq = load_clip(torch.cat(list(degrade_clip(truth, parse_degradation("blur=1.2,down=4,noise=5"), 0))))
    motion = list(motions(truth))
    for seed in seeds:
        mean = posterior_mean(lq, model, seed)
        results = {m: restored(lq, model, load_method(m), steps, seed) for m in methods}
        sample = results["per_frame"].frames
        extra = {"bicubic": Restored(upsample(lq[:], 4).clamp(0, 1), 0.0), "one step": Restored(mean, 0.0), "truth": Restored(truth, 0.0)}
        for name, result in {**extra, **results}.items():
            row = measure(name, result, truth, motion, sample, mean)
            distance = float(lpips(result.frames, truth).mean()) if lpips else float("nan")
            numbers = {"psnr": row.psnr, "ssim": row.ssim, "sharpness": row.sharpness, "warping": row.warping, "control": row.control}
            yield {"method": name, "seed": seed, **numbers, "lpips": distance, "excess": 100 * (row.warping / row.control - 1)}


def table(rows: list[dict]) -> str:
    """Mean over clips and seeds, with the standard deviation over clips in brackets for the last column."""
    lines = ["| | PSNR dB | SSIM | LPIPS | sharpness | E_warp ×10³ | of blur alone, as sharp | E_warp beyond blur |", "|---|" + "---:|" * 7]
    for method in dict.fromkeys(row["method"] for row in rows):
        own = [row for row in rows if row["method"] == method]
        mean = {c: statistics.fmean(row[c] for row in own) for c in COLUMNS}
        cells = [f"{mean['psnr']:.2f}", f"{mean['ssim']:.3f}", f"{mean['lpips']:.3f}", f"{mean['sharpness']:.2f}", f"{mean['warping']:.2f}"]
        if method in METHODS:
            spread = statistics.pstdev([row["excess"] for row in own])
            cells += [f"{mean['control']:.2f}", "–" if method == "per_frame" else f"{mean['excess']:+.0f} % ± {spread:.0f}"]
        else:
            cells += ["–", "–"]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--split", choices=SPLITS, default="development")
    parser.add_argument("--clips", default="", help="instead of the whole split")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--frames", type=int, default=6)
    parser.add_argument("--width", type=int, default=320)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("runs/quality.json"))
    args = parser.parse_args()
    try:
        lpips = load_lpips(args.data / "weights" / "lpips")
    except ZvrError as error:
        print(f"no LPIPS: {error}")
        lpips = None
    model, rows = load_model(args.model), []
    for name in args.clips.split(",") if args.clips else SPLITS[args.split]:
        truth = high_resolution(args.data / "clips" / name, args.frames, args.width)
        own = [
            {"clip": name, **row}
            for row in rows_of_clip(truth, model, lpips, args.methods.split(","), [*map(int, args.seeds.split(","))], args.steps)
        ]
        rows += own
        print(f"\n{name} {truth.shape[-1]}×{truth.shape[-2]}\n{table(own)}", flush=True)
    clips = len({row["clip"] for row in rows})
    print(f"\n{args.split}: {clips} clips, seeds {args.seeds}, {args.steps} steps, {args.frames} frames\n{table(rows)}")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
