from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from layerscope.spectra.xps.readers import FORMATS, read

from layerscope.errors import LayerscopeError, ReaderError

COUNTS = np.array([10.0, 12.0, 30.0, 28.0, 11.0, 9.0])
NOTE = (
    "[SES]\rVersion=1.2.5\rRegion Name=B1s\rPass Energy=50\rNumber of Sweeps=2\rExcitation Energy=520\r"
    "Energy Scale=Binding\rStep Time=203\rSample=film\rTime per Spectrum Channel=45.066\r"
)
CODES = {"f4": 2, "f8": 4, "i4": 0x20, "u2": 0x50}


def wave(
    values: np.ndarray = COUNTS,
    *,
    start: float = 194.0,
    step: float = -0.5,
    kind: str = "f8",
    order: str = "<",
    note: str = NOTE,
    axis: str = "Binding Energy [eV]",
    code: int | None = None,
) -> bytes:
    """Write a wave of version 5: headers, values with the first dimension fastest, note, units of data and axis."""
    data = np.asarray(values).astype(f"{order}{kind}").tobytes(order="F")
    texts = [text.encode() for text in (note, "Counts [a.u.]", axis)]
    head = bytearray(384)
    struct.pack_into(f"{order}hHi15i", head, 0, 5, 0, 320 + len(data), 0, *map(len, texts), *([0] * 11))
    struct.pack_into(f"{order}i", head, 64 + 12, values.size)
    struct.pack_into(f"{order}h", head, 64 + 16, CODES[kind] if code is None else code)
    struct.pack_into(f"{order}4i", head, 64 + 68, *values.shape, *([0] * (4 - values.ndim)))
    struct.pack_into(f"{order}8d", head, 64 + 84, step, 1.0, 1.0, 1.0, start, 0.0, 0.0, 0.0)
    total = int(np.frombuffer(bytes(head), f"{order}i2").astype(np.int64).sum())
    struct.pack_into(f"{order}H", head, 2, -total % 65536)
    return bytes(head) + data + b"".join(texts)


def write(folder: Path, content: bytes, name: str = "film.ibw") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", list(CODES))
def test_a_wave_opens_with_axis_counts_and_the_settings_of_its_note(tmp_path: Path, kind: str, order: str) -> None:
    (spectrum,) = read(write(tmp_path, wave(kind=kind, order=order))).spectra
    np.testing.assert_allclose(spectrum.axis, [191.5, 192.0, 192.5, 193.0, 193.5, 194.0])
    np.testing.assert_array_equal(spectrum.counts, COUNTS[::-1])
    assert (spectrum.region, spectrum.sample, spectrum.pass_energy_eV) == ("B 1s", "film", 50.0)
    assert (spectrum.scans, spectrum.exposure_s, spectrum.intensity_unit) == (2, pytest.approx(45.066), "counts")


def test_kinetic_energies_become_binding_energies(tmp_path: Path) -> None:
    (spectrum,) = read(write(tmp_path, wave(start=326.0, step=0.5, axis="Kinetic Energy [eV]"))).spectra
    np.testing.assert_allclose(spectrum.axis, [191.5, 192.0, 192.5, 193.0, 193.5, 194.0])


def test_the_slices_of_two_dimensional_waves_are_added_up(tmp_path: Path) -> None:
    slices = np.outer(COUNTS, [1.0, 2.0, 3.0])
    (spectrum,) = read(write(tmp_path, wave(slices, axis="Binding Energy [eV]"))).spectra
    np.testing.assert_array_equal(spectrum.counts, 6 * COUNTS[::-1])


def test_a_wave_cut_anywhere_is_refused(tmp_path: Path) -> None:
    content = wave()
    for keep in (*range(1, len(content), 23), len(content) - 1):
        with pytest.raises(ReaderError):
            read(write(tmp_path, content[:keep]))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (wave(note="made by hand"), "not one of SES"),
        (wave(code=1), "complex numbers or text"),
        (wave(np.zeros((2, 2, 2))), "one or two are read"),
        (wave(step=0.0), "step of 0.0"),
        (wave(axis="Angle [deg]"), "neither a kinetic nor a binding energy"),
        (wave(code=CODES["f4"]), "declares 6 values, but 48 bytes"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    with pytest.raises(ReaderError, match=reason):
        read(write(tmp_path, content))


def test_one_wrong_byte_in_the_headers_is_seen(tmp_path: Path) -> None:
    content = bytearray(wave())
    content[64 + 69] ^= 0x10
    with pytest.raises(ReaderError):
        read(write(tmp_path, bytes(content)))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(min_size=1, max_size=400), at=st.integers(0, 383))
def test_only_typed_errors_escape_from_noise(tmp_path: Path, noise: bytes, at: int) -> None:
    content = wave()[:at] + noise
    with pytest.raises(LayerscopeError):
        read(write(tmp_path, content), format="igor")


def test_no_other_reader_takes_it(tmp_path: Path) -> None:
    assert FORMATS.sniffed(write(tmp_path, wave())) == ["igor"]
