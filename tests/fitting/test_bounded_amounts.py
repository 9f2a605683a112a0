"""Amounts at or above zero, for many patterns at once."""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

from layerscope.fitting.basis import BasisValues
from layerscope.fitting.projection import eliminate

X = np.linspace(0.0, 10.0, 120)


def overlapping(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return columns (lines, a floor, a slope) and data in which some lines are not."""
    places = rng.uniform(4.0, 6.0, 4)
    lines = [np.exp(-(((X - place) / 0.8) ** 2)) for place in places]
    columns = np.array([*lines, np.ones_like(X), X - 5.0])
    amounts = np.maximum(rng.normal(0.0, 3.0, 4), 0.0)
    return columns, columns[:4].T @ amounts + 5.0 + 0.1 * X + rng.normal(0.0, 0.5, X.size)


def test_amounts_of_overlapping_lines_are_those_of_nonnegative_least_squares() -> None:
    rng = np.random.default_rng(5)
    columns, data = (np.array(part) for part in zip(*(overlapping(rng) for _ in range(200)), strict=True))
    solved = eliminate(BasisValues(columns, [], None, []), data, np.ones_like(data), np.array([True] * 4 + [False] * 2))
    for own, y, chi2, amounts in zip(columns, data, solved.chi2, solved.coefficients, strict=True):
        _, left = nnls(np.vstack([own, -own[4:]]).T, y, maxiter=1000)
        assert chi2 == np.clip(chi2, left**2 * (1 - 1e-9), left**2 * (1 + 1e-9))
        assert (amounts[:4] >= 0.0).all()


def test_an_amount_at_zero_has_no_part_in_the_inverse() -> None:
    rng = np.random.default_rng(6)
    columns, data = (np.array(part) for part in zip(*(overlapping(rng) for _ in range(50)), strict=True))
    solved = eliminate(BasisValues(columns, [], None, []), data, np.ones_like(data), np.array([True] * 4 + [False] * 2))
    at_zero = solved.coefficients == 0.0
    assert at_zero.any()
    assert (solved.inverse[at_zero] == 0.0).all()
    gram = columns @ columns.transpose(0, 2, 1)
    for own, inverse, used in zip(gram, solved.inverse, ~at_zero, strict=True):
        np.testing.assert_allclose(inverse[np.ix_(used, used)] @ own[np.ix_(used, used)], np.eye(used.sum()), atol=1e-6)
