"""The noise of flat regions tells counts from numbers that were scaled or smoothed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from layerscope.diffraction.dataset import Pattern
from layerscope.diffraction.radiation import tube_radiation
from layerscope.diffraction.readers import read

from layerscope.errors import DataError
from layerscope.measured.noise import noise_factor, with_poisson_errors
from layerscope.measured.scatter import mean_scale, poisson_scale

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
        corrected = with_poisson_errors(scaled, poisson_scale(scaled).factor)
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


KERNELS = {
    "smoothed": [0.25, 0.5, 0.25],
    "rebinned": [0.25] * 4,
    "interpolated": [0.4, 0.6],
    "sharpened": [-0.2, 1.4, -0.2],
}


def filtered(rng: np.random.Generator, level: float, scale: float, kernel: list[float]) -> Pattern:
    """Counts times a scale, smoothed by a program: the sums over many points, and so their noise, stay as they are."""
    plain = simulated(rng, level, scale)
    return Pattern(X, np.convolve(plain.intensity, kernel, mode="same"), intensity_unit="arbitrary")


@pytest.mark.parametrize("name", KERNELS)
def test_smoothed_counts_keep_the_factor_of_their_sums_and_tell_their_correlation(name: str) -> None:
    kernel = np.array(KERNELS[name])
    power = float(kernel @ kernel)
    rng = np.random.default_rng(7)
    results = [poisson_scale(filtered(rng, 100.0, 1.3, KERNELS[name])) for _ in range(60)]
    mean = mean_scale(results)
    assert all(r.is_correlated for r in results)
    assert not any(r.is_poisson for r in results)
    # points in the feet of peaks add a few per cent where the noise itself is small
    assert mean.factor == pytest.approx(1.3, rel=0.08)
    assert mean.variance == pytest.approx(1.3 * power, rel=0.04)
    assert mean.correlation == pytest.approx(float(kernel[1:] @ kernel[:-1]) / power, abs=0.03)
    pulls = np.array([(r.factor - mean.factor) / r.sigma for r in results])
    assert 0.75 < pulls.std(ddof=1) < 1.6  # which points are taken for flat is not in the error: a quarter more
    assert "correlated" in mean.note


def test_independent_counts_are_not_called_correlated() -> None:
    rng = np.random.default_rng(29)
    results = [poisson_scale(simulated(rng, level, 0.6)) for level in (4.0, 100.0, 3000.0) for _ in range(60)]
    assert not any(r.is_correlated for r in results)
    assert not mean_scale(results).is_correlated
    assert mean_scale(results).note == ""
    pulls = np.array([r.correlation / r.correlation_sigma for r in results])
    assert 0.8 < pulls.std() < 1.4
    assert mean_scale(results).correlation_sigma < 0.2 * results[0].correlation_sigma


def test_the_mean_over_a_series_finds_a_correlation_that_single_patterns_hide() -> None:
    rng = np.random.default_rng(31)
    results = [poisson_scale(filtered(rng, 100.0, 1.0, [0.05, 0.95])) for _ in range(40)]  # correlation 0.052
    assert sum(r.is_correlated for r in results) < 10
    mean = mean_scale(results)
    assert mean.is_correlated
    assert mean.correlation == pytest.approx(0.0475 / 0.905, abs=0.02)
    assert mean.factor == pytest.approx(1.0, abs=0.05)


def test_errors_of_a_fitted_line_are_right_for_interpolated_counts_and_were_not_for_independent_ones() -> None:
    rng = np.random.default_rng(5)
    near = np.abs(X - 39.1) < 0.6
    line = np.exp(-(((X[near] - 39.1) / 0.08) ** 2))
    slope = line * (X[near] - 39.1) / 0.08**2 * 2
    design = np.column_stack([line, slope, np.ones(near.sum()), X[near] - 39.1])
    found, errors, naive = [], [], []
    for _ in range(150):
        pattern = filtered(rng, 100.0, 1.0, [0.5, 0.5])
        scale = poisson_scale(pattern)
        corrected = with_poisson_errors(pattern, scale.factor)
        weight = 1.0 / corrected.sigma()[near]
        inverse = np.linalg.pinv(design * weight[:, None])
        found.append((inverse @ (pattern.intensity[near] * weight))[:2])
        errors.append(np.sqrt((inverse**2).sum(axis=1))[:2])
        naive.append(errors[-1] * np.sqrt(scale.alone / scale.factor))
    spread = np.std(found, axis=0, ddof=1)
    # 150 draws: 6 per cent; the noise of a pattern is known to 7 per cent, and scatters with it
    np.testing.assert_allclose(spread / np.mean(errors, axis=0), 1.0, atol=0.17)
    assert (spread / np.mean(naive, axis=0) > 1.5).all()


def test_a_short_pattern_tells_its_scatter_but_not_the_correlation() -> None:
    rng = np.random.default_rng(2)
    scale = poisson_scale(Pattern(X[:150], rng.poisson(200.0, 150).astype(float)))
    assert np.isnan(scale.correlation)
    assert not scale.is_correlated
    assert scale.factor == pytest.approx(1.0, abs=5 * scale.sigma)
    assert np.isnan(mean_scale([scale, scale]).correlation)


def test_the_operando_series_was_interpolated_and_rescaled_and_the_simulated_one_was_not(shared_data: Path) -> None:
    operando = read(shared_data / "xrd/operando_spinel_lab/rybakov_operando_raw.zip")
    mean = mean_scale([poisson_scale(frame) for frame in operando.frames[::5]])
    # the truth from frame to frame, which knows nothing of the background: differences of neighbours in time
    frames = np.array([frame.intensity for frame in operando.frames])
    step = (frames[1:] - frames[:-1]) / np.sqrt(frames[1:] + frames[:-1])
    step = step - np.array([np.convolve(row, np.ones(201) / 201, mode="same") for row in step])
    profile = np.median(frames, axis=0)
    flat = profile < 1.1 * np.array([np.median(profile[max(0, k - 150) : k + 150]) for k in range(profile.size)])
    pairs = flat[1:] & flat[:-1]
    variance = float((step[:, flat] ** 2).mean())
    covariance = float((step[:, 1:] * step[:, :-1])[:, pairs].mean())
    assert mean.is_correlated
    assert mean.variance == pytest.approx(variance, abs=0.04)
    assert mean.correlation == pytest.approx(covariance / variance, abs=0.04)
    assert mean.factor == pytest.approx(variance + 2 * covariance, abs=0.1)
    assert mean.alone < 0.6  # what neighbours taken for independent would give: less than half
    simulated_frames = read(shared_data / "xrd/sequence_o3_h13.zip").frames
    assert all(poisson_scale(frame).is_poisson for frame in simulated_frames[::10])


LINES = ((18.9, 1.0), (19.9, 0.3), (25.4, 0.02), (28.3, 0.01), (37.4, 0.5), (38.4, 0.15), (39.2, 0.1), (45.2, 0.7))
"""Positions in degrees and heights relative to the strongest, two of them near the noise of a frame."""


def series_mean(x: np.ndarray, frames: int, strongest: float, slope: float) -> np.ndarray:
    """Lorentzian lines of 0.08 degrees on a level of 80 that falls; every line moves, and every second one fades."""
    progress = np.linspace(0.0, 1.0, frames)[:, None]
    mean = 80.0 * (1 + slope * np.exp(-(x - x[0]) / 8)) * np.ones((frames, 1))
    for k, (centre, height) in enumerate(LINES):
        moved = centre + 0.1 * progress
        mean = mean + strongest * height * (1 - 0.9 * (k % 2) * progress) / (1 + ((x - moved) / 0.04) ** 2)
    return mean


def series_of(x: np.ndarray, rows: np.ndarray) -> list[Pattern]:
    return [Pattern(x, row, intensity_unit="counts", radiation=tube_radiation("Cu")) for row in rows]


def flags_of_series(x: np.ndarray, rows: np.ndarray) -> list[str]:
    return [flag.split(":")[0] for flag in noise_factor(series_of(x, rows), "poisson")[2]]


@pytest.mark.parametrize("frames", [1, 8, 60])
@pytest.mark.parametrize("step", [0.05, 0.01])
@pytest.mark.parametrize(("strongest", "slope"), [(4000.0, 0.0), (100000.0, 0.0), (4000.0, 4.0)])
def test_counts_with_lines_of_few_points_are_never_flagged(
    step: float, frames: int, strongest: float, slope: float
) -> None:
    x = np.arange(17.0, 46.5, step)
    mean = series_mean(x, frames, strongest, slope)
    for seed in range(20):
        rows = np.random.default_rng(seed).poisson(mean).astype(float)
        assert flags_of_series(x, rows) == [], seed


@pytest.mark.parametrize("step", [0.05, 0.01])
@pytest.mark.parametrize("frames", [8, 60])
def test_rescaled_and_smoothed_counts_with_lines_are_flagged(step: float, frames: int) -> None:
    x = np.arange(17.0, 46.5, step)
    mean = series_mean(x, frames, 4000.0, 1.0)
    for seed in range(3):
        rows = np.random.default_rng(seed).poisson(mean).astype(float)
        for scale in (0.5, 3.0):
            factor, sigma, flags = noise_factor(series_of(x, scale * rows), "scaled")
            assert sigma is not None
            assert factor == pytest.approx(scale, abs=4 * sigma)
            assert flags == ()
            assert flags_of_series(x, scale * rows) == ["NOT_COUNTS"]
        smoothed = np.array(
            [np.convolve(np.pad(row, 1, mode="edge"), KERNELS["smoothed"], mode="valid") for row in rows]
        )
        assert "NOISE_CORRELATED" in flags_of_series(x, smoothed)


@pytest.mark.parametrize("step", [0.05, 0.01])
def test_one_rescaled_or_smoothed_frame_is_flagged(step: float) -> None:
    x = np.arange(17.0, 46.5, step)
    mean = series_mean(x, 1, 4000.0, 1.0)
    for seed in range(20):
        rows = np.random.default_rng(seed).poisson(mean).astype(float)
        assert flags_of_series(x, 3.0 * rows) == ["NOT_COUNTS"]
        smoothed = np.convolve(np.pad(rows[0], 1, mode="edge"), KERNELS["smoothed"], mode="valid")
        assert "NOISE_CORRELATED" in flags_of_series(x, smoothed[None])
        if step == 0.01:  # fewer points know the scatter to a sixth only
            assert flags_of_series(x, 0.5 * rows) == ["NOT_COUNTS"]


def test_where_lines_leave_no_flat_points_nothing_is_said_of_neighbours() -> None:
    x = np.arange(17.0, 46.5, 0.05)
    crowd = 80.0 + sum(3000.0 / (1 + ((x - centre) / 0.04) ** 2) for centre in np.arange(17.2, 46.5, 0.9))
    for seed in range(20):
        y = np.random.default_rng(seed).poisson(crowd).astype(float)
        scale = poisson_scale(Pattern(x, y))
        assert np.isnan(scale.correlation)
        assert not scale.is_correlated


def crowd(seed: int) -> np.ndarray:
    """Mean counts of 4000 points without empty stretches: lines of 6 points, four of their widths apart."""
    rng, points = np.random.default_rng([seed, 4]), np.arange(4000.0)
    mean = np.full(points.size, 100.0)
    for centre in rng.uniform(0, points.size, points.size // 24):
        mean += 100.0 * 10 ** rng.uniform(-0.5, 1.5) / (1 + ((points - centre) / 3.0) ** 2)
    return mean


def test_counts_without_empty_stretches_are_counts_and_changed_ones_are_found() -> None:
    x = 15.0 + 0.02 * np.arange(4000)
    for seed in range(12):
        y = np.random.default_rng(seed).poisson(crowd(seed)).astype(float)
        assert flags_of_series(x, y[None]) == [], seed
        assert flags_of_series(x, 3.0 * y[None]) == ["NOT_COUNTS"], seed
        smoothed = np.convolve(np.pad(y, 1, mode="edge"), KERNELS["smoothed"], mode="valid")
        assert set(flags_of_series(x, smoothed[None])) & {"NOT_COUNTS", "NOISE_CORRELATED"}, seed


def test_scaled_errors_are_wide_where_lines_hide_whether_neighbours_go_together() -> None:
    x = 15.0 + 0.02 * np.arange(4000)
    y = np.random.default_rng(1).poisson(crowd(1)).astype(float)
    counts = series_of(x, y[None])
    factor, _, flags = noise_factor(counts, "scaled")
    assert factor == pytest.approx(1.0, abs=0.2)
    assert flags == ()
    smoothed = np.convolve(np.pad(y, 1, mode="edge"), KERNELS["smoothed"], mode="valid")
    factor, _, flags = noise_factor(series_of(x, smoothed[None]), "scaled")
    assert factor >= 0.9  # what sums over many points scatter with, or more
    assert flags == ("NOISE_UNKNOWN",)


def test_gaps_are_no_noise() -> None:
    x = 15.0 + 0.02 * np.arange(4000)
    y = np.random.default_rng(3).poisson(200.0, 4000).astype(float)
    y[np.arange(4000) % 400 < 180] = np.nan
    pattern = Pattern(x, y).placed(0, "", 0)
    assert pattern.use is not None
    assert poisson_scale(pattern).alone == pytest.approx(1.0, abs=0.25)
    assert noise_factor([pattern], "poisson")[2] == ()


def test_too_few_points_tell_nothing_and_that_is_said() -> None:
    y = np.random.default_rng(2).poisson(100.0, 45).astype(float)
    assert flags_of_series(X[:45], y[None]) == ["NOISE_UNKNOWN"]
    with pytest.raises(DataError, match="too few flat points"):
        noise_factor(series_of(X[:45], y[None]), "scaled")


@pytest.mark.parametrize("name", ["FAP.XRA", "std_padded.gsas", "brk_raw2.raw"])
def test_real_counts_of_crowded_patterns_are_not_flagged(name: str, shared_data: Path) -> None:
    frames = read(shared_data.parent / "cases" / "xrd_files" / name).frames
    assert noise_factor(frames, "poisson")[2] == ()


def test_lines_on_another_axis_are_refused() -> None:
    with pytest.raises(DataError, match="shape"):
        poisson_scale(Pattern(X, np.ones(X.size)), lines=np.ones(7))
