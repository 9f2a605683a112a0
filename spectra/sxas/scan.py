"""What a beamline file holds and what is made of it: the raw scan with its channels, and the absorption spectrum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import DataError
from layerscope.measured.measurement import FloatArray, Measurement, Recording

__all__ = ["ROLES", "SIGNALS", "Absorption", "Scan", "ScanFile"]

SIGNALS: Mapping[str, str] = MappingProxyType(
    {
        "tey": "total electron yield",
        "aey": "Auger electron yield",
        "pey": "partial electron yield",
        "tfy": "total fluorescence yield",
        "pfy": "partial fluorescence yield",
        "ipfy": "inverse partial fluorescence yield",
        "mu": "absorption",
    }
)
"""Roles of channels that can stand for the absorption, in the order in which one is taken if none is asked for."""

ROLES: Mapping[str, str] = MappingProxyType(
    {
        **SIGNALS,
        "i0": "incident flux",
        "i0_other": "a second monitor of the incident flux",
        "reference": "sample of known energy measured at the same time",
        "diode": "photodiode in place of the sample",
        "pfy_other": "partial fluorescence yield of another element, whose inverse goes with the absorption",
        "encoder": "energy that the monochromator reports, eV",
        "setpoint": "energy that was asked for, eV",
        "ring_current": "current of the storage ring",
    }
)
"""Every role that a channel of a scan may have."""

MOST_DEAD = 0.05
"""Share of the points above which points without incident flux mean that the scan cannot be used."""


class _EnergyCurve(Measurement):
    """A curve over the photon energy in eV, whose values may be negative: they are currents, or differences."""

    AXIS_WORDS: ClassVar[tuple[str, str]] = ("an energy", "energies")
    MASKS_NEGATIVE: ClassVar[bool] = False

    @property
    def axis_name(self) -> str:
        """What the axis is."""
        return "photon_energy"

    @property
    def axis_unit(self) -> str:
        """Unit of the axis."""
        return "eV"

    @property
    def may_be_negative(self) -> bool:
        """Currents can be."""
        return True

    @property
    def energy(self) -> FloatArray:
        """Photon energy in eV, shape (n,), ascending."""
        return self.axis


@dataclass(frozen=True, eq=False)
class Scan(_EnergyCurve):
    """One sweep over an edge as the beamline wrote it; `intensity` is the channel of `mode`. Made by `Scan.of`.

    Parameters
    ----------
    channels : mapping of str to ndarray of float64, shape (n,)
        Values as in the file by role, see `ROLES`.
    labels : mapping of str to str
        Name of each channel in the file.
    ratios : frozenset of str
        Roles whose values are divided by the incident flux already.
    edge : str
        As the file names it, normalised; empty where it does not.
    dwell_s : ndarray of float64, shape (n,), optional
        Counting time of each point in s.
    sweeps : int
        How many sweeps the file says to have added up.
    given : mapping of str to float
        Numbers of another program's analysis that the file holds: ``e0``, ``eshift``, ``pre1``, ``step``, ...
    convention : str
        What the file says of the energy calibration.
    flags : tuple of str
        What the reader found.
    """

    channels: Mapping[str, FloatArray] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    ratios: frozenset[str] = frozenset()
    edge: str = ""
    dwell_s: FloatArray | None = None
    sweeps: int = 1
    given: Mapping[str, float] = field(default_factory=dict)
    convention: str = ""
    flags: tuple[str, ...] = ()

    INTENSITY_WORD: ClassVar[str] = "readings"

    @classmethod
    def of(cls, energy: FloatArray, channels: Mapping[str, FloatArray], **more: Any) -> Self:
        """Return a scan whose `intensity` is its first signal that is not all zero, in the order of `SIGNALS`.

        Parameters
        ----------
        energy : ndarray, shape (n,)
            Photon energy in eV.
        channels : mapping of str to ndarray, shape (n,)
            By role.
        **more
            Further fields.
        """
        known = {role: np.asarray(values, float) for role, values in channels.items()}
        present = [role for role in (*SIGNALS, "pfy_other") if role in known]
        first = next((role for role in present if known[role].any()), present[0] if present else "")
        intensity = known.get(first, np.zeros(np.shape(energy)))
        return cls(np.asarray(energy, float), intensity, "arbitrary", channels=known, **more)

    @property
    def name(self) -> str:
        """What the messages call it."""
        return f"scan {self.sample or self.index}" + (f" ({self.source})" if self.source else "")

    @property
    def label(self) -> str:
        """The edge."""
        return self.edge

    @property
    def modes(self) -> tuple[str, ...]:
        """Signals that it holds and that are not all zero, in the order of `SIGNALS`."""
        held = {role for role, values in self.channels.items() if values.any()}
        held |= {"ipfy"} if {"pfy_other", "i0"} <= held else set()
        return tuple(role for role in SIGNALS if role in held)

    def signal(self, mode: str | None = None, *, monitor: str = "i0") -> FloatArray:
        """Return a signal divided by the incident flux, shape (n,), unless the file has divided it already.

        Parameters
        ----------
        mode : str, optional
            One of `modes`, the first if not given.
        monitor : {"i0", "i0_other", "diode"}
            What is taken for the incident flux.

        Raises
        ------
        DataError
            If the file does not hold the signal, or nothing that it could be divided by.
        """
        chosen = mode or next(iter(self.modes), "")
        held = ", ".join(self.labels.get(role, role) for role in self.channels)
        if chosen == "ipfy" and chosen not in self.channels and {"pfy_other", monitor} <= self.channels.keys():
            other = self.channels["pfy_other"]
            inverse: FloatArray = np.divide(
                self.channels[monitor], other, out=np.full(other.shape, np.nan), where=other > 0
            )
            return inverse
        if chosen not in self.channels:
            raise DataError(
                f"{self.name} has no {SIGNALS.get(chosen, 'signal')} ({chosen or 'none'})",
                source=self.source or None,
                hint=f"it holds {held or 'nothing'}",
            )
        if chosen in self.ratios:
            return self.channels[chosen]
        if monitor not in self.channels:
            raise DataError(
                f"{self.name} has no {ROLES.get(monitor, monitor)} ({monitor}) to divide by",
                source=self.source or None,
                hint=f"it holds {held}; name the column in the recipe's columns",
            )
        flux = self.channels[monitor]
        ratio: FloatArray = np.divide(self.channels[chosen], flux, out=np.full(flux.shape, np.nan), where=flux > 0)
        return ratio

    def reordered(self, order: slice | NDArray[np.intp]) -> Self:
        """Return it with its points in another order."""
        channels = {role: np.ascontiguousarray(values[order]) for role, values in self.channels.items()}
        dwell = None if self.dwell_s is None else self.dwell_s[order]
        return replace(super().reordered(order), channels=channels, dwell_s=dwell)

    def without_dead_points(self) -> Self:
        """Return it with `use` false where a reading is no number or no beam came; more than `MOST_DEAD` are left."""
        dead = ~np.isfinite(self.intensity)
        if "i0" in self.channels and self.channels["i0"].shape == dead.shape:
            dead |= ~(self.channels["i0"] > 0)
        return self if dead.sum() > MOST_DEAD * dead.size else self._without(dead)

    def check(self, source: str | Path | None = None) -> None:
        """Refuse values that no analysis could use.

        Raises
        ------
        DataError
            As `Measurement.check`, or if it has no signal, channels of another length, readings that are no numbers,
            or no incident flux at more than `MOST_DEAD` of its points.
        """
        where = source if source is not None else self.source or None
        if not any(role in self.channels for role in (*SIGNALS, "pfy_other")):
            raise DataError(f"{self.name} has no channel that could stand for the absorption", source=where)
        super().check(where)
        if self.dwell_s is not None and not np.isfinite(self.dwell_s).all():
            raise DataError(f"{self.name} has counting times that are no numbers", source=where)
        for role, values in self.channels.items():
            label = self.labels.get(role, role)
            if values.shape != self.axis.shape:
                raise DataError(f"the channel {label!r} of {self.name} has {values.size} readings", source=where)
            bad = ~np.isfinite(values) | ((values <= 0) if role == "i0" else False)
            bad &= True if self.use is None else self.use
            if bad.any():
                what = "without incident flux" if role == "i0" else "that are no number"
                raise DataError(
                    f"the channel {label!r} of {self.name} has {int(bad.sum())} points {what}, the first at "
                    f"{self.axis[np.argmax(bad)]:g} eV",
                    source=where,
                )


@dataclass(frozen=True, eq=False)
class Absorption(_EnergyCurve):
    """An absorption spectrum of one sample: `intensity` with measured `variance`, on a calibrated energy.

    It is what normalisation and fits are given: repeats merged, divided by the incident flux, shifted in energy.

    Parameters
    ----------
    edge : str
        ``"O K"``.
    mode : str
        One of `SIGNALS`.
    shift_eV, shift_sigma_eV : float
        What was added to the file's energies, and its standard error: that of the energy scale.
    common : str
        Names a monitor scan (a photodiode) that several spectra were divided by; empty where there is none.
    common_variance : ndarray of float64, shape (n,), optional
        The part of `variance` that spectra with the same `common` share, point by point.
    scans : tuple of int
        Numbers of the scans that were merged.
    flags : tuple of str
        What was found of them.
    """

    edge: str = ""
    mode: str = ""
    shift_eV: float = 0.0
    shift_sigma_eV: float = 0.0
    common: str = ""
    common_variance: FloatArray | None = None
    scans: tuple[int, ...] = ()
    flags: tuple[str, ...] = ()

    INTENSITY_WORD: ClassVar[str] = "values"

    @property
    def name(self) -> str:
        """What the messages call it."""
        return f"the {self.edge} spectrum ({self.mode}) of {self.sample or self.source}"

    def reordered(self, order: slice | NDArray[np.intp]) -> Self:
        """Return it with its points in another order."""
        common = None if self.common_variance is None else self.common_variance[order]
        return replace(super().reordered(order), common_variance=common)


@dataclass(frozen=True, eq=False)
class ScanFile(Recording[Scan]):
    """All scans of one file, folder or archive, in order."""

    @property
    def scans(self) -> tuple[Scan, ...]:
        """The scans."""
        return self.measurements
