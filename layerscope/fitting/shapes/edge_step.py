"""The step of an absorption edge: the running integral of a line, which the lines compute already."""

from __future__ import annotations

from layerscope.errors import FitError
from layerscope.fitting.shapes.base import FloatArray, Line, ParameterHint, Shape, ShapeValues

__all__ = ["EdgeStep"]


class EdgeStep(Line):
    """A step of unit height, the running integral of a line: erf (Gaussian), arctangent (Lorentzian), or a Voigt's.

    Parameters of the shape: those of the line, which is the derivative of the step; so ``center`` is where the step
    has half its height, and ``fwhm`` the width of the rise. The coefficient of a step is its height, not an area.

    Parameters
    ----------
    line : Shape
        Line whose running integral is the step.

    References
    ----------
    Outka, D. A. & Stohr, J. (1988). Curve fitting analysis of near-edge core excitation spectra of free, adsorbed, and
    polymeric molecules. J. Chem. Phys. 88, 3539-3554. doi:10.1063/1.453902
    """

    def __init__(self, line: Shape) -> None:
        self.line = line

    @property
    def name(self) -> str:
        """Name of the shape, with that of its line."""
        return f"edge_step({self.line.name})"

    def defaults(self) -> dict[str, ParameterHint]:
        """Return a start value and bounds for every parameter."""
        return self.line.defaults()

    def _curves(self, axis: FloatArray, par: FloatArray, derivatives: bool, integral: bool) -> ShapeValues:
        if integral:
            raise FitError("an edge step has no running integral: it never ends", source=self.name)
        of_line = self.line.evaluate(axis, par, derivatives=derivatives, integral=True)
        if of_line.integral is None or of_line.integral_jac is None:
            raise FitError("the line has no running integral", source=self.name)
        return ShapeValues(of_line.integral, of_line.integral_jac)
