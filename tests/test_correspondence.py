"""The correspondence service: known translations, hand-written reductions, one computation per pair, bounded memory."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch
import torch.nn.functional as F

from zvr_core.correspondence import Correspondence, CorrespondenceService, KnownFlow, Upsampled
from zvr_core.errors import ZvrError
from zvr_core.flow import DIS, occluded, round_trip, warp
from zvr_core.models.codec import upsample


@dataclass(frozen=True)
class Counting(DIS):
    """DIS that remembers how often it was asked."""

    calls: list[int] = field(default_factory=list)

    def __call__(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        self.calls.append(len(self.calls))
        return super().__call__(a, b)


class Lazy:
    """Frames that remember which were read."""

    def __init__(self, frames: torch.Tensor) -> None:
        self.frames, self.shape, self.read = frames, frames.shape, []

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: slice, /) -> torch.Tensor:
        self.read += range(len(self))[index]
        return self.frames[index]


@dataclass(frozen=True)
class Square:
    """A square that moves right by 4 pixels a frame over a still background."""

    size: tuple[int, int] = (24, 40)

    def __len__(self) -> int:
        return 3

    def inside(self, frame: int) -> torch.Tensor:
        mask = torch.zeros(self.size, dtype=torch.bool)
        mask[8:16, 4 + 4 * frame : 16 + 4 * frame] = True
        return mask

    def flow(self, a: int, b: int) -> torch.Tensor:
        return torch.stack([4.0 * (b - a) * self.inside(a), torch.zeros(self.size)])

    def occluded(self, a: int, b: int) -> torch.Tensor:
        return self.inside(b) & ~self.inside(a)


def moving(count: int = 3, height: int = 64, width: int = 96, speed: int = 4, seed: int = 0) -> torch.Tensor:
    """A smooth random picture that moves right by `speed` pixels a frame, (F, 3, H, W)."""
    coarse = torch.rand(1, 3, height // 4 + 3, (width + speed * count) // 4 + 3, generator=torch.Generator().manual_seed(seed))
    wide = F.interpolate(coarse, size=(height, width + speed * count), mode="bicubic").clamp(0, 1)
    return torch.cat([wide[..., speed * (count - i) :][..., :width] for i in range(count)])


def noise(count: int, height: int, width: int) -> torch.Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(0))


# between two frames


def test_a_translation_is_found_in_the_stated_direction() -> None:
    service = Correspondence(moving())
    flow = service.flow(0, 2)[:, 12:-12, 12:-12]
    assert (flow - torch.tensor([8.0, 0.0]).view(2, 1, 1)).norm(dim=0).max() < 0.15
    assert (service.flow(2, 0)[0, 12:-12, 12:-12] + 8).abs().max() < 0.15


def test_warping_frame_b_with_the_flow_a_to_b_makes_frame_a() -> None:
    frames = moving()
    made = warp(frames[1:2], Correspondence(frames).flow(0, 1)[None])
    assert (made - frames[:1])[..., 12:-12, 12:-12].abs().max() < 0.05


def test_error_confidence_and_occlusion_are_those_of_the_flows() -> None:
    service = Correspondence(noise(2, 40, 50))
    there, back = service.flow(0, 1), service.flow(1, 0)
    assert torch.equal(service.error(0, 1), round_trip(back, there))
    assert torch.equal(service.confidence(0, 1), torch.exp(-service.error(0, 1)))
    assert torch.equal(service.occluded(0, 1), occluded(back, there))
    assert 0 < service.occluded(0, 1).float().mean() < 1


def test_what_moves_out_of_the_frame_is_occluded() -> None:
    hidden = Correspondence(moving()).occluded(0, 2)  # everything goes 8 to the right
    assert hidden[12:-12, -7:].all()
    assert not hidden[12:-12, 12:-12].any()


def test_between_a_frame_and_itself_nothing_moves_and_nothing_is_estimated() -> None:
    estimator = Counting()
    service = Correspondence(noise(2, 20, 30), estimator)
    assert torch.equal(service.flow(1, 1), torch.zeros(2, 20, 30))
    assert not service.error(1, 1).any()
    assert not service.occluded(1, 1).any()
    assert not estimator.calls


def test_each_ordered_pair_is_estimated_once() -> None:
    estimator = Counting()
    service = Correspondence(noise(4, 32, 48), estimator)
    for _ in range(2):
        service.error(0, 1), service.occluded(1, 0), service.flow(0, 1)
        service.to_key(range(4), 2, (4, 6), 8)
        service.to_key(range(4), 2, (2, 3), 16)
    assert len(estimator.calls) == 2 + 2 * 3


def test_a_window_reads_each_frame_once() -> None:
    frames = Lazy(noise(5, 32, 48))
    Correspondence(frames).to_key(range(5), 2, (4, 6), 8)
    assert sorted(frames.read) == [0, 1, 2, 3, 4]


def test_answers_are_copies() -> None:
    service = Correspondence(noise(2, 32, 48))
    first = service.flow(0, 1).clone()
    service.flow(0, 1).zero_()
    assert torch.equal(service.flow(0, 1), first)


def test_little_memory_changes_no_answer() -> None:
    frames = noise(4, 32, 48)
    roomy, tight = Correspondence(frames), Correspondence(frames, max_bytes=20_000)  # a flow takes 12 KiB
    for a in range(4):
        for b in range(4):
            assert torch.equal(roomy.flow(a, b), tight.flow(a, b))
            assert torch.equal(roomy.occluded(a, b), tight.occluded(a, b))
            assert tight._store.bytes_in_memory <= 20_000
    assert roomy._store.bytes_in_memory > 100_000


# the cells of a grid


def test_the_row_of_the_key_frame_is_zero() -> None:
    cells = Correspondence(noise(3, 32, 48)).to_key([0, 1, 2], 1, (4, 6), 8)
    assert not cells.flow[1].any()
    assert not cells.error[1].any()
    assert not cells.occluded[1].any()
    assert torch.equal(cells.confidence[1], torch.ones(4, 6))
    assert cells.flow[0].any()


def test_shapes_and_types() -> None:
    cells = Correspondence(noise(3, 32, 48)).to_key([0, 2], 1, (4, 6), 8)
    assert (cells.flow.shape, cells.error.shape, cells.occluded.shape) == ((2, 2, 4, 6), (2, 4, 6), (2, 4, 6))
    assert (cells.flow.dtype, cells.error.dtype, cells.occluded.dtype) == (torch.float32, torch.float32, torch.bool)


@pytest.mark.parametrize("cell", [4, 8])
def test_the_flow_is_in_cells(cell: int) -> None:
    service = KnownFlow(Square())
    flow = service.to_key([0], 2, (24 // cell, 40 // cell), cell).flow[0]
    assert flow[0].max() == 8 / cell
    assert not flow[1].any()


@pytest.mark.parametrize(("height", "width", "cell"), [(32, 48, 8), (45, 50, 8), (7, 5, 4), (1, 1, 8), (23, 17, 1), (30, 20, 16)])
@pytest.mark.parametrize("how", ["min", "max", "mean"])
def test_cells_are_reduced_as_a_hand_written_loop_does(height: int, width: int, cell: int, how) -> None:
    service = Correspondence(noise(2, height, width))
    grid = -(-height // cell), -(-width // cell)
    cells = service.to_key([0], 1, grid, cell, how)
    flow, error, hidden = service.flow(0, 1), service.error(0, 1), service.occluded(0, 1)
    for y in range(grid[0]):
        for x in range(grid[1]):
            block = (slice(y * cell, (y + 1) * cell), slice(x * cell, (x + 1) * cell))
            assert float(cells.error[0, y, x]) == pytest.approx(float(getattr(error[block], how)()), abs=1e-5)
            assert bool(cells.occluded[0, y, x]) == bool(hidden[block].any())
            row, column = (min(i * cell + cell // 2, side - 1) for i, side in ((y, height), (x, width)))
            above, left = (min(i * cell + (cell - 1) // 2, side - 1) for i, side in ((y, height), (x, width)))
            middle = (flow[:, above, left] + flow[:, above, column] + flow[:, row, left] + flow[:, row, column]) / 4
            assert torch.allclose(cells.flow[0, :, y, x], middle / cell, atol=1e-6)


def test_the_published_form_is_had_on_divisible_sizes() -> None:
    service = Correspondence(noise(2, 32, 48))
    cells = service.to_key([0], 1, (2, 3), 16)
    published = F.interpolate(service.flow(0, 1)[None], scale_factor=1 / 16, mode="bilinear") / 16
    assert torch.allclose(cells.flow, published, atol=1e-6)
    assert torch.equal(cells.confidence, F.max_pool2d(service.confidence(0, 1)[None], 16))
    assert torch.equal(cells.occluded, F.max_pool2d(service.occluded(0, 1)[None].float(), 16).bool())


def test_to_frame_is_one_row_of_to_key() -> None:
    service = Correspondence(noise(3, 32, 48))
    one, all_three = service.to_frame(2, 0, (4, 6), 8), service.to_key(range(3), 0, (4, 6), 8)
    assert torch.equal(one.flow, all_three.flow[2:])
    assert torch.equal(one.error, all_three.error[2:])
    assert torch.equal(one.occluded, all_three.occluded[2:])


def test_a_single_frame_is_its_own_key() -> None:
    cells = Correspondence(noise(1, 7, 5)).to_key([0], 0, (2, 2), 4)
    assert not cells.flow.any()
    assert not cells.occluded.any()


# enlarged frames, known flow


def test_enlarged_frames_are_the_bicubic_ones_in_range() -> None:
    frames = (moving(3, 9, 11) > 0.5).float()
    view = Upsampled(frames, 4)
    assert (len(view), view.shape) == (3, (3, 3, 36, 44))
    assert torch.equal(view[1:3], upsample(frames[1:3], 4).clamp(0, 1))
    assert upsample(frames, 4).max() > 1


def test_enlarged_frames_are_read_one_by_one() -> None:
    frames = Lazy(noise(3, 9, 11))
    Correspondence(Upsampled(frames, 4)).flow(2, 0)
    assert frames.read == [2, 0]


def test_the_flow_of_enlarged_frames_has_their_size_and_scale() -> None:
    service = Correspondence(Upsampled(moving(2), 2))
    assert service.size == (128, 192)
    assert (service.flow(0, 1)[0, 24:-24, 24:-24] - 8).abs().max() < 0.3


def test_known_flow_is_asked_like_an_estimated_one() -> None:
    service, scene = KnownFlow(Square()), Square()
    assert isinstance(service, CorrespondenceService)
    assert torch.equal(service.flow(0, 2), scene.flow(0, 2))
    assert torch.equal(service.occluded(0, 2), scene.occluded(0, 2))
    assert torch.equal(service.occluded(0, 2), occluded(scene.flow(2, 0), scene.flow(0, 2)))
    assert not service.error(0, 2)[~service.occluded(0, 2)].any()


def test_a_cell_of_unknown_flow_is_occluded_and_never_merged() -> None:
    class Gap(Square):
        def flow(self, a: int, b: int) -> torch.Tensor:
            flow = super().flow(a, b)
            flow[:, :8, :8] = torch.nan
            return flow

    cells = KnownFlow(Gap()).to_key([0], 1, (3, 5), 8)
    assert cells.flow.isfinite().all()
    assert not cells.flow[0, :, 0, 0].any()
    assert cells.error[0, 0, 0] == torch.inf
    assert cells.confidence[0, 0, 0] == 0
    assert cells.occluded[0, 0, 0]
    assert not cells.occluded[0, 1:, 4].any()


# bad input


@pytest.mark.parametrize(("a", "b"), [(0, 2), (2, 2), (-1, 0)])
@pytest.mark.parametrize("service", [Correspondence(noise(2, 20, 30)), Correspondence(noise(2, 20, 30), Counting())])
def test_frames_that_do_not_exist_are_named(service: CorrespondenceService, a: int, b: int) -> None:
    for ask in (service.flow, service.error, service.confidence, service.occluded):
        with pytest.raises(ZvrError, match="of a clip of 2; frames are numbered 0 to 1"):
            ask(a, b)
    with pytest.raises(ZvrError, match="of a clip of 2"):
        service.to_key([a], b, (2, 3), 8)


def test_a_grid_with_padding_is_refused() -> None:
    with pytest.raises(ZvrError, match=r"8×4 cells of 8 pixels given.*holds 6×4"):
        Correspondence(noise(2, 32, 48)).to_key([0], 1, (4, 8), 8)


def test_an_estimator_with_another_layout_is_named() -> None:
    class Transposed(DIS):
        def __call__(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return super().__call__(a, b).permute(1, 2, 0)

    with pytest.raises(ZvrError, match=r"DIS medium gave a flow of shape \(20, 30, 2\), \(2, 20, 30\) expected"):
        Correspondence(noise(2, 20, 30), Transposed()).flow(0, 1)
