"""What NXxps asks for beyond the data: instrument, times, user; and what is written when the raw file is silent.

The definition (NeXus 2026.01, NXxps extends NXmpes) requires a few fields that vendor files often leave out. They get
content that claims nothing, and ``/entry/notes`` lists them in words:

===================================== ==================================================================
field                                 when the file does not state it
===================================== ==================================================================
start_time                            present but empty (no time is invented)
instrument/beam_probe/incident_energy NaN
.../electronanalyzer/work_function    NaN
.../energydispersion/energy_scan_mode "not stated" (the list of values is open)
.../energydispersion/scheme           "hemispherical", marked as assumed (the list of values is closed)
.../collectioncolumn/scheme           "non-dispersive", marked as assumed (the list of values is closed)
===================================== ==================================================================

Everything else (pass energy, source, vendor and model, lens mode, user, end time) is written only when it is known.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from layerscope.runs.arrays import SeriesArrays
from layerscope.runs.hooks import NexusLayout
from layerscope.runs.nexus_image import Group
from layerscope.runs.nexus_layout import add_field, add_group, set_attribute

__all__ = ["LAYOUT", "add_xps"]

NXDL_VERSION = "v2026.01"
METHOD = "X-ray photoelectron spectroscopy (XPS)"
_SCAN_MODES = ("fixed_analyzer_transmission", "fixed_retardation_ratio", "fixed_energy", "snapshot", "dither")
_ANALYSERS = ("tof", "hemispherical", "double hemispherical", "cylindrical mirror", "display mirror", "retarding grid")
_LENSES = ("angular dispersive", "spatial dispersive", "momentum dispersive", "non-dispersive")
_SOURCES = (
    "Synchrotron X-ray Source",
    "Rotating Anode X-ray",
    "Fixed Tube X-ray",
    "UV Laser",
    "Free-Electron Laser",
    "Optical Laser",
    "UV Plasma Source",
    "Metal Jet X-ray",
    "HHG laser",
    "UV lamp",
    "Monochromatized electron source",
)
# NX_DATE_TIME must name its time zone; "-00:00" (zone unknown) is not allowed.
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d*)?(Z|(?!-00:00)[+-]\d{2}:\d{2})")


class _Stated:
    """The metadata of a series, and the memory of what it did not contain."""

    def __init__(self, metadata: Mapping[str, Any]) -> None:
        self.metadata = metadata
        self.gaps: list[str] = []

    def text(self, key: str) -> str | None:
        value = self.metadata.get(key)
        return None if value is None or not str(value).strip() else str(value).strip()

    def number(self, key: str) -> float | None:
        value = self.metadata.get(key)
        return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None

    def number_or_nan(self, key: str, path: str) -> float:
        value = self.number(key)
        if value is not None:
            return value
        self.gaps.append(f"{path}: not stated, written as NaN")
        return float("nan")

    def choice(self, key: str, path: str, allowed: tuple[str, ...], assumed: str) -> str:
        value = self.text(key)
        if value in allowed:
            return str(value)
        reason = "not stated" if value is None else f"stated as {value!r}, which the definition does not list"
        self.gaps.append(f"{path}: {reason}; written as {assumed!r}, an assumption")
        return assumed


def add_xps(entry: Group, series: SeriesArrays) -> None:
    """Write definition, method, times, instrument, user and the notes on what the raw file does not state.

    Parameters
    ----------
    entry : Group
        The NXentry; title, sample, data and fit are written by others.
    series : SeriesArrays
        These keys of its metadata have a place of their own in NXxps; all others go to ``/entry/series`` only:
        ``excitation_energy_eV``, ``work_function_eV``, ``pass_energy_eV``, ``energy_scan_mode``, ``analyser_scheme``,
        ``lens_scheme``, ``lens_mode``, ``instrument``, ``instrument_vendor``, ``instrument_model``, ``source_name``,
        ``source_type``, ``start_time`` and ``end_time`` (ISO 8601 with time zone), ``user``, ``affiliation``,
        ``region``, ``charge_reference``, ``charge_reference_energy_eV``.
    """
    stated = _Stated(series.metadata)
    set_attribute(entry["data/energy"], "type", "kinetic" if series.axis_name.startswith("kinetic") else "binding")
    add_field(entry, "definition", "NXxps", version=NXDL_VERSION)
    add_field(entry, "method", METHOD)
    if (region := stated.text("region")) is not None:
        add_field(entry, "transitions", [region])
    _add_times(entry, stated)
    _add_instrument(entry, stated)
    _add_energy_reference(entry, stated)
    if (user := stated.text("user")) is not None:
        group = add_group(entry, "user", "NXuser")
        add_field(group, "name", user)
        add_field(group, "affiliation", stated.text("affiliation") or "not stated")
    if stated.gaps:
        notes = add_group(entry, "notes", "NXnote")
        heading = "Required by NXxps but not stated by the raw file:"
        add_field(notes, "description", "\n".join([heading, *stated.gaps]))


def _add_times(entry: Group, stated: _Stated) -> None:
    start, end = stated.text("start_time"), stated.text("end_time")
    if start is not None and _TIME.fullmatch(start):
        add_field(entry, "start_time", start)
    else:
        add_field(entry, "start_time", [])
        reason = "not stated" if start is None else f"stated without time zone as {start!r}"
        stated.gaps.append(f"start_time: {reason}; left empty")
    if end is not None and _TIME.fullmatch(end):
        add_field(entry, "end_time", end)


def _add_instrument(entry: Group, stated: _Stated) -> None:
    instrument = add_group(entry, "instrument", "NXinstrument")
    if (name := stated.text("instrument")) is not None:
        add_field(instrument, "name", name)
    vendor, model = stated.text("instrument_vendor"), stated.text("instrument_model")
    if vendor is not None or model is not None:
        device = add_group(instrument, "device_information", "NXfabrication")
        for field, value in (("vendor", vendor), ("model", model)):
            if value is not None:
                add_field(device, field, value)
    _add_beam(instrument, stated)
    _add_analyser(instrument, stated)


def _add_beam(instrument: Group, stated: _Stated) -> None:
    beam = add_group(instrument, "beam_probe", "NXbeam")
    energy = stated.number_or_nan("excitation_energy_eV", "instrument/beam_probe/incident_energy")
    add_field(beam, "incident_energy", energy, "eV")
    name, kind = stated.text("source_name"), stated.text("source_type")
    if name is None and kind is None:
        return
    source = add_group(instrument, "source_probe", "NXsource")
    _add_open_choice(source, "type", kind, _SOURCES)
    if name is not None:
        add_field(source, "name", name)
    add_field(source, "associated_beam", "/entry/instrument/beam_probe")
    add_field(beam, "associated_source", "/entry/instrument/source_probe")


def _add_analyser(instrument: Group, stated: _Stated) -> None:
    analyser = add_group(instrument, "electronanalyzer", "NXelectronanalyzer")
    place = "instrument/electronanalyzer"
    add_field(analyser, "work_function", stated.number_or_nan("work_function_eV", f"{place}/work_function"), "eV")
    lens = add_group(analyser, "collectioncolumn", "NXcollectioncolumn")
    scheme = stated.choice("lens_scheme", f"{place}/collectioncolumn/scheme", _LENSES, "non-dispersive")
    add_field(lens, "scheme", scheme)
    if (mode := stated.text("lens_mode")) is not None:
        add_field(lens, "lens_mode", mode)
    dispersion = add_group(analyser, "energydispersion", "NXenergydispersion")
    scheme = stated.choice("analyser_scheme", f"{place}/energydispersion/scheme", _ANALYSERS, "hemispherical")
    add_field(dispersion, "scheme", scheme)
    mode = stated.text("energy_scan_mode")
    _add_open_choice(dispersion, "energy_scan_mode", mode, _SCAN_MODES)
    if mode is None:
        stated.gaps.append(f"{place}/energydispersion/energy_scan_mode: not stated")
    if (energy := stated.number("pass_energy_eV")) is not None:
        add_field(dispersion, "pass_energy", energy, "eV")
    add_group(analyser, "electron_detector", "NXelectron_detector")


def _add_energy_reference(entry: Group, stated: _Stated) -> None:
    """Write which line the energy scale hangs on; the shifts themselves are fit parameters with errors."""
    line, energy = stated.text("charge_reference"), stated.number("charge_reference_energy_eV")
    if line is None or energy is None:
        return
    reference = add_group(entry, "energy_referencing", "NXcalibration")
    add_field(reference, "physical_quantity", "energy")
    add_field(reference, "reference_peak", line)
    add_field(reference, "binding_energy", energy, "eV")


def _add_open_choice(group: Group, name: str, value: str | None, suggested: tuple[str, ...]) -> None:
    """Write a field whose list of values is open; one of our own is marked ``custom`` as the definition asks."""
    content = value or "not stated"
    if content in suggested:
        add_field(group, name, content)
    else:
        add_field(group, name, content, custom=True)


LAYOUT = NexusLayout(add_xps, axis_field="energy")
"""The layout of XPS series: the name of the axis is that of NXmpes."""
