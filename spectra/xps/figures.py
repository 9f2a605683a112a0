"""Figures of an XPS run, drawn from records and arrays alone: one a profile, and one that sets samples side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from layerscope.figures import DATA_COLOUR, FigureProvenance, Page, save_figure, style

from .figure_data import LARGEST_SHARE_SIGMA, ProfileView, RegionView, collect_profiles, species_colours
from .figure_parts import (
    BACKGROUND_COLOUR,
    FIT_COLOUR,
    LEGEND_ROW_MM,
    StackLayout,
    draw_residual_map,
    draw_residual_trace,
    draw_spectrum,
    draw_stack,
    pretty,
    stack_columns,
)
from .figure_samples import draw_categories, draw_overview, draw_single_overview, first_level
from .figure_trends import ELEMENT_COLOURS, Trend, draw_trends, trends_beside

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from layerscope.runs.load import Run

__all__ = ["draw_profiles"]

MAX_COLUMNS = 4
"""Regions beside each other in one figure; more go into further figures."""
MAX_SAMPLES = 5
"""Samples beside each other in the overview."""


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
    return [regions[a:b] for a, b in pairwise(bounds)]


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
            trends = trends_beside(profile, regions, first=first)
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


def _level_noun(profile: ProfileView) -> str:
    return profile.level_words.split(" /")[0].lower()


def _profile_caption(profile: ProfileView, regions: Sequence[RegionView]) -> str:
    names = ", ".join(region.name for region in regions)
    words = f"{profile.sample}: {names} against {_level_noun(profile)}"
    caption = f"{words}; levels offset, the first on top, the bar gives the scale. {_spectra_words(regions)}"
    if any(region.single for region in regions):
        caption += "Filled markers: joint fit of all levels; open markers: each level alone, set off to the right. "
    return caption + "Bars with an arrow down: upper limits. Shaded: 68 % intervals."


def _single_caption(profile: ProfileView, regions: Sequence[RegionView]) -> str:
    return f"{profile.sample}: {', '.join(r.name for r in regions)}. {_spectra_words(regions)}Grey band: two sigma."


def _draw_profile(
    page: Page,
    profile: ProfileView,
    regions: Sequence[RegionView],
    colours: Mapping[str, str],
    trends: Sequence[Trend],
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
            stack.set_ylabel(f"{region.series.intensity_unit.capitalize()}, offset by {_level_noun(profile)}")
        _spectrum_legend(stack, region, colours, whole=column == 0)
    if trends:
        draw_trends(page, profile, colours, trends, outer[1], stack_mm + 14.0)


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
        letter = page.letter(upper, region.name, pad=10.0)
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
        if column == 0:
            page.figure.align_ylabels([upper, lower])
        _write_shares(upper, region, colours, max(len(region.own) + len(region.foreign), 3 if column == 0 else 0))
    if composed:
        axes = page.figure.add_subplot(grid[:, -1])
        letter = page.letter(axes, "Composition", pad=10.0)
        names = list(profile.composition)
        points = {name: first_level(profile.composition[name]) for name in names}
        draw_categories(page, axes, names, points, {n: colours[f"at.% {n}"] for n in names}, letter, "element", "%")
        axes.set_ylabel("Atomic fraction / %")


def _write_shares(axes: Axes, region: RegionView, colours: Mapping[str, str], above: int) -> None:
    for row, (species, text) in enumerate(region.found):
        axes.text(
            0.03, 1.0 - ((above + row) * LEGEND_ROW_MM + 1.4) / 34.0, f"{pretty(species)}: {text}",
            transform=axes.transAxes, fontsize=5.5, color=colours[species], ha="left", va="top",
        )  # fmt: skip


def _overview_figure(profiles: Sequence[ProfileView], colours: Mapping[str, str], stem: Path) -> tuple[Path, ...]:
    """Draw the samples of a recipe side by side: shares of the main region above, atomic fractions below."""
    with style("double") as sheet:
        if all(profile.single for profile in profiles):
            page = Page(sheet.figure(58.0))
            draw_single_overview(page, profiles, colours)
        else:
            rows = 2 if any(profile.composition for profile in profiles) else 1
            page = Page(sheet.figure(20.0 + 46.0 * rows))
            draw_overview(page, profiles, colours, rows)
        regions = [profile.regions[0] for profile in profiles]
        caption = (
            f"Share of the species of {regions[0].name}, and atomic fractions, sample by sample. "
            "Bars with an arrow down: upper limits."
        )
        return save_figure(page.figure, stem, page.table, _provenance(profiles, regions, caption))
