"""The parts of a trace that the explorer shows, as bytes: pictures, matches, flow, similarity rows, quality curves.

A part has a name: `<run>/<kind>/<where>`, for example "0/match/12/up.1.0/3": run 0, step 12, site up.1.0, frame 3.  Whoever shows
it keeps it by that name.  static/store.js and static/run.js read what is written here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from zvr_core.errors import ZvrError
from zvr_core.trace import Trace, TraceSite
from zvr_viz.encode import jpeg, shrunk
from zvr_viz.quality import quality

NO_BYTE = 255  # a missing score, margin or cosine
MARGIN_MOST = 0.5  # of a margin that a byte can hold
COARSE = 4  # of 254 levels: 0.03 of a cosine
SIDE = 512  # pixels: the longer side of pictures, where there are no previews to take the size from


def part(trace: Trace, key: str) -> bytes:
    """The bytes of a part, named without the run; raises ZvrError in words where it was not recorded."""
    kind, *where = key.split("/")
    if kind not in KINDS:
        raise ZvrError(f"part {key!r} asked for; known kinds: {', '.join(KINDS)}")
    return KINDS[kind](trace, *where)


def preview(trace: Trace, step: str, frame: str) -> bytes:
    """JPEG of the clean estimate, decoded."""
    data = trace.preview_jpeg(int(step), int(frame))
    if not data:
        raise ZvrError(f"no picture was kept of step {step}; record it with RecordAt(what={{…, 'preview'}})")
    return data


def still(read: Callable[[Trace, int], NDArray]) -> Callable[..., bytes]:
    """JPEG of a frame that no step changes, at the size of the previews."""

    def encode(trace: Trace, frame: str) -> bytes:
        return jpeg(shrunk(np.ascontiguousarray(read(trace, int(frame))), max(*trace.header.preview, 0) or SIDE), quality=90)

    return encode


def token_type(site: TraceSite) -> type[np.unsignedinteger]:
    """What holds a token's number; the largest value means none."""
    return np.uint16 if site.tokens < 2**16 - 1 else np.uint32


def targets(numbers: NDArray, site: TraceSite) -> bytes:
    """Token numbers (N,), -1 where there is none, which becomes the largest value of the type."""
    return numbers.astype(np.int64).astype(token_type(site)).tobytes()


def as_bytes(values: NDArray, low: float, high: float) -> bytes:
    """Numbers as 0 to 254 between two ends; 255 where missing."""
    with np.errstate(invalid="ignore"):
        scaled = ((values - low) / (high - low) * 254).round().clip(0, 254)
    return np.where(np.isfinite(values), scaled, NO_BYTE).astype(np.uint8).tobytes()


def match(trace: Trace, step: str, site: str, frame: str) -> bytes:
    """Of each matcher by features: targets, scores, margins; then provider tokens, offsets of their frames, merged mask."""
    s, f, place = int(step), int(frame), trace.site(site)
    names = [name for name in trace.matchers if name != "flow"]
    if s not in trace.match_steps:
        raise ZvrError(steps_note(trace))
    trace.read_ahead(s, site, f)
    wide = [targets(trace.target(s, site, f, name), place) for name in names]
    numbers = [(as_bytes(trace.score(s, site, f, name), -1, 1), as_bytes(trace.margin(s, site, f, name), 0, MARGIN_MOST)) for name in names]
    provider = trace.provider(s, site, f) if trace.has("provider") else np.full(place.tokens, -1)
    wide.append(targets(np.where(provider < 0, -1, provider % place.tokens), place))
    offset = np.where(provider < 0, 0, provider // place.tokens - f).clip(-127, 127).astype(np.int8)
    merged = trace.merged(s, site, f) if trace.has("merged") else np.zeros(place.tokens, bool)
    narrow = [data for pair in numbers for data in pair]
    return b"".join([*wide, *narrow, offset.tobytes(), merged.astype(np.uint8).tobytes()])


def flow(trace: Trace, site: str, frame: str) -> bytes:
    """Errors of the flow in pixels (float32), its targets, true targets."""
    f, place = int(frame), trace.site(site)
    known = trace.true_target(site, f) if trace.has("true_target") else np.full(place.tokens, -1)
    error = trace.score(0, site, f, "flow").astype(np.float32)
    return error.tobytes() + targets(trace.target(0, site, f, "flow"), place) + targets(known, place)


def rows(trace: Trace, step: str, site: str, frame: str) -> bytes:
    """Tokens with a recorded row (int32), closed by -1; then their rows of cosines over the key frame."""
    if int(step) not in trace.match_steps:
        raise ZvrError(steps_note(trace))
    tokens, cosines = trace.similarity(int(step), site, int(frame))
    return np.append(tokens, -1).astype(np.int32).tobytes() + as_bytes(cosines, -1, 1)


def coarse(trace: Trace, key: str, data: bytes) -> bytes:
    """The bytes of "match" or "rows" with scores, margins and cosines in steps of `COARSE` levels: a quarter less to compress."""
    kind, _, site, _ = key.split("/")
    tokens, features = trace.site(site).tokens, len([name for name in trace.matchers if name != "flow"])
    width = np.dtype(token_type(trace.site(site))).itemsize
    first = (features + 1) * tokens * width if kind == "match" else 4 * ((len(data) - 4) // (tokens + 4) + 1)
    last = first + 2 * features * tokens if kind == "match" else len(data)
    numbers = np.frombuffer(data, np.uint8).copy()
    part = numbers[first:last]
    part[part < NO_BYTE] &= 256 - COARSE
    return numbers.tobytes()


def curve(trace: Trace, site: str, steps: str) -> bytes:
    """JSON of the quality of a site at each of the first steps; null where matches were not recorded."""
    recorded = set(trace.match_steps)
    return json.dumps([quality(trace, step, site) if step in recorded else None for step in range(int(steps))]).encode()


def steps_note(trace: Trace) -> str:
    """Which steps have matches, in words."""
    known = ", ".join(map(str, trace.match_steps[:8])) + (" …" if len(trace.match_steps) > 8 else "")
    which = f"at steps {known} only" if known else "at no step"
    return f"matches were recorded {which}; for all of them record with RecordAt(steps='all')"


KINDS: Mapping[str, Callable[..., bytes]] = {
    "preview": preview,
    "lq": still(Trace.lq),
    "truth": still(Trace.truth),
    "restored": still(Trace.restored),
    "match": match,
    "flow": flow,
    "rows": rows,
    "curve": curve,
}
