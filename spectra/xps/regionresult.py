"""What goes into the fit of a region and what comes out: levels, lines, and what else could have been chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from layerscope.fitting.compare import ModelAlternative
from layerscope.fitting.covariance import LevelCovariance
from layerscope.fitting.presence import Presence
from layerscope.fitting.result import SeriesFit
from layerscope.fitting.sampling import SampledFit

from .options import BackgroundTable, ComponentTable, RegionTable
from .peakmodel import ACTIVE_STRENGTHS, BuiltModel, ShiftPolicy
from .shifts import due_to, share_ends

__all__ = ["DETECTED", "Choice", "LeftOut", "RegionData", "RegionFit"]

FloatArray = NDArray[np.float64]

DETECTED = 5.0  # sigma of a region's whole area below which its shares are not stated


@dataclass(frozen=True)
class RegionData:
    """Measured levels of one region.

    Attributes
    ----------
    x : ndarray, shape (n,)
        Binding energy as measured (eV), ascending.
    y : ndarray, shape (L, n)
        Intensities.
    exposure : ndarray, shape (L,)
        Counts per unit of intensity.
    variable : ndarray, shape (L,)
        Etch time (s), or the level's number.
    charge_shift, charge_sigma : ndarray, shape (L,), or None
        Shift of each level's lines against the reference scale (eV) and its standard error, from the reference line.
    priors : mapping of str to (value, sigma)
        What other regions say of parameters and areas of this one, each of shape (L,).
    scaled : bool
        Whether the stated noise is only relative: errors are then multiplied by the square root of the reduced chi2.
    use : ndarray of bool, shape (L, n), optional
        Points to fit; all if it is None.
    """

    x: FloatArray
    y: FloatArray
    exposure: FloatArray
    variable: FloatArray
    charge_shift: FloatArray | None = None
    charge_sigma: FloatArray | None = None
    priors: Mapping[str, tuple[FloatArray, FloatArray]] | None = None
    scaled: bool = False
    use: NDArray[np.bool_] | None = None

    @property
    def n_levels(self) -> int:
        """Number of levels, L."""
        return int(self.y.shape[0])

    def level(self, index: int) -> RegionData:
        """Return one level alone."""
        at = slice(index, index + 1)
        return RegionData(
            self.x,
            self.y[at],
            self.exposure[at],
            self.variable[at],
            None if self.charge_shift is None else self.charge_shift[at],
            None if self.charge_sigma is None else self.charge_sigma[at],
            {k: (v[at], s[at]) for k, (v, s) in (self.priors or {}).items()},
            self.scaled,
            None if self.use is None else self.use[at],
        )


@dataclass(frozen=True)
class LeftOut:
    """An optional component that the data do not show, with the fit that says how much of it there could be."""

    component: ComponentTable
    fit: SeriesFit


@dataclass(frozen=True)
class Choice:
    """What could have been chosen as well and is within reach of the data: variances about the stated values.

    Attributes
    ----------
    areas : ndarray, shape (K, L)
        Of every component.
    shares : ndarray, shape (K', L)
        Of the components that belong to the region's element.
    total : ndarray, shape (L,)
        Of the summed area of these.
    fits : mapping of str to (float, SeriesFit)
        Each choice with its probability; the one that is stated first, without a name.
    beyond : tuple of str
        Choices that the data rule out.
    """

    areas: FloatArray
    shares: FloatArray
    total: FloatArray
    fits: Mapping[str, tuple[float, SeriesFit]] = field(default_factory=dict)
    beyond: tuple[str, ...] = ()


@dataclass(frozen=True)
class RegionFit:
    """Result of one region.

    Attributes
    ----------
    region : RegionTable
    background : BackgroundTable
    built : BuiltModel
    fit : SeriesFit
    shift : {"charge", "free", "none", "spread"}
        What the levels' shifts rest on.
    held : tuple of str
        Components too weak to be asked for their shape.
    alternatives : tuple of (question, ModelAlternative)
        Every model that was compared, the chosen one of each question marked.
    dispersion : float
        Excess of the scatter over the stated noise that the comparison allowed for.
    no_data : tuple of str
        Species that were left out, because their lines lie beyond the data.
    presence : mapping of str to Presence
        Whether components are there that are optional, or weak where they stand.
    left_out : tuple of LeftOut
        Optional components that are not in the fit.
    minima : tuple of SeriesFit
        Other minima within reach: lines elsewhere, chi2 hardly higher.
    choices : mapping of str to Choice
        What else makes errors of areas and shares, by its cause: ``background``, ...
    unidentified : bool
        Whether levels shift by so much that nothing tells which of their lines is which.
    """

    region: RegionTable
    background: BackgroundTable
    built: BuiltModel
    fit: SeriesFit
    shift: ShiftPolicy
    held: tuple[str, ...]
    alternatives: tuple[tuple[str, ModelAlternative], ...] = ()
    dispersion: float = 1.0
    no_data: tuple[str, ...] = ()
    presence: Mapping[str, Presence] = field(default_factory=dict)
    left_out: tuple[LeftOut, ...] = ()
    minima: tuple[SeriesFit, ...] = ()
    choices: Mapping[str, Choice] = field(default_factory=dict)
    unidentified: bool = False

    def settled(self) -> RegionFit:
        """Return it without the fits that could have been chosen as well, and what was worked out on the way."""
        choices = {cause: replace(choice, fits={}) for cause, choice in self.choices.items()}
        return replace(self, fit=replace(self.fit), choices=choices, minima=())

    @property
    def components(self) -> tuple[ComponentTable, ...]:
        """Components in the fit."""
        return self.built.components

    @property
    def absent(self) -> frozenset[str]:
        """Components in the fit that are not in the sample as far as the data can tell: only limits are stated."""
        return frozenset(name for name, found in self.presence.items() if not found.present)

    @property
    def own(self) -> tuple[ComponentTable, ...]:
        """Components that belong to the region's element."""
        return tuple(c for c in self.components if not c.foreign)

    def total_area(self) -> tuple[FloatArray, FloatArray]:
        """Return the summed area of the region's own components, shape (L,), and its covariance, shape (L, L)."""
        names, lowest = self._of_total
        return lowest.stacked(names).sum(axis=0), lowest.covariance(names).sum(axis=(0, 2))

    @cached_property
    def total(self) -> tuple[FloatArray, FloatArray]:
        """Summed area of the region's own components, and its variance, each of shape (L,)."""
        names, lowest = self._of_total
        return lowest.stacked(names).sum(axis=0), lowest.covariance_within(names).sum(axis=(1, 2))

    @property
    def _of_total(self) -> tuple[list[str], SeriesFit]:
        """Areas that make the total, and the fit that they are taken from.

        It is that of the minimum, where areas may be negative: a sum of draws at or above zero finds something where
        nothing is.
        """
        names, lowest = [f"{c.name}_area" for c in self.own], self.fit.batch[self.fit.group]
        return names, lowest if isinstance(self.fit, SampledFit) else self.fit

    @cached_property
    def detected(self) -> NDArray[np.bool_]:
        """Whether the summed area of a level is so far above zero that shares of it mean anything, shape (L,)."""
        total, variance = self.total
        return np.asarray(total > DETECTED * np.sqrt(np.maximum(variance, 1e-300)))

    @property
    def shares(self) -> tuple[FloatArray, FloatArray]:
        """Share of every own component, shape (K, L), with its covariance, shape (K, L, K, L)."""
        return self.fit.fractions([f"{c.name}_area" for c in self.own])

    @cached_property
    def shares_within(self) -> tuple[FloatArray, FloatArray]:
        """Share of every own component with its variance by the fit, each of shape (K, L)."""
        return self.fit.fractions_within([f"{c.name}_area" for c in self.own])

    def share_covariances(self) -> list[LevelCovariance]:
        """Return the covariance between the levels of the share of every own component, K of them."""
        return self.fit.share_covariances([f"{c.name}_area" for c in self.own])

    @cached_property
    def left_shares(self) -> dict[str, tuple[FloatArray, FloatArray]]:
        """Share of each component that is not in the fit, by the fit that had it, and its error, each of shape (L,)."""
        areas = [f"{c.name}_area" for c in self.own]
        found = {}
        for left in self.left_out:
            name = f"{left.component.name}_area"
            if name in left.fit.names and all(area in left.fit.names for area in areas):
                shares, variance = left.fit.fractions_within([name, *areas])
                found[name] = shares[0], np.sqrt(np.maximum(variance[0], 0.0))
        return found

    @cached_property
    def with_shift_sigma(self) -> dict[str, FloatArray]:
        """Error of each line's place on the scale that was measured, its level's shift put on, shape (L,)."""
        moves = self.fit.sigma("shift") > 0
        found = {}
        for c in self.components:
            center = f"{c.name}_center"
            both = self.fit.covariance_within([center, "shift"]).sum(axis=(1, 2))
            alone = self.fit.covariance_within([center])[:, 0, 0]
            found[c.name] = np.sqrt(np.maximum(np.where(moves, both, alone), 0.0))
        return found

    @cached_property
    def share_sigma(self) -> FloatArray:
        """Standard errors of the shares, shape (K, L), all parts of the budget together."""
        fitted = np.maximum(self.shares_within[1], 0.0)
        return np.asarray(np.sqrt(sum((c.shares for c in self.choices.values()), fitted)))

    @cached_property
    def area_sigma(self) -> FloatArray:
        """Standard errors of the areas, shape (K, L), all parts of the budget together."""
        fitted = np.stack([self.fit.sigma(f"{c.name}_area") for c in self.components]) ** 2
        return np.asarray(np.sqrt(sum((c.areas for c in self.choices.values()), fitted)))

    @property
    def background_held(self) -> bool:
        """Whether the strength of an active background was held, because nothing rises far enough to show it."""
        return any(n in self.built.parameters and not self.built.parameters[n].vary for n in ACTIVE_STRENGTHS)

    @cached_property
    def share_ends(self) -> tuple[FloatArray, FloatArray] | None:
        """Ends of the 68.27 % intervals of the shares, each of shape (K, L), where draws tell them."""
        return share_ends(self.fit, [f"{c.name}_area" for c in self.own])

    @cached_property
    def by_cause(self) -> tuple[tuple[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]:
        """Parts of the variance of areas (K, L), and of own shares: of widths that are alike, of unknown shifts."""
        widths = list(self.built.priors)
        areas, own = [f"{c.name}_area" for c in self.components], [f"{c.name}_area" for c in self.own]
        return due_to(self.fit, widths, self.shift, areas), due_to(self.fit, widths, self.shift, own, fractions=True)
