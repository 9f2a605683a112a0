"""The tables that a person sees after a run: each sample's edge, and where samples differ."""

from __future__ import annotations

from collections.abc import Sequence

from layerscope.records import ResultRecord
from layerscope.runs.summary import Shown, SummaryTable, table

__all__ = ["BANDS", "COORDINATION", "METHOD", "SERIES", "summary_tables"]

METHOD, BANDS, SERIES, COORDINATION = "sxas.spectrum", "sxas.bands", "sxas.edge", "sxas.coordination"
_ROWS = ("sample", "series", "cycle")
FOUR = "shares of four-coordinate atoms"
SHARES = "shares of bands in the area of the edge"
AGAINST = "against the first sample: shifts, ratios of shares, and differences"
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
    bands = [record for record in good if record.method == BANDS]
    shares = [record for record in good if record.method == COORDINATION]
    against = (
        Shown("edge.shift", "{} shift"),
        Shown("edge.share_ratio", "{}"),
        Shown("edge.share_change", "{} change"),
    )
    made = [
        table(spectra, _ROWS, _EDGE, title="absorption edges", headline=not bands),
        table(bands, _ROWS, (Shown("peak.position", "{}"),), title="places of bands"),
        table(bands, _ROWS, (Shown("edge.share", "{}"),), title=SHARES, headline=len(bands) == 1 and not shares),
        table(bands, _ROWS, against, title=AGAINST, headline=not shares),
        table(
            shares,
            _ROWS,
            (Shown("coordination.fraction", "{}"), Shown("coordination.saturation", "saturation")),
            title=FOUR,
            headline=True,
        ),
    ]
    return [one for one in made if one.rows]
