"""Looks whether a model that does not describe a pattern would do so at another wavelength.

A wrong anode moves every line, and no refinement finds back: cells move by a few per cent at most. The calculated
lines are therefore laid over the observed pattern at all wavelengths in question, and the one where they meet is named.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from layerscope.crystals import reflections

from ..radiation import TUBE_LINES, lorentz_polarisation
from .model import FloatArray, PowderPattern, Problem
from .prealign import excess, smeared

__all__ = ["LikelyWavelength", "likely_wavelength"]

_RANGE = (0.2, 3.0)  # Å
_STEP = 0.001  # relative
_CELL = 0.035  # relative; so far may a cell be off, which looks the same
_BETTER = 1.5  # times the score at the wavelength given
_MATCH = 0.55  # correlation of calculated and observed pattern; 0.1 is chance
_ANODE = 0.01  # relative, for cells that are somewhat off
_D_MIN = 1.0  # Å
_STRONGEST = 60
_FWHM = 0.3  # degrees


@dataclass(frozen=True)
class LikelyWavelength:
    """Wavelength in Å at which the lines of the model lie on those of the pattern, the anode that has it, if any."""

    value: float
    anode: str
    correlation: float

    def text(self, given: float) -> str:
        """Return the finding as a sentence; `given` in Å."""
        known = f" (that of {self.anode})" if self.anode else ""
        return (
            f"the lines of the phases lie where a wavelength of {self.value:.3f} Å{known} would put them, "
            f"not {given:.4f} Å"
        )


def likely_wavelength(pattern: PowderPattern, problem: Problem) -> LikelyWavelength | None:
    """Return the wavelength at which the phases as they were given fit much better, or None.

    Parameters
    ----------
    pattern : PowderPattern
        Cut to the fitted range.
    problem : Problem
        Before its refinement: cells within 3 % of the right ones.

    Returns
    -------
    LikelyWavelength or None
        None where the given wavelength is as good as any, and where none is good.
    """
    given = problem.instrument.wavelengths[0]
    d, power = _lines(problem)
    if not d.size:
        return None
    observed = _unit(smeared(pattern, excess(pattern), _FWHM))
    steps = np.arange(math.log(_RANGE[0]), math.log(_RANGE[1]), _STEP)
    trials = np.exp(steps)
    found = np.array([_correlation(pattern, observed, d, power, w) for w in trials])
    near = np.abs(trials / given - 1.0) <= _CELL
    here = float(found[near].max(initial=0.0))
    best = int(np.argmax(np.where(near, -1.0, found)))
    value, correlation = float(trials[best]), float(found[best])
    if correlation < _MATCH or correlation < _BETTER * here:
        return None
    anodes = [name for name, line in TUBE_LINES.items() if abs(value / line.alpha1 - 1.0) < _ANODE]
    return LikelyWavelength(value, anodes[0] if anodes else "", correlation)


def _lines(problem: Problem) -> tuple[FloatArray, FloatArray]:
    """Spacings in Å and multiplicity times squared structure factor over the cell's volume squared, strongest first."""
    d, power = [], []
    for phase in problem.phases:
        found = reflections(phase, _D_MIN)
        weight = found.multiplicity * found.f2
        keep = np.argsort(-weight)[:_STRONGEST]
        d.append(found.d[keep])
        power.append(weight[keep] / max(float(weight[keep].sum()), 1e-30))
    return np.concatenate(d), np.concatenate(power)


def _unit(values: FloatArray) -> FloatArray:
    centred = values - values.mean()
    return np.asarray(centred / max(float(np.linalg.norm(centred)), 1e-30), dtype=np.float64)


def _correlation(
    pattern: PowderPattern, observed: FloatArray, d: FloatArray, power: FloatArray, wavelength: float
) -> float:
    """Correlation of the observed pattern with the calculated one at a wavelength."""
    sine = wavelength / (2.0 * d)
    inside = sine < 1.0
    angle = np.degrees(2.0 * np.arcsin(sine[inside]))
    strength = power[inside] * lorentz_polarisation(angle)
    x = pattern.two_theta
    kept = (angle >= x[0]) & (angle <= x[-1])
    if kept.sum() < 3:  # one line lies on something at many wavelengths
        return 0.0
    height = np.zeros_like(x)
    np.add.at(height, np.searchsorted(x, angle[kept]).clip(0, x.size - 1), strength[kept])
    calculated = np.sqrt(smeared(pattern, height, _FWHM))
    return float(observed @ _unit(calculated))
