"""What this technique can look up: species, sensitivity factors, charge references and solids, each with its source."""

from __future__ import annotations

from collections.abc import Sequence

from layerscope.errors import RecipeError
from layerscope.runs.summary import Cell, Column, SummaryTable, words_table

from .attenuation import imfp_tpp2m, load_materials
from .auger import known_auger_parameters
from .charge import load_references
from .dataset import ELEMENTS, is_core_level, normalise_region
from .multiplets import MultipletTemplate, load_templates
from .rsf import RsfSet, load_rsf_sets
from .species import Species, is_of_line, load_species

__all__ = ["auger_parameters", "charge_references", "materials", "sensitivity_factors", "species"]

_STATUS = "read: opened at the source; secondary: quoted by another work; unverified: no source could be opened."


def species(words: Sequence[str]) -> SummaryTable:
    """Return the species of the library, and the templates of multiplets that stand for some of them in a fit.

    Parameters
    ----------
    words : sequence of str
        A core level, such as ``B 1s``, or an element; or words that all occur in name, description, source or notes;
        ``template`` gives the templates.
    """
    asked = " ".join(words)
    entries: tuple[Species | MultipletTemplate, ...] = (*load_species(), *load_templates())
    of_line = [entry for entry in entries if words and is_of_line(entry.line, normalise_region(asked))]
    of_element = [entry for entry in entries if entry.line.split()[0] == asked]
    named = is_core_level(asked) or asked in ELEMENTS  # and not words of a description
    chosen = of_line or of_element or [entry for entry in entries if not named and _has(entry, words)]
    rows = [_species_row(entry) for entry in sorted(chosen, key=lambda entry: (entry.line, entry.position_eV))]
    columns = (
        Column("line", kind="key"),
        Column("species", kind="key"),
        Column("position", "eV"),
        Column("spread", "eV"),
        Column("what it is", kind="text"),
        Column("source", kind="text"),
    )
    return words_table("Species", columns, rows, note=_STATUS)


def _species_row(entry: Species | MultipletTemplate) -> tuple[Cell, ...]:
    source = f"{entry.source} ({entry.status})"
    if isinstance(entry, Species):
        return (entry.line, entry.id, _range(entry), entry.spread_eV, entry.label, source)
    whole = sum(peak.area for peak in entry.peaks)
    peaks = ", ".join(f"+{peak.offset_eV:g} ({peak.area / whole:.0%})" for peak in entry.peaks[1:])
    label = (
        f"{entry.label}; first of {len(entry.peaks)} peaks ({entry.peaks[0].area / whole:.0%}), the others at {peaks}"
    )
    return (entry.line, f"template {entry.id}", f"{entry.position_eV:g}", None, label, source)


def _range(entry: Species) -> str:
    low, high = f"{entry.low_eV:g}", f"{entry.high_eV:g}"
    return low if low == high else f"{low}–{high}"


def _has(entry: Species | MultipletTemplate, words: Sequence[str]) -> bool:
    kind = "" if isinstance(entry, Species) else "template"
    return _holds(" ".join((kind, entry.id, entry.line, entry.label, entry.source, entry.notes)), words)


def _holds(text: str, words: Sequence[str]) -> bool:
    return all(word.casefold() in text.casefold() for word in words)


def sensitivity_factors(words: Sequence[str]) -> SummaryTable:
    """Return the relative sensitivity factors of all sets, C 1s = 1.

    Parameters
    ----------
    words : sequence of str
        A core level, such as ``O 1s``, or an element; names of sets among them choose the columns.
    """
    sets = [one for name, one in load_rsf_sets().items() if name in words] or list(load_rsf_sets().values())
    asked = " ".join(word for word in words if word not in load_rsf_sets())
    known = list(dict.fromkeys(line for one in sets for line in one.values))
    wanted = normalise_region(asked)
    if asked and any(one.has(wanted) for one in sets):
        lines = [wanted]
    else:
        lines = [line for line in known if not asked or line.split()[0] == wanted]
    rows = [(line, *(_factor(one, line) for one in sets)) for line in lines]
    columns = (Column("line", kind="key"), *(Column(one.name) for one in sets))
    notes = [f"{one.name}: {one.label}, {_contains(one)}; {one.source} ({one.status})" for one in sets]
    return words_table("Relative sensitivity factors", columns, rows, note="\n".join([_DERIVED, *notes]))


def charge_references(words: Sequence[str]) -> SummaryTable:
    """Return the lines that an energy scale may rest on: what ``charge.reference`` of a recipe can name.

    Parameters
    ----------
    words : sequence of str
        Words that all occur in name or source.
    """
    chosen = [one for one in load_references().values() if _holds(f"{one.name} {one.species} {one.source}", words)]
    rows = [(r.name, r.region, r.species, r.energy_eV, r.sigma_eV, f"{r.source} ({r.status})") for r in chosen]
    columns = (
        Column("reference", kind="key"),
        Column("region", kind="key"),
        Column("species", kind="key"),
        Column("energy", "eV"),
        Column("sigma", "eV"),
        Column("source", kind="text"),
    )
    return words_table("Charge references", columns, rows, note=_STATUS)


def auger_parameters(words: Sequence[str]) -> SummaryTable:
    """Return published Auger parameters, what those of a recipe are compared with.

    Parameters
    ----------
    words : sequence of str
        Words that all occur in state, lines or source.
    """
    known = known_auger_parameters()
    chosen = [one for one in known if _holds(f"{one.id} {one.label} {one.core} {one.auger} {one.source}", words)]
    rows = [
        (f"{one.core} + {one.auger}", one.id, f"{one.low_eV:g}–{one.high_eV:g}", f"{one.source} ({one.status})")
        for one in chosen
    ]
    columns = (
        Column("lines", kind="key"),
        Column("state", kind="key"),
        Column("parameter", "eV"),
        Column("source", kind="text"),
    )
    return words_table("Modified Auger parameters", columns, rows, note=_STATUS)


def materials(words: Sequence[str]) -> SummaryTable:
    """Return the solids whose mean free paths can be had: what ``quantification.material`` of a recipe can name.

    Parameters
    ----------
    words : sequence of str
        Words that all occur in the formula.
    """
    chosen = [one for one in load_materials().values() if _holds(one.formula, words)]
    rows = [
        (
            m.formula,
            m.density_g_cm3,
            m.valence_electrons,
            m.band_gap_eV,
            round(float(imfp_tpp2m(1000.0, m)), 2),
            m.source,
        )
        for m in chosen
    ]
    columns = (
        Column("formula", kind="key"),
        Column("density", "g/cm^3"),
        Column("valence electrons"),
        Column("band gap", "eV"),
        Column("path at 1 keV", "nm"),
        Column("source", kind="text"),
    )
    return words_table("Solids for mean free paths by TPP-2M", columns, rows)


_DERIVED = "In brackets: from the other lines of the doublet by the ratio 2j + 1."


def _factor(one: RsfSet, line: str) -> Cell:
    try:
        factor = one.factor(line)
    except RecipeError:
        return None
    return f"({factor.value:.4g})" if factor.derived else factor.value


def _contains(one: RsfSet) -> str:
    attenuation = "with" if one.includes_attenuation else "without"
    return f"{one.kind}, {attenuation} attenuation, transmission: {one.transmission}"
