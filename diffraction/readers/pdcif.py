"""Powder CIF: loops of measured or processed intensities, with their wavelength, temperature and weights.

The CIF grammar is gemmi's, which is loaded only when a CIF is read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np

from layerscope.crystals import load_gemmi
from layerscope.errors import DataError
from layerscope.measured.files import RawFile
from layerscope.measured.measurement import IntensityUnit
from layerscope.measured.text import decode, moment, number

from ..dataset import Pattern
from ..radiation import AxisKind, FloatArray, Radiation, tube_radiation

__all__ = ["read", "sniff"]

_INTENSITIES: tuple[tuple[str, IntensityUnit], ...] = (
    ("_pd_meas_counts_total", "counts"),
    ("_pd_meas_intensity_total", "arbitrary"),
    ("_pd_proc_intensity_total", "arbitrary"),
    ("_pd_proc_intensity_net", "arbitrary"),
)
_AXES: tuple[tuple[str, AxisKind], ...] = (
    ("_pd_proc_2theta_corrected", "two_theta"),
    ("_pd_meas_2theta_scan", "two_theta"),
    ("_pd_meas_2theta_corrected", "two_theta"),
    ("_pd_proc_d_spacing", "d"),
)
_WEIGHTS = ("_pd_proc_ls_weight",)
_COUNT_TAGS = ("_pd_meas_number_of_points", "_pd_proc_number_of_points")
_SU = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\((\d+)\)$")
_MARK = re.compile(rb"_pd_(meas|proc)_(counts_total|intensity_total|intensity_net)", re.IGNORECASE)
_ANODE = re.compile(r"\b(Ag|Co|Cr|Cu|Fe|Mo)\b", re.IGNORECASE)
_CELSIUS_ZERO = 273.15


def sniff(raw: RawFile) -> bool:
    """Tell whether it is a CIF with a tag of measured or processed intensities."""
    return b"\0" not in raw.data[:4096] and _MARK.search(raw.data) is not None and b"data_" in raw.data


def read(raw: RawFile) -> list[Pattern]:
    """Read the measured patterns of all data blocks.

    A block named ``..._calc`` holds a calculated pattern under the same tags and is left out. The wavelength comes
    from the same block, else from another one, else from the named anode.
    """
    blocks = _parse(raw)
    patterns: list[Pattern] = []
    for block in blocks:
        if block.name.lower().endswith("_calc"):
            continue
        pattern = _pattern(raw, block, blocks)
        if pattern is not None:
            patterns.append(pattern)
    return patterns


def _parse(raw: RawFile) -> list[Any]:
    cif = load_gemmi(source=raw.path).cif
    text = decode(raw.data)
    if "\0" in text:
        raise raw.error("the file is binary, not a CIF")
    return list(cif.read_string(text))


def _pattern(raw: RawFile, block: Any, blocks: Sequence[Any]) -> Pattern | None:
    found = next(((tag, unit, column) for tag, unit in _INTENSITIES if (column := _column(block, tag))), None)
    if found is None:
        return None
    tag, unit, texts = found
    intensity, sigma = _values(raw, tag, texts)
    axis, kind = _axis(raw, block, intensity.size)
    declared = _declared(block)
    if declared is not None and declared != intensity.size:
        raise raw.error(
            f"block {block.name!r} states {declared} points, {intensity.size} are there", hint="it may be cut off"
        )
    variance = _variance(raw, block, intensity, sigma)
    return Pattern(
        axis=axis,
        intensity=intensity,
        axis_kind=kind,
        intensity_unit=unit,
        variance=variance,
        time_per_step_s=_number(block, "_pd_meas_step_count_time"),
        radiation=_radiation([block, *blocks]),
        start_time=_start(block),
        temperature_K=_temperature([block, *blocks]),
        sample=_text(block, "_pd_phase_name") or _text(block, "_pd_spec_description"),
        metadata={"block": block.name, "tag": tag, "points_declared": "no" if declared is None else "yes"},
    )


def _column(block: Any, tag: str) -> list[str]:
    return [str(text) for text in block.find_values(tag)]


def _text(block: Any, tag: str) -> str:
    value = block.find_value(tag)
    text = str(value).strip().strip("'\"").strip() if value else ""
    return "" if text in ("?", ".") else text


def _number(block: Any, tag: str) -> float | None:
    return _split(_text(block, tag))[0]


def _split(text: str) -> tuple[float | None, float | None]:
    """Return number and standard uncertainty of ``12.34(5)``."""
    match = _SU.match(text)
    if match is None:
        return number(text), None
    value = match[1]
    decimals = len(value.split("e")[0].split("E")[0].partition(".")[2])
    return number(value), float(match[2]) * 10.0**-decimals


def _values(raw: RawFile, tag: str, texts: list[str]) -> tuple[FloatArray, FloatArray | None]:
    pairs = [_split(text.strip("'\"")) for text in texts]
    bad = next((i for i, (value, _) in enumerate(pairs) if value is None and texts[i] not in ("?", ".")), None)
    if bad is not None:
        raise raw.error(f"value {bad + 1} of {tag} is {texts[bad][:40]!r}, not a number")
    values = np.array([math.nan if value is None else value for value, _ in pairs])
    if not pairs or any(sigma is None for _, sigma in pairs):
        return values, None
    return values, np.array([sigma for _, sigma in pairs], dtype=np.float64)


def _axis(raw: RawFile, block: Any, points: int) -> tuple[FloatArray, AxisKind]:
    for tag, kind in _AXES:
        texts = _column(block, tag)
        if len(texts) == points and points > 1:
            return _values(raw, tag, texts)[0], kind
    for prefix in ("_pd_proc", "_pd_meas"):
        start, stop, step = (_number(block, f"{prefix}_2theta_range_{end}") for end in ("min", "max", "inc"))
        if start is None or stop is None:
            continue
        if step and abs((stop - start) / step + 1 - points) > 0.5:
            raise raw.error(
                f"{start:g} to {stop:g} in steps of {step:g} are not the {points} points of block {block.name!r}",
                hint="it may be cut off",
            )
        return np.linspace(start, stop, points), "two_theta"
    raise raw.error(f"block {block.name!r} has intensities without positions")


def _declared(block: Any) -> int | None:
    for tag in _COUNT_TAGS:
        value = _number(block, tag)
        if value is not None:
            return round(value)
    return None


def _variance(raw: RawFile, block: Any, intensity: FloatArray, sigma: FloatArray | None) -> FloatArray | None:
    for tag in _WEIGHTS:
        texts = _column(block, tag)
        if len(texts) != intensity.size:
            continue
        weights = np.nan_to_num(_values(raw, tag, texts)[0], nan=0.0)
        if (weights < 0).any():
            raise raw.error(f"a weight of block {block.name!r} is negative")
        with np.errstate(divide="ignore"):
            return np.asarray(np.where(weights > 0, 1.0 / weights, np.inf))  # weight 0: left out of the fit
    return None if sigma is None or (sigma <= 0).any() else sigma**2


def _radiation(blocks: Sequence[Any]) -> Radiation | None:
    for block in blocks:
        texts = _column(block, "_diffrn_radiation_wavelength")
        waves = [value for value, _ in map(_split, texts) if value is not None]
        if not waves:
            continue
        weights = [value for value, _ in map(_split, _column(block, "_diffrn_radiation_wavelength_wt"))]
        second = waves[1] if len(waves) > 1 and 0 < waves[1] / waves[0] - 1 < 0.02 else None
        ratio = None
        if second is not None and len(weights) > 1 and weights[0] and weights[1] is not None:
            ratio = weights[1] / weights[0]
        return Radiation(waves[0], second, ratio, None, _anode(blocks))
    anode = _anode(blocks)
    try:
        return tube_radiation(anode) if anode else None
    except DataError:
        return None


def _anode(blocks: Sequence[Any]) -> str:
    for block in blocks:
        for tag in ("_diffrn_radiation_type", "_diffrn_source_target"):
            match = _ANODE.search(_text(block, tag))
            if match:
                return match[1].capitalize()
    return ""


def _temperature(blocks: Sequence[Any]) -> float | None:
    for tag, zero in (("_diffrn_ambient_temperature", 0.0), ("_pd_spec_temperature", _CELSIUS_ZERO)):
        for block in blocks:
            value = _number(block, tag)
            if value is not None and value + zero > 0:
                return value + zero
    return None


def _start(block: Any) -> datetime | None:
    return moment(_text(block, "_pd_meas_datetime_initiated"))
