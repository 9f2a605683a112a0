"""The geometry of a divergent-beam (Bragg–Brentano) diffractometer, in lengths and angles that can be measured."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from layerscope.errors import RecipeError

__all__ = ["REFINABLE", "Geometry"]

REFINABLE: dict[str, tuple[float, float, float]] = {
    "attenuation_per_mm": (20.0, 1.0, 1e4),
    "divergence_deg": (0.1, 0.05, 5.0),
    "emission_width": (0.03, 0.3, 2.0),
    "passband_per_ev": (1e-3, -0.05, 0.05),
    "slit_length_mm": (1.0, 0.5, 60.0),
    "slit_width_mm": (0.02, 0.01, 2.0),
    "soller_deg": (0.3, 0.5, 20.0),
    "source_length_mm": (1.0, 0.5, 60.0),
    "specimen_length_mm": (1.0, 0.5, 60.0),
    "tail_high_mm": (0.05, 0.02, 5.0),
    "tail_low_mm": (0.05, 0.02, 5.0),
    "tail_share": (5e-3, 0.0, 0.5),
}
"""What a standard can tell about its diffractometer: typical change, lower and upper bound of each."""


@dataclass(frozen=True)
class Geometry:
    """Everything between the anode and the detector that shifts and smears a line.

    Parameters
    ----------
    source_width_mm, source_length_mm : float
        Line focus as seen at the take-off angle, and its length along the axis.
    specimen_length_mm, slit_length_mm : float
        Along the axis: what the beam lights of the specimen; the receiving slit.
    slit_width_mm : float
        Receiving slit, or pixel of a strip detector.
    divergence_deg : float
        Full equatorial divergence; the specimen is flat and wider than the beam.
    soller_deg : float, optional
        Full opening of the Soller slits on both sides: a ray at axial angle β passes with ``1 − 2|β|/Δ``.
        None: no Soller slits.
    attenuation_per_mm : float
        Linear attenuation of the powder as packed; ``inf`` switches transparency off.
    tail_low_mm, tail_high_mm, tail_share : float
        Tube tails (Bergmann, Kleeberg, Haase & Breidenstein 2000, Mater. Sci. Forum 347, 303): a share of the
        intensity comes evenly from the anode beside the focus, this far to either side.
    emission_width, passband_per_ev : float
        See `layerscope.diffraction.rietveld.emission.spectral_density`.
    refine : tuple of str
        What the pattern itself, of a line-position standard, is to tell; names of `REFINABLE`.
    """

    source_width_mm: float = 0.04
    source_length_mm: float = 12.0
    specimen_length_mm: float = 12.0
    slit_width_mm: float = 0.2
    slit_length_mm: float = 12.0
    divergence_deg: float = 1.0
    soller_deg: float | None = None
    attenuation_per_mm: float = math.inf
    tail_low_mm: float = 0.0
    tail_high_mm: float = 0.0
    tail_share: float = 0.0
    emission_width: float = 1.0
    passband_per_ev: float = 0.0
    refine: tuple[str, ...] = ()

    def check(self) -> None:
        """Refuse lengths and angles that no diffractometer has.

        Raises
        ------
        RecipeError
            Naming the value.
        """
        for name in ("source_width_mm", "source_length_mm", "specimen_length_mm", "slit_width_mm", "slit_length_mm"):
            if not 0.0 < getattr(self, name) <= 100.0:
                raise RecipeError(f"geometry: {name} = {getattr(self, name)} is not between 0 and 100 mm")
        if not 0.0 < self.divergence_deg <= 10.0:
            raise RecipeError(f"geometry: divergence_deg = {self.divergence_deg} is not between 0 and 10 degrees")
        if self.soller_deg is not None and not 0.0 < self.soller_deg <= 30.0:
            raise RecipeError(f"geometry: soller_deg = {self.soller_deg} is not between 0 and 30 degrees")
        if not self.attenuation_per_mm > 0.0 or not self.emission_width > 0.0:
            raise RecipeError("geometry: attenuation_per_mm and emission_width must be positive")
        if not 0.0 <= self.tail_share < 1.0 or min(self.tail_low_mm, self.tail_high_mm) < 0.0:
            raise RecipeError("geometry: tails have a share between 0 and 1 and reach a positive length to each side")
        for name in self.refine:
            if name not in REFINABLE:
                raise RecipeError(f"geometry: {name!r} cannot be refined", hint=f"one of {', '.join(REFINABLE)}")
            value = getattr(self, name)
            if value is None or not math.isfinite(value):
                raise RecipeError(f"geometry: {name} is to be refined and needs a value to start from")

    def held(self) -> Geometry:
        """Return the same geometry with nothing left to refine."""
        return replace(self, refine=())
