"""The named methods: `per_frame`, `diffir2vr`, and its components alone, which is what people study."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from zvr_core.errors import unknown
from zvr_core.matching import FlowMatcher
from zvr_core.merging import Joint, KeyAndOwn
from zvr_core.methods.base import Method, PlugIn, SharedNoise, WindowNoise, Windows
from zvr_core.methods.boundary import PaddingRemoval, WaveletColourFix, WholeTokensOnly
from zvr_core.methods.latent_warping import LatentWarping
from zvr_core.methods.token_merging import CosineMerging, FlowMerging, OutputRadius, PublishedRadius
from zvr_core.schedule import CosineAnnealing, Period, PublishedPeriod


def per_frame(window: int = 4) -> Method:
    """Each frame by itself; `window` only says how many go through the network at once."""
    return Method("per_frame", (Windows(window),))


def diffir2vr(
    window: int = 10,
    warp_period: tuple[float, float] = (0.0, 0.1),
    merge_ratio: tuple[float, float] = (0.6, 0.0),
    merge_period: tuple[float, float] = (0.0, 1.0),
    max_cell: int = 16,
    radius: float = 24.0,
    attend: Joint | KeyAndOwn = Joint(),
    parity: bool = False,
) -> Method:
    """DiffIR2VR-Zero (Yeh et al. 2024), all of it.

    `warp_period`, `merge_period`: fractions of the executed steps; `merge_ratio`: at the first and at the last step of its
    period, cosine in between; `max_cell`: output pixels per token of the coarsest merged grid; `radius` of the spatial prior
    in output pixels; `attend`: `KeyAndOwn()` is a cheaper ending of the annealing that is not published.  Defaults are the
    published ones (README commands) but for four repairs, which `parity` takes back: flow targets are rounded, not cut off; the
    radius replaces a thirtieth of the width; warping happens at least once; frames of later windows have noise of their own.
    (`parity` also counts tokens that show the picture in part as padding.  The published sampler is `--sampler spaced --steps 50`.)
    """
    period = Period(*merge_period)
    merging: dict[str, Any] = {"ratio": CosineAnnealing(*merge_ratio, period), "period": period, "max_cell": max_cell}
    if parity:
        return Method(
            "diffir2vr (parity)",
            (
                Windows(window),
                WindowNoise(),
                WholeTokensOnly(),
                LatentWarping(PublishedPeriod(*warp_period)),
                FlowMerging(matcher=FlowMatcher("truncate"), **merging),
                CosineMerging(radius=PublishedRadius(), **merging),
                PaddingRemoval(),
                WaveletColourFix(),
            ),
        )
    return Method(
        "diffir2vr",
        (
            Windows(window),
            LatentWarping(Period(*warp_period)),
            FlowMerging(attend=attend, **merging),
            CosineMerging(attend=attend, radius=OutputRadius(radius), **merging),
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
