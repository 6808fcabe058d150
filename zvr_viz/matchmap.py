"""The geometry of a match map: two frames side by side, and the lines from tokens of one to their targets in the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zvr_core.errors import ZvrError
from zvr_viz.geometry import Lattice
from zvr_viz.matches import Pairs
from zvr_viz.palette import BOTH, PAPER, RGB, TRUTH, Mark, matcher_mark, rgb
from zvr_viz.strokes import Stroke

GAP = 8  # pixels of paper between the two frames


@dataclass(frozen=True)
class Diptych:
    """Source frame and key frame as one picture, the key frame to the right of the source or `below` it."""

    lattice: Lattice
    below: bool = False

    @property
    def shift(self) -> NDArray:
        """From a pixel of the source frame to the same of the key frame, (x, y)."""
        height, width = self.lattice.size
        return np.array([0, height + GAP] if self.below else [width + GAP, 0], float)

    def canvas(self, source: RGB, key: RGB) -> RGB:
        """The two frames (H, W, 3) with a gap of paper; raises ZvrError unless both have the lattice's size."""
        height, width = self.lattice.size
        for frame in (source, key):
            if frame.shape != (height, width, 3):
                raise ZvrError(f"a frame of shape {frame.shape} given; {(height, width, 3)} is expected: bring it to the output's size")
        gap = np.full((GAP, width, 3) if self.below else (height, GAP, 3), rgb(PAPER), np.uint8)
        return np.concatenate([source, gap, key], axis=0 if self.below else 1)

    def strokes(self, pairs: Pairs) -> list[Stroke]:
        """The lines in pixels of the canvas: one black line where the rules agree, else one of each; flow last, so that it lies on top."""
        sources, targets, _ = pairs.places(self.lattice)
        agree = pairs.agree & (len(targets) > 1)
        apart = [
            Stroke(start, end, matcher_mark(name))
            for name in reversed(list(targets))
            for start, end in zip(sources[~agree], targets[name][~agree] + self.shift, strict=True)
        ]
        first = next(iter(targets.values()))
        return apart + [Stroke(start, end, BOTH) for start, end in zip(sources[agree], first[agree] + self.shift, strict=True)]

    def true_places(self, pairs: Pairs) -> NDArray:
        """Where the tokens truly are, in pixels of the canvas, (n, 2); NaN where unknown."""
        return pairs.places(self.lattice)[2] + self.shift


def marks(pairs: Pairs) -> list[Mark]:
    """What the legend of these pairs must explain, and nothing else."""
    single = len(pairs.targets) == 1
    differ = single or not pairs.agree.all()
    shown = [matcher_mark(name) for name in pairs.targets] if differ else []
    both = [BOTH] if not single and pairs.agree.any() else []
    return shown + both + ([TRUTH] if (pairs.truth >= 0).any() else [])
