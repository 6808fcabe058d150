"""The committed notebooks keep the rules, the rules find what they name, and refreshing gives the same bytes twice."""

import inspect
import io
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbformat import v4
from nbval import plugin
from notebook_rules import CAPTION, problems
from PIL import Image
from refresh_notebooks import refresh, with_palette
from skimage import data

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
FIGURE = """
import matplotlib.pyplot as plt
import numpy as np
picture = np.linspace(0, 1, 64).reshape(8, 8)
plt.imshow(picture)
plt.show()
print(f"mean {picture.mean():.1f}")
"""


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_committed_notebook_keeps_the_rules(path):
    assert problems(nbformat.read(path, as_version=4), path.stat().st_size) == []


def executed(source, outputs=(), count=1, **metadata):
    """A code cell as it is stored after it ran."""
    return v4.new_code_cell(source, execution_count=count, outputs=list(outputs), metadata=metadata)


def text(value, name="stdout"):
    return v4.new_output("stream", name=name, text=value)


def picture(bytes_of_base64=400):
    return v4.new_output("display_data", {"image/png": "A" * bytes_of_base64, "text/plain": "<Figure size 640x480 with 1 Axes>"})


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        ([v4.new_code_cell("print(1)")], "stripped"),
        ([executed("1", count=2)], "execution count 2"),
        ([executed("ax.imshow(x);")], "semicolon"),
        ([executed("clear_output(wait=True)")], "clear_output"),
        ([executed("display(x, display_id='a')")], "display_id"),
        ([executed("with Output(): print(1)")], "Output("),
        ([executed("print(torch.__version__)")], "__version__"),
        ([executed("f()", [text("slow\n", "stderr")])], "stderr: slow"),
        ([executed("f()", [v4.new_output("error", ename="KeyError")])], "KeyError"),
        ([executed("f()", [text("PSNR 26.08 dB\n")])], "prints 26.08"),
        ([executed("f()", [text("/home/me/clip.mp4\n")])], "path of this machine"),
        ([executed("w", [v4.new_output("display_data", {"application/vnd.jupyter.widget-view+json": {}})])], "widget without its state"),
        ([executed("plt.show()", [picture()]), v4.new_markdown_cell(f"{CAPTION} A cat.")], "without its number"),
        ([executed("plt.show()", [picture(), text("0.5\n")]), v4.new_markdown_cell("So.")], "without words"),
        ([executed("plt.show()", [picture(), text("0.5\n")])], "without words"),
        ([executed("plt.show()", [picture(300_000), text("0.5\n")]), v4.new_markdown_cell(f"{CAPTION} A cat.")], "225 kB"),
        ([executed("chart", [v4.new_output("display_data", {"application/vnd.plotly.v1+json": {}})])], "without a still"),
        ([v4.new_markdown_cell("word " * 1300)], "1300 words"),
        ([executed("x\n" * 160)], "160 code lines"),
        ([executed("1", count=n) for n in range(1, 28)], "27 code cells"),
        ([executed("check()", tags=["check"])], "1 checked exercises and 0 solutions"),
        ([executed("1", count=n, tags=["nbval-ignore-output"]) for n in (1, 2)], "what is ignored"),
    ],
)
def test_the_rules_find(cells, problem):
    assert any(problem in found for found in problems(v4.new_notebook(cells=cells), 1000)), problems(v4.new_notebook(cells=cells), 1000)


def test_the_rules_find_weight_and_widget_state():
    found = problems(v4.new_notebook(metadata={"widgets": {}}), 2_000_000)
    assert found == ["stores widget state, which needs the network to show", "2.00 MB; at most 1"]


def test_the_rules_let_a_good_notebook_pass():
    cells = [executed("plt.show()", [picture(), text("0.5 and 26 dB of 192x256\n")]), v4.new_markdown_cell(f"{CAPTION} A cat.")]
    assert problems(v4.new_notebook(cells=cells), 1000) == []


def test_a_palette_makes_pictures_lighter_and_hardly_changes_them():
    pixels = data.chelsea()
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    light = with_palette(buffer.getvalue())
    assert len(light) < len(buffer.getvalue()) / 2
    assert np.abs(np.asarray(Image.open(io.BytesIO(light)).convert("RGB")).astype(int) - pixels).mean() < 3


@pytest.fixture(scope="module")
def refreshed(tmp_path_factory):
    """A notebook with a picture and an exercise, refreshed, beside the conftest that strict nbval needs."""
    folder = tmp_path_factory.mktemp("notebooks")
    cells = [
        v4.new_code_cell(FIGURE.strip()),
        v4.new_code_cell("def double(x):\n    return x  # your turn"),
        v4.new_code_cell("print('right' if double(2) == 4 else 'not yet')", metadata={"tags": ["check"]}),
        v4.new_markdown_cell("<details><summary>Solution</summary>\n\n```python\ndef double(x):\n    return 2 * x\n```\n</details>"),
    ]
    path = folder / "tiny.ipynb"
    nbformat.write(v4.new_notebook(cells=cells), path)
    refresh(path)
    (folder / "conftest.py").write_text((ROOT / "notebooks" / "conftest.py").read_text())
    return path


def test_refreshing_twice_gives_the_same_bytes(refreshed):
    first = refreshed.read_bytes()
    refresh(refreshed)
    assert refreshed.read_bytes() == first
    assert b"image/png" in first
    assert b"mean 0.5" in first


def test_strict_nbval_passes_it_and_its_solution_and_finds_a_changed_number_and_a_wrong_solution(refreshed):
    changed = refreshed.read_text().replace("mean 0.5", "mean 0.6").replace("return 2 * x", "return 3 * x")
    refreshed.with_name("wrong.ipynb").write_text(changed)
    options = ["--nbval", "--nbval-current-env", "--nbval-sanitize-with", str(ROOT / "tests" / "nbval_sanitize.cfg")]
    command = [sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider", "--rootdir", str(refreshed.parent), *options]
    said = subprocess.run(command, capture_output=True, text=True, cwd=refreshed.parent, check=False).stdout
    assert {line.split(" - ")[0] for line in said.splitlines() if line.startswith("FAILED")} == {
        "FAILED wrong.ipynb::Cell 0",
        "FAILED wrong.ipynb::Solution 1",
    }, said
    assert "2 failed, 6 passed" in said  # in each three cells and a solution


def test_a_failing_cell_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "broken.ipynb"
    nbformat.write(v4.new_notebook(cells=[v4.new_code_cell("1 / 0")]), path)
    before = path.read_bytes()
    with pytest.raises(Exception, match="ZeroDivisionError"):
        refresh(path)
    assert path.read_bytes() == before


def test_nbval_still_has_what_the_conftest_touches(pytestconfig):
    assert "self.skip_compare" in inspect.getsource(plugin.IPyNbFile)
    assert "self.output_timeout = 5" in inspect.getsource(plugin.IPyNbCell)
