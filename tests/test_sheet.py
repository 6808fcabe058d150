import torch

from zvr_core.metrics import motions
from zvr_core.metrics.temporal import Motion
from zvr_core.scenes import pan
from zvr_core.sheet import BAR, GAP, enlarged, flicker_map, label, row, sheet, side_by_side

STILL = Motion(torch.zeros(2, 8, 10), torch.ones(8, 10, dtype=torch.bool))


def test_pictures_stand_side_by_side_under_their_labels():
    a, b = torch.zeros(3, 8, 10), torch.full((3, 8, 10), 0.5)
    joined = row({"a": a, "b": b})
    assert joined.shape == (3, BAR + 8, 10 + GAP + 10)
    assert torch.equal(joined[:, BAR:, :10], a)
    assert torch.equal(joined[:, BAR:, 10 + GAP :], b)


def test_a_label_is_dark_on_white_and_fits():
    for text in ("per_frame", "a label that is much too long for its picture"):
        bar = label(text, 60)
        assert bar.shape == (3, BAR, 60)
        assert bar.min() < 0.4 < 0.95 < bar.max()


def test_enlarging_repeats_pixels():
    frames = torch.rand(1, 3, 2, 3)
    assert torch.equal(enlarged(frames, 2)[..., ::2, ::2], frames)


def test_video_frames_have_even_sides():
    clips = {"a": torch.rand(3, 3, 7, 5), "b": torch.rand(3, 3, 7, 5)}
    frames = list(side_by_side(clips))
    assert len(frames) == 3
    assert all(side % 2 == 0 for side in frames[0].shape[-2:])


def test_a_still_clip_does_not_flicker():
    frames = torch.rand(1, 3, 8, 10).expand(2, -1, -1, -1)
    assert torch.equal(flicker_map(frames, [STILL], 0), torch.ones(3, 8, 10))


def test_a_change_of_light_shows_as_darkness():
    frames = torch.stack([torch.zeros(3, 8, 10), torch.full((3, 8, 10), 0.1)])
    assert torch.allclose(flicker_map(frames, [STILL], 0), torch.full((3, 8, 10), 0.6))


def test_motion_is_no_flicker():
    clip = pan(size=(48, 64), count=2).clip()
    motion = list(motions(clip))
    seen = flicker_map(clip, motion, 0)[:, motion[0].visible]
    assert float(seen.mean()) > 0.9


def test_a_sheet_shows_frames_and_what_flickers():
    clip = pan(size=(48, 64), count=2).clip()
    picture = sheet({"truth": clip, "again": clip}, list(motions(clip)), 0, zoom=1)
    assert picture.shape == (3, 2 * (BAR + 48) + GAP, 2 * 64 + GAP)
