"""One panel of a match map: which tokens of which place of which trace, and what can be said about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from numpy.typing import NDArray

from zvr_core.trace import Missing, Trace
from zvr_viz.matches import Choice, Pairs, pairs
from zvr_viz.matchmap import Diptych
from zvr_viz.palette import RGB, faded
from zvr_viz.reading import Spot, backdrop, lattice, true_targets
from zvr_viz.tokens import percent, share_within


@dataclass(frozen=True)
class Look:
    """A trace, a place in it, one or two matchers, a choice of tokens, the kind of picture behind, and where the key frame goes."""

    trace: Trace
    at: Spot
    matchers: tuple[str, ...]
    choice: Choice | Sequence[int]
    kind: str = ""
    below: bool = False

    @property
    def key(self) -> int:
        """The key frame."""
        return int(self.trace.key[self.at.frame])

    @property
    def pair(self) -> Diptych:
        """The geometry of the two frames."""
        return Diptych(lattice(self.trace, self.at.site), self.below)

    @property
    def truth(self) -> NDArray:
        """The true targets, (N,); -1 where unknown."""
        return true_targets(self.trace, self.at)

    def targets(self) -> dict[str, NDArray]:
        """The targets by matcher, (N,) each; raises Missing, also for the key frame, whose tokens *are* the targets."""
        if self.key == self.at.frame:
            others = "the trace has no other" if self.trace.frames == 1 else "look at another frame"
            raise Missing(f"frame {self.key} is the key frame of its window, its tokens are the targets: nothing to match; {others}")
        return {name: self.trace.target(self.at.step, self.at.site.name, self.at.frame, name) for name in self.matchers}

    def pairs(self) -> Pairs:
        """The chosen tokens and their targets; raises Missing."""
        return pairs(self.targets(), self.at.site.grid, self.truth, self.choice)

    def canvas(self) -> RGB:
        """Source and key frame, faded."""
        return self.pair.canvas(*(faded(backdrop(self.trace, frame, self.at.step, self.kind)) for frame in (self.at.frame, self.key)))

    def numbers(self) -> str:
        """How often the rules are right, or else agree, over all tokens of the frame, neighbours counted as right."""
        targets, truth, grid = self.targets(), self.truth, self.at.site.grid
        if (truth >= 0).any():
            right = {name: percent(share_within(to, truth, grid)) for name, to in targets.items()}
            return "matches that are right: " + ", ".join(f"{name} {share}" for name, share in right.items())
        first, *_, last = [*targets.values()] * 2
        return f"{' and '.join(targets)} agree on {percent(share_within(first, last, grid))}" if len(targets) > 1 else ""
