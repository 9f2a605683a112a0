"""One sample against another: the total of some phases at equal voltages, and the significance of the difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from layerscope.errors import DataError

from ..radiation import FloatArray
from .fractions import factor_covariance, slope_of_share
from .line_series import factor_of
from .series import LineSeries
from .stack_series import StackSeries

__all__ = [
    "Course",
    "SampleDifference",
    "compare_courses",
    "compare_totals",
    "course_of_lines",
    "course_of_stacks",
    "total_covariance",
]


@dataclass(frozen=True)
class SampleDifference:
    """Total of some phases in one sample less that in another.

    Attributes
    ----------
    names : tuple of str
        Phases that are summed.
    voltage_V : ndarray, shape (m,)
        Voltages of the first sample's frames that are compared.
    difference, sigma : ndarray, shape (m,)
        Frame by frame; the error from the counts.
    structure_sigma : ndarray, shape (m,)
        Error from the intensities per weight, which both samples share.
    mean, mean_sigma : float
        Mean over the frames, with the correlation between frames; the error from the counts.
    mean_structure_sigma : float
        Error of the mean from the intensities per weight: the same in all frames, it does not average out.
    significance : float
        Mean over its standard error, all parts together.
    p_value : float
        Two-sided, of no difference.
    model_sigma, mean_model_sigma : ndarray, shape (m,), float
        Errors from wrong shapes of lines, of each frame and of the mean; 0 where nothing is known of any.
    """

    names: tuple[str, ...]
    voltage_V: FloatArray
    difference: FloatArray
    sigma: FloatArray
    structure_sigma: FloatArray
    mean: float
    mean_sigma: float
    mean_structure_sigma: float
    significance: float
    p_value: float
    model_sigma: FloatArray
    mean_model_sigma: float


@dataclass(frozen=True)
class Course:
    """The total of some phases along a series of F frames, with what its errors have in common.

    Attributes
    ----------
    names : tuple of str
        Phases that are summed.
    voltage_V : ndarray, shape (F,), or None
    total : ndarray, shape (F,)
        NaN where a frame tells nothing.
    counting : ndarray, shape (F, F)
        Covariance from the counts.
    model : ndarray, shape (F, F)
        Covariance from wrong shapes.
    slope : ndarray, shape (F, C)
        Of the total by the logarithms of C intensities per weight.
    """

    names: tuple[str, ...]
    voltage_V: FloatArray | None
    total: FloatArray
    counting: FloatArray
    model: FloatArray
    slope: FloatArray


def total_covariance(series: LineSeries, names: Sequence[str]) -> tuple[FloatArray, FloatArray]:
    """Return what counts and wrong shapes bring to the summed weight fraction of some phases.

    Returns
    -------
    counting : ndarray, shape (F, F)
        Covariance between all frames from the counts.
    model : ndarray, shape (F,)
        Error from wrong shapes. A shape is wrong alike in all frames: means over frames do not make this part smaller.
    """
    covariance = _fitted_covariance(series, names)
    if series.counting is None:
        return covariance, np.zeros(len(covariance))
    rows = series.rows_of(names).astype(float)
    whole = np.nan_to_num(series.total(names)[1]) ** 2
    counts = np.einsum("k,fkl,l->f", rows, np.nan_to_num(series.counting.weight_fraction), rows)
    counts = np.clip(counts, 0.0, whole)
    diagonal = np.diag(covariance)
    scale = np.sqrt(np.where(diagonal > 0, counts / np.where(diagonal > 0, diagonal, 1.0), 0.0))
    return scale[:, None] * covariance * scale, np.sqrt(whole - counts)


def _fitted_covariance(series: LineSeries, names: Sequence[str]) -> FloatArray:
    """Return the covariance of a total between frames as the fit has it, shape (F, F)."""
    factor = series.factors
    chosen = series.rows_of(names).astype(float)
    counted = np.array([bool(p) for p in series.phases])
    amount = np.where(counted[:, None], series.area / factor[:, None], 0.0)
    there = series.present & counted[:, None]
    slope = slope_of_share(amount, there, chosen) / factor[:, None]
    return series.joint.fit.covariance_of_sum([f"{line}_area" for line in series.lines], slope)


def compare_totals(
    first: LineSeries,
    second: LineSeries,
    *,
    names: Sequence[str] = ("IG", "H13"),
    voltage: tuple[float, float] | None = None,
    charge: bool = True,
) -> SampleDifference:
    """Compare the total of some phases between two samples at equal voltages.

    Parameters
    ----------
    first, second : LineSeries
        With voltages.
    names : sequence of str
        Phases to sum.
    voltage : (float, float), optional
        Range to compare in (V); where both samples have frames on the branch otherwise.
    charge : bool
        Whether to compare the rising branch of the voltage or the falling one.

    Raises
    ------
    DataError
        If a voltage is missing or the ranges do not overlap.
    """
    components = first.options.components
    relative = factor_covariance(components, components.ids, {n: factor_of(first.options, n) for n in components.ids})
    courses = course_of_lines(first, names), course_of_lines(second, names)
    return compare_courses(*courses, relative, voltage=voltage, charge=charge)


def course_of_lines(series: LineSeries, names: Sequence[str]) -> Course:
    """Return the summed weight fraction of some phases along a series."""
    known = np.isfinite(series.total(series.phases)[0])  # frames without a phase tell nothing
    total = np.where(known, np.nan_to_num(series.total(names)[0]), np.nan)
    counting, model = total_covariance(series, names)
    whole = counting, np.outer(model, model)
    return Course(tuple(names), series.voltage_V, total, *whole, _factor_slope(series, names))


def course_of_stacks(read: StackSeries, names: Sequence[str], voltage: FloatArray | None) -> Course:
    """Return the summed share of layers of some stacks along a series; stacks need no structure factors.

    Raises
    ------
    DataError
        If a name is that of no stack.
    """
    strange = set(names) - set(read.stacking.names)
    if strange:
        raise DataError(f"{min(strange)} is no stack", hint=f"stacks: {', '.join(read.stacking.names)}")
    chosen = np.isin(read.stacking.names, list(names)).astype(float)
    counting, model = read.of_total(chosen)
    total = np.asarray(chosen @ read.share)
    return Course(tuple(names), voltage, total, counting, model, np.zeros((total.size, 0)))


def compare_courses(
    first: Course,
    second: Course,
    relative: FloatArray,
    *,
    voltage: tuple[float, float] | None = None,
    charge: bool = True,
) -> SampleDifference:
    """Compare the courses of a total in two samples at equal voltages.

    Parameters
    ----------
    first, second : Course
        With voltages.
    relative : ndarray, shape (C, C)
        Covariance of the logarithms of the intensities per weight, which the samples share.
    voltage, charge
        As those of `compare_totals`.

    Raises
    ------
    DataError
        If a voltage is missing or the ranges do not overlap.
    """
    a, b = _branch(first, charge), _branch(second, charge)
    va, vb = first.voltage_V, second.voltage_V
    assert va is not None and vb is not None  # noqa: S101, PT018 - checked by _branch
    low, high = max(va[a].min(), vb[b].min()), min(va[a].max(), vb[b].max())
    if voltage is not None:
        low, high = max(low, voltage[0]), min(high, voltage[1])
    at = a[(va[a] >= low) & (va[a] <= high)]
    if at.size == 0:
        raise DataError("the two samples share no voltage on this branch")
    order = b[np.argsort(vb[b], kind="stable")]
    mixer = np.zeros((at.size, len(vb)))  # linear interpolation of the second sample onto the first one's voltages
    for i, v in enumerate(va[at]):
        j = int(np.clip(np.searchsorted(vb[order], v), 1, order.size - 1))
        span = vb[order[j]] - vb[order[j - 1]]
        t = 0.0 if span <= 0 else float(np.clip((v - vb[order[j - 1]]) / span, 0.0, 1.0))
        mixer[i, order[j - 1]] += 1 - t
        mixer[i, order[j]] += t
    difference = first.total[at] - mixer @ np.nan_to_num(second.total)
    covariance = first.counting[np.ix_(at, at)] + mixer @ second.counting @ mixer.T
    shapes = first.model[np.ix_(at, at)] + mixer @ second.model @ mixer.T
    model, mean_model = np.sqrt(np.maximum(np.diag(shapes), 0.0)), float(np.sqrt(max(shapes.mean(), 0.0)))
    mean, mean_sigma = float(difference.mean()), float(np.sqrt(max(covariance.mean(), 0.0)))
    slope = first.slope[at] - mixer @ second.slope
    structure = np.sqrt(np.maximum(np.einsum("mi,ij,mj->m", slope, relative, slope), 0.0))
    common = slope.mean(axis=0)
    mean_structure = float(np.sqrt(max(float(common @ relative @ common), 0.0)))
    whole = float(np.sqrt(mean_sigma**2 + mean_structure**2 + mean_model**2))
    z = mean / whole if whole > 0 else float("nan")
    return SampleDifference(
        first.names,
        va[at],
        difference,
        np.sqrt(np.maximum(np.diag(covariance), 0.0)),
        structure,
        mean,
        mean_sigma,
        mean_structure,
        z,
        float(2 * ndtr(-abs(z))),
        model,
        mean_model,
    )


def _factor_slope(series: LineSeries, names: Sequence[str]) -> FloatArray:
    """Return d total / d ln(intensity per weight) for all components of the set, shape (F, C)."""
    ids = series.options.components.ids
    slope = np.zeros((series.weight_fraction.shape[1], len(ids)))
    total = np.nan_to_num(series.total(names)[0])
    for k, phase in enumerate(series.phases):
        if phase:
            fraction = np.nan_to_num(series.weight_fraction[k])
            slope[:, ids.index(phase)] += fraction * (total - float(phase in names))
    return slope


def _branch(course: Course, charge: bool) -> NDArray[np.intp]:
    if course.voltage_V is None:
        raise DataError("samples are compared at equal voltages", hint="give the voltage of every frame")
    turn = int(course.voltage_V.argmax())
    index = np.arange(course.voltage_V.size)
    branch = index[: turn + 1] if charge else index[turn:]
    branch = branch[np.isfinite(course.total[branch])]
    if branch.size == 0:
        raise DataError("no frame of this branch holds a phase")
    return branch
