"""NXmonopd files of diffraction runs: validated, read back by our own reader, opened by silx."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

import h5py
import numpy as np
import pytest
from layerscope.diffraction.exports import FORMATS
from layerscope.diffraction.nexus import write_monopd
from layerscope.diffraction.readers import read

from layerscope.errors import DataError

_SPEC = importlib.util.spec_from_file_location("xrd_case", Path(__file__).with_name("xrd_case.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
case = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(case)


def passes_validation(path, entry):
    """Return pynxtools' verdict. It misses required fields, not whole required groups."""
    validation = pytest.importorskip("pynxtools.dataconverter.validation", reason="pynxtools: extra verify")
    with h5py.File(path, "r") as file:
        assert file[f"{entry}/definition"].asstr()[()] == "NXmonopd"
        return bool(validation.validate_hdf_group_against("NXmonopd", file[entry], str(path)))


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "case.nxs"
    write_monopd(path, case.arrays("P", "case"))
    return path


@pytest.mark.parametrize(
    "changes",
    [{}, {"metadata": {}}, {"metadata": {**case.META, "anode": None, "probe": "neutron", "dwell_time_s": 2.0}}],
    ids=["stated", "nothing stated", "neutrons"],
)
def test_every_entry_passes_validation_as_nxmonopd(tmp_path, changes):
    path = tmp_path / "case.nxs"
    write_monopd(path, case.arrays("P", "case", **changes))
    assert passes_validation(path, "entry_0000")
    assert passes_validation(path, f"entry_{len(case.USED) - 1:04d}")


@pytest.mark.parametrize(
    "missing",
    ["title", "instrument/source/probe", "instrument/crystal/wavelength", "sample/name", "monitor/mode"],
)
def test_validation_fails_when_a_required_field_is_missing(written, missing):
    with h5py.File(written, "r+") as file:
        del file[f"entry_0000/{missing}"]
    assert not passes_validation(written, "entry_0000")


def test_our_own_reader_gives_back_counts_errors_and_wavelengths(tmp_path):
    run = case.peaks_run(tmp_path / "run", samples=("P",))
    (path,) = FORMATS["nxmonopd"](run, tmp_path)
    arrays = run.arrays["case_P_LCO_003"].load()
    series = read(path)
    assert len(series.frames) == len(case.USED)
    for level, frame in enumerate(series.frames):
        assert np.array_equal(frame.intensity, arrays.counts[level])
        assert frame.intensity_unit == "counts"
        np.testing.assert_allclose(frame.variance, arrays.variance[level], rtol=1e-12)
        assert np.array_equal(frame.axis, arrays.axis)
        assert (frame.radiation.alpha1, frame.radiation.alpha2) == (1.5405929, 1.5444274)
        assert frame.sample == "P-LCO"


def test_counts_are_integers_and_other_intensities_stay_what_they_are(tmp_path, written):
    path = tmp_path / "rates.nxs"
    series = case.arrays("P", "case")
    write_monopd(path, case.arrays("P", "case", counts=series.counts / 7.0, intensity_unit="counts/s"))
    with h5py.File(written, "r") as whole, h5py.File(path, "r") as rates:
        assert whole["entry_0000/data/data"].dtype == np.int64
        assert rates["entry_0000/data/data"].dtype == np.float64
        assert "no whole counts" in rates["entry_0000/notes/description"].asstr()[()]
        assert "no whole counts" not in whole["entry_0000/notes/description"].asstr()[()]


def test_what_is_not_stated_is_said_in_words_and_not_invented(written):
    with h5py.File(written, "r") as file:
        entry = file["entry_0000"]
        assert entry["start_time"].size == 0
        assert np.isnan(entry["monitor/integral"][()])
        assert np.isnan(entry["sample/rotation_angle"][()])
        assert entry["instrument/source/name"].asstr()[()] == "Cu X-ray tube"
        text = entry["notes/description"].asstr()[()]
    for word in ("start_time", "monitor/mode", "assumption", "rotation_angle"):
        assert word in text
    assert "source" not in text


def test_silx_opens_a_pattern_with_errors_and_fit_as_default_plot(written):
    nxdata = pytest.importorskip("silx.io.nxdata", reason="silx is not installed: extra verify")
    series = case.arrays("P", "case")
    with h5py.File(written, "r") as file:
        plot = nxdata.get_default(file)
        assert plot is not None
        assert plot.is_valid
        assert np.array_equal(plot.signal[()], series.counts[0])
        assert np.array_equal(plot.axes[0][()], series.axis)
        assert np.array_equal(plot.errors[()], np.sqrt(series.variance[0]))
        assert np.array_equal(plot.auxiliary_signals[0][()], series.fit[0])


def test_the_same_series_gives_the_same_bytes_and_a_single_pattern_one_entry(tmp_path, written):
    again = tmp_path / "again.nxs"
    write_monopd(again, case.arrays("P", "case"))
    assert again.read_bytes() == written.read_bytes()
    assert not write_monopd(again, case.arrays("P", "case"))
    run = case.rietveld_run(tmp_path / "run", frames=1)
    (path,) = FORMATS["nxmonopd"](run, tmp_path)
    with h5py.File(path, "r") as file:
        assert list(file) == ["entry"]


def test_another_axis_or_a_title_too_few_is_refused(tmp_path):
    with pytest.raises(DataError, match="two_theta in deg"):
        write_monopd(tmp_path / "x.nxs", case.arrays("P", "case", axis_name="Q", axis_unit="1/angstrom"))
    with pytest.raises(DataError, match="1 titles for 7 patterns"):
        write_monopd(tmp_path / "x.nxs", case.arrays("P", "case"), titles=["one"])
    assert not list(tmp_path.iterdir())
