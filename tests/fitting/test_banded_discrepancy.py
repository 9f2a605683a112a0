"""The discrepancy of long patterns: its band is the dense kernel, and its errors hold where shapes are wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from layerscope.fitting.banded_discrepancy import SUPPORT, LongPattern, pooled_discrepancy
from layerscope.fitting.discrepancy import Discrepancy

FloatArray = NDArray[np.float64]
X = np.arange(0.0, 12.0, 0.02)
CENTRES = ((2.0, 5.0, 8.0), (2.4, 6.1, 9.5))
AMOUNTS = (800.0, 300.0)


def lines(centres: tuple[float, ...], wide: float, eta: float) -> FloatArray:
    """Unit-area lines of Gaussian and Lorentzian parts."""
    t = (X[:, None] - np.array(centres)) / wide
    gauss = np.exp(-0.5 * t**2) / (wide * np.sqrt(2 * np.pi))
    return np.asarray(((1 - eta) * gauss + eta / (np.pi * wide * (1 + t**2))).sum(axis=1))


def fitted(seed: int, shape: FloatArray | None = None) -> tuple[LongPattern, FloatArray]:
    """Fit Gaussians (amounts, widths by their derivative, background) to a drawn pattern; give its linearisation."""
    rng = np.random.default_rng(seed)
    eta = 0.0 if shape is None else float(shape)
    truth = sum(a * lines(c, 0.1, eta) for a, c in zip(AMOUNTS, CENTRES, strict=True)) + 40.0
    sigma = np.sqrt(truth)
    y = truth + sigma * rng.standard_normal(X.size)
    shapes = [lines(c, 0.1, 0.0) for c in CENTRES]
    widths = [(lines(c, 0.101, 0.0) - lines(c, 0.099, 0.0)) / 0.002 * a for a, c in zip(AMOUNTS, CENTRES, strict=True)]
    design = np.stack([*shapes, *widths, np.ones_like(X), X], axis=1) / sigma[:, None]
    found = np.linalg.lstsq(design, y / sigma, rcond=None)[0]
    counts = np.stack([found[k] * design[:, k] for k in range(2)])
    return LongPattern(X, y / sigma - design @ found, design, counts, sigma), found[:2]


def test_the_band_with_its_net_area_taken_out_is_the_dense_kernel() -> None:
    pattern, _ = fitted(1, np.array(0.3))
    known = Discrepancy(0.2, 0.1)
    reach = np.minimum(np.abs(X[:, None] - X) / (SUPPORT * known.length), 1.0)
    smooth = (1 - reach) ** 4 * (4 * reach + 1)
    whole = np.eye(X.size)
    for counts in pattern.counts:
        kernel = known.amplitude**2 * counts[:, None] * smooth * counts
        net = kernel @ pattern.sigma
        whole += kernel - np.outer(net, net) / (pattern.sigma @ net)
    inverse = np.linalg.inv(whole)
    normal = pattern.jacobian.T @ inverse @ pattern.jacobian
    step = np.linalg.solve(normal, pattern.jacobian.T @ inverse @ pattern.residual)
    left = pattern.residual - pattern.jacobian @ step
    noise = float(left @ inverse @ left) / (X.size - step.size)
    found = pattern.generalised(known)
    assert found.step == pytest.approx(step, rel=1e-6, abs=1e-9)
    assert found.covariance == pytest.approx(noise * np.linalg.inv(normal), rel=1e-6)


def test_where_the_shapes_are_right_there_is_no_discrepancy_and_nothing_moves() -> None:
    seen = [pooled_discrepancy([fitted(seed)[0]]).amplitude for seed in range(10)]
    assert sum(amplitude > 0 for amplitude in seen) <= 2
    pattern = fitted(0)[0]
    assert np.abs(pattern.generalised(Discrepancy(0.0, 1.0)).step[:2]).max() < 1e-9 * AMOUNTS[0]


def test_where_tails_are_missing_the_share_is_held_with_the_discrepancy_and_not_without() -> None:
    held, plain = [], []
    for seed in range(12):
        pattern, amount = fitted(seed, np.array(0.3))
        done = pattern.generalised(pooled_discrepancy([pattern]))
        for values, covariance, into in (
            (amount, np.linalg.inv(pattern.jacobian.T @ pattern.jacobian), plain),
            (amount + done.step[:2], done.covariance, held),
        ):
            total = values.sum()
            slope = np.array([values[1], -values[0]]) / total**2
            sigma = np.sqrt(slope @ covariance[:2, :2] @ slope)
            into.append(abs(values[0] / total - AMOUNTS[0] / sum(AMOUNTS)) < 1.96 * sigma)
    assert np.mean(held) >= 0.75
    assert np.mean(held) > np.mean(plain)


def test_two_patterns_are_asked_together() -> None:
    patterns = [fitted(seed, np.array(0.3))[0] for seed in (3, 4)]
    alone = [pooled_discrepancy([p]).amplitude for p in patterns]
    both = pooled_discrepancy(patterns).amplitude
    assert min(alone) * 0.8 <= both <= max(alone) * 1.25


@pytest.mark.parametrize("amplitude", [0.0, 0.2])
def test_a_further_component_is_what_a_fit_that_holds_it_finds(amplitude: float) -> None:
    pattern, _ = fitted(1, np.array(0.3))
    known = Discrepancy(amplitude, 0.1)
    columns = np.stack([lines((c,), 0.1, 0.0) for c in (3.3, 7.0)], axis=1) / pattern.sigma[:, None]
    found = pattern.beside(known, columns)
    for k in range(2):
        whole = replace(pattern, jacobian=np.column_stack([pattern.jacobian, columns[:, k]])).generalised(known)
        assert found.amount[k] == pytest.approx(whole.step[-1])
        assert found.noise / found.weight[k] == pytest.approx(whole.covariance[-1, -1], rel=0.01)


def test_a_further_shape_of_a_component_widens_its_lines_and_keeps_their_area() -> None:
    pattern, _ = fitted(1)
    more = pattern.reshaped(0.1)
    for k in range(2):
        change = more.jacobian[:, pattern.jacobian.shape[1] + k] * pattern.sigma
        curve = pattern.counts[k] * pattern.sigma
        assert abs(change.sum()) < 1e-3 * curve.sum()
        assert change[np.argmax(curve)] == pytest.approx(curve.max() * (1 / np.sqrt(2) - 1), rel=0.02)
