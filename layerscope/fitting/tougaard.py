"""Tougaard backgrounds: loss kernels of two or three parameters, static from data and active as linear operators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from layerscope.errors import FitError
from layerscope.fitting.backgrounds import cumulative_matrix, end_averages
from layerscope.fitting.shapes import FloatArray

__all__ = [
    "TOUGAARD_KERNELS",
    "TougaardBackground",
    "TougaardKernel",
    "TougaardOperator",
    "static_tougaard",
    "tougaard_operator",
]


@dataclass(frozen=True)
class TougaardKernel:
    """Probability of losing the energy T, per energy and attenuation length, up to the factor B.

    ``U2``: K = B T/(C + T^2)^2; ``U3``: K = B T/((C - T^2)^2 + D T^2), with T = x - x' in eV.

    Parameters
    ----------
    form : {"U2", "U3"}
        Two- or three-parameter cross-section.
    b : float
        Tabulated B in eV^2: the strength for a homogeneous solid. Fits scale it.
    c : float
        C in eV^2.
    d : float
        D in eV^2; 0 for U2.
    source : str
        Where the numbers come from.
    """

    form: Literal["U2", "U3"]
    b: float
    c: float
    d: float = 0.0
    source: str = ""

    def evaluate(self, loss: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return K0 = K/B and its derivatives with respect to C and D.

        Parameters
        ----------
        loss : ndarray
            Energy loss T in eV. The formula is used as it stands, odd in T, for negative values too.

        Returns
        -------
        k, dk_dc, dk_dd : ndarray, shape of `loss`
            In 1/eV^3, 1/eV^5 and 1/eV^5.
        """
        square = loss * loss
        sign = 1.0 if self.form == "U2" else -1.0
        bracket = square + sign * self.c
        denominator = bracket * bracket + self.d * square
        kernel = loss / denominator
        over = kernel / denominator
        return kernel, (-2.0 * sign) * bracket * over, -square * over


_UNVERIFIED = "after S. Tougaard, Surf. Interface Anal. 25 (1997) 137; number unverified, the table was not at hand"

#: Loss kernels by material. A material-independent kernel serves where no narrow plasmon shows.
TOUGAARD_KERNELS: dict[str, TougaardKernel] = {
    "universal": TougaardKernel(
        "U2", 2866.0, 1643.0, 0.0, "S. Tougaard, Solid State Commun. 61 (1987) 547, doi:10.1016/0038-1098(87)90166-9"
    ),
    "polymer": TougaardKernel(
        "U3", 396.0, 551.0, 436.0, "as CasaXPS writes them into its files for polymers; " + _UNVERIFIED
    ),
    "silicon_dioxide": TougaardKernel(
        "U3", 299.0, 542.0, 275.0, "as CasaXPS writes them into its files for U 3 Tougaard; " + _UNVERIFIED
    ),
    "silicon": TougaardKernel("U3", 132.0, 325.0, 96.0, _UNVERIFIED),
    "aluminium": TougaardKernel("U3", 16.5, 230.0, 4.5, _UNVERIFIED),
}


@dataclass(frozen=True)
class TougaardOperator:
    """The linear map s -> T[s] on one axis, for B = 1 eV^2.

    Parameters
    ----------
    matrix : ndarray, shape (n, n)
        ``matrix @ s`` is int K0(x - x') s(x') dx' over x' < x; a line with its losses is s + B T[s].
    d_c, d_d : ndarray, shape (n, n)
        Derivatives of the matrix with respect to C and D.
    """

    matrix: FloatArray
    d_c: FloatArray
    d_d: FloatArray


@dataclass(frozen=True)
class TougaardBackground:
    """A static Tougaard background.

    Parameters
    ----------
    background : ndarray, shape (B, n)
        The background, in the unit of the counts.
    b : ndarray, shape (B,)
        B in eV^2 that makes the background meet the data at the end of high binding energy.
    offset : ndarray, shape (B,)
        Level at low binding energy, taken as constant.
    """

    background: FloatArray
    b: FloatArray
    offset: FloatArray


def tougaard_operator(x: ArrayLike, kernel: TougaardKernel) -> TougaardOperator:
    """Return the operator of inelastic losses on an axis, even or not.

    Parameters
    ----------
    x : array-like, shape (n,)
        Strictly ascending binding energy in eV.
    kernel : TougaardKernel
        Its C and D are used, its B is not.

    Returns
    -------
    TougaardOperator
        Matrices (n, n); error of order h^4 (local cubics through K0 s). Losses of what lies below the first point are
        not included.

    Raises
    ------
    FitError
        When the axis does not ascend.
    """
    axis = np.asarray(x, dtype=np.float64)
    weights = cumulative_matrix(axis)
    kernel_values = kernel.evaluate(axis[:, np.newaxis] - axis[np.newaxis, :])
    return TougaardOperator(*(weights * values for values in kernel_values))


def static_tougaard(
    x: ArrayLike, counts: ArrayLike, kernel: TougaardKernel, *, end_points: int = 5
) -> TougaardBackground:
    """Return the Tougaard background of measured spectra, scaled to meet them at the high-binding-energy end.

    b(x) = y_low + B int_{x'<x} K0(x - x') (y(x') - y_low) dx': one pass, as losses are taken from the *measured*
    spectrum, which includes multiple losses.

    Parameters
    ----------
    x : array-like, shape (n,)
        Strictly ascending binding energy in eV.
    counts : array-like, shape (n,) or (B, n)
        Spectra on this axis.
    kernel : TougaardKernel
        Its C and D are used; B is found.
    end_points : int
        Points averaged at each end.

    Returns
    -------
    TougaardBackground
        Background (B, n), B (B,) and the level at low binding energy (B,).

    Raises
    ------
    FitError
        When the axis does not ascend, or a spectrum has no losses to scale.

    Notes
    -----
    S. Tougaard, Surf. Interface Anal. 11 (1988) 453, doi:10.1002/sia.740110902: B should be set where the peak has
    ended, 30 to 50 eV from it. Narrow ranges end earlier, and then B comes out too large.
    """
    y = np.atleast_2d(np.asarray(counts, dtype=np.float64))
    axis = np.asarray(x, dtype=np.float64)
    if axis.ndim != 1 or y.ndim != 2 or y.shape[1] != axis.size:
        raise FitError(f"the axis {axis.shape} does not fit the counts {np.shape(counts)}", source="static_tougaard")
    if not np.isfinite(y).all():
        raise FitError("the counts are not finite", source="static_tougaard")
    low, high = end_averages(y, end_points, "static_tougaard")
    losses = (y - low) @ tougaard_operator(axis, kernel).matrix.T
    reach = losses[:, -end_points:].mean(axis=1, keepdims=True)
    if (reach <= 0.0).any():
        row = int(np.nonzero(reach[:, 0] <= 0.0)[0][0])
        raise FitError(
            f"spectrum {row} lies below its low-energy end: there are no losses to scale a Tougaard background by",
            source="static_tougaard",
            hint="widen the range, or use a polynomial background",
        )
    b = (high - low) / reach
    return TougaardBackground(low + b * losses, b[:, 0], low[:, 0])
