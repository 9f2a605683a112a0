"""The tables of surveys: elements with their probability, place and amount."""

from __future__ import annotations

from collections.abc import Sequence

from layerscope.records import ResultRecord
from layerscope.runs.summary import Shown, SummaryTable, table

__all__ = ["METHOD", "survey_tables"]

METHOD = "xps_survey.elements"
_LEVELS = ("elapsed_s", "etch_time_s", "angle_deg")
_NOTE = (
    "Positions are corrected by the shift common to all lines. What speaks for each element, and what every other peak "
    "may be, stands in the notes of the record."
)


def survey_tables(records: Sequence[ResultRecord]) -> list[SummaryTable]:
    """Return the elements of every survey, a row each, and the composition along the levels where there are several."""
    good = [r for r in records if r.method == METHOD and r.status != "failed"]
    tables: list[SummaryTable] = []
    for sample in dict.fromkeys(r.state.sample for r in good):
        own = [r for r in good if r.state.sample == sample]
        columns = (
            Shown("element.probability", "probability"),
            Shown("peak.position", "position"),
            Shown("composition.atomic_fraction", "atomic fraction"),
        )
        several = any(getattr(r.state, field) is not None for r in own for field in _LEVELS)
        rows, title = (*_LEVELS, "component"), f"{sample}: elements"
        tables.append(table(own, rows, columns, title=title, note=_NOTE, headline=not several))
        if several:
            shares, title = ("composition.atomic_fraction",), f"{sample}: atomic fractions"
            tables.append(table(own, _LEVELS, shares, title=title, headline=True))
    return [made for made in tables if made.rows]
