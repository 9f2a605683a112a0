"""Fixtures shared by the whole suite."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples in every run: a check that fails now and then says nothing of the change it is run for.
settings.register_profile("layerscope", derandomize=True)
settings.load_profile("layerscope")

ROOT = Path(__file__).resolve().parents[1]

# ``python -m pytest`` puts the working directory first on the path, where ``layerscope/`` lies without its wings.
# The suite tests the *installed* package (wheel or editable), so that entry is taken out before anything is imported.
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real measurements, or skip the test with the reason."""
    folder = Path(os.environ.get("LAYERSCOPE_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real measurements not found at {folder}; set LAYERSCOPE_TEST_DATA")
    return folder


@pytest.fixture(scope="session")
def reference_data() -> Path:
    """Return the folder of the cases with known truth that ship with the repository."""
    return ROOT / "reference_data"
