from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from layerscope.spectra.xps.readers import FORMATS, read

from layerscope.errors import LayerscopeError, ReaderError

HV, PASS, STEP, POINTS = 1486.6, 20.0, 0.05, 41
SHIFTS = (-0.0745, 0.0054, 0.0825)  # of the pass energy
HEAD, TAIL = 33, 30
START = HV - 193.0  # kinetic energy of the first point
HEADER = (
    '<?xml version="1.0"?>\n<!-- CORBA XML document created by XMLSerializer2 1.6 -->\n'
    "<!DOCTYPE any [\n<!ELEMENT any (any|struct)?>\n]>\n"
)


def line(kinetic: np.ndarray) -> np.ndarray:
    """Whole counts of a line at 192 eV, as every detector sees it."""
    return np.round(50 + 1000 * np.exp(-4 * np.log(2) * ((HV - kinetic - 192.0) / 0.8) ** 2))


def counts(shifts: Sequence[float] = SHIFTS) -> np.ndarray:
    """Return what a scan holds: the counts of all detectors, the detector running fastest."""
    nominal = START + STEP * (np.arange(POINTS + HEAD + TAIL) - HEAD)
    return np.stack([line(nominal + shift * PASS) for shift in shifts], axis=1).ravel()


def scan(values: np.ndarray, length: int | None = None) -> str:
    text = " ".join(f"{v:g}" for v in values)
    return (
        f'<struct type_name="ScanData"><sequence name="counts" length="{length or values.size}" type_name="CountsSeq">'
        f'<ulong type_name="Counts">{text}</ulong></sequence></struct>'
    )


def region(
    name: str = "2 B1s",
    cycles: Sequence[Sequence[np.ndarray]] | None = None,
    *,
    mode: str = "FixedAnalyzerTransmission",
    base: float = 0,
) -> str:
    cycles = [[counts()]] if cycles is None else cycles
    detectors = "".join(
        f'<struct type_name="Detector"><double name="position">1</double><double name="shift">{s}</double></struct>'
        for s in SHIFTS
    )
    plan = (
        '<struct name="region" type_name="RegionDef"><string name="analysis_method">XPS</string>'
        f'<struct name="scan_mode" type_name="ScanMode"><string name="name">{mode}</string></struct>'
        '<ulong name="curves_per_scan">1</ulong>'
        f'<ulong name="values_per_curve">{POINTS}</ulong><double name="dwell_time">0.1</double>'
        f'<double name="scan_delta">{STEP}</double><double name="excitation_energy">{HV}</double>'
        f'<double name="kinetic_energy">{START}</double><double name="kinetic_energy_base">{base}</double>'
        f'<double name="pass_energy">{PASS}</double></struct>'
    )
    data = "".join(
        f'<struct type_name="Cycle"><ulong name="time">{1643391325 + k}</ulong><sequence name="scans" '
        f'length="{len(scans)}" type_name="ScanSeq">{"".join(map(scan, scans))}</sequence></struct>'
        for k, scans in enumerate(cycles)
    )
    return (
        f'<struct type_name="RegionData"><string name="name">{name}</string>{plan}<ulong name="mcd_head">{HEAD}</ulong>'
        f'<ulong name="mcd_tail">{TAIL}</ulong><sequence name="detectors" length="{len(SHIFTS)}" '
        f'type_name="DetectorSeq">{detectors}</sequence><sequence name="cycles" length="{len(cycles)}" '
        f'type_name="CycleSeq">{data}</sequence></struct>'
    )


def document(*regions: str) -> str:
    return (
        f'{HEADER}<any version="1.6"><sequence length="1" type_name="RegionGroupSeq"><struct type_name="RegionGroup">'
        f'<string name="name">film</string><sequence name="regions" length="{len(regions)}" '
        f'type_name="RegionDataSeq">{"".join(regions)}</sequence></struct></sequence></any>\n'
    )


def write(folder: Path, text: str | bytes, name: str = "film.xml") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_the_detectors_of_a_scan_add_up_at_the_energies_that_they_saw(tmp_path: Path) -> None:
    (spectrum,) = read(write(tmp_path, document(region()))).spectra
    np.testing.assert_allclose(spectrum.axis, np.sort(HV - (START + STEP * np.arange(POINTS))))
    truth = len(SHIFTS) * line(HV - spectrum.axis)
    # the shifts are no whole steps: a point is half a step off at most
    steepest = np.abs(np.gradient(truth, spectrum.axis)).max() * 0.5 * STEP
    assert np.abs(spectrum.counts - truth).max() < steepest
    assert spectrum.axis[np.argmax(spectrum.counts)] == pytest.approx(192.0)
    assert spectrum.counts.max() > 0.99 * truth.max()


def test_scans_add_up_and_cycles_are_levels(tmp_path: Path) -> None:
    text = document(region(cycles=[[counts()] * 2, [counts()] * 3]), region("O1s"))
    data = read(write(tmp_path, text))
    first, second = data.levels("B 1s")
    (other,) = data.levels("O 1s")
    np.testing.assert_array_equal(first.counts, 2 * other.counts)
    np.testing.assert_array_equal(second.counts, 3 * other.counts)
    assert (first.scans, second.scans, first.exposure_s) == (2, 3, pytest.approx(0.2))
    assert (first.sample, first.pass_energy_eV, first.excitation_energy_eV) == ("film", PASS, HV)
    assert first.start_time is not None
    assert first.start_time.isoformat() == "2022-01-28T17:35:25+00:00"


def test_a_region_at_another_pass_energy_is_named_and_not_read(tmp_path: Path) -> None:
    (spectrum,) = read(write(tmp_path, document(region(), region("Fixed", mode="FixedEnergies")))).spectra
    assert spectrum.metadata["skipped"] == "Fixed"


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    text = document(region())
    for keep in (*range(1, len(text) - 10, 97), len(text) - 8):
        with pytest.raises(ReaderError):
            read(write(tmp_path, text[:keep]))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (document(region(mode="FixedRetardingRatio")), "none is a spectrum"),
        (document(region(base=1.0)), "only one curve a scan"),
        (document(region(cycles=[])), "no cycle"),
        (document(region(cycles=[[counts()[:-1]]])), "not those of 3 detectors"),
        (document(region(cycles=[[counts()[:60]]])), "do not hold the counts of all points"),
        (document(region()).replace(scan(counts()), scan(counts(), 5)), "declares 5 entries and holds"),
        (document(region()).replace('name="mcd_head">33', 'name="mcd_head">3'), "shifted by more than was measured"),
        (document(region()).replace(" 1050 ", " many ", 1), "many"),
        (document(region()).replace("<!ELEMENT any", '<!ENTITY a "b">\n<!ELEMENT any'), "document type or entities"),
        (document(region()).replace("XMLSerializer", "Other"), "known format"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(ReaderError, match=reason):
        read(write(tmp_path, text))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(min_size=1, max_size=300), keep=st.integers(0, 2000))
def test_only_typed_errors_escape_from_noise(tmp_path: Path, noise: bytes, keep: int) -> None:
    with pytest.raises(LayerscopeError):
        read(write(tmp_path, document(region()).encode()[:keep] + noise), format="specs_xml")


def test_no_other_reader_takes_it(tmp_path: Path) -> None:
    assert FORMATS.sniffed(write(tmp_path, document(region()))) == ["specs_xml"]
