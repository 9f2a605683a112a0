"""How deep a record looks: techniques say it of their own records, so that a report can set them along depth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from layerscope.installed import installed
from layerscope.records import Quantity, ResultRecord

__all__ = ["DEPTHS_GROUP", "Reach", "reaches"]

DEPTHS_GROUP = "layerscope.depths"
"""Entry points of techniques: functions of records that return what is known along depth, in the order of names."""


@dataclass(frozen=True)
class Reach:
    """What a record says of a part of the depth.

    Attributes
    ----------
    record : ResultRecord
    low_nm, high_nm : float
        From and to where, below the surface.
    quantities : tuple of Quantity
        What it says there.
    how : str
        What the two depths rest on.
    """

    record: ResultRecord
    low_nm: float
    high_nm: float
    quantities: tuple[Quantity, ...]
    how: str


#: What an entry point of the group is.
DepthsOf: TypeAlias = Callable[[Sequence[ResultRecord]], Sequence[Reach]]


def reaches(records: Sequence[ResultRecord]) -> list[Reach]:
    """Return what installed techniques know along depth, from the surface down."""
    found: list[Reach] = []
    for point in installed(DEPTHS_GROUP).values():
        maker: DepthsOf = point.load()
        found += maker(records)
    return sorted(found, key=lambda one: (one.low_nm, one.high_nm))
