"""The one maker of tables: records in, rows and columns out."""

from __future__ import annotations

import pytest

from layerscope.records import ArrayRef, FitQuality, InputFile, Quantity, ResultRecord, SampleState
from layerscope.runs.summary import Shown, SummaryTable, long_table, merits, table


def number(name: str, value: float, sigma: float, unit: str = "1", component: str | None = None) -> Quantity:
    return Quantity(name=name, value=value, sigma=sigma, sigma_kind="covariance", unit=unit, component=component)


def held(name: str, value: float, component: str | None = None) -> Quantity:
    return Quantity(name=name, value=value, unit="1", component=component, role="fixed")


def level(
    seconds: float,
    *quantities: Quantity,
    sample: str = "s",
    file: str = "a.vms",
    flags: tuple[str, ...] = (),
    series: str = "",
) -> ResultRecord:
    number_of = hash((seconds, sample, file)) % 16**8
    refs = (ArrayRef(file=f"arrays/{series}.nxs", path="/entry", shape=(1,), unit="1", sha256="0" * 64),)
    return ResultRecord(
        record_id=f"{number_of:064x}",
        technique="t",
        method="m",
        method_version="1",
        state=SampleState(sample=sample, etch_time_s=seconds),
        inputs=(InputFile(path=file, sha256="0" * 64, size=1, reader="r", reader_version="1"),),
        quantities=quantities,
        quality=FitQuality(rwp=0.05, flags=flags),
        arrays=refs if series else (),
    )


def test_a_table_shows_units_limits_gaps_and_the_columns_asked_for() -> None:
    limit = Quantity(name="species.fraction", unit="1", component="A", upper_limit=0.0173, limit_confidence=0.95)
    percent = number("species.fraction", 40.0, 3.0, "%", "B")
    asked = Shown("species.fraction", components=("B", "A", "C"))
    made = table([level(10, percent), level(0, limit)], ("etch_time_s",), (asked,), title="t")
    assert made.columns == ("etch time / s", "B / %", "A", "C", "status")
    assert made.rows == (("0", "", "< 0.018", "", "ok"), ("10", "40(3)", "", "", "ok"))
    assert "95 %" in made.note


def test_a_table_of_several_samples_says_which_row_is_whose() -> None:
    one = number("species.fraction", 0.5, 0.1, component="A")
    records = [level(0, one, sample="LRO"), level(10, one, sample="LRO"), level(0, one, sample="LCO")]
    made = table(records, ("etch_time_s",), ("species.fraction",), title="t")
    assert made.columns == ("sample", "etch time / s", "A", "status")
    assert [row[0] for row in made.rows] == ["LCO", "LRO", "LRO"]


def test_values_of_different_units_never_share_a_column() -> None:
    records = [level(0, number("signal.total", 4.0, 1.0, "counts")), level(1, number("signal.total", 2, 1, "counts/s"))]
    made = table(records, ("etch_time_s",), (Shown("signal.total", "signal"),), title="t")
    assert made.columns == ("etch time / s", "signal / counts", "signal / counts/s", "status")
    assert [row[1:3] for row in made.rows] == [("4.0(10)", ""), ("", "2.0(10)")]


def test_rows_that_would_look_alike_are_told_apart_by_file_or_series() -> None:
    one = number("species.fraction", 0.5, 0.1, component="A")
    files = [level(t, one, file=f) for t in (0, 10) for f in ("b.vms", "a.vms")]
    made = table(files, ("etch_time_s",), ("species.fraction",), title="t")
    assert made.columns[0] == "file"
    assert [row[:2] for row in made.rows] == [("a.vms", "0"), ("a.vms", "10"), ("b.vms", "0"), ("b.vms", "10")]
    frames = [level(t, one, file=f"{s}{t}.xy", series=s) for t in (0, 10) for s in ("P_003", "B_003")]
    made = table(frames, ("etch_time_s",), ("species.fraction",), title="t")
    assert made.columns[0] == "series"
    assert [row[:2] for row in made.rows] == [("B_003", "0"), ("B_003", "10"), ("P_003", "0"), ("P_003", "10")]


def test_status_and_flags_stand_at_the_end_of_every_row() -> None:
    one = number("species.fraction", 0.5, 0.1, component="A")
    records = [level(0, one), level(1, one, flags=("AT_BOUND:fwhm", "CORRELATED:a~b 0.98"))]
    made = table(records, ("etch_time_s",), ("species.fraction",), title="t")
    assert [row[-2:] for row in made.rows] == [("ok", ""), ("ok", "AT_BOUND:fwhm, CORRELATED:a~b 0.98")]


def test_components_may_number_the_rows_and_a_row_without_a_value_is_left_out() -> None:
    quantities = (
        number("lattice.a", 2.8, 0.001, "angstrom", "O3"),
        number("phase.fraction", 0.4, 0.01, component="O3"),
        number("phase.fraction", 0.6, 0.01, component="Al"),
        held("atom.occupancy", 1.0, "O3/Li"),
    )
    columns = (Shown("lattice.a", "{}: a"), Shown("phase.fraction", "{}: wt"), Shown("atom.occupancy", held=False))
    made = table([level(0, *quantities)], ("component",), (*columns, *merits()), title="t")
    assert made.columns == ("component", "a / Å", "wt", "Rwp / %", "status")
    assert [row[:3] for row in made.rows] == [("O3", "2.8000(10)", "0.400(10)"), ("Al", "", "0.600(10)")]
    wide = table([level(0, *quantities)], ("etch_time_s",), columns, title="t", by_component=True)
    assert wide.columns == ("etch time / s", "O3: a / Å", "O3: wt", "Al: wt", "status")


def test_a_record_that_holds_nothing_of_what_is_asked_for_gives_no_row() -> None:
    records = [level(0, number("signal.total", 4.0, 1.0, "counts"))]
    assert table(records, ("etch_time_s",), ("species.fraction",), title="t").rows == ()


def test_a_long_table_has_a_row_a_quantity_with_its_unit() -> None:
    made = long_table([level(3, number("peak.position", 191.1, 0.2, "eV", "B-O"), held("peak.mixing", 0.3, "B-O"))])
    assert made.columns == ("etch time / s", "component", "quantity", "value", "unit", "status")
    assert made.rows == (
        ("3", "B-O", "peak.position", "191.1(2)", "eV", "ok"),
        ("3", "B-O", "peak.mixing", "0.3", "1", "ok"),
    )


def test_programs_read_numbers_errors_and_limits_in_columns_of_their_own() -> None:
    limit = Quantity(name="species.fraction", unit="1", component="A", upper_limit=0.02, limit_confidence=0.95)
    open_end = Quantity(name="species.fraction", unit="1", component="B", low=0.1, confidence=0.68)
    records = [level(0, number("species.fraction", 0.123456, 0.01, component="A")), level(1, limit, open_end)]
    columns = dict(table(records, ("etch_time_s",), ("species.fraction",), title="t").numbers())
    assert columns["etch time / s"] == [0.0, 1.0]
    assert columns["A"] == [0.123456, None]
    assert columns["A sigma"] == [0.01, None]
    assert columns["A upper limit"] == [None, 0.02]
    assert columns["B"] == [None, "> 0.1 (68 %)"]


def test_a_table_with_a_ragged_row_is_refused() -> None:
    with pytest.raises(ValueError, match="needs 2 cells"):
        SummaryTable("t", ("a", "b"), (("1",),))  # type: ignore[arg-type]


def test_series_that_have_names_are_told_apart_by_them() -> None:
    one = number("species.fraction", 0.5, 0.1, component="A")
    named = [
        record.model_copy(update={"state": record.state.model_copy(update={"series": name})})
        for name in ("second", "first")
        for record in (level(0, one, file=name), level(10, one, file=name))
    ]
    made = table(named, ("etch_time_s",), ("species.fraction",), title="t")
    assert made.columns[:2] == ("series", "etch time / s")
    assert [row[:2] for row in made.rows] == [("first", "0"), ("first", "10"), ("second", "0"), ("second", "10")]
