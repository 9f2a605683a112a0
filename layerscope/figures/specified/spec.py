"""What a specification of a figure may say, and how it is read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from layerscope.options import FigureOptions, RecipeModel, not_empty
from layerscope.runs.recipe import parse_recipe, read_toml

__all__ = ["Annotation", "FigureSpec", "PanelOptions", "read_spec", "spec_for"]

Limits = tuple[float, float]


def _millimetres(value: Any) -> Any:
    """Take ``"85mm"`` and ``"8.5 cm"`` for 85."""
    match = re.fullmatch(r"\s*([\d.]+)\s*(mm|cm)\s*", value) if isinstance(value, str) else None
    return value if match is None else float(match[1]) * {"mm": 1.0, "cm": 10.0}[match[2]]


Length = Annotated[float, BeforeValidator(_millimetres)]


class Annotation(RecipeModel):
    """Words in a panel."""

    text: str = Field(description="the words; formulas get their subscripts, $...$ is mathematics")
    x: float = Field(description="where they stand")
    y: float = Field(description="where they stand")
    of: Literal["panel", "data"] = Field(
        default="panel", description="panel: x and y are shares of the panel; data: values on its axes"
    )
    align: Literal["left", "center", "right"] = Field(default="left", description="which part of them is at x")
    colour: str = Field(default="#000000", pattern=r"^#[0-9A-Fa-f]{6}$", description="as #RRGGBB")


class PanelOptions(RecipeModel):
    """What every panel understands."""

    kind: str = Field(description="which panel, e.g. 'xps.region'")
    run: Annotated[int, Field(ge=1)] = Field(default=1, description="number of its run on the command line, from 1")
    row: Annotated[int, Field(ge=1)] | None = Field(default=None, description="row, from 1; else the next free place")
    column: Annotated[int, Field(ge=1)] | None = Field(default=None, description="column, from 1")
    rows: Annotated[int, Field(ge=1)] = Field(default=1, description="rows that it takes")
    columns: Annotated[int, Field(ge=1)] = Field(default=1, description="columns that it takes")
    title: str | None = Field(default=None, description="above it; by default the kind's own")
    x: Limits | None = Field(default=None, description="ends of the axis to the right, in its direction")
    y: Limits | None = Field(default=None, description="ends of the axis upwards, in its direction")
    x_label: str | None = Field(default=None, description="below the axis to the right")
    y_label: str | None = Field(default=None, description="beside the axis upwards")
    legend: bool = Field(default=True, description="whether it explains its curves")
    annotations: tuple[Annotation, ...] = Field(default=(), description="words in it")


class FigureSpec(FigureOptions):
    """A figure: its page, and what its panels share."""

    layerscope: Literal[1] = Field(description="version of the format")
    title: str = Field(default="", description="what it shows, in one line: in its files, not on the page")
    caption: str = Field(default="", description="text for below the figure, kept in its provenance")
    width: Annotated[Length, Field(ge=30, le=250)] = Field(
        default=85.0,
        description='of the page in mm, also as "85mm": one column of most journals is 85, two are 180',
    )
    height: Annotated[Length, Field(ge=20, le=250)] | None = Field(
        default=None, description="height in mm; by default 55 a row"
    )
    columns: Annotated[int, Field(ge=1, le=12)] = Field(default=1, description="columns of the grid of panels")
    column_widths: tuple[Annotated[float, Field(gt=0)], ...] = Field(default=(), description="shares of the columns")
    row_heights: tuple[Annotated[float, Field(gt=0)], ...] = Field(default=(), description="shares of the rows")
    letters: str = Field(default="abcdefghijklmnopqrstuvwxyz", description="letters of the panels; empty for none")
    legend: Literal["panels", "below", "none"] = Field(
        default="panels", description="where curves are explained: in each panel, once below all, or nowhere"
    )
    share_x: Literal["none", "column", "all"] = Field(default="none", description="panels with one axis to the right")
    share_y: Literal["none", "row", "all"] = Field(default="none", description="panels with one axis upwards")
    colours: dict[str, Annotated[str, Field(pattern=r"^#[0-9A-Fa-f]{6}$")]] = Field(
        default={}, description="name of a species, phase or sample to its colour in all panels, as #RRGGBB"
    )
    labels: dict[str, str] = Field(
        default={}, description="name of a species, phase or sample to what is printed for it"
    )
    panels: Annotated[tuple[dict[str, Any], ...], AfterValidator(not_empty)] = Field(
        description="the panels, in the order of their letters"
    )


def read_spec(path: Path, **page: Any) -> FigureSpec:
    """Return the specification in a TOML file.

    Parameters
    ----------
    path : Path
    **page
        Keys of the figure that count instead of those in the file.

    Raises
    ------
    RecipeError
        If it cannot be read, or a key is wrong; keys of panels are checked when they are drawn.
    """
    return parse_recipe(FigureSpec, {**read_toml(path), **page}, path.name)


def spec_for(panels: Sequence[Mapping[str, Any]], **page: Any) -> FigureSpec:
    """Return the specification of panels side by side, at most three in a row, and four as two by two.

    Parameters
    ----------
    panels : sequence of mapping
        Their tables.
    **page
        Keys of the figure, as in a file.
    """
    columns = 2 if len(panels) == 4 else min(len(panels), 3)
    return parse_recipe(FigureSpec, {"layerscope": 1, "columns": columns, **page, "panels": list(panels)}, "figure")
