"""What the header lines of text files say: axes and wavelengths."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from layerscope.measured.text import number

from ..radiation import TUBE_LINES, AxisKind, Radiation

__all__ = ["AxisLabel", "axis_of_label", "radiation_of_header"]

_WAVELENGTH = re.compile(
    r"(?:wave\s*length|lambda)[\w\s]{0,12}?[\s:=(\[]+([0-9.]+(?:[eE][+-]?\d+)?)\s*(angstrom|nm|m|[aåÅ])?\b",
    re.IGNORECASE,
)
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
    """Return the wavelength that header lines state, in Å; None if they state none.

    A unit of m or nm is converted; without one the number is taken as Å and judged by `Radiation.check`.
    """
    text = "\n".join(lines)
    match = _WAVELENGTH.search(text)
    value = number(match[1]) if match else None
    if match is None or value is None:
        return None
    unit = (match[2] or "").lower()
    factor = 1e10 if unit == "m" else 10.0 if unit == "nm" else 1.0
    anode = _ANODE.search(text)
    symbol = anode[1].capitalize() if anode and anode[1].capitalize() in TUBE_LINES else ""
    return Radiation(value * factor, anode=symbol)
