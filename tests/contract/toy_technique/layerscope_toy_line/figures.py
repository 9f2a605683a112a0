"""Figures: the stack of all levels with the fitted line."""

from pathlib import Path

from layerscope.figures import PALETTE, Page, save_figure, style
from layerscope.figures.parts import StackLayout, draw_stack
from layerscope.figures.views import Spectrum, provenance
from layerscope.runs.load import Run


def draw(run: Run, folder: Path) -> list[Path]:
    """Draw one figure a series of a run."""
    files: list[Path] = []
    for name, lazy in run.arrays.items():
        arrays = lazy.load()
        spectra = [Spectrum.of(arrays, k, {"line": "line"}, name=f"{t:g} s") for k, t in enumerate(arrays.levels)]
        with style("single") as sheet:
            page = Page(sheet.figure(70.0))
            panel = page.panel(page.figure.subplots())
            draw_stack(panel, spectra, {"line": PALETTE[0]}, StackLayout(1.5, 0.5), [one.name for one in spectra])
            panel.axes.set_xlabel("Energy / eV")
            source = provenance(arrays.title, run.records, "All levels with the fitted line.")
            files += save_figure(page.figure, folder / name, page.table, source)
    return files
