"""What the committed notebooks keep to, so that strict nbval can check them and a reader on a git host sees them.

nbval passes a notebook whose outputs were stripped, since there is nothing to compare: these rules do not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from nbformat import NotebookNode, v4

MAX_FILE, MAX_PICTURE = 1_000_000, 150_000  # bytes
MAX_CODE_CELLS, MAX_CODE_LINES, MAX_WORDS = 25, 150, 1200
CAPTION = "**What you see.**"  # how the line under a picture begins that says it in words
FORBIDDEN = {  # nbval cannot follow these
    "clear_output": "nbval adds up all outputs",
    "display_id": "nbval does not see updates",
    "Output(": "nbval sees what is printed there as output of the cell",
    "__version__": "versions differ from machine to machine",
}
PICTURES = ("image/png", "image/jpeg")
PLOTLY = "application/vnd.plotly.v1+json"
DECIMAL = re.compile(r"\d+\.\d+")
HERE = re.compile(r"(/home/|/root/|/tmp/|/work/|/Users/|[A-Z]:\\)\S*")


def problems(notebook: NotebookNode, size: int) -> list[str]:
    """Every broken rule in words; `size` is that of the file in bytes."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    found = [f"cell {n}: {problem}" for n, cell in enumerate(code, 1) for problem in cell_problems(cell, n)]
    return [*found, *picture_problems(notebook.cells), *notebook_problems(notebook, code, size)]


def cell_problems(cell: NotebookNode, number: int) -> Iterator[str]:
    """What is wrong with one code cell, the `number`th."""
    if cell.execution_count is None:
        yield "outputs stripped, or never run; make notebooks runs it"
    elif cell.execution_count != number:
        yield f"execution count {cell.execution_count}; make notebooks runs all from the start"
    if cell.source.rstrip().endswith(";"):
        yield "ends in a semicolon, which nbval does not know; end with plt.show()"
    for word, why in FORBIDDEN.items():
        if word in cell.source:
            yield f"uses {word}: {why}"
    for output in cell.outputs:
        yield from output_problems(output)
    kinds = {kind for output in cell.outputs for kind in output.get("data", {})}
    if PLOTLY in kinds and not kinds & set(PICTURES):
        yield "a plotly chart without a still beside it, which is all one sees where nothing runs; end with chart.still"


def output_problems(output: NotebookNode) -> Iterator[str]:
    """What is wrong with one stored output."""
    data = output.get("data", {})
    text = output.get("text", "") + data.get("text/plain", "")
    if output.output_type == "error" and output.ename:
        yield f"stores the error {output.ename}"
    if output.get("name") == "stderr":
        yield f"writes to stderr: {text.strip()[:60]}"
    if "application/vnd.jupyter.widget-view+json" in data:
        yield "stores a widget without its state; make notebooks leaves its still"
    for kind in PICTURES:
        if len(data.get(kind, "")) * 3 // 4 > MAX_PICTURE:
            yield f"a picture of {len(data[kind]) * 3 // 4000} kB; at most {MAX_PICTURE // 1000}"
    for number in DECIMAL.findall(text):
        if len(number.replace(".", "").lstrip("0")) > 2:
            yield f"prints {number}; two significant digits are the same on every machine"
    if path := HERE.search(text):
        yield f"prints a path of this machine: {path[0]}"


def picture_problems(cells: list[NotebookNode]) -> Iterator[str]:
    """A picture has its number, which nbval compares, and the next line says it in words, for whoever cannot see it."""
    for cell, after in pairwise([*cells, v4.new_code_cell()]):
        outputs = cell.get("outputs", ())
        if not any(kind in output.get("data", {}) for output in outputs for kind in PICTURES):
            continue
        said = "".join(output.get("text", "") or output.get("data", {}).get("text/plain", "") for output in outputs)
        if not re.search(r"\d", re.sub(r"<Figure[^>]*>", "", said)):
            yield f"picture of {cell.source.splitlines()[-1]!r} without its number: print what the picture is about"
        if not (after.cell_type == "markdown" and after.source.startswith(CAPTION)):
            yield f"picture of {cell.source.splitlines()[-1]!r} without words: begin the next cell with {CAPTION!r}"


def notebook_problems(notebook: NotebookNode, code: list[NotebookNode], size: int) -> Iterator[str]:
    """What is wrong with the whole: weight, length, exercises without solution."""
    if "widgets" in notebook.metadata:
        yield "stores widget state, which needs the network to show"
    if size > MAX_FILE:
        yield f"{size / 1e6:.2f} MB; at most {MAX_FILE / 1e6:.0f}"
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    lines = sum(bool(line.strip()) for cell in code for line in cell.source.splitlines())
    words = len(re.sub(r"```.*?```", "", prose, flags=re.DOTALL).split())
    for what, count, most in (
        ("code cells", len(code), MAX_CODE_CELLS),
        ("code lines", lines, MAX_CODE_LINES),
        ("words", words, MAX_WORDS),
    ):
        if count > most:
            yield f"{count} {what}; at most {most} fit one sitting"
    tags = [tag for cell in code for tag in cell.metadata.get("tags", ())]
    if tags.count("check") != prose.count("<details>"):
        yield f"{tags.count('check')} checked exercises and {prose.count('<details>')} solutions in <details>"
    if tags.count("nbval-ignore-output") > 1:
        yield "more than one nbval-ignore-output: what is ignored is not tested"
