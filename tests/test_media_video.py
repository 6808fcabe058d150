"""Video files: every frame, exactly, in any order."""

from __future__ import annotations

import random
import struct
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
import torch
from videos import HEIGHT, WIDTH, encode, number, numbered

from zvr_core.clip import Clip, load_clip
from zvr_core.errors import ZvrError
from zvr_core.media.video import VideoPictures

COUNT = 40
KINDS: dict[str, dict[str, Any]] = {
    "x.mp4": {},
    "x.mkv": {},
    "x.avi": {"codec": "mpeg4"},  # B-frames, no presentation times
    "h264.avi": {},
    "x.ts": {"container": "mpegts"},  # does not begin at 0
    "x.mpg": {"codec": "mpeg1video"},  # times are guessed after a seek
    "x.h264": {"container": "h264"},  # no times at all
    "x.webm": {"codec": "libvpx", "b_frames": 0, "options": {"auto-alt-ref": "1", "lag-in-frames": "16", "b": "300k"}},
    "x.mov": {"codec": "prores_ks", "layout": "yuv422p10le", "b_frames": 0},
    "open.mkv": {"options": {"x264-params": "open-gop=1:keyint=12:min-keyint=12:scenecut=0"}},
    "refresh.mp4": {"options": {"x264-params": "intra-refresh=1:keyint=12"}, "b_frames": 0},
    "later.mp4": {"stamps": [100 + i for i in range(COUNT)]},
    "uneven.mkv": {"stamps": [i + i * i // 10 for i in range(COUNT)]},
    "x.gif": {"codec": "gif", "layout": "rgb8", "b_frames": 0},
}


def pictures(clip: Clip) -> VideoPictures:
    assert isinstance(clip.source, VideoPictures)
    return clip.source


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """One file of each kind."""
    folder = tmp_path_factory.mktemp("videos")
    return {name: encode(folder / name, numbered(COUNT), **options) for name, options in KINDS.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_reading_in_order_gives_every_frame(videos, kind):
    clip = load_clip(videos[kind])
    assert clip.shape == (COUNT, 3, HEIGHT, WIDTH)
    assert [number(frame) for chunk in clip.chunks(7) for frame in chunk] == list(range(COUNT))


@pytest.mark.parametrize("kind", KINDS)
def test_reading_in_any_order_gives_the_same_bits(videos, kind):
    clip = load_clip(videos[kind])
    frames = clip[:]
    order = random.Random(0).sample(range(COUNT), COUNT)
    for i in order:
        pictures(clip).recent.clear()  # no help from the frames that are kept
        assert torch.equal(clip[i], frames[i]), i
    assert torch.equal(clip[::-3], frames.flip(0)[::3])


@pytest.mark.parametrize("kind", ["x.mp4", "x.mkv", "x.avi", "x.ts", "later.mp4", "x.gif"])
def test_the_rate_is_what_the_file_plays_at(videos, kind):
    assert load_clip(videos[kind]).fps == 24


def test_the_rate_of_an_uneven_video_is_its_mean(videos):
    last = KINDS["uneven.mkv"]["stamps"][-1]
    assert float(load_clip(videos["uneven.mkv"]).fps) == pytest.approx((COUNT - 1) / (last / 24), rel=0.01)


def test_only_a_few_frames_are_kept(videos):
    clip = load_clip(videos["x.mp4"])
    for _ in clip:
        assert len(pictures(clip).recent) <= 16


def test_in_order_the_file_is_opened_once(videos, monkeypatch):
    clip, real, opened = load_clip(videos["x.mp4"]), av.open, []

    def counted(*given: Any, **options: Any) -> Any:
        opened.append(given)
        return real(*given, **options)

    monkeypatch.setattr(av, "open", counted)
    for i in range(COUNT):
        clip[i], clip[max(i - 5, 0)]  # a small step back is free
    assert len(opened) == 1


def test_reading_goes_on_after_an_interruption(videos, monkeypatch):
    clip = load_clip(videos["x.mp4"])
    first = clip[0]

    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pictures(clip), "decoded", map(interrupt, [0]))
        with pytest.raises(KeyboardInterrupt):
            clip[5]
    assert number(clip[5]) == 5
    assert torch.equal(clip[0], first)


def test_a_name_with_a_colon_is_no_protocol(tmp_path):
    path = encode(tmp_path / "x.mp4", numbered(2)).rename(tmp_path / "take 1: ümläut.mp4")
    assert len(load_clip(path)) == 2


def test_one_frame_of_one_pixel_works(tmp_path):
    clip = load_clip(encode(tmp_path / "x.mkv", np.full((1, 1, 1, 3), 255, np.uint8), "ffv1", "bgr0"))
    assert torch.equal(clip[:], torch.ones(1, 3, 1, 1))
    assert clip.fps == 24


@pytest.mark.parametrize(("layout", "bits"), [("bgr0", 8), ("gbrp10le", 10), ("gbrp12le", 12), ("gbrp16le", 16)])
def test_lossless_video_keeps_its_bits(tmp_path, layout, bits):
    levels = np.random.default_rng(0).integers(0, 2**bits, (3, 5, 7, 3)).astype(np.uint16 if bits > 8 else np.uint8)
    clip = load_clip(encode(tmp_path / "x.mkv", levels, "ffv1", layout, b_frames=0, picture="rgb24" if bits == 8 else layout))
    exact = torch.from_numpy(levels.astype(np.float32)).permute(0, 3, 1, 2) / (2**bits - 1)
    torch.testing.assert_close(clip[:], exact, atol=1 / 65535, rtol=0)


def test_10_bit_yuv_has_more_than_256_levels(tmp_path):
    ramp = np.broadcast_to(np.linspace(0, 65535, 1024, dtype=np.uint16)[None, None, :, None], (1, 16, 1024, 3))
    clip = load_clip(encode(tmp_path / "x.mkv", np.ascontiguousarray(ramp), "ffv1", "yuv444p10le", b_frames=0, picture="rgb48le"))
    assert len(clip[0].unique()) > 800


def test_alpha_in_a_video_is_laid_over_black(tmp_path):
    half = np.full((1, 4, 4, 4), (255, 255, 255, 51), np.uint8)
    clip = load_clip(encode(tmp_path / "x.mkv", half, "ffv1", "bgra", b_frames=0, picture="rgba"))
    torch.testing.assert_close(clip[0], torch.full((3, 4, 4), 0.2))


@pytest.mark.skipif(not hasattr(av.video.stream.VideoStream, "set_display_rotation"), reason="this PyAV cannot write a rotation")
@pytest.mark.parametrize("turn", [90, 180, -90])
def test_a_turned_video_stands_upright(tmp_path, turn):
    pixels = numbered(2)
    pixels[:, :16, :16] = 255
    upright = np.rot90(pixels, turn // 90, axes=(1, 2))
    clip = load_clip(encode(tmp_path / "x.mp4", pixels, turn=turn))
    assert clip.shape == (2, 3, *upright.shape[1:3])
    torch.testing.assert_close(clip[:], torch.from_numpy(upright / 255).float().permute(0, 3, 1, 2), atol=0.2, rtol=0)


def test_a_video_cut_short_says_how_many_frames_decode(videos, tmp_path):
    whole = videos["x.mp4"].read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(ZvrError, match=rf"cut\.mp4 is damaged or cut short: \d+ of {COUNT} frames decode; copy it again") as caught:
        load_clip(tmp_path / "cut.mp4")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["x.mkv", "x.webm"])
def test_matroska_cut_short_is_noticed_by_its_stated_duration(videos, tmp_path, kind):
    whole = videos[kind].read_bytes()
    (tmp_path / kind).write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(ZvrError, match=rf"\d+ of {COUNT} frames decode"):
        load_clip(tmp_path / kind)


def test_a_damaged_video_says_how_many_frames_decode(videos, tmp_path):
    damaged = bytearray(videos["x.mp4"].read_bytes())
    begin = damaged.index(b"mdat") + len(damaged) // 6
    damaged[begin : begin + len(damaged) // 5] = bytes(len(damaged) // 5)
    (tmp_path / "bad.mp4").write_bytes(damaged)
    with pytest.raises(ZvrError, match=rf"\d+ of {COUNT} frames decode"):
        load_clip(tmp_path / "bad.mp4")


def test_a_video_whose_size_changes_names_the_frame(tmp_path):
    parts = [encode(tmp_path / f"{side}.h264", np.zeros((3, side, 64, 3), np.uint8), container="h264") for side in (48, 32)]
    (tmp_path / "x.h264").write_bytes(b"".join(part.read_bytes() for part in parts))
    with pytest.raises(ZvrError, match="changes from 64×48 pixels to 64×32 pixels at frame 3"):
        load_clip(tmp_path / "x.h264")


def test_text_named_like_a_video_is_an_error(tmp_path):
    (tmp_path / "x.mp4").write_text("These are not the frames you are looking for.\n" * 50)
    with pytest.raises(ZvrError, match=r"x\.mp4 cannot be read as a video"):
        load_clip(tmp_path / "x.mp4")


def test_sound_alone_is_no_video(tmp_path):
    silence = b"RIFF" + struct.pack("<I", 36 + 800) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)
    (tmp_path / "x.wav").write_bytes(silence + b"data" + struct.pack("<I", 800) + bytes(800))
    with pytest.raises(ZvrError, match=r"x\.wav holds no video"):
        load_clip(tmp_path / "x.wav")


def test_a_file_that_changed_since_it_was_opened_is_an_error(tmp_path):
    clip = load_clip(encode(tmp_path / "x.mp4", numbered(20)))
    encode(tmp_path / "x.mp4", numbered(5))
    with pytest.raises(ZvrError, match=r"frame 15 of .* no longer decodes"):
        clip[15]


def test_the_sound_begins_with_the_first_frame(tmp_path):
    clip = load_clip(encode(tmp_path / "x.mkv", numbered(24), tone="flac"))
    assert clip.audio.path == tmp_path / "x.mkv"
    assert (clip.audio.start, clip.subclip(12).audio.start) == (0, Fraction(1, 2))
    assert not load_clip(encode(tmp_path / "mute.mkv", numbered(2))).audio


@pytest.mark.parametrize(
    ("name", "count", "size", "fps"), [("mdn_friday", 185, (480, 640), 30), ("mdn_flower", 150, (540, 960), Fraction(30000, 1001))]
)
def test_real_videos(development_data, name, count, size, fps):
    clip = load_clip(next((development_data / "clips" / name).glob("*.mp4")))
    assert (clip.shape, clip.fps, bool(clip.audio)) == ((count, 3, *size), fps, True)
    part = clip[count - 3 : count]
    assert torch.equal(clip[count - 1], part[2])
    assert 0 <= part.min() < part.max() <= 1
