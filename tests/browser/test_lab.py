"""The explorer in JupyterLab, in a real browser: keys change pixels and nothing else; latency is printed, not asserted."""

from math import isnan
from pathlib import Path
from statistics import median

import pytest
from console import watched
from harness import stamp
from lab import PATIENCE, jupyter_lab, open_notebook, run_cell, write_notebook
from sample_trace import make_trace

STEPS = 28
ERROR = "[data-mime-type='application/vnd.jupyter.error']"
HERE = Path(__file__).parent
EXPLORE = f"""
import sys
from pathlib import Path
sys.path += [{str(HERE)!r}, {str(HERE.parent)!r}]
from harness import Stamped
from zvr_viz.explorer import explore
trace = Stamped(Path("trace.zarr").absolute())
first = explore(trace, step=0, frame=0, show=[])
first
"""
FETCH = "explore(trace, step=0, frame=0, show=[], budget=0)"
LIVE = """
import torch
from zvr_core import Restoration, load_clip, load_method, load_model
from zvr_core.bundled import bundled
torch.set_num_threads(1)
clip = load_clip(load_clip(bundled("inputs/pan/lq"))[:2][..., :12, :16], name="small")
viewer = explore(Restoration(clip, load_model("embedded"), load_method("diffir2vr"), steps=4))
viewer
"""
USABLE = "print('the kernel answers', 6 * 7)"
REST = "print('the first explorer rests at step', first.state['step'])"

GREY = """root => {
    const canvas = root.querySelector(".zvr-pair canvas");
    return canvas.getContext("2d").getImageData(canvas.width / 4, canvas.height / 4, 1, 1).data[0];
}"""
PRESS = """async (root, [shift, want]) => {
    const grey = GREY;
    const began = performance.now();
    root.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", shiftKey: shift, bubbles: true }));
    while (performance.now() - began < 20000) {
        await new Promise(requestAnimationFrame);
        if (Math.abs(grey(root) - want) <= 2) return performance.now() - began;
    }
    return NaN;
}""".replace("GREY", GREY)


@pytest.fixture(scope="module")
def lab(browser, tmp_path_factory):
    """A notebook with three explorers, run: everything preloaded, nothing preloaded, and a run."""
    folder = tmp_path_factory.mktemp("lab")
    with jupyter_lab(folder) as address:
        make_trace(folder / "notebooks" / "trace.zarr", steps=STEPS, frames=3, sites=(("up.1.0", 16),))
        name = write_notebook(folder, [text.strip() for text in (EXPLORE, FETCH, LIVE, REST, USABLE)])
        page = browser.new_page(viewport={"width": 1280, "height": 1400})
        complaints = watched(page)
        open_notebook(page, address, name)
        for number in range(3):
            run_cell(page, number)
        page.wait_for_function(
            f"document.querySelectorAll('.zvr').length === 3 || document.querySelector({ERROR!r})", timeout=1000 * PATIENCE
        )
        assert page.locator(ERROR).all_text_contents() == []
        yield page
        assert complaints == []


def explorer(page, number):
    """One explorer's root, in view, with the keyboard in it, at its first step."""
    root = page.locator(".zvr").nth(number)
    root.scroll_into_view_if_needed()
    root.focus()
    page.keyboard.press("Home")
    at_step(page, number, 0)
    return root


def at_step(page, number, step):
    """Waits until a step is on the screen."""
    page.wait_for_function(f"document.querySelectorAll('.zvr')[{number}].dataset.step === '{step}'", timeout=1000 * PATIENCE)


def test_keys_change_the_step_and_the_pixels(lab):
    root = explorer(lab, 0)
    for key, step in (("ArrowRight", 1), ("Shift+ArrowRight", 6), ("ArrowLeft", 5), ("End", STEPS - 1), ("Home", 0)):
        lab.keyboard.press(key)
        at_step(lab, 0, step)
        assert root.evaluate(GREY) == pytest.approx(stamp(step, 0), abs=2)
        assert f"step {step} of" in root.get_by_label("step", exact=True).get_attribute("aria-valuetext")


def test_jupyterlabs_shortcuts_do_not_fire_inside(lab):
    explorer(lab, 0)
    cells = lab.locator(".jp-Cell").count()
    for key in ("b", "a", "x", "d", "d", "y", "r"):
        lab.keyboard.press(key)
    lab.wait_for_timeout(300)
    assert lab.locator(".jp-Cell").count() == cells
    assert lab.locator(".jp-MarkdownCell").count() == 0


def test_the_kernel_hears_where_the_cursor_came_to_rest(lab):
    explorer(lab, 0)
    lab.keyboard.press("Shift+ArrowRight")
    at_step(lab, 0, 5)
    lab.wait_for_timeout(500)
    run_cell(lab, 3)
    lab.wait_for_selector("text=the first explorer rests at step 5", timeout=1000 * PATIENCE)


@pytest.mark.parametrize(("number", "leap", "what"), [(0, 1, "preloaded"), (1, 5, "fetched from the kernel")])
def test_latency_is_measured(lab, number, leap, what, capsys):
    root = explorer(lab, number)
    lab.wait_for_timeout(1000)  # what is loaded ahead has come; five steps on is beyond that
    times = [root.evaluate(PRESS, [leap > 1, stamp(step, 0)]) for step in range(leap, STEPS, leap)]
    assert not any(map(isnan, times))
    spread = f"median of {len(times)}, {min(times):.0f} to {max(times):.0f}"
    with capsys.disabled():
        print(f"\nJupyterLab, {what}: key press to pixels {median(times):.0f} ms ({spread})")


def test_a_run_is_driven_from_the_view_while_the_kernel_answers(lab):
    root = explorer(lab, 2)
    root.get_by_role("button", name="Step", exact=True).click()
    words = root.locator(".zvr-status")
    lab.wait_for_function(
        "document.querySelectorAll('.zvr')[2].querySelector('.zvr-status').textContent.startsWith('1 of 4')", timeout=60000
    )
    root.get_by_role("button", name="Run", exact=True).click()
    run_cell(lab, 4)
    lab.wait_for_selector("text=the kernel answers 42", timeout=60000)
    lab.wait_for_function(
        "document.querySelectorAll('.zvr')[2].querySelector('.zvr-status').textContent.startsWith('4 of 4')", timeout=60000
    )
    assert "finished" in words.text_content()
    assert root.get_attribute("data-step") == "3"
