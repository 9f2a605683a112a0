"""Maps: one number at every place of a spectrum image, as arrays of a run and as a figure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from layerscope.figures import Drawing, Page, Scale, save_figure, style
from layerscope.figures.parts import draw_map, edges, slim
from layerscope.figures.views import provenance
from layerscope.measured.series import MeasuredSeries
from layerscope.records import ResultRecord
from layerscope.runs.arrays import SeriesArrays
from layerscope.runs.pipeline import RunContext

from .places import Scan
from .spectrum import SpectrumImage

__all__ = ["MAP", "draw_maps", "one_map", "rows_of_image"]

FloatArray = NDArray[np.float64]

MAP = "map"
"""What the arrays of a map say of their fit."""
MOST_COLUMNS = 4


def rows_of_image(scan: Scan) -> np.ndarray | None:
    """Return the spectra of all places of the image of a scan, shape (rows * columns, n); None where it has no map."""
    image = scan.measured.image
    return None if image is None or 1 in scan.measured.places else image.reshape(-1, image.shape[-1])


def one_map(
    context: RunContext,
    series: MeasuredSeries[SpectrumImage],
    scan: Scan,
    name: str,
    label: str,
    values: FloatArray,
    variance: FloatArray,
    unit: str,
) -> SeriesArrays:
    """Return one map as arrays: its rows are levels.

    Parameters
    ----------
    context : RunContext
    series : MeasuredSeries
    scan : Scan
        Whose image was mapped.
    name, label : str
        Of the arrays, and of what is mapped.
    values, variance : ndarray, shape (rows * columns,)
    unit : str
        Of the values.
    """
    one = scan.measured
    rows, columns = one.places
    steps = [float(step) if np.isfinite(step) else 1.0 for step in one.step_nm]
    length = "nm" if np.isfinite(one.step_nm).all() else "1"
    shown = values.reshape(rows, columns)
    return SeriesArrays(
        name=f"{name}_{label.replace(' ', '_')}",
        technique=context.pipeline.technique,
        title=f"{series.sample}: {label}",
        sample=series.sample,
        axis=steps[1] * np.arange(columns, dtype=float),
        axis_name="x",
        axis_unit=length,
        levels=steps[0] * np.arange(rows, dtype=float),
        level_name="y",
        level_unit=length,
        counts=shown,
        variance=variance.reshape(rows, columns),
        fit=shown.copy(),
        background=np.zeros_like(shown),
        residual=np.zeros_like(shown),
        area_unit=unit,
        metadata={"fit": MAP, "line": label, "unit": unit},
        base=context.base,
    )


def draw_maps(
    arrays: Sequence[SeriesArrays], records: Sequence[ResultRecord], name: str, folder: Path
) -> Iterator[Drawing]:
    """Yield the maps of a scan beside each other; nothing where it has none.

    Parameters
    ----------
    arrays : sequence of SeriesArrays
        Of a run; those of other scans are left out.
    records : sequence of ResultRecord
        That the figure rests on.
    name : str
        Name of the scan.
    folder : Path
    """
    maps = [one for one in arrays if one.metadata.get("fit") == MAP and one.name.startswith(f"{name}_map_")]
    if maps:
        yield Drawing.by(_maps_figure, folder / f"{name}_maps", maps, records, name)


def _maps_figure(
    maps: Sequence[SeriesArrays], records: Sequence[ResultRecord], name: str, stem: Path
) -> tuple[Path, ...]:
    from matplotlib.colors import Normalize

    columns = min(len(maps), MOST_COLUMNS)
    rows = -(-len(maps) // columns)
    ratio = maps[0].counts.shape[0] / maps[0].counts.shape[1]
    height = float(np.clip(170.0 / columns * 0.75 * ratio + 12.0, 24.0, 60.0))
    with style("double") as sheet:
        page = Page(sheet.figure(min(height * rows + 4.0, 240.0)))
        cells = page.figure.subplots(rows, columns, squeeze=False)
        for axes in cells.flat[len(maps) :]:
            axes.set_visible(False)
        for axes, one in zip(cells.flat, maps, strict=False):
            panel = page.panel(axes, str(one.metadata["line"]))
            scales = Scale("x", one.axis_unit), Scale("net intensity", str(one.metadata["unit"]))
            for level, row in zip(one.levels, one.counts, strict=True):
                panel.add(f"{one.metadata['line']} at y = {level:.6g}", one.axis, row, scales)
            norm = Normalize(0.0, max(float(np.nanmax(one.counts)), 1.0))
            image = draw_map(axes, edges(one.axis), edges(one.levels), one.counts, "viridis", norm)
            axes.set_aspect("equal")
            axes.invert_yaxis()
            slim(page.figure.colorbar(image, ax=axes, shrink=0.8).ax)
            unit = one.axis_unit.replace("1", "place")
            axes.set_xlabel(f"x / {unit}")
            axes.set_ylabel(f"y / {unit}")
        caption = "Net intensity of every place; negative ones, which are noise about nothing, have the colour of zero."
        return save_figure(page.figure, stem, page.table, provenance(name, records, caption))
