"""Sound: copied beside the frames it belongs to, and never lost silently."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
import torch
from videos import encode, loudness, number, numbered

from zvr_core.clip import load_clip
from zvr_core.errors import ZvrError
from zvr_core.media.sound import Sound
from zvr_core.media.writing import write_clip

FRAMES = torch.rand(5, 3, 20, 30, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def talkie(tmp_path_factory):
    """Two seconds of numbered frames with a tone that grows from silence to full strength."""
    return encode(tmp_path_factory.mktemp("talkie") / "x.mkv", numbered(48), tone="flac")


@pytest.mark.parametrize("name", ["x.mp4", "x.mkv"])
def test_sound_is_copied_as_it_is(tmp_path, talkie, name):
    clip = load_clip(talkie)
    assert write_clip(clip, tmp_path / name, clip.fps, audio_from=clip).audio == "copied (flac)"
    codec, seconds, first, last = loudness(tmp_path / name)
    assert codec == "flac"
    assert seconds == pytest.approx(2, abs=0.001)
    assert (first, last) == (pytest.approx(0.025, abs=0.01), pytest.approx(1, abs=0.01))
    assert [number(frame) for frame in load_clip(tmp_path / name)] == list(range(48))


@pytest.mark.parametrize("name", ["x.mp4", "x.mkv"])
def test_part_of_a_clip_takes_its_part_of_the_sound(tmp_path, talkie, name):
    part = load_clip(talkie).subclip(12, 36)
    write_clip(part, tmp_path / name, part.fps, audio_from=part)
    _, seconds, first, last = loudness(tmp_path / name)
    assert seconds == pytest.approx(1, abs=0.2)  # whole packets of 96 ms
    assert (first, last) == (pytest.approx(0.25, abs=0.06), pytest.approx(0.75, abs=0.06))


@pytest.mark.parametrize(("source", "tone"), [("x.mp4", "aac"), ("x.ts", "aac"), ("x.webm", "libopus"), ("x.mov", "pcm_s16le")])
def test_usual_sounds_go_from_any_container_into_mp4(tmp_path, source, tone):
    codec = {"libopus": "opus"}.get(tone, tone)
    video: dict[str, Any] = {"codec": "libvpx", "b_frames": 0} if source == "x.webm" else {}
    clip = load_clip(encode(tmp_path / source, numbered(24), tone=tone, **video))
    assert write_clip(clip, tmp_path / "out.mp4", clip.fps, audio_from=clip).audio == f"copied ({codec})"
    assert loudness(tmp_path / "out.mp4")[:2] == (codec, pytest.approx(1, abs=0.06))


def test_sound_can_come_from_a_file_of_its_own(tmp_path, talkie):
    assert write_clip(FRAMES, tmp_path / "x.mp4", 24, audio_from=str(talkie)).audio == "copied (flac)"
    with pytest.raises(ZvrError, match="no such file: nowhere"):
        write_clip(FRAMES, tmp_path / "y.mp4", 24, audio_from="nowhere")
    with pytest.raises(ZvrError, match=r"the sound of .*test_media_sound\.py cannot be read"):
        write_clip(FRAMES, tmp_path / "y.mp4", 24, audio_from=__file__)
    assert [path.name for path in tmp_path.iterdir()] == ["x.mp4"]


@pytest.mark.parametrize(("name", "fate"), [("x.gif", "lost: GIF holds no sound"), ("out", "lost: a folder of images holds no sound")])
def test_sound_that_is_lost_is_said(tmp_path, talkie, name, fate):
    clip = load_clip(talkie)
    assert write_clip(clip, tmp_path / name, clip.fps, audio_from=clip).audio == fate


def test_a_codec_that_the_container_does_not_take_is_said(tmp_path):
    clip = load_clip(encode(tmp_path / "x.avi", numbered(24), "mpeg4", tone="adpcm_ms"))
    for name, fate in (("y.mp4", "lost: MP4 does not take adpcm_ms, .mkv may"), ("y.mkv", "lost: MKV does not take adpcm_ms")):
        assert write_clip(clip, tmp_path / name, clip.fps, audio_from=clip).audio == fate
        assert len(load_clip(tmp_path / name)) == 24


def test_a_silent_source_is_said(tmp_path):
    clip = load_clip(encode(tmp_path / "mute.mp4", numbered(3)))
    assert write_clip(clip, tmp_path / "x.mp4", clip.fps, audio_from=clip).audio == "none in the source"
    assert write_clip(clip, tmp_path / "y.mp4", clip.fps, audio_from=tmp_path / "mute.mp4").audio == "none in the source"


def test_frames_after_the_end_of_the_sound_are_said(tmp_path, talkie):
    late = write_clip(FRAMES, tmp_path / "x.mp4", 24, audio_from=Sound(talkie, Fraction(9)))
    assert late.audio == "none beside these frames"
