"""Is a structure model sensible: bond lengths, overlapping atoms, occupancies, formula."""

from __future__ import annotations

import re

from layerscope.errors import DataError

from .adapter import cell_atoms, contacts
from .model import Phase

__all__ = ["check_formula", "check_phase"]

# Shortest and longest metal–oxygen (or –fluorine) contact of the first shell, Å; Shannon 1976 radii (CN 4–6) ± 0.25 Å.
_BOND = {
    ("Co", "O"): (1.70, 2.35),
    ("Ni", "O"): (1.70, 2.35),
    ("Mn", "O"): (1.70, 2.40),
    ("Li", "O"): (1.75, 2.55),
    ("Al", "O"): (1.60, 2.15),
    ("Ti", "O"): (1.70, 2.25),
    ("Zn", "O"): (1.75, 2.30),
    ("Zr", "O"): (1.85, 2.45),
    ("Li", "F"): (1.75, 2.30),
}
_TOO_CLOSE = 0.9
_FORMULA_TOLERANCE = 0.1
"""Relative: a formula is rounded, occupancies too; a site that is missing or counted twice is farther off."""


def check_phase(phase: Phase, *, source: str | None = None, bonds: bool = True) -> None:
    """Refuse a structure that cannot be meant.

    Raises
    ------
    DataError
        Overlapping atoms, an occupancy outside 0..1, an over-filled mixed site, or a first-shell bond outside the
        range of Shannon's radii.
    """
    where = source or phase.name
    for site in phase.sites:
        if not 0.0 <= site.occupancy <= 1.0 + 1e-6:
            raise DataError(f"{phase.name}: occupancy of {site.label} is {site.occupancy:g}", source=where)
        if not -5.0 <= site.b_iso <= 20.0:
            raise DataError(f"{phase.name}: Biso of {site.label} is {site.b_iso:g} Å²", source=where)
    close = contacts(phase, 3.2)
    for contact in close:
        shared = phase.site(contact.first).occupancy + phase.site(contact.second).occupancy
        if contact.distance < _TOO_CLOSE and shared > 1.0 + 1e-6:
            raise DataError(
                f"{phase.name}: atoms {contact.first} and {contact.second} overlap ({contact.distance:.2f} Å)",
                source=where,
                hint="declare a mixed site if they share it",
            )
    if bonds:
        _check_bonds(phase, close, where)


def check_formula(phase: Phase, formula: str, *, source: str | None = None) -> None:
    """Refuse a structure whose atoms are not those of the formula that stands beside them; hydrogen may be missing.

    Parameters
    ----------
    phase : Phase
    formula : str
        ``Co Li O2`` or ``LiCoO2``; nothing is checked where it is not elements with numbers.
    source : str, optional
        For the message.

    Raises
    ------
    DataError
        If an element is missing or too many, or their numbers are in another ratio.
    """
    if not re.fullmatch(r"(?:\s*[A-Z][a-z]?\s*\d*\.?\d*)+\s*", formula):
        return
    stated: dict[str, float] = {}
    for element, number in re.findall(r"([A-Z][a-z]?)\s*(\d*\.?\d*)", formula):
        stated[element] = stated.get(element, 0.0) + float(number or 1.0)
    atoms = cell_atoms(phase)
    for light in ("H", "D"):
        stated.pop(light, None), atoms.pop(light, None)
    missing, foreign = sorted(set(stated) - set(atoms)), sorted(set(atoms) - set(stated))
    where = source or phase.name
    if missing or foreign:
        what = f"no {', '.join(missing)}" if missing else f"{', '.join(foreign)}, which it does not name"
        raise DataError(
            f"{phase.name}: the formula is {formula.strip()}, the atoms have {what}",
            source=where,
            hint="complete the atoms, or correct the formula",
        )
    if sum(atoms.values()) <= 0 or sum(stated.values()) <= 0:
        return
    for element, number in stated.items():
        share, found = number / sum(stated.values()), atoms[element] / sum(atoms.values())
        if abs(found / share - 1.0) > _FORMULA_TOLERANCE:
            raise DataError(
                f"{phase.name}: the formula is {formula.strip()} ({100 * share:.3g} % {element}), the atoms have "
                f"{100 * found:.3g} % {element}",
                source=where,
                hint="a site is missing, counted twice or has another occupancy",
            )


def _check_bonds(phase: Phase, close: tuple, where: str) -> None:  # type: ignore[type-arg]
    for (cation, anion), (low, high) in _BOND.items():
        for site in phase.sites:
            if site.element.rstrip("0123456789+-") != cation or site.occupancy < 0.5:
                continue
            partners = [c for c in close if c.first == site.label and _is(phase, c.second, anion)]
            if partners and not low <= partners[0].distance <= high:
                raise DataError(
                    f"{phase.name}: {site.label}–{anion} is {partners[0].distance:.3f} Å, expected {low}–{high} Å",
                    source=where,
                    hint="check the cell and the coordinates",
                )


def _is(phase: Phase, label: str, element: str) -> bool:
    return phase.site(label).element.rstrip("0123456789+-") == element
