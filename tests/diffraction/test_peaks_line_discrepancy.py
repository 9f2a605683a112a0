"""Lines of another shape than the fit's: errors have a part ``model``, and records say that they are in doubt."""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from layerscope.diffraction.peaks.components import hardware_lines
from layerscope.diffraction.peaks.quantities import frame_flags, frame_quantities, misshapen, series_flags
from layerscope.diffraction.peaks.series import LineSeries, SeriesOptions, analyse_series
from layerscope.diffraction.radiation import tube_radiation
from numpy.typing import NDArray

from layerscope.flags import status_of

FloatArray = NDArray[np.float64]
OPTIONS = SeriesOptions(hardware=tuple(h for h in hardware_lines() if h.id == "PTFE_100"))


def _generator(name: str) -> ModuleType:
    """Load a generator of the benchmarks: it shares no code with the package."""
    path = Path(__file__).resolve().parents[2] / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def analysed(two_theta: FloatArray, counts: FloatArray, voltage: FloatArray) -> LineSeries:
    time = 600.0 * np.arange(len(counts))
    return analyse_series(two_theta, counts, tube_radiation("Cu"), time_s=time, voltage_V=voltage, options=OPTIONS)


def line(x: FloatArray, centre: float, wide: float) -> FloatArray:
    """Return a doublet of unit area, half Gaussian and half Lorentzian."""
    out = np.zeros_like(x)
    for shift, share in ((0.0, 2 / 3), (0.048, 1 / 3)):
        t = (x - centre - shift) / wide
        gauss = np.sqrt(4 * np.log(2) / np.pi) * np.exp(-4 * np.log(2) * t**2)
        out += share / wide * 0.5 * (gauss + 2 / np.pi / (1 + 4 * t**2))
    return out


@pytest.fixture(scope="module")
def broad() -> tuple[LineSeries, FloatArray]:
    """Give a series whose lines have a foot at low angles, and the shares of their areas, shape (2, F)."""
    x = np.arange(17.6, 20.4, 0.02)
    share = np.clip(0.03 * (np.arange(30) - 13), 0.0, 0.45)

    def footed(centre: float, wide: float) -> FloatArray:
        return 0.8 * line(x, centre, wide) + 0.12 * line(x, centre - 0.11, 0.14) + 0.08 * line(x, centre - 0.25, 0.2)

    drawn = [(1 - s) * footed(18.7 + 0.006 * f, 0.1) + s * footed(19.3, 0.16) for f, s in enumerate(share)]
    counts = np.random.default_rng(3).poisson(90 + 900 * np.array(drawn)).astype(float)
    found = analyse_series(x, counts, tube_radiation("Cu"), voltage_V=np.linspace(4.3, 4.62, 30))
    return found, np.stack([1 - share, share])


def test_shares_of_lines_with_a_foot_lie_fewer_errors_off_with_the_part_model_and_are_never_off_without_a_word(
    broad: tuple[LineSeries, FloatArray],
) -> None:
    found, share = broad
    assert found.counting is not None
    first = found.rows_of(["O3", "O3p"]).astype(float)  # the foot may be a line of its own
    several = share[1] > 0.05
    error = np.abs(first @ np.nan_to_num(found.area_fraction) - share[0])[several]
    counting, whole = (
        np.sqrt(np.einsum("k,fkl,l->f", first, c, first)[several])
        for c in (found.counting.area_fraction, found.area_fraction_covariance)
    )
    assert np.median(error / whole) < 0.6 * np.median(error / counting)
    off = np.flatnonzero(several)[error > 1.96 * whole]
    assert all(misshapen(found, int(f)) for f in off)


def test_frames_whose_lines_are_visibly_of_another_shape_warn(broad: tuple[LineSeries, FloatArray]) -> None:
    found, share = broad
    mixed = np.flatnonzero((share[1] > 0.1) & (found.present.sum(axis=0) > 1))
    assert mixed.size > 5
    for f in mixed:
        flags = frame_flags(found, int(f))
        assert any(flag.startswith("SHAPE_MISFIT:") for flag in flags)
        assert status_of(flags) == "warning"
    assert any(flag.startswith("SHAPE_MISFIT:") for flag in series_flags(found))


def test_the_parts_of_an_error_add_up_to_it(broad: tuple[LineSeries, FloatArray]) -> None:
    found, _ = broad
    frame = int(np.flatnonzero(found.present.sum(axis=0) > 1)[-1])
    quantities = frame_quantities(found, frame, (), None)
    with_parts = [q for q in quantities if "model" in q.budget]
    assert {"peak.position", "peak.area", "lattice.d_spacing"} <= {q.name for q in with_parts}
    for quantity in with_parts:
        assert math.hypot(*quantity.budget.values()) == pytest.approx(quantity.sigma)


def test_lines_of_the_fits_own_shape_have_no_part_model_and_no_warning() -> None:
    sim = _generator("xrd_003_simulation")
    truth = sim.simulate("P", 3000.0)
    found = analysed(truth.two_theta, truth.counts(11), truth.voltage_V)
    assert found.counting is None
    assert misshapen(found) == []
