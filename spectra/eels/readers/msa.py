"""EMSA/MAS text (ISO 22029), also as pairs of energy and value, and with exponents of any length."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from layerscope.measured.files import RawFile
from layerscope.measured.text import decode, numbers

from ..adapter import load_spectra
from ..spectrum import SpectrumImage

__all__ = ["read", "sniff"]

_HEAD = re.compile(rb"\s*#FORMAT\s*:[^\n]*EMSA", re.IGNORECASE)
_KEY = re.compile(r"^#\s*([A-Za-z]+)[^:]*:[ \t]*(.*?)\s*$", re.MULTILINE)
_FULL = re.compile(r"^#\s*([^:\n]*?)\s*:[ \t]*(.*?)\s*$", re.MULTILINE)
_APART = 0.5  # channels


def sniff(raw: RawFile) -> bool:
    """Tell whether the file says that it is one."""
    return _HEAD.match(raw.data.removeprefix(b"\xef\xbb\xbf")) is not None


def read(raw: RawFile) -> list[SpectrumImage]:
    """Read the spectrum, after making sure that it is whole: rosettasciio takes as many points as are left of it."""
    text = decode(raw.data)
    head, mark, body = text.partition("#SPECTRUM")
    body, end, _ = body.partition("#ENDOFDATA")
    keys = {name.upper(): value for name, value in _KEY.findall(head)}
    if not mark or not end:
        raise raw.error("it has no end of data", hint="the file was cut short: copy it again")
    values = numbers(body.partition("\n")[2].replace(",", " ").split())
    pairs = keys.get("DATATYPE", "Y").upper() == "XY"
    declared = int(float(keys["NPOINTS"])) if "NPOINTS" in keys else -1
    points = values.size // 2 if pairs else values.size
    if keys.get("NCOLUMNS", "1").split(".")[0] != "1" and pairs:
        raise raw.error(f"it has {keys['NCOLUMNS']} columns of spectra", hint="save each spectrum by itself")
    if points < declared or (pairs and values.size % 2):
        raise raw.error(f"{declared} points are declared, {points} are there", hint="is the file cut short?")
    # rosettasciio wants a colon and a space on every line of the head, which not every program writes
    lines = [f"#{name:<12}: {value}" for name, value in _FULL.findall(head)]
    lines += ["#SPECTRUM    : ", body.partition("\n")[2], "#ENDOFDATA   : "]
    (one,) = load_spectra(raw, "msa", data="\n".join(lines).encode())
    if points > declared:  # as in the example of the standard itself
        one = replace(one, metadata={**one.metadata, "points declared": str(declared)})
    if pairs:
        energy = values[::2] * (1000.0 if "kev" in keys.get("XUNITS", "").lower() else 1.0)
        if np.abs(energy - one.axis).max() > _APART * abs(one.axis[1] - one.axis[0]):
            one = replace(one, axis=energy)  # what was written point by point counts
    return [one]
