"""Is a structure model sensible: bond lengths, overlapping atoms, occupancies, formula."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from layerscope.errors import DataError

from .adapter import Contact, bare_element, cell_atoms, contacts
from .model import Bond, Phase

__all__ = ["check_alike", "check_formula", "check_phase", "composition", "differing"]

# Shortest and longest metal–oxygen (or –fluorine) contact of the first shell, Å; Shannon 1976 radii (CN 4–6) ± 0.25 Å.
_BOND = {
    ("Co", "O"): (1.70, 2.35),
    ("Ni", "O"): (1.70, 2.35),
    ("Mn", "O"): (1.70, 2.40),
    ("Li", "O"): (1.75, 2.55),
    ("Al", "O"): (1.60, 2.15),
    ("B", "O"): (1.25, 1.60),
    ("C", "O"): (1.10, 1.50),
    ("Ti", "O"): (1.70, 2.25),
    ("Zn", "O"): (1.75, 2.30),
    ("Zr", "O"): (1.85, 2.45),
    ("Li", "F"): (1.75, 2.30),
}
_TOO_CLOSE = 0.9
_STATED = 0.03
"""Å: so near to the bond lengths that it states a structure must be."""
_ALIKE = 0.1
"""Å: so near to the bond lengths of a known structure another refinement of the same compound must be."""
_FORMULA_TOLERANCE = 0.1
"""Relative: a formula is rounded, occupancies too; a site that is missing or counted twice is farther off."""


def check_phase(phase: Phase, *, source: str | None = None, bonds: bool = True) -> None:
    """Refuse a structure that cannot be meant.

    Raises
    ------
    DataError
        Overlapping atoms, an occupancy outside 0..1, an over-filled mixed site, or a first-shell bond that is more
        than 0.03 Å from what the phase states, or outside the range of Shannon's radii.
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
        for bond in phase.bonds:
            _check_stated(phase, bond, close, where)
        _check_bonds(phase, close, where)


def check_alike(phase: Phase, known: Phase, *, source: str | None = None) -> None:
    """Refuse coordinates whose bonds are not those of a known structure of the same compound.

    A wrong origin may leave bonds that some other compound has: with the oxygen of LiCoO2 at z 0.2395 cobalt sits
    where lithium should, 2.09 Å from oxygen.

    Raises
    ------
    DataError
        If a shortest distance between two elements is more than 0.1 Å off.
    """
    close = contacts(phase, 3.2)
    shortest: dict[tuple[str, str], float] = {}
    for bond in known.bonds:
        first, second = (bare_element(known.site(label).element) for label in (bond.first, bond.second))
        shortest[first, second] = min(bond.lengths[0], shortest.get((first, second), math.inf))
    for (first, second), wanted in shortest.items():
        found = [c.distance for c in close if _is(phase, c.first, first) and _is(phase, c.second, second)]
        if found and abs(found[0] - wanted) > _ALIKE:
            raise DataError(
                f"{phase.name}: {first}–{second} is {found[0]:.3f} Å, but {wanted:.3f} Å in {known.name} of the "
                "library, the same compound",
                source=source or phase.name,
                hint="check the origin of the cell and the coordinates",
            )


def composition(formula: str) -> dict[str, float]:
    """Return the atoms of a formula such as ``Co Li O2`` or ``LiCoO2``; none where it is not elements with numbers."""
    if not re.fullmatch(r"(?:\s*[A-Z][a-z]?\s*\d*\.?\d*)+\s*", formula):
        return {}
    stated: dict[str, float] = {}
    for element, number in re.findall(r"([A-Z][a-z]?)\s*(\d*\.?\d*)", formula):
        stated[element] = stated.get(element, 0.0) + float(number or 1.0)
    return stated


def differing(stated: Mapping[str, float], atoms: Mapping[str, float]) -> tuple[str, float, float] | None:
    """Return the first element whose share is not the stated one, with both shares; None where all agree in 10 %."""
    if sum(stated.values()) <= 0 or sum(atoms.values()) <= 0:
        return None
    for element, number in stated.items():
        share, found = number / sum(stated.values()), atoms[element] / sum(atoms.values())
        if abs(found / share - 1.0) > _FORMULA_TOLERANCE:
            return element, share, found
    return None


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
    stated, atoms = composition(formula), cell_atoms(phase)
    if not stated or not phase.sites:
        return
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
    wrong = differing(stated, atoms)
    if wrong is not None:
        element, share, found = wrong
        raise DataError(
            f"{phase.name}: the formula is {formula.strip()} ({100 * share:.3g} % {element}), the atoms have "
            f"{100 * found:.3g} % {element}",
            source=where,
            hint="a site is missing, counted twice or has another occupancy",
        )


def _check_stated(phase: Phase, bond: Bond, close: Sequence[Contact], where: str) -> None:
    labels = tuple(phase.site(label).label for label in (bond.first, bond.second))
    found = [c.distance for c in close if (c.first, c.second) == labels]
    unseen = [v for v in bond.lengths if not any(abs(v - d) <= _STATED for d in found)]
    if unseen or found[0] < bond.lengths[0] - _STATED:
        seen = ", ".join(f"{d:.3f}" for d in found[:6]) or "beyond 3.2"
        raise DataError(
            f"{phase.name}: {bond.first}–{bond.second} is {seen} Å, it is known to be "
            f"{', '.join(f'{v:.3f}' for v in bond.lengths)} Å",
            source=where,
            hint="check the origin of the cell and the coordinates",
        )


def _check_bonds(phase: Phase, close: Sequence[Contact], where: str) -> None:
    for (cation, anion), (low, high) in _BOND.items():
        for site in phase.sites:
            if bare_element(site.element) != cation or site.occupancy < 0.5:
                continue
            partners = [c for c in close if c.first == site.label and _is(phase, c.second, anion)]
            if partners and not low <= partners[0].distance <= high:
                raise DataError(
                    f"{phase.name}: {site.label}–{anion} is {partners[0].distance:.3f} Å, expected {low}–{high} Å",
                    source=where,
                    hint="check the cell and the coordinates",
                )


def _is(phase: Phase, label: str, element: str) -> bool:
    return bare_element(phase.site(label).element) == element
