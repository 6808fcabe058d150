"""A JupyterLab of its own for a test: a free port, no token, settings and kernels in a temporary folder, gone at the end."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
from nbformat import v4

QUIET = '{"fetchNews": "false", "checkForUpdates": false}'
PATIENCE = 120  # seconds; machines that test are slow


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def jupyter_lab(folder: Path) -> Iterator[str]:
    """The address of a JupyterLab that shows `folder / "notebooks"`; on leaving, server and kernels end."""
    shown = folder / "notebooks"
    settings = folder / "settings" / "@jupyterlab" / "apputils-extension"
    for path in (shown, settings):
        path.mkdir(parents=True, exist_ok=True)
    (settings / "notification.jupyterlab-settings").write_text(QUIET)
    own = {f"JUPYTER_{kind}_DIR": str(folder / kind.lower()) for kind in ("CONFIG", "DATA", "RUNTIME")}
    own |= {"JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"), "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces")}
    port = free_port()
    options = [f"--ServerApp.port={port}", "--ServerApp.port_retries=0", "--IdentityProvider.token=", f"--ServerApp.root_dir={shown}"]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", *options]
    log = (folder / "lab.log").open("w")
    server = subprocess.Popen(command, env={**os.environ, **own}, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield wait_for(f"http://127.0.0.1:{port}", server, folder / "lab.log")
    finally:
        server.terminate()  # its kernels end with it
        server.wait(PATIENCE)
        log.close()


def wait_for(address: str, server: subprocess.Popen, log: Path) -> str:
    """The address, once somebody answers there."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if server.poll() is not None:
            break
        try:
            urllib.request.urlopen(f"{address}/api/status", timeout=5).close()
            return address
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()[-2000:]}")


def write_notebook(folder: Path, sources: list[str]) -> str:
    """A notebook with these code cells in the folder that is shown; its name."""
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cells = [v4.new_code_cell(source) for source in sources]
    nbformat.write(v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), folder / "notebooks" / "test.ipynb")
    return "test.ipynb"


def open_notebook(page, address: str, name: str) -> None:
    """Opens a notebook alone on the page (/lab/tree would bring back old tabs) and waits for its kernel."""
    page.goto(f"{address}/doc/tree/{name}")
    page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]", timeout=1000 * PATIENCE)


def run_cell(page, number: int) -> None:
    """Runs a cell; again, should JupyterLab have been too busy to notice."""
    cell = page.locator(".jp-CodeCell").nth(number)
    for _ in range(PATIENCE // 5):
        cell.locator(".cm-content").click()
        page.keyboard.press("Shift+Enter")
        page.wait_for_timeout(500)
        for _ in range(9):
            if "[ ]" not in cell.locator(".jp-InputPrompt").first.inner_text():
                return
            page.wait_for_timeout(500)
    raise RuntimeError(f"cell {number} did not start")
