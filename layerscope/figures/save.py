"""Save a figure with its numbers and its origin: five files, byte for byte the same on every run."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import DataError, StoreError
from layerscope.measured.files import write_atomic
from layerscope.options import FigureOptions
from layerscope.version import __version__

from .coverage import unlisted_artists
from .repeated import SETTLED, repeated_cheaply
from .style import millimetres, sheets
from .table import FigureTable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .once import NotingCanvas

__all__ = ["FigureProvenance", "save_figure", "saved_as"]

MOST_LAYOUTS = 10


@dataclass(frozen=True)
class FigureProvenance:
    """Where a figure comes from.

    Attributes
    ----------
    title : str
        What the figure shows, in one line.
    record_ids : tuple of str
        The result records that it draws.
    inputs : mapping of str to str
        Raw files, path relative to the recipe to SHA-256.
    software : mapping of str to str
        Program or pipeline to version; layerscope, matplotlib, numpy and Python are added when saving.
    caption : str
        Text for below the figure.
    notes : tuple of str
        Anything a reader must know, e.g. what a band means.
    arrays : mapping of str to str
        Label of an image to the array of the run that it shows, ``arrays/a.grids.nxs#/entry/map/data``.
    """

    title: str
    record_ids: tuple[str, ...] = ()
    inputs: Mapping[str, str] = field(default_factory=dict)
    software: Mapping[str, str] = field(default_factory=dict)
    caption: str = ""
    notes: tuple[str, ...] = ()
    arrays: Mapping[str, str] = field(default_factory=dict)


_ASKED: ContextVar[FigureOptions] = ContextVar("options of figures", default=FigureOptions())  # noqa: B039 - frozen


@contextmanager
def saved_as(options: FigureOptions) -> Iterator[None]:
    """Save the figures inside a ``with`` block in these formats and at this resolution."""
    before = _ASKED.set(options)
    try:
        yield
    finally:
        _ASKED.reset(before)


def save_figure(figure: Figure, stem: Path, table: FigureTable, provenance: FigureProvenance) -> tuple[Path, ...]:
    """Write ``stem.pdf``, ``.svg``, ``.png`` (as `saved_as` says), ``.csv`` and ``.json``, each whole or not at all.

    The files hold no date, host or absolute path, so that the same records give the same bytes on the same versions.
    The JSON names record ids, hashes of the inputs and of the other files, and the versions used.

    Parameters
    ----------
    figure : Figure
        A ``matplotlib.figure.Figure``, best made inside :func:`layerscope.figures.style`.
    stem : Path
        Folder and name without ending; the folder is made when it is missing.
    table : FigureTable
        Every plotted point.
    provenance : FigureProvenance
        Records, inputs and programs behind the figure.

    Returns
    -------
    tuple of Path
        The files, in the order above.

    Raises
    ------
    DataError
        When a plotted point is missing from the table, or an input path is absolute.
    StoreError
        When a file cannot be written.
    """
    stem = Path(stem)
    unlisted = unlisted_artists(figure, table, provenance.arrays)
    if unlisted:
        raise DataError(
            f"plotted points are missing from the figure table: {unlisted[0]} ({len(unlisted)} artists in all)",
            source=stem,
            hint="add the column as plotted, name the array of an image, or start the label of a guide with '_guide'",
        )
    for path in provenance.inputs:
        if PurePosixPath(path).is_absolute() or PureWindowsPath(path).is_absolute():
            raise DataError("a figure names its inputs relative to the recipe, not by absolute path", source=path)
    try:
        stem.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"the folder cannot be made: {error.strerror}", source=stem.parent) from error
    contents = _draw(figure, provenance)
    contents["csv"] = table.to_csv().encode()
    contents["json"] = _describe(figure, stem.name, table, provenance, contents)
    paths = {ending: stem.parent / f"{stem.name}.{ending}" for ending in contents}
    for ending, content in contents.items():
        write_atomic(paths[ending], content)
    return tuple(paths.values())


def _draw(figure: Figure, provenance: FigureProvenance) -> dict[str, bytes]:
    """Return the figure as PDF, SVG and PNG; it is laid out and drawn once, so that the three agree."""
    from matplotlib import style as mpl_style

    title, description = provenance.title, "records: " + " ".join(provenance.record_ids)
    sheet = mpl_style.context([*map(str, sheets()), {"figure.constrained_layout.use": False}], after_reset=True)
    with sheet, repeated_cheaply(figure):
        engine = figure.get_layout_engine()
        canvas = _settle(figure)
        figure.set_layout_engine(None)  # not "none": of a placeholder a dry draw would be made first
        try:
            canvas.draw()
        finally:
            figure.set_layout_engine(engine)
        written: dict[str, Callable[[], bytes]] = {
            "pdf": lambda: canvas.pdf({"Title": title, "Subject": description, "CreationDate": None}),
            "svg": lambda: canvas.svg({"Title": title, "Description": description, "Date": None}),
            "png": lambda: canvas.png({"Title": title, "Description": description}),
        }
        return {ending: written[ending]() for ending in written if ending in _ASKED.get().formats}


def _settle(figure: Figure) -> NotingCanvas:
    """Lay the figure out until nothing moves any more.

    Constrained layout starts from the last places and approaches its end only step by step: it has to be asked again,
    and a step that moves nothing visible is not taken, so that a figure saved twice gives the same bytes. Rounding
    (2 µm on 183 mm) takes away what differs between processors. The layout asks only for the size of things: nothing
    is drawn. Returned is the canvas of the layout.
    """
    from .once import NotingCanvas

    figure.set_dpi(_ASKED.get().dpi)
    canvas = NotingCanvas.of(figure)
    engine = figure.get_layout_engine()
    if engine is None:
        return canvas
    places = _places(figure)
    for _ in range(MOST_LAYOUTS):
        engine.execute(figure)
        moved = _places(figure)
        if np.abs(moved - places).max(initial=0.0) < SETTLED:
            break
        places = moved
    for axes, place in zip(figure.get_axes(), places, strict=True):
        left, bottom, width, height = (round(value, 5) for value in place.tolist())
        takes_part = axes.get_in_layout()
        axes.set_position((left, bottom, width, height))
        axes.set_in_layout(takes_part)  # set_position takes the axes out of later layouts
    return canvas


def _places(figure: Figure) -> NDArray[np.float64]:
    """Return left, bottom, width and height of all axes in shares of the page, shape (n, 4)."""
    places = [axes.get_position(original=True).bounds for axes in figure.get_axes()]
    return np.array(places, dtype=np.float64).reshape(-1, 4)


def _describe(
    figure: Figure, name: str, table: FigureTable, provenance: FigureProvenance, contents: Mapping[str, bytes]
) -> bytes:
    """Return the provenance as canonical JSON: sorted keys, no NaN, a line feed at the end."""
    import matplotlib

    width, height = millimetres(figure)
    document: dict[str, Any] = {
        "figure": name,
        "title": provenance.title,
        "caption": provenance.caption,
        "notes": list(provenance.notes),
        "records": list(provenance.record_ids),
        "inputs": dict(provenance.inputs),
        **({"arrays": dict(provenance.arrays)} if provenance.arrays else {}),
        "software": {
            **provenance.software,
            "layerscope": __version__,
            "matplotlib": matplotlib.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "size_mm": [round(width, 2), round(height, 2)],
        "columns": [{"name": column.name, "unit": column.unit, "rows": len(column.cells)} for column in table.columns],
        "files": {f"{name}.{ending}": hashlib.sha256(content).hexdigest() for ending, content in contents.items()},
    }
    return (json.dumps(document, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
