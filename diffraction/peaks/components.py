"""Sets of lines: the phases of a reflection in the order of the charge, and the lines of cell hardware.

A set is a TOML file: those of the reference data, or one that a user wrote (`read_set`).
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import AfterValidator, Field, model_validator

from layerscope.errors import DataError
from layerscope.options import Positive, RecipeModel
from layerscope.reference import make_entry, nearest_names
from layerscope.runs.recipe import read_toml

from ..radiation import FloatArray
from ..recipe_series import Range

__all__ = [
    "ComponentSet",
    "HardwareLine",
    "LineComponent",
    "Scatterer",
    "Stacking",
    "available_sets",
    "component_set",
    "hardware_lines",
    "lco_003",
    "read_set",
]

Side = Literal["first", "turn", "high", "low"]
Amount = Literal["rises", "falls", "any"]
NotNegative = Annotated[float, Field(ge=0)]


def _law(points: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
    if any(a[0] >= b[0] for a, b in pairwise(points)):
        raise ValueError("the voltages of a law ascend")
    return points


class LineComponent(RecipeModel):
    """One line that a series can contain."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9]*$")] = Field(
        description="letters and digits; recipes call the phase by it"
    )
    label: Annotated[str, Field(min_length=1, max_length=40)] = Field(description="as printed")
    order: Annotated[int, Field(ge=0)] = Field(description="place in the sequence of the charge, from 0")
    side: Side = Field(
        description="where it appears: it is there first; it is what the first line is called after its spacing has "
        "turned (or a new line below it); at higher, or lower, angles than those of lower order"
    )
    two_theta_deg: Positive = Field(description="typical position for Cu K-alpha-1, where structures are looked up")
    d_A: Range = Field(description="spacings at which the line can lie, Å")
    law: Annotated[tuple[tuple[float, float], ...], AfterValidator(_law)] = Field(
        default=(), description="its spacing against the charge: pairs of voltage (V) and spacing (Å)"
    )
    law_sigma_A: Positive = Field(default=0.03, description="by how much samples differ from the law, Å")
    from_V: float | None = Field(default=None, description="lowest voltage on a charge at which it was seen")
    fwhm_ratio: Range = Field(default=(0.5, 3.0), description="width of the line over that of the first")
    broad: Positive = Field(
        default=3.0, description="that ratio beyond which the line is doubted to have the shape of the model"
    )
    amount: Amount = Field(default="any", description="how its amount runs against the charge while it is there")
    intensity_per_weight: Positive = Field(description="calculated, relative to the first component")
    intensity_error: NotNegative = Field(
        default=0.0, description="its relative standard error; 0 for a mixture, which has that of its parts"
    )
    texture: Positive = Field(default=1.0, description="by how much texture enhances the line against the others")
    texture_error: NotNegative = Field(default=0.0, description="its relative standard error")
    share_error: NotNegative = Field(
        default=0.0, description="of an intergrowth: standard error of the share of layers of its second component"
    )
    mixture: tuple[str, ...] = Field(default=(), description="the two components whose layers an intergrowth mixes")
    phase: str = Field(default="", description="structure in reference_data/phases; empty for an intergrowth")
    colour: Annotated[str, Field(pattern=r"^(#[0-9A-Fa-f]{6})?$")] = Field(
        default="", description="in figures, '#RRGGBB'; one that is free where nothing is said"
    )
    source: Annotated[str, Field(min_length=1)] = Field(description="where the entry comes from")
    status: Literal["read", "secondary", "derived", "unverified"] = Field(
        default="unverified", description="how far that was checked"
    )
    notes: str = Field(default="", description="for people")


class Scatterer(RecipeModel):
    """Atoms of one kind in a layer: `count` at `height_A` above and below its middle; form factor a, b, c."""

    element: str
    count: Positive
    height_A: float
    a: tuple[float, ...]
    b: tuple[float, ...]
    c: float

    def amplitude(self, q: FloatArray, b_iso_A2: float) -> FloatArray:
        """Return the amplitude (electrons) at q (1/Å), displaced isotropically."""
        s2 = (q / (4.0 * np.pi)) ** 2
        form = np.exp(-np.multiply.outer(s2, self.b)) @ np.asarray(self.a) + self.c
        return np.asarray(self.count * form * np.exp(-b_iso_A2 * s2) * np.cos(q * self.height_A))


class Stacking(RecipeModel):
    """What the layers of a set are made of, and which components are their stacks."""

    ordered: str = Field(description="component whose interlayers are all filled")
    mixed: str = Field(description="component whose interlayers are filled and empty in a disordered order")
    alternating: str = Field(description="component whose interlayers are filled and empty in turn")
    guest: NotNegative = Field(description="guests in a filled interlayer")
    b_iso_A2: NotNegative = Field(description="of all atoms, Å^2")
    slab: tuple[Scatterer, ...]
    guests: Scatterer

    @property
    def names(self) -> tuple[str, str, str]:
        """Components in the order of their share of empty interlayers."""
        return self.ordered, self.mixed, self.alternating

    def amplitudes(self, q: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the amplitudes of a slab and of the guests of a filled interlayer at q (1/Å)."""
        slab = np.sum([s.amplitude(q, self.b_iso_A2) for s in self.slab], axis=0)
        return np.asarray(slab), self.guest * self.guests.amplitude(q, self.b_iso_A2)


class _Head(RecipeModel):
    """What a set is called, and where its lines lie."""

    name: Annotated[str, Field(min_length=1, max_length=60)] = Field(description="of the set")
    reflection: Annotated[str, Field(min_length=1, max_length=20)] = Field(description="e.g. '003'")
    low_deg: Positive = Field(description="range in which lines are looked for, Cu K-alpha-1")
    high_deg: Positive = Field(description="its upper end")


class ComponentSet(RecipeModel):
    """A set: components of one reflection in the order of the charge, and how some of them are stacks of layers."""

    series: _Head
    component: Annotated[tuple[LineComponent, ...], Field(min_length=1, max_length=12)]
    stacking: Stacking | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        ids, parts = self.ids, {part for c in self.component for part in c.mixture}
        if sorted(set(ids)) != sorted(ids) or [c.order for c in self.component] != list(range(len(ids))):
            raise ValueError("components stand in their order, from 0, and no two are called alike")
        unknown = (parts | set(() if self.stacking is None else self.stacking.names)) - set(ids)
        if unknown:
            raise ValueError(f"no component is called {sorted(unknown)[0]!r}")
        if any(len(c.mixture) not in (0, 2) for c in self.component):
            raise ValueError("an intergrowth mixes two components")
        if [c.side for c in self.component].count("first") != 1 or self.component[0].side != "first":
            raise ValueError("the first component, and no other, has the side 'first'")
        return self

    def __getitem__(self, name: str) -> LineComponent:
        for component in self.component:
            if component.id == name:
                return component
        raise DataError(f"no component '{name}' in {self.name}", hint=", ".join(self.ids))

    @property
    def name(self) -> str:
        """What the set is called."""
        return self.series.name

    @property
    def reflection(self) -> str:
        """Indices of the reflection."""
        return self.series.reflection

    @property
    def low_deg(self) -> float:
        """Lower end of the range in which the lines lie (Cu K-alpha-1)."""
        return self.series.low_deg

    @property
    def high_deg(self) -> float:
        """Upper end of that range."""
        return self.series.high_deg

    @property
    def components(self) -> tuple[LineComponent, ...]:
        """All of them."""
        return self.component

    @property
    def ids(self) -> tuple[str, ...]:
        """Identifiers in the order of the charge."""
        return tuple(c.id for c in self.component)

    @property
    def turned(self) -> LineComponent | None:
        """What the first line is called after its spacing has turned; None where the set names nothing so."""
        return next((c for c in self.component if c.side == "turn"), None)

    def without(self, names: tuple[str, ...]) -> ComponentSet:
        """Return the set without some of its components; stacks and mixtures of them go with them.

        Raises
        ------
        DataError
            If there is no such component, or it is the first one.
        """
        for name in names:
            if self[name].side == "first":
                raise DataError(f"the first component, {name}, cannot be left out")
        gone = {c.id for c in self.component if c.id in names or set(c.mixture) & set(names)}
        kept = [c for c in self.component if c.id not in gone]
        rows = tuple(c.model_copy(update={"order": k}) for k, c in enumerate(kept))
        stacks = None if self.stacking is None or gone & set(self.stacking.names) else self.stacking
        return ComponentSet(series=self.series, component=rows, stacking=stacks)


@dataclass(frozen=True)
class HardwareLine:
    """A line of the cell: looked for near `d_A` (Å) within `tolerance_A`."""

    id: str
    part: str
    d_A: float
    tolerance_A: float
    source: str
    status: str


def _table(name: str) -> dict[str, Any]:
    entry = files("layerscope.reference_data").joinpath("peaks", f"{name}.toml")
    if not entry.is_file():
        raise DataError(
            f"reference table 'peaks/{name}' is missing", hint="reinstall layerscope; its data are not there"
        )
    try:
        return tomllib.loads(entry.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"not valid TOML: {error}", source=f"peaks/{name}.toml") from error


def available_sets() -> tuple[str, ...]:
    """Return the names of the sets that ship with the package."""
    names = (p.name.removesuffix(".toml") for p in files("layerscope.reference_data").joinpath("peaks").iterdir())
    return tuple(sorted(n for n in names if "series" in _table(n)))


def component_set(name: str) -> ComponentSet:
    """Return a set of the reference data.

    Raises
    ------
    DataError
        If there is none of this name, or its table is not as it must be.
    """
    known = available_sets()
    if name not in known:
        near = ", ".join(nearest_names(name, known))
        raise DataError(
            f"the set of components {name!r} is missing", hint=f"known: {near}; of your own: components_file"
        )
    return make_entry(ComponentSet, _table(name), f"peaks/{name}.toml")


def read_set(path: Path, source: str) -> ComponentSet:
    """Return a set that a user wrote.

    Parameters
    ----------
    path : Path
        TOML, as the sets of the reference data are.
    source : str
        What the recipe calls it, for messages.

    Raises
    ------
    RecipeError, DataError
        If it cannot be read, or its content is not as it must be; every wrong key is named.
    """
    return make_entry(ComponentSet, read_toml(path), source)


def lco_003() -> ComponentSet:
    """Return the set of O3, O3', intergrowth, H1-3 and O1 of LiCoO2."""
    return component_set("lco_003")


def hardware_lines(low_A: float | None = None, high_A: float | None = None) -> tuple[HardwareLine, ...]:
    """Return the lines of cell hardware whose search range touches spacings from `low_A` to `high_A` (Å)."""
    lines = [HardwareLine(**row) for row in _table("hardware")["line"]]
    low, high = low_A or 0.0, high_A or float("inf")
    return tuple(h for h in lines if low <= h.d_A + h.tolerance_A and h.d_A - h.tolerance_A <= high)
