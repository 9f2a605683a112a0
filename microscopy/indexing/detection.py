"""Marks of the point process: how strong a reflection, a forbidden point and clutter show up, or that they do not.

The mark of a spot is the logarithm of its amplitude over the noise, ``½ ln(power)``. A reflection's is normal about its
structure factor times the envelope of the microscope; below the threshold of detection it is missed. The gain and
the envelope are unknown and are summed over a grid, and because the transfer function has zeros no miss costs more
than the probability of meeting one.

Nobody says what an image was taken with, so three laws compete: coherent images of thin and of thick crystals, and
incoherent dark-field images, where atoms shine by their number, nothing is turned dark by focus, and scattering again
and again lights up no forbidden point.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from ..spots.model import Spots

__all__ = [
    "INCOHERENT",
    "SHELLS",
    "WEAK",
    "Marks",
    "incoherent_marks",
    "log_sum",
    "marks_of",
    "reflection_marks",
    "unmatched_marks",
    "unmatched_of_net",
]

FloatArray = NDArray[np.float64]

INCOHERENT = 0.05
"""Prior share of incoherent dark-field images among those of crystals: most are taken with a parallel beam."""
THIN, THICK = 0.7 * (1 - INCOHERENT), 0.3 * (1 - INCOHERENT)
"""Share of coherent images of crystals whose amplitudes follow the structure factors, and of those where scattering
again and again evens them out and lights up forbidden points."""
EVENED = 0.4
"""Power of the structure factor that a thick crystal's amplitudes follow."""
SPREAD = (0.8, 0.75)
"""Standard deviation of the log amplitude of a reflection about that, thin and thick."""
WEAK = np.log(0.03)
"""Log amplitude, over the strongest, below which a reflection may be lit as a forbidden point is."""
LIT = 0.1
"""Share of such reflections that are, in thin crystals; in thick ones their amplitudes are evened out anyway."""
SPREAD_UNKNOWN = 1.2
"""The same where the structure factor is not known."""
ZERO = 0.15
"""Probability that a reflection falls in a zero of the transfer function."""
SPREAD_INCOHERENT, ZERO_INCOHERENT = 0.6, 0.05
"""The same for incoherent images: their transfer falls steadily and has no zeros, yet probes are not round, beams
channel, and scanning blurs."""
ZERO_UNKNOWN = (0.15, 0.5)
"""The same where the structure factors are not known: nets that are all occupied, and such that are half empty."""
GAINS = np.linspace(-1.0, 7.0, 9)
"""Log amplitude of the strongest reflection over the threshold."""
CUTS = np.array([3.5, 5.0, 7.0, 30.0])
"""Envelope of the microscope: it falls as exp(-(g / cut)⁴), 1/nm."""
SHELLS = np.arange(0.5, 12.0, 0.5)
"""Lengths, 1/nm, that forbidden points are counted by."""
GHOST_SPREAD = 1.0
_FAR = 6.0
"""Standard deviations beyond which no spot belongs to a point."""
GHOSTS = (
    ((0.7, 0.0, 0.0), (0.1, 0.05, 0.05), (0.1, 0.2, 0.2), (0.1, 0.0, 0.4)),
    ((0.4, 0.5, 0.05), (0.3, 0.2, 0.2), (0.3, 0.0, 0.4)),
)
"""Forbidden points: share of thin and of thick crystals, and what part of the forbidden points of the zone and of
those of the next Laue zone shows."""
GHOST_LEVELS = np.log([[0.05, 0.05], [0.25, 0.05]])
"""Log amplitude of both over the strongest reflection, in thin and thick crystals."""
CLUTTER_CRYSTAL = ((0.6, 0.0, 0.0), (0.25, 0.5, 0.0), (0.1, 3.0, 0.0), (0.05, 0.0, 1.5))
CLUTTER_ALONE = ((0.88, 0.0, 0.0), (0.05, 0.5, 0.0), (0.02, 3.0, 0.0), (0.05, 0.0, 1.5))
"""Share of windows, and their mean number of spots that are neither lattice nor noise, anywhere and on the axes of the
transform (scanning), with and without a crystal."""
AXIS = 0.75
"""Half width, in bins of the transform, of the line on which scanning leaves spots."""


@dataclass(frozen=True, eq=False)
class Marks:
    """The spots of one window as the likelihood takes them.

    Attributes
    ----------
    z : ndarray of complex, shape (n,)
        Place, 1/nm.
    sigma : ndarray of float64, shape (n,)
        Standard deviation of each coordinate (mean of both).
    mark : ndarray of float64, shape (n,)
        Half the log of the power.
    threshold : float
        Mark from which on a spot is found.
    area : float
        Of the half plane that was searched, 1/nm².
    low, high : float
        Band, 1/nm.
    noise : float
        Expected number of false spots from noise.
    axial : ndarray of bool, shape (n,)
        Whether a spot lies on an axis of the transform.
    axial_area : float
        Of the strips along the axes, 1/nm².
    """

    z: NDArray[np.complex128]
    sigma: FloatArray
    mark: FloatArray
    threshold: float
    area: float
    low: float
    high: float
    noise: float
    axial: NDArray[np.bool_]
    axial_area: float

    @property
    def size(self) -> int:
        """Number of spots."""
        return int(self.z.size)

    def clutter(self, kinds: tuple[tuple[float, float, float], ...]) -> tuple[FloatArray, FloatArray]:
        """Log share of each kind of window with the cost of what it leaves out, and log density of each spot.

        Returns
        -------
        weight : ndarray, shape (k,)
            ln(share) less the expected number of spots.
        density : ndarray, shape (k, n)
            ln of the intensity at each spot, per 1/nm² and unit of mark.
        """
        excess = np.maximum(np.exp(2 * self.mark) - np.exp(2 * self.threshold), 0.0)
        noise = np.log(2.0) + 2 * self.mark - np.minimum(excess, 500.0)
        broad = self.threshold - self.mark
        share, mean, scanned = np.array(kinds).T
        with np.errstate(divide="ignore"):
            anywhere = np.logaddexp(np.log(self.noise) + noise, np.log(mean)[:, None] + broad) - np.log(self.area)
            on_axis = np.where(self.axial, np.log(scanned)[:, None] + broad - np.log(self.axial_area), -np.inf)
        return np.log(share) - mean - scanned - self.noise, np.logaddexp(anywhere, on_axis)

    def only(self, keep: NDArray[np.bool_]) -> Marks:
        """Return some of the spots alone."""
        return replace(self, z=self.z[keep], sigma=self.sigma[keep], mark=self.mark[keep], axial=self.axial[keep])


def marks_of(spots: Spots, systematic: float) -> Marks:
    """Take spots as marks; those on a streak are left out.

    Parameters
    ----------
    spots : Spots
        Of one window.
    systematic : float
        Relative error of a place that is not counting, such as bending of the lattice.
    """
    use = ~spots.on_streak
    g = spots.g[use]
    low, high = spots.band
    variance = np.trace(spots.covariance[use], axis1=1, axis2=2) / 2 + (systematic * np.hypot(g[:, 0], g[:, 1])) ** 2
    area = np.pi / 2 * (high**2 - low**2)
    mark = 0.5 * np.log(np.maximum(spots.power[use], 1e-12))
    ny, nx = spots.window_nm
    if np.isfinite(ny) and np.isfinite(nx):
        threshold = 0.5 * np.log(np.log(max(area * ny * nx, 2.0) / spots.false_alarm))
        threshold = min(threshold, float(mark.min(initial=np.inf)))
        axial = (np.abs(g[:, 0]) < AXIS / nx) | (np.abs(g[:, 1]) < AXIS / ny)
        strips = 2 * AXIS * (high - low) * (1 / nx + 1 / ny)
    else:  # a list of vectors: nothing is known of how strong they are
        threshold = float(mark.min(initial=1.0)) - 1.0
        axial, strips = np.zeros(len(g), dtype=bool), 1.0
    return Marks(
        z=g[:, 0] + 1j * g[:, 1],
        sigma=np.sqrt(variance),
        mark=mark,
        threshold=float(threshold),
        area=float(area),
        low=low,
        high=high,
        noise=spots.false_alarm,
        axial=axial,
        axial_area=float(strips),
    )


def log_sum(values: FloatArray, axis: int | tuple[int, ...]) -> FloatArray:
    """Ln Σ exp along some axes (plain: the arrays here are small and many)."""
    top = values.max(axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(np.exp(values - top).sum(axis=axis)) + np.squeeze(top, axis=axis))


def _missed_table(spread: float, zero: float) -> FloatArray:
    return np.asarray(np.logaddexp(np.log(zero), np.log1p(-zero) + log_ndtr(-_ABOVE / spread)))


_ABOVE = np.arange(-14.0, 8.0, 0.02)
_KINDS = {
    True: tuple(zip((1.0, EVENED), SPREAD, (ZERO, ZERO), strict=True)),
    False: tuple((1.0, SPREAD_UNKNOWN, zero) for zero in ZERO_UNKNOWN),
}
_TABLES = {kind[1:]: _missed_table(*kind[1:]) for kinds in _KINDS.values() for kind in kinds}
_TABLES[SPREAD_INCOHERENT, ZERO_INCOHERENT] = _missed_table(SPREAD_INCOHERENT, ZERO_INCOHERENT)


def reflection_marks(
    marks: Marks,
    log_amplitude: FloatArray,
    radius: FloatArray,
    assigned: NDArray[np.int64],
    seen: NDArray[np.bool_],
    known: NDArray[np.bool_],
) -> FloatArray:
    """Log probability of the marks of the matched and of the absence of the missed reflections.

    Parameters
    ----------
    marks : Marks
        The spots.
    log_amplitude : ndarray, shape (k, n)
        Of the structure factors over the largest.
    radius : ndarray, shape (k, n)
        |g| of each reflection in each match.
    assigned : ndarray of int, shape (k, n)
        Spot of each reflection, -1 for none.
    seen : ndarray of bool, shape (k, n)
        Whether the reflection lies in the band.
    known : ndarray of bool, shape (k,)
        Whether the structure factors are known.

    Returns
    -------
    ndarray, shape (k, 2, gains, cuts)
        For thin and thick crystals; where the structure factors are unknown, for full and half empty nets.
    """
    total = np.zeros((len(radius), 2, GAINS.size, CUTS.size))
    for sure, kinds in _KINDS.items():
        rows = np.flatnonzero(known == sure)
        if rows.size:
            for j, (power, *kind) in enumerate(kinds):
                args = (marks, power * log_amplitude[rows], radius[rows], assigned[rows], seen[rows])
                total[rows, j] = _of_kind(*args, *kind, lit=LIT if sure and j == 0 else 0.0)
    return np.asarray(total - np.log(GAINS.size * CUTS.size))


def incoherent_marks(
    marks: Marks,
    log_contrast: FloatArray,
    radius: FloatArray,
    assigned: NDArray[np.int64],
    seen: NDArray[np.bool_],
    free: NDArray[np.bool_],
) -> FloatArray:
    """Log probability of all marks, were the image an incoherent one; shape (k,), its prior share included.

    Parameters
    ----------
    marks, log_contrast, radius, assigned, seen
        As in `reflection_marks`, the forbidden points that are bright in such an image among the reflections.
    free : ndarray of bool, shape (k, m)
        Spots that none of them explains.
    """
    each = _of_kind(marks, log_contrast, radius, assigned, seen, SPREAD_INCOHERENT, ZERO_INCOHERENT)
    share = np.log(INCOHERENT / (GAINS.size * CUTS.size))
    return np.asarray(share + log_sum(each, (1, 2)) + unmatched_of_net(marks, free))


def _of_kind(
    marks: Marks,
    log_amplitude: FloatArray,
    radius: FloatArray,
    assigned: NDArray[np.int64],
    seen: NDArray[np.bool_],
    spread: float,
    zero: float,
    *,
    lit: float = 0.0,
) -> FloatArray:
    """Log probability by gain and cut for one spread of the amplitudes and one share of zeros.

    `lit` is the share of weak reflections that show themselves as forbidden points do.
    """
    total = np.zeros((len(radius), GAINS.size, CUTS.size))
    matched = assigned >= 0
    k, n = np.nonzero(matched | seen)
    hit = matched[k, n]
    above = log_amplitude[k, n][:, None, None] + _envelope(radius[k, n])
    column = ((above - _ABOVE[0]) * 50.0).clip(0, _ABOVE.size - 1).astype(np.int64)
    each = _TABLES[spread, zero][column]
    mark = np.where(hit, marks.mark[assigned[k, n]] - marks.threshold, 0.0)[:, None, None]
    each[hit] = np.log1p(-zero) + _normal(mark[hit], above[hit], spread)
    weak = np.flatnonzero(log_amplitude[k, n] < WEAK)
    if lit and weak.size:
        ghost = GHOST_LEVELS[0, 0] + _envelope(radius[k, n][weak])
        shown = np.where(
            hit[weak, None, None], _normal(mark[weak], ghost, GHOST_SPREAD), log_ndtr(-ghost / GHOST_SPREAD)
        )
        each[weak] = np.logaddexp(np.log1p(-lit) + each[weak], np.log(lit) + shown)
    if k.size:
        some, first = np.unique(k, return_index=True)
        total[some] = np.add.reduceat(each, first, axis=0)
    return total


def unmatched_marks(
    marks: Marks, free: NDArray[np.bool_], radius: FloatArray, distance: FloatArray, ghosts: NDArray[np.int64]
) -> FloatArray:
    """Log probability of the spots that no reflection explains: clutter, or forbidden points of the zone.

    Forbidden points fall with the envelope of the microscope as reflections do, those that are seen and those that are
    not.

    Parameters
    ----------
    marks : Marks
        The spots.
    free : ndarray of bool, shape (k, m)
        Spots that no reflection explains, in each match.
    radius : ndarray, shape (k, m)
        Length of the vectors of the spots in the pattern, 1/nm.
    distance : ndarray, shape (2, k, m)
        From each spot to the nearest forbidden point of the zone, and of the next Laue zone, in units of its sigma.
    ghosts : ndarray of int, shape (2, k, SHELLS.size)
        Number of either in the band, by the shell that their length lies in.

    Returns
    -------
    ndarray, shape (k, 2, gains, cuts)
        For thin and thick crystals.
    """
    weight, density = marks.clutter(CLUTTER_CRYSTAL)
    alone = free @ density.T + weight
    k, m = np.nonzero(free & (distance.min(axis=0) < _FAR))
    where, first = np.unique(k, return_index=True)
    place = np.exp(-0.5 * distance[:, k, m] ** 2) / (2 * np.pi * marks.sigma[m] ** 2)
    clutter = np.exp(-density[:, m])
    mark = (marks.mark - marks.threshold)[m][:, None, None]
    out = np.empty((len(free), 2, GAINS.size, CUTS.size))
    for kind, (share, parts, levels) in enumerate(zip((THIN, THICK), GHOSTS, GHOST_LEVELS, strict=True)):
        above, shown = (levels[:, None, None, None] + _envelope(at) for at in (radius[k, m], SHELLS))
        seen = np.exp(_normal(mark, above, GHOST_SPREAD))
        shown = np.exp(log_ndtr(shown / GHOST_SPREAD)).reshape(2, SHELLS.size, -1)
        hit = place[..., None, None] * seen
        each = []
        for part, *rates in parts:
            some = np.broadcast_to(alone[..., None, None], (*alone.shape, GAINS.size, CUTS.size))
            if any(rates):
                cost = sum(ghosts[j] @ np.log1p(-rates[j] * shown[j]) for j in (0, 1))
                some = some + cost.reshape(len(free), 1, GAINS.size, CUTS.size)
                if where.size:
                    own = np.einsum("j,jpgc->pgc", rates, hit)
                    gain = np.log1p(clutter[..., None, None] * own)
                    some[where] += np.add.reduceat(gain, first, axis=1).transpose(1, 0, 2, 3)
            each.append(np.log(part) + log_sum(some, 1))
        out[:, kind] = np.log(share) + log_sum(np.array(each), 0)
    return out


def _normal(mark: FloatArray, mean: FloatArray, spread: float) -> FloatArray:
    """Log density of marks."""
    return np.asarray(-0.5 * ((mark - mean) / spread) ** 2 - np.log(spread * np.sqrt(2 * np.pi)))


def _envelope(radius: FloatArray) -> FloatArray:
    """Log amplitude of the strongest reflection over the threshold at some lengths; shape (n, gains, cuts)."""
    return np.asarray(GAINS[:, None] - ((radius[:, None] / CUTS) ** 4)[:, None, :])


def unmatched_of_net(marks: Marks, free: NDArray[np.bool_]) -> FloatArray:
    """Log probability of the spots that no point of a net explains; shape (k,)."""
    weight, density = marks.clutter(CLUTTER_CRYSTAL)
    return log_sum(np.where(free[:, None, :], density, 0.0).sum(axis=2) + weight, 1)
