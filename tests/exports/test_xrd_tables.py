"""The phase-fraction table of a diffraction run, as numbers and as print."""

from __future__ import annotations

import csv
import importlib.util
import math
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from layerscope.diffraction.exports import FORMATS
from layerscope.diffraction.phase_table import collect_series, number_columns
from layerscope.diffraction.tables import peaks_tables, rietveld_tables

from layerscope.records.formatting import parse_value
from layerscope.runs.export import FORMATS as CORE_FORMATS

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
    table = next(t for t in peaks_tables(run.records) if t.title == "P-LCO: weight fractions")
    column = table.columns.index("H1-3")
    for row, frame in zip(table.rows, case.USED, strict=True):
        assert row[0] == str(frame)
        truth = case.shares("P", frame)["H1-3"]
        if truth is None:
            assert row[column] == "< 0.0073"
        else:
            assert parse_value(row[column]) == (pytest.approx(truth), pytest.approx(0.002))
    assert [row[table.columns.index("flags")] for row in table.rows] == [""] * 5 + ["GHOST:H1-3", ""]
    spacings = next(t for t in peaks_tables(run.records) if t.title == "P-LCO: spacings")
    assert spacings.rows[0][spacings.columns.index("Rwp / %")] == "5.00"
    assert spacings.rows[0][spacings.columns.index("d(O3') / Å")] == "4.7000(4)"


def test_held_constants_and_b_equal_to_a_are_not_printed(refined):
    (series,) = collect_series(refined.records)
    (table,) = rietveld_tables(refined.records)
    assert "O3: a / Å" in table.columns
    assert "H1-3: c / Å" in table.columns
    assert not [c for c in table.columns if ": b" in c or "gamma" in c]
    assert "gamma_O3_deg" in number_columns([series]).column_names


def test_few_patterns_have_a_row_a_phase(tmp_path):
    run = case.rietveld_run(tmp_path / "run", frames=3)
    (table,) = rietveld_tables(run.records)
    assert table.columns[:3] == ("frame", "voltage / V", "time / s")
    found = {(row[0], row[table.columns.index("component")]): row for row in table.rows}
    assert set(found) == {(str(frame), phase) for frame in range(3) for phase in ("O3", "H1-3")}
    assert found["2", "H1-3"][table.columns.index("c / Å")] == "27.0900(10)"
    assert found["0", "H1-3"][table.columns.index("wt")] == "< 0.0073"


def test_markdown_has_as_many_cells_in_every_row_of_a_table(run, tmp_path):
    (path,) = CORE_FORMATS["markdown"](run, tmp_path)
    text = path.read_text(encoding="utf-8")
    for table in peaks_tables(run.records):
        own = text.partition(f"**{table.title}**\n\n")[2].partition("\n\n")[0].splitlines()
        assert len(own) == len(table.rows) + 2
        assert len({line.count("|") for line in own}) == 1


def test_latex_is_ascii_escaped_and_has_the_rules_of_booktabs(run, tmp_path):
    (path,) = CORE_FORMATS["latex"](run, tmp_path)
    text = path.read_text(encoding="utf-8")
    assert text.isascii()
    tables = text.count(r"\caption{")
    assert tables > len(peaks_tables(run.records))
    assert text.count(r"\toprule") == text.count(r"\midrule") == text.count(r"\bottomrule") == tables
    assert "$<$ 0.0073" in text
    for part in re.sub(r"p\{[^}]*\}", "p", text).split(r"\begin{tabular}{")[1:]:
        body = [line for line in part.splitlines() if line.endswith(r" \\")]
        assert {line.replace(r"\&", "").count("&") + 1 for line in body} == {len(part.partition("}")[0])}


def test_a_long_latex_table_breaks_over_pages(tmp_path):
    run = case.rietveld_run(tmp_path / "run", frames=50)
    (path,) = CORE_FORMATS["latex"](run, tmp_path)
    text = path.read_text()
    assert r"\begin{longtable}" in text
    assert r"\begin{tabular}" not in text.partition("What was refined")[0]


def test_the_same_records_give_the_same_bytes(run, tmp_path):
    writers = (FORMATS["phases"], CORE_FORMATS["markdown"], CORE_FORMATS["latex"])
    first = [p.read_bytes() for write in writers for p in write(run, tmp_path)]
    assert first == [p.read_bytes() for write in writers for p in write(run, tmp_path)]


def test_records_without_fractions_give_no_table_of_them(run, tmp_path):
    nothing = run.select(method="xrd_peaks.series")
    assert not FORMATS["phases"](nothing, tmp_path)
    assert not [table for table in peaks_tables(nothing.records) if "fractions" in table.title]
