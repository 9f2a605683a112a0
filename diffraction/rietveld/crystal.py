"""Crystallography through gemmi, the only file that imports it: symmetry, reflections, bonds, masses."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from layerscope.errors import MissingDependencyError, RecipeError

from .model import CELL, FloatArray, Phase

__all__ = [
    "FREE_CELL",
    "Contact",
    "Reflections",
    "cell_atoms",
    "cell_content",
    "contacts",
    "crystal_system",
    "load_gemmi",
    "reflections",
    "scattering_power",
]

_RIGHT: dict[str, str | float] = {"alpha": 90.0, "beta": 90.0, "gamma": 90.0}
_HEXAGONAL: dict[str, str | float] = {"b": "a", "alpha": 90.0, "beta": 90.0, "gamma": 120.0}
FREE_CELL: dict[str, tuple[tuple[str, ...], dict[str, str | float]]] = {
    "cubic": (("a",), {"b": "a", "c": "a", **_RIGHT}),
    "tetragonal": (("a", "c"), {"b": "a", **_RIGHT}),
    "trigonal": (("a", "c"), {**_HEXAGONAL}),
    "hexagonal": (("a", "c"), {**_HEXAGONAL}),
    "orthorhombic": (("a", "b", "c"), {**_RIGHT}),
    "monoclinic": (("a", "b", "c", "beta"), {"alpha": 90.0, "gamma": 90.0}),
    "triclinic": (CELL, {}),
}
"""Cell constants that a crystal system leaves free, and what the others follow from."""


@dataclass(frozen=True)
class Reflections:
    """Symmetry-unique reflections: ``hkl`` (n, 3), ``d`` in Å (n,), multiplicity (n,), |F|² in electron² (n,)."""

    hkl: FloatArray
    d: FloatArray
    multiplicity: FloatArray
    f2: FloatArray

    def two_theta(self, wavelength: float) -> FloatArray:
        """Bragg angles in degrees, shape (n,); NaN beyond the sphere of reflection."""
        with np.errstate(invalid="ignore"):
            return np.degrees(2.0 * np.arcsin(wavelength / (2.0 * self.d)))


@dataclass(frozen=True)
class Contact:
    """A distance in Å between two sites and how many such neighbours the first one has."""

    first: str
    second: str
    distance: float
    count: int


def load_gemmi() -> Any:
    """Return gemmi.

    Raises
    ------
    MissingDependencyError
        If it is not installed.
    """
    try:
        import gemmi
    except ImportError as error:
        raise MissingDependencyError("gemmi is not installed", hint="pip install 'layerscope[xrd]'") from error
    return gemmi


def _space_group(phase: Phase) -> Any:
    group = load_gemmi().find_spacegroup_by_name(phase.space_group, phase.cell[3], phase.cell[5])
    if group is None:
        raise RecipeError(f"phase {phase.name}: unknown space group {phase.space_group!r}")
    return group


def crystal_system(phase: Phase) -> str:
    """Crystal system as gemmi names it (``trigonal``, ``monoclinic``, ...)."""
    return str(_space_group(phase).crystal_system_str())


def _structure(phase: Phase) -> Any:
    gemmi = load_gemmi()
    small = gemmi.SmallStructure()
    small.cell = gemmi.UnitCell(*phase.cell)
    small.spacegroup = _space_group(phase)
    for site in phase.sites:
        atom = gemmi.SmallStructure.Site()
        atom.label = site.label
        atom.type_symbol = site.element
        atom.element = gemmi.Element(_bare(site.element))
        if atom.element.atomic_number == 0:
            raise RecipeError(f"phase {phase.name}: {site.element!r} is no element")
        atom.fract = gemmi.Fractional(*site.xyz)
        atom.occ = site.occupancy
        atom.u_iso = site.b_iso / (8.0 * math.pi**2)
        small.add_site(atom)
    small.setup_cell_images()
    return small


def _bare(species: str) -> str:
    """Element of a species such as ``Co3+``."""
    return species.rstrip("0123456789+-")


def reflections(phase: Phase, d_min: float) -> Reflections:
    """List unique reflections down to ``d_min`` in Å with kinematic |F|² (IT92 form factors, no dispersion).

    Friedel mates are merged, so the multiplicity is that of the powder line's own orbit.
    """
    gemmi = load_gemmi()
    small = _structure(phase)
    small.change_occupancies_to_crystallographic()  # gemmi sums over all operations, also those that fix a site
    group = small.spacegroup
    hkl = np.asarray(gemmi.make_miller_array(small.cell, group, d_min), dtype=np.int32)
    if hkl.size == 0:
        raise RecipeError(f"phase {phase.name} has no reflection above d = {d_min:g} Å")
    d = np.asarray(small.cell.calculate_d_array(hkl), dtype=np.float64)
    calculator = gemmi.StructureFactorCalculatorX(small.cell)
    ops = group.operations()
    f2 = np.empty(len(hkl))
    mult = np.empty(len(hkl))
    for k, index in enumerate(hkl.tolist()):
        amplitude = calculator.calculate_sf_from_small_structure(small, index)
        f2[k] = abs(amplitude) ** 2
        orbit = {tuple(op.apply_to_hkl(index)) for op in ops.sym_ops}
        mult[k] = len(orbit | {(-h, -j, -m) for h, j, m in orbit})
    order = np.argsort(-d)
    return Reflections(hkl[order].astype(np.float64), d[order], mult[order], f2[order])


def cell_content(phase: Phase) -> tuple[float, float]:
    """Mass of the unit cell in g/mol (occupancies included) and its volume in Å³."""
    gemmi = load_gemmi()
    mass = sum(number * gemmi.Element(name).weight for name, number in cell_atoms(phase).items())
    return mass, float(gemmi.UnitCell(*phase.cell).volume)


def cell_atoms(phase: Phase) -> dict[str, float]:
    """Atoms of each element in the unit cell, occupancies included."""
    gemmi = load_gemmi()
    small = _structure(phase)
    order = len(list(small.spacegroup.operations()))
    found: dict[str, float] = {}
    for site in phase.sites:
        name = _bare(site.element)
        stabiliser = small.cell.is_special_position(gemmi.Fractional(*site.xyz), 0.05) + 1
        found[name] = found.get(name, 0.0) + site.occupancy * order / stabiliser
    return found


def scattering_power(element: str, s: float) -> float:
    """X-ray form factor (electrons) at ``s = sinθ/λ`` in 1/Å, International Tables coefficients."""
    coefficients = load_gemmi().Element(_bare(element)).it92
    if coefficients is None:
        raise RecipeError(f"no X-ray form factor for {element!r}")
    return float(coefficients.calculate_sf(s * s))


def contacts(phase: Phase, max_distance: float = 3.2) -> tuple[Contact, ...]:
    """Distances between sites up to ``max_distance`` Å, shortest first; mixed sites do not see each other."""
    small = _structure(phase)
    ops = list(small.spacegroup.operations())
    cell = small.cell
    mates = {frozenset((a, b)) for rule in phase.mixing for a in rule.labels for b in rule.labels if a != b}
    shifts = [np.array([i, j, k], dtype=float) for i in range(-2, 3) for j in range(-2, 3) for k in range(-2, 3)]
    lattice = np.asarray(cell.orth.mat.tolist(), dtype=np.float64)
    found: dict[tuple[str, str, float], int] = {}
    for first in phase.sites:
        for second in phase.sites:
            if frozenset((first.label, second.label)) in mates and first.label != second.label:
                continue
            images = {
                tuple(np.round(np.mod(np.array(op.apply_to_xyz(list(second.xyz))) + 1e-9, 1.0) - 1e-9, 5)) for op in ops
            }
            for image in images:
                for shift in shifts:
                    delta = lattice @ (np.array(image) + shift - np.mod(np.array(first.xyz), 1.0))
                    distance = float(np.linalg.norm(delta))
                    if 1e-3 < distance <= max_distance or (distance <= 1e-3 and first.label != second.label):
                        key = (first.label, second.label, round(distance, 3))
                        found[key] = found.get(key, 0) + 1
    rows = (Contact(a, b, d, n) for (a, b, d), n in found.items())
    return tuple(sorted(rows, key=lambda c: (c.distance, c.first, c.second)))
