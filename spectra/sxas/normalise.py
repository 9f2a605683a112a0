"""Spectra of different samples on one scale: by the area of an edge, by its step, or at a single energy.

Limits are a definition: they are fixed, in absolute eV, and stand in the record. What only estimates the same number
(how far the line before the edge is laid, and of which degree) is varied, and its spread is part of the error.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import DataError
from layerscope.measured.measurement import FloatArray

from .align import Curve
from .edges import Range

__all__ = ["Definition", "EdgeStep", "Kind", "Normalised", "edge_step", "nearest_points", "normalise"]

Kind = Literal["area", "step", "point"]
LEAST_POINTS = 4
OVERHANG_EV = 0.6
"""A range may begin or end so far outside the scan: less than a step beside an edge, where limits are round numbers."""


@dataclass(frozen=True)
class Definition:
    """What a spectrum is normalised by.

    Attributes
    ----------
    kind : {"area", "step", "point"}
    pre_eV, post_eV, area_eV : (float, float)
        Ranges of the lines before and after the edge, and of the area.
    at_eV : float
        Where the step is taken, or the single energy.
    degree : int
        Of the line before the edge, 0 or 1.
    """

    kind: Kind
    pre_eV: Range
    post_eV: Range
    area_eV: Range
    at_eV: float
    degree: int = 1

    def words(self) -> str:
        """Return it in words, with its limits."""
        before = f"above a line through {self.pre_eV[0]:g} to {self.pre_eV[1]:g} eV"
        if self.kind == "area":
            return f"area from {self.area_eV[0]:g} to {self.area_eV[1]:g} eV {before}"
        if self.kind == "step":
            return f"step at {self.at_eV:g} eV of a line through {self.post_eV[0]:g} to {self.post_eV[1]:g} eV {before}"
        return f"value at {self.at_eV:g} eV {before}"


@dataclass(frozen=True)
class EdgeStep:
    """An edge step as Athena takes it.

    Attributes
    ----------
    value : float
        Distance of the two lines at e0.
    pre, post : (float, float)
        Value at e0 and slope per eV of each line.
    """

    value: float
    pre: tuple[float, float]
    post: tuple[float, float]


@dataclass(frozen=True)
class Normalised:
    """What a spectrum is divided by, and what was taken off before.

    Attributes
    ----------
    value : float
        In units of the spectrum, times eV for an area.
    budget : dict of str to float
        ``counting`` and ``background``, each one standard deviation; ``photodiode`` where samples share one.
    baseline : ndarray, shape (n,)
        Line before the edge, carried on.
    definition : Definition
    weight : ndarray, shape (n,)
        The value as a sum over the points, background included.
    """

    value: float
    budget: dict[str, float]
    baseline: FloatArray
    definition: Definition
    weight: FloatArray

    @property
    def sigma(self) -> float:
        """Standard error."""
        return float(np.sqrt(sum(part**2 for part in self.budget.values())))

    def with_shared(self, variance: FloatArray) -> Normalised:
        """Return it with the part of its counting error that other samples share set apart, as ``photodiode``.

        Parameters
        ----------
        variance : ndarray, shape (n,)
            The shared part of each point's variance.
        """
        shared = float((self.weight**2) @ variance)
        own = float(np.sqrt(max(self.budget["counting"] ** 2 - shared, 0.0)))
        return replace(self, budget={**self.budget, "counting": own, "photodiode": float(np.sqrt(shared))})


def nearest_points(energy: FloatArray, limits: Range) -> NDArray[np.bool_]:
    """Return the points from the one nearest to the lower limit to the one nearest to the upper, shape (n,)."""
    first, last = (int(np.argmin(np.abs(energy - limit))) for limit in limits)
    chosen = np.zeros(energy.size, bool)
    chosen[first : last + 1] = True
    return chosen


def edge_step(energy: FloatArray, mu: FloatArray, e0: float, pre: Range, post: Range) -> EdgeStep:
    """Return the edge step by straight lines before and after, over the points nearest to the ranges' ends.

    It is what Athena states as ``fitted_step``: its post-edge line is straight whatever ``nnorm`` says.

    Parameters
    ----------
    energy, mu : ndarray, shape (n,)
    e0 : float
        Where the step is taken, eV.
    pre, post : (float, float)
        Ranges, in eV; their ends may lie outside the data.

    Raises
    ------
    DataError
        If a range holds fewer than two points.
    """
    lines = []
    for name, limits in (("before", pre), ("after", post)):
        chosen = nearest_points(energy, limits)
        if chosen.sum() < 2:
            raise DataError(
                f"the line {name} the edge has {int(chosen.sum())} points in {limits[0]:g} to {limits[1]:g}"
            )
        slope, value = np.polyfit(energy[chosen] - e0, mu[chosen], 1)
        lines.append((float(value), float(slope)))
    return EdgeStep(lines[1][0] - lines[0][0], lines[0], lines[1])


def normalise(curve: Curve, definition: Definition) -> Normalised:
    """Return what a spectrum is to be divided by, with its error.

    Parameters
    ----------
    curve : Curve
        Spectrum and its noise.
    definition : Definition

    Raises
    ------
    DataError
        If a range does not fit inside the scan or holds too few points, or the result is not positive: with the reason.
    """
    energy, mu, sigma = curve
    _require(energy, "pre_eV", definition.pre_eV)
    if definition.kind == "area":
        _require(energy, "area_eV", definition.area_eV)
    elif definition.kind == "step":
        _require(energy, "post_eV", definition.post_eV)
    elif not energy[0] <= definition.at_eV <= energy[-1]:
        raise DataError(
            f"the scan runs from {energy[0]:g} to {energy[-1]:g} eV, at_eV = {definition.at_eV:g} is outside"
        )
    weight, baseline = _weights(energy, definition, definition.pre_eV)
    value = float(weight @ mu)
    if not value > 0:
        raise DataError(f"the {definition.words()} is {value:.3g}: not above zero", hint="is the dark level taken off?")
    counting = float(np.sqrt((weight**2) @ (sigma**2)))
    others = [float(_weights(energy, definition, pre)[0] @ mu) for pre in _variants(energy, definition)]
    background = float(np.sqrt(np.mean((np.array(others) - value) ** 2))) if others else 0.0
    return Normalised(value, {"counting": counting, "background": background}, baseline @ mu, definition, weight)


def _require(energy: FloatArray, key: str, limits: Range) -> None:
    inside = (energy >= limits[0]) & (energy <= limits[1])
    outside = energy[0] > limits[0] + OVERHANG_EV or energy[-1] < limits[1] - OVERHANG_EV
    if outside or inside.sum() < LEAST_POINTS:
        count = f", {int(inside.sum())} points lie in it" if not outside else ""
        span = f"{energy[0]:g} to {energy[-1]:g} eV"
        raise DataError(
            f"{key} = [{limits[0]:g}, {limits[1]:g}] does not fit the scan from {span}{count}",
            hint=f"give normalise.{key} inside the scan, or another kind of normalisation",
        )


def _weights(energy: FloatArray, how: Definition, pre: Range) -> tuple[FloatArray, FloatArray]:
    """Return the number as weights of the points, shape (n,), and the line before the edge, shape (n, n)."""
    baseline = _line(energy, nearest_points(energy, pre), how.degree, energy)
    if how.kind == "area":
        inside = (energy >= how.area_eV[0]) & (energy <= how.area_eV[1])
        parts = np.where(inside, _trapezoid(energy, inside), 0.0)
        return parts - parts @ baseline, baseline
    at = np.array([how.at_eV])
    below = _line(energy, nearest_points(energy, pre), how.degree, at)[0]
    if how.kind == "step":
        return _line(energy, nearest_points(energy, how.post_eV), 1, at)[0] - below, baseline
    k = int(np.clip(np.searchsorted(energy, how.at_eV), 1, energy.size - 1))
    share = (how.at_eV - energy[k - 1]) / (energy[k] - energy[k - 1])
    value = np.zeros(energy.size)
    value[k - 1], value[k] = 1.0 - share, share
    return value - below, baseline


def _line(energy: FloatArray, chosen: NDArray[np.bool_], degree: int, at: FloatArray) -> FloatArray:
    """Return the least-squares line through chosen points, at other energies, as weights of all points."""
    middle = float(energy[chosen].mean())
    known = np.vander(energy[chosen] - middle, degree + 1)
    weights = np.zeros((at.size, energy.size))
    weights[:, chosen] = np.vander(at - middle, degree + 1) @ np.linalg.pinv(known)
    return weights


def _trapezoid(energy: FloatArray, inside: NDArray[np.bool_]) -> FloatArray:
    """Return the weights of the trapezoidal rule over the points inside, shape (n,)."""
    places = np.flatnonzero(inside)
    weights = np.zeros(energy.size)
    gaps = np.diff(energy[places])
    weights[places[:-1]] += gaps / 2
    weights[places[1:]] += gaps / 2
    return weights


def _variants(energy: FloatArray, how: Definition) -> Iterator[Range]:
    """Yield parts of the range before the edge that estimate the same number."""
    low, high = how.pre_eV
    third = (high - low) / 3.0
    for pre in ((low + third, high), (low, high - third)):
        if nearest_points(energy, pre).sum() >= LEAST_POINTS:
            yield pre
