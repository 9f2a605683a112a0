"""The parity tables of a run: our numbers beside those that CasaXPS stored, from the records alone."""

from __future__ import annotations

from collections.abc import Sequence

from layerscope.records import Quantity, ResultRecord
from layerscope.runs.summary import Cell, Column, SummaryTable, records_table, sorted_records

__all__ = ["METHODS", "REDRAW", "REFIT", "parity_tables"]

REDRAW, REFIT = "xps.casaxps_redraw", "xps.casaxps_refit"
METHODS = (REDRAW, REFIT)

_WORDS = {REDRAW: "redrawn, nothing fitted", REFIT: "refitted"}
_PARAMETERS = ("position", "fwhm", "area", "net_area")
_COLUMNS = (
    Column("region", kind="key"),
    Column("component", kind="key"),
    Column("parameter", kind="key"),
    Column("unit"),
    Column("CasaXPS"),
    Column("ours"),
    Column("sigma"),
    Column("difference"),
    Column("difference / sigma"),
    Column("remark"),
)


def parity_tables(records: Sequence[ResultRecord]) -> list[SummaryTable]:
    """Return the tables of parity with CasaXPS: for each sample and file one of the redrawn and one of the refitted.

    Parameters
    ----------
    records : sequence of ResultRecord
        Those of other methods and failed ones are left aside.

    Returns
    -------
    list of SummaryTable
        Energies calibrated as CasaXPS does, areas in counts/s*eV; differences are ours less CasaXPS'.
    """
    chosen = [r for r in sorted_records(records) if r.method in METHODS and r.status != "failed"]
    groups: dict[tuple[str, str, str], list[ResultRecord]] = {}
    for record in chosen:
        path = record.inputs[0].path if record.inputs else ""
        groups.setdefault((record.state.sample, path, record.method), []).append(record)
    return [
        _table(f"{sample}, {path}: parity with CasaXPS, {_WORDS[method]}", own)
        for (sample, path, method), own in groups.items()
    ]


def _table(title: str, records: Sequence[ResultRecord]) -> SummaryTable:
    ordered = sorted(records, key=_block)
    rows = [(record, row) for record in ordered for row in _rows(record)]
    return records_table(title, _COLUMNS, rows, note=" ".join(_note(record) for record in ordered))


def _block(record: ResultRecord) -> tuple[int, str]:
    selector = record.inputs[0].selector if record.inputs else ""
    number = selector.partition("block=")[2].partition(";")[0]
    return (int(number) if number.isdigit() else 0, selector)


def _rows(record: ResultRecord) -> list[tuple[Cell, ...]]:
    components = dict.fromkeys(q.component for q in record.quantities if q.name.startswith("x.casaxps_"))
    rows: list[tuple[Cell, ...]] = []
    for component in components:
        for parameter in _PARAMETERS:
            try:
                ours = record.get(f"peak.{parameter}", component)
                theirs = record.get(f"x.casaxps_{parameter}", component)
            except KeyError:
                continue
            words = (record.state.region or "", component or "all", parameter.replace("_", " "))
            rows.append((*words, *_numbers(record, ours, theirs)))
    return rows


def _numbers(record: ResultRecord, ours: Quantity, theirs: Quantity) -> tuple[Cell, ...]:
    assert ours.value is not None  # noqa: S101 - the pipeline writes both
    assert theirs.value is not None  # noqa: S101
    difference = ours.value - theirs.value
    label = f"{ours.component} {ours.name.removeprefix('peak.')}"
    remark = {"constrained": "tied", "fixed": "held"}.get(ours.role, "")
    quality = record.quality
    if quality is not None and f"AT_BOUND:{label}" in quality.flags:
        remark = "at bound"
    return (
        ours.unit,
        theirs,
        ours,
        _two_digits(ours.sigma) if ours.sigma else "",
        _signed(difference, ours.sigma),
        f"{round(difference / ours.sigma, 2) + 0.0:+.2f}" if ours.sigma else "",
        remark,
    )


def _signed(difference: float, sigma: float | None) -> str:
    """Return a difference to the digits that its error leaves meaningful."""
    if sigma and abs(difference) < 0.005 * sigma:
        return "0"
    return f"{'-' if difference < 0 else '+'}{_two_digits(abs(difference))}"


def _two_digits(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.2g}"


def _note(record: ResultRecord) -> str:
    """Say how well the curves meet the counts."""
    quality, region = record.quality, record.state.region or "region"
    if quality is None or quality.redchi is None:
        return ""
    return f"{region}: chi2 per degree of freedom {quality.redchi:.3g}."
