"""Integrated patterns as pyFAI writes them: HDF5, a group NXdata with a row of intensities a frame.

The unit of the axis is a word of pyFAI's (``2th_deg``, ``q_nm^-1``); the wavelength stands in m, in the settings of the
integration. Points of dead modules are no numbers, or counted as masked.
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
from ._units import ANGLE_UNITS, Q_UNITS

__all__ = ["read", "sniff"]

_AXES = ("2th", "q", "2theta", "two_theta", "tth")
_ERRORS = ("errors", "sigma", "I_errors", "intensity_errors")


def sniff(raw: RawFile) -> bool:
    """Tell whether it is HDF5 with a plot that pyFAI integrated."""
    return raw.data[:8] == MAGIC and b"pyFAI" in raw.data and b"NXdata" in raw.data


def read(raw: RawFile) -> list[Pattern]:
    """Read all plots of intensity against 2θ or Q, one pattern a row."""
    h5py = import_module("h5py")
    with h5py.File(io.BytesIO(raw.data), "r") as file:
        plots: list[Any] = []
        file.visititems(lambda _, node: plots.append(node) if _is_plot(h5py, node) else None)
        radiation = _radiation(raw, h5py, file)
        return [pattern for plot in plots for pattern in _patterns(raw, plot, radiation)]


def _is_plot(h5py: Any, node: Any) -> bool:
    if not isinstance(node, h5py.Group) or _attribute(node, "NX_class") != "NXdata":
        return False
    return _attribute(node, "signal") in node and any(name in node for name in _AXES)


def _attribute(node: Any, name: str) -> str:
    value = node.attrs.get(name, "")
    return value.decode() if isinstance(value, bytes) else str(value)


def _patterns(raw: RawFile, plot: Any, radiation: Radiation | None) -> list[Pattern]:
    axis, kind = _axis(raw, plot)
    signal = values(raw, plot, (_attribute(plot, "signal"),))
    errors = values(raw, plot, _ERRORS)
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
    return [
        Pattern(
            axis=axis,
            intensity=row,
            axis_kind=kind,
            intensity_unit="counts" if sigma is None and whole_counts(row) else "arbitrary",
            variance=None if sigma is None else variance_of_errors(row, sigma[number]),
            radiation=radiation,
            metadata={"entry": str(plot.name), "points_declared": "yes"},
        )
        for number, row in enumerate(rows)
    ]


def _axis(raw: RawFile, plot: Any) -> tuple[FloatArray, AxisKind]:
    name = next(name for name in _AXES if name in plot)
    found = values(raw, plot, (name,))
    if found is None:
        raise raw.error(f"the plot {plot.name!r} has no numbers of its axis {name!r}")
    unit = found[1] or _attribute(plot[name], "unit").lower()
    if name == "q" or unit in Q_UNITS:
        return found[0] * factor(raw, "axis", unit, Q_UNITS), "q"
    return found[0] * factor(raw, "axis", unit, ANGLE_UNITS), "two_theta"


def _radiation(raw: RawFile, h5py: Any, file: Any) -> Radiation | None:
    """Return the wavelength of the settings, which are JSON, if they are there."""
    paths: list[str] = []
    file.visititems(lambda path, node: paths.append(path) if isinstance(node, h5py.Dataset) else None)
    for path in paths:
        node = file[path]
        if node.size == 1 and node.dtype.kind in "OS":
            with suppress(ValueError, AttributeError, TypeError):
                metres = positive(float(json.loads(text(raw, file, path)).get("wavelength")))
                if metres is not None:
                    return Radiation(metres * 1e10)
    return None
