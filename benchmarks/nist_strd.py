"""NIST StRD nonlinear regression: all 27 sets from both starts, default settings, through the public entrance.

    python benchmarks/nist_strd.py

Digits are -log10 of the largest relative difference from the certified value, at most 11 (as many as NIST certifies).
Lanczos1 was generated without noise: its residual is rounding, so that its standard errors have no stable digits.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import lmfit
import numpy as np

from layerscope.fitting import Series, SeriesFit, fit_series

SETS = Path(__file__).resolve().parents[1] / "tests" / "fitting"


def load_sets() -> dict:
    """Return the sets, which live beside the tests."""
    sys.path.append(str(SETS))
    return importlib.import_module("strd").load()


def digits(found: dict[str, float], certified: dict[str, float]) -> float:
    """Return the digits that the worst parameter has in common with the certified ones."""
    worst = max(abs(found[name] / value - 1.0) for name, value in certified.items())
    return float(-np.log10(max(worst, 1e-11)))


def fit(strd_set, start: dict[str, float]) -> SeriesFit:  # type: ignore[no-untyped-def]
    """Fit one set from one start."""
    parameters = lmfit.Parameters()
    for name in strd_set.model.nonlinear_names:
        parameters.add(name, value=start[name])
    return fit_series(strd_set.model, parameters, Series(strd_set.x, strd_set.y), weights="none")


def main() -> int:
    good = good_errors = 0
    print("set        start   parameters   errors   iterations   chi2/certified - 1")
    for name, strd_set in load_sets().items():
        for k, start in enumerate(strd_set.starts, 1):
            result = fit(strd_set, start)
            value = {n: float(result.value(n)[0]) for n in strd_set.certified}
            sigma = {n: float(result.sigma(n)[0]) for n in strd_set.certified}
            a, b = digits(value, strd_set.certified), digits(sigma, strd_set.standard_error)
            good, good_errors = good + (a >= 6), good_errors + (b >= 4)
            steps = int(result.batch.solution.iterations[result.group])
            print(f"{name:10s} {k:5d} {a:12.1f} {b:8.1f} {steps:12d}   {result.chi2 / strd_set.rss - 1:+.1e}")
    print(f"\nparameters to 6 digits: {good}/54 (wanted 54); standard errors to 4 digits: {good_errors}/54 (wanted 52)")
    return 0 if good == 54 and good_errors >= 52 else 1


if __name__ == "__main__":
    raise SystemExit(main())
