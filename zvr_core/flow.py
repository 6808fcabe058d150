"""Optical flow on tensors: estimate it, warp along it, test it forward against backward, and bring it to a coarser grid.

A flow a→b, (2, H, W) or (F, 2, H, W) float32, says for each pixel of a how far away b shows the same thing: channel 0 is x,
channel 1 is y, in pixels of its own grid.  Warping *gathers*: to make frame a out of frame b one needs the flow a→b.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from zvr_core.colour import luma
from zvr_core.errors import ZvrError, unknown

Reduction = Literal["min", "max", "mean"]


class FlowEstimator(Protocol):
    """Anything that finds the flow a→b, (2, H, W) in pixels, of two frames (3, H, W) in [0, 1]."""

    @property
    def name(self) -> str: ...

    def __call__(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor: ...


DIS_PRESETS = {
    "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}


@dataclass(frozen=True)
class DIS:
    """Dense inverse search (Kroeger et al. 2016) of OpenCV on 8-bit luma: deterministic, needs no weights.

    `preset` is ultrafast, fast or medium; another name raises ZvrError.
    """

    preset: str = "medium"

    def __post_init__(self) -> None:
        if self.preset not in DIS_PRESETS:
            raise unknown("DIS preset", self.preset, DIS_PRESETS)

    @property
    def name(self) -> str:
        return f"DIS {self.preset}"

    def __call__(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Flow a→b, (2, H, W), of two frames (3, H, W) in [0, 1]; raises ZvrError for other shapes."""
        if a.shape != b.shape or a.dim() != 3 or a.shape[0] != 3:
            raise ZvrError(f"frames of shape {tuple(a.shape)} and {tuple(b.shape)} given; DIS wants two of one shape (3, H, W)")
        search = cv2.DISOpticalFlow.create(DIS_PRESETS[self.preset])  # anew: a small frame would change its scales for good
        least = search.getPatchSize() << search.getFinestScale()  # px a side: OpenCV crashes on less
        height, width = a.shape[-2:]
        padding = ((0, max(0, least - height)), (0, max(0, least - width)))
        first, second = (np.pad(luma8(frame), padding, mode="edge") for frame in (a, b))
        flow = search.calc(first, second, None)  # type: ignore[call-overload]  # (H, W, 2)
        return torch.from_numpy(flow[:height, :width]).permute(2, 0, 1).contiguous().to(a.device)  # (2, H, W)


def luma8(frame: torch.Tensor) -> np.ndarray:
    """Luma of a frame (3, H, W) in [0, 1], rounded to 8 bits, (H, W)."""
    return (255 * luma(frame.detach().float().cpu().clamp(0, 1))[0]).round().byte().numpy()


def warp(
    x: torch.Tensor,
    flow: torch.Tensor,
    mode: Literal["bilinear", "nearest"] = "bilinear",
    padding: Literal["zeros", "border"] = "zeros",
) -> torch.Tensor:
    """Backward warp: out(p) = x(p + flow(p)), for x (F, C, H, W) and flow (F, 2, H, W) in pixels; either F may be 1.

    The whole part of the flow moves the index, only the fraction makes weights: so whole-pixel flows copy values exactly, halves
    round up wherever p is, and a constant flow does the same at every p.  Outside the frame lie zeros, or the border's nearest
    pixel; a flow that is not finite points outside.  Raises ZvrError for an unknown mode or padding, and for different grids.
    """
    for kind, given, known in (("warp mode", mode, ("bilinear", "nearest")), ("warp padding", padding, ("zeros", "border"))):
        if given not in known:
            raise unknown(kind, given, known)
    if x.shape[-2:] != flow.shape[-2:]:
        raise ZvrError(f"a flow of {pixels(flow)} given for a picture of {pixels(x)}; bring it to the picture's grid with resize_flow")
    far = sum(flow.shape[-2:])  # px: from anywhere in the frame, this leads out of it
    flow = flow.nan_to_num(nan=far).clamp(-far, far)
    whole, fraction = flow.floor(), flow - flow.floor()
    if mode == "nearest":
        return next(_neighbours(x, whole + (fraction >= 0.5), padding))
    dtype = torch.promote_types(x.dtype, flow.dtype)
    right, down = fraction.to(dtype).split(1, dim=1)  # (F, 1, H, W) each
    here, beside, below, across = _neighbours(x.to(dtype), whole, padding)
    return torch.lerp(torch.lerp(here, beside, right), torch.lerp(below, across, right), down).to(x.dtype)


def _neighbours(x: torch.Tensor, shift: torch.Tensor, padding: str) -> Iterator[torch.Tensor]:
    """x at p + shift(p), whole pixels, and beside, below and across from there, (F, C, H, W) each.

    Two pixels of padding around the frame and targets kept within them: so each neighbour is one fixed step away in memory.
    """
    height, width = x.shape[-2:]
    x = F.pad(x, (2, 2, 2, 2), mode="constant" if padding == "zeros" else "replicate")  # (F, C, H + 4, W + 4)
    column = (shift[:, 0].long() + torch.arange(width, device=x.device)).clamp(-2, width)  # (F, H, W)
    row = (shift[:, 1].long() + torch.arange(height, device=x.device)[:, None]).clamp(-2, height)  # (F, H, W)
    stride, frames, channels = width + 4, max(len(x), len(shift)), x.shape[1]
    index = ((row + 2) * stride + column + 2).expand(frames, -1, -1).flatten(1)[:, None].expand(-1, channels, -1)  # (F, C, H·W)
    flat = x.flatten(2).expand(frames, -1, -1)  # (F, C, (H + 4)·(W + 4))
    for step in (0, 1, stride, stride + 1):
        yield flat[..., step:].gather(2, index).unflatten(2, (height, width))


def round_trip(forward: torch.Tensor, backward: torch.Tensor) -> torch.Tensor:
    """How far a pixel misses itself after going there and back: ‖b(p) + f(p + b(p))‖₂ in pixels, (H, W) or (F, H, W).

    On the grid of `backward`, the flow the warp uses; `forward` is the flow from where that one points.  Sampled bilinearly, with
    zeros outside the frame (DiffIR2VR-Zero, Yeh et al. 2024, Eq. 5); infinite where a flow is not a number.
    """
    return length(backward + _way_back(forward, backward)).nan_to_num(nan=torch.inf, posinf=torch.inf)


def _way_back(forward: torch.Tensor, backward: torch.Tensor) -> torch.Tensor:
    """f(p + b(p)), for flows with or without a frame dimension."""
    f, b = (flow.reshape(-1, *flow.shape[-3:]) for flow in (forward, backward))  # (F, 2, H, W)
    return warp(f, b).reshape(backward.shape)


def occluded(forward: torch.Tensor, backward: torch.Tensor, alpha: float = 0.01, beta: float = 0.5) -> torch.Tensor:
    """Where the round trip misses by more than `alpha`·(|f(p)| + |b(p)|) + `beta` pixels, or leaves the frame: (…, H, W) bool.

    The test published with GMFlow (Xu et al. 2022), Rerender-A-Video and DiffIR2VR-Zero: norms are not squared, and |f| is taken
    at p itself, not where p goes.
    """
    allowed = alpha * (length(forward) + length(backward)) + beta
    return (round_trip(forward, backward) > allowed) | leaves_frame(backward)


def occluded_squared(forward: torch.Tensor, backward: torch.Tensor, alpha: float = 0.01, beta: float = 0.5) -> torch.Tensor:
    """Where e² > `alpha`·(|f(p + b(p))|² + |b(p)|²) + `beta`, e the round trip's error, or it leaves the frame: (…, H, W) bool.

    The test of Sundaram, Brox & Keutzer (2010), section 4, used by Lai et al. (2018) for warping errors.  It forgives more than
    `occluded`: 0.7 instead of 0.5 pixels where nothing moves, 14 instead of 2.5 where both flows are 100 pixels long.
    """
    returned = _way_back(forward, backward)
    allowed = alpha * (returned.square().sum(-3) + backward.square().sum(-3)) + beta
    return (round_trip(forward, backward).square() > allowed) | leaves_frame(backward)


def length(flow: torch.Tensor) -> torch.Tensor:
    """How far each pixel goes, (…, 2, H, W) to (…, H, W)."""
    return torch.hypot(*flow.unbind(-3))


def leaves_frame(flow: torch.Tensor) -> torch.Tensor:
    """Where the flow points to none of the frame's pixels, not even as a neighbour: (…, H, W) bool."""
    height, width = flow.shape[-2:]
    x = flow.select(-3, 0) + torch.arange(width, device=flow.device)
    y = flow.select(-3, 1) + torch.arange(height, device=flow.device)[:, None]
    return ~((x > -1) & (x < width) & (y > -1) & (y < height))


def confidence(error: torch.Tensor) -> torch.Tensor:
    """exp(-error) of a round trip's error in pixels: 1 where it returns exactly (DiffIR2VR-Zero, Eq. 5, norm not squared)."""
    return torch.exp(-error)


def resize_flow(flow: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """The flow (…, 2, H, W) on a grid of `size` (h, w), in pixels of that grid.

    A coarse cell gets the flow at its centre (bilinear, no antialias), not the mean of its area, which would mix the motions on
    both sides of an edge into one that nothing has; at 1/8 and 1/16 this is the published reduction.
    """
    height, width = flow.shape[-2:]
    ratio = flow.new_tensor([size[1] / width, size[0] / height])[:, None, None]
    resized = F.interpolate(flow.reshape(-1, 2, height, width), size=size, mode="bilinear", align_corners=False)
    return ratio * resized.reshape(*flow.shape[:-2], *size)


def flow_at_cells(flow: torch.Tensor, grid: tuple[int, int], cell: int) -> torch.Tensor:
    """The flow (…, 2, H, W) at the centres of (h, w) cells of `cell` pixels, in cells, (…, 2, h, w).

    The centre of an even cell is the mean of its middle 2×2 pixels; centres beyond the picture are moved to its border.
    """
    check_cells(flow, grid, cell)
    rows, columns = (
        [(torch.arange(n, device=flow.device) * cell + middle).clamp(max=side - 1) for middle in ((cell - 1) // 2, cell // 2)]
        for n, side in zip(grid, flow.shape[-2:], strict=True)
    )
    four = [flow.index_select(-2, row).index_select(-1, column) for row in rows for column in columns]
    return sum(four[1:], four[0]) / 4 / cell


REDUCTIONS: dict[str, tuple[float, Callable[..., torch.Tensor]]] = {  # what fills a cell beyond the border, and how cells are reduced
    "min": (torch.inf, torch.amin),
    "max": (-torch.inf, torch.amax),
    "mean": (torch.nan, torch.nanmean),
}


def reduce_cells(values: torch.Tensor, grid: tuple[int, int], cell: int, how: Reduction = "min") -> torch.Tensor:
    """The least, largest or mean value of each cell, (…, H, W) to (…, h, w).

    Cell (y, x) holds the pixels from (y·cell, x·cell) to before ((y + 1)·cell, (x + 1)·cell) that the picture has.
    """
    check_cells(values, grid, cell)
    if how not in REDUCTIONS:
        raise unknown("reduction", how, REDUCTIONS)
    fill, reduce = REDUCTIONS[how]
    height, width = grid[0] * cell, grid[1] * cell
    values = values[..., :height, :width]
    padded = F.pad(values, (0, width - values.shape[-1], 0, height - values.shape[-2]), value=fill)
    return reduce(padded.unflatten(-1, (-1, cell)).unflatten(-3, (-1, cell)), dim=(-3, -1))  # (…, h, cell, w, cell) to (…, h, w)


def check_cells(values: torch.Tensor, grid: tuple[int, int], cell: int) -> None:
    """Raises ZvrError where a cell of the grid would hold no pixel: grids are those of the picture, without a model's padding."""
    most = tuple(-(-side // cell) for side in values.shape[-2:])
    if not (0 < grid[0] <= most[0] and 0 < grid[1] <= most[1]):
        given, has = f"{grid[1]}×{grid[0]} cells of {cell} pixels", f"{pixels(values)} holds {most[1]}×{most[0]}"
        raise ZvrError(f"a grid of {given} given, but a picture of {has}; ask for the picture's own cells, without the model's padding")


def pixels(values: torch.Tensor) -> str:
    """Width × height, as it is written in errors."""
    return f"{values.shape[-1]}×{values.shape[-2]} pixels"
