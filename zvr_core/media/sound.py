"""Sound: where a clip's sound is, and copying it beside new pictures without encoding it again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer

from zvr_core.errors import ZvrError


@dataclass(frozen=True)
class Sound:
    """A file with sound and the second of that file at which the pictures begin; without a path it is silence, and false."""

    path: Path | None = None
    start: Fraction = Fraction(0)

    def __bool__(self) -> bool:
        return self.path is not None


SILENCE = Sound()


class Track(Protocol):
    """The sound of a file being written: `copy_until` is called as the pictures advance, `fate` says what became of the sound."""

    def copy_until(self, seconds: Fraction) -> None: ...

    @property
    def fate(self) -> str: ...


@dataclass(frozen=True)
class Mute:
    """The track of a file that gets no sound, and why."""

    fate: str

    def copy_until(self, seconds: Fraction) -> None:
        """Nothing to copy."""


def lost(sound: Sound, holder: str) -> Mute:
    """The track of a kind of file that holds no sound at all."""
    return Mute(f"lost: {holder} holds no sound" if sound else "none in the source")


class Copy:
    """The first audio stream of `source`, muxed into `stream` of `output` packet by packet, so that `sound.start` becomes second 0."""

    def __init__(self, source: InputContainer, sound: Sound, output: OutputContainer, stream: AudioStream):
        self.output, self.stream, self.copied = output, stream, 0
        self.codec, self.tracks = codec_name(source), len(source.streams.audio)
        self.packets = moved(source.demux(source.streams.audio[0]), sound, first_second(source))
        self.waiting = next(self.packets, None)

    def copy_until(self, seconds: Fraction) -> None:
        """Mux every packet that begins before `seconds` of the output."""
        while self.waiting is not None and self.waiting[0] < seconds:
            packet = self.waiting[1]
            packet.stream = self.stream
            self.output.mux(packet)
            self.copied += 1
            self.waiting = next(self.packets, None)

    @property
    def fate(self) -> str:
        if not self.copied:
            return "none beside these frames"
        return f"copied ({self.codec})" + (f", the first of {self.tracks} tracks" if self.tracks > 1 else "")


def moved(packets: Iterator[av.Packet], sound: Sound, begins: Fraction) -> Iterator[tuple[Fraction, av.Packet]]:
    """The packets of a file that begins at second `begins`, from `sound.start` on, each with its second counted from there."""
    with reading(sound):
        for packet in packets:
            if packet.pts is not None and packet.dts is not None:
                offset = round((begins + sound.start) / packet.time_base)
                packet.pts, packet.dts = packet.pts - offset, packet.dts - offset
                if packet.pts + (packet.duration or 0) >= 0:
                    yield packet.pts * Fraction(packet.time_base), packet


@contextmanager
def reading(sound: Sound) -> Iterator[None]:
    """Turns what FFmpeg says about a source of sound into one ZvrError."""
    try:
        yield
    except (av.FFmpegError, OSError) as error:
        raise ZvrError(f"the sound of {sound.path} cannot be read ({error.strerror}); write without sound or repair the file") from error


def first_second(container: InputContainer) -> Fraction:
    """The time stamp at which a file begins, in seconds (transport streams and cuts do not begin at 0)."""
    return Fraction(container.start_time or 0, av.time_base)


@contextmanager
def copied(sound: Sound, output: OutputContainer) -> Iterator[Track]:
    """The track that carries `sound` into `output`, or a mute one that says why it cannot."""
    if not sound:
        yield Mute("none in the source")
        return
    with reading(sound):
        source = av.open(f"file:{sound.path}")
    with source:
        if not source.streams.audio:
            yield Mute("none in the source")
            return
        try:
            stream = output.add_stream_from_template(source.streams.audio[0])
        except ValueError:  # PyAV's answer to a codec that the container does not take
            taker = "MP4 does not take {}, .mkv may" if output.format.name == "mp4" else "MKV does not take {}"
            yield Mute(f"lost: {taker.format(codec_name(source))}")
        else:
            yield Copy(source, sound, output, stream)


def codec_name(source: InputContainer) -> str:
    """What the first sound of a file is coded as."""
    return source.streams.audio[0].codec_context.codec.canonical_name
