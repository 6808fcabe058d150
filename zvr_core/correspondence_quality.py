"""How well matches know where things went: per step, site, matcher and group of tokens, as one tidy table.

    targets (F, N) of each matcher ─┐
    TokenTruth ─────────────────────┴─► score ─► | matcher | group | tokens | pck1 | epe_tokens | agreement | …

| column | meaning |
|---|---|
| `pck0`, `pck1`, `pck2` | share of tokens whose target is at most 0, 1, 2 tokens from the true one along both axes |
| `chance0`, … | the same share of a target drawn from all tokens of the key frame; that of not moving at all is the matcher "stay" |
| `epe_tokens`, `epe_pixels` | mean distance from the true place, which lies between tokens: the nearest token is 0.38 off on average |
| `agreement` | share of targets at most 1 token from the one of the matcher "flow" along both axes; needs no truth |
| `consistent` | share of tokens that come back to within 1 token of themselves; needs no truth; NaN where the way back was not measured |

Groups are those of `token_truth`, of all frames but key frames.  Shares and errors against the truth are over those tokens of a group
that have a true place inside the key frame; NaN where none has.  PCK is the "percentage of correct keypoints" (Yang & Ramanan 2013),
in tokens.  Plain numpy and pandas: a trace is measured without model and torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from zvr_core.errors import ZvrError
from zvr_core.token_truth import TokenTruth, positions
from zvr_core.trace.true_targets import Grid

if TYPE_CHECKING:
    from zvr_core.matching import Matches
    from zvr_core.trace import Trace, TraceSite

WITHIN = (0, 1, 2)  # tokens along both axes
NEAR = 1  # tokens: what agrees, or comes back
MEASURES = ("pck0", "pck1", "pck2", "epe_tokens", "epe_pixels", "agreement", "consistent", "chance0", "chance1", "chance2")
COLUMNS = ("matcher", "group", "tokens", *MEASURES)
WHERE = ("step", "t", "log_snr", "site", "stage", "grid")


# ── one token ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def tokens_between(a: NDArray, b: NDArray, grid: Grid) -> NDArray[np.float32]:
    """By how many tokens two targets differ along the axis where they differ more, (…); NaN where either is -1."""
    return np.abs(positions(a, grid) - positions(b, grid)).max(-1)


def round_trip(there: NDArray, back: NDArray, grid: Grid) -> NDArray[np.float32]:
    """By how many tokens (N,) a token misses itself after `there` (N,), to the key frame, and `back` (N,), from it; NaN where lost."""
    returned = np.where(there >= 0, back[np.maximum(there, 0)], -1)
    return tokens_between(returned, np.arange(len(there)), grid)


def chance(target: NDArray, grid: Grid, within: int) -> NDArray[np.float32]:
    """How likely a random token is within `within` tokens of true targets (…), (…): at the border there are fewer; NaN for -1."""
    place, last = positions(target, grid), np.array(grid) - 1
    reach = np.minimum(place + within, last) - np.maximum(place - within, 0) + 1  # (…, 2)
    return (reach.prod(-1) / (grid[0] * grid[1])).astype(np.float32)


def against_truth(target: NDArray, truth: TokenTruth) -> dict[str, NDArray]:
    """PCK and end-point error of every token, (F, N) each; NaN where nothing is known."""
    off = tokens_between(target, truth.target, truth.grid)
    error = np.where(np.isnan(off), np.nan, np.linalg.norm(positions(target, truth.grid) - truth.places, axis=-1))
    return {**{f"pck{k}": at_most(off, k) for k in WITHIN}, "epe_tokens": error, "epe_pixels": truth.cell * error}


def at_most(distance: NDArray, limit: float) -> NDArray[np.float32]:
    """1 where the distance is at most `limit`, else 0; NaN stays."""
    return np.where(np.isnan(distance), np.nan, distance <= limit).astype(np.float32)


# ── tables ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def score(targets: Mapping[str, NDArray], truth: TokenTruth, round_trips: Mapping[str, NDArray] | None = None) -> pd.DataFrame:
    """The table of several matchers on the same tokens: columns `COLUMNS`, one row per matcher and group that has tokens.

    `targets` (F, N) by name of the matcher, -1 where one has none; a row "stay", of every token left where it is, is added.
    `round_trips` (F, N): by how many tokens each token misses itself there and back.  Raises ZvrError for targets of another shape.
    """
    own = np.broadcast_to(np.arange(truth.hidden.shape[1]), truth.hidden.shape)
    missing = np.full(own.shape, np.nan, np.float32)
    chances = {f"chance{k}": chance(truth.target, truth.grid, k) for k in WITHIN}
    rows = []
    for matcher, target in {**targets, "stay": own}.items():
        if target.shape != own.shape:
            raise ZvrError(f"targets of {matcher!r} of shape {target.shape} given, {own.shape} expected: the truth's frames and tokens")
        values = {
            **against_truth(target, truth),
            "agreement": at_most(tokens_between(target, targets["flow"], truth.grid), NEAR) if "flow" in targets else missing,
            "consistent": at_most((round_trips or {}).get(matcher, missing), NEAR),
            **chances,
        }
        for group, members in truth.groups.items():
            if members.any():
                means = {name: known_mean(value[members]) for name, value in values.items()}
                rows.append({"matcher": matcher, "group": group, "tokens": int(members.sum()), **means})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def known_mean(values: NDArray) -> float:
    """The mean of what is not NaN; NaN where all is."""
    known = values[~np.isnan(values)]
    return float(known.mean(dtype=np.float64)) if known.size else float("nan")


def score_matches(found: Sequence[Matches], truth: TokenTruth, round_trips: Mapping[str, NDArray] | None = None) -> pd.DataFrame:
    """`score` of matches of one window: `truth` and `round_trips` are of all its frames, the key frame's own row is left out."""
    if not found:
        raise ZvrError("no matches given, those of at least one matcher expected")
    others = [frame for frame in range(len(truth)) if frame != found[0].key]
    trips = {matcher: np.asarray(trip)[others] for matcher, trip in (round_trips or {}).items()}
    return score({matches.matcher: matches.target.cpu().numpy()[others] for matches in found}, truth[others], trips)


# ── traces ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def quality(trace: Trace) -> pd.DataFrame:
    """The table of a whole trace, columns `WHERE` and `COLUMNS`: every recorded step, site and matcher.

    Against the exact motion where the trace has it, else agreement and consistency alone.  The way back is known of "flow" (its
    round-trip error), and of "cosine" where tokens were recorded.  Raises ZvrError for a trace without matches.
    """
    if not (trace.match_steps and trace.matchers):
        raise ZvrError(f"trace {trace.name!r} holds no matches; record some, such as matchers=('flow', 'cosine')")
    frames = [frame for frame in range(trace.frames) if frame != trace.key[frame]]
    tables = [pd.DataFrame(columns=[*WHERE, *COLUMNS])]
    for grid, cell in dict.fromkeys((site.grid, site.cell) for site in trace.sites if frames):
        truth = trace_truth(trace, frames, grid, cell)
        for site in (site for site in trace.sites if site.grid == grid):
            tables += [site_table(trace, step, site, frames, truth) for step in trace.match_steps]
    return pd.concat(tables[1:] or tables, ignore_index=True)


def trace_truth(trace: Trace, frames: Sequence[int], grid: Grid, cell: int) -> TokenTruth:
    """What a trace knows of the true motion of tokens."""
    if not trace.has("truth_flow"):
        return TokenTruth.unknown(len(frames), grid, cell)
    pictures = [trace.truth(f) for f in frames] if trace.has("truth") else []
    return TokenTruth.of([trace.truth_flow(f) for f in frames], [trace.truth_occluded(f) for f in frames], pictures, grid, cell)


def site_table(trace: Trace, step: int, site: TraceSite, frames: Sequence[int], truth: TokenTruth) -> pd.DataFrame:
    """The rows of one step and site."""
    targets = {matcher: np.stack([trace.target(step, site.name, f, matcher) for f in frames]) for matcher in trace.matchers}
    targets = {matcher: target for matcher, target in targets.items() if (target >= 0).any()}
    trips = {}
    if "flow" in targets:
        trips["flow"] = np.stack([trace.score(step, site.name, f, "flow") for f in frames]) / site.cell
    if "cosine" in targets and trace.has("tokens"):
        trips["cosine"] = np.stack([cosine_round_trip(trace, step, site, f, targets["cosine"][i]) for i, f in enumerate(frames)])
    table = score(targets, truth, trips)
    where = (step, int(trace.timesteps[step]), float(trace.log_snr[step]), site.name, site.stage, f"{site.grid[0]}x{site.grid[1]}")
    for place, (name, value) in enumerate(zip(WHERE, where, strict=True)):
        table.insert(place, name, value)
    return table


def cosine_round_trip(trace: Trace, step: int, site: TraceSite, frame: int, there: NDArray) -> NDArray[np.float32]:
    """`round_trip` (N,) of one frame by recorded tokens: from the key frame, back to the most similar token."""
    source, key = (unit(trace.tokens(step, site.name, f)) for f in (frame, int(trace.key[frame])))
    return round_trip(there, (key @ source.T).argmax(1), site.grid)


def unit(tokens: NDArray) -> NDArray[np.float32]:
    """Tokens (N, C) at length 1."""
    return tokens / np.maximum(np.linalg.norm(tokens, axis=-1, keepdims=True), 1e-12)
