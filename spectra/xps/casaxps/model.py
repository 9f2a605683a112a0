"""A fit that CasaXPS stored as a model of the fit engine: its shapes, bounds, ties and background."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from layerscope.errors import DataError
from layerscope.fitting import Component, PatternModel

from .lines import CasaLine, TiedLines
from .stored_fit import SeriesParameter, SeriesProblem

if TYPE_CHECKING:
    import lmfit

    from layerscope.fitting.model import ActiveBackground

__all__ = ["BackgroundChoice", "CasaModel", "Key", "build_model", "tied_areas"]

BackgroundChoice = Literal["as stored", "active"]
Key = tuple[int, str]
"""Index of a component, and ``"center"``, ``"fwhm"`` or ``"area"``."""

_SMALLEST_FWHM = 0.01  # eV; CasaXPS may store a lower bound of zero, where no line exists


def tied_areas(problem: SeriesProblem) -> dict[int, list[tuple[int, float]]]:
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
    for root, members in tied_areas(problem).items():
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
