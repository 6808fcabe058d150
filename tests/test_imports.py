"""What importing costs, and who may import whom."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def loaded_by(code):
    """The top-level modules that are loaded after `code` ran in a fresh process."""
    script = f"{code}\nimport sys; print(' '.join(sorted(m for m in sys.modules if '.' not in m)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "code",
    [
        "import zvr_core",
        "import zvr_viz",
        "import zvr_core.cli",
        "import zvr_core.cli as c\ntry: c.main(['--help'])\nexcept SystemExit: pass",
        "import zvr_core.cli as c\ntry: c.main(['methods'])\nexcept SystemExit: pass",
        "import zvr_core.cli as c\ntry: c.main(['restore', '/nowhere.mp4', '-o', 'x.mp4'])\nexcept SystemExit: pass",
        "import zvr_core.cli as c\ntry: c.main(['restore', '.', '-o', 'x.mp4', '--method', 'none'])\nexcept SystemExit: pass",
    ],
)
def test_torch_and_diffusers_stay_out(code):
    assert not {"torch", "diffusers", "kornia", "cv2"} & loaded_by(code)


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_the_core_knows_neither_pictures_nor_notebooks():
    for path in (ROOT / "zvr_core").rglob("*.py"):
        assert not [name for name in imports_of(path) if name.split(".")[0] in {"zvr_viz", "IPython", "ipywidgets"}], path


def test_torchvision_is_never_imported():
    for package in ("zvr_core", "zvr_viz"):
        for path in (ROOT / package).rglob("*.py"):
            assert "torchvision" not in {name.split(".")[0] for name in imports_of(path)}, path


def test_every_lazy_name_exists():
    import zvr_core

    assert all(getattr(zvr_core, name) is not None for name in zvr_core.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Clipp'; it has"):
        _ = zvr_core.Clipp
