"""What other programs make of our NeXus files: pynxtools validates, silx plots, scippnexus loads, lmfit takes over."""

from __future__ import annotations

import importlib
from dataclasses import replace

import h5py
import numpy as np
import pytest
from layerscope.spectra.xps.nexus import LAYOUT

from layerscope.runs import nexus


def write_series(path, series):
    """Write a series with the layout of XPS."""
    return nexus.write_series(path, series, layout=LAYOUT)


def passes_validation(path) -> bool:
    """Return pynxtools' own verdict; its command line ends with 0 even for an invalid file, this function does not."""
    validation = pytest.importorskip("pynxtools.dataconverter.validation", reason="pynxtools: extra verify")
    with h5py.File(path, "r") as file:
        assert file["entry/definition"].asstr()[()] == "NXxps"
        return bool(validation.validate_hdf_group_against("NXxps", file["entry"], str(path)))


@pytest.fixture
def written(tmp_path, make_series):
    path = tmp_path / "arrays" / "b1s.nxs"
    write_series(path, make_series())
    return path


ODD_LABELS = ("B–O", "B/O", "B O", "NXpeak", "x_errors", "π→π*")
VARIANTS = {
    "everything stated": {},
    "nothing stated": {"metadata": {}},
    "time without zone, unlisted analyser": {
        "metadata": {"start_time": "2024-03-01 09:30", "analyser_scheme": "home-built", "source_name": "Mg"}
    },
    "one level": {"levels": 1},
    "no component": {"labels": ()},
    "no parameter": {"parameters": {}},
    "odd labels": {"labels": ODD_LABELS},
    "counts per second against depth": {
        "intensity_unit": "counts/s",
        "area_unit": "counts/s*eV",
        "level_name": "depth",
        "level_unit": "nm",
    },
    "levels only numbered": {"level_name": "level", "level_unit": "1"},
    "kinetic energy, descending": {"axis_name": "kinetic_energy", "axis": np.linspace(1300.0, 1288.0, 31)},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_file_passes_pynxtools_validation_as_nxxps(tmp_path, make_series, variant):
    path = tmp_path / "arrays" / "b1s.nxs"
    write_series(path, make_series(**VARIANTS[variant]))
    assert passes_validation(path)


@pytest.mark.parametrize(
    "missing",
    [
        "title",
        "start_time",
        "method",
        "data/data",
        "data/energy",
        "sample/name",
        "instrument/beam_probe",
        "instrument/beam_probe/incident_energy",
        "instrument/electronanalyzer/work_function",
        "instrument/electronanalyzer/collectioncolumn/scheme",
        "instrument/electronanalyzer/energydispersion/energy_scan_mode",
        "fit/label",
        "fit/data/fit_sum",
        "fit/peak_B_O_B/data/position",
        "fit/background_series",
    ],
)
def test_validation_fails_when_a_required_part_is_missing(written, missing):
    # Groups of any name (NXdata, NXinstrument, NXelectron_detector) are left out: pynxtools 0.16 does not miss them.
    with h5py.File(written, "r+") as file:
        del file[f"entry/{missing}"]
    assert not passes_validation(written)


@pytest.mark.parametrize("damage", ["unit", "scheme", "time", "type", "axis"])
def test_validation_fails_for_wrong_content(written, damage):
    with h5py.File(written, "r+") as file:
        entry = file["entry"]
        if damage == "unit":
            entry["data/energy"].attrs["units"] = "s"
        elif damage == "scheme":
            del entry["instrument/electronanalyzer/energydispersion/scheme"]
            entry["instrument/electronanalyzer/energydispersion/scheme"] = "wooden"
        elif damage == "time":
            del entry["start_time"]
            entry["start_time"] = "yesterday"
        elif damage == "type":
            entry["data/energy"].attrs["type"] = "free"
        else:
            del entry["data/energy"]
            entry["data/energy"] = np.arange(7.0)
            entry["data/energy"].attrs.update({"units": "eV", "type": "binding"})
    assert not passes_validation(written)


def test_what_the_raw_file_does_not_state_is_said_in_words_and_not_invented(tmp_path, make_series):
    path = tmp_path / "arrays" / "bare.nxs"
    write_series(path, make_series(metadata={"start_time": "2024-03-01T09:30:00"}))
    with h5py.File(path, "r") as file:
        instrument = file["entry/instrument"]
        assert file["entry/start_time"].size == 0
        assert np.isnan(instrument["beam_probe/incident_energy"][()])
        assert np.isnan(instrument["electronanalyzer/work_function"][()])
        assert not {"source_probe", "name"} & set(instrument)
        assert "user" not in file["entry"]
        text = file["entry/notes/description"].asstr()[()]
    for field in ("start_time: stated without time zone", "incident_energy", "work_function", "assumption"):
        assert field in text


def test_what_the_raw_file_states_stands_in_its_place_without_notes(written):
    with h5py.File(written, "r") as file:
        entry = file["entry"]
        assert entry["start_time"].asstr()[()] == "2024-03-01T09:30:00+01:00"
        assert entry["instrument/beam_probe/incident_energy"][()] == 1486.6
        assert entry["instrument/electronanalyzer/energydispersion/pass_energy"][()] == 23.5
        assert entry["instrument/source_probe/type"].asstr()[()] == "Fixed Tube X-ray"
        assert entry["energy_referencing/binding_energy"][()] == 284.8
        assert "notes" not in entry


def test_silx_opens_the_counts_with_axes_and_errors_as_default_plot(written, make_series):
    nxdata = pytest.importorskip("silx.io.nxdata", reason="silx is not installed: extra verify")
    series = make_series()
    with h5py.File(written, "r") as file:
        plot = nxdata.get_default(file)
        assert plot is not None
        assert plot.is_valid
        assert plot.signal.shape == (4, 31)
        assert np.array_equal(plot.signal[()], series.counts)
        assert plot.axes_dataset_names == ["etch_time", "energy"]
        assert np.array_equal(plot.axes[0][()], series.levels)
        assert np.array_equal(plot.axes[1][()], series.axis)
        assert np.array_equal(plot.errors[()], np.sqrt(series.variance))
        assert plot.title == series.title


def test_silx_shows_the_fit_over_the_counts_for_the_fit_group(written, make_series):
    nxdata = pytest.importorskip("silx.io.nxdata", reason="silx is not installed: extra verify")
    with h5py.File(written, "r") as file:
        plot = nxdata.get_default(file["entry/fit"])
        assert plot is not None
        assert [values.shape for values in plot.auxiliary_signals] == [(4, 31), (4, 31)]
        assert np.array_equal(plot.auxiliary_signals[0][()], make_series().fit)


def test_another_technique_opens_in_silx_too_and_claims_no_definition(tmp_path, make_series):
    nxdata = pytest.importorskip("silx.io.nxdata", reason="silx is not installed: extra verify")
    path = tmp_path / "arrays" / "xrd.nxs"
    nexus.write_series(path, make_series(technique="xrd", axis_name="two_theta", axis_unit="deg", level_name="voltage"))
    with h5py.File(path, "r") as file:
        assert "definition" not in file["entry"]
        plot = nxdata.get_default(file)
        assert plot is not None
        assert plot.axes_dataset_names == ["voltage", "two_theta"]


@pytest.mark.parametrize("levels", [1, 4])
def test_scippnexus_loads_counts_with_our_variances_and_units(tmp_path, make_series, levels):
    scippnexus = pytest.importorskip("scippnexus", reason="scippnexus is not installed: extra verify")
    series = make_series(levels=levels)
    path = tmp_path / "arrays" / "b1s.nxs"
    write_series(path, series)
    with scippnexus.File(path, "r") as file:
        loaded = file["entry/data"][()]
        peak = file["entry/fit/peak_B_O_B"][()]
        whole = file[()]
    assert loaded.dims == ("etch_time", "energy")
    assert str(loaded.unit) == "counts"
    assert str(loaded.coords["energy"].unit) == "eV"
    assert np.array_equal(loaded.values, series.counts)
    assert loaded.variances is not None
    np.testing.assert_allclose(loaded.variances, series.variance, rtol=1e-15)
    np.testing.assert_allclose(peak["total_area"].variances, 49.0, rtol=1e-15)
    assert set(whole["entry"]) >= {"data", "fit", "sample", "instrument"}


def test_parameters_map_to_lmfit_one_to_one(written, make_series):
    lmfit = importlib.import_module("lmfit")
    series = make_series()
    with h5py.File(written, "r") as file:
        group = file["entry/fit/global_fit_function/fit_parameters"]
        names = [name for name in group if not name.endswith("_errors")]
        assert sorted(names) == sorted(series.parameters)
        for level in range(4):
            parameters = lmfit.Parameters()
            for name in names:
                limits = {key: group[name].attrs[key] for key in ("min", "max") if key in group[name].attrs}
                parameters.add(name, value=group[name][level], vary=bool(group[name].attrs["vary"]), **limits)
                parameters[name].stderr = group[f"{name}_errors"][level]
            centre = parameters["B_O_B_center"]
            assert (centre.value, centre.stderr, centre.min, centre.max, centre.vary) == (
                192.0,
                0.02,
                191.0,
                193.0,
                True,
            )
            assert parameters["shift"].value == series.parameters["shift"].values[level]
            assert not parameters["B_O_B_fwhm"].vary
        assert group["B_O_B_center"].attrs["error"] == 0.02
        assert "error" not in group["shift"].attrs
        assert "error" not in group["B_O_B_fwhm"].attrs


def test_a_peak_holds_its_own_parameters_and_no_others(written):
    with h5py.File(written, "r") as file:
        own = file["entry/fit/peak_B_O_B/function/fit_parameters"]
        assert {name for name in own if not name.endswith("_errors")} == {"B_O_B_center", "B_O_B_fwhm"}
        assert not len(file["entry/fit/peak_TM_O_B/function/fit_parameters"])


def test_residual_is_the_difference_and_chi2_its_weighted_sum(written, make_series):
    series = make_series()
    with h5py.File(written, "r") as file:
        assert np.array_equal(file["entry/fit/data/residual"][()], series.counts - series.fit)
        chi2 = np.sum((series.counts - series.fit) ** 2 / series.variance)
        assert file["entry/fit/figure_of_merit_chi2"][()] == pytest.approx(chi2, rel=1e-12)
        assert file["entry/fit/figure_of_merit_chi2_per_level"][()].sum() == pytest.approx(chi2, rel=1e-12)
        assert file["entry/fit/figure_of_merit_redchi"][()] == 1.02


def test_no_time_host_or_path_is_stored(written, make_series, tmp_path):
    content = written.read_bytes()
    assert str(tmp_path).encode() not in content
    assert replace(make_series()).title.encode() in content
    with h5py.File(written, "r") as file:
        assert not {"file_name", "file_time", "file_update_time"} & set(file.attrs)
