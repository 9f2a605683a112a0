"""Figures: the stack of all levels with the fitted line."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from layerscope.figures import PALETTE, Drawing, Page, save_figure, style
from layerscope.figures.parts import StackLayout, draw_stack
from layerscope.figures.views import Spectrum, provenance
from layerscope.records import ResultRecord
from layerscope.runs.arrays import SeriesArrays
from layerscope.runs.load import Run


def draw(run: Run, folder: Path) -> Iterator[Drawing]:
    """Yield one figure a series of a run."""
    for name, lazy in run.arrays.items():
        yield Drawing.by(_draw_stack, folder / name, lazy.load(), run.records)


def _draw_stack(arrays: SeriesArrays, records: Sequence[ResultRecord], stem: Path) -> tuple[Path, ...]:
    spectra = [Spectrum.of(arrays, k, {"line": "line"}, name=f"{t:g} s") for k, t in enumerate(arrays.levels)]
    with style("single") as sheet:
        page = Page(sheet.figure(70.0))
        panel = page.panel(page.figure.subplots())
        draw_stack(panel, spectra, {"line": PALETTE[0]}, StackLayout(1.5, 0.5), [one.name for one in spectra])
        panel.axes.set_xlabel("Energy / eV")
        source = provenance(arrays.title, records, "All levels with the fitted line.")
        return save_figure(page.figure, stem, page.table, source)
