"""Records of what two lines say together: Auger parameters, and thicknesses of layers at one angle or several."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import DataError
from layerscope.flags import derived_flags
from layerscope.records import Quantity, ResultRecord
from layerscope.runs.build import held, measured, remarks, some, upper_limit

from .auger import AugerParameterTable, auger_parameter, states_near
from .dataset import normalise_region
from .energyscale import matching_rows
from .overlayer import LayerModel, OverlayerTable, ThicknessFit, fit_thickness, layer_model, thickness
from .profile import Profile
from .regionresult import RegionFit

__all__ = ["auger_records", "layer_records"]

FloatArray = NDArray[np.float64]

SEEN = 3.0
"""Standard errors above zero from which a line has a position."""
SURE = 2.0
"""Standard errors above zero from which an area enters a ratio."""
ONE_SIDED_95 = 1.645
CONFIDENCE = 0.95


def auger_records(profile: Profile) -> list[ResultRecord]:
    """Return every Auger parameter of the recipe at the levels that both of its regions have."""
    records: list[ResultRecord] = []
    for table in profile.recipe.auger_parameter:
        names = normalise_region(table.core_region), normalise_region(table.auger_region)
        if all(name in profile.fits for name in names):  # else the failed record of the region says why
            with _guarded(profile, "xps.auger_parameter", table.label):
                records += _auger_levels(profile, table, names)
    return records


def _guarded(profile: Profile, method: str, label: str) -> AbstractContextManager[None]:
    return profile.context.guard(state=profile.state(None, None), inputs=profile.inputs(label), method=method)


def _auger_levels(profile: Profile, table: AugerParameterTable, names: tuple[str, str]) -> list[ResultRecord]:
    """Return one Auger parameter at every level at which both lines are seen and their positions are free."""
    rows = _common(profile, *names)
    core, core_sigma = _measured_position(profile.fits[names[0]], table.core, [r for r, _ in rows])
    other, other_sigma = _measured_position(profile.fits[names[1]], table.auger, [r for _, r in rows])
    photon = _photon_energy(profile, names[0])
    value, sigma, parts = auger_parameter(core, core_sigma, other, other_sigma, photon)
    records = []
    for level, pair in enumerate(rows):
        if not (core_sigma[level] > 0 and other_sigma[level] > 0):
            continue
        budget = {name: float(part[level]) for name, part in parts.items()}
        at = float(value[level]), float(sigma[level])
        what = ("auger.parameter", *at, "eV", table.label)
        quantity = measured(*what, kind="systematic", budget=budget, competing=states_near(table, *at))
        notes = _auger_notes(table, photon)
        records.append(_record(profile, "xps.auger_parameter", names, pair, [quantity], notes))
    return records


def _auger_notes(table: AugerParameterTable, photon: float) -> tuple[str, ...]:
    return (
        f"photon energy {photon:g} eV less the energy of {table.auger} plus that of {table.core}, both as measured: "
        "charging and the charge reference cancel",
    )


def _measured_position(result: RegionFit, species: str, rows: Sequence[int]) -> tuple[FloatArray, FloatArray]:
    """Return position as measured and its standard error at some levels: the fit's own, with its shift put back.

    The error is 0 where the line is not seen, or was held where it is.

    Raises
    ------
    DataError
        If the component was left out of the fit.
    """
    component = next((c for c in result.components if c.species == species), None)
    if component is None:
        raise DataError(f"{species} was left out of the fit of {result.region.name}: it has no position")
    fit = result.fit
    names = [n for n in (f"{component.name}_center", "shift") if (fit.sigma(n) > 0).any()]
    value = fit.value(f"{component.name}_center") + fit.value("shift")
    sigma = np.zeros(value.size)
    if names:
        sigma = np.sqrt(np.maximum(fit.covariance_within(names).sum(axis=(1, 2)), 0.0))
    area, error = fit.value(f"{component.name}_area"), fit.sigma(f"{component.name}_area")
    sigma = np.where(area > SEEN * error, sigma, 0.0)
    at = list(rows)
    return np.asarray(value[at]), np.asarray(sigma[at])


def layer_records(profile: Profile) -> list[ResultRecord]:
    """Return the thickness of every layer of the recipe: at each level, and one for all angles where they differ."""
    records: list[ResultRecord] = []
    for table in profile.recipe.overlayer:
        names = normalise_region(table.region), table.other_region
        if not all(name in profile.fits for name in names):
            continue  # the failed record of the region says why
        with _guarded(profile, "xps.layer", f"layer={table.name}"):
            layer = _Layer.of(profile, table)
            own = layer.level_records()
            records += own
            if profile.level_kind == "angle" and len(layer.rows) > 1 and (layer.taking_part.any() or not own):
                records.append(layer.series_record(own))
    return records


@dataclass(frozen=True, eq=False)
class _Layer:
    """A layer while it is being worked on: intensities (L,) of it and of the substrate, and covariances (2L, 2L).

    `covariance` is that of counting, `chosen` that of what could have been chosen as well in fitting, the background.
    """

    profile: Profile
    table: OverlayerTable
    names: tuple[str, str]
    rows: list[tuple[int, int]]
    angle: FloatArray
    model: LayerModel
    upper: FloatArray
    below: FloatArray
    covariance: FloatArray
    chosen: FloatArray

    @classmethod
    def of(cls, profile: Profile, table: OverlayerTable) -> _Layer:
        names = normalise_region(table.region), table.other_region
        rows = _common(profile, *names)
        pairs = ((names[0], table.species, 0), (names[1], table.substrate, 1))
        sums = {i: (name, _columns(profile, name, species)) for i, (name, species, _) in enumerate(pairs)}
        areas = [_total(profile, *sums[i], [pair[i] for pair in rows]) for i in (0, 1)]
        covariance = _covariance(profile, sums, rows)
        photon = _photon_energy(profile, names[0])
        kinetic = [photon - _centre(profile.fits[name], columns) for name, columns in sums.values()]
        return cls(
            profile, table, names, rows, _angles(profile, table, names[0], rows), layer_model(table, *kinetic),
            areas[0], areas[1], covariance, _by_choice(profile, sums, rows),
        )  # fmt: skip

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Levels whose ratio has a logarithm: both areas stand above their errors."""
        sigma = np.sqrt(np.diag(self.covariance))
        count = len(self.rows)
        return np.asarray((self.upper > SURE * sigma[:count]) & (self.below > SURE * sigma[count:]))

    @property
    def taking_part(self) -> NDArray[np.bool_]:
        """Levels that the fit over angles uses."""
        return np.asarray(self.usable & (self.angle <= self.table.max_angle_deg))

    def level_records(self) -> list[ResultRecord]:
        """Return the thickness by each level alone; none where the ratio of the bulk is to be fitted."""
        if not math.isfinite(self.model.r_inf):
            return []
        found = []
        for level, pair in enumerate(self.rows):
            quantity = self._at(level)
            if quantity is not None:
                found.append(_record(self.profile, "xps.layer", self.names, pair, [quantity], self._notes()))
        return found

    def _at(self, level: int) -> Quantity | None:
        """Return the thickness by one level: with its limit where the layer is not seen, a lower end where all is."""
        count, model = len(self.rows), self.model
        sigma = np.sqrt(np.diag(self.covariance))
        upper, below, below_sigma = self.upper[level], self.below[level], sigma[count + level]
        angle = self.angle[level : level + 1]
        if below <= SURE * below_sigma:
            most = below + ONE_SIDED_95 * below_sigma
            low = float(thickness(np.array([upper / most]), model, angle)[0]) if most > 0 else math.nan
            if not math.isfinite(low):
                return None
            name = self.table.name
            return Quantity(
                name="layer.thickness", unit="nm", component=name, role="derived", low=low, confidence=CONFIDENCE
            )

        def at(ratio: float, changed: LayerModel = model) -> float:
            return float(thickness(np.array([ratio]), changed, angle)[0])

        ratio = float(upper / below)
        gradient = np.array([1.0 / below, -upper / below**2])
        two, value = np.ix_([level, count + level], [level, count + level]), at(ratio)

        def by(covariance: FloatArray) -> float:
            spread = math.sqrt(max(float(gradient @ covariance[two] @ gradient), 0.0))
            ends = [at(ratio + s * spread) for s in (-1.0, 1.0)]
            return 0.5 * (ends[1] - ends[0]) if all(map(math.isfinite, ends)) else math.nan

        bulk = [at(ratio / math.exp(s * model.r_inf_sigma)) for s in (-1.0, 1.0)]
        parts = {
            "counting": by(self.covariance),
            "background": by(self.chosen),
            "r_inf": 0.5 * abs(bulk[1] - bulk[0]),
            "attenuation_length": abs(value) * model.length_sigma,
        }
        total = math.sqrt(sum(part**2 for part in parts.values()))
        limit = upper_limit(value, total, CONFIDENCE) if upper <= SURE * sigma[level] else {}
        more: dict[str, Any] = {"kind": "systematic", "budget": parts, **limit}
        return measured("layer.thickness", value, total, "nm", self.table.name, **more)

    def series_record(self, own: Sequence[ResultRecord]) -> ResultRecord:
        """Return one thickness for all angles up to the largest that takes part.

        Raises
        ------
        DataError
            If too few angles have a ratio.
        """
        at, count = np.flatnonzero(self.taking_part), len(self.rows)
        rise = np.hstack([np.diag(1.0 / self.upper[at]), np.diag(-1.0 / self.below[at])])
        both = np.concatenate([at, count + at])
        counting, chosen = (rise @ c[np.ix_(both, both)] @ rise.T for c in (self.covariance, self.chosen))
        ratio = np.log(self.upper[at] / self.below[at])
        found = fit_thickness(ratio, counting, self.model, self.angle[at], background=chosen)
        name, unit = self.table.name, "nm"
        quantities = [
            measured("layer.thickness", found.value, found.sigma, unit, name, kind="systematic", budget=found.parts),
            self._bulk(found),
            held("attenuation.length", self.model.length_nm, unit, name),
        ]
        parents = [pair[i] for pair in (self.rows[k] for k in at) for i in (0,)]
        flags = [] if found.agree else [f"ANGLES_DISAGREE:chi2 {found.chi2:.1f} of {found.freedom}"]
        agree = "agree" if found.agree else "do not agree"
        notes = (
            f"{at.size} angles, {', '.join(f'{a:g}' for a in self.angle[at])} degrees, {agree} on one thickness: "
            f"chi2 {found.chi2:.1f} of {found.freedom}, p = {found.probability:.2g}",
            *self._notes(),
        )
        regions = dict.fromkeys(self.names)
        levels = [self.profile.records[n, r] for n in regions for r in parents if (n, r) in self.profile.records]
        inherited = derived_flags({f"{r.region} {k}": r.flags for k, r in enumerate(levels)})
        return self.profile.context.record(
            state=self.profile.state(None, None),
            inputs=self.profile.inputs(f"layer={name}@series"),
            method="xps.layer_series",
            quantities=some(quantities),
            quality=remarks([*flags, *inherited]),
            parents=(*(r.record_id for r in levels), *(r.record_id for r in own)),
            notes=notes,
        )

    def _bulk(self, found: ThicknessFit) -> Quantity | None:
        what = "layer.bulk_ratio", found.r_inf, found.r_inf_sigma, "1", self.table.name
        if not found.r_inf_sigma > 0:
            return held("layer.bulk_ratio", found.r_inf, "1", self.table.name)
        kind: Any = "covariance" if self.table.r_inf == "fit" else "systematic"
        return measured(*what, kind=kind)

    def _notes(self) -> tuple[str, ...]:
        model, table = self.model, self.table
        source = "given" if table.material is None else f"by TPP-2M in {table.material.formula}"
        bulk = "fitted" if table.r_inf == "fit" else "given" if table.r_inf is not None else "from both materials"
        return (
            f"attenuation lengths {model.length_nm:.2f} and {model.substrate_length_nm:.2f} nm, {source}, each within "
            f"{100 * model.length_sigma:.0f} %; ratio of the bulk {bulk}",
        )


# --- what both share ---------------------------------------------------------------------------------------------


def _common(profile: Profile, first: str, other: str) -> list[tuple[int, int]]:
    """Return the places, in both regions, of the levels that both have and that their fits describe."""
    match = matching_rows(profile.spectra[first], profile.spectra[other])
    gross = profile.gross[first], profile.gross[other]
    rows = [(row, match[row]) for row in sorted(match) if row not in gross[0] and match[row] not in gross[1]]
    if not rows:
        raise DataError(f"no level was measured in both {first} and {other}", source=profile.datasets[0].source)
    return rows


def _photon_energy(profile: Profile, name: str) -> float:
    energy = profile.spectra[name].spectra[0].excitation_energy_eV
    if energy is None:
        raise DataError("the excitation energy is not known", source=profile.datasets[0].source)
    return energy


def _columns(profile: Profile, name: str, species: Sequence[str]) -> list[str]:
    """Return the names of components in the fit of a region; those that were left out as absent add nothing."""
    fit = profile.fits[name]
    return [c.name for c in fit.components if c.species in species]


def _total(profile: Profile, name: str, columns: Sequence[str], rows: Sequence[int]) -> FloatArray:
    """Return the summed areas of components per unit of live time at some levels."""
    fit, live = profile.fits[name].fit, profile.spectra[name].live_time_s
    total = sum((fit.value(f"{c}_area") for c in columns), start=np.zeros(live.size))
    return np.asarray((total / live)[list(rows)])


def _covariance(
    profile: Profile, sums: Mapping[int, tuple[str, list[str]]], rows: Sequence[tuple[int, int]]
) -> FloatArray:
    """Return the covariance (2L, 2L) of both summed areas between all levels; of one region, also between the two."""
    count = len(rows)
    result = np.zeros((2 * count, 2 * count))
    for i in (0, 1):
        for j in (0, 1):
            (name, own), (other, theirs) = sums[i], sums[j]
            if name != other or not own or not theirs:
                continue
            names = [f"{c}_area" for c in dict.fromkeys((*own, *theirs))]
            whole = profile.fits[name].fit.covariance(names)
            a = [names.index(f"{c}_area") for c in own]
            b = [names.index(f"{c}_area") for c in theirs]
            block = whole[a][:, :, b].sum(axis=(0, 2))
            live = profile.spectra[name].live_time_s
            at, to = [pair[i] for pair in rows], [pair[j] for pair in rows]
            block = (block / np.outer(live, live))[np.ix_(at, to)]
            result[i * count : (i + 1) * count, j * count : (j + 1) * count] = block
    return result


def _by_choice(
    profile: Profile, sums: Mapping[int, tuple[str, list[str]]], rows: Sequence[tuple[int, int]]
) -> FloatArray:
    """Return the covariance (2L, 2L) of both summed areas by what could have been chosen as well in each fit."""
    count = len(rows)
    result = np.zeros((2 * count, 2 * count))
    for name in dict.fromkeys(name for name, _ in sums.values()):
        fitted, live = profile.fits[name], profile.spectra[name].live_time_s
        for choice in fitted.choices.values():
            for probability, other in choice.fits.values():
                off = np.zeros(2 * count)
                for i, (own, columns) in sums.items():
                    if own != name:
                        continue
                    amounts = [f"{c}_area" for c in columns if f"{c}_area" in other.names]
                    change = sum((other.value(a) - fitted.fit.value(a) for a in amounts), start=np.zeros(live.size))
                    off[i * count : (i + 1) * count] = (change / live)[[pair[i] for pair in rows]]
                result += probability * np.outer(off, off)
    return result


def _centre(result: RegionFit, columns: Sequence[str]) -> float:
    if not columns:
        raise DataError(f"none of the components of {result.region.name} that the layer names was fitted")
    return float(np.mean([result.fit.value(f"{c}_center").mean() for c in columns]))


def _angles(profile: Profile, table: OverlayerTable, name: str, rows: Sequence[tuple[int, int]]) -> FloatArray:
    """Return the emission angle of every level.

    Raises
    ------
    DataError
        If neither recipe nor file says it.
    """
    spectra = profile.spectra[name]
    if profile.level_kind == "angle" and spectra.times is not None:
        return np.asarray(spectra.times[[pair[0] for pair in rows]], dtype=float)
    found = [spectra.spectra[pair[0]].angle_deg for pair in rows]
    known = [table.emission_angle_deg if table.emission_angle_deg is not None else angle for angle in found]
    angles = [angle for angle in known if angle is not None]
    if len(angles) < len(rows):
        raise DataError(
            "the emission angle is not known", source=profile.datasets[0].source, hint="overlayer: emission_angle_deg"
        )
    return np.array(angles, dtype=float)


def _record(
    profile: Profile,
    method: str,
    names: tuple[str, str],
    pair: tuple[int, int],
    quantities: Sequence[Quantity | None],
    notes: tuple[str, ...],
) -> ResultRecord:
    """Return the record of one level, with what warns in the regions that it rests on."""
    spectra = profile.spectra[names[0]]
    level = spectra.levels[pair[0]]
    value = None if spectra.times is None else float(spectra.times[pair[0]])
    at = dict(zip(names, pair, strict=True))
    parents = {n: profile.records[n, row] for n, row in at.items() if (n, row) in profile.records}
    labels = ",".join(q.label for q in quantities if q is not None)
    return profile.context.record(
        state=profile.state(None, value),
        inputs=profile.inputs(f"{labels}@level={level.index}", [level.file]),
        method=method,
        quantities=some(quantities),
        quality=remarks(derived_flags({n: r.flags for n, r in parents.items()})),
        parents=tuple(dict.fromkeys(r.record_id for r in parents.values())),
        notes=notes,
    )
