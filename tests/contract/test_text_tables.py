"""A table of text gives the same numbers to every reader, however it is written; what is ambiguous is refused."""

from __future__ import annotations

from collections.abc import Callable
from math import exp
from pathlib import Path

import numpy as np
import pytest
from layerscope.diffraction.readers import read as read_pattern
from layerscope.diffraction.recipe_series import PatternColumnsTable
from layerscope.spectra.xps.options import SpectrumColumnsTable
from layerscope.spectra.xps.readers import read as read_spectrum

from layerscope.cycler import CyclerColumnsTable, read_cycler, read_frame_log
from layerscope.errors import LayerscopeError, ReaderError
from layerscope.measured.delimited import ColumnsTable

X = np.round(np.arange(10.0, 40.0, 0.1), 2).tolist()  # 10.0, 10.1: every one with its decimals
Y = [round(3.0 + 1.2 * exp(-(((x - 25.0) / 8.0) ** 2)), 4) for x in X]


def spectrum(path: Path, **how: str) -> np.ndarray:
    (found,) = read_spectrum(path, columns=SpectrumColumnsTable(region="O 1s", **how)).spectra
    return np.stack([found.binding_energy, found.counts])


def pattern(path: Path, **how: str) -> np.ndarray:
    (found,) = read_pattern(path, radiation=1.54, columns=PatternColumnsTable(**how)).frames
    return np.stack([found.axis, found.intensity])


def pattern_without_a_map(path: Path, **how: str) -> np.ndarray:
    (found,) = read_pattern(path, radiation=1.54).frames
    return np.stack([found.axis, found.intensity])


def record_of_a_cycler(path: Path, **how: str) -> np.ndarray:
    found = read_cycler(path, columns=CyclerColumnsTable(time=0, voltage=1, time_unit="s", **how)).measurements[0]
    return np.stack([found.time_s + X[0], found.voltage_V])


READERS = {f.__name__: f for f in (spectrum, pattern, pattern_without_a_map, record_of_a_cycler)}
Reader = Callable[..., np.ndarray]
every_reader = pytest.mark.parametrize("reader", READERS.values(), ids=READERS)


def table(delimiter: str, decimal: str = ".", head: str = "a{}b", comment: str = "", end: str = "") -> str:
    rows = [delimiter.join(str(v).replace(".", decimal) for v in pair) + end for pair in zip(X, Y, strict=True)]
    lines = [comment] * bool(comment) + [head.replace("{}", delimiter)] * bool(head) + rows
    return "\n".join(lines) + "\n"


WRITTEN: dict[str, bytes] = {
    "semicolon and decimal comma": table(";", ",").encode(),
    "tab and decimal comma": table("\t", ",").encode(),
    "blank and decimal comma": table(" ", ",", head="").encode(),
    "comma": table(",").encode(),
    "comma, also at the end": table(",", end=",").encode(),
    "quoted numbers": table('","', ",", head="").replace("\n", '"\n"').join(('"', "")).removesuffix('"').encode(),
    "quoted header and a comment": table(",", head='"a"{}"b"', comment="# made by x").encode(),
    "exclamation mark": table(" ", head="", comment="! made by x").encode(),
    "per cent": table(" ", head="", comment="% made by x").encode(),
    "UTF-16": table("\t").encode("utf-16"),
    "UTF-16 without its mark": table("\t").encode("utf-16-le"),
    "UTF-16, other end first": b"\xfe\xff" + table(";", ",").encode("utf-16-be"),
    "byte order mark": table(",").encode("utf-8-sig"),
    "Windows-1252": table("\t", ",", head="a (µ){}b").encode("cp1252"),
}


@every_reader
@pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN)
def test_a_table_is_read_alike_however_it_is_written(tmp_path: Path, reader: Reader, written: bytes) -> None:
    path = tmp_path / "t.txt"
    path.write_bytes(written)
    np.testing.assert_allclose(reader(path), np.stack([X, Y]), atol=1e-9)


@every_reader
@pytest.mark.parametrize("row", ["12,5;nan", "12,5;3,1;7", "end of data"])
def test_a_row_that_is_none_is_a_typed_error_everywhere(tmp_path: Path, reader: Reader, row: str) -> None:
    path = tmp_path / "t.txt"
    path.write_text(table(";", ",") + row + "\n")
    with pytest.raises(LayerscopeError, match=r"t\.txt"):
        reader(path)


GERMAN = "x;y\n" + "".join(f"{10 + k},5;{n}\n" for k, n in enumerate(("912", "8.184", "9.001", "8.003", "987", "911")))
ENGLISH = GERMAN.replace(",", "#").replace(".", ",").replace("#", ".")


@every_reader
@pytest.mark.parametrize(("text", "decimal", "thousands"), [(GERMAN, ",", "."), (ENGLISH, ".", ",")])
def test_thousands_beside_decimals_are_asked_for_and_then_read(
    tmp_path: Path, reader: Reader, text: str, decimal: str, thousands: str
) -> None:
    path = tmp_path / "t.txt"
    path.write_text(text)
    with pytest.raises(ReaderError, match=r"t\.txt: line \d has .*8.184.*not certain.*decimal = .*thousands = "):
        reader(path)
    if reader is pattern_without_a_map:
        return
    if reader is record_of_a_cycler:
        with pytest.raises(LayerscopeError, match="voltage runs from 911 to 9001 V"):
            reader(path, decimal=decimal, thousands=thousands)
        return
    for how in ({"decimal": decimal, "thousands": thousands}, {"thousands": thousands}):
        assert reader(path, **how)[1].tolist() == [912.0, 8184.0, 9001.0, 8003.0, 987.0, 911.0]


@every_reader
def test_whole_numbers_of_which_some_have_a_mark_are_asked_about(tmp_path: Path, reader: Reader) -> None:
    path = tmp_path / "t.txt"
    path.write_text("".join(f"{10 + k};{n}\n" for k, n in enumerate(("912", "8.184", "9.001", "8.003", "987", "911"))))
    with pytest.raises(ReaderError, match=r"'8\.184'.*'912'.*parts thousands.*say thousands = '\.', or decimal"):
        reader(path)


def test_a_gap_among_numbers_with_three_decimals_is_no_thousand(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text("time;voltage\n" + "".join(f"{k};{v}\n" for k, v in enumerate(("3,125", "nan", "3,250"))))
    with pytest.raises(LayerscopeError, match="NaN"):
        record_of_a_cycler(path)


@pytest.mark.parametrize(
    ("cell", "how"),
    [("8.184,5", {"thousands": "."}), ("8'184.5", {"thousands": "'"}), ("8\u202f184,5", {"thousands": " "})],
)
def test_every_mark_between_thousands_is_read_once_it_is_named(tmp_path: Path, cell: str, how: dict[str, str]) -> None:
    path = tmp_path / "t.txt"
    point = "," if "," in cell else "."
    path.write_text("".join(f"{10 + k}{point}5;{n}\n" for k, n in enumerate(("912", cell, "3", "4", "5"))), "utf-8")
    with pytest.raises(ReaderError, match="thousands = "):
        pattern(path)
    assert pattern(path, **how)[1].tolist() == [912.0, 8184.5, 3.0, 4.0, 5.0]
    path.write_text(path.read_text("utf-8").replace("184", "18"), "utf-8")
    with pytest.raises(ReaderError, match="not a row of numbers"):
        pattern(path, **how)


def test_commas_between_columns_and_in_numbers_are_asked_about(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text("energy,counts\n" + "".join(f"{180 + k},0,{1000 + k},5\n" for k in range(9)))
    with pytest.raises(ReaderError, match="4 columns or 2 with decimal commas"):
        spectrum(path)


def test_a_log_of_frames_is_read_however_it_is_written(tmp_path: Path) -> None:
    rows = [f"{n}{{}}2024-01-01 12:{n}0:00{{}}2024-01-01 12:{n}9:00" for n in range(3)]
    text = "\n".join(["scan_number{}start_time{}end_time", *rows])
    logs = []
    for k, (delimiter, encoding) in enumerate([(",", "utf-8"), (";", "utf-16"), ("\t", "utf-8-sig"), (";", "cp1252")]):
        path = tmp_path / f"{k}.txt"
        path.write_bytes(text.replace("{}", delimiter).encode(encoding))
        logs.append(dict(read_frame_log(path).times))
    assert list(logs[0]) == ["0", "1", "2"]
    assert all(log == logs[0] for log in logs)


def test_a_delimiter_of_blanks_is_not_stripped() -> None:
    assert ColumnsTable.model_validate({"delimiter": "\t"}).delimiter == "\t"
    with pytest.raises(ValueError, match="decimal mark or the delimiter too"):
        ColumnsTable.model_validate({"decimal": ",", "thousands": ","})
