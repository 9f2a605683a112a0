"""One sample, one story: what techniques say of a sample along its depth, and what a study claims of its samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from layerscope.claims import Compared, Judged, PairTable, StoryTables, Weighed, compare, judge
from layerscope.records import Quantity, format_limit
from layerscope.report.depths import Reach, reaches
from layerscope.report.sections import ReportSection
from layerscope.runs.columns import Cell, Column, SummaryTable
from layerscope.runs.load import Run

__all__ = ["claims_tables", "story_sections"]

_CLAIMS = (
    "What the study claims, and what each technique says of it: the difference in standard errors, positive where it"
    " speaks for the claim. Techniques are combined as if they were independent; pieces of one technique share the"
    " sample, the calibration and often the file, and count by their mean, as if they were wholly correlated. Where"
    " every technique foretells a direction, distances are added (Stouffer): one that finds the opposite takes away"
    " from the sum. Where a piece has no direction, probabilities are multiplied (Fisher). The errors are those of the"
    " records: what they do not hold, such as the spread between samples of one kind, is in no significance."
)
_PAIRS = (
    "What two states were both measured for, the surest difference first. p: of so large a difference of either sign if"
    " there is none; among all of the pair: after Holm, so that one below 5 % in a whole table happens by chance in 5 %"
    " of tables. Errors that both states have in common count twice: differences are surer than they look, not less."
)
_DEPTH = (
    "What each technique says of a sample, from the surface down. The depths are those that a technique states: the"
    " etched depth and below it what its electrons come through, the probing depth of a yield, the place of a layer."
)


def story_sections(run: Run) -> list[ReportSection]:
    """Return the claims of a study and the depths of its samples; nothing where a study names no samples.

    Parameters
    ----------
    run : Run
        Its ``run.json`` holds what the study says of its samples.
    """
    told: Any = run.info.get("story")
    if not told:
        return []
    story = StoryTables.model_validate(told)
    records = [record for record in run.records if record.status != "failed"]
    sections = []
    if story.claims:
        sections.append(ReportSection("Claims", _CLAIMS, tuple(claims_tables(judge(story, records)))))
    pairs = [
        _compared(pair, compare(records, story.names_of(pair.of), story.names_of(pair.against))) for pair in story.pairs
    ]
    if any(table.cells for table in pairs):
        sections.append(ReportSection("Pairs", _PAIRS, tuple(pairs)))
    tables = []
    for sample in story.samples:
        states = {name: state for state, names in sample.states.items() for name in names}
        own = [record for record in records if record.state.sample in states]
        tables.append(_depths(sample.name, states, reaches(own)))
    if any(table.cells for table in tables):
        sections.append(ReportSection("Along the depth", _DEPTH, tuple(tables)))
    return sections


def claims_tables(judged: Sequence[Judged]) -> list[SummaryTable]:
    """Return a table of the claims with their verdicts, and one of the evidence of each technique."""
    fields = (
        Column("claim", kind="key"),
        Column("verdict", kind="text"),
        Column("in sigma", digits=2),
        Column("p"),
        Column("p among all claims"),
        Column("level"),
        Column("combined by", kind="text"),
        Column("techniques", kind="text"),
    )
    note = (
        "p: probability of so much evidence or more if nothing is there; among all claims: after Holm, so that it holds"
        " for all claims of the study together."
    )
    claims = SummaryTable("Claims", fields, tuple(_claim(one) for one in judged), note)
    rows = [(weighed, one) for one in judged for weighed in one.weighed]
    evidence = SummaryTable(
        "The evidence of each technique",
        (
            Column("claim", kind="key"),
            Column("technique", kind="key"),
            Column("quantity", kind="text"),
            Column("foretold", kind="text"),
            Column("value"),
            Column("beside", kind="text"),
            Column("difference"),
            Column("in sigma", digits=2),
            Column("p"),
            Column("says", kind="text"),
            Column("doubts", kind="text"),
        ),
        tuple(_evidence(weighed, one) for weighed, one in rows),
        records=tuple(w.record.record_id if w.record is not None else "" for w, _ in rows),
    )
    return [claims, evidence]


def _claim(one: Judged) -> tuple[Cell, ...]:
    verdict, claim = one.verdict, one.claim
    asked = dict.fromkeys(table.technique for table in claim.evidence)
    heard = [f"{name}{' (opposite)' if name in verdict.against else ''}" for name in verdict.techniques]
    silent = [f"{name} (not tested)" for name in asked if name not in verdict.techniques]
    doubts = any(weighed.doubts for weighed in one.weighed if weighed.evidence is not None)
    said = verdict.said + (", with doubts" if doubts and verdict.said != "not tested" else "")
    numbers = (verdict.sigmas, _small(verdict.p), _small(one.p_of_all))
    return (claim.says, said, *numbers, f"{claim.level:g}", verdict.rule, ", ".join([*heard, *silent]))


def _small(p: float | None) -> str | None:
    return None if p is None else "< 1e-15" if p < 1e-15 else f"{p:.2g}"


def _evidence(one: Weighed, judged: Judged) -> tuple[Cell, ...]:
    table, evidence = one.table, one.evidence
    called = table.quantity + (f" of {table.component}" if table.component else "")
    than = f" than {table.than:g}" if table.than else ""
    foretold = f"within {table.margin:g} of {table.than:g}" if table.margin is not None else f"{table.expects}{than}"
    if evidence is None:
        says = f"not tested: {one.why}"
    else:
        says = _says(evidence.sigmas, evidence.p, judged.claim.level, directed=evidence.directed)
    quantity = one.quantity
    difference = None
    if quantity is not None and one.other is not None:
        update = {"value": one.difference, "sigma": one.sigma, "sigma_kind": "systematic", "role": "derived"}
        plain = dict.fromkeys(
            ("low", "high", "confidence", "low_95", "high_95", "upper_limit", "limit_confidence", "min", "max")
        )
        difference = quantity.model_copy(update=update | plain)
    return (
        judged.claim.says,
        table.technique,
        called,
        foretold,
        quantity,
        _stated(one.other) if one.other is not None else None,
        difference,
        None if evidence is None else evidence.sigmas,
        None if evidence is None else _small(evidence.p),
        says + (f" ({one.why})" if one.why and evidence is not None else ""),
        ", ".join(one.doubts),
    )


def _compared(pair: PairTable, found: Sequence[Compared]) -> SummaryTable:
    fields = (
        Column("technique", kind="key"),
        Column("region", kind="key"),
        Column("etch time", "s", "key"),
        Column("quantity", kind="key"),
        Column("component", kind="key"),
        Column("value"),
        Column("beside", kind="text"),
        Column("difference"),
        Column("unit", kind="text"),
        Column("in sigma", digits=1),
        Column("p"),
        Column("p among all"),
    )
    rows = tuple(
        (
            one.record.technique,
            one.record.state.region,
            one.record.state.etch_time_s,
            one.quantity.name,
            one.quantity.component,
            one.quantity,
            _stated(one.other),
            _distance(one.quantity, one.difference, one.sigma),
            "" if one.quantity.unit == "1" else one.quantity.unit,
            one.difference / one.sigma,
            _small(one.p),
            _small(one.p_of_all),
        )
        for one in found
    )
    title = f"{pair.of} less {pair.against}"
    return SummaryTable(title, fields, rows, records=tuple(one.record.record_id for one in found))


def _stated(quantity: Quantity) -> str:
    """Return a quantity as text: what was not detected by its limit alone."""
    if quantity.upper_limit is None:
        return quantity.text()
    return format_limit(upper_limit=quantity.upper_limit, limit_confidence=quantity.limit_confidence)


_COLUMN = Column("says")  # writes a value as tables do: what was not detected by its limit alone


def _distance(quantity: Quantity, difference: float | None, sigma: float | None) -> Quantity:
    update = {"value": difference, "sigma": sigma, "sigma_kind": "systematic", "role": "derived"}
    return quantity.model_copy(update=update | dict.fromkeys(_LIMITS))


_LIMITS = ("low", "high", "confidence", "low_95", "high_95", "upper_limit", "limit_confidence", "min", "max")
"""What of a quantity does not hold for its difference to another."""


def _says(sigmas: float, p: float, level: float, *, directed: bool) -> str:
    if p < level:
        return "speaks for it"
    return "speaks against it" if directed and p > 1.0 - level else "says nothing"


def _depths(sample: str, states: dict[str, str], found: Sequence[Reach]) -> SummaryTable:
    fields = (
        Column("state", kind="key"),
        Column("from", "nm", "key", digits=1),
        Column("to", "nm", "key", digits=1),
        Column("technique", kind="key"),
        Column("region", kind="text"),
        Column("says", kind="text"),
        Column("depth by", kind="text"),
    )
    rows = []
    for reach in found:
        state = reach.record.state
        says = ", ".join(
            _words(quantity.component or quantity.name, _COLUMN.text(quantity), quantity.unit)
            for quantity in reach.quantities
        )
        region = state.region or ", ".join(dict.fromkeys(q.name for q in reach.quantities))
        rows.append(
            (states[state.sample], reach.low_nm, reach.high_nm, reach.record.technique, region, says, reach.how)
        )
    ids = tuple(reach.record.record_id for reach in found)
    return SummaryTable(f"{sample}, from the surface down", fields, tuple(rows), records=ids)


def _words(name: str, text: str, unit: str) -> str:
    return f"{name} {text}" + ("" if unit == "1" else f" {unit}")
