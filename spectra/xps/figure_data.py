"""What the figures of an XPS run show, from its records and arrays: profiles, regions, values with errors."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from layerscope.figures import PALETTE
from layerscope.records import Quantity, ResultRecord
from layerscope.runs.arrays import SeriesArrays

from .dataset import normalise_region

if TYPE_CHECKING:
    from layerscope.runs.load import Run

__all__ = [
    "FOREIGN_COLOUR",
    "Kink",
    "Points",
    "ProfileView",
    "RegionView",
    "collect_profiles",
    "species_colours",
]

FloatArray = NDArray[np.float64]

FOREIGN_COLOUR = "#999999"
"""Lines of another element inside a region, such as P 2s under B 1s, are grey."""
_COLOURS = (*PALETTE[:6], "#882255", "#999933")  # Okabe-Ito without its yellow, then two of Tol's muted set
LARGEST_SHARE_SIGMA = 0.35  # a share known worse than this says nothing, and would set the scale of the panel
PREFERRED_MAIN = "B 1s"
_KINKS = {"onset_time": "onset", "saturation_time": "saturation", "fall_time": "start of fall", "gone_time": "gone"}


@dataclass(frozen=True, eq=False)
class Points:
    """One quantity along the levels.

    Attributes
    ----------
    value, sigma : ndarray, shape (L,)
        Value and standard error; NaN where it was not found.
    limit : ndarray, shape (L,)
        Upper limit where it was not detected, else NaN.
    confidence : float
        Of the limits; NaN when there is none.
    """

    value: FloatArray
    sigma: FloatArray
    limit: FloatArray
    confidence: float


@dataclass(frozen=True)
class Kink:
    """A time at which a species appears, saturates, begins to fall or is gone, with its interval (s)."""

    species: str
    text: str
    low: float
    high: float


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
    kinks : tuple of Kink
        Times worth marking.
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
    kinks: tuple[Kink, ...]
    outliers: tuple[bool, ...]
    found: tuple[tuple[str, str], ...]
    records: tuple[ResultRecord, ...]

    @property
    def has_shares(self) -> bool:
        """Whether there is any share to draw."""
        return bool(self.joint)


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
    def level_words(self) -> str:
        """Label of the axis of levels."""
        first = self.regions[0].series
        return f"{'Time' if first.level_name == 'time' else 'Etch time'} / {first.level_unit}"


def collect_profiles(run: Run) -> list[ProfileView]:
    """Return the profiles of a run in the order of its records.

    Parameters
    ----------
    run : Run
        A finished run; records of other techniques and failed ones are left aside.

    Returns
    -------
    list of ProfileView
        One for each series of each recipe of which at least one region could be fitted.

    Raises
    ------
    StoreError
        If the arrays of a region are missing or damaged.
    """
    by_id = {r.record_id: r for r in run.records if r.technique == "xps" and r.status != "failed"}
    groups: dict[tuple[str, str], list[ResultRecord]] = {}
    for record in by_id.values():
        if record.method == "xps.series" and record.arrays:
            groups.setdefault((_base(record), json.dumps(record.recipe, sort_keys=True)), []).append(record)
    bases = list(dict.fromkeys(base for base, _ in groups))
    ordered = sorted(groups.items(), key=lambda item: (bases.index(item[0][0]), _state_order(item[1][0])))
    return [_profile(run, base, wholes, by_id) for (base, _), wholes in ordered]


def species_colours(profiles: Sequence[ProfileView]) -> dict[str, str]:
    """Return one colour a species for all figures of a run; species of one region differ as long as colours last."""
    colours: dict[str, str] = {}
    for region in (region for profile in profiles for region in profile.regions):
        for species in region.own:
            if species in colours:
                continue
            taken = {colours[other] for other in region.own if other in colours}
            used = list(colours.values())
            free = [colour for colour in _COLOURS if colour not in taken] or list(_COLOURS)
            colours[species] = min(free, key=lambda colour: (used.count(colour), _COLOURS.index(colour)))
        for species in region.foreign:
            colours.setdefault(species, FOREIGN_COLOUR)
    return colours


def _safe(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.\-]+", "_", text).strip("_.-")


def _base(whole: ResultRecord) -> str:
    """Return the recipe's own part of the name of a series: what stands before series and region."""
    name, region = _series_name(whole.recipe), str(whole.state.region)
    return Path(whole.arrays[0].file).stem.removesuffix("_" + _safe(f"{name}_{region}" if name else region))


def _state_order(record: ResultRecord) -> tuple[float, float]:
    """Put samples in the order of their history, as far as the records tell it; else their order stays."""
    state = record.state
    return (
        -1.0 if state.cycle is None else float(state.cycle),
        -np.inf if state.voltage_V is None else state.voltage_V,
    )


def _profile(run: Run, base: str, wholes: Sequence[ResultRecord], by_id: Mapping[str, ResultRecord]) -> ProfileView:
    order = _region_order(wholes[0].recipe)
    wholes = sorted(wholes, key=lambda record: order.get(str(record.state.region), len(order)))
    regions = tuple(_region(run, whole, by_id) for whole in wholes)
    main = _main(regions, _reference_region(wholes[0].recipe))
    own = {parent for whole in wholes for parent in whole.parents}
    compositions = [r for r in by_id.values() if r.method == "xps.composition" and own.intersection(r.parents)]
    elements = list(dict.fromkeys(str(q.component) for record in compositions for q in record.quantities))
    found = {e: p for e in elements if (p := _points(compositions, "composition.atomic_fraction", e, np.inf))}
    sample = wholes[0].state.sample
    return ProfileView(
        base=base,
        label=_safe(_series_name(wholes[0].recipe) or sample) or "sample",
        sample=sample,
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


def _series_name(recipe: Mapping[str, Any]) -> str:
    series = recipe.get("series")
    return str(series[0].get("name") or "") if isinstance(series, list) and series else ""


def _reference_region(recipe: Mapping[str, Any]) -> str | None:
    charge = recipe.get("charge")
    return charge.get("region") if isinstance(charge, dict) else None


def _main(regions: Sequence[RegionView], reference: str | None) -> int:
    """Return the index of the region that the figure is about: B 1s, else the one with most species."""

    def worth(index: int) -> tuple[bool, bool, int, int]:
        region = regions[index]
        preferred = region.name == PREFERRED_MAIN and region.has_shares
        return preferred, region.name != reference, len(region.own) if region.has_shares else 0, -index

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


def _region(run: Run, whole: ResultRecord, by_id: Mapping[str, ResultRecord]) -> RegionView:
    series = run.arrays[Path(whole.arrays[0].file).stem].load()
    levels = [by_id[parent] for parent in whole.parents if parent in by_id]
    foreign = {q.component for record in levels for q in record.quantities if q.name == "overlap.area"}
    own = tuple(species for species in series.components if species not in foreign)
    seen = [record if _detected(record, own) else None for record in levels]
    shares = {
        name: {s: p for s in own if (p := _points(seen, name, s, LARGEST_SHARE_SIGMA)) is not None}
        for name in ("species.fraction", "species.fraction_single_level")
    }
    corrections = [_get(record, "charge.shift") for record in levels]
    known = [q.value for q in corrections if q is not None and q.value is not None]
    return RegionView(
        name=str(whole.state.region),
        series=series,
        correction=np.array(known) if len(known) == series.levels.size else np.zeros(series.levels.size),
        own=own,
        foreign=tuple(species for species in series.components if species in foreign),
        joint=shares["species.fraction"],
        single=shares["species.fraction_single_level"],
        kinks=_kinks(whole, own, series.levels),
        outliers=tuple(_is_outlier(record) for record in levels) or (False,) * series.levels.size,
        areas={s: p for s in own if (p := _points(levels, "peak.area", s, np.inf)) is not None},
        found=_found(levels[0], own) if levels and seen[0] is not None else (),
        records=(*levels, whole),
    )


def _is_outlier(record: ResultRecord) -> bool:
    return record.quality is not None and any(flag.startswith("OUTLIER") for flag in record.quality.flags)


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


def _points(records: Sequence[ResultRecord | None], name: str, component: str, largest_sigma: float) -> Points | None:
    """Return a quantity along the levels; None when no level has it."""
    value, sigma, limit = (np.full(len(records), np.nan) for _ in range(3))
    confidence = np.nan
    for level, record in enumerate(records):
        quantity = None if record is None else _get(record, name, component)
        if quantity is None or (quantity.sigma is not None and quantity.sigma > largest_sigma):
            continue
        if quantity.unit == "1" and (quantity.upper_limit or 0.0) > 1.0:  # a share below something above one
            continue
        if quantity.upper_limit is not None:
            limit[level], confidence = quantity.upper_limit, quantity.limit_confidence or np.nan
        elif quantity.value is not None:
            value[level], sigma[level] = quantity.value, quantity.sigma or 0.0
    if not (np.isfinite(value) | np.isfinite(limit)).any():
        return None
    return Points(value, sigma, limit, float(confidence))


def _kinks(whole: ResultRecord, own: Sequence[str], times: FloatArray) -> tuple[Kink, ...]:
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
            text = f"{words} {quantity.text()} s"
        elif quantity.low is None:
            text = f"{words} < {high:.3g} s"
        else:
            text = f"{words} > {low:.3g} s" if quantity.high is None else f"{words} {low:.3g}–{high:.3g} s"
        found.append(Kink(str(quantity.component), text, float(low), float(high)))
    return tuple(found)
