"""The tables that a person sees after a run: each sample's edge, and where samples differ."""

from __future__ import annotations

from collections.abc import Sequence

from layerscope.records import ResultRecord
from layerscope.runs.summary import Shown, SummaryTable, table

__all__ = ["METHOD", "summary_tables"]

METHOD = "sxas.spectrum"
_EDGE = (
    Shown("edge.area", "{} area"),
    Shown("edge.step", "{} step"),
    Shown("edge.level", "{} level"),
    Shown("edge.position", "{}"),
    Shown("edge.shift", "{} shift"),
)


def summary_tables(records: Sequence[ResultRecord]) -> list[SummaryTable]:
    """Return the tables of all records that did not fail."""
    good = [record for record in records if record.status != "failed"]
    spectra = [record for record in good if record.method == METHOD]
    made = [table(spectra, ("sample", "series", "cycle"), _EDGE, title="absorption edges", headline=True)]
    return [one for one in made if one.rows]
