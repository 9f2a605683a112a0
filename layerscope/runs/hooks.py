"""What a pipeline may hand in beside records: how its series stand in NeXus, and what it found of its own parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import h5py

    from layerscope.runs.arrays import SeriesArrays

__all__ = ["Finding", "NexusLayout"]


@dataclass(frozen=True)
class NexusLayout:
    """What a technique's application definition adds to the NeXus file of a series.

    Attributes
    ----------
    add : callable
        ``add(entry, series)`` writes definition, instrument and what else the definition asks for into the NXentry;
        title, sample, data and fit are there already, and may be given further attributes.
    axis_field : str or None
        Name that the definition gives the field of the axis; that of the series when None.
    """

    add: Callable[[h5py.Group, SeriesArrays], None]
    axis_field: str | None = None


@dataclass(frozen=True)
class Finding:
    """One thing that ``layerscope doctor`` looked for.

    Attributes
    ----------
    group : str
        ``system``, ``required``, ``optional``, ``engine`` or ``pipeline``.
    name, detail : str
        What, and its version or where it was found.
    state : {"ok", "missing", "broken"}
        Whether it can be used.
    hint : str
        How to get it; empty when it is there.
    """

    group: str
    name: str
    state: Literal["ok", "missing", "broken"]
    detail: str
    hint: str = ""
