"""Numbers read off edges: areas, shares, maxima and ratios, each in every member of the ensemble at once.

Every number is a function of the net spectrum y - b. To first order it changes by a sum of ``g`` times the change of
the net counts, ``g`` a weight a channel, and from ``g`` follow all parts of its error: counting (of the edge and of the
background's fit), and what a bent background does. The spread over the members is the part ``ensemble``; since a
member is the same window for all places, differences and ratios are taken inside it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .background import PowerLaws

__all__ = ["Estimate", "Net", "Spectra", "area", "maximum", "ratio", "white_lines"]

FloatArray = NDArray[np.float64]
Scale = tuple[float, float]

NEWTON_STEPS = 12
PEAK = 5.0
"""Standard errors of the smoothed height from which a maximum is one: of noise the highest of ten has two or three."""
L3_SHARE = 2.0 / 3.0
"""Share of the step that lies under L3: four of six electrons."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """One number of L places in m members.

    Attributes
    ----------
    value : ndarray, shape (L, m)
    counting : ndarray, shape (L,)
        Standard error of the mean over the members by counting.
    bend : ndarray, shape (L, m)
        What one standard deviation of the background's bend changes it by, with its sign.
    scale : ndarray, shape (L, m)
        What one standard deviation of the energy axis changes it by, with its sign.
    apart : ndarray, shape (L,)
        What a drift of the axis from place to place changes it by, one standard error.
    """

    value: FloatArray
    counting: FloatArray
    bend: FloatArray
    scale: FloatArray
    apart: FloatArray

    def stated(self) -> tuple[FloatArray, FloatArray, dict[str, FloatArray]]:
        """Return value, standard error and the parts of the error, each of shape (L,).

        The value is the mean over the members.
        """
        value = self.value.mean(axis=1)
        spread = self.value.std(axis=1, ddof=1) if self.value.shape[1] > 1 else np.zeros(len(value))
        parts = {
            "counting": self.counting,
            "ensemble": spread,
            "background": np.abs(self.bend.mean(axis=1)),
            "energy_scale": np.hypot(self.scale.mean(axis=1), self.apart),
        }
        return value, np.sqrt(sum(part**2 for part in parts.values())), parts

    def less(self, rows: NDArray[np.intp]) -> Estimate:
        """Return the differences to the mean of some places, taken inside every member.

        Counting errors and drifts of different places are independent, bend and axis are common to all.
        """
        count, own = len(rows), np.isin(np.arange(len(self.value)), rows)
        mean_variance = float((self.counting[rows] ** 2).sum()) / count**2
        overlap = np.where(own, 1.0 - 2.0 / count, 1.0)
        return Estimate(
            self.value - self.value[rows].mean(axis=0),
            np.sqrt(np.maximum(self.counting**2 * overlap + mean_variance, 0.0)),
            self.bend - self.bend[rows].mean(axis=0),
            self.scale - self.scale[rows].mean(axis=0),
            np.sqrt(self.apart**2 * overlap + (self.apart[rows] ** 2).sum() / count**2),
        )


@dataclass(frozen=True, eq=False)
class Spectra:
    """Spectra of L places on one axis, with their noise.

    Attributes
    ----------
    energy : ndarray, shape (n,)
        eV.
    counts, variance : ndarray, shape (L, n)
        Counts, and what each channel adds to the variance of a sum over many: a detector spreads one electron over
        several channels, so that sums scatter more than their channels.
    noise, alone : float
        Variance over mean of such sums, and of single channels.
    """

    energy: FloatArray
    counts: FloatArray
    variance: FloatArray
    noise: float
    alone: float

    def some(self, rows: NDArray[np.bool_]) -> Spectra:
        """Return some of the places."""
        return replace(self, counts=self.counts[rows], variance=self.variance[rows])


@dataclass(frozen=True, eq=False)
class Net:
    """Net spectra of an edge: channels above the background, in every member.

    Attributes
    ----------
    energy : ndarray, shape (k,)
        eV, on the axis in use.
    counts : ndarray, shape (L, k)
    variance : ndarray, shape (L, k)
        What each channel adds to the variance of a sum over many.
    before : ndarray, shape (L, s)
        Counts of the channels of all windows.
    background : ndarray, shape (L, m, k)
    laws : PowerLaws
    rows : slice
        Of the channels.
    noise : float
        Variance over mean of sums over many channels.
    bend_sigma : float
        Standard deviation of the coefficient of x squared in ln b.
    """

    energy: FloatArray
    counts: FloatArray
    variance: FloatArray
    before: FloatArray
    background: FloatArray
    laws: PowerLaws
    rows: slice
    noise: float
    bend_sigma: float

    @classmethod
    def of(cls, laws: PowerLaws, spectra: Spectra, limits: tuple[float, float], bend_sigma: float) -> Net:
        """Return the net spectra between two energies (eV)."""
        low, high = np.searchsorted(laws.energy, limits)
        rows = slice(max(int(low) - 1, 0), min(int(high) + 1, laws.energy.size))
        counts, variance = spectra.counts[:, rows], spectra.variance[:, rows]
        before, noise = spectra.counts[:, laws.span], spectra.noise
        return cls(laws.energy[rows], counts, variance, before, laws.values(rows), laws, rows, noise, bend_sigma)

    @property
    def values(self) -> FloatArray:
        """Counts above the background, shape (L, m, k)."""
        return self.counts[:, None, :] - self.background

    def share(self, limits: tuple[float, float]) -> FloatArray:
        """Return how much of each channel lies between two energies, times its width (eV), shape (k,)."""
        half = 0.5 * (self.energy[1:] - self.energy[:-1])
        borders = np.append(self.energy - np.append(half[:1], half), self.energy[-1] + half[-1])
        return np.asarray(np.diff(np.clip(borders, *limits)))

    def errors(self, g: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the counting error of the mean over the members, and what a bend changes, of weights g.

        Windows overlap, and their backgrounds go together: the mean over the members is one linear function of the
        channels of all windows, and its error that of this function.

        Parameters
        ----------
        g : ndarray, shape (L, m, k)

        Returns
        -------
        counting : ndarray, shape (L,)
        bend : ndarray, shape (L, m)
            For one standard deviation.
        """
        laws, x, weighted = self.laws, self.laws.x(self.rows), g * self.background
        d = np.stack([weighted.sum(-1), (weighted * x).sum(-1)], axis=-1)
        turned = np.einsum("lmij,lmj->lmi", laws.covariance, d)
        per_count = turned[..., 0] @ laws.inside + turned[..., 1] @ (laws.inside * laws.x(laws.span))
        fitted = self.noise * (per_count**2 * self.before).sum(-1) / g.shape[1] ** 2
        own = (g.mean(axis=1) ** 2 * self.variance).sum(-1)
        bend = -((weighted * x**2).sum(-1) + (d * laws.bend).sum(-1)) * self.bend_sigma
        return np.sqrt(own + fitted), bend

    def linear(self, *weights: FloatArray) -> tuple[FloatArray, ...]:
        """Return the sums over channels with each of the weights, of shape (L, m)."""
        values = self.values
        return tuple(values @ one for one in weights)


def area(net: Net, limits: tuple[float, float], scale: Scale) -> Estimate:
    """Return the net counts between two energies, in counts times eV.

    Parameters
    ----------
    net : Net
    limits : (float, float)
        eV; they are a definition and no nuisance.
    scale : (float, float)
        Standard errors of the axis in eV: common to all places, and of each by itself.
    """
    weights, moved = net.share(limits), _moved(net, limits)
    value, slope = net.linear(weights, moved)
    counting, bend = net.errors(np.broadcast_to(weights, net.background.shape))
    return _stated(value, counting, bend, slope, scale)


def ratio(net: Net, above: tuple[float, float], below: tuple[float, float], scale: Scale) -> Estimate:
    """Return the net counts between two energies over those between two others, such as the share of a pre-peak."""
    return _quotient(net, (net.share(above), _moved(net, above)), (net.share(below), _moved(net, below)), scale)


def white_lines(
    net: Net, third: tuple[float, float], second: tuple[float, float], step: tuple[float, float], scale: Scale
) -> Estimate:
    """Return L3 over L2: net counts of both lines above a step, two thirds of it at L3 and all of it at L2.

    The height of the step is the mean net intensity between the energies `step` behind both (D. H. Pearson et al.,
    Phys. Rev. B 47, 8471 (1993), with windows instead of fits).
    """
    height = net.share(step) / (step[1] - step[0])

    def line(limits: tuple[float, float], part: float) -> tuple[FloatArray, FloatArray]:
        weights = net.share(limits) - part * (limits[1] - limits[0]) * height
        return weights, _moved(net, limits)

    return _quotient(net, line(third, L3_SHARE), line(second, 1.0), scale)


def maximum(net: Net, limits: tuple[float, float], smoothing: float, scale: Scale) -> Estimate:
    """Return where the net spectrum, smoothed by a Gaussian, is highest between two energies, in eV.

    The smoothing makes the place a definition that noise does not move from channel to channel; it is NaN where the
    spectrum has no maximum inside that stands out of its noise.

    Parameters
    ----------
    net : Net
    limits : (float, float)
        eV.
    smoothing : float
        Standard deviation of the Gaussian in eV.
    scale : (float, float)
        As in `area`.
    """
    values, energy = net.values, net.energy
    grid = energy[(energy >= limits[0]) & (energy <= limits[1])]
    kernels = np.exp(-0.5 * ((energy[:, None] - grid[None, :]) / smoothing) ** 2)
    place = grid[np.argmax(values @ kernels, axis=-1)]
    for _ in range(NEWTON_STEPS):
        slope, curvature, _ = _kernel(energy, values, place, smoothing)
        with np.errstate(all="ignore"):
            move = -slope / curvature
        place = place + np.where(curvature < 0, np.clip(move, -smoothing, smoothing), 0.0)
    slope, curvature, weights = _kernel(energy, values, place, smoothing)
    kernel = np.exp(-0.5 * ((energy - place[..., None]) / smoothing) ** 2)
    height, spread = (kernel * values).sum(-1), net.errors(kernel)
    scatter = np.sqrt(spread[0] ** 2 + spread[1].mean(axis=1) ** 2 + height.var(axis=1))
    stands = height.mean(axis=1) > PEAK * scatter
    inside = (curvature < 0) & (place > limits[0]) & (place < limits[1]) & stands[:, None]
    found = np.where(inside, place, np.nan)
    with np.errstate(all="ignore"):
        counting, bend = net.errors(np.where(inside, -1.0 / curvature, np.nan)[..., None] * weights)
    return _stated(found, counting, bend, np.ones_like(found), scale)


def _kernel(energy: FloatArray, values: FloatArray, place: FloatArray, width: float) -> tuple[FloatArray, ...]:
    """Return slope and curvature of the smoothed spectrum at a place, and the weights of the slope."""
    u = (energy - place[..., None]) / width
    kernel = np.exp(-0.5 * u**2)
    weights = u * kernel / width
    return (weights * values).sum(-1), ((u**2 - 1.0) / width**2 * kernel * values).sum(-1), weights


def _moved(net: Net, limits: tuple[float, float]) -> FloatArray:
    """Return the derivative of weights by where the limits are, per eV: over a channel to either side."""
    step = float(net.energy[1] - net.energy[0])
    up, down = ((limits[0] + s, limits[1] + s) for s in (step, -step))
    return 0.5 * (net.share(up) - net.share(down)) / step


def _stated(value: FloatArray, counting: FloatArray, bend: FloatArray, slope: FloatArray, scale: Scale) -> Estimate:
    return Estimate(value, counting, bend, slope * scale[0], np.abs(slope.mean(axis=1)) * scale[1])


def _quotient(
    net: Net, above: tuple[FloatArray, FloatArray], below: tuple[FloatArray, FloatArray], scale: Scale
) -> Estimate:
    (top, top_moved), (bottom, bottom_moved) = (net.linear(*one) for one in (above, below))
    with np.errstate(all="ignore"):
        value = top / bottom
        g = above[0] / bottom[..., None] - (top / bottom**2)[..., None] * below[0]
        counting, bend = net.errors(g)
        slope = top_moved / bottom - value * bottom_moved / bottom
    return _stated(value, counting, bend, slope, scale)
