"""What a pipeline hands over for one series: stacked arrays, one row a level, ready for one NeXus file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import DataError

if TYPE_CHECKING:
    from layerscope.fitting import SeriesFit

__all__ = ["IntArray", "Marks", "SeriesArrays", "SeriesParameter", "array_sha256", "check_file_name"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Marks: TypeAlias = "tuple[FloatArray | None, ...]"
_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,119}")


def array_sha256(array: np.ndarray) -> str:
    """Return the SHA-256 of the values of an array, independent of the machine and the file format.

    Parameters
    ----------
    array : ndarray
        Any shape; taken as C-ordered and little-endian, preceded by its shape, and by its type if that is not float64.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    array = np.asarray(array)
    kind = array.dtype.newbyteorder("<")
    values = np.ascontiguousarray(array, dtype=kind)
    digest = hashlib.sha256(repr(tuple(int(size) for size in array.shape)).encode())
    if kind != np.dtype("<f8"):
        digest.update(kind.str.encode())
    digest.update(values.tobytes())
    return digest.hexdigest()


def check_file_name(name: str) -> None:
    """Refuse the name of arrays that cannot be that of a file, on any system.

    Raises
    ------
    DataError
    """
    if not _SAFE_NAME.fullmatch(name):
        raise DataError(f"series name {name!r} cannot be a file name", hint="use letters, digits, _ . -")


@dataclass(frozen=True)
class SeriesParameter:
    """One fit parameter along the series.

    Attributes
    ----------
    values, sigmas : ndarray, shape (L,)
        Value and standard error at each level; a fixed parameter has NaN as sigma.
    unit : str
        Unit of value and sigma.
    initial, min, max : float or None
        Start value and bounds; None when there is none.
    scope : {"shared", "pattern", "smooth", "fixed"}
        Whether the series shares the parameter, each level has its own, it follows a smooth function of the level, or
        it was held.
    """

    values: FloatArray
    sigmas: FloatArray
    unit: str
    initial: float | None = None
    min: float | None = None
    max: float | None = None
    scope: Literal["shared", "pattern", "smooth", "fixed"] = "shared"


@dataclass(frozen=True)
class SeriesArrays:
    """One series of L levels measured on one axis of n points, with its fit.

    Attributes
    ----------
    name : str
        File-name safe and unique in the run, e.g. ``b1s_li_rich_B_1s``; the file is ``arrays/<name>.nxs``.
    technique : str
        ``xps``, ``sxas``, ``xrd``, ``em``, ...
    title, sample : str
        For people.
    axis : ndarray, shape (n,)
        Common axis, strictly monotonic, e.g. the binding energy in eV.
    axis_name, axis_unit : str
        ``binding_energy``, ``eV``.
    levels : ndarray, shape (L,)
        Value of the series variable at each level, e.g. the etch time in s.
    level_name, level_unit : str
        ``etch_time``, ``s``.
    counts, variance, fit, background, residual : ndarray, shape (L, n)
        Measured intensity, its variance, the fitted curve, its background, and (counts - fit) / sigma. Counts, variance
        and residual are NaN at points where nothing was measured.
    components : mapping of str to ndarray, shape (L, n)
        Curve of each component, background not included.
    component_area, component_area_sigma : mapping of str to ndarray, shape (L,)
        Area of each component and its standard error, in `area_unit`.
    parameters : mapping of str to SeriesParameter
        Fit parameters along the series.
    intensity_unit, area_unit : str
        Units of counts, fit, background and components, and of the areas.
    metadata : mapping
        Instrument settings: ``excitation_energy_eV``, ``pass_energy_eV``, ``dwell_time_s``, ``scans``, ...
    base : str
        The part of the name that all series of one recipe share, `RunContext.base`.
    frames : ndarray of int, shape (L,), or None
        Number of each level in its series, where levels are numbered frames.
    marks : mapping of str to tuple of L ndarrays
        Positions on the axis to mark, ascending, e.g. the reflections of a phase; None at a level of which nothing is
        stated.
    cell_record : ndarray, shape (2, m), or None
        What the cycler recorded while the levels were measured: elapsed time (s) and voltage (V).

    Raises
    ------
    DataError
        If a shape does not fit, a value is not finite, the axis is not monotonic, or the name cannot be a file name.
    """

    name: str
    technique: str
    title: str
    sample: str
    axis: FloatArray
    axis_name: str
    axis_unit: str
    levels: FloatArray
    level_name: str
    level_unit: str
    counts: FloatArray
    variance: FloatArray
    fit: FloatArray
    background: FloatArray
    residual: FloatArray
    components: Mapping[str, FloatArray] = field(default_factory=dict)
    component_area: Mapping[str, FloatArray] = field(default_factory=dict)
    component_area_sigma: Mapping[str, FloatArray] = field(default_factory=dict)
    parameters: Mapping[str, SeriesParameter] = field(default_factory=dict)
    intensity_unit: str = "counts"
    area_unit: str = "counts*eV"
    metadata: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)
    base: str = ""
    frames: IntArray | None = None
    marks: Mapping[str, Marks] = field(default_factory=dict)
    cell_record: FloatArray | None = None

    @classmethod
    def of_fit(cls, fit: SeriesFit, labels: Mapping[str, str], **fields: Any) -> SeriesArrays:
        """Return the arrays of a fitted series: its data, with gaps where points were masked, curves and areas.

        Parameters
        ----------
        fit : SeriesFit
            With one axis for all patterns.
        labels : mapping of str to str
            What the components of the model are called, those to show.
        **fields
            All other fields; one that is given here is not taken from the fit.
        """
        if not {"components", "background"} <= fields.keys():
            curves, background = fit.component_curves()
            components = {label: curves[name] for name, label in labels.items()}
            fields = {"components": components, "background": background, **fields}
        found: dict[str, Any] = {
            "axis": fit.x[0].copy(),
            "counts": fit.y.copy(),
            "variance": fit.variance,
            "fit": fit.expected.copy(),
            "residual": fit.residual.copy(),
        }
        use = fit.batch.data.use[fit.group]
        if not use.all():
            found |= {name: np.where(use, found[name], np.nan) for name in ("counts", "variance", "residual")}
        if "component_area" not in fields:
            found["component_area"] = {label: fit.value(f"{name}_area") for name, label in labels.items()}
            found["component_area_sigma"] = {label: fit.sigma(f"{name}_area") for name, label in labels.items()}
        return cls(**{**found, **fields})

    def __post_init__(self) -> None:
        check_file_name(self.name)
        axis, levels = np.asarray(self.axis), np.asarray(self.levels)
        if axis.ndim != 1 or levels.ndim != 1 or axis.size == 0 or levels.size == 0:
            raise DataError("axis and levels must each be a non-empty one-dimensional array", source=self.name)
        steps = np.diff(axis)
        if not (np.all(steps > 0) or np.all(steps < 0)):
            raise DataError(f"{self.axis_name} is not strictly monotonic", source=self.name)
        self._check_finite("axis", axis)
        self._check_finite("levels", levels)
        self._check_stacks()
        self._check_per_level()

    def _check_stacks(self) -> None:
        stacks = {label: getattr(self, label) for label in ("counts", "variance", "fit", "background", "residual")}
        stacks |= {f"component {label!r}": values for label, values in self.components.items()}
        for label, values in stacks.items():
            self._check_shape(label, values, (self.levels.size, self.axis.size))
        measured = ~np.isnan(self.counts)
        for label, values in stacks.items():
            of_data = label in ("counts", "variance", "residual")
            self._check_finite(label, values[measured] if of_data else values)
        if np.any(self.variance < 0):
            raise DataError("variance is negative", source=self.name)

    def _check_per_level(self) -> None:
        shape = (self.levels.size,)
        for label, values in self.component_area.items():
            self._check_shape(f"area of {label!r}", values, shape)
            self._check_finite(f"area of {label!r}", values)
            if label not in self.component_area_sigma:
                raise DataError(f"area of {label!r} has no sigma", source=self.name)
        for label, values in self.component_area_sigma.items():
            self._check_shape(f"area sigma of {label!r}", values, shape)
        for label, parameter in self.parameters.items():
            self._check_shape(f"parameter {label!r}", parameter.values, shape)
            self._check_shape(f"sigma of parameter {label!r}", parameter.sigmas, shape)
            self._check_finite(f"parameter {label!r}", parameter.values)
        if self.frames is not None:
            self._check_shape("frames", self.frames, shape)
        if self.cell_record is not None:
            self._check_shape("record of the cell", self.cell_record, (2, np.shape(self.cell_record)[-1]))
            self._check_finite("record of the cell", self.cell_record)
        for label, marks in self.marks.items():
            if len(marks) != self.levels.size:
                raise DataError(f"marks {label!r} of {len(marks)} levels, not {self.levels.size}", source=self.name)

    def _check_shape(self, label: str, values: FloatArray | IntArray, shape: tuple[int, ...]) -> None:
        if np.shape(values) != shape:
            raise DataError(f"{label} has shape {np.shape(values)}, expected {shape}", source=self.name)

    def _check_finite(self, label: str, values: FloatArray) -> None:
        if not np.all(np.isfinite(values)):
            raise DataError(f"{label} holds a value that is not finite", source=self.name)
