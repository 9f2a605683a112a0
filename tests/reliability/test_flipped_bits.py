"""A single bit that flips in a finished run is found, wherever it is, and the file is named."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from layerscope.runs.validate import validate_run

PLACES = (0.01, 0.37, 0.74, 0.999)
"""Where in a file the bit is, as shares of its length; the last bytes of a table are its own description."""
KINDS = {
    "record": "records/*.json",
    "array": "arrays/*.nxs",
    "table": "quantities.parquet",
    "source data of a figure": "figures/*.csv",
    "picture": "figures/*.svg",
    "report": "report.html",
}


@pytest.fixture(scope="module")
def finished(reference_run: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flipped") / "run"
    shutil.copytree(reference_run("xps_in3d_null/recipe.toml"), folder)
    assert validate_run(folder) == []
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_one_flipped_bit_is_found_and_its_file_is_named(kind: str, finished: Path) -> None:
    file = sorted(finished.glob(KINDS[kind]))[0]
    whole = file.read_bytes()
    for number, place in enumerate(PLACES):
        damaged = bytearray(whole)
        damaged[int(place * len(whole))] ^= 1 << (2 * number % 8)
        file.write_bytes(damaged)
        problems = validate_run(finished)
        assert any(problem.source == str(file) for problem in problems), (kind, place)
    file.write_bytes(whole)
    assert validate_run(finished) == []
