"""One sample against another: the total of some phases at equal voltages, and the significance of the difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from layerscope.errors import DataError

from ..radiation import FloatArray
from .fractions import factor_covariance
from .line_series import factor_of
from .series import LineSeries

__all__ = ["SampleDifference", "compare_totals", "total_covariance"]


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
    fit = series.joint.fit
    factor = series.factors
    chosen = series.rows_of(names).astype(float)
    counted = np.array([bool(p) for p in series.phases])
    amount = np.where(counted[:, None], series.area / factor[:, None], 0.0)
    total = amount.sum(axis=0)
    there = total > 0  # a frame can hold a line of no phase alone
    total = np.where(there, total, 1.0)
    share = (chosen[:, None] * amount).sum(axis=0) / total
    shared, own = 0.0, 0.0
    for k, line in enumerate(series.lines):
        gradient = tuple(part[fit.group] for part in fit.batch.gradient(f"{line}_area"))
        slope = np.where(series.present[k] & counted[k] & there, (chosen[k] - share) / (total * factor[k]), 0.0)[
            :, None
        ]
        shared, own = shared + slope * gradient[0], own + slope * gradient[1]
    c = fit.batch.covariance
    result = shared @ c.shared[fit.group] @ np.transpose(shared)
    result[np.diag_indices(len(result))] += np.einsum("fd,fde,fe->f", own, c.own[fit.group], own)
    return np.asarray(result)


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
    total_a, total_b = (np.nan_to_num(one.total(names)[0]) for one in (first, second))
    difference = total_a[at] - mixer @ total_b
    (counts_a, model_a), (counts_b, model_b) = (total_covariance(one, names) for one in (first, second))
    covariance = counts_a[np.ix_(at, at)] + mixer @ counts_b @ mixer.T
    shapes = np.stack([model_a[at], mixer @ model_b])  # alike in all frames of a sample
    model, mean_model = np.hypot(*shapes), float(np.hypot(*shapes.mean(axis=1)))
    mean, mean_sigma = float(difference.mean()), float(np.sqrt(max(covariance.mean(), 0.0)))
    slope = _factor_slope(first, names)[at] - mixer @ _factor_slope(second, names)
    components = first.options.components
    relative = factor_covariance(components, components.ids, {n: factor_of(first.options, n) for n in components.ids})
    structure = np.sqrt(np.maximum(np.einsum("mi,ij,mj->m", slope, relative, slope), 0.0))
    common = slope.mean(axis=0)
    mean_structure = float(np.sqrt(max(float(common @ relative @ common), 0.0)))
    whole = float(np.sqrt(mean_sigma**2 + mean_structure**2 + mean_model**2))
    z = mean / whole if whole > 0 else float("nan")
    return SampleDifference(
        tuple(names),
        va[at],
        difference,
        np.sqrt(np.maximum(np.diag(covariance), 0.0)),
        structure,
        mean,
        mean_sigma,
        mean_structure,
        z,
        float(2 * stats.norm.sf(abs(z))),
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


def _branch(series: LineSeries, charge: bool) -> NDArray[np.intp]:
    if series.voltage_V is None:
        raise DataError("samples are compared at equal voltages", hint="give the voltage of every frame")
    turn = int(series.voltage_V.argmax())
    index = np.arange(series.voltage_V.size)
    branch = index[: turn + 1] if charge else index[turn:]
    branch = branch[np.isfinite(series.total(series.phases)[0][branch])]  # frames without a phase tell nothing
    if branch.size == 0:
        raise DataError("no frame of this branch holds a phase")
    return branch
