"""Writing clips: exact, in one piece or not at all, and nothing lost silently."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from videos import numbered

from zvr_core.clip import load_clip
from zvr_core.errors import ZvrError
from zvr_core.media.writing import Written, write_clip

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (5, 20, 30, 3), dtype=np.uint8)  # (F, H, W, 3)
FRAMES = torch.from_numpy(NOISE).permute(0, 3, 1, 2) / 255  # (F, 3, H, W)


def psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(-10 * torch.log10((a - b).square().mean()))


@pytest.mark.parametrize("name", ["folder", "x.mkv", "x.MKV"])
def test_folders_and_mkv_are_lossless_for_8_bits(tmp_path, name):
    written = write_clip([FRAMES[:2], FRAMES[2:]], tmp_path / name, 24)
    assert written == Written(tmp_path / name, 5, "none in the source", Fraction(24))
    clip = load_clip(tmp_path / name)
    assert torch.equal(clip[:], FRAMES)


def test_a_folder_holds_numbered_png_files(tmp_path):
    write_clip(FRAMES, tmp_path / "out", 24)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"0000{i}.png" for i in range(5)]


def test_a_single_png_is_lossless_and_a_jpeg_comes_close(tmp_path):
    smooth = load_clip(numbered(1))
    for name, error in (("x.png", 0), ("x.jpg", 4 / 255), ("x.JPEG", 4 / 255)):
        write_clip(smooth, tmp_path / name, 24)
        torch.testing.assert_close(load_clip(tmp_path / name)[:], smooth[:], atol=error, rtol=0)


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (7, 5), (6, 5), (16, 18)])
@pytest.mark.parametrize("name", ["x.mp4", "x.mkv", "x.gif", "folder"])
def test_every_size_is_kept_exactly(tmp_path, name, size):
    grey = torch.full((3, 3, *size), 0.5)
    write_clip(grey, tmp_path / name, 24)
    clip = load_clip(tmp_path / name)
    assert clip.shape == grey.shape
    torch.testing.assert_close(clip[:], grey, atol=3 / 255, rtol=0)


@pytest.mark.parametrize("crop", [0, 1], ids=["even", "odd"])
def test_mp4_keeps_picture_and_colours(tmp_path, crop):
    ramp = torch.linspace(0, 1, 64)
    red, green, blue = ramp.expand(48, 64), ramp.flip(0).expand(48, 64), torch.linspace(0, 1, 48)[:, None].expand(48, 64)
    frames = torch.stack([red, green, blue]).expand(4, 3, 48, 64)[..., crop:, crop:]
    write_clip(frames, tmp_path / "x.mp4", 24)
    shown = load_clip(tmp_path / "x.mp4")[:]
    assert psnr(shown, frames) > 45  # 34 if chroma were half a pixel off
    assert abs(float((shown - frames).mean())) < 0.2 / 255


def test_mp4_says_which_colours_it_holds(tmp_path):
    write_clip(FRAMES, tmp_path / "x.mp4", 24)
    with av.open(str(tmp_path / "x.mp4")) as container:
        frame = next(container.decode(video=0))
        assert (frame.colorspace, frame.color_range, frame.format.name) == (1, 1, "yuv420p")


def test_gif_keeps_few_colours_exactly(tmp_path):
    colours = RNG.integers(0, 256, (200, 3), dtype=np.uint8)
    pictures = torch.from_numpy(colours[RNG.integers(0, 200, (4, 12, 12))]).permute(0, 3, 1, 2) / 255
    write_clip(pictures, tmp_path / "x.gif", 10)
    clip = load_clip(tmp_path / "x.gif")
    assert clip.fps == 10
    assert torch.equal(clip[:], pictures)


def test_gif_has_at_most_50_frames_a_second_and_says_so(tmp_path):
    assert write_clip(FRAMES, tmp_path / "x.gif", 60).fps == 50
    assert load_clip(tmp_path / "x.gif").fps == 50


@pytest.mark.parametrize("fps", [24, Fraction(30000, 1001), "12.5", 60])
@pytest.mark.parametrize("name", ["x.mp4", "x.mkv"])
def test_the_rate_is_kept(tmp_path, name, fps):
    written = write_clip(FRAMES, tmp_path / name, fps)
    assert load_clip(tmp_path / name).fps == written.fps == Fraction(fps)


def test_values_are_rounded_and_clamped(tmp_path):
    levels = torch.tensor([-0.1, 0.4 / 255, 0.6 / 255, 99.5001 / 255, 1.2])
    write_clip([levels.expand(1, 3, 1, 5)], tmp_path / "x.png", 24)
    assert (load_clip(tmp_path / "x.png")[0][0, 0] * 255).round().tolist() == [0, 0, 1, 100, 255]


def test_a_clip_single_frames_and_half_precision_are_taken(tmp_path):
    kinds: list[Iterable[torch.Tensor]] = [load_clip(NOISE), list(FRAMES), [FRAMES.half()], iter([FRAMES[:0], FRAMES])]
    for i, frames in enumerate(kinds):
        assert write_clip(frames, tmp_path / str(i), 24).frames == 5
        torch.testing.assert_close(load_clip(tmp_path / str(i))[:], FRAMES, atol=1 / 255, rtol=0)


@pytest.mark.parametrize(
    ("frames", "complaint"),
    [
        ([], "no frames given for .*; at least one is needed"),
        ([FRAMES[:0]], "no frames given"),
        ([FRAMES, FRAMES[..., :8, :9]], "frame 5 is 9×8 pixels, the frames before it 30×20"),
        ([FRAMES, FRAMES * float("nan")], "frame 5 holds NaN"),
        ([FRAMES / 0], "frame 0 holds NaN or infinite"),
        ([FRAMES[:, :2]], r"shape \(5, 2, 20, 30\), torch.float32 given"),
        ([torch.from_numpy(NOISE)], "torch.uint8 given; floats"),
        ([FRAMES[..., :0]], r"shape \(5, 3, 20, 0\)"),
    ],
)
@pytest.mark.parametrize("name", ["x.mp4", "x.gif", "folder"])
def test_frames_that_cannot_be_written_leave_nothing(tmp_path, name, frames, complaint):
    with pytest.raises(ZvrError, match=complaint) as caught:
        write_clip(frames, tmp_path / name, 24)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["x.mp4", "x.mkv", "x.gif", "x.png", "folder"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, OSError])
def test_after_an_interruption_nothing_is_left_and_the_old_file_is_untouched(tmp_path, name, error):
    def broken() -> Iterator[torch.Tensor]:
        yield FRAMES[:1]
        raise error("halfway")

    with pytest.raises(error, match="halfway"):
        write_clip(broken(), tmp_path / name, 24)
    assert not list(tmp_path.iterdir())
    write_clip(FRAMES[:1], tmp_path / name, 24)
    before = load_clip(tmp_path / name)[:]
    with pytest.raises(error, match="halfway"):
        write_clip(broken(), tmp_path / name, 24, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert torch.equal(load_clip(tmp_path / name)[:], before)


@pytest.mark.parametrize("name", ["x.mp4", "x.png", "folder"])
def test_what_exists_is_replaced_only_on_request(tmp_path, name):
    black, white = torch.zeros(1, 3, 8, 8), torch.ones(1, 3, 8, 8)
    write_clip(black, tmp_path / name, 24)
    with pytest.raises(ZvrError, match="exists; choose another output, or ask to overwrite it"):
        write_clip(white, tmp_path / name, 24)
    assert torch.equal(load_clip(tmp_path / name)[:], black)
    write_clip(white, tmp_path / name, 24, overwrite=True)
    assert torch.equal(load_clip(tmp_path / name)[:], white)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_replacing_a_folder_leaves_no_old_frames(tmp_path):
    write_clip(FRAMES, tmp_path / "out", 24)
    write_clip(FRAMES[:2], tmp_path / "out", 24, overwrite=True)
    assert torch.equal(load_clip(tmp_path / "out")[:], FRAMES[:2])


def test_a_folder_with_other_things_in_it_is_never_replaced(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ZvrError, match=r"holds more than frames \(thesis\.tex\)"):
        write_clip(FRAMES, tmp_path, 24, overwrite=True)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_an_empty_folder_is_filled_even_with_a_dot_in_its_name(tmp_path):
    (tmp_path / "results.png").mkdir()
    write_clip(FRAMES, tmp_path / "results.png", 24)
    assert len(load_clip(tmp_path / "results.png")) == 5


def test_a_clip_can_replace_its_own_source(tmp_path):
    write_clip(FRAMES, tmp_path / "x.mkv", 24)
    clip = load_clip(tmp_path / "x.mkv")
    write_clip((1 - chunk for chunk in clip.chunks(2)), tmp_path / "x.mkv", 24, overwrite=True)
    torch.testing.assert_close(load_clip(tmp_path / "x.mkv")[:], 1 - FRAMES)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("x.avi", r"ends in \.avi, which cannot be written; use \.mp4, \.mkv"),
        ("no/where.mp4", r"there is no folder .*no to write where\.mp4 into; create it first"),
        ("x.png", r"x\.png holds one frame, but the clip has more"),
    ],
)
def test_targets_that_cannot_be_written_are_errors_in_one_line(tmp_path, name, complaint):
    with pytest.raises(ZvrError, match=complaint) as caught:
        write_clip(FRAMES, tmp_path / name, 24)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_file_where_a_folder_should_go_is_not_replaced(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(ZvrError, match="is a file, but without a suffix the output is a folder"):
        write_clip(FRAMES, tmp_path / "out", 24, overwrite=True)


def test_without_an_h264_encoder_the_error_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(av, "codecs_available", {"ffv1"})
    with pytest.raises(ZvrError, match=r"without the H\.264 encoder libx264; write \.mkv"):
        write_clip(FRAMES, tmp_path / "x.mp4", 24)
    assert not list(tmp_path.iterdir())


# A full and a read-only disk


@pytest.fixture
def disk(tmp_path):
    """A small file system of its own: `disk(options)` mounts it."""
    mounted = []

    def mount(options: str) -> Path:
        place = tmp_path / "disk"
        place.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True, check=False).returncode:
            pytest.skip("mounting is not allowed here")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.mark.parametrize("name", ["x.mp4", "x.mkv", "x.gif", "folder", "x.png"])
@pytest.mark.parametrize("size", ["4k", "16k"])
def test_a_full_disk_is_one_line_and_leaves_nothing(disk, name, size, capfd):
    place = disk(f"size={size}")
    frames = torch.rand(1 if name == "x.png" else 12, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ZvrError, match=rf"cannot write .*{name}: No space left on device") as caught:
        write_clip(frames, place / name, 24)
    assert "\n" not in str(caught.value)
    assert not list(place.iterdir())
    assert capfd.readouterr() == ("", "")


def test_a_read_only_disk_is_noticed_before_any_frame_is_made(disk):
    place = disk("ro")

    def frames() -> Iterator[torch.Tensor]:
        raise AssertionError("hours of work, for nothing")
        yield

    with pytest.raises(ZvrError, match=r"cannot write .*x\.mp4: Read-only file system"):
        write_clip(frames(), place / "x.mp4", 24)


@pytest.mark.parametrize("name", ["folder", "x.png"])
def test_a_write_that_fails_names_path_and_cause(tmp_path, monkeypatch, name):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ZvrError, match=f"cannot write .*{name}: No space left on device; make room there or choose another output"):
        write_clip(FRAMES[:1], tmp_path / name, 24)
    assert not list(tmp_path.iterdir())


def test_when_the_last_rename_fails_the_old_folder_comes_back(tmp_path, monkeypatch):
    write_clip(FRAMES, tmp_path / "out", 24)
    real = Path.replace

    def refuse_new(self, target):
        if self.name == "out" and self.parent != tmp_path:
            raise OSError(5, "Input/output error")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", refuse_new)
    with pytest.raises(ZvrError, match="Input/output error"):
        write_clip(FRAMES[:2], tmp_path / "out", 24, overwrite=True)
    assert torch.equal(load_clip(tmp_path / "out")[:], FRAMES)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
