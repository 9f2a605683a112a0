"""Images in the Crystallographic Binary File format, as detectors of Dectris write it."""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import datetime
from functools import partial

import numpy as np

from layerscope.measured.files import RawFile
from layerscope.measured.text import moment, number, positive

from .image import Image, image_of, library

__all__ = ["read", "sniff"]

_HEADER = 1 << 16
_SIGNS = (("signed", "i"), ("unsigned", "u"))
_STARTER = b"\x0c\x1a\x04\xd5"
_TYPES = {f"{sign} {bits}-bit integer": f"{short}{bits // 8}" for bits in (8, 16, 32) for sign, short in _SIGNS}
_TIME = re.compile(r"^#\s*(\d{4}[-/](?:\d\d|[A-Z][a-z]{2})[-/]\d\d[T ][\d:.]+)", re.MULTILINE)


def sniff(raw: RawFile) -> bool:
    """Tell by the word that such a file begins with."""
    return raw.data.startswith(b"###CBF")


def read(raw: RawFile) -> list[Image]:
    """Read the header, and make sure that the file holds what it declares."""
    library("fabio.compression")
    at = raw.data.find(_STARTER, 0, _HEADER)
    if at < 0:
        raise raw.error("no image follows the header: the file is cut off")
    head = raw.data[:at].decode("latin-1")
    columns, rows, size = (
        _number(raw, head, f"X-Binary-Size{part}") for part in ("-Fastest-Dimension", "-Second-Dimension", "")
    )
    data = raw.data[at + len(_STARTER) : at + len(_STARTER) + size]
    if len(data) < size:
        raise raw.error(f"the image has {len(data)} of {size} bytes: the file is cut off")
    told = re.search(r"Content-MD5:\s*(\S+)", head)
    if told and base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode() != told[1].strip('"'):
        raise raw.error("the image is not what its checksum says: the file is damaged")
    if "x-CBF_BYTE_OFFSET" not in head:
        raise raw.error("the image is compressed otherwise than by byte offsets, which alone are read")
    kind = re.search(r'X-Binary-Element-Type:\s*"?([\w -]+)"?', head)
    dtype = _TYPES.get(kind[1].strip() if kind else "signed 32-bit integer")
    if dtype is None:
        raise raw.error(f"the pixels are {kind[1] if kind else ''}, which is no kind of counts")
    cutoff = number(_word(head, "Count_cutoff"))
    return [
        image_of(
            raw,
            (rows, columns),
            partial(_load, raw, data, (rows, columns), dtype),
            start_time=_start(head),
            exposure_s=positive(_word(head, "Exposure_time")),
            saturated=cutoff,
        )
    ]


def _load(raw: RawFile, data: bytes, shape: tuple[int, int], dtype: str) -> np.ndarray:
    # not by fabio's reader of the format, which waits for ever for a header that a damaged file does not have
    kind = np.dtype(dtype)
    unpack = library("fabio.compression").decByteOffset
    pixels = np.asarray(unpack(data, size=shape[0] * shape[1], dtype=kind.name)).astype(kind, copy=False)
    if pixels.size != shape[0] * shape[1]:
        raise raw.error(f"the image holds {pixels.size} of {shape[0] * shape[1]} pixels: it is damaged")
    return pixels.reshape(shape)


def _number(raw: RawFile, head: str, key: str) -> int:
    found = re.search(rf"^{key}:\s*(\d{{1,12}})\s*$", head, re.MULTILINE)
    if found is None:
        raise raw.error(f"the header does not say {key}")
    return int(found[1])


def _word(head: str, key: str) -> str | None:
    found = re.search(rf"^#\s*{key}[\s:=]+(\S+)", head, re.MULTILINE)
    return found[1] if found else None


def _start(head: str) -> datetime | None:
    found = _TIME.search(head)
    if found is None:
        return None
    try:
        return datetime.strptime(found[1].split(".")[0].replace(" ", "T"), "%Y/%b/%dT%H:%M:%S")
    except ValueError:
        return moment(found[1])
