"""From spectra of a scan to net counts of lines and ratios of elements, with the parts of their errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import DataError
from layerscope.flags import dispersion_flag
from layerscope.measured.measurement import Measurement
from layerscope.measured.noise import noise_factor

from ..places import Scan, without
from .fit import Counted, Tuned, count_lines, design, tune
from .lines import Family, atomic_weights, family
from .options import EdsRecipe

__all__ = ["SEEN", "LineScan", "Ratio", "measure"]

FloatArray = NDArray[np.float64]

LEAST_CHANNELS = 100
BEAM_KV = 200.0
SEEN = 3.0
"""Standard errors from which a line is seen; ratios need a reference of as many."""
UNEXPLAINED = 6.0
"""Standard deviations, over the width of a line, from which what is left of the sum is a line that was not named."""


@dataclass(frozen=True, eq=False)
class Ratio:
    """Atoms of one element for each of the reference.

    Attributes
    ----------
    name : str
        ``"Co/O"``.
    value, sigma : ndarray, shape (L,)
        NaN where the reference is not seen.
    parts : mapping of str to ndarray, shape (L,)
    """

    name: str
    value: FloatArray
    sigma: FloatArray
    parts: dict[str, FloatArray]


@dataclass(frozen=True, eq=False)
class LineScan:
    """All lines of a scan.

    Attributes
    ----------
    scan : Scan
        With the places that can be used.
    families : tuple of Family
    tuned : Tuned
    counted, total : Counted
        At every place, and of the sum of all.
    ratios : tuple of Ratio
    flags : tuple of str
    first_eV : float
        Energy of the first channel in use.
    """

    scan: Scan
    families: tuple[Family, ...]
    tuned: Tuned
    counted: Counted
    total: Counted
    ratios: tuple[Ratio, ...]
    flags: tuple[str, ...]
    first_eV: float


def measure(scan: Scan, recipe: EdsRecipe) -> LineScan:
    """Return counts and ratios at every place of a scan.

    Raises
    ------
    DataError
        If nothing was counted, the data do not reach a line, or their noise is not known.
    """
    empty = {
        k: DataError(f"place {place.index} has no counts", source=place.level.measurement.source or None)
        for k, place in enumerate(scan.places)
        if not scan.counts[k].any()
    }
    scan = without(scan, empty) if empty else scan
    if not scan.places:
        raise DataError("no place has counts")
    inside = (scan.energy >= recipe.range_eV[0]) & (scan.energy <= recipe.range_eV[1])
    if inside.sum() < LEAST_CHANNELS:
        raise DataError(f"{int(inside.sum())} channels lie in range_eV, at least {LEAST_CHANNELS} are needed")
    energy, counts = scan.energy[inside], scan.counts[:, inside]
    families = tuple(family(name) for name in recipe.lines)
    for one in families:
        reach = recipe.detector.start.fwhm(one.energy)
        if not energy[0] + 0.5 * reach < one.energy < energy[-1] - 0.5 * reach:
            raise DataError(
                f"{one.name} at {one.energy:g} eV lies outside the channels in use, {energy[0]:g} to {energy[-1]:g} eV",
                hint="widen range_eV, or leave the line out",
            )
    total = counts.sum(axis=0)
    factor, _, flags = noise_factor([Measurement(energy, total, scan.measured.intensity_unit)], recipe.noise)
    beam = 1000.0 * (recipe.beam_kV or scan.measured.beam_kV or BEAM_KV)
    made = design(energy, families, beam, recipe.detector.start)
    tuned = tune(made, total, recipe.detector.sigmas)
    counted = count_lines(made, counts, tuned, factor)
    summed = count_lines(made, total[None], tuned, factor)
    ratios = tuple(_ratio(counted, families, recipe, number) for number in range(len(recipe.factors)))
    flags = (*flags, *dispersion_flag(tuned.redchi / factor, tuned.freedom), *_unexplained(energy, tuned, factor))
    return LineScan(scan, families, tuned, counted, summed, ratios, flags, float(energy[0]))


def _ratio(counted: Counted, families: tuple[Family, ...], recipe: EdsRecipe, number: int) -> Ratio:
    """Return the atomic ratio that one factor gives (G. Cliff, G. W. Lorimer, J. Microsc. 103, 203 (1975))."""
    factor, names = recipe.factors[number], [one.name for one in families]
    above, below = names.index(factor.line), names.index(str(recipe.relative_to))
    weights = atomic_weights()
    atoms = factor.k * weights[families[below].element] / weights[families[above].element]
    with np.errstate(all="ignore"):
        value, parts = counted.ratio(above, below)
        parts = {name: part * atoms for name, part in parts.items()}
        parts["factor"] = np.abs(value * atoms) * factor.sigma / factor.k
        sigma = np.sqrt(sum(part**2 for part in parts.values()))
        reference = counted.value[:, below] / counted.parts()["counting"][:, below]
    seen = reference > SEEN
    name = f"{families[above].element}/{families[below].element}"
    return Ratio(name, np.where(seen, value * atoms, np.nan), np.where(seen, sigma, np.nan), parts)


def _unexplained(energy: FloatArray, tuned: Tuned, factor: float) -> tuple[str, ...]:
    """Return the flag of what stands out of the residual of the sum like a line."""
    width = tuned.detector.fwhm(energy) / 2.3548
    step = float(energy[1] - energy[0])
    reach = int(np.ceil(3.0 * float(width.max()) / step))
    offsets = step * np.arange(-reach, reach + 1)
    padded = np.pad(tuned.residual, reach)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    kernel = np.exp(-0.5 * (offsets[None, :] / width[:, None]) ** 2)
    significance = (windows * kernel).sum(axis=1) / np.sqrt((kernel**2).sum(axis=1) * factor)
    at = int(np.argmax(significance))
    return (f"UNEXPLAINED_LINE:{energy[at]:.0f} eV",) if significance[at] > UNEXPLAINED else ()
