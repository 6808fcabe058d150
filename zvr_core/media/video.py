"""Video files and GIFs as frames, through PyAV (FFmpeg).

Opening a video decodes it once from end to end: only that tells how many frames there are, because containers state wrong numbers or
none and packets can hold no picture. Later reads go on from where they are, or seek to a key frame and decode up to the frame.
Frames are turned upright (phone videos are stored sideways); 8 bits stay 8, more become 16; YUV without a tag is read as BT.601, as
FFmpeg does. Ignored are: non-square pixels, interlacing, HDR transfer curves (code values are read), streams after the first.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from zvr_core.errors import ZvrError
from zvr_core.media.scan import Index, opened, quarter_turns, scan
from zvr_core.media.sound import SILENCE, Sound

# swscale's flags: bicubic, full chroma, accurate rounding. Its default loses 2.7 dB on 4:2:0 and darkens by one level of 255 (measured).
EXACT = 0x4 | 0x2000 | 0x40000
RECENT = 16  # decoded frames kept: overlapping windows and small steps back need not decode again from a key frame


class _LostError(Exception):
    """A seek did not arrive where the index says."""


class VideoPictures:
    """The frames of a video file, with one reading position."""

    def __init__(self, path: Path, index: Index):
        self.path, self.index, self.size, self.fps = path, index, index.size, index.fps
        self.keys = index.keys
        self.at = len(self)  # the frame that `decoded` gives next
        self.decoded: Iterator[av.VideoFrame] = iter(())
        self.recent: OrderedDict[int, av.VideoFrame] = OrderedDict()
        self.reformatter = VideoReformatter()

    def __len__(self) -> int:
        return self.index.count

    def sound(self, i: int) -> Sound:
        """The sound from frame `i` on."""
        return Sound(self.path, self.index.second(i)) if self.index.has_sound else SILENCE

    def picture(self, i: int) -> np.ndarray:
        """Frame `i`, (H, W, 3 or 4) in uint8 or uint16; raises ZvrError if the file changed since it was opened."""
        for keys in (self.keys, (0,)):
            try:
                self.keys = keys
                if i not in self.recent:
                    self._read_to(i)
                return self._upright(self.recent[i])
            except _LostError:  # seeking in this file cannot be trusted: count from the beginning, now and later
                continue
            except av.FFmpegError:
                break
        raise ZvrError(f"frame {i} of {self.path} no longer decodes; open the file again if it changed")

    def _read_to(self, i: int) -> None:
        """Decode up to frame `i`: from where we are if that is near, else from the last key frame before it."""
        key = self.keys[bisect_right(self.keys, i) - 1]
        start, self.at = self.at, len(self)  # after an error or Ctrl-C the next read starts afresh
        if not start <= i or key > start + RECENT:
            self.decoded, start = self._decode_from(key), key
        for position in range(start, i + 1):
            frame = next(self.decoded, None)
            if frame is None or (self.index.stamps and frame.pts != self.index.stamps[position]):
                raise _LostError
            self.recent[position] = frame
            if len(self.recent) > RECENT:
                self.recent.popitem(last=False)
        self.at = i + 1

    def _decode_from(self, key: int) -> Iterator[av.VideoFrame]:
        """The frames from key frame `key` on; the beginning needs no seek."""
        with opened(self.path) as (container, stream):
            if key:
                container.seek(self.index.stamps[key], stream=stream)
            for frame in container.decode(stream):
                if not key or frame.pts is None or frame.pts >= self.index.stamps[key]:
                    yield frame

    def _upright(self, frame: av.VideoFrame) -> np.ndarray:
        """The pixels of a frame as RGB or RGBA, (H, W, 3 or 4)."""
        parts = frame.format.components
        alpha = frame.format.has_palette or any(part.is_alpha for part in parts)
        name = ("rgba64le" if alpha else "rgb48le") if parts[0].bits > 8 else ("rgba" if alpha else "rgb24")
        pixels = self.reformatter.reformat(frame, format=name, interpolation=EXACT).to_ndarray()
        return np.rot90(pixels, quarter_turns(frame))


def open_video(path: Path) -> VideoPictures:
    """A video file; raises ZvrError when it is none, is damaged, or changes its size on the way."""
    return VideoPictures(path, scan(path))
