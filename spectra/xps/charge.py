"""The charge reference: a line whose binding energy is believed to be known, with the error of that belief.

A charging sample shifts all lines; a reference line brings them back. The error of its energy is common to all levels
and goes into every corrected position and so into the assignments.

References
----------
.. [1] G. Greczynski, L. Hultman, X-ray photoelectron spectroscopy: towards reliable binding energy referencing, Prog.
   Mater. Sci. 107, 100591 (2020): C 1s of adventitious carbon varies by more than 1 eV between samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from layerscope.errors import RecipeError
from layerscope.options import RecipeModel
from layerscope.reference import find_entry, parse_entries, read_tables

from .dataset import normalise_region

__all__ = ["ChargeReference", "ChargeTable", "get_reference", "load_references"]


class ChargeReference(RecipeModel):
    """One entry of ``reference_data/charge``."""

    name: str = Field(description="what recipes call it, such as 'Au 4f7/2'")
    region: str = Field(description="core level that holds the line, as files call it")
    species: str = Field(description="id in the species library")
    energy_eV: float = Field(gt=0, description="binding energy by definition; of a doublet, of its first line")
    sigma_eV: float = Field(gt=0, description="standard error of that definition")
    source: str = Field(min_length=1, description="citation")
    status: Literal["read", "secondary", "unverified"] = Field(description="whether the source was opened")


@lru_cache(maxsize=1)
def load_references() -> Mapping[str, ChargeReference]:
    """Return the shipped references by name, read once and checked."""
    entries = parse_entries(ChargeReference, read_tables("charge"), "reference")
    return MappingProxyType({entry.name: entry for entry in entries})


def get_reference(name: str) -> ChargeReference:
    """Return a shipped reference by name.

    Raises
    ------
    RecipeError
        Unknown name; the message names the nearest ones.
    """
    return find_entry(load_references(), name, "charge reference")


class ChargeTable(RecipeModel):
    """Charge reference."""

    reference: str | None = Field(
        default=None,
        description="line of the library of references, such as 'Au 4f7/2': it gives kind, region, species, energy_eV "
        "and sigma_eV as far as they are not said",
    )
    kind: Literal["none", "line"] = Field(
        default="none",
        description="none: energies stay as measured; line: they are shifted so that a line lies at its energy",
    )
    region: str | None = Field(default=None, description="region that holds the reference line")
    species: str | None = Field(default=None, description="component that is the reference line")
    energy_eV: float | None = Field(default=None, description="its binding energy by definition")
    sigma_eV: Annotated[float, Field(ge=0)] = Field(default=0.2, description="error of that definition")

    @model_validator(mode="before")
    @classmethod
    def _from_library(cls, raw: Any) -> Any:
        """Put the library's values in the place of what is not said, so that the resolved recipe holds them."""
        if not isinstance(raw, Mapping) or not isinstance(raw.get("reference"), str):
            return raw
        try:
            entry = get_reference(raw["reference"].strip())
        except RecipeError as error:
            raise ValueError(f"{error.message} ({error.hint})") from error
        if raw.get("kind") == "none":
            raise ValueError(f"kind = 'none' leaves energies as measured, but reference = {entry.name!r} shifts them")
        if raw.get("energy_eV") is not None and raw.get("sigma_eV") is None:
            raise ValueError("an energy other than the library's needs its error: give sigma_eV beside energy_eV")
        library = entry.model_dump(include={"region", "species", "energy_eV", "sigma_eV"})
        return {"kind": "line"} | library | {k: v for k, v in raw.items() if v is not None}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.kind == "line" and (self.region is None or self.species is None or self.energy_eV is None):
            raise ValueError("a charge reference by a line needs region, species and energy_eV, or a reference")
        return self

    @property
    def text(self) -> str:
        """What the energies of records refer to, in words."""
        words = f"energies refer to {self.species} at {self.energy_eV} eV"
        if self.region is not None and normalise_region(self.region) == "C 1s":
            words += " (contested for alkali-bearing samples)"  # [1]_
        if self.reference is None:
            return words
        entry = get_reference(self.reference)
        source = entry.source if entry.energy_eV == self.energy_eV else "energy of the recipe"
        return f"{words}, standard error {self.sigma_eV} eV; {source}"
