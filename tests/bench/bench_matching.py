"""What matching and merging cost, beside the dense way of the published code; prints one table.

    python tests/bench/bench_matching.py            # CPU: one thread, CPU seconds, resident memory
    python tests/bench/bench_matching.py --device cuda --repeat 9

Each row is a fresh process, in which both ways run in turn on the same tokens (320 channels, float32, merge ratio 0.6,
R = max(2, width // 30) unless stated).  Times are medians; what takes more than 5 s is measured once.  Memory is the
peak above the input tokens, the merged sequence and the output: on a CPU that of resident pages (Linux only), so it holds the
libraries' buffers, too; "peak" is the same above the input tokens alone.

tokens    embedded   what self-attention sees in the embedded model at t = 500, independent noise a frame, on a pan over a
                     photograph by half a token a frame; its channels, turned into 320 by an isometry, which keeps all cosines
          shared     smooth content common to all frames, moving half a token a frame, a common mean (0.5), noise (0.7)
          noise      white noise: a worst case, best scores near 0.1
          opposed    every cosine is negative: a worst case, every row needs the whole key frame

The dense way holds all scores, multiplies them in place with one weight table for all frames (the published code keeps a copy of
the table for each frame, so it needs twice the memory), and gathers and scatters with indices expanded to all channels.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch

from zvr_core.correspondence import TokenFlow
from zvr_core.matching import FlowMatcher, Matcher
from zvr_core.merging import merge
from zvr_core.ring_search import SpatialCosineMatcher

CHANNELS, RATIO = 320, 0.6
GRIDS = ((32, 32), (64, 64), (60, 107), (90, 160))
DENSE_LIMIT = 8e9  # bytes of scores above which the dense way is left out
ONCE = 5.0  # seconds: what takes longer is measured once


# ── tokens ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Seen(Exception):  # noqa: N818
    """Ends a pass through the network at the site that is looked at."""


def embedded_tokens(frames: int, grid: tuple[int, int], rng: torch.Generator) -> torch.Tensor:
    """What the first self-attention at half the latent grid sees, (F, N, 320)."""
    import skimage.data

    from zvr_core.models.load import load_model

    model, (h, w) = load_model("embedded"), grid
    photo = torch.from_numpy(skimage.data.astronaut()).permute(2, 0, 1).float() / 255
    lq = torch.stack([photo[:, 40 + f // 2 :, 40 + f :][:, : 2 * h, : 2 * w] for f in range(frames)])  # a pan, (F, 3, 2h, 2w)
    site = next(site for site in model.sites((2 * h, 2 * w)) if site.grid == grid)
    seen: list[torch.Tensor] = []

    def look(_: torch.nn.Module, args: tuple, kwargs: dict) -> None:
        seen.append((args[0] if args else kwargs["hidden_states"]).clone())
        raise Seen  # the rest of the network is not needed

    def draw(purpose: str, shape: Sequence[int]) -> torch.Tensor:
        return torch.randn(frames, *shape, generator=rng)

    shape, conditions = model.latent_shape((2 * h, 2 * w)), model.encode(lq, draw).split(1)
    alpha_bar = [float(a) for a in model.scheduler.alphas_cumprod]
    with torch.no_grad():
        start = zip(draw("start", shape).split(1), conditions, strict=True)
        x0 = torch.cat([model.predict(x, 999, alpha_bar[999], condition).x0 for x, condition in start])
        x_t = alpha_bar[500] ** 0.5 * x0 + (1 - alpha_bar[500]) ** 0.5 * draw("step", shape)
        model.network.get_submodule(site.path).register_forward_pre_hook(look, with_kwargs=True)
        for x, condition in zip(x_t.split(1), conditions, strict=True):
            with suppress(Seen):
                model.predict(x, 500, alpha_bar[500], condition)
    tokens = torch.cat(seen).unflatten(1, site.padded)[:, :h, :w].flatten(1, 2)  # (F, N, C)
    isometry = torch.linalg.qr(torch.randn(CHANNELS, tokens.shape[-1], generator=rng)).Q  # (320, C)
    return tokens @ isometry.T


def shared_tokens(frames: int, grid: tuple[int, int], rng: torch.Generator) -> torch.Tensor:
    h, w = grid
    content = torch.randn(1, CHANNELS, h + frames, w + frames, generator=rng)
    content = 3 * torch.nn.functional.avg_pool2d(content, 3, 1, 1)[0] + 0.5 * torch.randn(CHANNELS, 1, 1, generator=rng)
    moved = [content[:, f // 2 :, f // 2 :][:, :h, :w].flatten(1).T for f in range(frames)]  # (N, C) each
    tokens = torch.stack(moved)
    return tokens.add_(torch.randn(tokens.shape, generator=rng), alpha=0.7)


def white_tokens(frames: int, grid: tuple[int, int], rng: torch.Generator) -> torch.Tensor:
    return torch.randn(frames, grid[0] * grid[1], CHANNELS, generator=rng)


def opposed_tokens(frames: int, grid: tuple[int, int], rng: torch.Generator) -> torch.Tensor:
    tokens = 0.3 * white_tokens(frames, grid, rng) + torch.randn(CHANNELS, generator=rng)
    tokens[frames // 2] *= -1
    return tokens


TOKENS = {"embedded": embedded_tokens, "shared": shared_tokens, "noise": white_tokens, "opposed": opposed_tokens}


# ── the dense way ───────────────────────────────────────────────────────────────────────────────────────────────────────


def weight_table(grid: tuple[int, int], radius: float) -> torch.Tensor:
    """exp(-floor(d / R)) between all tokens, (N, N); cached by the published code, so its making is not timed."""
    y, x = (part.flatten().float() for part in torch.meshgrid(*(torch.arange(n) for n in grid), indexing="ij"))
    place = torch.stack([y, x], dim=1)
    return torch.cdist(place, place).div_(radius).floor_().neg_().exp_()


def dense_scores(tokens: torch.Tensor, key: int) -> torch.Tensor:
    unit = tokens / tokens.norm(dim=-1, keepdim=True)
    return torch.cat([unit[:key], unit[key + 1 :]]).flatten(0, 1) @ unit[key].T  # ((F-1)·N, N)


def dense_cosine(tokens: torch.Tensor, key: int, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Targets and the order of merging, each ((F-1)·N,)."""
    scores = dense_scores(tokens, key)
    scores.view(-1, *weights.shape).mul_(weights)
    best, target = scores.max(dim=-1)
    return target, best.argsort(descending=True)


def dense_flow(tokens: torch.Tensor, key: int, flow: TokenFlow) -> tuple[torch.Tensor, torch.Tensor]:
    """As published: the scores are computed, too, and never looked at."""
    dense_scores(tokens, key)
    _, _, h, w = flow.flow.shape
    x = (flow.flow[:, 0] + torch.arange(w, device=tokens.device)).clamp(0, w - 1).long()
    y = (flow.flow[:, 1] + torch.arange(h, device=tokens.device)[:, None]).clamp(0, h - 1).long()
    others = [f for f in range(len(tokens)) if f != key]
    return (y * w + x)[others].flatten(), flow.error[others].flatten().argsort()


def dense_there_and_back(tokens: torch.Tensor, key: int, target: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    """Merge and unmerge with expanded indices, as in VidToMe."""
    frames, count, channels = tokens.shape
    others = [f for f in range(frames) if f != key]
    sources = tokens[others].flatten(0, 1)
    r = int(len(order) * RATIO)
    merged, kept = (part[:, None].expand(-1, channels) for part in (order[:r], order[r:]))
    sequence = torch.cat([sources.gather(0, kept), tokens[key]])
    out = torch.empty_like(tokens)
    out[key] = sequence[-count:]
    rest = torch.empty_like(sources)
    rest.scatter_(0, kept, sequence[:-count])
    rest.scatter_(0, merged, sequence[-count:].gather(0, target[order[:r], None].expand(-1, channels)))
    out[others] = rest.view(-1, count, channels)
    return out


# ── measuring ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Meter:
    """Seconds and peak bytes on one device."""

    device: str

    def seconds(self, work: Callable[[], object]) -> float:
        clock = time.process_time if self.device == "cpu" else self._clock
        began = clock()
        work()
        return clock() - began

    def peak(self, work: Callable[[], torch.Tensor]) -> tuple[int, torch.Tensor]:
        """Bytes at the peak of `work`, above what there was before it, and its result."""
        if self.device != "cpu":
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            result = work()
            return torch.cuda.max_memory_allocated() - before, result
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark
        before = self._status("VmRSS")
        result = work()
        return self._status("VmHWM") - before, result

    @staticmethod
    def _clock() -> float:
        torch.cuda.synchronize()
        return time.perf_counter()

    @staticmethod
    def _status(name: str) -> int:
        line = next(row for row in Path("/proc/self/status").read_text().splitlines() if row.startswith(name))
        return 1024 * int(line.split()[1])


def row(kind: str, matcher_name: str, grid: tuple[int, int], frames: int, radius: float, device: str, repeat: int) -> dict:
    """One line of the table, measured in this process."""
    torch.set_num_threads(1)
    rng, meter, key = torch.Generator().manual_seed(0), Meter(device), frames // 2
    tokens = TOKENS[kind](frames, grid, rng).to(device)
    flow = TokenFlow(
        torch.randn(frames, 2, *grid, generator=rng).to(device),
        torch.rand(frames, *grid, generator=rng).to(device),
        torch.zeros(frames, *grid, dtype=torch.bool, device=device),
    )
    matcher: Matcher = FlowMatcher() if matcher_name == "flow" else SpatialCosineMatcher(radius)

    def match(tokens: torch.Tensor, grid: tuple[int, int]) -> object:
        return matcher.match(tokens, grid, key, lambda: flow)

    def whole() -> torch.Tensor:
        merged = merge(tokens[None], matcher.match(tokens, grid, key, lambda: flow), RATIO)
        return merged.unmerge(merged.sequence)

    sequence = tokens[0].nbytes * frames - 4 * CHANNELS * int((frames - 1) * grid[0] * grid[1] * RATIO)
    SpatialCosineMatcher(2).match(shared_tokens(3, (16, 16), rng).to(device), (16, 16), 1, lambda: flow)  # wakes the libraries
    peak, _ = meter.peak(whole)
    result = {"ours MB": (peak - sequence - tokens.nbytes) / 1e6, "peak MB": peak / 1e6}
    dense_fits = 4 * (frames - 1) * (grid[0] * grid[1]) ** 2 < DENSE_LIMIT
    weights = weight_table(grid, radius).to(device) if dense_fits and matcher_name != "flow" else torch.empty(0)

    def dense_match() -> tuple[torch.Tensor, torch.Tensor]:
        return dense_flow(tokens, key, flow) if matcher_name == "flow" else dense_cosine(tokens, key, weights)

    ways: dict[str, Callable[[], object]] = {"ours match": lambda: match(tokens, grid), "ours": whole}
    if dense_fits:
        peak, _ = meter.peak(lambda: dense_there_and_back(tokens, key, *dense_match()))
        result["dense MB"] = (peak + weights.nbytes - sequence - tokens.nbytes) / 1e6
        ways |= {"dense match": dense_match, "dense": lambda: dense_there_and_back(tokens, key, *dense_match())}
    ways["copy"] = lambda: tokens.clone()
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeat):
        for name, work in ways.items():
            if not times[name] or times[name][0] < ONCE:
                times[name].append(meter.seconds(work))
    return result | {name: median(seconds) for name, seconds in times.items()}


# ── the table ───────────────────────────────────────────────────────────────────────────────────────────────────────────

COLUMNS = (
    ("tokens", 9), ("matcher", 8), ("grid", 8), ("F", 3), ("R", 3),
    ("dense match s", 14), ("ours", 8), ("times less", 11), ("dense all s", 12), ("ours", 8), ("times less", 11), ("copy s", 8),
    ("dense MB", 9), ("ours MB", 9), ("times less", 11), ("us/token", 9), ("peak MB", 8),
)  # fmt: skip


def line(case: tuple, r: dict) -> str:
    kind, matcher, grid, frames, radius = case
    token_us = 1e6 * r["ours"] / (frames * grid[0] * grid[1])
    cells: list[str] = [kind, matcher, f"{grid[1]}x{grid[0]}", str(frames), "-" if matcher == "flow" else str(radius)]
    for dense, ours in (("dense match", "ours match"), ("dense", "ours")):
        cells += [f"{r[dense]:.3f}", f"{r[ours]:.4f}", f"{r[dense] / r[ours]:.1f}"] if dense in r else ["-", f"{r[ours]:.4f}", "-"]
    cells.append(f"{r['copy']:.4f}")
    ours = max(r["ours MB"], 0.1)  # below a page or two nothing can be told
    cells += [f"{r['dense MB']:.0f}", f"{ours:.1f}", f"{r['dense MB'] / ours:.0f}"] if "dense" in r else ["-", f"{ours:.1f}", "-"]
    cells += [f"{token_us:.2f}", f"{r['peak MB']:.0f}"]
    return "".join(cell.rjust(width) for cell, (_, width) in zip(cells, COLUMNS, strict=True))


def cases(grids: tuple[tuple[int, int], ...], kinds: list[str]) -> list[tuple]:
    radius = {grid: max(2, grid[1] // 30) for grid in grids}
    rows = [(kind, "spatial", grid, 8, radius[grid]) for kind in kinds for grid in grids]
    rows += [("shared", "spatial", grid, 8, 3) for grid in grids if radius[grid] != 3]  # equal windows: cost is linear in tokens
    rows += [("shared", "flow", grid, 8, 2) for grid in grids]
    return rows + [("shared", "spatial", grid, 16, radius[grid]) for grid in grids if grid == (90, 160)]


def main() -> None:
    parser = argparse.ArgumentParser(description="What matching and merging cost.")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--repeat", type=int, default=5, help="the median of so many runs")
    parser.add_argument("--tokens", nargs="+", default=list(TOKENS), choices=list(TOKENS))
    parser.add_argument("--grids", nargs="+", default=[f"{w}x{h}" for h, w in GRIDS], help="width x height")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.case:
        kind, matcher, grid, frames, radius = json.loads(args.case)
        print(json.dumps(row(kind, matcher, tuple(grid), frames, radius, args.device, args.repeat)))
        return
    grids = tuple((int(h), int(w)) for w, h in (grid.split("x") for grid in args.grids))
    print("".join(name.rjust(width) for name, width in COLUMNS))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    for case in cases(grids, args.tokens):
        command = [sys.executable, __file__, "--device", args.device, "--repeat", str(args.repeat), "--case", json.dumps(case)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        failed = done.stderr.strip().splitlines()[-1:]
        print(line(case, json.loads(done.stdout)) if done.returncode == 0 else f"{case}: {failed}", flush=True)


if __name__ == "__main__":
    main()
