"""The clip inside a trace: written once before the first step, and read again by a run that resumes."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from zvr_core.clip import Clip, as_rate
from zvr_core.correspondence import Correspondence, CorrespondenceService, KnownMotion, Upsampled
from zvr_core.errors import ZvrError
from zvr_core.frames import Frames
from zvr_core.matching import FlowMatcher
from zvr_core.media.sound import SILENCE, Sound
from zvr_core.media.writing import as_bytes
from zvr_core.trace.header import Header
from zvr_core.trace.reader import Reader
from zvr_core.trace.writer import TraceWriter
from zvr_core.words import frames_of


@dataclass(frozen=True)
class Truth:
    """What is known of a clip beside its degraded frames: the clean ones, (F, 3, H, W) of the output's size, and the exact motion."""

    frames: Frames = torch.empty(0, 3, 1, 1)  # unknown
    motion: KnownMotion | tuple[KnownMotion, ...] = ()  # unknown

    @property
    def motions(self) -> tuple[KnownMotion, ...]:
        """None or one."""
        return self.motion if isinstance(self.motion, tuple) else (self.motion,)


def put_clip(writer: TraceWriter, clip: Clip, flow: CorrespondenceService, truth: Truth, flows: bool) -> None:
    """LQ frames at their own precision, flows between each frame and its key frame, and the truth; read one frame at a time.

    Raises ZvrError for frames of different precision.
    """
    for i in range(len(clip)):
        writer.put("clip/lq", exact_picture(clip, i, writer.header.lq_dtype)[None], frame=i)
    for i, picture in enumerate(as_bytes(truth.frames[i : i + 1] for i in range(len(truth.frames)))):
        writer.put("clip/truth", picture[None], frame=i)
    for window in writer.header.windows:
        for i in range(window.start, window.stop):
            for motion in truth.motions:
                writer.put("clip/truth_flow", motion.flow(i, window.key)[None].numpy(), frame=i)
                writer.put("clip/truth_occluded", motion.occluded(i, window.key)[None].numpy(), frame=i)
            if flows:
                put_flows(writer, flow, i, window.key)
        if flows and window.previous_key >= 0:
            put_flows(writer, flow, window.key, window.previous_key, "key_")
    writer.commit_clip()


def put_flows(writer: TraceWriter, flow: CorrespondenceService, frame: int, key: int, kind: str = "") -> None:
    """Both ways between a frame and a key frame, the error of the round trip, and what is hidden there."""
    values = (flow.flow(frame, key), flow.flow(key, frame), flow.error(frame, key), flow.occluded(frame, key))
    for name, value in zip(("flow", "flow_back", "error", "occluded"), values, strict=True):
        writer.put(f"clip/{kind}{name}", value[None].cpu().numpy(), frame=frame)


def put_flow_matches(writer: TraceWriter, flow: CorrespondenceService, matcher: FlowMatcher) -> None:
    """The matches by flow of each token grid: once per clip, since they depend on neither step nor site; errors in pixels."""
    header = writer.header
    sites = {site.grid: site for site in header.sites}.values() if "flow" in header.matchers else ()
    for site in sites:
        for window in header.windows:
            moved = flow.to_key(range(window.start, window.stop), window.key, site.grid, site.cell)
            tokens = torch.zeros(1).expand(window.stop - window.start, site.tokens, 1)  # flow looks at none
            matches = matcher.match(tokens, site.grid, window.key - window.start, lambda moved=moved: moved)  # type: ignore[misc]
            writer.put("flow_target", matches.target.int().numpy(), site=site.name, frame=window.start)
            writer.put("flow_error", moved.error.flatten(1).numpy(), site=site.name, frame=window.start)
    writer.commit_clip()


def check_truth(header: Header, truth: Truth) -> None:
    """Raises ZvrError where the truth is of another clip."""
    expected = f"{frames_of(header.frames, header.size)}, the output's size, expected"
    if len(truth.frames):
        size = truth.frames[0:1].shape[-2:]
        if (len(truth.frames), *size) != (header.frames, *header.size):
            raise ZvrError(f"a truth of {frames_of(len(truth.frames), size)} given; {expected}")
    for motion in truth.motions:
        if (len(motion), *motion.size) != (header.frames, *header.size):
            raise ZvrError(f"a true motion of {frames_of(len(motion), motion.size)} given; {expected}")


def exact_picture(clip: Clip, i: int, dtype: str) -> np.ndarray:
    """A frame (H, W, 3) as its source holds it, in `dtype`; as float32, what the model sees."""
    if dtype == "float32":
        return clip[i].permute(1, 2, 0).numpy()
    picture = clip.source.picture(clip.span[i])
    if str(picture.dtype) != dtype or (picture.ndim == 3 and picture.shape[-1] not in (1, 3)):
        raise ZvrError(
            f"frame {i} of {clip.name} is {picture.dtype} of shape {picture.shape}, but frame 0 is {dtype} colour; convert them alike"
        )
    return np.broadcast_to(picture.reshape(*picture.shape[:2], -1), (*picture.shape[:2], 3))


@dataclass(frozen=True, eq=False)
class TracedPictures:
    """The LQ frames of a trace, as a clip's source."""

    reader: Reader
    audio: Sound

    @property
    def size(self) -> tuple[int, int]:
        return self.reader.header.lq_size

    def __len__(self) -> int:
        return self.reader.header.frames

    def picture(self, i: int) -> np.ndarray:
        return self.reader.at("clip/lq", frame=i)

    def sound(self, i: int) -> Sound:
        return self.audio


def traced_clip(reader: Reader) -> Clip:
    """The clip a trace was recorded from, bit for bit; its sound where the file it came from is still there."""
    header = reader.header
    path = Path(header.settings.get("sound") or "/nowhere")
    audio = Sound(path, Fraction(header.settings["sound_start"])) if path.is_file() else SILENCE
    return Clip(TracedPictures(reader, audio), as_rate(header.fps), header.name, range(header.frames))


class TracedFlow(CorrespondenceService):
    """The flows of a trace, bit for bit; what it does not hold is estimated as by default."""

    def __init__(self, reader: Reader, clip: Clip, max_bytes: int) -> None:
        header = reader.header
        super().__init__(header.frames, header.size, max_bytes // 2)
        self._reader = reader
        self.others = Correspondence(Upsampled(clip, header.scale), max_bytes=max_bytes // 2)
        self._place: dict[tuple[int, int], tuple[str, int]] = {}  # (frame, key) -> kind of array, frame it is stored at
        if reader.has("clip/flow"):
            self._place |= {(f, w.key): ("", f) for w in header.windows for f in range(w.start, w.stop)}
        if reader.has("clip/key_flow"):
            self._place |= {(w.key, w.previous_key): ("key_", w.key) for w in header.windows if w.previous_key >= 0}

    def _flow(self, a: int, b: int) -> torch.Tensor:
        for pair, name in (((a, b), "flow"), ((b, a), "flow_back")):
            if pair in self._place:
                return self._read(name, *self._place[pair])
        return self.others.flow(a, b)

    def _occluded(self, a: int, b: int) -> torch.Tensor:
        if (a, b) in self._place:
            return self._read("occluded", *self._place[a, b]).bool()
        return super()._occluded(a, b)

    def _read(self, name: str, kind: str, frame: int) -> torch.Tensor:
        return torch.from_numpy(np.array(self._reader.at(f"clip/{kind}{name}", frame=frame)))
