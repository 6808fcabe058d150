"""The explorer outside JupyterLab: the real widget in Python and its real module in a page, with a wire between them."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image
from zarr.storage import LocalStore

from zvr_core.trace import Trace
from zvr_viz.explorer import Explorer
from zvr_viz.module import module_text, style_text

GREYS = 8  # levels from one step to the next: JPEG keeps them apart

PAGE = """<!doctype html><style>body {{ margin: 16px }} {style}</style><div id="explorer"></div>
<script type="text/plain" id="module">{module}</script>"""

START = """async ([state, pack, delay]) => {
  const bytes = (text) => new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
  const given = { ...state, pack: bytes(pack) };
  const heard = {};
  const fire = (name, ...args) => (heard[name] ?? []).forEach((act) => act(...args));
  const model = {
    get: (name) => given[name],
    set: (name, value) => { given[name] = value; fire("change:" + name); },
    save_changes: () => tell(given.state),
    send: async (message) => {
      (window.sent ??= []).push(message);
      const answer = await ask(message);
      if (message.kind !== "more") await new Promise((done) => setTimeout(done, delay));
      if (answer) fire("msg:custom", answer.content, answer.buffers.map(bytes));
    },
    on: (name, act) => (heard[name] ??= []).push(act),
    off: (name, act) => (heard[name] = (heard[name] ?? []).filter((other) => other !== act)),
  };
  window.model = model;
  const url = URL.createObjectURL(new Blob([document.getElementById("module").textContent], { type: "text/javascript" }));
  window.close = (await import(url)).default.render({ model, el: document.getElementById("explorer") });
}"""

PAIR = ".zvr-pair canvas"
COLOUR = """([part, u, v]) => {
  const canvas = document.querySelector(part);
  const { width, height } = canvas;
  return [...canvas.getContext("2d").getImageData(Math.floor(u * width), Math.floor(v * height), 1, 1).data].slice(0, 3);
}"""


class Wired(Explorer):
    """An explorer whose answers are kept for the page instead of being sent to a kernel's front end."""

    def send(self, content, buffers=None):
        self.answered = {"content": content, "buffers": [base64.b64encode(data).decode() for data in buffers or []]}

    def ask(self, message):
        self.answered = None
        self.answer(message)
        return self.answered


class Stamped(Trace):
    """A trace whose pictures are grey: their level tells step and frame."""

    def __init__(self, path: Path) -> None:
        super().__init__(LocalStore(path, read_only=True), str(path))

    def preview_jpeg(self, step: int, frame: int) -> bytes:
        out = io.BytesIO()
        super().preview_jpeg(step, frame)
        Image.fromarray(np.full((48, 64, 3), stamp(step, frame), np.uint8)).save(out, "JPEG", quality=95)
        return out.getvalue()


def stamp(step: int, frame: int) -> int:
    """The grey of a step and frame."""
    return 20 + GREYS * step + 3 * frame


def open_widget(page, widget: Wired, delay: int = 0) -> None:
    """Shows a widget in the page; answers to requests come `delay` milliseconds late."""
    told: list[dict] = []
    widget.told = told
    page.expose_function("ask", lambda message: widget.ask(message))
    page.expose_function("tell", lambda state: told.append(state))
    page.set_content(PAGE.format(style=style_text(), module=module_text()))
    state = {name: getattr(widget, name) for name in ("head", "index", "state", "live")}
    page.evaluate(START, [state, base64.b64encode(widget.pack).decode(), delay])
    page.locator(".zvr").focus()


def shown(page, step: int) -> None:
    """Waits until a step is on the screen."""
    page.wait_for_function("step => document.querySelector('.zvr')?.dataset.step === String(step)", arg=step)


def grey(page, part: str, u: float, v: float) -> int:
    """The grey level of a pixel, at shares (u, v) of the width and height of a canvas; fails where it is coloured."""
    r, g, b = page.evaluate(COLOUR, [part, u, v])
    assert max(r, g, b) - min(r, g, b) <= 2
    return g
