"""Dense inverse search against known translations, at every size."""

from __future__ import annotations

import cv2
import pytest
import torch
from motion import generator, texture

from zvr_core.errors import ZvrError
from zvr_core.flow import DIS, warp

SIZES = [(1, 1), (7, 5), (1, 40), (12, 40), (15, 44), (11, 300), (300, 11), (17, 31), (45, 46), (64, 96)]


@pytest.mark.parametrize(("x", "y"), [(0.0, 0.0), (4.0, 0.0), (5.3, -2.7), (-0.5, 0.25)])
def test_dis_finds_a_translation_within_a_tenth_of_a_pixel(x: float, y: float) -> None:
    a, b = texture(120, 160), texture(120, 160, -x, -y)  # what a shows at p, b shows at p + (x, y)
    flow = DIS()(a, b)[:, 16:-16, 16:-16]
    assert flow.dtype == torch.float32
    assert (flow - torch.tensor([x, y]).view(2, 1, 1)).norm(dim=0).max() < 0.1


def test_warping_b_by_the_flow_from_a_to_b_makes_a_and_the_other_direction_does_not() -> None:
    a, b = texture(96, 128), texture(96, 128, -5, -3)
    right, wrong = DIS()(a, b), DIS()(b, a)
    inner = (..., slice(12, -12), slice(12, -12))
    assert (warp(b[None], right[None])[0] - a)[inner].abs().max() < 0.02
    assert (warp(b[None], wrong[None])[0] - a)[inner].abs().mean() > 0.1


def test_dis_is_the_same_with_any_number_of_threads() -> None:
    a, b, threads = texture(120, 160), texture(120, 160, 3, 1), cv2.getNumThreads()
    flows = []
    try:
        for count in (1, 2, 5):
            cv2.setNumThreads(count)
            flows.append(DIS()(a, b))
    finally:
        cv2.setNumThreads(threads)
    assert torch.equal(flows[0], flows[1])
    assert torch.equal(flows[0], flows[2])


@pytest.mark.parametrize("preset", ["ultrafast", "fast", "medium"])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_dis_takes_every_size(preset: str, height: int, width: int) -> None:
    a, b = torch.rand(2, 3, height, width, generator=generator())
    flow = DIS(preset)(a, b)
    assert flow.shape == (2, height, width)
    assert torch.isfinite(flow).all()
    assert torch.equal(DIS(preset)(a, a), torch.zeros(2, height, width))


def test_dis_keeps_nothing_between_calls() -> None:
    dis, a, b = DIS(), texture(90, 100), texture(90, 100, 2, 1)
    first = dis(a, b)
    dis(a[:, :20, :20], b[:, :20, :20])
    assert torch.equal(dis(a, b), first)


def test_flat_frames_do_not_move() -> None:
    assert torch.equal(DIS()(torch.zeros(3, 40, 50), torch.ones(3, 40, 50)), torch.zeros(2, 40, 50))


def test_bad_input_of_dis_is_named() -> None:
    with pytest.raises(ZvrError, match="'slow'; choose one of: fast, medium, ultrafast"):
        DIS("slow")
    with pytest.raises(ZvrError, match=r"\(3, 20, 20\) and \(3, 20, 21\)"):
        DIS()(torch.zeros(3, 20, 20), torch.zeros(3, 20, 21))
    with pytest.raises(ZvrError, match="one shape"):
        DIS()(torch.zeros(1, 20, 20), torch.zeros(1, 20, 20))
