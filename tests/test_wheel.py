"""An installed wheel holds the embedded model and the bundled clips, and finds them."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_a_wheel_holds_the_data_and_no_leftovers(tmp_path):
    pytest.importorskip("hatchling", reason="building a wheel offline needs hatchling")
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet", "-w", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("zvr-*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"zvr_core/data/embedded/unet/diffusion_pytorch_model.safetensors", "zvr_core/data/inputs/pan/lq/00000.png"} <= names
    assert {"zvr_core/data/SOURCES.md", "zvr_viz/__init__.py"} <= names
    assert not [name for name in names if "__pycache__" in name]
    subprocess.run([sys.executable, "-m", "zipfile", "-e", str(wheel), str(tmp_path / "installed")], check=True)
    code = "import zvr_core.bundled as b; print(b.bundled('embedded'))"
    found = subprocess.run([sys.executable, "-c", code], cwd=tmp_path / "installed", capture_output=True, text=True, check=True)
    assert str(tmp_path / "installed") in found.stdout
