"""The whole edge as one model: bands, a step, and a background whose curvature and slope are coefficients with priors.

A line through the points before the edge takes the tails of the bands for background: 2.5 % of the area of O K, a bias
that all windows share. So everything is fitted at once, in all samples: bands keep their places and widths, and each
sample has its own amounts, background, and shift of the energy scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, model_validator
from scipy import special

from layerscope.errors import DataError
from layerscope.fitting import Component, PatternModel, Series
from layerscope.fitting.shapes import EdgeStep, FloatArray, Gaussian, Lorentzian, PseudoVoigt
from layerscope.options import Positive, RecipeModel, unique
from layerscope.reference import find_entry, make_entry, read_tables

if TYPE_CHECKING:
    import lmfit

__all__ = ["BACKGROUND", "STEP", "Band", "EdgeBands", "EdgeData", "Member", "Posed", "Region", "find_bands", "pose"]

STEP = "edge"
BACKGROUND = ("background_0", "background_1", "background_2", "background_3", "continuum_slope")
"""Coefficients of a sample's background: Legendre-like powers of (E - bend)/`REACH`, and the slope beyond the edge."""

REACH = 20.0  # eV; unit in which the background's powers are taken
PINNED = 1e-4  # eV
LOOSE = 0.6  # factor on limits of widths once a band is added that the table does not know
ENERGY_PRIOR = 0.1  # eV; how far the bands of one sample may lie from those of the others, one standard deviation
STEPS = {"erf": Gaussian(), "arctan": Lorentzian(), "mixed": PseudoVoigt()}
BoolArray = NDArray[np.bool_]
StepShape = Literal["erf", "arctan", "mixed"]
LineShape = Literal["pseudo_voigt", "voigt"]


def _start_within(start: tuple[float, float, float]) -> tuple[float, float, float]:
    if not start[1] <= start[0] <= start[2]:
        raise ValueError("a start is (value, low, high), the value between the other two")
    return start


Start = Annotated[tuple[float, float, float], AfterValidator(_start_within)]
"""Where a parameter starts, and the lowest and highest value that it may take."""


def _wider(start: tuple[float, float, float], by: float) -> tuple[float, float, float]:
    return start[0], start[1] - by, start[2] + by


class Band(RecipeModel):
    """One band of an edge."""

    name: str = Field(pattern=r"^[a-z]\w*$", description="identifier, the same in all samples")
    label: str = Field(default="", description="what figures call it")
    family: Literal["sharp", "broad"] = Field(default="sharp", description="bands of one family have one mixing")
    own: bool = Field(default=False, description="whether its place is free in each sample")
    optional: bool = Field(default=False, description="whether it is there only if BIC wants it")
    center_eV: Start = Field(description="place: start, lowest, highest")
    fwhm_eV: Start = Field(description="width: start, lowest, highest")

    def loosened(self, by_eV: float) -> Self:
        """Return it with more room for its place and width, if it is broad and always there."""
        if self.family == "sharp" or self.optional:
            return self
        width, narrow, wide = self.fwhm_eV
        room = {"center_eV": _wider(self.center_eV, by_eV), "fwhm_eV": (width, narrow * LOOSE, wide / LOOSE)}
        return self.model_copy(update=room)


class Region(RecipeModel):
    """A range of energies whose share of the edge's area is a number of its own."""

    name: str = Field(min_length=1, description="what tables call it")
    range_eV: tuple[float, float] = Field(description="its limits: a definition, and never part of an ensemble")


class EdgeBands(RecipeModel):
    """What an edge is fitted with: a table of ``reference_data/bands``."""

    edge: str = Field(description="'O K'")
    band: tuple[Band, ...] = Field(description="bands of the fit")
    region: tuple[Region, ...] = Field(default=(), description="ranges whose share is stated")
    fit_eV: tuple[float, float] = Field(description="range of the fit")
    low_eV: tuple[float, ...] = Field(description="where members of the ensemble begin, the first by default")
    high_eV: tuple[float, ...] = Field(description="where members of the ensemble end, the first by default")
    bend_eV: float = Field(description="zero of the background's powers, and where the continuum's slope begins")
    step_eV: Start = Field(description="place of the step: start, lowest, highest")
    step_fwhm_eV: Start = Field(description="width of the step: start, lowest, highest")
    curvature: Positive = Field(
        description="standard deviation of the background's curvature: rises of the signal in 20 eV"
    )
    slope: Positive = Field(description="standard deviation of the continuum's slope: rises of the signal in 20 eV")
    further_eV: tuple[float, float] = Field(description="where bands may be added that the table does not know")

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        unique([band.name for band in self.band], "bands")
        unique([region.name for region in self.region], "regions")
        return self

    def chosen(self, names: Sequence[str]) -> Self:
        """Return it with the bands of these names, none of them optional any more."""
        kept = tuple(band.model_copy(update={"optional": False}) for band in self.band if band.name in names)
        return self.model_copy(update={"band": kept})

    def loosened(self, by_eV: float) -> Self:
        """Return it with more room for the step and for broad bands that are always there."""
        band = tuple(b.loosened(by_eV) for b in self.band)
        return self.model_copy(update={"band": band, "step_eV": _wider(self.step_eV, by_eV)})

    def with_band(self, band: Band) -> Self:
        """Return it with one more band."""
        return self.model_copy(update={"band": (*self.band, band)})


@lru_cache(maxsize=1)
def _load() -> dict[str, EdgeBands]:
    found = {}
    for name, table in read_tables("bands").items():
        bands = make_entry(EdgeBands, {k: v for k, v in table.items() if k != "assignment"}, f"{name}.toml")
        found[bands.edge] = bands
    return found


def find_bands(edge: str) -> EdgeBands:
    """Return the bands that an edge is fitted with.

    Raises
    ------
    RecipeError
        If no table knows the edge.
    """
    return find_entry(_load(), edge, "edge with bands")


@dataclass(frozen=True)
class EdgeData:
    """Spectra of one edge as arrays, each in units of its own rise from before the edge to the end of the range.

    Attributes
    ----------
    energy, signal, variance : ndarray, shape (L, n)
        Rows that are shorter are padded with points that are not used.
    use : ndarray of bool, shape (L, n)
    scale : ndarray, shape (L,)
        What each spectrum was divided by.
    energy_sigma : ndarray, shape (L,)
        Standard error of each energy scale against the others in eV.
    common_sigma : float
        Standard error in eV of what the energy scales share: in every position, in no difference.
    """

    energy: FloatArray
    signal: FloatArray
    variance: FloatArray
    use: BoolArray
    scale: FloatArray
    energy_sigma: FloatArray
    common_sigma: float = 0.0

    @property
    def n_samples(self) -> int:
        """Number of spectra, L."""
        return int(self.signal.shape[0])

    @classmethod
    def of(
        cls,
        curves: Sequence[tuple[FloatArray, FloatArray, FloatArray, FloatArray | None]],
        bands: EdgeBands,
        energy_sigma: Sequence[float],
        common_sigma: float = 0.0,
    ) -> Self:
        """Put curves side by side.

        Parameters
        ----------
        curves : sequence of (energy, signal, variance, use), each of shape (n,)
            Energies in eV; the last may be None where all points are used.
        bands : EdgeBands
        energy_sigma : sequence of float, length L

        Raises
        ------
        DataError
            If a curve does not reach over the range of the fit, or shows no edge.
        """
        low, high = bands.fit_eV
        kept = []
        for energy, signal, variance, use in curves:
            inside = (energy >= min(low, *bands.low_eV)) & (energy <= max(high, *bands.high_eV))
            used = np.ones(energy.shape, bool) if use is None else np.asarray(use, bool)
            if energy.min() > max(bands.low_eV) or energy.max() < min(bands.high_eV):
                raise DataError(
                    f"a scan from {energy.min():g} to {energy.max():g} eV does not reach over {low:g} to {high:g} eV",
                    hint="the whole edge is fitted: shorten fit_eV in the recipe, or leave the features out",
                )
            kept.append((energy[inside], signal[inside], variance[inside], used[inside]))
        longest = max(len(k[0]) for k in kept)
        rows: list[list[FloatArray]] = [[], [], [], []]
        for energy, signal, variance, used in kept:
            pad = longest - energy.size
            rows[0].append(np.concatenate([energy, np.full(pad, energy.max())]))
            rows[1].append(np.concatenate([signal, np.zeros(pad)]))
            rows[2].append(np.concatenate([variance, np.ones(pad)]))
            rows[3].append(np.concatenate([used, np.zeros(pad, bool)]))
        x, y, v, u = (np.array(part) for part in rows)
        used = u.astype(bool)
        scale, sigmas = _jump(x, y, used, bands), np.asarray(energy_sigma, float)
        return cls(x, y / scale[:, None], v / scale[:, None] ** 2, used, scale, sigmas, common_sigma)


def _jump(x: FloatArray, y: FloatArray, use: BoolArray, bands: EdgeBands) -> FloatArray:
    """Return the rise from the first to the last eighth of the range, shape (L,)."""
    low, high = max(bands.low_eV), min(bands.high_eV)
    width = (high - low) / 8.0
    before, after = use & (x <= low + width), use & (x >= high - width) & (x <= high)
    if not (before.any(axis=1) & after.any(axis=1)).all():
        raise DataError("a scan has no points before or beyond the edge that could be used")
    means = [np.where(part, y, 0.0).sum(axis=1) / part.sum(axis=1) for part in (before, after)]
    jump = means[1] - means[0]
    if not (jump > 0).all():
        raise DataError("a spectrum does not rise at the edge", hint="is the dark current subtracted?")
    return np.asarray(jump)


@dataclass(frozen=True)
class Member:
    """One way of fitting an edge: what differs here estimates the same numbers.

    Attributes
    ----------
    low_eV, high_eV : float
        Range of the fit.
    step : {"erf", "arctan", "mixed"}
    line : {"pseudo_voigt", "voigt"}
        Shape of the bands.
    order : int
        Of the background's polynomial, 1 to 3.
    prior : float
        Factor on the standard deviations of curvature and slope.
    """

    low_eV: float
    high_eV: float
    step: StepShape = "erf"
    line: LineShape = "pseudo_voigt"
    order: int = 2
    prior: float = 1.0

    @property
    def window(self) -> tuple[float, float, int, float]:
        """Everything but the shapes."""
        return self.low_eV, self.high_eV, self.order, self.prior

    @property
    def shapes(self) -> tuple[StepShape, LineShape]:
        """Of the step and of the bands."""
        return self.step, self.line


@dataclass
class Posed:
    """An edge's model with its declared parameters."""

    bands: EdgeBands
    model: PatternModel
    parameters: lmfit.Parameters
    scopes: dict[str, Literal["per_pattern"]] = field(default_factory=dict)


def pose(bands: EdgeBands, member: Member, n_samples: int) -> Posed:
    """Return the model of an edge with the shapes of a member, parameters declared: to read, never to change."""
    return _posed(bands, *member.shapes, n_samples > 1)


@lru_cache(maxsize=16)  # to read expressions of parameters takes as long as a third of a fit
def _posed(bands: EdgeBands, step: StepShape, line: LineShape, several: bool) -> Posed:
    parts = [Component(b.name, line, shifted=not b.own) for b in bands.band]
    model = PatternModel([*parts, Component(STEP, EdgeStep(STEPS[step]))], polynomial=-1)
    p = model.make_parameters()
    first: dict[str, str] = {}
    for b in bands.band:
        p[f"{b.name}_center"].set(value=b.center_eV[0], min=b.center_eV[1], max=b.center_eV[2])
        width = p[f"{b.name}_fwhm" if line == "pseudo_voigt" else f"{b.name}_gaussian_fwhm"]
        width.set(value=b.fwhm_eV[0], min=b.fwhm_eV[1] / 2.0, max=b.fwhm_eV[2])
        start = 0.3 if b.family == "sharp" else 0.15
        if line == "voigt":
            ratio = f"{b.family}_lorentzian"
            if ratio not in p:
                p.add(ratio, value=start, min=0.0, max=2.0)
            p[f"{b.name}_lorentzian_fwhm"].set(expr=f"{ratio} * {width.name} + 0.001")
        elif b.family in first:
            p[f"{b.name}_mixing"].set(expr=first[b.family])
        else:
            p[f"{b.name}_mixing"].set(value=start)
            first[b.family] = f"{b.name}_mixing"
        if line == "pseudo_voigt":
            width.set(min=b.fwhm_eV[1])
    for what, around in (("center", bands.step_eV), ("fwhm", bands.step_fwhm_eV)):
        p[f"{STEP}_{what}"].set(value=around[0], min=around[1], max=around[2])
    if step == "mixed":
        p[f"{STEP}_mixing"].set(value=0.5, vary=False)
    scopes: dict[str, Literal["per_pattern"]] = {f"{b.name}_center": "per_pattern" for b in bands.band if b.own}
    if several:
        p["shift"].set(vary=True, min=-1.0, max=1.0)
        scopes["shift"] = "per_pattern"
    return Posed(bands, model, p, scopes)


def background(energy: FloatArray, bands: EdgeBands) -> dict[str, FloatArray]:
    """Return the columns of the background at energies in eV, each of their shape."""
    u = (energy - bands.bend_eV) / REACH
    rise = 0.5 * (1.0 + special.erf((energy - bands.step_eV[0]) / 1.5))
    powers = {name: u**k for k, name in enumerate(BACKGROUND[:4])}
    return powers | {BACKGROUND[4]: np.clip(u, 0.0, None) * rise}


def series_of(data: EdgeData, bands: EdgeBands, members: Sequence[Member]) -> Series:
    """Return the spectra once for each member, with its range and its priors: G = members, L = samples."""
    shape = (len(members), data.n_samples)

    def each(values: Sequence[float]) -> FloatArray:
        return np.repeat(np.asarray(values, float)[:, None], data.n_samples, axis=1)

    use = np.stack([data.use & (data.energy >= m.low_eV) & (data.energy <= m.high_eV) for m in members])
    factor = each([m.prior for m in members])
    sigma = {
        "background_2": np.where(each([m.order for m in members]) >= 2, bands.curvature * factor, 1e-6),
        "background_3": np.where(each([m.order for m in members]) >= 3, bands.curvature * factor, 1e-6),
        "continuum_slope": bands.slope * factor,
    }
    priors = {name: (np.zeros(shape), value) for name, value in sigma.items()}
    if data.n_samples > 1:
        away = np.full(shape, ENERGY_PRIOR)
        away[:, 0] = PINNED  # bands stand where they are in the first sample
        priors["shift"] = (np.zeros(shape), away)
    return Series(
        data.energy if np.ptp(data.energy, axis=0).any() else data.energy[0],
        np.broadcast_to(data.signal, use.shape),
        variance=data.variance,
        use=use,
        columns=background(data.energy, bands),
        priors=priors,
    )
