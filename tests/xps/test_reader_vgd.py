"""No .vgd file may be shipped, so these tests write OLE2 compound files of their own with the streams of a VGD file."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from layerscope.spectra.xps.readers import read

from layerscope.errors import DataError, LayerscopeError, ReaderError

PROPERTIES = "\x05Q5nw4m3lIjudbfwyAayojlptCa"
SECTOR = 512
FREE, END, FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
POINTS = 601
HV = 1486.68


def ole(streams: dict[str, bytes]) -> bytes:
    """Write a compound file, version 3: header, FAT, directory, then the streams in sectors of 512 bytes."""
    assert all(len(data) >= 4096 for data in streams.values()), "smaller streams would need a mini stream"
    directory_sectors = -(-(len(streams) + 1) // 4)
    starts, sectors, chains = {}, [], []
    position = 1 + directory_sectors
    for name, data in streams.items():
        count = -(-len(data) // SECTOR)
        starts[name] = position
        chains += [*range(position + 1, position + count), END]
        sectors.append(data.ljust(count * SECTOR, b"\0"))
        position += count
    assert position <= SECTOR // 4, "one FAT sector must do"
    fat = [FAT, *range(2, 1 + directory_sectors), END, *chains]
    fat += [FREE] * (SECTOR // 4 - len(fat))
    entries = [directory_entry("Root Entry", 5, child=1, start=END, size=0)]
    for index, (name, data) in enumerate(streams.items(), start=1):
        right = index + 1 if index < len(streams) else FREE
        entries.append(directory_entry(name, 2, right=right, start=starts[name], size=len(data)))
    directory = b"".join(entries).ljust(directory_sectors * SECTOR, b"\0")
    header = struct.pack("<8s16s6H10I", bytes.fromhex("d0cf11e0a1b11ae1"), b"", 0x3E, 3, 0xFFFE, 9, 6, 0, 0, 0, 1, 1, 0, 4096, END, 0, END, 0)  # fmt: skip  # noqa: E501
    header += struct.pack("<109I", 0, *[FREE] * 108)
    return header + struct.pack(f"<{SECTOR // 4}I", *fat) + directory + b"".join(sectors)


def directory_entry(name: str, kind: int, *, child: int = FREE, right: int = FREE, start: int, size: int) -> bytes:
    text = name.encode("utf-16-le") + b"\0\0"
    return struct.pack("<64sHBB3I16sIQQIII", text, len(text), kind, 1, FREE, right, child, b"", 0, 0, 0, start, size, 0)


def streams(counts: np.ndarray, *, ke_start: float = 1284.0, ke_step: float = 0.05, hv: float = HV) -> dict[str, bytes]:
    levels, points = counts.shape
    axes = bytearray(4096)
    struct.pack_into("<i", axes, 12, points - 1)
    struct.pack_into("<i", axes, 28, levels - 1)
    space = bytearray(4096)
    struct.pack_into("<2d", space, 30, ke_start, ke_step)
    properties = bytearray(4096)
    struct.pack_into("<f", properties, 400, hv)
    struct.pack_into("<i", properties, 768, 12)  # periods, 32 bytes before the pass energy
    struct.pack_into("<f", properties, 800, 20.0)
    struct.pack_into("<f", properties, 808, 0.05)
    struct.pack_into("<f", properties, 816, 4.2)
    return {
        "VGData": counts.astype("<f8").tobytes(),
        "VGDataAxes": bytes(axes),
        "VGSpaceAxes": bytes(space),
        PROPERTIES: bytes(properties),
    }


def counts(levels: int = 1) -> np.ndarray:
    return 500.0 + 100.0 * np.arange(levels)[:, np.newaxis] + np.arange(POINTS)[np.newaxis, :]


def write(folder: Path, content: bytes, name: str = "B1s Scan.VGD") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def test_a_spectrum_has_its_counts_undivided_and_binding_energies_rising(tmp_path: Path) -> None:
    data = read(write(tmp_path, ole(streams(counts()))))
    (spectrum,) = data.spectra
    assert (data.format, spectrum.region, spectrum.intensity_unit) == ("vgd", "B 1s", "counts")
    assert spectrum.counts.tolist() == counts()[0, ::-1].tolist()
    expected = np.float32(HV) - (1284.0 + 0.05 * np.arange(POINTS))[::-1]
    assert spectrum.binding_energy == pytest.approx(expected)
    assert (spectrum.scans, spectrum.pass_energy_eV) == (12, 20.0)
    assert spectrum.dwell_time_s == pytest.approx(0.05)
    assert spectrum.work_function_eV == pytest.approx(4.2)


def test_several_spectra_in_a_file_are_its_levels(tmp_path: Path) -> None:
    levels = read(write(tmp_path, ole(streams(counts(4))))).levels("B 1s")
    assert [s.level for s in levels] == [0, 1, 2, 3]
    assert [s.counts[-1] for s in levels] == [500.0, 600.0, 700.0, 800.0]


def test_a_folder_of_one_file_a_level_is_a_profile_in_natural_order(tmp_path: Path) -> None:
    for number in (10, 2, 1):
        write(tmp_path, ole(streams(counts() + number)), f"B1s Scan_{number}.VGD")
        write(tmp_path, ole(streams(counts() + 2 * number)), f"C1s Scan_{number}.vgd")
    write(tmp_path, b"notes", "notes.txt")
    data = read(tmp_path)
    assert [s.counts[-1] for s in data.levels("B 1s")] == [501.0, 502.0, 510.0]
    assert [s.counts[-1] for s in data.levels("C 1s")] == [502.0, 504.0, 520.0]
    assert read(tmp_path).sha256 == data.sha256


def test_a_folder_without_vgd_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReaderError, match="no file is of a known format"):
        read(tmp_path)


def test_another_ole_file_is_no_vgd_file(tmp_path: Path) -> None:
    path = write(tmp_path, ole({"WordDocument": b"x" * 4096}), "letter.vgd")
    with pytest.raises(ReaderError, match="no known format"):
        read(path)
    with pytest.raises(ReaderError, match="no stream 'VGData'"):
        read(path, format="vgd")


def test_a_wrong_magic_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReaderError, match="OLE2"):
        read(write(tmp_path, b"x" * 2000), format="vgd")


def test_a_photon_energy_other_than_al_is_refused_and_not_taken_for_al(tmp_path: Path) -> None:
    with pytest.raises(ReaderError, match="photon energy"):
        read(write(tmp_path, ole(streams(counts(), hv=1253.6))))


def test_dimensions_that_do_not_fit_the_data_are_refused_and_not_joined(tmp_path: Path) -> None:
    content = streams(counts(3))
    content["VGData"] = content["VGData"][:-8]
    with pytest.raises(ReaderError, match="601 x 3 values, the data hold 1802"):
        read(write(tmp_path, ole(content)))


@pytest.mark.parametrize("step", [0.0, float("nan"), float("inf")])
def test_an_axis_that_is_none_is_refused(tmp_path: Path, step: float) -> None:
    with pytest.raises(ReaderError, match="energy axis"):
        read(write(tmp_path, ole(streams(counts(), ke_step=step))))


@pytest.mark.parametrize(("value", "reason"), [(np.nan, "NaN"), (-1.0, "negative")])
def test_counts_that_cannot_be_used_are_refused(tmp_path: Path, value: float, reason: str) -> None:
    values = counts()
    values[0, ::4] = value  # a few would be masked
    with pytest.raises(DataError, match=reason):
        read(write(tmp_path, ole(streams(values))))


def test_a_file_cut_anywhere_in_its_streams_is_refused(tmp_path: Path) -> None:
    content = ole(streams(counts(2)))
    # The last sector is padding behind the last stream's 4096 bytes only when these do not fill it: here they do.
    for length in [*range(1, len(content), 997), len(content) - SECTOR, len(content) - 1]:
        with pytest.raises(ReaderError):
            read(write(tmp_path, content[:length]), format="vgd")


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_never_escapes_as_anything_but_a_typed_error(tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(ole(streams(counts())))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(8, 2560))] = data.draw(st.integers(0, 255))  # header, FAT and directory
    try:
        dataset = read(write(tmp_path, bytes(content)), format="vgd")
    except LayerscopeError:
        return
    assert all(s.counts.size == POINTS for s in dataset.spectra)
