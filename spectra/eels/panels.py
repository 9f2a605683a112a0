"""Panels of figures by specification: net edges along a scan, and what was read off them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from layerscope.figures.specified import PanelKind, PanelOptions, Place
from layerscope.figures.specified.place import one_of
from layerscope.records import ResultRecord
from layerscope.runs.arrays import SeriesArrays
from layerscope.runs.load import Run

from .arrays import NO_FIT
from .figures import draw_courses, draw_net
from .tables import METHOD

__all__ = ["PANELS"]


class ScanOptions(PanelOptions):
    """Net spectra of an edge along a scan, the first on top, or the courses of what was read off them."""

    sample: str | None = Field(default=None, description="sample, or part of its name")
    region: str | None = Field(default=None, description="the edge, e.g. 'Co L3'")


def _collect(run: Run) -> list[SeriesArrays]:
    loaded = [lazy.load() for lazy in run.arrays.values()]
    return [one for one in loaded if one.metadata.get("fit") == NO_FIT]


def _scan(place: Place, options: ScanOptions) -> tuple[SeriesArrays, list[ResultRecord]]:
    found = place.source.collect("eels", _collect)
    own = [one for one in found if options.sample is None or options.sample.casefold() in one.sample.casefold()]
    arrays = one_of({str(one.metadata["edge"]): one for one in own}, options.region, "edges")
    records = place.source.run.of_pipeline("eels").records
    return arrays, [r for r in records if any(Path(ref.file).stem == arrays.name for ref in r.arrays)]


def _net(place: Place, options: ScanOptions) -> Sequence[ResultRecord]:
    arrays, records = _scan(place, options)
    draw_net(place.panel(str(arrays.metadata["edge"]) if options.title is None else options.title), arrays)
    return records


def _courses(place: Place, options: ScanOptions) -> Sequence[ResultRecord]:
    arrays, records = _scan(place, options)
    edge = str(arrays.metadata["edge"])
    own = [record for record in place.source.run.of_pipeline("eels").records if record.method == METHOD]
    draw_courses(place.panel(edge if options.title is None else options.title), arrays, own, edge)
    return records


PANELS = (
    PanelKind("eels.net", "eels", ScanOptions, _net, usual=True),
    PanelKind("eels.courses", "eels", ScanOptions, _courses),
)
