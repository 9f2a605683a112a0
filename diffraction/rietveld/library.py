"""The phase library: crystal structures as data with their sources, in ``reference_data/phases``."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

from layerscope.errors import RecipeError

from .checks import check_phase
from .crystal import phase_from_cif
from .model import Phase, Site, SiteMixing

__all__ = ["available_phases", "load_phase", "phase_from_table"]

_PHASE_KEYS = {"name", "formula", "space_group", "cell", "texture_axis", "source", "sites", "mixing"}


def _folder() -> Any:
    return resources.files("layerscope.reference_data").joinpath("phases")


def available_phases() -> tuple[str, ...]:
    """Names of the structures that ship with the package."""
    return tuple(sorted(p.name.removesuffix(".toml") for p in _folder().iterdir() if p.name.endswith(".toml")))


def load_phase(what: str, *, folder: Path | None = None, name: str | None = None) -> Phase:
    """Load a phase from the library by name, or from a ``.cif`` or ``.toml`` file relative to ``folder``.

    Raises
    ------
    RecipeError
        Neither a library name nor a file.
    DataError
        The structure does not stand up to :func:`layerscope.diffraction.rietveld.checks.check_phase`.
    """
    if what in available_phases():
        table = tomllib.loads(_folder().joinpath(f"{what}.toml").read_text(encoding="utf-8"))
        return phase_from_table(table, source=what, name=name)
    path = Path(what) if folder is None else folder / what
    if path.suffix.lower() == ".cif":
        return phase_from_cif(path, name=name)
    if path.suffix.lower() == ".toml" and path.is_file():
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
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
            cell=tuple(float(v) for v in table["cell"]),
            sites=tuple(Site(**row) for row in table["sites"]),
            mixing=tuple(SiteMixing(tuple(m["labels"]), float(m.get("total", 1.0))) for m in table.get("mixing", ())),
            texture_axis=None if axis is None else tuple(int(v) for v in axis),  # type: ignore[arg-type]
            source=str(table.get("source", "")),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RecipeError(f"incomplete phase: {error!r}", source=source) from error
    if len(phase.cell) != 6:
        raise RecipeError("a cell has six constants", source=source)
    check_phase(phase, source=source)
    return phase
