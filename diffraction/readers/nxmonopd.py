"""NeXus NXmonopd (monochromatic powder diffraction): polar_angle and data, in HDF5."""

from __future__ import annotations

import io
import math
from importlib import import_module
from typing import Any

import numpy as np

from layerscope.measured.files import RawFile
from layerscope.measured.measurement import IntensityUnit
from layerscope.measured.text import moment

from ..dataset import Pattern
from ..radiation import AxisKind, FloatArray, Radiation
from ._base import whole_counts

__all__ = ["read", "sniff"]

_MAGIC = b"\x89HDF\r\n\x1a\n"
_LARGEST_DATASET = 50_000_000
"""Numbers in one dataset; compressed zeros could be far more."""

_ANGLE_UNITS = {"": 1.0, "deg": 1.0, "degree": 1.0, "degrees": 1.0, "rad": 180 / math.pi, "radian": 180 / math.pi}
_LENGTH_UNITS = {"": 1.0, "angstrom": 1.0, "angstroms": 1.0, "a": 1.0, "å": 1.0, "nm": 10.0, "m": 1e10}
_Q_UNITS = {"1/angstrom": 1.0, "angstrom^-1": 1.0, "1/a": 1.0, "1/nm": 0.1, "nm^-1": 0.1}
_TEMPERATURE_UNITS = {"": 0.0, "k": 0.0, "kelvin": 0.0, "c": 273.15, "celsius": 273.15, "degc": 273.15}


def sniff(raw: RawFile) -> bool:
    """Tell whether it is HDF5 that mentions NXmonopd."""
    return raw.data[:8] == _MAGIC and b"NXmonopd" in raw.data


def read(raw: RawFile) -> list[Pattern]:
    """Read all entries that follow NXmonopd, one a row where the data of an entry are stacked, shape (frames, n)."""
    h5py = import_module("h5py")
    with h5py.File(io.BytesIO(raw.data), "r") as file:
        entries = [group for group in file.values() if isinstance(group, h5py.Group) and _is_monopd(raw, group)]
        return [pattern for entry in entries for pattern in _entry(raw, entry)]


def _is_monopd(raw: RawFile, entry: Any) -> bool:
    return _text(raw, entry, "definition") == "NXmonopd"


def _dataset(raw: RawFile, group: Any, path: str) -> Any | None:
    """Return a dataset of this file; links to other files are refused, so that no path escapes."""
    h5py = import_module("h5py")
    node = group
    for part in path.split("/"):
        link = node.get(part, getlink=True) if isinstance(node, h5py.Group) else None
        if link is None:
            return None
        if isinstance(link, h5py.ExternalLink):
            raise raw.error(f"{path!r} is a link to another file")
        node = node[part]
    if not isinstance(node, h5py.Dataset):
        return None
    if node.external or node.is_virtual:
        raise raw.error(f"the numbers of {path!r} lie in another file")
    if node.size is None or node.size > _LARGEST_DATASET:
        raise raw.error(f"the dataset {path!r} declares {node.size} numbers")
    return node


def _text(raw: RawFile, group: Any, path: str) -> str:
    node = _dataset(raw, group, path)
    if node is None or node.size != 1:
        return ""
    value = np.ravel(node[()])[0] if node.shape else node[()]
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)


def _values(raw: RawFile, group: Any, paths: tuple[str, ...]) -> tuple[FloatArray, str] | None:
    for path in paths:
        node = _dataset(raw, group, path)
        if node is None:
            continue
        if node.dtype.kind not in "iuf":
            raise raw.error(f"the dataset {path!r} holds no numbers")
        unit = node.attrs.get("units", "")
        return np.asarray(node[()], dtype=np.float64), str(unit.decode() if isinstance(unit, bytes) else unit).lower()
    return None


def _factor(raw: RawFile, what: str, unit: str, known: dict[str, float]) -> float:
    if unit not in known:
        raise raw.error(f"the unit {unit!r} of the {what} is not known")
    return known[unit]


def _entry(raw: RawFile, entry: Any) -> list[Pattern]:
    groups = ("data", "instrument/detector", "detector")
    counts = _values(raw, entry, tuple(f"{g}/data" for g in groups))
    if counts is None:
        raise raw.error(f"the entry {entry.name!r} has no data")
    axis, kind = _axis(raw, entry, groups)
    errors = _values(raw, entry, tuple(f"{g}/{name}" for g in groups for name in ("data_errors", "errors")))
    stack = np.atleast_2d(counts[0])
    if axis.ndim != 1 or stack.ndim != 2 or stack.shape[1] != axis.size:
        raise raw.error(f"the entry {entry.name!r} has data of shape {counts[0].shape} for {axis.size} angles")
    sigma = None if errors is None else np.atleast_2d(errors[0])
    if sigma is not None and sigma.shape != stack.shape:
        raise raw.error(f"the entry {entry.name!r} has errors of shape {sigma.shape} for data of shape {stack.shape}")
    unit: IntensityUnit = "counts" if counts[1] in ("counts", "count") else "arbitrary"
    if counts[1] == "" and whole_counts(stack.ravel()) and sigma is None:
        unit = "counts"
    elif counts[1] in ("counts/s", "cps", "hz"):
        unit = "counts/s"
    patterns = []
    for row in range(len(stack)):
        variance = None if sigma is None else np.where(sigma[row] > 0, sigma[row] ** 2, np.inf)
        patterns.append(
            Pattern(
                axis=axis,
                intensity=stack[row],
                axis_kind=kind,
                intensity_unit=unit,
                variance=variance,
                radiation=_radiation(raw, entry),
                start_time=moment(_text(raw, entry, "start_time")),
                end_time=moment(_text(raw, entry, "end_time")),
                temperature_K=_temperature(raw, entry),
                sample=_text(raw, entry, "sample/name"),
                metadata={"entry": str(entry.name), "title": _text(raw, entry, "title"), "points_declared": "yes"},
            )
        )
    return patterns


def _axis(raw: RawFile, entry: Any, groups: tuple[str, ...]) -> tuple[FloatArray, AxisKind]:
    found = _values(raw, entry, tuple(f"{g}/{name}" for g in groups for name in ("polar_angle", "two_theta")))
    if found is not None:
        return found[0] * _factor(raw, "angle", found[1], _ANGLE_UNITS), "two_theta"
    found = _values(raw, entry, tuple(f"{g}/{name}" for g in groups for name in ("Q", "q")))
    if found is not None:
        return found[0] * _factor(raw, "momentum transfer", found[1], _Q_UNITS), "q"
    raise raw.error(f"the entry {entry.name!r} has neither polar_angle nor Q")


def _radiation(raw: RawFile, entry: Any) -> Radiation | None:
    paths = tuple(f"instrument/{name}/wavelength" for name in ("crystal", "monochromator", "source", "beam")) + tuple(
        f"instrument/{name}/incident_wavelength" for name in ("beam", "source")
    )
    found = _values(raw, entry, paths)
    if found is None or found[0].size == 0:
        return None
    waves = np.ravel(found[0]) * _factor(raw, "wavelength", found[1], _LENGTH_UNITS)
    if waves.size > 2:
        return None
    # NXmonopd: the wavelengths of a doublet are an array; their weights are not part of the definition.
    return Radiation(float(waves[0]), float(waves[1]) if waves.size == 2 else None)


def _temperature(raw: RawFile, entry: Any) -> float | None:
    found = _values(raw, entry, ("sample/temperature",))
    if found is None or found[0].size != 1:
        return None
    return float(np.ravel(found[0])[0]) + _factor(raw, "temperature", found[1], _TEMPERATURE_UNITS)
