"""Shared fixtures: one thread (two busy threads are often slower than one), the embedded model, small clips."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)

DATA = Path(__file__).parents[2] / "shared" / "data"  # development data beside the checkout; never needed


@pytest.fixture(scope="session")
def development_data() -> Path:
    """The folder of development data, or a skip where there is none."""
    if not DATA.is_dir():
        pytest.skip("no development data beside the checkout")
    return DATA


@pytest.fixture(scope="session")
def embedded():
    """The embedded model, loaded as users load it."""
    from zvr_core.models.load import load_model

    return load_model("embedded")


@pytest.fixture(scope="session")
def plain(embedded):
    """A short run to its end that nobody records: what recording it must not change."""
    from recording import a_run

    return a_run(embedded).finish()


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)
