"""What the figures of an XPS run show, from its records and arrays: profiles, regions, values with errors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from layerscope.figures import PALETTE, Scale
from layerscope.figures.views import Event, Points, Spectrum, colours_apart
from layerscope.records import Quantity, ResultRecord
from layerscope.runs.arrays import SeriesArrays

from .dataset import normalise_region

if TYPE_CHECKING:
    from layerscope.runs.load import Run

__all__ = ["ProfileView", "RegionView", "collect_profiles", "figure_colours", "pages"]

FloatArray = NDArray[np.float64]

FOREIGN_COLOUR = "#999999"
"""Lines of another element inside a region, such as P 2s under B 1s, are grey."""
SPECIES_COLOURS = (*PALETTE[:6], "#882255", "#999933", "#6A3D9A", "#8C510A", "#44AA99", "#CC6677")
"""Okabe-Ito without its yellow, then what stays apart from it."""
ELEMENT_COLOURS = ("#332288", "#117733", "#882255", "#999933", "#AA4499", "#44AA99", "#CC6677", "#88CCEE", "#DDCC77")
"""Paul Tol's *muted* set for elements."""
MAX_COLUMNS = 4
"""Regions beside each other in one figure; more go into further figures."""
LARGEST_SHARE_SIGMA = 0.35  # a share known worse than this says nothing, and would set the scale of the panel
PREFERRED_MAIN = "B 1s"
_KINKS = {"onset_time": "onset", "saturation_time": "saturation", "fall_time": "start of fall", "gone_time": "gone"}


@dataclass(frozen=True, eq=False)
class RegionView:
    """One region of a profile.

    Attributes
    ----------
    name : str
        Core level.
    series : SeriesArrays
        Data and fit.
    correction : ndarray, shape (L,)
        Charge correction, to be added to the measured binding energies (eV).
    own, foreign : tuple of str
        Species of the region, and lines of other elements in it.
    joint, single : mapping of str to Points
        Share of each species from the joint fit, and from fits of each level alone.
    areas : mapping of str to Points
        Area of each species.
    kinks : tuple of Event
        Times worth marking (s), each with both ends.
    outliers : tuple of bool, length L
        Levels flagged as outliers.
    found : tuple of (str, str)
        Species and its share (or, for a single species, nothing) as text, of the first level.
    records : tuple of ResultRecord
        What is drawn.
    """

    name: str
    series: SeriesArrays
    correction: FloatArray
    own: tuple[str, ...]
    foreign: tuple[str, ...]
    joint: Mapping[str, Points]
    single: Mapping[str, Points]
    areas: Mapping[str, Points]
    kinks: tuple[Event, ...]
    outliers: tuple[bool, ...]
    found: tuple[tuple[str, str], ...]
    records: tuple[ResultRecord, ...]

    @property
    def species(self) -> tuple[str, ...]:
        """All lines, those of other elements last."""
        return (*self.own, *self.foreign)

    @property
    def level_names(self) -> list[str]:
        """The levels as text, no two alike; an outlier carries an asterisk."""
        series = self.series
        names = [f"{value:g} {series.level_unit}" for value in series.levels]
        names = [name if names.count(name) == 1 else f"{name}, level {k}" for k, name in enumerate(names)]
        return [f"{name}*" if outlier else name for name, outlier in zip(names, self.outliers, strict=True)]

    @cached_property
    def spectra(self) -> list[Spectrum]:
        """The levels as they are drawn, at corrected energies; the energy has one name where all levels share it."""
        unit, moved = self.series.axis_unit, np.ptp(self.correction) != 0.0
        drawn = {label: label for label in (*self.foreign, *self.own)}
        spectra = []
        for level, (name, shift) in enumerate(zip(self.level_names, self.correction, strict=True)):
            scale = Scale(f"binding_energy at {name}" if moved else "binding_energy", unit)
            spectra.append(Spectrum.of(self.series, level, drawn, scale=scale, name=name, shift=shift))
        return spectra


@dataclass(frozen=True, eq=False)
class ProfileView:
    """One series of a recipe: a sample with all its regions, the main one first.

    Attributes
    ----------
    base, label, sample : str
        Name of the recipe, of the series in it, and of the sample.
    regions : tuple of RegionView
        The main region first, then as in the recipe.
    composition : mapping of str to Points
        Atomic fraction of each element (%).
    composition_times : ndarray, shape (L,)
        Levels of the composition.
    etch_rate_nm_s : float or None
        Depth per unit of etch time, where the records give a depth.
    records : tuple of ResultRecord
        Of the composition.
    """

    base: str
    label: str
    sample: str
    regions: tuple[RegionView, ...]
    composition: Mapping[str, Points]
    composition_times: FloatArray
    etch_rate_nm_s: float | None
    records: tuple[ResultRecord, ...] = field(default=())

    @property
    def single(self) -> bool:
        """Whether no region has more than one level."""
        return all(region.series.levels.size == 1 for region in self.regions)

    @property
    def scale(self) -> Scale:
        """The axis of levels."""
        first = self.regions[0].series
        words = {"time": "Time", "angle": "Emission angle"}.get(first.level_name, "Etch time")
        return Scale(first.level_name, first.level_unit, f"{words} / {first.level_unit}")


def collect_profiles(run: Run) -> list[ProfileView]:
    """Return the profiles of a run in the order of its records.

    Parameters
    ----------
    run : Run
        A finished run; records of other techniques are left aside, and failed ones of which there are no curves.

    Returns
    -------
    list of ProfileView
        One for each series of each recipe of which at least one region could be fitted.

    Raises
    ------
    StoreError
        If the arrays of a region are missing or damaged.
    """
    by_id = {r.record_id: r for r in run.records if r.technique == "xps" and (r.status != "failed" or r.arrays)}
    groups: dict[tuple[str, str, str], list[tuple[ResultRecord, SeriesArrays]]] = {}
    drawn = {r.arrays[0].file for r in by_id.values() if r.method == "xps.series" and r.arrays}
    for record in by_id.values():
        alone = record.method == "xps.region" and record.status == "failed" and record.arrays
        left_out = bool(alone) and record.arrays[0].file not in drawn  # a fit of its own, once for all of its levels
        if left_out:
            drawn.add(record.arrays[0].file)
        if left_out or (record.method == "xps.series" and record.arrays):
            series = run.arrays[Path(record.arrays[0].file).stem].load()
            key = series.base, record.state.series or "", record.state.sample
            groups.setdefault(key, []).append((record, series))
    bases = list(dict.fromkeys(base for base, *_ in groups))
    ordered = sorted(groups.values(), key=lambda own: (bases.index(own[0][1].base), _state_order(own[0][0])))
    return [_profile(wholes, by_id) for wholes in ordered]


def pages(regions: Sequence[RegionView]) -> list[Sequence[RegionView]]:
    """Split the regions evenly into figures of at most MAX_COLUMNS."""
    count = -(-len(regions) // MAX_COLUMNS)
    bounds = [-(-len(regions) * k // count) for k in range(count + 1)]
    return [regions[a:b] for a, b in pairwise(bounds)]


def figure_colours(profiles: Sequence[ProfileView]) -> dict[str, str]:
    """Return one colour a species, and one an element as ``at.% <element>``, for all figures of a run.

    What stands in one figure differs as long as colours last: the main regions of an overview, which come first and
    get the strongest colours, and the regions of a profile, on whatever page of it.
    """
    regions = [region for profile in profiles for region in profile.regions]
    bases = dict.fromkeys(profile.base for profile in profiles)
    figures = [[s for p in profiles if p.base == base for s in p.regions[0].own] for base in bases]
    figures += [[s for region in profile.regions for s in region.own] for profile in profiles]
    species = colours_apart(figures, SPECIES_COLOURS)
    elements = [[e for p in profiles if p.base == base for e in p.composition] for base in bases]
    free = [colour for colour in ELEMENT_COLOURS if colour not in species.values()]
    of_elements = colours_apart(elements, [*free, *(c for c in ELEMENT_COLOURS if c not in free)])
    foreign = {s: FOREIGN_COLOUR for region in regions for s in region.foreign if s not in species}
    return species | foreign | {f"at.% {element}": colour for element, colour in of_elements.items()}


def _safe(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.\-]+", "_", text).strip("_.-")


def _state_order(record: ResultRecord) -> tuple[float, float]:
    """Put samples in the order of their history, as far as the records tell it; else their order stays."""
    state = record.state
    return (
        -1.0 if state.cycle is None else float(state.cycle),
        -np.inf if state.voltage_V is None else state.voltage_V,
    )


def _profile(wholes: Sequence[tuple[ResultRecord, SeriesArrays]], by_id: Mapping[str, ResultRecord]) -> ProfileView:
    first, series = wholes[0]
    order = _region_order(first.recipe)
    wholes = sorted(wholes, key=lambda w: (w[0].status == "failed", order.get(str(w[0].state.region), len(order))))
    regions = tuple(_region(whole, arrays, by_id) for whole, arrays in wholes)
    main = _main(regions, _reference_region(first.recipe))
    own = {parent for whole, _ in wholes for parent in whole.parents}
    compositions = [r for r in by_id.values() if r.method == "xps.composition" and own.intersection(r.parents)]
    elements = list(dict.fromkeys(str(q.component) for record in compositions for q in record.quantities))
    found = {e: p for e in elements if (p := _points(compositions, "composition.atomic_fraction", e))}
    return ProfileView(
        base=series.base,
        label=_safe(first.state.series or first.state.sample) or "sample",
        sample=first.state.sample,
        regions=(regions[main], *regions[:main], *regions[main + 1 :]),
        composition=found,
        composition_times=_composition_times(compositions, regions),
        etch_rate_nm_s=_etch_rate([record for region in regions for record in region.records]),
        records=tuple(compositions),
    )


def _region_order(recipe: Mapping[str, Any]) -> dict[str, int]:
    """Return the place of each region in the recipe."""
    tables = recipe.get("regions")
    named = (
        [str(table.get("region")) for table in tables if isinstance(table, dict)] if isinstance(tables, list) else []
    )
    return {normalise_region(name): place for place, name in enumerate(named)}


def _reference_region(recipe: Mapping[str, Any]) -> str | None:
    charge = recipe.get("charge")
    return charge.get("region") if isinstance(charge, dict) else None


def _main(regions: Sequence[RegionView], reference: str | None) -> int:
    """Return the index of the region that the figure is about: B 1s, else the one with most species."""

    def worth(index: int) -> tuple[bool, bool, bool, int, int]:
        region = regions[index]
        described = region.records[-1].status != "failed"
        preferred = region.name == PREFERRED_MAIN and bool(region.joint)
        return described, preferred, region.name != reference, len(region.own) if bool(region.joint) else 0, -index

    return max(range(len(regions)), key=worth)


def _composition_times(compositions: Sequence[ResultRecord], regions: Sequence[RegionView]) -> FloatArray:
    """Return the levels of the composition: those of a region whose records it was made from."""
    parents = {parent for record in compositions for parent in record.parents}
    for region in regions:
        if any(record.record_id in parents for record in region.records):
            return region.series.levels
    return regions[0].series.levels


def _etch_rate(records: Sequence[ResultRecord]) -> float | None:
    for record in records:
        if record.state.depth_nm and record.state.etch_time_s:
            return record.state.depth_nm / record.state.etch_time_s
    return None


def _region(whole: ResultRecord, series: SeriesArrays, by_id: Mapping[str, ResultRecord]) -> RegionView:
    levels = [by_id[parent] for parent in whole.parents if parent in by_id]
    foreign = {q.component for record in levels for q in record.quantities if q.name == "overlap.area"}
    own = tuple(species for species in series.components if species not in foreign)
    seen = [record if _detected(record, own) else None for record in levels]
    shares = {
        name: {s: p for s in own if (p := _points(seen, name, s, LARGEST_SHARE_SIGMA)) is not None}
        for name in ("species.fraction", "species.fraction_single_level")
    }
    return RegionView(
        name=str(whole.state.region) + _refused(whole),
        series=series,
        correction=_corrections(levels, series.levels.size),
        own=own,
        foreign=tuple(species for species in series.components if species in foreign),
        joint=shares["species.fraction"],
        single=shares["species.fraction_single_level"],
        kinks=_kinks(whole, own, series.levels),
        outliers=tuple(_is_outlier(record) for record in levels) or (False,) * series.levels.size,
        areas={s: p for s in own if (p := _points(levels, "peak.area", s)) is not None},
        found=_found(levels[0], own) if levels and seen[0] is not None else (),
        records=(*levels, whole),
    )


def _refused(whole: ResultRecord) -> str:
    """Return what a region is called beside its name where its fit, or a level of it, was refused."""
    if whole.status != "failed":
        return ""
    return ", refused" if whole.method == "xps.series" else ", with the level left out"


def _corrections(levels: Sequence[ResultRecord], size: int) -> FloatArray:
    """Return what charging adds to the energies of each level; of one that was refused, what it adds to the others."""
    found = [_get(record, "charge.shift") for record in levels]
    known = [q.value for q in found if q is not None and q.value is not None]
    if not known or len(levels) != size:
        return np.zeros(size)
    rest = float(np.mean(known))
    return np.array([rest if q is None or q.value is None else q.value for q in found])


def _is_outlier(record: ResultRecord) -> bool:
    return any(flag.startswith("OUTLIER") for flag in record.flags)


def _get(record: ResultRecord, name: str, component: str | None = None) -> Quantity | None:
    for quantity in record.quantities:
        if quantity.name == name and (component is None or quantity.component == component):
            return quantity
    return None


def _found(record: ResultRecord, own: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return the shares at a level as people write them: a limit alone where nothing was detected."""
    found = []
    for species in own:
        quantity = _get(record, "species.fraction", species)
        if quantity is not None and (quantity.upper_limit or 0.0) <= 1.0:
            text = quantity.text()
            found.append((species, text[text.index("<") :] if quantity.upper_limit is not None else text))
    return tuple(found)


def _detected(record: ResultRecord, own: Sequence[str]) -> bool:
    """Return whether any species of the region was detected: shares of nothing mean nothing."""
    areas = [_get(record, "peak.area", species) for species in own]
    return any(area is not None and area.upper_limit is None for area in areas)


def _points(
    records: Sequence[ResultRecord | None], name: str, component: str, largest_sigma: float = np.inf
) -> Points | None:
    """Return a quantity along the levels; None when no level has it."""
    points = Points.of(
        q if (q := None if record is None else _get(record, name, component)) and _says(q, largest_sigma) else None
        for record in records
    )
    return points if (points.known | points.limited).any() else None


def _says(quantity: Quantity, largest_sigma: float) -> bool:
    """Tell whether a quantity is known well enough, and a limit of a share lies below one."""
    if quantity.sigma is not None and quantity.sigma > largest_sigma:
        return False
    return quantity.unit != "1" or (quantity.upper_limit or 0.0) <= 1.0


def _kinks(whole: ResultRecord, own: Sequence[str], times: FloatArray) -> tuple[Event, ...]:
    """Return the times whose interval says something: closed, or open but with its end well inside the profile."""
    found = []
    span = float(np.ptp(times))
    for quantity in whole.quantities:
        words = _KINKS.get(quantity.name.removeprefix("species."))
        if words is None or quantity.component not in own or span <= 0:
            continue
        low = times.min() if quantity.low is None else quantity.low
        high = times.max() if quantity.high is None else quantity.high
        if not 0.0 < high - low < 0.6 * span or (quantity.low is None and high - times.min() < 0.1 * span):
            continue
        if quantity.value is not None:
            text = f"{quantity.text()} s"
        elif quantity.low is None:
            text = f"< {high:.3g} s"
        else:
            text = f"> {low:.3g} s" if quantity.high is None else f"{low:.3g}–{high:.3g} s"
        found.append(Event(str(quantity.component), words, quantity.value, float(low), float(high), text))
    return tuple(found)
