"""Structures: the library in ``reference_data/phases``, with sources, and those of the user's CIF and TOML files."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from layerscope.errors import DataError, ReaderError, RecipeError
from layerscope.measured.files import load
from layerscope.measured.text import decode

from .adapter import FREE_CELL, cell_atoms, crystal_system, load_gemmi, space_group_number
from .checks import check_alike, check_formula, check_phase, composition, differing
from .model import CELL, Bond, CellRange, Phase, Site, SiteMixing

__all__ = ["available_phases", "load_phase", "phase_from_cif", "phase_from_table", "read_phase_table"]

_MAX_CIF_BYTES = 20_000_000
_PHASE_KEYS = {
    *("name", "formula", "space_group", "cell", "texture_axis", "source", "sites", "mixing", "reported"),
    *("bonds", "cell_range", "zones"),
}
_SITE_NUMBERS = ("x", "y", "z", "occupancy", "b_iso")
_SAME_CELL = 0.03
"""Relative: lengths of cells of one compound; its charge changes them by that much."""


def _folder() -> Any:
    return resources.files("layerscope.reference_data").joinpath("phases")


def available_phases() -> tuple[str, ...]:
    """Names of the structures that ship with the package."""
    return tuple(sorted(p.name.removesuffix(".toml") for p in _folder().iterdir() if p.name.endswith(".toml")))


def read_phase_table(name: str) -> dict[str, Any]:
    """Return a structure of the library as its file has it, formula and source included."""
    return tomllib.loads(_folder().joinpath(f"{name}.toml").read_text(encoding="utf-8"))


def load_phase(what: str, *, folder: Path | None = None, name: str | None = None) -> Phase:
    """Load a phase from the library by name, or from a ``.cif`` or ``.toml`` file relative to ``folder``.

    Raises
    ------
    RecipeError
        Neither a library name nor a file.
    DataError
        The structure does not stand up to :func:`layerscope.crystals.check_phase`.
    """
    if what in available_phases():
        return phase_from_table(read_phase_table(what), source=what, name=name)
    path = Path(what) if folder is None else folder / what
    if path.suffix.lower() == ".cif":
        return phase_from_cif(path, name=name)
    if path.suffix.lower() == ".toml" and path.is_file():
        try:
            table = tomllib.loads(decode(load(path).data))
        except tomllib.TOMLDecodeError as error:
            raise RecipeError(f"not a readable phase file: {error}", source=path) from error
        return phase_from_table(table, source=str(path), name=name)
    raise RecipeError(f"unknown phase {what!r}", hint=f"a .cif or .toml file, or one of {available_phases()}")


def phase_from_table(table: dict[str, Any], *, source: str, name: str | None = None) -> Phase:
    """Build a checked phase from its TOML table."""
    unknown = set(table) - _PHASE_KEYS
    if unknown:
        raise RecipeError(f"unknown keys {sorted(unknown)} in a phase", source=source)
    try:
        axis = table.get("texture_axis")
        phase = Phase(
            name=name or str(table["name"]),
            space_group=str(table["space_group"]),
            cell=tuple(_number(v) for v in table["cell"]),
            sites=tuple(_site(row) for row in table.get("sites", ())),
            mixing=tuple(SiteMixing(tuple(m["labels"]), float(m.get("total", 1.0))) for m in table.get("mixing", ())),
            texture_axis=None if axis is None else tuple(int(v) for v in axis),  # type: ignore[arg-type]
            source=str(table.get("source", "")),
            cell_range=tuple(CellRange(**row) for row in table.get("cell_range", ())),
            bonds=tuple(_bond(pair, lengths) for pair, lengths in table.get("bonds", {}).items()),
            reported=tuple((int(h), int(k), int(m)) for h, k, m in table.get("reported", ())),
            zones=tuple((int(u), int(v), int(w)) for u, v, w in table.get("zones", ())),
        )
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise RecipeError(f"incomplete phase: {error!r}", source=source) from error
    if len(phase.cell) != 6:
        raise RecipeError("a cell has six constants", source=source)
    _check_range(phase, source)
    return _checked(phase, str(table.get("formula", "")), source)


def _number(value: object) -> float:
    """Return a finite number; a ValueError if it is none."""
    number = float(value) if isinstance(value, int | float) else math.nan
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is no number")
    return number


def _site(row: dict[str, Any]) -> Site:
    """Return a site whose coordinates, occupancy and displacement are numbers, and whose names are texts."""
    fields: dict[str, Any] = {key: _number(value) if key in _SITE_NUMBERS else value for key, value in row.items()}
    if not all(isinstance(fields[key], str) for key in ("label", "element")):
        raise ValueError(f"label and element of {row!r} are texts")
    return Site(**fields)


def _check_range(phase: Phase, source: str) -> None:
    free, tied = FREE_CELL[crystal_system(phase)] if phase.cell_range else ((), {})
    for stated in phase.cell_range:
        own = phase.cell[CELL.index(stated.constant)]
        if stated.constant not in free:
            message = f"{stated.constant} follows from {tied[stated.constant]} by symmetry, and has no range of its own"
            raise RecipeError(message, source=source, hint=f"ranges go with {', '.join(free)}")
        if not stated.low <= own <= stated.high:
            raise RecipeError(
                f"{stated.constant} is {own:g} Å, outside its range {stated.low:g} to {stated.high:g} Å", source=source
            )


def _bond(pair: str, lengths: Sequence[float]) -> Bond:
    first, second = pair.split("-")
    return Bond(first, second, tuple(sorted(float(v) for v in lengths)))


def _checked(phase: Phase, formula: str, source: str) -> Phase:
    """Return the phase if it stands up to all checks; one that states no bonds is held to those of its compound."""
    check_formula(phase, formula, source=source)
    check_phase(phase, source=source)
    if phase.sites and not phase.bonds:
        for known in _same_compound(phase):
            check_alike(phase, known, source=source)
    return phase


def _same_compound(phase: Phase) -> Iterator[Phase]:
    """Yield structures of the library with the atoms and the space group of a phase, and about its cell."""
    atoms, group = cell_atoms(phase), space_group_number(phase)
    for name in available_phases():
        table = read_phase_table(name)
        stated = composition(str(table.get("formula", "")))
        if "bonds" not in table or set(stated) != set(atoms) or differing(stated, atoms):
            continue
        known = phase_from_table(table, source=name)
        near = all(abs(a / b - 1.0) < _SAME_CELL for a, b in zip(phase.cell, known.cell, strict=True))
        if near and space_group_number(known) == group:
            yield known


def phase_from_cif(path: Path, *, name: str | None = None, block: int = 0) -> Phase:
    """Read one phase from a CIF.

    Raises
    ------
    ReaderError
        No such file, not a CIF, or larger than 20 MB.
    DataError
        No symmetry, no cell, no atoms, unknown coordinates, overlapping atoms, or atoms that are not those of its
        formula.
    """
    gemmi = load_gemmi()
    if not path.is_file():
        raise ReaderError("no such CIF", source=path)
    if path.stat().st_size > _MAX_CIF_BYTES:
        raise ReaderError("the CIF is larger than 20 MB", source=path)
    try:
        document = gemmi.cif.read_string(decode(load(path).data))
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
    formula = table.find_value("_chemical_formula_sum")
    return _checked(phase, "" if formula is None else str(gemmi.cif.as_string(formula)), str(path))


def _declared_symmetry(table: Any, small: Any) -> str | None:
    """Symbol of the CIF's space group, from its name or its operators; None when it declares neither."""
    tags = ("_symmetry_space_group_name_H-M", "_space_group_name_H-M_alt", "_space_group_IT_number")
    named = any(table.find_value(t) not in (None, "?", ".") for t in (*tags, "_symmetry_Int_Tables_number"))
    listed = any(len(table.find_loop(t)) for t in ("_symmetry_equiv_pos_as_xyz", "_space_group_symop_operation_xyz"))
    if not (named or listed):
        return None
    group = small.spacegroup
    if group is None and listed:
        gemmi = load_gemmi()
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
