"""Records of a fitted region: one a level, and one of the series with its shared values and depth profiles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from layerscope.fitting.quality import gross_misfit
from layerscope.flags import threshold
from layerscope.records import Alternative, Quantity, ResultRecord
from layerscope.runs.build import held, measured, quality_of

from .choices import ambiguous, shape_doubted, widths_doubted
from .courses import Courses, courses
from .energyscale import EnergyScale
from .misfit import refusal
from .peakmodel import library_template, tied_outside
from .profile import LevelRecord, Profile
from .quantities import level_quantities, shared_quantities
from .regionfit import single_level_shares
from .regionresult import RegionFit
from .series import RegionSpectra
from .shifts import sampling_notes
from .species import overlaps

__all__ = ["level_records", "refused_level", "series_record"]

FloatArray = NDArray[np.float64]

MINIMUM_LEVELS = 3  # that a profile's shape can be asked of


def _level_time(spectra: RegionSpectra, level: int) -> float | None:
    return None if spectra.times is None else float(spectra.times[level])


def _outliers(result: RegionFit) -> dict[int, str]:
    """Find levels whose signal jumps out and back: something other than the profile happened there."""
    area, variance = result.total
    sigma = np.sqrt(variance)
    found = {}
    for k in range(area.size):
        sides = [area[j] for j in (k - 1, k + 1) if 0 <= j < area.size]
        if len(sides) < 2 or min(*sides, area[k]) <= 5.0 * sigma[k]:
            continue
        ratios = np.log(area[k] / np.array(sides))
        if np.all(np.abs(ratios) > np.log(threshold("OUTLIER"))) and np.all(np.sign(ratios) == np.sign(ratios[0])):
            found[k] = f"OUTLIER:area {np.exp(ratios.mean()):.2g} of its neighbours'"
    return found


def level_records(
    profile: Profile, result: RegionFit, spectra: RegionSpectra, scale: EnergyScale
) -> Iterator[ResultRecord]:
    """Yield the record of every level, and note their numbers in the profile.

    Parameters
    ----------
    profile : Profile
    result : RegionFit
    spectra : RegionSpectra
        What was fitted.
    scale : EnergyScale
        Of this region's levels.
    """
    name, recipe = result.region.name, profile.recipe
    singles: list[tuple[FloatArray, FloatArray] | None] = [None] * spectra.y.shape[0]
    if recipe.single_level and len(result.own) > 1 and spectra.y.shape[0] > 1:
        singles = single_level_shares(result, profile.data[name])
    outliers, of_series = _outliers(result), _of_series(result)
    for level in range(spectra.y.shape[0]):
        if level in profile.gross[name]:
            yield refused_level(profile, result, spectra, level)
            continue
        quantities = level_quantities(
            result,
            level,
            scale,
            intensity_unit=spectra.unit,
            confidence=recipe.confidence,
            single=singles[level],
        )
        if scale.known:
            quantities.append(_charge_quantity(profile, scale, level))
        flags, notes = _level_flags(result, level, quantities)
        flags += of_series
        masked, said = _masked(spectra, [level])
        flags, notes = [*flags, *masked], [*notes, *said]
        if level in scale.lost:
            flags.append("CHARGE_REFERENCE_LOST")
            notes.append("the reference line is lost in the noise here: the shift is guessed from the other levels")
        flags += _doubted(profile, scale, level in scale.doubted)
        if level in outliers:
            flags.append(outliers[level])
        inputs = profile.inputs(f"{name}@level={spectra.levels[level].index}", [spectra.levels[level].file])
        record = profile.context.record(
            state=profile.state(name, _level_time(spectra, level)),
            inputs=inputs,
            method="xps.region",
            quantities=tuple(quantities),
            quality=quality_of(result.fit, flags, level),
            notes=tuple(notes),
        )
        profile.records[name, level] = LevelRecord(record.record_id, name, record.flags)
        yield record


def _doubted(profile: Profile, scale: EnergyScale, doubted: bool) -> list[str]:
    """Return the flag of positions that rest on a region whose fit visibly misses the data."""
    return [f"CHARGE_REFERENCE_MISFIT:{profile.recipe.charge.region}"] if doubted and not scale.defined_here else []


def refused_level(profile: Profile, result: RegionFit, spectra: RegionSpectra, level: int) -> ResultRecord:
    """Return the failed record of a level that the model of the others does not describe."""
    name, place = result.region.name, spectra.levels[level]
    (flag,) = gross_misfit(result.fit, level)
    return profile.context.failed(
        refusal(result, flag, profile.datasets[place.file].source, level),
        state=profile.state(name, _level_time(spectra, level)),
        inputs=profile.inputs(f"{name}@level={place.index}", [place.file]),
        method="xps.region",
        quality=quality_of(result.fit, [flag], level),
    )


def _charge_quantity(profile: Profile, scale: EnergyScale, level: int) -> Quantity:
    """Return what charging adds to the energies of a level: all zero, and held, where the reference is exact."""
    fitted, species = float(scale.statistical[level]), profile.recipe.charge.species
    value, budget = -float(scale.line_shift[level]), {"fit": fitted, "charge_reference": scale.systematic}
    spread = float(np.hypot(fitted, scale.systematic))
    found = measured("charge.shift", value, spread, "eV", species, budget=budget)
    return found or held("charge.shift", value, "eV", species)


def _of_series(result: RegionFit) -> list[str]:
    """Return what holds for every level: lines beyond the data, another minimum, ties that ended beyond a shape."""
    found = [f"NO_DATA:{species}" for species in result.no_data]
    found += [f"OTHER_MINIMUM:{len(result.minima)}"] if ambiguous(result) else []
    found += ["OTHER_SHAPE"] if shape_doubted(result) else []
    found += ["OTHER_WIDTHS"] if widths_doubted(result) else []
    found += ["SHIFT_NOT_IDENTIFIED"] if result.unidentified else []
    return found + [f"TIE_OUT_OF_BOUNDS:{name}" for name in tied_outside(result.built, result.fit.value)]


def _level_flags(result: RegionFit, level: int, quantities: list[Quantity]) -> tuple[list[str], list[str]]:
    flags = [f"NOT_DETECTED:{q.component}" for q in quantities if q.name == "peak.area" and q.upper_limit is not None]
    notes = []
    foreign = {c.species for c in result.components if c.foreign}
    for q in quantities:
        if q.name != "peak.position" or not q.competing:
            continue
        for line in () if q.component in foreign else overlaps(result.region.name, q.competing):
            flags.append(f"OVERLAP:{line} with {q.component}")
        others = dict.fromkeys(f"{a.species} ({a.line}, {a.source})" for a in q.competing)
        notes.append(f"{q.component} at {q.text()} eV could also be: " + "; ".join(others))
    return list(dict.fromkeys(flags)), notes


def _masked(spectra: RegionSpectra, rows: Iterable[int]) -> tuple[list[str], list[str]]:
    """Return the flag and the notes of points in the range that hold no counts, at some of the levels."""
    counted = {row: 0 if spectra.use is None else int((~spectra.use[row]).sum()) for row in rows}
    notes = [
        f"{spectra.spectra[row].name}: no counts at {spectra.spectra[row].metadata['masked']}; masked"
        for row, n in counted.items()
        if n
    ]
    return [f"POINTS_MASKED:{sum(counted.values())}"] if notes else [], notes


def series_record(
    profile: Profile, result: RegionFit, spectra: RegionSpectra, scale: EnergyScale, parents: list[str]
) -> ResultRecord:
    """Return the record of the whole region: shared values, models compared, depth profile of each species.

    Parameters
    ----------
    profile : Profile
    result : RegionFit
    spectra : RegionSpectra
        What was fitted.
    scale : EnergyScale
        Of this region's levels.
    parents : list of str
        The records of the levels.
    """
    quantities = shared_quantities(result)
    alternatives = [
        Alternative(
            comparison=question,
            name=a.name,
            bic=a.bic,
            delta_bic=a.delta_bic,
            chi2=a.chi2,
            n_free=max(a.n_free, 0),
            chosen=a.chosen,
        )
        for question, a in result.alternatives
    ]
    alternatives += _choices(result)
    gross = sorted(profile.gross[result.region.name])
    missing = len(spectra.rejected) + len(spectra.notes) + len(gross)
    flags = [f"NOT_DETECTED_SHAPE_HELD:{name}" for name in result.held] + _of_series(result)
    flags += [f"LEVELS_LEFT_OUT:{missing}"] if missing else []
    masked, said = _masked(spectra, range(spectra.y.shape[0]))
    flags += [*masked, *_doubted(profile, scale, bool(scale.doubted))]
    notes = [f"levels shift: {result.shift}", f"background: {result.background.label}", *spectra.notes]
    notes += [
        f"{cause} out of reach: {', '.join(choice.beyond)}" for cause, choice in result.choices.items() if choice.beyond
    ]
    notes += [f"left out: {level.error.message}" for level in spectra.rejected]
    notes += said
    notes += [f"left out: level {spectra.levels[k].index}, which the model does not describe" for k in gross]
    lines = {c.species: library_template(c, result.region.name) for c in result.region.components}
    notes += [f"{name}: {line.label}; {line.source} ({line.status})" for name, line in lines.items() if line]
    species = {c.name: c.species for c in result.region.components}
    notes += [
        f"{species[name]} is {'there' if asked.present else 'not shown'}: {asked.text()}"
        for name, asked in result.presence.items()
    ]
    if profile.recipe.charge.kind == "line":
        notes.append(profile.recipe.charge.text)
    notes += sampling_notes(result.fit)
    found = _species_courses(profile, result, spectra.times)
    return profile.context.record(
        state=profile.state(result.region.name, None),
        inputs=profile.inputs(f"{result.region.name}@series"),
        method="xps.series",
        quantities=(*quantities, *found.quantities),
        quality=quality_of(result.fit, [*flags, *found.flags]),
        alternatives=(*alternatives, *found.alternatives),
        parents=tuple(parents),
        notes=(*notes, *found.notes),
    )


def _choices(result: RegionFit) -> list[Alternative]:
    """Return what could have been chosen as well and is within reach of the data, with its probability."""
    found = []
    for cause, choice in result.choices.items():
        for label, (probability, fit) in choice.fits.items() if len(choice.fits) > 1 else ():
            name = label or (result.background.label if cause == "background" else "as stated")
            found.append(
                Alternative(
                    comparison=cause,
                    name=f"{name}: probability {probability:.2g}",
                    chi2=fit.chi2,
                    n_free=max(fit.n_estimated, 0),
                    chosen=not label,
                )
            )
    return found


def _species_courses(profile: Profile, result: RegionFit, times: FloatArray | None) -> Courses:
    """Return what the shares of the species do along the profile."""
    if times is None or len(result.own) < 2 or profile.level_kind == "angle":
        return Courses()
    kept = np.array([k for k in range(times.size) if k not in profile.gross[result.region.name]], dtype=np.intp)
    seen = int(result.detected[kept].sum())
    if seen < MINIMUM_LEVELS:
        few = f"{result.region.name} was detected at {seen} levels, too few for the profile of its species"
        return Courses(notes=[few] if times.size >= MINIMUM_LEVELS else [])
    found = zip(result.own, result.shares_within[0], result.share_covariances(), strict=True)
    amounts = ((c.species, values[kept], covariance.only(kept)) for c, values, covariance in found)
    return courses(profile, times[kept], amounts)
