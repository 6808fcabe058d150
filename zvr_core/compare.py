"""Methods side by side on one clip, with the numbers that belong together.

Blur lowers every temporal number for free, so each warping error stands beside the sharpness, and beside the warping error of the
*blur-matched control*: per-frame samples mixed with their one-step posterior mean until they are as sharp as the method, with no
temporal method at all.  A method is steadier than blur alone only where it is below its control.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from zvr_core.clip import Clip
from zvr_core.frames import Frames
from zvr_core.methods.base import Method
from zvr_core.methods.presets import per_frame
from zvr_core.metrics import match_sharpness, psnr, sharpness, ssim, warping_error
from zvr_core.metrics.temporal import Motion
from zvr_core.models.base import Model
from zvr_core.restore import Restoration

Watch = Callable[[Restoration, str], Restoration]


@dataclass(frozen=True)
class Row:
    """One line of the table; `control` is E_warp of the blur-matched control, `mark` says "> 1" where no mixture is that sharp."""

    name: str
    psnr: float
    ssim: float
    warping: float
    sharpness: float
    control: float
    mark: str
    seconds: float  # a frame

    HEADER = (
        "| | PSNR dB | SSIM | E_warp ×10³ | sharpness | E_warp of blur alone, as sharp | s / frame |\n|---|---:|---:|---:|---:|---:|---:|"
    )

    def __str__(self) -> str:
        control = "–" if self.control != self.control else f"{self.control:.2f}{' (' + self.mark + ')' if self.mark else ''}"
        seconds = "–" if self.seconds == 0 else f"{self.seconds:.1f}"
        return f"| {self.name} | {self.psnr:.2f} | {self.ssim:.3f} | {self.warping:.2f} | {self.sharpness:.2f} | {control} | {seconds} |"


@dataclass(frozen=True)
class Restored:
    """Frames (F, 3, H, W) and what they cost, in seconds a frame."""

    frames: torch.Tensor
    seconds: float


def quietly(run: Restoration, label: str) -> Restoration:
    """Runs without a progress bar."""
    return run.finish()


def restored(clip: Clip, model: Model, method: Method, steps: int, seed: int, watch: Watch = quietly) -> Restored:
    """A whole clip restored into memory: for clips that fit there."""
    began = time.perf_counter()
    frames = torch.cat(list(watch(Restoration(clip, model, method, steps=steps, seed=seed), method.name).frames()))
    return Restored(frames, (time.perf_counter() - began) / len(clip))


def posterior_mean(clip: Clip, model: Model, seed: int) -> torch.Tensor:
    """What the model expects, in one step from pure noise, (F, 3, H, W): as accurate as it gets, and blurred."""
    return restored(clip, model, per_frame(), 1, seed).frames


def measure(name: str, result: Restored, truth: Frames, motion: Sequence[Motion], sample: torch.Tensor, mean: torch.Tensor) -> Row:
    """The numbers of one result; `sample` and `mean` are the per-frame restoration and its posterior mean, for the control."""
    of_truth, of_result = float(sharpness(truth).mean()), float(sharpness(result.frames).mean())
    control = match_sharpness(sample, mean, of_result)
    return Row(
        name=name,
        psnr=float(psnr(result.frames, truth).mean()),
        ssim=float(ssim(result.frames, truth).mean()),
        warping=warping_error(result.frames, motion).value,
        sharpness=of_result / of_truth,
        control=float("nan") if control.mark == "< 0" else warping_error(control.frames, motion).value,
        mark=control.mark,
        seconds=result.seconds,
    )
