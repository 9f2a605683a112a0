"""The one place where the tables of `layerscope.reference_data` are read, and where a name is looked up in them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from importlib.resources import files
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from layerscope.errors import DataError, RecipeError

__all__ = ["find_entry", "make_entry", "nearest_names", "parse_entries", "read_tables"]

T = TypeVar("T")
EntryT = TypeVar("EntryT", bound=BaseModel)


def read_tables(folder: str) -> dict[str, dict[str, Any]]:
    """Read every TOML table of one folder of the reference data, in the order of their names.

    Parameters
    ----------
    folder : str
        For example ``"elements"``.

    Returns
    -------
    dict
        Name of the file without suffix -> its content.

    Raises
    ------
    DataError
        If the folder is missing or a file is not valid TOML (a broken installation).
    """
    root = files("layerscope.reference_data").joinpath(folder)
    if not root.is_dir():
        raise DataError(f"reference table {folder!r} is missing", hint="reinstall layerscope; its data are not there")
    tables: dict[str, dict[str, Any]] = {}
    for entry in sorted(root.iterdir(), key=lambda item: item.name):
        if entry.name.endswith(".toml"):
            try:
                tables[entry.name.removesuffix(".toml")] = tomllib.loads(entry.read_text(encoding="utf-8"))
            except tomllib.TOMLDecodeError as error:
                raise DataError(f"not valid TOML: {error}", source=f"{folder}/{entry.name}") from error
    return tables


def make_entry(model: type[EntryT], content: Mapping[str, Any], where: str) -> EntryT:
    """Return one checked entry of a table.

    Raises
    ------
    DataError
        Naming the entry and each key that is wrong.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        words = {"extra_forbidden": "unknown key", "missing": "missing key"}
        found = [(words.get(e["type"], e["msg"]), ".".join(map(str, e["loc"]))) for e in error.errors()]
        raise DataError("; ".join(f"{text} {key!r}" if key else text for text, key in found), source=where) from error


def parse_entries(model: type[EntryT], tables: Mapping[str, Mapping[str, Any]], key: str) -> list[EntryT]:
    """Return the checked entries of all tables of a folder, in their order.

    Parameters
    ----------
    model : type of pydantic model
        Of one entry.
    tables : mapping
        From `read_tables`; each holds a list of entries. What stands beside the list holds for all entries that do not
        say otherwise.
    key : str
        Name of that list.

    Raises
    ------
    DataError
        If an entry is not complete or not right.
    """
    return [
        make_entry(model, {k: v for k, v in table.items() if k != key} | row, f"{name}.toml, entry {number}")
        for name, table in tables.items()
        for number, row in enumerate(table.get(key, ()), start=1)
    ]


def nearest_names(name: str, known: Iterable[str]) -> list[str]:
    """Return up to three of the known names that look like a name, the most alike first; all where none does."""
    folded = {entry.casefold(): entry for entry in known}
    return [folded[k] for k in get_close_matches(name.casefold(), folded, n=3, cutoff=0.4)] or list(folded.values())


def find_entry(known: Mapping[str, T], name: str, what: str, hint: str = "") -> T:
    """Return an entry of a table by its name.

    Parameters
    ----------
    known : mapping of str to entry
    name : str
        What a recipe says.
    what : str
        What the table holds, for the message: ``"RSF set"``.
    hint : str, optional
        What else could be done.

    Raises
    ------
    RecipeError
        Unknown name; the message names the nearest ones.
    """
    if name in known:
        return known[name]
    raise RecipeError(f"unknown {what} {name!r}", hint=f"known: {', '.join(nearest_names(name, known))}{hint}")
