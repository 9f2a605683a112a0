"""From a region's table in the recipe to a model of the fit engine."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import FitError, RecipeError
from layerscope.fitting.backgrounds import static_shirley
from layerscope.fitting.expressions import Expression
from layerscope.fitting.layout import PER_PATTERN, Layout, Scope, Smooth
from layerscope.fitting.model import ActiveBackground, Component, PatternModel
from layerscope.fitting.shapes import AXIS_UNIT, Shape
from layerscope.fitting.tougaard import TOUGAARD_KERNELS, static_tougaard

from .multiplets import MultipletTemplate, get_template
from .options import BackgroundTable, ComponentTable, ParameterTable, RegionTable
from .species import Species, get_species

if TYPE_CHECKING:
    import lmfit

__all__ = [
    "ACTIVE_STRENGTHS",
    "BuiltModel",
    "ShiftPolicy",
    "build_model",
    "library_species",
    "static_column",
    "tied_outside",
]

FloatArray = NDArray[np.float64]
ShiftPolicy = Literal["charge", "free", "none", "spread"]

POSITION_MARGIN_EV = 0.3  # how far beyond the published range a position may go: charge references differ by that much
DEFAULT_FWHM_EV = (1.5, 0.4, 5.0)
TEMPLATE_MARGIN_EV = 0.6  # how far the first peak of a multiplet may go from where it was published
TEMPLATE_FWHM = (0.6, 2.5)  # how far its width may go, over the published one: pass energies differ by that much
MAX_SHIFT_EV = 15.0
SPREAD_REACH_EV = 1.5  # how far from the others a level is looked for, where nothing tells its shift
ACTIVE_STRENGTHS = (
    "shirley_k",
    "tougaard_b",
)  # of an active background
LOG_WIDTH = "_log_width"  # of a component over the common width of those that are alike


@dataclass(frozen=True)
class BuiltModel:
    """A region's model, ready to be fitted.

    Attributes
    ----------
    model : PatternModel
    parameters : lmfit.Parameters
    scopes : dict of Scope
    components : tuple of ComponentTable
        Those included, in the order of the model.
    priors : dict of (value, sigma)
        What is known of parameters that the levels share: of the ratios of widths that are alike.
    """

    model: PatternModel
    parameters: lmfit.Parameters
    scopes: dict[str, Scope] = field(default_factory=dict)
    components: tuple[ComponentTable, ...] = ()
    priors: dict[str, tuple[float, float]] = field(default_factory=dict)


def library_species(table: ComponentTable, region: str) -> Species | None:
    """Return the library's entry of a component, or None for a custom one.

    Raises
    ------
    RecipeError
        If the species is not known for the line (the message names the nearest ones).
    """
    if table.custom:
        return None
    return get_species(table.species, table.line or region)


def library_template(table: ComponentTable, region: str) -> MultipletTemplate | None:
    """Return the multiplet that makes the line of a component, or None where it is one peak.

    Raises
    ------
    RecipeError
        If the library has no such template for the line.
    """
    return None if table.template is None else get_template(table.template, table.line or region)


def build_model(
    region: RegionTable,
    background: BackgroundTable,
    shift: ShiftPolicy,
    *,
    include: Collection[str] | None = None,
    held: Collection[str] = (),
    reference: str | None = None,
    hold_background: bool = False,
) -> BuiltModel:
    """Declare the model of a region.

    Parameters
    ----------
    region : RegionTable
    background : BackgroundTable
    shift : {"charge", "free", "none", "spread"}
        Whether levels have a shift of their own (known from the charge reference, free, or alike within a spread).
    include : collection of str, optional
        Names of the components to use; all where nothing is said.
    held : collection of str
        Names of components whose shape and position stay at their start values.
    reference : str, optional
        Name of the component that defines the energy scale; its position is held and the levels shift against it.
    hold_background : bool
        Hold the strength of an active background at zero (nothing rises above it that could cause it).

    Raises
    ------
    RecipeError
        If a species is unknown, a custom one has no position, or a parameter does not belong to the shape.
    """
    chosen = tuple(c for c in region.components if include is None or c.name in include)
    active: ActiveBackground = "none"
    if background.mode == "active" and background.kind != "polynomial":
        active = background.kind
    model = PatternModel(
        [Component(c.name, _shape(c, region.name), doublet=c.doublet) for c in chosen],
        polynomial=background.polynomial,
        active=active,
    )
    parameters = model.make_parameters()
    scopes: dict[str, Scope] = {}
    by_species = {c.species: c for c in chosen}
    for c in chosen:
        _declare(c, region.name, parameters, scopes, held=c.name in held, reference=c.name == reference)
    priors: dict[str, tuple[float, float]] = {}
    for c in chosen:
        if c.like is not None and c.like in by_species:
            priors |= _tie(c, by_species[c.like], parameters, model, region.name, held=c.name in held)
    _check_expressions(parameters, model)
    if shift != "none":
        most = SPREAD_REACH_EV if shift == "spread" else MAX_SHIFT_EV
        parameters["shift"].set(value=0.0, vary=True, min=-most, max=most)
        scopes["shift"] = PER_PATTERN
    if hold_background:
        for name in ACTIVE_STRENGTHS:
            if name in parameters:
                parameters[name].set(value=0.0, vary=False)
    return BuiltModel(model, parameters, {k: v for k, v in scopes.items() if parameters[k].vary}, chosen, priors)


def _shape(c: ComponentTable, region: str) -> str | Shape:
    template = library_template(c, region)
    return c.shape if template is None else template.shape(c.shape)


def _declare(
    c: ComponentTable,
    region: str,
    parameters: lmfit.Parameters,
    scopes: dict[str, Scope],
    *,
    held: bool,
    reference: bool,
) -> None:
    entry = library_species(c, region)
    center = parameters[f"{c.name}_center"]
    if entry is not None:
        low, high = entry.low_eV - POSITION_MARGIN_EV, entry.high_eV + POSITION_MARGIN_EV
        center.set(value=entry.position_eV, min=low, max=high)
    if c.doublet:
        _set_doublet(c, entry, parameters)
    template = library_template(c, region)
    if entry is None and template is None and c.position_eV.value is None:
        raise RecipeError(f"custom species {c.species!r} needs position_eV", source=f"regions[{region}]")
    fwhm = parameters.get(f"{c.name}_fwhm")
    if fwhm is not None:
        fwhm.set(value=DEFAULT_FWHM_EV[0], min=DEFAULT_FWHM_EV[1], max=DEFAULT_FWHM_EV[2])
    if template is not None:
        _set_template(template, center, fwhm)
    known = {n.removeprefix(f"{c.name}_"): n for n in parameters if n.startswith(f"{c.name}_")}
    for name, table in {"center": c.position_eV, **c.parameters}.items():
        if name not in known:
            raise RecipeError(
                f"shape {c.shape!r} of {c.species!r} has no parameter {name!r}",
                source=f"regions[{region}]",
                hint="it has " + ", ".join(sorted(known)),
            )
        _apply(table, parameters[known[name]], known[name], scopes)
    width = parameters.get(f"{c.name}_fwhm")
    if width is not None and not width.expr and not (width.value > 0 and width.min > 0):
        raise RecipeError(f"the fwhm of {c.species!r} must be above zero, also its min", hint="0.1 eV is a sound min")
    if c.position_eV.value is not None and entry is None and c.position_eV.min is None and c.position_eV.max is None:
        center.set(min=c.position_eV.value - 1.0, max=c.position_eV.value + 1.0)
    if held:
        for name in known.values():
            parameters[name].set(vary=False)
    elif reference:
        center.set(vary=False)


def _set_doublet(c: ComponentTable, entry: Species | None, parameters: lmfit.Parameters) -> None:
    known = {"splitting": entry and entry.splitting_eV, "ratio": entry and entry.ratio}
    if None in known.values():
        if not known.keys() <= set(c.parameters):
            raise RecipeError(
                f"the library has no splitting and ratio for {c.species!r}",
                hint="give parameters.splitting and .ratio (1/2 for p, 2/3 for d, 3/4 for f levels)",
            )
        return
    for name, value in known.items():
        parameters[f"{c.name}_{name}"].set(value=value)


def _set_template(template: MultipletTemplate, center: lmfit.Parameter, fwhm: lmfit.Parameter | None) -> None:
    """Start the first peak of a multiplet where and as wide as it was published."""
    at = template.position_eV
    center.set(value=at, min=at - TEMPLATE_MARGIN_EV, max=at + TEMPLATE_MARGIN_EV)
    if fwhm is not None:
        narrow, wide = (factor * template.fwhm_eV for factor in TEMPLATE_FWHM)
        fwhm.set(value=template.fwhm_eV, min=narrow, max=wide)


def _apply(table: ParameterTable, parameter: lmfit.Parameter, name: str, scopes: dict[str, Scope]) -> None:
    said = table.model_fields_set
    if table.min is not None:
        parameter.set(min=table.min)
    if table.max is not None:
        parameter.set(max=table.max)
    if table.value is not None:
        low, high = float(parameter.min), float(parameter.max)
        if table.min is None and table.value < low:
            parameter.set(min=table.value - POSITION_MARGIN_EV)
        if table.max is None and table.value > high:
            parameter.set(max=table.value + POSITION_MARGIN_EV)
        parameter.set(value=table.value)
    if said:
        parameter.set(vary=table.vary)
    if table.expr is not None:
        parameter.set(expr=Expression(table.expr).text)
    elif table.scope != "shared":
        scopes[name] = PER_PATTERN if table.scope == "level" else Smooth(table.knots)


def _tie(
    c: ComponentTable,
    other: ComponentTable,
    parameters: lmfit.Parameters,
    model: PatternModel,
    region: str,
    *,
    held: bool,
) -> dict[str, tuple[float, float]]:
    """Give a component the shape of another, except what its own table sets; return what is known of their widths.

    Widths of multiplets keep the ratio that was published. Real widths are alike and not equal, which residuals do not
    show: the logarithm of each, also of the one that the others are like, lies somewhere about that of a common width.
    """
    if c.shape != other.shape:
        raise RecipeError(f"{c.species!r} is to be like {other.species!r}, but their shapes differ")
    line = next(x for x in model.components if x.name == c.name).line
    mine, theirs = library_template(c, region), library_template(other, region)
    wider = mine.fwhm_eV / theirs.fwhm_eV if mine is not None and theirs is not None else 1.0
    units = {name: hint.unit for name, hint in line.defaults().items()}
    alike = [n for n in line.parameters if n not in ("center", "splitting", "ratio") and n not in c.parameters]
    widths = [n for n in alike if units[n] == AXIS_UNIT]
    own, others = f"{c.name}{LOG_WIDTH}", f"{other.name}{LOG_WIDTH}"
    for name in alike:
        text = f"{other.name}_{name}"
        if name in widths:
            text = f"{wider!r} * {text}" if wider != 1.0 else text
            text = f"{text} * exp({own} - {others})" if c.like_spread > 0 else text
        parameters[f"{c.name}_{name}"].set(expr=text)
    if not widths or not c.like_spread > 0:
        return {}
    for name in (own, others):
        if name not in parameters:
            parameters.add(name, value=0.0, vary=False)
        parameters[name].set(vary=parameters[name].vary or not held)
    free = [name for name in (own, others) if parameters[name].vary]
    return dict.fromkeys(free, (0.0, math.log1p(c.like_spread)))


def _check_expressions(parameters: lmfit.Parameters, model: PatternModel) -> None:
    """Refuse constraints that name no parameter, form a circle, or have no value at the start values."""
    try:
        layout = Layout(parameters, model.nonlinear_names, 1)
    except FitError as error:
        raise RecipeError(error.message, hint=error.hint) from error
    shared, local = layout.start()
    values, _ = layout.local_values(shared[np.newaxis], local[np.newaxis])
    for name in layout.expressions:
        if not np.isfinite(values[name]).all():
            text = parameters[name].expr
            raise RecipeError(f"the constraint of {name!r}, {text!r}, has no finite value at the start values")
    for name in _outside(parameters, model, {name: values[name] for name in layout.expressions}):
        value, (low, high) = float(values[name].flat[0]), _bounds(parameters, model, name)
        raise RecipeError(
            f"the constraint of {name!r}, {parameters[name].expr!r}, gives {value:g} at the start values, outside "
            f"{low:g} to {high:g}",
            hint="mend the constraint, or its start values",
        )


def _bounds(parameters: lmfit.Parameters, model: PatternModel, name: str) -> tuple[float, float]:
    """Return the bounds that a tied parameter must keep: of positions and widths those without which it has no meaning.

    The others of these, of the library and of usual widths, are where a search may go; a tie is no search.
    """
    p = (model.make_parameters() if name.endswith(("_center", "_fwhm")) else parameters)[name]
    return float(p.min), float(p.max)


def _outside(parameters: lmfit.Parameters, model: PatternModel, values: Mapping[str, FloatArray]) -> list[str]:
    found = []
    for name, value in values.items():
        low, high = _bounds(parameters, model, name)
        slack = 1e-9 * max(1.0, *(abs(end) for end in (low, high) if np.isfinite(end)), 1.0)
        if (value < low - slack).any() or (value > high + slack).any():
            found.append(name)
    return found


def tied_outside(built: BuiltModel, value: Callable[[str], FloatArray]) -> list[str]:
    """Return the tied parameters that a fit left outside their bounds; `value` gives a parameter at all levels."""
    tied = [name for name in built.model.nonlinear_names if built.parameters[name].expr]
    return _outside(built.parameters, built.model, {name: value(name) for name in tied})


def static_column(background: BackgroundTable, x: FloatArray, y: FloatArray) -> FloatArray:
    """Return the shape of a static background of every level, from the data, with its foot at zero.

    Parameters
    ----------
    background : BackgroundTable
        With ``mode="static"``.
    x : ndarray, shape (n,)
        Binding energy (eV), ascending.
    y : ndarray, shape (L, n)
        Intensities.

    Returns
    -------
    ndarray, shape (L, n)
        Scaled to a largest value of one; zero where a level has no step.

    Raises
    ------
    FitError
        If the iteration does not settle.
    """
    if background.kind == "shirley":
        curve = static_shirley(x[None], y).background
    else:
        kernel = TOUGAARD_KERNELS["universal" if background.kind == "tougaard_u2" else "polymer"]
        curve = static_tougaard(x[None], y, kernel).background
    curve = curve - curve[:, :1]
    top = np.abs(curve).max(axis=1, keepdims=True)
    return np.asarray(np.where(top > 0, curve / np.where(top > 0, top, 1.0), 0.0))
