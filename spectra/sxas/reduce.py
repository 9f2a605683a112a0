"""From raw scans of one sample to its spectrum: examined, divided by the flux, noise measured, repeats merged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from layerscope.errors import DataError
from layerscope.measured.measurement import FloatArray

from .align import Curve, Shift, shift_between
from .doctor import diagnose, glitches
from .edges import Edge, edge_of_energies, load_edges
from .noise import Noise, measured_noise
from .options import EnergyTable
from .scan import Absorption, Scan
from .sweeps import Merged, merge_sweeps, sums_among

__all__ = ["Diode", "Reduced", "Reduction", "aligned", "diode_of", "edge_of", "reduce_scans"]


@dataclass(frozen=True)
class Diode:
    """A photodiode's scan, by which spectra are divided; it gives all of them the same error.

    Attributes
    ----------
    curve : Curve
    name : str
        Of its file.
    """

    curve: Curve
    name: str

    def at(self, energy: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return its values and noise at other energies.

        Raises
        ------
        DataError
            If it does not reach over them, or is not above zero there.
        """
        own, values, sigma = self.curve
        if energy[0] < own[0] - 0.5 or energy[-1] > own[-1] + 0.5:
            raise DataError(f"the photodiode runs from {own[0]:g} to {own[-1]:g} eV only", source=self.name)
        found = np.interp(energy, own, values)
        if not (found > 0).all():
            raise DataError("the photodiode's signal is not above zero everywhere", source=self.name)
        return found, np.interp(energy, own, sigma)


@dataclass(frozen=True)
class Reduction:
    """How scans become a spectrum.

    Attributes
    ----------
    edge : Edge
    mode : str or None
        Signal; the first that the first scan holds where it is None.
    monitor : str
    dark : mapping of str to float
        By role.
    diode : Diode or None
    repeats : {"tested", "merged"}
    glitches : {"mask", "keep"}
    """

    edge: Edge
    mode: str | None = None
    monitor: str = "i0"
    dark: Mapping[str, float] | None = None
    diode: Diode | None = None
    repeats: Literal["tested", "merged"] = "tested"
    glitches: Literal["mask", "keep"] = "mask"


@dataclass(frozen=True)
class Reduced:
    """The spectrum of one sample, and what became of its scans.

    Attributes
    ----------
    spectrum : Absorption
    reference : Curve or None
        Mean of the reference channel over the flux.
    merged : Merged
    noise : Noise
        Of the first scan.
    left_out : mapping of int to str
        Scans that are not used, by their place, and why.
    given : mapping of str to float
        What the file says of another program's analysis, see `Scan.given`.
    """

    spectrum: Absorption
    reference: Curve | None
    merged: Merged
    noise: Noise
    left_out: Mapping[int, str]
    given: Mapping[str, float]


def edge_of(scan: Scan, asked: Edge | None) -> Edge:
    """Return the edge that a scan is about: the one asked for, else the file's if it is known, else by energies.

    Raises
    ------
    DataError
        If the scan does not run over it.
    """
    low, high = float(scan.energy[0]), float(scan.energy[-1])
    edge = asked or load_edges().get(scan.edge)
    if edge is None:
        return edge_of_energies(low, high)
    if not (low < edge.search_eV[0] and edge.search_eV[1] < high):
        raise DataError(
            f"{scan.name} runs from {low:g} to {high:g} eV: it does not hold the edge {edge.name} "
            f"({edge.search_eV[0]:g} to {edge.search_eV[1]:g} eV)",
            source=scan.source or None,
            hint="name the edge that was measured; or the scan was stopped too early",
        )
    return edge


def reduce_scans(scans: Sequence[Scan], how: Reduction) -> Reduced:
    """Examine the scans of one sample, and make one spectrum of them.

    Parameters
    ----------
    scans : sequence of Scan
        Repeats, in their order; checked.
    how : Reduction

    Raises
    ------
    DataError
        If a scan does not hold the signal or the edge, or repeats do not overlap.
    """
    scans = [_without_dark(scan, how.dark or {}) for scan in scans]
    left_out = sums_among(scans)
    used = [scan for k, scan in enumerate(scans) if k not in left_out]
    mode = how.mode or next(iter(used[0].modes), "")
    flags = [*left_out.values()]
    curves, noises = [], []
    for scan in used:
        edge_of(scan, how.edge)
        flags += diagnose(scan, how.edge, mode, monitor=how.monitor)
        if scan.edge not in ("", how.edge.name):
            flags.append(f"EDGE_DIFFERS:the file says {scan.edge}")
        curve, noise = _curve(scan, mode, how)
        curves.append(curve)
        noises.append(noise)
    merged = merge_sweeps(curves, force=how.repeats == "merged")
    flags += merged.flags
    energy, mu, sigma = merged.curve
    common = None
    if how.diode is not None:
        value, error = how.diode.at(energy)
        mu, sigma = mu / value, sigma / value
        common = (mu * error / value) ** 2
    variance = sigma**2 + (0.0 if common is None else common)
    places = [k for k in range(len(scans)) if k not in left_out]
    spectrum = Absorption(
        energy,
        mu,
        "arbitrary",
        variance=variance,
        start_time=used[0].start_time,
        sample=used[0].sample,
        source=used[0].source,
        use=None if np.isfinite(variance).all() else np.isfinite(variance),
        edge=how.edge.name,
        mode=mode,
        shift_sigma_eV=merged.energy_sigma_eV,
        common="" if how.diode is None else how.diode.name,
        common_variance=common,
        scans=tuple(places[k] for k in merged.used),
        flags=tuple(dict.fromkeys(flags)),
        metadata={"convention": used[0].convention, **used[0].metadata},
    )
    spectrum.check(used[0].source or None)
    reference = _reference([used[k] for k in merged.used], how.monitor)
    return Reduced(spectrum, reference, merged, noises[0], left_out, used[0].given)


def _without_dark(scan: Scan, dark: Mapping[str, float]) -> Scan:
    missing = [role for role in dark if role not in scan.channels]
    if missing:
        raise DataError(f"{scan.name} has no channel {missing[0]!r} without a dark level", source=scan.source or None)
    channels = {role: values - dark.get(role, 0.0) for role, values in scan.channels.items()}
    return replace(scan, channels=channels) if dark else scan


def _curve(scan: Scan, mode: str, how: Reduction) -> tuple[Curve, Noise]:
    """Return the ratio of a scan with its noise; points that are left out carry infinite errors."""
    ratio = scan.signal(mode, monitor=how.monitor)
    use = np.isfinite(ratio) & (True if scan.use is None else scan.use)
    if how.glitches == "mask":
        use[use] &= ~glitches(scan.energy[use], ratio[use])
    known = {how.monitor, mode} <= scan.channels.keys() and mode not in scan.ratios
    readings = (scan.channels[mode][use], scan.channels[how.monitor][use]) if known else (None, None)
    noise = measured_noise(scan.energy[use], ratio[use], *readings)
    sigma = np.full(ratio.size, np.inf)
    sigma[use] = noise.sigma
    filled = np.interp(scan.energy, scan.energy[use], ratio[use])
    return (scan.energy, filled, sigma), noise


def _reference(scans: Sequence[Scan], monitor: str) -> Curve | None:
    """Return the mean reference channel over the flux, on the energies of the first scan."""
    curves = []
    for scan in scans:
        values = scan.channels.get("reference")
        flux = scan.channels.get(monitor)
        if values is None or flux is None or not (flux > 0).all() or not values.any():
            return None
        ratio = values / flux
        try:
            curves.append((scan.energy, ratio, measured_noise(scan.energy, ratio).sigma))
        except DataError:
            return None
    return merge_sweeps(curves, force=True).curve


def diode_of(scan: Scan, monitor: str) -> Diode:
    """Return the photodiode's signal of its scan, over the flux where both are known.

    Raises
    ------
    DataError
        If the file has no such channel.
    """
    if "diode" not in scan.channels:
        raise DataError("there is no photodiode in this file", source=scan.source, hint="name its column: diode = ...")
    values = scan.channels["diode"]
    flux = scan.channels.get(monitor)
    ratio = values if flux is None else np.divide(values, flux, out=np.full(flux.shape, np.nan), where=flux > 0)
    use = np.isfinite(ratio)
    energy, ratio = scan.energy[use], ratio[use]
    return Diode((energy, ratio, measured_noise(energy, ratio).sigma), scan.source)


def aligned(samples: Sequence[Reduced], how: EnergyTable) -> tuple[list[Reduced], list[Shift | None]]:
    """Put the spectra of several samples on one energy scale, each with the error that its place has.

    Parameters
    ----------
    samples : sequence of Reduced
        The first one's energies are kept.
    how : EnergyTable

    Returns
    -------
    samples : list of Reduced
        With their energies shifted; where a reference channel cannot tell by how much, flagged and given the error
        `repeat_eV`.
    shifts : list of Shift or None
        What was found of each.
    """
    first = samples[0]
    whole, words = how.shift_eV, [how.convention] if how.convention else []
    flags: list[str] = []
    if how.known_eV is not None and first.reference is not None:
        found = _maximum(first.reference, how.known_eV, how.reach_eV)
        whole += how.known_eV - found
        words.append(f"maximum of the reference channel at {found:.3f} eV set to {how.known_eV:g} eV")
    elif how.known_eV is not None:
        flags.append("NOT_ALIGNED:no reference channel to calibrate the scale with")
    if not words and how.shift_eV == 0.0:
        flags.append(f"AXIS_UNCALIBRATED:{how.sigma_eV:g} eV")
    placed, shifts = [], list[Shift | None]()
    for k, sample in enumerate(samples):
        shift, own = None, list(flags)
        sigma = 0.0 if k == 0 else how.repeat_eV
        if k and how.align == "reference":
            try:
                if first.reference is None or sample.reference is None:
                    raise DataError("there is no reference channel")
                shift = shift_between(first.reference, sample.reference, how.reach_eV)
                sigma = shift.sigma
            except DataError as error:
                own.append(f"NOT_ALIGNED:{error.message}")
        shifts.append(shift)
        # what sweeps scatter by, a reference channel measured at the same time has seen too
        seen = how.align == "reference" and (k == 0 or shift is not None)
        value = whole + (shift.value if shift is not None else 0.0)
        one = sample.spectrum
        convention = "; ".join([one.metadata.get("convention", ""), *words])
        spectrum = replace(
            one,
            axis=one.axis + value,
            shift_eV=value,
            shift_sigma_eV=sigma if seen else float(np.hypot(sigma, one.shift_sigma_eV)),
            flags=tuple(dict.fromkeys((*one.flags, *own))),
            metadata={**one.metadata, "convention": convention},
        )
        placed.append(replace(sample, spectrum=spectrum))
    return placed, shifts


def _maximum(curve: Curve, near: float, reach: float) -> float:
    """Return where a curve has its maximum near an energy, by a parabola through its three highest points."""
    energy, values, _ = curve
    inside = np.flatnonzero(np.abs(energy - near) <= max(2 * reach, 3.0))
    if inside.size < 5:
        raise DataError(f"the reference channel has no points near {near:g} eV")
    k = int(np.clip(inside[values[inside].argmax()], 1, energy.size - 2))
    bend, slope, _ = np.polyfit(energy[k - 1 : k + 2] - energy[k], values[k - 1 : k + 2], 2)
    return float(energy[k] - slope / (2 * bend)) if bend < 0 else float(energy[k])
