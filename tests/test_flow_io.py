"""Flow files: what is written is read again, what is damaged is refused in one line."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from zvr_core.errors import ZvrError
from zvr_core.flow import warp
from zvr_core.flow_io import read_flo, read_flow, read_kitti, write_flo, write_kitti
from zvr_core.scenes import Recorded, sintel


@pytest.fixture
def flow(rng: torch.Generator) -> torch.Tensor:
    """5 × 7 pixels, one of them unknown."""
    values = 100 * torch.randn(2, 5, 7, generator=rng)
    values[:, 2, 3] = torch.nan
    return values


def flo(width: int, height: int, *values: float) -> bytes:
    return b"PIEH" + struct.pack(f"<ii{len(values)}f", width, height, *values)


# Middlebury .flo


def test_flo_is_x_and_y_of_pixels_row_by_row(tmp_path: Path) -> None:
    (tmp_path / "a.flo").write_bytes(flo(3, 1, 1, 2, 3, 4, 5, 6))
    assert read_flo(tmp_path / "a.flo").tolist() == [[[1, 3, 5]], [[2, 4, 6]]]


def test_a_written_flo_is_read_again_bit_for_bit(tmp_path: Path, flow: torch.Tensor) -> None:
    write_flo(tmp_path / "a.flo", flow)
    assert torch.equal(read_flow(tmp_path / "a.flo").nan_to_num(-1), flow.nan_to_num(-1))


def test_unknown_flow_in_a_flo_is_nan(tmp_path: Path) -> None:
    (tmp_path / "a.flo").write_bytes(flo(2, 1, 1.6e9, 0, 3, 4))
    read = read_flo(tmp_path / "a.flo")
    assert read[:, 0, 0].isnan().all()
    assert read[:, 0, 1].tolist() == [3, 4]


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "not a .flo file"),
        (b"PI", "not a .flo file"),
        (b"HEIP" + flo(1, 1, 0, 0)[4:], "not a .flo file"),
        (flo(3, 2, *range(11)), "has 56 bytes; 3×2 pixels need 60"),
        (flo(3, 2, *range(13)), "has 64 bytes"),
        (flo(-3, 2), "claims -3×2 pixels"),
    ],
)
def test_a_damaged_flo_is_refused(tmp_path: Path, data: bytes, complaint: str) -> None:
    (tmp_path / "a.flo").write_bytes(data)
    with pytest.raises(ZvrError, match=complaint):
        read_flo(tmp_path / "a.flo")


# KITTI PNG


@settings(deadline=None, max_examples=20)
@given(st.lists(st.floats(-511, 511, width=32), min_size=4, max_size=4))
def test_a_written_kitti_png_is_right_to_half_a_64th(tmp_path_factory: pytest.TempPathFactory, values: list[float]) -> None:
    path = tmp_path_factory.getbasetemp() / "kitti.png"
    flow = torch.tensor(values).reshape(2, 1, 2)
    write_kitti(path, flow)
    assert (read_kitti(path) - flow).abs().max() <= 1 / 128


def test_kitti_stores_u_v_valid_as_red_green_blue(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.array([[[1, 2**15 - 128, 2**15 + 64], [0, 5, 5]]], np.uint16))  # as blue, green, red
    read = read_flow(tmp_path / "a.png")
    assert read[:, 0, 0].tolist() == [1, -2]
    assert read[:, 0, 1].isnan().all()


def test_unknown_flow_survives_a_kitti_png(tmp_path: Path, flow: torch.Tensor) -> None:
    write_kitti(tmp_path / "a.png", flow)
    assert torch.equal(read_kitti(tmp_path / "a.png").isnan(), flow.isnan())


def test_motion_beyond_what_16_bits_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ZvrError, match=r"below 512 px.*\.flo"):
        write_kitti(tmp_path / "a.png", torch.full((2, 1, 1), -600.0))


def test_a_damaged_or_foreign_png_is_refused(tmp_path: Path) -> None:
    for data in (b"", b"\x89PNG\r\n"):
        (tmp_path / "a.png").write_bytes(data)
        with pytest.raises(ZvrError, match="cannot be read as a PNG"):
            read_kitti(tmp_path / "a.png")
    cv2.imwrite(str(tmp_path / "b.png"), np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(ZvrError, match="three 16-bit channels"):
        read_kitti(tmp_path / "b.png")


# both


def test_a_missing_file_and_a_foreign_suffix_are_refused(tmp_path: Path) -> None:
    for name in ("none.flo", "none.png"):
        with pytest.raises(ZvrError, match="there is no flow file"):
            read_flow(tmp_path / name)
    with pytest.raises(ZvrError, match=r"\.npy.*expected \.flo"):
        read_flow(tmp_path / "a.npy")


@pytest.mark.parametrize("write", [write_flo, write_kitti])
def test_only_flows_are_written(tmp_path: Path, write) -> None:
    with pytest.raises(ZvrError, match=r"\(2, H, W\); given \(5, 7, 2\)"):
        write(tmp_path / "a", torch.zeros(5, 7, 2))


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


def test_recorded_motion_is_known_between_neighbours_only(recorded: Recorded) -> None:
    with pytest.raises(ZvrError, match="between neighbouring frames"):
        recorded.flow(0, 2)


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


# real files


@pytest.mark.parametrize(
    ("folder", "frames"),
    [
        ("sintel_pair", ("frame_0001.png", "frame_0002.png", "frame_0001.flo")),
        ("middlebury_RubberWhale", ("frame10.png", "frame11.png", "flow10.flo")),
        ("flyingchairs", ("0000000-img0.ppm", "0000000-img1.ppm", "0000000-gt.flo")),
    ],
)
def test_real_flow_makes_one_frame_of_the_other(development_data: Path, folder: str, frames: tuple[str, str, str]) -> None:
    first, second, flow = (development_data / "flow_gt" / folder / name for name in frames)
    pair = Recorded(folder, (first, second), (flow,))
    seen = ~pair.occluded(0, 1)
    warped = (warp(pair.render(1)[None], pair.flow(0, 1)[None])[0] - pair.render(0)).abs().mean(0)[seen]
    still = (pair.render(1) - pair.render(0)).abs().mean(0)[seen]
    assert seen.float().mean() > 0.8
    assert warped.median() < 0.6 * still.median()
