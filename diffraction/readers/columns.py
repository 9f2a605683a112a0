"""Plain columns: .xy, .xye, .dat, .csv, .txt with 2θ, Q or d, an intensity, and perhaps its error."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np

from layerscope.measured.files import RawFile
from layerscope.measured.text import decode

from ..dataset import IntensityUnit, Pattern
from ..radiation import FloatArray
from ._base import ascending, regular_axis, variance_of_errors, whole_counts
from ._text import COMMENT_MARKS, AxisLabel, Table, axis_of_label, radiation_of_header, read_table, split_row

__all__ = ["FORMAT", "ColumnMap", "read", "sniff"]

FORMAT = "columns"

Column = int | str
AxisName = Literal["two_theta_deg", "two_theta_rad", "q_per_angstrom", "q_per_nm", "d_angstrom", "d_nm"]

_AXES: dict[str, AxisLabel] = {
    "two_theta_deg": AxisLabel("two_theta", 1.0),
    "two_theta_rad": AxisLabel("two_theta", float(np.degrees(1.0))),
    "q_per_angstrom": AxisLabel("q", 1.0),
    "q_per_nm": AxisLabel("q", 0.1),
    "d_angstrom": AxisLabel("d", 1.0),
    "d_nm": AxisLabel("d", 10.0),
}
_ERROR_NAME = re.compile(r"sig|esd|err|unc|std|σ|^e$|^su$", re.IGNORECASE)
_RATE_NAME = re.compile(r"cps|counts?\s*/\s*s|counts?\s*per\s*s", re.IGNORECASE)
_COUNT_NAME = re.compile(r"\bcounts?\b|\bcts\b", re.IGNORECASE)
_SNIFFED_LINES = 60


@dataclass(frozen=True)
class ColumnMap:
    """What the columns of a text file mean.

    Parameters
    ----------
    axis : int, str or None
        Column of the axis, by number from 0 or by name; None if the file has only intensities, with `start` and
        `step`.
    intensity : int or str
        Column of the intensity.
    sigma : int, str or None
        Column of its standard deviation.
    axis_unit : str, optional
        ``two_theta_deg``, ``two_theta_rad``, ``q_per_angstrom``, ``q_per_nm``, ``d_angstrom`` or ``d_nm``; without it
        what the header says, else 2θ in degrees.
    intensity_unit : {"counts", "counts/s", "arbitrary"}, optional
        Without it what the header says, else counts if all are whole numbers.
    start, step : float, optional
        First position and step, for files of intensities only.
    delimiter : str, None or True
        Character between columns, None for blanks, True to find out.
    skip_lines : int
        Lines to pass over at the top.
    points : int, optional
        Number of rows that must be there.
    """

    axis: Column | None = 0
    intensity: Column = 1
    sigma: Column | None = None
    axis_unit: AxisName | None = None
    intensity_unit: IntensityUnit | None = None
    start: float | None = None
    step: float | None = None
    delimiter: str | bool | None = True
    skip_lines: int = 0
    points: int | None = None


def sniff(raw: RawFile) -> bool:
    """Tell whether the text holds rows of two or three numbers after at most a header."""
    if b"\0" in raw.data[:4096] and raw.data[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        return False
    lines = [line.strip() for line in decode(raw.data[:65536]).splitlines()[:-1] or [decode(raw.data[:65536])]]
    body = [line for line in lines if line and not line.startswith(COMMENT_MARKS)][-_SNIFFED_LINES:]
    if not body:
        return False
    return any(
        all((row := split_row(line, delimiter)) is not None and len(row) >= 2 for line in body[len(body) // 2 :])
        for delimiter in (None, "\t", ";", ",")
    )


def read(raw: RawFile, columns: ColumnMap | None = None) -> list[Pattern]:
    """Read a table of two or three columns, or any table by its map.

    Parameters
    ----------
    raw : RawFile
        The file's bytes.
    columns : ColumnMap, optional
        What the columns mean. Without it: axis, intensity, and a third as standard deviation.

    Returns
    -------
    list of Pattern
        One.

    Raises
    ------
    ReaderError
        If rows have different lengths, something is not a number, columns are missing or cannot be told apart.
    """
    plan = columns if columns is not None else ColumnMap()
    least = 1 if plan.axis is None else 2
    table = read_table(raw, delimiter=plan.delimiter, skip_lines=plan.skip_lines, least=least)
    if plan.points is not None and len(table.values) != plan.points:
        raise raw.error(f"{len(table.values)} rows are there, {plan.points} were expected")
    axis, label = _axis(raw, table, plan)
    intensity = table.values[:, _index(raw, table, plan.intensity if plan.axis is not None or columns else 0)]
    sigma_column = plan.sigma if columns is not None else _sigma_column(raw, table)
    sigma = None if sigma_column is None else table.values[:, _index(raw, table, sigma_column)]
    if sigma is not None and (sigma < 0).any():
        raise raw.error("a standard deviation is negative", hint="the third column may be something else: give a map")
    variance = None if sigma is None else variance_of_errors(intensity, sigma)
    axis, intensity, turned = ascending(axis, intensity, variance)
    pattern = Pattern(
        axis=axis,
        intensity=intensity,
        axis_kind=label.kind,
        intensity_unit=plan.intensity_unit or _unit(table, plan, intensity, variance),
        variance=None if variance is None else turned,
        radiation=radiation_of_header(table.header),
        sample="",
        source=raw.name,
        metadata={"header": "\n".join(table.header)[:2000], "points_declared": "no" if plan.points is None else "map"},
    )
    return [pattern]


def _axis(raw: RawFile, table: Table, plan: ColumnMap) -> tuple[FloatArray, AxisLabel]:
    if plan.axis_unit is not None and plan.axis_unit not in _AXES:
        raise raw.error(f"the axis unit {plan.axis_unit!r} is not known", hint=f"known: {', '.join(_AXES)}")
    given = None if plan.axis_unit is None else _AXES[plan.axis_unit]
    if plan.axis is None:
        if plan.start is None or plan.step is None:
            raise raw.error("a file of intensities only needs start and step")
        label = given or AxisLabel("two_theta", 1.0)
        return label.factor * regular_axis(raw, plan.start, plan.step, len(table.values)), label
    index = _index(raw, table, plan.axis)
    label = given or _label(table, index) or AxisLabel("two_theta", 1.0)
    return label.factor * table.values[:, index], label


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
    width = table.values.shape[1]
    if width == 2:
        return None
    if width == 3 and (not table.names or _ERROR_NAME.search(table.names[2])):
        return 2
    names = f"columns: {', '.join(table.names)}" if table.names else "the file has no row of names"
    raise raw.error(
        f"what the {width} columns mean is not certain",
        hint=f"{names}; give a ColumnMap with axis, intensity and sigma",
    )


def _index(raw: RawFile, table: Table, column: Column) -> int:
    width = table.values.shape[1]
    if isinstance(column, int):
        if not 0 <= column < width:
            raise raw.error(f"there is no column {column}: the file has {width}, counted from 0")
        return column
    matches = [i for i, name in enumerate(table.names) if name.lower() == column.lower()]
    if len(matches) != 1:
        reason = "is there more than once" if matches else "is missing"
        raise raw.error(f"the column {column!r} {reason}", hint=f"columns: {', '.join(table.names) or 'without names'}")
    return matches[0]


def _unit(table: Table, plan: ColumnMap, intensity: FloatArray, variance: FloatArray | None) -> IntensityUnit:
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
