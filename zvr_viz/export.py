"""A recording as one HTML file: no kernel, no network, the same ES module as in a notebook."""

from __future__ import annotations

import base64
import html
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from zvr_core.errors import ZvrError
from zvr_core.trace import Trace
from zvr_viz.encode import decoded, shrunk, spaced, webp
from zvr_viz.module import module_text, style_text
from zvr_viz.parts import coarse
from zvr_viz.payload import Traces, first_view, head, load, order, step_axis

BUDGET = 5 << 20  # bytes of the file
PICTURES = ("preview", "lq", "truth", "restored")

# Allows nothing from outside: what this file shows, it brings.
POLICY = "default-src 'none'; script-src 'unsafe-inline' blob:; style-src 'unsafe-inline'; img-src blob: data:"

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ margin: 0 auto; padding: 16px; max-width: 1320px; background: #fff; }}
@media (prefers-color-scheme: dark) {{ body {{ background: #18181b; }} }}
{style}</style></head>
<body><div id="explorer"></div><noscript>This page draws with JavaScript.</noscript>
<script type="application/json" id="head">{head}</script>
<script type="text/plain" id="pack">{pack}</script>
<script type="text/plain" id="module">{module}</script>
<script type="module">
const text = (id) => document.getElementById(id).textContent;
const packed = Uint8Array.from(atob(text("pack")), (letter) => letter.charCodeAt(0));
const pack = new Uint8Array(await new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"))).arrayBuffer());
const given = {{ ...JSON.parse(text("head")), pack, live: {{}} }};
let [place, before] = [0, 0];
for (const [, length] of given.index) {{ // each part is told by how it differs from the one before, where they have one length
  if (length === before) for (let i = place; i < place + length; i++) pack[i] ^= pack[i - length];
  [place, before] = [place + length, length];
}}
const heard = {{}};
const model = {{
  get: (name) => given[name],
  set: (name, value) => {{ given[name] = value; for (const act of heard["change:" + name] ?? []) act(); }},
  save_changes() {{}},
  send() {{}},
  on: (name, act) => (heard[name] ??= []).push(act),
  off: (name, act) => (heard[name] = (heard[name] ?? []).filter((other) => other !== act)),
}};
const explorer = await import(URL.createObjectURL(new Blob([text("module")], {{ type: "text/javascript" }})));
explorer.default.render({{ model, el: document.getElementById("explorer") }});
// A page of its own listens to the keys at once; one that is embedded waits until it is asked.
if (window === parent) document.querySelector("#explorer .zvr").focus({{ preventScroll: true }});
</script></body></html>
"""


@dataclass(frozen=True)
class Thinning:
    """What of a recording is kept: every n-th step; similarity rows of every n-th frame (0: of the place only where the file opens;
    -1: none); pictures of at most `side` pixels at a WebP `quality` (0: as recorded); scores in coarse steps."""

    steps: int = 1
    rows: int = 1
    quality: int = 0
    side: int = 512
    coarse: bool = False

    def keeps(self, name: str, view: Mapping[str, Any]) -> bool:
        """Whether a part is kept that a file has which opens at `view`."""
        _, kind, *where = name.split("/")
        if kind != "rows":
            return True
        away = abs(int(where[2]) - int(view["frame"]))
        return away % self.rows == 0 if self.rows > 0 else self.rows == 0 and away == 0 and where[1] == view["site"]

    def words(self) -> str:
        """What was left out, for the reader of the file."""
        rows = {1: "", 0: "similarity rows of the first view only", -1: "no similarity rows"}
        said = [
            f"every {ordinal(self.steps)} step" if self.steps > 1 else "",
            rows.get(self.rows, f"similarity rows of every {ordinal(self.rows)} frame"),
            f"pictures at quality {self.quality}" if self.quality else "",
            f"at most {self.side} pixels" if self.side < Thinning.side else "",
            "scores in steps of 0.03" if self.coarse else "",
        ]
        return ", ".join(part for part in said if part)


# From all to little.  Rows go first, then fine differences, then steps: a coarse axis still tells the whole story.
THINNINGS = (
    *(Thinning(rows=rows) for rows in (1, 2, 4, 0)),
    *(Thinning(1, 0, 80, coarse=coarse) for coarse in (False, True)),
    *(Thinning(steps, 0, 65, 320, True) for steps in (1, 2, 3, 4, 6, 8)),
    *(Thinning(steps, -1, 50, 224, True) for steps in (8, 12, 16, 25, 50)),
)


def save_html(trace: Trace, path: str | Path, *, budget: int = BUDGET, trace_b: Trace | None = None, **state: Any) -> str:
    """Writes the explorer of one recording (or two) to a file of at most `budget` bytes; returns in words what was thinned for that.

    `state`: where it opens, as in `explore`.  Raises ZvrError where not even the thinnest version fits.
    """
    traces = (trace,) if trace_b is None else (trace, trace_b)
    view = {**first_view(trace), **state}
    read = cache(lambda name: load(traces, name))
    size = 0
    for thinning in THINNINGS:
        size = rows_size(traces, thinning, view)
        if size > budget:
            continue
        text = page(traces, thinning, view, read)
        size = len(text.encode())
        if size <= budget:
            part = Path(f"{path}.part")
            part.write_text(text, encoding="utf-8")
            part.replace(path)
            return thinning.words()
    raise ZvrError(f"a budget of {budget} bytes given, {size} are needed at least; give a larger budget, or record fewer frames or sites")


def rows_size(traces: Traces, thinning: Thinning, view: Mapping[str, Any]) -> int:
    """About how many bytes of a file the similarity rows take: they look like noise and hardly shrink."""
    kept = [name for name in order(traces, step_axis(traces)[:: thinning.steps], view) if "/rows/" in name and thinning.keeps(name, view)]
    return sum(trace.header.probes * trace.site(name.split("/")[3]).tokens for name in kept for trace in traces[:1])


def page(traces: Traces, thinning: Thinning, view: Mapping[str, Any], read: Callable[[str], bytes]) -> str:
    """The file as text; `read` gives the bytes of a part."""
    axis = step_axis(traces)
    kept = [axis[i] for i in spaced(len(axis), -(-len(axis) // thinning.steps))] if axis else []
    parts = dict(kept_parts(traces, kept, thinning, view, read))
    about = head(traces, kept) | {"note": f"thinned to fit: {thinning.words()}" if thinning.words() else ""}
    given = {"head": about, "index": [(name, len(data)) for name, data in parts.items()], "state": view}
    return PAGE.format(
        policy=POLICY,
        title=html.escape(f"{traces[0].name} – zvr"),
        style=style_text(),
        head=inline(given),
        pack=base64.b64encode(zlib.compress(folded(parts.values()), 9)).decode(),
        module=module_text(),
    )


def kept_parts(
    traces: Traces, axis: Sequence[Sequence[int]], thinning: Thinning, view: Mapping[str, Any], read: Callable[[str], bytes]
) -> Iterator[tuple[str, bytes]]:
    """The parts that a thinning keeps, by name, in an order in which they compress well."""
    for name in sorted(order(traces, axis, view), key=likeness):
        if not thinning.keeps(name, view):
            continue
        try:
            data = read(name)
        except ZvrError:
            continue
        run, kind, _ = name.split("/", 2)
        if kind in PICTURES and thinning.quality:
            data = min(data, webp(shrunk(decoded(data), thinning.side), thinning.quality), key=len)
        if kind in ("match", "rows") and thinning.coarse:
            data = coarse(traces[int(run)], name[len(run) + 1 :], data)
        yield name, data


def likeness(name: str) -> tuple[Any, ...]:
    """An order in which what is alike stands together: the same place at one step after the other."""
    run, kind, *where = name.split("/")
    return (kind, run, *where[1:], int(where[0])) if kind in ("preview", "match", "rows") else (kind, run, *where)


def folded(parts: Iterable[bytes]) -> bytes:
    """Parts one after the other, each as its difference (exclusive or) to the one before, where they have one length: that shrinks
    what hardly changes from step to step, matches by 40 %."""
    before, out = np.zeros(0, np.uint8), []
    for data in parts:
        now = np.frombuffer(data, np.uint8)
        out.append((now ^ before if len(now) == len(before) else now).tobytes())
        before = now
    return b"".join(out)


def inline(value: Any) -> str:
    """JSON that may stand inside a script element, whatever the names in it hold."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c").replace("\u2028", "\\u2028")


def ordinal(number: int) -> str:
    """ "2nd", "3rd", "4th" …"""
    return f"{number}{ {2: 'nd', 3: 'rd'}.get(number, 'th') }"
