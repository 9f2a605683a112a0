"""The one place that calls rosettasciio: files of electron microscopes to arrays, and everything else as it was."""

from __future__ import annotations

import gc
import io
import logging
import os
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from layerscope.errors import LayerscopeError, MissingDependencyError
from layerscope.measured.files import RawFile
from layerscope.measured.hdf import MAGIC, only_own

__all__ = [
    "LENGTHS",
    "free_memory",
    "hdf_root",
    "is_digital_micrograph",
    "loaded",
    "node",
    "require_room",
    "signals",
    "undisturbed",
    "unit_of",
]

LENGTHS: Mapping[str, float] = {
    **{"nm": 1.0, "n_m": 1.0, "[n_m]": 1.0, "nanometer": 1.0, "m": 1e9, "pm": 1e-3, "mm": 1e6},
    **{"µm": 1e3, "μm": 1e3, "um": 1e3, "micron": 1e3, "å": 0.1, "a": 0.1, "ang": 0.1, "angstrom": 0.1},
}
"""Units of length as files write them, in small letters, in nm."""
_LAZY = ("digitalmicrograph", "emd", "hspy", "mrc", "tia", "tiff")
"""Formats of which the size is told before anything is loaded."""
_LEFT_OPEN = ("tiff",)
"""Formats whose files stay open until nothing holds what was read lazily."""
_SMALL = 64 << 20
"""Bytes of a file that may be loaded whole where it cannot be opened otherwise."""
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


@contextmanager
def signals(
    raw: RawFile, reader: str, *, data: bytes | None = None
) -> Iterator[tuple[list[dict[str, Any]], list[warnings.WarningMessage]]]:
    """Open a file, and yield what it holds and the warnings that were given so far.

    Parameters
    ----------
    raw : RawFile
    reader : str
        Module of rosettasciio: ``"digitalmicrograph"``, ``"emd"``, ``"tiff"``, ...
    data : bytes, optional
        The same file as rosettasciio understands it, instead of its bytes.

    Yields
    ------
    list of dict
        Dictionaries of rosettasciio: ``data`` (in the block it may be loaded), ``axes``, ``metadata``.
    list of warnings.WarningMessage

    Raises
    ------
    ReaderError
        If the file is damaged, also where that is noticed in the block only; or if a part of it lies in another file.
    MissingDependencyError
        If rosettasciio, or what it needs for this file, is not installed.
    """
    hint = "pip install layerscope[em]"
    if raw.data.startswith(MAGIC):
        only_own(raw)
    with undisturbed() as told:
        try:
            module = import_module(f"rsciio.{reader}")
        except ImportError as error:
            words = "rosettasciio, which reads it, is not installed"
            raise MissingDependencyError(words, source=raw.path, hint=hint) from error
        with tempfile.TemporaryDirectory() as folder:
            path = raw.path / raw.member if raw.path.is_dir() else raw.path
            if not path.is_file() or (raw.member and path == raw.path) or data is not None:  # it wants a file
                path = Path(folder) / Path(raw.name).name
                path.write_bytes(raw.data if data is None else data)
            try:
                found = _read(module.file_reader, path, lazily=reader in _LAZY)
                yield found, told
                if reader in _LEFT_OPEN:
                    found.clear()
                    gc.collect()
            except LayerscopeError:
                raise
            except ImportError as error:
                words = str(error).rstrip(".")
                raise MissingDependencyError(f"rosettasciio: {words}", source=raw.path, hint=hint) from error
            except Exception as error:  # the library raises whatever its parsing stumbles over
                traceback.clear_frames(error.__traceback__)  # and leaves its files open
                gc.collect()
                if "imagecodecs" in str(error):
                    words = "the image is compressed in a way that needs a further library"
                    raise raw.error(words, hint="pip install imagecodecs, or save it uncompressed") from error
                words = " ".join(f"{type(error).__name__}: {error}".split())
                hint = "is it damaged, or cut short?"
                raise raw.error(f"rosettasciio cannot read it ({words[:300]})", hint=hint) from error


def _read(file_reader: Callable[..., list[dict[str, Any]]], path: Path, *, lazily: bool) -> list[dict[str, Any]]:
    if not lazily:
        return file_reader(str(path))
    try:
        return file_reader(str(path), lazy=True)
    except Exception:  # colours, and values that are no numbers, are refused lazily only
        if path.stat().st_size > _SMALL:
            raise
        return file_reader(str(path))


def loaded(data: Any) -> np.ndarray:
    """Return the values of a signal; only inside the block of `signals`."""
    return np.asarray(data.compute(scheduler="synchronous") if hasattr(data, "compute") else data)


def free_memory() -> int:
    """Return how many bytes of memory can be had; 4 GiB where the system does not tell."""
    with suppress(OSError, ValueError, StopIteration):  # what caches hold is given back
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1])
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return _FREE_UNKNOWN


def require_room(raw: RawFile, shape: tuple[int, ...], needed: float) -> None:
    """Refuse what would not fit into the free memory, `needed` bytes.

    Raises
    ------
    ReaderError
    """
    free = free_memory()
    if needed > free:
        sizes = " x ".join(map(str, shape))
        words = f"{sizes} values need {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free"
        raise raw.error(words, hint="bin or crop the image")


def hdf_root(raw: RawFile) -> frozenset[str]:
    """Return the names of groups and attributes at the root of an HDF5 file; none of any other file."""
    if not raw.data.startswith(MAGIC):
        return frozenset()
    h5py = import_module("h5py")
    try:
        with h5py.File(io.BytesIO(raw.data), "r") as file:
            return frozenset(file) | frozenset(file.attrs)
    except (OSError, RuntimeError, KeyError, ValueError):  # h5py raises any of them on damaged bytes
        return frozenset()


def is_digital_micrograph(raw: RawFile) -> bool:
    """Tell by version and byte order, with which a file of DigitalMicrograph (Gatan) begins."""
    head = raw.data[:12]
    version = int.from_bytes(head[:4], "big")
    order = head[8:12] if version == 3 else raw.data[12:16]
    return version in (3, 4) and order in (b"\0\0\0\0", b"\0\0\0\1")


def unit_of(axis: Mapping[str, Any]) -> str:
    """Return the unit of an axis in small letters; some programs write ``Energy Loss (eV)``."""
    text = str(axis.get("units") or "").strip().lower()
    text = "" if text in ("none", "<undefined>", "px", "pixel", "pixels") else text
    return text[text.rindex("(") + 1 : -1].strip() if text.endswith(")") and "(" in text else text


def node(signal: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a branch of the metadata of a signal; an empty one where it has none."""
    found = signal.get("metadata", {}).get(name)
    return found if isinstance(found, Mapping) else {}
