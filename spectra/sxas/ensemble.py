"""Fits of one edge that differ in what estimates the same numbers, and the numbers' errors from all of them.

The same member serves all samples, so that differences and ratios are taken inside it: windows that vary for each
sample alone make a ratio's interval too wide (87 to 98 % instead of 68), and one fixed window too narrow (40 %).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from layerscope.fitting import BatchFit, fit_batch
from layerscope.fitting.compare import model_weights
from layerscope.fitting.shapes import FloatArray
from layerscope.fitting.solver import Tolerances

from .model import (
    BACKGROUND,
    BoolArray,
    EdgeBands,
    EdgeData,
    LineShape,
    Member,
    Posed,
    StepShape,
    background,
    pose,
    series_of,
)

__all__ = [
    "CHOICE",
    "Derived",
    "MemberFit",
    "default_members",
    "derive",
    "energy_error",
    "fit_members",
    "member_weights",
    "split_error",
]

QUICK = Tolerances(reduction=3e-5, step=1e-6, max_iterations=15, retries=False)
CHOICE = Tolerances(reduction=1e-6, step=1e-6, max_iterations=150)
GRID_STEP = 0.05  # eV; of the integrals
NEGATIVE, MOST_SHARE = 3.0, 2.0  # errors below zero, and shares of the area, beyond which a band makes no sense
BADLY = 1.3  # reduced chi2 over that of the best member beyond which a member does not describe the data

#: Taguchi's L9: four things at three levels so that every pair of levels occurs once.
_L9 = np.array([(i, j, (i + j) % 3, (i + 2 * j) % 3) for i in range(3) for j in range(3)])
SHAPES: tuple[tuple[StepShape, LineShape], ...] = (
    ("erf", "pseudo_voigt"),
    ("arctan", "pseudo_voigt"),
    ("erf", "voigt"),
)
_PRIORS = (1.0, 0.5, 2.0)
_ORDERS = (2, 3, 2)


def default_members(bands: EdgeBands) -> tuple[Member, ...]:
    """Return 27 members: nine of range, priors and order for each of three pairs of shapes, the first one the default.

    Parameters
    ----------
    bands : EdgeBands
        With three values each of where a member begins and ends.
    """
    low, high = bands.low_eV, bands.high_eV
    return tuple(
        Member(low[a % len(low)], high[b % len(high)], step, line, _ORDERS[d], _PRIORS[c])
        for step, line in SHAPES
        for a, b, c, d in _L9
    )


@dataclass(frozen=True)
class Derived:
    """Numbers of G members and L samples, with how they move with the errors of each fit.

    Attributes
    ----------
    names : tuple of (kind, component), length K
        Kinds are ``position``, ``amount`` and ``share``; amounts and shares are of the area that normalises.
    value : ndarray, shape (G, L, K)
    shared : ndarray, shape (G, L, K, S)
        Whitened response to what the samples share: a variance is the sum of its squares.
    own : ndarray, shape (G, L, K, d)
        To each sample's own parameters.
    background_shared, background_own : ndarray, shape (G, L, b, S) and (G, L, b, d)
        The same of the coefficients of the background.
    area : ndarray, shape (G, L)
        Area of the edge in steps times eV.
    drift : ndarray, shape (G, L, K)
        Change per eV by which a sample's energies are too high: places move, and limits that are fixed in absolute eV
        cut another part of the edge.
    """

    names: tuple[tuple[str, str], ...]
    value: FloatArray
    shared: FloatArray
    own: FloatArray
    background_shared: FloatArray
    background_own: FloatArray
    area: FloatArray
    drift: FloatArray


@dataclass(frozen=True)
class MemberFit:
    """Members of one shape of step, fitted side by side.

    Attributes
    ----------
    members : tuple of Member
    batch : BatchFit
    posed : Posed
    area_eV : (float, float)
    """

    members: tuple[Member, ...]
    batch: BatchFit
    posed: Posed
    area_eV: tuple[float, float]

    @cached_property
    def numbers(self) -> Derived:
        """Numbers with their responses: of many fits that are tried nobody asks for them."""
        return derive(self.batch, self.posed, self.area_eV)

    @property
    def redchi(self) -> FloatArray:
        """Reduced chi2 of each member, shape (G,)."""
        return self.batch.redchi

    @property
    def last_amount(self) -> float:
        """Mean amount of the band that was added last, in the first member."""
        last = max(k for k, (kind, _) in enumerate(self.numbers.names) if kind == "amount")
        return float(self.numbers.value[0, :, last].mean())

    @property
    def sound(self) -> BoolArray:
        """Which members stand at a minimum that the data determine, no band far below zero or cancelling others."""
        numbers = self.numbers
        sigma = np.sqrt((numbers.shared**2).sum(axis=-1) + (numbers.own**2).sum(axis=-1))
        amount = np.array([kind == "amount" for kind, _ in numbers.names])
        value, error = numbers.value[..., amount].mean(axis=1), sigma[..., amount].mean(axis=1)
        with np.errstate(all="ignore"):
            level = (value > -NEGATIVE * error) & (np.abs(value) < MOST_SHARE)
        return np.asarray(self.batch.converged & ~self.batch.covariance.undetermined & level.all(axis=-1))


def fit_members(
    data: EdgeData,
    bands: EdgeBands,
    members: Sequence[Member],
    area_eV: tuple[float, float],
    starts: Mapping[tuple[StepShape, LineShape], Mapping[str, FloatArray]] | None = None,
    tolerances: Tolerances | None = None,
    *,
    nonnegative: bool = False,
) -> list[MemberFit]:
    """Fit the edge once for each member, those with one step side by side.

    Parameters
    ----------
    data : EdgeData
    bands : EdgeBands
    members : sequence of Member
    area_eV : (float, float)
        Range whose integral is the area that amounts are normalised to.
    starts : mapping of shapes to mapping of str to ndarray, shape (L,), optional
        Start values by parameter, for each pair of shapes, as for `layerscope.fitting.fit_series`.
    tolerances : Tolerances, optional
    nonnegative : bool
        Keep amounts at or above zero on the way.
    """
    found = []
    for shapes in dict.fromkeys(m.shapes for m in members):
        alike = tuple(m for m in members if m.shapes == shapes)
        posed = pose(bands, alike[0], data.n_samples)
        batch = fit_batch(
            posed.model,
            posed.parameters,
            series_of(data, bands, alike),
            weights="given",
            scopes=posed.scopes,
            starts={k: v for k, v in (starts or {}).get(shapes, {}).items() if k in posed.parameters},
            nonnegative=nonnegative,
            tolerances=tolerances,
        )
        found.append(MemberFit(alike, batch, posed, area_eV))
    return found


def derive(batch: BatchFit, posed: Posed, area_eV: tuple[float, float]) -> Derived:
    """Return places, normalised amounts and shares of regions with their responses.

    Notes
    -----
    The area is that of bands, step and continuum over `area_eV`; its dependence on places and widths is included.
    """
    bands, model = posed.bands, posed.model
    groups, n_samples = batch.solution.chi2.shape
    rows = groups * n_samples
    ranges = [area_eV, *(r.range_eV for r in bands.region)]
    grid = np.arange(area_eV[0], area_eV[1] + GRID_STEP / 2, GRID_STEP)
    weight = np.stack([_trapezoid(grid, limits) for limits in ranges])
    linear = (*model.linear_names, BACKGROUND[-1])
    nonlinear = model.nonlinear_names
    q = np.stack([batch.value(n).reshape(rows) for n in nonlinear], axis=-1)
    c = np.stack([batch.value(n).reshape(rows) for n in linear], axis=-1)
    basis = model.basis(grid[None], q)
    slope = background(grid, bands)[BACKGROUND[-1]]
    unit = np.concatenate([basis.columns @ weight.T, np.broadcast_to(weight @ slope, (rows, 1, len(ranges)))], axis=1)
    bend = np.zeros((rows, len(nonlinear), len(ranges)))
    for term in basis.derivatives:
        bend[:, term.parameter] += c[:, term.column, None] * (term.values @ weight.T)
    names, value, slopes = _numbers(bands, nonlinear, q, c, unit, bend)
    ends = np.stack([_ends(grid, limits) for limits in ranges])
    loss = np.concatenate([basis.columns @ ends.T, np.broadcast_to(ends @ slope, (rows, 1, len(ranges)))], axis=1)
    drift = _drift(names, value, *(np.einsum("rm,rmk->rk", c, of) for of in (unit, loss)))
    every = (*linear, *nonlinear)
    root_shared, root_own = _roots(batch)
    shared, own = _whitened(batch, every, root_shared, root_own)
    b_shared, b_own = _whitened(batch, BACKGROUND, root_shared, root_own)
    slopes = slopes.reshape(groups, n_samples, len(names), len(every))
    return Derived(
        names,
        value.reshape(groups, n_samples, len(names)),
        slopes @ shared,
        slopes @ own,
        b_shared,
        b_own,
        np.einsum("rm,rm->r", c, unit[..., 0]).reshape(groups, n_samples),
        drift.reshape(groups, n_samples, len(names)),
    )


def _trapezoid(grid: FloatArray, limits: tuple[float, float]) -> FloatArray:
    """Return weights of an even grid that integrate over a range of it."""
    inside = (grid >= limits[0] - 1e-9) & (grid <= limits[1] + 1e-9)
    weight = np.where(inside, GRID_STEP, 0.0)
    ends = np.flatnonzero(inside)[[0, -1]]
    weight[ends] *= 0.5
    return weight


def _ends(grid: FloatArray, limits: tuple[float, float]) -> FloatArray:
    """Return weights that give a curve at the lower less that at the upper limit: what its integral gains per eV."""
    weight = np.zeros(grid.shape)
    weight[np.abs(grid - limits[0]).argmin()] = 1.0
    weight[np.abs(grid - limits[1]).argmin()] = -1.0
    return weight


def _drift(names: Sequence[tuple[str, str]], value: FloatArray, whole: FloatArray, gain: FloatArray) -> FloatArray:
    """Return what each number (R, K) gains per eV, from the integrals (R, ranges) and what they gain."""
    relative = gain / whole[:, :1]  # of the area
    part = iter(range(1, whole.shape[1]))  # regions follow the area in the order of the names
    rate = [
        np.ones(len(value))
        if kind == "position"
        else (relative[:, next(part)] if kind == "share" else 0.0) - share * relative[:, 0]
        for (kind, _), share in zip(names, value.T, strict=True)
    ]
    return np.stack(rate, axis=1)


def _numbers(
    bands: EdgeBands,
    nonlinear: tuple[str, ...],
    q: FloatArray,
    c: FloatArray,
    unit: FloatArray,
    bend: FloatArray,
) -> tuple[tuple[tuple[str, str], ...], FloatArray, FloatArray]:
    """Return names, values (R, K) and derivatives (R, K, M) by coefficients and parameters."""
    n_linear, whole = c.shape[1], np.einsum("rm,rmk->rk", c, unit)
    gradient = np.concatenate([unit, bend], axis=1)  # of each integral, (R, M, ranges)
    names: list[tuple[str, str]] = []
    values, slopes = [], []
    total, total_slope = whole[:, :1], gradient[..., 0]
    for k, band in enumerate(bands.band):
        at = np.zeros((len(q), n_linear + len(nonlinear)))
        at[:, n_linear + nonlinear.index(f"{band.name}_center")] = 1.0
        place = q[:, nonlinear.index(f"{band.name}_center")].copy()
        if not band.own:
            at[:, n_linear + nonlinear.index("shift")] = 1.0
            place += q[:, nonlinear.index("shift")]
        share = c[:, k] / total[:, 0]
        amount = -share[:, None] * total_slope / total
        amount[:, k] += 1.0 / total[:, 0]
        names += [("position", band.name), ("amount", band.name)]
        values += [place, share]
        slopes += [at, amount]
    for k, region in enumerate(bands.region, start=1):
        share = whole[:, k] / total[:, 0]
        names.append(("share", region.name))
        values.append(share)
        slopes.append((gradient[..., k] - share[:, None] * total_slope) / total)
    return tuple(names), np.stack(values, axis=1), np.stack(slopes, axis=1)


def _roots(batch: BatchFit) -> tuple[FloatArray, FloatArray]:
    """Return roots of the covariances, (G, S, S) and (G, L, d, d), noise that is larger than stated included."""
    excess = np.maximum(batch.redchi, 1.0)
    if batch.scaled:
        excess = np.ones_like(excess)
    return (
        _root(batch.covariance.shared * excess[:, None, None]),
        _root(batch.covariance.own * excess[:, None, None, None]),
    )


def _root(covariance: FloatArray) -> FloatArray:
    """Return R with R R' = covariance, for stacked symmetric matrices."""
    if covariance.shape[-1] == 0:
        return covariance
    size = np.sqrt(np.maximum(np.einsum("...ii->...i", covariance), 1e-300))
    values, vectors = np.linalg.eigh(np.nan_to_num(covariance / (size[..., :, None] * size[..., None, :])))
    return np.asarray(size[..., :, None] * vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :])


def _whitened(
    batch: BatchFit, names: Sequence[str], root_shared: FloatArray, root_own: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the responses of some parameters, (G, L, M, S) and (G, L, M, d), to independent errors of unit size."""
    gradients = [batch.gradient(name) for name in names]
    shared = np.stack([g[0] for g in gradients], axis=2) @ root_shared[:, None]
    return shared, np.stack([g[1] for g in gradients], axis=2) @ root_own


def member_weights(fits: Sequence[MemberFit]) -> FloatArray:
    """Return the weight of each member, in the order of the fits; they add up to one.

    Members of one range, order and prior see the same points, so that Akaike's criterion says how likely each shape of
    the step is among them. These groups count alike, but for those that describe their points much worse than the best.
    """
    members = [m for f in fits for m in f.members]
    redchi = np.concatenate([f.redchi for f in fits])
    chi2 = np.concatenate([f.batch.chi2 for f in fits])
    sound = np.concatenate([f.sound for f in fits])
    if not sound.any():
        sound[:] = True
    chi2 = np.where(sound, chi2, np.inf)
    redchi = np.where(sound, redchi, np.inf)
    weight = np.zeros(len(members))
    for window in dict.fromkeys(m.window for m in members):
        at = np.array([k for k, m in enumerate(members) if m.window == window])
        if redchi[at].min() <= BADLY * redchi.min():
            weight[at] = model_weights(chi2[at].tolist(), [0] * at.size, max(float(redchi[at].min()), 1.0))
    return np.asarray(weight / weight.sum())


def split_error(z: FloatArray, background_z: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return two variances of numbers: with a known background, and what the background's coefficients add.

    Parameters
    ----------
    z : ndarray, shape (..., K, D)
        Whitened responses.
    background_z : ndarray, shape (..., b, D)
    """
    direction = np.linalg.qr(np.swapaxes(background_z, -1, -2))[0]
    due = ((z @ direction) ** 2).sum(axis=-1)
    return np.maximum((z**2).sum(axis=-1) - due, 0.0), due


def _against(numbers: Derived, against: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return differences or ratios (G, L, K), and their derivatives by the number of the sample and of the other."""
    ratio = np.array([kind == "amount" for kind, _ in numbers.names])
    mine, other = numbers.value, numbers.value[:, against : against + 1]
    with np.errstate(all="ignore"):
        quotient = mine / other
        return (
            np.where(ratio, quotient, mine - other),
            np.where(ratio, 1.0 / other, 1.0),
            np.where(ratio, -quotient / other, -1.0),
        )


def energy_error(numbers: Derived, sigma: FloatArray, common: float, against: int | None) -> FloatArray:
    """Return what the energy scales add to the error of each number, (G, L, K).

    Parameters
    ----------
    numbers : Derived
    sigma : ndarray, shape (L,)
        Standard error of each sample's energies in eV.
    common : float
        Standard error in eV that all of them share.
    against : int or None
        The sample that others are compared with.
    """
    mine, other = numbers.drift, np.zeros(())
    of_other = 0.0
    if against is not None:
        _, one, two = _against(numbers, against)
        mine, other, of_other = one * mine, two * mine[:, against : against + 1], float(sigma[against])
    own = (mine * sigma[:, None]) ** 2 + (other * of_other) ** 2
    return np.asarray(np.sqrt(own + ((mine + other) * common) ** 2))


def pair(numbers: Derived, against: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return each sample against one of them: values (G, L, K) and whitened responses (G, L, K and b, S + 2 d).

    Places and shares are subtracted, amounts divided.
    """
    value, one, two = _against(numbers, against)
    one, two = one[..., None], two[..., None]
    base = slice(against, against + 1)
    own_two = np.broadcast_to(numbers.own[:, base], numbers.own.shape)
    z = np.concatenate(
        [one * numbers.shared + two * numbers.shared[:, base], one * numbers.own, two * own_two], axis=-1
    )
    empty = np.zeros_like(numbers.background_own)
    of_other = np.broadcast_to(numbers.background_own[:, base], empty.shape)
    shared_other = np.broadcast_to(numbers.background_shared[:, base], numbers.background_shared.shape)
    background_z = np.concatenate(
        [
            np.concatenate([numbers.background_shared, numbers.background_own, empty], axis=-1),
            np.concatenate([shared_other, empty, of_other], axis=-1),
        ],
        axis=-2,
    )
    return value, z, background_z
