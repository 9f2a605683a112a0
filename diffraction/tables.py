"""The tables that a person sees after a run: fractions along the series, onsets, refinements, comparisons."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from layerscope.records import Quantity, ResultRecord
from layerscope.runs.summary import Shown, SummaryTable, long_table, merits, table

__all__ = ["EVENTS", "STATE", "compared", "peaks_tables", "refinement_table", "rietveld_tables", "without_b_that_is_a"]

STATE = ("frame", "voltage_V", "step", "capacity_mAh_g", "elapsed_s")
EVENTS = tuple(
    Shown(f"phase.{kind}_{scale}", f"{kind}, {scale}")
    for kind in ("onset", "end")
    for scale in ("voltage", "time", "frame")
)
_SHIFTS = (
    Shown("peak.position", "2theta"),
    Shown("lattice.d_spacing", "d"),
    Shown("peak.shift", "shift"),
    Shown("lattice.d_spacing_change", "change of d"),
    Shown("peak.fwhm", "fwhm"),
    Shown("peak.sample_fwhm", "sample's fwhm"),
    Shown("lattice.a", "a"),
)
_REFINED = (
    Shown("phase.fraction", "{}: wt"),
    *(
        Shown(f"lattice.{key}", f"{{}}: {key}", held=False)
        for key in ("a", "b", "c", "alpha", "beta", "gamma", "d_spacing")
    ),
    Shown("phase.crystallite_size", "{}: size", held=False),
    Shown("phase.microstrain", "{}: strain", held=False),
    Shown("atom.occupancy", "{}: occ.", held=False),
    Shown("phase.total_fraction", "{}: total wt"),
    *merits(),
)
_FEW = 3
"""Patterns up to which their phases stand below each other."""
_NOTES = {
    "peaks": "Errors: counting and shared shapes, from the covariance of the joint fit; those of weight fractions also "
    "hold how well the structure factors are known (parts of both in the records).",
    "stacks": "Read as stacks of filled and empty layers. Errors: counting, and how wrong the shapes are (model).",
    "events": "Errors are half of the 68 % interval; where only an interval is known it stands alone.",
    "rietveld": "Errors from the covariance, from what lines of another shape than the refined one change and, of "
    "cells, from the shift by axial divergence (parts in the records: counting, model, geometry).",
}


def peaks_tables(records: Sequence[ResultRecord]) -> list[SummaryTable]:
    """Return the tables of the pipeline ``xrd_peaks``, sample by sample."""
    tables: list[SummaryTable] = []
    for sample, of in _by_sample(records):
        columns = ("phase.fraction", "phase.total_fraction")
        title = f"{sample}: weight fractions"
        tables.append(table(of("xrd_peaks.frame"), STATE, columns, title=title, note=_NOTES["peaks"]))
        spacings = (Shown("lattice.d_spacing", "d({})"), *merits())
        tables.append(table(of("xrd_peaks.frame"), STATE, spacings, title=f"{sample}: spacings"))
        shapes = (
            Shown("peak.fwhm", "fwhm"),
            Shown("peak.sample_fwhm", "sample's fwhm"),
            Shown("peak.mixing", "mixing"),
        )
        tables.append(table(of("xrd_peaks.series"), ("component",), shapes, title=f"{sample}: shape of the lines"))
        tables.append(_events(of("xrd_peaks.series"), sample))
        stacks, title = of("xrd_peaks.stack_frame"), f"{sample}: shares of layers"
        tables.append(table(stacks, STATE, ("phase.layer_fraction",), title=title, note=_NOTES["stacks"]))
        tables.append(long_table(of("xrd_peaks.stacks"), title=f"{sample}: stacks"))
        shifts = of("xrd_peaks.shift")
        for region in dict.fromkeys(r.state.region for r in shifts):
            own = [r for r in shifts if r.state.region == region]
            tables.append(table(own, STATE, _SHIFTS, title=f"{sample}: {region}"))
        tables.append(long_table(of("xrd_peaks.reflection"), title=f"{sample}: reflections over the series"))
        tables.append(compared(of("xrd_peaks.difference"), "phase.total_fraction_difference", sample))
        by_stacks = f"{sample}, shares of layers"
        tables.append(compared(of("xrd_peaks.stack_difference"), "phase.layer_fraction_difference", by_stacks))
    return [made for made in tables if made.cells]


def rietveld_tables(records: Sequence[ResultRecord]) -> list[SummaryTable]:
    """Return the tables of the pipeline ``rietveld``, sample and engine by sample and engine."""
    tables: list[SummaryTable] = []
    for sample, of in _by_sample(records):
        for engine in ("rietx", "gsas2"):
            tables.append(refinement_table(of(f"rietveld.{engine}"), f"{sample}: refined with {engine}"))
            tables.append(_events(of(f"rietveld.{engine}.series"), f"{sample} ({engine})"))
        verdict = (
            Shown(lambda r: r.notes[0] if r.notes else None, "verdict", kind="text"),
            Shown(_largest_difference, "largest difference", kind="text"),
        )
        tables.append(table(of("rietveld.comparison"), STATE, verdict, title=f"{sample}: rietx against GSAS-II"))
    return [made for made in tables if made.cells]


def refinement_table(records: Sequence[ResultRecord], title: str) -> SummaryTable:
    """Return fractions, cell, size and strain of each phase, and the agreement: a row a pattern, or a phase of few.

    Parameters
    ----------
    records : sequence of ResultRecord
        Of patterns. What was held in all of them is left out, and b where it is a by symmetry.
    title : str
    """
    words = dict.fromkeys(n for r in records for n in r.notes if n.startswith("weak contrast: "))
    return table(
        [without_b_that_is_a(record) for record in records],
        (*STATE, "component") if len(records) <= _FEW else STATE,
        _REFINED,
        title=title,
        note="\n".join([_NOTES["rietveld"], *(w[0].upper() + w[1:] + "." for w in words)]),
        by_component=True,
        headline=True,
    )


def _by_sample(
    records: Sequence[ResultRecord],
) -> list[tuple[str, Callable[[str], list[ResultRecord]]]]:
    """Return for each sample what gives its records by method."""
    found: dict[str, dict[str, list[ResultRecord]]] = {}
    for record in records:
        if record.status != "failed":
            found.setdefault(record.state.sample, {}).setdefault(record.method, []).append(record)

    def of(methods: dict[str, list[ResultRecord]]) -> Callable[[str], list[ResultRecord]]:
        return lambda method: methods.get(method, [])

    return [(sample, of(methods)) for sample, methods in found.items()]


def _events(records: Sequence[ResultRecord], name: str) -> SummaryTable:
    """Return when each phase appears and ends."""
    title = f"{name}: onset and end"
    return table(records, ("component",), EVENTS, title=title, note=_NOTES["events"], headline=True)


def compared(records: Sequence[ResultRecord], quantity: str, name: str) -> SummaryTable:
    """Return the difference between two samples, mean and at every voltage."""
    return table(
        records,
        ("component",),
        (Shown(quantity, "difference"), Shown(quantity, "in sigma", cell=_in_sigma)),
        title=f"{name}: difference between samples",
        note=" ".join(note for record in records for note in record.notes),
    )


def _in_sigma(quantity: Quantity) -> str | None:
    return f"{quantity.value / quantity.sigma:+.1f}" if quantity.value is not None and quantity.sigma else None


def without_b_that_is_a(record: ResultRecord) -> ResultRecord:
    """Return a record without the cell edges b that are a by symmetry."""
    a = {q.component: q.value for q in record.quantities if q.name == "lattice.a"}
    kept = tuple(q for q in record.quantities if q.name != "lattice.b" or a.get(q.component) != q.value)
    return record.model_copy(update={"quantities": kept})


def _is_judged(parameter: str | None) -> bool:
    """Return whether engines must agree on a parameter: not its scale, background or resolution, which trade off."""
    return parameter is not None and not {"scale", "background", "instrument", "line"} & set(parameter.split("/"))


def _largest_difference(record: ResultRecord) -> str | None:
    judged = {
        f"{q.component} {ratio}": abs(float(ratio))
        for q in record.quantities
        if _is_judged(q.component) and (ratio := _in_sigma(q)) is not None
    }
    return f"{max(judged, key=judged.__getitem__)} sigma" if judged else None
