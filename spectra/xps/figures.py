"""Figures of an XPS run, drawn from records and arrays alone: one a profile, and one that sets samples side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from layerscope.figures import Column, Drawing, FigureProvenance, Page, Panel, save_figure, style
from layerscope.figures.parts import (
    StackLayout,
    component_handles,
    draw_residual_map,
    draw_residuals,
    draw_spectra,
    draw_stack,
    in_powers_of_ten,
    kind_handles,
    thinned,
)
from layerscope.figures.views import Spectrum, provenance
from layerscope.figures.words import legible, ordinal, printed

from .figure_data import LARGEST_SHARE_SIGMA, ProfileView, RegionView, collect_profiles, figure_colours, pages
from .figure_samples import draw_elements, draw_overview, draw_single_overview
from .figure_trends import LEGEND_ROW_MM, MOST_POINTS, Trend, draw_trends, trends_beside

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from layerscope.runs.load import Run

__all__ = ["draw_level", "draw_profiles", "energy_axis", "list_levels", "stack_layout"]

MAX_SAMPLES = 5
"""Samples beside each other in the overview."""
MOST_LEVELS = 40
MOST_ROWS = 300  # of a map of residuals: a page shows no more in its height
"""Levels of a stack; of longer profiles every second, third, ... is drawn, and all in residuals and trends."""
NAME_MM = 2.4
"""Height of a level's name."""
PANEL_MM = 34.0
"""Height of the spectrum of a single level."""


def draw_profiles(run: Run, folder: Path) -> Iterator[Drawing]:
    """Yield the figures of a run.

    Parameters
    ----------
    run : Run
        A finished run; only its records and arrays are used.
    folder : Path
        Where the figures go: ``<recipe>_<series>_profile``, further ones of the same profile ending in ``_2``, ``_3``;
        and ``<recipe>_overview`` where a recipe has several series. Each as pdf, svg, png, csv and json.

    Yields
    ------
    Drawing
        None when no region could be fitted.

    Raises
    ------
    StoreError
        If arrays of the run are missing or damaged.
    """
    profiles = collect_profiles(run)
    colours = figure_colours(profiles)
    for profile in profiles:
        stem = folder / f"{profile.base}_{profile.label}_profile"
        for number, regions in enumerate(pages(profile.regions), start=1):
            target = stem if number == 1 else stem.with_name(f"{stem.name}_{number}")
            yield Drawing.by(_profile_figure, target, profile, regions, colours, first=number == 1)
    for base in dict.fromkeys(profile.base for profile in profiles):
        own = [profile for profile in profiles if profile.base == base]
        for number, start in enumerate(range(0, len(own), MAX_SAMPLES), start=1):
            some = own[start : start + MAX_SAMPLES]
            if len(own) > 1 and any(p.composition or p.regions[0].joint for p in some):
                name = f"{base}_overview" if number == 1 else f"{base}_overview_{number}"
                yield Drawing.by(_overview_figure, folder / name, some, colours)


def _provenance(profiles: Sequence[ProfileView], regions: Sequence[RegionView], caption: str) -> FigureProvenance:
    records = [record for region in regions for record in region.records]
    records += [record for profile in profiles for record in profile.records]
    notes = [
        f"shares known worse than {LARGEST_SHARE_SIGMA:g}, or below a limit above 1, are not drawn",
        "error bars and bands are one standard error; limits are one-sided at the stated confidence",
    ]
    if any(any(region.outliers) for region in regions):
        notes.append("levels with an asterisk are flagged as outliers in their records")
    return provenance("; ".join(profile.sample for profile in profiles), records, caption, notes)


def _profile_figure(
    profile: ProfileView, regions: Sequence[RegionView], colours: Mapping[str, str], stem: Path, *, first: bool
) -> tuple[Path, ...]:
    """Draw one figure of a profile: its regions, and beside them what they say along the levels."""
    most = max(region.series.levels.size for region in regions)
    with style("double") as sheet:
        if most == 1:
            page = Page(sheet.figure(62.0))
            _draw_single(page, profile, regions, colours, first=first)
            caption = _single_caption(profile, regions)
        else:
            stack_mm = float(np.clip(13.0 * most, 66.0, 125.0))
            trends = trends_beside(profile, regions, first=first)
            stack_mm = max(stack_mm, 26.0 * len(trends) - 20.0)
            page = Page(sheet.figure(stack_mm + 32.0))
            _draw_profile(page, profile, regions, colours, trends, stack_mm)
            caption = _profile_caption(profile, regions)
        page.figure.suptitle(printed(profile.sample))
        return save_figure(page.figure, stem, page.table, _provenance([profile], regions, caption))


def _spectra_words(regions: Sequence[RegionView]) -> str:
    corrected = any(np.any(region.correction != 0.0) for region in regions)
    return "Data (dots), fit (grey line), components (filled), background (dashed), and residuals below. " + (
        "Energies are charge-corrected. " if corrected else "Energies are as measured. "
    )


def _level_noun(profile: ProfileView) -> str:
    return profile.scale.label.split(" /")[0].lower()


def _profile_caption(profile: ProfileView, regions: Sequence[RegionView]) -> str:
    names = ", ".join(region.name for region in regions)
    words = f"{profile.sample}: {names} against {_level_noun(profile)}"
    caption = f"{words}; levels offset, the first on top, the bar gives the scale. {_spectra_words(regions)}"
    most = max(region.series.levels.size for region in regions)
    if most > MOST_LEVELS:
        caption += f"Of the {most} levels every {_every(most, MOST_LEVELS)} is stacked; "
        residuals = f"every {_every(most, MOST_ROWS)}" if most > MOST_ROWS else "all"
        caption += f"residuals show {residuals}. "
    if most > MOST_POINTS:
        caption += f"Values are drawn of every {_every(most, MOST_POINTS)} level; the records hold all. "
    if any(region.single for region in regions):
        caption += "Filled markers: joint fit of all levels; open markers: each level alone, set off to the right. "
    return caption + "Bars with an arrow down: upper limits. Shaded: 68 % intervals."


def _every(count: int, most: int) -> str:
    """Return which of many levels are shown where there is room for a few, for people."""
    return ordinal(int(thinned(count, most)[1]))


def _single_caption(profile: ProfileView, regions: Sequence[RegionView]) -> str:
    return f"{profile.sample}: {', '.join(r.name for r in regions)}. {_spectra_words(regions)}Grey band: two sigma."


# --- profiles ----------------------------------------------------------------------------------------------------


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
    stacks = [[region.spectra[k] for k in thinned(region.series.levels.size, MOST_LEVELS)] for region in regions]
    layout, step_mm = stack_layout(regions, max(map(len, stacks)), stack_mm)
    same = all(np.array_equal(r.series.levels, regions[0].series.levels) for r in regions)
    for column, (region, shown) in enumerate(zip(regions, stacks, strict=True)):
        stack = page.figure.add_subplot(left[0, column])
        below = page.figure.add_subplot(left[1, column], sharex=stack)
        panel = page.panel(stack, region.name)
        named = set(range(0, len(shown), int(np.ceil(NAME_MM / step_mm)))) if column == 0 or not same else set()
        draw_stack(panel, shown, colours, layout, [s.name if k in named else "" for k, s in enumerate(shown)])
        rows = thinned(region.series.levels.size, MOST_ROWS)
        draw_residual_map(Panel(page, below, panel.letter), [region.spectra[k] for k in rows])
        list_levels(panel, region, shown, layout.offsets(shown)[0].tolist())
        for axes in (stack, below):
            energy_axis(axes, region.spectra, margin=0.13)
        stack.tick_params(labelbottom=False)
        below.set_xlabel("Binding energy / eV")
        if column == 0:
            stack.set_ylabel(f"{region.series.intensity_unit.capitalize()}, offset by {_level_noun(profile)}")
            below.set_ylabel("Residual / σ", rotation=90)
        _spectrum_legend(stack, region, colours, whole=column == 0)
    if trends:
        draw_trends(page, profile, colours, trends, outer[1], stack_mm + 14.0)


def stack_layout(regions: Sequence[RegionView], most: int, stack_mm: float) -> tuple[StackLayout, float]:
    """Return the layout that leaves room for the tallest legend, and the height of a step in mm."""
    overlap = 1.0 if most <= 12 else 1.6
    legend_mm = max(_legend_rows(region, whole=k == 0) for k, region in enumerate(regions)) * LEGEND_ROW_MM + 1.0
    steps = StackLayout(overlap, 0.0).height(most)
    layout = StackLayout(overlap, legend_mm * steps / (stack_mm - 6.0 - legend_mm))
    return layout, stack_mm / layout.height(most)


def list_levels(panel: Panel, region: RegionView, spectra: Sequence[Spectrum], offsets: Sequence[float]) -> None:
    """Put into the table what the curves leave unsaid: levels, their offsets and their charge correction."""
    names = [spectrum.name for spectrum in spectra]
    shifts = dict(zip(region.level_names, region.correction, strict=True))
    panel.page.columns += [
        Column.labels(f"{panel.letter}: level", names),
        Column.numbers(f"{panel.letter}: offset of the level", region.series.intensity_unit, offsets),
        Column.numbers(f"{panel.letter}: charge correction of the level", "eV", [shifts[name] for name in names]),
    ]


def energy_axis(axes: Axes, spectra: Sequence[Spectrum], margin: float) -> None:
    """Let the energy run from high to low, with a free margin (a share of the range) at the low end."""
    from matplotlib.ticker import MaxNLocator

    low, high = min(s.x.min() for s in spectra), max(s.x.max() for s in spectra)
    axes.set_xlim(high, low - margin * (high - low))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10]))


def _legend_rows(region: RegionView, *, whole: bool) -> int:
    """Return how many rows a legend has; the first region's also explains data, fit and background."""
    return max(len(region.species), 3 if whole else 0)


def _spectrum_legend(axes: Axes, region: RegionView, colours: Mapping[str, str], *, whole: bool) -> None:
    look = {"fontsize": 5.5, "handlelength": 1.0, "borderaxespad": 0.2}
    handles = component_handles({printed(s): colours[s] for s in region.species})
    first = axes.legend(handles=handles, loc="upper left", **look)
    if whole:
        axes.add_artist(first)
        axes.legend(handles=kind_handles(), loc="upper right", **look)


# --- single levels -----------------------------------------------------------------------------------------------


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
        panel = page.panel(upper, region.name, pad=10.0)
        (spectrum,) = region.spectra
        above = _legend_rows(region, whole=column == 0)
        draw_level(panel, spectrum, colours, ((above + len(region.found)) * LEGEND_ROW_MM + 1.5) / PANEL_MM)
        draw_residuals(Panel(page, lower, panel.letter), spectrum)
        list_levels(panel, region, [spectrum], [0.0])
        for axes in (upper, lower):
            energy_axis(axes, [spectrum], margin=0.0)
        upper.tick_params(labelbottom=False)
        lower.set_xlabel("Binding energy / eV")
        _spectrum_legend(upper, region, colours, whole=column == 0)
        if column == 0:
            upper.set_ylabel(region.series.intensity_unit.capitalize())
            lower.set_ylabel("Residual / σ")
            page.figure.align_ylabels([upper, lower])
        for row, (species, text) in enumerate(region.found, start=above):
            upper.text(
                0.03, 1.0 - (row * LEGEND_ROW_MM + 1.4) / PANEL_MM, f"{printed(species)}: {text}",
                transform=upper.transAxes, fontsize=5.5, color=legible(colours[species]), ha="left", va="top",
            )  # fmt: skip
    if composed:
        panel = page.panel(page.figure.add_subplot(grid[:, -1]), "Composition", pad=10.0)
        draw_elements(panel, profile.composition, colours)


def draw_level(panel: Panel, spectrum: Spectrum, colours: Mapping[str, str], headroom: float) -> None:
    """Draw one level on its true scale, with `headroom` (a share of the panel, at most 0.6) free above it."""
    draw_spectra(panel, [spectrum], [0.0], colours)
    low, axes = float(min(spectrum.floor, np.nanmin(spectrum.data))), panel.axes
    span = spectrum.top - low or 1.0  # one count where nothing rises above another
    axes.set_ylim(low - 0.05 * span, low + span * 1.04 / (1.0 - min(headroom, 0.6)))
    in_powers_of_ten(axes)


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
