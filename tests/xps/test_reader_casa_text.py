from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from layerscope.spectra.xps.readers import FORMATS, read

from layerscope.errors import DataError, LayerscopeError, ReaderError

HV, TIME = 1486.6, 2.0
KINETIC = np.array([1294.0, 1294.5, 1295.0, 1295.5, 1296.0, 1296.5])
COUNTS = np.array([10.0, 12.0, 30.0, 28.0, 11.0, 9.0])


def block(
    title: str = "film:B1s",
    counts: Sequence[float] | np.ndarray = COUNTS,
    *,
    components: Sequence[str] = (),
    shift: float = 0.0,
    columns: Sequence[str] = ("K.E.", "Counts", "B.E.", "CPS"),
    time: float = TIME,
) -> str:
    """Write a block as CasaXPS does: a fit adds the columns of its curves to both halves."""
    tabs = "\t".join
    lines = [f"Cycle 0:{title}", f"\tCharacteristic Energy eV\t{HV:.6e}\tAcquisition Time s\t{time:.6e}"]
    lines += [tabs(["Name", "", *components, ""]), tabs(["Position", "", *("192.00" for _ in components), ""])]
    lines += [tabs(["Lineshape", "", *("GL(30)" for _ in components), ""])]
    curves = [*components, "Background", "Envelope"] if components else []
    lines.append(tabs([*columns[:2], *curves, "", *columns[2:], *curves]))
    for energy, value in zip(KINETIC, counts, strict=True):
        known = {"K.E.": energy, "Counts": value, "B.E.": HV - energy + shift, "CPS": value / time}
        filler = ["1.0"] * len(curves)
        left, right = ([f"{known[c]:.6e}" for c in part] for part in (columns[:2], columns[2:]))
        lines.append(tabs([*left, *filler, "", *right, *filler]))
    return "\n".join(lines) + "\n"


def write(folder: Path, text: str | bytes, name: str = "export.txt") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_real_export_is_the_vamas_file_that_it_was_made_from(shared_data: Path) -> None:
    names = ("FeO_analyzed_lineshapes_cols.txt", "FeO_analyzed.vms")
    ours, theirs = (read(shared_data / "xps" / name) for name in names)
    assert ours.format == "casa_text"
    assert ours.regions() == ("Fe 2p",)
    for one, other in zip(ours.spectra, theirs.spectra, strict=True):
        assert (one.region, one.sample) == (other.region, other.sample)
        np.testing.assert_allclose(one.axis, other.axis, atol=1e-9)
        np.testing.assert_array_equal(one.counts, other.counts)
        assert one.exposure_s == pytest.approx(other.exposure_s)
        assert one.excitation_energy_eV == other.excitation_energy_eV


def test_blocks_open_with_energies_counts_sample_and_the_table_of_their_fit(tmp_path: Path) -> None:
    text = block(components=("B-O", "TM-O")) + "\n" + block("other film:O1s", COUNTS * 3)
    first, second = read(write(tmp_path, text)).spectra
    assert (first.region, first.sample, second.region, second.sample) == ("B 1s", "film", "O 1s", "other film")
    np.testing.assert_allclose(first.axis, np.sort(HV - KINETIC))
    np.testing.assert_array_equal(first.counts, COUNTS[::-1])
    np.testing.assert_array_equal(second.counts, 3 * COUNTS[::-1])
    assert (first.intensity_unit, first.exposure_s) == ("counts", TIME)
    assert first.metadata["component 2"] == "TM-O, Position 192.00, Lineshape GL(30)"
    assert "component 1" not in second.metadata


def test_what_casaxps_added_to_the_energies_is_kept_apart(tmp_path: Path) -> None:
    (spectrum,) = read(write(tmp_path, block(shift=-1.25))).spectra
    np.testing.assert_allclose(spectrum.axis, np.sort(HV - KINETIC))
    assert float(spectrum.metadata["shift_in_casaxps_eV"]) == pytest.approx(-1.25)


def test_an_export_of_rates_alone_is_a_rate_with_its_time(tmp_path: Path) -> None:
    (spectrum,) = read(write(tmp_path, block(columns=("B.E.", "CPS")))).spectra
    assert (spectrum.intensity_unit, spectrum.exposure_s) == ("counts/s", TIME)
    np.testing.assert_allclose(spectrum.real_counts(), COUNTS[::-1])


def test_a_file_cut_within_a_block_is_refused(tmp_path: Path) -> None:
    text = block()
    for keep in (*range(1, len(text) - 90, 37), len(text) - 1):
        with pytest.raises((ReaderError, DataError)):
            read(write(tmp_path, text[:keep]), format="casa_text")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (block().replace("3.000000e+01", "thirty"), "thirty"),
        (block().replace("Counts", "a").replace("CPS", "b"), "no column of counts"),
        (block(columns=("K.E.", "Counts")).replace(f"{HV:.6e}", ""), "excitation energy is not given"),
        ("Cycle 0:film:B1s\n\tCharacteristic Energy eV\t1e3\n", "no values"),
        ("Cycle zero\n\tCharacteristic Energy eV\t1e3\n", "known format"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(ReaderError, match=reason):
        read(write(tmp_path, text))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(max_size=300), keep=st.integers(0, 400))
def test_only_typed_errors_escape_from_noise(tmp_path: Path, noise: bytes, keep: int) -> None:
    with pytest.raises(LayerscopeError):
        read(write(tmp_path, block().encode()[:keep] + b"\t" + noise), format="casa_text")


def test_no_other_reader_takes_it(tmp_path: Path) -> None:
    assert FORMATS.sniffed(write(tmp_path, block())) == ["casa_text"]
