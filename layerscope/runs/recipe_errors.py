"""What is wrong with a recipe, said so that the reader finds the line: full key path, and the nearest known key."""

from __future__ import annotations

import re
import types
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from layerscope.records.vocabulary import nearest

__all__ = ["describe"]

_MOST = 5


def describe(error: ValidationError, model: type[BaseModel], raw: Mapping[str, Any]) -> list[str]:
    """Return one line for each thing that is wrong.

    Parameters
    ----------
    error : ValidationError
        What pydantic found.
    model : type of pydantic model
        The model that the recipe was checked against.
    raw : mapping
        The recipe as read.

    Returns
    -------
    list of str
        ``regions[0].backgroud: unknown key, did you mean 'background'?``; at most five, then how many more there are.
    """
    lines = list(dict.fromkeys(_line(entry, model, raw) for entry in error.errors(include_url=False)))
    if len(lines) <= _MOST:
        return lines
    return [*lines[:_MOST], f"and {len(lines) - _MOST} more"]


def _line(entry: Any, model: type[BaseModel], raw: Mapping[str, Any]) -> str:
    path, known = _walk(entry["loc"], model, raw)
    where = f"{path}: " if path else ""
    kind = entry["type"]
    if kind == "extra_forbidden":
        near = nearest(str(entry["loc"][-1]), known)
        advice = f", did you mean {near!r}?" if near else f"; known here: {', '.join(known)}"
        return f"{where}unknown key{advice}"
    if kind == "missing":
        return f"{where}is missing"
    if kind == "value_error":
        return f"{where}{entry['ctx']['error']}"
    if kind == "literal_error":
        near = nearest(str(entry["input"]), re.findall(r"'([^']+)'", entry["ctx"]["expected"]))
        advice = f", did you mean {near!r}?" if near else ""
        return f"{where}{entry['input']!r} is not one of {entry['ctx']['expected']}{advice}"
    message = entry["msg"][:1].lower() + entry["msg"][1:]
    return f"{where}{message}{_shown(entry['input'])}"


def _shown(value: object) -> str:
    return f", not {value!r}" if isinstance(value, str | int | float | bool) and len(str(value)) < 60 else ""


def _walk(location: Sequence[str | int], model: type[BaseModel], raw: object) -> tuple[str, list[str]]:
    """Follow a location through the recipe and the model.

    pydantic puts the tags of unions into the location; they are no keys of the recipe, so a step that is found neither
    in the recipe nor as a missing key is left out of the path and only narrows the models.
    """
    path = ""
    types_here: list[Any] = [model]
    known: list[str] = []
    here: object = raw
    for index, step in enumerate(location):
        models = _models(types_here)
        last = index == len(location) - 1
        if isinstance(step, int) and isinstance(here, Sequence) and not isinstance(here, str):
            path += f"[{step}]"
            types_here = [item for kind in types_here for item in _items(kind)]
            here = here[step] if step < len(here) else None
            continue
        is_key = isinstance(here, Mapping) and (
            step in here or (last and any(step in _fields(kind) for kind in models))
        )
        if not is_key:
            narrowed = [kind for kind in models if kind.__name__ == step or _has_tag(kind, step)]
            types_here = list(narrowed) or types_here
            continue
        known = sorted({name for kind in models for name in _fields(kind)})
        path += f".{step}" if path else str(step)
        types_here = [inner for kind in types_here for inner in _values(kind, str(step))]
        here = here.get(step) if isinstance(here, Mapping) else None
    return path, known


def _flatten(kind: Any) -> Iterable[Any]:
    """Yield the plain types behind annotations and unions."""
    if get_origin(kind) is Annotated:
        yield from _flatten(get_args(kind)[0])
    elif get_origin(kind) in (Union, types.UnionType):
        for part in get_args(kind):
            yield from _flatten(part)
    else:
        yield kind


def _models(kinds: Iterable[Any]) -> list[type[BaseModel]]:
    flat = (part for kind in kinds for part in _flatten(kind))
    return [part for part in flat if isinstance(part, type) and issubclass(part, BaseModel)]


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def _has_tag(model: type[BaseModel], tag: object) -> bool:
    return any(tag in get_args(annotation) for annotation in _fields(model).values())


def _items(kind: Any) -> Iterable[Any]:
    for part in _flatten(kind):
        yield from (inner for inner in get_args(part) if inner is not Ellipsis)


def _values(kind: Any, key: str) -> Iterable[Any]:
    for part in _flatten(kind):
        if isinstance(part, type) and issubclass(part, BaseModel):
            if key in _fields(part):
                yield _fields(part)[key]
        elif len(get_args(part)) == 2:
            yield get_args(part)[1]
