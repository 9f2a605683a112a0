"""One reflection followed through a series: where it lies, how wide it is, and how both change.

Works for any reflection with a few neighbours: (003), (101), (104) of a layered oxide, (220) of a spinel, (111) of an
aluminium current collector as internal standard. Mixing and axial divergence are shared by all frames, position and
width are each frame's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field

from layerscope.errors import DataError
from layerscope.fitting import PER_PATTERN, Series, SeriesFit, fit_series
from layerscope.fitting.errors import ErrorsTable, with_errors
from layerscope.fitting.layout import Scope
from layerscope.options import Positive, RecipeModel

from ..radiation import FloatArray, Radiation
from ..recipe_series import Range
from ..widths import without_instrument
from .bragg import d_from_two_theta
from .frames import FrameData, first_data
from .joint import JOINT, with_variance
from .lines import DiffractionLine
from .model import FrameModel, LineShape, frame_parameters

__all__ = ["ReflectionTrack", "TrackOptions", "corrected_by_standard", "track_reflection"]


class TrackOptions(RecipeModel):
    """How a single line is followed: where it is, how wide, how far it moves."""

    range_2theta: Range = Field(description="degrees; part of the pattern that is fitted")
    neighbours: tuple[float, ...] = Field(default=(), description="degrees; other lines there that do not move")
    width: Literal["frame", "shared"] = Field(default="frame", description="one a frame, or one for the series")
    background: Annotated[int, Field(ge=0, le=6)] = Field(default=1, description="degree of the polynomial")
    axial: bool | float = Field(default=True, description="fitted, left out, or held at this S/L")
    instrument_fwhm: Positive | None = Field(default=None, description="degrees; removed from the half width")
    instrument_mixing: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.5, description="Lorentzian share of the instrument's profile"
    )


@dataclass(frozen=True)
class ReflectionTrack:
    """A reflection in F frames.

    Attributes
    ----------
    position, position_sigma : ndarray, shape (F,)
        Bragg angle of K-alpha-1 (degrees).
    d, d_sigma : ndarray, shape (F,)
        Spacing (Å).
    shift, shift_sigma : ndarray, shape (F,)
        Position less the mean of the reference frames (degrees).
    d_shift, d_shift_sigma : ndarray, shape (F,)
        The same of the spacing (Å).
    fwhm, fwhm_sigma : ndarray, shape (F,)
        Measured width (degrees).
    sample_fwhm, sample_fwhm_sigma : ndarray, shape (F,), or None
        Width with the instrument's removed (degrees).
    area, area_sigma : ndarray, shape (F,)
    mixing, axial : (float, float)
    fit : SeriesFit
    """

    position: FloatArray
    position_sigma: FloatArray
    d: FloatArray
    d_sigma: FloatArray
    shift: FloatArray
    shift_sigma: FloatArray
    d_shift: FloatArray
    d_shift_sigma: FloatArray
    fwhm: FloatArray
    fwhm_sigma: FloatArray
    sample_fwhm: FloatArray | None
    sample_fwhm_sigma: FloatArray | None
    area: FloatArray
    area_sigma: FloatArray
    mixing: tuple[float, float]
    axial: tuple[float, float]
    fit: SeriesFit


def track_reflection(
    two_theta: ArrayLike,
    intensity: ArrayLike,
    radiation: Radiation,
    options: TrackOptions,
    *,
    variance: ArrayLike | None = None,
    noise_factor: float | None = 1.0,
    reference: Sequence[int] = (0,),
    errors: ErrorsTable | None = None,
) -> ReflectionTrack:
    """Follow one reflection through a series, from the highest point of each frame.

    Parameters
    ----------
    two_theta : array-like, shape (n,)
        Degrees.
    intensity : array-like, shape (F, n)
        Counts, or counts times `noise_factor`.
    radiation : Radiation
    options : TrackOptions
    variance : array-like, shape (F, n), optional
        Of the intensities, infinite where nothing was measured. Where there is a noise factor, only the infinite ones
        count.
    noise_factor : float or None
        Variance over mean of the intensities; None where `variance` holds the errors.
    reference : sequence of int
        Rows that shifts count from.
    errors : ErrorsTable, optional
        Where the errors come from; the covariance if nothing is said.

    Raises
    ------
    DataError
        If the window holds too few points or a reference frame does not exist.
    """
    x, y = np.asarray(two_theta, float), np.asarray(intensity, float)
    if x.ndim != 1 or y.ndim != 2 or y.shape[1] != x.size:
        raise DataError(f"axis {x.shape} and intensities {y.shape} do not fit", hint="shapes (n,) and (F, n)")
    window = options.range_2theta
    inside = (x >= window[0]) & (x <= window[1])
    if inside.sum() < 12:
        raise DataError(f"{int(inside.sum())} points between {window[0]:g} and {window[1]:g} degrees are too few")
    index = np.asarray(reference, dtype=np.intp)
    if index.size == 0 or index.min() < 0 or index.max() >= len(y):
        raise DataError("a reference frame does not exist")
    x, y = x[inside], y[:, inside]
    smooth = np.apply_along_axis(lambda r: np.convolve(np.pad(r, 2, mode="edge"), np.ones(5) / 5, "valid"), 1, y)
    start = x[smooth.argmax(axis=1)]
    given = None if variance is None else np.asarray(variance, float)[:, inside]
    fit = _fit(first_data(x, y, given, noise_factor), radiation, options, start, noise_factor)
    fit = with_errors(fit, errors or ErrorsTable())
    position, covariance = fit.value("line_center"), fit.covariance(["line_center"])[0, :, 0]
    sigma = np.sqrt(np.diag(covariance))
    d, d_sigma = d_from_two_theta(position, radiation.alpha1, sigma)
    # shifts: the mean of the reference frames subtracted, with everything they have in common cancelling
    operator = np.eye(len(y))
    operator[:, index] -= 1.0 / index.size
    slope = -d / np.tan(np.radians(position) / 2) * np.pi / 360
    d_covariance = operator @ (slope[:, None] * covariance * slope) @ operator.T
    mixing = (float(fit.value("line_mixing")[0]), float(fit.sigma("line_mixing")[0]))
    own = own_sigma = None
    if options.instrument_fwhm is not None:
        own, own_sigma = without_instrument(
            fit.value("line_fwhm"),
            mixing[0],
            options.instrument_fwhm,
            options.instrument_mixing,
            sigma=fit.sigma("line_fwhm"),
        )
    smear = (0.0, 0.0)
    if options.axial is not False:
        smear = (float(fit.value("line_axial")[0]), float(fit.sigma("line_axial")[0]))
    return ReflectionTrack(
        position=position,
        position_sigma=sigma,
        d=d,
        d_sigma=d_sigma,
        shift=operator @ position,
        shift_sigma=np.sqrt(np.maximum(np.diag(operator @ covariance @ operator.T), 0.0)),
        d_shift=operator @ d,
        d_shift_sigma=np.sqrt(np.maximum(np.diag(d_covariance), 0.0)),
        fwhm=fit.value("line_fwhm"),
        fwhm_sigma=fit.sigma("line_fwhm"),
        sample_fwhm=own,
        sample_fwhm_sigma=own_sigma,
        area=fit.value("line_area"),
        area_sigma=fit.sigma("line_area"),
        mixing=mixing,
        axial=smear,
        fit=fit,
    )


def _fit(
    data: FrameData,
    radiation: Radiation,
    options: TrackOptions,
    start: FloatArray,
    noise_factor: float | None,
) -> SeriesFit:
    window, axial = options.range_2theta, options.axial
    line = DiffractionLine(radiation, axial=axial is not False)
    names = ("line", *(f"neighbour{i}" for i in range(len(options.neighbours))))
    model = FrameModel(names, line, polynomial=options.background)
    first = 0.05 * (window[1] - window[0])
    parameters = frame_parameters(model, LineShape({"line": first}, 0.5, 0.01 if axial is True else float(axial)))
    parameters["line_center"].set(vary=True, min=window[0], max=window[1])
    parameters["line_fwhm"].set(vary=True, min=0.01, max=window[1] - window[0])
    parameters["line_mixing"].set(vary=True, min=0.0, max=1.0)
    if axial is True:
        parameters["line_axial"].set(vary=True, min=1e-3, max=0.04)
    for name, place in zip(names[1:], options.neighbours, strict=True):
        parameters[f"{name}_center"].set(value=place, vary=True, min=place - 0.5, max=place + 0.5)
        parameters[f"{name}_fwhm"].set(value=first, vary=True, min=0.02, max=window[1] - window[0])
        for what in ("mixing", "axial") if axial is not False else ("mixing",):
            parameters[f"{name}_{what}"].set(expr=f"line_{what}")
    width: Scope = PER_PATTERN if options.width == "frame" else "shared"
    scopes: dict[str, Scope] = {"line_center": PER_PATTERN, "line_fwhm": width}
    fit = None
    for _ in range(3):  # weights from the fitted curve, so that counts below it do not draw it down
        fit = fit_series(
            model,
            parameters,
            Series(data.x, data.y, variance=data.variance, use=data.use),
            scopes=scopes,
            starts={"line_center": start} | ({} if fit is None else {"line_fwhm": fit.value("line_fwhm")}),
            weights="given",
            tolerances=JOINT,
        )
        data = with_variance(data, fit.expected, noise_factor)
        start = fit.value("line_center")
    assert fit is not None  # noqa: S101
    return fit


def corrected_by_standard(
    sample: ReflectionTrack, standard: ReflectionTrack, standard_d: float, wavelength: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Take the displacement of the cell out with a line whose spacing is known.

    A displacement s moves a line by ``-2 s cos(theta) / R``; the standard's distance from where its spacing puts it
    gives s/R for every frame.

    Parameters
    ----------
    sample, standard : ReflectionTrack
        Of the same frames.
    standard_d : float
        Known spacing (Å).
    wavelength : float
        K-alpha-1 (Å).

    Returns
    -------
    d, d_sigma : ndarray, shape (F,)
        Corrected spacing of the sample (Å).
    displacement : ndarray, shape (F,)
        s/R (1), positive away from the axis.
    """
    theta0 = np.arcsin(wavelength / (2.0 * standard_d))
    off = standard.position - 2.0 * np.degrees(theta0)
    ratio = np.cos(np.radians(sample.position) / 2.0) / np.cos(theta0)
    corrected = sample.position - off * ratio
    sigma = np.hypot(sample.position_sigma, standard.position_sigma * ratio)
    d, d_sigma = d_from_two_theta(corrected, wavelength, sigma)
    return d, d_sigma, -np.radians(off) / (2.0 * np.cos(theta0))
