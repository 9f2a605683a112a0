"""How often a fit finds the right minimum from starts that are off, or under charging, beside one fit from the start.

``python benchmarks/global_start.py [N]``: N simulated spectra a row (40), drawn by code of its own. Right is a chi2
within 0.1 of the best of this fit, the fit started at the truth, and eight fits from random starts.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from functools import partial

import numpy as np

from layerscope.errors import FitError
from layerscope.fitting import Component, PatternModel, Series, fit_series
from layerscope.fitting.anywhere import fit_from_anywhere

X = np.arange(274.0, 300.0, 0.1)
LINES = {1: [(284.8, 1.0)], 2: [(284.8, 0.7), (286.6, 0.3)], 3: [(284.8, 0.71), (286.3, 0.19), (288.6, 0.10)]}
SAME = 0.1
WANTED = {300: 0.95, 3000: 0.99, 10000: 0.99}


def line(x: np.ndarray, center: float, fwhm: float, mixing: float) -> np.ndarray:
    """Return a pseudo-Voigt of unit area."""
    u = x - center
    gauss = np.exp(-4 * np.log(2) * (u / fwhm) ** 2) * np.sqrt(4 * np.log(2) / np.pi) / fwhm
    return (1 - mixing) * gauss + mixing * fwhm / (2 * np.pi) / (u**2 + fwhm**2 / 4)


def spectrum(lines: list[tuple[float, float]], top: float, shift: float, rng: np.random.Generator) -> np.ndarray:
    """Draw counts of lines on a step below each, `top` above the floor at the strongest point."""
    fwhm, mixing, k = rng.uniform(1.0, 1.6), rng.uniform(0.1, 0.5), rng.uniform(0.02, 0.08)
    shape = sum(area * line(X, center + shift, fwhm, mixing) for center, area in lines)
    curve = shape + k * np.cumsum(shape) * (X[1] - X[0])
    return rng.poisson(top * (curve / curve.max() + 0.15)).astype(float)


def declared(lines: list[tuple[float, float]], starts: np.ndarray, reach: float) -> tuple[PatternModel, object]:
    """Return model and parameters with the lines at `starts`; bounds of 0.4 eV under charging, else of 7 eV."""
    names = [f"l{i}" for i in range(len(lines))]
    model = PatternModel([Component(n) for n in names], active="shirley")
    parameters = model.make_parameters()
    half = 0.4 if reach else 7.0
    for name, at in zip(names, starts, strict=True):
        parameters[f"{name}_center"].set(value=at, min=at - half, max=at + half)
        parameters[f"{name}_fwhm"].set(value=1.5, min=0.4, max=5.0)
        if name != "l0":
            parameters[f"{name}_fwhm"].set(expr="l0_fwhm")
            parameters[f"{name}_mixing"].set(expr="l0_mixing")
    if reach:
        parameters["l0_center"].set(vary=False)
        parameters["shift"].set(vary=True, min=-14.0, max=14.0)
    return model, parameters


def cases(kind: str, lines: list[tuple[float, float]], n: int, top: int) -> Iterator[tuple[np.ndarray, float, float]]:
    """Yield counts, the true shift, and by how much the declared starts are off."""
    for seed in range(n):
        rng = np.random.default_rng([seed, top, len(lines)])
        sign = rng.choice([-1.0, 1.0])
        off = sign * rng.uniform(1.0, 8.0 if kind == "charging" else 6.0)
        yield spectrum(lines, top, off if kind == "charging" else 0.0, rng), off, seed


def main() -> None:
    """Print the share of right minima and the cost."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    missed = False
    print("kind       lines  counts   right   from the start   at the truth   cost of one fit")
    for kind in ("charging", "starts off"):
        for number, lines in LINES.items():
            for top in WANTED:
                right = plain = at_truth = 0
                spent = np.zeros(2)
                for y, off, seed in cases(kind, lines, n, top):
                    rng = np.random.default_rng(seed)
                    places = np.array([c for c, _ in lines])
                    reach = 12.0 if kind == "charging" else 0.0
                    model, parameters = declared(lines, places if reach else places + off, reach)
                    series = Series(X, y)

                    def fit(
                        starts: dict[str, object], series: Series, model: PatternModel, parameters: object
                    ) -> object:
                        return fit_series(model, parameters, series, starts=starts, nonnegative=True)

                    fit_ = partial(fit, series=series, model=model, parameters=parameters)
                    clock = time.process_time()
                    found = fit_from_anywhere(model, parameters, series, fit_, reach=reach)
                    spent[0] += time.process_time() - clock
                    clock = time.process_time()
                    own = fit_({})
                    spent[1] += time.process_time() - clock
                    truth = {"shift": off} if reach else {f"l{i}_center": c for i, (c, _) in enumerate(lines)}
                    known = fit_(truth).chi2
                    best = min(known, found.fit.chi2, own.chi2)
                    for _ in range(8):
                        moved = {k: v + rng.uniform(-1.5, 1.5) for k, v in truth.items()}
                        try:
                            best = min(best, fit_(moved).chi2)
                        except FitError:
                            continue
                    right += found.fit.chi2 < best + SAME or found.fit.chi2 < known + SAME
                    plain += own.chi2 < best + SAME
                    at_truth += known < best + SAME
                shares = np.array([right, plain, at_truth]) / n
                missed |= shares[0] < WANTED[top]
                row = f"{kind:10s} {number:4d} {top:8d}  {shares[0]:6.3f}   {shares[1]:12.3f}   {shares[2]:12.3f}"
                print(f"{row}   {spent[0] / spent[1]:12.1f}", flush=True)
    sys.exit(missed)


if __name__ == "__main__":
    main()
