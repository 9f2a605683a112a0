"""The fit that CasaXPS stores in the comments of a VAMAS block: read it, redraw it, pose it again for the fit engine.

The comments themselves are read in `text`; line shapes and backgrounds are in `shapes`, their curves in `lines`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from layerscope.errors import DataError
from layerscope.fitting.backgrounds import static_shirley

from ..dataset import FloatArray, Spectrum
from .lines import CasaLine
from .shapes import (
    LineShape,
    end_level,
    linear_background,
    parse_line_shape,
    tougaard_background,
)
from .text import CasaComponent, CasaFit, CasaRegion, CasaValue, parse_casa_fit

__all__ = [
    "CasaFitCurves",
    "SeriesComponent",
    "SeriesParameter",
    "SeriesProblem",
    "redraw",
    "to_series_problem",
    "unit_curve",
]

_NARROWEST = 1e-4  # width of a component that can be drawn, as part of the spectrum's range


@dataclass(frozen=True)
class SeriesParameter:
    """A parameter of a fit, in the frame of the file's binding energies.

    Parameters
    ----------
    value, min, max : float
        Start and bounds.
    link : int, optional
        Index of the component whose parameter of the same name this one follows: ``factor * theirs + offset``.
    factor, offset : float
        Of that tie.
    """

    value: float
    min: float
    max: float
    link: int | None = None
    factor: float = 1.0
    offset: float = 0.0

    @property
    def vary(self) -> bool:
        """False if it follows another parameter or its bounds leave it no room."""
        return self.link is None and self.max > self.min


@dataclass(frozen=True)
class SeriesComponent:
    """A component: name, shape, its parameters ``center`` and ``fwhm`` in eV and ``area`` in counts*eV.

    `line_shape` is the shape as CasaXPS writes it.
    """

    name: str
    shape: LineShape
    parameters: Mapping[str, SeriesParameter]
    line_shape: str = ""


@dataclass(frozen=True)
class SeriesProblem:
    """A stored fit as a problem for the fit engine, free of CasaXPS' conventions but for the shapes.

    Parameters
    ----------
    range_eV : tuple of float
        Lowest and highest binding energy of the region, in the file's frame.
    background : str
        ``"shirley"``, ``"tougaard"``, ``"linear"`` or what the file names.
    cross_section : tuple of float
        B, C, D in eV^2 and the gap in eV, for ``"tougaard"``.
    components : tuple of SeriesComponent
        Components, in the order that `link` counts.
    shift_eV : float
        What the calibration adds to binding energies.
    area_scale : float
        Areas here over those that CasaXPS stores, which are rates.
    """

    range_eV: tuple[float, float]
    background: str
    cross_section: tuple[float, float, float, float]
    components: tuple[SeriesComponent, ...]
    shift_eV: float
    area_scale: float = 1.0

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the components; those that share one are numbered: ``Fe 2p #2``."""
        names = [c.name or "component" for c in self.components]
        return tuple(n if names.count(n) == 1 else f"{n} #{names[: i + 1].count(n)}" for i, n in enumerate(names))


def to_series_problem(spectrum: Spectrum, fit: CasaFit | None = None, *, region: int = 0) -> SeriesProblem:
    """Pose a stored fit again.

    Parameters
    ----------
    spectrum : Spectrum
        The spectrum with its comments.
    fit : CasaFit, optional
        Read from the comments if not given.
    region : int, default 0
        Which region.

    Returns
    -------
    SeriesProblem
        Positions as binding energies in the file's frame; areas in the unit of the spectrum times eV.

    Raises
    ------
    DataError
        If there is no such region, a line shape is not supported, dwell time or photon energy is missing, or a
        component is tied to one that is not there.
    """
    fit = fit or parse_casa_fit(spectrum.comments)
    photon = spectrum.excitation_energy_eV
    if not 0 <= region < len(fit.regions):
        raise DataError(f"the comments hold {len(fit.regions)} CasaXPS regions; number {region} is not among them")
    if photon is None:
        raise DataError("CasaXPS positions are kinetic energies: the photon energy is needed")
    chosen, shift, scale = fit.regions[region], fit.shift(spectrum), _area_scale(spectrum)
    members = _members(fit, chosen)
    index = {fit.components.index(c): i for i, c in enumerate(members)}
    zero = photon - shift  # a kinetic energy K in the calibrated frame lies at zero - K on the file's axis
    components = tuple(
        SeriesComponent(
            name=c.name,
            shape=parse_line_shape(c.line_shape),
            parameters={
                "center": _center(c, zero, index),
                "fwhm": _scaled(c, c.fwhm, 1.0, index),
                "area": _scaled(c, c.area, scale, index),
            },
            line_shape=c.line_shape,
        )
        for c in members
    )
    name = chosen.background.lower()
    kind = next((word for word in ("shirley", "tougaard", "linear") if word in name), name)
    limits = (zero - chosen.end, zero - chosen.start)
    return SeriesProblem(limits, kind, chosen.cross_section, components, shift, scale)


def _link(component: CasaComponent, value: CasaValue, index: Mapping[int, int]) -> int | None:
    if value.link is None:
        return None
    if value.link not in index:
        raise DataError(f"component {component.name!r} is tied to component {value.link}, which is not in its region")
    return index[value.link]


def _center(component: CasaComponent, zero: float, index: Mapping[int, int]) -> SeriesParameter:
    value, link = component.position, _link(component, component.position, index)
    if link is not None:
        return SeriesParameter(zero - value.value, -math.inf, math.inf, link, offset=-value.factor)
    return SeriesParameter(zero - value.value, zero - value.upper, zero - value.lower)


def _scaled(component: CasaComponent, value: CasaValue, scale: float, index: Mapping[int, int]) -> SeriesParameter:
    link = _link(component, value, index)
    if link is not None:
        return SeriesParameter(value.value * scale, 0.0, math.inf, link, factor=value.factor)
    return SeriesParameter(value.value * scale, value.lower * scale, value.upper * scale)


@dataclass(frozen=True, eq=False)
class CasaFitCurves:
    """A stored fit, redrawn on the axis of the data.

    Parameters
    ----------
    region : CasaRegion
        The region it belongs to.
    problem : SeriesProblem
        Its components in the frame and unit of the file.
    binding_energy : ndarray, shape (n,)
        Axis of the spectrum, as in the file, in eV.
    counts : ndarray, shape (n,)
        Data, in the unit of the spectrum.
    inside : ndarray of bool, shape (n,)
        True within the region.
    background : ndarray, shape (n,)
        The background within the region; outside it the data, as CasaXPS draws it.
    components : ndarray, shape (components, n)
        Component curves without background, in the unit of the counts.
    notes : tuple of str
        What could not be drawn as CasaXPS does.
    """

    region: CasaRegion
    problem: SeriesProblem
    binding_energy: FloatArray
    counts: FloatArray
    inside: np.ndarray[tuple[int], np.dtype[np.bool_]]
    background: FloatArray
    components: FloatArray
    notes: tuple[str, ...] = ()

    @property
    def envelope(self) -> FloatArray:
        """Background and components, shape (n,)."""
        return np.asarray(self.background + self.components.sum(axis=0))


def redraw(spectrum: Spectrum, fit: CasaFit | None = None, *, region: int = 0) -> CasaFitCurves:
    """Draw the fit that CasaXPS stored with a spectrum.

    Parameters
    ----------
    spectrum : Spectrum
        A spectrum with CasaXPS comments and a photon energy.
    fit : CasaFit, optional
        Read from the spectrum's comments if not given.
    region : int, default 0
        Which region; the components whose position lies in it belong to it.

    Returns
    -------
    CasaFitCurves
        Curves in the unit of the spectrum: stored areas, in counts/s*eV, are multiplied by dwell time and scans where
        it is counts.

    Raises
    ------
    DataError
        As `to_series_problem`; or if the region holds no spectrum, a component has no width to draw, or the background
        is not supported.
    FitError
        If the spectrum does not stand above its Shirley background.
    """
    fit = fit or parse_casa_fit(spectrum.comments)
    problem = to_series_problem(spectrum, fit, region=region)
    chosen, axis = fit.regions[region], spectrum.binding_energy
    inside = (axis >= problem.range_eV[0] - 1e-6) & (axis <= problem.range_eV[1] + 1e-6)
    if int(inside.sum()) < 3:
        raise DataError(f"the CasaXPS region {chosen.name!r} holds {int(inside.sum())} points of the spectrum")
    if spectrum.use is not None and not spectrum.use[inside].all():
        raise DataError(
            f"the CasaXPS region {chosen.name!r} was fitted over points that hold no counts: "
            f"{spectrum.metadata['masked']}"
        )
    background = np.array(spectrum.counts)
    background[inside] = _background(spectrum, chosen, inside)
    return CasaFitCurves(
        region=chosen,
        problem=problem,
        binding_energy=axis,
        counts=spectrum.counts,
        inside=inside,
        background=background,
        components=np.array([c.parameters["area"].value * unit_curve(c, axis) for c in problem.components]).reshape(
            -1, axis.size
        ),
        notes=_notes(fit, chosen),
    )


def unit_curve(component: SeriesComponent, axis: FloatArray) -> FloatArray:
    """Return the curve of a stored component, shape (n,), with an area of one.

    Raises
    ------
    DataError
        If it has no width, or one too small for the range of the spectrum.
    """
    center, fwhm = (component.parameters[name].value for name in ("center", "fwhm"))
    if not fwhm > 0:
        raise DataError(f"component {component.name!r} has the width {fwhm:g} eV")
    if fwhm < _NARROWEST * np.ptp(axis):
        raise DataError(f"component {component.name!r}, {fwhm:g} eV wide, is too narrow for the range of the spectrum")
    return np.asarray(CasaLine(component.shape).evaluate(axis, [center, fwhm], derivatives=False).value[0])


def _members(fit: CasaFit, region: CasaRegion) -> tuple[CasaComponent, ...]:
    if len(fit.regions) == 1:
        return fit.components
    return tuple(c for c in fit.components if region.start <= c.position.value <= region.end)


def _area_scale(spectrum: Spectrum) -> float:
    if spectrum.intensity_unit == "counts/s":
        return 1.0
    scale = spectrum.exposure_s
    if scale is None:
        raise DataError("CasaXPS areas are rates: dwell time and number of scans are needed to draw them in counts")
    return scale


def _background(
    spectrum: Spectrum, region: CasaRegion, inside: np.ndarray[tuple[int], np.dtype[np.bool_]]
) -> FloatArray:
    energy, counts = spectrum.binding_energy[inside], spectrum.counts[inside]
    first, last = (int(i) for i in np.nonzero(inside)[0][[0, -1]])
    low = end_level(spectrum.counts, first, region.average_width)
    high = end_level(spectrum.counts, last, region.average_width)
    name = region.background.lower()
    if "shirley" in name and "spline" not in name:
        return np.asarray(static_shirley(energy, counts, ends=(low, high)).background[0])
    if "tougaard" in name:
        return tougaard_background(energy, counts, low, *region.cross_section)
    if name == "linear":
        return linear_background(energy, low, high)
    if name in ("none", "zero"):
        return np.zeros_like(counts)
    raise DataError(f"the CasaXPS background {region.background!r} is not supported")


def _notes(fit: CasaFit, region: CasaRegion) -> tuple[str, ...]:
    notes = [f"not read: {line}" for line in fit.unread]
    notes += [f"processing not applied: {line}" for line in fit.processing]
    notes += [f"shifts nothing, no energy is assigned: {c.text}" for c in fit.calibrations if c.assigned is None]
    if any(region.offsets):
        notes.append(f"the offsets {region.offsets} of the region's ends are not applied")
    return tuple(notes)
