"""Draws a figure as its specification says: places on a grid, panels on them, and what they share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layerscope.errors import DataError, LayerscopeError
from layerscope.records import ResultRecord
from layerscope.runs.recipe import parse_recipe

from ..page import Page
from ..save import FigureProvenance, save_figure, saved_as
from ..style import style
from .kinds import PanelKind, find_kind
from .place import Colours, Place, Source
from .spec import FigureSpec, PanelOptions

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_specified"]

ROW_MM = 55.0
"""Height of a row where the specification names none."""
LEGEND_COLUMNS = 6


@dataclass(frozen=True)
class _Cell:
    """A panel with the rows and columns that it takes."""

    kind: PanelKind
    options: PanelOptions
    row: int
    column: int

    @property
    def ends(self) -> tuple[int, int]:
        return self.row + self.options.rows, self.column + self.options.columns


def draw_specified(spec: FigureSpec, sources: Sequence[Source], stem: Path, name: str = "figure") -> tuple[Path, ...]:
    """Draw a figure and save it with its table and provenance.

    Parameters
    ----------
    spec : FigureSpec
    sources : sequence of Source
        The runs, in the order in which panels number them.
    stem : Path
        Folder and name of the files, without ending.
    name : str, optional
        Of the specification, for messages.

    Returns
    -------
    tuple of Path
        The files.

    Raises
    ------
    RecipeError
        If a panel is of no known kind, or has a wrong key.
    DataError
        If a run does not hold what a panel shows.
    """
    cells = list(_cells(spec, name))
    count = max(cell.ends[0] for cell in cells), max(cell.ends[1] for cell in cells)
    height = spec.height or ROW_MM * count[0]
    with style(spec.width) as sheet, saved_as(spec):
        page = Page(sheet.figure(height))
        page.letters = iter([*spec.letters, *(" " * k for k in range(1, len(cells) + 1))])  # blank, but apart
        grid = page.figure.add_gridspec(*count, **_ratios(spec, count))
        colours, places, records = Colours(spec.colours), list[Place](), list[tuple[Source, ResultRecord]]()
        for number, cell in enumerate(cells, start=1):
            source = _source(sources, cell, f"{name}: panel {number}")
            at = grid[cell.row : cell.ends[0], cell.column : cell.ends[1]]
            place = Place(page, at, source, colours, spec.labels, height * cell.options.rows / count[0])
            try:
                drawn = cell.kind.draw(place, cell.options)
            except LayerscopeError as error:
                error.source = f"{name}: panel {number} ({cell.kind.name})"
                raise
            records += [(source, record) for record in drawn]
            _finish(place, cell.options, inside=spec.legend == "panels")
            places.append(place)
        _share(spec, cells, places)
        if spec.legend == "below":
            _legend_below(page, places)
        arrays = {label: file for place in places for label, file in place.arrays.items()}
        return save_figure(page.figure, stem, page.table, _provenance(spec, sources, records, arrays))


def _cells(spec: FigureSpec, name: str) -> Iterator[_Cell]:
    """Yield the panels with their places: their own, or the next one in the order of reading that is free."""
    taken: set[tuple[int, int]] = set()
    for number, raw in enumerate(spec.panels, start=1):
        where = f"{name}: panel {number}"
        kind = find_kind(parse_recipe(_Kind, {"kind": raw.get("kind")}, where).kind)
        options = parse_recipe(kind.options, raw, where)
        if options.row is not None and options.column is not None:
            cell = _Cell(kind, options, options.row - 1, options.column - 1)
        else:
            free = (
                _Cell(kind, options, k // spec.columns, k % spec.columns)
                for k in range(len(spec.panels) * spec.columns * 12)
                if options.row in (None, k // spec.columns + 1) and options.column in (None, k % spec.columns + 1)
            )
            fits = (c for c in free if c.ends[1] <= max(spec.columns, c.options.columns) and not taken & _taken(c))
            cell = next(fits)
        if taken & _taken(cell):
            raise DataError(f"row {cell.row + 1}, column {cell.column + 1} is taken", source=where)
        taken |= _taken(cell)
        yield cell


class _Kind(PanelOptions):
    """The kind of a panel, before its keys are known."""


def _taken(cell: _Cell) -> set[tuple[int, int]]:
    return {(r, c) for r in range(cell.row, cell.ends[0]) for c in range(cell.column, cell.ends[1])}


def _ratios(spec: FigureSpec, count: tuple[int, int]) -> dict[str, Any]:
    given = {"height_ratios": spec.row_heights, "width_ratios": spec.column_widths}
    for (what, shares), wanted in zip(given.items(), count, strict=True):
        if shares and len(shares) != wanted:
            raise DataError(f"{len(shares)} {what.replace('_ratios', 's')} for {wanted}", source="figure")
    return {what: list(shares) for what, shares in given.items() if shares}


def _source(sources: Sequence[Source], cell: _Cell, where: str) -> Source:
    if cell.options.run > len(sources):
        raise DataError(f"there is no run {cell.options.run}", source=where, hint=f"{len(sources)} were given")
    return sources[cell.options.run - 1]


def _finish(place: Place, options: PanelOptions, *, inside: bool) -> None:
    """Do what every panel understands: limits, labels, title, words and the legend."""
    axes = place.axes[0]
    lowest = place.axes[-1]
    if options.x is not None:
        axes.set_xlim(*options.x)
    if options.y is not None:
        axes.set_ylim(*options.y)
    if options.x_label is not None:
        lowest.set_xlabel(options.x_label)
    if options.y_label is not None:
        axes.set_ylabel(options.y_label)
    if options.title is not None:
        axes.title.set_text(place.word(options.title))
    for words in options.annotations:
        at = axes.transAxes if words.of == "panel" else axes.transData
        axes.text(
            words.x, words.y, place.word(words.text), transform=at, color=words.colour, ha=words.align, va="center"
        )  # fmt: skip
    if not options.legend:
        place.handles.clear()
    elif inside and place.handles:
        axes.legend(handles=place.handles, **{"loc": "best", "fontsize": 5.5, **place.legend_look})


def _share(spec: FigureSpec, cells: Sequence[_Cell], places: Sequence[Place]) -> None:
    """Give panels of a row, of a column, or all, the same ends of an axis, and its numbers once."""
    for along, mode in (("x", spec.share_x), ("y", spec.share_y)):
        if mode == "none":
            continue
        groups: dict[int, list[tuple[_Cell, Axes]]] = {}
        for cell, place in zip(cells, places, strict=True):
            key = {"row": cell.row, "column": cell.column}.get(mode, 0)
            groups.setdefault(key, []).append((cell, place.axes[0]))
        for group in groups.values():
            ends = [getattr(axes, f"get_{along}lim")() for _, axes in group]
            low, high = min(min(end) for end in ends), max(max(end) for end in ends)
            for cell, axes in group:
                inverted = getattr(axes, f"{along}axis_inverted")()
                getattr(axes, f"set_{along}lim")(*((high, low) if inverted else (low, high)))
                if along == "y" and cell.column > min(other.column for other, _ in group):
                    axes.tick_params(labelleft=False)
                    axes.set_ylabel("")
                if along == "x" and mode == "column" and cell.row < max(other.row for other, _ in group):
                    axes.tick_params(labelbottom=False)
                    axes.set_xlabel("")


def _legend_below(page: Page, places: Sequence[Place]) -> None:
    handles = {str(handle.get_label()): handle for place in places for handle in place.handles}
    handles.pop(" ", None)  # what fills a column up
    if handles:
        columns = min(len(handles), LEGEND_COLUMNS)
        page.figure.legend(handles=list(handles.values()), loc="outside lower center", ncols=columns, fontsize=6)


def _provenance(
    spec: FigureSpec,
    sources: Sequence[Source],
    records: Sequence[tuple[Source, ResultRecord]],
    arrays: Mapping[str, str],
) -> FigureProvenance:
    """Return records, inputs and pipelines behind the figure; of several runs each input has its run's folder."""
    inputs: dict[str, str] = {}
    for source, record in records:
        folder = f"{source.run.folder.name}/" if len(sources) > 1 else ""
        inputs |= {f"{folder}{item.path}": item.sha256 for item in record.inputs}
    return FigureProvenance(
        title=spec.title or "figure",
        record_ids=tuple(dict.fromkeys(record.record_id for _, record in records)),
        inputs=dict(sorted(inputs.items())),
        software={f"pipeline {record.method.split('.')[0]}": record.method_version for _, record in records},
        caption=spec.caption,
        notes=("bands and error bars are one standard error",),
        arrays=arrays,
    )
