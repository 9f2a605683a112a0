"""What a user may write: the base of every table of a recipe, and the types that tables share."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetCoreSchemaHandler, SerializationInfo
from pydantic_core import CoreSchema, core_schema

__all__ = ["FigureFormat", "FigureOptions", "Positive", "RecipeModel", "RecipePath", "listed", "not_empty", "unique"]

Positive = Annotated[float, Field(gt=0)]
"""A number above zero."""


class RecipePath(str):
    """A path in a recipe: relative, forward slashes, no ``..``; it never enters a record's identity."""

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate as a string, and let the serialisation context collect or hide the path."""
        return core_schema.no_info_after_validator_function(
            cls._validated,
            core_schema.str_schema(min_length=1, max_length=1000),
            serialization=core_schema.plain_serializer_function_ser_schema(
                cls._serialised, info_arg=True, return_schema=core_schema.str_schema()
            ),
        )

    @classmethod
    def _validated(cls, text: str) -> Self:
        pure = PurePosixPath(text)
        if "\0" in text or "\\" in text:
            raise ValueError("a path is written with forward slashes")
        if pure.is_absolute() or re.match("[A-Za-z]:", text) or text.startswith("~"):
            raise ValueError("a path is relative to the recipe's folder; for data elsewhere run with --data DIR")
        if ".." in pure.parts:
            raise ValueError("a path stays inside the recipe's folder ('..' is refused); see --data DIR")
        return cls(pure.as_posix())

    @staticmethod
    def _serialised(path: str, info: SerializationInfo) -> str:
        context = info.context if isinstance(info.context, dict) else {}
        if "collect" in context:
            context["collect"].append(str(path))
        return "" if context.get("identity") else str(path)


def listed(given: Any) -> Any:
    """Return a name or a table as a list of it alone; everything else as it is."""
    return [given] if isinstance(given, str | Mapping | BaseModel) else given


def not_empty(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Refuse an empty list; not as a length, which would count wrong entries out and complain a second time.

    Raises
    ------
    ValueError
        If there is no entry.
    """
    if not values:
        raise ValueError("needs at least one entry")
    return values


def unique(names: Sequence[str], what: str) -> None:
    """Refuse names that stand twice.

    Raises
    ------
    ValueError
        With the first of them.
    """
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise ValueError(f"two {what} are called {twice[0]!r}")


class RecipeModel(BaseModel):
    """Base of every table in a recipe: immutable, no unknown key, no NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, str_strip_whitespace=True)


FigureFormat: TypeAlias = Literal["pdf", "svg", "png"]


class FigureOptions(RecipeModel):
    """How figures are saved: what takes part is drawn once, whatever the number of formats."""

    formats: Annotated[tuple[FigureFormat, ...], AfterValidator(not_empty)] = Field(
        default=("pdf", "svg", "png"), description="formats of every figure, beside its table and its provenance"
    )
    dpi: Annotated[int, Field(ge=72, le=1200)] = Field(
        default=320, description="resolution of png, and of images inside pdf and svg"
    )
