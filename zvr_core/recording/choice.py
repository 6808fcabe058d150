"""What of a run is recorded, at which steps and where, as a value.  Loads neither torch nor zarr."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, Protocol

from zvr_core.errors import ZvrError, unknown

KNOWN_MATCHERS = ("flow", "cosine", "cosine_spatial", "cosine_flow")
ALWAYS = frozenset({"x_t", "clip"})  # what resuming and rewinding cannot do without
OPTIONAL = frozenset({"x0", "preview", "matches", "flow", "restored"})


class StepChoice(Protocol):
    """Which steps of a run are meant."""

    def of(self, total: int) -> tuple[int, ...]:
        """Their numbers, ascending; raises ZvrError for steps that a run of `total` does not have."""


@dataclass(frozen=True)
class Every:
    """Every `stride`-th step of those that a slice start:stop names; all of them by default."""

    stride: int = 1
    start: int | None = None
    stop: int | None = None

    def __post_init__(self) -> None:
        if self.stride < 1:
            raise ZvrError(f"every {self.stride}-th step given, 1 or more expected; 1 records all steps")

    def of(self, total: int) -> tuple[int, ...]:
        steps = tuple(range(total)[self.start : self.stop : self.stride])
        if not steps:
            raise ZvrError(f"steps {self.start}:{self.stop} given to record, but the run has {total}; choose some of 0:{total}")
        return steps


@dataclass(frozen=True)
class Steps:
    """Exactly these steps; negative numbers count from the end."""

    numbers: tuple[int, ...]

    def of(self, total: int) -> tuple[int, ...]:
        for step in self.numbers:
            if not -total <= step < total:
                raise ZvrError(f"step {step} given to record, but the run has {total}; choose from 0 to {total - 1}, or -1 for the last")
        return tuple(sorted({step % total for step in self.numbers}))


def as_steps(given: object) -> StepChoice:
    """A choice of steps from "all", a number (every k-th), a slice, or the numbers of steps; raises ZvrError for anything else."""
    match given:
        case Every() | Steps():
            return given
        case "all":
            return Every()
        case bool() | str():
            raise ZvrError(f'steps {given!r} given to record; "all", a number (every k-th), a slice, or a list of steps expected')
        case int():
            return Every(given)
        case slice():
            return Every(1 if given.step is None else given.step, given.start, given.stop)
        case Iterable():
            return Steps(tuple(int(step) for step in given))
    raise ZvrError(f'steps {given!r} given to record; "all", a number (every k-th), a slice, or a list of steps expected')


@dataclass(frozen=True)
class RecordAt:
    """What is recorded: x_t of all steps and the LQ frames always, the rest as asked for.

    `steps` and `sites` say where matches, similarities and tokens are recorded (`steps`: see `as_steps`; `sites`: "all" or names);
    `matchers` are computed there beside the method's own.  `what` of x0 (float16), previews (JPEG), matches, flow (to the key frame
    and back), restored frames.  `similarity`: for so many tokens a frame, those on which flow and cosine disagree most, the cosine
    with all of the key frame; `entropy` of their attention, too.  `tokens`: "none", "full", or so many principal components.
    `preview`: pixels of the longer side.  Raises ZvrError for names and numbers that make no sense.
    """

    steps: Any = "all"
    sites: Literal["all"] | Sequence[str] = "all"
    matchers: Sequence[str] = ("flow", "cosine", "cosine_spatial")
    what: Iterable[str] = ALWAYS | OPTIONAL
    similarity: int = 0
    entropy: bool = False
    tokens: Literal["none", "full"] | int = "none"
    preview: int = 320

    def __post_init__(self) -> None:
        normal = {
            "steps": as_steps(self.steps),
            "sites": self.sites if self.sites == "all" else tuple([self.sites] if isinstance(self.sites, str) else self.sites),
            "matchers": tuple([self.matchers] if isinstance(self.matchers, str) else self.matchers),
            "what": ALWAYS | frozenset([self.what] if isinstance(self.what, str) else self.what),
        }
        for name, value in normal.items():
            object.__setattr__(self, name, value)
        self._check()

    def _check(self) -> None:
        for matcher in self.matchers:
            if matcher not in KNOWN_MATCHERS:
                raise unknown("matcher to record", matcher, KNOWN_MATCHERS)
        for part in self.what:
            if part not in ALWAYS | OPTIONAL:
                raise unknown("thing to record", part, ALWAYS | OPTIONAL)
        if not 0 <= self.similarity <= 4096:
            raise ZvrError(f"similarity of {self.similarity} tokens a frame given, 0 to 4096 expected; 48 is usual")
        if self.similarity and not ("flow" in self.matchers and self.cosine):
            raise ZvrError('similarity needs matchers that can disagree; record matchers=("flow", "cosine"), or similarity=0')
        if self.entropy and not self.similarity:
            raise ZvrError("entropy is that of the tokens with similarities; record similarity=48 beside it")
        if self.tokens not in ("none", "full") and not (isinstance(self.tokens, int) and self.tokens >= 1):
            raise ZvrError(f'tokens {self.tokens!r} given; "none", "full", or a number of principal components expected; 16 is usual')
        if self.preview < 16:
            raise ZvrError(f"previews of {self.preview} px given, 16 or more expected; 320 is usual")

    @classmethod
    def everything(cls) -> RecordAt:
        """All there is, at every step and site."""
        return cls(matchers=KNOWN_MATCHERS, similarity=48, entropy=True, tokens="full", preview=640)

    @property
    def cosine(self) -> str:
        """The matcher whose disagreement with flow chooses the tokens of `similarity`; "" for none."""
        return next((name for name in ("cosine", "cosine_spatial") if name in self.matchers), "")

    @property
    def looks(self) -> bool:
        """Whether attention sites are looked at."""
        return "matches" in self.what or self.tokens != "none"

    def chosen_sites(self, names: Sequence[str]) -> tuple[str, ...]:
        """Those of the sites of a model that are recorded, in the model's order; raises ZvrError for a name it does not have."""
        if not self.looks:
            return ()
        if self.sites == "all":
            return tuple(names)
        for name in self.sites:
            if name not in names:
                raise unknown("site to record", name, names)
        return tuple(name for name in names if name in self.sites)

    def to_json(self, total: int) -> dict[str, Any]:
        """As JSON, for a run of `total` steps."""
        values = {part.name: getattr(self, part.name) for part in fields(self)}
        return {**values, "steps": list(self.steps.of(total)), "matchers": list(self.matchers), "what": sorted(self.what)}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> RecordAt:
        """What `to_json` was made of."""
        return RecordAt(**values)
