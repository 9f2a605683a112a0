"""Cycler records in text: units, clocks, encodings and signs, and what is not certain is asked for."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from layerscope.cycler import CyclerColumnsTable, CyclerData, integrate_charge, read_cycler, signed_current
from layerscope.errors import DataError, LayerscopeError, ReaderError

TIME = np.arange(0.0, 3600.0, 10.0)
VOLTAGE = 3.0 + TIME / 3600
CURRENT = np.full(TIME.size, 1.5)


def read_text(folder: Path, text: str | bytes, **options: object) -> CyclerData:
    path = folder / "record.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    (data,) = read_cycler(path, **options).measurements  # type: ignore[arg-type]
    return data


def table(header: str, *columns: np.ndarray, separator: str = ",", form: str = "{:.6f}") -> str:
    lines = [separator.join(form.format(v) for v in row) for row in zip(*columns, strict=True)]
    return "\n".join([header, *lines]) + "\n" if header else "\n".join(lines) + "\n"


def test_names_and_units_in_the_header_are_understood(tmp_path: Path) -> None:
    data = read_text(tmp_path, table("Time (h),Voltage (mV),Current (A)", TIME / 3600, VOLTAGE * 1e3, CURRENT / 1e3))
    np.testing.assert_allclose(data.time_s, TIME, atol=5e-3)
    np.testing.assert_allclose(data.voltage_V, VOLTAGE, atol=1e-6)
    assert data.current is not None
    np.testing.assert_allclose(data.current, CURRENT)
    assert data.capacity is not None
    # 1.5 mA for 3590 s
    assert data.capacity[-1] == pytest.approx(1.5 * 3590 / 3600, rel=1e-3)
    assert data.metadata["capacity_from"] == "integrated"
    assert data.clock == "none"


def test_a_header_less_file_with_hours_beyond_a_day_needs_a_map(tmp_path: Path) -> None:
    stamps = [f"{h:02d}:{m:02d}:00" for h in range(23, 27) for m in range(0, 60, 10)]
    text = "\n".join(f"{s} {3 + 0.01 * i:.3f} 39.000" for i, s in enumerate(stamps))
    with pytest.raises(ReaderError, match="cannot be told"):
        read_text(tmp_path, text)
    data = read_text(tmp_path, text, columns=CyclerColumnsTable(time=0, voltage=1, current=2))
    np.testing.assert_allclose(data.time_s, 600.0 * np.arange(24))


def test_dates_zones_and_a_decimal_comma(tmp_path: Path) -> None:
    rows = [f"2024-01-01T00:{m:02d}:00+01:00;{3 + m / 100:.2f}".replace(".", ",") for m in range(30)]
    data = read_text(tmp_path, "Timestamp;Voltage (V)\n" + "\n".join(rows))
    assert data.start == datetime(2023, 12, 31, 23, 0, tzinfo=UTC)
    assert data.clock == "aware"
    np.testing.assert_allclose(data.voltage_V, 3 + np.arange(30) / 100)
    assert data.current is None
    assert data.capacity is None


def test_ec_lab_text_is_read_from_its_declared_header(tmp_path: Path) -> None:
    head = "EC-Lab ASCII FILE\nNb header lines : 5\nAcquisition : 1\nµ\ntime/s\tEwe/V\t<I>/mA\t(Q-Qo)/mA.h\n"
    body = table("", TIME, VOLTAGE, CURRENT, 7 + CURRENT * TIME / 3600, separator="\t")
    data = read_text(tmp_path, (head + body).encode("cp1252"))
    assert data.capacity is not None
    np.testing.assert_allclose(data.capacity, CURRENT * TIME / 3600, atol=1e-6)
    assert data.metadata["capacity_from"] == "file"


def test_a_map_that_contradicts_the_header_is_refused(tmp_path: Path) -> None:
    text = table("Time (s),Voltage (mV)", TIME, VOLTAGE * 1e3)
    with pytest.raises(ReaderError, match="is in mV, the column map says V"):
        read_text(tmp_path, text, columns=CyclerColumnsTable(time="Time (s)", voltage="Voltage (mV)", voltage_unit="V"))


def test_a_voltage_in_millivolt_read_as_volt_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is the column in mV"):
        read_text(tmp_path, table("time,voltage", TIME, VOLTAGE * 1e3))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("time,voltage\n0,3.0\n1,3.1\n2\n", "line 4 has 1 columns"),
        ("time,voltage\n0,3.0\n1,oops\n", "row 2 has 'oops'"),
        ("time,voltage\n", "no row of times"),
        ("\0\1\2", "binary"),
        ("potential of something\n", "no row"),
    ],
)
def test_damaged_text_is_refused_with_its_line(text: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ReaderError, match=reason):
        read_text(tmp_path, text)


@pytest.mark.parametrize(
    ("time", "voltage", "reason"),
    [
        ([0, 1, 0.5], [3, 3, 3], "clock goes back after record 2"),
        ([0, 1, 2], [3, np.nan, 3], "NaN"),
        ([0], [3], "at least 2"),
    ],
)
def test_records_that_cannot_be_used_are_refused(time: list[float], voltage: list[float], reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        CyclerData(np.array(time, dtype=float), np.array(voltage, dtype=float)).check()


def test_a_current_without_sign_gets_that_of_the_voltages_trend() -> None:
    # Rest, charge with a jump of the resistance, discharge with its drop.
    voltage = np.concatenate([[3.2] * 5, np.linspace(3.6, 4.4, 50), np.linspace(4.2, 3.0, 40)])
    current = np.concatenate([[0.0] * 5, [39.0] * 50, [19.0] * 40])
    signed = signed_current(voltage, current)
    np.testing.assert_array_equal(np.sign(signed), [0] * 5 + [1] * 50 + [-1] * 40)
    with pytest.raises(DataError, match="signs already"):
        signed_current(voltage, -current)


def test_charge_is_the_integral_of_the_current() -> None:
    time = np.linspace(0, 7200, 1001)
    charge = integrate_charge(time, np.sin(np.pi * time / 7200))
    assert charge[0] == 0.0
    assert charge[-1] == pytest.approx(2 * 2 / np.pi, rel=1e-5)  # amplitude 1 mA, 2 h, mean 2/pi


def test_the_operando_record_is_read_as_it_stands(shared_data: Path) -> None:
    path = shared_data / "xrd/operando_spinel_lab/rybakov_operando_raw.zip"
    plan = CyclerColumnsTable(time=0, voltage=1, current=2, time_unit="hms", signed=False, encoding="cp1251")
    (data,) = read_cycler(path, member="charge.txt", columns=plan).measurements
    assert data.time_s.size == 1613
    assert data.time_s[-1] == 26 * 3600 + 40 * 60 + 1
    assert data.current is not None
    assert data.capacity is not None
    # Charged with 39 for 15 h, discharged with 19 for 11.67 h: the file has no signs.
    assert data.capacity.max() == pytest.approx(39 * 15, rel=1e-3)
    assert data.capacity[-1] == pytest.approx(39 * 15 - 19 * 11.667, rel=2e-3)


def test_random_text_and_bytes_give_typed_errors(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    original = np.frombuffer(table("Time (s),Voltage (V),Current (mA)", TIME, VOLTAGE, CURRENT).encode(), np.uint8)
    for _ in range(60):
        data = original.copy()
        places = rng.integers(0, data.size, size=10)
        data[places] = rng.integers(0, 256, size=10)
        try:
            read_text(tmp_path, data.tobytes()).check()
        except LayerscopeError as error:
            assert "record.csv" in str(error)  # noqa: PT017  (success is allowed too)
    for head in (b"", b"BIO-LOGIC MODULAR FILE\x1a", b"NEWARE", b"PK\x03\x04data.ndc"):
        with pytest.raises(LayerscopeError):
            read_text(tmp_path, head + rng.bytes(400))
