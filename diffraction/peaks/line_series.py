"""What is asked of the analysis of a series, and what it returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from layerscope.fitting.discrepancy import Discrepancy
from layerscope.fitting.errors import Errors, ErrorsTable
from layerscope.options import RecipeModel

from ..onset import PhaseEvent
from ..radiation import FloatArray
from .components import ComponentSet, HardwareLine, lco_003
from .fractions import fractions_of
from .joint import JointFit
from .model import HeldLine
from .names import Labelling
from .selection import Guard

__all__ = ["Counting", "FitOptions", "LineSeries", "SeriesOptions", "factor_of"]

BoolArray = NDArray[np.bool_]


class FitOptions(RecipeModel):
    """How the lines of a series are fitted."""

    background: Annotated[int, Field(ge=0, le=8)] = Field(default=2, description="degree of the polynomial")
    axial: bool = Field(default=True, description="lines are smeared by axial divergence")
    guard: Guard = Field(default=Guard(), description="what a phase must show besides a lower BIC")
    max_lines: Annotated[int, Field(ge=1, le=8)] = Field(default=4, description="of the phases, in one frame")
    errors: Errors = Field(
        default=ErrorsTable(), description="of what is fitted to lines: covariance, bootstrap or profile, or a table"
    )


@dataclass(frozen=True)
class SeriesOptions:
    """How a series is analysed.

    Attributes
    ----------
    fit : FitOptions
    components : ComponentSet
    hardware : tuple of HardwareLine
        Lines of the cell to look for.
    window : (float, float), optional
        Range of 2theta in which phases are looked for (degrees); that of the components where nothing is given.
    reference_frames : tuple of int
        Frames of a single phase that the first shape is taken from.
    noise_factor : float or None
        Variance over mean of the intensities: 1 for counts, k for counts multiplied by k; None where the variance comes
        with the frames.
    intensity_per_weight : mapping of str to float, optional
        Overrides the declared factors.
    shape_frames : int
        Most frames that the intermediate joint fit of the shapes uses.
    """

    fit: FitOptions = field(default_factory=FitOptions)
    components: ComponentSet = field(default_factory=lco_003)
    hardware: tuple[HardwareLine, ...] = ()
    window: tuple[float, float] | None = None
    reference_frames: tuple[int, ...] = (0, 1, 2, 3, 4)
    noise_factor: float | None = 1.0
    intensity_per_weight: dict[str, float] | None = None
    shape_frames: int = 120


@dataclass(frozen=True)
class Counting:
    """Errors from the counts alone: of areas (F, K, K), fractions (F, K, K), positions (K, F) and widths (K,)."""

    area: FloatArray
    position: FloatArray
    fwhm: FloatArray
    area_fraction: FloatArray
    weight_fraction: FloatArray


@dataclass(frozen=True)
class LineSeries:
    """Result of a series: K lines, F frames.

    Attributes
    ----------
    options : SeriesOptions
    names : tuple of str
        Identifiers of the rows, in the order of the charge: that of its component, numbered where a phase has a
        second line (``IG_2``), and ``other`` for a line of no phase.
    phases : tuple of str
        Component of each row by the most probable labelling; empty for a line of no phase.
    lines : tuple of str
        Under which name each row was fitted: O3' may be the line that began as O3.
    sure : tuple of bool
        Whether the name of a row has a probability of at least `CERTAIN_NAME`.
    labellings : tuple of Labelling
        Names of the fitted lines (`joint.names`) with their probabilities, the most probable ones first.
    two_theta : ndarray, shape (n,)
        Axis (degrees).
    time_s, voltage_V : ndarray, shape (F,), or None
    present : ndarray of bool, shape (K, F)
    merged : ndarray of bool, shape (K, F)
        Frames in which a line was given up for another that it cannot be told from.
    position, position_sigma : ndarray, shape (K, F)
        Bragg angle of K-alpha-1 (degrees); NaN where absent.
    d, d_sigma : ndarray, shape (K, F)
        Spacing (Å).
    fwhm, fwhm_sigma : ndarray, shape (K,)
        Width of each line (degrees), shared by all frames.
    mixing, axial : (float, float)
        Shared shape with standard errors.
    area, area_covariance : ndarray, shape (K, F), (F, K, K)
        Zero where absent.
    area_fraction, area_fraction_covariance
        Fractions of the intensity.
    weight_fraction, weight_fraction_covariance
        Fractions of the weight.
    free_fraction, free_sigma : ndarray, shape (K, F)
        Area fraction a line would have in frames where it was judged absent (either sign); NaN elsewhere.
    upper_limit : ndarray, shape (K, F)
        95 % upper limit of the area fraction there.
    events : tuple of PhaseEvent
    margin : ndarray, shape (F,)
        BIC by which the next best set of phases is worse.
    both_ways : ndarray of bool, shape (F,)
        Whether the series read forward and backward gave the same set.
    rejected : dict of str to tuple of int
        Frames in which the guard refused a line.
    hardware : tuple of HeldLine
        Lines of the cell that were found.
    joint : JointFit
        The final fit with everything in it.
    discrepancy : mapping of str to Discrepancy
        What is known of wrong shapes: of all lines (``""``), of single ones by the name they were fitted under.
    counting : Counting or None
        Errors without what wrong shapes bring; None where there is nothing of the kind.
    flags : tuple of str
        Beyond those of the fit.
    notes : tuple of str
    """

    options: SeriesOptions
    names: tuple[str, ...]
    phases: tuple[str, ...]
    lines: tuple[str, ...]
    sure: tuple[bool, ...]
    labellings: tuple[Labelling, ...]
    two_theta: FloatArray
    time_s: FloatArray
    voltage_V: FloatArray | None
    present: BoolArray
    merged: BoolArray
    position: FloatArray
    position_sigma: FloatArray
    d: FloatArray
    d_sigma: FloatArray
    fwhm: FloatArray
    fwhm_sigma: FloatArray
    mixing: tuple[float, float]
    axial: tuple[float, float]
    area: FloatArray
    area_covariance: FloatArray
    area_fraction: FloatArray
    area_fraction_covariance: FloatArray
    weight_fraction: FloatArray
    weight_fraction_covariance: FloatArray
    free_fraction: FloatArray
    free_sigma: FloatArray
    upper_limit: FloatArray
    events: tuple[PhaseEvent, ...]
    margin: FloatArray
    both_ways: BoolArray
    rejected: dict[str, tuple[int, ...]]
    hardware: tuple[HeldLine, ...]
    joint: JointFit
    flags: tuple[str, ...]
    notes: tuple[str, ...]
    discrepancy: Mapping[str, Discrepancy] = field(default_factory=dict)
    counting: Counting | None = None

    @property
    def factors(self) -> FloatArray:
        """Intensity per weight of every row, shape (K,); 1 for a line of no phase."""
        return np.array([factor_of(self.options, p) if p else 1.0 for p in self.phases])

    @property
    def names_certain(self) -> bool:
        """Whether it is certain of every line which phase it is, or that it is none."""
        return all(self.sure)

    def rows_of(self, names: Sequence[str]) -> NDArray[np.bool_]:
        """Return which rows are lines of some phases, shape (K,)."""
        return np.array([bool(p) and p in names for p in self.phases], dtype=bool)

    def fitted_line(self, name: str) -> str:
        """Return under which name a row was fitted: O3' may be the line that began as O3."""
        return self.lines[self.names.index(name)]

    def total(self, names: Sequence[str], *, weight: bool = True) -> tuple[FloatArray, FloatArray]:
        """Return the summed fraction of some phases and its standard error, each of shape (F,)."""
        index = np.flatnonzero(self.rows_of(names))
        values = self.weight_fraction if weight else self.area_fraction
        c = self.weight_fraction_covariance if weight else self.area_fraction_covariance
        sigma = np.sqrt(np.maximum(c[:, index][:, :, index].sum(axis=(1, 2)), 0.0))
        return values[index].sum(axis=0), sigma

    def relabelled(self, labelling: Labelling) -> LineSeries:
        """Return the same series under other names of its lines: fractions are worked out anew.

        Rows keep their identifiers; a row that is the later part of the first line keeps its phase with that line.
        """
        named = dict(zip(self.joint.names, labelling.phases, strict=True))
        best = dict(zip(self.joint.names, self.labellings[0].phases, strict=True))
        phases = tuple(
            phase if named[line] == best[line] else named[line]
            for phase, line in zip(self.phases, self.lines, strict=True)
        )
        return replace(self, phases=phases).with_fractions()

    def with_fractions(self) -> LineSeries:
        """Return the series with fractions worked out from its areas and phases: lines of no phase have none."""
        counted = np.array([bool(p) for p in self.phases])
        on = (self.present[:, None, :] & self.present[None]).transpose(2, 0, 1)
        on = on & counted[:, None] & counted[None]
        areas = np.where(counted[:, None], self.area, 0.0)
        covariance = self.area_covariance * on
        area, area_spread = fractions_of(areas, covariance, np.ones(len(self.names)))
        weight, weight_spread = fractions_of(areas, covariance, self.factors)
        counting = self.counting
        if counting is not None:
            shares = [fractions_of(areas, counting.area * on, f)[1] * on for f in (np.ones(len(on[0])), self.factors)]
            counting = replace(counting, area_fraction=shares[0], weight_fraction=shares[1])
        return replace(
            self,
            counting=counting,
            area_fraction=area,
            area_fraction_covariance=area_spread * on,
            weight_fraction=weight,
            weight_fraction_covariance=weight_spread * on,
        )


def factor_of(options: SeriesOptions, name: str) -> float:
    """Return the intensity per weight of a component: the one that was given, or else the declared one."""
    given = options.intensity_per_weight or {}
    component = options.components[name]
    return float(given.get(name, component.intensity_per_weight * component.texture))
