"""Relative sensitivity factors: named sets with their sources, and what each of them already contains.

Sets disagree by tens of per cent because they mean different things: a photoionisation cross-section, a factor that
holds the attenuation length, or one measured on an analyser with its own transmission. Each set says which, so that
`quantify` applies exactly the corrections that are missing. All values are relative to C 1s = 1.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from math import isfinite
from types import MappingProxyType
from typing import Any, Literal, get_args

from layerscope.errors import DataError, RecipeError
from layerscope.reference import find_entry, read_tables

from .dataset import normalise_region

__all__ = [
    "RsfFactor",
    "RsfSet",
    "TransmissionConvention",
    "custom_rsf_set",
    "get_rsf_set",
    "load_rsf_sets",
    "sets_with",
]

TransmissionConvention = Literal["none", "inverse-energy", "instrument"]
Kind = Literal["cross-section", "average-matrix", "empirical"]

# Share of the whole doublet in one component, by the statistical weights 2j + 1.
_SHARE = {"p3/2": 2 / 3, "p1/2": 1 / 3, "d5/2": 3 / 5, "d3/2": 2 / 5, "f7/2": 4 / 7, "f5/2": 3 / 7}


@dataclass(frozen=True)
class RsfFactor:
    """One sensitivity factor.

    Attributes
    ----------
    line : str
        Core level it is for: the whole doublet (``"In 3d"``) or one component (``"In 3d5/2"``).
    value : float
        Factor relative to C 1s = 1.
    derived : bool
        True if the set lists the other form only and the statistical ratio 2j + 1 was used.
    """

    line: str
    value: float
    derived: bool


@dataclass(frozen=True)
class RsfSet:
    """A set of sensitivity factors and its conventions.

    Attributes
    ----------
    name, label : str
        Key in recipes; full name.
    kind : str
        ``"cross-section"``, ``"average-matrix"`` or ``"empirical"``.
    includes_attenuation : bool
        True if the energy dependence of the attenuation length is contained in the factors.
    transmission : str
        ``"none"``: not contained; ``"inverse-energy"``: that of an analyser with T ~ 1/E is contained;
        ``"instrument"``: that of the maker's analyser is contained, and areas are used as measured.
    values : mapping
        Core level -> factor, C 1s = 1.
    source, status, notes : str
        Citation; ``read``, ``secondary`` or ``unverified``; remarks.
    """

    name: str
    label: str
    kind: Kind
    includes_attenuation: bool
    transmission: TransmissionConvention
    values: Mapping[str, float] = field(repr=False)
    source: str
    status: str
    notes: str = ""

    def __post_init__(self) -> None:
        where = f"RSF set {self.name!r}"
        if self.kind not in get_args(Kind) or self.transmission not in get_args(TransmissionConvention):
            raise DataError(f"kind {self.kind!r} or transmission {self.transmission!r} is unknown", source=where)
        if not self.source:
            raise DataError("a set needs a source", source=where)
        for line, value in self.values.items():
            if not (isfinite(value) and value > 0.0):
                raise DataError(f"factor of {line} must be positive, not {value}", source=where)
        object.__setattr__(self, "values", MappingProxyType(dict(self.values)))

    def factor(self, line: str) -> RsfFactor:
        """Return the factor of a core level.

        Parameters
        ----------
        line : str
            ``"Mn 2p"`` is the whole doublet, ``"Sn 3d5/2"`` one component.

        Returns
        -------
        RsfFactor
            As listed, or derived by the statistical ratio where the set lists the other form.

        Raises
        ------
        RecipeError
            If the set has no value for the line; the message names the sets that have.
        """
        found = self._find(line)
        if found is not None:
            return found
        others = [name for name, other in load_rsf_sets().items() if other.name != self.name and other.has(line)]
        hint = f"sets with a value: {', '.join(others)}" if others else "give it in the recipe with its source"
        raise RecipeError(f"RSF set {self.name!r} has no value for {normalise_region(line)!r}", hint=hint)

    def has(self, line: str) -> bool:
        """Tell whether the set has a value for a line, listed or derived."""
        return self._find(line) is not None

    def _find(self, line: str) -> RsfFactor | None:
        wanted = normalise_region(line)
        if wanted in self.values:
            return RsfFactor(wanted, self.values[wanted], derived=False)
        for component, share in _SHARE.items():
            if wanted.endswith(component) and (whole := wanted.removesuffix(component[1:])) in self.values:
                return RsfFactor(wanted, share * self.values[whole], derived=True)
            if wanted.endswith(component[0]) and (part := wanted + component[1:]) in self.values:
                return RsfFactor(wanted, self.values[part] / share, derived=True)
        return None


@lru_cache(maxsize=1)
def load_rsf_sets() -> Mapping[str, RsfSet]:
    """Return the shipped sets by name, read once and checked.

    Returns
    -------
    mapping
        Name -> `RsfSet`.
    """
    return MappingProxyType({name: _parse_set(name, table) for name, table in read_tables("rsf").items()})


def get_rsf_set(name: str) -> RsfSet:
    """Return a shipped set by name.

    Parameters
    ----------
    name : str
        For example ``"scofield"``.

    Returns
    -------
    RsfSet
        The set.

    Raises
    ------
    RecipeError
        Unknown name; the message names the nearest ones.
    """
    return find_entry(load_rsf_sets(), name, "RSF set")


def sets_with(lines: Collection[str], names: Collection[str] = ()) -> list[RsfSet]:
    """Return the sets that have a value for all of some lines.

    Parameters
    ----------
    lines : collection of str
        Core levels.
    names : collection of str, optional
        Sets to choose from; all that are shipped where nothing is said.

    Raises
    ------
    RecipeError
        Unknown name.
    """
    chosen = [get_rsf_set(name) for name in names] if names else load_rsf_sets().values()
    return [rsf for rsf in chosen if all(rsf.has(line) for line in lines)]


def custom_rsf_set(
    values: Mapping[str, float],
    source: str,
    *,
    name: str = "custom",
    includes_attenuation: bool = True,
    transmission: TransmissionConvention = "instrument",
) -> RsfSet:
    """Make a set of factors that come from a recipe or from the data file (such as PHI's CorrectedRSF).

    Parameters
    ----------
    values : mapping
        Core level -> factor on any common scale; if C 1s is among them the set is scaled to C 1s = 1.
    source : str
        Where they come from.
    name : str, default "custom"
        Name of the set in records.
    includes_attenuation, transmission : optional
        Conventions, see `RsfSet`; by default the factors are used as they stand.

    Returns
    -------
    RsfSet
        The set.

    Raises
    ------
    DataError
        If a factor is not positive or there is no source.
    """
    named = {normalise_region(line): float(value) for line, value in values.items()}
    scale = named.get("C 1s", 1.0) or 1.0
    scaled = {line: value / scale for line, value in named.items()}
    return RsfSet(name, name, "empirical", includes_attenuation, transmission, scaled, source, "read")


def _parse_set(name: str, table: Mapping[str, Any]) -> RsfSet:
    """Check one table and make a set of it."""
    where = f"rsf/{name}.toml"
    if table.get("reference_line") != "C 1s" or table.get("values", {}).get("C 1s") != 1.0:
        raise DataError("a set must be relative to C 1s = 1", source=where)
    content = {key: value for key, value in table.items() if key not in ("reference_line", "excitation")}
    try:
        return RsfSet(name=name, **content)
    except TypeError as error:
        raise DataError(f"wrong keys: {error}", source=where) from error
