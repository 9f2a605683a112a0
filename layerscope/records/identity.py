"""What a record is called: a hash of what it was made from, and of nothing else."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

from layerscope.errors import DataError, ReaderError

__all__ = ["canonical_json", "file_sha256", "make_record_id", "readable_json"]


def canonical_json(value: object) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, no NaN, shortest floats that read back the same.

    Parameters
    ----------
    value : object
        None, bool, int, float, str, and lists, tuples and string-keyed mappings of them.

    Returns
    -------
    str
        Equal values give equal text: tuples read as lists and -0.0 as 0.0.

    Raises
    ------
    DataError
        If a number is not finite, a key is not a string, or a type has no JSON form.
    """
    try:
        plain = _quick(value)
    except _NotPlainError:
        plain = _plain(value, "$")
    return _canonical(plain)


def readable_json(value: Mapping[str, object]) -> str:
    """Return the text of a JSON file for people and for comparing versions: sorted keys, one line an entry.

    Entries of the object, and of the objects and lists in it, stand in lines of their own; what lies deeper is compact.
    Python's encoder indents in Python, at ten times the cost.

    Raises
    ------
    ValueError
        If a number is not finite.
    """
    return "{\n" + ",\n".join(f"{_compact(key)}: {_lines(value[key])}" for key in sorted(value)) + "\n}\n"


def _lines(value: object) -> str:
    if isinstance(value, Mapping) and value:
        return "{\n " + ",\n ".join(f"{_compact(key)}: {_compact(value[key])}" for key in sorted(value)) + "\n}"
    if isinstance(value, list | tuple) and value:
        return "[\n " + ",\n ".join(map(_compact, value)) + "\n]"
    return _compact(value)


_compact = json.JSONEncoder(sort_keys=True, ensure_ascii=False, allow_nan=False).encode


_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


class _NotPlainError(Exception):
    """A value is of a kind that takes a closer look."""


def _quick(value: object) -> object:
    """Return what `_plain` does of values of the plainest types; every record is written through this."""
    kind = type(value)
    if value is None or kind is str or kind is int or kind is bool:
        return value
    if kind is float and math.isfinite(value):  # type: ignore[arg-type]
        return value + 0.0  # type: ignore[operator]
    if kind is dict:
        if any(type(key) is not str for key in value):  # type: ignore[attr-defined]
            raise _NotPlainError
        return {key: _quick(entry) for key, entry in value.items()}  # type: ignore[attr-defined]
    if kind is list or kind is tuple:
        return [_quick(entry) for entry in value]  # type: ignore[attr-defined]
    raise _NotPlainError


def _plain(value: object, where: str) -> object:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise DataError(f"{where} is {value}, which JSON cannot hold")
        return float(value) + 0.0  # -0.0 + 0.0 is 0.0
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise DataError(f"{where} has the key {key!r}, which is not a string")
        return {str(key): _plain(entry, f"{where}.{key}") for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry, f"{where}[{index}]") for index, entry in enumerate(value)]
    raise DataError(f"{where} is of type {type(value).__name__}, which has no JSON form")


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, read in pieces.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    ReaderError
        If the file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ReaderError(f"cannot be read: {error.strerror or error}", source=path) from error


def make_record_id(
    technique: str,
    method: str,
    method_version: str,
    inputs: Iterable[tuple[str, str]],
    recipe: Mapping[str, object],
) -> str:
    """Return the content address of a record.

    Parameters
    ----------
    technique, method, method_version : str
        What was done; a new version of the method gives a new record.
    inputs : iterable of (sha256, selector)
        Hash of each input file and the part of it that was used, in the order the method takes them.
    recipe : mapping
        The fully resolved recipe without its paths, see `layerscope.runs.recipe.PipelineRecipe.identity`.

    Returns
    -------
    str
        64 hexadecimal digits. Time, host and path do not enter.

    Raises
    ------
    DataError
        If the recipe has no canonical JSON form.
    """
    text = canonical_json(
        {
            "technique": technique,
            "method": f"{method}@{method_version}",
            "inputs": [[sha256, selector] for sha256, selector in inputs],
            "recipe": recipe,
        }
    )
    return hashlib.sha256(text.encode()).hexdigest()
