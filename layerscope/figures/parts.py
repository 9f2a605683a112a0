"""Parts of figures around measured curves: spectra with their fits, stacks, residuals, maps, and their legends.

Every function draws into a panel that it is given and puts what it drew into the table of its page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .coverage import GUIDE
from .page import Panel, Scale
from .style import DATA_COLOUR
from .views import Spectrum
from .words import minus, printed_unit

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize
    from matplotlib.image import AxesImage
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

__all__ = [
    "BACKGROUND_COLOUR",
    "BACKGROUND_DASHES",
    "FIT_COLOUR",
    "StackLayout",
    "component_handles",
    "draw_map",
    "draw_residual_map",
    "draw_residuals",
    "draw_spectra",
    "draw_stack",
    "edges",
    "in_columns",
    "in_powers_of_ten",
    "kind_handles",
    "slim",
    "thinned",
]

FloatArray = NDArray[np.float64]

FIT_COLOUR = "#7F7F7F"
BACKGROUND_COLOUR = "#4D4D4D"
BACKGROUND_DASHES = (0, (3, 2))
FILL = 0.45
"""Opacity of filled components, on the page and in legends."""
DENSE = 12
"""Curves above each other from which lines are thinner."""
RASTER_FROM = 10_000
"""Dots from which they are saved as an image: as single shapes they would make the file slow to open."""
FINER = 8
"""Columns of a residual map a measured point, where every level is shifted."""
_ROUND = tuple(step * 10.0**power for power in range(1, 8) for step in (0.5, 1.0, 2.0))


def thinned(count: int, most: int) -> NDArray[np.intp]:
    """Return evenly spaced row numbers, at most `most` of `count`."""
    return np.arange(0, count, max(1, -(-count // most)))


def draw_spectra(
    panel: Panel, spectra: Sequence[Spectrum], offsets: Sequence[float], colours: Mapping[str, str]
) -> None:
    """Draw data, fit, background and filled components of curves, each with an offset.

    Equal parts of all curves are one artist: a stack of a hundred levels costs little more than one of ten.
    """
    from matplotlib.collections import LineCollection, PolyCollection

    drawn: dict[str, list[FloatArray]] = {}
    filled: dict[str, list[FloatArray]] = {}
    for spectrum, offset in zip(spectra, offsets, strict=True):
        base = spectrum.background + offset
        lines = {"data": spectrum.data + offset, "fit": spectrum.fit + offset, "background": base}
        lines |= {label: base + part for label, part in spectrum.components.items()}
        scales = spectrum.scale, Scale("intensity, offset" if offset else "intensity", spectrum.unit)
        for label, y in lines.items():
            panel.add(f"{spectrum.name}: {label}" if spectrum.name else label, spectrum.x, y, scales)
            drawn.setdefault(label, []).append(np.column_stack([spectrum.x, y]))
        for label in spectrum.components:
            outline = [drawn[label][-1], np.column_stack([spectrum.x, base])[::-1]]
            filled.setdefault(label, []).append(np.concatenate(outline))
    axes, thin = panel.axes, len(spectra) > DENSE
    for label, areas in filled.items():
        style: dict[str, Any] = {"facecolors": (colours[label], FILL), "linewidths": 0, "zorder": 2}
        axes.add_collection(PolyCollection(areas, label=label, **style))
    dots, fits, grounds = (drawn.pop(kind) for kind in ("data", "fit", "background"))
    for label, tops in drawn.items():
        width = 0.3 if thin else 0.5
        axes.add_collection(LineCollection(tops, colors=colours[label], linewidths=width, zorder=3, label=label))
    for label, rows, colour, width, dashes, order in (
        ("background", grounds, BACKGROUND_COLOUR, 0.4, BACKGROUND_DASHES, 3),
        ("fit", fits, FIT_COLOUR, 0.4 if thin else 0.55, "-", 5),
    ):
        style = {"colors": colour, "linewidths": width, "linestyles": [dashes], "zorder": order}
        axes.add_collection(LineCollection(rows, label=label, **style))
    draw_dots(axes, np.concatenate(dots), 0.9 if thin else 1.5, zorder=4)


def draw_dots(axes: Axes, points: FloatArray, size: float, **style: Any) -> None:
    """Draw measured points, shape (n, 2), as dots."""
    axes.plot(
        *points.T, ".", color=DATA_COLOUR, markersize=size, markeredgewidth=0, label="data",
        rasterized=len(points) >= RASTER_FROM, **style,
    )  # fmt: skip


@dataclass(frozen=True)
class StackLayout:
    """How curves are stacked; the same for all panels of a figure, so that the levels line up.

    Attributes
    ----------
    overlap : float
        Height of the strongest curve in steps from one level to the next.
    headroom : float
        Room for the legend above the first level, in steps.
    """

    overlap: float
    headroom: float

    def height(self, levels: int) -> float:
        """Return the height of the whole stack in steps."""
        return levels - 1 + self.overlap * 1.05 + self.headroom + 0.25

    def offsets(self, spectra: Sequence[Spectrum]) -> tuple[FloatArray, float]:
        """Return what is added to each curve, the first on top, and the step between levels."""
        floors = np.array([spectrum.floor for spectrum in spectra])
        step = float(max(spectrum.top - spectrum.floor for spectrum in spectra)) / self.overlap
        return np.arange(len(spectra))[::-1] * step - floors, step


def draw_stack(
    panel: Panel, spectra: Sequence[Spectrum], colours: Mapping[str, str], layout: StackLayout, names: Sequence[str]
) -> None:
    """Draw curves above each other, the first on top, with a bar for the scale in the margin to the right.

    Parameters
    ----------
    panel : Panel
    spectra : sequence of Spectrum
    colours : mapping of str to str
        Component to colour.
    layout : StackLayout
    names : sequence of str
        What stands at the axis beside each curve.
    """
    axes = panel.axes
    offsets, step = layout.offsets(spectra)
    draw_spectra(panel, spectra, offsets.tolist(), colours)
    axes.set_ylim(-0.25 * step, (layout.height(len(spectra)) - 0.25) * step)
    axes.set_yticks(np.arange(len(spectra))[::-1] * step, names)
    axes.tick_params(axis="y", length=0)
    exponent = 10.0 ** np.floor(np.log10(0.9 * step))
    length = max(m * exponent for m in (1.0, 2.0, 5.0) if m * exponent <= 0.9 * step)
    along = axes.get_yaxis_transform()
    axes.plot([0.955, 0.955], [0.0, length], color="black", linewidth=0.8, transform=along, label=GUIDE)
    text = f"{length:,.12g} {printed_unit(spectra[0].unit)}"
    axes.text(
        0.94, 0.0, text.strip().replace(",", " "), transform=along, rotation=90, fontsize=5,
        ha="right", va="bottom",
    )  # fmt: skip


def in_powers_of_ten(axes: Axes) -> None:
    """Let large numbers of the axis upwards be multiples of a power of ten, which stands above it."""
    axes.yaxis.set_major_formatter(_powers()())
    axes.yaxis.get_offset_text().set_fontsize(5)


@cache
def _powers() -> Any:
    from matplotlib.ticker import ScalarFormatter

    class Powers(ScalarFormatter):
        """Writes letters; matplotlib's own writes formulas, which cost ten times as much to set."""

        def __init__(self) -> None:
            super().__init__(useOffset=False)
            self.set_powerlimits((-2, 4))

        def get_offset(self) -> str:
            return minus(super().get_offset().replace("−", "-")).removeprefix("1")

    return Powers


# --- residuals ---------------------------------------------------------------------------------------------------


def _list_residual(panel: Panel, spectrum: Spectrum) -> None:
    label = f"{spectrum.name}: residual" if spectrum.name else "residual"
    panel.add(label, spectrum.x, spectrum.residual, (spectrum.scale, Scale("residual / sigma", "1")))


def draw_residuals(panel: Panel, spectrum: Spectrum, *, line: bool = False) -> None:
    """Draw data minus fit in units of sigma, as dots or as a line, with a band of two sigma."""
    axes = panel.axes
    _list_residual(panel, spectrum)
    reach = max(4.0, float(np.nanmax(np.abs(spectrum.residual))) * 1.1)
    axes.axhspan(-2.0, 2.0, color="#DDDDDD", linewidth=0, label=GUIDE)
    axes.axhline(0.0, color=FIT_COLOUR, linewidth=0.5)
    if line:
        axes.plot(spectrum.x, spectrum.residual, color=DATA_COLOUR, linewidth=0.35)
    else:
        draw_dots(axes, np.column_stack([spectrum.x, spectrum.residual]), 1.1)
    axes.set_ylim(-reach, reach)
    mark = 3.0 if reach < 9.0 else max(m for m in _ROUND if m < 0.85 * reach)
    axes.set_yticks([-mark, 0.0, mark], [f"−{mark:g}", "0", f"{mark:g}"])


def draw_residual_map(panel: Panel, spectra: Sequence[Spectrum]) -> None:
    """Draw the residuals of all levels as rows of colour, the first on top, with a scale in the margin to the right."""
    from matplotlib.colors import Normalize

    axes, levels = panel.axes, len(spectra)
    for spectrum in spectra:
        _list_residual(panel, spectrum)
    residual = np.stack([spectrum.residual for spectrum in spectra])
    far = float(np.nanquantile(np.abs(residual), 0.995))
    limit = next((x for x in (4.0, 6.0, 10.0, 20.0, 50.0, 100.0) if far <= x), 10.0 ** np.ceil(np.log10(far)))
    # one image although every row may have an x of its own: each is read off at the places of a finer axis
    borders = [edges(spectrum.x) for spectrum in spectra]
    fine = np.linspace(min(b.min() for b in borders), max(b.max() for b in borders), FINER * residual.shape[1] + 1)
    middle, values = 0.5 * (fine[1:] + fine[:-1]), np.full((levels, fine.size - 1), np.nan)
    for row, (border, of_level) in enumerate(zip(borders, residual, strict=True)):
        order = slice(None) if border[0] < border[-1] else slice(None, None, -1)
        place = np.searchsorted(border[order], middle) - 1
        inside = (place >= 0) & (place < of_level.size)
        values[levels - 1 - row, inside] = of_level[order][place[inside]]
    rows, norm = np.arange(levels + 1.0) + 0.5, Normalize(-limit, limit)
    draw_map(axes, fine, rows, values, "PuOr", norm)
    axes.set_ylim(0.5, levels + 0.5)
    axes.set_yticks([])
    bar = axes.inset_axes((0.945, 0.08, 0.03, 0.84))  # a scale of its own: a colour bar would be a second image
    shades = np.linspace(-limit, limit, 129)
    draw_map(bar, np.array([0.0, 1.0]), shades, 0.5 * (shades[1:] + shades[:-1])[:, None], "PuOr", norm)
    bar.set_xticks([])
    bar.set_yticks([-limit, 0.0, limit], [f"−{limit:g}", "0", f"{limit:g}"])
    slim(bar, length=1.0, pad=0.5)


# --- maps --------------------------------------------------------------------------------------------------------


def edges(centres: FloatArray) -> FloatArray:
    """Return the borders of cells around their centres, shape (n + 1,) of (n,)."""
    if centres.size == 1:
        return np.array([centres[0] - 0.5, centres[0] + 0.5])
    middle = 0.5 * (centres[1:] + centres[:-1])
    return np.concatenate([[2.0 * centres[0] - middle[0]], middle, [2.0 * centres[-1] - middle[-1]]])


def draw_map(axes: Axes, x: FloatArray, y: FloatArray, values: FloatArray, colours: str, norm: Normalize) -> AxesImage:
    """Draw rows of values between the borders x and y as an image; NaN is left free.

    An image, even where its cells differ in size: a mesh would be drawn as single shapes, or on an image of the page.
    """
    return axes.pcolorfast(x, y, np.ma.masked_invalid(values), cmap=colours, norm=norm)  # type: ignore[return-value]


def slim(bar: Axes, length: float = 1.5, pad: float = 1.0) -> None:
    """Give the axes of a colour scale thin lines and small numbers."""
    for spine in bar.spines.values():
        spine.set_linewidth(0.3)
    bar.tick_params(labelsize=5, length=length, width=0.3, pad=pad)


# --- legends -----------------------------------------------------------------------------------------------------


def kind_handles() -> list[Line2D]:
    """Return the legend of data, fit and background."""
    from matplotlib.lines import Line2D

    dots: dict[str, Any] = {"marker": ".", "markersize": 2.5, "markeredgewidth": 0, "linestyle": ""}
    return [
        Line2D([], [], color=DATA_COLOUR, label="data", **dots),
        Line2D([], [], color=FIT_COLOUR, linewidth=0.7, label="fit"),
        Line2D([], [], color=BACKGROUND_COLOUR, linewidth=0.5, linestyle=BACKGROUND_DASHES, label="background"),
    ]


def in_columns(*columns: Sequence[Artist]) -> list[Artist]:
    """Return the entries of a legend of as many columns, each filled up with empty ones."""
    from matplotlib.lines import Line2D

    rows = max(map(len, columns))
    return [
        handle
        for column in columns
        for handle in (*column, *(Line2D([], [], linestyle="", label=" ") for _ in range(rows - len(column))))
    ]


def component_handles(names: Mapping[str, str]) -> list[Patch]:
    """Return the legend of filled components: printed name to colour."""
    from matplotlib.patches import Patch

    return [Patch(facecolor=(colour, FILL), edgecolor=colour, label=name) for name, colour in names.items()]
