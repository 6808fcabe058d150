"""Scene cuts: found at joins, not at fast motion, flashes, fades or noise."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import pytest
import torch
import torch.nn.functional as F

from zvr_core.cuts import likeness, noise_share, scene_cuts, thumbnail
from zvr_core.errors import ZvrError


def scene(seed: int, count: int = 4, speed: int = 3, height: int = 60, width: int = 90) -> torch.Tensor:
    """A smooth random picture that moves right by `speed` pixels a frame, (F, 3, H, W)."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, height // 10 + 2, (width + speed * count) // 10 + 2, generator=generator)
    wide = F.interpolate(coarse, size=(height, width + speed * count), mode="bicubic").clamp(0, 1)
    return torch.cat([wide[..., speed * i : speed * i + width] for i in range(count)])


def test_joins_are_found() -> None:
    parts = [scene(seed, count) for seed, count in enumerate((4, 2, 5, 3))]
    assert scene_cuts(torch.cat(parts)) == [4, 6, 11]


def test_one_scene_has_no_cut() -> None:
    assert scene_cuts(scene(0, 8)) == []


def test_fast_motion_is_not_a_cut() -> None:
    assert scene_cuts(scene(0, 6, speed=8)) == []  # a tenth of the picture from frame to frame


@pytest.mark.parametrize("flash", [0.0, 1.0])
def test_a_flash_or_a_black_frame_is_passed_over(flash: float) -> None:
    frames = scene(0, 8)
    frames[3] = flash
    assert scene_cuts(frames) == []


def test_each_frame_is_read_once_and_in_order() -> None:
    class Lazy:
        read: list[int]

        def __init__(self, frames: torch.Tensor) -> None:
            self.frames, self.read = frames, []

        def __len__(self) -> int:
            return len(self.frames)

        def __getitem__(self, part: slice, /) -> torch.Tensor:
            self.read += range(len(self))[part]
            return self.frames[part]

    frames = torch.cat([scene(0, 5), scene(1, 5)])
    frames[2] = 1
    lazy = Lazy(frames)
    assert scene_cuts(lazy) == [5]
    assert lazy.read == list(range(10))


def test_a_cut_in_the_last_frame_is_found() -> None:
    assert scene_cuts(torch.cat([scene(0, 4), scene(1, 1)])) == [4]


@pytest.mark.parametrize("levels", [25, 75, 100, 150])
def test_noise_is_no_cut_and_hides_none(levels: int) -> None:
    still = torch.cat([scene(0, 5), scene(1, 5)])
    noisy = still + levels / 255 * torch.randn(still.shape, generator=torch.Generator().manual_seed(0))
    assert scene_cuts(noisy.clamp(0, 1)) == [5]


def test_the_share_of_noise() -> None:
    generator = torch.Generator().manual_seed(0)
    assert noise_share(scene(0, 1)[0]) < 0.05
    assert noise_share(torch.randn(3, 60, 90, generator=generator)) == pytest.approx(1, abs=0.05)
    assert noise_share(torch.full((3, 60, 90), 0.5)) == noise_share(torch.rand(3, 2, 90)) == 0


def test_a_change_of_light_is_not_a_cut() -> None:
    assert scene_cuts(scene(0, 6) * torch.tensor([1, 1, 0.4, 0.4, 0.7, 0.1]).view(6, 1, 1, 1)) == []


def test_a_fade_from_black_is_not_a_cut_but_a_picture_after_black_is() -> None:
    fade = torch.linspace(0, 1, 24).view(24, 1, 1, 1) ** 2
    assert scene_cuts(scene(0, 24, speed=0) * fade) == []
    assert scene_cuts(torch.cat([torch.zeros(3, 3, 60, 90), scene(0, 3)])) == [3]


def test_flat_frames_have_no_cut_between_them() -> None:
    assert scene_cuts(torch.arange(5.0).view(5, 1, 1, 1).expand(5, 3, 20, 30) / 5) == []


def test_heavy_noise_changes_nothing() -> None:
    frames = torch.cat([scene(0), scene(1)])
    noise = 0.1 * torch.randn(frames.shape, generator=torch.Generator().manual_seed(0))
    assert scene_cuts((frames + noise).clamp(0, 1)) == [4]


@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 5), (1, 90), (300, 20)])
def test_every_size_works(height: int, width: int) -> None:
    assert scene_cuts(torch.rand(1, 3, height, width).expand(3, -1, -1, -1)) == []
    assert scene_cuts(torch.rand(1, 3, height, width)) == []


def test_a_thumbnail_is_small_and_keeps_small_frames() -> None:
    assert thumbnail(torch.rand(2, 3, 120, 214), 1).shape == (3, 36, 64)
    small = torch.rand(2, 3, 20, 30)
    assert torch.equal(thumbnail(small, 1), small[1])


def test_likeness_is_one_for_the_same_picture_in_any_light() -> None:
    picture = scene(0, 1)[0]
    assert likeness(picture, picture) == pytest.approx(1)
    assert likeness(picture, 0.5 * picture + 0.2) > 0.95
    assert likeness(picture, scene(1, 1)[0]) < 0.6


@pytest.mark.parametrize("threshold", [-0.1, 1.5])
def test_a_threshold_that_is_no_likeness_is_refused(threshold: float) -> None:
    with pytest.raises(ZvrError, match="0 to 1 expected"):
        scene_cuts(scene(0), threshold)


def test_real_clips_are_cut_where_they_were_joined(development_data: Path) -> None:
    clips = []
    for name in ("davis_blackswan", "davis_dog", "davis_car-roundabout"):
        files = sorted((development_data / "clips" / name).glob("*.jpg"))[:8]
        frames = [cv2.resize(cv2.imread(str(file)), (214, 120), interpolation=cv2.INTER_AREA) for file in files]
        clips.append(torch.stack([torch.from_numpy(frame).permute(2, 0, 1) / 255 for frame in frames]))
    for first, second in pairwise([*clips, clips[0]]):
        assert scene_cuts(torch.cat([first, second])) == [8]
