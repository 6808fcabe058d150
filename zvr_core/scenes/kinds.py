"""The kinds of scene one studies, each a few lines; `fade` and `noise` change a finished scene."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from zvr_core.scenes.photographs import figure, photograph
from zvr_core.scenes.scene import Layer, Motion, Scene

Pair = tuple[float, float]  # x, y
Size = tuple[int, int]  # H, W
SIZE = (192, 256)


def pan(photo: str = "chelsea", camera: Pair = (8, 3), start: Pair = (30, 45), size: Size = SIZE, count: int = 10) -> Scene:
    """The camera moves by `camera` pixels a frame over a photograph at its own resolution; whole pixels give exact crops."""
    motion = Motion(velocity=(-camera[0], -camera[1]), anchor=start)
    return Scene("pan", (Layer(photograph(photo), motion),), size, count)


def zoom_rotate(photo: str = "coffee", factor: float = 1.02, degrees: float = 2.0, size: Size = SIZE, count: int = 10) -> Scene:
    """The picture grows by `factor` and turns clockwise by `degrees` a frame, about its middle; it starts as large as fits."""
    image = photograph(photo)
    motion = Motion(turn=degrees, zoom=factor, pivot=middle(size), anchor=middle(image.shape[1:]))
    height, width = size
    needed = torch.stack([motion(frame)[:, :2].abs() @ image.new_tensor([width, height]) for frame in range(count)])  # px at scale 1
    scale = float(((image.new_tensor(image.shape[:0:-1]) - 1) / needed).min())
    return Scene("zoom_rotate", (Layer(image, replace(motion, scale=scale)),), size, count, samples=2)


def zoom(photo: str = "coffee", factor: float = 1.04, count: int = 10) -> Scene:
    """The picture grows by `factor` a frame."""
    return replace(zoom_rotate(photo, factor, 0.0, count=count), name="zoom")


def rotation(photo: str = "astronaut", degrees: float = 2.0, count: int = 10) -> Scene:
    """The picture turns clockwise by `degrees` a frame."""
    return replace(zoom_rotate(photo, 1.0, degrees, count=count), name="rotation")


def parallax(back: str = "rocket", front: str = "astronaut", camera: float = 4.0, depth: float = 4.0, count: int = 10) -> Scene:
    """The camera moves sideways; a figure goes by at `camera` pixels a frame, what is `depth` times as far at a `depth`-th of it."""
    far = Motion(velocity=(-camera / depth, 0), anchor=(120, 130), scale=1.45)
    near = Motion(velocity=(-camera, 0), pivot=(215, 191), anchor=(130, 235), scale=1.2)
    return Scene("parallax", (Layer(photograph(back), far), Layer(figure(front, reduce=2), near)), SIZE, count, samples=2)


def moving_object(back: str = "motorcycle", front: str = "astronaut", speed: float = 15.3, camera: float = 2.6, count: int = 10) -> Scene:
    """A figure crosses the picture at `speed` pixels a frame while the camera follows at `camera`: fast motion, occlusion."""
    far = Motion(velocity=(-camera, 0), anchor=(20.1, 40.2), scale=2.0)
    near = Motion(velocity=(speed, -0.5), pivot=(40, 191), anchor=(129.1, 228.2), scale=1.5)
    return Scene("object", (Layer(photograph(back), far), Layer(figure(front, reduce=2), near)), SIZE, count, samples=2)


def repeated_texture(photo: str = "chelsea", reduce: int = 8, camera: Pair = (5, 3), count: int = 10) -> Scene:
    """A small picture, repeated like wallpaper, under a pan: similarity alone cannot tell which copy is the right one."""
    tile = photograph(photo, reduce)
    motion = Motion(velocity=(-camera[0], -camera[1]))
    return Scene("repeated_texture", (Layer(tile.tile(1, 16, 16), motion),), SIZE, count)


@dataclass(frozen=True)
class Fade:
    """Light that goes evenly from 1 in frame 0 to `to` in frame `last`."""

    to: float
    last: int

    def __call__(self, time: float) -> float:
        return 1 + (self.to - 1) * time / max(self.last, 1)


def fade(scene: Scene, to: float = 0.4) -> Scene:
    """The same motion while the light falls to `to`: brightness constancy fails, the flow stays exact."""
    return replace(scene, name=f"{scene.name}_fade", light=Fade(to, scene.count - 1))


def noise(scene: Scene, sigma: float = 10 / 255, seed: int = 0) -> Scene:
    """The same scene with seeded white noise of standard deviation `sigma`, drawn anew for each frame."""
    return replace(scene, name=f"{scene.name}_noise", grain=sigma, seed=seed)


def middle(size: tuple[int, ...]) -> Pair:
    """The point x, y in the middle of (H, W) pixels."""
    return (size[1] - 1) / 2, (size[0] - 1) / 2


SCENES: dict[str, Callable[[], Scene]] = {
    "pan": pan,
    "object": moving_object,
    "zoom_rotate": zoom_rotate,
    "zoom": zoom,
    "rotation": rotation,
    "parallax": parallax,
    "repeated_texture": repeated_texture,
    "fade": lambda: fade(pan()),
    "noise": lambda: noise(pan()),
}
