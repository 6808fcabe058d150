"""A small synthetic trace, written by the real writer: a textured picture under a known pan, with everything a run can record.

Nothing was restored: latents are a picture under noise, flow matches are exact, and cosine matches are wrong in places, early more
often than late.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter
from skimage import data

from zvr_core.trace.header import Header, TraceSite, TraceWindow
from zvr_core.trace.writer import TraceWriter
from zvr_core.windows import plan_windows

SITES = (("down.0.0", 8), ("up.1.0", 8), ("mid.0", 16))  # name, output pixels per token
MATCHERS = ("flow", "cosine", "cosine_spatial")


class Panned:
    """A photograph that the camera moves over by `speed` (x, y) pixels a frame, and what is known of it."""

    def __init__(self, frames: int, size: tuple[int, int], speed: tuple[int, int], window: int, seed: int) -> None:
        self.frames, self.size, self.speed = frames, size, np.array(speed)
        self.windows = plan_windows(frames, window)
        self.key = np.concatenate([np.full(len(w), w.key) for w in self.windows])
        self.rng = np.random.default_rng(seed)
        height, width = size
        needed = (height + frames * abs(speed[1]), width + frames * abs(speed[0]))
        photo = data.astronaut()
        self.photo = np.pad(photo, [(0, max(0, n - s)) for n, s in zip(needed, photo.shape[:2], strict=True)] + [(0, 0)], mode="reflect")

    def picture(self, frame: int) -> np.ndarray:
        """(H, W, 3) uint8."""
        x, y = frame * np.abs(self.speed)
        return self.photo[y : y + self.size[0], x : x + self.size[1]]

    def flow(self, frame: int) -> np.ndarray:
        """frame → its key, (2, H, W): the camera has gone on by key - frame steps, so what is seen has moved back."""
        shift = (frame - self.key[frame]) * np.abs(self.speed)
        return np.broadcast_to(shift[:, None, None], (2, *self.size)).astype(np.float32)

    def occluded(self, frame: int, sign: int = 1) -> np.ndarray:
        """Where the flow leads out of the picture, (H, W)."""
        y, x = np.indices(self.size)
        flow = sign * self.flow(frame)
        return (x + flow[0] < 0) | (x + flow[0] >= self.size[1]) | (y + flow[1] < 0) | (y + flow[1] >= self.size[0])

    def targets(self, frame: int, site: TraceSite) -> tuple[np.ndarray, np.ndarray]:
        """The exact target of each token, clamped to the grid, and whether it is occluded; (N,) each."""
        (h, w), shift = site.grid, (frame - self.key[frame]) * np.abs(self.speed) / site.cell
        y, x = np.indices(site.grid) + np.floor(shift[::-1] + 0.5)[:, None, None]
        hidden = (y < 0) | (y >= h) | (x < 0) | (x >= w)
        return (y.clip(0, h - 1) * w + x.clip(0, w - 1)).ravel().astype(np.int32), hidden.ravel()


def make_trace(
    path,
    *,
    frames: int = 4,
    steps: int = 5,
    size: tuple[int, int] = (96, 128),
    sites: tuple[tuple[str, int], ...] = SITES,
    truth: bool = True,
    similarity: bool = True,
    restored: bool = True,
    close: bool = True,
    seed: int = 0,
    scale: int = 2,
    speed: tuple[int, int] = (8, 4),
    window: int = 8,
    probes: int = 6,
    stop_after: int | None = None,
    name: str = "pan",
    method_name: str = "diffir2vr",
):
    """Writes the trace to a folder or a zarr store and returns `path`; with `stop_after` only that many steps, not closed."""
    scene = Panned(frames, size, speed, window, seed)
    header = make_header(scene, steps, sites, similarity * probes, scale, seed, name, method_name)
    writer = TraceWriter(path, header)
    write_clip(writer, scene, truth)
    for step in range(steps if stop_after is None else stop_after):
        write_step(writer, scene, step)
    if restored and stop_after is None:
        writer.put("clip/restored", np.stack([to_bytes(resized(scene.picture(frame), size, blur=1.2)) for frame in range(frames)]))
    if close and stop_after is None:
        writer.close()
    else:
        writer.commit_clip()
        writer.flush()
    return path


def make_header(scene: Panned, steps: int, sites, probes: int, scale: int, seed: int, name: str, method_name: str) -> Header:
    height, width = scene.size
    found = tuple(
        TraceSite(site, site.split(".")[0], (-(-height // cell), -(-width // cell)), cell, channels=16, heads=2, path=f"{site}.attn1")
        for site, cell in sites
    )
    timesteps = np.linspace(999, 0, steps).round().astype(int)
    alpha_bar = np.cos(timesteps / 1000 * np.pi / 2 * 0.98) ** 2
    return Header(
        name=name, frames=scene.frames, fps=10.0, lq_size=(-(-height // scale), -(-width // scale)), size=scene.size,
        latent=(4, -(-height // 8), -(-width // 8)), steps=steps,
        timesteps=tuple(map(int, timesteps)), alpha_bar=tuple(map(float, alpha_bar)),
        windows=tuple(TraceWindow(w.start, w.stop, w.key, w.previous_key) for w in scene.windows), sites=found, matchers=MATCHERS,
        own={site.name: "cosine_spatial" if site.stage == "up" else "flow" for site in found}, match_steps=tuple(range(steps)),
        preview=(-(-height // 2), -(-width // 2)), probes=probes, scale=scale, seed=seed, method_name=method_name,
        method={"type": "sample"}, sampler={"type": "DDIM"},
        model={"name": "embedded", "scale": scale, "cell": 8, "kind": "sample", "weights": "0" * 64, "dtype": "float32", "device": "cpu"},
        recorded={"steps": "all", "sites": "all"}, machine={"threads": 1, "torch": "none"},
    )  # fmt: skip


def write_clip(writer: TraceWriter, scene: Panned, truth: bool) -> None:
    head, rng = writer.header, scene.rng
    for f in range(scene.frames):
        small = resized(scene.picture(f), head.lq_size)
        writer.put("clip/lq", to_bytes(small + rng.normal(0, 0.02, small.shape))[None], frame=f)
        writer.put("clip/flow", scene.flow(f)[None], frame=f)
        writer.put("clip/flow_back", -scene.flow(f)[None], frame=f)
        error = np.abs(rng.normal(0, 0.05, scene.size)) + 20.0 * scene.occluded(f)
        writer.put("clip/error", (error * (f != scene.key[f]))[None], frame=f)
        writer.put("clip/occluded", scene.occluded(f)[None], frame=f)
        if truth:
            writer.put("clip/truth", scene.picture(f)[None], frame=f)
            writer.put("clip/truth_flow", scene.flow(f)[None], frame=f)
            writer.put("clip/truth_occluded", scene.occluded(f)[None], frame=f)
        for site in {site.grid: site for site in head.sites}.values():
            target, hidden = scene.targets(f, site)
            writer.put("flow_target", target[None], site=site.name, frame=f)
            noise = np.abs(rng.normal(0, 0.05, len(target)))
            writer.put("flow_error", (np.where(hidden, 20.0, noise) * (f != scene.key[f]))[None], site=site.name, frame=f)
    writer.put("x_t", np.stack([latent(scene, head, -1, f) for f in range(scene.frames)]), step=0)
    writer.commit_clip()


def write_step(writer: TraceWriter, scene: Panned, step: int) -> None:
    head = writer.header
    done = (step + 1) / head.steps
    for f in range(scene.frames):
        writer.put("x_t", latent(scene, head, step, f)[None], step=step + 1, frame=f)
        writer.put("x0", latent(scene, head, step, f, noise=0.0)[None], step=step, frame=f)
        small = resized(scene.picture(f), head.preview, blur=0.5 + 4 * (1 - done))
        small += scene.rng.normal(0, 0.08 * (1 - done), small.shape)
        writer.put_previews(step, [jpeg(to_bytes(small))], frame=f)
    for site in head.sites:
        write_site(writer, scene, step, site)
    writer.put("seconds", 0.5 + 0.01 * step, step=step)
    writer.commit(step)


def write_site(writer: TraceWriter, scene: Panned, step: int, site: TraceSite) -> None:
    head, done = writer.header, (step + 1) / writer.header.steps
    (h, w), count = site.grid, site.tokens
    ratio = 0.8 * (1 - done)
    own, scores = np.zeros((scene.frames, count), np.int64), np.zeros((scene.frames, count))
    for f in range(scene.frames):
        exact, hidden = scene.targets(f, site)
        wrong = (scene.rng.random(count) < 0.5 * (1 - done) + 0.05) & (f != scene.key[f]) | hidden
        anywhere = np.where(wrong, scene.rng.integers(0, count, count), exact)
        y = (exact // w + wrong * scene.rng.integers(-2, 3, count)).clip(0, h - 1)
        x = (exact % w + wrong * scene.rng.integers(-2, 3, count)).clip(0, w - 1)
        score = np.where(wrong, 0.6, 0.9) + scene.rng.normal(0, 0.02, count)
        score[:] = score if f != scene.key[f] else np.inf
        for matcher, target in (("cosine", anywhere), ("cosine_spatial", y * w + x)):
            writer.put(f"{matcher}_target", target[None], step=step, site=site.name, frame=f)
            writer.put(f"{matcher}_score", score[None], step=step, site=site.name, frame=f)
            writer.put(f"{matcher}_margin", np.where(wrong, 0.02, 0.2)[None], step=step, site=site.name, frame=f)
        own[f] = scene.key[f] * count + (exact if head.own[site.name] == "flow" else y * w + x)
        scores[f] = score if head.own[site.name] != "flow" else -20.0 * hidden
        if head.probes:
            write_similarity(writer, scene, step, site, f, exact, anywhere)
    merged = write_merging(writer, scene, step, site, own, scores, ratio)
    writer.put("ratio", ratio, step=step, site=site.name)
    writer.put("merged_count", merged, step=step, site=site.name)


def write_merging(writer: TraceWriter, scene: Panned, step: int, site: TraceSite, own: np.ndarray, scores: np.ndarray, ratio: float) -> int:
    """The best `ratio` of the tokens outside key frames receive their target's output; returns how many."""
    merged = np.zeros(own.shape, bool)
    provider = np.arange(own.size).reshape(own.shape)
    for window in scene.windows:
        others = [f for f in range(window.start, window.stop) if f != window.key]
        best = np.argsort(-scores[others].ravel(), kind="stable")[: int(ratio * len(others) * site.tokens)]
        merged[[others[i] for i in best // site.tokens], best % site.tokens] = True
    writer.put("merged", merged, step=step, site=site.name)
    writer.put("provider", np.where(merged, own, provider), step=step, site=site.name)
    return int(merged.sum())


def write_similarity(writer: TraceWriter, scene: Panned, step: int, site: TraceSite, f: int, exact: np.ndarray, found: np.ndarray) -> None:
    """Rows with a bump at the exact target and a slightly higher one at the target that cosine found."""
    w = site.grid[1]
    distance = np.hypot(exact // w - found // w, exact % w - found % w)
    tokens = np.argsort(-distance, kind="stable")[: writer.header.probes]
    y, x = np.indices(site.grid).reshape(2, -1)
    bumps = [
        height * np.exp(-((y - at[tokens, None] // w) ** 2 + (x - at[tokens, None] % w) ** 2) / 4)
        for height, at in ((0.6, exact), (0.75, found))
    ]
    rows = 0.2 + np.maximum(*bumps) + scene.rng.normal(0, 0.01, bumps[0].shape)  # (P, N)
    where: dict[str, Any] = {"step": step, "site": site.name, "frame": f}
    writer.put("similarity_token", tokens[None], **where)
    writer.put("similarity", ((rows + 1) * 127 + 0.5).clip(0, 254).astype(np.uint8)[None], **where)
    writer.put("entropy", np.linspace(2.0, 4.0, len(tokens))[None] * (1 - 0.5 * (step + 1) / writer.header.steps), **where)


def latent(scene: Panned, head: Header, step: int, frame: int, noise: float = 1.0) -> np.ndarray:
    """A small picture under the noise that is left after `step`, (C, h, w)."""
    alpha_bar = head.alpha_bar[step + 1] if step + 1 < head.steps else 1.0
    small = resized(scene.picture(frame), head.latent[1:]) * 2 - 1
    clean = np.concatenate([small.transpose(2, 0, 1), small.mean(-1)[None]])
    grain = np.random.default_rng((head.seed, step + 1, frame)).normal(size=head.latent)
    mixed = np.sqrt(alpha_bar) * clean + np.sqrt(1 - alpha_bar) * grain if noise else clean
    return mixed.astype(np.float32)


def resized(picture: np.ndarray, size: tuple[int, ...], blur: float = 0.0) -> np.ndarray:
    """A picture at another size (h, w), blurred by so many pixels of its own, floats in [0, 1]."""
    image = Image.fromarray(picture).filter(ImageFilter.GaussianBlur(blur)).resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(image) / 255.0


def to_bytes(picture: np.ndarray) -> np.ndarray:
    return (picture * 255 + 0.5).clip(0, 255).astype(np.uint8)


def jpeg(picture: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "JPEG", quality=85)
    return out.getvalue()


if __name__ == "__main__":
    import sys

    print(make_trace(Path(sys.argv[1])))
