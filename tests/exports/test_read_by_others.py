"""The table of a run as other programs read it: pandas and DuckDB, from Parquet and from CSV."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from layerscope.runs.export import export_run
from layerscope.runs.load import Run, load_run


@pytest.fixture(scope="module")
def run(reference_run: Callable[[str], Path]) -> Run:
    return load_run(reference_run("xps_in3d_null/recipe.toml"))


@pytest.fixture(scope="module")
def csv(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    (path,) = export_run(run, "csv", tmp_path_factory.mktemp("csv"))
    return path


def test_pandas_reads_the_same_numbers_from_parquet_and_csv(run: Run, csv: Path) -> None:
    stored = pd.read_parquet(run.folder / "quantities.parquet")
    pd.testing.assert_frame_equal(stored, run.table)
    text = pd.read_csv(csv)
    for name in ("value", "sigma", "upper_limit", "low", "high"):
        assert text[name].to_numpy() == pytest.approx(run.table[name].to_numpy(), rel=1e-15, nan_ok=True)
    assert list(text["quantity"]) == list(run.table["quantity"])


def test_duckdb_reads_the_same_numbers_from_parquet_and_csv(run: Run, csv: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed: extra verify")
    shares = run.table[run.table["quantity"] == "species.fraction"]
    for read, source in ((duckdb.read_parquet, run.folder / "quantities.parquet"), (duckdb.read_csv, csv)):
        found = read(str(source)).filter("quantity = 'species.fraction'")
        rows = found.project("sample, component, value, sigma, upper_limit").fetchall()
        wanted = shares[["sample", "component", "value", "sigma", "upper_limit"]].itertuples(index=False, name=None)
        assert len(rows) == len(shares) > 0
        for row, want in zip(rows, wanted, strict=True):
            assert row[:2] == want[:2]
            for number, value in zip(row[2:], want[2:], strict=True):
                assert number == value or (number is None and math.isnan(value))
