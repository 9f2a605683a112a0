"""Kratos Vision ``.kal``: the text that ``dump_dataset`` makes of a ``.dset``, one object after the other.

An object begins with ``Object name = ...`` and holds numbered fields, ``12 Ordinate values = {...}``; a list may go on
over several lines. The numbers are those of the binary file (`kratos_dset`), and so is what they mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from layerscope.measured.files import RawFile
from layerscope.measured.text import decode, number, numbers_of

from ..dataset import Spectrum
from ._kratos import ARRAYS, NUMBERS, Fields, spectra

__all__ = ["read", "sniff"]

_FIELD = re.compile(r"^\s*(\d+)\s+\S.*?=\s*(.*)$")


def sniff(raw: RawFile) -> bool:
    """Tell whether the text begins as a dump of a dataset does."""
    head = decode(raw.data[:4000])
    return head.lstrip().startswith("Dataset filename") and "Object name" in head


def read(raw: RawFile) -> list[Spectrum]:
    """Read all spectra; objects that are none are named in ``metadata["skipped"]``."""
    if not sniff(raw):
        raise raw.error("the file does not begin as a dump of a Kratos dataset does")
    return spectra(raw, list(_objects(raw)))


def _objects(raw: RawFile) -> Iterator[tuple[str, Fields]]:
    name, lines = "", iter(decode(raw.data).splitlines())
    fields: Fields = {}
    for line in lines:
        if line.startswith("Object name"):
            if name:
                yield name, fields
            name, fields = line.partition("=")[2].strip(), {}
        found = _FIELD.match(line)
        if found is None or not name:
            continue
        field, text = int(found[1]), found[2].strip()
        if text == "{":
            continue  # a group of fields that have numbers of their own
        while text.startswith("{") and "}" not in text:
            more = next(lines, None)
            if more is None:
                raise raw.error(f"{name}: the list of field {field} does not end")
            text += " " + more.strip()
        fields[field] = _value(raw, name, field, text)
    if name:
        yield name, fields


def _value(raw: RawFile, name: str, field: int, text: str) -> str | float | np.ndarray:
    if field in ARRAYS:
        return numbers_of(raw, text.strip("{} ").replace(",", " ").split(), name)
    if field not in NUMBERS:
        return text
    value = number(text.split()[0]) if text else None
    if value is None:
        raise raw.error(f"{name}: field {field} is no number: {text[:40]!r}")
    return value
