"""Videos made for tests: each frame shows its own number, so that a wrong one is noticed; tones as sound."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
import torch
from av.audio.stream import AudioStream
from av.video.stream import VideoStream

HEIGHT, WIDTH, BITS = 48, 64, 6


def numbered(count: int) -> np.ndarray:
    """Frames (F, H, W, 3) uint8 that show their number as bright and dark bars."""
    bright = np.arange(count)[:, None] >> np.arange(BITS) & 1  # (F, BITS)
    bars = np.repeat(bright * 200 + 20, WIDTH // BITS + 1, axis=1)[:, :WIDTH]  # (F, W)
    return np.ascontiguousarray(np.broadcast_to(bars[:, None, :, None], (count, HEIGHT, WIDTH, 3)).astype(np.uint8))


def number(frame: torch.Tensor) -> int:
    """The number that a frame (3, H, W) shows."""
    centres = np.arange(BITS) * (WIDTH // BITS + 1) + 3
    return sum(int(frame[1, HEIGHT // 2, x] > 0.5) << bit for bit, x in enumerate(centres.tolist()))


def encode(
    path: Path,
    frames: np.ndarray,
    codec: str = "libx264",
    layout: str = "yuv420p",
    *,
    container: str | None = None,
    gop: int = 12,
    b_frames: int = 2,
    stamps: list[int] | None = None,
    options: dict[str, str] | None = None,
    picture: str = "rgb24",
    tone: str = "",
    turn: int = 0,
) -> Path:
    """Write frames (F, H, W, 3) at 24 a second; `stamps` are their times in 24ths of a second, `tone` the codec of a sound."""
    with av.open(str(path), "w", format=container, options={"movflags": "+faststart"} if path.suffix == ".mp4" else {}) as output:
        stream = cast(VideoStream, output.add_stream(codec, rate=24, options=options or {}))
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], layout
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = gop, b_frames
        if turn:
            stream.set_display_rotation(turn)
        sound = cast(AudioStream, output.add_stream(tone, rate=48000, layout="mono")) if tone else None
        for i, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format=picture)
            frame.pts, frame.time_base = (stamps[i] if stamps else i), Fraction(1, 24)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        if sound:
            mux_tone(output, sound, len(frames) / 24)
    return path


def mux_tone(output: av.container.OutputContainer, stream: AudioStream, seconds: float) -> None:
    """A tone of 440 Hz that grows from silence to full strength: how loud it is tells where in it one is."""
    time = np.arange(round(seconds * 48000)) / 48000
    wave = np.sin(2 * np.pi * 440 * time) * time / seconds
    samples = av.AudioFrame.from_ndarray(wave[None].astype(np.float32), format="fltp", layout="mono")
    samples.sample_rate, samples.pts = 48000, 0
    resampler = av.AudioResampler(stream.format, "mono", 48000, frame_size=stream.frame_size or 1024)
    for part in (*resampler.resample(samples), *resampler.resample(None)):
        output.mux(stream.encode(part))
    output.mux(stream.encode(None))


def loudness(path: Path) -> tuple[str, float, float, float]:
    """The sound's codec, its length in seconds, and how loud it is at its beginning and end."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        parts = [part.to_ndarray().astype(np.float64).ravel() for part in container.decode(stream)]
        wave = np.concatenate(parts) / (32768 if stream.format.name.startswith("s16") else 1)
        tenth = stream.rate // 20
        return stream.codec_context.codec.canonical_name, len(wave) / stream.rate, abs(wave[:tenth]).max(), abs(wave[-tenth:]).max()
