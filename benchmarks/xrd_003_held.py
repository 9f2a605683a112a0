"""A (003) series whose shapes are held, beside code that an expert would write for just that: numba, frame by frame.

    python benchmarks/xrd_003_held.py [--frames 1000] [--pairs 5]

A simulated series is analysed once. Then its joint fit is repeated with widths, mixing and axial divergence held: the
phases, weights, priors of places and areas and the start are those of the analysis; places and areas of every frame,
the area of the cell's line and a quadratic background are free. The peer tabulates the line, as its shape is held, and
takes damped steps in all parameters of a frame in one compiled loop. Both return the standard errors of all that is
free; chi2 of both, and the largest differences of places and errors, are printed.

CPU time of this process, one thread, the codes take turns; medians of the ratios, how many times our time the peer
takes.
"""

from __future__ import annotations

import argparse
import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import time  # noqa: E402
from dataclasses import replace  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
from layerscope.diffraction.peaks.joint import JointFit  # noqa: E402
from layerscope.diffraction.peaks.model import FrameModel  # noqa: E402
from layerscope.diffraction.peaks.tabulated import TabulatedLine  # noqa: E402
from numba import njit  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from xrd_003_speed import series  # noqa: E402

from layerscope.fitting import SeriesFit, kernels  # noqa: E402
from layerscope.fitting.series import fit_setup  # noqa: E402

FloatArray = NDArray[np.float64]
GRID = 0.2  # degrees between the centres at which the peer tabulates the line
FINE = 0.004  # degrees between the points of its tables


def held(joint: JointFit) -> Any:
    """Return the joint fit's question with all shapes held where they were found."""
    setup, fit, line = joint.fit.batch.setup, joint.fit, joint.model.line
    only = TabulatedLine(line.radiation, axial=line.axial, nodes=line.nodes, only_position=True)
    model = FrameModel(joint.names, only, held=joint.model.held, polynomial=joint.model.polynomial)
    parameters = model.make_parameters()
    for name in parameters:
        free = name.endswith("_center") and name[: -len("_center")] in joint.names
        parameters[name].set(value=float(fit.value(name)[0]), vary=free)
        if free:
            parameters[name].set(min=float(fit.x[0, 0]), max=float(fit.x[0, -1]))
    return replace(setup, model=model, parameters=parameters)


def ours(setup: Any, names: tuple[str, ...]) -> SeriesFit:
    """Fit with the engine, and ask for all errors."""
    fit = fit_setup(setup)[0]
    for name in (*(f"{n}_center" for n in names), *fit.batch.linear_names):
        fit.sigma(name)
    return fit


@njit(cache=True, fastmath=True)  # type: ignore[untyped-decorator]
def _drawn(
    tables: FloatArray, low: float, x0: float, step: float, c: float, out: FloatArray, slope: FloatArray
) -> None:
    """Write a line at centre `c`, and its derivative by it, by parabolas in the centre and cubics in the distance."""
    n = out.size
    k = min(max(int((c - low) / GRID + 0.5), 1), len(tables) - 2)
    u = (c - low) / GRID - k
    by = (0.5 * u * (u - 1.0), 1.0 - u * u, 0.5 * u * (u + 1.0))
    by_slope = ((u - 0.5) / GRID, -2.0 * u / GRID, (u + 0.5) / GRID)
    place = (x0 - c) / FINE + tables.shape[1] // 2
    first = int(np.floor(place))
    t = place - first
    w0, w1 = -t * (t - 1.0) * (t - 2.0) / 6.0, (t + 1.0) * (t - 1.0) * (t - 2.0) / 2.0
    w2, w3 = -(t + 1.0) * t * (t - 2.0) / 2.0, (t + 1.0) * t * (t - 1.0) / 6.0
    d0, d1 = -(3.0 * t * t - 6.0 * t + 2.0) / 6.0, (3.0 * t * t - 4.0 * t - 1.0) / 2.0
    d2, d3 = -(3.0 * t * t - 2.0 * t - 2.0) / 2.0, (3.0 * t * t - 1.0) / 6.0
    each = int(np.round(step / FINE))
    out[:] = 0.0
    slope[:] = 0.0
    for j in range(3):
        table, a, b = tables[k - 1 + j], by[j], by_slope[j]
        for i in range(n):
            at = first + i * each
            v0, v1, v2, v3 = table[at - 1], table[at], table[at + 1], table[at + 2]
            value = w0 * v0 + w1 * v1 + w2 * v2 + w3 * v3
            out[i] += a * value
            slope[i] += b * value - a * (d0 * v0 + d1 * v1 + d2 * v2 + d3 * v3) / FINE


@njit(cache=True, fastmath=True)  # type: ignore[untyped-decorator]
def _frames(
    tables: FloatArray,
    low: float,
    x: FloatArray,
    y: FloatArray,
    root: FloatArray,
    on: NDArray[np.bool_],
    start: FloatArray,
    prior: FloatArray,
    weak: FloatArray,
    cell: FloatArray,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Fit every frame; chi2 (F,), places (K, F), errors of places (K, F), of areas and background (K + 4, F)."""
    lines, frames = on.shape
    n = x.size
    chi2s, places = np.zeros(frames), start.copy()
    errors, others = np.zeros((lines, frames)), np.zeros((lines + 4, frames))
    shape, slope = np.empty((lines, n)), np.empty((lines, n))
    for f in range(frames):
        at = np.flatnonzero(on[:, f])
        k = at.size
        size = 2 * k + 4
        rows, c = np.zeros((size, n)), np.zeros(k)
        square, right = np.zeros((size, size)), np.zeros(size)
        for i in range(n):
            u = (2.0 * x[i] - x[0] - x[n - 1]) / (x[n - 1] - x[0])
            w = root[f, i]
            rows[k, i], rows[k + 1, i], rows[k + 2, i], rows[k + 3, i] = (
                cell[i] * w,
                w,
                u * w,
                (1.5 * u * u - 0.5) * w,
            )
        for q in range(k):
            c[q] = start[at[q], f]
        for _again in range(20):
            m = k + 4
            for q in range(k):
                _drawn(tables[at[q]], low, x[0], x[1] - x[0], c[q], shape[q], slope[q])
                for i in range(n):
                    rows[q, i] = shape[q, i] * root[f, i]
            # amounts first, then all parameters together, places by their slope times the amount
            for p in range(m):
                for q in range(p + 1):
                    total = 0.0
                    for i in range(n):
                        total += rows[p, i] * rows[q, i]
                    square[p, q] = square[q, p] = total
                total = 0.0
                for i in range(n):
                    total += rows[p, i] * y[f, i] * root[f, i]
                right[p] = total
            amount = np.linalg.solve(square[:m, :m], right[:m])
            chi2 = 0.0
            rest = np.empty(n)
            for i in range(n):
                rest[i] = y[f, i] * root[f, i]
            for p in range(m):
                for i in range(n):
                    rest[i] -= amount[p] * rows[p, i]
            for i in range(n):
                chi2 += rest[i] * rest[i]
            for q in range(k):
                for i in range(n):
                    rows[m + q, i] = amount[q] * slope[q, i] * root[f, i]
                chi2 += ((c[q] - prior[at[q], f]) * weak[at[q], f]) ** 2
            for p in range(m, size):
                for q in range(p + 1):
                    total = 0.0
                    for i in range(n):
                        total += rows[p, i] * rows[q, i]
                    square[p, q] = square[q, p] = total
                total = 0.0
                for i in range(n):
                    total += rows[p, i] * rest[i]
                right[p] = total
                known = weak[at[p - m], f] ** 2
                square[p, p] += known
                right[p] -= known * (c[p - m] - prior[at[p - m], f])
            right[:m] = 0.0
            step = np.linalg.solve(square, right)
            moved = 0.0
            for q in range(k):
                move = min(max(step[m + q], -0.05), 0.05)
                c[q] += move
                moved = max(moved, abs(move) * np.sqrt(square[m + q, m + q]))
            if moved < 1e-4:
                break
        covariance = np.linalg.inv(square)
        chi2s[f] = chi2
        for q in range(k):
            places[at[q], f] = c[q]
            errors[at[q], f] = np.sqrt(covariance[m + q, m + q])
            others[at[q], f] = np.sqrt(covariance[q, q])
        for p in range(4):
            others[lines + p, f] = np.sqrt(covariance[k + p, k + p])
    return chi2s, places, errors, others


def peer(joint: JointFit, setup: Any) -> tuple[FloatArray, ...]:
    """Tabulate the line and fit all frames."""
    fit, shape, line = joint.fit, joint.shape, joint.model.line
    x, data = fit.x[0], setup.series
    names = joint.names
    centres = np.arange(x[0] - GRID, x[-1] + 2 * GRID, GRID)
    half = int((x[-1] - x[0] + 4 * GRID) / FINE) + 8
    offset = np.arange(-half, half + 1) * FINE
    start = np.array([np.broadcast_to(setup.starts[f"{name}_center"], len(fit.y)) for name in names])
    rests = [[shape.width(name), shape.mixing, shape.axial] for name in names]
    drawn = np.zeros((len(names), centres.size, offset.size))
    for k, rest in enumerate(rests):  # only where the line is somewhere near
        near = np.abs(centres[:, None] - start[k, joint.present[k]]).min(axis=1) < 1.6 * GRID
        for j in np.flatnonzero(near):
            drawn[k, j] = line.evaluate(centres[j] + offset, [centres[j], *rest], derivatives=False).value[0]
    held_line = joint.model.held[0]
    cell = line.evaluate(x, [held_line.center, held_line.fwhm, shape.mixing, shape.axial], derivatives=False).value[0]
    places = [data.priors[f"{name}_center"] for name in names]
    prior, spread = (np.array([np.broadcast_to(p[i], len(fit.y)) for p in places]) for i in (0, 1))
    asked = (fit.y, fit.root_weight, joint.present, start, prior, 1.0 / spread, cell)
    return _frames(drawn, float(centres[0]), x, *asked)  # type: ignore[no-any-return]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    _, result, _ = series(options.frames)
    joint = result.joint
    setup = held(joint)
    large = kernels.MANY_VALUES

    def by(threshold: int) -> SeriesFit:
        kernels.MANY_VALUES = threshold
        kernels.use_compiled(threshold == large)
        return ours(setup, joint.names)

    codes: dict[str, Any] = {
        "ours": lambda: by(1 << 62),
        "ours+fast": lambda: by(large),
        "numba": lambda: peer(joint, setup),
    }
    answers = {name: code() for name, code in codes.items()}
    times: dict[str, list[float]] = {name: [] for name in codes}
    for _ in range(options.pairs):
        for name, code in codes.items():
            begun = time.process_time()
            code()
            times[name].append(1e3 * (time.process_time() - begun) / options.frames)
    fit, (chi2, places, errors, _) = answers["ours+fast"], answers["numba"]
    there, centers = joint.present, [f"{name}_center" for name in joint.names]
    apart = np.abs(places - fit.stacked(centers))[there] / np.array([fit.sigma(n) for n in centers])[there]
    ratio = np.abs(errors / np.array([fit.sigma(n) for n in centers]) - 1.0)[there]
    print(f"{options.frames} frames, {int(there.sum())} lines in them, medians of {options.pairs} turns:")
    for name in codes:
        print(f"  {name:10s} {np.median(times[name]):7.3f} ms a frame")
    for name in ("ours", "ours+fast"):
        share = np.median(np.array(times["numba"]) / np.array(times[name]))
        print(f"  the peer takes {share:.2f} × the time of {name}")
    print(f"  chi2 {answers['ours'].chi2:.3f}, {fit.chi2:.3f} and {chi2.sum():.3f} (peer)")
    print(f"  places apart by {np.median(apart):.0e} sigma (worst {apart.max():.1e}), errors by {np.median(ratio):.0e}")


if __name__ == "__main__":
    main()
