"""Clips with exact truth: rendered from photographs under known motion, or recorded with measured motion."""

from __future__ import annotations

from zvr_core.bundled import bundled
from zvr_core.errors import unknown
from zvr_core.scenes.datasets import kitti, middlebury, sintel
from zvr_core.scenes.kinds import SCENES, fade, moving_object, noise, pan, parallax, repeated_texture, rotation, zoom, zoom_rotate
from zvr_core.scenes.photographs import figure, photograph
from zvr_core.scenes.recorded import Recorded
from zvr_core.scenes.scene import Layer, Motion, Scene
from zvr_core.scenes.truth import Truth

__all__ = [
    "BUNDLED", "SCENES", "Layer", "Motion", "Recorded", "Scene", "Truth", "bundled_scene", "fade", "figure", "kitti", "middlebury",
    "moving_object", "noise", "pan", "parallax", "photograph", "repeated_texture", "rotation", "sintel", "zoom", "zoom_rotate",
]  # fmt: skip

BUNDLED = ("pan", "object", "zoom_rotate", "motorcycle")  # have frames in data/inputs


def bundled_scene(name: str) -> Truth:
    """The truth of the bundled clip `data/inputs/<name>`; raises ZvrError for an unknown name."""
    if name not in BUNDLED:
        raise unknown("bundled scene", name, BUNDLED)
    if name in SCENES:
        return SCENES[name]()
    folder = bundled(f"inputs/{name}")
    return Recorded.open(name, folder / "hq", folder / "flow", folder / "occluded")
