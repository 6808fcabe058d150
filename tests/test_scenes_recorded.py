"""Recorded clips: folders of frames and true flow, in the layouts of the benchmarks; damaged ones are refused in one line."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from zvr_core.errors import ZvrError
from zvr_core.flow import DIS, warp
from zvr_core.scenes import Recorded, Scene, kitti, middlebury, pan, parallax, sintel
from zvr_core.scenes.flow_io import write_flo, write_kitti

# folders of frames and flow


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    """Two 8 × 8 frames in Sintel's folders: everything moves by (2, 0), but the upper left 4 × 4 pixels are marked as occluded."""
    training = tmp_path / "training"
    for folder in ("clean", "flow", "occlusions"):
        (training / folder / "alley_1").mkdir(parents=True)
    for number in (1, 2):
        cv2.imwrite(str(training / f"clean/alley_1/frame_000{number}.png"), np.full((8, 8, 3), 51 * number, np.uint8))
    hidden = np.zeros((8, 8), np.uint8)
    hidden[:4, :4] = 255
    cv2.imwrite(str(training / "occlusions/alley_1/frame_0001.png"), hidden)
    write_flo(training / "flow/alley_1/frame_0001.flo", torch.tensor([2.0, 0.0])[:, None, None].expand(2, 8, 8))
    return sintel(tmp_path, "alley_1")


def test_a_sintel_scene_gives_frames_flow_and_occlusion(recorded: Recorded) -> None:
    hidden = torch.zeros(8, 8, dtype=torch.bool)
    hidden[:4, :4] = True
    hidden[:, 6:] = True  # leaves the frame
    assert (len(recorded), recorded.size, recorded.name) == (2, (8, 8), "alley_1")
    assert torch.allclose(recorded.clip().mean((1, 2, 3)), torch.tensor([0.2, 0.4]))
    assert recorded.flow(0, 1)[0].unique().tolist() == [2]
    assert torch.equal(recorded.occluded(0, 1), hidden)


def test_recorded_flow_at_cells_is_in_cells(recorded: Recorded) -> None:
    assert recorded.flow(0, 1, cell=4)[0].unique().tolist() == [0.5]
    assert torch.equal(recorded.occluded(0, 1, cell=2), recorded.occluded(0, 1)[::2, ::2])


def test_the_flow_backwards_is_known_where_something_lands(recorded: Recorded) -> None:
    back = recorded.flow(1, 0)
    assert back[:, :, 2:][:, 4:].flatten(1).unique(dim=1).tolist() == [[-2], [0]]
    assert back[:, :4, :6].isnan().all()  # only occluded pixels would land there, and nothing in the first two columns
    assert torch.equal(recorded.occluded(1, 0), back.isnan().any(0))


def test_frames_that_do_not_exist_are_named(recorded: Recorded) -> None:
    with pytest.raises(ZvrError, match="frame 2 of 'alley_1' asked; it has frames 0 to 1"):
        recorded.flow(0, 2)


def write_scene(folder: Path, scene: Scene, occlusions: bool = True) -> Recorded:
    """A rendered scene as folders, so that its recorded truth can be held against the exact one."""
    for part in ("frames", "flow", "hidden"):
        (folder / part).mkdir(parents=True)
    for t in range(len(scene)):
        cv2.imwrite(str(folder / f"frames/{t:02d}.png"), (255 * scene.render(t)).byte().permute(1, 2, 0).numpy()[..., ::-1])
    for t in range(len(scene) - 1):
        write_flo(folder / f"flow/{t:02d}.flo", scene.flow(t, t + 1))
        cv2.imwrite(str(folder / f"hidden/{t:02d}.png"), 255 * scene.occluded(t, t + 1).byte().numpy())
    return Recorded.open(scene.name, folder / "frames", folder / "flow", folder / "hidden" if occlusions else None)


@pytest.mark.parametrize(("a", "b"), [(0, 3), (3, 0), (1, 3)])
def test_over_several_frames_a_pan_is_followed_exactly_where_it_stays_in_view(tmp_path: Path, a: int, b: int) -> None:
    scene = pan(size=(48, 64), count=4)
    recorded = write_scene(tmp_path, scene)
    assert torch.equal(recorded.occluded(a, b), scene.occluded(a, b))
    seen = ~scene.occluded(a, b)
    assert torch.equal(recorded.flow(a, b)[:, seen], scene.flow(a, b)[:, seen])


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Scene, Recorded]:
    scene = parallax(count=3)
    return scene, write_scene(tmp_path_factory.mktemp("parallax"), scene)


@pytest.mark.parametrize(("a", "b"), [(0, 2), (2, 0)])
def test_what_is_seen_after_several_frames_of_parallax_moved_as_it_truly_did(written: tuple[Scene, Recorded], a: int, b: int) -> None:
    scene, recorded = written
    flow, hidden, exact = recorded.flow(a, b), recorded.occluded(a, b), scene.occluded(a, b)
    assert (~hidden & ~exact).sum() > 0.95 * (~exact).sum()
    assert (~hidden & exact).float().mean() < 0.002
    assert (flow - scene.flow(a, b)).abs()[:, ~hidden].nanquantile(0.999) < 0.01


def test_bad_sintel_folders_are_refused(recorded: Recorded, tmp_path: Path) -> None:
    with pytest.raises(ZvrError, match="did you mean alley_1"):
        sintel(tmp_path, "alley_2")
    with pytest.raises(ZvrError, match=r"holds no \.png"):
        sintel(tmp_path, "alley_1", "final")
    write_flo(tmp_path / "training/flow/alley_1/frame_0001.flo", torch.zeros(2, 4, 8))
    with pytest.raises(ZvrError, match="is of 8×4 pixels, its frames are of 8×8"):
        recorded.flow(0, 1)
    shutil.rmtree(tmp_path / "training/flow")
    with pytest.raises(ZvrError, match="no folder 'flow'"):
        sintel(tmp_path, "alley_1")


def test_a_kitti_scene_hides_what_only_flow_occ_knows(tmp_path: Path) -> None:
    for folder in ("image_2", "flow_occ", "flow_noc"):
        (tmp_path / "training" / folder).mkdir(parents=True)
    for number in (10, 11):
        cv2.imwrite(str(tmp_path / f"training/image_2/000007_{number}.png"), np.zeros((6, 8, 3), np.uint8))
    flow = torch.zeros(2, 6, 8)
    write_kitti(tmp_path / "training/flow_occ/000007_10.png", flow)
    flow[:, :2] = torch.nan
    write_kitti(tmp_path / "training/flow_noc/000007_10.png", flow)
    scene = kitti(tmp_path, "000007")
    assert scene.flow(0, 1).abs().max() == 0
    assert scene.occluded(0, 1).sum(1).tolist() == [8, 8, 0, 0, 0, 0]
    with pytest.raises(ZvrError, match="unknown KITTI scene '000008'; did you mean 000007"):
        kitti(tmp_path, "000008")


def test_a_middlebury_scene_is_frames_10_and_11(tmp_path: Path) -> None:
    for folder in ("other-data", "other-gt-flow"):
        (tmp_path / folder / "Venus").mkdir(parents=True)
    for number in (10, 11):
        cv2.imwrite(str(tmp_path / f"other-data/Venus/frame{number}.png"), np.full((6, 8, 3), number, np.uint8))
    write_flo(tmp_path / "other-gt-flow/Venus/flow10.flo", torch.full((2, 6, 8), 1.0))
    scene = middlebury(tmp_path, "Venus")
    assert (255 * scene.clip()).mean((1, 2, 3)).round().tolist() == [10, 11]
    assert scene.flow(0, 1).unique().tolist() == [1]
    with pytest.raises(ZvrError, match="unknown Middlebury scene"):
        middlebury(tmp_path, "Wooden")
    with pytest.raises(ZvrError, match="has no folder 'other-gt-flow'"):
        middlebury(tmp_path / "other-data", "Venus")


def test_incomplete_or_damaged_folders_are_refused(tmp_path: Path) -> None:
    recorded = write_scene(tmp_path, pan(size=(16, 24), count=3))
    (tmp_path / "frames/02.png").write_bytes(b"\x89PNG\r\n")
    with pytest.raises(ZvrError, match=r"02\.png cannot be read as a picture"):
        recorded.clip()
    cv2.imwrite(str(tmp_path / "frames/02.png"), np.zeros((8, 24, 3), np.uint8))
    with pytest.raises(ZvrError, match=r"02\.png is of 24×8 pixels, its frames are of 24×16"):
        recorded.clip()
    cv2.imwrite(str(tmp_path / "hidden/01.png"), np.zeros((8, 24), np.uint8))
    with pytest.raises(ZvrError, match=r"01\.png is of 24×8 pixels"):
        recorded.occluded(1, 2)
    for folder, kind in (("hidden", "occlusion"), ("flow", "flow")):
        next((tmp_path / folder).glob("01.*")).unlink()
        with pytest.raises(ZvrError, match=f"holds 1 {kind} files; 3 frames need 2"):
            Recorded.open("pan", tmp_path / "frames", tmp_path / "flow", tmp_path / "hidden")


# real files


REAL = [
    ("sintel_pair", "frame_0001.png", "frame_0002.png", "frame_0001.flo"),
    ("middlebury_RubberWhale", "frame10.png", "frame11.png", "flow10.flo"),
    ("flyingchairs", "0000000-img0.ppm", "0000000-img1.ppm", "0000000-gt.flo"),
]


def real(data: Path, pair: tuple[str, ...]) -> Recorded:
    first, second, flow = (data / "flow_gt" / pair[0] / name for name in pair[1:])
    return Recorded(pair[0], (first, second), (flow,))


@pytest.mark.parametrize("pair", REAL)
def test_real_flow_makes_one_frame_of_the_other(development_data: Path, pair: tuple[str, ...]) -> None:
    recorded = real(development_data, pair)
    seen = ~recorded.occluded(0, 1)
    warped = (warp(recorded.render(1)[None], recorded.flow(0, 1)[None])[0] - recorded.render(0)).abs().mean(0)[seen]
    still = (recorded.render(1) - recorded.render(0)).abs().mean(0)[seen]
    assert seen.float().mean() > 0.8
    assert warped.median() < 0.6 * still.median()


@pytest.mark.parametrize("pair", REAL)
def test_dis_finds_the_true_motion_to_half_a_pixel_in_most_places(development_data: Path, pair: tuple[str, ...]) -> None:
    recorded = real(development_data, pair)
    error = (DIS()(recorded.render(0), recorded.render(1)) - recorded.flow(0, 1)).norm(dim=0)[~recorded.occluded(0, 1)]
    assert error.median() < 0.5  # px; 0.08, 0.09 and 0.34 were measured, means 0.30, 0.23 and 7.9 (fast chairs)
