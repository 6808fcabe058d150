"""Seeded degradations: what was done to a clip before anyone tries to undo it.

    chain = parse_degradation("blur=1.2,down=4,noise=5,jpeg=60")
    for lq in degrade_clip(clip, chain, seed=0): ...

Single steps are in `degradations.py`; here they are chained, drawn at random, parsed from text and applied to whole clips.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from zvr_core.degradations import (
    Blur,
    Degradation,
    Downscale,
    FrameByFrame,
    Grey,
    Jpeg,
    LowLight,
    Mask,
    Noise,
    Resize,
    Upscale,
    blur,
    check_factor,
    check_range,
    check_reducible,
    downscale,
    jpeg,
    noise,
)
from zvr_core.errors import ZvrError, unknown
from zvr_core.frames import Frames
from zvr_core.masks import Boxes, GivenHoles, Holes, Strokes
from zvr_core.noise import generator_for

__all__ = [
    "Blur",
    "Boxes",
    "Chain",
    "Degradation",
    "Downscale",
    "GivenHoles",
    "Grey",
    "Holes",
    "Jpeg",
    "LowLight",
    "Mask",
    "Noise",
    "RealWorld",
    "Resize",
    "Strokes",
    "Upscale",
    "blur",
    "degrade_clip",
    "downscale",
    "jpeg",
    "noise",
    "parse_degradation",
]


@dataclass(frozen=True)
class Chain(FrameByFrame):
    """Degradations one after the other; each step draws from a seed of its own, so two noises are independent."""

    steps: tuple[Degradation, ...]

    def step_seed(self, step: int, seed: int) -> int:
        """The seed that step number `step` gets when the chain gets `seed`."""
        return generator_for(seed, "step", step).initial_seed()

    def degrade(self, frame: torch.Tensor, index: int, seed: int) -> torch.Tensor:
        for i, step in enumerate(self.steps):
            frame = step(frame, index, self.step_seed(i, seed))
        return frame


@dataclass(frozen=True)
class RealWorld(FrameByFrame):
    """A random second-order chain, drawn once per clip, that ends `factor` times smaller.

    Twice blur, resize, noise and JPEG, then the final size: after RealBasicVSR (Chan et al. 2022), with its ranges. Left out:
    its video compression (not a function of one frame), anisotropic and sinc kernels, Poisson noise, and the slow drift of the strengths.
    As in Real-ESRGAN (Wang et al. 2021) the second resize is relative to the final size.
    """

    factor: int = 4

    def __post_init__(self) -> None:
        check_factor(self.factor)

    def degrade(self, frame: torch.Tensor, index: int, seed: int) -> torch.Tensor:
        check_reducible(frame, self.factor)
        return self.drawn(frame.shape[-2], frame.shape[-1], seed)(frame, index, seed)

    def drawn(self, height: int, width: int, seed: int) -> Chain:
        """The chain that a clip of this size gets with this seed."""
        rng = generator_for(seed, "real world")
        small = (height // self.factor, width // self.factor)
        blur_again = uniform(rng, 0, 1) < 0.8
        return Chain(
            (
                Blur(uniform(rng, 0.2, 3.0)),
                drawn_resize((height, width), (0.2, 0.7, 0.1), (0.15, 1.5), rng),
                Noise(uniform(rng, 1, 30) / 255),
                Jpeg(uniform(rng, 30, 95)),
                Blur(uniform(rng, 0.2, 1.5) if blur_again else 0.0),
                drawn_resize(small, (0.3, 0.4, 0.3), (0.3, 1.2), rng),
                Noise(uniform(rng, 1, 25) / 255),
                Jpeg(uniform(rng, 30, 95)),
                Resize(*small, drawn_mode(rng)),
            )
        )


def uniform(rng: torch.Generator, low: float, high: float) -> float:
    """One uniform draw."""
    return low + (high - low) * float(torch.rand((), generator=rng))


def drawn_mode(rng: torch.Generator) -> str:
    """One of three ways to resample."""
    return ("area", "bilinear", "bicubic")[int(torch.randint(3, (), generator=rng))]


def drawn_resize(size: tuple[int, int], chances: tuple[float, float, float], scales: tuple[float, float], rng: torch.Generator) -> Resize:
    """A resize of `size` (H, W) up, down or not at all, with these chances and within these scales."""
    ranges = ((1.0, scales[1]), (scales[0], 1.0), (1.0, 1.0))
    choice = int(torch.multinomial(torch.tensor(chances), 1, generator=rng))
    scale = uniform(rng, *ranges[choice])
    return Resize(max(1, round(scale * size[0])), max(1, round(scale * size[1])), drawn_mode(rng))


STEPS: dict[str, tuple[Callable[[float], Degradation], str]] = {  # name on the command line: (what it builds, an example)
    "blur": (Blur, "blur=1.2 (sigma in pixels)"),
    "down": (lambda factor: Downscale(whole("down", factor)), "down=4 (whole factor)"),
    "up": (lambda factor: Upscale(whole("up", factor)), "up=2 (whole factor)"),
    "noise": (lambda levels: noise_levels(levels), "noise=5 (standard deviation in 8-bit levels)"),
    "jpeg": (Jpeg, "jpeg=60 (quality 1 to 100)"),
    "boxes": (lambda count: Mask(Boxes(whole("boxes", count))), "boxes=4 (missing rectangles)"),
    "strokes": (lambda count: Mask(Strokes(whole("strokes", count))), "strokes=4 (missing strokes)"),
    "lowlight": (LowLight, "lowlight=0.3 (gain 0 to 1)"),
    "realworld": (lambda factor: RealWorld(whole("realworld", factor)), "realworld=4 (random chain that ends 4 times smaller)"),
}


def parse_degradation(text: str) -> Chain:
    """The chain that a comma-separated list describes, in its order, as "blur=1.2,down=4,noise=5,jpeg=60"; "grey" has no value.

    Noise is in 8-bit levels: noise=5 is Noise(5 / 255). Raises ZvrError with the nearest names for a name that does not exist, and with
    an example for a value that is missing or no number.
    """
    return Chain(tuple(parse_step(part.strip()) for part in text.split(",")))


def parse_step(part: str) -> Degradation:
    """One step of the list, "name=value" or "grey"."""
    name, _, value = (word.strip() for word in part.partition("="))
    if part == "grey":
        return Grey()
    if not part or name == "grey":
        raise ZvrError(f"degradation step {part!r} given, 'grey' or name=value expected, as in blur=1.2,down=4,noise=5,jpeg=60")
    if name not in STEPS:
        raise unknown("degradation", name, [*STEPS, "grey"])
    build, example = STEPS[name]
    try:
        number = float(value)
    except ValueError:
        raise ZvrError(f"degradation step {part!r} given, {name} with a number expected, as in {example}") from None
    return build(number)


def noise_levels(levels: float) -> Noise:
    """Noise with its standard deviation in 8-bit levels."""
    check_range("noise", levels, 0, 255, "8-bit levels")
    return Noise(levels / 255)


def whole(name: str, value: float) -> int:
    """`value` as an int; ZvrError when it has a fraction."""
    if not float(value).is_integer():
        raise ZvrError(f"{name}={value:g} given, a whole number expected, as in {STEPS[name][1]}")
    return int(value)


def degrade_clip(clip: Frames, degradation: Degradation, seed: int, chunk: int = 8) -> Iterator[torch.Tensor]:
    """The degraded clip as chunks of at most `chunk` frames, (n, 3, H', W'), each read and computed when asked for.

    Values are rounded to 8 bits, so that a clip degraded in memory equals one that was written to a file and read again.
    """
    for start in range(0, len(clip), chunk):
        lq = degradation(clip[start : start + chunk], start, seed)
        yield (lq * 255).round() / 255
