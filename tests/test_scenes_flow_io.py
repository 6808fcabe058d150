"""Flow files: what is written is read again, what is damaged is refused in one line."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from zvr_core.errors import ZvrError
from zvr_core.scenes.flow_io import read_flo, read_flow, read_kitti, write_flo, write_kitti


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
