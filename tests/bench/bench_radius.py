"""Which radius of the spatial prior finds the most true matches?  Chosen on the development clips.

    python tests/bench/bench_radius.py CLIPS

While clips are restored per frame, the up sites' tokens are matched to the key frame with several radii; a match is right when it
lies within one token of the optical flow of the truth, where that passes the forward-backward test.
"""

from __future__ import annotations

import argparse
from collections import defaultdict

import torch

from zvr_core.attention import Edited, attach
from zvr_core.correspondence import Correspondence
from zvr_core.evaluation.cell import load_source
from zvr_core.methods.base import Method, Windows
from zvr_core.models.load import load_model
from zvr_core.restore import Restoration
from zvr_core.ring_search import SpatialCosineMatcher

RADII = [8, 16, 24, 32, 48, 64]  # output pixels


def right(target: torch.Tensor, site, moved) -> tuple[int, int]:
    """How many matches (F, N) lie within one token of the flow's target, and how many could be judged."""
    h, w = site.grid
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    true = torch.stack([x, y]) + moved.flow  # (F, 2, h, w)
    found = torch.stack([target % w, target // w], 1).unflatten(-1, (h, w))  # (F, 2, h, w)
    near = (found - true).abs().amax(1) <= 1
    judged = ~moved.occluded & (moved.error < 1) & (moved.flow.abs().amax((1, 2, 3)) > 0.5)[:, None, None]
    return int((near & judged).sum()), int(judged.sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="+")
    parser.add_argument("--frames", type=int, default=6)
    parser.add_argument("--steps", type=int, default=5)
    args = parser.parse_args()
    model, counts = load_model("embedded"), defaultdict(lambda: [0, 0])
    for name in args.clips:
        source = load_source(name, "blur=1.2,down=4,noise=5", args.frames, 320, model.scale)
        run = Restoration(source.lq, model, Method("plain", (Windows(args.frames),)), steps=args.steps)
        flow = Correspondence(source.truth)
        window = run.windows[0]

        def look(site, window=window, flow=flow):
            moved = flow.to_key(window.frames, window.key, site.grid, site.cell)

            def edit(hidden):
                for radius in RADII:
                    matches = SpatialCosineMatcher(max(1, round(radius / site.cell))).match(hidden, site.grid, window.key_index, None)
                    for i, n in enumerate(right(matches.target, site, moved)):
                        counts[site.cell, radius][i] += n
                return Edited(hidden, lambda output: output)

            return edit

        with attach(model.network, {s.path: look(s) for s in run.sites if s.stage == "up"}):
            run.finish()
    print("| radius px | " + " | ".join(map(str, RADII)) + " |\n|---|" + "---:|" * len(RADII))
    for cell in (8, 16):
        shares = [counts[cell, radius][0] / counts[cell, radius][1] for radius in RADII]
        print(f"| {cell} px tokens | " + " | ".join(f"{share:.2f}" for share in shares) + " |")


if __name__ == "__main__":
    main()
