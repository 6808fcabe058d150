"""Traces in which something is missing, each in its own way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from plain_trace import plain_header, put_clip
from sample_trace import jpeg, make_trace

from zvr_core.trace.writer import TraceWriter

SITE = (("up.1.0", 16),)
SMALL = {"frames": 3, "steps": 3, "sites": SITE}


def some_steps(path: Path) -> Path:
    """Four steps with pictures, matches at steps 0 and 2 only; no flow."""
    header = plain_header(match_steps=(0, 2), matchers=("cosine",))
    writer = TraceWriter(path, header)
    put_clip(writer)
    picture = jpeg(np.asarray(Image.new("RGB", (40, 24), "teal")))
    for step in range(4):
        writer.put("x_t", np.zeros((3, 4, 3, 5)), step=step + 1)
        writer.put_previews(step, [picture] * 3)
        for site in header.sites if step in header.match_steps else ():
            where = {"step": step, "site": site.name}
            writer.put("cosine_target", np.zeros((3, site.tokens)), **where)
            writer.put("cosine_score", np.zeros((3, site.tokens)), **where)
        writer.commit(step)
    writer.close()
    return path


def latents_only(path: Path) -> Path:
    """Steps without pictures and matches."""
    writer = TraceWriter(path, plain_header(match_steps=(), matchers=(), sites=(), preview=(0, 0)))
    put_clip(writer)
    for step in range(4):
        writer.put("x_t", np.zeros((3, 4, 3, 5)), step=step + 1)
        writer.commit(step)
    writer.close()
    return path


# How each is made, and what the explorer says of it.
GAPS = {
    "no step": (lambda path: make_trace(path, **SMALL, stop_after=0), "No step"),
    "no sites": (lambda path: make_trace(path, frames=3, steps=3, sites=()), "No attention site"),
    "no truth": (lambda path: make_trace(path, **SMALL, truth=False), "true motion is not known"),
    "no rows": (lambda path: make_trace(path, **SMALL, similarity=False), "No similarity rows"),
    "one frame": (lambda path: make_trace(path, frames=1, steps=2, sites=SITE), "is the key frame"),
    "one step": (lambda path: make_trace(path, frames=3, steps=1, sites=SITE), "step 0 of 1"),
    "some steps": (some_steps, "steps 0, 2"),
    "latents only": (latents_only, "No pictures of the steps"),
}
