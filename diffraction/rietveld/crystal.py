"""Crystallography through gemmi, the only file that imports it: symmetry, reflections, bonds, masses, CIF."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from layerscope.errors import DataError, MissingDependencyError, ReaderError, RecipeError

from .model import FloatArray, Phase, Site

__all__ = [
    "Contact",
    "Reflections",
    "cell_content",
    "contacts",
    "crystal_system",
    "phase_from_cif",
    "reflections",
    "scattering_power",
]

_MAX_CIF_BYTES = 20_000_000


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


def _gemmi() -> Any:
    try:
        import gemmi
    except ImportError as error:
        raise MissingDependencyError("gemmi is not installed", hint="pip install 'layerscope[xrd]'") from error
    return gemmi


def _space_group(phase: Phase) -> Any:
    group = _gemmi().find_spacegroup_by_name(phase.space_group, phase.cell[3], phase.cell[5])
    if group is None:
        raise RecipeError(f"phase {phase.name}: unknown space group {phase.space_group!r}")
    return group


def crystal_system(phase: Phase) -> str:
    """Crystal system as gemmi names it (``trigonal``, ``monoclinic``, ...)."""
    return str(_space_group(phase).crystal_system_str())


def _structure(phase: Phase) -> Any:
    gemmi = _gemmi()
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
    gemmi = _gemmi()
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
    gemmi = _gemmi()
    small = _structure(phase)
    order = len(list(small.spacegroup.operations()))
    mass = 0.0
    for site in phase.sites:
        fract = gemmi.Fractional(*site.xyz)
        stabiliser = small.cell.is_special_position(fract, 0.05) + 1
        mass += site.occupancy * gemmi.Element(_bare(site.element)).weight * order / stabiliser
    return mass, float(small.cell.volume)


def scattering_power(element: str, s: float) -> float:
    """X-ray form factor (electrons) at ``s = sinθ/λ`` in 1/Å, International Tables coefficients."""
    coefficients = _gemmi().Element(_bare(element)).it92
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


def phase_from_cif(path: Path, *, name: str | None = None, block: int = 0) -> Phase:
    """Read one phase from a CIF.

    Raises
    ------
    ReaderError
        No such file, not a CIF, or larger than 20 MB.
    DataError
        No symmetry, no cell, no atoms, unknown coordinates or overlapping atoms.
    """
    gemmi = _gemmi()
    if not path.is_file():
        raise ReaderError("no such CIF", source=path)
    if path.stat().st_size > _MAX_CIF_BYTES:
        raise ReaderError("the CIF is larger than 20 MB", source=path)
    try:
        document = gemmi.cif.read_string(path.read_text(encoding="utf-8", errors="replace"))
        small = gemmi.make_small_structure_from_block(document[block])
    except (ValueError, RuntimeError, IndexError) as error:
        raise ReaderError(f"not a readable CIF: {error}", source=path) from error
    table = document[block]
    symbol = _declared_symmetry(table, small)
    if symbol is None:
        raise DataError("the CIF declares no symmetry", source=path, hint="add _space_group_name_H-M_alt")
    cell = tuple(float(v) for v in small.cell.parameters)
    if cell[:3] == (1.0, 1.0, 1.0):
        raise DataError("the CIF has no unit cell", source=path)
    if not len(small.sites):
        raise DataError("the CIF has no atom sites", source=path)
    sites = tuple(_site_from_cif(s, k, path) for k, s in enumerate(small.sites))
    phase = Phase(name or table.name or path.stem, symbol, cell, sites, source=path.name)
    from .checks import check_phase

    check_phase(phase, source=str(path))
    return phase


def _declared_symmetry(table: Any, small: Any) -> str | None:
    """Symbol of the CIF's space group, from its name or its operators; None when it declares neither."""
    tags = ("_symmetry_space_group_name_H-M", "_space_group_name_H-M_alt", "_space_group_IT_number")
    named = any(table.find_value(t) not in (None, "?", ".") for t in (*tags, "_symmetry_Int_Tables_number"))
    listed = any(len(table.find_loop(t)) for t in ("_symmetry_equiv_pos_as_xyz", "_space_group_symop_operation_xyz"))
    if not (named or listed):
        return None
    group = small.spacegroup
    if group is None and listed:
        gemmi = _gemmi()
        column = table.find_loop("_symmetry_equiv_pos_as_xyz") or table.find_loop("_space_group_symop_operation_xyz")
        operations = gemmi.GroupOps([gemmi.Op(gemmi.cif.as_string(v)) for v in column])
        group = gemmi.find_spacegroup_by_ops(operations)
    return None if group is None else str(group.xhm())


def _site_from_cif(site: Any, number: int, path: Path) -> Site:
    x, y, z = site.fract.x, site.fract.y, site.fract.z
    if not all(math.isfinite(v) for v in (x, y, z)):
        raise DataError(f"site {site.label} has unknown coordinates", source=path)
    b = 8.0 * math.pi**2 * site.u_iso if site.u_iso > 0 else 0.5
    return Site(site.label or f"{site.element.name}{number}", site.element.name, x, y, z, site.occ, b)
