"""The model of one frame: lines that may be absent, lines of the cell, a polynomial background.

A line that is switched off in a frame keeps its parameters and has no intensity there, so that frames with different
sets of phases share one model, its shapes, and one covariance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import FitError
from layerscope.fitting import Component, Parameters, PatternModel
from layerscope.fitting.basis import BasisValues, Derivative
from layerscope.fitting.model import legendre
from layerscope.fitting.shapes import ShapeValues

from ..radiation import FloatArray
from .lines import DiffractionLine

__all__ = ["FrameModel", "HeldLine", "LineModel", "LineShape", "frame_parameters"]


@dataclass(frozen=True)
class LineShape:
    """Shape of the lines of a series.

    Attributes
    ----------
    fwhm : mapping of str to float
        Width of every line (degrees).
    mixing : float
        Lorentzian share of the area, common to all lines.
    axial : float
        S/L = H/L, common to all lines.
    """

    fwhm: Mapping[str, float]
    mixing: float
    axial: float

    def width(self, name: str) -> float:
        """Return the width of a line, or the broadest known one if the line was never fitted."""
        return self.fwhm[name] if name in self.fwhm else max(self.fwhm.values())


@dataclass(frozen=True)
class HeldLine:
    """A line of the cell that was found once and does not move: position and width in degrees, area in counts."""

    id: str
    center: float
    fwhm: float
    area: float = 0.0
    area_sigma: float = 0.0
    center_sigma: float = 0.0


@dataclass(frozen=True)
class LineModel:
    """What the frames of a series have in common, whichever lines are there.

    Attributes
    ----------
    line : DiffractionLine
        How a line is drawn.
    shape : LineShape
    held : tuple of HeldLine
        Lines of the cell, always on.
    polynomial : int
        Degree of the background.
    """

    line: DiffractionLine
    shape: LineShape
    held: tuple[HeldLine, ...] = ()
    polynomial: int = 2

    def frame(self, names: Sequence[str], line: DiffractionLine) -> tuple[FrameModel, Parameters]:
        """Return the model of a frame with these lines, drawn by `line`, and its parameters with all shapes held."""
        model = FrameModel(names, line, held=self.held, polynomial=self.polynomial)
        return model, frame_parameters(model, self.shape)


class FrameModel(PatternModel):
    """Lines of phases that can be switched off frame by frame, lines of the cell, and a polynomial.

    Adds the fixed parameters ``<name>_on`` (1 or 0) to those of `PatternModel`.

    Parameters
    ----------
    names : sequence of str
        Lines of phases.
    line : DiffractionLine
        Shape of all of them.
    held : sequence of HeldLine
        Lines of the cell, always on.
    polynomial : int
        Degree of the background.
    """

    def __init__(
        self, names: Sequence[str], line: DiffractionLine, *, held: Sequence[HeldLine] = (), polynomial: int = 2
    ) -> None:
        components = [Component(n, line) for n in names] + [Component(h.id, line) for h in held]
        super().__init__(components, polynomial=polynomial)
        self.names, self.held, self.line = tuple(names), tuple(held), line
        self._switch = len(self._nonlinear)
        self._nonlinear = (*self._nonlinear, *(f"{n}_on" for n in self.names))

    def make_parameters(self) -> Parameters:
        """Return every nonlinear parameter; all lines on, lines of the cell held where they were found."""
        parameters = super().make_parameters()
        for name in self.names:
            parameters.add(f"{name}_on", value=1.0, vary=False)
        for held in self.held:
            parameters[f"{held.id}_center"].set(value=held.center, vary=False)
            parameters[f"{held.id}_fwhm"].set(value=held.fwhm, vary=False)
        return parameters

    def _drawn(self, j: int, x: FloatArray, q: FloatArray, derivatives: bool) -> tuple[NDArray[np.bool_], ShapeValues]:
        """Return in which rows a line is on, and the line in those; a line that stands still has a single row."""
        p = q[:, self._slots[j]]
        p[:, 0] += q[:, self._shift]
        if j >= len(self.names):
            p = p[:1] if x.shape[0] == 1 and (p == p[0]).all() else p
            on = np.ones(len(p), bool)
        else:
            on = q[:, self._switch + j] > 0.5
        if not on.all():
            x, p = x if x.shape[0] == 1 else x[on], p[on]
        return on, self.components[j].line.evaluate(x, p, derivatives=derivatives)

    def evaluate_lines(self, x: FloatArray, q: FloatArray, *, derivatives: bool = True) -> list[ShapeValues]:
        """Return the bare line of every component at `x` (B, n); zero where it is off."""
        values = []
        for j in range(len(self.components)):
            on, line = self._drawn(j, x, q, derivatives)
            if not on.all():
                value, jac = np.zeros((len(q), x.shape[-1])), np.zeros((len(q), *line.jac.shape[1:]))
                value[on], jac[on] = line.value, line.jac
                line = ShapeValues(value, jac)
            values.append(line)
        return values

    def basis(self, x: FloatArray, q: FloatArray, *, derivatives: bool = True) -> BasisValues:
        """Return the columns of all lines and of the polynomial; of lines that only move no other derivatives."""
        if x.ndim != 2:
            raise FitError("a frame has one axis")
        rows, n = q.shape[0], x.shape[-1]
        columns = np.zeros((rows, len(self._linear), n))
        terms: list[Derivative] = []
        for j, slots in enumerate(self._slots):
            on, line = self._drawn(j, x, q, derivatives)
            columns[slice(None) if on.all() else on, j] = line.value
            if not derivatives:
                continue
            for i in range(1 if self.line.only_position else len(slots)):
                d = line.jac[:, i]
                if not on.all():
                    d = np.zeros((rows, n))
                    d[on] = line.jac[:, i]
                terms.append(Derivative(slots[i], j, d))
            terms.append(Derivative(self._shift, j, terms[-1 if self.line.only_position else -len(slots)].values))
        if self.polynomial >= 0:
            columns[:, len(self.components) :] = legendre(x, self.polynomial)
        return BasisValues(columns, terms)


def frame_parameters(model: FrameModel, shape: LineShape) -> Parameters:
    """Return the parameters of a model with all shapes held; only the positions of the phases' lines vary."""
    parameters = model.make_parameters()
    for component in model.components:
        name = component.name
        if name in model.names:
            parameters[f"{name}_fwhm"].set(value=shape.width(name), vary=False)
        parameters[f"{name}_mixing"].set(value=shape.mixing, vary=False)
        if model.line.axial:
            parameters[f"{name}_axial"].set(value=shape.axial, vary=False)
    return parameters
