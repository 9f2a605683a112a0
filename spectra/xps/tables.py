"""The tables that a person sees after a run: composition, species and what they do along the profile."""

from __future__ import annotations

from collections.abc import Sequence

from layerscope.records import ResultRecord
from layerscope.runs.summary import Shown, SummaryTable, table

__all__ = ["summary_tables"]

#: What a person asks of a profile; plateaus and limits stand in the records.
KINKS = tuple(
    Shown(f"species.{word}_{scale}", f"{word.replace('_', ' ')} {scale}")
    for word in ("onset", "saturation", "fall", "gone", "rise", "settled", "half", "edge", "decay")
    for scale in ("time", "depth")
)
_ROWS = ("elapsed_s", "etch_time_s", "depth_nm", "angle_deg")
_BUDGET = "Errors: counting, background, RSF set and charge reference together; apart in the records."
_SHARES = (
    ("share of each species", (Shown("species.fraction"),)),
    ("the same, every level fitted alone", (Shown("species.fraction_single_level"),)),
)
_ONE_LINE = ("position and area", (Shown("peak.position", "{} position"), Shown("peak.area", "{} area")))


def summary_tables(records: Sequence[ResultRecord]) -> list[SummaryTable]:
    """Return the tables of all XPS records, sample by sample; one that nothing stands in is left out."""
    good = [r for r in records if r.status != "failed"]
    tables: list[SummaryTable] = []
    for sample in dict.fromkeys(r.state.sample for r in good):
        own = [r for r in good if r.state.sample == sample]
        tables.append(
            table(
                _of(own, "xps.composition"),
                _ROWS,
                ("composition.atomic_fraction",),
                title=f"{sample}: atomic fractions",
                note=_BUDGET,
                headline=True,
            )
        )
        levels = _of(own, "xps.region")
        for region in dict.fromkeys(r.state.region for r in levels):
            tables += _region_tables(f"{sample}, {region}", [r for r in levels if r.state.region == region])
        profiles = _of(own, "xps.series", "xps.composition_profile")
        tables.append(table(profiles, ("component",), KINKS, title=f"{sample}: along the profile"))
        paired = (("auger_parameter", "auger.parameter", "Auger parameters"), ("layer", "layer.thickness", "thickness"))
        for method, quantity, title in paired:
            tables.append(table(_of(own, f"xps.{method}"), _ROWS, (quantity,), title=f"{sample}: {title}"))
        over_angles = (Shown("layer.thickness", "{}"), Shown("layer.bulk_ratio", "{}: ratio of the bulk"))
        tables.append(
            table(_of(own, "xps.layer_series"), (), over_angles, title=f"{sample}: one thickness for all angles")
        )
        valence = _of(own, "xps.valence")
        tables.append(table(valence, _ROWS, ("valence.mn",), title=f"{sample}: mean oxidation state of Mn"))
    return [made for made in tables if made.cells]


def _of(records: Sequence[ResultRecord], *methods: str) -> list[ResultRecord]:
    return [record for record in records if record.method in methods]


def _region_tables(name: str, levels: Sequence[ResultRecord]) -> list[SummaryTable]:
    """Return the shares of the species along the levels, or the line itself where there is one species only."""
    shared = any(q.name == "species.fraction" for record in levels for q in record.quantities)
    asked = _SHARES if shared else (_ONE_LINE,)
    return [table(levels, _ROWS, columns, title=f"{name}: {words}") for words, columns in asked]
