"""The declared components of a series and the lines of cell hardware, read from the reference data."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal

import numpy as np

from layerscope.errors import DataError

from ..radiation import FloatArray

__all__ = [
    "ComponentSet",
    "HardwareLine",
    "LineComponent",
    "Scatterer",
    "Stacking",
    "hardware_lines",
    "lco_003",
]

Side = Literal["first", "turn", "high", "low"]
_SIDES = ("first", "turn", "high", "low")


@dataclass(frozen=True)
class LineComponent:
    """One line that a series can contain.

    Attributes
    ----------
    id : str
        A valid identifier; parameters are called ``<id>_center``, ``<id>_area``, ...
    label : str
        As printed.
    order : int
        Place in the sequence of the charge; lines appear in ascending order.
    side : {"first", "turn", "high", "low"}
        Where it appears against the lines that are there already: it is the first one; it is what the first one is
        called after its spacing has turned (or a new line below it); at higher or lower angles.
    two_theta_deg : float
        Typical position for Cu K-alpha-1.
    intensity_per_weight : float
        Calculated intensity of the line per weight, relative to the first component.
    intensity_error : float
        Its relative standard error, from how well the structure is known; 0 for a mixture, which has that of its parts.
    share_error : float
        For an intergrowth the standard error of the share of layers of its second component.
    mixture : tuple of str
        For an intergrowth the two components whose layers it mixes.
    phase : str
        Structure in ``reference_data/phases``; empty for an intergrowth.
    source, status, notes : str
        Where the entry comes from and how far it was checked.
    """

    id: str
    label: str
    order: int
    side: Side
    two_theta_deg: float
    intensity_per_weight: float
    mixture: tuple[str, ...] = ()
    phase: str = ""
    source: str = ""
    status: str = ""
    notes: str = ""
    intensity_error: float = 0.0
    share_error: float = 0.0


@dataclass(frozen=True)
class Scatterer:
    """Atoms of one kind in a layer: `count` at `height_A` above and below its middle; form factor a, b, c."""

    element: str
    count: float
    height_A: float
    a: tuple[float, ...]
    b: tuple[float, ...]
    c: float

    def amplitude(self, q: FloatArray, b_iso_A2: float) -> FloatArray:
        """Return the amplitude (electrons) at q (1/Å), displaced isotropically."""
        s2 = (q / (4.0 * np.pi)) ** 2
        form = np.exp(-np.multiply.outer(s2, self.b)) @ np.asarray(self.a) + self.c
        return np.asarray(self.count * form * np.exp(-b_iso_A2 * s2) * np.cos(q * self.height_A))


@dataclass(frozen=True)
class Stacking:
    """What the layers of a set are made of, and which components are their stacks.

    Attributes
    ----------
    ordered, mixed, alternating : str
        Components whose interlayers are all filled, in a disordered order, filled and empty in turn.
    guest : float
        Guests in a filled interlayer.
    b_iso_A2 : float
        Of all atoms (Å^2).
    slab : tuple of Scatterer
    guests : Scatterer
    """

    ordered: str
    mixed: str
    alternating: str
    guest: float
    b_iso_A2: float
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


@dataclass(frozen=True)
class ComponentSet:
    """Components of one reflection, in the order of the charge.

    Attributes
    ----------
    name, reflection : str
    low_deg, high_deg : float
        Range (Cu K-alpha-1) in which the lines lie.
    components : tuple of LineComponent
    stacking : Stacking, optional
        How some of them are stacks of the same layers.
    """

    name: str
    reflection: str
    low_deg: float
    high_deg: float
    components: tuple[LineComponent, ...]
    stacking: Stacking | None = None

    def __getitem__(self, name: str) -> LineComponent:
        for component in self.components:
            if component.id == name:
                return component
        raise DataError(f"no component '{name}' in {self.name}", hint=", ".join(c.id for c in self.components))

    @property
    def ids(self) -> tuple[str, ...]:
        """Identifiers in the order of the charge."""
        return tuple(c.id for c in self.components)


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


def component_set(name: str) -> ComponentSet:
    """Read a set of components.

    Raises
    ------
    DataError
        If the table is missing, or an order or a side is not as it must be.
    """
    table = _table(name)
    rows = [LineComponent(**{**row, "mixture": tuple(row.get("mixture", ()))}) for row in table["component"]]
    rows.sort(key=lambda c: c.order)
    known = {c.id for c in rows}
    for c in rows:
        if c.side not in _SIDES or not set(c.mixture) <= known or not c.id.isidentifier():
            raise DataError(f"component '{c.id}' is not declared as it must be", source=f"peaks/{name}.toml")
    if len(known) < len(rows) or [c.order for c in rows] != list(range(len(rows))):
        raise DataError("identifiers or orders are not unique", source=f"peaks/{name}.toml")
    head = table["series"]
    stacking = _stacking(table["stacking"]) if "stacking" in table else None
    if stacking is not None and not set(stacking.names) <= known:
        raise DataError("a stack is no component", source=f"peaks/{name}.toml", hint=", ".join(stacking.names))
    return ComponentSet(head["name"], head["reflection"], head["low_deg"], head["high_deg"], tuple(rows), stacking)


def _stacking(table: dict[str, Any]) -> Stacking:
    atoms = [
        Scatterer(**{**row, "a": tuple(row["a"]), "b": tuple(row["b"])}) for row in (*table["slab"], table["guests"])
    ]
    return Stacking(**{**table, "slab": tuple(atoms[:-1]), "guests": atoms[-1]})


def lco_003() -> ComponentSet:
    """Return O3, O3', intergrowth, H1-3 and O1 of LiCoO2."""
    return component_set("lco_003")


def hardware_lines(low_A: float | None = None, high_A: float | None = None) -> tuple[HardwareLine, ...]:
    """Return the lines of cell hardware whose search range touches spacings from `low_A` to `high_A` (Å)."""
    lines = [HardwareLine(**row) for row in _table("hardware")["line"]]
    low, high = low_A or 0.0, high_A or float("inf")
    return tuple(h for h in lines if low <= h.d_A + h.tolerance_A and h.d_A - h.tolerance_A <= high)
