"""Powder patterns as NXmonopd: one NeXus file a series, one entry a pattern, each complete by itself.

The definition (NeXus 2026.01) is older than most diffractometers and requires fields that their files leave out. As in
the XPS files they get content that claims nothing, and ``notes`` lists them in words:

======================= ========================================================================
field                   when the file does not state it
======================= ========================================================================
start_time              present but empty (no time is invented)
source/name, type       ``"not stated"``
source/probe            ``"x-ray"``, marked as assumed (the list of values is closed)
crystal/wavelength      NaN
sample/rotation_angle   NaN
monitor/mode            ``"timer"``, marked as assumed (the list of values is closed)
monitor/preset          NaN
monitor/integral        NaN
======================= ========================================================================

Counts are integers as the definition asks; intensities that are no counts stay what they are, which the notes say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from layerscope.errors import DataError, StoreError
from layerscope.measured.files import write_atomic
from layerscope.runs.arrays import SeriesArrays
from layerscope.runs.nexus_image import Group, file_image
from layerscope.runs.nexus_layout import add_field, add_group, add_link, set_attribute
from layerscope.version import __version__

__all__ = ["write_monopd"]

_PROBES = ("neutron", "x-ray", "electron")


def write_monopd(path: Path, series: SeriesArrays, *, titles: Sequence[str] | None = None) -> bool:
    """Write the patterns of a series as NXmonopd, replacing an older file in a single step.

    Parameters
    ----------
    path : Path
        File to write; its folder must exist.
    series : SeriesArrays
        Its axis must be ``two_theta`` in degrees.
    titles : sequence of str, optional
        Title of each pattern; that of the series with its level when not given.

    Returns
    -------
    bool
        Whether the file changed; the same series gives the same bytes.

    Raises
    ------
    DataError
        If the axis is no scattering angle, or there is not one title a pattern.
    StoreError
        If the file cannot be written.
    """
    if series.axis_name != "two_theta" or series.axis_unit != "deg":
        raise DataError(
            f"NXmonopd needs two_theta in deg, not {series.axis_name} in {series.axis_unit}", source=series.name
        )
    names = list(titles) if titles is not None else _titles(series)
    if len(names) != series.levels.size:
        raise DataError(f"{len(names)} titles for {series.levels.size} patterns", source=series.name)
    root = Group(attributes={"NX_class": "NXroot", "creator": "layerscope", "creator_version": __version__})
    for level, title in enumerate(names):
        _add_entry(root, series, level, title)
    set_attribute(root, "default", _entry_name(series, 0))
    try:
        return write_atomic(path, file_image(root))
    except RuntimeError as error:
        raise StoreError(f"the patterns cannot be written: {error}", source=path) from error


def _titles(series: SeriesArrays) -> list[str]:
    unit = "" if series.level_unit == "1" else f" {series.level_unit}"
    return [f"{series.title}, {series.level_name.replace('_', ' ')} {value:g}{unit}" for value in series.levels]


def _entry_name(series: SeriesArrays, level: int) -> str:
    return "entry" if series.levels.size == 1 else f"entry_{level:04d}"


def _add_entry(file: Group, series: SeriesArrays, level: int, title: str) -> None:
    entry = add_group(file, _entry_name(series, level), "NXentry")
    set_attribute(entry, "default", "data")
    metadata, gaps = series.metadata, list[str]()
    add_field(entry, "definition", "NXmonopd")
    add_field(entry, "title", title)
    start = metadata.get("start_time") if series.levels.size == 1 else None
    if isinstance(start, str) and start:
        add_field(entry, "start_time", start)
    else:
        add_field(entry, "start_time", [])
        gaps.append("start_time: not stated; left empty")
    instrument = add_group(entry, "instrument", "NXinstrument")
    _add_source(instrument, metadata, gaps)
    detector = _add_detector(instrument, series, level, gaps)
    sample = add_group(entry, "sample", "NXsample")
    add_field(sample, "name", series.sample)
    _add_known(sample, "rotation_angle", metadata.get("rotation_angle_deg"), "deg", "sample/rotation_angle", gaps)
    monitor = add_group(entry, "monitor", "NXmonitor")
    add_field(monitor, "mode", "timer")
    gaps.append("monitor/mode: written as 'timer', an assumption")
    _add_known(monitor, "preset", metadata.get("dwell_time_s"), "s", "monitor/preset", gaps)
    _add_known(monitor, "integral", None, "counts", "monitor/integral", gaps)
    _add_data(entry, detector, series, level, title)
    notes = add_group(entry, "notes", "NXnote")
    add_field(notes, "description", "\n".join(["Required by NXmonopd but not stated by the raw file:", *gaps]))


def _add_known(group: Group, name: str, value: Any, unit: str, path: str, gaps: list[str]) -> None:
    known = isinstance(value, (int, float)) and not isinstance(value, bool)
    add_field(group, name, float(value) if known else float("nan"), unit)
    if not known:
        gaps.append(f"{path}: not stated, written as NaN")


def _add_source(instrument: Group, metadata: Mapping[str, Any], gaps: list[str]) -> None:
    source = add_group(instrument, "source", "NXsource")
    anode = metadata.get("anode")
    tube = f"{anode} X-ray tube" if isinstance(anode, str) and anode else None
    for name, stated in (
        ("name", metadata.get("source_name") or tube),
        ("type", metadata.get("source_type") or ("Fixed Tube X-ray" if tube else None)),
    ):
        add_field(source, name, str(stated or "not stated"))
        if not stated:
            gaps.append(f"instrument/source/{name}: not stated")
    probe = metadata.get("probe")
    if probe not in _PROBES:
        probe = "x-ray"
        if not tube:
            gaps.append("instrument/source/probe: not stated; written as 'x-ray', an assumption")
    add_field(source, "probe", str(probe))
    crystal = add_group(instrument, "crystal", "NXcrystal")
    waves = [metadata.get(key) for key in ("wavelength_A", "wavelength2_A")]
    known = [float(wave) for wave in waves if isinstance(wave, float)]
    add_field(crystal, "wavelength", np.array(known or [np.nan]), "angstrom")
    ratio = metadata.get("ratio")
    if len(known) == 2 and isinstance(ratio, float):
        add_field(crystal, "wavelength_weights", np.array([1.0, ratio]))
    if not known:
        gaps.append("instrument/crystal/wavelength: not stated, written as NaN")


def _add_detector(instrument: Group, series: SeriesArrays, level: int, gaps: list[str]) -> Group:
    detector = add_group(instrument, "detector", "NXdetector")
    add_field(detector, "polar_angle", np.asarray(series.axis, np.float64), "deg")
    counts = np.asarray(series.counts[level], np.float64)
    whole = series.intensity_unit == "counts" and bool((counts == np.round(counts)).all())
    if not whole:
        gaps.append("instrument/detector/data: no whole counts, written as they are")
    unit = series.intensity_unit
    values = counts.astype(np.int64) if whole else counts
    add_field(detector, "data", values, unit, long_name=f"Intensity ({unit})")
    add_field(detector, "data_errors", np.sqrt(np.asarray(series.variance[level], np.float64)), unit)
    return detector


def _add_data(entry: Group, detector: Group, series: SeriesArrays, level: int, title: str) -> None:
    """Write the plot: links to the detector, and the fit over them."""
    data = add_group(entry, "data", "NXdata")
    set_attribute(data, "signal", "data")
    set_attribute(data, "axes", ["polar_angle"])
    set_attribute(data, "polar_angle_indices", 0)
    set_attribute(data, "auxiliary_signals", ["calculated", "background"])
    add_field(data, "title", title)
    for name in ("polar_angle", "data", "data_errors"):
        add_link(data, name, detector[name])
    unit = series.intensity_unit
    add_field(data, "calculated", np.asarray(series.fit[level], np.float64), unit)
    add_field(data, "background", np.asarray(series.background[level], np.float64), unit)
