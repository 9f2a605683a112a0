"""The NXfit group: fitted curves, one NXpeak a component, the background, and lmfit's parameters as NXparameters."""

from __future__ import annotations

import numpy as np

from layerscope.version import __version__

from .arrays import SeriesArrays, SeriesParameter
from .nexus_image import Field, Group
from .nexus_layout import ArrayIndex, SeriesNames, add_field, add_group, add_link, set_attribute

__all__ = ["add_fit"]

_PEAK_SHAPES = {
    "Gaussian",
    "Lorentzian",
    "Voigt",
    "Gaussian-Lorentzian Sum",
    "Gaussian-Lorentzian Product",
    "Asymmetric Lorentzian",
    "Doniach-Sunjic",
    "Asymmetric Finite",
}
_BACKGROUNDS = {"Linear", "Shirley", "Tougaard", "Step Down", "Step Up"}
_SCOPES = {
    "shared": "one value for the whole series",
    "pattern": "one value per level",
    "smooth": "smooth function of the level",
    "fixed": "held fixed",
}
_MERITS = {
    "redchi": "reduced chi^2",
    "aic": "Akaike information criterion",
    "bic": "Bayesian information criterion",
    "durbin_watson": "Durbin-Watson statistic of the residual",
}


def add_fit(entry: Group, series: SeriesArrays, names: SeriesNames, index: ArrayIndex) -> None:
    """Write ``/entry/fit`` for a whole series; every curve is stacked, shape (L, n).

    Parameters
    ----------
    entry : Group
        The NXentry; ``data`` must be there, its counts and levels are linked, not copied.
    series : SeriesArrays
        The series with its fit.
    names : SeriesNames
        Names of axes, groups and fields.
    index : ArrayIndex
        Takes a reference to every array written.
    """
    fit = add_group(entry, "fit", "NXfit" if series.components else "NXprocess")
    set_attribute(fit, "default", "data")
    add_field(fit, "program", "layerscope")
    add_field(fit, "version", __version__)
    _add_curves(fit, entry["data"], series, names, index)
    if not series.components:  # NXxps calls it a fit only when there is a peak
        _add_parameters(add_group(fit, "fit_parameters", "NXparameters"), series, names, index)
        return
    add_field(fit, "label", series.title)
    _add_background(fit, entry["data"], series, names)
    parameters = _add_global_function(fit, series, names, index)
    for label in series.components:
        _add_peak(fit, entry["data"], parameters, label, series, names, index)
    _add_merit(fit, series)


def _add_curves(fit: Group, measured: Group, series: SeriesArrays, names: SeriesNames, index: ArrayIndex) -> None:
    unit = series.intensity_unit
    data = add_group(fit, "data", "NXdata")
    set_attribute(data, "signal", "input_dependent")
    set_attribute(data, "auxiliary_signals", ["fit_sum", "background"])
    set_attribute(data, "axes", [names.level, "input_independent"])
    add_link(data, "input_dependent", measured["data"])
    add_link(data, "input_dependent_errors", measured["data_errors"])
    add_field(data, "input_independent", np.asarray(series.axis, np.float64), series.axis_unit)
    add_link(data, names.level, measured[names.level])
    difference = series.counts - series.fit
    add_field(data, "residual", difference, unit, long_name="counts minus fit")
    for key, field, values, its_unit in (
        ("fit", "fit_sum", series.fit, unit),
        ("background", "background", series.background, unit),
        ("residual", "residual_in_sigma", series.residual, "1"),
    ):
        index.add(key, add_field(data, field, np.asarray(values, np.float64), its_unit), its_unit)


def _add_background(fit: Group, measured: Group, series: SeriesArrays, names: SeriesNames) -> None:
    group = add_group(fit, "background_series", "NXpeak")
    add_field(group, "label", "background")
    data = _add_intensity_group(group, measured, names)
    add_link(data, "intensity", fit["data/background"])
    function = add_group(group, "function", "NXfit_function")
    _add_type(function, series.metadata.get("background"), _BACKGROUNDS)


def _add_intensity_group(parent: Group, measured: Group, names: SeriesNames) -> Group:
    data = add_group(parent, "data", "NXdata")
    set_attribute(data, "signal", "intensity")
    set_attribute(data, "axes", [names.level, "position"])
    # a copy, not a link: the attribute @type of the energy axis is not defined here
    axis: Field = measured[names.axis]
    add_field(data, "position", np.asarray(axis.values), str(axis.attributes["units"]))
    add_link(data, names.level, measured[names.level])
    return data


def _add_global_function(fit: Group, series: SeriesArrays, names: SeriesNames, index: ArrayIndex) -> Group:
    """Write every parameter once; return the group that holds them."""
    function = add_group(fit, "global_fit_function", "NXfit_function")
    add_field(function, "function_type", "sum of components and background")
    add_field(function, "description", "fitted to all levels of the series together")
    add_field(function, "formula_description", " + ".join([*names.components.values(), "background"]))
    parameters = add_group(function, "fit_parameters", "NXparameters")
    _add_parameters(parameters, series, names, index)
    return parameters


def _add_parameters(group: Group, series: SeriesArrays, names: SeriesNames, index: ArrayIndex) -> None:
    for name, parameter in series.parameters.items():
        _add_parameter(group, names.parameters[name], name, parameter, index)


def _add_parameter(group: Group, field: str, name: str, parameter: SeriesParameter, index: ArrayIndex) -> None:
    """Write value and error along the series, with what lmfit knows of a parameter as attributes."""
    values, sigmas = np.asarray(parameter.values, np.float64), np.asarray(parameter.sigmas, np.float64)
    dataset = add_field(
        group,
        field,
        values,
        parameter.unit,
        description=f"{name}: {_SCOPES[parameter.scope]}",
        vary=parameter.scope != "fixed",
    )
    for key in ("initial", "min", "max"):
        content = getattr(parameter, key)
        if content is not None:
            set_attribute(dataset, key, float(content))
    if parameter.scope == "shared":
        set_attribute(dataset, "error", float(sigmas[0]))
    errors = add_field(group, f"{field}_errors", sigmas, parameter.unit)
    index.add(f"parameter:{name}", dataset, parameter.unit)
    index.add(f"parameter_sigma:{name}", errors, parameter.unit)


def _add_peak(
    fit: Group,
    measured: Group,
    parameters: Group,
    label: str,
    series: SeriesArrays,
    names: SeriesNames,
    index: ArrayIndex,
) -> None:
    peak = add_group(fit, f"peak_{names.components[label]}", "NXpeak")
    add_field(peak, "label", label)
    data = _add_intensity_group(peak, measured, names)
    curve = np.asarray(series.components[label], np.float64)
    unit = series.intensity_unit
    index.add(f"component:{label}", add_field(data, "intensity", curve, unit), unit)
    if label in series.component_area:
        area = np.asarray(series.component_area[label], np.float64)
        sigma = np.asarray(series.component_area_sigma[label], np.float64)
        unit = series.area_unit
        index.add(f"area:{label}", add_field(peak, "total_area", area, unit), unit)
        index.add(f"area_sigma:{label}", add_field(peak, "total_area_errors", sigma, unit), unit)
    function = add_group(peak, "function", "NXfit_function")
    _add_type(function, series.metadata.get(f"shape:{label}", series.metadata.get("shape")), _PEAK_SHAPES)
    own = add_group(function, "fit_parameters", "NXparameters")
    for name, field in names.parameters.items():
        if _owner(name, names) == label:
            add_link(own, field, parameters[field])
            add_link(own, f"{field}_errors", parameters[f"{field}_errors"])


def _owner(parameter: str, names: SeriesNames) -> str | None:
    """Return the component that a parameter belongs to: the longest one whose label, made safe, begins its name."""
    begins = [label for label, safe in names.components.items() if names.parameters[parameter].startswith(f"{safe}_")]
    return max(begins, key=lambda label: len(names.components[label]), default=None)


def _add_type(function: Group, stated: object, suggested: set[str]) -> None:
    """Write the kind of function; a name outside the definition's list is marked ``custom``."""
    content = "not stated" if stated is None else str(stated)
    if content in suggested:
        add_field(function, "function_type", content)
    else:
        add_field(function, "function_type", content, custom=True)


def _add_merit(fit: Group, series: SeriesArrays) -> None:
    squares = np.nan_to_num(series.residual) ** 2  # a point that was not measured adds nothing
    add_field(fit, "figure_of_merit_chi2", float(squares.sum()), metric="chi^2 of the whole series")
    add_field(fit, "figure_of_merit_chi2_per_level", squares.sum(axis=1), metric="chi^2 of each level")
    for key, metric in _MERITS.items():
        value = series.metadata.get(key)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            add_field(fit, f"figure_of_merit_{key}", float(value), metric=metric)
