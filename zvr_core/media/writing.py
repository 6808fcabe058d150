"""Writing frames: streaming, and all or nothing.

Everything is written beside its target under a hidden name and renamed when it is whole; whatever happens before that (an error, a full
disk, Ctrl-C), nothing is left behind and an existing target stays as it was.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
import torch

from zvr_core.clip import Clip, Rate, as_rate
from zvr_core.errors import ZvrError
from zvr_core.media.sinks import SINKS
from zvr_core.media.sound import SILENCE, Sound


@dataclass(frozen=True)
class Written:
    """What was written: where, how many frames, what became of the sound, and the rate (a GIF has at most 50 frames a second)."""

    path: Path
    frames: int
    audio: str
    fps: Fraction


def write_clip(
    frames: Iterable[torch.Tensor],
    path: str | Path,
    fps: Rate,
    *,
    audio_from: Clip | Sound | str | Path = SILENCE,
    overwrite: bool = False,
) -> Written:
    """Write frames as they come: tensors (n, 3, H, W) or (3, H, W) in [0, 1], or a whole `Clip`; rounded to 8 bits.

    The suffix decides: .mp4 (H.264 of high quality; 4:4:4 for odd sizes, which 4:2:0 cannot hold), .mkv (FFV1, lossless), .gif, .png or
    .jpg (one frame), none or a final "/" (a folder of 00000.png …). The sound of `audio_from` is copied, not encoded again, and ends
    with the frames. Raises ZvrError for a target that exists (without `overwrite`) or cannot be written, for no frames, and for frames
    whose size changes or whose values are not numbers.
    """
    target, kind = Path(path).expanduser(), target_kind(path)
    rate, sound = as_rate(fps), as_sound(audio_from)
    check_target(target, kind, overwrite)
    with staged(target) as draft:
        pictures = as_bytes(frames)
        first = next(pictures, None)
        if first is None:
            raise ZvrError(f"no frames given for {target}; at least one is needed")
        with saying(target):
            sink = SINKS[kind](draft, (first.shape[0], first.shape[1]), rate, sound)
        with closing(sink):
            for picture in chain([first], pictures):
                with saying(target):
                    sink.add(picture)
            with saying(target):
                sink.finish()
        return Written(target, sink.count, sink.fate, sink.rate)


def as_sound(source: Clip | Sound | str | Path) -> Sound:
    """The sound of a clip, or of a file from its beginning; raises ZvrError when there is no such file."""
    if isinstance(source, Clip):
        return source.audio
    if isinstance(source, Sound):
        return source
    if not Path(source).expanduser().is_file():
        raise ZvrError(f"no such file: {source}; give a video or sound file as the source of the sound")
    return Sound(Path(source).expanduser())


def as_bytes(chunks: Iterable[torch.Tensor]) -> Iterator[np.ndarray]:
    """Frames one by one as (H, W, 3) uint8, rounded; raises ZvrError for a wrong shape or type, a change of size, or NaN."""
    count, size = 0, None
    for chunk in chunks:
        frames = torch.as_tensor(chunk)
        frames = frames[None] if frames.ndim == 3 else frames  # (n, 3, H, W)
        if frames.ndim != 4 or frames.shape[1] != 3 or not frames.is_floating_point() or 0 in frames.shape[2:]:
            raise ZvrError(f"frames of shape {tuple(frames.shape)}, {frames.dtype} given; floats (n, 3, H, W) in [0, 1] expected")
        size = size or frames.shape[2:]
        if frames.shape[2:] != size:
            given, first = (f"{width}×{height}" for height, width in (frames.shape[2:], size))
            raise ZvrError(f"frame {count} is {given} pixels, the frames before it {first}; all frames of a clip need one size")
        for frame in frames:
            if not frame.isfinite().all():
                raise ZvrError(f"frame {count} holds NaN or infinite values, numbers in [0, 1] expected; look for the step that made them")
            yield (frame.float().clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().contiguous().numpy()  # (H, W, 3)
            count += 1


def target_kind(path: str | Path) -> str:
    """The key in `SINKS`: a suffix, or "" for a folder; raises ZvrError for a suffix that cannot be written."""
    suffix = Path(path).suffix.lower()
    if suffix == "" or str(path).endswith("/") or Path(path).expanduser().is_dir():
        return ""
    if suffix not in SINKS:
        raise ZvrError(f"{path} ends in {suffix}, which cannot be written; use {', '.join(filter(None, SINKS))}, or no suffix for a folder")
    return suffix


def check_target(target: Path, kind: str, overwrite: bool) -> None:
    """Raises ZvrError where writing would lose something, or there is no place to write."""
    with saying(target):
        if not target.parent.is_dir():
            raise ZvrError(f"there is no folder {target.parent} to write {target.name} into; create it first")
        if not target.exists():
            return
        if kind == "" and target.is_dir():
            others = [entry.name for entry in target.iterdir() if not re.fullmatch(r"\d{5,}\.png", entry.name)]
            if overwrite and others:
                raise ZvrError(f"{target} holds more than frames ({sorted(others)[0]}) and will not be replaced; choose another folder")
            if overwrite or not any(target.iterdir()):
                return
        if kind == "" and not target.is_dir():
            raise ZvrError(f"{target} is a file, but without a suffix the output is a folder; choose another name")
        if kind == "" or not overwrite:
            raise ZvrError(f"{target} exists; choose another output, or ask to overwrite it")


@contextmanager
def staged(target: Path) -> Iterator[Path]:
    """A path beside the target to write to; what is there at the end replaces the target in one step, unless an error came before."""
    real = target.resolve()
    with saying(target):
        shelter = Path(tempfile.mkdtemp(prefix=".zvr-", dir=real.parent))
    try:
        yield shelter / real.name
        with saying(target):
            replace(shelter / real.name, real, shelter / f"{real.name}.old")
    finally:
        shutil.rmtree(shelter, ignore_errors=True)


def replace(new: Path, target: Path, attic: Path) -> None:
    """Rename `new` to `target`; a folder in its place goes to the attic, and comes back if that fails."""
    if target.is_dir():
        target.replace(attic)
    try:
        new.replace(target)
    except BaseException:
        if attic.exists():
            attic.replace(target)
        raise


@contextmanager
def saying(target: Path) -> Iterator[None]:
    """Turns what the system or FFmpeg says while writing into one ZvrError with the target and the cause."""
    try:
        yield
    except (OSError, av.FFmpegError) as error:
        raise ZvrError(f"cannot write {target}: {error.strerror or error}; make room there or choose another output") from error
