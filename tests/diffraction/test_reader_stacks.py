"""Stacks of integrated patterns in HDF5: plots of NeXus with their times, and what pyFAI itself writes."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from layerscope.diffraction.dataset import PatternSeries
from layerscope.diffraction.readers import read

import layerscope
from layerscope.errors import ReaderError

ANGLES = np.linspace(5.0, 25.0, 400)
ROWS = np.random.default_rng(0).poisson(50.0 + 400.0 * np.exp(-(((ANGLES - 12.0) / 0.2) ** 2)), (4, 400)).astype(float)


def plot(path: Path, axis: str, unit: str, values: Any, *, times: Any = None, rows: Any = ROWS) -> Path:
    with h5py.File(path, "w") as file:
        entry = file.create_group("entry")
        group = entry.create_group("integrated")
        group.attrs.update({"NX_class": "NXdata", "signal": "I", "axes": [".", axis]})
        group["I"], group["I_errors"], group[axis] = rows, np.sqrt(rows), values
        group[axis].attrs["units"] = unit
        entry["start_time"] = "2026-05-01T10:00:00"
        if times is not None:
            group["time"] = times
            group["time"].attrs["units"] = "min"
    return path


def test_a_stack_of_a_plot_is_a_frame_a_row_with_its_errors_and_times(tmp_path: Path) -> None:
    found = layerscope.read(plot(tmp_path / "s.h5", "two_theta", "deg", ANGLES, times=[0.0, 1.0, 2.5, 4.0]))
    assert len(found.measurements) == 4
    first = found.measurements[0].start_time
    assert [(m.start_time - first).total_seconds() for m in found.measurements] == [0.0, 60.0, 150.0, 240.0]
    for one, row in zip(found.measurements, ROWS, strict=True):
        np.testing.assert_array_equal(one.intensity, row)
        np.testing.assert_allclose(one.sigma(), np.sqrt(row))


@pytest.mark.parametrize(("axis", "unit", "worth"), [("q", "nm^-1", 0.1), ("q", "1/angstrom", 1.0), ("q", "A^-1", 1.0)])
def test_an_axis_of_q_is_in_inverse_angstrom(axis: str, unit: str, worth: float, tmp_path: Path) -> None:
    values = np.linspace(1.0, 5.0, 400) / worth
    (frame, *_) = read(plot(tmp_path / "s.h5", axis, unit, values)).frames
    assert frame.axis_kind == "q"
    np.testing.assert_allclose(frame.axis, values * worth)


def test_radians_become_degrees_and_an_unknown_unit_or_length_is_refused(tmp_path: Path) -> None:
    (frame, *_) = read(plot(tmp_path / "r.h5", "two_theta", "rad", np.radians(ANGLES))).frames
    np.testing.assert_allclose(frame.axis, ANGLES)
    with pytest.raises(ReaderError, match="unit"):
        read(plot(tmp_path / "u.h5", "two_theta", "furlong", ANGLES))
    with pytest.raises(ReaderError, match="positions"):
        read(plot(tmp_path / "l.h5", "two_theta", "deg", ANGLES[:-3]))


def test_a_plot_of_something_else_is_no_pattern(tmp_path: Path) -> None:
    with pytest.raises(ReaderError, match="no known format"):
        read(plot(tmp_path / "e.h5", "energy", "eV", ANGLES))


@pytest.fixture
def result() -> Any:
    reason = "pyFAI is not installed (pip install 'layerscope[area]')"
    module = pytest.importorskip("pyFAI.integrator.azimuthal", reason=reason)
    detector = importlib.import_module("pyFAI.detectors").Detector(2e-4, 2e-4, max_shape=(80, 90))
    integrator = module.AzimuthalIntegrator(0.1, 0.002, 0.003, detector=detector, wavelength=0.41e-10)
    image = np.random.default_rng(1).poisson(40.0, (80, 90))

    def integrate(unit: str) -> Any:
        method = ("no", "csr", "cython")
        return integrator, integrator.integrate1d(image, 120, unit=unit, error_model="poisson", method=method)

    return integrate


@pytest.mark.parametrize(("unit", "kind", "worth"), [("2th_deg", "two_theta", 1.0), ("q_nm^-1", "q", 0.1)])
def test_what_pyfai_saves_as_nxmonopd_is_read(unit: str, kind: str, worth: float, result: Any, tmp_path: Path) -> None:
    _, made = result(unit)
    importlib.import_module("pyFAI.io.nexus").save_NXmonpd(str(tmp_path / "m.nxs"), made)
    (frame,) = read(tmp_path / "m.nxs").frames
    assert frame.axis_kind == kind
    np.testing.assert_allclose(frame.axis, made.radial * worth)
    np.testing.assert_allclose(frame.intensity, made.intensity)
    np.testing.assert_allclose(frame.sigma(), made.sigma)
    assert frame.radiation is not None
    assert frame.radiation.alpha1 == pytest.approx(0.41)


def test_what_pyfai_writes_of_a_series_is_read(result: Any, tmp_path: Path) -> None:
    integrator, made = result("2th_deg")
    io = importlib.import_module("pyFAI.io")
    poni = importlib.import_module("pyFAI.io.ponifile").PoniFile(integrator).as_dict()
    writer = io.HDF5Writer(str(tmp_path / "w.h5"), hpath="entry_0000", mode="w")
    writer.init(
        fai_cfg={"unit": "2th_deg", "nbpt_rad": 120, "do_2D": False, "poni": dict(poni), "error_model": "poisson"},
        lima_cfg={"number_of_frames": 3},
    )
    for number in range(3):
        writer.write(made, number)
    writer.close()
    found = read(tmp_path / "w.h5")
    assert isinstance(found, PatternSeries)
    assert len(found) == 3
    for frame in found.frames:
        np.testing.assert_allclose(frame.axis, made.radial, rtol=1e-6)
        np.testing.assert_allclose(frame.intensity, made.intensity, rtol=1e-6)
        np.testing.assert_allclose(frame.sigma(), made.sigma, rtol=1e-6)
        assert frame.radiation is not None
        assert frame.radiation.alpha1 == pytest.approx(0.41)
