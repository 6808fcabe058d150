"""Makes the bundled clips anew from scikit-image's photographs, pixel for pixel: python data/inputs/make.py [FOLDER]

Each clip gets `hq` (the truth), `lq` (what `zvr degrade` makes of it with seed 0) and `scene.json`; the motorcycle pair also gets its
true flow (KITTI PNG) and occlusion, the motion of the other clips is computed by `zvr_core.scenes.bundled_scene(NAME)`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import skimage.data
import torch
from PIL import Image

from zvr_core.degrade import degrade_clip, parse_degradation
from zvr_core.scenes import SCENES
from zvr_core.scenes.flow_io import write_kitti

RECIPE, SEED = "blur=1.2,down=4,noise=5", 0
TOP, LEFT, HEIGHT, WIDTH = 52, 96, 384, 512  # the part of the stereo pair that is kept


def make(folder: Path) -> None:
    """Writes all bundled clips into `folder`."""
    for name in ("pan", "object", "zoom_rotate"):
        scene = SCENES[name]()
        write_clip(folder / name, scene.clip(), {"layers": [repr(layer.motion) for layer in scene.layers]})
    write_motorcycle(folder / "motorcycle")


def write_motorcycle(folder: Path) -> None:
    """A crop of the Middlebury 2014 pair: frame 0 is the left picture, frame 1 the right one.

    What the left picture shows at x lies at x − disparity in the right one.  (The docstring of `skimage.data.stereo_motorcycle` has
    it the other way round; pixels without disparity are infinite, not NaN as it says.)
    """
    left, right, disparity = (array[TOP : TOP + HEIGHT, LEFT : LEFT + WIDTH] for array in skimage.data.stereo_motorcycle())
    write_clip(folder, torch.from_numpy(np.stack([left, right])).permute(0, 3, 1, 2) / 255, {"crop": [TOP, LEFT, HEIGHT, WIDTH]})
    motion = -np.where(np.isfinite(disparity), disparity, np.nan)
    for name in ("flow", "occluded"):
        (folder / name).mkdir(exist_ok=True)
    write_kitti(folder / "flow" / "00000.png", torch.from_numpy(np.stack([motion, 0 * motion])))
    save(folder / "occluded" / "00000.png", 255 * hidden(motion).astype(np.uint8))


def hidden(motion: np.ndarray) -> np.ndarray:
    """Which pixels (H, W) of the left picture lie behind something nearer in the right one: a pixel with more disparity lands there."""
    height, width = motion.shape
    rows, columns = np.nonzero(np.isfinite(motion))
    target = columns + motion[rows, columns]
    inside = (target >= 0) & (target <= width - 1)
    nearest = np.full((height, width), -np.inf)
    for landing in (np.floor(target), np.ceil(target)):
        np.maximum.at(nearest, (rows[inside], landing[inside].astype(int)), -motion[rows, columns][inside])
    behind = np.zeros((height, width), dtype=bool)
    there = nearest[rows[inside], np.rint(target[inside]).astype(int)]
    behind[rows[inside], columns[inside]] = there > 1 - motion[rows, columns][inside]  # more than a pixel nearer
    return behind


def write_clip(folder: Path, hq: torch.Tensor, about: dict[str, object]) -> None:
    """Frames (F, 3, H, W) as `hq`, their degraded twins as `lq`, and what they are as `scene.json`."""
    lq = torch.cat(list(degrade_clip(hq, parse_degradation(RECIPE), SEED)))
    for kind, frames in (("hq", hq), ("lq", lq)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for number, frame in enumerate(frames):
            save(folder / kind / f"{number:05d}.png", (255 * frame).round().byte().permute(1, 2, 0).numpy())
    facts = {
        "name": folder.name,
        "frames": len(hq),
        "height": hq.shape[2],
        "width": hq.shape[3],
        "degradation": RECIPE,
        "seed": SEED,
        **about,
    }
    (folder / "scene.json").write_text(json.dumps(facts, indent=2) + "\n")


def save(path: Path, pixels: np.ndarray) -> None:
    """An 8-bit picture as a small PNG."""
    Image.fromarray(pixels).save(path, optimize=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
