"""What maps and layers hand on: known lattices, the window they are seen through, maps of phases and their regions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from layerscope.errors import DataError

__all__ = ["AMORPHOUS", "NONE", "VACUUM", "Kernel", "Lattice", "PhaseMap", "Region"]

VACUUM, AMORPHOUS, NONE = "vacuum", "amorphous", "none"
FWHM = math.sqrt(8.0 * math.log(2.0))

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Lattice:
    """A lattice that may stand somewhere in the image, at a known orientation and by the image's own pixel size.

    Attributes
    ----------
    name : str
        Of the phase, unlike that of every other lattice of a map.
    g : ndarray of float64, shape (n, 2)
        Its reflections (gx, gy) in 1/nm, one of each Friedel pair.
    weight : ndarray of float64, shape (n,)
        Amplitude expected, relative to the strongest.
    """

    name: str
    g: FloatArray
    weight: FloatArray

    @classmethod
    def of(cls, name: str, g: ArrayLike, amplitude: ArrayLike | None = None, turn: ArrayLike | None = None) -> Lattice:
        """Build a lattice from reflections of either half plane.

        Parameters
        ----------
        name : str
            Of the phase.
        g : array-like, shape (n, 2)
            Reflections in 1/nm.
        amplitude : array-like, shape (n,), optional
            Of each, in any unit; all alike where nothing is known.
        turn : array-like, shape (2, 2), optional
            Takes `g` to the frame of the image: rotation, mirror, scale.

        Raises
        ------
        DataError
            If there is no reflection, or one is not finite.
        """
        vectors = np.asarray(g, dtype=float).reshape(-1, 2)
        if turn is not None:
            vectors = vectors @ np.asarray(turn, dtype=float).T
        weight = np.ones(len(vectors)) if amplitude is None else np.abs(np.asarray(amplitude, dtype=float))
        vectors = np.where(
            ((vectors[:, 1] < 0) | ((vectors[:, 1] == 0) & (vectors[:, 0] < 0)))[:, None], -vectors, vectors
        )
        if not len(vectors) or not np.isfinite(vectors).all() or not np.isfinite(weight).all() or weight.max() <= 0:
            raise DataError(f"the lattice {name} has no usable reflection")
        order = np.argsort(-weight, kind="stable")
        keep: list[int] = []
        for i in order:
            if all(np.hypot(*(vectors[i] - vectors[k])) > 1e-3 for k in keep):
                keep.append(int(i))
        return cls(name, vectors[keep], weight[keep] / weight.max())


@dataclass(frozen=True)
class Kernel:
    """A Gaussian window: its full widths at half maximum across and along the surface, and where the normal points.

    Attributes
    ----------
    across_nm, along_nm : float
        Full widths at half maximum in nm.
    normal_deg : float
        Direction of the normal in degrees from x towards y (down), pointing into the material.
    """

    across_nm: float
    along_nm: float
    normal_deg: float = 0.0

    @property
    def axes(self) -> FloatArray:
        """Unit vectors (x, y) across and along, as rows."""
        c, s = np.cos(np.radians(self.normal_deg)), np.sin(np.radians(self.normal_deg))
        return np.array([[c, s], [-s, c]])

    @property
    def sigma(self) -> FloatArray:
        """Standard deviations across and along in nm."""
        return np.array([self.across_nm / FWHM, self.along_nm / FWHM])

    def decay(self, g: ArrayLike) -> FloatArray:
        """Return −ln of what the window passes of the amplitude of a wave that is `g` (..., 2) off, 1/nm."""
        parts = np.asarray(g, dtype=float) @ self.axes.T * (2.0 * np.pi * self.sigma)
        return np.asarray(0.5 * np.sum(parts**2, axis=-1))

    def reach(self) -> tuple[float, float]:
        """Return the standard deviations of the window along x and y in nm."""
        x, y = np.sqrt(np.sum((self.axes * self.sigma[:, None]) ** 2, axis=0))
        return float(x), float(y)

    def band(self) -> tuple[float, float]:
        """Return the largest gx and gy in 1/nm that the window passes (down to exp −6 of the amplitude)."""
        x, y = np.sqrt(12.0 * np.sum((self.axes / self.sigma[:, None]) ** 2, axis=0)) / (2.0 * np.pi)
        return float(x), float(y)


@dataclass(frozen=True, eq=False)
class PhaseMap:
    """Probability of each phase in windows over an image.

    Attributes
    ----------
    x, y : ndarray of float64
        Centres of the windows in nm.
    classes : tuple of str
        "vacuum", "amorphous", the names of the lattices, and "none" of these.
    probability : ndarray of float32, shape (y, x, classes)
        Sums to 1; NaN where the window does not lie within the image.
    contrast : ndarray of float32, shape (y, x)
        Logarithm of the power of the image in the band over that of counting noise; NaN where not assessed.
    kernel : Kernel
        The window.
    flags : tuple of str
        What stands in the way of reading the map.
    """

    x: FloatArray
    y: FloatArray
    classes: tuple[str, ...]
    probability: NDArray[np.float32]
    contrast: NDArray[np.float32]
    kernel: Kernel
    flags: tuple[str, ...] = ()

    def best(self) -> NDArray[np.int64]:
        """Return the index of the most probable class in each window; −1 where it was not assessed."""
        return np.where(np.isnan(self.contrast), -1, np.argmax(np.nan_to_num(self.probability), axis=-1))


@dataclass(frozen=True)
class Region:
    """A connected part of a map where one phase is the most probable.

    Attributes
    ----------
    phase : str
        One of the classes of the map.
    area_nm2, share : float
        Its area, and the part of all that was assessed.
    centre_nm : tuple of 2 floats
        Centroid (x, y).
    box_nm : tuple of 4 floats
        Left, top, right, bottom.
    probability : float
        Mean over its windows.
    """

    phase: str
    area_nm2: float
    share: float
    centre_nm: tuple[float, float]
    box_nm: tuple[float, float, float, float]
    probability: float
