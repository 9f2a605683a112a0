"""Features of an edge in all samples: places, amounts and shares, differences and ratios, each with a named error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from layerscope.errors import DataError
from layerscope.fitting.compare import Comparison, compare
from layerscope.fitting.result import SeriesFit
from layerscope.fitting.shapes import FloatArray

from .ensemble import (
    CHOICE,
    QUICK,
    Derived,
    MemberFit,
    default_members,
    energy_error,
    fit_members,
    member_weights,
    pair,
    split_error,
)
from .model import BACKGROUND, STEP, Band, EdgeBands, EdgeData, LineShape, Member, StepShape

__all__ = ["EdgeFit", "Estimate", "Feature", "fit_edge"]

Starts = dict[tuple[StepShape, LineShape], dict[str, FloatArray]]
#: Kinds of numbers of one sample, and what each is called against another sample.
AGAINST = {"position": "shift", "amount": "ratio", "share": "share_change"}
FURTHER = "further"  # bands that the table does not know
FURTHER_WIDTHS = (1.2, 2.5, 4.5)  # eV
MOST_FURTHER = 3
ROOM = 1.5  # eV; beyond the table's ranges for places of broad bands and the step, once a further band is there
PRESENT = 3.0  # errors by which an amount must lie above zero for a ratio to it
PATIENT = 60  # iterations of a member where a further band is there: bands that overlap move slowly
LEAST_GAIN = 15.0  # fall of chi2, other coefficients adapting, below which a further band is not tried
CANCEL, UNSURE = 0.1, 0.5  # negative amounts, and errors, in edges, from which on data do not tell bands apart
DECISIVE = 10.0  # difference of BIC from which a further band is taken


@dataclass(frozen=True)
class Estimate:
    """A number with the parts of its error, each one standard deviation.

    Attributes
    ----------
    value : float
    budget : dict
        ``counting``, ``background``, ``ensemble``, ``energy_scale`` and, where it matters, ``saturation``.
    """

    value: float
    budget: dict[str, float]

    @property
    def sigma(self) -> float:
        """One standard error."""
        return float(np.sqrt(sum(part**2 for part in self.budget.values())))


@dataclass(frozen=True)
class Feature:
    """One number of one sample.

    Attributes
    ----------
    kind : str
        ``position`` (eV), ``amount`` (share of the edge's area), ``share`` (of a region); against another sample
        ``shift`` (eV), ``ratio`` and ``share_change``.
    component : str
        Band or region.
    sample : int
    estimate : Estimate
    against : int or None
        The other sample.
    """

    kind: str
    component: str
    sample: int
    estimate: Estimate
    against: int | None = None


@dataclass(frozen=True)
class EdgeFit:
    """The joint fit of one edge in L samples.

    Attributes
    ----------
    bands : EdgeBands
        Those fitted, bands added by BIC included.
    data : EdgeData
    features : tuple of Feature
    members : tuple of Member
    redchi, weight : ndarray, shape (members,)
    choice : Comparison
        Numbers of bands by BIC.
    central : SeriesFit
        The default member.
    area : ndarray, shape (L,)
        Area of the edge in units of the signal times eV.
    """

    bands: EdgeBands
    data: EdgeData
    features: tuple[Feature, ...]
    members: tuple[Member, ...]
    redchi: FloatArray
    weight: FloatArray
    choice: Comparison
    central: SeriesFit
    area: FloatArray

    @property
    def flags(self) -> tuple[str, ...]:
        """What a reader must know: the flags of the default member, and bands that the table does not know."""
        further = [f"FURTHER_BAND:{b.name} {place:.1f} eV" for b, place in self._further()]
        return (*self.central.flags(), *further)

    def _further(self) -> list[tuple[Band, float]]:
        bands = [b for b in self.bands.band if b.name.startswith(FURTHER)]
        return [(b, float(self.central.value(f"{b.name}_center").mean())) for b in bands]

    def find(self, kind: str, component: str, sample: int = 0) -> Estimate:
        """Return one of the numbers.

        Raises
        ------
        KeyError
            If the fit has no such number.
        """
        for feature in self.features:
            if (feature.kind, feature.component, feature.sample) == (kind, component, sample):
                return feature.estimate
        raise KeyError(f"{kind} of {component} in sample {sample}")

    def curves(self, sample: int) -> dict[str, FloatArray]:
        """Return what the figure draws, over the area of the edge: energy, data, fit, residual, and each band."""
        fit, use = self.central, self.central.root_weight[sample] > 0
        lines, _ = fit.component_curves()
        x = fit.x[sample]
        below = sum(
            fit.value(name)[sample] * column[sample] for name, column in _columns(fit).items() if name != BACKGROUND[-1]
        )
        area = self.area[sample] / self.data.scale[sample]
        found = {"energy": x[use], "data": ((fit.y[sample] - below) / area)[use]}
        found["fit"] = ((fit.expected[sample] - below) / area)[use]
        found["residual"] = fit.residual[sample][use]
        continuum = fit.value(BACKGROUND[-1])[sample] * _columns(fit)[BACKGROUND[-1]][sample]
        found |= {name: (line[sample] / area)[use] for name, line in lines.items()}
        found[STEP] = found[STEP] + (continuum / area)[use]
        return found


def _columns(fit: SeriesFit) -> dict[str, FloatArray]:
    data = fit.batch.data
    assert data.columns is not None  # noqa: S101 - the model has no other background
    return {name: data.columns[fit.group, :, k] for k, name in enumerate(data.column_names)}


def fit_edge(
    data: EdgeData,
    bands: EdgeBands,
    area_eV: tuple[float, float],
    *,
    members: Sequence[Member] | None = None,
    against: int = 0,
    lost: float = 0.0,
) -> EdgeFit:
    """Fit an edge in all samples at once, choose its bands by BIC, and repeat it over an ensemble.

    Parameters
    ----------
    data : EdgeData
    bands : EdgeBands
        Optional bands are taken where BIC wants them, and up to three more that the table does not know.
    area_eV : (float, float)
        Range of the area that amounts are normalised to: a definition.
    members : sequence of Member, optional
        Those of `ensemble.default_members`; the first one is the default member.
    against : int
        The sample that others are compared with.
    lost : float
        Standard deviation of the share of the signal that saturation may take at the maximum.

    Raises
    ------
    DataError
        If the sample to compare with is not there.
    FitError
        If the fit cannot be posed.
    """
    if not 0 <= against < data.n_samples:
        raise DataError(f"there is no sample {against} to compare with")
    ensemble = tuple(members or default_members(bands))
    chosen, choice, central, starts = _choose(
        data, bands, [m for m in ensemble if m.window == ensemble[0].window], area_eV
    )
    known = not any(band.name.startswith(FURTHER) for band in chosen.band)
    fits = fit_members(
        data, chosen, ensemble, area_eV, starts, QUICK if known else replace(QUICK, max_iterations=PATIENT)
    )
    ordered = tuple(m for f in fits for m in f.members)
    redchi = np.concatenate([f.redchi for f in fits])
    weight = member_weights(fits)
    saturated = _saturated(data, lost)
    bent = None if saturated is None else fit_members(saturated, chosen, fits[0].members[:1], area_eV, starts, QUICK)[0]
    features = _features(data, fits, weight, against, bent)
    area = central.numbers.area[0] * data.scale
    return EdgeFit(chosen, data, features, ordered, redchi, weight, choice, central.batch[0], area)


def _starts(fitted: MemberFit) -> dict[str, FloatArray]:
    """Return where the default member stands, for each parameter that is no expression."""
    layout = fitted.batch.evaluator.layout
    return {base.name: fitted.batch.value(base.name)[0] for base in layout.bases if base.vary}


def _choose(
    data: EdgeData, bands: EdgeBands, windows: Sequence[Member], area_eV: tuple[float, float]
) -> tuple[EdgeBands, Comparison, MemberFit, Starts]:
    """Add bands as long as BIC wants them: those that the table calls optional first, then unknown ones.

    A band is an absorption: one whose amount would be negative is not taken. The shapes are those of the default window
    that describe the data best without any further band.
    """
    now = bands.chosen([b.name for b in bands.band if not b.optional])
    pool = [b for b in bands.band if b.optional]
    first: list[MemberFit] = []
    starts: Starts = {}
    for member in windows:  # each shape starts where the one before stands
        first += fit_members(
            data, now, [member], area_eV, {member.shapes: _starts(first[-1])} if first else None, CHOICE
        )
        starts[member.shapes] = _starts(first[-1])
    best = min(first, key=lambda fit: float(fit.batch.chi2[0]))
    tried = {_named(now): best.batch[0]}
    steps = [(now, best)]
    further = 0
    while further < MOST_FURTHER:
        candidates = pool or _further(now, best)
        # a band that the table knows may have stood in for the one that it lacks, and the new one then for the first
        room = now if pool or further else now.loosened(ROOM)
        wider = [room.with_band(band) for band in candidates]
        fits = [_with_one_more(data, more, best, area_eV) for more in wider]
        usable = [k for k, fit in enumerate(fits) if _there(fit, candidates[k])]
        if not usable and not pool:
            break
        if not usable:
            pool = []
            continue
        k = min(usable, key=lambda at: float(fits[at].batch.chi2[0]))
        tried[_named(wider[k])] = fits[k].batch[0]
        if _gain(best, fits[k]) > DECISIVE:
            now, best = wider[k], fits[k]
            steps.append((now, best))
            further += not pool
            pool = [band for band in pool if band is not candidates[k]]
        elif pool:
            pool = []
        else:
            break
    # where amounts may have either sign, bands that overlap grow and cancel if the data do not tell them apart
    for now, best in reversed(steps[1:]):
        found = _in_all_shapes(data, now, windows, area_eV, best, starts)
        best = min(found, key=lambda fit: float(fit.batch.chi2[0]))
        if all(_determined(fit) for fit in found):
            tried[_named(now)] = best.batch[0]
            return now, compare(tried), best, {fit.members[0].shapes: _starts(fit) for fit in found}
        tried.pop(_named(now), None)
    now, best = steps[0]
    return now, compare(tried), best, {key: _starts(best) | own for key, own in starts.items()}


def _determined(fitted: MemberFit) -> bool:
    """Return whether no bands cancel: negative amounts and the errors of all are small beside the edge."""
    found = fitted.numbers
    value, known, due = (part[0] for part in _numbers_of(found, None))
    amounts = np.array([kind == "amount" for kind, _ in found.names])
    below = np.minimum(value[:, amounts], 0.0).sum(axis=1)
    return bool((below > -CANCEL).all() and (np.sqrt(known + due)[:, amounts] < UNSURE).all())


def _in_all_shapes(
    data: EdgeData,
    bands: EdgeBands,
    windows: Sequence[Member],
    area_eV: tuple[float, float],
    fitted: MemberFit,
    starts: Starts,
) -> list[MemberFit]:
    """Fit bands that were added in one shape in the others too: bands have moved from where they stood in for these."""
    last, found = _starts(fitted), []
    for member in windows:
        own = starts[member.shapes]
        added = {name: value for name, value in last.items() if name.startswith(FURTHER)}
        begin = [own | last, last | own, added]
        fits = [fit_members(data, bands, [member], area_eV, {member.shapes: at}, CHOICE)[0] for at in begin]
        found.append(min(fits, key=lambda fit: (not fit.sound[0], float(fit.batch.chi2[0]))))
    return found


def _there(fit: MemberFit, band: Band) -> bool:
    """Return whether a fit is sound and its last band absorbs, a known one within the range that it is known by."""
    outside = band.optional and f"{band.name}_center" in fit.batch[0].at_bound()
    return bool(fit.sound[0]) and fit.last_amount > 0 and not outside


def _with_one_more(data: EdgeData, bands: EdgeBands, fitted: MemberFit, area_eV: tuple[float, float]) -> MemberFit:
    """Fit a further band from where the others stand; amounts stay above zero, or two bands may cancel each other."""
    starts = {fitted.members[0].shapes: _starts(fitted)}
    return fit_members(data, bands, fitted.members, area_eV, starts, CHOICE, nonnegative=True)[0]


def _named(bands: EdgeBands) -> str:
    return " + ".join(band.name for band in bands.band)


def _gain(without: MemberFit, fit: MemberFit) -> float:
    """Return by how much BIC falls, misfit that no band describes taken for noise."""
    excess = max(float(fit.redchi[0]), 1.0)
    one, two = without.batch[0], fit.batch[0]
    return float((one.chi2 - two.chi2) / excess - (two.n_estimated - one.n_estimated) * np.log(two.n_points))


def _further(bands: EdgeBands, fitted: MemberFit) -> list[Band]:
    """Return bands where one of each width would take most of the residual, coefficients of the fit adapting."""
    fit = fitted.batch[0]
    columns = fit.columns()
    weight = fit.root_weight
    direction = np.linalg.qr(np.swapaxes(columns * weight[:, None], -1, -2))[0]
    low, high = bands.further_eV
    places = np.arange(low, high + 0.1, 0.25)
    found: dict[float, float] = {}
    for width in FURTHER_WIDTHS:
        shape = np.exp(-4.0 * np.log(2.0) * ((fit.x[:, None] - places[:, None]) / width) ** 2) * weight[:, None]
        free = shape - (shape @ direction) @ np.swapaxes(direction, -1, -2)
        norm, whole = (free**2).sum(axis=-1), (shape**2).sum(axis=-1)
        overlap = np.maximum((free @ fit.residual[..., None])[..., 0], 0.0)  # a band is an absorption
        gain = np.where(norm > 1e-3 * whole, overlap**2 / np.maximum(norm, 1e-300), 0.0).sum(axis=0)
        k = int(gain.argmax())
        if gain[k] >= LEAST_GAIN * max(float(fitted.redchi[0]), 1.0):
            found.setdefault(float(places[k]), width)
    number = sum(band.name.startswith(FURTHER) for band in bands.band) + 1
    return [
        Band(
            name=f"{FURTHER}_{number}",
            label="further band",
            family="broad",
            center_eV=(place, max(place - 2.0, low), min(place + 2.0, high)),
            fwhm_eV=(width, min(FURTHER_WIDTHS), max(FURTHER_WIDTHS) * 1.5),
        )
        for place, width in found.items()
    ]


def _saturated(data: EdgeData, lost: float) -> EdgeData | None:
    """Return the spectra with a share `lost` of the signal taken at each maximum given back."""
    if lost <= 0.0:
        return None
    top = np.where(data.use, data.signal, -np.inf).max(axis=1, keepdims=True)
    floor = np.where(data.use, data.signal, np.inf).min(axis=1, keepdims=True)
    part = (data.signal - floor) / (top - floor)
    factor = 1.0 / (1.0 - lost * part)
    return replace(data, signal=floor + (data.signal - floor) * factor, variance=data.variance * factor**2)


def _features(
    data: EdgeData, fits: Sequence[MemberFit], weight: FloatArray, against: int, bent: MemberFit | None
) -> tuple[Feature, ...]:
    """Put the members together: mean, variances of the default window, spread, energy scale, saturation.

    Windows overlap, and a member that sees less is less sure: what members scatter by is added to the variance of the
    default window, and not to the mean of their variances, which would count it twice.
    """
    found: list[Feature] = []
    alone: dict[tuple[str, str, int], Estimate] = {}
    members = [m for f in fits for m in f.members]
    usual = np.where([m.window == members[0].window for m in members], weight, 0.0)
    usual = usual / usual.sum() if usual.any() else weight  # unless the default window fits much worse than others
    for other in (None, against):
        values, known, due = _stacked(fits, other)
        mean = np.einsum("g,glk->lk", weight, values)
        budget = {
            "counting": np.sqrt(np.einsum("g,glk->lk", usual, known)),
            "background": np.sqrt(np.einsum("g,glk->lk", usual, due)),
            "ensemble": np.sqrt(np.einsum("g,glk->lk", weight, (values - mean) ** 2)),
        }
        budget["energy_scale"] = energy_error(fits[0].numbers, data.energy_sigma, data.common_sigma, other)[0]
        if bent is not None:
            budget["saturation"] = np.abs(_numbers_of(bent.numbers, other)[0][0] - values[0])
        for sample in range(data.n_samples):
            if sample == other:
                continue
            for k, (kind, component) in enumerate(fits[0].numbers.names):
                parts = {name: float(part[sample, k]) for name, part in budget.items()}
                estimate = Estimate(float(mean[sample, k]), parts)
                if other is None:
                    alone[kind, component, sample] = estimate
                elif kind == "amount" and _absent(alone[kind, component, other]):
                    continue  # a ratio to what may not be there
                found.append(Feature(kind if other is None else AGAINST[kind], component, sample, estimate, other))
    return tuple(found)


def _absent(amount: Estimate) -> bool:
    return amount.value < PRESENT * amount.sigma


def _numbers_of(numbers: Derived, other: int | None) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return values, variances with a known background, and what the background adds, each (G, L, K)."""
    if other is not None:
        value, z, background_z = pair(numbers, other)
        return value, *split_error(z, background_z)
    z = np.concatenate([numbers.shared, numbers.own], axis=-1)
    background_z = np.concatenate([numbers.background_shared, numbers.background_own], axis=-1)
    return numbers.value, *split_error(z, background_z)


def _stacked(fits: Sequence[MemberFit], other: int | None) -> tuple[FloatArray, FloatArray, FloatArray]:
    parts = [_numbers_of(f.numbers, other) for f in fits]
    values, known, due = (np.concatenate([p[k] for p in parts]) for k in range(3))
    return values, known, due
