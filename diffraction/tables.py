"""The tables that a person sees after a run: fractions along the series, onsets, refinements, comparisons."""

from __future__ import annotations

from collections.abc import Sequence

from layerscope.records import Quantity, ResultRecord
from layerscope.records.formatting import format_limit
from layerscope.runs.summary import SummaryTable, long_table, sorted_records

__all__ = ["peaks_tables", "rietveld_tables"]

EVENTS = tuple(f"phase.{kind}_{scale}" for kind in ("onset", "end") for scale in ("voltage", "time", "frame"))
_NOTE = (
    "Errors: counting and shared shapes, from the covariance of the joint fit; those of weight fractions also hold how "
    "well the structure factors are known (parts of both in the records)."
)


def peaks_tables(records: Sequence[ResultRecord]) -> list[SummaryTable]:
    """Return the tables of the pipeline ``xrd_peaks``, sample by sample."""
    tables: list[SummaryTable] = []
    good = [r for r in records if r.status != "failed"]
    for sample in dict.fromkeys(r.state.sample for r in good):
        own = [r for r in good if r.state.sample == sample]
        frames = [r for r in own if r.method == "xrd_peaks.frame"]
        if frames:
            tables.append(fraction_table(frames, f"{sample}: weight fractions", _NOTE))
        series = [r for r in own if r.method == "xrd_peaks.series"]
        tables += event_tables(sample, series)
        for region in dict.fromkeys(r.state.region for r in own if r.method == "xrd_peaks.shift"):
            shifts = [r for r in own if r.method == "xrd_peaks.shift" and r.state.region == region]
            tables.append(_quantity_table(shifts, f"{sample}: {region}", _SHIFT_COLUMNS))
        summary = [r for r in own if r.method == "xrd_peaks.reflection"]
        if summary:
            tables.append(long_table(summary, title=f"{sample}: reflections over the series"))
    differences = [r for r in good if r.method == "xrd_peaks.difference"]
    tables += [_difference_table(r) for r in differences]
    return tables


_SHIFT_COLUMNS = (
    ("peak.position", "2theta / deg"),
    ("lattice.d_spacing", "d / angstrom"),
    ("peak.shift", "shift / deg"),
    ("lattice.d_spacing_change", "change of d / angstrom"),
    ("peak.fwhm", "fwhm / deg"),
    ("peak.sample_fwhm", "sample's fwhm / deg"),
    ("lattice.a", "a / angstrom"),
)


def _state(records: Sequence[ResultRecord]) -> tuple[list[str], list[str]]:
    """Return the state columns of frames that any of them has, and their headings."""
    names = {
        "frame": "frame",
        "step": "step",
        "voltage_V": "voltage / V",
        "capacity_mAh_g": "capacity / mAh/g",
        "elapsed_s": "time / s",
    }
    keys = [k for k in names if any(getattr(r.state, k) is not None for r in records)]
    return keys, [names[k] for k in keys]


def _cells(record: ResultRecord, keys: Sequence[str]) -> list[str]:
    values = [getattr(record.state, key) for key in keys]
    return ["" if v is None else f"{v:.6g}" if isinstance(v, float) else str(v) for v in values]


def _text(quantity: Quantity | None) -> str:
    if quantity is None:
        return ""
    if quantity.upper_limit is not None:
        limit = format_limit(upper_limit=quantity.upper_limit, limit_confidence=quantity.limit_confidence)
        return limit.partition(" (")[0]
    if quantity.role == "fixed" and quantity.value is not None:
        return f"{quantity.value:g}"
    return quantity.text()


def _find(record: ResultRecord, name: str, component: str | None) -> Quantity | None:
    return next((q for q in record.quantities if q.name == name and q.component == component), None)


def fraction_table(records: Sequence[ResultRecord], title: str, note: str = "") -> SummaryTable:
    """Return a row a frame: state, weight fraction of each phase, their total, flags.

    Parameters
    ----------
    records : sequence of ResultRecord
        Of frames.
    title, note : str
    """
    ordered = sorted_records(records)
    keys, headings = _state(ordered)
    phases = [q.component for r in ordered for q in r.quantities if q.name == "phase.fraction"]
    totals = [q.component for r in ordered for q in r.quantities if q.name == "phase.total_fraction"]
    columns = [("phase.fraction", c) for c in dict.fromkeys(phases)]
    columns += [("phase.total_fraction", c) for c in dict.fromkeys(totals)]
    rows = []
    for record in ordered:
        flags = " ".join(record.quality.flags) if record.quality else ""
        cells = [_text(_find(record, name, component)) for name, component in columns]
        rows.append((*_cells(record, keys), *cells, flags))
    limits = {q.limit_confidence for r in ordered for q in r.quantities if q.limit_confidence}
    if limits:
        note = f"{note} < is an upper limit at {100 * max(limits):g} % confidence: not detected.".strip()
    return SummaryTable(title, (*headings, *(c or "" for _, c in columns), "flags"), tuple(rows), note)


def event_tables(sample: str, records: Sequence[ResultRecord]) -> list[SummaryTable]:
    """Return when each phase appears and ends."""
    tables = []
    for record in records:
        phases = dict.fromkeys(q.component for q in record.quantities if q.name in EVENTS)
        columns = [name for name in EVENTS if any(q.name == name for q in record.quantities)]
        if not phases:
            continue
        rows = tuple((phase or "", *(_text(_find(record, name, phase)) for name in columns)) for phase in phases)
        headings = tuple(_event_heading(name) for name in columns)
        note = "Errors are half of the 68 % interval; where only an interval is known it stands alone."
        tables.append(SummaryTable(f"{sample}: onset and end", ("phase", *headings), rows, note))
    return tables


def _event_heading(name: str) -> str:
    kind, scale = name.removeprefix("phase.").split("_")
    unit = {"voltage": " / V", "time": " / s", "frame": ""}[scale]
    return f"{kind}, {scale}{unit}"


def _quantity_table(
    records: Sequence[ResultRecord], title: str, columns: Sequence[tuple[str, str]], note: str = ""
) -> SummaryTable:
    ordered = sorted_records(records)
    keys, headings = _state(ordered)
    used = [(n, h) for n, h in columns if any(q.name == n for r in ordered for q in r.quantities)]
    rows = []
    for record in ordered:
        by_name = {q.name: q for q in record.quantities}
        flags = " ".join(record.quality.flags) if record.quality else ""
        rows.append((*_cells(record, keys), *(_text(by_name.get(n)) for n, _ in used), flags))
    return SummaryTable(title, (*headings, *(h for _, h in used), "flags"), tuple(rows), note)


def _difference_table(record: ResultRecord) -> SummaryTable:
    rows = tuple(
        (q.component or "", q.name, q.text(), f"{q.value / q.sigma:+.1f}" if q.value is not None and q.sigma else "")
        for q in record.quantities
    )
    return SummaryTable(
        f"{record.state.sample}: difference between samples",
        ("where", "quantity", "difference", "in sigma"),
        rows,
        " ".join(record.notes),
    )


def rietveld_tables(records: Sequence[ResultRecord]) -> list[SummaryTable]:
    """Return the tables of the pipeline ``rietveld``, sample and engine by sample and engine."""
    tables: list[SummaryTable] = []
    good = [r for r in records if r.status != "failed"]
    for sample in dict.fromkeys(r.state.sample for r in good):
        for engine in ("rietx", "gsas2"):
            own = [r for r in good if r.state.sample == sample and r.method == f"rietveld.{engine}"]
            if own:
                tables.append(refinement_table(own, f"{sample}: refined with {engine}"))
            series = [r for r in good if r.state.sample == sample and r.method == f"rietveld.{engine}.series"]
            tables += event_tables(f"{sample} ({engine})", series)
        compared = [r for r in good if r.state.sample == sample and r.method == "rietveld.comparison"]
        if compared:
            tables.append(_comparison_table(sample, compared))
    return tables


_CELL = ("lattice.a", "lattice.b", "lattice.c", "lattice.alpha", "lattice.beta", "lattice.gamma")


def refinement_table(records: Sequence[ResultRecord], title: str) -> SummaryTable:
    """Return a row a pattern: state, fraction, cell, size and strain of each phase, agreement, flags."""
    ordered = sorted_records(records)
    keys, headings = _state(ordered)
    short = {
        "phase.fraction": "wt",
        "phase.total_fraction": "total wt",
        **dict(zip(_CELL, ("a", "b", "c", "alpha", "beta", "gamma"), strict=True)),
        "phase.crystallite_size": "size / nm",
        "phase.microstrain": "strain",
        "atom.occupancy": "occ.",
    }
    names = tuple(short)
    shown: dict[tuple[str, str | None], None] = {}
    for record in ordered:
        for q in record.quantities:
            wanted = q.name in names and (q.role != "fixed" or q.name in ("phase.fraction", "phase.total_fraction"))
            if wanted and (q.name != "lattice.b" or not _same_as_a(record, q)):
                shown[q.name, q.component] = None
    columns = sorted(shown, key=lambda c: (str(c[1]) if c[0] != "phase.total_fraction" else "~", names.index(c[0])))
    rows = []
    for record in ordered:
        quality = record.quality
        agreement = (
            ("", "", "")
            if quality is None
            else tuple(
                "" if v is None else f"{v:.4g}"
                for v in (
                    None if quality.rwp is None else 100 * quality.rwp,
                    None if quality.rexp is None else 100 * quality.rexp,
                    quality.gof,
                )
            )
        )
        cells = [_text(_find(record, name, component)) for name, component in columns]
        flags = " ".join(quality.flags) if quality else ""
        rows.append((*_cells(record, keys), *cells, *agreement, flags))
    heads = tuple(f"{c}: {short[n]}" if c else short[n] for n, c in columns)
    note = "Errors from the covariance; times fit.serial_factor of each record they hold for correlated residuals too."
    words = dict.fromkeys(n for r in ordered for n in r.notes if n.startswith("weak contrast: "))
    note = "\n".join([note, *(w[0].upper() + w[1:] + "." for w in words)])
    return SummaryTable(title, (*headings, *heads, "Rwp / %", "Rexp / %", "gof", "flags"), tuple(rows), note)


def _same_as_a(record: ResultRecord, b: Quantity) -> bool:
    a = _find(record, "lattice.a", b.component)
    return a is not None and a.value == b.value


def _is_judged(parameter: str | None) -> bool:
    """Return whether engines must agree on a parameter: not its scale, background or resolution, which trade off."""
    return parameter is not None and not {"scale", "background", "instrument", "line"} & set(parameter.split("/"))


def _comparison_table(sample: str, records: Sequence[ResultRecord]) -> SummaryTable:
    ordered = sorted_records(records)
    keys, headings = _state(ordered)
    rows = []
    for record in ordered:
        judged = [q for q in record.quantities if q.value is not None and q.sigma and _is_judged(q.component)]
        judged.sort(key=lambda q: -abs((q.value or 0.0) / (q.sigma or 1.0)))
        worst = judged[0] if judged else None
        text = "" if worst is None else f"{worst.component} {(worst.value or 0.0) / (worst.sigma or 1.0):+.2f} sigma"
        rows.append((*_cells(record, keys), record.notes[0] if record.notes else "", text))
    return SummaryTable(f"{sample}: rietx against GSAS-II", (*headings, "verdict", "largest difference"), tuple(rows))
