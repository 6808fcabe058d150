"""At which step and site do diffusion features know where things went?  Prints three small tables.

    python tests/bench/bench_correspondence.py                          # while frames are restored, each with noise of its own
    python tests/bench/bench_correspondence.py --method shared_noise    # the same noise in every frame
    python tests/bench/bench_correspondence.py --content truth          # x_t is the true frame under noise, at every step
    python tests/bench/bench_correspondence.py --csv quality.csv        # every number, as `correspondence_quality` defines them

The bundled clips with exact motion are restored by the embedded model, all frames in one window.  Tokens are matched to the key frame
by flow (DIS on the enlarged input), by cosine, and by cosine with the spatial prior.  "stay" leaves every token where it is.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
import torch

from zvr_core.bundled import bundled
from zvr_core.clip import load_clip
from zvr_core.correspondence_quality import round_trip, score_matches
from zvr_core.events import SiteView, Unobserved
from zvr_core.matching import CosineMatcher, FlowMatcher, Matches
from zvr_core.methods.base import Context, Method, PlugIn, Windows
from zvr_core.methods.presets import load_method
from zvr_core.models.load import load_model
from zvr_core.noise import NoiseSource
from zvr_core.restore import Restoration
from zvr_core.ring_search import SpatialCosineMatcher
from zvr_core.scenes import BUNDLED, Truth, bundled_scene
from zvr_core.token_truth import TokenTruth

RADIUS = 24  # px: the default of the spatial prior


class Judge(Unobserved):
    """Matches what every site sees in every way, and holds it against the truth."""

    def __init__(self, scene: Truth) -> None:
        self.scene, self.tables = scene, list[pd.DataFrame]()
        self.truth = cache(lambda frames, key, grid, cell: TokenTruth.of_scene(scene, frames, key, grid, cell))

    def wants(self, step, site) -> bool:
        return True

    def saw(self, view: SiteView, context: Context) -> None:
        site, window = view.site, context.window

        def flow():
            return context.flow.to_key(window.frames, window.key, site.grid, site.cell)

        spatial = SpatialCosineMatcher(max(2, round(RADIUS / site.cell)))
        found = [matcher.match(view.tokens, site.grid, window.key_index, flow) for matcher in (FlowMatcher(), CosineMatcher(), spatial)]
        trips = {"flow": flow().error.flatten(1) / site.cell, "cosine": cosine_round_trips(view.tokens, found[1])}
        table = score_matches(found, self.truth(window.frames, window.key, site.grid, site.cell), trips)
        self.tables.append(table.assign(clip=self.scene.name, step=context.step, t=context.t, site=site.name, cell=site.cell))


def cosine_round_trips(tokens: torch.Tensor, there: Matches) -> np.ndarray:
    """By how many tokens each token misses itself there and back, (F, N)."""
    pairs = [torch.stack([tokens[there.key], frame]) for frame in tokens]
    back = [CosineMatcher().match(pair, there.grid, 1, lambda: None).target[0].numpy() for pair in pairs]
    return np.stack([round_trip(target.numpy(), way, there.grid) for target, way in zip(there.target, back, strict=True)])


@dataclass(frozen=True, eq=False)
class FromTruth(PlugIn):
    """The network sees the true latents under noise instead of its own x_t: what features know of content that all frames share."""

    latents: torch.Tensor  # (F, C, h, w)
    shared: bool

    def latent(self, x_t: torch.Tensor, context: Context) -> torch.Tensor:
        frames = [0 if self.shared else frame for frame in context.window.frames]
        noise = NoiseSource(0).stack("truth", context.step, frames, x_t.shape[1:])
        return context.alpha_bar**0.5 * self.latents[list(context.window.frames)] + (1 - context.alpha_bar) ** 0.5 * noise


def measured(name: str, model, args: argparse.Namespace) -> pd.DataFrame:
    """The table of one clip."""
    scene, lq = bundled_scene(name), load_clip(bundled(f"inputs/{name}/lq"))
    count = min(args.frames, len(scene))
    plugins = [p for p in load_method(args.method).plugins if not isinstance(p, Windows)]
    if args.content == "truth":
        frames = torch.stack([scene.render(f) for f in range(count)])
        plugins.append(FromTruth(model.codec.encode(frames, lq[:count]), args.method == "shared_noise"))
    method, judge = Method(args.method, (Windows(count), *plugins)), Judge(scene)
    Restoration(lq.subclip(0, count), model, method, steps=args.steps, seed=args.seed, observer=judge).finish()
    return pd.concat(judge.tables, ignore_index=True)


def by_step(table: pd.DataFrame, steps: list[int]) -> str:
    """One row per site and cosine matcher: PCK1 of visible tokens at some steps and over all, then what needs no truth."""
    heads = ["site", "px", "matcher", *(f"step {step}" for step in steps), "all steps", "agrees with flow", "comes back"]
    lines = ["| " + " | ".join(heads) + " |", "|---|---:|---" + "|---:" * (len(steps) + 3) + "|"]
    for (cell, site, matcher), rows in table[table.matcher.isin(["cosine", "cosine_spatial"])].groupby(["cell", "site", "matcher"]):
        pck, whole = rows[rows.group == "visible"].groupby("step").pck1.mean(), rows[rows.group == "all"]
        values = [*(pck[step] for step in steps), pck.mean(), whole.agreement.mean(), whole.consistent.mean()]
        lines.append(f"| {site} | {cell} | {matcher} | " + " | ".join(f"{v:.2f}" if v == v else "–" for v in values) + " |")
    return "\n".join(lines)


def by(key: str, table: pd.DataFrame) -> str:
    """PCK1 by token size and matcher, one column per clip or group of tokens: means over clips, steps and sites."""
    means = table.groupby(["cell", "matcher", key]).pck1.mean().unstack()[list(table[key].unique())]
    chances = table.groupby(["cell", key]).chance1.mean().unstack()[means.columns]
    lines = ["| px | matcher | " + " | ".join(means.columns) + " |", "|---:|---" + "|---:" * len(means.columns) + "|"]
    for cell in chances.index:
        rows = [*means.loc[cell].iterrows(), ("chance", chances.loc[cell])]
        lines += [f"| {cell} | {name} | " + " | ".join(f"{v:.2f}" if v > 0.05 else f"{v:.3f}" for v in row) + " |" for name, row in rows]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", nargs="+", default=list(BUNDLED), choices=BUNDLED)
    parser.add_argument("--method", default="per_frame")
    parser.add_argument("--content", default="sampled", choices=("sampled", "truth"))
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--frames", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--csv")
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model("embedded")
    table = pd.concat([measured(name, model, args) for name in args.clips], ignore_index=True)
    if args.csv:
        table.to_csv(args.csv, index=False)
    steps = sorted({round(part * (args.steps - 1)) for part in (0, 0.25, 0.5, 0.75, 1)})
    print(f"method {args.method}, content {args.content}, {args.steps} steps, at most {args.frames} frames, seed {args.seed}")
    print(f"\nPCK1 of visible tokens by step\n\n{by_step(table, steps)}")
    print(f"\nPCK1 of visible tokens by clip\n\n{by('clip', table[table.group == 'visible'])}")
    print(f"\nPCK1 by group of tokens\n\n{by('group', table[table.group != 'all'])}")


if __name__ == "__main__":
    main()
