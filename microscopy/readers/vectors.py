"""A list of reciprocal vectors instead of an image: a table of text with the columns gx, gy and perhaps sigma."""

from __future__ import annotations

import re

import numpy as np

from layerscope.measured.files import RawFile
from layerscope.measured.text import decode, numbers_of

from .micrograph import Micrograph

__all__ = ["read", "sniff"]

_HEAD = re.compile(rb"[ \t#]*\"?gx\b[^\n]{0,40}\bgy\b", re.IGNORECASE)
_CUT = re.compile(r"[\s,;\"]+")
_UNITS = {"1/nm": 1.0, "nm-1": 1.0, "nm^-1": 1.0, "1/a": 10.0, "1/å": 10.0, "1/angstrom": 10.0}
UNSURE = 0.005
"""Relative standard error of a vector whose file states none: what reading off a transform by eye gives."""


def sniff(raw: RawFile) -> bool:
    """Tell by the names of its columns, which stand in its first line."""
    return _HEAD.match(raw.data.removeprefix(b"\xef\xbb\xbf")[:200]) is not None


def read(raw: RawFile) -> list[Micrograph]:
    """Read the vectors.

    Raises
    ------
    ReaderError
        If a row has not as many numbers as there are columns, or a unit is not one of reciprocal length.
    """
    lines = decode(raw.data).splitlines()
    head = lines[0].strip().lstrip("#").lower()
    units = re.findall(r"[\[(]\s*([^\])]*?)\s*[\])]", head)
    unknown = [unit for unit in units if unit not in _UNITS]
    if unknown:
        raise raw.error(f"{unknown[0]!r} is no unit of reciprocal vectors", hint="1/nm or 1/A")
    names = [word for word in _CUT.split(re.sub(r"[\[(][^\])]*[\])]", " ", head)) if word]
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        words = [word for word in _CUT.split(line.partition("#")[0]) if word]
        if not words:
            continue
        values = numbers_of(raw, words, f"line {number}")
        if values.size != len(names) or not np.isfinite(values).all():
            raise raw.error(f"line {number} has not {len(names)} numbers")
        rows.append(values)
    table = np.array(rows).reshape(-1, len(names))
    g = table[:, [names.index("gx"), names.index("gy")]] * _UNITS[units[0] if units else "1/nm"]
    length = np.hypot(*g.T)
    if not len(g) or not (length > 0).all():
        raise raw.error("it holds no vector", hint="a row a vector, in 1/nm")
    factor = _UNITS[units[-1] if units else "1/nm"]
    sigma = table[:, names.index("sigma")] * factor if "sigma" in names else UNSURE * length
    if not (sigma > 0).all():
        raise raw.error("a standard error is not above zero")
    return [Micrograph.of_vectors(np.column_stack([g, sigma]))]
