"""The published tables as presets: which methods on which degradations, and the numbers that the paper gives for them.

Source of all numbers: DiffIR2VR-Zero (Yeh et al. 2024, arXiv 2407.01519, version 5): Tables 1 and 2 (here 1), 3 (here 2-left), 4 (here
2-right) and 8 (here 4).  They were measured on other base models and clips, by definitions that are not stated: only their order can be
compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from zvr_core.errors import ZvrError
from zvr_core.evaluation.orderings import Numbers, Published
from zvr_core.matching import CosineMatcher, FlowMatcher
from zvr_core.merging import Mode
from zvr_core.methods.base import Method, Windows
from zvr_core.methods.boundary import PaddingRemoval, WaveletColourFix
from zvr_core.methods.latent_warping import LatentWarping
from zvr_core.methods.named_matching import MATCHERS, NamedMatching
from zvr_core.methods.presets import diffir2vr
from zvr_core.methods.token_merging import CosineMerging, FlowMerging, TokenMerging
from zvr_core.schedule import Constant

METHOD = "diffir2vr"
PER_FRAME = "per_frame+colour"  # the paper's per-frame restorations have the same colour fix as its method
VIDTOME = "cosine everywhere"


@dataclass(frozen=True)
class Preset:
    """A kind of table: methods beside per_frame, on a degradation with each of `changes` ("" is none); published numbers by change."""

    title: str
    methods: tuple[Method, ...] = ()
    changes: tuple[str, ...] = ("",)
    numbers: Mapping[str, Numbers] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def degradations(self, base: str) -> tuple[str, ...]:
        """The degradations of the table; raises ZvrError where `base` has no such step to change."""
        return tuple(changed(base, change) for change in self.changes)

    def published(self, base: str) -> Published:
        """The published numbers by degradation."""
        return {changed(base, change): numbers for change, numbers in self.numbers.items()}


PLAIN = Preset("Methods compared")


def changed(base: str, change: str) -> str:
    """The degradation with one step changed: ("blur=1,noise=5", "noise=50") is "blur=1,noise=50"."""
    if not change:
        return base
    name, steps = change.partition("=")[0], base.split(",")
    if name not in [step.partition("=")[0].strip() for step in steps]:
        raise ZvrError(
            f"this table changes {name!r}, but the degradation {base!r} has no such step; give one, as in --degrade blur=1.2,down=4,noise=5"
        )
    return ",".join(change if step.partition("=")[0].strip() == name else step for step in steps)


def rows(measures: str, numbers: Mapping[str, str]) -> Numbers:
    """Published numbers as written in the paper, a line a method."""
    return {method: dict(zip(measures.split(), map(float, line.split()), strict=True)) for method, line in numbers.items()}


# ── Table 1: degradations ──────────────────────────────────────────────────────────────────────────────────────────────

ALL = "psnr ssim lpips warping inter lpips_inter"


def table_1() -> Preset:
    """Method × degradation: DAVIS ×4 and ×8; noise 50, 100, 150 on Set8 and 75 on REDS30; base model DiffBIR."""
    vidtome = (Windows(4), TokenMerging(matcher=CosineMatcher(), ratio=Constant(0.9)), WaveletColourFix())
    return Preset(
        "Table 1: degradations",
        (colour_fixed(), Method(VIDTOME, vidtome), diffir2vr()),
        ("", "down=8,up=2", "noise=50", "noise=75", "noise=100", "noise=150"),
        {
            "": rows(ALL, {
                VIDTOME: "23.014 0.566 0.405 0.520 13.676 0.329",
                PER_FRAME: "23.780 0.601 0.264 0.654 16.529 0.266",
                METHOD: "24.182 0.621 0.262 0.474 14.666 0.232",
            }),
            "down=8,up=2": rows(ALL, {
                VIDTOME: "22.097 0.513 0.554 0.440 12.624 0.388",
                PER_FRAME: "21.964 0.502 0.362 0.964 17.981 0.372",
                METHOD: "22.331 0.519 0.367 0.699 15.853 0.333",
            }),
            "noise=50": rows(ALL, {
                VIDTOME: "21.531 0.501 0.415 0.911 17.217 0.406",
                PER_FRAME: "23.197 0.594 0.261 1.078 19.732 0.332",
                METHOD: "23.713 0.630 0.245 0.747 16.814 0.255",
            }),
            "noise=75": rows(ALL, {
                VIDTOME: "22.671 0.559 0.397 0.727 18.440 0.375",
                PER_FRAME: "24.585 0.649 0.276 0.751 21.798 0.275",
                METHOD: "24.520 0.649 0.275 0.706 21.166 0.264",
            }),
            "noise=100": rows(ALL, {
                VIDTOME: "21.226 0.484 0.472 0.918 17.367 0.421",
                PER_FRAME: "22.519 0.553 0.338 1.130 20.180 0.372",
                METHOD: "22.955 0.591 0.323 0.802 17.444 0.286",
            }),
            "noise=150": rows(ALL, {
                VIDTOME: "20.209 0.443 0.554 0.972 17.872 0.470",
                PER_FRAME: "21.005 0.486 0.449 1.207 20.729 0.450",
                METHOD: "21.418 0.544 0.402 0.832 17.616 0.331",
            }),
        },
        (
            "×8 is a reduction by 8, enlarged by 2 for a model that enlarges by 4",
            f"{VIDTOME}: after VidToMe (Li et al. 2024), without its random key frames and global tokens: ratio 0.9, windows of 4",
            "the paper's noise levels are for denoising at full size; here the noise lies on the reduced clip",
        ),
    )  # fmt: skip


def colour_fixed() -> Method:
    """Per frame with all that the method does for single frames."""
    return replace(diffir2vr(warp_period=(0, 0), merge_period=(0, 0)), name=PER_FRAME)


# ── Table 2, left: which matcher where ─────────────────────────────────────────────────────────────────────────────────

PERCEPTUAL = "lpips warping lpips_inter"


def table_2_left() -> Preset:
    """Matcher of the down blocks × that of the up blocks, with and without spatial prior; DAVIS ×8, base model DiffBIR."""
    pairs = [(down, up) for down in ("flow", "cosine") for up in ("flow", "cosine")]
    spatial = [tuple("cosine_spatial" if by == "cosine" else by for by in pair) for pair in pairs[1:]]
    return Preset(
        "Table 2, left: matchers of the down and up blocks",
        tuple(hybrid(down, up) for down, up in (*pairs, *spatial)),
        numbers={
            "": rows(PERCEPTUAL, {
                "flow + flow": "0.518 1.214 0.563",
                "cosine + cosine": "0.390 0.736 0.350",
                "cosine + flow": "0.507 1.049 0.545",
                "flow + cosine": "0.375 0.677 0.347",
                "flow + cosine_spatial": "0.367 0.699 0.333",
            }),
        },
        notes=("names are: matcher of the down blocks + matcher of the up blocks; flow + cosine_spatial is the published method",),
    )  # fmt: skip


def hybrid(down: str, up: str) -> Method:
    """The published method with other matchers."""
    merging = (NamedMatching(("down",), by=down), NamedMatching(("up",), by=up))
    return Method(f"{down} + {up}", (Windows(10), LatentWarping(), *merging, PaddingRemoval(), WaveletColourFix()))


# ── Table 2, right: when ───────────────────────────────────────────────────────────────────────────────────────────────

STAGES = {
    "never": (0.0, 0.0),
    "early": (0.0, 0.2),
    "mid": (0.2, 0.8),
    "late": (0.8, 1.0),
    "early and mid": (0.0, 0.8),
    "always": (0.0, 1.0),
}


def table_2_right() -> Preset:
    """When latents are warped × when tokens are merged; DAVIS ×8, base model DiffBIR.  Beside the paper's five rows, each stage alone."""
    published = rows(PERCEPTUAL, {
        staged("never", "never"): "0.362 0.964 0.372",
        staged("early", "early"): "0.368 0.887 0.369",
        staged("early and mid", "always"): "0.430 0.804 0.383",
        staged("always", "always"): "0.411 0.704 0.339",
        staged("early", "always"): "0.367 0.699 0.333",
    })  # fmt: skip
    alone = [pair for stage in ("early", "mid", "late") for pair in ((stage, "never"), ("never", stage))]
    pairs = [("never", "never"), ("early", "early"), ("early and mid", "always"), ("always", "always"), ("early", "always"), *alone]
    return Preset(
        "Table 2, right: stages of warping and merging",
        tuple(replace(diffir2vr(warp_period=STAGES[w], merge_period=STAGES[m]), name=staged(w, m)) for w, m in pairs),
        numbers={"": published},
        notes=(
            "stages after the paper's section 3.4: early is the first fifth of the steps, late the last; its code warps in the first tenth",
        ),
    )


def staged(warp: str, merge: str) -> str:
    """The name of a row."""
    return f"warp {warp}, merge {merge}"


# ── Table 4: unmerging ─────────────────────────────────────────────────────────────────────────────────────────────────


def table_4() -> Preset:
    """What merged tokens receive; Vid4 ×4."""
    return Preset(
        "Table 4: unmerging",
        (
            unmerging("replacement"),
            unmerging("averaging", mode="mean"),
            unmerging("replacement, between four tokens", FlowMatcher("bilinear")),
        ),
        numbers={"": rows("lpips", {"averaging": "0.337", "replacement": "0.329"})},
        notes=(
            "replacement: a merged token gets its key token's output; averaging: key tokens are first averaged with those merged into them",
            "between four tokens: in the down blocks, the outputs of the four key tokens around the place that flow points to, bilinearly",
        ),
    )


def unmerging(name: str, matcher: FlowMatcher = FlowMatcher(), mode: Mode = "replace") -> Method:
    """The published method with another way back."""
    merging = (FlowMerging(matcher=matcher, mode=mode), CosineMerging(mode=mode))
    return Method(name, (Windows(10), LatentWarping(), *merging, PaddingRemoval(), WaveletColourFix()))


# ── beyond the paper ───────────────────────────────────────────────────────────────────────────────────────────────────


def matchers() -> Preset:
    """Every matcher at all sites, with nothing else."""
    return Preset(
        "Matchers",
        tuple(Method(by, (Windows(10), NamedMatching(by=by), PaddingRemoval())) for by in MATCHERS),
        notes=(
            "true matches: share within one token of the truth, of tokens seen in the key frame; on clips of known motion (scene:pan …)",
        ),
    )


PRESETS: dict[str, Callable[[], Preset]] = {
    "1": table_1, "2-left": table_2_left, "2-right": table_2_right, "4": table_4, "matchers": matchers,
}  # fmt: skip


def load_preset(name: str) -> Preset:
    """The preset of a table's name in `catalogue.TABLES`."""
    return PRESETS[name]()
