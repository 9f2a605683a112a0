"""A figure of a run as a specification says, or of what is chosen, shown in a notebook and kept as files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from layerscope.figures.specified import Source, draw_chosen
from layerscope.runs.load import Run

__all__ = ["Drawn", "draw_figure"]


class Drawn:
    """The files of a figure, which a notebook shows.

    Attributes
    ----------
    files : tuple of Path
        The figure in each format, its points as csv, and where it comes from as json.
    kept : object
        What keeps the files, where they lie in a temporary folder.
    """

    def __init__(self, files: tuple[Path, ...], kept: object) -> None:
        self.files, self.kept = files, kept

    def __repr__(self) -> str:
        return f"<Drawn: {', '.join(map(str, self.files))}>"

    def _repr_png_(self) -> bytes | None:
        found = [path for path in self.files if path.suffix == ".png"]
        return found[0].read_bytes() if found else None


def draw_figure(
    run: Run, spec: Path | None, stem: Path, kept: object, choice: Mapping[str, Any], page: Mapping[str, Any]
) -> Drawn:
    """Draw a figure of one run, see `layerscope.figures.specified.draw_chosen`."""
    return Drawn(draw_chosen([Source(run)], spec, stem, choice, page), kept)
