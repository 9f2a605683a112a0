"""What a finished series says beyond its numbers: layers of the intergrowth, and one sample against another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from layerscope.errors import DataError

from ..radiation import FloatArray
from .joint import frame_covariance
from .layers import LayerReading, layer_fraction
from .series import LineSeries

__all__ = ["IntergrowthReading", "SampleDifference", "compare_totals", "read_intergrowth", "total_covariance"]


@dataclass(frozen=True)
class IntergrowthReading:
    """The intergrowth line read as a random stack of the layers of its two neighbours.

    Attributes
    ----------
    id, parents : str, (str, str)
    reading : LayerReading
        Share of layers of the second parent, by frame.
    borrowed : ndarray of bool, shape (F,)
        Frames in which a parent is absent and its spacing was taken from the nearest frame that has it.
    total_layers, total_layers_sigma : ndarray, shape (F,)
        Share of the second parent's layers in all of the electrode, by this reading: its own weight fraction plus that
        share of the intergrowth's.
    """

    id: str
    parents: tuple[str, str]
    reading: LayerReading
    borrowed: NDArray[np.bool_]
    total_layers: FloatArray
    total_layers_sigma: FloatArray


def read_intergrowth(series: LineSeries) -> IntergrowthReading | None:
    """Read the intergrowth's position as a layer mixture; None if the line or both frames of a parent are missing."""
    mixed = next((c for c in series.options.components.components if c.mixture and c.id in series.names), None)
    if mixed is None or not set(mixed.mixture) <= set(series.names):
        return None
    k = [series.names.index(n) for n in (mixed.id, *mixed.mixture)]
    frames = np.flatnonzero(series.present[k[0]])
    count = series.present.shape[1]
    lines = [series.fitted_line(series.names[i]) for i in k]
    covariance = frame_covariance(series.joint.fit, [f"{n}_center" for n in lines])
    slope = -series.d[k] / np.tan(np.radians(series.position[k]) / 2) * np.pi / 360
    d, borrowed = series.d[k].copy(), np.zeros(count, bool)
    c = np.einsum("if,fij,jf->fij", slope, covariance, slope)
    for i in (1, 2):
        known = np.flatnonzero(series.present[k[i]])
        for f in frames[~series.present[k[i], frames]]:
            near = int(known[np.abs(known - f).argmin()])
            d[i, f], borrowed[f] = d[i, near], True
            c[f, i, :] = c[f, :, i] = 0.0
            c[f, i, i] = series.d_sigma[k[i], near] ** 2
    full = np.full((count, 3, 3), np.nan)
    full[frames] = c[frames]
    values = [np.where(series.present[k[0]], v, np.nan) for v in d]
    reading = layer_fraction(values[0], values[1], values[2], series.joint.model.line.radiation.alpha1, covariance=full)
    weight = series.weight_fraction
    share = np.where(np.isfinite(reading.fraction), reading.fraction, 0.0)
    total = weight[k[2]] + share * weight[k[0]]
    cov = series.weight_fraction_covariance
    variance = cov[:, k[2], k[2]] + 2 * share * cov[:, k[2], k[0]] + share**2 * cov[:, k[0], k[0]]
    spread = np.where(np.isfinite(reading.sigma), reading.sigma, 0.0) * weight[k[0]]
    parents = (mixed.mixture[0], mixed.mixture[1])
    return IntergrowthReading(
        mixed.id, parents, reading, borrowed, total, np.sqrt(np.maximum(variance, 0.0) + spread**2)
    )


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
        Frame by frame.
    mean, mean_sigma : float
        Mean over the frames, with the correlation between frames.
    significance : float
        Mean over its standard error.
    p_value : float
        Two-sided, of no difference.
    """

    names: tuple[str, ...]
    voltage_V: FloatArray
    difference: FloatArray
    sigma: FloatArray
    mean: float
    mean_sigma: float
    significance: float
    p_value: float


def total_covariance(series: LineSeries, names: Sequence[str]) -> FloatArray:
    """Return the covariance of the summed weight fraction of some phases between all frames, shape (F, F)."""
    fit = series.joint.fit
    factor = series.factors
    amount = series.area / factor[:, None]
    total = amount.sum(axis=0)
    chosen = np.array([n in names for n in series.names], float)
    share = (chosen[:, None] * amount).sum(axis=0) / total
    shared, own = 0.0, 0.0
    for k, name in enumerate(series.names):
        gradient = tuple(part[fit.group] for part in fit.batch.gradient(f"{series.fitted_line(name)}_area"))
        slope = np.where(series.present[k], (chosen[k] - share) / (total * factor[k]), 0.0)[:, None]
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
    total_a, total_b = first.total(names)[0], second.total(names)[0]
    difference = total_a[at] - mixer @ total_b
    covariance = total_covariance(first, names)[np.ix_(at, at)] + mixer @ total_covariance(second, names) @ mixer.T
    mean, mean_sigma = float(difference.mean()), float(np.sqrt(max(covariance.mean(), 0.0)))
    z = mean / mean_sigma if mean_sigma > 0 else float("nan")
    return SampleDifference(
        tuple(names),
        va[at],
        difference,
        np.sqrt(np.maximum(np.diag(covariance), 0.0)),
        mean,
        mean_sigma,
        z,
        float(2 * stats.norm.sf(abs(z))),
    )


def _branch(series: LineSeries, charge: bool) -> NDArray[np.intp]:
    if series.voltage_V is None:
        raise DataError("samples are compared at equal voltages", hint="give the voltage of every frame")
    turn = int(series.voltage_V.argmax())
    index = np.arange(series.voltage_V.size)
    return index[: turn + 1] if charge else index[turn:]
