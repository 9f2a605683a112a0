"""Typed errors: each names the file or the key it is about, what is wrong, and what to do."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = [
    "DataError",
    "FitError",
    "LayerscopeError",
    "LimitError",
    "MissingDependencyError",
    "ReaderError",
    "RecipeError",
    "StoreError",
    "WriteError",
    "as_text",
    "printable",
]


_STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Control characters, and marks that turn the direction of what follows."""


def as_text(name: str | Path) -> str:
    """Return a file name as text: bytes in it that are none are written out, for a record holds nothing but text."""
    return str(name).encode(errors="backslashreplace").decode()


def printable(text: str, keep: str = "\n\t") -> str:
    """Return a text for a terminal: signs that could steer it, such as ESC, are written out as hexadecimal numbers.

    Parameters
    ----------
    text : str
    keep : str, optional
        Signs that stay as they are although they are no letters.
    """
    return _STEERING.sub(lambda sign: sign[0] if sign[0] in keep else sign[0].encode("unicode_escape").decode(), text)


class LayerscopeError(Exception):
    """Base of every error that layerscope raises on purpose.

    Parameters
    ----------
    message : str
        What is wrong, in one sentence.
    source : str or Path, optional
        The file, folder or recipe key it is about.
    hint : str, optional
        What the user can do about it.
    """

    kind = "error"

    def __init__(self, message: str, *, source: str | Path | None = None, hint: str | None = None) -> None:
        self.message = as_text(message)
        self.source = None if source is None else as_text(source)
        self.hint = hint
        super().__init__(self.message)

    def __str__(self) -> str:
        head = self.message if self.source is None else f"{self.source}: {self.message}"
        return head if self.hint is None else f"{head} ({self.hint})"


class ReaderError(LayerscopeError):
    """A file cannot be read as what it claims to be: empty, truncated, wrong magic, inconsistent."""

    kind = "reader"


class DataError(LayerscopeError):
    """A file was read, but its values cannot be used: NaN, negative counts, one point, unequal axes."""

    kind = "data"


class RecipeError(LayerscopeError):
    """A recipe is not valid: unknown key, unknown species, path that leaves its folder."""

    kind = "recipe"


class FitError(LayerscopeError):
    """A fit cannot be posed or did not give a usable result."""

    kind = "fit"


class StoreError(LayerscopeError):
    """A run folder cannot be read or written."""

    kind = "store"


class WriteError(StoreError):
    """A file of a run folder cannot be written: full disk, missing rights. It ends a run, which can be resumed."""


class MissingDependencyError(LayerscopeError):
    """An optional library or engine is not installed; the hint says how to get it."""

    kind = "dependency"


class LimitError(LayerscopeError):
    """A task took more time or memory than it may."""

    kind = "limit"
