from __future__ import annotations

from pathlib import Path

import pytest

from layerscope.runs.load import Run


@pytest.fixture
def invented_run_of_nothing(tmp_path: Path) -> Run:
    return Run(tmp_path, (), {})
