"""Fits strict nbval to these notebooks: what is not compared, how long it waits; and it runs the solutions of the exercises, too."""

from __future__ import annotations

import re
from collections.abc import Iterator

import nbformat
import pytest

SOLUTION = re.compile(r"<details>.*?```python\n(.*?)```.*?</details>", re.DOTALL)


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Warnings go to stderr; html and plotly carry random ids, and each plotly chart stands beside a still of the same data."""
    if type(collector).__name__ == "IPyNbFile":
        collector.skip_compare += ("stderr", "text/html", "application/vnd.plotly.v1+json")  # type: ignore[attr-defined]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Cells may be silent for a minute (nbval's 5 s are hard-coded); after the last cell of a notebook come its solutions."""
    last = {item.parent: item for item in items if type(item).__name__ == "IPyNbCell"}
    for file, item in last.items():
        place = items.index(item) + 1
        items[place:place] = solutions(file, type(item))
    for item in items:
        if hasattr(item, "output_timeout"):
            item.output_timeout = 60


def solutions(file: pytest.Collector, kind: type[pytest.Item]) -> Iterator[pytest.Item]:
    """One item a solution: its code, then the check of its exercise, which has to print "right"."""
    for number, (solution, check) in enumerate(solved(file.nb.cells), 1):  # type: ignore[attr-defined]
        stdout = nbformat.v4.new_output("stream", name="stdout", text="right\n")
        cell = nbformat.v4.new_code_cell(f"{solution}\n{check}", execution_count=1, outputs=[stdout])
        yield kind.from_parent(file, name=f"Solution {number}", cell_num=1000 + number, cell=cell, options={"check": True, "skip": False})


def solved(cells: list[nbformat.NotebookNode]) -> Iterator[tuple[str, str]]:
    """The (solution, check) of each exercise: a cell tagged "check", and the next fold-out with code after it."""
    check = ""
    for cell in cells:
        if "check" in cell.metadata.get("tags", ()):
            check = cell.source
        elif check and cell.cell_type == "markdown" and (found := SOLUTION.search(cell.source)):
            yield found[1], check
            check = ""
