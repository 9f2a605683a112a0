"""What XPS adds to a report: what was refined, and the checklist of the standard for peak fits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from layerscope.records import ResultRecord
from layerscope.report import CheckItem, Checklist, Reach, ReportSection, roles_table

if TYPE_CHECKING:
    from layerscope.runs.load import Run
    from layerscope.runs.nexus import LazySeries

__all__ = ["depths", "sections"]

# What is public of ISO 19830:2015 (title, and the opening of the clause on single spectra): its parameters are reported
# with constraints and linkages; both ends of the background's range and how they are averaged; series of spectra are a
# matter of their own. The other items follow G. H. Major et al., J. Vac. Sci. Technol. A 38 (2020) 061203 (practical
# guide for curve fitting in XPS) and doi 10.1116/6.0001975 (constraints). The text of the standard was not at hand.
_STANDARD = (
    "What is to be reported of peak fits in XPS, in our own words, filled from the records. The items follow what is"
    " public of ISO 19830:2015 (minimum reporting requirements for peak fitting in XPS) and the practical guides of"
    " G. H. Major et al. (J. Vac. Sci. Technol. A 38, 2020, 061203). They were not checked against the full text of the"
    " standard: for a certificate compare them with it."
)
# M. P. Seah, W. A. Dench, Surf. Interface Anal. 1 (1979) 2: in inorganic solids 2170/E^2 + 0.72 (aE)^(1/2) layers of
# a nm, here a = 0.25 nm and E = 1200 eV
_ANY_SOLID_NM = 3.0 * 0.25 * (2170.0 / 1200.0**2 + 0.72 * (0.25 * 1200.0) ** 0.5)
_MOST_READ = 40
"""Series whose arrays are opened for the settings of the instrument."""
_SETTINGS = {
    "instrument": "{}",
    "excitation_energy_eV": "{:g} eV",
    "pass_energy_eV": "pass energy {:g} eV",
    "dwell_time_s": "{:g} s a point",
    "scans": "{:g} scans",
}


def sections(run: Run) -> list[ReportSection]:
    """Return what was refined in the regions of a run, and the checklist; nothing without fitted regions."""
    levels = [r for r in run.records if r.method == "xps.region" and r.status != "failed"]
    series = [r for r in run.records if r.method == "xps.series" and r.status != "failed"]
    if not levels:
        return []
    return [
        ReportSection(
            "XPS peak fits",
            "What was refined, tied and held in each region, and what a paper has to say of the fits.",
            (roles_table([*series, *levels]),),
            (_checklist(run, series or levels, levels),),
        )
    ]


def _checklist(run: Run, series: list[ResultRecord], levels: list[ResultRecord]) -> Checklist:
    kept, read = _Kept(run), series[:_MOST_READ]
    item = CheckItem.of
    composition = [r for r in run.records if r.method == "xps.composition"] or series
    many = len({(r.state.sample, r.state.region) for r in levels}) < len(levels)
    items = (
        item("instrument and its settings", read, kept.settings, else_do="write it in the paper: the file is silent"),
        item("X-ray source", read, kept.source, else_do="write in the paper: source, monochromator, power"),
        CheckItem("area of analysis, emission angle, pressure", "write it in the paper: files are silent", "missing"),
        CheckItem("calibration of the instrument's energies", "write it in the paper: no file holds it", "missing"),
        item("charge control and correction", series, _charge, else_do="give [charge] in the recipe"),
        CheckItem("charge neutraliser", "write in the paper whether one was used", "missing"),
        item("range of energies that is fitted", read, kept.range, else_do="run again: its arrays are gone"),
        CheckItem("averaging at the ends of the background", "none: the background is part of the fit at every point"),
        item("kind of background and how it is fitted", series, _background, else_do="run again"),
        item("number of peaks and what each is taken for", series, _peaks, else_do="run again"),
        item("positions, with errors", levels, _of("peak.position"), else_do="run again"),
        item("areas, with errors", levels, _of("peak.area"), else_do="run again"),
        item("widths, with errors", series, _of("peak.fwhm"), else_do="run again"),
        item("shape of the peaks and its parameters", series, _shapes, else_do="run again"),
        item("constraints and ties between parameters", series, _ties, else_do="no parameter was tied: say so"),
        item("weighting, noise", series, lambda r: f"noise: {r.recipe.get('noise')}", else_do="run again"),
        item("goodness of fit", series, _merit, else_do="run again"),
        CheckItem("residual", "part 'Fits' of this page, and figures/: in units of the error of each point"),
        item("sensitivity factors and transmission", composition, _factors, else_do="give [quantification]"),
        CheckItem("series: what its levels share", "the table above: what a series refines holds for all its levels")
        if many
        else CheckItem("series: what its levels share", "single spectra only", "no need"),
        item("software and version", series, _software, else_do="run again"),
    )
    return Checklist("XPS peak fits: what is to be reported", _STANDARD, items)


class _Kept:
    """What the arrays of a run say of how they were measured."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def _of(self, record: ResultRecord) -> LazySeries | None:
        name = record.arrays[0].file.rpartition("/")[2].removesuffix(".nxs") if record.arrays else ""
        return self._run.arrays.get(name)

    def told(self, record: ResultRecord, key: str) -> str | None:
        series = self._of(record)
        value = None if series is None else series.metadata.get(key)
        return None if value is None else _SETTINGS[key].format(value)

    def settings(self, record: ResultRecord) -> str | None:
        told = [text for key in _SETTINGS if key != "instrument" and (text := self.told(record, key))]
        return ", ".join(told) or None

    def source(self, record: ResultRecord) -> str | None:
        return self.told(record, "instrument")

    def range(self, record: ResultRecord) -> str | None:
        series = self._of(record)
        if series is None:
            return None
        axis = series.axis
        return f"{record.state.region}: {axis.min():.2f} to {axis.max():.2f} {series.axis_unit}"


def _region(record: ResultRecord) -> dict[str, Any]:
    regions: Any = record.recipe.get("regions") or ()
    return next((one for one in regions if one.get("region") == record.state.region), {})


def _charge(record: ResultRecord) -> str | None:
    charge: Any = record.recipe.get("charge") or {}
    if not charge:
        return None
    told = [f"{charge[key]}" for key in ("kind", "region", "species") if charge.get(key)]
    at = f" at {charge['energy_eV']:g}({charge.get('sigma_eV', 0):g}) eV" if charge.get("energy_eV") else ""
    return " ".join(told) + at


def _background(record: ResultRecord) -> str | None:
    background: Any = _region(record).get("background") or {}
    return f"{record.state.region}: {background.get('mode')} {background.get('kind')}" if background else None


def _peaks(record: ResultRecord) -> str | None:
    parts = [one.get("species") for one in _region(record).get("components") or ()]
    return f"{record.state.region}: {len(parts)} ({', '.join(map(str, parts))})" if parts else None


def _shapes(record: ResultRecord) -> str | None:
    shapes = dict.fromkeys(str(one.get("shape")) for one in _region(record).get("components") or ())
    return ", ".join(shapes) or None


def _factors(record: ResultRecord) -> str | None:
    return "; ".join(note for note in record.notes if "RSF" in note or "transmission" in note) or None


def _software(record: ResultRecord) -> str:
    return f"layerscope {record.software.get('layerscope', '')}".strip()


def _of(name: str) -> Callable[[ResultRecord], str | None]:
    def told(record: ResultRecord) -> str | None:
        own = [q for q in record.quantities if q.name == name]
        return "in the records and tables of this page" if own else None

    return told


def _ties(record: ResultRecord) -> str | None:
    tied = [f"{q.label} = {q.expr}" for q in record.quantities if q.role == "constrained" and q.expr]
    like = [f"{one['species']} as {one['like']}" for one in _region(record).get("components") or () if one.get("like")]
    return f"{record.state.region}: {', '.join([*tied, *like])}" if tied or like else None


def _merit(record: ResultRecord) -> str | None:
    quality = record.quality
    if quality is None or quality.redchi is None:
        return None
    free = f", {quality.n_data} points, {quality.n_free} parameters" if quality.n_free is not None else ""
    return f"{record.state.sample}, {record.state.region}: reduced chi-square {quality.redchi:.2f}{free}"


def depths(records: Sequence[ResultRecord]) -> list[Reach]:
    """Return the composition at each etched depth, and how far below it the electrons come from."""
    found = []
    for record in records:
        if record.method != "xps.composition":
            continue
        state = record.state
        low = 0.0 if not state.etch_time_s else state.depth_nm
        if low is None:
            continue
        paths = [q.value for q in record.quantities if q.name == "attenuation.probing_depth" and q.value is not None]
        how = "etched depth, and below it the depth that 95 % of the signal comes from"
        if not paths:
            how = (
                "etched depth, and below it three path lengths of electrons of 1.2 keV, as Al Kα sets free, by the"
                " curve of all inorganic solids (Seah and Dench 1979): name quantification.material for those of yours"
            )
        shares = tuple(q for q in record.quantities if q.name == "composition.atomic_fraction")
        found.append(Reach(record, low, low + max(paths, default=_ANY_SOLID_NM), shares, how))
    return found
