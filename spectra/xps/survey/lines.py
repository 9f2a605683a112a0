"""The lines that an element shows in a survey: core levels and Auger lines, where they may lie and how strong they are.

The table is ``reference_data/survey/lines.toml``; where the species library knows a line, its ranges say how far
chemical states move it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from layerscope.errors import DataError
from layerscope.options import Positive, RecipeModel
from layerscope.reference import make_entry, read_tables

from ..species import load_species

__all__ = ["ElementLines", "SurveyLine", "element_lines", "known_elements", "level_factors", "library_source"]

RESOLVED_EV = 4.0
"""Distance from which the lines of a doublet are two in a survey."""
REACH_EV = (2.5, 5.0)
"""How far below and above its table value a core level is looked for, where the species library does not know it."""
BEYOND_SPECIES_EV = 1.0
AUGER_REACH_EV = (8.0, 10.0)
"""The same for Auger lines on the binding-energy scale: they are broad, and move two to three times as far."""
_FIRST = {"p": ("3/2", "1/2", 2 / 3), "d": ("5/2", "3/2", 3 / 5), "f": ("7/2", "5/2", 4 / 7)}

Subshell = Annotated[str, Field(pattern=r"^[1-5][spdf]$")]


class ElementLines(RecipeModel):
    """Entry of an element in the table of lines."""

    core: tuple[tuple[Subshell, Positive, Annotated[float, Field(ge=0)], Positive], ...] = Field(
        description="subshell, binding energy of the first line (eV), distance of the second (eV), factor of both"
    )
    auger: tuple[tuple[str, Positive, Annotated[float, Field(ge=0)]], ...] = Field(
        default=(), description="series, kinetic energy (eV), factor; 0 where it is not known"
    )


@dataclass(frozen=True)
class SurveyLine:
    """One line of an element at a photon energy, on the scale of binding energies.

    Attributes
    ----------
    element, name : str
        ``"Fe"``, ``"Fe 2p3/2"`` or ``"Fe LMM"``.
    energy_eV, low_eV, high_eV : float
        Table value, and the range in which it is looked for.
    factor : float
        Relative strength, C 1s = 1; 0 where it is not known.
    auger : bool
        Whether it is an Auger line.
    whole : str
        Core level with all its lines, as sensitivity factors name it: ``"Fe 2p"``.
    doublet_eV : float
        Distance from this line to the second one of its level; 0 if there is none, or this is the second.
    """

    element: str
    name: str
    energy_eV: float
    low_eV: float
    high_eV: float
    factor: float
    auger: bool
    whole: str
    doublet_eV: float = 0.0


@lru_cache(maxsize=1)
def _library() -> tuple[Mapping[str, ElementLines], str]:
    table: Mapping[str, Any] = read_tables("survey")["lines"]
    entries = {
        name: make_entry(ElementLines, row, f"survey/lines.toml, {name}") for name, row in table["elements"].items()
    }
    return MappingProxyType(entries), str(table["source"])


def known_elements() -> tuple[str, ...]:
    """Return the symbols of the elements in the table."""
    return tuple(_library()[0])


def library_source() -> str:
    """Return where the table of lines is from."""
    return _library()[1]


def level_factors() -> Mapping[str, float]:
    """Return Scofield's factors of whole core levels, C 1s = 1: ``"Fe 2p"`` -> 16.42."""
    entries = _library()[0]
    return {f"{name} {shell}": factor for name, entry in entries.items() for shell, _, _, factor in entry.core}


@lru_cache(maxsize=1)
def _ranges() -> Mapping[str, tuple[float, float]]:
    """Return lowest and highest published position of every line of the species library."""
    found: dict[str, tuple[float, float]] = {}
    for one in load_species():
        low, high = found.get(one.line, (np.inf, -np.inf))
        found[one.line] = (min(low, one.low_eV), max(high, one.high_eV))
    return MappingProxyType(found)


def element_lines(element: str, photon_eV: float) -> tuple[SurveyLine, ...]:
    """Return the lines of an element that electrons of a photon energy can show, the strongest core level first.

    Parameters
    ----------
    element : str
        Symbol.
    photon_eV : float
        Energy of the X-rays (eV).

    Raises
    ------
    DataError
        If the table has no such element.
    """
    entries = _library()[0]
    if element not in entries:
        raise DataError(f"{element!r} is no element whose lines are known", hint=f"known: {', '.join(entries)}")
    entry = entries[element]
    found: list[SurveyLine] = []
    for shell, energy, splitting, factor in entry.core:
        found += _core(element, shell, energy, splitting, factor)
    for series, kinetic, factor in entry.auger:
        energy = photon_eV - kinetic
        below, above = AUGER_REACH_EV
        name = f"{element} {series}"
        found.append(SurveyLine(element, name, energy, energy - below, energy + above, factor, True, name))
    return tuple(line for line in found if 0 < line.energy_eV < photon_eV - 30.0)


def _core(element: str, shell: str, energy: float, splitting: float, factor: float) -> list[SurveyLine]:
    whole = f"{element} {shell}"
    if shell[1] == "s" or splitting == 0:
        return [_line(element, whole, energy, factor, whole)]
    first, second, share = _FIRST[shell[1]]
    if splitting < RESOLVED_EV:
        return [_line(element, whole, energy + (1 - share) * splitting, factor, whole, known_as=f"{whole}{first}")]
    one = _line(element, f"{whole}{first}", energy, share * factor, whole, doublet_eV=splitting)
    other = _line(element, f"{whole}{second}", energy + splitting, (1 - share) * factor, whole)
    return [one, other]


def _line(
    element: str,
    name: str,
    energy: float,
    factor: float,
    whole: str,
    *,
    known_as: str = "",
    doublet_eV: float = 0.0,
) -> SurveyLine:
    """Return a core line with the range in which the species library, or the usual reach, has it."""
    known = _ranges().get(name) or _ranges().get(known_as)
    below, above = REACH_EV
    low, high = (
        (known[0] - BEYOND_SPECIES_EV, known[1] + BEYOND_SPECIES_EV) if known else (energy - below, energy + above)
    )
    return SurveyLine(element, name, energy, low, high, factor, False, whole, doublet_eV)
