"""The committed tables of results: they open, they are what their Markdown says, and the README shows their numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
from readme_tables import FOLDER, quality_rows, short_rows

from zvr_core.evaluation.table import open_table
from zvr_core.evaluation.text import as_markdown

README = (Path(__file__).parents[1] / "README.md").read_text()
TABLES = sorted(path.stem for path in FOLDER.glob("*.json"))


def test_the_tables_are_there():
    assert TABLES == ["matchers", "methods", "table_1", "table_2_left", "table_2_right", "table_4"]


@pytest.mark.parametrize("name", TABLES)
def test_text_and_numbers_are_the_same(name):
    assert (FOLDER / f"{name}.md").read_text() == as_markdown(open_table(FOLDER / f"{name}.json"))


@pytest.mark.parametrize("row", quality_rows(open_table(FOLDER / "methods.json")))
def test_the_readme_shows_what_was_measured(row):
    assert row in README


@pytest.mark.parametrize("row", short_rows(open_table(FOLDER / "table_2_right.json")))
def test_the_readme_shows_when_warping_matters(row):
    assert row in README
