"""Line shapes of powder diffraction for the fit engine: doublet, pseudo-Voigt, axial divergence in one shape.

A line is the sum over the K-alpha doublet (fixed ratio of areas, exact second position) and over the nodes of the axial
divergence (see `layerscope.diffraction.peaks.axial`) of pseudo-Voigt functions of one width. Its area is 1 and its
``center`` is the Bragg angle of K-alpha-1 in degrees, not the maximum of the smeared line.

Both lines of a doublet and all nodes share one width: over the 0.05 degrees of a (003) doublet the widths of any
instrument differ by less than 0.3 %.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from layerscope.errors import FitError
from layerscope.fitting.shapes import ParameterHint, ShapeValues, as_batch, require_positive

from ..radiation import FloatArray, Radiation
from ..widths import tch_width_and_mixing
from .axial import AxialRule, axial_rule
from .bragg import second_line

__all__ = ["DiffractionLine", "Profile"]

Profile = Literal["pseudo_voigt", "tch"]

NODES = 8
"""Of the axial quadrature: 1e-5 of the height where the smear is as wide as the line (S/L 0.02 at 19 degrees)."""

BLOCK = 20_000
"""Values of one work array that stay in the processor's cache."""

_GAUSS = 2.0 * math.sqrt(math.log(2.0) / math.pi)
_LORENTZ = 2.0 / math.pi
_LN2_4 = 4.0 * math.log(2.0)


class DiffractionLine:
    """A Bragg line of unit area.

    Parameters of the shape: ``center`` (degrees 2theta); then ``fwhm`` (degrees) and ``mixing`` (Lorentzian share of
    the area) of a pseudo-Voigt, or ``gaussian_fwhm`` and ``lorentzian_fwhm`` (degrees) of a Thompson-Cox-Hastings one;
    then, unless switched off, ``axial``, S/L = H/L of the axial divergence.

    Parameters
    ----------
    radiation : Radiation
        K-alpha-1 and, if it is there, K-alpha-2 with its ratio.
    profile : {"pseudo_voigt", "tch"}
    axial : bool
        Whether the line is smeared by axial divergence.
    nodes : int
        Of the axial quadrature.
    only_position : bool
        Whether only ``center`` will ever vary: the other derivatives are then returned as zeros, at half the cost.
    """

    def __init__(
        self,
        radiation: Radiation,
        *,
        profile: Profile = "pseudo_voigt",
        axial: bool = True,
        nodes: int = NODES,
        only_position: bool = False,
    ) -> None:
        if profile not in ("pseudo_voigt", "tch"):
            raise FitError(f"unknown profile '{profile}'", hint="pseudo_voigt or tch")
        self.only_position = only_position
        self.radiation, self.profile, self.axial = radiation, profile, axial
        self.nodes = nodes if axial else 1
        self.name = f"diffraction_line({profile})"
        widths = ("fwhm", "mixing") if profile == "pseudo_voigt" else ("gaussian_fwhm", "lorentzian_fwhm")
        self.parameters: tuple[str, ...] = ("center", *widths, *(("axial",) if axial else ()))
        ratio = radiation.ratio if radiation.alpha2 is not None and radiation.ratio else 0.0
        self._lines = [(1.0 / (1.0 + ratio), 1.0)]
        if ratio and radiation.alpha2 is not None:
            self._lines.append((ratio / (1.0 + ratio), radiation.alpha2 / radiation.alpha1))

    def searching(self, center: float, fwhm: float, axial: float) -> DiffractionLine:
        """Return the same line for the search of positions: no more nodes than the noise of any data can see.

        Parameters
        ----------
        center, fwhm : float
            Degrees.
        axial : float
            S/L = H/L.
        """
        nodes = int(np.clip(np.ceil(3.0 + 2.0 * self._smear(center, fwhm, axial)), 4, self.nodes))
        return self._with_nodes(nodes, only_position=True)

    def resolved(self, center: float, fwhm: float, axial: float) -> DiffractionLine:
        """Return the same line with as many nodes as its smear needs: 1e-5 of the height, 1e-4 in extreme cases.

        Parameters
        ----------
        center, fwhm : float
            Degrees.
        axial : float
            S/L = H/L.
        """
        nodes = int(np.clip(np.ceil(4.0 + 3.2 * self._smear(center, fwhm, axial)), NODES, 24))
        return self._with_nodes(nodes, only_position=self.only_position)

    def _smear(self, center: float, fwhm: float, axial: float) -> float:
        """Return how far axial divergence smears the line, in widths."""
        return float(abs(np.degrees(2.0 * axial**2 / np.tan(np.radians(center)))) / fwhm) if self.axial else 0.0

    def _with_nodes(self, nodes: int, *, only_position: bool) -> DiffractionLine:
        return DiffractionLine(
            self.radiation, profile=self.profile, axial=self.axial, nodes=nodes, only_position=only_position
        )

    def defaults(self) -> dict[str, ParameterHint]:
        """Return a start value and bounds for every parameter."""
        hints = {"center": ParameterHint(20.0, 0.1, 179.0)}
        if self.profile == "pseudo_voigt":
            hints |= {"fwhm": ParameterHint(0.1, 5e-3, 5.0), "mixing": ParameterHint(0.5, 0.0, 1.0, "1")}
        else:
            hints |= {
                "gaussian_fwhm": ParameterHint(0.07, 1e-3, 5.0),
                "lorentzian_fwhm": ParameterHint(0.05, 1e-4, 5.0),
            }
        if self.axial:
            hints["axial"] = ParameterHint(0.015, 1e-4, 0.06, "1")
        return hints

    def evaluate(self, x: ArrayLike, p: ArrayLike, *, derivatives: bool = True, integral: bool = False) -> ShapeValues:
        """Evaluate the line and its derivatives.

        Parameters
        ----------
        x : array-like, shape (n,), (1, n) or (B, n)
            Degrees 2theta.
        p : array-like, shape (B, q)
            Parameters of each row.
        derivatives : bool
            What to compute besides the value.
        integral : bool
            Not defined for diffraction: no background of it follows the running integral of a line.

        Returns
        -------
        ShapeValues
            Value (B, n) in 1/degree, derivatives (B, q, n).

        Raises
        ------
        FitError
            When the arrays do not fit, a width is not above zero, a line lies outside 0 to 180 degrees, or an integral
            is asked for.
        """
        if integral:
            raise FitError("a diffraction line has no inelastic background", source=self.name)
        axis, par = as_batch(self.name, self.parameters, x, p)
        width, mixing, chain = self._widths(par)
        rule, by_center = self._rule(par)
        value = np.empty((len(par), axis.shape[1]))
        basic = np.empty((len(par), len(self.parameters) if derivatives else 0, axis.shape[1]))
        step = max(1, BLOCK // (rule.position.shape[1] * axis.shape[1]))
        for i in range(0, len(par), step):
            rows = slice(i, i + step)
            x_part = axis if axis.shape[0] == 1 else axis[rows]
            part = AxialRule(*(getattr(rule, name)[rows] for name in AxialRule.__dataclass_fields__))
            if derivatives and self.only_position:
                basic[rows, 1:] = 0.0
                value[rows], basic[rows, 0] = _sum_with_position(
                    x_part, part, by_center[rows], width[rows], mixing[rows]
                )
            elif derivatives:
                value[rows], basic[rows] = _sum_with_derivatives(
                    x_part, part, by_center[rows], width[rows], mixing[rows], self.axial
                )
            else:
                value[rows] = _sum_only(x_part, part, width[rows], mixing[rows])
        if chain is None or not derivatives or self.only_position:
            return ShapeValues(value, basic)
        jac = basic.copy()
        for i in (0, 1):
            jac[:, 1 + i] = chain[:, i, 0, None] * basic[:, 1] + chain[:, i, 1, None] * basic[:, 2]
        return ShapeValues(value, jac)

    def _widths(self, par: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray | None]:
        for i in (1,) if self.profile == "pseudo_voigt" else (1, 2):
            require_positive(self.name, self.parameters[i], par[:, i])
        if self.profile == "pseudo_voigt":
            return par[:, 1], par[:, 2], None
        return tch_width_and_mixing(par[:, 1], par[:, 2])

    def _rule(self, par: FloatArray) -> tuple[AxialRule, FloatArray]:
        """Return the nodes of all lines of the doublet, weighted, and d(Bragg angle)/d(center) of each node."""
        axial = par[:, 3] if self.axial else np.zeros(len(par))
        rules, slopes = [], []
        for share, ratio in self._lines:
            angle, slope = (par[:, 0], np.ones(len(par))) if ratio == 1.0 else second_line(par[:, 0], ratio)
            rule = axial_rule(np.asarray(angle), axial, self.nodes)
            rules.append((share, rule))
            slopes.append(np.broadcast_to(slope[:, None], rule.position.shape))

        def stack(name: str, scaled: bool) -> FloatArray:
            return np.concatenate([(share if scaled else 1.0) * getattr(r, name) for share, r in rules], axis=1)

        together = AxialRule(
            *(stack(name, name.startswith("weight")) for name in AxialRule.__dataclass_fields__),
        )
        return together, np.concatenate(slopes, axis=1)


def _parts(axis: FloatArray, rule: AxialRule, width: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return (x - position)/width, Gaussian and Lorentzian of every node, each of shape (B, K, n)."""
    inverse = (1.0 / width)[:, None, None]
    t = axis[:, None, :] - rule.position[:, :, None]
    t *= inverse
    square = t * t
    gauss = square * (-_LN2_4)
    np.exp(gauss, out=gauss)
    gauss *= _GAUSS * inverse
    square *= 4.0
    square += 1.0
    np.divide(_LORENTZ * inverse, square, out=square)
    return t, gauss, square


def _sum_only(axis: FloatArray, rule: AxialRule, width: FloatArray, mixing: FloatArray) -> FloatArray:
    _, gauss, lorentz = _parts(axis, rule, width)
    m = mixing[:, None]
    both = (1.0 - m) * (rule.weight[:, None, :] @ gauss)[:, 0] + m * (rule.weight[:, None, :] @ lorentz)[:, 0]
    return np.asarray(both)


def _sum_with_position(
    axis: FloatArray, rule: AxialRule, by_center: FloatArray, width: FloatArray, mixing: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the line and its derivative by center."""
    t, gauss, lorentz = _parts(axis, rule, width)
    m, inverse = mixing[:, None, None], (1.0 / width)[:, None, None]
    gauss *= 1.0 - m
    node = lorentz * m
    node += gauss
    gauss *= 2.0 * _LN2_4 * inverse
    lorentz *= lorentz
    lorentz *= 4.0 * math.pi * m
    gauss += lorentz
    gauss *= t
    both = np.stack([rule.weight, rule.weight_by_angle * by_center], axis=1) @ node
    moved = (rule.weight * rule.position_by_angle * by_center)[:, None] @ gauss
    return both[:, 0], both[:, 1] + moved[:, 0]


def _sum_with_derivatives(
    axis: FloatArray, rule: AxialRule, by_center: FloatArray, width: FloatArray, mixing: FloatArray, axial: bool
) -> tuple[FloatArray, FloatArray]:
    """Return the line and its derivatives by center, fwhm, mixing and, if asked for, axial."""
    t, gauss, lorentz = _parts(axis, rule, width)
    m, inverse = mixing[:, None, None], (1.0 / width)[:, None, None]
    node = lorentz - gauss  # first the difference, then the pseudo-Voigt itself
    by_mixing = (rule.weight[:, None, :] @ node)[:, 0]
    node *= m
    node += gauss
    # d node / dx = -(8 ln2 t (1 - m) g + 4 pi t w m l^2) / w
    gauss *= 2.0 * _LN2_4 * (1.0 - m) * inverse
    lorentz *= lorentz
    lorentz *= 4.0 * math.pi * m
    gauss += lorentz
    gauss *= t  # d node / d position
    rows = [rule.weight, rule.weight_by_angle * by_center]
    moves = [rule.weight * rule.position_by_angle * by_center]
    if axial:
        rows.append(rule.weight_by_axial)
        moves.append(rule.weight * rule.position_by_axial)
    fixed = np.stack(rows, axis=1) @ node
    moved = np.stack(moves, axis=1) @ gauss
    gauss *= t
    value = fixed[:, 0].copy()
    jac = np.empty((value.shape[0], 4 if axial else 3, value.shape[1]))
    np.add(fixed[:, 1], moved[:, 0], out=jac[:, 0])
    jac[:, 1] = (rule.weight[:, None, :] @ gauss)[:, 0] - value / width[:, None]
    jac[:, 2] = by_mixing
    if axial:
        np.add(fixed[:, 2], moved[:, 1], out=jac[:, 3])
    return value, jac
