"""What several regions of a profile say together: atomic fractions with their error budget, the valence of Mn."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import DataError
from layerscope.flags import derived_flags
from layerscope.records import Quantity, ResultRecord
from layerscope.runs.build import measured, remarks, some, upper_limit

from .attenuation import imfp_tpp2m, information_depth
from .courses import courses
from .energyscale import matching_rows
from .profile import Profile
from .quantify import Alternatives, Composition, Lines, QuantificationTable, atomic_fractions
from .quantities import LARGEST_SHARE_SIGMA
from .regionresult import RegionFit
from .rsf import sets_with
from .valence import mn_valence

__all__ = ["composition_records", "valence_records"]

FloatArray = NDArray[np.float64]


def composition_records(profile: Profile) -> list[ResultRecord]:
    """Return atomic fractions of every level, with counting, background, RSF set and charge reference apart.

    Raises
    ------
    DataError
        If fewer than two regions could be fitted, or they differ in their levels.
    """
    table = profile.recipe.quantification
    if table is None:
        return []
    wanted = [r.name for r in profile.recipe.regions if r.quantify]
    names = [n for n in wanted if n in profile.fits]
    if len(names) < 2:
        return []  # the failed records of the other regions say why
    missing = [n for n in wanted if n not in names]
    rows = _common_levels(profile, names)
    lines = Lines(
        tuple(_line(profile, n) for n in names),
        _kinetic_energies(profile, names),
        table.paths,
        _transmission(profile, names),
    )
    rsf = table.rsf()
    others = [other for other in sets_with(lines.names, table.alternative_sets) if other.name != rsf.name]
    area, covariance = _areas(profile, names, rows)
    composition = atomic_fractions(
        lines,
        area,
        covariance,
        rsf,
        Alternatives(_choices(profile, names, rows), others),
        charge_sigma_eV=profile.scale.systematic if profile.scale else 0.0,
        path_sigma=table.path_sigma,
        confidence=profile.recipe.confidence,
    )
    records = []
    for level in range(area.shape[0]):
        own = {n: rows[n][level] for n in names}
        depths = _probing_depths(table, lines, profile.spectra[names[0]].spectra[own[names[0]]].angle_deg)
        records.append(_composition_record(profile, own, composition, level, missing, depths))
    whole = _composition_profile(profile, _times(profile, names[0], rows), composition, records)
    return [*records, *([whole] if whole is not None else [])]


def _line(profile: Profile, name: str) -> str:
    """Return the line whose sensitivity a region's area has."""
    region = profile.recipe.region(name)
    return name if region is None or region.rsf_line is None else region.rsf_line


def _common_levels(profile: Profile, names: list[str]) -> dict[str, list[int]]:
    """Return the places, in each region, of the levels that all regions have.

    Raises
    ------
    DataError
        If there is no such level.
    """
    first = profile.spectra[names[0]]
    matches = {name: matching_rows(first, profile.spectra[name]) for name in names}
    rows = [
        row
        for row in range(len(first.keys))
        if all(row in match and match[row] not in profile.gross[name] for name, match in matches.items())
    ]
    if not rows:
        raise DataError(
            "no level was measured, and described by the fit, in all of " + ", ".join(names),
            source=profile.datasets[0].source,
            hint="set quantify = false for a region whose levels differ",
        )
    return {name: [match[row] for row in rows] for name, match in matches.items()}


def _times(profile: Profile, name: str, rows: dict[str, list[int]]) -> FloatArray | None:
    times = profile.spectra[name].times
    return None if times is None else times[rows[name]]


def _areas(profile: Profile, names: list[str], rows: dict[str, list[int]]) -> tuple[FloatArray, FloatArray]:
    """Return areas per unit of live time (L, M) and their covariance (L, M, M)."""
    totals = [_per_time(profile, name, profile.fits[name]) for name in names]
    area = np.stack([t[0][rows[n]] for n, t in zip(names, totals, strict=True)], axis=1)
    covariance = np.zeros((*area.shape, len(names)))
    for m, (name, (_, variance)) in enumerate(zip(names, totals, strict=True)):
        covariance[:, m, m] = variance[rows[name]]
    return area, covariance


def _per_time(profile: Profile, name: str, result: RegionFit) -> tuple[FloatArray, FloatArray]:
    area, variance = result.total
    live = profile.spectra[name].live_time_s
    return area / live, variance / live**2


def _probing_depths(table: QuantificationTable, lines: Lines, angle_deg: float | None) -> list[Quantity]:
    """Return the mean free path of every line's electrons, and the depth that 95 % of its signal comes from."""
    if table.material is None:
        return []
    path = imfp_tpp2m(lines.kinetic_energy_eV, table.material)
    of_file = angle_deg if angle_deg is not None and 0.0 <= angle_deg < 90.0 else 0.0
    angle = of_file if table.emission_angle_deg is None else table.emission_angle_deg
    depth = information_depth(path, emission_angle_deg=angle)
    found = [
        measured(name, float(value), table.path_sigma * float(value), "nm", line, kind="systematic")
        for name, values in (("attenuation.length", path), ("attenuation.probing_depth", depth))
        for line, value in zip(lines.names, values, strict=True)
    ]
    return list(some(found))


def _choices(profile: Profile, names: list[str], rows: dict[str, list[int]]) -> dict[str, FloatArray]:
    """Return the errors (L, M) of areas per unit of live time by what could have been chosen as well in fitting."""
    chosen = (item for name in names for item in profile.fits[name].choices.items())
    causes = dict.fromkeys(("background", *(cause for cause, choice in chosen if choice.total.any())))

    def error(name: str, cause: str) -> FloatArray:
        live, choice = profile.spectra[name].live_time_s, profile.fits[name].choices.get(cause)
        per_time = np.zeros(live.size) if choice is None else np.sqrt(choice.total) / live
        return np.asarray(per_time[rows[name]])

    return {cause: np.stack([error(name, cause) for name in names], axis=1) for cause in causes}


def _kinetic_energies(profile: Profile, names: list[str]) -> FloatArray:
    energies = []
    for name in names:
        spectra = profile.spectra[name]
        photon = spectra.spectra[0].excitation_energy_eV
        if photon is None:
            raise DataError("the excitation energy is not known", source=profile.datasets[0].source)
        energies.append(photon - _centre(profile.fits[name]))
    return np.array(energies)


def _centre(result: RegionFit) -> float:
    """Return the area-weighted binding energy of a region."""
    weights = np.array([max(float(result.fit.value(f"{c.name}_area").sum()), 0.0) for c in result.own])
    centres = np.array([float(result.fit.value(f"{c.name}_center").mean()) for c in result.own])
    return float(centres @ weights / weights.sum()) if weights.sum() > 0 else float(centres.mean())


def _transmission(profile: Profile, names: list[str]) -> FloatArray | None:
    values = []
    for name in names:
        spectra = profile.spectra[name]
        if spectra.transmission is None:
            return None
        values.append(float(np.interp(_centre(profile.fits[name]), spectra.x, spectra.transmission)))
    return np.array(values)


def _composition_record(
    profile: Profile,
    rows: dict[str, int],
    composition: Composition,
    level: int,
    missing: list[str],
    depths: list[Quantity],
) -> ResultRecord:
    quantities: list[Quantity | None] = []
    names = list(rows)
    for m, element in enumerate(composition.elements):
        limit: dict[str, Any] = {
            "upper_limit": 100.0 * float(composition.upper_limit[level, m]),
            "limit_confidence": composition.confidence,
        }
        quantities.append(
            measured(
                "composition.atomic_fraction",
                100.0 * float(composition.fraction[level, m]),
                100.0 * float(composition.sigma[level, m]),
                "%",
                element,
                kind="systematic",
                budget={k: 100.0 * v for k, v in composition.budget(level, element).items()},
                **(limit if not composition.detected[level, m] and np.isfinite(limit["upper_limit"]) else {}),
            )
        )
        quantities += _species_shares(profile, names[m], composition, level, m, rows[names[m]])
    first = profile.spectra[names[0]]
    files = sorted({profile.spectra[n].levels[row].file for n, row in rows.items()})
    number = first.levels[rows[names[0]]].index
    parents = {name: profile.records[name, row] for name, row in rows.items()}
    notes = [f"{', '.join(missing)} could not be fitted: the fractions are of the other elements"] if missing else []
    flags = [f"REGIONS_LEFT_OUT:{','.join(missing)}"] if missing else []
    return profile.context.record(
        state=profile.state(None, None if first.times is None else float(first.times[rows[names[0]]])),
        inputs=profile.inputs(f"composition@level={number}", files),
        method="xps.composition",
        quantities=(*some(quantities), *depths),
        quality=remarks([*flags, *derived_flags({n: r.flags for n, r in parents.items()})]),
        parents=tuple(r.record_id for r in parents.values()),
        notes=(f"RSF set {composition.rsf_set}", *composition.notes, *notes),
    )


def _species_shares(
    profile: Profile, name: str, composition: Composition, level: int, column: int, row: int
) -> list[Quantity]:
    """Split an element's atomic fraction by chemical species."""
    result = profile.fits[name]
    if len(result.own) < 2 or not bool(composition.detected[level, column]):
        return []
    whole, sigma = float(composition.fraction[level, column]), float(composition.sigma[level, column])
    found: list[Quantity | None] = []
    for k, c in enumerate(result.own):
        share, own = float(result.shares_within[0][k, row]), float(result.share_sigma[k, row])
        if not own < LARGEST_SHARE_SIGMA:
            continue
        parts = {"share": 100.0 * abs(whole) * own, "element": 100.0 * abs(share) * sigma}
        found.append(
            measured(
                "composition.species_atomic_fraction",
                100.0 * whole * share,
                float(np.hypot(parts["share"], parts["element"])),
                "%",
                f"{c.species} ({name})",
                kind="systematic",
                budget=parts,
                **upper_limit(100.0 * whole * share, parts["share"], profile.recipe.confidence),
            )
        )
    return list(some(found))


def _composition_profile(
    profile: Profile, times: FloatArray | None, composition: Composition, records: list[ResultRecord]
) -> ResultRecord | None:
    """Return where along the profile each element appears, saturates or ends."""
    if times is None or times.size < 3 or profile.level_kind == "angle":
        return None
    # errors of the sensitivities move all levels together: they do not blur where a profile bends
    counting = np.einsum("kmm->mk", composition.parts["counting"])
    amounts = zip(composition.elements, composition.fraction.T, np.sqrt(counting), strict=True)
    found = courses(profile, times, amounts)
    shown = [q for q in found.quantities if q.name not in ("species.plateau", "species.fraction")]
    inherited = [flag for record in records for flag in derived_flags({"": record.flags})]
    return profile.context.record(
        state=profile.state(None, None),
        inputs=profile.inputs("composition@series"),
        method="xps.composition_profile",
        quantities=tuple(shown),
        alternatives=tuple(found.alternatives),
        quality=remarks([*found.flags, *inherited]),
        parents=tuple(r.record_id for r in records),
        notes=tuple(found.notes),
    )


def valence_records(profile: Profile) -> list[ResultRecord]:
    """Return the splitting of Mn 3s and the valence by a named law at every level.

    Raises
    ------
    DataError
        If one of the two lines is not in the fit.
    """
    table = profile.recipe.mn_valence
    if table is None:
        return []
    region = profile.recipe.region(table.region)
    if region is None or region.name not in profile.fits:
        return []  # the failed record of the region says why
    result, spectra = profile.fits[region.name], profile.spectra[region.name]
    fitted = {c.species: f"{c.name}_center" for c in result.components}
    missing = [species for species in (table.low, table.high) if species not in fitted]
    if missing:
        raise DataError(
            f"{' and '.join(missing)} of {region.name} is not in the fit: there is no splitting to tell a valence from",
            source=profile.datasets[0].source,
            hint="the notes and flags of the region say why it was left out",
        )
    kept = np.array([k for k in range(result.fit.n_patterns) if k not in profile.gross[region.name]], np.intp)
    names = [fitted[table.low], fitted[table.high]]
    splitting = np.subtract(*(result.fit.value(n)[kept] for n in reversed(names)))
    c = result.fit.covariance_within(names)[kept]
    sigma = np.sqrt(np.maximum(c[:, 0, 0] + c[:, 1, 1] - 2.0 * c[:, 0, 1], 0.0))
    valence = mn_valence(splitting, sigma, table.law)
    records = []
    for at, level in enumerate(kept.tolist()):
        quantities = (
            measured("peak.splitting", float(splitting[at]), float(sigma[at]), "eV", "Mn 3s"),
            measured(
                "valence.mn",
                float(valence.value[at]),
                float(valence.sigma[at]),
                "1",
                f"Mn 3s, {valence.law}",
                kind="systematic",
                budget={"splitting": float(valence.statistical[at]), "law": float(valence.law_spread[at])},
            ),
        )
        parent = profile.records[region.name, level]
        flags = [f"OUT_OF_RANGE:{valence.law}"] if valence.out_of_range[at] else []
        by_law = ", ".join(f"{k} {float(v[at]):.2f}" for k, v in valence.by_law.items())
        records.append(
            profile.context.record(
                state=profile.state(region.name, None if spectra.times is None else float(spectra.times[level])),
                inputs=profile.inputs(f"valence@level={spectra.levels[level].index}", [spectra.levels[level].file]),
                method="xps.valence",
                quantities=some(quantities),
                quality=remarks([*flags, *derived_flags({region.name: parent.flags})]),
                parents=(parent.record_id,),
                notes=(f"valence by each law: {by_law}; both laws unverified",),
            )
        )
    return records
