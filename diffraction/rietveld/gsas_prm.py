"""Instrument parameters of GSAS before GSAS-II (.prm): records whose first twelve characters are their key.

Meaning of the records after the GSAS technical manual (LAUR 86-748), "Instrument parameter file" and the profile
functions for constant wavelength; units are those of GSAS-II's .instprm (centidegrees), but for the zero shift.
"""

from __future__ import annotations

import re

from layerscope.errors import DataError
from layerscope.measured.text import number

__all__ = ["is_prm", "to_instprm"]

_KEY = 12
_SHARE_OF_P = 0.05
"""Share of GW below which the Gaussian term GP / cos² θ, which no engine here has, changes no width that counts."""

_PROFILES: dict[int, tuple[str, ...]] = {
    1: ("U", "V", "W"),
    2: ("U", "V", "W", "X", "Y"),
    3: ("U", "V", "W", "P", "X", "Y", "S/L", "H/L"),
    4: ("U", "V", "W", "P", "X", "", "", "", "", "S/L", "H/L"),
}
"""What the coefficients of each profile function are, as far as GSAS-II has them; 3 is its own."""


def is_prm(text: str) -> bool:
    """Tell whether a text has the records of a .prm file."""
    return re.search(r"^INS  +(?:\d+ ICONS|HTYPE)", text, re.MULTILINE) is not None


def to_instprm(text: str) -> str:
    """Return the first bank of a .prm file as the text of an .instprm file.

    Parameters
    ----------
    text : str
        Content of the .prm file.

    Raises
    ------
    DataError
        If it is one for time of flight, a record is missing or no number, or it says something that cannot be said
        in an .instprm file: another polarisation law, a Gaussian term in 1 / cos² θ.
    """
    records = {line[:_KEY].rstrip(): line[_KEY:] for line in text.splitlines() if line.startswith("INS")}
    kind = records.get("INS   HTYPE", "").split() or ["PXC"]
    if kind[0][2:3] == "T":
        raise DataError("these are instrument parameters of time of flight", hint="constant wavelength is needed")
    icons = _numbers(records, "INS  1 ICONS", 7)
    found = {"Zero": icons[2] / 100.0, "Polariz.": icons[4]}
    found |= {"Lam1": icons[0], "Lam2": icons[1], "I(L2)/I(L1)": icons[6]} if icons[1] > 0 else {"Lam": icons[0]}
    if icons[5] != 0:
        raise DataError(f"IPOLA = {icons[5]:g} is another law of polarisation", hint="give an .instprm file")
    found |= _profile(records)
    lines = [f"Type:{kind[0][:2]}C", *(f"{key}:{value:.9g}" for key, value in found.items())]
    return "\n".join(lines) + "\n"


def _profile(records: dict[str, str]) -> dict[str, float]:
    """Return widths and axial divergence of the profile function that comes nearest to GSAS-II's."""
    kinds: dict[int, int] = {}
    for n in range(1, 10):
        first = number((records.get(f"INS  1PRCF{n}", "").split() or [""])[0])
        if first is not None and int(abs(first)) in _PROFILES:
            kinds.setdefault(int(abs(first)), n)
    if not kinds:
        raise DataError("there is no profile function for constant wavelength (PRCF 1 to 4)")
    kind = next(k for k in (3, 2, 4, 1) if k in kinds)
    rows = (records.get(f"INS  1PRCF{kinds[kind]}{row}", "").split() for row in range(1, 10))
    given = [number(word) for row in rows for word in row]
    if len(given) < 3 or None in given:
        raise DataError(f"the coefficients of profile function {kind} cannot be read")
    values = {name: float(v or 0.0) for name, v in zip(_PROFILES[kind], given, strict=False) if name}
    gaussian = values.pop("P", 0.0)
    if abs(gaussian) > _SHARE_OF_P * abs(values["W"]):
        raise DataError(f"GP = {gaussian:g} widens lines with 1 / cos² θ, which the engines do not have")
    axial = values.pop("S/L", 0.0) + values.pop("H/L", 0.0)
    return {**values, "SH/L": axial if axial > 0 else 0.002}


def _numbers(records: dict[str, str], key: str, least: int) -> list[float]:
    found = [number(word) for word in records.get(key, "").split()]
    if len(found) < least or None in found:
        raise DataError(f"the record {key!r} is missing or has no {least} numbers")
    return [float(value or 0.0) for value in found]
