"""Thermo Scientific ``.vgd``: an adapter to the ``vgd-reader`` package, the only module that knows it.

The intensity is taken as counted (`intensity`), never the one divided by dwell time and periods, because the weights of
a fit need counts. A depth profile lies either in one file with several spectra, or in a folder with one file a level
and region.
"""

from __future__ import annotations

import io
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np

from layerscope.errors import MissingDependencyError
from layerscope.measured.files import RawFile

from ..dataset import Spectrum, normalise_region

__all__ = ["read", "sniff"]

_MAGIC = bytes.fromhex("d0cf11e0a1b11ae1")  # OLE2 compound file
_DATA, _DATA_AXES, _SPACE_AXES = "VGData", "VGDataAxes", "VGSpaceAxes"
_PROPERTIES = "\x05Q5nw4m3lIjudbfwyAayojlptCa"
_AL_ENERGIES = (1480.0, 1490.0)  # eV; what vgd-reader looks for


def sniff(raw: RawFile) -> bool:
    """Tell whether the bytes are an OLE2 file that names the streams of a VGD file."""
    return raw.data.startswith(_MAGIC) and _DATA.encode("utf-16-le") in raw.data


def read(raw: RawFile) -> list[Spectrum]:
    """Read one ``.vgd`` file, one spectrum a level.

    The region's name is taken from the file's name, where the instrument's program writes it. Files that were not
    measured with Al K-alpha are refused.
    """
    if not raw.data.startswith(_MAGIC):
        raise raw.error("the file does not begin as an OLE2 compound file, which a .vgd file is")
    parsed = _parse(raw)
    count, points = int(parsed["num_spectra"]), int(parsed["num_points"])
    start, step, photon = parsed["ke_start"], parsed["ke_step"], float(parsed["source_energy"])
    if start is None or step is None or not (np.isfinite(start) and np.isfinite(step)) or step == 0:
        raise raw.error("the energy axis is missing or not finite")
    energy = photon - (start + step * np.arange(points, dtype=np.float64))
    label, about = _label(raw.name), parsed["metadata"]
    return [
        Spectrum(
            axis=energy,
            intensity=row,
            region=normalise_region(label),
            region_label=label,
            dwell_time_s=_float(parsed["dwell_time"]),
            scans=int(parsed["periods"]) if parsed["periods"] else None,
            pass_energy_eV=_float(parsed["pass_energy"]),
            excitation_energy_eV=photon,
            work_function_eV=_float(parsed["work_fn"]),
            sample=str(about["subject"]),
            metadata={name: str(about[name]) for name in ("title", "create_time") if about[name]},
        )
        for row in np.asarray(parsed["intensities"], dtype=np.float64).reshape(count, points)
    ]


def _label(name: str) -> str:
    """Return the region in a file's name: ``"B1s Scan_3.VGD"`` and ``"B1s_003"`` are B 1s."""
    stem = Path(name).stem
    match = re.match(r"([A-Z][a-z]?\d[spdf]\d?)(?![A-Za-z0-9])", stem.replace("_", " "))
    return match[1] if match else re.sub(r"[\s_-]*\d*$", "", stem) or stem


def _float(value: float | None) -> float | None:
    return None if value is None else float(value)


def _parse(raw: RawFile) -> dict[str, Any]:
    """Run vgd-reader on the bytes, after checking what it takes for granted."""
    try:
        import olefile
        from vgd_reader import parse_vgd_file
    except ImportError as error:
        raise MissingDependencyError(
            "reading .vgd files needs vgd-reader", source=raw.path, hint="python -m pip install vgd-reader"
        ) from error
    with olefile.OleFileIO(io.BytesIO(raw.data)) as ole:
        _check_streams(raw, ole)
    # It is given the bytes, not the path: on an error it would leave the file open.
    parsed: dict[str, Any] = parse_vgd_file(io.BytesIO(raw.data))
    return parsed


def _check_streams(raw: RawFile, ole: Any) -> None:
    content = {name: _stream(raw, ole, name) for name in (_DATA, _DATA_AXES, _SPACE_AXES, _PROPERTIES)}
    if not content[_DATA] or len(content[_DATA]) % 8:
        raise raw.error(f"the {len(content[_DATA])} bytes of data are no whole number of values")
    _check_dimensions(raw, content[_DATA_AXES], len(content[_DATA]) // 8)
    properties = content[_PROPERTIES]
    energies = np.frombuffer(properties[: len(properties) // 4 * 4], dtype="<f4")
    with np.errstate(invalid="ignore"):
        is_al = bool(((energies > _AL_ENERGIES[0]) & (energies < _AL_ENERGIES[1])).any())
    if not is_al:
        # vgd-reader would silently assume Al K-alpha and shift every binding energy.
        raise raw.error("the photon energy is not that of Al K-alpha; other sources are not supported")


def _stream(raw: RawFile, ole: Any, name: str) -> bytes:
    """Return a whole stream; olefile itself returns a shorter one where the file is truncated."""
    if not ole.exists(name):
        raise raw.error(f"the compound file has no stream {name!r}, so it is no .vgd file")
    declared = int(ole.get_size(name))
    if declared > raw.size:
        raise raw.error(f"the stream {name!r} claims {declared} bytes in a file of {raw.size}")
    data: bytes = ole.openstream(name).read()
    if len(data) != declared:
        raise raw.error(f"the stream {name!r} is truncated: {len(data)} of {declared} bytes are there")
    return data


def _check_dimensions(raw: RawFile, axes: bytes, values: int) -> None:
    """Refuse dimensions that do not multiply to the number of values: vgd-reader would join the spectra to one."""
    dimensions = [struct.unpack_from("<i", axes, at)[0] + 1 for at in range(12, len(axes) - 3, 16)]
    used = [dimension for dimension in dimensions[:2] if dimension > 1]
    if used and int(np.prod(used)) != values:
        raise raw.error(f"the axes declare {' x '.join(map(str, used))} values, the data hold {values}")
