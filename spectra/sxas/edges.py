"""Edges: where they lie, and which ranges define numbers at them; the data live in ``reference_data/edges``."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from layerscope.errors import DataError
from layerscope.options import Positive, RecipeModel
from layerscope.reference import find_entry, parse_entries, read_tables

__all__ = ["Edge", "Range", "edge_of_energies", "find_edge", "load_edges", "normalise_edge"]


def _rising(limits: tuple[float, float]) -> tuple[float, float]:
    if not limits[0] < limits[1]:
        raise ValueError("a range is (low, high)")
    return limits


Range = Annotated[tuple[float, float], AfterValidator(_rising)]
"""Two energies in eV, the lower one first."""

_NAME = re.compile(r"([A-Za-z]{1,2})[\s_,-]*([KLMklm])\s*[_,-]?\s*([1-5]?)(?:[\s,_-]*[1-5])*$")


class Edge(RecipeModel):
    """One absorption edge and the ranges that define numbers at it: an entry of ``reference_data/edges``."""

    name: str = Field(description="'O K', 'Co L3'; L3 stands for L3 and L2 together")
    edge_eV: Positive = Field(description="energy of the element's edge")
    edge_other_eV: Positive | None = Field(default=None, description="what another table says, where it differs")
    partner_eV: Positive | None = Field(default=None, description="L2, where the name is L3")
    search_eV: Range = Field(description="where the first strong maximum is looked for")
    pre_eV: Range = Field(description="of the line before the edge")
    post_eV: Range = Field(description="of the line after the edge")
    area_eV: Range = Field(description="whose integral is the area that a spectrum is normalised to")
    area_source: str = Field(default="", description="where the range of the area comes from, if not from `ranges`")
    ranges: str = Field(min_length=1, description="where the ranges come from")
    source: str = Field(min_length=1, description="citation of the energies")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.pre_eV[1] <= self.search_eV[0] <= self.search_eV[1] <= self.post_eV[0]:
            raise ValueError("pre_eV, search_eV and post_eV follow one another")
        return self

    @property
    def element(self) -> str:
        """Symbol of the element."""
        return self.name.split()[0]

    @property
    def shell(self) -> str:
        """``"K"``, ``"L3"``."""
        return self.name.split()[1]


@lru_cache(maxsize=1)
def load_edges() -> dict[str, Edge]:
    """Return every edge of the table by its name, read once and checked."""
    return {edge.name: edge for edge in parse_entries(Edge, read_tables("edges"), "edge")}


def normalise_edge(label: str) -> str:
    """Write an edge the way the table does: ``"OK"`` -> ``"O K"``, ``"co l2,3"`` -> ``"Co L3"``."""
    match = _NAME.match(label.strip())
    if match is None:
        return " ".join(label.split())
    shell = match[2].upper()
    return f"{match[1].capitalize()} {shell}{'3' if shell == 'L' and match[3] in ('', '2') else match[3]}"


def find_edge(name: str) -> Edge:
    """Return an edge by its name in any spelling.

    Raises
    ------
    RecipeError
        Unknown edge; the message names the nearest ones.
    """
    return find_entry(load_edges(), normalise_edge(name), "edge")


def edge_of_energies(low: float, high: float) -> Edge:
    """Return the one edge of the table that a scan runs over: before its first maximum begins, beyond it.

    Parameters
    ----------
    low, high : float
        First and last energy of the scan in eV.

    Raises
    ------
    DataError
        If it runs over none, or over several; the hint names the key that says which.
    """
    inside = [edge for edge in load_edges().values() if low < edge.search_eV[0] and edge.search_eV[1] < high]
    if len(inside) == 1:
        return inside[0]
    names = ", ".join(edge.name for edge in inside)
    what = f"over several edges ({names})" if inside else "over no edge that is known"
    raise DataError(f"a scan from {low:g} to {high:g} eV runs {what}", hint="say which is meant: edge = 'O K'")
