"""When the frames of an HDF5 stack were measured: from a time each, or from the first and the time between two."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from layerscope.measured.files import RawFile
from layerscope.measured.hdf import text, values
from layerscope.measured.text import moment, positive

__all__ = ["frame_times"]

_STARTS = (
    "start_time",
    "instrument/detector/detectorSpecific/data_collection_date",
    "instrument/detector/start_time",
)
_EACH = ("epoch", "timestamp", "timestamps", "time", "frame_time_stamp", "elapsed_time", "t")
_PLACES = ("", "data/", "instrument/detector/", "measurement/", "instrument/pyFAI/")
_BETWEEN = tuple(f"instrument/detector/{name}" for name in ("frame_time", "frame_period", "acquisition_period"))
_EXPOSURE = tuple(f"instrument/detector/{name}" for name in ("count_time", "exposure_time", "acquisition_time"))
_SECONDS = {"": 1.0, "s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "ms": 1e-3, "min": 60.0, "h": 3600.0}
_EPOCH_FROM = 1e8  # s: smaller times are not counted from 1970

Times = tuple[datetime | None, datetime | None]


def frame_times(raw: RawFile, groups: Sequence[Any], frames: int) -> list[Times]:
    """Return start and end of each frame, None where the file does not tell.

    Parameters
    ----------
    raw : RawFile
    groups : sequence of h5py.Group
        The entry, and whatever else may hold times.
    frames : int

    Returns
    -------
    list of (datetime or None, datetime or None)
    """
    start = next((found for g in groups for p in _STARTS if (found := moment(text(raw, g, p))) is not None), None)
    exposure = _one(raw, groups, _EXPOSURE)
    each = next((times for g in groups if (times := _each(raw, g, frames)) is not None), None)
    between = _one(raw, groups, _BETWEEN) or exposure
    if each is None and between is not None and frames > 1:
        each = between * np.arange(frames)
    if each is None:
        each = np.zeros(1) if frames == 1 else None
    if each is None or not np.isfinite(each).all():
        return [(None, None)] * frames
    if each[0] > _EPOCH_FROM:
        start, each = datetime.fromtimestamp(float(each[0]), UTC), each - each[0]
    if start is None:
        return [(None, None)] * frames
    begins = [start + timedelta(seconds=float(t)) for t in each]
    return [(one, None if exposure is None else one + timedelta(seconds=exposure)) for one in begins]


def _each(raw: RawFile, group: Any, frames: int) -> np.ndarray | None:
    for place in _PLACES:
        for name in _EACH:
            found = values(raw, group, (place + name,)) if _is_numeric(group, place + name) else None
            if found is not None and found[0].shape == (frames,) and frames > 1 and found[1] in _SECONDS:
                return found[0] * _SECONDS[found[1]]
    return None


def _is_numeric(group: Any, path: str) -> bool:
    """Tell whether a name stands for numbers: a time may be a text, which `values` refuses."""
    try:
        return getattr(group.get(path), "dtype", np.dtype("O")).kind in "iuf"
    except (KeyError, OSError, RuntimeError):
        return False


def _one(raw: RawFile, groups: Sequence[Any], paths: tuple[str, ...]) -> float | None:
    for group in groups:
        for path in paths:
            found = values(raw, group, (path,)) if _is_numeric(group, path) else None
            if found is not None and found[0].size == 1:
                return positive(float(np.ravel(found[0])[0]) * _SECONDS.get(found[1], 1.0))
    return None
