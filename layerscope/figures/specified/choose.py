"""What a figure without a specification shows: the usual panel of everything that matches, sample beside sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from layerscope.errors import DataError
from layerscope.records import ResultRecord
from layerscope.runs.pipeline import pipeline_of

from .compose import draw_specified
from .kinds import installed_kinds
from .place import Source
from .spec import read_spec, spec_for

__all__ = ["draw_chosen", "usual_panels"]


def draw_chosen(
    sources: Sequence[Source],
    spec: Path | None,
    stem: Path | None,
    choice: Mapping[str, Any],
    page: Mapping[str, Any],
) -> tuple[Path, ...]:
    """Draw the figure of a specification, or without one the usual panels of what is chosen.

    Parameters
    ----------
    sources : sequence of Source
        The runs.
    spec : Path or None
        The specification.
    stem : Path or None
        Folder and name of the files, without ending; the name of the specification where it is None.
    choice : mapping
        ``region``, ``sample`` and ``level``, as `usual_panels` takes them.
    page : mapping
        Keys of the figure that count instead of those in the specification; None is left out.

    Returns
    -------
    tuple of Path
        The files.

    Raises
    ------
    RecipeError, DataError
        As `draw_specified`.
    """
    keys = {key: value for key, value in page.items() if value}
    if spec is None:
        wanted, name = spec_for(usual_panels(sources, **choice), **keys), "figure"
    else:
        wanted, name = read_spec(spec, **keys), spec.name
    return draw_specified(wanted, sources, stem or Path(Path(name).stem), name)


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
