"""The joint fit of a series as stacks of layers: instrument first, then the order of the mixed stack, then all.

Freed at once, the widths of the instrument take what the disorder does to the lines, and the fit ends elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from layerscope.fitting import PER_PATTERN, Series, SeriesFit, fit_series
from layerscope.fitting.layout import Scope, Smooth
from layerscope.fitting.measured import known_once
from layerscope.fitting.solver import Tolerances

from ..radiation import FloatArray
from .frames import FrameData
from .model import LineModel
from .stack_model import HELD, LINE, MIXED, StackModel

__all__ = ["ROUGH", "Range", "StackFit", "StackTask", "values_of_start"]

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.intp]
Range = Literal[1, 2, 3]
"""How far back the order of interlayers looks."""

FEW, FEWER = 12, 8
"""Frames that are enough for the instrument, and for a first look at the order."""

TREND_A = 0.006
"""How well the spacing of ordered stacks follows its own course (Å): keeps them apart from mixed ones."""

LAYERS, LAYERS_SIGMA = 150.0, 0.7
"""Layers of a crystallite before anything is known, and how well their logarithm is known."""

SPREAD, SPREAD_SIGMA = 0.3, 0.1
"""Standard deviation of the logarithm of the number of layers, and how well that is known."""

ALIKE = 0.2
"""How alike the sizes of the three stacks are: standard deviation of the logarithm of their ratio."""

UNEVEN = {"tail": (0.0, 0.01), "variance": (0.0, 0.0015**2)}
"""Tail (Å) and relative variance of spacings (squared strain) at full charge, and how well they are known."""

BESIDE = {LINE: 0.2, MIXED: 0.08}
"""Relative amplitude of what the instrument's line and the mixed stack are beside their formulas. Stacks of blocks of 4
and 9 layers, of one length, uniform, geometric or log-normal, lie within 0.02 to 0.05 (RMS) of an order of range two;
spread and strain, which a mixed stack has too, do as much."""

SIZES = ("ln_layers_mixed", "ln_layers_alternating")
STARTS = ((0.3, 0.3), (0.15, 0.75), (0.4, 0.1))
"""Orders that a fit starts from: none, blocks, empty layers that keep away from each other."""

ORDER = ("p", "r", "p_after", "mean_spacing")
BOUNDS = {
    "fwhm": (0.02, 0.6),
    "mixing": (0.0, 1.0),
    "axial": (1e-3, 0.04),
    "ln_layers": (2.5, 8.0),
    "size_spread": (0.05, 0.8),
    "p": (0.01, 0.95),
    "r": (0.01, 0.97),
    "p_after": (0.01, 0.97),
    "tail": (-0.03, 0.06),
    "variance": (-1e-6, 1e-4),
}
JOINT = Tolerances(reduction=2e-5, step=1e-5, max_iterations=25, retries=False)
ROUGH = Tolerances(reduction=2e-4, step=1e-4, max_iterations=20, retries=False)
GLANCE = Tolerances(reduction=2e-4, step=1e-4, max_iterations=6, retries=False)
"""For an order that is only compared with another."""

_OFF_SIGMA = 1.0  # the amount of a stack that is off is 0 whatever this number


@dataclass(frozen=True)
class StackFit:
    """Joint fit of stacks.

    Attributes
    ----------
    model : StackModel
    fit : SeriesFit
    present : ndarray of bool, shape (3, F)
        Stacks that each frame was fitted with.
    """

    model: StackModel
    fit: SeriesFit
    present: BoolArray

    @property
    def values(self) -> dict[str, float]:
        """Value of every parameter that all frames share; of the mean spacing that of the last frame."""
        own = ("filled_spacing", "course", "charge")
        names = [n for n in self.model.nonlinear_names if n not in own and not n.endswith("_on")]
        return {n: float(self.fit.value(n)[-1]) for n in names}

    @property
    def areas(self) -> tuple[str, ...]:
        """Names of the amounts."""
        return tuple(f"{n}_area" for n in self.model.names)

    def conflicts(self) -> dict[str, float]:
        """Return by how many standard errors sizes and spacings lie from what was known of them.

        The spread of sizes is not among them: the tails of the instrument do the same, and pull it where they are
        others than a pseudo-Voigt's.
        """
        known = {"ln_layers": (float(np.log(LAYERS)), LAYERS_SIGMA), **UNEVEN}
        known |= {name.replace("ln_layers", "more_layers"): (0.0, ALIKE) for name in SIZES}
        return {name: (float(self.fit.value(name)[0]) - value) / sigma for name, (value, sigma) in known.items()}

    def amounts(self) -> tuple[FloatArray, FloatArray]:
        """Return amounts of layers (3, F), zero where a stack is not there, and their covariance (F, 3, 3)."""
        on = (self.present[:, None] & self.present[None]).transpose(2, 0, 1)
        amounts = np.where(self.present, self.fit.stacked(self.areas), 0.0)
        return amounts, self.fit.covariance_within(self.areas) * on

    def curves(self) -> FloatArray:
        """Return what each stack counts in every frame, shape (3, F, n)."""
        fit = self.fit
        q = np.stack([fit.value(n) for n in self.model.nonlinear_names], axis=1)
        columns = self.model.basis(fit.x[:1], q, derivatives=False).columns[:, :3]
        return np.asarray((columns * self.amounts()[0].T[:, :, None]).transpose(1, 0, 2))


def values_of_start(lines: LineModel, mean_spacing: float) -> dict[str, float]:
    """Return what the shared parameters start from: lines as frames of one phase have them, sizes and order of any."""
    shape = lines.shape
    values = dict.fromkeys(("ln_layers", *SIZES), float(np.log(LAYERS)))
    values |= {"size_spread": SPREAD, "fwhm": 0.75 * min(shape.fwhm.values()), "mixing": shape.mixing}
    values |= {
        "axial": float(np.clip(shape.axial, 2e-3, 0.035)),
        "mean_spacing": mean_spacing,
        "p": STARTS[0][0],
        "r": STARTS[0][1],
        "p_after": STARTS[0][0],
        "tail": 0.0,
        "variance": 0.0,
    }
    values |= dict.fromkeys((*LINE, *MIXED), 0.0)
    for h in lines.held:
        values |= {f"{h.id}_center": h.center, f"{h.id}_fwhm": h.fwhm, f"{h.id}_mixing": shape.mixing}
    return values


def _few(rows: IntArray, most: int) -> IntArray:
    """Return some of the rows, evenly spread."""
    if rows.size == 0:
        return rows
    some: IntArray = rows[np.unique(np.linspace(0, rows.size - 1, min(most, rows.size)).round().astype(int))]
    return some


@dataclass(frozen=True)
class StackTask:
    """A series to be fitted.

    Attributes
    ----------
    data : FrameData
    model : StackModel
    course : ndarray, shape (F,)
        Smooth course of the filled spacing (Å).
    """

    data: FrameData
    model: StackModel
    course: FloatArray

    @cached_property
    def charge(self) -> FloatArray:
        """How far each frame is charged, 0 to 1: how far its spacing has come down from the largest one, shape (F,)."""
        largest = int(self.course.argmax())
        down = (self.course[largest] - self.course) / max(float(np.ptp(self.course[largest:])), TREND_A)
        return np.where(np.arange(self.course.size) < largest, 0.0, down)

    @property
    def instrument(self) -> tuple[str, ...]:
        """Parameters that frames of one phase can tell."""
        return (*self.model.line.parameters[1:], "ln_layers", "size_spread", *self.cell)

    @property
    def cell(self) -> tuple[str, ...]:
        """Parameters of the cell's lines."""
        return tuple(f"{n}_{part}" for n in self.model.held for part in HELD)

    @property
    def free(self) -> tuple[str, ...]:
        """All parameters that the frames share."""
        return ("ln_layers", "size_spread", *LINE, *self.cell, *SIZES, *ORDER, *UNEVEN, *MIXED)

    def staged(self, values: Mapping[str, float], present: BoolArray, reach: Range, *, again: bool = True) -> StackFit:
        """Fit the series stage by stage.

        Parameters
        ----------
        values : mapping of str to float
            Start of the shared parameters.
        present : ndarray of bool, shape (3, F)
            Stacks to fit in each frame.
        reach : {1, 2, 3}
            Range of the order.
        again : bool
            Whether the instrument is to be found first; otherwise `values` are those of another fit, which this one is
            only compared with.
        """
        several = present[1:].any(axis=0)
        single, late = _few(np.flatnonzero(~several), FEW), _few(np.flatnonzero(several), FEWER)
        if single.size and again:
            values = {**values, **self.fit(single, values, present, self.instrument, reach, tolerances=ROUGH).values}
        tried = [
            self.fit(late, {**values, "p": p, "r": r}, present, ORDER, reach, tolerances=ROUGH)
            for p, r in (STARTS[:1] if reach == 1 else STARTS)
        ]
        values = {**values, **min(tried, key=lambda one: one.fit.chi2).values}
        how = ROUGH if again else GLANCE
        return self.fit(np.arange(several.size), values, present, self.free, reach, tolerances=how)

    def fit(
        self,
        rows: IntArray,
        values: Mapping[str, float],
        present: BoolArray,
        free: Sequence[str],
        reach: Range,
        *,
        tolerances: Tolerances = JOINT,
    ) -> StackFit:
        """Fit some frames with the shared parameters `free`; see `staged`."""
        model, data, course, on = self.model, self.data.only(rows), self.course[rows], present[:, rows]
        count, any_late = rows.size, on[1:].any(axis=0)
        parameters = model.make_parameters(values)
        parameters["filled_spacing"].set(vary=True, min=course.min() - 0.1, max=course.max() + 0.1)
        priors = {"filled_spacing": (course, np.full(count, TREND_A))}
        scopes: dict[str, Scope] = {"filled_spacing": PER_PATTERN}
        starts = {f"{n}_on": on[k].astype(float) for k, n in enumerate(model.names)} | {"filled_spacing": course}
        starts |= {"charge": self.charge[rows], "course": course}
        for name, there in zip(model.names, on, strict=True):
            if not there.all():
                priors[f"{name}_area"] = (np.zeros(count), np.where(there, np.inf, _OFF_SIGMA))
        for names, sigma in BESIDE.items():
            for name in set(names) & set(free):
                parameters[name].set(vary=True, min=-8.0 * sigma, max=8.0 * sigma)
                priors[name] = known_once(0.0, sigma, count)
        for name in set(BOUNDS) & set(free):
            low, high = BOUNDS[name]
            parameters[name].set(vary=True, min=low, max=high)
        for name in set(free).intersection(f"{h}_{part}" for h in model.held for part in HELD):
            here = values[name]
            low, high = (here - 0.1, here + 0.1) if name.endswith("_center") else (0.03, 1.0)
            parameters[name].set(vary=True, min=low * (not name.endswith("_mixing")), max=high)
        if "ln_layers" in free:
            priors["ln_layers"] = known_once(float(np.log(LAYERS)), LAYERS_SIGMA, count)
        if "size_spread" in free:
            priors["size_spread"] = known_once(SPREAD, SPREAD_SIGMA, count)
        for name in set(UNEVEN) & set(free):
            priors[name] = known_once(*UNEVEN[name], count)
            if np.ptp(course[any_late]) > TREND_A:  # no law ties it to the charge
                scopes[name] = Smooth(2)
                priors[name][1][-1] = priors[name][1][0]
        for name in SIZES:  # sizes of the other stacks: known against that of the ordered ones
            more = name.replace("ln_layers", "more_layers")
            parameters.add(more, values[name] - values["ln_layers"], vary=name in free, min=-1.5, max=1.5)
            parameters[name].set(expr=f"ln_layers + {more}")
            if name in free:
                priors[more] = known_once(0.0, ALIKE, count)
        if "mean_spacing" in free:
            here = values["mean_spacing"]
            parameters["mean_spacing"].set(vary=True, min=here - 0.12, max=here + 0.12)
            if np.ptp(course[any_late]) > TREND_A:  # it follows the filled one
                scopes["mean_spacing"] = Smooth(2)
        if reach == 1:
            parameters["r"].set(expr="p")
        if reach < 3:
            parameters["p_after"].set(expr="p")
        variable = np.clip(course, course[any_late].min(), course[any_late].max()) if any_late.any() else course
        fit = fit_series(
            model,
            parameters,
            Series(data.x, data.y, variable=variable, variance=data.variance, use=data.use, priors=priors),
            scopes=scopes,
            starts=starts,
            weights="given",
            tolerances=tolerances,
        )
        return StackFit(model, fit, on)
