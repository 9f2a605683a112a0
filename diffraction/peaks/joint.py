"""The joint fit of a series: shapes shared by all frames, positions and areas of each frame its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import FitError
from layerscope.fitting import PER_PATTERN, Series, SeriesFit, fit_series
from layerscope.fitting.layout import Scope
from layerscope.fitting.solver import Tolerances

from ..radiation import FloatArray
from .bragg import two_theta_from_d
from .components import HardwareLine
from .frames import FrameData
from .lines import DiffractionLine
from .model import FrameModel, HeldLine, LineModel, LineShape, frame_parameters
from .tabulated import TabulatedLine

if TYPE_CHECKING:
    import lmfit

__all__ = ["JointFit", "fit_joint", "fit_reference", "with_variance"]

BoolArray = NDArray[np.bool_]

ENOUGH = 15.0
"""Standard errors of a line, over all frames, above which its width is its own."""

MANY = 100
"""Frames above which tabulating a line at each step of a fit costs less than evaluating it."""

JOINT = Tolerances(reduction=1e-8, step=1e-9, max_iterations=60)
_OFF_SIGMA = 1.0  # the area of a line that is off is 0 whatever this number


@dataclass(frozen=True)
class JointFit:
    """Joint fit of a series.

    Attributes
    ----------
    names : tuple of str
        Lines of phases, K.
    present : ndarray of bool, shape (K, F)
    model : FrameModel
    fit : SeriesFit
    shape : LineShape
    own_width : tuple of str
        Lines whose width was fitted; the others have that of the first.
    """

    names: tuple[str, ...]
    present: BoolArray
    model: FrameModel
    fit: SeriesFit
    shape: LineShape
    own_width: tuple[str, ...]


def fit_reference(
    data: FrameData,
    line: DiffractionLine,
    hardware: Sequence[HardwareLine],
    *,
    polynomial: int,
    window: tuple[float, float],
) -> LineModel:
    """Find the shape of the lines and the lines of the cell in frames that hold one phase only.

    Parameters
    ----------
    data : FrameData
        Frames with a single line in the window.
    line : DiffractionLine
    hardware : sequence of HardwareLine
        Looked for in their ranges; kept where five standard errors say that they are there.
    polynomial : int
    window : (float, float)
        Where the phases' line lies (degrees).

    Raises
    ------
    FitError
        If no line stands out, or the fit does not converge.
    """
    wavelength = line.radiation.alpha1
    places = {h.id: float(two_theta_from_d(h.d_A, wavelength)) for h in hardware}
    inside = [h for h in hardware if data.x[0] + 0.1 < places[h.id] < data.x[-1] - 0.1]
    candidates = tuple(HeldLine(h.id, places[h.id], 0.25) for h in inside)
    y = data.y
    look = (data.x > window[0]) & (data.x < window[1])
    smooth = np.apply_along_axis(lambda r: np.convolve(r, np.ones(3) / 3, mode="same"), 1, y)
    start = data.x[look][smooth[:, look].argmax(axis=1)]
    fit = None
    while True:
        model = FrameModel(("first",), line, held=candidates, polynomial=polynomial)
        parameters = frame_parameters(model, LineShape({"first": 0.12}, 0.5, 0.012))
        _free_shape(parameters, model, "first", line)
        parameters["first_center"].set(min=window[0], max=window[1])
        for h, was in ((h, c) for h in inside for c in candidates if c.id == h.id):
            low, high = (float(two_theta_from_d(h.d_A + s * h.tolerance_A, wavelength)) for s in (1, -1))
            parameters[f"{h.id}_center"].set(value=was.center, vary=True, min=low, max=high)
            parameters[f"{h.id}_fwhm"].set(value=was.fwhm, vary=True, min=0.03, max=1.0)
            parameters[f"{h.id}_mixing"].set(expr="first_mixing")
        fit = fit_series(
            model,
            parameters,
            Series(data.x, y, variance=data.variance, use=data.use),
            scopes={"first_center": PER_PATTERN},
            starts={"first_center": start},
            weights="given",
            tolerances=JOINT,
        )
        keep = tuple(c for c in candidates if _stands_out(fit, c.id, inside, wavelength))
        if len(keep) == len(candidates):
            break
        candidates = keep
    area, sigma = fit.value("first_area"), fit.sigma("first_area")
    if not fit.converged or not (area > 5 * sigma).any():
        raise FitError("no line stands out in the reference frames", hint="name frames that hold a single phase")
    shape = LineShape(
        {"first": float(fit.value("first_fwhm")[0])},
        float(fit.value("first_mixing")[0]),
        float(fit.value("first_axial")[0]) if line.axial else 0.0,
    )
    held = tuple(
        HeldLine(
            c.id,
            float(fit.value(f"{c.id}_center")[0]),
            float(fit.value(f"{c.id}_fwhm")[0]),
            float(fit.value(f"{c.id}_area").mean()),
            float(np.sqrt(max(fit.covariance([f"{c.id}_area"])[0, :, 0].mean(), 0.0))),
            float(fit.sigma(f"{c.id}_center")[0]),
        )
        for c in candidates
    )
    return LineModel(line, shape, held, polynomial)


def _stands_out(fit: SeriesFit, name: str, hardware: Sequence[HardwareLine], wavelength: float) -> bool:
    area = fit.value(f"{name}_area").mean()
    sigma = np.sqrt(max(float(fit.covariance([f"{name}_area"])[0, :, 0].mean()), 0.0))
    h = next(h for h in hardware if h.id == name)
    low, high = (float(two_theta_from_d(h.d_A + s * h.tolerance_A, wavelength)) for s in (1, -1))
    center = float(fit.value(f"{name}_center")[0])
    return bool(area > 5 * sigma and low < center < high)


def _free_shape(parameters: lmfit.Parameters, model: FrameModel, first: str, line: DiffractionLine) -> None:
    """Let mixing and axial divergence of the first line vary and tie all others to it."""
    parameters[f"{first}_fwhm"].set(vary=True, min=0.02, max=1.5)
    parameters[f"{first}_mixing"].set(vary=True, min=0.0, max=1.0)
    if line.axial:
        parameters[f"{first}_axial"].set(vary=True, min=1e-3, max=0.04)
    for c in model.components:
        if c.name != first:
            parameters[f"{c.name}_mixing"].set(expr=f"{first}_mixing")
            if line.axial:
                parameters[f"{c.name}_axial"].set(expr=f"{first}_axial")


def fit_joint(
    data: FrameData,
    names: Sequence[str],
    present: BoolArray,
    position: FloatArray,
    position_sigma: FloatArray,
    significance: FloatArray,
    model: LineModel,
    *,
    start: FloatArray | None = None,
) -> JointFit:
    """Fit all frames together.

    Parameters
    ----------
    data : FrameData
    names : sequence of str
        Lines, K; the first carries the shape that the others share.
    present : ndarray of bool, shape (K, F)
        Which lines are there.
    position, position_sigma : ndarray, shape (K, F)
        Where they lie by their course over the frames, and how well that is known (degrees): a weak prior that only
        lines at the limit of detection feel.
    significance : ndarray, shape (K,)
        Of each line over all frames, in standard errors.
    model : LineModel
    start : ndarray, shape (K, F), optional
        Positions to start from (degrees) where they are better known than `position`. One damping serves all frames,
        so that a single faint line far from its place slows down the fit of all.
    """
    narrowest = min(model.shape.fwhm.values())
    line = model.line.resolved(float(np.median(position)), narrowest, model.shape.axial)
    if data.n_frames >= MANY:
        line = TabulatedLine.of(line)
    drawn, parameters = model.frame(names, line)
    first = names[int(np.argmax(significance))]
    _free_shape(parameters, drawn, first, line)
    own = [first]
    scopes: dict[str, Scope] = {}
    starts, priors = {}, {}
    for k, name in enumerate(names):
        if name != first:
            if significance[k] > ENOUGH:
                reference = model.shape.width(first)
                parameters[f"{name}_fwhm"].set(vary=True, min=0.4 * reference, max=5.0 * reference)
                own.append(name)
            else:
                parameters[f"{name}_fwhm"].set(expr=f"{first}_fwhm")
        parameters[f"{name}_center"].set(value=float(position[k, 0]), min=float(data.x[0]), max=float(data.x[-1]))
        scopes[f"{name}_center"] = PER_PATTERN
        starts[f"{name}_center"] = (position if start is None else start)[k]
        starts[f"{name}_on"] = present[k].astype(float)
        priors[f"{name}_center"] = (position[k], position_sigma[k])
        if not present[k].all():
            priors[f"{name}_area"] = (np.zeros(data.n_frames), np.where(present[k], np.inf, _OFF_SIGMA))
    fit = fit_series(
        drawn,
        parameters,
        Series(data.x, data.y, variance=data.variance, use=data.use, priors=priors),
        scopes=scopes,
        starts=starts,
        weights="given",
        tolerances=JOINT,
    )
    fitted = LineShape(
        {n: float(fit.value(f"{n}_fwhm")[0]) for n in names},
        float(fit.value(f"{first}_mixing")[0]),
        float(fit.value(f"{first}_axial")[0]) if line.axial else 0.0,
    )
    return JointFit(tuple(names), present, drawn, fit, fitted, tuple(own))


def with_variance(data: FrameData, expected: FloatArray, noise_factor: float | None) -> FrameData:
    """Return the data with the noise of a fitted curve: counts times `noise_factor`, at least half a count.

    With None the variance is that of the files, and stays.
    """
    if noise_factor is None:
        return data
    return replace(data, variance=noise_factor * np.maximum(expected, 0.5))
