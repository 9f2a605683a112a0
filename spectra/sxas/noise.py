"""How much a spectrum scatters: measured on the ratio to the incident flux, never taken for the square root of counts.

Readings of a beamline are currents, voltages turned into pulses, or counts: their scatter was seen to be 0.02 to 10
times that of counts. The noise of the beam is common to signal and monitor and cancels in the ratio. So the ratio's own
scatter is measured, from differences of neighbouring points that no smooth curve leaves over, and compared with what
counts would have.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from layerscope.errors import DataError
from layerscope.measured.measurement import FloatArray

__all__ = ["Noise", "differences", "measured_noise"]

ORDER, HIGHER = 3, 5
"""Orders of the differences: the higher one counts where the lower one still sees the spectrum."""

STRUCTURE = 0.8
"""Noise by the higher order over that by the lower one, below which the lower one saw more than noise."""

LEAST_DIFFERENCES = 15
_TO_SIGMA = 1.4826  # median of the absolute value to standard deviation, for normal noise
_TAIL = 9.0  # squared deviation beyond which a difference counts no further


@dataclass(frozen=True)
class Noise:
    """Noise of one spectrum.

    Attributes
    ----------
    sigma : ndarray, shape (n,)
        Standard deviation of each point.
    law : {"proportional", "counting", "constant"}
        How it goes along the spectrum: with the value, as counts do, or not at all.
    of_counts, of_counts_sigma : float or None
        The scatter over that of counts, and its standard error; None where the readings are not known.
    """

    sigma: FloatArray
    law: str
    of_counts: float | None
    of_counts_sigma: float | None

    @property
    def is_counting(self) -> bool:
        """Whether it is that of counts, within three standard errors."""
        if self.of_counts is None or self.of_counts_sigma is None:
            return False
        return bool(abs(self.of_counts - 1.0) < 3.0 * self.of_counts_sigma)

    def words(self) -> str:
        """Return what a note says of it."""
        laws = {"proportional": "goes with the value", "counting": "goes as that of counts", "constant": "is constant"}
        text = f"noise measured from differences of order {ORDER} of the ratio; it {laws[self.law]}"
        if self.of_counts is None:
            return text
        same = "that of counts" if self.is_counting else "not that of counts"
        return f"{text}, {self.of_counts:.2g} ± {self.of_counts_sigma:.2g} times the square root of N: {same}"


def differences(energy: FloatArray, values: FloatArray, order: int = ORDER) -> FloatArray:
    """Return divided differences of neighbouring points, scaled to the standard deviation of one point.

    Parameters
    ----------
    energy, values : ndarray, shape (n,)
        Steps may differ.
    order : int
        A polynomial of a lower degree leaves nothing.

    Returns
    -------
    ndarray, shape (n - order,)
    """
    x = sliding_window_view(energy, order + 1)
    y = sliding_window_view(values, order + 1)
    gaps = x[:, :, None] - x[:, None, :]
    gaps[:, np.arange(order + 1), np.arange(order + 1)] = 1.0
    weight = 1.0 / np.prod(gaps, axis=2)
    return np.asarray((weight * y).sum(axis=1) / np.sqrt((weight**2).sum(axis=1)))


def measured_noise(
    energy: FloatArray, ratio: FloatArray, signal: FloatArray | None = None, flux: FloatArray | None = None
) -> Noise:
    """Measure the noise of a spectrum from differences of neighbouring points.

    Parameters
    ----------
    energy, ratio : ndarray, shape (n,)
        Spectrum, points that were not measured left out.
    signal, flux : ndarray, shape (n,), optional
        Readings whose ratio it is.

    Raises
    ------
    DataError
        If there are fewer than 15 differences, or nothing scatters.
    """
    if energy.size < LEAST_DIFFERENCES + HIGHER:
        raise DataError(f"{energy.size} points are too few to measure the noise")
    level = np.maximum(np.abs(ratio), 1e-3 * float(np.mean(np.abs(ratio))) + 1e-300)
    counts, known = np.sqrt(level), False
    if signal is not None and flux is not None and bool((signal > 0).all() and (flux > 0).all()):
        counts, known = np.abs(ratio) * np.sqrt(1.0 / signal + 1.0 / flux), True
    laws = {"proportional": level, "counting": counts, "constant": np.ones_like(level)}
    found = {name: _scale(energy, ratio, law) for name, law in laws.items()}
    if not all(scale > 0 for scale, _, _ in found.values()):
        raise DataError("neighbouring points do not differ: the values were smoothed or written with few digits")
    law = max(found, key=lambda name: found[name][1])
    of_counts, error = (found["counting"][0], found["counting"][2]) if known else (None, None)
    return Noise(found[law][0] * laws[law], law, of_counts, error)


def _scale(energy: FloatArray, ratio: FloatArray, law: FloatArray) -> tuple[float, float, float]:
    """Return the noise in units of a law, the likelihood of the law, and the standard error of the first."""
    best = (0.0, -np.inf, 0.0)
    for order in (ORDER, HIGHER):
        spread = np.sqrt(sliding_window_view(law**2, order + 1).mean(axis=1))
        scaled = differences(energy, ratio, order) / spread
        scale = float(_TO_SIGMA * np.median(np.abs(scaled)))
        if order == ORDER or (0 < scale < STRUCTURE * best[0]):
            sigma = scale * spread
            fit = -np.log(np.maximum(sigma, 1e-300)) - 0.5 * np.minimum((scaled / max(scale, 1e-300)) ** 2, _TAIL)
            # neighbouring differences share points: about half of them are independent
            best = (scale, float(fit.mean()), float(1.17 * scale / np.sqrt(scaled.size / 2)))
    return best
