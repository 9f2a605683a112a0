"""The one place that calls rosettasciio: files of the microscope to `SpectrumImage`, and everything else as it was."""

from __future__ import annotations

import io
import logging
import math
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from layerscope.errors import MissingDependencyError, ReaderError
from layerscope.measured.files import RawFile

from .spectrum import SpectrumImage

__all__ = ["ENERGY_UNITS", "hdf_root", "load_spectra", "undisturbed"]

ENERGY_UNITS: Mapping[str, float] = {"ev": 1.0, "kev": 1000.0}
"""Units of an energy axis, in eV."""
_LENGTHS = {"nm": 1.0, "µm": 1e3, "μm": 1e3, "um": 1e3, "m": 1e9, "pm": 1e-3, "å": 0.1, "a": 0.1, "angstrom": 0.1}
_LAZY = ("digitalmicrograph", "emd", "hspy")
"""Formats of which the size is told before anything is loaded."""
_HDF5 = b"\x89HDF\r\n\x1a\n"
_LEAST_CHANNELS = 5
_FREE_UNKNOWN = 4 << 30


@contextmanager
def undisturbed() -> Iterator[list[warnings.WarningMessage]]:
    """Leave warning filters and loggers as they were; yield the warnings that were given inside."""
    root, library = logging.getLogger(), logging.getLogger("rsciio")
    before = [(one, one.level, list(one.handlers), one.propagate) for one in (root, library)]
    disabled = root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            yield told
    finally:
        logging.disable(disabled)
        for one, level, handlers, propagate in before:
            one.setLevel(level)
            one.handlers[:], one.propagate = handlers, propagate


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
    with undisturbed() as told:
        try:
            module = import_module(f"rsciio.{reader}")
        except ImportError as error:
            raise MissingDependencyError(
                "rosettasciio, which reads it, is not installed",
                source=raw.path,
                hint="pip install layerscope[em]",
            ) from error
        with tempfile.TemporaryDirectory() as folder:
            path = raw.path
            if raw.member or data is not None:  # rosettasciio wants a file
                path = Path(folder) / Path(raw.name).name
                path.write_bytes(raw.data if data is None else data)
            lazy = {"lazy": True} if reader in _LAZY else {}
            try:
                signals = module.file_reader(str(path), **lazy)
            except ImportError as error:
                words = str(error).rstrip(".")
                hint = "pip install layerscope[em]"
                raise MissingDependencyError(f"rosettasciio: {words}", source=raw.path, hint=hint) from error
            except Exception as error:  # the library raises whatever its parsing stumbles over
                raise _unread(raw, error) from error
            spectra = [_spectrum(raw, signal) for signal in signals if _energy_axes(signal)]
    if not spectra:
        shapes = ", ".join("x".join(map(str, np.shape(s["data"]))) for s in signals) or "nothing"
        raise raw.error(f"the file holds no spectrum, no axis is an energy ({shapes})", hint="an image?")
    words = "; ".join(dict.fromkeys(str(one.message) for one in told))
    return [replace(one, metadata={"reader says": words}) for one in spectra] if words else spectra


def _unread(raw: RawFile, error: Exception) -> ReaderError:
    words = " ".join(f"{type(error).__name__}: {error}".split())
    return raw.error(f"rosettasciio cannot read it ({words[:300]})", hint="is it damaged, or cut short?")


def hdf_root(raw: RawFile) -> frozenset[str]:
    """Return the names of groups and attributes at the root of an HDF5 file; none of any other file."""
    if not raw.data.startswith(_HDF5):
        return frozenset()
    h5py = import_module("h5py")
    try:
        with h5py.File(io.BytesIO(raw.data), "r") as file:
            return frozenset(file) | frozenset(file.attrs)
    except (OSError, RuntimeError, KeyError, ValueError):  # h5py raises any of them on damaged bytes
        return frozenset()


def _energy_axes(signal: Mapping[str, Any]) -> list[int]:
    """Return which axes of a signal are energies."""
    return [k for k, axis in enumerate(signal["axes"]) if _unit(axis) in ENERGY_UNITS]


def _unit(axis: Mapping[str, Any]) -> str:
    """Return the unit of an axis in small letters; some programs write ``Energy Loss (eV)``."""
    text = str(axis.get("units") or "").strip().lower()
    return text[text.rindex("(") + 1 : -1].strip() if text.endswith(")") and "(" in text else text


def _spectrum(raw: RawFile, signal: Mapping[str, Any]) -> SpectrumImage:
    data, axes = signal["data"], [dict(axis) for axis in signal["axes"]]
    own = _energy_axes(signal)
    if len(own) != 1 or len(axes) > 3 or data.ndim != len(axes):
        raise raw.error(f"its {data.ndim} axes are not those of a spectrum, a line scan or a map")
    if data.dtype.kind not in "iuf":
        raise raw.error(f"its values are no numbers ({data.dtype})")
    _require_room(raw, data)
    try:
        values = np.asarray(data.compute(scheduler="synchronous") if hasattr(data, "compute") else data)
    except Exception as error:
        raise _unread(raw, error) from error
    energy = _axis(raw, axes[own[0]], values.shape[own[0]])
    values = np.moveaxis(values, own[0], -1)
    places = [axis for k, axis in enumerate(axes) if k != own[0]]
    steps = [_step_nm(axis) for axis in places]
    image = values.reshape((*([1] * (3 - values.ndim)), *values.shape)) if places else None
    total = values.astype(float) if image is None else image.sum((0, 1), dtype=float)
    general, about = _node(signal, "General"), _node(signal, "Signal")
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


def _require_room(raw: RawFile, data: Any) -> None:
    """Refuse what would not fit into the free memory, three copies of it."""
    needed = 3 * int(np.prod(data.shape, dtype=float)) * max(data.dtype.itemsize, 4)
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        free = _FREE_UNKNOWN
    if needed > free:
        shape = " x ".join(map(str, data.shape))
        raise raw.error(
            f"{shape} values need {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free", hint="bin or crop the image"
        )


def _axis(raw: RawFile, axis: Mapping[str, Any], size: int) -> np.ndarray:
    factor = ENERGY_UNITS[_unit(axis)]
    values = axis.get("axis")  # of a data axis that is not uniform
    energy = np.asarray(values, float) if values is not None else None
    if energy is None:
        energy = float(axis.get("offset", 0.0)) + float(axis.get("scale", math.nan)) * np.arange(size)
    if energy.shape != (size,) or size < _LEAST_CHANNELS or not np.isfinite(energy).all():
        raise raw.error("its energy axis is damaged")
    return factor * energy


def _step_nm(axis: Mapping[str, Any]) -> float:
    """Return the distance of two places in nm; NaN where the unit is no length."""
    return abs(float(axis.get("scale", math.nan))) * _LENGTHS.get(_unit(axis), math.nan)


def _node(signal: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = signal.get("metadata", {}).get(name)
    return found if isinstance(found, Mapping) else {}


def _beam(signal: Mapping[str, Any]) -> float | None:
    """Return the energy of the beam in kV; files that give it in V are told by its size."""
    instrument = _node(signal, "Acquisition_instrument")
    for name in ("TEM", "SEM"):
        part = instrument.get(name)
        if isinstance(part, Mapping) and part.get("beam_energy"):
            value = float(part["beam_energy"])
            return value / 1000.0 if value > 3000.0 else value
    return None
