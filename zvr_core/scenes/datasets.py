"""The folders of optical flow benchmarks, as they come unpacked."""

from __future__ import annotations

from pathlib import Path

import torch

from zvr_core.errors import ZvrError, unknown
from zvr_core.scenes.flow_io import read_kitti
from zvr_core.scenes.recorded import Recorded


def sintel(root: str | Path, scene: str, rendering: str = "clean") -> Recorded:
    """A scene of an MPI-Sintel folder (Butler et al. 2012), `rendering` clean or final, with its flow and its occlusions.

    `root` is the folder that holds `training`, or `training` itself; raises ZvrError for an unknown scene or a folder without flow.
    """
    training = part(root, "training", "flow")
    known("Sintel scene", scene, training / "flow", "*")
    occlusions = training / "occlusions" / scene
    return Recorded.open(scene, training / rendering / scene, training / "flow" / scene, occlusions if occlusions.is_dir() else None)


def kitti(root: str | Path, scene: str) -> Recorded:
    """Two frames of the training part of KITTI 2015 (Menze & Geiger 2015), `scene` a number of six digits.

    Occluded is what `flow_occ` knows and `flow_noc` does not.  `root` as in `sintel`; raises ZvrError for an unknown number or a folder
    without flow.
    """
    training = part(root, "training", "flow_occ")
    known("KITTI scene", scene, training / "flow_occ", "*_10.png")
    frames = tuple(training / "image_2" / f"{scene}_{number}.png" for number in (10, 11))
    hidden = training / "flow_noc" / f"{scene}_10.png"
    return Recorded(scene, frames, (training / "flow_occ" / hidden.name,), (hidden,) if hidden.is_file() else (), without_flow)


def middlebury(root: str | Path, scene: str) -> Recorded:
    """Frames 10 and 11 of a scene of the Middlebury benchmark (Baker et al. 2011), such as RubberWhale.

    `root` holds `other-data` and `other-gt-flow`; raises ZvrError for an unknown scene or a folder without flow.
    """
    known("Middlebury scene", scene, part(root, ".", "other-gt-flow") / "other-gt-flow", "*")
    frames = tuple(Path(root) / "other-data" / scene / f"frame{number}.png" for number in (10, 11))
    return Recorded(scene, frames, (Path(root) / "other-gt-flow" / scene / "flow10.flo",))


def without_flow(file: Path) -> torch.Tensor:
    """Where a KITTI flow file knows nothing, (H, W) bool."""
    return read_kitti(file).isnan().any(0)


def part(root: str | Path, name: str, needed: str) -> Path:
    """The folder `name` in `root`, or `root` where it is that folder already; ZvrError where it lacks the folder `needed`."""
    folder = Path(root) / name if (Path(root) / name).is_dir() else Path(root)
    if not (folder / needed).is_dir():
        raise ZvrError(f"{folder} has no folder {needed!r}; expected the benchmark's folder with its training part, as it is unpacked")
    return folder


def known(kind: str, scene: str, folder: Path, pattern: str) -> None:
    """Raise ZvrError with near names where no file or folder of `pattern` belongs to the scene."""
    scenes = {path.name.removesuffix(pattern.removeprefix("*")) for path in folder.glob(pattern)}
    if scene not in scenes:
        raise unknown(kind, scene, scenes)
