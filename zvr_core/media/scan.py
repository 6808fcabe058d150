"""One pass over a video file: how many frames it really has, when each is shown, and where decoding can begin."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from zvr_core.errors import ZvrError
from zvr_core.media.sound import first_second

USUAL = Fraction(25)  # frames a second where a file does not say
TIMED = {"mov", "matroska", "gif", "avi", "asf", "flv"}  # containers with a time for each packet; elsewhere it is guessed after a seek


@dataclass(frozen=True)
class Index:
    """What a pass over a video found.

    `size` is the upright (H, W); `stamps` the time stamp of each frame in units of `unit` seconds, empty if they are missing or out of
    order; `keys` the frames at which decoding can begin; `begins` the second at which the file begins.
    """

    size: tuple[int, int]
    count: int
    stamps: tuple[int, ...]
    keys: tuple[int, ...]
    unit: Fraction
    begins: Fraction
    fps: Fraction
    has_sound: bool

    def second(self, i: int) -> Fraction:
        """When frame `i` is shown, in seconds after the file begins."""
        return self.stamps[i] * self.unit - self.begins if self.stamps else i / self.fps


@dataclass
class Tally:
    """What is found on the way: the time stamps of frames and packets, which frames are key frames, and signs of damage."""

    stamps: list[int | None] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)
    packets: list[int | None] = field(default_factory=list)
    end: int = 0
    damaged: bool = False


def scan(path: Path) -> Index:
    """Decode a video from end to end; raises ZvrError when it is none, is damaged or cut short, or changes its size on the way."""
    with opened(path) as (container, stream):
        tally, size = Tally(), None
        for frame in decode_all(container, stream, tally):
            size = size or upright_size(frame)
            if upright_size(frame) != size:
                change = " to ".join(f"{width}×{height} pixels" for height, width in (size, upright_size(frame)))
                raise ZvrError(f"{path} changes from {change} at frame {len(tally.stamps)}, one size was expected; split it there")
            if frame.key_frame:
                tally.keys.append(len(tally.stamps))
            tally.stamps.append(frame.pts)
        count, unit = len(tally.stamps), Fraction(stream.time_base or 0)
        stamps = tuple(stamp for stamp in tally.stamps if stamp is not None)
        if len(stamps) < count or any(b <= a for a, b in itertools.pairwise(stamps)):
            stamps = ()
        fps = frame_rate(stream, stamps, unit)
        expected = expected_count(container, stream, tally, unit, fps)
        if size is None or tally.damaged or expected > count:
            found = f"{count} of {max(expected, len(tally.packets))} frames decode"
            raise ZvrError(f"{path} is damaged or cut short: {found}; copy it again, or keep those with: ffmpeg -i {path.name} kept.mkv")
        trusted = stamps and TIMED & set(container.format.name.split(",")) and set(stamps) <= set(tally.packets)
        keys = (0, *(key for key in tally.keys if key and trusted))
        return Index(size, count, stamps, keys, unit, first_second(container), fps, bool(container.streams.audio))


@contextmanager
def opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """A video file and its first stream of pictures; raises ZvrError when it has none that PyAV can decode."""
    try:
        container = av.open(f"file:{path}")  # "file:" because FFmpeg takes the part before a colon for a protocol
    except (av.FFmpegError, OSError) as error:
        raise ZvrError(f"{path} cannot be read as a video ({error.strerror}); is it a whole video file, with the right suffix?") from error
    with container:
        streams = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]  # not album covers
        if not streams:
            raise ZvrError(f"{path} holds no video ({container.format.long_name}); give a video, a GIF, a folder of frames, or an image")
        if streams[0].codec_context is None:
            raise ZvrError(f"{path} is coded in a way that this FFmpeg cannot decode; convert it to H.264 or FFV1")
        streams[0].thread_type = "AUTO"
        yield container, streams[0]


def decode_all(container: InputContainer, stream: VideoStream, tally: Tally) -> Iterator[av.VideoFrame]:
    """Every frame that decodes without an error."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
            if packet is None:
                return
            if packet.size:
                tally.packets.append(packet.pts)
            tally.end = max(tally.end, (packet.pts or 0) + (packet.duration or 0))
            frames = packet.decode()
        except av.FFmpegError:
            tally.damaged = True
            continue
        tally.damaged |= packet.is_corrupt or any(frame.is_corrupt for frame in frames)
        yield from (frame for frame in frames if not frame.is_corrupt)


def expected_count(container: InputContainer, stream: VideoStream, tally: Tally, unit: Fraction, fps: Fraction) -> int:
    """How many frames there must be: what the file says where that can be believed, else what was found."""
    decoded = len(tally.stamps)
    if "mov" in container.format.name:  # MP4 lists every packet, so missing packets are missing frames; other counts are guesses
        return stream.frames if len(tally.packets) < stream.frames else decoded
    stated = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    if stated and "matroska" in container.format.name:
        hours, minutes, seconds = map(Fraction, stated.groups())
        missing = round((hours * 3600 + minutes * 60 + seconds - tally.end * unit) * fps)
        return decoded + (missing if missing > 1 else 0)  # 1: the last frame's duration may be unknown
    return decoded


def frame_rate(stream: VideoStream, stamps: tuple[int, ...], unit: Fraction) -> Fraction:
    """Frames a second: what the file states if the time stamps agree within a frame, else their mean, rounded if they allow it."""
    said = stream.average_rate or stream.guessed_rate
    stated = Fraction(said.numerator, said.denominator) if said else Fraction(0)
    if len(stamps) < 2:
        return stated or USUAL
    seconds, steps = (stamps[-1] - stamps[0]) * unit, len(stamps) - 1
    if abs(seconds * stated - steps) <= 1:
        return stated
    mean, whole = steps / seconds, Fraction(max(round(steps / seconds), 1))
    return whole if abs(seconds - steps / whole) <= unit else max(mean.limit_denominator(1001), Fraction(1, 1001))


def quarter_turns(frame: av.VideoFrame) -> int:
    """How often a frame is turned counterclockwise by 90° to stand upright."""
    return round(frame.rotation / 90)


def upright_size(frame: av.VideoFrame) -> tuple[int, int]:
    """(H, W) of a frame that is turned upright."""
    return (frame.width, frame.height) if quarter_turns(frame) % 2 else (frame.height, frame.width)
