"""What a figure without a specification shows: the usual panel of everything that matches, sample beside sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from layerscope.errors import DataError
from layerscope.records import ResultRecord
from layerscope.runs.pipeline import pipeline_of

from .kinds import installed_kinds
from .place import Source

__all__ = ["usual_panels"]


def _is_of(record: ResultRecord, region: str) -> bool:
    """Tell whether a record is of a region: by its state, or where it holds several, such as edges, by what it has."""
    named = {record.state.region or "", *(quantity.component or "" for quantity in record.quantities)}
    return region.casefold() in {name.casefold() for name in named}


def usual_panels(
    sources: Sequence[Source],
    *,
    region: str | None = None,
    sample: str | None = None,
    level: int | None = None,
) -> list[dict[str, Any]]:
    """Return the tables of the usual panels of some runs.

    Parameters
    ----------
    sources : sequence of Source
        The runs.
    region, sample : str, optional
        Only this region, and samples whose names hold this word.
    level : int, optional
        One level of each series, from 0.

    Raises
    ------
    DataError
        If nothing matches.
    """
    kinds = {kind.pipeline: kind for kind in installed_kinds().values() if kind.usual}
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for number, source in enumerate(sources, start=1):
        for record in source.run.records:
            kind, state = kinds.get(pipeline_of(record)), record.state
            if kind is None or record.status == "failed" or not record.arrays:
                continue
            if region is not None and not _is_of(record, region):
                continue
            if sample is not None and sample.casefold() not in state.sample.casefold():
                continue
            asked = {"run": number, "sample": state.sample, "region": region, "level": level}
            known = {
                key: value for key, value in asked.items() if value is not None and key in kind.options.model_fields
            }
            found[kind.name, *known.values()] = {"kind": kind.name, **known}
    if not found:
        regions = sorted(
            {record.state.region for source in sources for record in source.run.records if record.state.region}
        )
        raise DataError("nothing of the runs matches", hint=f"regions: {', '.join(regions) or 'none'}")
    panels = list(found.values())
    if len(panels) > 1:  # beside each other they are called after their samples
        panels = [one | ({"title": one["sample"]} if "sample" in one else {}) for one in panels]
    return panels
