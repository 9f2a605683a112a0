from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from layerscope.spectra.xps.readers import read

from layerscope.errors import DataError, LayerscopeError, ReaderError

ENERGY = np.array([194.0, 193.5, 193.0, 192.5, 192.0, 191.5])
COUNTS = np.array([10.0, 12.0, 30.0, 28.0, 11.0, 9.0])


def block(cycle: int, scan: int | None, labels: str, columns: Sequence[np.ndarray]) -> str:
    name = f"# Cycle: {cycle}, Curve: 0" + ("" if scan is None else f", Scan: {scan}")
    rows = "\n".join("  ".join(f"{value:g}" for value in row) for row in zip(*columns, strict=True))
    return f"{name}\n#\n# Acquisition Date:   08/24/23 14:19:47 UTC\n# ColumnLabels:   {labels}\n#\n{rows}\n\n"


def region(
    name: str,
    blocks: Sequence[str],
    *,
    values: int = 6,
    scans: int = 1,
    group: str | None = None,
    curves: int = 1,
    hv: str = "1486.61",
) -> str:
    head = "" if group is None else f"# Group:      {group}\n#\n"
    head += f"# Region:      {name}\n# Analysis Method:  XPS\n# Curves/Scan:  {curves}\n# Values/Curve:  {values}\n"
    head += f"# Dwell Time:   0.1\n# Excitation Energy:   {hv}\n# Pass Energy:   20\n# Eff. Workfunction:   4.1082\n"
    head += "# Source:   XR 50\n# Comment:   fresh: from the box\n\n"
    return head + "".join(f"# Cycle: {i}\n#\n# Number of Scans: {scans}\n\n{part}" for i, part in enumerate(blocks))


def specs(*regions: str, axis: str = "Binding Energy", rate: str = "Counts per Second") -> str:
    settings = (
        f"# Created by:   SpecsLab Prodigy, Version 4.100\n#\n#   Energy Axis:   {axis}\n#   Count Rate:   {rate}\n#\n"
    )
    return settings + "".join(regions)


def write(folder: Path, text: str | bytes, name: str = "film.xy") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


RATE = "energy counts/s"
PROFILE = specs(
    region("B1s", [block(i, None, RATE, [ENERGY, COUNTS + i]) for i in range(3)], group="film", scans=2),
    region("C1s", [block(i, None, RATE, [ENERGY + 90, COUNTS * 2 + i]) for i in range(3)], scans=4),
)


def test_cycles_are_levels_and_the_header_is_kept(tmp_path: Path) -> None:
    data = read(write(tmp_path, PROFILE))
    assert (data.format, data.regions()) == ("specs", ("B 1s", "C 1s"))
    levels = data.levels("B 1s")
    assert [s.counts[0] for s in levels] == [9.0, 10.0, 11.0]
    first = levels[0]
    assert first.binding_energy.tolist() == ENERGY[::-1].tolist()
    assert (first.intensity_unit, first.dwell_time_s, first.scans, first.sample) == ("counts/s", 0.1, 2, "film")
    assert (first.pass_energy_eV, first.excitation_energy_eV, first.work_function_eV) == (20.0, 1486.61, 4.1082)
    assert data.levels("C1s")[0].scans == 4


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_any_encoding_will_do(tmp_path: Path, encoding: str) -> None:
    plain = read(write(tmp_path, PROFILE)).spectra
    for ours, other in zip(read(write(tmp_path, PROFILE.encode(encoding), "other.txt")).spectra, plain, strict=True):
        assert (ours.region, ours.sample, ours.counts.tolist()) == (other.region, other.sample, other.counts.tolist())


def test_kinetic_energies_become_binding_energies_without_the_work_function(tmp_path: Path) -> None:
    text = specs(region("B1s", [block(0, None, RATE, [1486.61 - ENERGY, COUNTS])]), axis="Kinetic Energy")
    (spectrum,) = read(write(tmp_path, text)).spectra
    assert spectrum.binding_energy == pytest.approx(ENERGY[::-1])


def test_separate_scans_are_averaged_as_rates_and_added_up_as_counts(tmp_path: Path) -> None:
    def scans(labels: str) -> str:
        return "".join(block(0, i, labels, [ENERGY, COUNTS + 3 * i]) for i in range(3))

    (rates,) = read(write(tmp_path, specs(region("B1s", [scans(RATE)])))).spectra
    assert rates.counts == pytest.approx(COUNTS[::-1] + 3)
    text = specs(region("B1s", [scans("energy counts")]), rate="Counts")
    (counts,) = read(write(tmp_path, text)).spectra
    assert counts.counts == pytest.approx(3 * COUNTS[::-1] + 9)
    assert (rates.scans, counts.scans, counts.intensity_unit) == (3, 3, "counts")


def test_transmission_is_kept_apart_from_the_counts(tmp_path: Path) -> None:
    text = specs(region("B1s", [block(0, None, RATE + " transmission", [ENERGY, COUNTS, ENERGY / 100])]))
    (spectrum,) = read(write(tmp_path, text)).spectra
    assert spectrum.counts == pytest.approx(COUNTS[::-1])
    assert spectrum.transmission == pytest.approx(ENERGY[::-1] / 100)


def test_a_scan_at_fixed_energies_is_named_and_not_taken_for_a_spectrum(tmp_path: Path) -> None:
    fixed = region("Align", [block(0, None, "index counts/s", [np.arange(6.0), COUNTS])])
    data = read(write(tmp_path, specs(fixed, region("B1s", [block(0, None, RATE, [ENERGY, COUNTS])]))))
    assert (data.regions(), data.spectra[0].metadata["skipped"]) == (("B 1s",), "Align")


def test_a_file_cut_within_a_region_is_refused(tmp_path: Path) -> None:
    heads = ("# Cycle: 1\n", "# Cycle: 2\n", "# Region:")
    starts = [i for i in range(len(PROFILE)) if PROFILE.startswith(heads, i)]
    path = tmp_path / "cut.xy"
    for length in range(1, len(PROFILE) - 1, 5):
        # The format counts neither regions nor cycles: a cut between two of them leaves a shorter file that is whole.
        if any(start - 1 <= length <= start + len("# Cycle: 1") for start in starts):
            continue
        path.write_text(PROFILE[:length])
        with pytest.raises(LayerscopeError):
            read(path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (PROFILE.replace("SpecsLab Prodigy", "Notepad"), "no known format"),
        (PROFILE[:-40] + "\n", "values are there"),
        (PROFILE.rstrip(), "within its last line"),
        (specs(region("B1s", [])), "has no data"),
        (specs(region("B1s", [block(0, None, RATE, [ENERGY, COUNTS])], curves=2)), "1 of 2 curves"),
        (specs(region("B1s", [block(0, 0, RATE, [ENERGY, COUNTS])], scans=2)), "not all are there"),
        (specs(region("B1s", [block(0, 1, RATE, [ENERGY, COUNTS])])), "not all are there"),
        (specs(region("B1s", [block(0, None, "energy volts", [ENERGY, COUNTS])])), "unit 'volts'"),
        (specs(region("B1s", [block(0, None, "energy counts", [ENERGY, COUNTS])])), "the header says"),
        (specs(region("B1s", [block(0, None, RATE, [ENERGY, COUNTS])]), axis="Time"), "neither a kinetic nor"),
        (
            specs(region("B1s", [block(0, None, RATE, [ENERGY, COUNTS])], hv="?"), axis="Kinetic Energy"),
            "excitation energy is not given",
        ),
        (PROFILE.replace("193.5  12\n", "193.5  abc\n", 1), "not a number"),
        (PROFILE.replace("193.5  12\n", "193.5\n", 1), "does not have 2 columns"),
        (PROFILE.replace("# Created", "<<<<<<< HEAD\n# Created"), "no known format"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(ReaderError, match=reason):
        read(write(tmp_path, text))


@pytest.mark.parametrize(("value", "reason"), [("nan", "NaN"), ("-12", "negative")])
def test_counts_that_cannot_be_used_are_refused(tmp_path: Path, value: str, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        read(write(tmp_path, PROFILE.replace("193.5  12\n", f"193.5  {value}\n", 1)))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(max_size=200), keep=st.integers(0, 600))
def test_only_typed_errors_escape_from_noise(tmp_path: Path, noise: bytes, keep: int) -> None:
    try:
        data = read(write(tmp_path, PROFILE.encode()[:keep] + noise + b"\n"), format="specs")
    except LayerscopeError:
        return
    assert all(s.counts.size == 6 for s in data.spectra)
