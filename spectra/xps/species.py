"""The species library: which chemical species put a line where, with sources, and which assignments compete.

An XPS position rarely belongs to one species alone: 191.1 eV may be boron on a transition-metal oxide, boron nitride,
or the P 2s of a phosphate. So an assignment is never a name but a list: everything whose published range, widened by
the uncertainty, contains the position. The data live in ``reference_data/species/*.toml``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from math import hypot, isfinite
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from layerscope.errors import DataError, RecipeError
from layerscope.options import Positive, RecipeModel
from layerscope.records import Assignment
from layerscope.reference import nearest_names, parse_entries, read_tables

from .dataset import normalise_region

__all__ = [
    "Species",
    "Status",
    "competing",
    "get_species",
    "is_of_line",
    "load_species",
    "overlaps",
    "parse_species",
    "species_for",
]

Status = Literal["read", "secondary", "unverified"]


class Species(RecipeModel):
    """One chemical species seen through one core level: an entry of ``reference_data/species``."""

    id: str = Field(description="name in recipes and records, such as 'TM-O-B'; unique within a line")
    line: str = Field(description="core level, 'B 1s' or 'In 3d5/2'")
    label: str = Field(description="what it is, in words")
    low_eV: Positive = Field(description="lowest published binding energy")
    high_eV: Positive = Field(description="highest published binding energy")
    position_eV: Positive = Field(description="value to start from; the middle of the range unless the table says so")
    spread_eV: Positive = Field(description="standard deviation by which the ends may be off: no position is exact")
    source: str = Field(min_length=1, description="citation")
    status: Status = Field(description="read, secondary (quoted by another work or a copy) or unverified")
    notes: str = Field(default="", description="remarks")
    splitting_eV: float | None = Field(default=None, description="distance up to the second line of a doublet")
    splitting_sigma_eV: float | None = Field(default=None, description="its standard deviation")
    ratio: float | None = Field(default=None, description="area of the second line over that of the first, if known")
    partner: str | None = Field(default=None, description="name of the second line, 'In 3d3/2'")
    standard: bool = Field(
        default=False, description="a metal that is put there to carry the energy scale: it competes with no assignment"
    )

    @model_validator(mode="before")
    @classmethod
    def _in_the_middle(cls, row: Mapping[str, Any]) -> Mapping[str, Any]:
        ends = row.get("low_eV"), row.get("high_eV")
        if "position_eV" in row or not all(isinstance(end, int | float) for end in ends):
            return row
        return {**row, "position_eV": 0.5 * (float(row["low_eV"]) + float(row["high_eV"]))}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.low_eV <= self.position_eV <= self.high_eV:
            raise ValueError(f"positions are not in order: {self.low_eV}, {self.position_eV}, {self.high_eV} eV")
        together = {self.splitting_eV is None, self.splitting_sigma_eV is None}
        if len(together) > 1 or (self.splitting_eV is not None and self.partner is None):
            raise ValueError("splitting_eV, splitting_sigma_eV and partner go together")
        return self


def parse_species(tables: Mapping[str, Mapping[str, Any]]) -> tuple[Species, ...]:
    """Turn parsed tables into species and check them.

    Raises
    ------
    DataError
        Unknown or missing key, positions out of order, no source, the same id twice for a line.
    """
    found = parse_entries(Species, tables, "species")
    names = [(entry.id, entry.line) for entry in found]
    for name, line in names:
        if names.count((name, line)) > 1:
            raise DataError(f"{name!r} is given twice for {line}", source="species")
    return tuple(found)


@lru_cache(maxsize=1)
def load_species() -> tuple[Species, ...]:
    """Return the shipped library, read once and checked.

    Returns
    -------
    tuple of Species
        Every entry of ``reference_data/species``.
    """
    return parse_species(read_tables("species"))


def species_for(line: str) -> tuple[Species, ...]:
    """Return all species of a core level.

    Parameters
    ----------
    line : str
        ``"B 1s"``, ``"b1s"``; ``"In 3d"`` also finds the entries of ``"In 3d5/2"``.

    Returns
    -------
    tuple of Species
        In the order of their positions; empty if the library has none.
    """
    wanted = normalise_region(line)
    matches = (entry for entry in load_species() if is_of_line(entry.line, wanted))
    return tuple(sorted(matches, key=lambda entry: entry.position_eV))


def get_species(species_id: str, line: str | None = None) -> Species:
    """Return one species by its id.

    Parameters
    ----------
    species_id : str
        For example ``"TM-O-B"``.
    line : str, optional
        Core level; needed where one species is seen in several.

    Returns
    -------
    Species
        The entry.

    Raises
    ------
    RecipeError
        Unknown id (the message names the nearest ones), or several lines to choose from.
    """
    pool = load_species() if line is None else species_for(line)
    matches = [entry for entry in pool if entry.id == species_id]
    if len(matches) == 1:
        return matches[0]
    if matches:
        lines = ", ".join(entry.line for entry in matches)
        raise RecipeError(f"species {species_id!r} has several lines: {lines}", hint="name the line")
    elsewhere = [] if line is None else sorted({entry.line for entry in load_species() if entry.id == species_id})
    near = " or ".join(repr(name) for name in nearest_names(species_id, (entry.id for entry in pool or load_species())))
    hint = f"known with {', '.join(elsewhere)}" if elsewhere else f"did you mean {near}?"
    place = "" if line is None else f" for {normalise_region(line)}"
    raise RecipeError(f"unknown species {species_id!r}{place}", hint=hint)


def competing(
    line: str,
    position_eV: float,
    sigma_eV: float,
    k: float = 2.0,
    exclude: str | Collection[str] = (),
    charge_sigma_eV: float = 0.0,
) -> tuple[Assignment, ...]:
    """List every species that a line at this position may belong to.

    All core levels of the library are searched, not only `line`, because what counts is the binding energy: P 2s of a
    phosphate competes with B 1s. A species is listed if its range, widened on both sides by k standard deviations,
    contains the position; the variance is the sum of that of the fit, of the charge reference and of the library.

    Parameters
    ----------
    line : str
        Core level that the component was fitted as; its own entries come first among equals.
    position_eV : float
        Charge-corrected binding energy (eV).
    sigma_eV : float
        Standard error of the position (eV).
    k : float, default 2
        Half-width of the window in standard deviations.
    exclude : str or collection of str, optional
        Ids to leave out for `line` (the assignment that was made); the same id on another line stays.
    charge_sigma_eV : float, default 0
        Standard error of the charge reference (eV), if not contained in `sigma_eV`.

    Returns
    -------
    tuple of Assignment
        Nearest first; `distance_sigma` is the distance to the range in standard deviations, 0 inside it.

    Raises
    ------
    DataError
        If the position or an error is not finite, or an error is negative.
    """
    if not all(isfinite(value) for value in (position_eV, sigma_eV, charge_sigma_eV)):
        raise DataError("a position and its errors must be finite to be assigned", source=line)
    if min(sigma_eV, charge_sigma_eV) < 0.0:
        raise DataError("an error is negative", source=line)
    left_out = {exclude} if isinstance(exclude, str) else set(exclude)
    own = normalise_region(line)
    found: list[tuple[tuple[float, bool, float], Assignment]] = []
    for entry, name, low, high, spread in _competitors():
        distance = max(low - position_eV, position_eV - high, 0.0) / hypot(sigma_eV, charge_sigma_eV, spread)
        if distance > k:
            continue
        is_own = is_of_line(name, own)
        if not (is_own and entry.id in left_out):
            assignment = Assignment(
                species=entry.id, line=name, low_eV=low, high_eV=high, source=entry.source, distance_sigma=distance
            )
            found.append(((distance, not is_own, abs(0.5 * (low + high) - position_eV)), assignment))
    return tuple(assignment for _, assignment in sorted(found, key=lambda item: item[0]))


def overlaps(line: str, assignments: Iterable[Assignment]) -> tuple[str, ...]:
    """Name the foreign core levels among competing assignments, e.g. ``("P 2s",)`` for a B 1s component.

    Parameters
    ----------
    line : str
        Core level that the component was fitted as.
    assignments : iterable of Assignment
        From `competing`.

    Returns
    -------
    tuple of str
        Lines other than `line`, sorted, each once.
    """
    own = normalise_region(line)
    return tuple(sorted({entry.line for entry in assignments if not is_of_line(entry.line, own)}))


@lru_cache(maxsize=1)
def _competitors() -> tuple[tuple[Species, str, float, float, float], ...]:
    """Return every line that an assignment may be, with its species: line, low, high and spread."""
    return tuple((entry, *of_line) for entry in load_species() if not entry.standard for of_line in _ranges(entry))


def _ranges(entry: Species) -> Iterable[tuple[str, float, float, float]]:
    """Yield line, low, high and spread of the species, and of the second line of its doublet."""
    yield entry.line, entry.low_eV, entry.high_eV, entry.spread_eV
    if entry.splitting_eV is not None and entry.splitting_sigma_eV is not None and entry.partner is not None:
        spread = hypot(entry.spread_eV, entry.splitting_sigma_eV)
        yield entry.partner, entry.low_eV + entry.splitting_eV, entry.high_eV + entry.splitting_eV, spread


def is_of_line(name: str, wanted: str) -> bool:
    """Tell whether a line is the wanted one, or a component of it: ``"In 3d5/2"`` is part of ``"In 3d"``."""
    return name == wanted or ("/" not in wanted and "/" in name and name.startswith(wanted))
