"""NeXus NXmonopd (monochromatic powder diffraction) and NXxrd_pan (scans of PANalytical): angles and data, in HDF5.

Fields after the NeXus definitions and, for NXxrd_pan, after FAIRmat's contributed definition; its plot of an entry was
called ``2theta_plot`` once, ``experiment_result`` since.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

from layerscope.measured.files import RawFile
from layerscope.measured.hdf import MAGIC, factor, text, values
from layerscope.measured.measurement import IntensityUnit
from layerscope.measured.text import moment, positive

from ..dataset import Pattern
from ..radiation import AxisKind, FloatArray, Radiation
from ._base import whole_counts
from ._frame_times import frame_times
from ._units import ANGLE_UNITS, LENGTH_UNITS, Q_UNITS

__all__ = ["read", "sniff"]

_DEFINITIONS = ("NXmonopd", "NXxrd_pan")
_GROUPS = ("data", "instrument/detector", "detector", "experiment_result", "2theta_plot")
_TEMPERATURE_UNITS = {"": 0.0, "k": 0.0, "kelvin": 0.0, "c": 273.15, "celsius": 273.15, "degc": 273.15}


def sniff(raw: RawFile) -> bool:
    """Tell whether it is HDF5 that mentions one of the definitions."""
    return raw.data[:8] == MAGIC and any(name.encode() in raw.data for name in _DEFINITIONS)


def read(raw: RawFile) -> list[Pattern]:
    """Read all entries that follow a definition, one a row where its data are stacked, shape (frames, n)."""
    h5py = import_module("h5py")
    with h5py.File(io.BytesIO(raw.data), "r") as file:
        entries = [group for group in file.values() if isinstance(group, h5py.Group) and _is_powder(raw, group)]
        return [pattern for entry in entries for pattern in _entry(raw, entry)]


def _is_powder(raw: RawFile, entry: Any) -> bool:
    return text(raw, entry, "definition") in _DEFINITIONS


def _entry(raw: RawFile, entry: Any) -> list[Pattern]:
    groups = (*_GROUPS, *_of_class(entry, ("NXdata", "NXdetector")))
    counts = values(raw, entry, tuple(f"{g}/{name}" for g in groups for name in ("data", "intensity")))
    if counts is None:
        raise raw.error(f"the entry {entry.name!r} has no data")
    axis, kind = _axis(raw, entry, groups)
    errors = values(raw, entry, tuple(f"{g}/{name}" for g in groups for name in ("data_errors", "errors")))
    stack = np.atleast_2d(counts[0])
    if axis.ndim != 1 or stack.ndim != 2 or stack.shape[1] != axis.size:
        raise raw.error(f"the entry {entry.name!r} has data of shape {counts[0].shape} for {axis.size} angles")
    sigma = None if errors is None else np.atleast_2d(errors[0])
    pan = text(raw, entry, "definition") == "NXxrd_pan"
    if sigma is not None and sigma.shape != stack.shape:
        raise raw.error(f"the entry {entry.name!r} has errors of shape {sigma.shape} for data of shape {stack.shape}")
    unit: IntensityUnit = "counts" if counts[1] in ("counts", "count") else "arbitrary"
    if counts[1] == "" and whole_counts(stack.ravel()) and sigma is None:
        unit = "counts"
    elif counts[1] in ("counts/s", "cps", "hz"):
        # What writes NXxrd_pan calls the whole counts of a scan a rate; true rates are hardly all whole.
        unit = "counts" if pan and whole_counts(stack.ravel()) else "counts/s"
    patterns = []
    start, end = moment(text(raw, entry, "start_time")), moment(text(raw, entry, "end_time"))
    times = frame_times(raw, (entry,), len(stack)) if len(stack) > 1 else []
    for row in range(len(stack)):
        begins, ends = times[row] if times and times[row][0] is not None else (start, end)
        variance = None if sigma is None else np.where(sigma[row] > 0, sigma[row] ** 2, np.inf)
        patterns.append(
            Pattern(
                axis=axis,
                intensity=stack[row],
                axis_kind=kind,
                intensity_unit=unit,
                variance=variance,
                time_per_step_s=_scalar(raw, entry, "experiment_config/count_time"),
                radiation=_radiation(raw, entry),
                start_time=begins,
                end_time=ends,
                temperature_K=_temperature(raw, entry),
                sample=text(raw, entry, "sample/name") or text(raw, entry, "sample/sample_name"),
                metadata={"entry": str(entry.name), "title": text(raw, entry, "title"), "points_declared": "yes"},
            )
        )
    return patterns


def _of_class(entry: Any, wanted: tuple[str, ...]) -> list[str]:
    """Return the groups of some classes in an entry or its instrument: pyFAI calls them after detector and beamline."""
    found: list[str] = []
    entry.visititems(lambda path, node: found.append(path) if node.attrs.get("NX_class") in wanted else None)
    return [path for path in found if path.count("/") <= 1]


def _axis(raw: RawFile, entry: Any, groups: Sequence[str]) -> tuple[FloatArray, AxisKind]:
    found = values(raw, entry, tuple(f"{g}/{name}" for g in groups for name in ("polar_angle", "two_theta")))
    if found is not None and found[1] in Q_UNITS:  # so pyFAI calls an axis of Q too
        return found[0] * factor(raw, "momentum transfer", found[1], Q_UNITS), "q"
    if found is not None:
        return found[0] * factor(raw, "angle", found[1], ANGLE_UNITS), "two_theta"
    found = values(raw, entry, tuple(f"{g}/{name}" for g in groups for name in ("Q", "q")))
    if found is not None:
        return found[0] * factor(raw, "momentum transfer", found[1], Q_UNITS), "q"
    raise raw.error(f"the entry {entry.name!r} has neither polar_angle nor Q")


def _radiation(raw: RawFile, entry: Any) -> Radiation | None:
    tube = "instrument/source"
    first, second, beta = (_length(raw, entry, f"{tube}/{n}") for n in ("k_alpha_one", "k_alpha_two", "kbeta"))
    if first is not None:
        ratio = _scalar(raw, entry, f"{tube}/ratio_k_alphatwo_k_alphaone")
        anode = text(raw, entry, f"{tube}/xray_tube_material").strip().capitalize()
        return Radiation(first, second, ratio, beta, anode)
    paths = tuple(f"instrument/{name}/wavelength" for name in ("crystal", "monochromator", "source", "beam")) + tuple(
        f"instrument/{name}/incident_wavelength" for name in ("beam", "source")
    )
    paths += tuple(f"{group}/wavelength" for group in _of_class(entry, ("NXcrystal", "NXmonochromator", "NXbeam")))
    found = values(raw, entry, paths)
    if found is None or found[0].size == 0:
        return None
    waves = np.ravel(found[0]) * factor(raw, "wavelength", found[1], LENGTH_UNITS)
    if waves.size > 2:
        return None
    # NXmonopd: the wavelengths of a doublet are an array; their weights are not part of the definition.
    return Radiation(float(waves[0]), float(waves[1]) if waves.size == 2 else None)


def _length(raw: RawFile, entry: Any, path: str) -> float | None:
    found = values(raw, entry, (path,))
    if found is None or found[0].size != 1:
        return None
    return positive(float(np.ravel(found[0])[0]) * factor(raw, "wavelength", found[1], LENGTH_UNITS))


def _scalar(raw: RawFile, entry: Any, path: str) -> float | None:
    found = values(raw, entry, (path,))
    return None if found is None or found[0].size != 1 else positive(float(np.ravel(found[0])[0]))


def _temperature(raw: RawFile, entry: Any) -> float | None:
    found = values(raw, entry, ("sample/temperature",))
    if found is None or found[0].size != 1:
        return None
    return float(np.ravel(found[0])[0]) + factor(raw, "temperature", found[1], _TEMPERATURE_UNITS)
