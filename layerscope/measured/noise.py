"""What the errors of measured intensities are: of counts, of rates, of counts that were multiplied or divided down."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

import numpy as np

from layerscope.errors import DataError
from layerscope.measured.measurement import FloatArray, Measurement
from layerscope.measured.scatter import PoissonScale, mean_scale, poisson_scale

__all__ = ["count_quantum", "factor_or_errors", "gives_errors", "noise_factor", "with_poisson_errors"]

M = TypeVar("M", bound=Measurement)

UNKNOWN = ("NOISE_UNKNOWN",)

ERRORS_OF_COUNTS = 0.05
"""Relative difference from the square of the errors in a file within which they are those of counts, rounded."""

MINIMUM_DISTINCT_COUNTS = 10
"""With fewer different counts a common divisor could be chance: ten of ten are even in one of 1000 spectra."""


def noise_factor(measurements: Sequence[Measurement], noise: str) -> tuple[float, float | None, tuple[str, ...]]:
    """Return variance over mean of the intensities, its standard error if estimated, and flags.

    Parameters
    ----------
    measurements : sequence of Measurement
        Of one series.
    noise : {"poisson", "scaled"}
        As in the recipe.

    Returns
    -------
    factor : float
        1 for counts, 1/t for counts per second, the estimate from flat regions for ``"scaled"``.
    sigma : float or None
    flags : tuple of str
        ``NOT_COUNTS:0.70`` where intensities are taken for counts and do not scatter as such; ``NOISE_CORRELATED``
        with what to know where neighbouring points are correlated.

    Raises
    ------
    DataError
        If the unit is arbitrary and `noise` is not ``"scaled"``, or a rate has no counting time.
    """
    found, expected = _mean_scatter(measurements), _expected(measurements[0])
    # smoothing and interpolating take scatter away from neighbours: what is bounded from above can only be too low
    low = found is not None and expected is not None and found.alone / expected < 1.0 - _tolerance(found, expected)
    told = found is not None and (not found.bound or low or (expected is None and found.is_correlated))
    if noise == "scaled":
        if found is None or not told or not found.factor > 0:
            raise DataError("too few flat points tell the noise", hint="give the full range, or noise = 'poisson'")
        if _alike(found, expected):
            return found.alone, found.alone_sigma, ()
        if found.crowded and found.summed > found.factor:
            return found.summed, found.summed_sigma, UNKNOWN  # neighbours may go together, so the errors are wide
        return found.factor, found.sigma, _correlated(found)
    if expected is None:
        raise _unknown_errors(measurements[0])
    if found is None or not told:
        return expected, None, UNKNOWN
    if _alike(found, expected):
        return expected, None, ()
    unlike = abs(found.factor / expected - 1) > max(0.1, 5 * found.sigma / max(expected, found.factor))
    flags = (f"NOT_COUNTS:{found.factor / expected:.2f}",) if unlike else ()
    return expected, None, (*flags, *_correlated(found))


def _expected(measurement: Measurement) -> float | None:
    """Return variance over mean of counts; None where the intensities are none, or a rate without a time."""
    if measurement.intensity_unit == "counts/s":
        return None if measurement.exposure_s is None else 1.0 / measurement.exposure_s
    return 1.0 if measurement.intensity_unit == "counts" else None


def _unknown_errors(measurement: Measurement) -> DataError:
    if measurement.intensity_unit == "counts/s":
        return DataError(
            "intensities are rates without a counting time", source=measurement.source, hint="noise = 'scaled'"
        )
    return DataError(
        "the intensities are no counts, so their errors are not known",
        source=measurement.source,
        hint="noise = 'scaled' estimates them from flat regions",
    )


def _tolerance(found: PoissonScale, expected: float) -> float:
    # a scatter of three times the counts' has three times the error: what counts is the error that counts would have
    return max(0.1, 5 * found.alone_sigma / max(expected, found.alone))


def _alike(found: PoissonScale, expected: float | None) -> bool:
    """Tell whether neighbours scatter as counts do."""
    return expected is not None and abs(found.alone / expected - 1) <= _tolerance(found, expected)


def _correlated(found: PoissonScale) -> tuple[str, ...]:
    return (f"NOISE_CORRELATED:{found.note}",) if found.is_correlated else ()


def factor_or_errors(
    measurements: Sequence[Measurement], noise: str
) -> tuple[float | None, float | None, tuple[str, ...]]:
    """Return what `noise_factor` does, or no factor where the files give errors of their own, which are to be taken.

    Raises
    ------
    DataError
        As `noise_factor`, or if only some of the measurements come with errors.
    """
    given = [gives_errors(one) for one in measurements]
    if noise == "scaled" or not any(given):
        return noise_factor(measurements, noise)
    if not all(given):
        one = measurements[given.index(False)]
        raise DataError(f"others come with errors, {one.name} does not", source=one.source, hint="noise = 'scaled'")
    return None, None, ()


def gives_errors(measurement: Measurement) -> bool:
    """Tell whether a file gives errors, and others than those that its counts have anyway."""
    variance = measurement.variance
    if variance is None:
        return False
    known = np.isfinite(variance) & (True if measurement.use is None else measurement.use)
    counts = np.maximum(measurement.intensity[known], 1.0)
    plain = measurement.intensity_unit == "counts"
    return not (plain and np.allclose(variance[known], counts, rtol=ERRORS_OF_COUNTS))


def _mean_scatter(measurements: Sequence[Measurement]) -> PoissonScale | None:
    """Return the mean noise of about twenty of them, None where none has enough flat points to tell it."""
    sampled = measurements[:: max(1, len(measurements) // 20)]
    sums: dict[int, FloatArray] = {}
    for one in sampled:  # lines too weak to be seen in one level add up over levels, in the mean noise as here
        size = one.intensity.size
        sums[size] = sums.get(size, np.zeros(size)) + one.intensity
    estimates = []
    for one in sampled:
        with suppress(DataError):
            estimates.append(poisson_scale(one, lines=sums[one.intensity.size]))
    return mean_scale(estimates) if estimates else None


def with_poisson_errors(measurement: M, factor: float) -> M:
    """Return a measurement with the variance that its noise has: factor times intensity, at least that of one count.

    Parameters
    ----------
    measurement : Measurement
    factor : float
        Variance over mean intensity, see `noise_factor`.
    """
    metadata = {**measurement.metadata, "variance": f"{factor:.6g} times the intensity, from its noise"}
    variance = factor * np.maximum(measurement.intensity, factor)
    return replace(measurement, variance=variance, metadata=metadata)


def count_quantum(measurement: Measurement) -> float:
    """Return the step in which the counts of a measurement come.

    Some instruments divide a strong signal down and multiply it up again: the counts then are multiples of, say, 10,
    and their variance is not their number but 10 times it. Weights that overlook this are too strong by that factor.

    Parameters
    ----------
    measurement : Measurement
        With counts, or a rate whose counting time is known.

    Returns
    -------
    float
        The largest whole number that divides all counts (variance = quantum * counts); 1 if the counts are not whole,
        or too few differ to tell.

    Raises
    ------
    DataError
        If the intensity is a rate without a counting time.
    """
    counts = measurement.real_counts()
    whole = np.round(counts)
    # A rate stored as a 32-bit float leaves 1e-7 of the value.
    if (np.abs(counts - whole) > 0.01 + 2e-7 * np.abs(counts)).any() or np.unique(whole).size < MINIMUM_DISTINCT_COUNTS:
        return 1.0
    return float(max(int(np.gcd.reduce(whole.astype(np.int64))), 1))
