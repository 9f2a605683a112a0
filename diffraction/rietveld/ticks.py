"""Where the reflections of each phase of a refined record lie, from its cells and the structures of its recipe."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from layerscope.crystals import CELL, Phase, load_phase, reflections
from layerscope.errors import LayerscopeError
from layerscope.records import ResultRecord
from layerscope.runs.arrays import SeriesArrays

from ..phase_table import FRACTION
from .model import FloatArray

__all__ = ["cell_of", "structure_of", "tick_positions"]

_WEAKEST = 1e-4
"""Calculated intensity against the strongest reflection below which a phase has no tick."""


def cell_of(record: ResultRecord, phase: str) -> dict[str, float]:
    """Return the cell constants that a record has of a phase: Å and degrees."""
    found = {q.name: q.value for q in record.quantities if q.component == phase and q.value is not None}
    return {key: found[f"lattice.{key}"] for key in CELL if f"lattice.{key}" in found}


def structure_of(record: ResultRecord, phase: str) -> Phase | None:
    """Return the structure that the recipe of a record gives to a phase, with the record's cell.

    Parameters
    ----------
    record : ResultRecord
    phase : str

    Returns
    -------
    Phase or None
        None where the structure came from a file that the run folder does not hold.
    """
    declared = record.recipe.get("phases")
    tables: list[Mapping[str, Any]] = [t for t in declared if isinstance(t, dict)] if isinstance(declared, list) else []
    library = next((t.get("library") for t in tables if t.get("name") == phase), None)
    if not isinstance(library, str):
        return None
    try:
        structure = load_phase(library, name=phase)
    except LayerscopeError:
        return None
    known = dict(zip(CELL, structure.cell, strict=True)) | cell_of(record, phase)
    return replace(structure, cell=tuple(known[key] for key in CELL))


def tick_positions(record: ResultRecord, arrays: SeriesArrays, level: int) -> dict[str, FloatArray]:
    """Return the Bragg angles of each phase of a record within the range of its pattern.

    Parameters
    ----------
    record : ResultRecord
        Its phases are those with a fraction.
    arrays : SeriesArrays
        Its marks are the engine's own positions; else its metadata hold at least ``wavelength_A``.
    level : int
        Row of the arrays that the record rests on.

    Returns
    -------
    dict of str to ndarray
        Ascending angles of Kα1 in degrees: those of the engine, else calculated from the cell without zero shift and
        displacement. A phase whose structure is not known here, or that was not detected, is left out.
    """
    stated = {phase: angles for phase, marks in arrays.marks.items() if (angles := marks[level]) is not None}
    if stated:
        return stated
    wavelength = arrays.metadata.get("wavelength_A")
    if not isinstance(wavelength, float):
        return {}
    low, high = float(arrays.axis[0]), float(arrays.axis[-1])
    found = {}
    for quantity in record.quantities:
        phase = quantity.component
        if quantity.name != FRACTION or phase is None or quantity.upper_limit is not None:
            continue
        structure = structure_of(record, phase)
        if structure is None:
            continue
        lines = reflections(structure, wavelength / (2.0 * math.sin(math.radians(high / 2.0))))
        angle, power = lines.two_theta(wavelength), lines.multiplicity * lines.f2
        keep = np.isfinite(angle) & (angle >= low) & (angle <= high) & (power > _WEAKEST * power.max())
        found[phase] = np.unique(np.round(angle[keep], 5))
    return found
