"""The parts of XPS figures: stacked and single spectra and their residuals, each into one Axes.

Every function draws and returns the curves it drew, as plotted, for the table beside the figure. Words are set as the
field writes them: binding energy from high to low, formulas with subscripts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from layerscope.figures import DATA_COLOUR, GUIDE, Column, Curve

from .figure_data import RegionView

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "BACKGROUND_COLOUR",
    "FIT_COLOUR",
    "LEGEND_ROW_MM",
    "StackLayout",
    "draw_residual_map",
    "draw_residual_trace",
    "draw_spectrum",
    "draw_stack",
    "energy_axis",
    "level_names",
    "pretty",
    "stack_columns",
]

FloatArray = NDArray[np.float64]

FIT_COLOUR = "#7F7F7F"
BACKGROUND_COLOUR = "#4D4D4D"
LEGEND_ROW_MM = 2.75
_ELEMENTS = (
    "Ac|Ag|Al|Am|Ar|As|At|Au|Ba|Be|Bi|Br|Ca|Cd|Ce|Cl|Co|Cr|Cs|Cu|Dy|Er|Eu|Fe|Ga|Gd|Ge|He|Hf|Hg|Ho|In|Ir|Kr|La|Li|Lu|"
    "Mg|Mn|Mo|Na|Nb|Nd|Ne|Ni|Np|Os|Pa|Pb|Pd|Pm|Po|Pr|Pt|Pu|Ra|Rb|Re|Rh|Rn|Ru|Sb|Sc|Se|Si|Sm|Sn|Sr|Ta|Tb|Tc|Te|Th|Ti|"
    "Tl|Tm|Xe|Yb|Zn|Zr|B|C|F|H|I|K|N|O|P|S|U|V|W|Y"
)
_PART = re.compile(rf"({_ELEMENTS}|[xyz()])(\d*)")
_SUBSCRIPT = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_WORD = re.compile(r"[A-Za-z0-9()]+")


def pretty(text: str) -> str:
    """Return a name as it is printed: ``Li3InCl6`` with subscripts, ``B-O-B`` with dashes."""
    dashed = re.sub(r"(?<=[A-Za-z0-9)])-(?=[A-Za-z0-9(])", "–", text)
    return _WORD.sub(lambda match: _formula(match.group()), dashed)


def _formula(word: str) -> str:
    """Lower the digits of a chemical formula of two or more elements; leave every other word."""
    parts = _PART.findall(word)
    whole = "".join(symbol + digits for symbol, digits in parts)
    if whole != word or len({symbol for symbol, _ in parts} - set("xyz()")) < 2:
        return word
    return "".join(
        f"$_{symbol}$" if symbol in "xyz" else symbol + digits.translate(_SUBSCRIPT) for symbol, digits in parts
    )


def level_names(region: RegionView) -> list[str]:
    """Return the levels as text, no two alike; an outlier carries an asterisk."""
    series = region.series
    names = [f"{value:g} {series.level_unit}" for value in series.levels]
    names = [name if names.count(name) == 1 else f"{name}, level {k}" for k, name in enumerate(names)]
    return [f"{name}*" if outlier else name for name, outlier in zip(names, region.outliers, strict=True)]


def _energies(region: RegionView) -> list[tuple[str, FloatArray]]:
    """Return name and values of the corrected energy axis of each level; one name where the levels share it."""
    axes = [region.series.axis + shift for shift in region.correction]
    if np.ptp(region.correction) == 0.0:
        return [("binding_energy", axis) for axis in axes]
    return [(f"binding_energy at {name}", axis) for name, axis in zip(level_names(region), axes, strict=True)]


def energy_axis(axes: Axes, region: RegionView, margin: float) -> None:
    """Let the energy run from high to low, with a free margin (a share of the range) at the low end."""
    from matplotlib.ticker import MaxNLocator

    energies = [energy for _, energy in _energies(region)]
    low, high = min(e.min() for e in energies), max(e.max() for e in energies)
    axes.set_xlim(high, low - margin * (high - low))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10]))


@dataclass(frozen=True)
class StackLayout:
    """How levels are stacked; the same for all regions of a figure, so that the levels line up.

    Attributes
    ----------
    overlap : float
        Height of the strongest level in steps from one level to the next.
    headroom : float
        Room for the legend above the first level, in steps.
    """

    overlap: float
    headroom: float

    def height(self, levels: int) -> float:
        """Return the height of the whole stack in steps."""
        return levels - 1 + self.overlap * 1.05 + self.headroom + 0.25


def _floors(region: RegionView) -> FloatArray:
    """Return the level of intensity that each spectrum stands on, shape (L,)."""
    floors: FloatArray = np.minimum(region.series.background.min(axis=1), region.series.fit.min(axis=1))
    return floors


def _offsets(region: RegionView, layout: StackLayout) -> tuple[FloatArray, float]:
    """Return what is added to each level, shape (L,), and the step between levels, in the unit of intensity."""
    series = region.series
    heights = np.maximum(series.counts.max(axis=1), series.fit.max(axis=1)) - _floors(region)
    step = float(heights.max()) / layout.overlap
    ranks = np.arange(series.levels.size)[::-1]
    return ranks * step - _floors(region), step


def draw_stack(
    axes: Axes, region: RegionView, colours: Mapping[str, str], panel: str, layout: StackLayout, *, named: bool
) -> list[Curve]:
    """Draw all levels of a region above each other, the surface on top.

    Parameters
    ----------
    axes : Axes
    region : RegionView
    colours : mapping of str to str
        Species to colour.
    panel : str
        Letter of the panel.
    layout : StackLayout
    named : bool
        Whether to name the levels at the axis.

    Returns
    -------
    list of Curve
        As plotted, offsets included.
    """
    series = region.series
    offsets, step = _offsets(region, layout)
    names = level_names(region)
    curves: list[Curve] = []
    for level, (energy_name, energy) in enumerate(_energies(region)):
        curves += _draw_level(axes, region, level, offsets[level], colours, (panel, names[level], energy_name), energy)
    axes.set_ylim(-0.25 * step, (layout.height(len(names)) - 0.25) * step)
    axes.set_yticks(offsets + _floors(region), names if named else [""] * len(names))
    axes.tick_params(axis="y", length=0)
    energy_axis(axes, region, margin=0.13)
    _scale_bar(axes, step, series.intensity_unit)
    return curves


def _draw_level(
    axes: Axes,
    region: RegionView,
    level: int,
    offset: float,
    colours: Mapping[str, str],
    names: tuple[str, str, str],
    energy: FloatArray,
) -> list[Curve]:
    """Draw data, fit, background and filled components of one level."""
    series = region.series
    panel, level_name, energy_name = names
    order = 2 + 5 * level
    dense = series.levels.size > 12
    background = series.background[level] + offset
    drawn = {"data": series.counts[level] + offset, "fit": series.fit[level] + offset, "background": background}
    for species in (*region.foreign, *region.own):
        top = background + series.components[species][level]
        axes.fill_between(energy, background, top, color=colours[species], alpha=0.45, linewidth=0, zorder=order)
        axes.plot(energy, top, color=colours[species], linewidth=0.3 if dense else 0.5, zorder=order + 1)
        drawn[species] = top
    axes.plot(energy, background, color=BACKGROUND_COLOUR, linewidth=0.4, linestyle=(0, (3, 2)), zorder=order + 1)
    size = 0.9 if dense else 1.5
    axes.plot(energy, drawn["data"], ".", color=DATA_COLOUR, markersize=size, markeredgewidth=0, zorder=order + 2)
    axes.plot(energy, drawn["fit"], color=FIT_COLOUR, linewidth=0.4 if dense else 0.55, zorder=order + 3)
    unit = series.intensity_unit
    words = "intensity, offset" if offset else "intensity"
    return [
        Curve(panel, f"{level_name}: {label}", energy, y, energy_name, series.axis_unit, words, unit)
        for label, y in drawn.items()
    ]


def _scale_bar(axes: Axes, step: float, unit: str) -> None:
    """Draw a bar of a round number of counts into the free margin at the low-energy side."""
    exponent = 10.0 ** np.floor(np.log10(0.9 * step))
    length = max(m * exponent for m in (1.0, 2.0, 5.0) if m * exponent <= 0.9 * step)
    transform = axes.get_yaxis_transform()
    axes.plot([0.955, 0.955], [0.0, length], color="black", linewidth=0.8, transform=transform, label=GUIDE)
    axes.text(
        0.94, 0.0, f"{length:,.12g} {unit}".replace(",", " "), transform=transform, rotation=90, fontsize=5,
        ha="right", va="bottom",
    )  # fmt: skip


def stack_columns(region: RegionView, panel: str, layout: StackLayout | None) -> list[Column]:
    """Return what the curves of a stack leave unsaid: the levels, their offsets and their charge correction."""
    offsets = np.zeros(region.series.levels.size) if layout is None else _offsets(region, layout)[0]
    return [
        Column.labels(f"{panel}: level", level_names(region)),
        Column.numbers(f"{panel}: offset of the level", region.series.intensity_unit, offsets),
        Column.numbers(f"{panel}: charge correction of the level", "eV", region.correction),
    ]


def _residual_curves(region: RegionView, panel: str) -> list[Curve]:
    return [
        Curve(panel, f"{name}: residual", energy, residual, energy_name, "eV", "residual / sigma", "1")
        for name, (energy_name, energy), residual in zip(
            level_names(region), _energies(region), region.series.residual, strict=True
        )
    ]


def draw_residual_map(axes: Axes, region: RegionView, panel: str, *, named: bool) -> list[Curve]:
    """Draw the residuals of all levels as rows of colour, the surface on top, with a scale in the free margin."""
    from matplotlib.colors import Normalize

    residual = region.series.residual
    levels = residual.shape[0]
    far = float(np.quantile(np.abs(residual), 0.995))
    limit = next((x for x in (4.0, 6.0, 10.0, 20.0, 50.0, 100.0) if far <= x), 10.0 ** np.ceil(np.log10(far)))
    norm = Normalize(-limit, limit)
    mesh = None
    for level, (_, energy) in enumerate(_energies(region)):
        edges = np.concatenate([energy[:1], 0.5 * (energy[1:] + energy[:-1]), energy[-1:]])
        rows = np.array([levels - level - 0.5, levels - level + 0.5])
        mesh = axes.pcolormesh(edges, rows, residual[level][None, :], cmap="PuOr", norm=norm, rasterized=True)
    axes.set_ylim(0.5, levels + 0.5)
    axes.set_yticks([])
    energy_axis(axes, region, margin=0.13)
    if named:
        axes.set_ylabel("Residual / σ", rotation=90)
    scale = axes.inset_axes((0.945, 0.08, 0.03, 0.84))
    assert mesh is not None  # noqa: S101 - a series has at least one level
    bar = axes.figure.colorbar(mesh, cax=scale, ticks=[-limit, 0.0, limit])
    bar.outline.set_linewidth(0.3)
    bar.ax.yaxis.set_ticks_position("left")
    bar.ax.tick_params(labelsize=5, length=1, width=0.3, pad=0.5)
    bar.ax.set_yticklabels([f"−{limit:g}", "0", f"{limit:g}"])
    return _residual_curves(region, panel)


def draw_spectrum(
    axes: Axes, region: RegionView, colours: Mapping[str, str], panel: str, headroom: float
) -> list[Curve]:
    """Draw one level on its true scale, with `headroom` (a share of the panel) free above it."""
    name, energy = _energies(region)[0]
    curves = _draw_level(axes, region, 0, 0.0, colours, (panel, level_names(region)[0], name), energy)
    series = region.series
    low = float(min(_floors(region)[0], series.counts.min()))
    high = float(max(series.counts.max(), series.fit.max()))
    axes.set_ylim(low - 0.05 * (high - low), low + (high - low) * 1.04 / (1.0 - headroom))
    axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 4), useMathText=True)
    axes.yaxis.get_offset_text().set_fontsize(5)
    energy_axis(axes, region, margin=0.0)
    axes.margins(x=0.0)
    return curves


def draw_residual_trace(axes: Axes, region: RegionView, panel: str, *, named: bool) -> list[Curve]:
    """Draw the residual of a single level in units of sigma."""
    curves = _residual_curves(region, panel)
    residual = region.series.residual[0]
    reach = max(4.0, float(np.abs(residual).max()) * 1.1)
    axes.axhspan(-2.0, 2.0, color="#DDDDDD", linewidth=0, label=GUIDE)
    axes.axhline(0.0, color=FIT_COLOUR, linewidth=0.5)
    axes.plot(np.asarray(curves[0].x), residual, ".", color=DATA_COLOUR, markersize=1.1, markeredgewidth=0)
    axes.set_ylim(-reach, reach)
    axes.set_yticks([-3.0, 0.0, 3.0] if reach < 9.0 else [-round(0.6 * reach), 0.0, round(0.6 * reach)])
    energy_axis(axes, region, margin=0.0)
    if named:
        axes.set_ylabel("Residual / σ")
    return curves
