"""The plainest trace there can be: every value says its step, so that a wrong or missing one is noticed.  Quick to import and write."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from zvr_core.trace import Trace
from zvr_core.trace.header import Header, TraceSite, TraceWindow
from zvr_core.trace.writer import TraceWriter

SITES = (TraceSite("down.0.0", "down", (3, 5), 8, 4), TraceSite("up.0.0", "up", (3, 5), 8, 4), TraceSite("mid.0", "mid", (2, 3), 16, 4))


def plain_header(frames: int = 3, steps: int = 4, window: int = 3, **changes) -> Header:
    windows = tuple(TraceWindow(start, min(start + window, frames), start) for start in range(0, frames, window))
    values = {
        "name": "plain", "frames": frames, "fps": 25.0, "lq_size": (24, 40), "size": (24, 40), "latent": (4, 3, 5), "steps": steps,
        "timesteps": tuple(range(steps))[::-1], "alpha_bar": tuple(np.linspace(0.1, 0.9, steps).tolist()), "windows": windows,
        "sites": SITES, "matchers": ("flow", "cosine"), "match_steps": tuple(range(steps)), "preview": (3, 5), "method_name": "plain",
    }  # fmt: skip
    return Header(**{**values, **changes})


def put_clip(writer: TraceWriter) -> None:
    head = writer.header
    writer.put("clip/lq", np.full((head.frames, *head.lq_size, 3), 7, np.uint8))
    writer.put("x_t", np.zeros((head.frames, *head.latent), np.float32))
    writer.commit_clip()


def put_step(writer: TraceWriter, step: int, offset: int = 0) -> None:
    """Step `step`, window by window; its values are `step + offset`."""
    head, value = writer.header, step + offset
    for window in head.windows:
        frames = window.stop - window.start
        writer.put("x_t", np.full((frames, *head.latent), value + 1), step=step + 1, frame=window.start)
        writer.put("x0", np.full((frames, *head.latent), value), step=step, frame=window.start)
        writer.put_previews(step, [bytes([value % 250]) * 9] * frames, frame=window.start)
        for site in head.sites:
            where = {"step": step, "site": site.name, "frame": window.start}
            writer.put("cosine_target", np.full((frames, site.tokens), value % site.tokens), **where)
            writer.put("cosine_score", np.full((frames, site.tokens), value / 64), **where)
            writer.put("merged", np.full((frames, site.tokens), value % 2), **where)
    for site in head.sites:
        writer.put("ratio", value / 64, step=step, site=site.name)
    writer.put("seconds", value, step=step)
    writer.put_state(step + 1, {"['basis', 3]": np.full((2, 3), value)})


def check(trace: Trace, offset: int = 0) -> None:
    """Every whole step is what `put_step` put."""
    for step in range(trace.steps):
        value = step + offset
        assert trace.seconds(step) == value
        assert (trace.state(step + 1)["['basis', 3]"] == value).all()
        for frame in range(trace.frames):
            assert (trace.x_t(step + 1, frame) == value + 1).all() and (trace.x0(step, frame) == value).all()
            assert trace.preview_jpeg(step, frame) == bytes([value % 250]) * 9
            for site in trace.sites:
                assert (trace.target(step, site.name, frame, "cosine") == value % site.tokens).all()
                assert (trace.merged(step, site.name, frame) == value % 2).all()
                assert trace.ratio(step, site.name) == value / 64


def write(path, **changes):
    """A whole trace; returns its path."""
    with TraceWriter(path, plain_header(**changes)) as writer:
        put_clip(writer)
        for step in range(writer.header.steps):
            put_step(writer, step)
            writer.commit(step)
    return path


def partial(path, done, **changes):
    """A writer that stands after `done` steps."""
    writer = TraceWriter(path, plain_header(**changes))
    put_clip(writer)
    for step in range(done):
        put_step(writer, step)
        writer.commit(step)
    writer.flush()
    return writer


if __name__ == "__main__":  # writes until it is killed
    with TraceWriter(Path(sys.argv[1]), plain_header(frames=5, steps=300)) as endless:
        put_clip(endless)
        for number in range(300):
            put_step(endless, number)
            endless.commit(number)
            if number == 0:
                endless.flush()
                print("going", flush=True)
