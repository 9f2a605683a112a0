"""Integrated patterns in HDF5: a group NXdata with a row of intensities a frame, as pyFAI and others write it.

The axis is known by its name and its unit, which may be a word of pyFAI's (``2th_deg``, ``q_nm^-1``); the wavelength
stands in the instrument, or in m in pyFAI's settings. Points of dead modules are no numbers, or counted as masked.
"""

from __future__ import annotations

import io
import json
from contextlib import suppress
from importlib import import_module
from typing import Any

import numpy as np

from layerscope.measured.files import RawFile
from layerscope.measured.hdf import MAGIC, factor, text, values
from layerscope.measured.text import positive

from ..dataset import Pattern
from ..radiation import AxisKind, FloatArray, Radiation
from ._base import variance_of_errors, whole_counts
from ._frame_times import frame_times
from ._units import ANGLE_UNITS, LENGTH_UNITS, Q_UNITS

__all__ = ["read", "sniff"]

_AXES = ("2th", "q", "2theta", "two_theta", "tth", "twotheta", "polar_angle")
_RADIAL = "radial"  # of pyFAI; its attribute "name" says which
_ERRORS = ("errors", "sigma", "I_errors", "intensity_errors")
_DEFINED = (b"NXmonopd", b"NXxrd_pan")
_BEAMS = ("NXcrystal", "NXmonochromator", "NXbeam", "NXsource")


def sniff(raw: RawFile) -> bool:
    """Tell whether it is HDF5 with a plot over 2θ or Q, and follows no definition that says more."""
    if raw.data[:8] != MAGIC or b"NXdata" not in raw.data or any(name in raw.data for name in _DEFINED):
        return False
    h5py = import_module("h5py")
    with h5py.File(io.BytesIO(raw.data), "r") as file:
        return bool(_plots(h5py, file))


def read(raw: RawFile) -> list[Pattern]:
    """Read all plots of intensity against 2θ or Q, one pattern a row."""
    h5py = import_module("h5py")
    with h5py.File(io.BytesIO(raw.data), "r") as file:
        radiation = _radiation(raw, h5py, file)
        return [pattern for plot in _plots(h5py, file) for pattern in _patterns(raw, plot, radiation)]


def _plots(h5py: Any, file: Any) -> list[Any]:
    plots: list[Any] = []
    file.visititems(lambda _, node: plots.append(node) if _is_plot(h5py, node) else None)
    return plots


def _is_plot(h5py: Any, node: Any) -> bool:
    if not isinstance(node, h5py.Group) or _attribute(node, "NX_class") != "NXdata":
        return False
    return _attribute(node, "signal") in node and _axis_name(node) is not None


def _axis_name(plot: Any) -> str | None:
    """Return the name of the axis of 2θ or Q: one that says so itself, or whose attribute does."""
    if _RADIAL in plot and _attribute(plot[_RADIAL], "name") in _AXES:
        return _RADIAL
    return next((name for name in _AXES if name in plot), None)


def _attribute(node: Any, name: str) -> str:
    value = node.attrs.get(name, "")
    return value.decode() if isinstance(value, bytes) else str(value)


def _patterns(raw: RawFile, plot: Any, radiation: Radiation | None) -> list[Pattern]:
    axis, kind = _axis(raw, plot)
    signal = values(raw, plot, (_attribute(plot, "signal"),))
    errors = values(raw, plot, (f"{_attribute(plot, 'signal')}_errors", *_ERRORS))
    if signal is None:
        raise raw.error(f"the plot {plot.name!r} has no intensities")
    rows = np.atleast_2d(signal[0])
    sigma = None if errors is None else np.atleast_2d(errors[0])
    if (
        axis.ndim != 1
        or rows.ndim != 2
        or rows.shape[1] != axis.size
        or (sigma is not None and sigma.shape != rows.shape)
    ):
        raise raw.error(f"the plot {plot.name!r} has data of shape {signal[0].shape} for {axis.size} positions")
    times = frame_times(raw, (plot, _entry(plot)), len(rows))
    return [
        Pattern(
            axis=axis,
            intensity=row,
            axis_kind=kind,
            intensity_unit="counts" if sigma is None and whole_counts(row) else "arbitrary",
            variance=None if sigma is None else variance_of_errors(row, sigma[number]),
            radiation=radiation,
            start_time=times[number][0],
            end_time=times[number][1],
            metadata={"entry": str(plot.name), "points_declared": "yes"},
        )
        for number, row in enumerate(rows)
    ]


def _axis(raw: RawFile, plot: Any) -> tuple[FloatArray, AxisKind]:
    name = _axis_name(plot)
    found = None if name is None else values(raw, plot, (name,))
    if name is None or found is None:
        raise raw.error(f"the plot {plot.name!r} has no numbers of its axis {name!r}")
    unit = found[1] or _attribute(plot[name], "unit").lower()
    if unit in Q_UNITS or "q" in (name, _attribute(plot[name], "name")):
        return found[0] * factor(raw, "axis", unit, Q_UNITS), "q"
    return found[0] * factor(raw, "axis", unit, ANGLE_UNITS), "two_theta"


def _entry(plot: Any) -> Any:
    """Return the entry of a plot: the group that all of it lies in."""
    return plot.file[plot.name.strip("/").partition("/")[0]]


def _radiation(raw: RawFile, h5py: Any, file: Any) -> Radiation | None:
    """Return the wavelength of the beam, or of the settings, which are JSON, if it is there."""
    paths: list[str] = []
    beams: list[str] = []

    def visit(path: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset):
            paths.append(path)
        elif _attribute(node, "NX_class") in _BEAMS:
            beams.append(f"{path}/wavelength")

    file.visititems(visit)
    found = values(raw, file, tuple(beams))
    if found is not None and found[0].size == 1:
        return Radiation(float(np.ravel(found[0])[0]) * factor(raw, "wavelength", found[1], LENGTH_UNITS))
    for path in paths:
        node = file[path]
        if node.size == 1 and node.dtype.kind in "OS":
            with suppress(ValueError, AttributeError, TypeError):
                settings = json.loads(text(raw, file, path))
                metres = settings.get("wavelength") or settings.get("poni", {}).get("wavelength")
                if (known := positive(float(metres))) is not None:
                    return Radiation(known * 1e10)
    return None
