"""A clip with exact truth: photographs as flat layers, each under a known affine motion.

A layer's motion maps a canvas pixel p at time t to layer coordinates A(t) p.  What is seen at p at time a is therefore seen at
time b at q = A(b)⁻¹ A(a) p, of the nearest layer at p: the flow a→b is q − p, in closed form, at any pixel or cell centre.
It is occluded where q leaves the frame or another layer is the nearest one at q.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from zvr_core.errors import ZvrError
from zvr_core.noise import NoiseSource

Affine = Callable[[float], torch.Tensor]  # time in frames -> (2, 3) float64, canvas x, y, 1 -> layer x, y
ROUNDING = 1e-6  # px: a target this far outside the frame is still on its border


@dataclass(frozen=True)
class Motion:
    """Moves, turns and enlarges a layer steadily, as seen on the canvas; `Motion(...)(time)` is its (2, 3) matrix.

    In frame 0 the layer's point `anchor` lies under the canvas point `pivot`, at `scale` layer pixels per canvas pixel.
    `velocity` in canvas pixels per frame (the pivot goes with it), `turn` in degrees per frame (clockwise), `zoom` a factor per frame.
    """

    velocity: tuple[float, float] = (0.0, 0.0)
    turn: float = 0.0
    zoom: float = 1.0
    pivot: tuple[float, float] = (0.0, 0.0)
    anchor: tuple[float, float] = (0.0, 0.0)
    scale: float = 1.0

    def __call__(self, time: float) -> torch.Tensor:
        angle, scale = math.radians(self.turn * time), self.scale * self.zoom**-time
        cos, sin = scale * math.cos(angle), scale * math.sin(angle)
        linear = torch.tensor([[cos, sin], [-sin, cos]], dtype=torch.float64)
        pivot = linear.new_tensor(self.pivot) + time * linear.new_tensor(self.velocity)
        return torch.column_stack([linear, linear.new_tensor(self.anchor) - linear @ pivot])  # (2, 3)


@dataclass(frozen=True)
class Layer:
    """One flat picture, red, green, blue, opacity (4, H, W) float64 in [0, 1], and its motion."""

    image: torch.Tensor
    motion: Affine

    def opacity(self, time: float, points: torch.Tensor) -> torch.Tensor:
        """Opacity (...) seen at canvas points (2, ...) as x, y: bilinear, nothing beyond the picture's pixels."""
        return sample(self.image[3:], transform(self.motion(time), points), "bilinear", "zeros")[0]

    def colours(self, time: float, points: torch.Tensor) -> torch.Tensor:
        """Colours (3, ...) at canvas points: bicubic, so a whole-pixel motion shows the picture's own values."""
        return sample(self.image[:3], transform(self.motion(time), points), "bicubic", "reflection")


def transform(matrix: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """A (2, 3) affine map of points (2, ...)."""
    return torch.tensordot(matrix[:, :2], points, dims=1) + matrix[:, 2].reshape(2, *[1] * (points.dim() - 1))


def sample(image: torch.Tensor, points: torch.Tensor, mode: str, beyond: str) -> torch.Tensor:
    """Values (C, ...) of an image (C, H, W) at points (2, ...) in pixels; the first pixel's centre is (0, 0)."""
    height, width = image.shape[1:]
    x, y = 2 * points[0].flatten() / (width - 1) - 1, 2 * points[1].flatten() / (height - 1) - 1  # -1 and 1: outermost centres
    places = torch.stack([x, y], -1)[None, None]  # (1, 1, n, 2)
    values = F.grid_sample(image[None], places, mode=mode, padding_mode=beyond, align_corners=True)  # (1, C, 1, n)
    return values.reshape(len(image), *points.shape[1:])


def centres(side: int, cell: int) -> torch.Tensor:
    """Where along a side of `side` pixels the centres of cells lie, (side / cell, rounded up); the first pixel's centre is 0."""
    start = torch.arange(0, side, cell, dtype=torch.float64)
    return ((start + (cell - 1) // 2).clamp(max=side - 1) + (start + cell // 2).clamp(max=side - 1)) / 2


def mesh(y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Points x, y of a grid, (2, h, w)."""
    return torch.stack(torch.meshgrid(y, x, indexing="ij")).flip(0)


def always(time: float) -> float:
    """Steady light."""
    return 1.0


@dataclass(frozen=True)
class Scene:
    """Layers from back to front, seen on a canvas of `size` (H, W) for `count` frames.

    `light` is a factor on all colours as a function of time, `grain` the standard deviation of seeded white noise (colours are in
    [0, 1]), `samples` the sub-pixels a side that make a pixel: 2 or more where a layer is reduced or turned.
    Raises ZvrError where the back layer does not fill every frame.
    """

    name: str
    layers: tuple[Layer, ...]
    size: tuple[int, int] = (192, 256)
    count: int = 10
    light: Callable[[float], float] = always
    grain: float = 0.0
    seed: int = 0
    samples: int = 1

    def __post_init__(self) -> None:
        corners = self._sub_pixels()[:, [0, 0, -1, -1], [0, -1, 0, -1]]  # (2, 4)
        for frame in range(self.count):
            if self.layers[0].opacity(frame, corners).min() < 1 - ROUNDING:
                height, width = self.size
                raise ZvrError(
                    f"the back layer of scene {self.name!r} does not fill frame {frame} of {width}×{height} pixels; "
                    "take a smaller size, a slower motion, fewer frames or another start"
                )

    def __len__(self) -> int:
        return self.count

    def render(self, frame: int) -> torch.Tensor:
        """One frame (3, H, W), float32 in [0, 1], rounded to 8 bits: a file of it holds the same numbers."""
        points = self._sub_pixels()
        canvas = points.new_zeros(3, *points.shape[1:])
        for layer in self.layers:
            opacity = layer.opacity(frame, points)
            canvas = (1 - opacity) * canvas + opacity * layer.colours(frame, points)
        canvas = F.avg_pool2d(canvas, self.samples)  # (3, H, W)
        noise = NoiseSource(self.seed).draw("grain", 0, frame, canvas.shape)
        canvas = canvas * self.light(frame) + self.grain * noise
        return (255 * canvas.clamp(0, 1)).round().byte() / 255

    def clip(self) -> torch.Tensor:
        """All frames, (F, 3, H, W) in [0, 1]."""
        return torch.stack([self.render(frame) for frame in range(self.count)])

    def flow(self, a: int, b: int, cell: int = 1) -> torch.Tensor:
        """Exact flow a→b at the cell centres of frame a, (2, h, w), as x, y in cells of `cell` pixels."""
        points = self._centres(cell)
        return ((self._carry(a, b, points) - points) / cell).float()

    def occluded(self, a: int, b: int, cell: int = 1) -> torch.Tensor:
        """Where what the cell centres of frame a show is not seen in frame b, (h, w) bool."""
        points = self._centres(cell)
        target = self._carry(a, b, points)
        height, width = self.size
        last = target.new_tensor([width - 1, height - 1])[:, None, None]
        outside = ((target < -ROUNDING) | (target > last + ROUNDING)).any(0)
        return outside | (self._nearest(b, target) != self._nearest(a, points))

    def _centres(self, cell: int) -> torch.Tensor:
        """Centres x, y of cells of `cell` pixels, (2, h, w); a last cell that the picture ends in has its centre on the border."""
        height, width = self.size
        return mesh(centres(height, cell), centres(width, cell))

    def _sub_pixels(self) -> torch.Tensor:
        """Centres x, y of what is averaged to pixels, (2, samples·H, samples·W)."""
        y, x = ((torch.arange(side * self.samples, dtype=torch.float64) + 0.5) / self.samples - 0.5 for side in self.size)
        return mesh(y, x)

    def _nearest(self, time: float, points: torch.Tensor) -> torch.Tensor:
        """Index of the nearest layer that is at least half opaque at canvas points, (h, w)."""
        nearest = torch.zeros(points.shape[1:], dtype=torch.long)
        for index, layer in enumerate(self.layers[1:], start=1):
            nearest[layer.opacity(time, points) >= 0.5] = index
        return nearest

    def _carry(self, a: float, b: float, points: torch.Tensor) -> torch.Tensor:
        """Where what is seen at `points` in frame a lies in frame b."""
        nearest, target = self._nearest(a, points), points.clone()
        row = points.new_tensor([[0, 0, 1]])
        for index, layer in enumerate(self.layers):
            there, back = (torch.cat([layer.motion(time), row]) for time in (a, b))
            seen = nearest == index
            target[:, seen] = transform(torch.linalg.solve(back, there)[:2], points[:, seen])
        return target
