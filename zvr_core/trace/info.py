"""What a trace holds, as text: read without torch."""

from __future__ import annotations

from pathlib import Path

from zvr_core.trace.trace import Trace, TraceSite, open_trace
from zvr_core.words import frames_of, size_text


def trace_info(path: str) -> str:
    """The summary that `zvr info` prints; raises ZvrError for what is no trace."""
    trace = open_trace(path)
    height, width = trace.size
    left = "" if trace.steps == trace.total_steps else f"; go on with: zvr resume {path} -o OUTPUT"
    rows = {
        "clip": f"{trace.name}, {frames_of(trace.frames, trace.lq_size)} to {width}×{height}, {trace.fps:.5g} fps",
        "model": "{name} ({kind}, {dtype} on {device})".format(**trace.model),
        "method": f"{trace.method}, {sampler_text(trace)}, seed {trace.seed}",
        "steps": f"{trace.steps} of {trace.total_steps}{left}",
        "windows": ", ".join(f"{w.start} to {w.stop - 1} (key {w.key})" for w in trace.windows),
        "sites": ", ".join(site_text(trace, site) for site in trace.sites) or "none",
        "matchers": f"{', '.join(trace.matchers)}, at {len(trace.match_steps)} steps" if trace.matchers else "none",
        "arrays": ", ".join(dict.fromkeys(name.rpartition("/")[2] for name in trace.attributes["arrays"])),
        "machine": ", ".join(f"{name} {value}" for name, value in trace.header.machine.items()),
    }
    if Path(path).is_dir():
        files = [file.stat().st_size for file in Path(path).rglob("*") if file.is_file()]
        rows["size"] = f"{size_text(sum(files))} in {len(files)} files"
    return "\n".join(f"{name:8}  {value}" for name, value in rows.items())


def sampler_text(trace: Trace) -> str:
    """The sampler's class and settings, "DDIM(eta=0.0)"."""
    settings = dict(trace.header.sampler)
    kind = str(settings.pop("type", "")).rpartition(":")[2]
    return f"{kind}({', '.join(f'{name}={value}' for name, value in settings.items())})"


def site_text(trace: Trace, site: TraceSite) -> str:
    """A site's name, its grid, and what the method merges by there."""
    own = f", merges by {trace.own(site.name)}" if trace.own(site.name) else ""
    return f"{site.name} ({site.grid[1]}×{site.grid[0]}{own})"
