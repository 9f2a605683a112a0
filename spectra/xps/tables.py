"""The tables that a person sees after a run: composition, species and what they do along the profile."""

from __future__ import annotations

from collections.abc import Sequence

from layerscope.records import ResultRecord
from layerscope.runs.summary import SummaryTable, long_table, pivot_table

__all__ = ["summary_tables"]

#: What a person asks of a profile; plateaus and limits stand in the records.
KINKS = tuple(
    f"species.{word}_{unit}"
    for word in ("onset", "saturation", "fall", "gone", "rise", "settled", "half", "edge", "decay")
    for unit in ("time", "depth")
)


def summary_tables(records: Sequence[ResultRecord]) -> list[SummaryTable]:
    """Return the tables of all XPS records, sample by sample."""
    tables: list[SummaryTable] = []
    for sample in dict.fromkeys(r.state.sample for r in records):
        own = [r for r in records if r.state.sample == sample and r.status != "failed"]
        tables += _sample_tables(sample, own)
    return tables


def _row(records: Sequence[ResultRecord]) -> str:
    return "elapsed_s" if any(r.state.elapsed_s is not None for r in records) else "etch_time_s"


def _sample_tables(sample: str, records: list[ResultRecord]) -> list[SummaryTable]:
    found = []
    at_percent = [r for r in records if r.method == "xps.composition"]
    if at_percent:
        found.append(
            pivot_table(
                at_percent,
                "composition.atomic_fraction",
                rows=_row(at_percent),
                title=f"{sample}: atomic fractions",
                note="Errors: counting, background, RSF set and charge reference together; apart in the records.",
            )
        )
    levels = [r for r in records if r.method == "xps.region"]
    for region in dict.fromkeys(r.state.region for r in levels):
        own = [r for r in levels if r.state.region == region]
        for quantity, words in (
            ("species.fraction", "share of each species"),
            ("species.fraction_single_level", "the same, every level fitted alone"),
        ):
            table = pivot_table(own, quantity, rows=_row(own), title=f"{sample}, {region}: {words}")
            if table.rows:
                found.append(table)
    profiles = [_only(r, KINKS) for r in records if r.method in ("xps.series", "xps.composition_profile")]
    profiles = [r for r in profiles if r.quantities]
    if profiles:
        found.append(long_table(profiles, title=f"{sample}: along the profile"))
    valence = [r for r in records if r.method == "xps.valence"]
    if valence:
        found.append(pivot_table(valence, "valence.mn", title=f"{sample}: mean oxidation state of Mn"))
    return found


def _only(record: ResultRecord, prefixes: tuple[str, ...]) -> ResultRecord:
    """Return a record with those quantities only."""
    chosen = tuple(q for q in record.quantities if q.name.startswith(prefixes))
    return record.model_copy(update={"quantities": chosen})
