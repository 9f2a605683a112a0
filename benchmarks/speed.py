"""How fast is the engine? One thread, one run, against lmfit and lmfitxps at equal chi2; and how cost and memory grow.

    python benchmarks/speed.py [--spectra 2000] [--reference 20] [--profile | --own]

All times are CPU times of this process (`time.process_time`), linear algebra on one thread, so that other work on the
machine does not enter the ratios.

a   per spectrum: a 200-point B 1s of three pseudo-Voigts (widths and mixing tied) on a line, known weights; lmfit's
    ``Model.fit(method="leastsq")`` as users write it, against `fit_batch` and `fit_series`        wanted: >= 100x
b   the same with an active Shirley background against lmfitxps' ``ShirleyBG``. lmfitxps builds the step from the
    data, layerscope from the model; lmfitxps' own model is therefore fitted here too, for equal chi2  wanted: >= 50x
c   1 000 to 10 000 spectra: time per spectrum, and memory beyond the data, at once and in chunks of 500
d   one joint series of 10 to 10 000 patterns
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import cProfile  # noqa: E402
import pstats  # noqa: E402
import time  # noqa: E402
import tracemalloc  # noqa: E402
from collections.abc import Callable  # noqa: E402
from functools import partial  # noqa: E402
from typing import Any  # noqa: E402

import lmfit  # noqa: E402
import numpy as np  # noqa: E402
from b1s import CENTRES, FWHM, MIXING, NAMES, FloatArray, pseudo_voigt, running_integral  # noqa: E402
from lmfit.models import LinearModel, PseudoVoigtModel  # noqa: E402

from layerscope.fitting import Component, PatternModel, Series, fit_batch, fit_series  # noqa: E402

X = np.linspace(186.0, 198.0, 200)
AREAS = (5000.0, 2600.0, 1500.0)
STARTS, BOUNDS = (192.1, 191.0, 193.1), ((191.0, 193.0), (190.0, 191.9), (192.5, 194.5))
STEP = 0.03
CHUNK = 500
SIZES = (1000, 2000, 5000, 10000)
PATTERNS = (10, 100, 1000, 10000)


def expected(*, step: float) -> FloatArray:
    """Return the expected counts of a single spectrum, shape (200,)."""
    mu = 300.0 + 5.0 * (X - 192.0)
    for area, centre in zip(AREAS, CENTRES, strict=True):
        mu = mu + area * (pseudo_voigt(X, centre, FWHM, MIXING) + step * running_integral(X, centre, FWHM, MIXING))
    return mu


def simulate(n: int, *, step: float) -> tuple[FloatArray, FloatArray]:
    """Return spectra (n, 200) and the known variance (200,)."""
    mu = expected(step=step)
    return np.random.default_rng([7, int(1000 * step)]).poisson(mu, size=(n, X.size)).astype(float), mu


def our_model(*, active: str = "none", polynomial: int = 1) -> tuple[PatternModel, lmfit.Parameters]:
    """Return model and parameters as a user of layerscope writes them."""
    model = PatternModel([Component(n) for n in NAMES], polynomial=polynomial, active=active)  # type: ignore[arg-type]
    parameters = model.make_parameters()
    for name, start, (low, high) in zip(NAMES, STARTS, BOUNDS, strict=True):
        parameters[f"{name}_center"].set(value=start, min=low, max=high)
    parameters["BOB_fwhm"].set(value=1.4, min=0.5, max=3.0)
    parameters["BOB_mixing"].set(value=0.2, min=0.0, max=1.0)
    for name in NAMES[1:]:
        parameters[f"{name}_fwhm"].set(expr="BOB_fwhm")
        parameters[f"{name}_mixing"].set(expr="BOB_mixing")
    return model, parameters


def lmfit_model(background: lmfit.Model) -> tuple[lmfit.Model, lmfit.Parameters]:
    """Return the same model as a user of lmfit writes it: a sum of `PseudoVoigtModel` and a background."""
    model = background
    for name in NAMES:
        model = model + PseudoVoigtModel(prefix=f"{name}_")
    parameters = model.make_params()
    for name, start, (low, high), area in zip(NAMES, STARTS, BOUNDS, AREAS, strict=True):
        parameters[f"{name}_center"].set(value=start, min=low, max=high)
        parameters[f"{name}_amplitude"].set(value=0.7 * area)
        parameters[f"{name}_sigma"].set(value=0.7, min=0.25, max=1.5)
        parameters[f"{name}_fraction"].set(value=0.2, min=0.0, max=1.0)
    for name in NAMES[1:]:
        parameters[f"{name}_sigma"].set(expr="BOB_sigma")
        parameters[f"{name}_fraction"].set(expr="BOB_fraction")
    return model, parameters


def cpu(work: Callable[[], Any], repeat: int = 3) -> tuple[float, Any]:
    """Return the shortest CPU time of some runs, and the last result."""
    times = []
    for _ in range(repeat):
        start = time.process_time()
        result = work()
        times.append(time.process_time() - start)
    return min(times), result


def reference_fits(model: lmfit.Model, parameters: lmfit.Parameters, **data: FloatArray) -> tuple[float, FloatArray]:
    """Fit spectra one by one with lmfit; return the median CPU time and chi2 of each.

    `data` holds the rows ``y`` and the same axis ``x`` and ``weights`` for all.
    """
    times, chi2 = [], []
    for y in data["y"]:
        work = partial(model.fit, y, parameters, x=data["x"], weights=data["weights"], method="leastsq")
        seconds, result = cpu(partial(work, y=y) if "y" in model.independent_vars else work, repeat=1)
        times.append(seconds)
        chi2.append(result.chisqr)
    return float(np.median(times)), np.array(chi2)


def line(label: str, seconds: float, reference: float, note: str = "") -> None:
    print(f"  {label:46s} {1e3 * seconds:9.3f} ms  {reference / seconds:7.1f} x  {note}")


def section_lmfit(spectra: int, reference: int, profile: bool) -> float:
    """Time (a): known weights, linear background."""
    y, mu = simulate(spectra, step=0.0)
    model, parameters = lmfit_model(LinearModel(prefix="line_"))
    parameters["line_slope"].set(value=0.0)
    parameters["line_intercept"].set(value=300.0)
    theirs, chi2 = reference_fits(model, parameters, y=y[:reference], x=X, weights=1.0 / np.sqrt(mu))
    ours, own = our_model()
    data = Series(X, y[:, None], variance=mu)
    seconds, batch = cpu(lambda: fit_batch(ours, own, data, weights="given"))
    single, _ = cpu(lambda: fit_series(ours, own, Series(X, y[0], variance=mu), weights="given"))
    poisson, _ = cpu(lambda: fit_batch(ours, own, Series(X, y[:, None])), repeat=2)
    gap = np.abs(batch.chi2[:reference] / chi2 - 1.0).max()
    print(f"a  200 points, three tied pseudo-Voigts, line; {spectra} spectra, {reference} of them by lmfit")
    line("lmfit leastsq", theirs, theirs)
    line("layerscope fit_batch, known weights", seconds / spectra, theirs, f"chi2 apart by {gap:.1e}")
    line("layerscope fit_batch, Poisson self-consistent", poisson / spectra, theirs, "another estimate: no bias")
    line("layerscope fit_series, one spectrum", single, theirs, f"converged {100 * batch.converged.mean():.1f} %")
    if profile:
        show_profile(lambda: fit_batch(ours, own, data, weights="given"))
    return theirs / (seconds / spectra)


def section_shirley(spectra: int, reference: int, profile: bool) -> float:
    """Time (b): active Shirley."""
    try:
        from lmfitxps.models import ShirleyBG
    except ImportError:
        print("b  skipped: lmfitxps is not installed (python -m pip install --no-deps lmfitxps==4.2.0)")
        return float("nan")
    y, mu = simulate(spectra, step=STEP)
    # lmfitxps sums from a point to the end of the array: it wants falling binding energy, as spectra are measured
    model, parameters = lmfit_model(ShirleyBG(independent_vars=["y"], prefix="shirley_"))
    parameters["shirley_k"].set(value=0.001, min=0.0)
    parameters["shirley_const"].set(value=300.0)
    falling = {"y": y[:reference, ::-1], "x": X[::-1], "weights": 1.0 / np.sqrt(mu[::-1])}
    theirs, chi2 = reference_fits(model, parameters, **falling)
    same, own_same = our_model(polynomial=0)
    step = {"shirley_k": np.cumsum(y, axis=1)[:, None]}
    data = Series(X, y[:, None], variance=mu, columns=step)
    seconds_same, batch_same = cpu(lambda: fit_batch(same, own_same, data, weights="given"))
    ours, own = our_model(active="shirley", polynomial=0)
    plain = Series(X, y[:, None], variance=mu)
    seconds, batch = cpu(lambda: fit_batch(ours, own, plain, weights="given"))
    gap = np.abs(batch_same.chi2[:reference] / chi2 - 1.0).max()
    print(f"b  the same on an active Shirley step; {spectra} spectra, {reference} of them by lmfitxps")
    line("lmfitxps ShirleyBG + lmfit leastsq", theirs, theirs, f"chi2 {np.mean(chi2):.3f} (mean of {reference})")
    line("layerscope, lmfitxps' model", seconds_same / spectra, theirs, f"chi2 apart by {gap:.1e}")
    line(
        "layerscope, active Shirley",
        seconds / spectra,
        theirs,
        f"chi2 {batch.chi2[:reference].mean():.3f} (its own model)",
    )
    if profile:
        show_profile(lambda: fit_batch(ours, own, plain, weights="given"))
    return theirs / (seconds / spectra)


def show_profile(work: Callable[[], Any]) -> None:
    profiler = cProfile.Profile()
    profiler.runcall(work)
    pstats.Stats(profiler).sort_stats("tottime").print_stats(18)


def measured(work: Callable[[], None], trace: int) -> None:
    """Run some work and print its CPU seconds, or the peak of the memory it allocates in MB."""
    if trace:
        tracemalloc.start()
        work()
        print(tracemalloc.get_traced_memory()[1] / 2**20)
    else:
        start = time.process_time()
        work()
        print(time.process_time() - start)


def work_spectra(n: int, chunk: int, trace: int) -> None:
    """Fit n spectra in chunks, keeping values and errors of every parameter (in a process of its own)."""
    y, mu = simulate(n, step=0.0)
    model, parameters = our_model()
    fit_batch(model, parameters, Series(X, y[:10, None], variance=mu), weights="given")
    measured(lambda: stream(model, parameters, y, mu, chunk), trace)


def stream(model: PatternModel, parameters: lmfit.Parameters, y: FloatArray, mu: FloatArray, chunk: int) -> None:
    """Fit chunk by chunk; only values and errors outlive a chunk."""
    n = len(y)
    names = [f"{name}_{what}" for name in NAMES for what in ("area", "center")] + ["BOB_fwhm", "BOB_mixing"]
    values, sigmas = np.empty((n, len(names))), np.empty((n, len(names)))
    for at in range(0, n, chunk):
        part = slice(at, min(at + chunk, n))
        batch = fit_batch(model, parameters, Series(X, y[part, None], variance=mu), weights="given")
        values[part] = np.stack([batch.value(name)[:, 0] for name in names], axis=1)
        sigmas[part] = np.stack([batch.sigma(name)[:, 0] for name in names], axis=1)


def work_joint(n: int, trace: int) -> None:
    """Fit one joint series of n patterns (in a process of its own)."""
    y, _ = simulate(n, step=STEP)
    model, parameters = our_model(active="shirley")
    parameters["BOB_center"].set(value=192.0, vary=False)
    parameters["shift"].set(vary=True, min=-1.0, max=1.0)
    fit_series(model, parameters, Series(X, y[:4]), scopes={"shift": "per_pattern"})

    def work() -> None:
        assert fit_series(model, parameters, Series(X, y), scopes={"shift": "per_pattern"}).converged

    measured(work, trace)


def in_process(*arguments: object) -> tuple[float, float]:
    """Run a worker of this file twice: CPU seconds, and peak memory beyond the data in MB."""
    command = [sys.executable, __file__, "--worker", *map(str, arguments)]
    runs = [subprocess.run([*command, t], check=True, capture_output=True, text=True) for t in ("0", "1")]
    return float(runs[0].stdout), float(runs[1].stdout)


def section_growth() -> None:
    """Time (c) and (d): cost and memory against the number of spectra, each in a fresh process."""
    print(f"c  independent spectra            at once                        in chunks of {CHUNK}")
    for n in SIZES:
        whole, stream = in_process("spectra", n, n), in_process("spectra", n, CHUNK)
        print(
            f"   {n:6d} ({n * X.size * 8 / 2**20:5.1f} MB of data)"
            f"  {1e3 * whole[0] / n:7.3f} ms each, +{whole[1]:6.1f} MB"
            f"   {1e3 * stream[0] / n:7.3f} ms each, +{stream[1]:6.1f} MB"
        )
    print("d  one joint series, active Shirley, a shift at each pattern, Poisson")
    for n in PATTERNS:
        seconds, memory = in_process("joint", n)
        print(
            f"   {n:6d} ({n * X.size * 8 / 2**20:5.1f} MB of data)"
            f"  {1e3 * seconds / n:7.3f} ms each, +{memory:6.1f} MB  {seconds:8.2f} s"
        )


def section_own(spectra: int) -> None:
    """Print the times of layerscope alone, to compare two versions at equal work: run this file in turns with both."""
    line_model, line_start = our_model()
    step_model, step_start = our_model(active="shirley", polynomial=0)
    (flat, mu), (steps, mu_step) = simulate(spectra, step=0.0), simulate(spectra, step=STEP)
    given = {"weights": "given"}
    single, joint = Series(X, steps[0], variance=mu_step), Series(X, steps[:100], variance=mu_step)
    known, stepped = Series(X, flat[:, None], variance=mu), Series(X, steps[:, None], variance=mu_step)
    jobs: dict[str, tuple[int, Callable[[], Any]]] = {
        "known weights": (
            spectra,
            lambda: fit_batch(line_model, line_start, known, **given),
        ),
        "Poisson": (spectra, lambda: fit_batch(line_model, line_start, Series(X, flat[:, None]))),
        "active": (
            spectra,
            lambda: fit_batch(step_model, step_start, stepped, **given),
        ),
        "one spectrum": (1, lambda: fit_series(step_model, step_start, single, **given)),
        "up to 100 jointly": (min(100, spectra), lambda: fit_series(step_model, step_start, joint, **given)),
    }
    for name, (count, work) in jobs.items():
        seconds, fit = cpu(work)
        print(f"{name:18s} {1e3 * seconds / count:8.3f} ms a spectrum, chi2 {np.sum(fit.chi2) / count:.3f}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spectra", type=int, default=2000)
    parser.add_argument("--reference", type=int, default=20, help="spectra that the slow programs fit")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--own", action="store_true", help="times of layerscope alone, to compare versions in turns")
    parser.add_argument("--worker", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        kind, *numbers = options.worker
        {"spectra": work_spectra, "joint": work_joint}[kind](*map(int, numbers))
        return 0
    if options.own:
        section_own(options.spectra)
        return 0
    first = section_lmfit(options.spectra, options.reference, options.profile)
    second = section_shirley(options.spectra, options.reference, options.profile)
    section_growth()
    print(f"lmfit {first:.0f}x (wanted 100), lmfitxps {second:.0f}x (wanted 50)")
    return 0 if first >= 100 and not second < 50 else 1


if __name__ == "__main__":
    raise SystemExit(main())
