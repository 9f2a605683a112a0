"""The noise of flat regions tells counts from numbers that were scaled or smoothed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from layerscope.diffraction.counting import poisson_scale, with_poisson_errors
from layerscope.diffraction.dataset import Pattern
from layerscope.diffraction.readers import read

from layerscope.errors import DataError

X = np.arange(10.0, 80.0, 0.02)


def simulated(rng: np.random.Generator, level: float, scale: float) -> Pattern:
    mean = level * (2 + np.exp(-X / 20))
    for centre in (18.9, 37.4, 39.1, 45.2, 59.5, 65.4):
        mean = mean + 30 * level * np.exp(-(((X - centre) / 0.08) ** 2))
    return Pattern(X, scale * rng.poisson(mean).astype(float), intensity_unit="arbitrary")


@pytest.mark.parametrize("scale", [1.0, 0.25, 7.0])
def test_the_scale_of_counts_comes_back_with_honest_errors(scale: float) -> None:
    rng = np.random.default_rng(11)
    results = [poisson_scale(simulated(rng, 100.0, scale)) for _ in range(60)]
    factors = np.array([r.factor for r in results])
    pulls = (factors - scale) / np.array([r.sigma for r in results])
    assert factors.mean() == pytest.approx(scale, rel=0.02)
    assert 0.75 < pulls.std(ddof=1) < 1.25  # three standard errors of 60 draws
    assert sum(r.is_poisson for r in results) == (60 if scale == 1.0 else 0) or (
        scale == 1.0 and sum(r.is_poisson for r in results) >= 58
    )


def test_corrected_errors_make_the_noise_unity() -> None:
    rng = np.random.default_rng(3)
    flat = (X > 20) & (X < 36)
    chi2 = []
    for _ in range(12):
        scaled = simulated(rng, 400.0, 0.5)
        corrected = with_poisson_errors(scaled)
        corrected.check()
        smooth = np.polynomial.Polynomial.fit(X[flat], scaled.intensity[flat], 5)(X[flat])
        chi2.append(np.mean(((scaled.intensity[flat] - smooth) / corrected.sigma()[flat]) ** 2))
    # One draw scatters by 0.065: 800 points, and the scale itself to 4 per cent.
    assert np.mean(chi2) == pytest.approx(1.0, abs=0.06)


def test_too_few_points_and_constant_intensities_are_refused() -> None:
    with pytest.raises(DataError, match="too few"):
        poisson_scale(Pattern(X[:20], np.ones(20)))
    with pytest.raises(DataError, match="flat points"):
        poisson_scale(Pattern(X, np.full(X.size, 5.0)))


def test_the_operando_series_was_rescaled_and_the_simulated_one_was_not(shared_data: Path) -> None:
    operando = read(shared_data / "xrd/operando_spinel_lab/rybakov_operando_raw.zip")
    factors = np.array([poisson_scale(frame).factor for frame in operando.frames[::10]])
    assert (factors < 0.7).all()
    assert factors.std() < 0.05
    simulated_frames = read(shared_data / "xrd/sequence_o3_h13.zip").frames
    assert all(poisson_scale(frame).is_poisson for frame in simulated_frames[::10])
