"""What the header lines of text files say: axes and wavelengths."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from layerscope.measured.text import number, positive

from ..radiation import TUBE_LINES, AxisKind, Radiation, tube_radiation

__all__ = ["AxisLabel", "axis_of_label", "radiation_of_header", "state_of_header"]

_WAVELENGTH = re.compile(
    r"(?:wave\s*length|lambda)[\w\s]{0,12}?[\s:=(\[]+([0-9.]+(?:[eE][+-]?\d+)?)\s*(angstrom|nm|m|[aåÅ])?\b",
    re.IGNORECASE,
)
_STEP_TIME = re.compile(r"time\s*per\s*step\s*(?:\(s(?:ec)?\))?[\s:=\"']{1,20}([0-9.]+)", re.IGNORECASE)
_KELVIN = re.compile(r"temp(?:erature)?\s*[(\[]K[)\]][\s:=]{1,20}([0-9.]+)", re.IGNORECASE)
_ANODE = re.compile(r"(?:anode|target|tube)\W{1,4}(ag|co|cr|cu|fe|mo)\b", re.IGNORECASE)


@dataclass(frozen=True)
class AxisLabel:
    """What an axis label says: the kind, and the factor to degrees, 1/Å or Å."""

    kind: AxisKind
    factor: float


def axis_of_label(label: str) -> AxisLabel | None:
    """Read an axis label such as ``2-Theta Angle (Degrees)``, ``q_nm^-1`` or ``d-spacing (Angstroms)``.

    Parameters
    ----------
    label : str
        Label or column name.

    Returns
    -------
    AxisLabel or None
        None if it tells nothing.
    """
    text = label.lower().strip()
    inverse_nm = re.search(r"nm\s*\^?\s*[\(\{]?-1|inverse\s*nano|1\s*/\s*nm", text)
    if re.search(r"2[\s_-]*th|two[\s_-]*theta|2[\s_-]*θ|tth|\b2t\b", text):
        return AxisLabel("two_theta", float(np.degrees(1.0)) if re.search(r"rad(?!i?us)", text) else 1.0)
    if re.match(r"q\b|q[\s_(\[]|scattering vector|#?\s*q_", text) or inverse_nm:
        return AxisLabel("q", 0.1 if inverse_nm else 1.0)
    if re.match(r"d\b|d[\s_-]*spac|d[\s_(\[]", text):
        return AxisLabel("d", 10.0 if re.search(r"\bnm\b|nanom", text) else 1.0)
    return None


def radiation_of_header(lines: tuple[str, ...]) -> Radiation | None:
    """Return the wavelength that header lines state, in Å, or those of the anode that they name; None for neither.

    A unit of m or nm is converted; without one the number is taken as Å and judged by `Radiation.check`.
    """
    text = "\n".join(lines)
    match = _WAVELENGTH.search(text)
    value = number(match[1]) if match else None
    anode = _ANODE.search(text)
    symbol = anode[1].capitalize() if anode and anode[1].capitalize() in TUBE_LINES else ""
    if match is None or value is None:
        return tube_radiation(symbol) if symbol else None
    unit = (match[2] or "").lower()
    factor = 1e10 if unit == "m" else 10.0 if unit == "nm" else 1.0
    return Radiation(value * factor, anode=symbol)


def state_of_header(lines: tuple[str, ...]) -> tuple[float | None, float | None]:
    """Return the counting time of a point in s and the temperature in K that header lines state; None where not."""
    text = "\n".join(lines)
    time, kelvin = _STEP_TIME.search(text), _KELVIN.search(text)
    return positive(time[1] if time else None), positive(kelvin[1] if kelvin else None)
