from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from layerscope.spectra.xps.options import SpectrumColumnsTable
from layerscope.spectra.xps.readers import read
from pydantic import ValidationError

from layerscope.errors import DataError, LayerscopeError, ReaderError

ENERGY = np.arange(196.0, 185.9, -1.0)
COUNTS = np.arange(100, 111)


def write(folder: Path, text: str | bytes, name: str = "b1s.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def columns_of(region: str, **options: object) -> SpectrumColumnsTable:
    return SpectrumColumnsTable.model_validate({"region": region, **options})


def table(delimiter: str = ",", header: str = "", decimal: str = ".", rows: int = 11) -> str:
    lines = [header] if header else []
    lines += [f"{e:.1f}{delimiter}{c}".replace(".", decimal) for e, c in zip(ENERGY[:rows], COUNTS[:rows], strict=True)]
    return "\n".join(lines) + "\n"


def test_the_real_series_opens_with_binding_energies_from_kinetic_ones(shared_data: Path) -> None:
    folder = shared_data / "xps" / "gan_o1s_series"
    column_map = columns_of("O1s", kind="kinetic", excitation_energy_eV=730.0)
    sizes = {p.name: read(p, columns=column_map).spectra[0].counts.size for p in sorted(folder.glob("18*.csv"))}
    assert len(sizes) == 16
    assert sizes.pop("1804100015_dsp.csv") == 102
    assert set(sizes.values()) == {131}
    spectrum = read(folder / "1804100005_dsp.csv", columns=column_map).spectra[0]
    assert spectrum.region == "O 1s"
    assert spectrum.binding_energy[-1] == pytest.approx(730.0 - 192.0)
    assert spectrum.counts[-1] == 60107.0


@pytest.mark.parametrize("delimiter", [",", ";", "\t", " ", "   "])
def test_the_delimiter_is_found(tmp_path: Path, delimiter: str) -> None:
    (spectrum,) = read(write(tmp_path, table(delimiter)), columns=columns_of("B1s")).spectra
    assert spectrum.binding_energy.tolist() == ENERGY[::-1].tolist()
    assert spectrum.counts.tolist() == COUNTS[::-1].tolist()
    assert (spectrum.region, spectrum.intensity_unit) == ("B 1s", "counts")


def test_a_decimal_comma_is_read(tmp_path: Path) -> None:
    (spectrum,) = read(write(tmp_path, table(";", decimal=",")), columns=columns_of("B1s")).spectra
    assert spectrum.binding_energy.tolist() == ENERGY[::-1].tolist()


def test_columns_are_found_by_name_and_comments_left_out(tmp_path: Path) -> None:
    text = "# exported\n" + table(header="Binding Energy (eV),Counts")
    column_map = columns_of("B1s", energy="binding energy (ev)", counts="Counts", dwell_time_s=0.2, scans=5)
    (spectrum,) = read(write(tmp_path, text), columns=column_map).spectra
    assert spectrum.counts.tolist() == COUNTS[::-1].tolist()
    assert spectrum.exposure_s == 1.0


def test_several_columns_of_counts_are_the_levels_of_a_profile(tmp_path: Path) -> None:
    text = "BE,0 s,10 s,T\n" + "".join(f"{e},{c},{2 * c},{c / 100}\n" for e, c in zip(ENERGY, COUNTS, strict=True))
    column_map = columns_of("B1s", energy="BE", counts=("0 s", "10 s"), transmission="T", etch_time_s=(0.0, 10.0))
    levels = read(write(tmp_path, text), columns=column_map).levels("B 1s")
    assert [s.etch_time_s for s in levels] == [0.0, 10.0]
    assert levels[1].counts.tolist() == (2 * COUNTS[::-1]).tolist()
    assert levels[1].transmission is not None
    assert levels[1].transmission[0] == pytest.approx(1.10)


@pytest.mark.parametrize(
    ("text", "column_map", "reason"),
    [
        (table(), columns_of("B1s", energy="BE"), "column 'BE' is missing"),
        (table(header="E,N"), columns_of("B1s", counts="M"), r"'M' is missing \(columns: E, N\)"),
        (table(header="N,N"), columns_of("B1s", counts="N"), "more than once"),
        (table(), columns_of("B1s", counts=2), "no column 2"),
        (table(), columns_of("B1s", counts=-1), "no column -1"),
        (table(), columns_of("B1s", energy=1), "both energy and counts"),
        (table(), columns_of("B1s", kind="kinetic"), "need excitation_energy_eV"),
        (table(header="Energy (keV),N"), columns_of("B1s"), "not in eV"),
        (table(header="Kinetic Energy,N"), columns_of("B1s"), "the column map says binding"),
        (table(header="BE,cps"), columns_of("B1s"), "the column map says counts"),
        (table(), columns_of("B1s", etch_time_s=(0.0, 1.0)), "2 etch times are given for 1"),
        (table() + "12.0\n", columns_of("B1s"), "line 12 is not a row of numbers"),
        (table() + "185,1,2\n", columns_of("B1s"), "line 12 has 3 columns"),
        (table() + "185,abc\n", columns_of("B1s"), "line 12 is not a row of numbers: '185,abc'"),
        (table(rows=9), columns_of("B1s", points=11), "9 rows are there, 11 were expected"),
        ("# nothing\n", columns_of("B1s"), "no row"),
        ("energy and counts\n", columns_of("B1s"), "no row with at least two numbers"),
        (b"1,2\n\x03\x04\x00\x00", columns_of("B1s"), "binary"),
        (b"PK\x03\x04\x00\x00", columns_of("B1s"), "archive is damaged"),
        ("", columns_of("B1s"), "empty"),
    ],
)
def test_a_map_or_table_that_does_not_fit_is_refused(
    tmp_path: Path, text: str | bytes, column_map: SpectrumColumnsTable, reason: str
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ReaderError, match=reason) as caught:
        read(path, columns=column_map)
    assert caught.value.source == str(path)


def test_words_that_no_map_knows_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"kind\n.*'binding' or 'kinetic'.*'potential'"):
        columns_of("B1s", kind="potential")
    with pytest.raises(ValidationError, match=r"unit\n.*'counts' or 'counts/s'.*'V'"):
        columns_of("B1s", unit="V")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (table() + "185,nan\n", "NaN"),
        (table() + "185,-4\n", "negative"),
        (table() + "nan,4\n", "not finite"),
        (table() + "186,4\n", "do not rise"),
        (table(rows=1), "only 1 point"),
    ],
)
def test_values_that_cannot_be_used_are_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        read(write(tmp_path, text), columns=columns_of("B1s"))


def test_plain_columns_without_a_map_ask_for_one(tmp_path: Path) -> None:
    with pytest.raises(ReaderError, match="column map"):
        read(write(tmp_path, table()), format="columns")
    with pytest.raises(ReaderError, match="no known format"):
        read(write(tmp_path, table()))
    with pytest.raises(ReaderError, match="does not go with the format 'phi'"):
        read(write(tmp_path, table()), format="phi", columns=columns_of("B1s"))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(max_size=200))
def test_only_typed_errors_escape_from_noise(tmp_path: Path, noise: bytes) -> None:
    with pytest.raises(LayerscopeError):
        read(write(tmp_path, noise + b"\n1,2\n"), columns=columns_of("B1s"))
