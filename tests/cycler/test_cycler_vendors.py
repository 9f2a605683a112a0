"""Neware and Biologic files through their libraries, which are optional and kept behind one module each."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import types
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from layerscope.cycler import FORMATS, integrate_charge, read_cycler
from layerscope.errors import MissingDependencyError, ReaderError

COINCELL = "xrd/operando_coin_cell/coincell8.zip"


def mpr(records: int = 200, declared: int | None = None) -> bytes:
    """A Biologic file as galvani describes it: settings, data (version 2) and log modules."""
    time = 10.0 * np.arange(records)
    table = np.zeros(records, dtype=[("t", "<f8"), ("E", "<f4"), ("q", "<f8"), ("I", "<f4")])
    table["t"], table["E"], table["q"], table["I"] = time, 3 + time / 3600, 1.5 * time / 3600, 1.5
    columns = struct.pack("<4H", 4, 6, 13, 76)  # time/s, Ewe/V, (Q-Qo)/mA.h, <I>/mA
    head = struct.pack("<IB", records if declared is None else declared, 4) + columns
    data = head.ljust(405, b"\0") + table.tobytes()
    log = bytearray(600)
    struct.pack_into("<d", log, 465, 45474.5)  # days since 1899-12-30: 2024-07-01 12:00

    def module(name: bytes, content: bytes, version: int) -> bytes:
        date = b"07/01/24"
        return b"MODULE" + name.ljust(10) + name.ljust(25) + struct.pack("<II", len(content), version) + date + content

    magic = b"BIO-LOGIC MODULAR FILE\x1a".ljust(48) + b"\0\0\0\0"
    return magic + module(b"VMP Set", bytes(100), 0) + module(b"VMP data", data, 2) + module(b"VMP LOG", bytes(log), 0)


def test_a_biologic_file_gives_time_voltage_charge_and_start(tmp_path: Path) -> None:
    pytest.importorskip("galvani")
    path = tmp_path / "record.mpr"
    path.write_bytes(mpr())
    (data,) = read_cycler(path).measurements
    assert FORMATS.sniffed(path) == ["biologic"]
    assert data.start == datetime(2024, 7, 1, 12)
    np.testing.assert_allclose(data.time_s, 10.0 * np.arange(200))
    np.testing.assert_allclose(data.voltage_V, 3 + data.time_s / 3600, atol=1e-6)
    assert data.capacity is not None
    np.testing.assert_allclose(data.capacity, 1.5 * data.time_s / 3600)
    assert data.metadata["capacity_from"] == "file"


def test_a_damaged_biologic_file_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("galvani")
    path = tmp_path / "record.mpr"
    for content in (mpr()[:-700], mpr()[:400], mpr(declared=199), mpr()[:60] + b"\xff" * 900):
        path.write_bytes(content)
        with pytest.raises(ReaderError, match=r"record\.mpr.*damaged \(biologic\)"):
            read_cycler(path)


@pytest.mark.parametrize(
    ("library", "head"), [("galvani.BioLogic", b"BIO-LOGIC MODULAR FILE"), ("NewareNDA", b"NEWARE")]
)
def test_a_missing_library_is_named_with_the_way_to_get_it(
    library: str, head: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    (tmp_path / "record").write_bytes(head + bytes(100))
    with pytest.raises(MissingDependencyError, match=f"pip install {library.split('.')[0]}"):
        read_cycler(tmp_path / "record")


def test_a_neware_file_gives_its_own_clock_and_coulomb_counting(shared_data: Path) -> None:
    pytest.importorskip("NewareNDA")
    record = read_cycler(shared_data / COINCELL, member="*.ndax")
    (data,) = record.measurements
    assert record.format == "neware"
    assert data.time_s.size == 4647
    assert data.start == datetime(2025, 7, 2, 19, 8, 11)  # TestInfo.xml in the file: StartTime
    assert data.voltage_V[-1] == pytest.approx(2.5)
    assert data.current is not None
    assert data.capacity is not None
    # The cycler's own counting against the integral of its current.
    np.testing.assert_allclose(data.capacity, integrate_charge(data.time_s, data.current), atol=2e-3)
    assert np.ptp(data.capacity) > 1.4


def test_instants_of_a_neware_file_stay_instants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stamps = pd.date_range("2025-07-02 19:00", periods=5, freq="10s", tz="Asia/Tokyo")
    frame = pd.DataFrame(
        {
            "Timestamp": stamps,
            "Voltage": [3.0, 3.1, 3.2, 3.1, 3.0],
            "Current(mA)": [0.0, 1.0, 1.0, -1.0, -1.0],
            "Charge_Capacity(mAh)": [0.0, 1.0, 2.0, 0.0, 0.0],
            "Discharge_Capacity(mAh)": [0.0, 0.0, 0.0, 0.5, 1.5],
            "Step": [1, 2, 2, 3, 3],
            "Cycle": 1,
        }
    )
    library = types.ModuleType("NewareNDA")
    monkeypatch.setattr(library, "read", lambda *_, **__: frame, raising=False)
    monkeypatch.setitem(sys.modules, "NewareNDA", library)
    (tmp_path / "cell.nda").write_bytes(b"NEWARE" + bytes(100))
    (data,) = read_cycler(tmp_path / "cell.nda").measurements
    assert data.start == datetime(2025, 7, 2, 10, 0, tzinfo=UTC)
    assert data.capacity is not None
    np.testing.assert_allclose(data.capacity, [0.0, 1.0, 2.0, 1.5, 0.5])
    frame.loc[2, "Timestamp"] = pd.NaT
    with pytest.raises(ReaderError, match="1 records have no time"):
        read_cycler(tmp_path / "cell.nda")


def test_the_zone_of_this_machine_does_not_move_the_cyclers_clock(shared_data: Path) -> None:
    pytest.importorskip("NewareNDA")
    code = (
        "from layerscope.cycler import read_cycler\n"
        f"print(read_cycler({str(shared_data / COINCELL)!r}, member='*.ndax').measurements[0].start)"
    )
    for zone in ("America/New_York", "Asia/Tokyo"):
        result = subprocess.run(
            [sys.executable, "-P", "-c", code],
            env={**os.environ, "TZ": zone},
            capture_output=True,
            text=True,
            check=True,
        )
        assert result.stdout.strip() == "2025-07-02 19:08:11"


def test_a_damaged_neware_file_is_refused(shared_data: Path, tmp_path: Path) -> None:
    pytest.importorskip("NewareNDA")
    with zipfile.ZipFile(shared_data / COINCELL) as archive:
        name = next(n for n in archive.namelist() if n.endswith("cc8.ndax") and "MACOSX" not in n)
        data = archive.read(name)
    path = tmp_path / "cell.ndax"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ReaderError, match=r"cell\.ndax"):
        read_cycler(path)


def test_an_archive_needs_the_name_of_the_record(shared_data: Path) -> None:
    with pytest.raises(ReaderError, match="give member"):
        read_cycler(shared_data / COINCELL)
    with pytest.raises(ReaderError, match="5 members fit"):
        read_cycler(shared_data / COINCELL, member="*.xye")


def test_a_neware_file_whose_last_pages_are_zeros_is_refused(shared_data: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(shared_data / COINCELL) as archive:
        name = next(n for n in archive.namelist() if n.endswith("cc8.ndax") and "MACOSX" not in n)
        whole = archive.read(name)
    path = tmp_path / "cell.ndax"
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(path, "w") as new:
        for member in old.namelist():
            data = old.read(member)
            half = 4096 * (len(data) // 8192)
            new.writestr(member, data[:half] + bytes(len(data) - half) if member == "data.ndc" else data)
    with pytest.raises(ReaderError, match=r"the last 53 of 105 pages hold nothing but zeros"):
        read_cycler(path)
