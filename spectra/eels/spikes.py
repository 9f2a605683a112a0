"""Single channels that a cosmic ray or a dead diode spoilt: found, replaced by their neighbours, and named."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d

__all__ = ["mend"]

FloatArray = NDArray[np.float64]

FAR = 12.0
"""Standard deviations of a channel from which it is one; of edges, which are wider, fourth differences show little."""
PASSES = 3
"""A detector spreads a spike over channels: what is left of it stands out next."""
MOST = 0.02
"""Share of the channels from which they are noise, and no spikes."""
_FOURTH = np.array([1.0, -4.0, 6.0, -4.0, 1.0]) / 6.0
_SPREAD = float(np.sqrt(70.0) / 6.0)


def mend(counts: FloatArray, variance: FloatArray) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Replace spikes by the straight line between their neighbours.

    Parameters
    ----------
    counts : ndarray, shape (L, n)
    variance : ndarray, shape (L, n)
        Of single channels; smooth.

    Returns
    -------
    counts : ndarray, shape (L, n)
    spikes : ndarray of bool, shape (L, n)
        Where there was one; nowhere in a spectrum with so many that they are its noise.
    """
    mended, every = counts.copy(), np.zeros(counts.shape, dtype=bool)
    for _ in range(PASSES):
        spikes = _spikes(mended, variance)
        if not spikes.any():
            break
        every |= spikes
        channel = np.arange(counts.shape[1])
        for row in np.flatnonzero(spikes.any(axis=1)):
            near = np.convolve(spikes[row], np.ones(3), mode="same") > 0
            mended[row, near] = np.interp(channel[near], channel[~near], mended[row, ~near])
    return mended, every


def _spikes(counts: FloatArray, variance: FloatArray) -> NDArray[np.bool_]:
    """Return the middles of spikes, shape (L, n)."""
    apart = np.zeros_like(counts)
    apart[:, 2:-2] = np.apply_along_axis(np.convolve, 1, counts, _FOURTH, mode="valid")
    # what the data scatter by counts, where that is more: a noise that is understated would make spikes of itself
    usual = np.median(np.abs(apart), axis=1, keepdims=True) / 0.6745
    level = np.sqrt(np.maximum(variance, 0.0)) * _SPREAD
    scale = np.maximum(level, usual * level / np.maximum(np.median(level, axis=1, keepdims=True), 1e-300))
    size = np.abs(apart)
    found = size > FAR * np.maximum(scale, 1e-300)
    found[found.mean(axis=1) > MOST] = False
    return np.asarray(found & (size >= maximum_filter1d(size, 5, axis=1)))
