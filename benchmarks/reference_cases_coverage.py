"""Does the XPS pipeline's region fit state right errors? The case `xps_b1s_li_rich`, drawn again with many seeds.

    python benchmarks/reference_cases_coverage.py [--seeds 50]

B 1s and C 1s of the six etch levels are simulated from the case's own `truth.json` with fresh Poisson noise, by the
generator's formula (`reference_data/_generate/simulation.py`), and fitted as the recipe says: the C 1s reference
first, its shifts with their errors into B 1s, the shift policy and the need of TM-O-B by BIC. Printed for both
intensities: how often 68 % and 95 % intervals of the TM-O-B fraction hold the truth at each level, mean and standard
deviation of the pulls, the error found (root mean square) over the one stated, the error of single levels beside it,
how often TM-O-B is found, how often it is found where there is none, and which shift policy was chosen.

Exits with 1 if a figure is out of range by more than twice its own spread.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import tomllib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from layerscope.spectra.xps.energyscale import fit_reference
from layerscope.spectra.xps.options import RegionTable
from layerscope.spectra.xps.recipe import XpsRecipe
from layerscope.spectra.xps.regionfit import fit_region, single_level_fits
from layerscope.spectra.xps.regionresult import RegionData
from numpy.typing import NDArray

from layerscope.errors import FitError

DATA = Path(__file__).resolve().parents[1] / "reference_data"
sys.path.insert(0, str(DATA))
from _generate.simulation import Background, Line, expectation  # noqa: E402

FloatArray = NDArray[np.float64]
CASE = DATA / "xps_b1s_li_rich"
NAMES = ["B_O_B_area", "TM_O_B_area"]


def expected(level: dict[str, Any], region: str, absent: str | None) -> tuple[FloatArray, FloatArray]:
    """Return axis and expected counts of a region at a level, without the species `absent`."""
    r = level["regions"][region]
    x = r["low_eV"] + r["step_eV"] * np.arange(r["points"])
    lines = tuple(
        Line(e["species"], e["line"], e["position_eV"], e["fwhm_eV"], e["mixing"], e["area_counts_eV"], None, e["rsf"])
        for e in r["lines"]
        if e["species"] != absent
    )
    b = r["background"]
    background = Background(
        b["shirley_k_per_eV"], b["baseline_counts"], b["baseline_slope_counts_per_eV"], b["reference_eV"]
    )
    return x, expectation(x, lines, background, level["charge_shift_eV"])


@dataclass
class Findings:
    """What the fits of one setting found."""

    truth: FloatArray
    values: list[FloatArray] = field(default_factory=list)
    sigmas: list[FloatArray] = field(default_factory=list)
    single_values: list[FloatArray] = field(default_factory=list)
    single_sigmas: list[FloatArray] = field(default_factory=list)
    shift_pulls: list[FloatArray] = field(default_factory=list)
    found: int = 0
    fits: int = 0
    policies: Counter[str] = field(default_factory=Counter)


def region_data(levels: list[dict[str, Any]], region: str, absent: str | None, rng: np.random.Generator) -> RegionData:
    """Draw one region at all levels."""
    parts = [expected(level, region, absent) for level in levels]
    counts = rng.poisson(np.array([mu for _, mu in parts])).astype(float)
    times = np.array([level["etch_time_s"] for level in levels])
    return RegionData(parts[0][0], counts, np.ones(len(levels)), times)


def study(file: str, seeds: int, absent: str | None, singles: bool) -> Findings:
    """Draw and fit a file's B 1s and C 1s again and again."""
    recipe = XpsRecipe.model_validate(tomllib.loads((CASE / "recipe.toml").read_text(encoding="utf-8")))
    levels = json.loads((CASE / "truth.json").read_text(encoding="ascii"))["files"][file]["levels"]
    boron, carbon = recipe.region("B 1s"), recipe.region("C 1s")
    assert boron is not None
    assert carbon is not None
    reference = next(c.name for c in carbon.components if c.species == recipe.charge.species)
    truth = np.array([0.0 if absent else level["species_fraction"]["B 1s"]["TM-O-B"] for level in levels])
    shifts = np.array([level["charge_shift_eV"] for level in levels])
    result = Findings(truth)
    for seed in range(seeds):
        rng = np.random.default_rng([20250917, seed, int(file == "li_rich_300.vms"), int(absent is not None)])
        _, _, scale = fit_reference(carbon, region_data(levels, "C 1s", None, rng), reference, recipe.charge, file)
        result.shift_pulls.append((scale.line_shift - shifts) / scale.statistical)
        plain = region_data(levels, "B 1s", absent, rng)
        one(result, boron, plain, scale.line_shift, scale.statistical, singles)
    return result


def one(
    result: Findings,
    boron: RegionTable,
    plain: RegionData,
    shift: FloatArray,
    sigma: FloatArray,
    singles: bool,
) -> None:
    """Fit one B 1s profile and note what was found."""
    data = RegionData(plain.x, plain.y, plain.exposure, plain.variable, shift, sigma)
    fitted = fit_region(boron, data)
    result.fits += 1
    result.policies[fitted.shift] += 1
    if len(fitted.components) < 2:
        return
    result.found += 1
    values, covariance = fitted.fit.fractions(NAMES)
    result.values.append(values[1])
    result.sigmas.append(np.sqrt(np.diag(covariance[1, :, 1, :])))
    if singles:
        pairs = []
        for fit in single_level_fits(fitted, data):
            try:
                value, variance = (None, None) if fit is None else fit.fractions(NAMES)
            except FitError:
                value = variance = None
            ok = value is not None and variance is not None
            pairs.append((value[1, 0], np.sqrt(variance[1, 0, 1, 0])) if ok else (np.nan, np.nan))
        result.single_values.append(np.array([p[0] for p in pairs]))
        result.single_sigmas.append(np.array([p[1] for p in pairs]))


def judge(title: str, f: Findings) -> bool:
    """Print the figures of a setting with TM-O-B; return whether all are in range."""
    value, sigma = np.array(f.values), np.array(f.sigmas)
    pulls = (value - f.truth) / sigma
    n = len(pulls)
    print(f"\n{title}: TM-O-B found in {f.found} of {f.fits}; shift policy {dict(f.policies)}")
    print(
        "  etch time   truth  mean    68 %   95 %   pull mean   SD    rms/sigma  single: rms  stated  68 %   joint rms"
    )
    times = (0, 10, 20, 30, 40, 50)
    for k, t in enumerate(times):
        rms = float(np.sqrt(np.mean((value[:, k] - f.truth[k]) ** 2)))
        sd = pulls[:, k].std(ddof=1)
        line = (
            f"  {t:6d} s    {f.truth[k]:.3f}  {value[:, k].mean():.3f}   {np.mean(np.abs(pulls[:, k]) < 1):.2f}   "
            f"{np.mean(np.abs(pulls[:, k]) < 1.96):.2f}   {pulls[:, k].mean():+.2f}       {sd:.2f}  "
            f"{rms / sigma[:, k].mean():.2f}"
        )
        if f.single_values:
            single, stated = np.array(f.single_values)[:, k], np.array(f.single_sigmas)[:, k]
            off = single - f.truth[k]
            line += (
                f"       {np.sqrt(np.nanmean(off**2)):.4f}       {np.nanmedian(stated):.4f}"
                f"  {np.nanmean(np.abs(off) < stated):.2f}   {rms:.4f}"
            )
        print(line)
    # levels of one profile are correlated: their effective number lies between 1 and 6, so the spread is that of n fits
    ok = True
    for label, bound, low, high in (("68 %", 1.0, 0.64, 0.72), ("95 %", 1.96, 0.93, 0.97)):
        inside = (np.abs(pulls) < bound).mean(axis=1)
        spread = max(inside.std(ddof=1) / np.sqrt(n), np.sqrt(low * (1 - low) / pulls.size))
        good = low - 2 * spread <= inside.mean() <= high + 2 * spread
        ok &= bool(good)
        print(f"  all levels: {label} {inside.mean():.3f} +- {spread:.3f} {'ok' if good else 'OUT OF RANGE'}")
    mean, error = pulls.mean(), pulls.mean(axis=1).std(ddof=1) / np.sqrt(n)
    good = abs(mean) <= 0.1 + 2 * error
    print(
        f"  all levels: pull {mean:+.3f} +- {error:.3f}, SD {pulls.std(ddof=1):.3f} {'ok' if good else 'OUT OF RANGE'}"
    )
    shifts = np.array(f.shift_pulls)
    print(f"  shifts from C 1s: pull {shifts.mean():+.3f}, SD {shifts.std(ddof=1):.3f}")
    return ok and bool(good)


def main() -> int:
    """Run all settings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--no-single", action="store_true", help="leave out the fits of single levels")
    options = parser.parse_args()
    start, ok = time.perf_counter(), True
    for file in ("li_rich_5000.vms", "li_rich_300.vms"):
        ok &= judge(file, study(file, options.seeds, None, not options.no_single))
        none = study(file, options.seeds, "TM-O-B", singles=False)
        print(f"  without TM-O-B: found in {none.found} of {none.fits}; shift policy {dict(none.policies)}")
        ok &= none.found <= max(1, options.seeds // 20)
    print(f"\n{options.seeds} seeds a setting, {time.perf_counter() - start:.0f} s")
    return 0 if ok else 1


if __name__ == "__main__":
    raise SystemExit(main())
