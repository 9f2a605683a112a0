"""A fit that CasaXPS stored, fitted again by the fit engine, with both beside each other.

`refit` starts from the stored numbers and keeps CasaXPS' shapes, bounds, ties and background; what is left is the
engine, Poisson weights and standard errors. Positions, widths and areas stay in CasaXPS' own terms throughout.

CasaXPS does not store how it weighs the points. The numbers of the fits seen so far (cellulose, FeO) lie at the minimum
of the plain sum of squares: with equal weights the refit finds every one within 1.5 standard errors, the largest areas
to 0.2 %; with Poisson weights it does not. So ``weights="equal"`` asks whether the engine finds what CasaXPS found, and
Poisson weights, the default, what the counts say.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from layerscope.errors import DataError, FitError
from layerscope.fitting import Series, SeriesFit, fit_series

from ..dataset import FloatArray, Spectrum
from .lines import CasaLine
from .model import BackgroundChoice, CasaModel, Key, build_model
from .text import CasaFit
from .weigh import StoredFit, electrons_per_unit, weigh_stored

__all__ = ["CasaRefit", "State", "WeightsChoice", "refit"]

WeightsChoice = Literal["poisson", "equal"]
State = Literal["refined", "tied", "held", "at bound"]

_HELD = 1e-3  # of its standard error: how closely an area is kept at its bound


@dataclass(frozen=True, eq=False)
class CasaRefit:
    """A stored fit, fitted again.

    Parameters
    ----------
    model : CasaModel
        What was fitted.
    stored : StoredFit
        What CasaXPS stored.
    fit : SeriesFit
        The engine's result, under the engine's names.
    values : mapping of (int, str) to (float, float)
        Value and standard error of each component's ``"center"`` and ``"fwhm"`` in eV, in the file's frame, and
        ``"area"`` in the unit of the spectrum times eV; the error is NaN for what was held.
    states : mapping of (int, str) to str
        ``"refined"``, ``"tied"``, ``"held"`` or ``"at bound"``.
    components : ndarray, shape (components, n)
        Curves on `binding_energy`, in the unit of the spectrum.
    background : ndarray, shape (n,)
        What lies below them.
    """

    model: CasaModel
    stored: StoredFit
    fit: SeriesFit
    values: Mapping[Key, tuple[float, float]]
    states: Mapping[Key, State]
    components: FloatArray
    background: FloatArray

    @property
    def binding_energy(self) -> FloatArray:
        """Axis in the region, in the file's frame, in eV, shape (n,)."""
        return np.asarray(self.fit.x[0])

    @property
    def flags(self) -> tuple[str, ...]:
        """What a reader must know, with CasaXPS' names of components in the form ``NAME:detail``."""
        found = [f for f in self.fit.flags() if not f.startswith("AT_BOUND") or "_area" not in f]
        words = self._labels()
        flags = [_words(flag, words) for flag in found]
        for (i, p), state in self.states.items():
            if p == "area" and state == "at bound":
                flags.append(f"AT_BOUND:{self.model.problem.labels[i]} area")
        return tuple(dict.fromkeys(flags))

    def _labels(self) -> dict[str, str]:
        """Return what the engine's names mean; of tied areas the leader's."""
        labels = self.model.problem.labels
        ordered = sorted(self.model.names.items(), key=lambda item: self.model.area_factors[item[0][0]] != 1.0)
        meaning: dict[str, str] = {}
        for (i, p), name in ordered:
            meaning.setdefault(name, f"{labels[i]} {'position' if p == 'center' else p}")
        return meaning


def _words(flag: str, words: Mapping[str, str]) -> str:
    """Bring an engine's flag into CasaXPS' names."""
    head, separator, detail = flag.partition(":")
    if not separator or head == "RESIDUAL_STRUCTURE":  # there is one pattern only
        return head
    pair, space, number = detail.partition(" ")
    return f"{head}:" + "~".join(words.get(part, part) for part in pair.split("~")) + space + number


def refit(
    spectrum: Spectrum,
    fit: CasaFit | None = None,
    *,
    region: int = 0,
    background: BackgroundChoice = "as stored",
    weights: WeightsChoice = "poisson",
    scale_errors: bool = False,
) -> CasaRefit:
    """Fit a stored fit again, from its own numbers, with its shapes, bounds, ties and background.

    Parameters
    ----------
    spectrum : Spectrum
        With its comments, photon energy, dwell time and scans.
    fit : CasaFit, optional
        Read from the comments if not given.
    region : int, default 0
        Which region.
    background : {"as stored", "active"}
        See `build_model`.
    weights : {"poisson", "equal"}
        Poisson: the maximum-likelihood estimate, with errors from counting. Equal: every point counts the same, and
        errors take the noise, whose size the residual tells, as the same everywhere.
    scale_errors : bool
        With Poisson weights, multiply errors by the square root of the reduced chi2, for counts noisier than Poisson.

    Returns
    -------
    CasaRefit

    Raises
    ------
    DataError
        As `weigh_stored` and `build_model`; or if the region has fewer points than there are free parameters.
    FitError
        If the engine cannot evaluate the stored fit.
    """
    stored = weigh_stored(spectrum, fit, region=region)
    built = build_model(stored.problem, background=background)
    inside = stored.curves.inside
    series = Series(
        spectrum.binding_energy[inside],
        spectrum.counts[inside],
        exposure=electrons_per_unit(spectrum),
        offset=stored.curves.background[inside] if background == "as stored" else None,
    )
    if int(inside.sum()) <= stored.n_free:
        raise DataError(
            f"the CasaXPS region {stored.curves.region.name!r} has {int(inside.sum())} points for {stored.n_free} "
            "free parameters"
        )

    choice = (weights, scale_errors)
    result = _fit(built, series, choice, {})
    held: dict[str, tuple[float, float]] = {}
    sigmas = {name: float(result.sigma(name)[0]) for name in _area_names(built)}
    for _ in sigmas:
        beyond = _beyond(built, result, sigmas, held)
        if not beyond:
            break
        held |= beyond
        result = _fit(built, series, choice, held)
    return _collect(built, stored, result, sigmas, held)


def _fit(
    built: CasaModel,
    series: Series,
    choice: tuple[WeightsChoice, bool],
    held: Mapping[str, tuple[float, float]],
) -> SeriesFit:
    weights, scale = choice
    return fit_series(
        built.model,
        built.parameters,
        replace(series, priors=dict(held) or None, relative=scale or None),
        weights="poisson" if weights == "poisson" else "none",
        nonnegative=True,
    )


def _area_names(built: CasaModel) -> dict[str, int]:
    """Return the engine's areas, each with the component that leads it."""
    return {f"{c.name}_area": int(c.name[1:]) for c in built.model.components}


def _beyond(
    built: CasaModel, result: SeriesFit, sigmas: Mapping[str, float], held: Mapping[str, tuple[float, float]]
) -> dict[str, tuple[float, float]]:
    """Return the areas that leave CasaXPS' bounds, with the bound to keep them at.

    The engine eliminates areas and bounds them by zero only; other bounds become a measurement far sharper than the
    data.
    """
    found = {}
    for name, i in _area_names(built).items():
        area = built.problem.components[i].parameters["area"]
        low, high = area.min, area.max
        if low >= high:  # CasaXPS held it
            low = high = area.value
        value = float(result.value(name)[0])
        bound = min(max(value, low), high)
        if name not in held and abs(bound - value) > 1e-9 * abs(bound) and (low > 0 or value > high):
            unscaled = sigmas[name] / (math.sqrt(result.redchi) if result.batch.scaled else 1.0)
            found[name] = (bound, _HELD * (unscaled or abs(bound) or 1.0))
    return found


def _collect(
    built: CasaModel,
    stored: StoredFit,
    result: SeriesFit,
    sigmas: Mapping[str, float],
    held: Mapping[str, tuple[float, float]],
) -> CasaRefit:
    problem, at_bound = built.problem, set(result.at_bound())
    at_bound = {name.partition("[")[0] for name in at_bound}
    values: dict[Key, tuple[float, float]] = {}
    states: dict[Key, State] = {}
    for (i, p), name in built.names.items():
        parameter = problem.components[i].parameters[p]
        value, sigma = float(result.value(name)[0]), float(result.sigma(name)[0])
        fixed = parameter.link is None and not parameter.vary
        if p == "area":
            sigma = sigmas[name] if name in held else sigma
            value, sigma = value * built.area_factors[i], sigma * built.area_factors[i]
        if not fixed and not sigma > 0 and not (p == "area" and name in held):
            fixed = True  # tied to something held
        values[i, p] = (value, math.nan if fixed else sigma)
        bound = name in at_bound or name in held
        states[i, p] = "held" if fixed else "tied" if parameter.link is not None else "at bound" if bound else "refined"
    lines = np.array(
        [
            values[i, "area"][0]
            * CasaLine(c.shape)
            .evaluate(result.x, [[values[i, "center"][0], values[i, "fwhm"][0]]], derivatives=False)
            .value[0]
            for i, c in enumerate(problem.components)
        ]
    )
    if not np.isfinite(lines).all():
        raise FitError("the refit of the stored fit is not finite")
    return CasaRefit(built, stored, result, values, states, lines, np.asarray(result.expected[0] - lines.sum(axis=0)))
