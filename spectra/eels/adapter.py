"""Spectra among what rosettasciio finds in a file of the microscope: `SpectrumImage`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from layerscope.measured.files import RawFile
from layerscope.measured.rosetta import LENGTHS, loaded, node, require_room, signals, unit_of

from .spectrum import SpectrumImage

__all__ = ["ENERGY_UNITS", "load_spectra"]

ENERGY_UNITS: Mapping[str, float] = {"ev": 1.0, "kev": 1000.0}
"""Units of an energy axis, in eV."""
_LEAST_CHANNELS = 5


def load_spectra(raw: RawFile, reader: str, *, data: bytes | None = None) -> list[SpectrumImage]:
    """Return the spectra of a file; images without an energy axis that stand beside them are left out.

    Parameters
    ----------
    raw : RawFile
    reader : str
        Module of rosettasciio: ``"msa"``, ``"digitalmicrograph"``, ``"emd"``, ``"bruker"``, ``"hspy"``.
    data : bytes, optional
        The same file as rosettasciio understands it, instead of its bytes.

    Raises
    ------
    ReaderError
        If the file is damaged, holds no spectrum, is too large for the memory that is free, or its places are neither
        a line nor a map.
    MissingDependencyError
        If rosettasciio is not installed.
    """
    with signals(raw, reader, data=data) as (found, told):
        spectra = [_spectrum(raw, signal) for signal in found if _energy_axes(signal)]
    if not spectra:
        shapes = ", ".join("x".join(map(str, np.shape(s["data"]))) for s in found) or "nothing"
        raise raw.error(f"the file holds no spectrum, no axis is an energy ({shapes})", hint="an image?")
    words = "; ".join(dict.fromkeys(str(one.message) for one in told))
    return [replace(one, metadata={"reader says": words}) for one in spectra] if words else spectra


def _energy_axes(signal: Mapping[str, Any]) -> list[int]:
    """Return which axes of a signal are energies."""
    return [k for k, axis in enumerate(signal["axes"]) if unit_of(axis) in ENERGY_UNITS]


def _spectrum(raw: RawFile, signal: Mapping[str, Any]) -> SpectrumImage:
    data, axes = signal["data"], [dict(axis) for axis in signal["axes"]]
    own = _energy_axes(signal)
    if len(own) != 1 or len(axes) > 3 or data.ndim != len(axes):
        raise raw.error(f"its {data.ndim} axes are not those of a spectrum, a line scan or a map")
    if data.dtype.kind not in "iuf":
        raise raw.error(f"its values are no numbers ({data.dtype})")
    require_room(raw, data.shape, 3.0 * np.prod(data.shape, dtype=float) * max(data.dtype.itemsize, 4))
    values = loaded(data)
    energy = _axis(raw, axes[own[0]], values.shape[own[0]])
    values = np.moveaxis(values, own[0], -1)
    places = [axis for k, axis in enumerate(axes) if k != own[0]]
    steps = [_step_nm(axis) for axis in places]
    image = values.reshape((*([1] * (3 - values.ndim)), *values.shape)) if places else None
    total = values.astype(float) if image is None else image.sum((0, 1), dtype=float)
    general, about = node(signal, "General"), node(signal, "Signal")
    kind = str(about.get("signal_type") or "")
    return SpectrumImage(
        axis=energy,
        intensity=total,
        intensity_unit="counts" if np.array_equal(total, np.rint(total)) and total.min() >= 0 else "arbitrary",
        image=image,
        step_nm=(math.nan, math.nan) if not steps else ((steps * 2)[0], (steps * 2)[1]),
        kind="EDS" if kind.startswith("EDS") else "EELS" if kind == "EELS" else "",
        title=str(general.get("title") or ""),
        beam_kV=_beam(signal),
    )


def _axis(raw: RawFile, axis: Mapping[str, Any], size: int) -> np.ndarray:
    factor = ENERGY_UNITS[unit_of(axis)]
    values = axis.get("axis")  # of a data axis that is not uniform
    energy = np.asarray(values, float) if values is not None else None
    if energy is None:
        energy = float(axis.get("offset", 0.0)) + float(axis.get("scale", math.nan)) * np.arange(size)
    if energy.shape != (size,) or size < _LEAST_CHANNELS or not np.isfinite(energy).all():
        raise raw.error("its energy axis is damaged")
    return factor * energy


def _step_nm(axis: Mapping[str, Any]) -> float:
    """Return the distance of two places in nm; NaN where the unit is no length."""
    return abs(float(axis.get("scale", math.nan))) * LENGTHS.get(unit_of(axis), math.nan)


def _beam(signal: Mapping[str, Any]) -> float | None:
    """Return the energy of the beam in kV; files that give it in V are told by its size."""
    instrument = node(signal, "Acquisition_instrument")
    for name in ("TEM", "SEM"):
        part = instrument.get(name)
        if isinstance(part, Mapping) and part.get("beam_energy"):
            value = float(part["beam_energy"])
            return value / 1000.0 if value > 3000.0 else value
    return None
