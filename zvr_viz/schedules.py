"""The schedules of a run: how strongly tokens are merged, how many that are, how much noise is left, and when latents are warped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zvr_core.methods.describe import rebuild
from zvr_core.trace import Missing, Trace
from zvr_viz.charts import Band, Chart, Panel
from zvr_viz.palette import series_mark
from zvr_viz.reading import noise_level


def schedules(trace: Trace, step: int = 0) -> Chart:
    """Merge ratio, merged tokens and noise level of every step, one curve for all sites that do the same; warped steps are shaded.

    `step` is where the cursor starts.  Merged tokens are counted over all windows of the clip.
    """
    ratios, counts = by_site(trace, "ratio"), by_site(trace, "merged_count")
    noise = {series_mark(0, "√(1 - ᾱ)"): noise_level(trace)}
    panels = (
        Panel("Merge ratio", "share of tokens", grouped(ratios), "" if ratios else missing(trace), top=1),
        Panel("Merged tokens", "tokens of the clip", grouped(counts), "" if counts else missing(trace)),
        Panel("Noise level", "share of noise in x_t", noise, top=1),
    )
    what = f"merge ratio, merged tokens, noise level over {trace.total_steps} steps"
    says = f"schedules of {trace.name or trace.file} by {trace.method}: {what}"
    return Chart(panels, trace.total_steps, says, warped_steps(trace), step)


def missing(trace: Trace) -> str:
    """Why there are no curves."""
    return f"{trace.file} has no merge ratios; record them: RecordAt(sites='all')"


def by_site(trace: Trace, what: str) -> dict[str, NDArray]:
    """The numbers of each site that has some, (S,), NaN at steps that were not recorded; `what` is "ratio" or "merged_count"."""
    found = {}
    for site in trace.sites:
        values = np.full(trace.total_steps, np.nan)
        for step in range(trace.steps):
            try:
                values[step] = getattr(trace, what)(step, site.name)
            except Missing:
                continue
        values[values < 0] = np.nan  # -1 fills what was not recorded
        if not np.isnan(values).all():
            found[site.name] = values
    return found


def grouped(curves: Mapping[str, NDArray]) -> dict[Any, NDArray]:
    """One curve for all sites with the same numbers, named after them."""
    groups: list[tuple[list[str], NDArray]] = []
    for name, values in curves.items():
        same = next((names for names, other in groups if np.array_equal(values, other, equal_nan=True)), None)
        if same is None:
            groups.append(([name], values))
        else:
            same.append(name)
    return {series_mark(index, named(names, len(curves))): values for index, (names, values) in enumerate(groups)}


def named(names: list[str], of: int) -> str:
    """A group of sites in few words."""
    if len(names) == of > 1:
        return f"all {of} sites"
    return names[0] if len(names) == 1 else f"{names[0]} … {names[-1]} ({len(names)} sites)"


def warped_steps(trace: Trace) -> tuple[Band, ...]:
    """When the method warps latents, from its description."""
    plugins = trace.header.method.get("plugins", ())
    periods = [plugin["period"] for plugin in plugins if str(plugin.get("type", "")).endswith(":LatentWarping") and "period" in plugin]
    steps = [rebuild(period).steps(trace.total_steps) for period in periods if str(period.get("type", "")).startswith("zvr_core.schedule:")]
    return tuple(Band("latents are warped", found) for found in steps if found)
