"""Where frames are written, by suffix. A sink takes (H, W, 3) uint8 pictures of one size, one after the other."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol, cast

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from av.video.stream import VideoStream
from PIL import Image

from zvr_core.errors import ZvrError
from zvr_core.media.sound import Sound, copied, lost
from zvr_core.media.video import EXACT

H264 = {
    "crf": "10",  # about 44 dB on film at 480p
    **dict.fromkeys(("colorspace", "color_primaries", "color_trc"), "bt709"),  # said in the file, because players guess otherwise
    "color_range": "tv",
    "chroma_sample_location": "center",  # where swscale puts it; decoders that are not told take it for half a pixel further left
}

SAMPLE = 1 << 14  # pixels that choose the palette of a GIF frame: six times faster than all of 480p


class Sink(Protocol):
    """`add` takes pictures, `finish` completes the file, `close` lets go of it whatever happened; `fate`: what became of the sound."""

    rate: Fraction
    count: int

    @property
    def fate(self) -> str: ...

    def add(self, picture: np.ndarray) -> None: ...

    def finish(self) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Coding:
    """How pictures become a video file: container, encoder and its options, pixel format, and the conversion into that."""

    container: str
    codec: str
    layout: str
    convert: Callable[[np.ndarray], av.VideoFrame]
    options: dict[str, str] = field(default_factory=dict)
    container_options: dict[str, str] = field(default_factory=dict)
    holds_sound: bool = True


class Film:
    """A video file, its pictures encoded as `coding` says, the sound copied beside them."""

    def __init__(self, path: Path, size: tuple[int, int], rate: Fraction, sound: Sound, coding: Coding):
        self.rate, self.convert, self.count, self.held = rate, coding.convert, 0, ExitStack()
        self.container = self.held.enter_context(av.open(f"file:{path}", "w", format=coding.container, options=coding.container_options))
        self.stream = cast(VideoStream, self.container.add_stream(coding.codec, rate=rate, options=coding.options))
        self.stream.height, self.stream.width = size
        self.stream.pix_fmt = coding.layout
        self.track = self.held.enter_context(copied(sound, self.container)) if coding.holds_sound else lost(sound, "GIF")

    @property
    def fate(self) -> str:
        return self.track.fate

    def add(self, picture: np.ndarray) -> None:
        frame = self.convert(picture)
        frame.pts = self.count
        self.container.mux(self.stream.encode(frame))
        self.count += 1
        self.track.copy_until(self.count / self.rate)

    def finish(self) -> None:
        self.container.mux(self.stream.encode(None))
        self.container.close()  # the disk may turn out to be full only here

    def close(self) -> None:
        with suppress(Exception):  # a broken file is thrown away: what is wrong with it was said before
            self.held.close()


def mp4(path: Path, size: tuple[int, int], rate: Fraction, sound: Sound) -> Sink:
    """H.264 of high quality, in colours that every player reads; odd sizes in 4:4:4, because 4:2:0 needs even ones."""
    if "libx264" not in av.codecs_available:
        raise ZvrError("this PyAV was built without the H.264 encoder libx264; write .mkv or a folder, or install PyAV with pip")
    layout = "yuv420p" if size[0] % 2 == size[1] % 2 == 0 else "yuv444p"
    convert = to_layout(layout, dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)
    return Film(path, size, rate, sound, Coding("mp4", "libx264", layout, convert, H264, {"movflags": "+faststart"}))


def mkv(path: Path, size: tuple[int, int], rate: Fraction, sound: Sound) -> Sink:
    """FFV1 in RGB: lossless for 8 bits, any size, with checksums."""
    return Film(path, size, rate, sound, Coding("matroska", "ffv1", "bgr0", to_layout("bgr0"), {"level": "3", "slicecrc": "1"}))


def gif(path: Path, size: tuple[int, int], rate: Fraction, sound: Sound) -> Sink:
    """256 colours a frame; at most 50 frames a second, because viewers slow faster ones down to 10."""
    return Film(path, size, min(rate, Fraction(50)), sound, Coding("gif", "gif", "pal8", to_palette, holds_sound=False))


def to_layout(layout: str, **target: int) -> Callable[[np.ndarray], av.VideoFrame]:
    """The conversion of RGB pictures into a pixel format."""
    reformatter = VideoReformatter()

    def convert(picture: np.ndarray) -> av.VideoFrame:
        return reformatter.reformat(av.VideoFrame.from_ndarray(picture, format="rgb24"), format=layout, interpolation=EXACT, **target)

    return convert


def to_palette(picture: np.ndarray) -> av.VideoFrame:
    """A picture in its own 256 colours: median cut of a sample of its pixels."""
    image, step = Image.fromarray(picture), math.ceil(math.sqrt(picture.shape[0] * picture.shape[1] / SAMPLE))
    sample = Image.fromarray(np.ascontiguousarray(picture[::step, ::step])).quantize(256)
    reduced = image.quantize(palette=sample, dither=Image.Dither.NONE)
    colours = np.array(reduced.getpalette(), np.uint8).reshape(-1, 3)
    palette = np.full((256, 4), 255, np.uint8)  # alpha, red, green, blue
    palette[: len(colours), 1:] = colours
    indexed: Any = (np.asarray(reduced), palette)  # PyAV's annotation leaves out this pair
    return av.VideoFrame.from_ndarray(indexed, format="pal8")


FINE_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
IMAGES: dict[str, list[int]] = {".png": [], ".jpg": FINE_JPEG, ".jpeg": FINE_JPEG}


class Folder:
    """A folder of PNG files, 00000.png and so on; every file is whole when it is added."""

    def __init__(self, path: Path, size: tuple[int, int], rate: Fraction, sound: Sound):
        self.path, self.rate, self.count, self.fate = path, rate, 0, lost(sound, "a folder of images").fate
        path.mkdir()

    def add(self, picture: np.ndarray) -> None:
        write_image(self.path / f"{self.count:05d}.png", picture)
        self.count += 1

    def finish(self) -> None:
        """Nothing is missing."""

    def close(self) -> None:
        """Nothing is open."""


class OneImage(Folder):
    """A PNG or JPEG file for a clip of one frame."""

    def __init__(self, path: Path, size: tuple[int, int], rate: Fraction, sound: Sound):
        self.path, self.rate, self.count, self.fate = path, rate, 0, lost(sound, "an image").fate

    def add(self, picture: np.ndarray) -> None:
        if self.count:
            raise ZvrError(f"{self.path.name} holds one frame, but the clip has more; write a folder (no suffix), .gif, .mp4 or .mkv")
        write_image(self.path, picture)
        self.count += 1


def write_image(path: Path, picture: np.ndarray) -> None:
    """A picture as an image file; raises OSError when the disk is full, which cv2.imwrite does not."""
    suffix = path.suffix.lower()
    path.write_bytes(cv2.imencode(suffix, picture[..., ::-1], IMAGES[suffix])[1].tobytes())


SINKS: dict[str, Callable[[Path, tuple[int, int], Fraction, Sound], Sink]] = {
    ".mp4": mp4,
    ".mkv": mkv,
    ".gif": gif,
    **dict.fromkeys(IMAGES, OneImage),
    "": Folder,
}
