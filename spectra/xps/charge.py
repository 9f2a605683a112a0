"""The charge reference as a parameter with an error, not as a constant.

A charging sample shifts all lines; a reference line whose binding energy is believed known brings them back. The belief
has an error of its own, common to all levels, which goes into every corrected position and so into the assignments.

References
----------
.. [1] G. Greczynski, L. Hultman, X-ray photoelectron spectroscopy: towards reliable binding energy referencing, Prog.
   Mater. Sci. 107, 100591 (2020): C 1s of adventitious carbon varies by more than 1 eV between samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Literal

import numpy as np
import numpy.typing as npt

from layerscope.errors import DataError, RecipeError

from .dataset import FloatArray, normalise_region

__all__ = ["REFERENCES", "ChargeReference", "ChargeShift", "charge_shift", "correct_positions"]


@dataclass(frozen=True)
class ChargeReference:
    """What the energy scale rests on.

    Attributes
    ----------
    kind : str
        ``"none"`` leaves the scale as measured; ``"line"`` puts a named line at a given energy.
    line : str or None
        Core level of the reference line, e.g. ``"C 1s"``.
    component : str or None
        Species of that line, e.g. ``"C-C/C-H"``.
    energy_eV : float or None
        Its binding energy by definition (eV).
    sigma_eV : float
        Standard error of that energy, or of the scale as measured for ``"none"`` (eV).
    source : str
        Where energy and error come from.
    """

    kind: Literal["none", "line"] = "none"
    line: str | None = None
    component: str | None = None
    energy_eV: float | None = None
    sigma_eV: float = 0.0
    source: str = ""

    def __post_init__(self) -> None:
        if self.kind not in ("none", "line"):
            raise RecipeError(f"unknown charge reference {self.kind!r}", source="charge", hint="known: none, line")
        if not (isfinite(self.sigma_eV) and self.sigma_eV >= 0.0):
            raise RecipeError("sigma_eV of the charge reference must not be negative", source="charge")
        if self.kind == "line" and (self.line is None or self.energy_eV is None or not isfinite(self.energy_eV)):
            raise RecipeError("a charge reference by a line needs line and energy_eV", source="charge")

    @property
    def contested(self) -> bool:
        """Whether the reference is one that the literature warns of [1]_: adventitious carbon."""
        return self.kind == "line" and self.line is not None and normalise_region(self.line) == "C 1s"


REFERENCES: dict[str, ChargeReference] = {
    "C 1s": ChargeReference(
        "line", "C 1s", "C-C/C-H", 284.8, 0.2, "customary 284.8; contested, Greczynski and Hultman 2020"
    ),
    "Au 4f7/2": ChargeReference("line", "Au 4f7/2", "Au", 83.96, 0.02, "ISO 15472 (unverified)"),
    "F 1s LiF": ChargeReference("line", "F 1s", "LiF", 685.1, 0.5, "NIST SRD 20, 684.8-686.5"),
    "O 1s lattice": ChargeReference("line", "O 1s", "lattice oxide", 529.6, 0.3, "NIST SRD 20, 528.8-530.4"),
}
"""References to start from; each can be given in a recipe with another energy and error."""


@dataclass(frozen=True)
class ChargeShift:
    """Correction to add to measured binding energies, per level.

    Attributes
    ----------
    shift_eV : ndarray, shape (L,)
        Reference energy minus measured position (eV).
    statistical_eV : ndarray, shape (L,)
        Standard error of the measured reference position (eV), independent between levels.
    systematic_eV : float
        Standard error of the reference energy (eV), common to all levels.
    contested : bool
        True for adventitious carbon; goes into the record as a note.
    """

    shift_eV: FloatArray
    statistical_eV: FloatArray
    systematic_eV: float
    contested: bool

    @property
    def sigma_eV(self) -> FloatArray:
        """Total standard error per level (eV), shape (L,)."""
        return np.hypot(self.statistical_eV, self.systematic_eV)

    @property
    def covariance(self) -> FloatArray:
        """Covariance between levels (eV^2), shape (L, L)."""
        common = np.full((self.shift_eV.size, self.shift_eV.size), self.systematic_eV**2)
        return common + np.diag(self.statistical_eV**2)


def charge_shift(
    reference: ChargeReference, position_eV: npt.ArrayLike, sigma_eV: npt.ArrayLike | None = None
) -> ChargeShift:
    """Return the shift of every level.

    Parameters
    ----------
    reference : ChargeReference
        What to rest on.
    position_eV : array-like, shape (L,)
        Measured position of the reference line per level (eV). For ``kind="none"`` only its shape is used.
    sigma_eV : array-like, shape (L,) or scalar, optional
        Standard error of these positions (eV); needed for ``kind="line"``.

    Returns
    -------
    ChargeShift
        Shifts with errors.

    Raises
    ------
    DataError
        If a reference position or its error is missing or not finite: that level has no energy scale.
    """
    measured = np.atleast_1d(np.asarray(position_eV, dtype=float))
    if reference.kind == "none" or reference.energy_eV is None:
        zero = np.zeros_like(measured)
        return ChargeShift(zero, zero.copy(), reference.sigma_eV, contested=False)
    if sigma_eV is None:
        raise DataError("the position of the reference line has no error", source=reference.line)
    sigma = np.broadcast_to(np.asarray(sigma_eV, dtype=float), measured.shape)
    bad = ~(np.isfinite(measured) & np.isfinite(sigma) & (sigma >= 0.0))
    if np.any(bad):
        levels = ", ".join(str(level) for level in np.flatnonzero(bad))
        raise DataError(
            f"the reference line has no usable position at level {levels}",
            source=reference.line,
            hint="choose a line that is present at every level, or kind = 'none'",
        )
    return ChargeShift(reference.energy_eV - measured, sigma.copy(), reference.sigma_eV, reference.contested)


def correct_positions(
    position_eV: npt.ArrayLike, sigma_eV: npt.ArrayLike, shift: ChargeShift, correlation: npt.ArrayLike = 0.0
) -> tuple[FloatArray, FloatArray]:
    """Add the shift to fitted positions and propagate the errors.

    Parameters
    ----------
    position_eV, sigma_eV : array-like, shape (L,) or (L, N)
        Positions as fitted and their standard errors (eV).
    shift : ChargeShift
        From `charge_shift`.
    correlation : array-like, default 0
        Correlation of a position with the measured reference position; 1 for the reference line itself, whose
        corrected position then carries the error of the reference energy only.

    Returns
    -------
    position, sigma : ndarray
        Corrected positions and total standard errors (eV), shape of the input.

    Raises
    ------
    DataError
        If the number of levels differs.
    """
    position, sigma = np.asarray(position_eV, dtype=float), np.asarray(sigma_eV, dtype=float)
    if position.shape != sigma.shape or position.shape[:1] != shift.shift_eV.shape:
        raise DataError(f"{position.shape} positions and {sigma.shape} errors for {shift.shift_eV.size} levels")
    per_level = (slice(None),) + (None,) * (position.ndim - 1)
    own, reference = sigma, shift.statistical_eV[per_level]
    variance = own**2 + reference**2 - 2.0 * np.asarray(correlation, dtype=float) * own * reference
    total = np.sqrt(np.maximum(variance, 0.0) + shift.systematic_eV**2)
    return position + shift.shift_eV[per_level], total
