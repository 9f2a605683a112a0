"""A fit that CasaXPS stored, weighed as it stands and fitted again by the fit engine, with both beside each other.

`weigh_stored` changes nothing: it draws the stored curves, takes their areas and asks how well the counting statistics
know them. `refit` starts from the stored numbers and keeps CasaXPS' shapes, bounds, ties and background; what is left
is the engine, Poisson weights and standard errors. Positions, widths and areas stay in CasaXPS' own terms throughout.

CasaXPS does not store how it weighs the points. The fits seen so far (cellulose, FeO) are minima of the plain sum of
squares: with equal weights the refit finds the main areas, widths and positions to 0.2 %, 0.2 % and 0.005 eV, with
Poisson weights it does not. So ``weights="equal"`` asks whether the engine finds what CasaXPS found, and Poisson
weights, the default, what the counts say.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from layerscope.errors import DataError, FitError
from layerscope.fitting import Component, PatternModel, Series, SeriesFit, fit_series
from layerscope.fitting.quality import durbin_watson, poisson_deviance, structured

from .casaxps import (
    CasaFit,
    CasaFitCurves,
    ParityRow,
    SeriesParameter,
    SeriesProblem,
    parity_table,
    parse_casa_fit,
    redraw,
    to_series_problem,
)
from .casaxps_lines import CasaLine, TiedLines
from .dataset import FloatArray, Spectrum, count_quantum

if TYPE_CHECKING:
    import lmfit

    from layerscope.fitting.model import ActiveBackground

__all__ = [
    "BackgroundChoice",
    "CasaModel",
    "CasaRefit",
    "StoredFit",
    "WeightsChoice",
    "build_model",
    "refit",
    "weigh_stored",
]

BackgroundChoice = Literal["as stored", "active"]
WeightsChoice = Literal["poisson", "equal"]
State = Literal["refined", "tied", "held", "at bound"]
Key = tuple[int, str]

_SMALLEST_FWHM = 0.01  # eV; CasaXPS may store a lower bound of zero, where no line exists
_HELD = 1e-3  # of its standard error: how closely an area is kept at its bound


@dataclass(frozen=True, eq=False)
class StoredFit:
    """A stored fit as it stands.

    Parameters
    ----------
    problem : SeriesProblem
        Its parameters, bounds and ties.
    curves : CasaFitCurves
        Its curves over the whole spectrum.
    areas : mapping of int to (float, float)
        Area of each drawn curve and the standard error that counting alone gives it at held shapes, in the unit of the
        spectrum times eV. What a line has beyond the ends of the spectrum is added by its running integral.
    outside : tuple of float
        That share of each component.
    variance : ndarray, shape (n,)
        Expected variance of the counts in the region (the envelope's), in the square of their unit.
    chi2, deviance : float
        Misfit of the stored envelope to the counts in the region.
    n_free : int
        Parameters that CasaXPS left free.
    """

    problem: SeriesProblem
    curves: CasaFitCurves
    areas: Mapping[int, tuple[float, float]]
    outside: tuple[float, ...]
    variance: FloatArray
    chi2: float
    deviance: float
    n_free: int

    @property
    def n_data(self) -> int:
        """Points of the region."""
        return int(self.variance.size)

    @property
    def residual(self) -> FloatArray:
        """(counts - envelope)/sigma in the region, shape (n,)."""
        inside = self.curves.inside
        return np.asarray((self.curves.counts - self.curves.envelope)[inside] / np.sqrt(self.variance))

    @property
    def net_area(self) -> tuple[float, float]:
        """Area of the counts above the background in the region, and its counting error."""
        inside = self.curves.inside
        width = np.gradient(self.curves.binding_energy[inside])
        above = (self.curves.counts - self.curves.background)[inside]
        return float(width @ above), math.sqrt(float(width**2 @ self.variance))

    @property
    def net_area_drawn(self) -> float:
        """Area of all stored curves in the region."""
        inside = self.curves.inside
        return float(np.gradient(self.curves.binding_energy[inside]) @ self.curves.components[:, inside].sum(axis=0))

    @property
    def durbin_watson(self) -> float:
        """Durbin-Watson statistic of the residual."""
        return durbin_watson(self.residual)

    @property
    def flags(self) -> tuple[str, ...]:
        """``RESIDUAL_STRUCTURE`` if the residual is not noise."""
        return ("RESIDUAL_STRUCTURE",) if structured(self.residual) else ()

    def parity(self) -> tuple[ParityRow, ...]:
        """Return a row for the area of each component, in CasaXPS' terms."""
        return parity_table(self.problem, {(i, "area"): a for i, a in self.areas.items()}, as_stored=True)


def weigh_stored(spectrum: Spectrum, fit: CasaFit | None = None, *, region: int = 0) -> StoredFit:
    """Draw a stored fit, take its areas and compare it with the counts.

    Parameters
    ----------
    spectrum : Spectrum
        With its comments, photon energy, dwell time and scans.
    fit : CasaFit, optional
        Read from the comments if not given.
    region : int, default 0
        Which region.

    Returns
    -------
    StoredFit

    Raises
    ------
    DataError
        As `redraw` and `to_series_problem`; or if the region has no component.
    """
    fit = fit or parse_casa_fit(spectrum.comments)
    curves, problem = redraw(spectrum, fit, region=region), to_series_problem(spectrum, fit, region=region)
    if not problem.components:
        raise DataError(f"the CasaXPS region {curves.region.name!r} has no components")
    axis, inside, exposure = spectrum.binding_energy, curves.inside, _exposure(spectrum)
    shares = [
        CasaLine(c.shape).inside(axis[0], axis[-1], c.parameters["center"].value, c.parameters["fwhm"].value)
        for c in problem.components
    ]
    expected = np.maximum(curves.envelope[inside], 0.5 / exposure)
    variance = expected / exposure
    sigmas = _counting_sigmas(problem, curves.components[:, inside], variance)
    drawn = [float(np.trapezoid(c, axis)) / s for c, s in zip(curves.components, shares, strict=True)]
    counts = curves.counts[inside]
    return StoredFit(
        problem=problem,
        curves=curves,
        areas=dict(enumerate(zip(drawn, sigmas, strict=True))),
        outside=tuple(1.0 - share for share in shares),
        variance=variance,
        chi2=float(np.sum((counts - curves.envelope[inside]) ** 2 / variance)),
        deviance=float(poisson_deviance(counts * exposure, expected * exposure)),
        n_free=sum(p.vary for c in problem.components for p in c.parameters.values()),
    )


def _exposure(spectrum: Spectrum) -> float:
    """Return counted electrons per unit of the intensity."""
    scale = spectrum.count_scale if spectrum.intensity_unit == "counts/s" else 1.0
    if scale is None:
        raise DataError("the counts behind the rates are not known: dwell time and number of scans are needed")
    return scale / count_quantum(spectrum)


def _counting_sigmas(problem: SeriesProblem, curves: FloatArray, variance: FloatArray) -> list[float]:
    """Return the error of each area in a linear fit of the areas alone, those that are tied moving together."""
    groups = _groups(problem)
    columns = np.array(
        [
            sum(curves[i] / problem.components[root].parameters["area"].value for i, _ in members)
            for root, members in groups.items()
        ]
    )
    weighted = columns / np.sqrt(variance)
    covariance = np.linalg.pinv(weighted @ weighted.T)
    sigmas = [math.nan] * len(problem.components)
    for k, members in enumerate(groups.values()):
        for i, factor in members:
            sigmas[i] = factor * math.sqrt(max(float(covariance[k, k]), 0.0))
    return sigmas


def _groups(problem: SeriesProblem) -> dict[int, list[tuple[int, float]]]:
    """Return components by the one that their areas follow, each with its factor; the leader stands first."""
    groups: dict[int, list[tuple[int, float]]] = {}
    for i in range(len(problem.components)):
        root, factor = i, 1.0
        for _ in problem.components:
            area = problem.components[root].parameters["area"]
            if area.link is None:
                break
            root, factor = area.link, factor * area.factor
        else:
            raise DataError(f"the area of component {problem.labels[i]!r} is tied in a circle")
        groups.setdefault(root, []).append((i, factor))
    return {root: sorted(members, key=lambda m: m[0] != root) for root, members in sorted(groups.items())}


@dataclass(frozen=True, eq=False)
class CasaModel:
    """A stored fit as a model of the fit engine.

    Parameters
    ----------
    problem : SeriesProblem
        What it was made from.
    model : PatternModel
        One component of the model for all components of CasaXPS whose areas are tied.
    parameters : lmfit.Parameters
        Stored values, bounds and ties.
    names : mapping of (int, str) to str
        Engine's name of the ``"center"``, ``"fwhm"`` and ``"area"`` of each component.
    area_factors : tuple of float
        Area of each component over the coefficient of that name.
    background : str
        ``"stored shirley"``, ``"active shirley"``, ``"linear"``, ...
    notes : tuple of str
        Where it differs from CasaXPS.
    """

    problem: SeriesProblem
    model: PatternModel
    parameters: lmfit.Parameters
    names: Mapping[Key, str]
    area_factors: tuple[float, ...]
    background: str
    notes: tuple[str, ...] = ()


def build_model(problem: SeriesProblem, *, background: BackgroundChoice = "as stored") -> CasaModel:
    """Pose a stored fit for the fit engine.

    Parameters
    ----------
    problem : SeriesProblem
        From `to_series_problem`.
    background : {"as stored", "active"}
        As stored: CasaXPS' curve, which the data fix beforehand, is given to the engine as an offset. Active: a
        background of the same kind that is fitted with the peaks, on a constant.

    Returns
    -------
    CasaModel

    Raises
    ------
    DataError
        If there is no component, ties form a circle, or the background has no active form.
    """
    if not problem.components:
        raise DataError("the stored fit has no components")
    components: list[Component] = []
    names: dict[Key, str] = {}
    factors = [1.0] * len(problem.components)
    for root, members in _groups(problem).items():
        lines = tuple(CasaLine(problem.components[i].shape) for i, _ in members)
        shape = lines[0] if len(lines) == 1 else TiedLines(lines, tuple(f for _, f in members))
        component = Component(f"c{root}", shape, shifted=False)
        components.append(component)
        for k, (i, factor) in enumerate(members):
            names[i, "area"], factors[i] = component.parameter("area"), factor
            for p in ("center", "fwhm"):
                names[i, p] = component.parameter(TiedLines.parameter(k, p))
    active, polynomial, label, notes = _background(problem, background)
    model = PatternModel(components, polynomial=polynomial, active=active)
    parameters = model.make_parameters()
    for i, c in enumerate(problem.components):
        for p in ("center", "fwhm"):
            _declare(parameters, names[i, p], c.parameters[p], p)
    _tie(parameters, problem, names)
    if active == "tougaard_u3":
        b, c_, d, _ = problem.cross_section
        for name, value in (("tougaard_c", c_), ("tougaard_d", d)):
            parameters[name].set(min=-math.inf, max=math.inf, value=value, vary=False)
        parameters["tougaard_b"].set(value=b, min=0.0, max=max(1e5, 10.0 * b))
    return CasaModel(problem, model, parameters, names, tuple(factors), label, notes)


def _background(problem: SeriesProblem, choice: BackgroundChoice) -> tuple[ActiveBackground, int, str, tuple[str, ...]]:
    """Return the engine's active background, the degree of its polynomial, a label, and notes."""
    kind = problem.background
    if choice == "as stored":
        return "none", -1, f"stored {kind}", ()
    if kind == "shirley":
        return "shirley", 0, "active shirley", ()
    if kind == "tougaard":
        gap = problem.cross_section[3]
        note = f"CasaXPS lets no loss below {gap:g} eV occur; the active background does"
        return "tougaard_u3", 0, "active tougaard_u3", (note,) if gap > 0 else ()
    if kind == "linear":
        return "none", 1, "linear", ()
    raise DataError(f"the background {kind!r} has no active form", hint="use background = 'as stored'")


def _declare(parameters: lmfit.Parameters, name: str, stored: SeriesParameter, kind: str) -> None:
    low, high = stored.min, stored.max
    if kind == "fwhm":
        low = max(low, _SMALLEST_FWHM)
    if stored.vary and high > low:
        parameters[name].set(value=min(max(stored.value, low), high), min=low, max=high, vary=True)
    else:
        parameters[name].set(value=stored.value, min=-math.inf, max=math.inf, vary=False)


def _tie(parameters: lmfit.Parameters, problem: SeriesProblem, names: Mapping[Key, str]) -> None:
    """Write ties of positions and widths as expressions, each after the one it follows."""
    for p in ("center", "fwhm"):
        links = {i: c.parameters[p].link for i, c in enumerate(problem.components)}
        done = {i for i, link in links.items() if link is None}
        while len(done) < len(links):
            ready = [i for i, link in links.items() if i not in done and link in done]
            if not ready:
                raise DataError(f"the {p} of component {problem.labels[min(set(links) - done)]!r} is tied in a circle")
            for i in ready:
                tie = problem.components[i].parameters[p]
                leader = names[links[i] or 0, p]
                parameters[names[i, p]].set(expr=f"{leader} * ({tie.factor!r}) + ({tie.offset!r})")
            done.update(ready)


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

    def parity(self) -> tuple[ParityRow, ...]:
        """Return a row for each position, width and area, in CasaXPS' terms."""
        return parity_table(self.model.problem, self.values, as_stored=True)

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
    """Bring an engine's flag into the record's form and CasaXPS' names."""
    head, separator, detail = flag.partition(":")
    if not separator:
        name, _, number = flag.partition(" ")
        return f"{name}:{number}" if number else name
    if head == "RESIDUAL_STRUCTURE":  # there is one pattern only
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
        exposure=_exposure(spectrum),
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
        replace(series, priors=dict(held) or None),
        weights="poisson" if weights == "poisson" else "none",
        nonnegative=True,
        scale_covariance=scale or None,
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
