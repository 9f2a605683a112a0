"""Which panels there are: functions that draw records and arrays on a place, found by the names that figures use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from layerscope.errors import RecipeError
from layerscope.records import ResultRecord
from layerscope.records.vocabulary import nearest

from .place import Place
from .spec import PanelOptions

__all__ = ["ENTRY_POINT_GROUP", "PanelKind", "find_kind", "installed_kinds"]

ENTRY_POINT_GROUP = "layerscope.panels"


@dataclass(frozen=True)
class PanelKind:
    """One kind of panel.

    Attributes
    ----------
    name : str
        What specifications call it: ``xps.region``.
    pipeline : str
        The pipeline whose records it draws.
    options : type of PanelOptions
        What a specification may say of it; its docstring is printed in the list of keys.
    draw : callable
        ``draw(place, options)`` draws on the place and returns the records that it drew.
    usual : bool
        Whether it is what a figure without a specification shows of its pipeline.
    """

    name: str
    pipeline: str
    options: type[PanelOptions]
    draw: Callable[[Place, Any], Sequence[ResultRecord]]
    usual: bool = False


@cache
def installed_kinds() -> dict[str, PanelKind]:
    """Return every kind of panel that is installed, by name, in the order of their names."""
    found = [kind for entry in entry_points(group=ENTRY_POINT_GROUP) for kind in entry.load()]
    return {kind.name: kind for kind in sorted(found, key=lambda kind: kind.name)}


def find_kind(name: str) -> PanelKind:
    """Return a kind of panel.

    Raises
    ------
    RecipeError
        If there is none of this name; the message names the nearest.
    """
    kinds = installed_kinds()
    if name not in kinds:
        close = nearest(name, tuple(kinds))
        hint = f"did you mean {close!r}?" if close else f"there are {', '.join(kinds)}"
        raise RecipeError(f"there is no panel of kind {name!r}", hint=hint)
    return kinds[name]
