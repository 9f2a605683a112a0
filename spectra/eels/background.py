"""The background before an edge: a power law through many windows at once, each a member of an ensemble.

ln b = a - r x with x = ln(E / E0), by least squares of ln y weighted with the counts y, which is what Gatan's
DigitalMicrograph does (its stored backgrounds are met to 3e-5). All sums are running sums over the channels, so that
25 windows of 42 spectra cost little more than one.

Real backgrounds are no power laws: ln y over ln E is bent. Between the edges of a layered oxide at 300 kV the second
derivative halves came out as -2.5, -2.7, +1.9 and -2.2 (stretches 455-512, 560-625, 675-755, 870-1050 eV). That bend is
a nuisance of known size, and what it does to the extrapolated background is a part of the error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import DataError

__all__ = ["LEAST_CHANNELS", "PowerLaws", "countable", "fit_power_laws", "nothing", "windows"]

FloatArray = NDArray[np.float64]

LEAST_CHANNELS = 8
"""Channels of a window at least."""

LEAST_COUNTS = 10.0
"""Mean counts of a channel at least, in units of the variance of one count: below, ln y is no longer nearly linear."""


def windows(onset: float, gaps: tuple[float, ...], lengths: tuple[float, ...]) -> FloatArray:
    """Return the ensemble of windows before an edge, shape (m, 2), in eV: every gap with every length."""
    ends = onset - np.repeat(np.asarray(gaps, float), len(lengths))
    return np.column_stack([ends - np.tile(np.asarray(lengths, float), len(gaps)), ends])


@dataclass(frozen=True, eq=False)
class PowerLaws:
    """Power laws of L spectra in m windows.

    Attributes
    ----------
    energy : ndarray, shape (n,)
        eV.
    centre : ndarray, shape (m,)
        E0 of each window in eV.
    log_a, r : ndarray, shape (L, m)
        ln of the background at E0, and the exponent.
    covariance : ndarray, shape (L, m, 2, 2)
        Of (ln a, -r), for a variance of one count a count.
    bend : ndarray, shape (L, m, 2)
        What (ln a, -r) change by where ln b has a further x squared.
    span : slice
        Channels of all windows together.
    inside : ndarray of bool, shape (m, s)
        Which of these s channels a window holds.
    """

    energy: FloatArray
    centre: FloatArray
    log_a: FloatArray
    r: FloatArray
    covariance: FloatArray
    bend: FloatArray
    span: slice
    inside: NDArray[np.bool_]

    def x(self, rows: slice | NDArray[np.intp] = slice(None)) -> FloatArray:
        """Return ln(E / E0), shape (m, k), of some channels."""
        return np.asarray(np.log(self.energy[rows][None, :] / self.centre[:, None]))

    def values(self, rows: slice | NDArray[np.intp] = slice(None)) -> FloatArray:
        """Return the backgrounds, shape (L, m, k), at some channels."""
        return np.asarray(np.exp(self.log_a[..., None] - self.r[..., None] * self.x(rows)[None]))


def fit_power_laws(energy: FloatArray, counts: FloatArray, members: FloatArray, variance: float = 0.0) -> PowerLaws:
    """Fit a power law to each spectrum in each window.

    Weights that are the counts themselves make the mean of ln y too high by half a variance over the mean; of a hundred
    counts that is 0.5 %. It is taken off.

    Parameters
    ----------
    energy : ndarray, shape (n,)
        eV, rising, above zero.
    counts : ndarray, shape (L, n)
    members : ndarray, shape (m, 2)
        Ends of the windows in eV; channels from the first to the last that lies inside.
    variance : float, optional
        Variance over mean of single channels; 0 leaves the bias in, as Gatan's program does.

    Returns
    -------
    PowerLaws

    Raises
    ------
    DataError
        If a window reaches beyond the data or is too narrow, or counts in it are not above zero, see `countable`.
    """
    first, last = _channels(energy, members)
    span = slice(int(first.min()), int(last.max()))
    y = counts[:, span]
    if not (y > 0).all():
        raise DataError("there are channels without counts in the windows before the edge", hint="sum places")
    middle = float(energy[span].mean())
    x, log = np.log(energy[span] / middle), np.log(y)
    powers = [*(y * x**k for k in range(4)), y * log - 0.5 * variance, x * (y * log - 0.5 * variance)]
    running = np.concatenate([np.zeros((len(powers), len(y), 1)), np.cumsum(powers, axis=-1)], axis=-1)
    sums = running[..., last - span.start] - running[..., first - span.start]
    s0, s1, s2, s3, t0, t1 = sums
    determinant = s0 * s2 - s1**2
    slope = (s0 * t1 - s1 * t0) / determinant
    level = (t0 - slope * s1) / s0
    # x is counted from the common middle; E0 of a window is its own centre, where level and slope are nearly apart
    centre = np.exp((s1 / s0).mean(0)) * middle
    u = np.log(centre / middle)
    bend = np.stack([(s2 * s2 - s1 * s3) / determinant, (s0 * s3 - s1 * s2) / determinant], axis=-1)
    # of x² = (x' + u)², in x' = x - u: the curve 1·x'² is x² - 2u x + u²
    bend = np.stack([bend[..., 0] + u * bend[..., 1] - u**2, bend[..., 1] - 2 * u], axis=-1)
    turn = np.zeros((*level.shape, 2, 2))
    turn[..., 0, 0] = (s2 - 2 * u * s1 + u**2 * s0) / determinant
    turn[..., 1, 1] = s0 / determinant
    turn[..., 0, 1] = turn[..., 1, 0] = -(s1 - u * s0) / determinant
    channel = np.arange(span.start, span.stop)
    inside = (channel >= first[:, None]) & (channel < last[:, None])
    return PowerLaws(energy, centre, level + slope * u, -slope, turn, bend, span, inside)


def nothing(energy: FloatArray, places: int) -> PowerLaws:
    """Return the background of L spectra of which it was taken off already: none, in one member."""
    zero = np.zeros((places, 1))
    shape = (places, 1, 2)
    none = np.zeros((1, 0), dtype=bool)
    return PowerLaws(
        energy, energy[:1].copy(), zero - np.inf, zero, np.zeros((*shape, 2)), np.zeros(shape), slice(0, 0), none
    )


def countable(energy: FloatArray, counts: FloatArray, members: FloatArray, variance: float) -> NDArray[np.bool_]:
    """Tell which spectra have the counts that a logarithm needs in all windows, shape (L,).

    Parameters
    ----------
    energy, counts, members
        As those of `fit_power_laws`.
    variance : float
        Variance over mean of single channels.

    Raises
    ------
    DataError
        If a window reaches beyond the data or is too narrow.
    """
    first, last = _channels(energy, members)
    y = counts[:, int(first.min()) : int(last.max())]
    return np.asarray((y > 0).all(axis=1) & (y.mean(axis=1) > LEAST_COUNTS * max(variance, 1e-12)))


def _channels(energy: FloatArray, members: FloatArray) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the first channel of each window and the one after its last."""
    first = np.searchsorted(energy, members[:, 0] - 1e-6)
    last = np.searchsorted(energy, members[:, 1] + 1e-6)
    step = float(energy[1] - energy[0])
    short = (last - first < LEAST_CHANNELS) | (members[:, 0] < energy[0] - step) | (members[:, 1] > energy[-1] + step)
    if short.any():
        low, high = members[int(np.argmax(short))]
        raise DataError(
            f"the window {low:.1f} to {high:.1f} eV before the edge lies outside the data ({energy[0]:.1f} to "
            f"{energy[-1]:.1f} eV), or has fewer than {LEAST_CHANNELS} channels",
            hint="give shorter lengths or gaps of the ensemble",
        )
    return first, last
