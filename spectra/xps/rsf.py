"""Relative sensitivity factors: named sets with their sources, and what each of them already contains.

Sets disagree by tens of per cent because they mean different things: a photoionisation cross-section, a factor that
holds the attenuation length, or one measured on an analyser with its own transmission. Each set says which, so that
`quantify` applies exactly the corrections that are missing. All values are relative to C 1s = 1.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from layerscope.errors import RecipeError
from layerscope.options import Positive, RecipeModel
from layerscope.reference import find_entry, make_entry, read_tables

from .dataset import normalise_region

__all__ = [
    "RsfFactor",
    "RsfSet",
    "TransmissionConvention",
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


class RsfSet(RecipeModel):
    """A set of sensitivity factors and its conventions."""

    name: str = Field(description="key in recipes")
    label: str = Field(description="full name")
    kind: Kind = Field(description="what a factor is")
    includes_attenuation: bool = Field(description="whether factors hold the attenuation length's energy dependence")
    transmission: TransmissionConvention = Field(
        description="none: not contained; inverse-energy: that of an analyser with T ~ 1/E is; instrument: that of the "
        "maker's analyser is, and areas are used as measured"
    )
    values: Annotated[Mapping[str, Positive], AfterValidator(MappingProxyType)] = Field(
        repr=False, description="core level -> factor, C 1s = 1"
    )
    source: str = Field(min_length=1, description="citation")
    status: Literal["read", "secondary", "unverified"] = Field(description="whether the source was opened")
    notes: str = Field(default="", description="remarks")
    reference_line: Literal["C 1s"] = Field(default="C 1s", description="line whose factor is 1")
    excitation: str = Field(default="", description="what the factors are for")

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

    def extended(self, factors: Mapping[str, float], source: str) -> RsfSet:
        """Return the set with factors that a recipe adds or replaces; if C 1s is among them, on any common scale.

        Raises
        ------
        DataError
            If a factor is not positive or there is no source.
        """
        values = {**self.values, **{normalise_region(line): value for line, value in factors.items()}}
        scale = values["C 1s"] or 1.0
        content = self.model_dump(exclude={"values"}) | {
            "name": f"{self.name} + recipe",
            "values": {line: value / scale for line, value in values.items()},
            "source": source and f"{self.source}; {', '.join(factors)}: {source}",
        }
        return make_entry(RsfSet, content, f"factors for RSF set {self.name!r}")

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
    return MappingProxyType(
        {
            name: make_entry(RsfSet, {"name": name} | table, f"rsf/{name}.toml")
            for name, table in read_tables("rsf").items()
        }
    )


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
