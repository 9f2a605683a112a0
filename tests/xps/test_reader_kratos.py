"""Kratos .dset and .kal: the same measurement written as both, after public descriptions of the two."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from layerscope.spectra.xps.dataset import XpsDataset
from layerscope.spectra.xps.readers import FORMATS, read

from layerscope.errors import LayerscopeError, ReaderError

START, STEP, POINTS = 1196.6, 0.1, 121
KINETIC = START + STEP * np.arange(POINTS)
COUNTS = np.round(400 + 9000 * np.exp(-4 * np.log(2) * ((1486.6 - KINETIC - 284.8) / 1.1) ** 2))
TF_ENERGY, TF_VALUE = np.array([0.0, 600.0, 1500.0]), np.array([2.0, 1.2, 0.8])


def words(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *values)


def text(field: int, value: str) -> bytes:
    return words(field, len(value) + 1, *map(ord, value), 0)


def double(field: int, value: float) -> bytes:
    return words(field) + struct.pack(">d", value)


def values(field: int, array: np.ndarray, kind: str) -> bytes:
    return words(field, array.size) + array.astype(kind).tobytes()


def block(number: int, *records: bytes) -> bytes:
    body = words(number, 0, 0) + b"".join(records) + words(0, 0)
    return words(len(body)) + body


def region(number: int, x_rays: int = 8, technique: int = 3, counts: np.ndarray = COUNTS) -> bytes:
    group = words(5587, 7, 7, 7) + values(5615, TF_ENERGY, ">f8") + values(5616, TF_VALUE, ">f8") + words(0, 0)
    return block(
        number,
        words(1, technique, 2, 0) + double(3, START) + double(4, STEP),
        text(5, "Kinetic Energy") + text(6, "eV") + double(7, 0.25) + text(9, "counts") + values(12, counts, ">f4"),
        text(37, "C 1s/scan") + double(42, 20.0) + words(99, 3) + text(151, "16/11/11 13:49:29"),
        words(3049, 0, 3080, x_rays) + double(3112, 4.2) + text(3113, "C") + text(3114, "1s"),
        group,
    )


def dset(*blocks: bytes) -> bytes:
    head = bytes.fromhex("0000de0100000002") + bytes(12) + words(len(blocks))
    return head.ljust(0x0B10, b"\0") + b"".join(blocks)


POSITION = block(1, words(38, 1), text(3087, "film 2"), double(3088, 0.0123))
BINARY = dset(POSITION, region(2))


def listed(array: np.ndarray) -> str:
    return "{" + ", ".join(f"{v:g}" for v in array) + "}"


def kal(x_rays: str = "F_REFER_TO_XRAY_MONO_AL") -> str:
    first, second = COUNTS[:60], COUNTS[60:]
    half = listed(first).rstrip("}") + ",\n      " + listed(second).lstrip("{")
    rows = {
        "   1 Technique": "F_XPS",
        "   2 Scan type": "F_SPECTRUM",
        "   3 Spectrum scan start": f"{START} eV",
        "   4 Spectrum scan step size": f"{STEP} eV",
        "   5 Abscissa label": "Kinetic Energy",
        "   7 Dwell time": "0.25 seconds",
        "   9 Ordinate units": "counts",
        "  12 Ordinate values": half,
        "  37 Acquisition name": "C 1s/scan",
        "  42 Pass energy": "20 eV",
        "  99 # Sweeps completed": "3",
        " 151 Date Acquired": "16/11/11 13:49:29",
        "3049 HSA Lens Mode": "F_HSA_LENS_HYBRID",
        "3080 Xray Reference Energy": x_rays,
        "3112 Work function": "4.2",
        "3113 Chemical symbol or formula": "C",
        "3114 Transition or charge state": "1s",
        "5587 Transmission Function Object (ke,t)": "{",
        "5615 Transmission Function Kinetic Energy": listed(TF_ENERGY),
        "5616 Transmission Function Value         ": listed(TF_VALUE),
    }
    dataset = "Dataset filename          = a.dset\n"
    position = "Object name               = Sample Position/1\n3087 Stage Position Name       = film 2\n"
    fields = "".join(f"{name} = {value}\n" for name, value in rows.items())
    return f"{dataset}{position}{dataset}Object name               = C 1s/2\n{fields}}}\n"


def opened(folder: Path, content: bytes | str, name: str) -> XpsDataset:
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return read(folder / name)


@pytest.mark.parametrize(("content", "name"), [(BINARY, "a.dset"), (kal(), "a.kal")])
def test_a_spectrum_is_read_with_what_the_file_says_of_it(content: bytes | str, name: str, tmp_path: Path) -> None:
    (one,) = opened(tmp_path, content, name).spectra
    assert one.region == "C 1s"
    assert one.sample == "film 2"
    assert np.allclose(one.axis, (1486.6 - KINETIC)[::-1])
    assert np.array_equal(one.counts, COUNTS[::-1])
    assert one.intensity_unit == "counts"
    assert one.exposure_s == 0.75
    assert (one.pass_energy_eV, one.work_function_eV, one.excitation_energy_eV) == (20.0, 4.2, 1486.6)
    assert one.transmission is not None
    assert np.allclose(one.transmission, np.interp(KINETIC, TF_ENERGY, TF_VALUE)[::-1])
    assert str(one.start_time) == "2016-11-11 13:49:29"


def test_binary_file_and_its_dump_give_the_same(tmp_path: Path) -> None:
    (a,), (b,) = (opened(tmp_path, *pair).spectra for pair in ((BINARY, "a.dset"), (kal(), "a.kal")))
    assert np.allclose(a.axis, b.axis, rtol=0, atol=1e-9)
    assert np.array_equal(a.counts, b.counts)
    assert (a.region, a.sample, a.exposure_s, a.start_time) == (b.region, b.sample, b.exposure_s, b.start_time)


def test_what_is_no_xps_spectrum_is_named_and_left_out(tmp_path: Path) -> None:
    (one,) = opened(tmp_path, dset(POSITION, region(2), region(3, technique=1), region(4, x_rays=2)), "a.dset").spectra
    assert one.metadata["skipped"] == "C 1s/scan/3, C 1s/scan/4"


def test_a_spectrum_without_a_known_anode_has_no_binding_energy(tmp_path: Path) -> None:
    with pytest.raises(ReaderError, match="unknown anode"):
        opened(tmp_path, kal("F_REFER_TO_NONE"), "a.kal")
    with pytest.raises(ReaderError, match="unknown anode"):
        opened(tmp_path, dset(POSITION, region(2, x_rays=5)), "a.dset")


def test_an_object_with_a_field_of_unknown_shape_is_left_out_alone(tmp_path: Path) -> None:
    strange = block(3, words(1, 3, 2, 0), words(777, 5))
    (one,) = opened(tmp_path, dset(POSITION, region(2), strange), "a.dset").spectra
    assert one.region == "C 1s"


@pytest.mark.parametrize("content", [BINARY[:-40], BINARY[:0x0B10], kal()[: kal().index("99 #") - 400]])
def test_a_truncated_file_is_refused_by_name(content: bytes | str, tmp_path: Path) -> None:
    with pytest.raises(ReaderError, match=r"a\.x"):
        opened(tmp_path, content, "a.x")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, len(BINARY) - 1), value=st.integers(0, 255))
def test_a_damaged_byte_gives_a_typed_error_or_spectra(at: int, value: int, tmp_path: Path) -> None:
    harmed = BINARY[:at] + bytes([value]) + BINARY[at + 1 :]
    try:
        found = opened(tmp_path, harmed, "a.dset")
    except LayerscopeError:
        return
    assert all(np.isfinite(one.axis).all() for one in found.spectra)


def test_the_formats_are_told_apart_by_content(tmp_path: Path) -> None:
    for content, name in ((BINARY, "kratos_dset"), (kal().encode(), "kratos_kal")):
        (tmp_path / "x.dat").write_bytes(content)
        assert read(tmp_path / "x.dat").spectra[0].region == "C 1s"
        assert name in FORMATS.names
