"""Samples side by side: the overview of a recipe, and values of samples or elements that have a single level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np

from layerscope.figures import Column, Page
from layerscope.records.formatting import format_limit

from .figure_data import Points, ProfileView
from .figure_parts import pretty
from .figure_trends import draw_composition, draw_fractions, level_axis, level_limits, share_limits

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_categories", "draw_overview", "draw_single_overview", "first_level"]


def draw_overview(page: Page, profiles: Sequence[ProfileView], colours: Mapping[str, str], rows: int) -> None:
    """Draw the shares of the main region of each profile, and in a second row its atomic fractions."""
    from matplotlib.lines import Line2D

    grid = page.figure.add_gridspec(rows, len(profiles))
    shares: Axes | None = None
    atoms: Axes | None = None
    for column, profile in enumerate(profiles):
        region = profile.regions[0]
        axes = page.figure.add_subplot(grid[0, column], sharey=shares)
        shares = shares or axes
        letter = page.letter(axes, pretty(profile.sample))
        level_limits(axes, profile)
        words = (*level_axis(profile), "1")
        page.curves += draw_fractions(axes, region.series.levels, region.joint, colours, letter, words)
        axes.set_xlabel(profile.level_words)
        axes.tick_params(labelleft=column == 0)
        if column == 0:
            axes.set_ylabel(f"Share of {region.name}")
    for column, profile in enumerate(profiles if rows == 2 else ()):
        if not profile.composition:
            continue
        axes = page.figure.add_subplot(grid[1, column], sharey=atoms)
        level_limits(axes, profile)
        draw_composition(page, axes, profile, colours, page.letter(axes), 36.0, profiles)
        axes.set_xlabel(profile.level_words)
        if atoms is not None:
            axes.tick_params(labelleft=False)
            axes.set_ylabel("")
        atoms = atoms or axes
    points = [p for profile in profiles for p in profile.regions[0].joint.values()]
    if shares is not None and points:
        low, high = share_limits(points)
        shares.set_ylim(low - 0.06, high)
    species = list(dict.fromkeys(s for profile in profiles for s in profile.regions[0].joint))
    handles = [Line2D([], [], color=colours[s], marker="o", markersize=2.6, label=pretty(s)) for s in species]
    if handles:
        page.figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))


def draw_single_overview(page: Page, profiles: Sequence[ProfileView], colours: Mapping[str, str]) -> None:
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
        at = np.arange(len(profiles), dtype=np.float64) + 0.12 * (k - 0.5 * (len(names) - 1))
        found = [first_level(p[name]) if name in p else (np.nan, np.nan, np.nan, np.nan) for p in points]
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
                text = f"{pretty(name)} {format_limit(upper_limit=y, limit_confidence=level)}"
                axes.annotate(
                    text, (x, y), (0.0, 2.0), textcoords="offset points", ha="center", va="bottom",
                    color=colours[name], fontsize=5.5,
                )  # fmt: skip
    axes.set_xlim(-0.6, len(profiles) - 0.4)
    axes.set_xticks(range(len(profiles)), [_wrapped(pretty(profile.sample)) for profile in profiles])
    axes.set_ylim(-0.06 * top, 1.15 * top)
    page.columns.append(Column.labels(f"{letter}: sample", [profile.sample for profile in profiles]))


def _wrapped(text: str, width: int = 22) -> str:
    """Break a sample's name into lines that fit below its tick."""
    return "\n".join(wrap(text, width))


def draw_categories(
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


def first_level(points: Points) -> tuple[float, float, float, float]:
    """Return value, sigma, limit and confidence of the first level."""
    return float(points.value[0]), float(points.sigma[0]), float(points.limit[0]), points.confidence
