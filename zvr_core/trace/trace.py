"""A trace: what happened inside a run, read lazily from a folder, a URL, or the memory of the run that is writing it.

Needs numpy and zarr only: a trace recorded on a GPU server opens on a laptop that has neither GPU nor model.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from zarr.abc.store import Store
from zarr.storage import LocalStore

from zvr_core.errors import ZvrError
from zvr_core.trace.facts import TraceFacts
from zvr_core.trace.files import file_name
from zvr_core.trace.folder import existing
from zvr_core.trace.header import TraceSite, TraceWindow
from zvr_core.trace.layout import grid_path
from zvr_core.trace.reader import Missing, Reader
from zvr_core.trace.true_targets import true_targets

__all__ = ["Missing", "Trace", "TraceSite", "TraceWindow", "open_trace"]

WHITE = {"uint16": 65535.0, "float32": 1.0}


def open_trace(path: str | Path | Store, **options: Any) -> Trace:
    """Opens a trace in a folder, at "https://…" or "s3://…", or in a zarr store; reads its header and nothing else.

    `options` go to the file system of a URL.  Raises ZvrError for anything that is no trace, or none of this version.
    """
    if isinstance(path, Store):
        return Trace(path)
    if "://" in str(path):
        from zvr_core.trace.remote import remote_store

        return Trace(remote_store(str(path), **options), str(path))
    return Trace(LocalStore(existing(path), read_only=True), str(path))


class Trace(TraceFacts):
    """A recorded run, or one that is still going on: `refresh()` shows the steps that were written since.

    Steps, frames and tokens are numbers, sites are names ("up.1.0").  Arrays are read when asked for, the last ones are kept, and
    what is kept cannot be written to.  What was not recorded raises Missing, whose text says how to record it; numbers that the run
    does not have raise ZvrError.
    """

    def __init__(self, store: Store, path: str = "") -> None:
        """Raises ZvrError unless the store holds a trace of this version."""
        super().__init__(Reader(store, path or file_name(store)))

    def refresh(self) -> Trace:
        """Looks again how far the run has come."""
        self._reader.refresh()
        return self

    def __repr__(self) -> str:
        from zvr_core.trace.repr import text

        return text(self)

    def _repr_html_(self) -> str:
        from zvr_core.trace.repr import html

        return html(self)

    # ── steps ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def seconds(self, step: int) -> float:
        """How long a step took."""
        return float(self._reader.at("seconds", step=step))

    def state(self, step: int) -> dict[str, np.ndarray]:
        """What the method carried into a step, by the text it was put under."""
        return self._reader.state(step)

    def compare(self, other: Trace) -> list[tuple[int, int]]:
        """Pairs of steps (ours, theirs): for each whole step of ours, their whole step with the nearest log-SNR."""
        if not other.steps:
            raise ZvrError(f"{other.path} has no whole step yet to compare with; let its run go on")
        theirs = other.log_snr[: other.steps]
        return [(step, int(np.abs(theirs - value).argmin())) for step, value in enumerate(self.log_snr[: self.steps])]

    # ── latents and pictures ───────────────────────────────────────────────────────────────────────────────────────────

    def x_t(self, step: int, frame: int) -> np.ndarray:
        """What enters a step, (C, h, w) float32; of step `steps`, the result."""
        return self._reader.at("x_t", step=step, frame=frame).astype(np.float32)

    def x0(self, step: int, frame: int) -> np.ndarray:
        """The clean estimate of a step, (C, h, w) float32 (from float16)."""
        return self._reader.at("x0", step=step, frame=frame).astype(np.float32)

    def preview(self, step: int, frame: int) -> np.ndarray:
        """A small picture of the clean estimate, (h, w, 3) uint8."""
        from PIL import Image

        return np.asarray(Image.open(io.BytesIO(self.preview_jpeg(step, frame))).convert("RGB"))

    def preview_jpeg(self, step: int, frame: int) -> bytes:
        """The same as the bytes of a JPEG file."""
        length = int(self._reader.at("preview_length", step=step, frame=frame))
        if not length:
            raise Missing(f'no preview of step {step} was recorded in {self.path}; record with RecordAt(steps="all")')
        return self._reader.at("preview", step=step, frame=frame)[:length].tobytes()

    def lq(self, frame: int) -> np.ndarray:
        """The input, (H, W, 3) uint8."""
        exact = self.lq_exact(frame)
        return exact if exact.dtype == np.uint8 else (exact * (255 / WHITE[str(exact.dtype)]) + 0.5).clip(0, 255).astype(np.uint8)

    def lq_exact(self, frame: int) -> np.ndarray:
        """The input as it was, (H, W, 3) uint8, uint16, or float32 in [0, 1]."""
        return self._reader.at("clip/lq", frame=frame)

    def truth(self, frame: int) -> np.ndarray:
        """What the output should be, (H, W, 3) uint8."""
        return self._reader.at("clip/truth", frame=frame)

    def restored(self, frame: int) -> np.ndarray:
        """The output, (H, W, 3) uint8."""
        return self._reader.at("clip/restored", frame=frame)

    # ── motion, all between a frame and the key frame of its window ────────────────────────────────────────────────────

    def flow(self, frame: int) -> np.ndarray:
        """From the frame to its key frame, (2, H, W) as x, y in pixels."""
        return self._reader.at("clip/flow", frame=frame)

    def flow_back(self, frame: int) -> np.ndarray:
        """From the key frame to the frame, (2, H, W), on the grid of the key frame."""
        return self._reader.at("clip/flow_back", frame=frame)

    def error(self, frame: int) -> np.ndarray:
        """How far each pixel misses itself after going there and back, (H, W) in pixels."""
        return self._reader.at("clip/error", frame=frame)

    def confidence(self, frame: int) -> np.ndarray:
        """exp(-error), (H, W)."""
        return np.exp(-self.error(frame))

    def occluded(self, frame: int) -> np.ndarray:
        """Which pixels the key frame does not show, (H, W) bool."""
        return self._reader.at("clip/occluded", frame=frame) > 0

    def truth_flow(self, frame: int) -> np.ndarray:
        """The exact flow to the key frame, (2, H, W); NaN where it is not known."""
        return self._reader.at("clip/truth_flow", frame=frame)

    def truth_occluded(self, frame: int) -> np.ndarray:
        """Which pixels the key frame truly does not show, (H, W) bool."""
        return self._reader.at("clip/truth_occluded", frame=frame) > 0

    def true_target(self, site: str, frame: int) -> np.ndarray:
        """The true target of each token, (N,) int32; -1 where it is unknown, occluded, or outside."""
        place = self.site(site)
        return true_targets(self.truth_flow(frame), self.truth_occluded(frame), place.grid, place.cell)

    # ── tokens ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def target(self, step: int, site: str, frame: int, matcher: str) -> np.ndarray:
        """The token of the key frame that a matcher finds for each token, (N,) int32; those of flow are the same at every step."""
        return self._match("target", step, site, frame, matcher)

    def score(self, step: int, site: str, frame: int, matcher: str) -> np.ndarray:
        """What the matcher ranks tokens by, (N,) float32: a cosine, higher is better; of flow, the error in pixels, lower is better."""
        return self._match("error" if matcher == "flow" else "score", step, site, frame, matcher).astype(np.float32)

    def margin(self, step: int, site: str, frame: int, matcher: str) -> np.ndarray:
        """The score less the best one outside of the 3 × 3 tokens around the target, (N,) float32."""
        return self._match("margin", step, site, frame, matcher).astype(np.float32)

    def merged(self, step: int, site: str, frame: int) -> np.ndarray:
        """Which tokens were merged into another, (N,) bool."""
        return self._token("merged", step, site, frame) > 0

    def provider(self, step: int, site: str, frame: int) -> np.ndarray:
        """Whose output each token receives, (N,) int32 as frame·N + token; its own where it is not merged."""
        return self._token("provider", step, site, frame)

    def ratio(self, step: int, site: str) -> float:
        """The share of tokens to merge outside of key frames; 0 where nothing merges."""
        return float(self._token("ratio", step, site))

    def merged_count(self, step: int, site: str) -> int:
        """How many tokens of all frames were merged."""
        return int(self._token("merged_count", step, site))

    def similarity(self, step: int, site: str, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """Tokens (P,) on which matchers disagree most, and their cosine with every token of the key frame, (P, N) float32."""
        tokens, rows = (self._token(name, step, site, frame) for name in ("similarity_token", "similarity"))
        cosine = np.where(rows == 255, np.nan, rows / np.float32(127) - 1).astype(np.float32)  # (P, N)
        return tokens[tokens >= 0], cosine[tokens >= 0]

    def entropy(self, step: int, site: str, frame: int) -> np.ndarray:
        """The entropy of the attention of the tokens that `similarity` names, (P,) float32."""
        kept = self._token("similarity_token", step, site, frame) >= 0
        return self._token("entropy", step, site, frame).astype(np.float32)[kept]

    def tokens(self, step: int, site: str, frame: int) -> np.ndarray:
        """The tokens as they enter attention, (N, C) float32 (from float16), or C of their principal components."""
        return self._token("tokens", step, site, frame).astype(np.float32)

    def read_ahead(self, step: int, site: str, frame: int) -> None:
        """Reads all matches and merges of a step, site and frame at once, so that asking for each of them costs nothing."""
        group, row = self._where(site)
        kinds = [f"{matcher}_{kind}" for matcher in self.matchers if matcher != "flow" for kind in ("target", "score", "margin")]
        self._reader.ahead([f"{group}/{name}" for name in (*kinds, "provider", "merged")], step=step, row=row, frame=frame)

    def _match(self, kind: str, step: int, site: str, frame: int, matcher: str) -> np.ndarray:
        if matcher not in self.matchers:
            raise Missing(
                f"{self.path} has no {matcher} matches, but {', '.join(self.matchers) or 'none'}; record with RecordAt(matchers=…)"
            )
        return self._token(f"{matcher}_{kind}", step, site, frame)

    def _token(self, name: str, step: int, site: str, frame: int = 0) -> np.ndarray:
        group, row = self._where(site)
        return self._reader.at(f"{group}/{name}", step=step, row=row, frame=frame, site=site)

    def _where(self, site: str) -> tuple[str, int]:
        """The group of a site's grid, and its row there."""
        number = self._number(site)
        grid = self.sites[number].grid
        return grid_path(grid), self.header.grids[grid].index(number)
