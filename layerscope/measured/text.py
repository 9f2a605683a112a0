"""Text of instruments and its numbers: decoded by what the bytes say, parsed without guessing."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import ReaderError

if TYPE_CHECKING:
    from layerscope.measured.files import RawFile

__all__ = ["MOST_MEMORY", "clock_seconds", "decode", "moment", "number", "numbers", "numbers_of", "positive", "whole"]

MOST_MEMORY = 1 << 30
"""Bytes that the lines and words of one text may take, estimated before they are made."""
_OBJECT, _SMALL = 56, 1 << 22
"""Bytes of a small text beside its letters; and of what is not looked at."""
_CLOCK = re.compile(r"(?:(\d+)[d\s-]+)?(\d+):([0-5]?\d)(?::([0-5]?\d(?:[.,]\d+)?))?")
_NO_NUMBER = re.compile(r"[+-]?(?:1\.#\w+|nan\(\w*\))", re.IGNORECASE)
_UTF16_WITHOUT_MARK = re.compile(rb"(?:[\t\n\r -~]\0){4}")
_LAYOUTS = (
    "%m/%d/%Y %H:%M:%S.%f",
    "%m/%d/%Y %H:%M:%S",
    "%m/%d/%y %H:%M:%S",
    "%d.%m.%Y %H:%M:%S",
    "%d-%b-%Y %H:%M:%S",
    "%d-%b-%y %H:%M:%S",
)


def decode(data: bytes, encoding: str | None = None) -> str:
    """Decode text as UTF-8 or UTF-16 by its mark or its zeros, or else as Windows-1252, which vendors write.

    Parameters
    ----------
    data : bytes
        The text.
    encoding : str, optional
        Decode it as this, without looking.

    Raises
    ------
    LookupError, UnicodeDecodeError
        If the encoding that is given is not known, or not that of the text.
    ReaderError
        If its lines and words would take more than `MOST_MEMORY` in memory.
    """
    if len(data) > _SMALL:
        words = sum(data.count(mark) for mark in (b"\n", b" ", b"\t", b",", b";"))
        needed = 3 * len(data) + _OBJECT * words
        if needed > MOST_MEMORY:
            raise ReaderError(
                f"reading this text would take some {needed >> 20} MiB of memory, more than {MOST_MEMORY >> 20}",
                hint="split the file, or cut off what is no measurement",
            )
    if encoding is not None:
        return data.decode(encoding).removeprefix("\ufeff")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors="replace")
    if _UTF16_WITHOUT_MARK.match(data):
        return data.decode("utf-16-le", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def number(text: str | None) -> float | None:
    """Return a finite number, or None if the text is none."""
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def numbers(texts: Sequence[str]) -> NDArray[np.float64]:
    """Convert texts to float64, shape (n,).

    Raises
    ------
    ValueError
        If one of them is not a number; ``nan`` and ``inf`` are numbers here, also as Windows writes them (``-1.#IND``),
        and the checks of a dataset refuse them.
    """
    try:
        return np.array(texts, dtype=np.float64)
    except ValueError:
        if any(_NO_NUMBER.fullmatch(text.strip()) for text in texts):
            return numbers(["nan" if _NO_NUMBER.fullmatch(text.strip()) else text for text in texts])
        for index, text in enumerate(texts):
            try:
                float(text)
            except ValueError:
                raise ValueError(f"value {index + 1} is {text.strip()[:40]!r}, not a number") from None
        raise


def numbers_of(raw: RawFile, texts: Sequence[str], where: str = "") -> NDArray[np.float64]:
    """Convert texts of a file to float64, shape (n,); `where` names their part of the file.

    Raises
    ------
    ReaderError
        If one of them is not a number.
    """
    try:
        return numbers(texts)
    except ValueError as error:
        raise raw.error(f"{where}: {error}" if where else str(error)) from None


def positive(value: float | str | None) -> float | None:
    """Return a number, or that in a text, if it is finite and above zero; else None."""
    found = number(value) if isinstance(value, str | None) else float(value)
    return found if found is not None and math.isfinite(found) and found > 0 else None


def whole(text: str | None) -> int | None:
    """Return the whole number in a text, written as ``12`` or ``12.0``; None if it is none."""
    value = number(text)
    return int(value) if value is not None and value == int(value) else None


def moment(text: str | None) -> datetime | None:
    """Return a time of day with its date, aware if it names a zone; None if the text is none.

    ISO 8601 also with slashes, and the month first as American, the day first as German and Bruker programs write it.
    The year 1, which .NET writes for a time that was never set, is none.
    """
    words = " ".join((text or "").split())
    if len(words) < 8 or not words[0].isdigit():
        return None
    # .NET writes seven digits of a second, which Python 3.11 cuts itself.
    with suppress(ValueError):
        value = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", words.replace("/", "-")))
        return value if value.year > 1900 else None
    for layout in _LAYOUTS:
        with suppress(ValueError):
            return datetime.strptime(words, layout)
    return None


def clock_seconds(text: str) -> float | None:
    """Return the seconds of ``12:30``, ``26:40:01`` or ``2d 03:00:01.5`` (hours may exceed 24); None if it is none."""
    match = _CLOCK.fullmatch(text)
    if match is None:
        return None
    days, hours, minutes = int(match[1] or 0), int(match[2]), int(match[3])
    return 86400.0 * days + 3600.0 * hours + 60.0 * minutes + float((match[4] or "0").replace(",", "."))
