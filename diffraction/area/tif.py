"""Images in TIFF, one or many pages of one sample a pixel."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import partial

import numpy as np

from layerscope.measured.files import RawFile
from layerscope.measured.text import moment

from .image import Image, image_of, library

__all__ = ["read", "sniff"]

_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
_TYPES = {1: "B", 2: "s", 3: "H", 4: "I", 11: "f", 12: "d"}
_WIDTH, _LENGTH, _BITS, _PACKED, _OFFSETS, _SAMPLES, _COUNTS, _TIME = 256, 257, 258, 259, 273, 277, 279, 306
_TILE_OFFSETS, _TILE_COUNTS = 324, 325
MOST_PAGES = 100_000
_PLAIN = 1

Tags = Mapping[int, tuple[object, ...]]


def sniff(raw: RawFile) -> bool:
    """Tell by byte order and magic number."""
    return raw.data[:4] in _ORDERS


def read(raw: RawFile) -> list[Image]:
    """Read the directories of all pages, and make sure that the file holds what they declare."""
    library("fabio.tifimage")
    return [_page(raw, number, tags) for number, tags in enumerate(_pages(raw))]


def _page(raw: RawFile, number: int, tags: Tags) -> Image:
    shape = (_one(raw, tags, _LENGTH), _one(raw, tags, _WIDTH))
    if _one(raw, tags, _SAMPLES, 1) != 1:
        raise raw.error(f"page {number} has colours: it is a picture, not what a detector counted")
    offsets = tags.get(_OFFSETS) or tags.get(_TILE_OFFSETS) or ()
    counts = tags.get(_COUNTS) or tags.get(_TILE_COUNTS) or ()
    ends = [int(str(a)) + int(str(n)) for a, n in zip(offsets, counts, strict=False)]
    held = sum(int(str(n)) for n in counts)
    declared = shape[0] * shape[1] * _one(raw, tags, _BITS, 1) // 8
    plain = _one(raw, tags, _PACKED, _PLAIN) == _PLAIN
    if not ends or max(ends) > len(raw.data) or (plain and held < declared):
        raise raw.error(f"page {number} declares {declared} bytes of pixels, the file ends before: it is cut off")
    when = tags.get(_TIME, ("",))[0]
    text = when.decode("latin-1") if isinstance(when, bytes) else ""
    start = moment(text.strip("\0 ").replace(":", "-", 2))
    return image_of(raw, shape, partial(_load, raw, number), start_time=start)


def _load(raw: RawFile, number: int) -> np.ndarray:
    stream = library("fabio.fabioutils").BytesIO(raw.data)
    file = library("fabio.tifimage").TifImage().read(stream)
    return np.asarray(file.data if number == 0 else file.getframe(number).data)


def _pages(raw: RawFile) -> list[Tags]:
    order = _ORDERS[raw.data[:4]]
    pages: list[Tags] = []
    seen: set[int] = set()
    try:
        at = int(struct.unpack_from(f"{order}I", raw.data, 4)[0])
        while at and at not in seen and len(pages) < MOST_PAGES:
            seen.add(at)
            entries = int(struct.unpack_from(f"{order}H", raw.data, at)[0])
            places = range(at + 2, at + 2 + 12 * entries, 12)
            pages.append(dict(_tag(raw, order, place) for place in places))
            at = int(struct.unpack_from(f"{order}I", raw.data, at + 2 + 12 * entries)[0])
    except struct.error as error:
        raise raw.error("a directory of the file lies behind its end: it is cut off") from error
    return pages


def _tag(raw: RawFile, order: str, at: int) -> tuple[int, tuple[object, ...]]:
    tag, kind, count = struct.unpack_from(f"{order}HHI", raw.data, at)
    letter = _TYPES.get(kind)
    if letter is None:
        return int(tag), ()
    layout = f"{order}{count}{letter}"
    size = struct.calcsize(layout)
    if size > len(raw.data):
        raise struct.error("longer than the file")
    place = at + 8 if size <= 4 else struct.unpack_from(f"{order}I", raw.data, at + 8)[0]
    return int(tag), struct.unpack_from(layout, raw.data, place)


def _one(raw: RawFile, tags: Tags, tag: int, otherwise: int | None = None) -> int:
    values = tags.get(tag) or ()
    if values and isinstance(values[0], int):
        return values[0]
    if otherwise is None:
        raise raw.error(f"the file does not say tag {tag}: it is damaged")
    return otherwise
