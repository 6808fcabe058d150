"""One cell of an evaluation: a clip, degraded in a known way, restored by one method with one seed, and measured.

    clip ─► truth ─► degrade ─► input ─► restore ─► numbers
                                  └─► per frame only: the numbers of bicubic, one step and truth, and the control curve

A cell is a value: it says all that its result depends on, so it can be sent to another machine, and its key names its result.
"""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache, lru_cache, reduce
from itertools import islice
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from zvr_core import __version__
from zvr_core.clip import Clip, load_clip
from zvr_core.compare import posterior_mean, restored
from zvr_core.correspondence import Upsampled
from zvr_core.degrade import degrade_clip, parse_degradation
from zvr_core.errors import ZvrError
from zvr_core.evaluation.control_curve import Curve, trace_curve
from zvr_core.evaluation.match_accuracy import MatchAccuracy
from zvr_core.evaluation.table import BASELINE
from zvr_core.frames import Frames
from zvr_core.methods.base import Method
from zvr_core.metrics import (
    Motion,
    high_pass_correlation,
    interpolation_error,
    interpolation_lpips,
    motions,
    profile_flicker,
    psnr,
    sharpness,
    ssim,
    true_motions,
    warping_error,
)
from zvr_core.metrics.lpips import Lpips, load_lpips
from zvr_core.models.base import Model
from zvr_core.models.load import find_folder, load_model
from zvr_core.restore import Restoration
from zvr_core.scenes import SCENES, Truth

NONE = "none"  # a degradation: the clip is the input itself, and there is no truth
SCENE = "scene:"  # before the name of a clip that is rendered under known motion
MULTIPLE = 16  # pixels; truth is cropped to whole multiples, so that no model needs padding
DEGRADATION_SEED = 0
TURN = threading.Lock()  # cells of one process share a model, and restorations that share one must take turns


@dataclass(frozen=True)
class Settings:
    """What all cells of an evaluation have in common; `frames` and `width` cut clips to size, 0 leaves them; "" is no LPIPS."""

    model: str = "embedded"
    steps: int = 20
    frames: int = 10
    width: int = 320
    lpips: str = ""  # folder of its weights
    device: str = "cpu"
    dtype: str = "float32"


@dataclass(frozen=True)
class Cell:
    """A clip (a path, or "scene:NAME"), a degradation ("none": the clip is the input), a method, a seed."""

    clip: str
    degradation: str
    method: Method
    seed: int
    settings: Settings = Settings()

    @property
    def key(self) -> str:
        """A name for the result, from all that it depends on: what the clip's files are, the method's plug-ins, the model's weights."""
        settings = replace(self.settings, lpips=str(bool(self.settings.lpips)), model=model_identity(self.settings.model))
        what = (__version__, clip_identity(self.clip), self.degradation, self.method.plugins, self.seed, settings)
        return hashlib.sha256(repr(what).encode()).hexdigest()[:24]

    def __str__(self) -> str:
        return f"{clip_name(self.clip)}, {self.degradation}, {self.method.name}, seed {self.seed}"


@dataclass(frozen=True)
class Outcome:
    """The numbers of one cell, those of its references, and the control curve, where the cell is per frame; or why there are none.

    `undefined` says of single measures why they are missing.
    """

    values: Mapping[str, float] = field(default_factory=dict)
    references: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    curve: Curve = field(default_factory=dict)
    undefined: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def clip_name(clip: str) -> str:
    """What a clip is called: the folder's name, or the file's without its suffix."""
    return clip if clip.startswith(SCENE) else Path(clip).name if Path(clip).is_dir() else Path(clip).stem


@cache
def clip_identity(clip: str) -> str:
    """The same for the same clip on another machine: the names and sizes of its files; the text itself where there is none."""
    path = Path(clip)
    files = sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path] if path.is_file() else []
    return repr([(file.name, file.stat().st_size) for file in files]) if files else clip


@cache
def model_identity(model: str) -> str:
    """A digest of the model's weights and settings."""
    digest, folder = hashlib.sha256(), find_folder(model)
    for path in sorted(p for p in folder.rglob("*") if p.suffix in (".safetensors", ".json")):
        digest.update(path.relative_to(folder).as_posix().encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


# ── what a cell works on ───────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, eq=False)
class Source:
    """A degraded clip; its truth (F, 3, H, W), with no frames where there is none; the motion to measure by; the exact one, if known."""

    lq: Clip
    truth: torch.Tensor
    motion: Sequence[Motion]
    scene: Truth | None


@lru_cache(maxsize=2)  # cells of one clip come one after the other
def load_source(clip: str, degradation: str, frames: int, width: int, scale: int) -> Source:
    """Raises ZvrError for a clip that cannot be read, and for a degradation that a model of this `scale` cannot undo in size."""
    scene = SCENES[clip.removeprefix(SCENE)]() if clip.startswith(SCENE) else None
    if degradation == NONE:
        if scene:
            raise ZvrError(f"{clip} is a truth, not a degraded input; give a degradation, such as --degrade blur=1.2,down=4,noise=5")
        lq = load_clip(shrunk(load_clip(clip), frames, width))
        return Source(lq, torch.empty(0, 3, 0, 0), measured_motion(Upsampled(lq, scale)), None)
    chain = parse_degradation(degradation)
    reduced = 64 / chain(torch.zeros(1, 3, 64, 64), 0, 0).shape[-1]
    if reduced != scale:
        raise ZvrError(f"{degradation} makes frames {reduced:g} times smaller, but the model enlarges {scale} times; use down={scale}")
    truth = scene.clip()[: frames or None] if scene else cropped(shrunk(load_clip(clip), frames, width), clip)
    motion = list(islice(true_motions(scene), len(truth) - 1)) if scene else measured_motion(truth)
    return Source(load_clip(torch.cat(list(degrade_clip(truth, chain, DEGRADATION_SEED)))), truth, motion, scene)


def measured_motion(frames: Frames) -> list[Motion]:
    """The motion between all consecutive frames; a single frame has none."""
    return list(motions(frames)) if len(frames) > 1 else []


def shrunk(clip: Clip, frames: int, width: int) -> torch.Tensor:
    """The first `frames` of a clip, never wider than `width`; 0 for all, and for any width."""
    pixels, (height, wide) = clip[: frames or None], clip.shape[-2:]
    if not width or wide <= width:
        return pixels
    return F.interpolate(pixels, size=(round(height * width / wide), width), mode="bicubic", antialias=True).clamp(0, 1)


def cropped(frames: torch.Tensor, name: str) -> torch.Tensor:
    """Cropped to whole multiples of 16 pixels."""
    height, width = (side // MULTIPLE * MULTIPLE for side in frames.shape[-2:])
    if not height or not width:
        raise ZvrError(f"{name} is {frames.shape[-1]}×{frames.shape[-2]} pixels, at least {MULTIPLE}×{MULTIPLE} are needed for a truth")
    return frames[..., :height, :width]


@lru_cache(maxsize=1)
def shared_model(name: str, device: str, dtype: str) -> Model:
    """A model that the cells of a process take turns in."""
    return load_model(name, device=device, dtype=dtype)


@lru_cache(maxsize=1)
def shared_lpips(folder: str) -> Lpips:
    """The distance, loaded once."""
    return load_lpips(folder)


# ── the work ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def compute(cell: Cell) -> Outcome:
    """Restores and measures; raises whatever goes wrong."""
    settings = cell.settings
    with TURN:
        model = shared_model(settings.model, settings.device, settings.dtype)
        source = load_source(cell.clip, cell.degradation, settings.frames, settings.width, model.scale)
        observers = [MatchAccuracy(source.scene)] if source.scene else []

        def watch(run: Restoration, label: str) -> Restoration:
            return reduce(Restoration.observe, observers, run).finish()

        result = restored(source.lq, model, cell.method, settings.steps, cell.seed, watch)
        values, undefined = numbers(result.frames, source, settings.lpips)
        values |= {"seconds": result.seconds}
        for accuracy in observers:
            values |= accuracy.means()
        facts = {"size": f"{result.frames.shape[-1]}×{result.frames.shape[-2]}", "frames": len(source.lq), **motion_facts(source.motion)}
        if len(source.truth):
            facts |= computed({"truth_sharpness": lambda: float(sharpness(source.truth).mean())})[0]
        outcome = Outcome(values, undefined=undefined, facts=facts)
        return with_references(outcome, cell, model, source, result.frames) if cell.method.name == BASELINE else outcome


def with_references(outcome: Outcome, cell: Cell, model: Model, source: Source, sample: torch.Tensor) -> Outcome:
    """What every other method on this clip and seed is compared with."""
    mean = posterior_mean(source.lq, model, cell.seed)
    bicubic = Upsampled(source.lq, model.scale)[:]
    references = {name: numbers(frames, source, cell.settings.lpips)[0] for name, frames in (("bicubic", bicubic), ("one step", mean))}
    if len(source.truth):
        references["truth"] = computed(temporal(source.truth, source.motion, cell.settings.lpips))[0]
    curve = trace_curve(sample, mean, lambda frames: computed(temporal(frames, source.motion, cell.settings.lpips))[0])
    return replace(outcome, references=references, curve=curve)


def numbers(frames: torch.Tensor, source: Source, lpips: str) -> tuple[dict[str, float], dict[str, str]]:
    """All measures of a result that are defined, and of the others, why not."""
    against_truth = fidelity(frames, source.truth, lpips) if len(source.truth) else {}
    return computed({**against_truth, **temporal(frames, source.motion, lpips)})


Measurement = Callable[[], float]


def fidelity(frames: torch.Tensor, truth: torch.Tensor, lpips: str) -> dict[str, Measurement]:
    """How near the truth."""
    with_weights: dict[str, Measurement] = {"lpips": lambda: float(shared_lpips(lpips)(frames, truth).mean())} if lpips else {}
    return {
        "psnr": lambda: float(psnr(frames, truth).mean()),
        "ssim": lambda: float(ssim(frames, truth).mean()),
        "correlation": lambda: high_pass_correlation(frames, truth),
        **with_weights,
    }


def temporal(frames: torch.Tensor, motion: Iterable[Motion], lpips: str) -> dict[str, Measurement]:
    """How steady, and how sharp: none goes without the other."""
    with_weights: dict[str, Measurement] = {"lpips_inter": lambda: interpolation_lpips(frames, shared_lpips(lpips))} if lpips else {}
    return {
        "sharpness": lambda: float(sharpness(frames).mean()),
        "warping": lambda: warping_error(frames, motion).value,
        "inter": lambda: interpolation_error(frames),
        "flicker": lambda: profile_flicker(frames),
        **with_weights,
    }


def computed(measurements: Mapping[str, Measurement]) -> tuple[dict[str, float], dict[str, str]]:
    """The numbers, and why others are undefined."""
    values, undefined = {}, {}
    for key, measure in measurements.items():
        try:
            values[key] = measure()
        except ZvrError as error:
            undefined[key] = str(error)
    return {key: value for key, value in values.items() if not math.isnan(value)}, undefined


def motion_facts(motion: Sequence[Motion]) -> dict[str, Any]:
    """By which flow E_warp was measured, and on which share of the pixels."""
    shares = [float(step.visible.float().mean()) for step in motion]
    return {"flow": motion[0].flow_name, "coverage": sum(shares) / len(shares)} if motion else {}
