from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from layerscope.spectra.xps.readers import read

from layerscope.errors import DataError, LayerscopeError, ReaderError

ENERGY = np.array([194.0, 193.5, 193.0, 192.5, 192.0, 191.5])
COUNTS = np.array([10.0, 12.0, 30.0, 28.0, 11.0, 9.0])


def region(
    number: int,
    name: str,
    energy: np.ndarray = ENERGY,
    values: np.ndarray = COUNTS,
    *,
    axis: str = "Binding Energy [eV]",
    hv: str = "520",
) -> str:
    table = values.reshape(len(energy), -1)
    slices = table.shape[1]
    text = f"[Region {number}]\nRegion Name={name}\nDimension 1 name={axis}\nDimension 1 size={len(energy)}\n"
    text += "Dimension 1 scale=" + " ".join(f"{e:g}" for e in energy) + "\n"
    if slices > 1:
        text += f"Dimension 2 name=Y-Scale [mm]\nDimension 2 size={slices}\nDimension 2 scale=" + "1 " * slices + "\n"
    text += f"\n[Info {number}]\nRegion Name={name}\nPass Energy=50\nNumber of Sweeps=2\nExcitation Energy={hv}\n"
    text += f"Step Time=203\nSample=film\nTime per Spectrum Channel=45.066\n[Run Mode Information {number}]\n\n\n"
    rows = "\n".join(f" {e:.14E}  " + "  ".join(f"{v:.14E}" for v in row) for e, row in zip(energy, table, strict=True))
    return text + f"[Data {number}]\n{rows}\n\n"


def ses(*regions: str, declared: int | None = None) -> str:
    count = len(regions) if declared is None else declared
    return f"[Info]\nNumber of Regions={count:04d}\nVersion=1.3.1\n\n" + "".join(regions)


def write(folder: Path, text: str | bytes, name: str = "film.txt") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


FILE = ses(region(1, "B1s"), region(2, "C1s", ENERGY + 90, COUNTS * 3), region(3, "B1s", ENERGY, COUNTS + 1))


def test_regions_open_with_axis_counts_and_settings(tmp_path: Path) -> None:
    data = read(write(tmp_path, FILE))
    assert (data.format, data.regions()) == ("scienta", ("B 1s", "C 1s"))
    first, second = data.levels("B1s")
    assert first.binding_energy.tolist() == ENERGY[::-1].tolist()
    assert first.counts.tolist() == COUNTS[::-1].tolist()
    assert second.counts.tolist() == (COUNTS[::-1] + 1).tolist()
    assert (first.pass_energy_eV, first.excitation_energy_eV, first.sample) == (50.0, 520.0, "film")
    assert first.exposure_s == pytest.approx(45.066)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_any_encoding_will_do(tmp_path: Path, encoding: str) -> None:
    plain = read(write(tmp_path, ses(region(1, "B1s")))).spectra
    for ours, other in zip(
        read(write(tmp_path, ses(region(1, "B1s")).encode(encoding), "other.txt")).spectra, plain, strict=True
    ):
        assert (ours.region, ours.sample, ours.counts.tolist()) == (other.region, other.sample, other.counts.tolist())


def test_kinetic_energies_become_binding_energies(tmp_path: Path) -> None:
    text = ses(region(1, "B1s", 520.0 - ENERGY, COUNTS, axis="Kinetic Energy [eV]"))
    (spectrum,) = read(write(tmp_path, text)).spectra
    assert spectrum.binding_energy == pytest.approx(ENERGY[::-1])


def test_the_slices_of_two_dimensional_data_are_added_up(tmp_path: Path) -> None:
    values = COUNTS[:, np.newaxis] * np.array([1.0, 10.0, 100.0])
    (spectrum,) = read(write(tmp_path, ses(region(1, "B1s", ENERGY, values)))).spectra
    assert spectrum.counts == pytest.approx(111.0 * COUNTS[::-1])


def test_whole_numbers_are_counts_and_others_a_rate_and_the_file_says_so(tmp_path: Path) -> None:
    data = read(write(tmp_path, ses(region(1, "B1s"), region(2, "C1s", ENERGY, COUNTS + 0.25))))
    assert [s.intensity_unit for s in data.spectra] == ["counts", "counts/s"]
    assert "does not name it" in data.spectra[1].metadata["unit"]


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    content = FILE.rstrip() + "\n"
    path = tmp_path / "cut.txt"
    for length in [*range(1, len(content), 7), *range(len(content) - 60, len(content))]:
        path.write_text(content[:length])
        with pytest.raises(ReaderError):
            read(path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("[Info]\nVersion=1\n", "no known format"),
        (ses(region(1, "B1s"), declared=2), "0002 regions are declared, 1 are there"),
        (ses(region(2, "B1s")), "1 are there"),
        (FILE.replace("Dimension 1 size=6", "Dimension 1 size=7", 1), r"region 1 \(B1s\): 6 of 7 rows"),
        (FILE.replace("Dimension 1 size=6", "Dimension 1 size=99999999999", 1), "6 of 99999999999 rows"),
        (FILE.replace("Dimension 1 size=6\n", "", 1), "does not declare the size"),
        (FILE.replace("scale=194 ", "scale=195 ", 1), "not those of the scale"),
        (FILE.replace("scale=194 ", "scale=", 1), "5 of 6 energies"),
        (FILE.replace("Dimension 1 size=6", "Dimension 1 size=6\nDimension 2 size=3", 1), "an energy and 3 values"),
        (FILE.replace("1.20000000000000E+01", "1.2OOE+01", 1), "not a number"),
        (FILE.replace("Binding Energy [eV]", "Angle [deg]"), "neither a kinetic nor a binding"),
        (ses(region(1, "B1s", axis="Kinetic Energy [eV]", hv="?")), "excitation energy is not given"),
        (FILE.replace("[Data 1]", "[Data 1:1]"), "three-dimensional"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(ReaderError, match=reason):
        read(write(tmp_path, text))


@pytest.mark.parametrize(("value", "reason"), [("NaN", "NaN"), ("-1.2E+01", "negative")])
def test_counts_that_cannot_be_used_are_refused(tmp_path: Path, value: str, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        read(write(tmp_path, FILE.replace("1.20000000000000E+01", value, 1)))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(max_size=200), keep=st.integers(0, 900))
def test_only_typed_errors_escape_from_noise(tmp_path: Path, noise: bytes, keep: int) -> None:
    with pytest.raises(LayerscopeError):
        read(write(tmp_path, FILE.encode()[:keep] + noise + b"\n"), format="scienta")
