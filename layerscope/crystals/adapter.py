"""Crystallography through gemmi, the only file that imports it: symmetry, reflections, zones, bonds, masses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np

from layerscope.errors import MissingDependencyError, RecipeError

from .model import CELL, FloatArray, IntArray, Phase

__all__ = [
    "FREE_CELL",
    "Contact",
    "Reflections",
    "bare_element",
    "cell_atoms",
    "cell_content",
    "contacts",
    "crystal_system",
    "equivalent_zones",
    "equivalents",
    "lattice_vectors",
    "load_gemmi",
    "reflections",
    "scattering_power",
    "short_directions",
    "space_group_number",
    "z_contrast",
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

Z_EXPONENT = 1.7
"""The brightness of an atom at large angles goes as this power of its number: Rutherford's 2, less screening."""
_FRACTION = 24
"""Denominator of gemmi's rotations and translations."""


@dataclass(frozen=True)
class Reflections:
    """Symmetry-unique reflections: ``hkl`` (n, 3), ``d`` in Å (n,), multiplicity (n,), |F|² in electron² or Å² (n,)."""

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


def load_gemmi(*, source: Path | None = None) -> Any:
    """Return gemmi; ``source`` names the file that needs it.

    Raises
    ------
    MissingDependencyError
        If it is not installed.
    """
    try:
        import gemmi
    except ImportError as error:
        hint = "pip install 'layerscope[xrd]', or [em]"
        raise MissingDependencyError("gemmi is not installed", source=source, hint=hint) from error
    return gemmi


def _space_group(phase: Phase) -> Any:
    group = load_gemmi().find_spacegroup_by_name(phase.space_group, phase.cell[3], phase.cell[5])
    if group is None:
        raise RecipeError(f"phase {phase.name}: unknown space group {phase.space_group!r}")
    return group


def crystal_system(phase: Phase) -> str:
    """Crystal system as gemmi names it (``trigonal``, ``monoclinic``, ...)."""
    return str(_space_group(phase).crystal_system_str())


def space_group_number(phase: Phase) -> int:
    """Return the number of the space group in International Tables A."""
    return int(_space_group(phase).number)


def _structure(phase: Phase) -> Any:
    gemmi = load_gemmi()
    small = gemmi.SmallStructure()
    small.cell = gemmi.UnitCell(*phase.cell)
    small.spacegroup = _space_group(phase)
    for site in phase.sites:
        atom = gemmi.SmallStructure.Site()
        atom.label = site.label
        atom.type_symbol = site.element
        atom.element = gemmi.Element(bare_element(site.element))
        if atom.element.atomic_number == 0:
            raise RecipeError(f"phase {phase.name}: {site.element!r} is no element")
        atom.fract = gemmi.Fractional(*site.xyz)
        atom.occ = site.occupancy
        atom.u_iso = site.b_iso / (8.0 * math.pi**2)
        small.add_site(atom)
    small.setup_cell_images()
    return small


def bare_element(species: str) -> str:
    """Return the element of a species such as ``Co3+``."""
    return species.rstrip("0123456789+-")


def reflections(phase: Phase, d_min: float, probe: Literal["x-ray", "electron"] = "x-ray") -> Reflections:
    """List unique reflections down to ``d_min`` in Å with kinematic |F|².

    X-rays see it in electron² (form factors IT92, no dispersion), electrons in Å² (form factors of International
    Tables C, table 4.3.2.2). It is 1 throughout where a phase has no sites. Friedel mates are merged, so the
    multiplicity is that of the powder line's own orbit.
    """
    gemmi = load_gemmi()
    small = _structure(phase)
    small.change_occupancies_to_crystallographic()  # gemmi sums over all operations, also those that fix a site
    group = small.spacegroup
    hkl = np.asarray(gemmi.make_miller_array(small.cell, group, d_min), dtype=np.int32)
    if hkl.size == 0:
        raise RecipeError(f"phase {phase.name} has no reflection above d = {d_min:g} Å")
    d = np.asarray(small.cell.calculate_d_array(hkl), dtype=np.float64)
    kind = gemmi.StructureFactorCalculatorX if probe == "x-ray" else gemmi.StructureFactorCalculatorE
    calculator = kind(small.cell)
    ops = group.operations()
    f2 = np.ones(len(hkl))
    mult = np.empty(len(hkl))
    for k, index in enumerate(hkl.tolist()):
        if phase.sites:
            amplitude = calculator.calculate_sf_from_small_structure(small, index)
            f2[k] = abs(amplitude) ** 2
        mult[k] = len(_orbit(ops, index))
    order = np.argsort(-d)
    return Reflections(hkl[order].astype(np.float64), d[order], mult[order], f2[order])


def z_contrast(phase: Phase, hkl: IntArray) -> FloatArray:
    """Return how strongly reflections show in an incoherent dark-field image, up to a factor, shape (n,).

    Each atom is a point of brightness Z^1.7 with its own thermal displacement (Pennycook & Jesson 1991,
    Ultramicroscopy 37, 14); the focus of the beam is left out. It is 1 throughout where a phase has no sites.
    """
    if not phase.sites:
        return np.ones(len(hkl))
    small = _structure(phase)
    small.change_occupancies_to_crystallographic()
    square = np.asarray(small.cell.calculate_1_d2_array(np.asarray(hkl, dtype=np.int32)), dtype=np.float64)
    total = np.zeros(len(hkl), dtype=np.complex128)
    for site in small.sites:
        images = np.array([op.apply_to_xyz(site.fract.tolist()) for op in small.spacegroup.operations()])
        wave = np.exp(2j * np.pi * (hkl @ images.T)).sum(axis=1)
        still = np.exp(-2.0 * math.pi**2 * site.u_iso * square)
        total += site.occ * site.element.atomic_number**Z_EXPONENT * still * wave
    return np.abs(total)


def _orbit(ops: Any, index: Sequence[int]) -> set[tuple[int, ...]]:
    """Return all reflections equivalent to one, Friedel mates included."""
    orbit = {tuple(op.apply_to_hkl(index)) for op in ops.sym_ops}
    return orbit | {(-h, -k, -m) for h, k, m in orbit}


def equivalents(phase: Phase, hkl: FloatArray | IntArray) -> tuple[IntArray, IntArray]:
    """Return all reflections that symmetry and Friedel's law make of unique ones.

    Parameters
    ----------
    phase : Phase
    hkl : ndarray, shape (n, 3)
        Unique reflections.

    Returns
    -------
    all : ndarray of int, shape (m, 3)
    origin : ndarray of int, shape (m,)
        Row of ``hkl`` that each comes from.
    """
    ops = _space_group(phase).operations()
    orbits = [sorted(_orbit(ops, index)) for index in hkl.astype(int).tolist()]
    origin = np.repeat(np.arange(len(orbits)), [len(orbit) for orbit in orbits])
    return np.array([index for orbit in orbits for index in orbit], dtype=np.int64).reshape(-1, 3), origin


def equivalent_zones(phase: Phase, zone: Sequence[int]) -> set[tuple[int, ...]]:
    """Return the directions [uvw] that symmetry makes of one, opposite ones included."""
    rotations = {tuple(map(tuple, op.rot)) for op in _space_group(phase).operations().sym_ops}
    found = {tuple((np.array(r) @ np.array(zone) // _FRACTION).tolist()) for r in rotations}
    return found | {(-u, -v, -w) for u, v, w in found}


def short_directions(phase: Phase, u_max: int) -> dict[tuple[int, ...], float]:
    """Return directions [uvw] of vectors of the lattice, centring included, up to ``u_max`` cells each way.

    Each with the length of the shortest vector along it, as a multiple of [uvw].
    """
    cells = np.array(list(product(range(-u_max, u_max + 1), repeat=3)))
    translations = np.array(_space_group(phase).operations().cen_ops)
    vectors = (_FRACTION * cells[:, None] + translations).reshape(-1, 3)
    vectors = vectors[vectors.any(axis=1)]
    common = np.gcd.reduce(vectors, axis=1)
    found: dict[tuple[int, ...], float] = {}
    for zone, length in zip(map(tuple, (vectors // common[:, None]).tolist()), common.tolist(), strict=True):
        found[zone] = min(length / _FRACTION, found.get(zone, math.inf))
    return found


def lattice_vectors(phase: Phase) -> FloatArray:
    """Return the vectors a, b, c in Å as columns of a matrix, in the Cartesian frame with a along x, shape (3, 3)."""
    return np.asarray(load_gemmi().UnitCell(*phase.cell).orth.mat.tolist(), dtype=np.float64)


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
        name = bare_element(site.element)
        stabiliser = small.cell.is_special_position(gemmi.Fractional(*site.xyz), 0.05) + 1
        found[name] = found.get(name, 0.0) + site.occupancy * order / stabiliser
    return found


def scattering_power(element: str, s: float) -> float:
    """X-ray form factor (electrons) at ``s = sinθ/λ`` in 1/Å, International Tables coefficients."""
    coefficients = load_gemmi().Element(bare_element(element)).it92
    if coefficients is None:
        raise RecipeError(f"no X-ray form factor for {element!r}")
    return float(coefficients.calculate_sf(s * s))


def contacts(phase: Phase, max_distance: float = 3.2) -> tuple[Contact, ...]:
    """Distances between sites up to ``max_distance`` Å, shortest first; mixed sites do not see each other."""
    small = _structure(phase)
    ops = list(small.spacegroup.operations())
    mates = {frozenset((a, b)) for rule in phase.mixing for a in rule.labels for b in rule.labels if a != b}
    shifts = np.array(list(product(range(-2, 3), repeat=3)), dtype=float)
    lattice = lattice_vectors(phase)
    found: dict[tuple[str, str, float], int] = {}
    for first in phase.sites:
        for second in phase.sites:
            if frozenset((first.label, second.label)) in mates and first.label != second.label:
                continue
            images = {
                tuple(np.round(np.mod(np.array(op.apply_to_xyz(list(second.xyz))) + 1e-9, 1.0) - 1e-9, 5)) for op in ops
            }
            apart = np.array(list(images))[:, None] + shifts - np.mod(np.array(first.xyz), 1.0)
            for distance in np.linalg.norm(apart @ lattice.T, axis=2).ravel().tolist():
                if 1e-3 < distance <= max_distance or (distance <= 1e-3 and first.label != second.label):
                    key = (first.label, second.label, round(distance, 3))
                    found[key] = found.get(key, 0) + 1
    rows = (Contact(a, b, d, n) for (a, b, d), n in found.items())
    return tuple(sorted(rows, key=lambda c: (c.distance, c.first, c.second)))
