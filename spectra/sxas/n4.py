"""The share of four-coordinate boron, N4, by linear combination of references with what distorts them as nuisances.

The absorption is T = sum f_k m_k, with the spectra m_k of the references per boron atom and fractions f_k that add up
to one, on a foreign absorption that is a straight line. A yield saturates: y = T (1 + s)/(1 + s T/T_ref) with T all
absorption. A Moebius function of T plus a constant is one of T without that constant, so that foreign absorption,
whatever is taken off before the edge, and s come down to offset + scale T/(1 + g T): g is all that data can tell.
References are moved in energy and made sharper or broader with the sample.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import interpolate

from layerscope.errors import DataError
from layerscope.fitting import Parameters, Series, SeriesFit, fit_series
from layerscope.fitting.basis import BasisValues, Derivative
from layerscope.fitting.compare import model_weights
from layerscope.fitting.shapes import FloatArray

from .features import Estimate

__all__ = ["CoordinationFit", "Reference", "fit_coordination", "ratio_n4"]

GRID_STEP = 0.05  # eV
NARROWER, BROADER = -0.04, 0.30  # eV^2; how far the squared width of the sample's resolution may differ
FIRST_BAND = 8.0  # eV; how far beyond the line before the edge its first strong band is looked for
REACH = 10.0  # eV; unit of the slopes
SLOPE_PRIOR = 0.3  # slope of the foreign absorption over REACH, in edge steps of boron
SHIFT_PRIOR, WIDTH_PRIOR = 0.2, 0.05  # eV, eV^2: how far references lie from the sample, and differ in resolution

CHANGES = np.linspace(NARROWER, BROADER, 18)

Curve = tuple[FloatArray, FloatArray, FloatArray]
Measured = tuple[float, float]
CAUSES: Mapping[str, tuple[str, ...]] = {
    "saturation": ("saturation",),
    "background": ("tilt", "offset"),
    "energy_scale": ("shift", "broadening"),
}


@dataclass(frozen=True)
class Reference:
    """The spectrum of a reference per boron atom, what lies under the edge taken off.

    Attributes
    ----------
    name : str
    four : float
        Share of its boron that has four neighbours, 0 or 1 in general.
    energy, signal, variance : ndarray, shape (n,)
        Energies in eV, ascending.
    step_sigma : float
        Relative standard error of what it was divided by.
    """

    name: str
    four: float
    energy: FloatArray
    signal: FloatArray
    variance: FloatArray
    step_sigma: float = 0.0

    @classmethod
    def of(
        cls,
        name: str,
        four: float,
        energy: FloatArray,
        signal: FloatArray,
        variance: FloatArray,
        pre_eV: tuple[float, float],
        post_eV: tuple[float, float],
    ) -> Self:
        """Take off the line before the edge and divide by the mean beyond it, where absorption is that of atoms.

        A line alone would take the tail of the first strong band for slope (3 % of the step of boric oxide): the tail
        c/(E - E_max)^2 is fitted with it and stays in the spectrum.

        Parameters
        ----------
        pre_eV, post_eV : (float, float)
            Ranges of the line, and of the mean.

        Raises
        ------
        DataError
            If a range holds no points or the edge is negative.
        """
        before, after = ((energy >= low) & (energy <= high) for low, high in (pre_eV, post_eV))
        if before.sum() < 3 or not after.any():
            raise DataError(f"the reference {name!r} has no points before or beyond the edge")
        start = (energy > pre_eV[1]) & (energy < pre_eV[1] + FIRST_BAND)
        top = float(energy[start][signal[start].argmax()]) if start.any() else pre_eV[1] + FIRST_BAND
        middle = 0.5 * (pre_eV[0] + pre_eV[1])
        columns = np.stack([np.ones_like(energy), energy - middle, (energy - top - 1e-9) ** -2.0], axis=1)
        weight = 1.0 / np.sqrt(variance[before])
        inverse = np.linalg.pinv(columns[before] * weight[:, None])
        line = columns[:, :2] @ (inverse @ (signal[before] * weight))[:2]
        reach = columns[after, :2].mean(axis=0) @ inverse[:2]
        step = float((signal - line)[after].mean())
        if step <= 0:
            raise DataError(f"the reference {name!r} does not rise at the edge")
        sigma = float(np.sqrt(reach @ reach + variance[after].sum() / after.sum() ** 2)) / step
        return cls(name, four, energy, (signal - line) / step, variance / step**2, sigma)

    @cached_property
    def surface(self) -> interpolate.RectBivariateSpline:
        """The spectrum over the change of squared resolution (eV^2) and energy: a spline, with derivatives.

        Convolution with a Gaussian, or its inverse, is a factor exp(-w k^2/2) on the Fourier transform; beyond where
        the transform has sunk into the noise it is set to zero.
        """
        grid = np.arange(self.energy[0], self.energy[-1], GRID_STEP)
        y = interpolate.make_interp_spline(self.energy, self.signal, 3)(grid)
        pad = grid.size // 2
        ends = [2 * y[0] - y[pad:0:-1], y, 2 * y[-1] - y[-2 : -pad - 2 : -1]]  # odd reflection: no jump, no kink
        whole = np.concatenate(ends)
        tilt = np.linspace(whole[0], whole[-1], whole.size)
        transform = np.fft.rfft(whole - tilt)
        k = 2.0 * np.pi * np.fft.rfftfreq(whole.size, GRID_STEP)
        factors = _kept(k, self._cut(k, transform)) * np.exp(-0.5 * CHANGES[:, None] * k**2)
        rows = np.fft.irfft(transform * factors, whole.size) + tilt
        # what becomes of white noise of the points, whose own transform ends at pi over their distance
        self._noise[:] = (factors**2).sum(axis=1) * (k[1] - k[0]) / (np.pi / np.median(np.diff(self.energy)))
        return interpolate.RectBivariateSpline(CHANGES, grid, rows[:, pad : pad + grid.size], kx=3, ky=3)

    @cached_property
    def _noise(self) -> FloatArray:
        return np.ones(CHANGES.size)

    def variance_at(self, energy: FloatArray, change: float) -> FloatArray:
        """Return the variance at energies in eV after a change of squared resolution in eV^2."""
        return np.interp(energy, self.energy, self.variance) * max(float(np.interp(change, CHANGES, self._noise)), 1.0)

    def _cut(self, k: NDArray[np.floating], transform: NDArray[np.complex128]) -> float:
        """Return the wave number from which on the transform is noise, in 1/eV."""
        noise = np.sqrt(float(np.median(self.variance)) * transform.size * np.median(np.diff(self.energy)) / GRID_STEP)
        size = np.abs(transform)
        width = max(size.size // 50, 3)
        smooth = np.sqrt(np.convolve(size**2, np.ones(width) / width, "same"))
        above = np.flatnonzero(smooth > 3.0 * noise)
        return float(k[above[-1]]) if above.size else float(k[-1])


def _kept(k: NDArray[np.floating], cut: float) -> FloatArray:
    return np.asarray(np.exp(-((k / cut) ** 12)))


@dataclass(frozen=True)
class _Mixture:
    """References in some proportion, saturated: the model of the engine."""

    references: tuple[Reference, ...]
    nonnegative: tuple[bool, ...] = (False, False)
    linear_names: tuple[str, ...] = ("scale", "offset")

    @property
    def nonlinear_names(self) -> tuple[str, ...]:
        """Fractions of all references but the first, saturation, slope of the foreign absorption, energy, width."""
        return (*(f"f_{k}" for k in range(1, len(self.references))), "saturation", "tilt", "shift", "broadening")

    def basis(self, x: FloatArray, q: FloatArray, *, derivatives: bool = True) -> BasisValues:
        """Return the saturated absorption and a constant, with derivatives of the first."""
        rows, extra = len(q), len(self.references) - 1
        fractions = np.concatenate([1.0 - q[:, :extra].sum(axis=1, keepdims=True), q[:, :extra]], axis=1)
        strength, tilt, shift, width = (q[:, extra + k, None] for k in range(4))
        axis = np.broadcast_to(x, (rows, x.shape[-1]))
        place, change = axis - shift, np.broadcast_to(width, axis.shape)
        u = (axis - axis.mean(axis=1, keepdims=True)) / REACH
        curves = [r.surface.ev(change, place) for r in self.references]
        total = sum(fractions[:, k, None] * m for k, m in enumerate(curves)) + tilt * u
        under = 1.0 + strength * total
        columns = np.stack([total / under, np.ones_like(u)], axis=1)
        if not derivatives:
            return BasisValues(columns, [])
        slope = 1.0 / under**2
        moved, wider = (
            sum(fractions[:, k, None] * r.surface.ev(change, place, **d) for k, r in enumerate(self.references))
            for d in ({"dy": 1}, {"dx": 1})
        )
        by = [*(m - curves[0] for m in curves[1:]), -(total**2), u, -moved, wider]
        return BasisValues(columns, [Derivative(k, 0, slope * d) for k, d in enumerate(by)])


@dataclass(frozen=True)
class CoordinationFit:
    """N4 of one sample.

    Attributes
    ----------
    n4 : Estimate
        Mean over subsets of the references, by AICc. Its budget: ``counting``, ``saturation``, ``background``,
        ``energy_scale`` (position and resolution), ``ensemble`` (the subsets) and ``references`` (what is known of
        their normalisation per boron atom).
    lost : Estimate
        Share of the signal that saturation takes at the maximum, if the references' zero is that of all absorption.
    weights : dict of str to float
        Of each subset of references, with and without saturation.
    best : SeriesFit
        Of the subset with the lowest AICc.
    curves : dict of str to ndarray, shape (n,)
        ``energy``, ``data``, ``fit``, and the part of each reference in the best subset, saturated like the whole.
    """

    n4: Estimate
    lost: Estimate
    weights: dict[str, float]
    best: SeriesFit
    curves: dict[str, FloatArray]

    @property
    def flags(self) -> tuple[str, ...]:
        """What the residual of the best subset says; that its nuisances are correlated changes nothing.

        Noise of the references, made smooth by their splines, stands in all points alike: where their variance and
        that of the sample explain the residual, its structure is that.
        """
        explained = ("CORRELATED", "RESIDUAL_STRUCTURE") if self.best.redchi <= 1.0 else ("CORRELATED",)
        return tuple(flag for flag in self.best.flags() if not flag.startswith(explained))


def fit_coordination(
    curve: Curve,
    references: Sequence[Reference],
    range_eV: tuple[float, float],
    *,
    per_boron_sigma: float = 0.02,
) -> CoordinationFit:
    """Return N4 of a sample from the mixture of references that describes its B K spectrum.

    Parameters
    ----------
    curve : (energy, signal, variance), each of shape (n,)
        Energies in eV; the signal in any unit, on any constant.
    references : sequence of Reference
        At least one with three and one with four neighbours.
    range_eV : (float, float)
        Range that is compared.
    per_boron_sigma : float
        Relative standard error of the references' normalisation per boron atom against each other.

    Raises
    ------
    DataError
        If references are missing, or they or the sample do not reach over the range.
    """
    _check(curve, references, range_eV)
    inside = (curve[0] >= range_eV[0]) & (curve[0] <= range_eV[1])
    energy, signal, variance = (part[inside] for part in curve)
    scale = float(np.ptp(signal))
    part = (energy, signal / scale, variance / scale**2)
    subsets = [s for k in range(1, len(references) + 1) for s in itertools.combinations(references, k)]
    fits = [_Fitted.of(part, subset, saturates) for subset in subsets for saturates in (False, True)]
    weight = _weights(fits)
    best = fits[int(weight.argmax())]
    n4 = _mean(np.array([f.n4 for f in fits]), [f.n4_parts for f in fits], weight)
    norm = np.sqrt(per_boron_sigma**2 + sum(r.step_sigma**2 for r in references))
    n4.budget["references"] = float(norm * abs(n4.value * (1.0 - n4.value)))
    lost = _mean(np.array([f.lost for f in fits]), [{"counting": f.lost_sigma} for f in fits], weight)
    named = {f.name: float(w) for f, w in zip(fits, weight, strict=True)}
    return CoordinationFit(n4, lost, named, best.fit, best.curves(scale))


def _check(curve: Curve, references: Sequence[Reference], range_eV: tuple[float, float]) -> None:
    four = [r.four for r in references]
    if not four or min(four) > 0.0 or max(four) < 1.0:
        raise DataError("N4 needs a reference with three and one with four neighbours of boron")
    spans = {r.name: r.energy for r in references} | {"the sample": curve[0]}
    for name, energy in spans.items():
        room = 0.0 if name == "the sample" else 0.5
        if energy[0] > range_eV[0] - room or energy[-1] < range_eV[1] + room:
            raise DataError(f"{name} ({energy[0]:g} to {energy[-1]:g} eV) does not reach over {range_eV} eV")


def _mean(values: FloatArray, parts: Sequence[Mapping[str, float]], weight: FloatArray) -> Estimate:
    """Return the weighted mean with the mean variances and the spread."""
    value = float(weight @ values)
    budget = {key: float(np.sqrt(weight @ np.array([p[key] for p in parts]) ** 2)) for key in parts[0]}
    return Estimate(value, budget | {"ensemble": float(np.sqrt(weight @ (values - value) ** 2))})


def _weights(fits: Sequence[_Fitted]) -> FloatArray:
    """Return Akaike weights with the correction for few points, misfit that all share taken for noise.

    Each fit has the noise of the references as it mixes and sharpens them. They are compared by the same variance, the
    smallest of all: by its own a fit that makes references noisy would be the likelier for it, however far it is off.
    """
    variance = np.min([f.variance for f in fits], axis=0)
    misfit = np.array([float(((f.fit.y[0] - f.fit.expected[0]) ** 2 / variance).sum()) for f in fits])
    n, k = fits[0].fit.n_points, np.array([f.fit.n_estimated for f in fits])
    excess = max(float((misfit / np.maximum(n - k, 1)).min()), 1.0)
    corrected = k + k * (k + 1.0) / np.maximum(n - k - 1.0, 1.0)  # AICc - chi2 = 2 k + 2 k (k + 1)/(n - k - 1)
    return np.asarray(model_weights(misfit.tolist(), corrected.tolist(), excess))


@dataclass(frozen=True)
class _Fitted:
    """One subset of references in one sample."""

    model: _Mixture
    fit: SeriesFit
    variance: FloatArray

    @classmethod
    def of(cls, curve: Curve, references: tuple[Reference, ...], saturates: bool) -> Self:
        """Fit twice: the second time with the references' own noise in the variance."""
        energy, signal, variance = curve
        model = _Mixture(references)
        parameters = Parameters()
        for name in model.nonlinear_names[: len(references) - 1]:
            parameters.add(name, value=1.0 / len(references), min=-1.0, max=2.0)
        parameters.add("saturation", value=0.05 if saturates else 0.0, vary=saturates, min=-0.05, max=5.0)
        parameters.add("tilt", value=0.0, min=-1.0, max=1.0)
        parameters.add("shift", value=0.0, min=-1.0, max=1.0)
        parameters.add("broadening", value=0.0, min=NARROWER, max=BROADER)
        priors = {"tilt": (0.0, SLOPE_PRIOR), "shift": (0.0, SHIFT_PRIOR), "broadening": (0.0, WIDTH_PRIOR)}
        noise = variance
        for _ in range(2):
            series = Series(energy, signal[None], variance=noise[None], priors=priors)
            fit = fit_series(model, parameters, series, weights="given")
            fitted = cls(model, fit, noise)
            change = float(fit.value("broadening")[0])
            own = fitted.fractions[:, None] ** 2 * [r.variance_at(energy, change) for r in references]
            noise = variance + float(fit.value("scale")[0]) ** 2 * own.sum(axis=0)
        return fitted

    @property
    def name(self) -> str:
        """The references, and whether the signal saturates."""
        saturates = self.fit.batch.setup.parameters["saturation"].vary
        return " + ".join(r.name for r in self.model.references) + (", saturated" if saturates else "")

    @property
    def fractions(self) -> FloatArray:
        """Fractions of the references, shape (K,)."""
        free = [float(self.fit.value(name)[0]) for name in self._free]
        return np.array([1.0 - sum(free), *free])

    @property
    def _free(self) -> tuple[str, ...]:
        return self.model.nonlinear_names[: len(self.model.references) - 1]

    @property
    def n4(self) -> float:
        """Share of boron with four neighbours."""
        return float(self.fractions @ [r.four for r in self.model.references])

    @property
    def n4_parts(self) -> dict[str, float]:
        """Parts of its standard error: what each cause would take away if it were known, one after the other."""
        names = [*self._free, *(name for group in CAUSES.values() for name in group)]
        whole = self.fit.covariance_within(names)[0] * max(self.fit.redchi, 1.0)
        four = np.array([r.four for r in self.model.references])
        gradient = np.zeros(len(names))
        gradient[: len(self._free)] = four[1:] - four[0]
        cross, parts, before = whole @ gradient, {}, 0.0
        for group, causes in CAUSES.items():
            at = [k for k, name in enumerate(names) if name in causes or name in _until(group)]
            due = float(cross[at] @ np.linalg.pinv(whole[np.ix_(at, at)], hermitian=True) @ cross[at])
            parts[group] = float(np.sqrt(max(due - before, 0.0)))
            before = max(due, before)
        parts["counting"] = float(np.sqrt(max(gradient @ cross - before, 0.0)))
        return parts

    @property
    def _top(self) -> float:
        return float(self._parts(self.fit.x[0], 0.0).sum(axis=0).max())

    def _parts(self, place: FloatArray, change: float) -> FloatArray:
        """Return what each reference adds to the absorption at energies in its own scale, shape (K, n)."""
        width = np.full_like(place, change)
        curves = np.stack([r.surface.ev(width, place) for r in self.model.references])
        return np.asarray(self.fractions[:, None] * curves)

    @property
    def lost(self) -> float:
        """Share of the signal that saturation takes at the maximum."""
        strength = float(self.fit.value("saturation")[0]) * self._top
        return strength / (1.0 + strength)

    @property
    def lost_sigma(self) -> float:
        """Its standard error."""
        strength = float(self.fit.value("saturation")[0]) * self._top
        return float(self.fit.sigma("saturation")[0]) * self._top / (1.0 + strength) ** 2

    def curves(self, scale: float) -> dict[str, FloatArray]:
        """Return data and fit above the constant, and what each reference adds, in the signal's unit."""
        columns, fit = self.fit.columns()[0], self.fit
        coefficient = [float(fit.value(name)[0]) for name in self.model.linear_names]
        below = coefficient[1] * columns[1]
        found = {"energy": fit.x[0], "data": (fit.y[0] - below) * scale, "fit": (fit.expected[0] - below) * scale}
        shift, change = (float(fit.value(name)[0]) for name in ("shift", "broadening"))
        parts = self._parts(fit.x[0] - shift, change)
        share = coefficient[0] * scale / (1.0 + float(fit.value("saturation")[0]) * parts.sum(axis=0))
        return found | {r.name: share * part for r, part in zip(self.model.references, parts, strict=True)}


def _until(group: str) -> tuple[str, ...]:
    """Return the causes of all groups before one."""
    names = list(CAUSES)
    return tuple(cause for name in names[: names.index(group)] for cause in CAUSES[name])


def ratio_n4(ratio: Measured, three: Measured, four: Measured, totals: Measured) -> tuple[float, float]:
    """Return N4 and its standard error from pi*/total of a sample and of the references.

    Parameters
    ----------
    ratio, three, four : (value, sigma)
        Area of pi* over the total in one window: of the sample and of the references with three and four neighbours.
    totals : (value, sigma)
        Total of the three-coordinate reference over that of the four-coordinate one, per boron atom.

    Notes
    -----
    N4 = 1 - (R - R4)/[(R - R4) + t (R3 - R)], from pi* = f3 R3 T3 + f4 R4 T4 and total = f3 T3 + f4 T4 with t = T3/T4.
    Taking t = 1 where it is 1.10 puts 0.4 off by -0.022. Saturation is not seen by this ratio.
    """
    values = np.array([ratio[0], three[0], four[0], totals[0]])

    def law(v: FloatArray) -> float:
        r, r3, r4, t = v
        return float(1.0 - (r - r4) / ((r - r4) + t * (r3 - r)))

    sigmas = np.array([ratio[1], three[1], four[1], totals[1]])
    steps = np.diag(1e-6 * np.maximum(np.abs(values), 1e-3))
    slopes = np.array([(law(values + h) - law(values - h)) / (2.0 * h.sum()) for h in steps])
    return law(values), float(np.sqrt(((slopes * sigmas) ** 2).sum()))
