"""Fit one region of a depth profile: all levels jointly, with the alternatives that the data could prefer.

A component that does not rise above the noise says nothing about its own position and width. Such a component keeps the
library's position and the start width while its area is fitted, which is what an upper limit means: so much of *this*
line could be there. Components are set free as soon as their area is significant.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from layerscope.errors import FitError, RecipeError
from layerscope.fitting.anywhere import WITHIN_REACH, Found, elsewhere, fit_from_anywhere
from layerscope.fitting.compare import compare
from layerscope.fitting.measured import known_once, stacked
from layerscope.fitting.presence import ROUGH, Presence, presence
from layerscope.fitting.result import SeriesFit, Setup
from layerscope.fitting.series import Series, fit_series, fit_setup, lowest_chi2
from layerscope.fitting.solver import Tolerances

from .options import BackgroundTable, ComponentTable, RegionTable
from .peakmodel import ACTIVE_STRENGTHS, BuiltModel, ShiftPolicy, build_model, static_column
from .regionresult import LeftOut, RegionData, RegionFit
from .shifts import common_prior, posterior, unidentified
from .window import without_data

if TYPE_CHECKING:
    import lmfit

__all__ = ["GLANCE", "fit_region", "refit", "single_level_shares"]

FloatArray = NDArray[np.float64]
Starts = Mapping[str, ArrayLike]
Staged = tuple[BuiltModel, SeriesFit, tuple[str, ...]]  # with the names of components that are held

SIGNIFICANT = 5.0  # sigma of a component's area above which its shape is fitted
BACKGROUND_SIGNIFICANT = 10.0  # and above which it can be asked for its inelastic background
CERTAIN = 8.0  # sigma of an area above which nobody asks whether the line is there, if levels do not change their lines
PLACES = 3  # inside its bounds at which a line in question starts
REACH_EV = 12.0  # charging that the reference line is looked for at
UNKNOWN = ("free", "spread")  # shifts that nothing tells: a level's lines may change places
PINNED_EV = 1e-6
SIDE_BY_SIDE = 128  # levels that are fitted alone in one batch
GLANCE = 3  # steps that tell whether another background is within reach
OUT_OF_REACH = 60.0  # of chi2 above the fit, after these steps
NEGATIVE = -4.0  # sigma of an area below which noise is no excuse: the model wants to subtract a line


def _series(data: RegionData, background: BackgroundTable, shift: ShiftPolicy, built: BuiltModel) -> Series:
    columns = None
    if background.mode == "static" and background.kind != "polynomial":
        try:
            columns = {"background_static": static_column(background, data.x, data.y)}
        except FitError:
            columns = None  # no step to follow: the polynomial describes the background alone
        if columns is not None and (np.abs(columns["background_static"]).max(axis=1) == 0).any():
            columns = None
    names = {*built.model.nonlinear_names, *built.model.linear_names}
    priors = {k: v for k, v in (data.priors or {}).items() if k in names}
    priors |= {k: known_once(*said, data.n_levels) for k, said in built.priors.items()}
    if shift == "charge" and data.charge_shift is not None and data.charge_sigma is not None:
        priors["shift"] = (data.charge_shift, data.charge_sigma)
    elif shift == "free":  # the first level carries the scale, the others shift against it
        priors["shift"] = known_once(0.0, PINNED_EV, data.n_levels)
    elif shift == "spread":
        priors["shift"] = common_prior(data.n_levels)
    y = data.y.view()
    y.setflags(write=False)  # the many fits of a region share one array
    return Series(
        data.x,
        y,
        variable=data.variable,
        exposure=data.exposure,
        use=data.use,
        columns=columns,
        priors=priors or None,
        relative=data.scaled,
    )


@dataclass(frozen=True)
class _Problem:
    """A model with the levels that it is fitted to."""

    built: BuiltModel
    series: Series

    def bounded(self, starts: Starts | None = None, tolerances: Tolerances | None = None) -> SeriesFit:
        """Fit with areas at or above zero."""
        return self._fit(starts, nonnegative=True, tolerances=tolerances)

    def roughly(self, starts: Starts | None = None) -> SeriesFit:
        """Do so to a hundredth of chi2, for comparing starts and models."""
        return self.bounded(starts, ROUGH)

    def fit(self, starts: Starts | None = None) -> SeriesFit:
        """Fit with areas of either sign, which leaves them unbiased; only if one is negative beyond noise, bounded."""
        fit = self._fit(starts, nonnegative=False)
        negative = any(
            (fit.value(f"{c.name}_area") < NEGATIVE * fit.sigma(f"{c.name}_area")).any() for c in self.built.components
        )
        return self.bounded(starts) if negative else fit

    def _fit(self, starts: Starts | None, *, nonnegative: bool, tolerances: Tolerances | None = None) -> SeriesFit:
        return fit_series(
            self.built.model,
            self.built.parameters,
            self.series,
            scopes=self.built.scopes,
            starts=starts,
            weights="poisson",
            nonnegative=nonnegative,
            tolerances=tolerances,
        )


@dataclass(frozen=True)
class _Question:
    """Levels, and the components and background that are to explain them."""

    region: RegionTable
    data: RegionData
    background: BackgroundTable
    include: frozenset[str]
    reference: str | None = None

    def problem(self, shift: ShiftPolicy, held: Collection[str] = (), *, hold_background: bool = False) -> _Problem:
        """Pose the fit with the shapes of some components held."""
        built = build_model(
            self.region,
            self.background,
            shift,
            include=self.include,
            held=held,
            reference=self.reference,
            hold_background=hold_background,
        )
        return _Problem(built, _series(self.data, self.background, shift, built))

    @cached_property
    def placed(self) -> Found:
        """The fits with every line free and no shift known, from the best of all places within bounds.

        It tells where the lines are; how much of each there is, is asked with the weak ones held.
        """
        return self._placed("none")

    @cached_property
    def placed_by_charge(self) -> Found:
        """The same with what is known of the shifts; of the reference line, from the best of all shifts."""
        return self._placed("charge")

    def _placed(self, shift: ShiftPolicy) -> Found:
        unknown = self.reference is not None and not np.isfinite(self._shift_sigma).any()
        problem = self.problem(shift)
        return fit_from_anywhere(
            problem.built.model,
            problem.built.parameters,
            problem.series,
            problem.roughly,
            scopes=problem.built.scopes,
            reach=REACH_EV if unknown and shift == "charge" else 0.0,
        )

    def minima(
        self, shift: ShiftPolicy, built: BuiltModel, fit: SeriesFit, held: Collection[str]
    ) -> tuple[SeriesFit, ...]:
        """Return the fits that end elsewhere and within reach of the chosen one, with the same lines held."""
        if frozenset(held) == self.include:
            return ()
        problem = _Problem(built, fit.batch.setup.series)
        others: list[SeriesFit] = []
        for other in (self.placed_by_charge if shift == "charge" else self.placed).others:
            end = problem.bounded(_free(_values(other, built.parameters), held))
            near = end.converged and end.chi2 <= fit.chi2 + WITHIN_REACH
            if near and all(elsewhere(end, known) for known in (fit, *others)):
                others.append(end)
        return tuple(others)

    @property
    def _shift_sigma(self) -> FloatArray:
        sigma = self.data.charge_sigma
        return np.full(self.data.n_levels, np.inf) if sigma is None else sigma

    def significance(self, fit: SeriesFit) -> tuple[dict[str, float], float]:
        """Return how many sigma each area, and the sum of all, lies above zero where the lines of a fit stand."""
        problem = self.problem("none", self.include)
        amounts = problem.fit(_values(fit, problem.built.parameters))
        names = {c.name: f"{c.name}_area" for c in problem.built.components}
        level = {name: _above_zero(amounts, [area]) for name, area in names.items()}
        return level, max(_above_zero(amounts, list(names.values())), *level.values())

    def presence(self, c: ComponentTable, shift: ShiftPolicy, fit: SeriesFit, without: _Question) -> Presence | None:
        """Tell whether a component is there: by what it gains, beside repetitions of the measurement without it.

        None where the others cannot stand without it, because the recipe ties them to it.
        """
        problem = self.problem(shift)
        try:
            other = without.problem(shift)
        except RecipeError:
            return None
        try:
            larger = problem.roughly(_values(fit, problem.built.parameters))
            smaller = other.roughly(_values(fit, other.built.parameters))
        except FitError:
            return Presence(0.0, 1.0, 0)  # amounts of nothing determine no line: there is none
        center = problem.built.parameters[f"{c.name}_center"]
        inside = np.linspace(float(center.min), float(center.max), PLACES + 2)[1:-1]
        places: list[float] = inside.tolist() if center.vary else []
        return presence(larger, smaller, [{center.name: place} for place in places])

    def beside(self, c: ComponentTable, shift: ShiftPolicy, without: Staged) -> Staged:
        """Fit with a component that is not shown, its shape and place held, from where the others stand without it."""
        smaller, start, held = without
        held = tuple(sorted({*held, c.name}))
        strengths = [name for name in ACTIVE_STRENGTHS if name in smaller.parameters]
        strong = all(smaller.parameters[name].vary for name in strengths)
        problem = self.problem(shift, held, hold_background=not strong)
        return problem.built, problem.fit(_values(start, problem.built.parameters)), held

    def staged(self, shift: ShiftPolicy) -> Staged:
        """Fit from where the lines are, with the shapes of those held that do not stand out; until nothing changes."""
        fit, before = (self.placed_by_charge if shift == "charge" else self.placed).fit, None
        for _ in range(4):
            level, total = self.significance(fit)
            held = frozenset(name for name, z in level.items() if not z > SIGNIFICANT)
            strong = total > BACKGROUND_SIGNIFICANT
            if (held, strong) == before:
                break
            before = held, strong
            policy: ShiftPolicy = "none" if shift in UNKNOWN and held == self.include else shift
            problem = self.problem(policy, held, hold_background=not strong)
            declared = problem.built.parameters
            fit = problem.fit({n: value for n, value in _values(fit, declared).items() if declared[n].vary})
            built = problem.built
        return built, fit, tuple(sorted(held))


def _values(fit: SeriesFit, parameters: lmfit.Parameters) -> dict[str, FloatArray]:
    """Return where the parameters of a fit ended, level by level, for another model that has them."""
    return {name: fit.value(name) for name in fit.names if name in parameters and not parameters[name].expr}


def _free(starts: Mapping[str, FloatArray], held: Collection[str]) -> dict[str, FloatArray]:
    """Leave out what starts components that are held."""
    own = tuple(f"{name}_" for name in held)
    return {name: value for name, value in starts.items() if not name.startswith(own)}


def _above_zero(fit: SeriesFit, areas: list[str]) -> float:
    """Return how many sigma a sum of areas lies above zero, at its best level or over all levels."""
    area = np.sum([fit.value(name) for name in areas], axis=0)
    covariance = fit.parts_of_sum(areas, np.ones((len(areas), fit.n_patterns)))
    sigma = np.sqrt(np.maximum(covariance.variance, 1e-300))
    total = float(area.sum() / np.sqrt(max(covariance.total(), 1e-300)))
    return max(total, float((area / sigma).max()))


def _policies(region: RegionTable, data: RegionData, is_reference: bool) -> tuple[ShiftPolicy, ...]:
    """Return the shift policies to compare, the one to fall back on first."""
    if is_reference:
        return ("free",)
    known = data.charge_shift is not None
    if region.shift == "charge":
        return ("charge",) if known else ("none",)
    if region.shift == "free":
        return ("free",) if data.n_levels > 1 else ("none",)
    if region.shift == "none":
        return ("none",)
    if data.n_levels == 1:
        return ("charge",) if known else ("none",)
    if known:
        return ("charge", "none", "free")
    return ("spread",) if len(region.components) > 1 else ("none", "free")  # one line changes places with no other


def fit_region(region: RegionTable, data: RegionData, *, reference: str | None = None) -> RegionFit:
    """Fit a region: choose the shift policy, then test every optional component.

    Parameters
    ----------
    region : RegionTable
    data : RegionData
    reference : str, optional
        Name of the component that is the charge reference, if it lies in this region.

    Raises
    ------
    RecipeError
        If a species or parameter is unknown.
    FitError
        If the model cannot be fitted at all.
    """
    everything = frozenset(c.name for c in region.components)
    asked = _Question(region, _for_reference(data, reference), region.background, everything, reference)
    tried: dict[ShiftPolicy, Staged] = {}
    for policy in _policies(region, data, reference is not None):
        tried[policy] = asked.staged("charge" if reference is not None else policy)
    comparison = compare({f"shift {name}": fit for name, (_, fit, _) in tried.items()})
    shift: ShiftPolicy = next(n for n in tried if f"shift {n}" == comparison.chosen)
    alternatives = [("shift of the levels", a) for a in comparison.alternatives] if len(tried) > 1 else []
    built, fit, held = tried[shift]
    policy = "charge" if reference is not None else shift
    tested: dict[str, Presence] = {}
    left_out: list[LeftOut] = []
    for c in (c for c in region.components if len(asked.include) > 1 and c.name != reference and not c.foreign):
        level, _ = asked.significance(fit)
        certain = level[c.name] > CERTAIN
        if not c.optional and certain and policy not in UNKNOWN:
            continue
        without = replace(asked, include=asked.include - {c.name})
        found = asked.presence(c, policy, fit, without)
        if found is None:
            continue
        tested[c.name] = found
        if not c.optional:
            if certain and not found.present:  # it stands in another line's place
                built, fit, held = asked.beside(c, policy, without.staged(policy))
            continue
        other = without.staged(policy)
        chosen = f"with{'' if found.present else 'out'} {c.species}"
        verdict = compare({f"with {c.species}": fit, f"without {c.species}": other[1]})
        need = f"need of {c.species}"
        alternatives += [(need, replace(a, chosen=a.name == chosen)) for a in verdict.alternatives]
        if not found.present:
            left_out.append(LeftOut(c, fit))
            asked, (built, fit, held) = without, other
    beyond = [c for c in without_data(built, fit) if c.name != reference]
    if beyond:
        return _without(region, data, reference, beyond)
    minima = asked.minima(policy, built, fit, held)
    fit = posterior(fit, built, shift)
    result = RegionFit(region, region.background, built, fit, shift, held, tuple(alternatives), comparison.dispersion)
    lost = reference is None and unidentified(fit, built, shift)
    return replace(result, presence=tested, left_out=tuple(left_out), minima=minima, unidentified=lost)


def _without(region: RegionTable, data: RegionData, reference: str | None, beyond: list[ComponentTable]) -> RegionFit:
    """Fit a region without components whose lines lie beyond the data."""
    rest, species = tuple(c for c in region.components if c not in beyond), tuple(c.species for c in beyond)
    if not rest:
        raise FitError(f"no line of {region.name} lies within the data", hint="see position_eV and range_eV")
    result = fit_region(region.model_copy(update={"components": rest}), data, reference=reference)
    return replace(result, no_data=(*species, *result.no_data))


def _for_reference(data: RegionData, reference: str | None) -> RegionData:
    """Let the levels of the reference region shift freely against the held reference line."""
    if reference is None or data.charge_shift is not None:  # given where the reference line is lost at some levels
        return data
    return replace(data, charge_shift=np.zeros(data.n_levels), charge_sigma=np.full(data.n_levels, np.inf))


def refit(
    result: RegionFit,
    data: RegionData,
    region: RegionTable,
    background: BackgroundTable,
    reference: str | None,
    *,
    steps: int = GLANCE,
    moved: Sequence[Mapping[str, float]] = (),
) -> RegionFit | None:
    """Fit the chosen components again, as another table or on another background, with the same weights of the points.

    `steps` tell whether the other model is within reach; from a shape of another kind it takes more of them. It starts
    where the model stands, or with parameters `moved` from there, if these steps end lower then.

    Returns
    -------
    RegionFit or None
        None where a few steps leave chi2 so much higher that this model is out of reach, or it cannot be fitted.
    """
    include = frozenset(c.name for c in result.components)
    asked = _Question(region, _for_reference(data, reference), background, include, reference)
    shift: ShiftPolicy = "charge" if reference is not None else result.shift
    problem = asked.problem(shift, result.held, hold_background=result.background_held)
    built, fit = problem.built, result.fit.batch[result.fit.group]  # the minimum, also where draws are stated
    series = replace(problem.series, variance=fit.variance)
    starts, bounded = _values(fit, built.parameters), fit.batch.setup.nonnegative
    few = Tolerances(max_iterations=steps)
    setup = Setup(built.model, built.parameters, series, built.scopes, starts, "given", bounded, few)
    others = ({name: starts[name] + by for name, by in one.items() if name in starts} for one in moved)
    tried = [setup, *(replace(setup, starts={**starts, **other}) for other in others)]
    try:
        lowest = [float(lowest_chi2(one)[0]) for one in tried]
        best = int(np.argmin(lowest))
        if not (lowest[best] - fit.chi2) / max(fit.redchi, 1.0) < OUT_OF_REACH:
            return None
        again = fit_setup(replace(tried[best], tolerances=Tolerances()))[0]
    except FitError:
        return None
    if not again.converged or again.batch.covariance.undetermined[0]:
        return None
    if np.allclose(again.root_weight, fit.root_weight, rtol=1e-12, atol=0.0):  # kept once for all choices
        patterns = replace(again.batch.patterns, root_weight=fit.batch.patterns.root_weight)
        again = replace(again.batch, patterns=patterns)[0]
    return RegionFit(region, background, built, again, result.shift, result.held)


def single_level_shares(result: RegionFit, data: RegionData) -> list[tuple[FloatArray, FloatArray] | None]:
    """Fit every level alone with the chosen model and free positions: what one gets without the joint fit.

    Levels are fitted side by side, each from where the joint fit left it and with its shift held there.

    Returns
    -------
    list of (share, sigma) or None
        Of the region's own components, each of shape (K,); None where a level alone cannot be fitted.
    """
    include = frozenset(c.name for c in result.components)
    moves = bool(result.fit.value("shift").any())
    built = build_model(
        result.region, result.background, "free" if moves else "none", include=include, held=result.held
    )
    alone = [replace(data.level(k), charge_shift=None, charge_sigma=None) for k in range(data.n_levels)]
    series = [_series(level, result.background, "none", built) for level in alone]
    joint = _values(result.fit, built.parameters)
    if moves:
        pinned = np.full(1, PINNED_EV)
        series = [
            replace(one, priors={**(one.priors or {}), "shift": (joint["shift"][k : k + 1], pinned)})
            for k, one in enumerate(series)
        ]
    found: list[tuple[FloatArray, FloatArray] | None] = [None] * len(series)
    for stepped in (False, True):  # some levels may have no step that a static background could follow
        rows = [k for k, one in enumerate(series) if (one.columns is not None) == stepped]
        for first in range(0, len(rows), SIDE_BY_SIDE):
            part = rows[first : first + SIDE_BY_SIDE]
            with suppress(FitError):
                for k, shares in _side_by_side(result, built, [series[k] for k in part], joint, np.array(part)):
                    found[k] = shares
    return found


def _side_by_side(
    result: RegionFit, built: BuiltModel, series: list[Series], joint: Mapping[str, FloatArray], rows: NDArray[np.intp]
) -> Iterator[tuple[int, tuple[FloatArray, FloatArray]]]:
    """Yield place and shares of the levels of a batch that can be fitted, bounded where an area is no noise below 0."""
    starts = {name: value[rows, None] for name, value in joint.items()}
    asked = Setup(built.model, built.parameters, stacked(series), built.scopes, starts, "poisson", False, Tolerances())
    batch = fit_setup(asked)
    areas = [f"{c.name}_area" for c in built.components]
    below = np.any([batch.value(n) < NEGATIVE * batch.sigma(n) for n in areas], axis=0)[:, 0]
    own = [f"{c.name}_area" for c in result.own]
    redone = np.flatnonzero(below)
    if redone.size:
        again = {name: value[redone] for name, value in starts.items()}
        bounded = fit_setup(replace(asked, series=stacked([series[k] for k in redone]), starts=again, nonnegative=True))
    place = {int(k): at for at, k in enumerate(redone)}
    for k, row in enumerate(rows.tolist()):
        fit = bounded[place[k]] if k in place else batch[k]
        if np.isfinite(fit.chi2):
            values, variance = fit.fractions_within(own)
            yield row, (values[:, 0], np.sqrt(np.maximum(variance[:, 0], 0.0)))
