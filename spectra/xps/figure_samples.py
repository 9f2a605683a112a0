"""Samples side by side: the overview of a recipe, and values of samples or elements that have a single level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np

from layerscope.figures import Column, Page, Panel, Scale
from layerscope.figures.courses import line_handles
from layerscope.figures.views import Points
from layerscope.figures.words import legible, printed
from layerscope.records.formatting import format_limit

from .figure_data import ProfileView
from .figure_trends import JOINED, draw_composition, draw_fractions, level_limits, share_limits

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_elements", "draw_overview", "draw_single_overview"]

_SINGLE = replace(JOINED, line="", band=0.0)


def draw_overview(page: Page, profiles: Sequence[ProfileView], colours: Mapping[str, str], rows: int) -> None:
    """Draw the shares of the main region of each profile, and in a second row its atomic fractions."""
    grid = page.figure.add_gridspec(rows, len(profiles))
    shares: Axes | None = None
    atoms: Axes | None = None
    for column, profile in enumerate(profiles):
        region = profile.regions[0]
        axes = page.figure.add_subplot(grid[0, column], sharey=shares)
        shares = shares or axes
        panel = page.panel(axes, printed(profile.sample))
        level_limits(axes, profile)
        looks = {s: replace(JOINED, colour=colours[s]) for s in region.joint}
        draw_fractions(panel, region.series.levels, region.joint, looks, (profile.scale, Scale("fraction", "1")))
        axes.set_xlabel(profile.scale.label)
        axes.tick_params(labelleft=column == 0)
        if column == 0:
            axes.set_ylabel(f"Share of {region.name}")
    for column, profile in enumerate(profiles if rows == 2 else ()):
        if not profile.composition:
            continue
        axes = page.figure.add_subplot(grid[1, column], sharey=atoms)
        level_limits(axes, profile)
        draw_composition(page.panel(axes), profile, colours, 36.0, profiles)
        axes.set_xlabel(profile.scale.label)
        if atoms is not None:
            axes.tick_params(labelleft=False)
            axes.set_ylabel("")
        atoms = atoms or axes
    points = [p for profile in profiles for p in profile.regions[0].joint.values()]
    if shares is not None and points:
        low, high = share_limits(points)
        shares.set_ylim(low - 0.06, high)
    species = {printed(s): colours[s] for profile in profiles for s in profile.regions[0].joint}
    if species:
        handles = line_handles(species, marker="o", markersize=2.6, linewidth=0.8)
        page.figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))


def _name_places(panel: Panel, kind: str, names: Sequence[str], low: float, high: float) -> None:
    """Name the places along the axis, samples or elements, and let the panel run from `low` to `high`."""
    axes = panel.axes
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.set_xticks(range(len(names)), ["\n".join(wrap(printed(name), 22)) for name in names])
    axes.set_ylim(low, high)
    panel.page.columns.append(Column.labels(f"{panel.letter}: {kind}", names))


def draw_single_overview(page: Page, profiles: Sequence[ProfileView], colours: Mapping[str, str]) -> None:
    """Draw shares and atomic fractions of samples that have one level each, sample by sample."""
    region = profiles[0].regions[0]
    elements = dict.fromkeys(e for profile in profiles for e in profile.composition)
    grid = page.figure.add_gridspec(1, 1 + bool(elements))
    axes = page.figure.add_subplot(grid[0, 0])
    panel = page.panel(axes, f"{region.name}: minor species")
    joints = [profile.regions[0].joint for profile in profiles]
    _draw_samples(panel, profiles, {s: colours[s] for s in _minor_species(joints)}, joints, "1")
    axes.set_ylabel(f"Share of {region.name}")
    if elements:
        axes = page.figure.add_subplot(grid[0, 1])
        own = {element: colours[f"at.% {element}"] for element in elements}
        _draw_samples(page.panel(axes, "Composition"), profiles, own, [p.composition for p in profiles], "%")
        axes.set_ylabel("Atomic fraction / %")


def _minor_species(joints: Sequence[Mapping[str, Points]]) -> list[str]:
    """Return the species other than the most abundant one, which would set the scale."""
    species = list(dict.fromkeys(s for joint in joints for s in joint))
    if len(species) < 2:
        return species

    def largest(name: str) -> float:
        return max(float(np.nanmax(np.append(joint[name].value, 0.0))) for joint in joints if name in joint)

    most = max(species, key=largest)
    return [name for name in species if name != most]


def _draw_samples(
    panel: Panel,
    profiles: Sequence[ProfileView],
    colours: Mapping[str, str],
    points: Sequence[Mapping[str, Points]],
    unit: str,
) -> None:
    """Draw one value or limit for each sample and name, the names of a sample beside each other."""
    top = 0.0
    for k, (name, colour) in enumerate(colours.items()):
        at = np.arange(len(profiles), dtype=np.float64) + 0.12 * (k - 0.5 * (len(colours) - 1))
        whole = _side_by_side([p.get(name) for p in points])
        look, scale = replace(_SINGLE, colour=colour), Scale(f"sample, place of {name}", "1")
        draw_fractions(panel, at, {name: whole}, {name: look}, (scale, Scale("fraction", unit)))
        top = max(top, float(np.nanmax(np.append(np.fmax(whole.high, whole.limit), 0.0))))
        for x, high, limit in zip(at, whole.high, whole.limit, strict=True):
            words = printed(name)
            if np.isfinite(limit):
                words += f" {format_limit(upper_limit=limit, limit_confidence=whole.confidence)}"
            if np.isfinite(np.fmax(high, limit)):
                panel.axes.annotate(
                    words, (x, np.fmax(high, limit)), (0.0, 2.0), textcoords="offset points", ha="center", va="bottom",
                    color=legible(colour), fontsize=5.5,
                )  # fmt: skip
    _name_places(panel, "sample", [profile.sample for profile in profiles], -0.06 * top, 1.15 * top)


def _side_by_side(points: Sequence[Points | None]) -> Points:
    """Return the first level of each sample as one row."""
    rows = [
        (np.nan, np.nan, np.nan, np.nan) if p is None else (p.value[0], p.sigma[0], p.limit[0], p.confidence)
        for p in points
    ]
    value, sigma, limit, confidence = np.array(rows).T
    known = confidence[np.isfinite(confidence)]
    return Points(value, sigma, limit, float(known[0]) if known.size else np.nan)


def draw_elements(panel: Panel, composition: Mapping[str, Points], colours: Mapping[str, str]) -> None:
    """Draw the atomic fractions of a single level, with errors or as limits, element by element."""
    top = 0.0
    for place, (name, points) in enumerate(composition.items()):
        first, look = points[:1], replace(_SINGLE, colour=colours[f"at.% {name}"])
        scales = Scale(f"element {name}", "1"), Scale("fraction", "%")
        draw_fractions(panel, np.array([float(place)]), {name: first}, {name: look}, scales)
        top = max(top, float(np.nanmax([first.high[0], first.limit[0], 0.0])))
    _name_places(panel, "element", list(composition), -0.04 * top, 1.08 * top)
    panel.axes.set_ylabel("Atomic fraction / %")
