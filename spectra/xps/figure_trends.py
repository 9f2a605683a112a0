"""Panels along the levels: shares of species, areas and atomic fractions, with errors, limits and marked times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from layerscope.figures import GUIDE, Curve, Page

from .figure_data import Kink, Points, ProfileView, RegionView
from .figure_parts import LEGEND_ROW_MM, pretty

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.gridspec import SubplotSpec

__all__ = [
    "ELEMENT_COLOURS",
    "Trend",
    "draw_composition",
    "draw_fractions",
    "draw_kinks",
    "draw_trends",
    "level_axis",
    "level_limits",
    "share_limits",
    "spread",
    "trends_beside",
]

FloatArray = NDArray[np.float64]

ELEMENT_COLOURS = ("#332288", "#117733", "#882255", "#999933", "#AA4499", "#44AA99", "#CC6677", "#88CCEE", "#DDCC77")
"""Paul Tol's *muted* set for elements, apart from the colours of species."""
MARKERS = "osD^vPX*h"
DEPTH_AXIS_PT = 19.0  # height of a second axis above a panel
MAX_PANEL_MM = 45.0  # height of a panel where there is room for more


@dataclass(frozen=True)
class Trend:
    """A panel beside the stacks: shares or areas of a region, or the atomic fractions (no region)."""

    weight: float
    kind: Literal["shares", "areas", "composition"]
    region: RegionView | None = None


def trends_beside(profile: ProfileView, regions: Sequence[RegionView], *, first: bool) -> list[Trend]:
    """Return the panels beside the stacks, the main region's first; areas only where there is nothing else to show."""
    found: list[Trend] = []
    for place, region in enumerate(regions):
        if region.series.levels.size > 1 and region.has_shares:
            found.append(Trend(2.3 if first and place == 0 else 1.0, "shares", region))
        elif region.series.levels.size > 1 and region.areas and not (first and profile.composition):
            found.append(Trend(1.0, "areas", region))
        if place == 0 and first and profile.composition and profile.composition_times.size > 1:
            found.append(Trend(1.25, "composition"))
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
    spare = max(height_mm / (MAX_PANEL_MM + 5.0) - len(trends), 0.0) * min(weights)  # few panels do not fill the column
    grid = cell.subgridspec(len(trends) + 1, 1, height_ratios=[*weights, max(spare, 1e-6)])
    total = sum(weights) + spare
    deep = bool(profile.etch_rate_nm_s) and profile.regions[0].series.level_name != "time"
    top: Axes | None = None
    panels: list[Axes] = []
    for row, trend in enumerate(trends):
        axes = page.figure.add_subplot(grid[row, 0], sharex=top)
        if top is None:
            top = axes
            level_limits(axes, profile)
        panels.append(axes)
        letter = page.letter(axes, pad=DEPTH_AXIS_PT if deep and row == 0 else 3.0)
        panel_mm = (height_mm - 5.0 * len(trends)) * trend.weight / total
        if trend.region is None:
            draw_composition(page, axes, profile, colours, letter, panel_mm)
        elif trend.kind == "areas":
            _draw_areas(page, axes, profile, trend.region, colours, letter, panel_mm)
        else:
            _draw_shares(page, axes, profile, trend.region, colours, letter, panel_mm, explain=row == 0)
        if row == len(trends) - 1:
            axes.set_xlabel(profile.level_words)
        else:
            axes.tick_params(labelbottom=False)
    page.figure.align_ylabels(panels)
    if top is not None and deep:
        rate = float(profile.etch_rate_nm_s or 1.0)
        depth = top.secondary_xaxis("top", functions=(partial(np.multiply, rate), partial(np.multiply, 1.0 / rate)))
        depth.set_xlabel("Depth / nm")
        top.tick_params(top=False)


def _draw_shares(
    page: Page,
    axes: Axes,
    profile: ProfileView,
    region: RegionView,
    colours: Mapping[str, str],
    letter: str,
    panel_mm: float,
    *,
    explain: bool,
) -> None:
    """Draw the shares of the species of a region, with intervals and what the markers mean where there is room."""
    times = region.series.levels
    words = (*level_axis(profile), "1")
    page.curves += draw_fractions(axes, times, region.joint, colours, letter, words)
    if region.single:
        beside = times + 0.018 * np.ptp(axes.get_xlim())
        page.curves += draw_fractions(axes, beside, region.single, colours, letter, words, alone=True)
    axes.set_ylabel(f"Share of {region.name}")
    kinks = sorted(region.kinks, key=lambda kink: kink.high - kink.low)[:4] if explain else ()
    kinks = sorted(kinks, key=lambda kink: kink.low)
    above_mm = _marker_legend(axes, region.joint.values(), region.single.values()) if explain else 0.0
    low, high = share_limits([*region.joint.values(), *region.single.values()])
    above_mm = max(above_mm, 1.4)  # clear of the ticks of an axis above
    free = (above_mm + len(kinks) * LEGEND_ROW_MM + (1.0 if kinks else 0.0)) / panel_mm
    if any(np.isfinite(p.limit).any() for p in (*region.joint.values(), *region.single.values())):
        low -= (high - low) * 2.0 / panel_mm  # room for the arrows of limits near zero
    axes.set_ylim(low, low + (high - low) / (1.0 - free))
    axes.set_yticks([0.0, 0.5, 1.0] if panel_mm < 25.0 else [0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    if kinks:
        draw_kinks(axes, kinks, colours, panel_mm, above_mm)


def _draw_areas(
    page: Page,
    axes: Axes,
    profile: ProfileView,
    region: RegionView,
    colours: Mapping[str, str],
    letter: str,
    panel_mm: float,
) -> None:
    """Draw the areas of the species of a region that has no shares to show, with their limits."""
    unit = region.series.area_unit
    words = (*level_axis(profile), unit)
    page.curves += draw_fractions(axes, region.series.levels, region.areas, colours, letter, words)
    axes.set_ylabel(f"Area of {region.name} / {unit.replace('*', ' ')}")
    above_mm = _marker_legend(axes, region.areas.values())
    top = _highest(region.areas.values()) / (1.0 - above_mm / panel_mm)
    _value_limits(axes, region.areas.values(), top, panel_mm)


def draw_composition(
    page: Page,
    axes: Axes,
    profile: ProfileView,
    colours: Mapping[str, str],
    letter: str,
    panel_mm: float,
    among: Sequence[ProfileView] = (),
) -> None:
    """Draw the atomic fractions, each element named at the end of its line.

    Parameters
    ----------
    page : Page
    axes : Axes
    profile : ProfileView
    colours : mapping of str to str
        ``at.% <element>`` to colour.
    letter : str
        Letter of the panel.
    panel_mm : float
        Height of the panel.
    among : sequence of ProfileView, optional
        Profiles that share the scale.
    """
    names = list(profile.composition)
    own = {name: colours[f"at.% {name}"] for name in names}
    marker = {name: MARKERS[k % len(MARKERS)] for k, name in enumerate(names)}
    words = (*level_axis(profile), "%")
    times = profile.composition_times
    page.curves += draw_fractions(axes, times, profile.composition, own, letter, words, marker=marker)
    shown = [points for one in (among or (profile,)) for points in one.composition.values()]
    _value_limits(axes, shown, _highest(shown), panel_mm)
    axes.set_ylabel("Atomic fraction / %")
    bottom, ceiling = axes.get_ylim()
    last = [_last(points) for points in profile.composition.values()]
    fractions = [(value - bottom) / (ceiling - bottom) for value in last]
    for name, place in zip(names, spread(fractions, 2.5 / panel_mm, 0.03, 0.97), strict=True):
        axes.text(1.02, place, name, transform=axes.transAxes, color=own[name], va="center", ha="left")


def draw_fractions(
    axes: Axes,
    times: FloatArray,
    points: Mapping[str, Points],
    colours: Mapping[str, str],
    panel: str,
    words: tuple[str, str, str],
    *,
    marker: Mapping[str, str] | None = None,
    alone: bool = False,
    lines: bool = True,
) -> list[Curve]:
    """Draw fractions against the levels: bands and bars of one sigma, upper limits as bars with an arrow down.

    Parameters
    ----------
    axes : Axes
    times : ndarray, shape (L,)
        Levels as plotted.
    points : mapping of str to Points
        Species or element to values.
    colours : mapping of str to str
    panel : str
        Letter of the panel.
    words : tuple of str
        Name of the level axis, its unit, and the unit of the fractions.
    marker : mapping of str to str, optional
        Marker of each; circles when not given.
    alone : bool, optional
        Open markers without lines and bands, for fits of each level alone.
    lines : bool, optional
        Whether to join the points, and to draw bands.
    """
    curves = []
    level_name, level_unit, unit = words
    kind = ", each level alone" if alone else ""
    for label, p in points.items():
        colour = colours[label]
        symbol = (marker or {}).get(label, "o")
        low, high = p.value - p.sigma, p.value + p.sigma
        style: dict[str, Any] = {"color": colour, "elinewidth": 0.5, "capthick": 0.5, "markersize": 2.6}
        if alone:
            style |= {"fmt": symbol, "markerfacecolor": "white", "markeredgewidth": 0.5, "elinewidth": 0.4, "zorder": 3}
        else:
            style |= {"fmt": f"{symbol}-" if lines else symbol, "markeredgewidth": 0.0, "linewidth": 0.6, "zorder": 4}
        if lines and not alone:
            axes.fill_between(times, low, high, color=colour, alpha=0.2, linewidth=0, zorder=2)
        axes.errorbar(times, p.value, yerr=p.sigma, **style)
        curves.append(
            Curve(panel, f"{label}{kind}", times, p.value, level_name, level_unit, "fraction", unit, low, high)
        )
        if np.isfinite(p.limit).any():
            _draw_limits(axes, times, p.limit, colour, alone)
            limit = f"{label}{kind}: upper limit at {100 * p.confidence:g} %"
            curves.append(Curve(panel, limit, times, p.limit, level_name, level_unit, "fraction", unit))
    return curves


def _draw_limits(axes: Axes, times: FloatArray, limits: FloatArray, colour: str, alone: bool) -> None:
    axes.plot(times, limits, "_", color=colour, markersize=4, markeredgewidth=0.5 if alone else 0.9, zorder=5)
    for x, y in zip(times, limits, strict=True):
        if np.isfinite(y):
            arrow = {
                "arrowstyle": "<|-,head_width=0.12,head_length=0.22",
                "color": colour, "linewidth": 0.4 if alone else 0.7, "shrinkA": 0.0, "shrinkB": 0.0,
                "fill": not alone, "mutation_scale": 8,
            }  # fmt: skip
            axes.annotate("", (x, y), (0.0, -6.5), textcoords="offset points", arrowprops=arrow, zorder=5)


def draw_kinks(
    axes: Axes, kinks: Sequence[Kink], colours: Mapping[str, str], height_mm: float, below_mm: float
) -> None:
    """Shade intervals of onset and saturation, and name each in a row of its own at the top of the panel."""
    low, high = sorted(axes.get_xlim())
    for row, kink in enumerate(kinks):
        colour = colours[kink.species]
        axes.axvspan(kink.low, kink.high, color=colour, alpha=0.13, linewidth=0, zorder=0, label=GUIDE)
        place = (0.5 * (kink.low + kink.high) - low) / (high - low)
        side = "left" if place < 0.45 else "right" if place > 0.55 else "center"
        edge = {"left": kink.low, "right": kink.high, "center": 0.5 * (kink.low + kink.high)}[side]
        axes.text(
            min(max((edge - low) / (high - low), 0.02), 0.98),
            1.0 - (below_mm + (row + 0.15) * LEGEND_ROW_MM) / height_mm,
            f"{pretty(kink.species)} {kink.text}",
            transform=axes.transAxes, fontsize=5.5, color=colour, ha=side, va="top",
        )  # fmt: skip


def spread(places: Sequence[float], least: float, low: float, high: float) -> list[float]:
    """Return the places moved apart to at least `least`, in the same order, within low and high where they fit.

    Parameters
    ----------
    places : sequence of float
        Wanted places, in any order.
    least : float
        Smallest distance between two.
    low, high : float
        Range to stay in.
    """
    order = sorted(range(len(places)), key=lambda k: places[k])
    moved = list(places)
    for before, k in zip([None, *order], order, strict=False):
        floor = low if before is None else moved[before] + least
        moved[k] = max(places[k], floor)
    ceiling = high
    for k in reversed(order):
        moved[k] = min(moved[k], ceiling)
        ceiling = moved[k] - least
    return moved


def level_limits(axes: Axes, profile: ProfileView) -> None:
    """Let an axis of levels show all levels of a profile."""
    from matplotlib.ticker import MaxNLocator

    times = np.concatenate([region.series.levels for region in profile.regions])
    margin = 0.05 * (np.ptp(times) or 1.0)
    axes.set_xlim(times.min() - margin, times.max() + margin)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))


def level_axis(profile: ProfileView) -> tuple[str, str]:
    """Return name and unit of the levels."""
    series = profile.regions[0].series
    return series.level_name, series.level_unit


def _highest(points: Iterable[Points]) -> float:
    """Return the highest end of an error bar, or limit."""
    return max(float(np.nanmax(np.fmax(p.value + p.sigma, p.limit))) for p in points)


def _value_limits(axes: Axes, points: Iterable[Points], top: float, panel_mm: float) -> None:
    """Let the axis run from zero to `top`, with room below for the arrows of limits near zero."""
    limited = any(np.isfinite(p.limit).any() for p in points)
    axes.set_ylim(-(0.04 + (2.0 / panel_mm if limited else 0.0)) * top, 1.05 * top)


def share_limits(points: Sequence[Points]) -> tuple[float, float]:
    """Return limits that show zero, one and every value with its error, cut where errors are hopeless."""
    lows = [np.nanmin(np.append(p.value - p.sigma, 0.0)) for p in points]
    highs = [np.nanmax(np.append(np.fmax(p.value + p.sigma, p.limit), 1.0)) for p in points]
    return max(min(lows), -0.4) - 0.05, min(max(highs), 1.4) + 0.05


def _marker_legend(axes: Axes, joint: Iterable[Points], single: Iterable[Points] = ()) -> float:
    """Explain filled and open markers and limits in one row at the top; return the height taken (mm)."""
    from matplotlib.lines import Line2D

    alone = list(single)
    points = [*joint, *alone]
    limits = [p.confidence for p in points if np.isfinite(p.limit).any()]
    handles = []
    if alone:
        look = {"color": "#4D4D4D", "marker": "o", "markersize": 2.6, "linestyle": "", "markeredgewidth": 0.5}
        handles.append(Line2D([], [], label="joint", **look))  # type: ignore[arg-type]
        handles.append(Line2D([], [], markerfacecolor="white", label="alone", **look))  # type: ignore[arg-type]
    if limits:
        text = f"limit, {100 * limits[0]:g} %"
        handles.append(
            Line2D(
                [],
                [],
                color="#4D4D4D",
                marker=r"$\downarrow$",
                markersize=4,
                linestyle="",
                markeredgewidth=0,
                label=text,
            )
        )
    if not handles:
        return 0.0
    axes.legend(
        handles=handles, loc="upper center", ncols=len(handles), fontsize=5.5, handlelength=0.8, borderaxespad=0.2,
        columnspacing=0.8,
    )  # fmt: skip
    return LEGEND_ROW_MM + 0.6


def _last(points: Points) -> float:
    """Return the last value or limit."""
    shown = np.where(np.isfinite(points.value), points.value, points.limit)
    return float(shown[np.isfinite(shown)][-1])
