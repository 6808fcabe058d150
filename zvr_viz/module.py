"""The explorer's ES module and style sheet as text: the same for a notebook and for a file.

There is no build step: the files of `static` are joined in the order below, each using what stands before it.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

ORDER = ("store", "run", "draw", "layers", "scene", "pair", "panes", "chart", "live", "controls", "explorer")


@cache
def module_text() -> str:
    """One ES module whose default export is {render}."""
    static = files("zvr_viz") / "static"
    return "\n".join((static / f"{name}.js").read_text(encoding="utf-8") for name in ORDER)


@cache
def style_text() -> str:
    """The style sheet."""
    return (files("zvr_viz") / "static" / "explorer.css").read_text(encoding="utf-8")
