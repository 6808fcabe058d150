"""Executes notebooks anew and stores them as they are committed: with pictures, without widget state, the same bytes each time.

python tests/refresh_notebooks.py notebooks/01_one_clip_fifty_steps.ipynb
"""

from __future__ import annotations

import base64
import io
import sys
import time
from pathlib import Path

import nbformat
import numpy as np
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image

from zvr_viz.encode import palette_png

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
PLOTLY = "application/vnd.plotly.v1+json"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"},
}


def refresh(path: Path, timeout: int = 600) -> None:
    """Executes one notebook in its own folder and writes it back; a cell that fails raises and leaves the file as it was."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        store_widget_state=False,
        record_timing=False,
        coalesce_streams=True,
    )
    client.execute()
    normalise(notebook)
    nbformat.write(notebook, path)


def normalise(notebook: NotebookNode) -> None:
    """Removes, in place, what differs from run to run or weighs without being seen."""
    notebook.metadata = nbformat.from_dict(METADATA)
    for number, cell in enumerate(notebook.cells, 1):
        cell.id = f"cell-{number:02d}"  # random ones would make every diff long
        cell.metadata = nbformat.from_dict({key: cell.metadata[key] for key in ("tags",) if key in cell.metadata})
        for output in cell.get("outputs", ()):
            normalise_output(output)


def normalise_output(output: NotebookNode) -> None:
    """One output: pictures get a palette; a widget keeps its still and its text, since its state is not stored."""
    data = output.get("data", {})
    data.pop(WIDGET_VIEW, None)
    if "image/png" in data or PLOTLY in data:
        data.pop("text/html", None)  # megabytes of script, which git hosts remove, and it would hide the picture
    if "image/png" in data:
        data["image/png"] = base64.b64encode(with_palette(base64.b64decode(data["image/png"]))).decode()


def with_palette(png: bytes) -> bytes:
    """The picture in 256 colours on white, which is a third of the bytes; one that has a palette, or would not shrink, stays as it is."""
    image = Image.open(io.BytesIO(png))
    if image.mode == "P":
        return png
    rgba = image.convert("RGBA")
    white = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return min(palette_png(np.asarray(white)), png, key=len)


def main(paths: list[Path]) -> None:
    """Refreshes each notebook and says how long it took and how large it is."""
    for path in paths:
        began = time.perf_counter()
        refresh(path)
        print(f"{path}: {time.perf_counter() - began:.0f} s, {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
