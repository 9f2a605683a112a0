"""An image with the size of its pixels, and how sure that size is.

Conventions of the whole wing: an array is ``(y, x)``, y runs down; a position is ``(x, y)`` in nm from the corner of
the first pixel; a reciprocal vector is ``(gx, gy)`` in 1/nm, |g| = 1/d, so that a wave is
``cos 2π (gx x + gy y)``. Cells of crystals are in Å, as everywhere in the project.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import DataError

__all__ = ["NOBODY_KNOWS", "UNVERIFIED_SCALE", "Image", "Scale", "Window"]

UNVERIFIED_SCALE = 0.03
"""Relative standard deviation of a pixel size that stands in a file and that nobody verified: real files of known
material were wrong by −5 to +4.2 %."""

NOBODY_KNOWS = 1.0
"""Standard deviation of ln(scale) from which on nobody knows the size of a pixel."""

UNVERIFIED_SHEAR = 0.01
"""Standard deviation of the two components of the shape distortion of an image (anisotropy and shear)."""


@dataclass(frozen=True)
class Scale:
    """How far lengths in an image may be from what its pixel size says: a prior, or what an internal standard left.

    Attributes
    ----------
    factor : float
        True length over the length by the pixel size; 1 where nothing is known.
    sd : float
        Relative standard deviation of the factor.
    shear_sd : float
        Standard deviation of the two components of the traceless symmetric distortion.
    source : str
        Where the knowledge comes from, for people.
    shear : tuple of 2 floats
        What is known of that distortion: anisotropy along the image's axes and shear, so that a true vector z = gx +
        i gy shows as z + (e1 + i e2) z*.
    joint : tuple of 3 tuples of 3 floats, optional
        Covariance of (ln factor, e1, e2) in the axes of the image, where all three were found together; else they are
        independent, and the distortion has no direction.
    """

    factor: float = 1.0
    sd: float = UNVERIFIED_SCALE
    shear_sd: float = UNVERIFIED_SHEAR
    source: str = "the file's pixel size, unverified"
    shear: tuple[float, float] = (0.0, 0.0)
    joint: tuple[tuple[float, float, float], ...] | None = None


@dataclass(frozen=True, eq=False)
class Image:
    """One image.

    Attributes
    ----------
    intensity : ndarray of float32, shape (ny, nx)
        As the file says; what `valid` leaves out holds the mean of the rest.
    pixel_nm : tuple of 2 floats, optional
        Size of a pixel along y and along x; None where nobody knows it.
    scale : Scale
        How sure the pixel size is.
    valid : ndarray of bool, shape (ny, nx), optional
        False where there is no image: dead pixels, a burned-in scale bar.
    name, source : str
        What messages call it, and the file it comes from.
    flags : tuple of str
        What was noticed when it was read.
    drift : tuple of 2 floats, optional
        Of the mean of a stack: largest distance of two of its frames, before they were moved together, and the
        standard error of a shift, pixels.
    """

    intensity: NDArray[np.float32]
    pixel_nm: tuple[float, float] | None
    scale: Scale = Scale()
    valid: NDArray[np.bool_] | None = None
    name: str = "image"
    source: str = ""
    flags: tuple[str, ...] = ()
    drift: tuple[float, float] | None = None

    @property
    def scale_known(self) -> bool:
        """Whether anybody states the size of a pixel; else lengths are in pixels and their ratios alone count."""
        return self.scale.sd < NOBODY_KNOWS

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and columns."""
        return (self.intensity.shape[0], self.intensity.shape[1])

    def pixel(self) -> tuple[float, float]:
        """Return the size of a pixel along y and x in nm.

        Raises
        ------
        DataError
            If nobody knows it.
        """
        if self.pixel_nm is None:
            raise DataError("the size of a pixel is not known", source=self.source, hint="give pixel_nm in the recipe")
        return self.pixel_nm

    def cut(self, window: Window) -> Image:
        """Return the part inside a window, as a view."""
        rows, columns = window.slices()
        valid = None if self.valid is None else self.valid[rows, columns]
        return replace(self, intensity=self.intensity[rows, columns], valid=valid, name=window.name or self.name)


@dataclass(frozen=True)
class Window:
    """A rectangle of pixels of an image: rows ``y .. y + ny``, columns ``x .. x + nx``."""

    y: int
    x: int
    ny: int
    nx: int
    name: str = ""

    def slices(self) -> tuple[slice, slice]:
        """Slices of rows and columns."""
        return slice(self.y, self.y + self.ny), slice(self.x, self.x + self.nx)
