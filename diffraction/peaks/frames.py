"""Many frames fitted side by side, each with start values and priors of its own.

Used to look at frames one by one with shapes that are already known: one call fits all frames that share a set of
lines. `layerscope.fitting.fit_batch` starts all series of a batch at the same values; here every frame has its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from layerscope.errors import DataError
from layerscope.fitting.covariance import series_covariance
from layerscope.fitting.layout import Layout
from layerscope.fitting.solver import Patterns, RowEvaluator, Tolerances, evaluate_rows, minimise

from ..radiation import FloatArray
from .model import LineModel
from .tabulated import TabulatedLine

__all__ = ["FrameBatch", "FrameData", "fit_frames"]

BoolArray = NDArray[np.bool_]
ROUGH = Tolerances(reduction=5e-5, step=1e-5, max_iterations=40)


@dataclass(frozen=True)
class FrameData:
    """Frames on one axis.

    Attributes
    ----------
    x : ndarray, shape (n,)
        2theta (degrees), ascending.
    y : ndarray, shape (F, n)
        Intensities.
    variance : ndarray, shape (F, n)
        Their variance.
    use : ndarray of bool, shape (F, n)
        Points to fit.
    """

    x: FloatArray
    y: FloatArray
    variance: FloatArray
    use: BoolArray

    @property
    def root_weight(self) -> FloatArray:
        """1/sigma, 0 for points that are left out, shape (F, n)."""
        return np.where(self.use, 1.0 / np.sqrt(self.variance), 0.0)

    def only(self, rows: NDArray[np.intp]) -> FrameData:
        """Return some of the frames."""
        return FrameData(self.x, self.y[rows], self.variance[rows], self.use[rows])

    @property
    def n_frames(self) -> int:
        """Number of frames, F."""
        return int(self.y.shape[0])


def first_data(x: FloatArray, y: FloatArray, variance: ArrayLike | None, noise_factor: float | None) -> FrameData:
    """Return frames with the variance to begin with: that which is given, or that of the smoothed intensities.

    Parameters
    ----------
    x, y : ndarray, shape (n,), (F, n)
    variance : array-like, shape (F, n), optional
        Infinite where nothing was measured; else it counts where there is no noise factor.
    noise_factor : float, optional
        Variance over mean.

    Raises
    ------
    DataError
        If neither gives a variance, or it has another shape or is not positive.
    """
    given = None if variance is None else np.asarray(variance, float)
    if given is not None and (given.shape != y.shape or not (given > 0).all()):
        raise DataError(f"intensities {y.shape} need as many variances above zero, not {given.shape}")
    use = np.ones(y.shape, bool) if given is None else np.isfinite(given)
    if noise_factor is not None:
        padded = np.pad(y, ((0, 0), (2, 2)), mode="edge")
        smooth = sum(padded[:, k : k + y.shape[1]] for k in range(5)) / 5.0
        return FrameData(x, y, noise_factor * np.maximum(smooth, 1.0 / max(noise_factor, 1e-9)), use)
    if given is None:
        raise DataError("neither a noise factor nor a variance is given")
    return FrameData(x, y, np.where(use, given, 1.0), use)


@dataclass(frozen=True)
class FrameBatch:
    """Frames fitted one by one with one set of lines.

    Attributes
    ----------
    names : tuple of str
        Lines, K.
    position, position_sigma : ndarray, shape (K, G)
        Degrees.
    area, area_sigma : ndarray, shape (K, G)
    chi2 : ndarray, shape (G,)
        Priors left out.
    expected : ndarray, shape (G, n)
    converged : ndarray of bool, shape (G,)
    """

    names: tuple[str, ...]
    position: FloatArray
    position_sigma: FloatArray
    area: FloatArray
    area_sigma: FloatArray
    chi2: FloatArray
    expected: FloatArray
    converged: BoolArray


def fit_frames(
    data: FrameData,
    names: Sequence[str],
    model: LineModel,
    start: FloatArray,
    *,
    prior_sigma: FloatArray | None = None,
    reach: float = 0.15,
    errors: bool = True,
    tolerances: Tolerances = ROUGH,
) -> FrameBatch:
    """Fit positions and areas frame by frame, shapes held.

    Parameters
    ----------
    data : FrameData
        G frames.
    names : sequence of str
        Lines, K >= 0.
    model : LineModel
    start : ndarray, shape (K, G)
        Positions to start from; with `prior_sigma` also what is known of them.
    prior_sigma : ndarray, shape (K, G), optional
        Standard error of that knowledge (degrees); infinite where nothing is known.
    reach : float
        Without a prior positions stay within this distance of the range of the starts (degrees).
    errors : bool
        Whether to compute standard errors.
    tolerances : Tolerances
    """
    narrowest = min(model.shape.fwhm.values())
    rough = TabulatedLine.of(model.line.searching(float(data.x.mean()), narrowest, model.shape.axial))
    drawn, parameters = model.frame(names, rough)
    for k, name in enumerate(names):
        low, high = float(start[k].min()) - reach, float(start[k].max()) + reach
        parameters[f"{name}_center"].set(value=float(start[k, 0]), min=low, max=high)
    layout = Layout(parameters, drawn.nonlinear_names, 1)
    centers = [f"{n}_center" for n in names]
    first = np.stack([start[centers.index(b.name)] for b in layout.shared], axis=1) if centers else None
    groups = data.n_frames
    shared = np.zeros((groups, 0)) if first is None else first
    priors = tuple(centers) if prior_sigma is not None else ()
    evaluator = RowEvaluator(drawn, layout, None, (), priors)
    weight = data.root_weight
    patterns = Patterns(
        data.x[None],
        data.y,
        weight,
        None,
        start.T if priors else None,
        1.0 / prior_sigma.T if priors and prior_sigma is not None else None,
    )
    solution = minimise(evaluator, patterns, shared, np.zeros((groups, 1, 0)), tolerances)
    expected = np.empty_like(patterns.y)
    for part in evaluator.chunks(*patterns.y.shape):
        basis, solved, _ = evaluate_rows(evaluator, patterns, solution.shared, solution.local, part)
        expected[part] = np.einsum("bm,bmn->bn", solved.coefficients, basis.columns)[:, : data.x.size]
    chi2 = (((patterns.y - expected) * weight) ** 2).sum(axis=1)
    k, order = len(names), [layout.free_names.index(c) for c in centers]
    area = solution.coefficients[:, 0, :k].T
    position_sigma, area_sigma = np.zeros((k, groups)), np.zeros((k, groups))
    if errors and k:
        covariance = series_covariance(evaluator, patterns, solution)
        position_sigma = np.sqrt(np.maximum(np.einsum("gss->sg", covariance.shared), 0.0))[order]
        linked = np.einsum("gas,gst,gat->ag", covariance.link[:, 0], covariance.shared, covariance.link[:, 0])
        area_sigma = np.sqrt(np.maximum(linked + np.einsum("gaa->ag", covariance.own[:, 0]), 0.0))[:k]
    return FrameBatch(
        tuple(names),
        solution.shared[:, order].T if k else np.zeros((0, groups)),
        position_sigma,
        area,
        area_sigma,
        chi2,
        expected,
        solution.converged,
    )
