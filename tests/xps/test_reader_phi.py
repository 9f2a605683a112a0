from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from layerscope.spectra.xps.readers import read

from layerscope.errors import DataError, LayerscopeError, ReaderError

REGIONS = (("C1s", 298.0, -0.5, 31), ("B1s", 200.0, -0.25, 41))
LEVELS = 3


def counts_of(region: int, points: int, levels: int = LEVELS) -> np.ndarray:
    return 1000.0 * (region + 1) + 10.0 * np.arange(levels)[:, np.newaxis] + np.arange(points)[np.newaxis, :]


def entry(region: int, points: int, cycles: int, axes: tuple[bytes, bytes], unit: bytes, item: bytes, size: int, offset: int) -> bytes:  # fmt: skip  # noqa: E501
    chunk = bytearray(96)
    struct.pack_into("<8I", chunk, 0, region or 9, 1, 1, region, 1, points, cycles, 1)
    chunk[32:35], chunk[40:43] = axes
    chunk[56 : 56 + len(unit)] = unit
    chunk[72:74] = item
    struct.pack_into("<2I", chunk, 76, size, offset)
    return bytes(chunk)


def phi(
    *,
    regions: Sequence[tuple[str, float, float, int]] = REGIONS,
    item: str = "<f4",
    unit: bytes = b"c/s",
    times: bool = True,
    technique: str = "XPS",
    values: Sequence[np.ndarray] | None = None,
    header_extra: Sequence[str] = (),
) -> bytes:
    header = [
        "SOFH",
        f"Technique: {technique}",
        "FileType: DEPTHPRO",
        "FileDesc: film",
        "AnalyserWorkFcn: 4.5 eV",
        f"NoSpectralRegFull: {len(regions)}",
        "SpectralRegDefFull: 1 1 Su1s 111 9 -0.8000 9.0 0.0 9.0 0.0 0.0 224.00 AREA",
        f"NoSpectralReg: {len(regions)}",
    ]
    for number, (label, start, step, points) in enumerate(regions, start=1):
        end = start + step * (points - 1)
        header.append(f"SpectralRegDef: {number} 1 {label} 6 {points} {step} {start} {end} 0 0 0.8 55.0 AREA")
        header.append(f"SpectralRegDef2: {number} 20.0 10 0 4 180")
    header += ["XraySource: Al 1486.6 mono", *header_extra, "EOFH"]
    arrays = list(values) if values is not None else [counts_of(i, r[3]) for i, r in enumerate(regions)]
    blocks = [np.asarray(a, dtype=item).tobytes() for a in arrays]
    table, data = [], []
    offset = 16 + 96 * (len(regions) + times)
    for number, (array, block) in enumerate(zip(arrays, blocks, strict=True), start=1):
        table.append(
            entry(number, array.shape[1], array.shape[0], (b"pnt", b"cyc"), unit, item[1:].encode(), len(block), offset)
        )
        data.append(block)
        offset += len(block)
    if times:
        block = np.tile([-0.0, 10.0, 20.0], len(regions)).astype("<f4").tobytes()
        table.append(entry(0, LEVELS, len(regions), (b"cyc", b"reg"), b"s", b"f4", len(block), offset))
        data.append(block)
    preamble = struct.pack("<4I", 1, len(table), 96 * len(table), 16)
    return "\r\n".join(header).encode() + b"\r\n" + preamble + b"".join(table) + b"".join(data)


def write(folder: Path, content: bytes, name: str = "film.pro") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def test_the_real_depth_profile_opens_with_its_regions_levels_points_and_times(shared_data: Path) -> None:
    data = read(shared_data / "xps" / "SnO2_10nm_1.pro")
    sizes = {region: (len(data.levels(region)), data.levels(region)[0].counts.size) for region in data.regions()}
    assert sizes == {"Survey": (21, 1751), "C 1s": (21, 101), "Si 2p": (21, 101), "Sn 3d5/2": (21, 101)}
    levels = data.levels("Sn3d5")
    # The header plans 20 cycles of 0.5 min after one without sputtering.
    assert [s.etch_time_s for s in levels] == [30.0 * i for i in range(21)]
    first = levels[0]
    assert (first.binding_energy[0], first.binding_energy[-1]) == (480.0, 500.0)
    assert (first.pass_energy_eV, first.excitation_energy_eV, first.work_function_eV) == (55.0, 1486.6, 4.506)
    assert (first.intensity_unit, first.scans) == ("counts/s", 10)
    assert first.exposure_s == pytest.approx(0.8)


def test_the_real_counts_are_whole_numbers_once_the_time_is_taken_out(shared_data: Path) -> None:
    # The file holds rates as float32: that rate x time is whole to their precision shows that the time is right.
    for region in ("C 1s", "Si 2p", "Sn 3d5/2"):
        counts = read(shared_data / "xps" / "SnO2_10nm_1.pro").levels(region)[3].real_counts()
        assert counts == pytest.approx(np.round(counts), abs=0.01)


@pytest.mark.parametrize("item", ["<f4", "<f8"])
def test_values_come_back_at_their_region_and_level(tmp_path: Path, item: str) -> None:
    data = read(write(tmp_path, phi(item=item)))
    assert data.format == "phi"
    for index, (label, start, step, points) in enumerate(REGIONS):
        levels = data.levels(label)
        assert [s.etch_time_s for s in levels] == [0.0, 10.0, 20.0]
        for level, spectrum in enumerate(levels):
            assert spectrum.binding_energy == pytest.approx((start + step * np.arange(points))[::-1])
            assert spectrum.counts.tolist() == counts_of(index, points)[level, ::-1].tolist()
    assert data.spectra[0].sample == "film"


def test_any_extension_will_do_and_times_may_be_absent(tmp_path: Path) -> None:
    data = read(write(tmp_path, phi(times=False), "noext"))
    assert {s.etch_time_s for s in data.spectra} == {None}


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    content = phi()
    path = tmp_path / "cut.pro"
    for length in [*range(1, len(content), 23), *range(len(content) - 120, len(content))]:
        path.write_bytes(content[:length])
        with pytest.raises(ReaderError) as caught:
            read(path)
        assert caught.value.source == str(path)


def test_an_end_between_two_steps_is_the_one_that_was_asked_for(tmp_path: Path) -> None:
    content = phi(regions=(("Su1s", 1100.0, -0.8, 1379),), values=[np.ones((1, 1379))], times=False)
    assert b"-2.4" in content
    (survey,) = read(write(tmp_path, re.sub(rb"-2\.4\d* ", b"-3.0 ", content))).spectra
    assert survey.region == "Survey"
    assert (survey.axis[-1], survey.axis[0]) == (1100.0, pytest.approx(-2.4))


def test_a_flag_behind_the_type_of_the_values_is_no_part_of_it(tmp_path: Path) -> None:
    flagged = read(write(tmp_path, phi().replace(b"f4\0\0", b"f4\0\1"))).spectra
    for ours, plain in zip(flagged, read(write(tmp_path, phi(), "plain.pro")).spectra, strict=True):
        assert np.array_equal(ours.counts, plain.counts)


@pytest.mark.parametrize(
    ("name", "regions", "levels", "ends"),
    [
        ("phi_survey_rounded_end.spe", ["Survey"], 1, (-2.4, 1100.0)),
        ("phi_pro_type_byte.pro", ["In 3d5/2", "Sn 3d", "O 1s", "C 1s"], 12, (436.0, 456.0)),
    ],
)
def test_public_files_with_a_rounded_end_or_a_flagged_type_open(
    shared_data: Path, name: str, regions: list[str], levels: int, ends: tuple[float, float]
) -> None:
    data = read(shared_data.parent / "cases" / "xps_files" / name)
    assert list(data.regions()) == regions
    assert {len(data.levels(region)) for region in regions} == {levels}
    assert tuple(data.spectra[0].axis[[0, -1]]) == pytest.approx(ends)


def test_a_truncated_region_is_refused_with_its_number(tmp_path: Path) -> None:
    content = phi(times=False)
    with pytest.raises(ReaderError, match=r"data set 2 \(region 2\): 488 of 492 bytes"):
        read(write(tmp_path, content[:-4]))


def test_the_real_file_cut_at_each_region_is_refused(shared_data: Path, tmp_path: Path) -> None:
    content = (shared_data / "xps" / "SnO2_10nm_1.pro").read_bytes()
    body = content.index(b"EOFH") + 6
    for offset in (0, 16, 300, 592, 100_000, 147_676, 156_160, 164_644, 173_128, 173_464, 173_799):
        with pytest.raises(ReaderError):
            read(write(tmp_path, content[: body + offset]))


@pytest.mark.parametrize("field", [5, 6, 19, 20])
@pytest.mark.parametrize("claim", [0, 2**31, 2**32 - 1])
def test_claims_that_the_file_cannot_hold_are_refused_before_memory_is_allocated(
    tmp_path: Path, field: int, claim: int
) -> None:
    content = bytearray(phi())
    start = content.index(b"EOFH") + 6 + 16
    struct.pack_into("<I", content, start + 4 * field, claim)
    with pytest.raises(ReaderError):
        read(write(tmp_path, bytes(content)))


@pytest.mark.parametrize("claim", [0, 1, 7, 2**32 - 1])
def test_a_wrong_number_of_data_sets_is_refused(tmp_path: Path, claim: int) -> None:
    content = bytearray(phi())
    struct.pack_into("<I", content, content.index(b"EOFH") + 6 + 4, claim)
    with pytest.raises(ReaderError):
        read(write(tmp_path, bytes(content)))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ((b"SOFH", b"SOFX"), "no known format"),
        ((b"Technique: XPS", b"Technique: AES"), "not XPS"),
        ((b"NoSpectralReg: 2", b"NoSpectralReg: 3"), "declares 3 regions and defines 2"),
        ((b"6 31 -0.5", b"6 32 -0.5"), "31 points in the data and 32 in the header"),
        ((b"31 -0.5 298.0", b"31 -0.5 308.0"), "not at 283 eV"),
        ((b"298.0 283.0", b"298.0 282.5"), "not at 282.5 eV"),
        ((b"31 -0.5", b"31 0.0"), "step of zero"),
        ((b"31 -0.5", b"31 nan"), "not finite"),
        ((b"1 C1s 6 31", b"1 C1s 6 xx"), "cannot be read"),
        ((b"c/s\x00", b"nA\x00\x00"), "unknown unit"),
        ((b"f4\x00\x00", b"i4\x00\x00"), "unknown type"),
    ],
)
def test_headers_that_do_not_fit_are_refused(tmp_path: Path, change: tuple[bytes, bytes], reason: str) -> None:
    content = phi()
    assert change[0] in content
    with pytest.raises(ReaderError, match=reason):
        read(write(tmp_path, content.replace(*change)))


@pytest.mark.parametrize(("value", "reason"), [(np.nan, "NaN"), (-1.0, "negative"), (np.inf, "infinite")])
def test_counts_that_cannot_be_used_are_refused_with_region_and_level(
    tmp_path: Path, value: float, reason: str
) -> None:
    values = [counts_of(i, r[3]) for i, r in enumerate(REGIONS)]
    values[1][2, ::4] = value  # a few would be masked
    with pytest.raises(DataError, match=reason) as caught:
        read(write(tmp_path, phi(values=values)))
    assert "level 2 of 'B1s'" in caught.value.message


def test_levels_that_end_in_zeros_are_refused_where_counts_stood_before(tmp_path: Path) -> None:
    content = bytearray(phi(times=False))
    names = [s.name for s in read(write(tmp_path, bytes(content))).spectra]
    content[-4 * 41 - 4 * 15 :] = bytes(4 * 41 + 4 * 15)  # the last level, and the end of the one before it
    found = read(write(tmp_path, bytes(content)), on_error="collect")
    assert len(found.spectra) == len(names) - 2
    assert "the last 15 counts" in found.problems[0].message
    assert "all 41 counts" in found.problems[1].message


def test_a_signalling_nan_is_a_nan(tmp_path: Path) -> None:
    content = bytearray(phi(times=False))
    content[-4:] = bytes.fromhex("0100a07f")
    last = read(write(tmp_path, bytes(content))).spectra[-1]
    assert int(np.sum(~last.use)) == 1


def test_one_point_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="only 1 point"):
        read(write(tmp_path, phi(regions=[("B1s", 200.0, -0.25, 1)])))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_never_escapes_as_anything_but_a_typed_error(tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(phi())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        dataset = read(write(tmp_path, bytes(content)))
    except LayerscopeError:
        return
    assert len(dataset.spectra) == 2 * LEVELS
    assert sorted(s.counts.size for s in dataset.spectra) == [31] * LEVELS + [41] * LEVELS


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(max_size=300))
def test_only_typed_errors_escape_from_noise_behind_the_magic(tmp_path: Path, noise: bytes) -> None:
    with pytest.raises(LayerscopeError):
        read(write(tmp_path, b"SOFH\r\nNoSpectralReg: 1\r\nEOFH\r\n" + noise))
