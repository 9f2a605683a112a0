"""Find cells near the starting ones before any least squares runs: a pattern correlation, not a fit.

A Rietveld fit whose lines start further off than their width falls into a false minimum; a cell that is wrong by 2 %
moves a line at 60° by 1.4°. Here the calculated stick pattern of each phase is correlated with the observed pattern,
first smeared widely, then narrowly, over the free cell constants. It costs milliseconds and changes nothing when the
start is already good.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np

from layerscope.crystals import FREE_CELL, Phase, Reflections, crystal_system, reflections

from ..radiation import lorentz_polarisation
from .model import FloatArray, PowderPattern, PowderPhase, Problem

__all__ = ["FREE_LENGTHS", "excess", "inverse_d_squared", "prealign", "smeared"]

FREE_LENGTHS = {system: tuple(name for name in free if name in "abc") for system, (free, _) in FREE_CELL.items()}
"""Lengths of a cell that its crystal system leaves free."""
_SPAN = 0.03  # largest relative change of a length that is searched
_KEEP_WITHIN = 0.002  # a start this close to the best correlation is left alone
_MAX_LINES = 40


@dataclass(frozen=True)
class _Sticks:
    hkl: FloatArray
    intensity: FloatArray


def prealign(pattern: PowderPattern, problem: Problem) -> Problem:
    """Return the problem with each phase's cell moved to the best correlation within 3 %.

    Parameters
    ----------
    pattern : PowderPattern
        Cut to the fitted range.
    problem : Problem
        With several phases the strongest is moved first and its lines are then masked for the others.
    """
    signal = excess(pattern)
    phases = list(problem.phases)
    for index, phase in enumerate(phases):
        moved = _align_one(pattern, signal, phase, problem)
        phases[index] = moved
        signal = signal * (1.0 - 0.9 * _mask(pattern, moved, problem))
    return problem.with_phases(phases)


def excess(pattern: PowderPattern) -> FloatArray:
    """Square root of the counts above a running minimum: strong lines must not drown the weak ones."""
    y = pattern.counts
    step = float(np.median(np.diff(pattern.two_theta)))
    width = max(int(2.0 / step), 3)
    pad = np.pad(y, width, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(pad, 2 * width + 1)
    floor = np.quantile(windows[:, :: max(width // 20, 1)], 0.3, axis=1)
    return np.sqrt(np.maximum(y - floor, 0.0))


def _sticks(phase: Phase, problem: Problem, top: float) -> _Sticks:
    wavelength = problem.instrument.wavelengths[0]
    lines: Reflections = reflections(phase, wavelength / (2.0 * math.sin(math.radians(top / 2.0))) * (1.0 - _SPAN))
    angle = np.clip(lines.two_theta(wavelength), 2.0, 178.0)
    power = lines.multiplicity * lines.f2 * lorentz_polarisation(np.nan_to_num(angle, nan=178.0))
    keep = np.argsort(-power)[:_MAX_LINES]
    return _Sticks(lines.hkl[keep], np.sqrt(power[keep]))


def inverse_d_squared(hkl: FloatArray, cells: FloatArray) -> FloatArray:
    """Return 1/d² in 1/Å² of reflections (n, 3) for cells of shape (m, 6): shape (m, n)."""
    a, b, c = cells[:, 0], cells[:, 1], cells[:, 2]
    ca, cb, cg = np.cos(np.radians(cells[:, 3:])).T
    metric = np.empty((len(cells), 3, 3))
    metric[:, 0, 0], metric[:, 1, 1], metric[:, 2, 2] = a * a, b * b, c * c
    metric[:, 0, 1] = metric[:, 1, 0] = a * b * cg
    metric[:, 0, 2] = metric[:, 2, 0] = a * c * cb
    metric[:, 1, 2] = metric[:, 2, 1] = b * c * ca
    return np.asarray(np.einsum("ni,mij,nj->mn", hkl, np.linalg.inv(metric), hkl), dtype=np.float64)


def _positions(hkl: FloatArray, cells: FloatArray, wavelength: float) -> FloatArray:
    s = 0.5 * wavelength * np.sqrt(inverse_d_squared(hkl, cells))
    return np.degrees(2.0 * np.arcsin(np.minimum(s, 1.0)))


def smeared(pattern: PowderPattern, signal: FloatArray, fwhm: float) -> FloatArray:
    """Return a signal on the axis of a pattern convolved with a Gaussian of this width in degrees."""
    step = float(np.median(np.diff(pattern.two_theta)))
    sigma = max(fwhm / 2.355 / step, 0.5)
    half = min(int(4 * sigma) + 1, (signal.size - 1) // 2)
    kernel = np.exp(-0.5 * (np.arange(-half, half + 1) / sigma) ** 2)
    return np.convolve(signal, kernel / kernel.sum(), mode="same")


def _score(
    pattern: PowderPattern, smooth: FloatArray, sticks: _Sticks, cells: FloatArray, wavelength: float
) -> FloatArray:
    where = _positions(sticks.hkl, cells, wavelength)
    inside = (where >= pattern.two_theta[0]) & (where <= pattern.two_theta[-1])
    height = np.interp(where, pattern.two_theta, smooth)
    weight = sticks.intensity * inside
    return np.asarray((weight * height).sum(axis=1) / np.sqrt((weight**2).sum(axis=1) + 1e-30), dtype=np.float64)


def _align_one(pattern: PowderPattern, signal: FloatArray, phase: PowderPhase, problem: Problem) -> PowderPhase:
    wavelength = problem.instrument.wavelengths[0]
    sticks = _sticks(phase, problem, float(pattern.two_theta[-1]))
    free = FREE_LENGTHS[crystal_system(phase)]
    best = np.ones(len(free))
    span, count = _SPAN, 61 if len(free) <= 2 else 25
    for fwhm in (0.6, 0.25, 0.12):
        smooth = smeared(pattern, signal, fwhm)
        grid = [b * (1.0 + np.linspace(-span, span, count)) for b in best]
        tries = np.array(list(itertools.product(*grid)))
        scores = _score(pattern, smooth, sticks, _cells(phase, free, tries), wavelength)
        best = tries[int(np.argmax(scores))]
        step = 2.0 * span / (count - 1)
        span, count = 2.5 * step, 15 if len(free) > 2 else 21
    final = _score(pattern, smooth, sticks, _cells(phase, free, np.stack([np.ones(len(free)), best])), wavelength)
    if final[0] >= final[1] * (1.0 - _KEEP_WITHIN):
        return phase
    cell = _cells(phase, free, best[None, :])[0]
    return replace(phase, cell=tuple(float(v) for v in cell))


def _cells(phase: Phase, free: tuple[str, ...], factors: FloatArray) -> FloatArray:
    """Cells of shape (m, 6) for relative lengths of shape (m, k); lengths tied by symmetry follow."""
    cells = np.tile(np.array(phase.cell, dtype=np.float64), (len(factors), 1))
    column = {"a": 0, "b": 1, "c": 2}
    for k, name in enumerate(free):
        cells[:, column[name]] *= factors[:, k]
    if "b" not in free:
        cells[:, 1] *= factors[:, 0]
    if "c" not in free:
        cells[:, 2] *= factors[:, 0]
    return cells


def _mask(pattern: PowderPattern, phase: Phase, problem: Problem) -> FloatArray:
    """1 near the strong lines of a placed phase, 0 elsewhere, shape (n,)."""
    sticks = _sticks(phase, problem, float(pattern.two_theta[-1]))
    where = _positions(sticks.hkl, np.array([phase.cell]), problem.instrument.wavelengths[0])[0]
    out = np.zeros_like(pattern.two_theta)
    for centre in where:
        out = np.maximum(out, np.exp(-0.5 * ((pattern.two_theta - centre) / 0.15) ** 2))
    return out
