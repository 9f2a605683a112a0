"""Plain columns (CSV, XY, text) whose meaning is stated by the user: nothing is guessed but how they are written."""

from __future__ import annotations

import re

from layerscope.measured.delimited import parse_table
from layerscope.measured.files import RawFile

from ..dataset import Spectrum, normalise_region
from ..options import SpectrumColumnsTable

__all__ = ["read", "sniff"]

_RATE = re.compile(r"counts?\s*/\s*s|\bcps\b|\bc/s\b", re.IGNORECASE)


def sniff(raw: RawFile) -> bool:
    """Plain columns have no signature; they are read only on request."""
    return False


def read(raw: RawFile, columns: SpectrumColumnsTable | None = None) -> list[Spectrum]:
    """Read a table by its map, one spectrum a column of counts; a map that contradicts the header is refused."""
    if columns is None:
        raise raw.error("plain columns need a column map", hint="say which column is the energy and which the counts")
    if columns.kind == "kinetic" and columns.excitation_energy_eV is None:
        raise raw.error("kinetic energies need excitation_energy_eV")
    if len(columns.etch_times_s) != len(columns.count_columns):
        raise raw.error(
            f"{len(columns.etch_times_s)} etch times are given for {len(columns.count_columns)} columns of counts"
        )
    table = parse_table(raw, columns)
    values, at = table.values(), table.index(columns.energy)
    axis = values[:, at]
    if columns.kind == "kinetic" and columns.excitation_energy_eV is not None:
        axis = columns.excitation_energy_eV - axis
    spectra: list[Spectrum] = []
    for block, (column, time) in enumerate(zip(columns.count_columns, columns.etch_times_s, strict=True)):
        index = table.index(column)
        if index == at:
            raise raw.error(f"column {column!r} is both energy and counts")
        if table.names:
            _check_names(raw, columns, table.names[at], table.names[index])
        spectra.append(
            Spectrum(
                axis=axis,
                intensity=values[:, index],
                intensity_unit=columns.unit,
                region=normalise_region(columns.region),
                region_label=columns.region,
                dwell_time_s=columns.dwell_time_s,
                scans=columns.scans,
                transmission=None if columns.transmission is None else values[:, table.index(columns.transmission)],
                pass_energy_eV=columns.pass_energy_eV,
                excitation_energy_eV=columns.excitation_energy_eV,
                etch_time_s=time,
                sample=columns.sample,
                block=block,
            )
        )
    return spectra


def _check_names(raw: RawFile, columns: SpectrumColumnsTable, name: str, counts_name: str) -> None:
    """Refuse a map that contradicts what the header line says."""
    text = name.lower()
    if "kev" in text or "nm" in re.findall(r"[a-z]+", text):
        raise raw.error(f"the energy column {name!r} is not in eV")
    other = "kinetic" if columns.kind == "binding" else "binding"
    if other in text and columns.kind not in text:
        raise raw.error(f"the energy column is named {name!r}, the column map says {columns.kind}")
    if columns.unit == "counts" and _RATE.search(counts_name):
        raise raw.error(f"the intensity column is named {counts_name!r}, the column map says counts")
