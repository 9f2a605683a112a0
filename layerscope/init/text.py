"""The text of a recipe: keys with their reasons, in the order in which TOML wants them."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

__all__ = ["RecipeText", "toml_text", "toml_value"]

WIDTH = 100
COMMENT_AT = 31


def toml_value(value: Any) -> str:
    """Write a value as TOML.

    Parameters
    ----------
    value : str, bool, int, float, datetime, sequence or mapping
        Mappings become inline tables; numbers are rounded to nine digits.

    Raises
    ------
    TypeError
        If it is something else.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        text = format(value, ".9g")
        return text if any(mark in text for mark in ".en") else f"{text}.0"
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(key)} = {toml_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, Sequence):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    raise TypeError(f"{type(value).__name__} has no place in a recipe")


def _key(name: str) -> str:
    bare = name.replace("_", "").replace("-", "")
    return name if bare.isascii() and bare.isalnum() else toml_value(name)


class RecipeText:
    """A recipe that is being written.

    Parameters
    ----------
    pipeline, sample, title : str
        Its first keys.
    """

    def __init__(self, pipeline: str, sample: str, title: str) -> None:
        self._head = ["layerscope = 1", f"pipeline = {toml_value(pipeline)}"]
        self._head += [f"title = {toml_value(title)}", f"sample = {toml_value(sample)}"]
        self._notes: list[str] = []
        self._body: list[str] = []

    def note(self, text: str) -> None:
        """Say something at the top: what was found, what was left out."""
        self._notes += self._comment(text)

    def root(self, name: str, value: Any, why: str = "") -> None:
        """Add a key of the recipe itself, with the reason."""
        self._head += self._line(name, value, why)

    def table(self, header: str, why: str = "") -> None:
        """Begin a table, such as ``"[[series]]"``, after a comment."""
        self._body += ["", *self._comment(why), header]

    def key(self, name: str, value: Any, why: str = "") -> None:
        """Add a key of the table that was begun last."""
        self._body += self._line(name, value, why)

    def off(self, name: str, value: Any, why: str) -> None:
        """Add a key of the last table as a comment: a choice that the user may make."""
        self._body += [f"# {line}" for line in self._line(name, value, why)]

    def remark(self, text: str) -> None:
        """Add a comment to the table that was begun last."""
        self._body += self._comment(text)

    def text(self) -> str:
        """Return the whole recipe."""
        return "\n".join([*self._notes, *self._head, *self._body]) + "\n"

    @staticmethod
    def _comment(text: str) -> list[str]:
        return [f"# {line}" for line in textwrap.wrap(_plain(text), WIDTH)] if text else []

    @staticmethod
    def _line(name: str, value: Any, why: str) -> list[str]:
        line = f"{_key(name)} = {toml_value(value)}"
        if not why:
            return [line]
        if len(line) + len(why) + 4 <= WIDTH + 10:
            return [f"{line:{COMMENT_AT}}# {_plain(why)}" if len(line) < COMMENT_AT else f"{line}  # {_plain(why)}"]
        return [*RecipeText._comment(why), line]


def _plain(text: str) -> str:
    """Return a text for a comment: one line, without control characters, which TOML refuses."""
    return "".join(c if c.isprintable() else " " for c in text.replace("\n", " "))


def toml_text(tables: Mapping[str, Any]) -> str:
    """Write nested tables as a TOML file: short ones inline, lists of tables under headers of their own."""
    return "\n".join(_lines(tables, "")) + "\n"


def _lines(table: Mapping[str, Any], path: str) -> list[str]:
    lines: list[str] = []
    below: list[str] = []
    for key, value in table.items():
        name = f"{path}{_key(key)}"
        if isinstance(value, Mapping) and len(toml_value(value)) > WIDTH:
            below += ["", f"[{name}]", *_lines(value, f"{name}.")]
        elif isinstance(value, Sequence) and value and all(isinstance(one, Mapping) for one in value):
            for one in value:
                below += ["", f"[[{name}]]", *_lines(one, f"{name}.")]
        else:
            lines.append(f"{_key(key)} = {toml_value(value)}")
    return [*lines, *below]
