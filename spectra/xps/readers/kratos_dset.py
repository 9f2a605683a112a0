"""Kratos Vision 2 ``.dset``: the binary dataset that the instrument's program writes.

Everything is made of 32-bit words, the highest byte first. After an index of a fixed length follow the objects, each as
its size in bytes, its number, two zeros, and records until two zeros: the number of a field (see `_kratos`), and its
value, whose shape follows from the field. Sizes, shapes and numbers were read off a public program of another author
that compared them with 36 pairs of ``.dset`` and ``.kal``; none of its code is used. An object with a field of unknown
shape cannot be read on from there, and is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from layerscope.measured.files import RawFile

from ..dataset import Spectrum
from ._kratos import ANODE, LENS, SCAN, TECHNIQUE, X_RAYS, Fields, spectra

__all__ = ["read", "sniff"]

_MAGIC = bytes.fromhex("0000de0100000002")
_COUNT_AT, _FIRST = 20, 0x0B10


def _ids(text: str) -> frozenset[int]:
    """Return the numbers in a text such as ``"1 2 25-27"``."""
    return frozenset(
        n for low, high in re.findall(r"(\d+)(?:-(\d+))?", text) for n in range(int(low), int(high or low) + 1)
    )


_WORDS = _ids(
    "1 2 25 26 38 59 99 3009 3011 3016 3017 3045-3047 3049 3050 3070 3073 3080 3083 3096 3097 3102 3103 3190 3191 3244 "
    "3245 3250 3254 3256 3261 538971360 538971367"
)
_DOUBLES = _ids(
    "3 4 7 42 51 3001-3006 3065-3068 3074-3078 3088-3091 3105-3107 3112 3192-3194 3201 3202 3247 3255 3278 542117083 "
    "542117084 542117091"
)
_TEXTS = _ids("5 6 8 9 37 151 3087 3113 3114 3282 3283 3290")
_LISTS = {12: ">f4", 3013: ">i4", 5615: ">f8", 5616: ">f8"}
_GROUP = 5587
_MEANINGS = {
    TECHNIQUE: {1: "F_ISS", 3: "F_XPS"},
    SCAN: {0: "F_SPECTRUM", 2: "F_MAPPING"},
    X_RAYS: {2: "F_REFER_TO_NONE", 8: "F_REFER_TO_XRAY_MONO_AL"},
    LENS: {0: "F_HSA_LENS_HYBRID", 3: "F_HSA_LENS_ELECTROSTATIC", 6: "F_HSA_LENS_ISS"},
    ANODE: {},
}


def sniff(raw: RawFile) -> bool:
    """Tell whether the bytes begin as a dataset of Vision 2 does."""
    return raw.data.startswith(_MAGIC)


def read(raw: RawFile) -> list[Spectrum]:
    """Read all spectra; objects that are none are named in ``metadata["skipped"]``."""
    if not sniff(raw):
        raise raw.error("the file does not begin as a Kratos dataset does")
    return spectra(raw, list(_objects(raw)))


def _objects(raw: RawFile) -> Iterator[tuple[str, Fields]]:
    """Yield name and fields of the objects that the index counts."""
    data, at = raw.data, _FIRST
    if len(data) <= _FIRST:
        raise raw.error("the dataset holds only its index", hint="open the .dset that holds the spectra")
    for number in range(int.from_bytes(data[_COUNT_AT : _COUNT_AT + 4], "big")):
        size = int.from_bytes(data[at : at + 4], "big")
        if size < 16 or size % 4 or at + 4 + size > len(data):
            raise raw.error(f"object {number + 1} of those in the index is truncated or damaged")
        words = np.frombuffer(data, ">u4", size // 4, at + 4)
        fields: Fields = {}
        try:
            _records(words, 3, fields)
        except (IndexError, ValueError):
            fields = {}
        yield f"{fields.get(37, 'object')}/{int(words[0])}", fields
        at += 4 + size


def _records(words: np.ndarray, at: int, fields: Fields) -> int:
    """Put the records from a place on into fields; return the place behind the two zeros that end them."""
    while words[at]:
        field, first = int(words[at]), int(words[at + 1])
        if field == _GROUP:
            at = _records(words, at + 4, fields)
        elif field in _WORDS:
            fields[field] = _MEANINGS[field].get(first, str(first)) if field in _MEANINGS else float(np.int32(first))
            at += 2
        elif field in _DOUBLES:
            fields[field] = float(_part(words, at + 1, 2).view(">f8")[0])
            at += 3
        elif field in _TEXTS:
            fields[field] = "".join(map(chr, _part(words, at + 2, first - 1)))
            at += 2 + first
        elif field in _LISTS:
            kind = np.dtype(_LISTS[field])
            length = first * kind.itemsize // 4
            fields[field] = _part(words, at + 2, length).view(kind).astype(np.float64)
            at += 2 + length
        else:
            raise ValueError(f"field {field} has an unknown shape")
    return at + 2


def _part(words: np.ndarray, at: int, length: int) -> np.ndarray:
    part = words[at : at + length]
    if length < 0 or part.size != length:
        raise IndexError("a record ends beyond its object")
    return np.ascontiguousarray(part)
