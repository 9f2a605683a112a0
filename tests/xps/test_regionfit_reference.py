"""The energy scale where the reference line is lost, and levels that only some regions have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from layerscope.spectra.xps.charge import ChargeTable
from layerscope.spectra.xps.dataset import Spectrum, XpsDataset
from layerscope.spectra.xps.energyscale import EnergyScale, align, fit_reference, matching_rows
from layerscope.spectra.xps.options import RegionTable, SeriesTable
from layerscope.spectra.xps.regionresult import RegionData
from layerscope.spectra.xps.series import RegionSpectra, region_spectra

from layerscope.errors import DataError

X = np.round(np.arange(280.0, 292.0, 0.1), 2)
CARBON = RegionTable.model_validate({"region": "C 1s", "components": [{"species": "C-C/C-H"}]})
BORON = RegionTable.model_validate({"region": "B 1s", "components": [{"species": "B-O"}]})
SERIES = SeriesTable.model_validate({"files": ["file.vms"]})
SHIFTS = np.array([0.10, -0.05, 0.02, 0.08])
CHARGE = ChargeTable.model_validate(
    {"kind": "line", "region": "C 1s", "species": "C-C/C-H", "energy_eV": 284.8, "sigma_eV": 0.2}
)


def carbon(heights: tuple[float, ...], seed: int = 3) -> RegionData:
    """Draw C 1s with a line of given height at each level."""
    t = (X[None, :] - 284.8 - SHIFTS[: len(heights), None]) / 1.3
    mu = 400.0 + np.array(heights)[:, None] * np.exp(-4.0 * np.log(2.0) * t**2)
    counts = np.random.default_rng(seed).poisson(mu).astype(float)
    n = len(heights)
    return RegionData(X, counts, np.ones(n), 10.0 * np.arange(n))


def test_reference_that_is_there_gives_the_shift_of_every_level() -> None:
    _, result, scale = fit_reference(CARBON, carbon((5000.0,) * 4), "C_C_C_H", CHARGE, "file")
    assert not scale.lost
    assert np.abs((scale.line_shift - SHIFTS) / scale.statistical).max() < 4.0
    assert result.fit.value("C_C_C_H_center")[0] == 284.8
    assert scale.systematic == 0.2


@pytest.mark.parametrize("seed", range(5))
def test_level_without_reference_line_takes_the_others_shift_with_their_spread(seed: int) -> None:
    data, result, scale = fit_reference(CARBON, carbon((5000.0, 5000.0, 0.0, 5000.0), seed), "C_C_C_H", CHARGE, "file")
    assert scale.lost == {2}
    known = SHIFTS[[0, 1, 3]]
    assert abs(scale.line_shift[2] - known.mean()) < 0.2  # no bump of the noise, eV away
    assert 0.03 < scale.statistical[2] <= max(known.std(ddof=1), 0.1) + 0.01
    assert np.abs(scale.line_shift[[0, 1, 3]] - known).max() < 0.02
    area, sigma = result.fit.value("C_C_C_H_area")[2], result.fit.sigma("C_C_C_H_area")[2]
    assert abs(area) < 4.0 * sigma
    assert data.charge_sigma is not None
    assert np.isinf(data.charge_sigma[[0, 1, 3]]).all()


def test_reference_that_is_nowhere_is_an_error_that_names_it() -> None:
    with pytest.raises(DataError, match=r"charge reference 'C-C/C-H' is not detected in 'C 1s'"):
        fit_reference(CARBON, carbon((0.0, 0.0)), "C_C_C_H", CHARGE, "file")


def spectra(region: str, times: tuple[float, ...]) -> RegionSpectra:
    """Return a region measured at some etch times."""
    x = X if region == "C 1s" else X - 93.0
    levels = tuple(
        Spectrum(
            region=region,
            region_label=region,
            level=k,
            axis=x,
            intensity=np.random.default_rng(k).poisson(500.0, x.size).astype(float),
            intensity_unit="counts",
            dwell_time_s=0.1,
            scans=1,
            etch_time_s=t,
            sample="s",
            block=k,
        )
        for k, t in enumerate(times)
    )
    dataset = XpsDataset(Path("file.vms"), "vamas", "test", "1", "0" * 64, 10, levels)
    return region_spectra([dataset], CARBON if region == "C 1s" else BORON, SERIES)


def test_levels_go_together_by_time_where_a_region_has_fewer() -> None:
    assert matching_rows(spectra("B 1s", (0.0, 50.0)), spectra("C 1s", (0.0, 10.0, 50.0))) == {0: 0, 1: 2}
    assert matching_rows(spectra("B 1s", (0.0, 5.0)), spectra("C 1s", (0.0, 5.1))) == {0: 0, 1: 1}


def test_level_without_reference_is_left_out_with_a_note() -> None:
    scale = EnergyScale(np.array([0.1, 0.3]), np.array([0.01, 0.02]), 0.2, known=True, lost=frozenset({1}))
    boron, part = align(spectra("B 1s", (0.0, 10.0, 50.0)), spectra("C 1s", (0.0, 50.0)), scale, "file")
    assert boron.times is not None
    assert boron.times.tolist() == [0.0, 50.0]
    assert boron.y.shape[0] == len(boron.spectra) == 2
    assert part.line_shift.tolist() == [0.1, 0.3]
    assert "level 1" in boron.notes[0]
    fewer, one = align(spectra("B 1s", (50.0,)), spectra("C 1s", (0.0, 50.0)), scale, "file")
    assert not fewer.notes
    assert one.line_shift.tolist() == [0.3]
    assert one.lost == {0}


def test_regions_without_a_common_level_are_an_error() -> None:
    scale = EnergyScale(np.zeros(2), np.zeros(2), 0.2, known=True)
    with pytest.raises(DataError, match=r"no level of 'B 1s' was measured with the charge reference"):
        align(spectra("B 1s", (5.0,)), spectra("C 1s", (0.0, 50.0)), scale, "file")
