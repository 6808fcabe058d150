"""The named methods: `per_frame`, `diffir2vr`, and its components alone, which is what people study."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from zvr_core.errors import unknown
from zvr_core.methods.base import Method, PlugIn, SharedNoise, Windows
from zvr_core.methods.boundary import PaddingRemoval, WaveletColourFix
from zvr_core.methods.latent_warping import LatentWarping
from zvr_core.methods.token_merging import CosineMerging, FlowMerging
from zvr_core.schedule import CosineAnnealing, Period


def per_frame(window: int = 4) -> Method:
    """Each frame by itself; `window` only says how many go through the network at once."""
    return Method("per_frame", (Windows(window),))


def diffir2vr(
    window: int = 10,
    warp_period: tuple[float, float] = (0.0, 0.1),
    merge_ratio: tuple[float, float] = (0.6, 0.0),
    merge_period: tuple[float, float] = (0.0, 1.0),
    max_cell: int = 16,
    radius: float = 32.0,
) -> Method:
    """DiffIR2VR-Zero (Yeh et al. 2024), all of it.

    `warp_period`, `merge_period`: fractions of the executed steps; `merge_ratio`: at the first and at the last step of its
    period, cosine in between; `max_cell`: output pixels per token of the coarsest merged grid; `radius` of the spatial prior
    in output pixels.  Defaults are the published ones (README commands), the radius aside, which replaces W // 30.
    """
    period = Period(*merge_period)
    ratio = CosineAnnealing(*merge_ratio, period)
    return Method(
        "diffir2vr",
        (
            Windows(window),
            LatentWarping(Period(*warp_period)),
            FlowMerging(ratio=ratio, period=period, max_cell=max_cell),
            CosineMerging(ratio=ratio, period=period, max_cell=max_cell, radius=radius),
            PaddingRemoval(),
            WaveletColourFix(),
        ),
    )


def component(name: str, *plugins: PlugIn) -> Callable[..., Method]:
    """A method of windows and the given plug-ins alone."""

    def build(window: int = 10) -> Method:
        return Method(name, (Windows(window), *plugins))

    return build


BUILDERS: dict[str, Callable[..., Method]] = {
    "per_frame": per_frame,
    "shared_noise": component("shared_noise", SharedNoise()),
    "latent_warping": component("latent_warping", LatentWarping()),
    "flow_merging": component("flow_merging", FlowMerging(), PaddingRemoval()),
    "cosine_merging": component("cosine_merging", CosineMerging(), PaddingRemoval()),
    "diffir2vr": diffir2vr,
}


def load_method(name: str, **settings: Any) -> Method:
    """The method of a name; `settings` go to its builder.  Raises ZvrError for an unknown name."""
    if name not in BUILDERS:
        raise unknown("method", name, BUILDERS)
    return BUILDERS[name](**settings)
