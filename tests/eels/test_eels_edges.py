from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from layerscope.spectra.eels.background import fit_power_laws, windows
from layerscope.spectra.eels.estimates import Net, Spectra, area, maximum, ratio
from layerscope.spectra.eels.naming import name_flags
from layerscope.spectra.eels.options import EnsembleTable
from layerscope.spectra.eels.readers import FORMATS
from numpy.typing import NDArray

from layerscope.errors import DataError

FloatArray = NDArray[np.float64]
STORED = {"oxygen_edge.msa": 69, "Mn_edge.msa": 65, "Co_edge.msa": 65, "Ni_edge.msa": 65}
"""Channels of the window that Gatan's program used, from the first channel of its edge on."""
ONSETS = {"oxygen_edge.msa": 518.3, "Mn_edge.msa": 630.2, "Co_edge.msa": 834.5, "Ni_edge.msa": 763.7}
TABLE = EnsembleTable()
ENERGY = np.arange(480.0, 620.0, 0.4)


def of_file(folder: Path, name: str) -> tuple[FloatArray, FloatArray]:
    (one,) = FORMATS.read(folder / "eels" / name).measurements
    return one.axis, one.intensity


def spectra(counts: FloatArray, energy: FloatArray = ENERGY, noise: float = 1.0) -> Spectra:
    return Spectra(energy, counts, noise * np.maximum(counts, 0.0), noise, noise)


def with_edge(height: float = 4000.0) -> FloatArray:
    background = 20000.0 * (ENERGY / 500.0) ** -3.0
    edge = height * (ENERGY > 532.0) * (1.0 + 2.0 * np.exp(-0.5 * ((ENERGY - 541.0) / 2.5) ** 2))
    return np.asarray(background + edge)


@pytest.mark.parametrize("name", STORED)
def test_the_backgrounds_and_areas_that_gatans_program_stored_are_met(shared_data: Path, name: str) -> None:
    energy, counts = of_file(shared_data, "Extracted_Spectrum_1.msa")
    own, net = of_file(shared_data, name)
    first = int(np.flatnonzero(net)[0])
    channel = np.rint((own - energy[0]) / 0.3).astype(int)
    laws = fit_power_laws(energy, counts[None], np.array([[own[first], own[first + STORED[name] - 1]]]))
    where = (own >= own[first]) & (own <= own[first] + 100.0)
    background = laws.values()[0, 0][channel[where]]
    stored = counts[channel[where]] - net[where]
    assert np.abs(background / stored - 1).max() <= 3e-4
    assert (counts[channel[where]] - background).sum() == pytest.approx(net[where].sum(), rel=1e-3)


@pytest.mark.parametrize("name", STORED)
def test_gatans_areas_lie_inside_the_interval_or_the_window_decides(shared_data: Path, name: str) -> None:
    energy, counts = of_file(shared_data, "Extracted_Spectrum_1.msa")
    own, net = of_file(shared_data, name)
    onset = ONSETS[name]
    limits = (onset - 5.15, onset + 45.15)
    laws = fit_power_laws(energy, counts[None], windows(onset, TABLE.gaps_eV, TABLE.lengths_eV), 9.0)
    one = spectra(counts[None], energy, 31.0)
    value, sigma, parts = (part for part in area(Net.of(laws, one, limits, 2.5), limits, (0.5, 0.0)).stated())
    stored = 0.3 * net[(own > limits[0]) & (own < limits[1])].sum()
    assert laws.r.shape == (1, 25)
    bound = parts["ensemble"][0] > 0.15 * abs(value[0])
    assert bound == (name in ("Co_edge.msa", "Ni_edge.msa"))
    if not bound:
        assert abs(value[0] - stored) < sigma[0] < 0.1 * stored


@pytest.mark.parametrize(("name", "flagged"), [("Co_edge.msa", "Ni L3"), ("Ni_edge.msa", "Co L3"), ("Mn_edge.msa", "")])
def test_files_under_each_others_name_are_noticed(shared_data: Path, name: str, flagged: str) -> None:
    energy, net = of_file(shared_data, name)
    flags = name_flags(energy, net, name)
    assert bool(flags) == bool(flagged)
    if flagged:
        assert flags[0].startswith("NAME_DISAGREES:")
        assert flagged in flags[0]


def test_a_bend_changes_the_fit_as_stated() -> None:
    members = windows(532.0, (6.0, 10.0), (20.0, 30.0))
    plain = with_edge(0.0)
    laws = fit_power_laws(ENERGY, plain[None], members)
    for k, centre in enumerate(laws.centre):
        bent = fit_power_laws(ENERGY, (plain * np.exp(1e-4 * np.log(ENERGY / centre) ** 2))[None], members[k : k + 1])
        change = 1e4 * (bent.values()[0, 0] / laws.values()[0, k] - 1.0)
        x = laws.x()[k]
        assert change == pytest.approx(laws.bend[0, k, 0] + laws.bend[0, k, 1] * x, rel=0.02, abs=2e-5)


def test_few_counts_do_not_shift_the_background() -> None:
    mean = 60.0 * (ENERGY / 500.0) ** -3.0
    counts = np.random.default_rng(3).poisson(mean, (3000, ENERGY.size)).astype(float)
    members = windows(532.0, (6.0,), (30.0,))
    at = int(np.searchsorted(ENERGY, 545.0))
    kept = fit_power_laws(ENERGY, counts, members, 1.0).values()[:, 0, at].mean() / mean[at]
    left = fit_power_laws(ENERGY, counts, members).values()[:, 0, at].mean() / mean[at]
    assert kept == pytest.approx(1.0, abs=0.003)
    assert left > 1.006


def test_counting_errors_are_the_scatter_of_repeats() -> None:
    counts = np.random.default_rng(4).poisson(with_edge(), (400, ENERGY.size)).astype(float)
    laws = fit_power_laws(ENERGY, counts, windows(532.0, TABLE.gaps_eV, TABLE.lengths_eV), 1.0)
    net = Net.of(laws, spectra(counts), (530.0, 575.0), 0.0)
    for found in (
        area(net, (532.0, 560.0), (0.0, 0.0)),
        ratio(net, (532.0, 537.0), (532.0, 560.0), (0.0, 0.0)),
        maximum(net, (536.0, 546.0), 0.8, (0.0, 0.0)),
    ):
        scatter = found.value.mean(axis=1).std(ddof=1)
        assert found.stated()[2]["counting"].mean() == pytest.approx(scatter, rel=0.15)


def test_differences_are_taken_inside_a_member() -> None:
    counts = np.stack([with_edge(4000.0), with_edge(4400.0)])
    laws = fit_power_laws(ENERGY, counts, windows(532.0, TABLE.gaps_eV, TABLE.lengths_eV))
    net = Net.of(laws, spectra(counts), (530.0, 575.0), 2.5)
    single = ratio(net, (532.0, 537.0), (532.0, 560.0), (0.3, 0.0))
    change = single.less(np.array([1]))
    assert change.stated()[2]["background"][0] < 0.2 * single.stated()[2]["background"][0]
    assert change.stated()[2]["energy_scale"][0] < 0.1 * single.stated()[2]["energy_scale"][0]
    assert change.stated()[2]["counting"][0] > single.stated()[2]["counting"][0]


def test_a_window_outside_the_data_is_refused() -> None:
    with pytest.raises(DataError, match="lies outside the data"):
        fit_power_laws(ENERGY, with_edge()[None], windows(490.0, (6.0,), (30.0,)))


def test_fewer_than_25_windows_are_refused() -> None:
    with pytest.raises(ValueError, match="fewer than 25 windows"):
        EnsembleTable(gaps_eV=(5.0, 8.0))


def test_the_oxygen_edge_of_a_garnet_has_the_exponent_and_the_maxima_that_were_measured(shared_data: Path) -> None:
    energy, counts = of_file(shared_data, "eelsdb_YAG_O_K.msa")
    laws = fit_power_laws(energy, counts[None], np.array([[510.0, 528.0]]))
    assert laws.r[0, 0] == pytest.approx(1.99, abs=0.05)
    net = Net.of(laws, spectra(counts[None], energy), (525.0, 570.0), 0.0)
    for place, (low, high) in {537.5: (535.0, 539.5), 541.8: (540.0, 545.0), 558.0: (552.0, 563.0)}.items():
        assert maximum(net, (low, high), 0.5, (0.0, 0.0)).value[0, 0] == pytest.approx(place, abs=0.4)
