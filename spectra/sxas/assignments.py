"""What a maximum at an energy may belong to, as far as its error leaves it open; data in ``reference_data/edges``."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

from pydantic import Field

from layerscope.options import RecipeModel
from layerscope.records import Assignment
from layerscope.reference import parse_entries, read_tables

from .edges import Edge, Range

__all__ = ["KnownLine", "assignments_at", "known_lines"]

WITHIN_SIGMA = 2.0
"""Distance to a range, in standard errors, within which an assignment is left open."""


class KnownLine(RecipeModel):
    """A line of an edge: an entry of ``reference_data/edges/assignments.toml``."""

    edge: str = Field(description="'O K'")
    species: str = Field(min_length=1, description="what it belongs to")
    range_eV: Range = Field(description="energies reported for it")
    source: str = Field(min_length=1, description="where the range comes from")
    status: Literal["read", "secondary", "measured", "unverified"] = Field(description="how far the source was seen")


@lru_cache(maxsize=1)
def known_lines() -> tuple[KnownLine, ...]:
    """Return every line of the table, read once and checked."""
    return tuple(parse_entries(KnownLine, read_tables("edges"), "assignment"))


def assignments_at(edge: Edge, energy: float, sigma: float) -> tuple[Assignment, ...]:
    """Return every assignment whose range lies within two standard errors of an energy, the nearest first.

    Parameters
    ----------
    edge : Edge
    energy, sigma : float
        With the error of the scale, eV.
    """
    found = []
    for line in known_lines():
        low, high = line.range_eV
        distance = max(low - energy, energy - high, 0.0) / sigma
        if line.edge == edge.name and distance <= WITHIN_SIGMA:
            found.append(
                Assignment(
                    species=line.species,
                    line=edge.name,
                    low_eV=low,
                    high_eV=high,
                    source=f"{line.source} ({line.status})",
                    distance_sigma=distance,
                )
            )
    return tuple(sorted(found, key=lambda one: one.distance_sigma or 0.0))
