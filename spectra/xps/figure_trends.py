"""Panels along the levels: shares of species, areas and atomic fractions, with errors, limits and marked times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from layerscope.figures import Page, Panel, Scale
from layerscope.figures.courses import (
    Look,
    draw_course,
    draw_intervals,
    draw_limits,
    limit_handle,
    line_handles,
    spread,
)
from layerscope.figures.parts import thinned
from layerscope.figures.views import Points
from layerscope.figures.words import legible, printed_unit

from .figure_data import ProfileView, RegionView

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.gridspec import SubplotSpec

__all__ = [
    "ALONE",
    "JOINED",
    "LEGEND_ROW_MM",
    "MOST_POINTS",
    "Trend",
    "depth_axis",
    "draw_composition",
    "draw_fractions",
    "draw_shares",
    "draw_trends",
    "level_limits",
    "share_limits",
    "trends_beside",
]

FloatArray = NDArray[np.float64]

JOINED = Look("", band=0.2, bars=0.5)
ALONE = Look("", line="", open=True, edge=0.5, bars=0.4)
MARKERS = "osD^vPX*h"
MOST_POINTS = 100  # along the levels: markers and bars of more cover each other
LEGEND_ROW_MM = 2.75
DEPTH_AXIS_PT = 19.0  # height of a second axis above a panel
FLAT_MM = 22.0  # panels below this height have fewer ticks and smaller words


@dataclass(frozen=True)
class Trend:
    """A panel beside the stacks: shares of a region, areas where it has none, or the atomic fractions (no region)."""

    weight: float
    region: RegionView | None = None


def trends_beside(profile: ProfileView, regions: Sequence[RegionView], *, first: bool) -> list[Trend]:
    """Return the panels beside the stacks, the main region's first; areas only where there is nothing else to show."""
    found: list[Trend] = []
    composed = first and bool(profile.composition)
    for place, region in enumerate(regions):
        if region.series.levels.size > 1 and (region.joint or (region.areas and not composed)):
            found.append(Trend(2.3 if first and place == 0 and region.joint else 1.0, region))
        if place == 0 and composed and profile.composition_times.size > 1:
            found.append(Trend(1.25))
    return found


def draw_trends(
    page: Page,
    profile: ProfileView,
    colours: Mapping[str, str],
    trends: Sequence[Trend],
    cell: SubplotSpec,
    height_mm: float,
) -> None:
    """Draw the panels beside the stacks, from the top down, on one axis of levels.

    Parameters
    ----------
    page : Page
    profile : ProfileView
    colours : mapping of str to str
        Species, and ``at.% <element>``, to colour.
    trends : sequence of Trend
    cell : SubplotSpec
        Where they go.
    height_mm : float
        Height of that place.
    """
    weights = [trend.weight for trend in trends]
    grid = cell.subgridspec(len(trends), 1, height_ratios=weights)
    deep = bool(profile.etch_rate_nm_s) and profile.scale.name == "etch_time"
    panels = page.column(grid, profile.scale.label)
    level_limits(panels[0], profile)
    for row, (axes, trend) in enumerate(zip(panels, trends, strict=True)):
        panel = page.panel(axes, pad=DEPTH_AXIS_PT if deep and row == 0 else 3.0)
        panel_mm = (height_mm - 5.0 * len(trends)) * trend.weight / sum(weights)
        if trend.region is None:
            draw_composition(panel, profile, colours, panel_mm)
        elif trend.region.joint:
            draw_shares(panel, profile, trend.region, colours, panel_mm, explain=row == 0)
        else:
            _draw_areas(panel, profile, trend.region, colours, panel_mm)
        if panel_mm < FLAT_MM:
            axes.yaxis.label.set_fontsize(6)
    if deep:
        depth_axis(panels[0], float(profile.etch_rate_nm_s or 1.0))


def depth_axis(axes: Axes, rate: float) -> None:
    """Give a panel of etch times (s) a second axis above it, of depths (nm) at a rate in nm/s."""
    depth = axes.secondary_xaxis("top", functions=(partial(np.multiply, rate), partial(np.multiply, 1.0 / rate)))
    depth.set_xlabel("Depth / nm")
    axes.tick_params(top=False)


def draw_shares(
    panel: Panel,
    profile: ProfileView,
    region: RegionView,
    colours: Mapping[str, str],
    panel_mm: float,
    *,
    explain: bool,
) -> None:
    """Draw the shares of the species of a region, with intervals and what the markers mean where there is room."""
    axes, times, up = panel.axes, region.series.levels, Scale("fraction", "1")
    every = [*region.joint.values(), *region.single.values()]
    draw_fractions(panel, times, region.joint, _looks(JOINED, colours), (profile.scale, up))
    if region.single:
        beside = times + 0.018 * np.ptp(axes.get_xlim())
        looks = _looks(ALONE, colours)
        draw_fractions(panel, beside, region.single, looks, (profile.scale, up), ", each level alone")
    axes.set_ylabel(f"Share of {region.name}")
    kinks = sorted(region.kinks, key=lambda kink: np.ptp(kink.span))[:4] if explain else []
    kinks = sorted(kinks, key=lambda kink: kink.span[0])
    above_mm = _marker_legend(axes, every, alone=bool(region.single)) if explain else 0.0
    low, high = share_limits(every)
    above_mm = max(above_mm, 1.4)  # clear of the ticks of an axis above
    free = (above_mm + len(kinks) * LEGEND_ROW_MM + (1.0 if kinks else 0.0)) / panel_mm
    if any(p.limited.any() for p in every):
        low -= (high - low) * 2.0 / panel_mm  # room for the arrows of limits near zero
    axes.set_ylim(low, low + (high - low) / (1.0 - free))
    axes.set_yticks([0.0, 0.5, 1.0] if panel_mm < 25.0 else [0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    draw_intervals(axes, kinks, colours, LEGEND_ROW_MM / panel_mm, above_mm / panel_mm)


def _draw_areas(
    panel: Panel, profile: ProfileView, region: RegionView, colours: Mapping[str, str], panel_mm: float
) -> None:
    """Draw the areas of the species of a region that has no shares to show, with their limits."""
    unit, points = region.series.area_unit, list(region.areas.values())
    scales = profile.scale, Scale("fraction", unit)
    draw_fractions(panel, region.series.levels, region.areas, _looks(JOINED, colours), scales)
    panel.axes.set_ylabel(f"Area of {region.name} / {printed_unit(unit)}")
    above_mm = _marker_legend(panel.axes, points)
    _value_limits(panel.axes, points, _highest(points) / (1.0 - above_mm / panel_mm), panel_mm)


def draw_composition(
    panel: Panel,
    profile: ProfileView,
    colours: Mapping[str, str],
    panel_mm: float,
    among: Sequence[ProfileView] = (),
) -> None:
    """Draw the atomic fractions, each element named at the end of its line.

    Parameters
    ----------
    panel : Panel
    profile : ProfileView
    colours : mapping of str to str
        ``at.% <element>`` to colour.
    panel_mm : float
        Height of the panel.
    among : sequence of ProfileView, optional
        Profiles that share the scale.
    """
    axes, names = panel.axes, list(profile.composition)
    looks = {
        name: replace(JOINED, colour=colours[f"at.% {name}"], marker=MARKERS[k % len(MARKERS)])
        for k, name in enumerate(names)
    }
    scales = profile.scale, Scale("fraction", "%")
    draw_fractions(panel, profile.composition_times, profile.composition, looks, scales)
    shown = [points for one in (among or (profile,)) for points in one.composition.values()]
    _value_limits(axes, shown, _highest(shown), panel_mm)
    axes.set_ylabel("Atomic fraction / %")
    bottom, ceiling = axes.get_ylim()
    last = [_last(points) for points in profile.composition.values()]
    fractions = [(value - bottom) / (ceiling - bottom) for value in last]
    for name, place in zip(names, spread(fractions, 2.5 / panel_mm, 0.03, 0.97), strict=True):
        colour = legible(looks[name].colour)
        axes.text(1.02, place, name, transform=axes.transAxes, color=colour, va="center", ha="left")


def _looks(look: Look, colours: Mapping[str, str]) -> dict[str, Look]:
    return {name: replace(look, colour=colour) for name, colour in colours.items()}


def draw_fractions(
    panel: Panel,
    x: FloatArray,
    points: Mapping[str, Points],
    looks: Mapping[str, Look],
    scales: tuple[Scale, Scale],
    kind: str = "",
) -> None:
    """Draw fractions against the levels, and upper limits as bars with an arrow down; of many levels `MOST_POINTS`.

    Parameters
    ----------
    panel : Panel
    x : ndarray, shape (L,)
        Levels as plotted.
    points : mapping of str to Points
        Species or element to values.
    looks : mapping of str to Look
    scales : (Scale, Scale)
        Of the levels and of the fractions.
    kind : str, optional
        What the table says of all of them.
    """
    rows = thinned(x.size, MOST_POINTS)
    x = x[rows]
    for label, whole in points.items():
        p = replace(whole, value=whole.value[rows], sigma=whole.sigma[rows], limit=whole.limit[rows])
        draw_course(panel, x, p, f"{label}{kind}", scales, looks[label])
        if p.limited.any():
            words = f"{label}{kind}: upper limit at {100 * p.confidence:g} %"
            draw_limits(panel, x, p, words, scales, looks[label])


def level_limits(axes: Axes, profile: ProfileView) -> None:
    """Let an axis of levels show all levels of a profile."""
    from matplotlib.ticker import MaxNLocator

    times = np.concatenate([region.series.levels for region in profile.regions])
    margin = 0.05 * (np.ptp(times) or 1.0)
    axes.set_xlim(times.min() - margin, times.max() + margin)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))


def _highest(points: Iterable[Points]) -> float:
    """Return the highest end of an error bar, or limit."""
    return max(float(np.nanmax(np.fmax(p.high, p.limit))) for p in points)


def _value_limits(axes: Axes, points: Iterable[Points], top: float, panel_mm: float) -> None:
    """Let the axis run from zero to `top`, with room below for the arrows of limits near zero."""
    limited = any(p.limited.any() for p in points)
    axes.set_ylim(-(0.04 + (2.0 / panel_mm if limited else 0.0)) * top, 1.05 * top)


def share_limits(points: Sequence[Points]) -> tuple[float, float]:
    """Return limits that show zero, one and every value with its error, cut where errors are hopeless."""
    lows = [np.nanmin(np.append(p.low, 0.0)) for p in points]
    highs = [np.nanmax(np.append(np.fmax(p.high, p.limit), 1.0)) for p in points]
    return max(min(lows), -0.4) - 0.05, min(max(highs), 1.4) + 0.05


def _marker_legend(axes: Axes, points: Sequence[Points], *, alone: bool = False) -> float:
    """Explain filled and open markers and limits in one row at the top; return the height taken (mm)."""
    dots = {"marker": "o", "markersize": 2.6, "linestyle": "", "markeredgewidth": 0.5}
    handles = line_handles({"joint": "#4D4D4D", "alone": "#4D4D4D"}, **dots) if alone else []
    for handle in handles[1:]:
        handle.set_markerfacecolor("white")
    limits = [p.confidence for p in points if p.limited.any()]
    handles += [limit_handle(f"limit, {100 * limits[0]:g} %")] if limits else []
    if not handles:
        return 0.0
    axes.legend(
        handles=handles, loc="upper center", ncols=len(handles), fontsize=5.5, handlelength=0.8, borderaxespad=0.2,
        columnspacing=0.8,
    )  # fmt: skip
    return LEGEND_ROW_MM + 0.6


def _last(points: Points) -> float:
    """Return the last value or limit."""
    shown = np.where(points.known, points.value, points.limit)
    return float(shown[np.isfinite(shown)][-1])
