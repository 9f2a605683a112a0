"""The phase-fraction table of a diffraction run, as numbers and as print."""

from __future__ import annotations

import csv
import importlib.util
import math
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from layerscope.diffraction.exports import FORMATS
from layerscope.diffraction.phase_table import collect_series, number_columns, text_table

from layerscope.records.formatting import parse_value

_SPEC = importlib.util.spec_from_file_location("xrd_case", Path(__file__).with_name("xrd_case.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
case = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(case)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return case.peaks_run(tmp_path_factory.mktemp("peaks") / "run")


@pytest.fixture(scope="module")
def refined(tmp_path_factory):
    return case.rietveld_run(tmp_path_factory.mktemp("rietveld") / "run")


def rows_of(run, tmp_path):
    parquet, text = FORMATS["phases"](run, tmp_path)
    return pq.read_table(parquet).to_pylist(), text


def test_every_frame_has_a_row_with_its_fractions_errors_and_limits(run, tmp_path):
    rows, _ = rows_of(run, tmp_path)
    assert len(rows) == 2 * len(case.USED)
    for row in rows:
        sample, frame = row["sample"][0], row["frame"]
        assert frame != case.LOST
        assert row["voltage_V"] == case.VOLTAGE[frame]
        for phase, head in (("O3'/H1-3", "fraction_O3p_H1_3"), ("H1-3", "fraction_H1_3")):
            truth = case.shares(sample, frame)[phase]
            if truth is None:
                assert row[f"{head}_upper_limit"] == case.LIMIT
            else:
                assert row[head] == truth
                assert row[f"{head}_sigma"] == case.SIGMA[phase]
                assert row[f"{head}_upper_limit"] is None


def test_the_total_carries_its_own_error_and_not_the_sum_of_squares(run, tmp_path):
    rows, _ = rows_of(run, tmp_path)
    row = next(r for r in rows if r["sample"] == "P-LCO" and r["frame"] == 4)
    assert row["total_O3p_H1_3_H1_3"] == pytest.approx(0.65)
    assert row["total_O3p_H1_3_H1_3_sigma"] == case.TOTAL_SIGMA
    assert math.hypot(case.SIGMA["O3'/H1-3"], case.SIGMA["H1-3"]) > case.TOTAL_SIGMA


def test_a_width_that_the_series_shares_stands_only_where_the_phase_is(run, tmp_path):
    rows, _ = rows_of(run, tmp_path)
    for row in rows:
        there = case.shares(row["sample"][0], row["frame"])["H1-3"] is not None
        assert row["fwhm_H1_3_deg"] == (pytest.approx(0.14) if there else None)


def test_csv_and_parquet_hold_the_same_numbers_exactly(run, tmp_path):
    rows, text = rows_of(run, tmp_path)
    with text.open(newline="", encoding="utf-8") as stream:
        read = list(csv.DictReader(stream))
    assert len(read) == len(rows)
    for ours, theirs in zip(rows, read, strict=True):
        assert list(ours) == list(theirs)
        for key, value in ours.items():
            if isinstance(value, float):
                assert float(theirs[key]) == value
            else:
                assert theirs[key] == ("" if value is None else str(value))


def test_columns_carry_unit_and_quantity(run):
    table = number_columns(collect_series(run.records))
    about = table.schema.field("d_O3p_angstrom").metadata
    assert about[b"unit"] == b"angstrom"
    assert about[b"quantity"] == b"lattice.d_spacing"
    assert table.schema.field("fraction_H1_3_upper_limit").metadata[b"confidence"] == b"0.95"


def test_printed_values_read_back_within_their_rounding(run):
    series = next(s for s in collect_series(run.records) if s.sample == "P-LCO")
    table = text_table(series)
    column = table.columns.index("w(H1-3)")
    for row, frame in zip(table.rows, case.USED, strict=True):
        assert row[0] == str(frame)
        truth = case.shares("P", frame)["H1-3"]
        if truth is None:
            assert row[column] == "< 0.0073"
        else:
            assert parse_value(row[column]) == (pytest.approx(truth), pytest.approx(0.002))
    assert [row[table.columns.index("flags")] for row in table.rows] == [""] * 5 + ["GHOST:H1-3", ""]
    assert table.rows[0][table.columns.index("Rwp / %")] == "5.00"


def test_held_constants_and_b_equal_to_a_are_not_printed(refined):
    (series,) = collect_series(refined.records)
    columns = text_table(series).columns
    assert "a(O3) / Å" in columns
    assert "c(H1-3) / Å" in columns
    assert not [c for c in columns if c.startswith(("b(", "γ", "gamma"))]
    assert "gamma_O3_deg" in number_columns([series]).column_names


def test_markdown_has_as_many_cells_in_every_row(run, tmp_path):
    (path,) = FORMATS["markdown"](run, tmp_path)
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    assert len(lines) == 2 * (len(case.USED) + 2)
    assert len({line.count("|") for line in lines}) == 1
    assert "**P-LCO (xrd_peaks.frame)**" in path.read_text(encoding="utf-8")


def test_latex_is_ascii_escaped_and_has_the_rules_of_booktabs(run, tmp_path):
    (path,) = FORMATS["latex"](run, tmp_path)
    text = path.read_text(encoding="utf-8")
    assert text.isascii()
    assert text.count(r"\toprule") == text.count(r"\midrule") == text.count(r"\bottomrule") == 2
    assert "xrd\\_peaks.frame" in text
    assert "$<$ 0.0073" in text
    columns = text.partition(r"\begin{tabular}{")[2].partition("}")[0]
    body = [line for line in text.splitlines() if line.endswith(r" \\")]
    assert {line.replace(r"\&", "").count("&") + 1 for line in body} == {len(columns)}


def test_a_long_latex_table_breaks_over_pages(tmp_path):
    run = case.rietveld_run(tmp_path / "run", frames=50)
    (path,) = FORMATS["latex"](run, tmp_path)
    text = path.read_text()
    assert r"\begin{longtable}" in text
    assert r"\begin{tabular}" not in text


def test_the_same_records_give_the_same_bytes(run, tmp_path):
    names = ("phases", "markdown", "latex")
    first = [p.read_bytes() for name in names for p in FORMATS[name](run, tmp_path)]
    assert first == [p.read_bytes() for name in names for p in FORMATS[name](run, tmp_path)]


def test_records_without_fractions_give_no_table(run, tmp_path):
    nothing = run.select(method="xrd_peaks.series")
    assert all(not FORMATS[name](nothing, tmp_path) for name in ("phases", "markdown", "latex"))
