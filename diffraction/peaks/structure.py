"""Calculated intensities of the declared lines, from the structures in ``reference_data/phases``.

The only module of this folder that touches crystallography: it asks the wing's own adapter of gemmi for |F|^2.
"""

from __future__ import annotations

import numpy as np

from layerscope.crystals import Phase, cell_content, load_phase, reflections
from layerscope.errors import DataError

from .bragg import d_from_two_theta
from .components import ComponentSet, LineComponent
from .fractions import intensity_per_weight

__all__ = ["calculated_factors", "intensity_of"]

NEAR = 0.04
"""Relative distance within which a reflection of a structure is that of the declared line: cells breathe by 3 %."""


def calculated_factors(components: ComponentSet, wavelength: float) -> dict[str, float]:
    """Return the intensity per weight of every component, relative to the first.

    Parameters
    ----------
    components : ComponentSet
        An intergrowth takes the mean of the components that it mixes.
    wavelength : float
        Å.

    Raises
    ------
    DataError
        If a structure has no reflection near the declared line, or a component names no structure.
    """
    factors: dict[str, float] = {}
    bare = [c.id for c in components.components if not (c.phase or c.mixture)]
    if bare:
        raise DataError(
            f"{components.name} names no structure of {', '.join(bare)}",
            hint="take the declared intensities: intensity_from = 'library'",
        )
    for c in components.components:
        if c.phase:
            factors[c.id] = intensity_of(load_phase(c.phase), c, wavelength)
    scale = factors[components.components[0].id]
    factors = {k: v / scale for k, v in factors.items()}
    for c in components.components:
        if c.mixture:
            factors[c.id] = float(np.mean([factors[m] for m in c.mixture]))
    return factors


def intensity_of(phase: Phase, component: LineComponent, wavelength: float) -> float:
    """Return the intensity per weight of the reflection of a structure that is the declared line.

    Raises
    ------
    DataError
        If the structure has no atoms, or no reflection near the line.
    """
    if not phase.sites:
        raise DataError(f"{phase.name} has no atoms: its intensities are not known", source=component.id)
    wanted = float(d_from_two_theta([component.two_theta_deg], wavelength)[0][0])
    found = reflections(phase, 0.9 * wanted)
    at = int(np.abs(found.d / wanted - 1.0).argmin())
    if abs(found.d[at] / wanted - 1.0) > NEAR:
        raise DataError(f"{phase.name} has no reflection near {wanted:.3f} Å", source=component.id)
    mass, volume = cell_content(phase)
    angle = 2.0 * np.degrees(np.arcsin(wavelength / (2.0 * found.d[at])))
    return float(intensity_per_weight(found.multiplicity[at], found.f2[at], mass, volume, angle))
