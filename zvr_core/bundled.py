"""Finds the files that come with zvr: `data/` beside the package in a checkout, `zvr_core/data` in an installed wheel."""

from __future__ import annotations

from pathlib import Path

from zvr_core.errors import ZvrError, unknown

PACKAGE = Path(__file__).resolve().parent
ROOTS = (PACKAGE / "data", PACKAGE.parent / "data")  # a wheel, a checkout


def bundled(name: str) -> Path:
    """The path of a bundled file or folder such as "embedded" or "inputs/pan"; raises ZvrError for a name that does not exist."""
    root = next((r for r in ROOTS if (r / "SOURCES.md").is_file()), None)
    if root is None:
        raise ZvrError(f"the bundled data is in neither {ROOTS[0]} nor {ROOTS[1]}; install zvr again")
    path = (root / name).resolve()
    if not name or not path.is_relative_to(root) or not path.exists():
        raise unknown("bundled file", name, [p.relative_to(root).as_posix() for p in (*root.glob("*"), *root.glob("inputs/*"))])
    return path
