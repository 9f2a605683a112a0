"""Panels of figures by specification: spectra of a region, and what they say along the levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import numpy as np
from pydantic import Field

from layerscope.errors import DataError
from layerscope.figures import Panel
from layerscope.figures.parts import (
    component_handles,
    draw_residual_map,
    draw_residuals,
    draw_stack,
    in_columns,
    kind_handles,
    thinned,
)
from layerscope.figures.specified import PanelKind, PanelOptions, Place
from layerscope.figures.specified.place import one_of
from layerscope.records import ResultRecord

from .figure_data import (
    ELEMENT_COLOURS,
    FOREIGN_COLOUR,
    SPECIES_COLOURS,
    ProfileView,
    RegionView,
    collect_profiles,
)
from .figure_trends import depth_axis, draw_composition, draw_shares, level_limits
from .figures import MOST_LEVELS, draw_level, energy_axis, list_levels, stack_layout

__all__ = ["PANELS"]

RESIDUALS_MM = 11.0
LEGEND_ROW_SHARE = 0.075
"""Height of a row of the legend over that of a panel with a single level."""


class ProfileOptions(PanelOptions):
    """Atomic fractions along the levels."""

    sample: str | None = Field(default=None, description="sample, or series of the recipe, or part of its name")


class RegionOptions(ProfileOptions):
    """Spectra of a region with their fit: all levels above each other, or one."""

    region: str | None = Field(default=None, description="core level, e.g. 'B 1s'; the profile's main one by default")
    level: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="one level by its number, from 0; all by default"
    )
    residuals: bool = Field(default=True, description="residuals below")


class ShareOptions(ProfileOptions):
    """Shares of the species of a region along the levels, with intervals of what happens."""

    region: str | None = Field(default=None, description="core level, e.g. 'B 1s'; the profile's main one by default")
    alone: bool = Field(default=False, description="also the shares of each level fitted alone, as open markers")
    depth: bool = Field(default=True, description="a second axis of depths, where the recipe gives the rate")


def _profile(place: Place, sample: str | None) -> ProfileView:
    found = place.source.collect("xps", collect_profiles)
    return one_of({f"{one.sample} ({one.base}, {one.label})": one for one in found}, sample, "profiles")


def _region(place: Place, options: RegionOptions | ShareOptions) -> tuple[ProfileView, RegionView]:
    profile = _profile(place, options.sample)
    if options.region is None:
        return profile, profile.regions[0]
    return profile, one_of({region.name: region for region in profile.regions}, options.region, "regions")


def _colours(place: Place, region: RegionView) -> dict[str, str]:
    own = place.colours.of(region.own, SPECIES_COLOURS)
    return own | place.colours.of(region.foreign, SPECIES_COLOURS, dict.fromkeys(region.foreign, FOREIGN_COLOUR))


def draw_region(place: Place, options: RegionOptions) -> Sequence[ResultRecord]:
    """Draw the spectra of a region."""
    _, region = _region(place, options)
    colours, spectra = _colours(place, region), region.spectra
    if options.level is not None:
        if options.level >= len(spectra):
            raise DataError(f"there is no level {options.level}", hint=f"{len(spectra)} levels, from 0")
        spectra = [spectra[options.level]]
    heights = [place.height_mm - 14.0 - RESIDUALS_MM, RESIDUALS_MM] if options.residuals else [1.0]
    title = region.name if options.title is None else options.title
    upper, *below = place.stacked(heights, place.word(title), pad=9.0 if len(spectra) == 1 else 3.0)
    handles = in_columns(component_handles({place.word(s): colours[s] for s in region.species}), kind_handles())
    room = len(handles) // 2 if options.legend else 0
    if len(spectra) == 1:
        draw_level(upper, spectra[0], colours, min(room * LEGEND_ROW_SHARE * 55.0 / place.height_mm + 0.03, 0.6))
        upper.axes.set_ylabel(region.series.intensity_unit.capitalize())
        list_levels(upper, region, spectra, [0.0])
        for panel in below:
            draw_residuals(Panel(place.page, panel.axes, upper.letter), spectra[0])
            panel.axes.set_ylabel("Residual / σ", fontsize=6)
    else:
        shown = [spectra[k] for k in thinned(len(spectra), MOST_LEVELS)]
        bare = replace(region, own=region.own if options.legend else (), foreign=())
        layout, _ = stack_layout([bare], len(shown), heights[0] if options.residuals else place.height_mm - 14.0)
        draw_stack(upper, shown, colours, layout, [one.name for one in shown])
        upper.axes.set_ylabel(f"{region.series.intensity_unit.capitalize()}, offset")
        list_levels(upper, region, shown, layout.offsets(shown)[0].tolist())
        for panel in below:
            draw_residual_map(Panel(place.page, panel.axes, upper.letter), spectra)
            panel.axes.set_ylabel("Res. / σ", fontsize=6)
    for panel in (upper, *below):
        energy_axis(panel.axes, spectra, margin=0.0 if len(spectra) == 1 else 0.13)
    (upper, *below)[-1].axes.set_xlabel("Binding energy / eV")
    place.legend(handles, loc="upper left", ncols=2, handlelength=1.0)
    return region.records if options.level is None else [region.records[min(options.level, len(region.records) - 1)]]


def draw_species(place: Place, options: ShareOptions) -> Sequence[ResultRecord]:
    """Draw the shares of species along the levels."""
    profile, region = _region(place, options)
    shown = region if options.alone else replace(region, single={})
    deep = options.depth and bool(profile.etch_rate_nm_s) and profile.scale.name == "etch_time"
    panel = place.panel("" if options.title is None else place.word(options.title), pad=19.0 if deep else 3.0)
    level_limits(panel.axes, profile)
    draw_shares(panel, profile, shown, _colours(place, region), place.height_mm - 14.0, explain=True)
    panel.axes.set_xlabel(profile.scale.label)
    if deep:
        depth_axis(panel.axes, float(profile.etch_rate_nm_s or 1.0))
    return region.records


def draw_elements(place: Place, options: ProfileOptions) -> Sequence[ResultRecord]:
    """Draw the atomic fractions along the levels."""
    profile = _profile(place, options.sample)
    if not profile.composition or np.size(profile.composition_times) < 2:
        raise DataError("no atomic fractions along levels", source=profile.sample)
    panel = place.panel("" if options.title is None else place.word(options.title))
    level_limits(panel.axes, profile)
    names = place.colours.of((f"at.% {element}" for element in profile.composition), ELEMENT_COLOURS)
    draw_composition(panel, profile, names, place.height_mm - 14.0)
    panel.axes.set_xlabel(profile.scale.label)
    return profile.records


PANELS = (
    PanelKind("xps.region", "xps", RegionOptions, draw_region, usual=True),
    PanelKind("xps.shares", "xps", ShareOptions, draw_species),
    PanelKind("xps.composition", "xps", ProfileOptions, draw_elements),
)
