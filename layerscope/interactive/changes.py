"""Changing keys of a resolved recipe wherever they stand in the tables of one series."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from layerscope.errors import RecipeError
from layerscope.records.vocabulary import nearest

__all__ = ["changed"]


def changed(recipe: Mapping[str, Any], names: set[str], only: str | None, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a resolved recipe with other values of keys, in the tables of a series where it has such, else above.

    Parameters
    ----------
    recipe : mapping
        With every key, as records hold it.
    names : set of str
        What the series is called in its tables: ``B 1s``.
    only : str, optional
        Name of the one table inside that is changed.
    changes : mapping
        New values by key.

    Raises
    ------
    RecipeError
        If a key stands nowhere.
    """
    made: dict[str, Any] = dict(recipe)
    for key, value in changes.items():
        for own, lines in ((True, False), (False, False), (True, True)):
            if not own and only is not None:
                continue  # one component is meant, and not what is called so elsewhere
            found, count = _set_own(made, names, key, value, only, lines) if own else _set(made, key, value)
            if count:
                made = found
                break
        else:
            raise _unknown(key, made, names, only)
    return made


def _set_own(
    recipe: dict[str, Any], names: set[str], key: str, value: Any, only: str | None, lines: bool
) -> tuple[dict[str, Any], int]:
    """Return a recipe with a key set in the tables of a series."""
    made, count = dict(recipe), 0
    for name, tables in recipe.items():
        for place in _places(tables, names):
            table, more = _set(tables[place], key, value, only, lines)
            made[name] = [*made[name][:place], table, *made[name][place + 1 :]]
            count += more
    return made, count


_NAMES = ("region", "name", "species", "label", "edge", "line")
"""Keys by which tables of a recipe are told apart."""


def _called(table: Any, names: set[str]) -> bool:
    wanted = {_plain(name) for name in names}
    return isinstance(table, Mapping) and any(_plain(table.get(key)) in wanted for key in _NAMES if table.get(key))


def _places(tables: Any, names: set[str]) -> list[int]:
    return [k for k, table in enumerate(tables) if _called(table, names)] if isinstance(tables, list) else []


def _found(table: Mapping[str, Any], key: str) -> str | None:
    """Return a key of a table, or that which is the same with a unit."""
    alike = [name for name in table if name == key or name.removeprefix(f"{key}_") in _UNITS]
    return alike[0] if alike else None


_UNITS = ("eV", "nm", "s", "deg", "V", "K", "2theta", "nm_s")


def _set(
    table: dict[str, Any], key: str, value: Any, only: str | None = None, lines: bool = False
) -> tuple[dict[str, Any], int]:
    """Return a table with a key set in it, or in all tables inside where it has none; and how often.

    With `lines` it is a parameter of a line, whose tables hold those by name.
    """
    if only is None and lines and isinstance(table.get("parameters"), dict):
        return {**table, "parameters": {**table["parameters"], key: value}}, 1
    if only is None and not lines and (found := _found(table, key)) is not None:
        return {**table, found: value}, 1
    made, count = dict(table), 0
    for name, inside in table.items():
        if isinstance(inside, list) and inside and all(isinstance(one, dict) for one in inside):
            meant = [only is None or _called(one, {only}) for one in inside]
            pairs = [
                _set(one, key, value, None, lines) if yes else (one, 0) for one, yes in zip(inside, meant, strict=True)
            ]
            made[name] = [one for one, _ in pairs]
            count += sum(number for _, number in pairs)
        elif isinstance(inside, dict) and only is None and name != "parameters":
            made[name], more = _set(inside, key, value, None, lines)
            count += more
    return made, count


def _unknown(key: str, recipe: dict[str, Any], names: set[str], only: str | None) -> RecipeError:
    own = [tables[k] for tables in recipe.values() for k in _places(tables, names)]
    near = nearest(key, sorted({name for table in (recipe, *own) for name in table}))
    where = "" if only is None else f" of {only!r}"
    hint = f"did you mean {near!r}?" if near else None
    return RecipeError(f"no key {key!r}{where} in the tables of this series", hint=hint)


def _plain(text: Any) -> str:
    return "".join(str(text).split()).casefold()
