"""The list of training photographs is frozen, and holds nothing that clips, tests or tables use."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

import pytest
import skimage.data

from zvr_core.bundled import bundled

USED = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png", "motorcycle_right.png", "motorcycle_disp.npz")


@pytest.fixture(scope="module")
def listed() -> list[tuple[str, str, str]]:
    """(SHA-256, split, name) of each photograph."""
    lines = bundled("embedded/training_files.txt").read_text().splitlines()
    return [(digest, split, name) for digest, split, name in (line.split(" ", 2) for line in lines)]


def overlap(listed: list[tuple[str, str, str]], files: Iterable[Path]) -> set[str]:
    """The files that are on the list, by content or by name."""
    hashes, names = {digest for digest, _, _ in listed}, {Path(name).name for _, _, name in listed}
    found = list(files)
    assert found
    return {str(path) for path in found if path.name in names or hashlib.sha256(path.read_bytes()).hexdigest() in hashes}


def photographs() -> list[Path]:
    """The files of scikit-image that scenes are made of."""
    return [Path(skimage.data.__file__).parent / name for name in USED]


def test_the_list_is_well_formed(listed: list[tuple[str, str, str]]) -> None:
    assert len(listed) > 200
    for digest, split, name in listed:
        assert re.fullmatch(r"[0-9a-f]{64}", digest)
        assert split in {"train", "val"}
        assert name == name.strip()
        assert not Path(name).is_absolute()


def test_no_photograph_is_listed_twice(listed: list[tuple[str, str, str]]) -> None:
    assert len({digest for digest, _, _ in listed}) == len({name for _, _, name in listed}) == len(listed)


def test_no_bundled_input_was_trained_on(listed: list[tuple[str, str, str]]) -> None:
    assert not overlap(listed, (path for path in bundled("inputs").rglob("*") if path.is_file()))


def test_no_photograph_of_a_scene_was_trained_on(listed: list[tuple[str, str, str]]) -> None:
    assert not overlap(listed, photographs())


def test_the_sources_name_the_photographs_by_their_hashes() -> None:
    sources = bundled("SOURCES.md").read_text()
    for path in photographs():
        assert re.search(rf"{re.escape(path.name)}.*{hashlib.sha256(path.read_bytes()).hexdigest()}", sources)


@pytest.mark.parametrize("folder", ["clips", "flow_gt"])
def test_no_development_clip_was_trained_on(listed: list[tuple[str, str, str]], development_data: Path, folder: str) -> None:
    assert not overlap(listed, (path for path in (development_data / folder).rglob("*") if path.is_file()))
