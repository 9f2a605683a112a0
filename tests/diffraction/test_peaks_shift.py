"""One reflection through a series: simulated shifts, and a real cell with aluminium as internal standard."""

from __future__ import annotations

import numpy as np
import pytest
from layerscope.diffraction.peaks.bragg import two_theta_from_d
from layerscope.diffraction.peaks.lines import DiffractionLine
from layerscope.diffraction.peaks.shift import TrackOptions, corrected_by_standard, track_reflection
from layerscope.diffraction.radiation import tube_radiation

from layerscope.errors import DataError
from layerscope.fitting.errors import ErrorsTable

CU = tube_radiation("Cu")
X = np.arange(35.5, 38.0, 0.02)
LINE = DiffractionLine(CU)
WINDOW = TrackOptions(range_2theta=(35.5, 38.0))


def simulated(positions, widths, seed=0, area=400.0, axial=0.012):
    p = np.column_stack([positions, widths, np.full(len(positions), 0.4), np.full(len(positions), axial)])
    return np.random.default_rng(seed).poisson(60 + area * LINE.evaluate(X, p).value).astype(float)


def test_shifts_and_widths_are_those_of_the_truth_with_honest_errors():
    positions, widths = 36.6 + 0.25 * np.sin(np.linspace(0, 3, 40)), np.linspace(0.12, 0.2, 40)
    found = track_reflection(X, simulated(positions, widths), CU, WINDOW, reference=(0, 1, 2))
    assert found.fit.converged
    pulls = (found.shift - (positions - positions[:3].mean())) / found.shift_sigma
    assert 0.6 < np.sqrt((pulls[3:] ** 2).mean()) < 1.5
    pulls = (found.fwhm - widths) / found.fwhm_sigma
    assert 0.7 < np.sqrt((pulls**2).mean()) < 1.4
    d = CU.alpha1 / (2 * np.sin(np.radians(positions) / 2))
    pulls = (found.d_shift - (d - d[:3].mean())) / found.d_shift_sigma
    assert 0.6 < np.sqrt((pulls[3:] ** 2).mean()) < 1.5


def test_a_shift_is_better_known_than_a_position():
    """The axial divergence moves all positions together; a difference does not feel it."""
    found = track_reflection(X, simulated(np.full(12, 36.6), np.full(12, 0.15)), CU, WINDOW)
    assert found.shift[0] == 0.0
    assert found.shift_sigma[0] == 0.0
    assert (found.shift_sigma[1:] < np.sqrt(2) * found.position_sigma[1:]).all()
    spread = found.shift[1:].std()
    assert spread == pytest.approx(found.shift_sigma[1:].mean() / np.sqrt(2), rel=0.8)


def test_bootstrap_and_profile_change_the_errors_of_a_line_and_not_the_line():
    y = simulated(np.full(8, 36.6), np.full(8, 0.15))
    plain = track_reflection(X, y, CU, WINDOW)
    drawn = track_reflection(X, y, CU, WINDOW, errors=ErrorsTable(kind="bootstrap"))
    assert drawn.fit.sigma_kind == "bootstrap"
    for name in ("position", "d", "shift", "fwhm", "area"):
        np.testing.assert_array_equal(getattr(drawn, name), getattr(plain, name))
        ours, theirs = getattr(drawn, f"{name}_sigma"), getattr(plain, f"{name}_sigma")
        np.testing.assert_allclose(ours, theirs, rtol=0.35)
        assert not np.allclose(ours[1:], theirs[1:], rtol=1e-6)
    profiled = track_reflection(X, y, CU, WINDOW, errors=ErrorsTable(kind="profile"))
    low, high = profiled.fit.interval("line_center")
    np.testing.assert_allclose(0.5 * (high - low), plain.position_sigma, rtol=0.1)


def test_the_instruments_width_is_taken_out():
    instrument = {"instrument_fwhm": 0.08, "instrument_mixing": 0.4}
    found = track_reflection(X, simulated(np.full(6, 36.6), np.full(6, 0.15)), CU, WINDOW.model_copy(update=instrument))
    assert (found.sample_fwhm < found.fwhm).all()
    assert (found.sample_fwhm > 0.15 - 0.08).all()
    assert (found.sample_fwhm < np.sqrt(0.15**2 - 0.08**2)).all()  # between Lorentzian and Gaussian subtraction
    assert (found.sample_fwhm_sigma > found.fwhm_sigma).all()


def test_a_neighbour_that_stands_still_does_not_pull():
    positions = np.linspace(36.5, 36.7, 15)
    p = np.tile([37.3, 0.2, 0.4, 0.012], (15, 1))
    rng = np.random.default_rng(3)
    extra = rng.poisson(np.maximum(250 * LINE.evaluate(X, p).value, 0))
    y = simulated(positions, np.full(15, 0.15), seed=4) + extra
    found = track_reflection(X, y, CU, TrackOptions(range_2theta=(35.5, 38.0), neighbours=(37.25,)))
    pulls = (found.shift - (positions - positions[0])) / np.where(found.shift_sigma > 0, found.shift_sigma, 1)
    assert np.sqrt((pulls[1:] ** 2).mean()) < 2.0


def test_a_standard_takes_the_displacement_out():
    d_sample, d_standard, ratio = np.linspace(2.45, 2.46, 10), 2.33798, np.linspace(0, 8e-4, 10)

    def displaced(d):
        two_theta = two_theta_from_d(d, CU.alpha1)
        return two_theta - 2 * np.degrees(ratio) * np.cos(np.radians(two_theta) / 2)

    sample = track_reflection(
        X, simulated(displaced(d_sample), np.full(10, 0.12)), CU, TrackOptions(range_2theta=(35.5, 38.0), axial=0.012)
    )
    shift = 1.9  # the window of the standard lies elsewhere
    x = X + shift
    place = displaced(np.full(10, d_standard))
    p = np.column_stack([place, np.full(10, 0.12), np.full(10, 0.4), np.full(10, 0.012)])
    y = np.random.default_rng(9).poisson(60 + 400 * LINE.evaluate(x, p).value).astype(float)
    standard = track_reflection(x, y, CU, TrackOptions(range_2theta=(x[0], x[-1]), axial=0.012))
    d, sigma, displacement = corrected_by_standard(sample, standard, d_standard, CU.alpha1)
    assert np.abs(d - d_sample).max() < 5 * sigma.max()
    assert np.abs(sample.d - d_sample).max() > 10 * sigma.max()  # without it the drift is plain to see
    np.testing.assert_allclose(displacement, ratio, atol=6e-5)


def test_windows_and_references_that_do_not_exist_are_refused():
    y = simulated(np.full(3, 36.6), np.full(3, 0.15))
    with pytest.raises(DataError, match="too few"):
        track_reflection(X, y, CU, TrackOptions(range_2theta=(50.0, 51.0)))
    with pytest.raises(DataError, match="reference frame"):
        track_reflection(X, y, CU, WINDOW, reference=(3,))
    with pytest.raises(DataError, match="do not fit"):
        track_reflection(X, y[:, :-1], CU, WINDOW)


def test_real_operando_series_gives_the_cell_that_is_known(shared_data):
    """Spinel (220) on charge and discharge, Al(111) at rest: 100 scans with a Cu doublet, counts rescaled."""
    from layerscope.diffraction.readers import read
    from xrd_series import on_one_axis

    (archive,) = (shared_data / "xrd" / "operando_spinel_lab").glob("*.zip")
    series = read(archive)
    stacked, radiation = on_one_axis(series), series.frames[0].radiation
    x, y = stacked.axis, stacked.intensity
    assert y.shape[0] == 100
    spinel = track_reflection(x, y, radiation, TrackOptions(range_2theta=(29.7, 31.9), axial=False))
    a = spinel.d * np.sqrt(8)
    assert spinel.fit.converged
    assert a[0] == pytest.approx(8.2645, abs=0.001)
    assert a[45] == pytest.approx(8.1746, abs=0.001)  # the scan that begins at 4.476 V
    assert a[-1] == pytest.approx(8.2657, abs=0.001)
    aluminium = track_reflection(x, y, radiation, TrackOptions(range_2theta=(37.7, 39.5), axial=False))
    cell = aluminium.d * np.sqrt(3)
    assert cell.mean() == pytest.approx(4.0438, abs=0.0004)
    assert cell.std() < 0.0005
    assert spinel.fit.redchi < 0.85  # rescaled: the scatter is less than that of counts
