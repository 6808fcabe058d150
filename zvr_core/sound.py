"""Sound: where a clip's sound is, and copying it beside new pictures without encoding it again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import av


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
    """Packets of the first audio stream of `source`, muxed into `output` as they are, moved so that `start` becomes second 0."""

    def __init__(self, source: av.container.InputContainer, start: Fraction, output: av.container.OutputContainer):
        stream = source.streams.audio[0]
        self.output, self.stream = output, output.add_stream_from_template(stream)
        self.codec, self.tracks, self.copied = stream.codec_context.codec.canonical_name, len(source.streams.audio), 0
        self.packets = moved(source.demux(stream), start + first_second(source))
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


def moved(packets: Iterator[av.Packet], start: Fraction) -> Iterator[tuple[Fraction, av.Packet]]:
    """Packets that are not over at second `start`, with the second at which they begin counted from there."""
    for packet in packets:
        if packet.pts is not None and packet.dts is not None:
            offset = round(start / packet.time_base)
            packet.pts, packet.dts = packet.pts - offset, packet.dts - offset
            if packet.pts + (packet.duration or 0) >= 0:
                yield packet.pts * Fraction(packet.time_base), packet


def first_second(container: av.container.InputContainer) -> Fraction:
    """The time stamp at which a file begins, in seconds (transport streams and cuts do not begin at 0)."""
    return Fraction(container.start_time or 0, av.time_base)


@contextmanager
def copied(sound: Sound, output: av.container.OutputContainer) -> Iterator[Track]:
    """The track that carries `sound` into `output`, or a mute one that says why it cannot."""
    if not sound:
        yield Mute("none in the source")
        return
    with av.open(str(sound.path)) as source:
        if not source.streams.audio:
            yield Mute("none in the source")
            return
        try:
            track: Track = Copy(source, sound.start, output)
        except ValueError:  # PyAV's answer to a codec that the container does not take
            codec = source.streams.audio[0].codec_context.codec.canonical_name
            track = Mute(f"lost: {'MP4 does not take ' + codec + ', .mkv may' if output.format.name == 'mp4' else 'MKV does not take ' + codec}")
        yield track
