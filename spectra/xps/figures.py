"""Figures of an XPS run, drawn from its records and arrays alone: one a profile, and one that sets samples side by side."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np

from layerscope.figures import DATA_COLOUR, Column, Curve, FigureProvenance, FigureTable, save_figure, style

from .figure_data import LARGEST_SHARE_SIGMA, Points, ProfileView, RegionView, collect_profiles, species_colours
from .figure_parts import (
    BACKGROUND_COLOUR,
    ELEMENT_COLOURS,
    FIT_COLOUR,
    LEGEND_ROW_MM,
    MARKERS,
    StackLayout,
    draw_fractions,
    draw_kinks,
    draw_residual_map,
    draw_residual_trace,
    draw_spectrum,
    draw_stack,
    pretty,
    spread,
    stack_columns,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from layerscope.runs.load import Run

__all__ = ["draw_profiles"]

MAX_COLUMNS = 4
"""Regions beside each other in one figure; more go into further figures."""
MAX_SAMPLES = 5
"""Samples beside each other in the overview."""


@dataclass
class Page:
    """One figure while it is drawn: its table, its letters, and what it rests on."""

    figure: Figure
    curves: list[Curve] = field(default_factory=list)
    columns: list[Column] = field(default_factory=list)
    letters: Iterator[str] = field(default_factory=lambda: iter(string.ascii_lowercase))

    def letter(self, axes: Axes, title: str = "") -> str:
        """Give a panel the next letter, bold at its upper left corner."""
        letter = next(self.letters)
        axes.set_title(letter, loc="left", fontweight="bold", fontsize=7)
        if title:
            axes.set_title(title, fontsize=7)
        return letter

    @property
    def table(self) -> FigureTable:
        """Every plotted point."""
        return FigureTable((*FigureTable.from_curves(self.curves).columns, *self.columns))


def draw_profiles(run: Run, folder: Path) -> list[Path]:
    """Draw the figures of a run.

    Parameters
    ----------
    run : Run
        A finished run; only its records and arrays are used.
    folder : Path
        Where the figures go: ``<recipe>_<series>_profile``, further ones of the same profile ending in ``_2``, ``_3``;
        and ``<recipe>_overview`` where a recipe has several series. Each as pdf, svg, png, csv and json.

    Returns
    -------
    list of Path
        All files written; empty when no region could be fitted.

    Raises
    ------
    StoreError
        If arrays of the run are missing or damaged, or a figure cannot be written.
    """
    profiles = collect_profiles(run)
    colours = species_colours(profiles)
    elements = list(dict.fromkeys(element for profile in profiles for element in profile.composition))
    colours |= {f"at.% {e}": ELEMENT_COLOURS[k % len(ELEMENT_COLOURS)] for k, e in enumerate(elements)}
    files: list[Path] = []
    for profile in profiles:
        stem = folder / f"{profile.base}_{profile.label}_profile"
        for number, regions in enumerate(_pages(profile.regions), start=1):
            target = stem if number == 1 else stem.with_name(f"{stem.name}_{number}")
            files += _profile_figure(profile, regions, colours, target, first=number == 1)
    for base in dict.fromkeys(profile.base for profile in profiles):
        own = [profile for profile in profiles if profile.base == base]
        for number, start in enumerate(range(0, len(own), MAX_SAMPLES), start=1):
            some = own[start : start + MAX_SAMPLES]
            if len(own) > 1 and any(p.composition or p.regions[0].has_shares for p in some):
                name = f"{base}_overview" if number == 1 else f"{base}_overview_{number}"
                files += _overview_figure(some, colours, folder / name)
    return files


def _pages(regions: Sequence[RegionView]) -> list[Sequence[RegionView]]:
    """Split the regions evenly into figures of at most MAX_COLUMNS."""
    count = -(-len(regions) // MAX_COLUMNS)
    bounds = [-(-len(regions) * k // count) for k in range(count + 1)]
    return [regions[a:b] for a, b in zip(bounds[:-1], bounds[1:], strict=True)]


def _provenance(profiles: Sequence[ProfileView], regions: Sequence[RegionView], caption: str) -> FigureProvenance:
    records = [record for region in regions for record in region.records]
    records += [record for profile in profiles for record in profile.records]
    notes = [
        f"shares known worse than {LARGEST_SHARE_SIGMA:g}, or below a limit above 1, are not drawn",
        "error bars and bands are one standard error; limits are one-sided at the stated confidence",
    ]
    if any(any(region.outliers) for region in regions):
        notes.append("levels with an asterisk are flagged as outliers in their records")
    return FigureProvenance(
        title="; ".join(profile.sample for profile in profiles),
        record_ids=tuple(dict.fromkeys(record.record_id for record in records)),
        inputs={item.path: item.sha256 for record in records for item in record.inputs},
        software={f"pipeline {r.method.split('.')[0]}": r.method_version for r in records[:1]},
        caption=caption,
        notes=tuple(notes),
    )


def _profile_figure(
    profile: ProfileView, regions: Sequence[RegionView], colours: Mapping[str, str], stem: Path, *, first: bool
) -> tuple[Path, ...]:
    """Draw one figure of a profile: its regions, and beside them what they say along the levels."""
    with style("double") as sheet:
        if all(region.series.levels.size == 1 for region in regions):
            page = Page(sheet.figure(62.0))
            _draw_single(page, profile, regions, colours, first=first)
            caption = _single_caption(profile, regions)
        else:
            stack_mm = float(np.clip(13.0 * max(r.series.levels.size for r in regions), 66.0, 125.0))
            trends = _trends(profile, regions, first=first)
            stack_mm = max(stack_mm, 26.0 * len(trends) - 20.0)
            page = Page(sheet.figure(stack_mm + 32.0))
            _draw_profile(page, profile, regions, colours, trends, stack_mm)
            caption = _profile_caption(profile, regions)
        page.figure.suptitle(pretty(profile.sample))
        return save_figure(page.figure, stem, page.table, _provenance([profile], regions, caption))


def _spectra_words(regions: Sequence[RegionView]) -> str:
    corrected = any(np.any(region.correction != 0.0) for region in regions)
    return "Data (dots), fit (grey line), components (filled), background (dashed), and residuals below. " + (
        "Energies are charge-corrected. " if corrected else "Energies are as measured. "
    )


def _profile_caption(profile: ProfileView, regions: Sequence[RegionView]) -> str:
    words = f"{profile.sample}: {', '.join(region.name for region in regions)} against {profile.level_words.split(' /')[0].lower()}"
    caption = f"{words}; levels offset, the first on top, the bar gives the scale. {_spectra_words(regions)}"
    if any(region.single for region in regions):
        caption += "Filled markers: joint fit of all levels; open markers: each level alone, set off to the right. "
    return caption + "Bars with an arrow down: upper limits. Shaded: 68 % intervals."


def _single_caption(profile: ProfileView, regions: Sequence[RegionView]) -> str:
    return f"{profile.sample}: {', '.join(r.name for r in regions)}. {_spectra_words(regions)}Grey band: two sigma."


# --- profiles of several levels ---------------------------------------------------------------------------------------

Trend = tuple[float, Callable[["Page", "Axes", float], None]]


def _trends(
    profile: ProfileView, regions: Sequence[RegionView], *, first: bool
) -> list[tuple[float, RegionView | None]]:
    """Return the panels beside the stacks with their relative heights; None stands for the atomic fractions."""
    found: list[tuple[float, RegionView | None]] = []
    for place, region in enumerate(regions):
        if region.has_shares and region.series.levels.size > 1:
            found.append((1.9 if first and place == 0 else 1.0, region))
        if place == 0 and first and profile.composition and profile.composition_times.size > 1:
            found.append((1.25, None))
    return found


def _draw_profile(
    page: Page,
    profile: ProfileView,
    regions: Sequence[RegionView],
    colours: Mapping[str, str],
    trends: Sequence[tuple[float, RegionView | None]],
    stack_mm: float,
) -> None:
    widths = [1.3 if k == 0 and len(regions) > 1 else 1.0 for k in range(len(regions))]
    trend_width = {1: 1.1, 2: 1.5}.get(len(regions), 1.55)
    outer = page.figure.add_gridspec(
        1, 2 if trends else 1, width_ratios=[sum(widths), trend_width] if trends else [1.0]
    )
    left = outer[0].subgridspec(2, len(regions), width_ratios=widths, height_ratios=[stack_mm, 14.0])
    rows = _legend_rows(regions)
    overlap = 1.0 if max(r.series.levels.size for r in regions) <= 12 else 1.6
    legend_mm = rows * LEGEND_ROW_MM + 1.0
    most = max(region.series.levels.size for region in regions)
    steps = StackLayout(overlap, 0.0).height(most)
    layout = StackLayout(overlap, legend_mm * steps / (stack_mm - 6.0 - legend_mm))
    same = all(np.array_equal(r.series.levels, regions[0].series.levels) for r in regions)
    for column, region in enumerate(regions):
        stack = page.figure.add_subplot(left[0, column])
        below = page.figure.add_subplot(left[1, column], sharex=stack)
        letter = page.letter(stack, region.name)
        page.curves += draw_stack(stack, region, colours, letter, layout, named=column == 0 or not same)
        page.curves += draw_residual_map(below, region, letter, named=column == 0)
        page.columns += stack_columns(region, letter, layout)
        stack.tick_params(labelbottom=False)
        below.set_xlabel("Binding energy / eV")
        if column == 0:
            stack.set_ylabel(
                f"{region.series.intensity_unit.capitalize()}, offset by {profile.level_words.split(' /')[0].lower()}"
            )
        _spectrum_legend(stack, region, colours, whole=column == 0)
    if trends:
        _draw_trends(page, profile, colours, trends, outer[1], stack_mm + 14.0)


def _legend_rows(regions: Sequence[RegionView]) -> int:
    """Return how many rows the tallest legend has; the first region's also explains data, fit and background."""
    counts = [len(region.own) + len(region.foreign) for region in regions]
    return max(max(3, counts[0]), *counts)


def _spectrum_legend(axes: Axes, region: RegionView, colours: Mapping[str, str], *, whole: bool) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Line2D | Patch] = [
        Patch(facecolor=colours[s], edgecolor=colours[s], alpha=0.6, label=pretty(s))
        for s in (*region.own, *region.foreign)
    ]
    kinds: list[Line2D] = []
    if whole:
        kinds = [
            Line2D(
                [], [], color=DATA_COLOUR, marker=".", markersize=2.5, markeredgewidth=0, linestyle="", label="data"
            ),
            Line2D([], [], color=FIT_COLOUR, linewidth=0.7, label="fit"),
            Line2D([], [], color=BACKGROUND_COLOUR, linewidth=0.5, linestyle=(0, (3, 2)), label="background"),
        ]
    first = axes.legend(handles=handles, loc="upper left", fontsize=5.5, handlelength=1.0, borderaxespad=0.2)
    if kinds:
        axes.add_artist(first)
        axes.legend(handles=kinds, loc="upper right", fontsize=5.5, handlelength=1.0, borderaxespad=0.2)


def _draw_trends(
    page: Page,
    profile: ProfileView,
    colours: Mapping[str, str],
    trends: Sequence[tuple[float, RegionView | None]],
    cell: object,
    height_mm: float,
) -> None:
    from matplotlib.gridspec import SubplotSpec

    assert isinstance(cell, SubplotSpec)  # noqa: S101 - what a gridspec hands out
    weights = [weight for weight, _ in trends]
    grid = cell.subgridspec(len(trends), 1, height_ratios=weights)
    top: Axes | None = None
    panels: list[Axes] = []
    for row, (weight, region) in enumerate(trends):
        axes = page.figure.add_subplot(grid[row, 0], sharex=top)
        if top is None:
            top = axes
            _level_limits(axes, profile)
        panels.append(axes)
        letter = page.letter(axes)
        panel_mm = (height_mm - 5.0 * len(trends)) * weight / sum(weights)
        if region is None:
            _draw_composition(page, axes, profile, colours, letter, panel_mm)
        else:
            _draw_shares(page, axes, profile, region, colours, letter, panel_mm, explain=row == 0)
        if row == len(trends) - 1:
            axes.set_xlabel(profile.level_words)
        else:
            axes.tick_params(labelbottom=False)
    page.figure.align_ylabels(panels)
    if top is not None and profile.etch_rate_nm_s and profile.regions[0].series.level_name != "time":
        rate = profile.etch_rate_nm_s
        depth = top.secondary_xaxis("top", functions=(lambda t: t * rate, lambda d: d / rate))
        depth.set_xlabel("Depth / nm")
        top.tick_params(top=False)


def _level_limits(axes: Axes, profile: ProfileView) -> None:
    from matplotlib.ticker import MaxNLocator

    times = np.concatenate([region.series.levels for region in profile.regions])
    margin = 0.05 * (np.ptp(times) or 1.0)
    axes.set_xlim(times.min() - margin, times.max() + margin)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))


def _level_axis(profile: ProfileView) -> tuple[str, str]:
    series = profile.regions[0].series
    return series.level_name, series.level_unit


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
    words = (*_level_axis(profile), "1")
    page.curves += draw_fractions(axes, times, region.joint, colours, letter, words)
    if region.single:
        beside = times + 0.018 * np.ptp(axes.get_xlim())
        page.curves += draw_fractions(axes, beside, region.single, colours, letter, words, alone=True)
    axes.set_ylabel(f"Share of {region.name}")
    kinks = sorted(region.kinks, key=lambda kink: kink.high - kink.low)[:4] if explain else ()
    kinks = sorted(kinks, key=lambda kink: kink.low)
    above_mm = _marker_legend(axes, region) if explain else 0.0
    low, high = _share_limits([*region.joint.values(), *region.single.values()])
    free = (above_mm + len(kinks) * LEGEND_ROW_MM + (1.0 if kinks else 0.0)) / panel_mm
    if any(np.isfinite(p.limit).any() for p in (*region.joint.values(), *region.single.values())):
        low -= (high - low) * 2.0 / panel_mm  # room for the arrows of limits near zero
    axes.set_ylim(low, low + (high - low) / (1.0 - free))
    axes.set_yticks([0.0, 0.5, 1.0] if panel_mm < 25.0 else [0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    if kinks:
        draw_kinks(axes, kinks, colours, panel_mm, above_mm)


def _share_limits(points: Sequence[Points]) -> tuple[float, float]:
    """Return limits that show zero, one and every value with its error, cut where errors are hopeless."""
    lows = [np.nanmin(np.append(p.value - p.sigma, 0.0)) for p in points]
    highs = [np.nanmax(np.append(np.fmax(p.value + p.sigma, p.limit), 1.0)) for p in points]
    return max(min(lows), -0.4) - 0.05, min(max(highs), 1.4) + 0.05


def _marker_legend(axes: Axes, region: RegionView) -> float:
    """Explain filled and open markers and limits in one row at the top; return the height taken (mm)."""
    from matplotlib.lines import Line2D

    points = [*region.joint.values(), *region.single.values()]
    limits = [p.confidence for p in points if np.isfinite(p.limit).any()]
    handles = []
    if region.single:
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


def _draw_composition(
    page: Page, axes: Axes, profile: ProfileView, colours: Mapping[str, str], letter: str, panel_mm: float
) -> None:
    """Draw the atomic fractions, each element named at the end of its line."""
    names = list(profile.composition)
    own = {name: colours[f"at.% {name}"] for name in names}
    marker = {name: MARKERS[k % len(MARKERS)] for k, name in enumerate(names)}
    words = (*_level_axis(profile), "%")
    times = profile.composition_times
    page.curves += draw_fractions(axes, times, profile.composition, own, letter, words, marker=marker)
    top = max(float(np.nanmax(np.fmax(p.value + p.sigma, p.limit))) for p in profile.composition.values())
    axes.set_ylim(-0.05 * top, 1.06 * top)
    axes.set_ylabel("Atomic fraction / %")
    last = [_last(points) for points in profile.composition.values()]
    fractions = [(value + 0.05 * top) / (1.11 * top) for value in last]
    for name, place in zip(names, spread(fractions, 2.5 / panel_mm, 0.03, 0.97), strict=True):
        axes.text(1.02, place, name, transform=axes.transAxes, color=own[name], va="center", ha="left")


def _last(points: Points) -> float:
    """Return the last value or limit."""
    shown = np.where(np.isfinite(points.value), points.value, points.limit)
    return float(shown[np.isfinite(shown)][-1])


# --- one level --------------------------------------------------------------------------------------------------------


def _draw_single(
    page: Page, profile: ProfileView, regions: Sequence[RegionView], colours: Mapping[str, str], *, first: bool
) -> None:
    """Draw the regions of a single level beside each other, the shares written in, and the atomic fractions."""
    composed = first and bool(profile.composition)
    widths = [1.35 if k == 0 and len(regions) > 1 else 1.0 for k in range(len(regions))]
    grid = page.figure.add_gridspec(
        2, len(regions) + composed, width_ratios=[*widths, 0.6] if composed else widths, height_ratios=[3.6, 1.0]
    )
    for column, region in enumerate(regions):
        upper = page.figure.add_subplot(grid[0, column])
        lower = page.figure.add_subplot(grid[1, column], sharex=upper)
        letter = page.letter(upper, region.name)
        rows = max(len(region.own) + len(region.foreign), 3 if column == 0 else 0) + len(region.found)
        page.curves += draw_spectrum(
            upper, region, colours, letter, headroom=min((rows * LEGEND_ROW_MM + 1.5) / 34.0, 0.6)
        )
        page.curves += draw_residual_trace(lower, region, letter, named=column == 0)
        page.columns += stack_columns(region, letter, None)
        upper.tick_params(labelbottom=False)
        lower.set_xlabel("Binding energy / eV")
        if column == 0:
            upper.set_ylabel(region.series.intensity_unit.capitalize())
        _spectrum_legend(upper, region, colours, whole=column == 0)
        _write_shares(upper, region, colours, max(len(region.own) + len(region.foreign), 3 if column == 0 else 0))
    if composed:
        axes = page.figure.add_subplot(grid[:, -1])
        letter = page.letter(axes, "Composition")
        names = list(profile.composition)
        points = {name: _first(profile.composition[name]) for name in names}
        _draw_categories(page, axes, names, points, {n: colours[f"at.% {n}"] for n in names}, letter, "element", "%")
        axes.set_ylabel("Atomic fraction / %")


def _first(points: Points) -> tuple[float, float, float, float]:
    return float(points.value[0]), float(points.sigma[0]), float(points.limit[0]), points.confidence


def _write_shares(axes: Axes, region: RegionView, colours: Mapping[str, str], above: int) -> None:
    for row, (species, text) in enumerate(region.found):
        axes.text(
            0.03, 1.0 - ((above + row) * LEGEND_ROW_MM + 1.4) / 34.0, f"{pretty(species)}: {text}",
            transform=axes.transAxes, fontsize=5.5, color=colours[species], ha="left", va="top",
        )  # fmt: skip


def _draw_categories(
    page: Page,
    axes: Axes,
    names: Sequence[str],
    points: Mapping[str, tuple[float, float, float, float]],
    colours: Mapping[str, str],
    letter: str,
    axis: str,
    unit: str,
) -> None:
    """Draw one value with its error, or one limit, for each name along the axis."""
    top = 0.0
    for place, name in enumerate(names):
        value, sigma, limit, confidence = points[name]
        single = Points(np.array([value]), np.array([sigma]), np.array([limit]), confidence)
        at = np.array([float(place)])
        page.curves += draw_fractions(axes, at, {name: single}, colours, letter, (f"{axis} {name}", "1", unit))
        top = max(top, float(np.nanmax([value + sigma, limit, 0.0])))
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.set_xticks(range(len(names)), [pretty(name) for name in names])
    axes.set_ylim(-0.04 * top, 1.08 * top)
    page.columns.append(Column.labels(f"{letter}: {axis}", names))


# --- overview ---------------------------------------------------------------------------------------------------------


def _overview_figure(profiles: Sequence[ProfileView], colours: Mapping[str, str], stem: Path) -> tuple[Path, ...]:
    """Draw the samples of a recipe side by side: shares of the main region above, atomic fractions below."""
    with style("double") as sheet:
        if all(profile.single for profile in profiles):
            page = Page(sheet.figure(58.0))
            _draw_single_overview(page, profiles, colours)
        else:
            rows = 2 if any(profile.composition for profile in profiles) else 1
            page = Page(sheet.figure(20.0 + 46.0 * rows))
            _draw_overview(page, profiles, colours, rows)
        regions = [profile.regions[0] for profile in profiles]
        caption = (
            f"Share of the species of {regions[0].name}, and atomic fractions, sample by sample. "
            "Bars with an arrow down: upper limits."
        )
        return save_figure(page.figure, stem, page.table, _provenance(profiles, regions, caption))


def _draw_overview(page: Page, profiles: Sequence[ProfileView], colours: Mapping[str, str], rows: int) -> None:
    from matplotlib.lines import Line2D

    grid = page.figure.add_gridspec(rows, len(profiles))
    shares: Axes | None = None
    atoms: Axes | None = None
    for column, profile in enumerate(profiles):
        region = profile.regions[0]
        axes = page.figure.add_subplot(grid[0, column], sharey=shares)
        shares = shares or axes
        letter = page.letter(axes, pretty(profile.sample))
        _level_limits(axes, profile)
        words = (*_level_axis(profile), "1")
        page.curves += draw_fractions(axes, region.series.levels, region.joint, colours, letter, words)
        axes.set_xlabel(profile.level_words)
        axes.tick_params(labelleft=column == 0)
        if column == 0:
            axes.set_ylabel(f"Share of {region.name}")
    for column, profile in enumerate(profiles if rows == 2 else ()):
        if not profile.composition:
            continue
        axes = page.figure.add_subplot(grid[1, column], sharey=atoms)
        _level_limits(axes, profile)
        _draw_composition(page, axes, profile, colours, page.letter(axes), 36.0)
        axes.set_xlabel(profile.level_words)
        if atoms is not None:
            axes.tick_params(labelleft=False)
            axes.set_ylabel("")
        atoms = atoms or axes
    points = [p for profile in profiles for p in profile.regions[0].joint.values()]
    if shares is not None and points:
        low, high = _share_limits(points)
        shares.set_ylim(low - 0.06, high)
    species = list(dict.fromkeys(s for profile in profiles for s in profile.regions[0].joint))
    handles = [Line2D([], [], color=colours[s], marker="o", markersize=2.6, label=pretty(s)) for s in species]
    if handles:
        page.figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))


def _draw_single_overview(page: Page, profiles: Sequence[ProfileView], colours: Mapping[str, str]) -> None:
    """Draw shares and atomic fractions of samples that have one level each, sample by sample."""
    region = profiles[0].regions[0]
    species = _minor_species(profiles)
    elements = list(dict.fromkeys(e for profile in profiles for e in profile.composition))
    grid = page.figure.add_gridspec(1, 1 + bool(elements), width_ratios=[1.0, 1.0][: 1 + bool(elements)])
    axes = page.figure.add_subplot(grid[0, 0])
    letter = page.letter(axes, f"{region.name}: minor species")
    joints = [profile.regions[0].joint for profile in profiles]
    _draw_samples(page, axes, profiles, species, joints, colours, letter, "1")
    axes.set_ylabel(f"Share of {region.name}")
    if elements:
        axes = page.figure.add_subplot(grid[0, 1])
        letter = page.letter(axes, "Composition")
        own = {element: colours[f"at.% {element}"] for element in elements}
        _draw_samples(page, axes, profiles, elements, [p.composition for p in profiles], own, letter, "%")
        axes.set_ylabel("Atomic fraction / %")


def _minor_species(profiles: Sequence[ProfileView]) -> list[str]:
    """Return the species of the main region other than the most abundant one, which would set the scale."""
    species = list(dict.fromkeys(s for profile in profiles for s in profile.regions[0].joint))
    if len(species) < 2:
        return species

    def largest(name: str) -> float:
        joints = [profile.regions[0].joint[name] for profile in profiles if name in profile.regions[0].joint]
        return max(float(np.nanmax(np.append(points.value, 0.0))) for points in joints)

    return [name for name in species if name != max(species, key=largest)]


def _draw_samples(
    page: Page,
    axes: Axes,
    profiles: Sequence[ProfileView],
    names: Sequence[str],
    points: Sequence[Mapping[str, Points]],
    colours: Mapping[str, str],
    letter: str,
    unit: str,
) -> None:
    """Draw one value or limit for each sample and name, the names of a sample beside each other."""
    top = 0.0
    for k, name in enumerate(names):
        at = np.arange(len(profiles)) + 0.12 * (k - 0.5 * (len(names) - 1))
        found = [_first(p[name]) if name in p else (np.nan, np.nan, np.nan, np.nan) for p in points]
        value, sigma, limit, confidence = (np.array(column) for column in zip(*found, strict=True))
        known = confidence[np.isfinite(confidence)]
        whole = Points(value, sigma, limit, float(known[0]) if known.size else np.nan)
        words = (f"sample, place of {name}", "1", unit)
        page.curves += draw_fractions(axes, at, {name: whole}, colours, letter, words, lines=False)
        top = max(top, float(np.nanmax(np.append(np.fmax(value + sigma, limit), 0.0))))
        for x, y, error in zip(at, value, sigma, strict=True):
            if np.isfinite(y):
                axes.annotate(
                    pretty(name), (x, y + error), (0.0, 2.0), textcoords="offset points", ha="center", va="bottom",
                    color=colours[name], fontsize=5.5,
                )  # fmt: skip
        for x, y, level in zip(at, limit, confidence, strict=True):
            if np.isfinite(y):
                axes.annotate(
                    f"{pretty(name)} < {y:.2g}\n({100 * level:g} %)", (x, y), (0.0, 2.0), textcoords="offset points",
                    ha="center", va="bottom", color=colours[name], fontsize=5.5,
                )  # fmt: skip
    axes.set_xlim(-0.6, len(profiles) - 0.4)
    axes.set_xticks(range(len(profiles)), [_wrapped(pretty(profile.sample)) for profile in profiles])
    axes.set_ylim(-0.06 * top, 1.15 * top)
    page.columns.append(Column.labels(f"{letter}: sample", [profile.sample for profile in profiles]))


def _wrapped(text: str, width: int = 22) -> str:
    """Break a sample's name into lines that fit below its tick."""
    return "\n".join(wrap(text, width))
