"""Powder CIF of a diffraction run: one data block a pattern with profile, phases and R factors, one block a structure.

Names that both dictionaries know are written in the old form (``_pd_meas_counts_total``), which readers open; what
only the powder dictionary 2.5.0 of COMCIFS has (``_pd_phase_mass.percent`` and its kin) in the new one. Both are valid
CIF 1.1. Grammar: S. R. Hall et al., International Tables for Crystallography G (2006), chapter 2.2.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from layerscope.records import Quantity
from layerscope.records.formatting import format_value
from layerscope.version import __version__

from .figure_data import SeriesView
from .phase_table import FRACTION, FrameRow
from .rietveld.ticks import structure_of

if TYPE_CHECKING:
    from layerscope.crystals import Phase, Site

__all__ = ["pdcif_text"]

DICTIONARIES = (("cif_core.dic", "3.3.0"), ("cif_pow.dic", "2.5.0"))
_CELL = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma", "volume")
_CELL_NAMES = ("a", "b", "c", "alpha", "beta", "gamma", "volume")
_LONGEST_NAME = 70
_PLAIN = re.compile(r"[A-Za-z0-9+\-.][^\s'\"#$\[\]]*")
_RESERVED = re.compile(r"(?i)(data_|save_|loop_|stop_|global_)")


def pdcif_text(view: SeriesView) -> str:
    """Return the CIF of all patterns of a series.

    Parameters
    ----------
    view : SeriesView

    Returns
    -------
    str
        ASCII, lines ending in a line feed.
    """
    taken: set[str] = set()
    blocks = [_pattern(view, k, taken) for k in range(len(view.series.rows))]
    return "#\\#CIF_1.1\n" + "\n".join(blocks)


def _pattern(view: SeriesView, row: int, taken: set[str]) -> str:
    """Return the block of one pattern, and after it those of its structures."""
    frame = view.series.rows[row]
    alone = len(view.series.rows) == 1
    name = _block_name(view.series.name if alone else f"{view.series.name}_frame_{view.frames[row]:04.0f}", taken)
    weighed = [p for p in view.series.phases if _detected(frame.quantities.get((FRACTION, p)))]
    # extracted intensities (Le Bail) give cells without amounts and atoms
    extracted = [p for p in view.series.phases if (FRACTION, p) not in frame.quantities]
    present = weighed or [p for p in extracted if ("lattice.a", p) in frame.quantities]
    structures = {phase: structure_of(frame.record, phase) if phase in weighed else None for phase in present}
    blocks = {phase: _block_name(f"{name}_{phase}", taken) for phase in present if structures[phase] is not None}
    parts = [
        f"data_{name}",
        *_heading(view, row, name),
        *_phases(frame, name, present, blocks),
        *_agreement(frame, view.series.phases),
        *_profile(view, int(view.level[row])),
    ]
    for phase, block in blocks.items():
        structure = structures[phase]
        assert structure is not None  # noqa: S101 - only those have a block
        parts += ["", f"data_{block}", *_structure(frame, structure, name, block)]
    return "\n".join(parts) + "\n"


def _detected(quantity: Quantity | None) -> bool:
    return quantity is not None and quantity.value is not None and quantity.upper_limit is None


def _block_name(wanted: str, taken: set[str]) -> str:
    """Return a name that CIF allows (visible ASCII, at most 75 signs), not taken."""
    base = re.sub(r"[^A-Za-z0-9_.\-]+", "_", wanted.replace("'", "p"))[:_LONGEST_NAME]
    name, number = base, 2
    while name.lower() in taken:
        name, number = f"{base}_{number}", number + 1
    taken.add(name.lower())
    return name


def _text(value: str) -> str:
    """Return a text as a CIF value, quoted where it must be; beyond ASCII as character references."""
    ascii_text = value.encode("ascii", "xmlcharrefreplace").decode()
    if _PLAIN.fullmatch(ascii_text) and not _RESERVED.match(ascii_text):
        return ascii_text
    for quote in ("'", '"'):
        if quote not in ascii_text and "\n" not in ascii_text:
            return f"{quote}{ascii_text}{quote}"
    safe = ascii_text.replace("\n;", "\n ;")
    return f"\n;{safe}\n;"


def _item(name: str, value: str) -> str:
    return f"{name:<38}{value}" if not value.startswith("\n") else f"{name}{value}"


def _number(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return "?"
    return f"{value:.8g}"


def _with_su(quantity: Quantity | None) -> str:
    """Return a value with its standard uncertainty in brackets, behind the exponent where there is one."""
    if quantity is None or quantity.value is None:
        return "?"
    if quantity.sigma is None or quantity.sigma == 0:
        return _number(quantity.value)
    text = format_value(quantity.value, quantity.sigma)
    return re.sub(r"(\(\d+\))(e[+-]\d+)", r"\2\1", text)


def _loop(names: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [" ".join(row) for row in rows]
    return ["loop_", *names, *lines] if lines else []


def _heading(view: SeriesView, row: int, name: str) -> list[str]:
    frame, metadata = view.series.rows[row], view.arrays.metadata
    lines = [
        _item("_audit_creation_method", _text(f"layerscope {__version__}")),
        *_loop(("_audit_conform_dict_name", "_audit_conform_dict_version"), DICTIONARIES),
        _item("_pd_block_id", _text(f"{frame.record.record_id[:16]}|{name}")),
        _item("_pd_diffractogram.id", _text(name)),
        _item("_pd_spec_description", _text(view.series.sample)),
    ]
    if frame.record.state.temperature_K is not None:
        lines.append(_item("_diffrn_ambient_temperature", _number(frame.record.state.temperature_K)))
    words = [f"{view.title_of(row)}"] + [f"input {i.path} sha256 {i.sha256}" for i in frame.record.inputs]
    lines.append(_item("_pd_meas_special_details", _text("; ".join(words))))
    lines += _radiation(metadata)
    return lines


def _radiation(metadata: Mapping[str, object]) -> list[str]:
    first, second, ratio = (metadata.get(key) for key in ("wavelength_A", "wavelength2_A", "ratio"))
    if not isinstance(first, float):
        return []
    anode = metadata.get("anode")
    lines = [_item("_diffrn_radiation_probe", "x-ray")] if anode else []
    if isinstance(anode, str):
        lines.append(_item("_diffrn_source_target", _text(anode)))
    if not isinstance(second, float):
        return [*lines, _item("_diffrn_radiation_wavelength", _number(first))]
    names = tuple(f"_diffrn_radiation_wavelength{end}" for end in ("_id", "", "_wt"))
    weight = ratio if isinstance(ratio, float) else 0.5
    return [*lines, *_loop(names, [("1", _number(first), "1"), ("2", _number(second), _number(weight))])]


def _phases(frame: FrameRow, name: str, present: Sequence[str], blocks: Mapping[str, str]) -> list[str]:
    """Return the phases with their share of the weight, and their cells."""
    ids = {phase: _text(phase) for phase in present}
    lines = _loop(("_pd_phase.id", "_pd_phase.name"), [(ids[p], ids[p]) for p in present])
    masses = []
    for phase in present:
        quantity = frame.quantities.get((FRACTION, phase))
        if quantity is None:
            continue
        assert quantity.value is not None  # noqa: S101 - detected
        su = "." if quantity.sigma is None else _number(100.0 * quantity.sigma)
        masses.append((_text(name), ids[phase], _number(100.0 * quantity.value), su))
    heads = tuple(f"_pd_phase_mass.{end}" for end in ("diffractogram_id", "phase_id", "percent", "percent_su"))
    lines += _loop(heads, masses)
    if blocks:
        rows = [(_text(f"{frame.record.record_id[:16]}|{block}"),) for block in blocks.values()]
        lines += _loop(("_pd_phase_block_id",), rows)
    return lines + _cells(frame, present)


def _cells(frame: FrameRow, present: Sequence[str]) -> list[str]:
    """Return the cells of all phases of the pattern in one loop."""
    rows, structures = [], []
    for phase in present:
        cell = [frame.quantities.get((f"lattice.{key}", phase)) for key in _CELL_NAMES]
        if cell[0] is None:
            continue
        pairs = [(_number(None if q is None else q.value), _su(q)) for q in cell]
        rows.append((_text(phase), *(cell_value for pair in pairs for cell_value in pair)))
        structures.append((_text(phase),))
    heads = ["_cell.structure_id"]
    for key in _CELL:
        heads += [f"_cell.{key}", f"_cell.{key}_su"]
    return _loop(("_structure.id",), structures) + _loop(heads, rows)  # a structure is called as its phase is


def _su(quantity: Quantity | None) -> str:
    return "." if quantity is None or not quantity.sigma else _number(quantity.sigma)


def _agreement(frame: FrameRow, phases: Sequence[str]) -> list[str]:
    lines = []
    for merit, name in (
        ("rwp", "_pd_proc_ls_prof_wR_factor"),
        ("rexp", "_pd_proc_ls_prof_wR_expected"),
        ("gof", "_refine_ls_goodness_of_fit_all"),
    ):
        value = frame.merit(merit)
        if value is not None:
            lines.append(_item(name, f"{value:.6g}"))
    words = [f"flag {flag}" for flag in frame.flags]
    for phase in phases:
        quantity = frame.quantities.get((FRACTION, phase))
        if quantity is not None and quantity.upper_limit is not None:
            level = 100.0 * (quantity.limit_confidence or 0.95)
            words.append(f"{phase} not detected: below {100 * quantity.upper_limit:.3g} % by weight ({level:g} %)")
    words.append("standard uncertainties are those of the least squares, not enlarged for serial correlation")
    lines.append(_item("_pd_proc_ls_special_details", _text("; ".join(words))))
    return lines


def _profile(view: SeriesView, level: int) -> list[str]:
    """Return the profile: angle, observed, calculated, background, weight (0 where a point was left out)."""
    arrays = view.arrays
    counts, variance = arrays.counts[level], arrays.variance[level]
    whole = arrays.intensity_unit == "counts" and bool((counts == np.round(counts)).all())
    with np.errstate(divide="ignore"):
        weight = np.where(variance > 0, 1.0 / variance, 0.0)
    observed = "_pd_meas_counts_total" if whole else "_pd_meas_intensity_total"
    order = np.argsort(arrays.axis)
    lines = [
        _item("_pd_meas_number_of_points", str(counts.size)),
        "loop_",
        "_pd_meas_2theta_scan",
        observed,
        "_pd_calc_intensity_total",
        "_pd_proc_intensity_bkg_calc",
        "_pd_proc_ls_weight",
    ]
    shown = "d" if whole else ".8g"
    values = counts.astype(np.int64) if whole else counts
    table = zip(
        arrays.axis[order], values[order], arrays.fit[level][order], arrays.background[level][order], weight[order],
        strict=True,
    )  # fmt: skip
    lines += [f"{x:.8g} {y:{shown}} {c:.7g} {b:.7g} {w:.7g}" for x, y, c, b, w in table]
    return lines


def _structure(frame: FrameRow, structure: Phase, pattern: str, block: str) -> list[str]:
    """Return the structure of a phase: symmetry, cell and sites with standard uncertainties."""
    phase, start = structure.name, f"{frame.record.record_id[:16]}|"
    lines = [
        _item("_pd_block_id", _text(f"{start}{block}")),
        _item("_pd_block_diffractogram_id", _text(f"{start}{pattern}")),
        _item("_pd_phase_name", _text(phase)),
        _item("_symmetry_space_group_name_H-M", f"'{structure.space_group}'"),
    ]
    for key, name in zip(_CELL, _CELL_NAMES, strict=True):
        quantity = frame.quantities.get((f"lattice.{name}", phase))
        if quantity is not None:
            lines.append(_item(f"_cell_{key}", _with_su(quantity)))
        elif name != "volume":
            lines.append(_item(f"_cell_{key}", _number(structure.cell[_CELL_NAMES.index(name)])))
    heads = ("label", "type_symbol", "fract_x", "fract_y", "fract_z", "occupancy", "U_iso_or_equiv")
    if not structure.sites:
        return lines
    rows = [_site(frame, phase, site) for site in structure.sites]
    return [*lines, *_loop(tuple(f"_atom_site_{head}" for head in heads), rows)]


def _site(frame: FrameRow, phase: str, site: Site) -> tuple[str, ...]:
    """Return a site as refined; what the record does not hold is as the structure has it."""
    key = f"{phase}/{site.label}"

    def known(name: str, component: str, otherwise: float) -> str:
        quantity = frame.quantities.get((name, component))
        return _number(otherwise) if quantity is None else _with_su(quantity)

    coordinates = [
        known("atom.coordinate", f"{key}/{axis}", value) for axis, value in zip("xyz", site.xyz, strict=True)
    ]
    return (
        _text(site.label),
        _text(site.element),
        *coordinates,
        known("atom.occupancy", key, site.occupancy),
        known("atom.uiso", key, site.b_iso / (8.0 * math.pi**2)),
    )
