"""Rings of the transform of one window: maxima of its whole radial profile that are more than speckle.

A contrast transfer makes smooth maxima too, of amorphous films: their power is speckle all around. A ring of
nanocrystals is not: it is of grains, so that the power along it varies more (`speckle.excess`). A ring must be both a
maximum of the profile and no speckle, and stand in a good part of all directions, or it is the spots of a crystal.
Radii, heights and widths are fitted together over a smooth level; their errors come from the spread among directions,
which knows of the size of the grains, and from the two shapes, Gaussian and Lorentzian, that a ring may have.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline
from scipy.optimize import least_squares
from scipy.special import ndtri

from ..image import Image
from .level import noise_level
from .model import Rings
from .speckle import excess
from .transform import SECTORS, Grid, grid_of, prepared, transform

__all__ = ["find_rings"]

_BIN = 0.5  # of the profile, in bins of the transform
_FEWEST = 6  # bins of the transform in one of the profile
_CORRELATED = 2.0  # variance of the mean of a bin of the profile over that of independent bins
_WIDTHS = (0.12, 0.2, 0.32)  # of rings that are sought, 1/nm
_STANDS = 3.0  # standard deviations of a maximum of the profile
_STEP = 0.15  # logarithm by which a maximum exceeds the higher side
_APART = 0.3  # 1/nm between rings
_KNOTS = 1.2  # 1/nm between knots of the smooth level
_LEVEL = 0.3  # prior standard deviation of the level's logarithm about what passes below the maxima
_FULL_WIDTH = 2.355  # of a Gaussian over its standard deviation
_GRAINS = 4.0  # that a direction holds, about
_SHIFT = 0.15  # 1/nm by which a radius may move in the fit
_THINNEST, _WIDEST = 0.06, 0.6  # full width, 1/nm
_FILLED = 0.35  # part of all directions in which a ring stands, at least
_MOST = 12

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Profile:
    """Radial profile of power, whole and by direction."""

    radius: FloatArray
    mean: FloatArray
    relative: FloatArray  # standard deviation over the mean
    sectors: FloatArray  # (sectors, bins): mean power
    share: FloatArray  # (sectors, bins): of the bins of the transform


def find_rings(image: Image, *, false_alarm: float = 0.01, band: tuple[float, float] | None = None) -> Rings:
    """Find the rings of the transform of a window.

    Parameters
    ----------
    image : Image
        The window.
    false_alarm : float
        Probability, at most, that an amorphous window shows a ring at all.
    band : tuple of 2 floats, optional
        Lengths searched, 1/nm; that of `find_spots` when not given.

    Raises
    ------
    DataError
        As `find_spots`.
    """
    grid = grid_of(image, band)
    power = transform(prepared(image), grid).power
    relative = power / noise_level(power, grid).cells[grid.cell]
    if not power[grid.inside].max(initial=0.0) > 0:
        none = np.zeros(0)
        return Rings(none, none, none, none, none, none, none)
    profile = _profile(power, grid)
    starts = [g for g in _maxima(profile, grid.unit) if _is_no_speckle(relative, grid, g, false_alarm)]
    fits = [_fit(profile, np.array(starts[:_MOST]), shape, grid.unit) for shape in (_gaussian, _lorentzian)]
    best, other = sorted(fits, key=lambda fit: fit.cost)
    filled, grains = _filled(profile, best)
    keep = (filled >= _FILLED) & np.isfinite(best.sigma).all(axis=1)
    order = np.flatnonzero(keep)[np.argsort(best.rings[keep, 0])]
    shape = 0.5 * np.abs(best.rings[:, 0] - other.rings[:, 0])
    # few grains: their own places may be anywhere in the ring, and their spread says little
    sigma = np.maximum(np.hypot(best.sigma[:, 0], shape), best.rings[:, 2] / _FULL_WIDTH / np.sqrt(_GRAINS * grains))
    return Rings(
        g=best.rings[order, 0],
        g_sigma=sigma[order],
        height=best.rings[order, 1],
        width=best.rings[order, 2],
        radius=profile.radius,
        profile=profile.mean,
        level=best.level,
    )


def _profile(power: NDArray[np.float32], grid: Grid) -> _Profile:
    width = _BIN * max(grid.step)
    bins = max(8, int((grid.band[1] - grid.band[0]) / width))
    values, sector = power[grid.inside].astype(float), grid.cell[grid.inside] % SECTORS
    place = np.minimum(((grid.radius[grid.inside] - grid.band[0]) / width).astype(int), bins - 1)
    at = sector * bins + place
    count, total, square = (
        np.bincount(at, w, SECTORS * bins).reshape(SECTORS, bins) for w in (np.ones_like(values), values, values**2)
    )
    good = count.sum(axis=0) >= _FEWEST
    count, total, square = count[:, good], total[:, good], square[:, good]
    whole = count.sum(axis=0)
    mean = np.maximum(total.sum(axis=0) / whole, 1e-300)
    contrast = np.maximum(square.sum(axis=0) / whole / mean**2 - 1.0, 1.0)
    relative = np.sqrt(np.convolve(np.pad(contrast, 2, "edge"), np.full(5, 0.2), "valid") * _CORRELATED / whole)
    radius = np.bincount(place, grid.radius[grid.inside], bins)[good] / whole
    return _Profile(radius, mean, relative, total / np.maximum(count, 1), count / whole)


def _maxima(profile: _Profile, unit: float) -> list[float]:
    """Radii at which the mean logarithm stands above that of both sides, the most certain first."""
    logarithm, variance = np.log(profile.mean), profile.relative**2
    found = []
    for width in unit * np.array(_WIDTHS):
        for radius in profile.radius[2:-2]:
            off = profile.radius - radius
            parts = [np.abs(off) < 0.5 * width, (off < -0.7 * width) & (off > -1.6 * width)]
            parts.append((off > 0.7 * width) & (off < 1.6 * width))
            if min(np.count_nonzero(part) for part in parts) < 2:
                continue
            top, left, right = (float(logarithm[part].mean()) for part in parts)
            if top > max(left, right) + _STEP:  # a step is no ring
                error = [float(variance[part].sum()) / np.count_nonzero(part) ** 2 for part in parts]
                certain = (top - 0.5 * (left + right)) / (error[0] + 0.25 * (error[1] + error[2])) ** 0.5
                found.append((certain, float(radius)))
    chosen: list[float] = []
    for certain, radius in sorted(found, reverse=True):
        if certain > _STANDS and all(abs(radius - other) > _APART * unit for other in chosen):
            chosen.append(radius)
    return chosen


def _is_no_speckle(relative: NDArray[np.float32], grid: Grid, radius: float, false_alarm: float) -> bool:
    """Whether the power around a radius varies more than speckle does, at a probability for all radii together."""
    annulus = grid.inside & (np.abs(grid.radius - np.float32(radius)) < max(_WIDTHS[1] * grid.unit, max(grid.step)))
    ring = (grid.radius[annulus] / (2 * _BIN * max(grid.step))).astype(int)
    kappa, sigma = excess(relative[annulus].astype(float), ring - ring.min())
    trials = (grid.band[1] - grid.band[0]) / (_WIDTHS[1] * grid.unit)
    return bool(kappa > -ndtri(false_alarm / trials) * sigma)


@dataclass(frozen=True, eq=False)
class _Fit:
    """Rings over a smooth level: radius, height over the level, full width; their errors from the directions."""

    rings: FloatArray
    sigma: FloatArray
    level: FloatArray
    cost: float


def _gaussian(u: FloatArray) -> FloatArray:
    return np.asarray(np.exp2(-4.0 * u**2))


def _lorentzian(u: FloatArray) -> FloatArray:
    return np.asarray(1.0 / (1.0 + 4.0 * u**2))


def _fit(profile: _Profile, starts: FloatArray, shape: Callable[[FloatArray], FloatArray], unit: float) -> _Fit:
    """Fit the logarithm of the profile: level times one plus the rings."""
    x, n = profile.radius, len(starts)
    knots = np.linspace(x[0], x[-1], max(2, round((x[-1] - x[0]) / (_KNOTS * unit))) + 1)
    basis = np.asarray(BSpline.design_matrix(x, np.pad(knots, 3, "edge"), 3).toarray())
    smooth = basis.shape[1]
    logarithm = np.log(profile.mean)
    first = _below(basis, logarithm)
    cuts = np.cumsum([smooth, n, n])

    def residual(p: FloatArray) -> FloatArray:
        level, g, height, width = np.split(p, cuts)
        rings = np.exp(height) * shape((x[:, None] - g) / np.exp(width))
        model = basis @ level + np.log1p(rings.sum(axis=1))
        return np.concatenate([(model - logarithm) / profile.relative, (level - first) / _LEVEL])

    start = np.concatenate([first, starts, np.zeros(n), np.full(n, np.log(0.25 * unit))])
    shift, (thin, wide) = _SHIFT * unit, np.log(np.array([_THINNEST, _WIDEST]) * unit)
    low = np.concatenate([np.full(smooth, -np.inf), starts - shift, np.full(n, -4.0), np.full(n, thin)])
    high = np.concatenate([np.full(smooth, np.inf), starts + shift, np.full(n, 8.0), np.full(n, wide)])
    found = least_squares(residual, start, bounds=(low, high), x_scale="jac", max_nfev=60)
    level, g, height, width = np.split(found.x, cuts)
    # each direction's part in the parameters, to first order; their spread is the error of the mean
    slopes: FloatArray = np.array(found.jac, dtype=float)
    gain = np.linalg.pinv(slopes.T @ slopes) @ (slopes[: x.size] / profile.relative[:, None]).T
    each = (profile.share * (profile.sectors / profile.mean - 1.0)) @ gain.T
    sigma = np.split(np.sqrt(SECTORS / (SECTORS - 1.0) * (each**2).sum(axis=0)), cuts)
    return _Fit(
        rings=np.stack([g, np.exp(height), np.exp(width)], axis=1),
        sigma=np.stack([sigma[1], sigma[2] * np.exp(height), sigma[3] * np.exp(width)], axis=1),
        level=np.exp(basis @ level),
        cost=float(found.cost),
    )


def _below(basis: FloatArray, logarithm: FloatArray) -> FloatArray:
    """Smooth level that passes below maxima: least squares that weigh what lies above little."""
    weight: FloatArray = np.ones_like(logarithm)
    coefficients = np.zeros(basis.shape[1])
    for _ in range(20):
        root = np.sqrt(weight)[:, None]
        coefficients = np.asarray(np.linalg.lstsq(basis * root, logarithm * root[:, 0], rcond=None)[0])
        weight = np.where(logarithm > basis @ coefficients, 0.03, 1.0)
    return coefficients


def _filled(profile: _Profile, fit: _Fit) -> tuple[FloatArray, FloatArray]:
    """Part of all directions in which each ring stands above the level, and the number its power is spread over."""
    filled, grains = np.zeros(len(fit.rings)), np.ones(len(fit.rings))
    for k, (g, height, width) in enumerate(fit.rings):
        at = np.abs(profile.radius - g) < 0.5 * max(width, 2.0 * (profile.radius[1] - profile.radius[0]))
        mean = (profile.sectors * profile.share)[:, at].sum(axis=1) / np.maximum(profile.share[:, at].sum(axis=1), 1e-9)
        over = np.maximum(mean / fit.level[at].mean() - 1.0, 1e-9)
        filled[k] = np.mean(over > 0.05 * height)
        grains[k] = over.sum() ** 2 / (over**2).sum()
    return filled, grains
