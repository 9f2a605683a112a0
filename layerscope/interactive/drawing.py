"""Pictures for a notebook, of the parts that the figures of runs are made of."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from layerscope.figures import PALETTE, Page, Panel, Scale, style
from layerscope.figures.parts import (
    StackLayout,
    component_handles,
    draw_residual_map,
    draw_residuals,
    draw_spectra,
    draw_stack,
    kind_handles,
    thinned,
)
from layerscope.figures.style import MM_PER_INCH
from layerscope.figures.views import Spectrum, colours_apart
from layerscope.figures.words import printed, printed_unit
from layerscope.measured.measurement import Measurement

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from layerscope.runs.nexus import LazySeries

__all__ = ["draw_fit", "draw_measurements"]

WIDTH_MM, PANEL_MM, MOST_PANELS, MOST_CURVES, DPI = 110.0, 48.0, 6, 40, 160


class ShownFigure(Figure):
    """A figure that a notebook shows without pyplot."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=DPI)
        return buffer.getvalue()


def _figure(width_mm: float, height_mm: float) -> ShownFigure:
    return ShownFigure(figsize=(width_mm / MM_PER_INCH, height_mm / MM_PER_INCH), layout="constrained")


def _axis_label(name: str, unit: str) -> str:
    words = name.replace("two_theta", "2θ").replace("_", " ")
    return f"{words[:1].upper()}{words[1:]} / {printed_unit(unit)}" if unit not in ("", "1") else words


def _orient(axes: Axes, name: str) -> None:
    """Let binding energies run from high to low, as the field draws them."""
    if name == "binding_energy" and not axes.xaxis_inverted():
        axes.invert_xaxis()


def draw_measurements(measurements: Sequence[Measurement]) -> Figure:
    """Draw curves, those of one label in one panel, or images beside each other.

    Parameters
    ----------
    measurements : sequence of Measurement

    Returns
    -------
    Figure
        At most six panels, and forty curves in each, evenly chosen.
    """
    pictures = [one for one in measurements if one.picture is not None][:MOST_PANELS]
    groups: dict[tuple[str, str, str], list[Measurement]] = {}
    for one in measurements:
        if one.picture is None:
            groups.setdefault((one.label, one.axis_name, one.axis_unit), []).append(one)
    shown = list(groups.items())[:MOST_PANELS]
    count = len(pictures) + len(shown)
    columns = min(count, 2)
    rows = -(-count // columns)
    with style():
        figure = _figure(WIDTH_MM if columns == 1 else 1.6 * WIDTH_MM, PANEL_MM * rows * (1.4 if pictures else 1.0))
        panels = iter(figure.subplots(rows, columns, squeeze=False).ravel())
        for one in pictures:
            _draw_picture(next(panels), one)
        for (label, name, unit), curves in shown:
            _draw_curves(next(panels), curves, label, _axis_label(name, unit), name)
        for axes in panels:
            axes.set_visible(False)
    return figure


def _draw_curves(axes: Axes, curves: Sequence[Measurement], title: str, label: str, name: str) -> None:
    chosen = [curves[k] for k in thinned(len(curves), MOST_CURVES)]
    from matplotlib import colormaps

    shades = colormaps["viridis"](np.linspace(0.0, 0.85, len(chosen)))
    for one, shade in zip(chosen, shades, strict=True):
        axes.plot(one.axis, one.intensity, color=shade if len(chosen) > 1 else "black", linewidth=0.7)
    units = {one.intensity_unit for one in curves}
    axes.set_ylabel(next(iter(units)).capitalize() if len(units) == 1 else "Intensity")
    axes.set_xlabel(label)
    axes.set_title(f"{title}, {len(curves)} curves" if title and len(curves) > 1 else title)
    _orient(axes, name)


def _draw_picture(axes: Axes, one: Measurement) -> None:
    picture = one.picture
    assert picture is not None  # noqa: S101 - chosen so
    rows, columns = picture.values.shape
    low, high = np.nanquantile(picture.values, (0.002, 0.998))
    extent = (0.0, columns * picture.step[1], rows * picture.step[0], 0.0)
    axes.imshow(picture.values, cmap="gray", vmin=low, vmax=high, extent=extent, interpolation="nearest")
    axes.set_xlabel(f"x / {picture.unit}")
    axes.set_ylabel(f"y / {picture.unit}")
    axes.set_title(one.sample or one.source)


def draw_fit(arrays: LazySeries) -> Figure:
    """Draw a fitted series: its levels above each other with their residuals as a map, or a single level.

    Parameters
    ----------
    arrays : LazySeries

    Returns
    -------
    Figure
        Energies as measured.
    """
    loaded: Any = arrays.load()
    labels = {label: label for label in loaded.components}
    colours = colours_apart([list(labels)], PALETTE)
    names = [f"{value:g} {loaded.level_unit}".removesuffix(" 1") for value in loaded.levels]
    scale = Scale(loaded.axis_name, loaded.axis_unit, _axis_label(loaded.axis_name, loaded.axis_unit))
    many = loaded.levels.size > 1
    rows = thinned(loaded.levels.size, MOST_CURVES)
    spectra = [Spectrum.of(loaded, int(k), labels, scale=scale, name=names[k] if many else "") for k in rows]
    with style():
        stack_mm = float(np.clip(11.0 * len(spectra), 70.0, 150.0)) if many else 60.0
        figure = _figure(WIDTH_MM, stack_mm + 26.0)
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[stack_mm, 14.0])
        page = Page(figure)
        panel, below = Panel(page, upper, "fit"), Panel(page, lower, "residual")
        if many:
            draw_stack(panel, spectra, colours, StackLayout(1.2, 1.2), [spectrum.name for spectrum in spectra])
            draw_residual_map(below, spectra)
            upper.set_ylabel(f"{loaded.intensity_unit.capitalize()}, offset by {loaded.level_name.replace('_', ' ')}")
        else:
            draw_spectra(panel, spectra, [0.0], colours)
            draw_residuals(below, spectra[0])
            upper.set_ylabel(loaded.intensity_unit.capitalize())
            upper.margins(y=0.08)
        lower.set_ylabel("Residual / σ")
        lower.set_xlabel(scale.label)
        _orient(lower, loaded.axis_name)
        handles = [*kind_handles(), *component_handles({printed(label): colours[label] for label in labels})]
        upper.legend(handles=handles, loc="upper left", ncols=2, fontsize=5.5)
        upper.set_title(printed(loaded.title or loaded.sample))
    return figure
