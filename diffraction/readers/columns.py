"""Plain columns: .xy, .xye, .dat, .csv, .txt with 2θ, Q or d, an intensity, and perhaps its error."""

from __future__ import annotations

import re

import numpy as np

from layerscope.measured.delimited import Table, holds_rows, parse_table
from layerscope.measured.files import RawFile
from layerscope.measured.measurement import IntensityUnit

from ..dataset import Pattern
from ..radiation import FloatArray
from ..recipe_series import PatternColumnsTable
from ._base import regular_axis, variance_of_errors, whole_counts
from ._text import AxisLabel, axis_of_label, radiation_of_header, state_of_header

__all__ = ["read", "sniff"]

_AXES: dict[str, AxisLabel] = {
    "two_theta_deg": AxisLabel("two_theta", 1.0),
    "two_theta_rad": AxisLabel("two_theta", float(np.degrees(1.0))),
    "q_per_angstrom": AxisLabel("q", 1.0),
    "q_per_nm": AxisLabel("q", 0.1),
    "d_angstrom": AxisLabel("d", 1.0),
    "d_nm": AxisLabel("d", 10.0),
}
_ERROR_NAME = re.compile(r"sig|esd|err|unc|std|σ|^e$|^su$", re.IGNORECASE)
_DEGREES = re.compile(r"(?:2[\s_-]*th|two[\s_-]*theta)[^\n]{0,20}[(\[]deg", re.IGNORECASE)
_RATE_NAME = re.compile(r"cps|counts?\s*/\s*s|counts?\s*per\s*s", re.IGNORECASE)
_COUNT_NAME = re.compile(r"\bcounts?\b|\bcts\b", re.IGNORECASE)


def sniff(raw: RawFile) -> bool:
    """Tell whether the text holds rows of two or more numbers after at most a header."""
    return holds_rows(raw)


def read(raw: RawFile, columns: PatternColumnsTable | None = None) -> list[Pattern]:
    """Read a table of two or three columns (axis, intensity, standard deviation), or any table by its map.

    A third column of nothing but zeros gives no errors: programs write it where they know none.
    """
    plan = columns if columns is not None else PatternColumnsTable()
    table = parse_table(raw, plan, least=1 if plan.axis is None else 2)
    values = table.values()
    axis, label = _axis(raw, table, values, plan)
    intensity = values[:, table.index(plan.intensity)]
    sigma_column = plan.sigma if columns is not None else _sigma_column(raw, table)
    sigma = None if sigma_column is None else values[:, table.index(sigma_column)]
    if sigma is not None and (sigma < 0).any():
        raise raw.error("a standard deviation is negative", hint="the third column may be something else: give a map")
    variance = None if sigma is None or not sigma.any() else variance_of_errors(intensity, sigma)
    time_per_step, kelvin = state_of_header(table.header)
    pattern = Pattern(
        axis=axis,
        intensity=intensity,
        axis_kind=label.kind,
        intensity_unit=plan.intensity_unit or _unit(table, plan, intensity, variance),
        variance=variance,
        time_per_step_s=time_per_step,
        temperature_K=kelvin,
        radiation=radiation_of_header(table.header),
        small_angle=plan.axis_unit == "two_theta_deg" or _DEGREES.search("\n".join(table.header)) is not None,
        metadata={"header": "\n".join(table.header)[:2000], "points_declared": "no" if plan.points is None else "map"},
    )
    return [pattern]


def _axis(raw: RawFile, table: Table, values: FloatArray, plan: PatternColumnsTable) -> tuple[FloatArray, AxisLabel]:
    given = None if plan.axis_unit is None else _AXES[plan.axis_unit]
    if plan.axis is None:
        if plan.start is None or plan.step is None:
            raise raw.error("a file of intensities only needs start and step")
        label = given or AxisLabel("two_theta", 1.0)
        return label.factor * regular_axis(raw, plan.start, plan.step, len(values)), label
    index = table.index(plan.axis)
    label = given or _label(table, index) or AxisLabel("two_theta", 1.0)
    return label.factor * values[:, index], label


def _label(table: Table, index: int) -> AxisLabel | None:
    if table.names:
        return axis_of_label(table.names[index])
    # Without a row of names only an unmistakable unit counts, as pyFAI writes it ("q_nm^-1", "2th_deg").
    for line in reversed(table.header):
        match = re.search(r"\b(q_nm\^-1|q_A\^-1|2th_deg|2th_rad|d_A|d_nm)(?!\w)", line)
        if match:
            return axis_of_label(match[1].replace("d_", "d-spacing "))
    return None


def _sigma_column(raw: RawFile, table: Table) -> int | None:
    width = table.width
    if width == 2:
        return None
    if width == 3 and (not table.names or _ERROR_NAME.search(table.names[2])):
        return 2
    names = f"columns: {', '.join(table.names)}" if table.names else "the file has no row of names"
    raise raw.error(
        f"what the {width} columns mean is not certain",
        hint=f"{names}; say in columns which are axis, intensity and sigma",
    )


def _unit(table: Table, plan: PatternColumnsTable, intensity: FloatArray, variance: FloatArray | None) -> IntensityUnit:
    name = ""
    if table.names:
        name = plan.intensity if isinstance(plan.intensity, str) else table.names[plan.intensity]
    if _RATE_NAME.search(name):
        return "counts/s"
    if _COUNT_NAME.search(name):
        return "counts"
    # Whole numbers are counts unless the file's own errors say otherwise.
    if not whole_counts(intensity):
        return "arbitrary"
    if variance is None:
        return "counts"
    known = np.isfinite(variance)
    return "counts" if np.allclose(variance[known], np.maximum(intensity[known], 1), rtol=0.05) else "arbitrary"
