"""What diffraction adds to a report: phase fractions of all samples beside each other, and what journals ask for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from layerscope.errors import LayerscopeError
from layerscope.records import ResultRecord
from layerscope.report import CheckItem, Checklist, ReportSection, roles_table
from layerscope.runs.columns import Column, SummaryTable
from layerscope.runs.summary import Shown, merits, table

from .exports import views_by_stem
from .pdcif_export import pdcif_text
from .tables import EVENTS, STATE, compared, without_b_that_is_a

if TYPE_CHECKING:
    from layerscope.runs.load import Run

__all__ = ["sections"]

_FRACTIONS = (
    Shown("phase.fraction", "{}"),
    Shown("phase.layer_fraction", "{}: layers"),
    Shown("phase.total_fraction", "{}: total"),
    *merits(),
)
_CELLS = (
    *(Shown(f"lattice.{key}", f"{{}}: {key}", held=False) for key in ("a", "b", "c", "beta", "volume", "d_spacing")),
    Shown("phase.crystallite_size", "{}: size", held=False),
    Shown("phase.microstrain", "{}: strain", held=False),
    Shown("peak.sample_fwhm", "{}: width", held=False),
)
_MOST_CIF = 8
"""Refined patterns up to which the page brings their CIF, some 0.2 MB each."""
_SAYS = (
    "Weight fractions of every pattern with their errors. A total is a quantity of its own: its error holds how the"
    " fractions of a pattern trade places, and is not the sum of theirs. Of a phase that is not detected an upper limit"
    " is given. A flag says what a fraction should not be trusted for, and why."
)
_GUIDELINES = (
    "What the guidelines of the IUCr journals for papers on Rietveld refinements and the powder CIF dictionary ask for"
    " (journals.iucr.org, 'guidelines for Rietveld papers'; cif_pow; L. B. McCusker et al., J. Appl. Cryst. 32 (1999)"
    " 36), in our own words, filled from the records."
)


def sections(run: Run) -> list[ReportSection]:
    """Return the phase-fraction report of a run, and the checklist of its refinements; nothing without patterns."""
    found: dict[str, list[ResultRecord]] = {}
    for record in run.records:
        if record.method.startswith(("xrd_peaks.", "rietveld.")) and record.status != "failed":
            found.setdefault(record.method, []).append(record)
    if not found:
        return []
    refined = [r for method in ("rietveld.rietx", "rietveld.gsas2") for r in found.get(method, ())]
    patterns = {
        "from lines": found.get("xrd_peaks.frame", []),
        "from stacks": found.get("xrd_peaks.stack_frame", []),
        "refined with rietx": found.get("rietveld.rietx", []),
        "refined with GSAS-II": found.get("rietveld.gsas2", []),
    }
    series = [r for method, of in found.items() if method.endswith("series") for r in of]
    tables = [table(of, STATE, _FRACTIONS, title=f"Phase fractions, {how}") for how, of in patterns.items()]
    cells = {how: [without_b_that_is_a(record) for record in of] for how, of in patterns.items()}
    tables += [table(of, STATE, _CELLS, title=f"Cells and widths, {how}") for how, of in cells.items()]
    tables.append(table(series, ("component",), EVENTS, title="Onset and end of each phase"))
    for kind in ("difference", "stack_difference"):
        quantity = f"phase.{'total' if kind == 'difference' else 'layer'}_fraction_difference"
        for record in found.get(f"xrd_peaks.{kind}", ()):
            tables.append(compared([record], quantity, record.state.sample))
    tables.append(_differences(refined))
    tables.append(roles_table([*refined, *series], "What was refined, tied and held"))
    lists = (_rietveld_list(run, refined),) if refined else ()
    files = _cif_files(run.select(lambda r: r in refined)) if 0 < len(refined) <= _MOST_CIF else ()
    return [ReportSection("Phase fractions", _SAYS, tuple(tables), lists, files)]


def _cif_files(run: Run) -> tuple[tuple[str, str], ...]:
    """Return the powder CIF of each refinement; none whose arrays are gone."""
    try:
        return tuple((f"{stem}.cif", pdcif_text(view)) for stem, view in views_by_stem(run).items())
    except (LayerscopeError, KeyError):
        return ()


def _differences(refined: Sequence[ResultRecord]) -> SummaryTable:
    """Return the differences of fractions between samples that were refined at the same voltage, and their sigmas."""
    rows, ids = [], []
    for n, one in enumerate(refined):
        for other in refined[n + 1 :]:
            same = one.method == other.method and one.state.sample != other.state.sample
            if not same or one.state.voltage_V != other.state.voltage_V or one.state.frame != other.state.frame:
                continue
            theirs = {q.component: q for q in other.quantities if q.name == "phase.fraction"}
            for quantity in (q for q in one.quantities if q.name == "phase.fraction" and q.component in theirs):
                beside = theirs[quantity.component]
                if None in (quantity.value, beside.value) or not (quantity.sigma and beside.sigma):
                    continue
                assert quantity.value is not None  # noqa: S101 - seen above
                assert beside.value is not None  # noqa: S101
                error = (quantity.sigma**2 + beside.sigma**2) ** 0.5
                difference = quantity.value - beside.value
                update = {"value": difference, "sigma": error, "budget": {}, "upper_limit": None}
                shown = quantity.model_copy(update={**update, "limit_confidence": None, "low": None, "high": None})
                names = (f"{one.state.sample} − {other.state.sample}", one.state.voltage_V, quantity.component)
                rows.append((*names, shown, f"{difference / error:+.1f}"))
                ids.append(one.record_id)
    fields = (
        Column("samples", kind="key"),
        Column("voltage", "V", kind="key"),
        Column("phase", kind="key"),
        Column("difference"),
        Column("in sigma"),
    )
    note = (
        "Errors of two refinements are taken as independent: what both share, such as a wrong structure, is not in it."
    )
    return SummaryTable("Refined fractions, sample against sample", fields, tuple(rows), note, records=tuple(ids))


# --- the checklist -----------------------------------------------------------------------------------------------


def _rietveld_list(run: Run, refined: Sequence[ResultRecord]) -> Checklist:
    def recipe(*keys: str) -> Callable[[ResultRecord], str | None]:
        def value(record: ResultRecord) -> str | None:
            found: Any = record.recipe
            for key in keys:
                found = found.get(key) if isinstance(found, dict) else None
            return None if found is None else f"{keys[-1].replace('_', ' ')} {found}"

        return value

    def names(prefix: str, role: str = "refined") -> Callable[[ResultRecord], str | None]:
        def told(record: ResultRecord) -> str | None:
            held = dict.fromkeys(q.name for q in record.quantities if q.name.startswith(prefix) and q.role == role)
            return ", ".join(held) or None

        return told

    item, of = CheckItem.of, refined
    items = (
        item("specimen and its state", of, _specimen, else_do="name the sample and its state in the recipe"),
        CheckItem("preparation and mounting of the specimen", "write it in the paper: no file holds it", "missing"),
        item("radiation and wavelength", of, _wavelength, else_do="give [radiation] in the recipe"),
        item(
            "source of the wavelength", of, recipe("radiation", "anode"), else_do="give radiation.anode or wavelength"
        ),
        item(
            "geometry of the diffractometer", of, recipe("instrument", "geometry"), else_do="give instrument.geometry"
        ),
        item("radius", of, recipe("instrument", "radius_mm"), else_do="give instrument.radius_mm"),
        CheckItem("monochromator, slits, detector, time a step", "write it in the paper: no file holds it", "missing"),
        item("range and number of points", of, _range(run), else_do="the arrays of the run are gone: run it again"),
        item("temperature", of, _temperature, else_do="give temperature_K of the series"),
        item("structural model and its source", of, _models, else_do="name the phases in the recipe"),
        item(
            "program and version",
            of,
            _engine,
            else_do="run again",
        ),
        item(
            "cell of each phase, with errors",
            of,
            names("lattice."),
            else_do="say that they were held",
        ),
        item("profile function and its parameters", of, _profile, else_do="give the instrument's widths"),
        item(
            "background",
            of,
            _background,
            else_do="",
        ),
        item("preferred orientation", of, lambda r: _role(r, "phase.texture"), else_do="none was refined: say so"),
        item("displacement parameters", of, lambda r: _role(r, "atom.uiso"), else_do="say what they were held at"),
        item("occupancies", of, lambda r: _role(r, "atom.occupancy"), else_do="say what they were held at"),
        item("weighting scheme", of, recipe("noise"), else_do="give noise in the recipe"),
        item("number of parameters and of points", of, _counted, else_do="run again"),
        item("Rwp, Rexp and goodness of fit", of, _merit, else_do="run again"),
        CheckItem("absorption", "write in the paper whether and how it was corrected", "missing"),
        CheckItem(
            "figure of the profile, observed, calculated and their difference", "part 'Fits' of this page, and figures/"
        ),
        CheckItem("profile as CIF", "above, or layerscope export RUN --format pdcif: a block a pattern"),
    )
    return Checklist("Rietveld refinement: what journals ask to be reported", _GUIDELINES, items)


def _engine(record: ResultRecord) -> str | None:
    return next((note for note in record.notes if note.startswith("engine ")), None)


def _background(record: ResultRecord) -> str:
    return f"{sum(q.name == 'background.coefficient' for q in record.quantities)} coefficients"


def _specimen(record: ResultRecord) -> str:
    state = record.state
    return f"{state.sample}" + (f" at {state.voltage_V:g} V" if state.voltage_V is not None else "")


def _wavelength(record: ResultRecord) -> str | None:
    radiation: Any = record.recipe.get("radiation") or {}
    told = [f"{key} {radiation[key]}" for key in ("wavelength", "anode", "lines", "ratio") if radiation.get(key)]
    return ", ".join(told) or None


def _range(run: Run) -> Callable[[ResultRecord], str | None]:
    def told(record: ResultRecord) -> str | None:
        if not record.arrays:
            return None
        try:
            axis = run.arrays[record.arrays[0].file.rpartition("/")[2].removesuffix(".nxs")].axis
        except (KeyError, OSError):
            return None
        return f"{min(axis):.3f} to {max(axis):.3f}° 2θ in {len(axis)} points"

    return told


def _temperature(record: ResultRecord) -> str | None:
    return None if record.state.temperature_K is None else f"{record.state.temperature_K:g} K"


def _models(record: ResultRecord) -> str | None:
    phases: Any = record.recipe.get("phases") or ()
    return ", ".join(f"{p['name']} ({p.get('library') or p.get('file')})" for p in phases) or None


def _profile(record: ResultRecord) -> str | None:
    widths = [q for q in record.quantities if q.name.startswith("instrument.") and "width" in q.name]
    sample = dict.fromkeys(q.name for q in record.quantities if q.name in _BROADENING and q.role == "refined")
    if not widths:
        return None
    held = "held" if all(q.role == "fixed" for q in widths) else "refined"
    names = ", ".join(q.component or q.name for q in widths)
    return f"widths of the instrument ({names}) {held}; refined: {', '.join(sample)}"


_BROADENING = ("phase.crystallite_size", "phase.microstrain")


def _role(record: ResultRecord, name: str) -> str | None:
    roles = dict.fromkeys(q.role for q in record.quantities if q.name == name)
    return f"{' and '.join(roles)}" if roles else None


def _counted(record: ResultRecord) -> str | None:
    quality = record.quality
    if quality is None or quality.n_free is None:
        return None
    return f"{quality.n_free} parameters, {quality.n_data} points"


def _merit(record: ResultRecord) -> str | None:
    quality = record.quality
    if quality is None or quality.rwp is None or quality.rexp is None:
        return None
    return f"{_specimen(record)}: Rwp {100 * quality.rwp:.2f} %, Rexp {100 * quality.rexp:.2f} %, gof {quality.gof:.2f}"
