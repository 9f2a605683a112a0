"""Images in the format of the ESRF (EDF), one or many in a file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np

from layerscope.measured.files import RawFile
from layerscope.measured.text import moment, number, positive

from .image import Image, called, image_of, library

__all__ = ["read", "sniff"]

_BEGINS = re.compile(rb"\s{0,4}\{")
_EPOCH_FROM = 1e8  # s: a smaller time of day is no time since 1970


def sniff(raw: RawFile) -> bool:
    """Tell by the brace before a header with the dimensions."""
    head = raw.data[:8192]
    return _BEGINS.match(head) is not None and re.search(rb"\bdim_1\s*=", head, re.IGNORECASE) is not None


def read(raw: RawFile) -> list[Image]:
    """Read the headers of all frames; their pixels stay where they are."""
    module = library("fabio.edfimage")
    with called(raw, "the headers cannot be read"):
        file = module.EdfImage()
        # fabio's streams are io.BytesIO with a lock of their own
        file.read(library("fabio.fabioutils").BytesIO(raw.data))
        frames = list(file._frames)
        shapes = [tuple(int(n) for n in frame.shape) for frame in frames]
    for number_, frame in enumerate(frames):
        dtype, start = np.dtype(frame.dtype), int(frame.start)
        needed = int(np.prod([float(n) for n in shapes[number_]])) * dtype.itemsize
        packed = "COMPRESSION" in {key.upper() for key in frame.header}
        if file.incomplete_file or start + (frame.blobsize if packed else needed) > len(raw.data):
            raise raw.error(f"frame {number_} declares {needed} bytes, the file ends before: it is cut off")
    return [
        image_of(raw, shape, partial(_load, frame), **_told({k.lower(): str(v) for k, v in frame.header.items()}))
        for shape, frame in zip(shapes, frames, strict=True)
    ]


def _load(frame: Any) -> np.ndarray:
    pixels = np.asarray(frame.data)
    frame.data = None  # of many frames only one is in memory
    return pixels


def _told(header: Mapping[str, str]) -> dict[str, Any]:
    start = moment(header.get("date") or header.get("time"))
    epoch = number(header.get("time_of_day") or header.get("time_of_frame"))
    if start is None and epoch is not None and epoch > _EPOCH_FROM:
        start = datetime.fromtimestamp(epoch, UTC)
    exposure = header.get("exposuretime") or header.get("exposure_time") or header.get("count_time") or ""
    return {"start_time": start, "exposure_s": positive(exposure.split()[0] if exposure.split() else None)}
