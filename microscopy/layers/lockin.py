"""The amplitude of a wave in a Gaussian window, everywhere in an image at once.

A window that slides over an image and is transformed at every place gives, for each reciprocal vector g, the image
times ``exp(-2πi g r)``, smoothed by the window. Smoothed so far it needs few points, and in the transform of the
whole image it is nothing but a small patch around g under a Gaussian. One transform of the image and one small inverse
transform for each g thus stand for all the windows, however they are turned or stretched.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from layerscope.errors import DataError

from ..image import Image, Window
from .model import FloatArray, Kernel

__all__ = ["LockIn"]


class LockIn:
    """Reads waves of an image through a Gaussian window.

    Parameters
    ----------
    image : Image
        With the size of its pixels.
    kernel : Kernel
        The window.
    step_nm : float, optional
        Largest distance of the places where it is read; by default what the window can resolve along each axis.
    finer : float
        Times as many places along each axis as the window can resolve, for interpolation between them.
    workers : int
        Threads of the transforms.

    Attributes
    ----------
    x, y : ndarray of float64
        Places in nm, a regular grid that begins at the centre of the first pixel.
    weight : ndarray of float32, shape (y, x)
        Part of the window that lies on valid pixels.

    Raises
    ------
    DataError
        If the image is smaller than the window, not finite or constant, or has no pixel size.
    """

    def __init__(
        self, image: Image, kernel: Kernel, step_nm: float | None = None, finer: float = 1.0, workers: int = 1
    ) -> None:
        pixel_y, pixel_x = image.pixel()
        size = np.array([image.shape[1] * pixel_x, image.shape[0] * pixel_y])
        reach = np.array(kernel.reach())
        if np.any(size < 2.0 * reach):
            raise DataError(
                f"the image of {size[0]:.3g} x {size[1]:.3g} nm is smaller than the window",
                source=image.source,
                hint="give a smaller window",
            )
        valid = np.ones(image.shape, dtype=bool) if image.valid is None else image.valid
        used = image.intensity[valid]
        if not np.isfinite(used).all() or not used.size or np.ptp(used) == 0:
            raise DataError("the image is constant or not finite", source=image.source)
        self.image, self.kernel, self.workers = image, kernel, workers
        self.pixel = np.array([pixel_x, pixel_y])
        self.shape = tuple(
            fft.next_fast_len(int(n + np.ceil(4.0 * r / p)), real=True)
            for n, r, p in zip(image.shape, reach[::-1], (pixel_y, pixel_x), strict=True)
        )
        extent = np.array(self.shape[::-1]) * self.pixel
        wanted = 2.0 * finer * extent * np.array(kernel.band())
        if step_nm is not None:
            wanted = np.maximum(wanted, extent / step_nm)
        most = np.array(self.shape[::-1])
        self.patch = tuple(
            min(fft.next_fast_len(int(np.ceil(w))), int(m)) for w, m in zip(wanted[::-1], most[::-1], strict=True)
        )
        ky, kx = (np.arange(n) - n // 2 for n in self.patch)
        self._offsets = (ky, kx)
        self._transform = self._whole(np.where(valid, image.intensity - used.mean(), 0.0).astype(np.float32))
        steps = extent / np.array(self.patch[::-1])
        self.inside = tuple(
            int(np.count_nonzero((np.arange(n) * s) <= e - p))
            for n, s, e, p in zip(self.patch, steps[::-1], size[::-1], self.pixel[::-1], strict=True)
        )
        self.y, self.x = (
            np.arange(n) * s + 0.5 * p for n, s, p in zip(self.inside, steps[::-1], self.pixel[::-1], strict=True)
        )
        mask = self._whole(valid.astype(np.float32))
        self.weight = self._read(mask, np.zeros((1, 2), dtype=np.int64), np.zeros((1, 2)))[0].real
        self.spacing = 1.0 / extent

    def within(self, window: Window) -> NDArray[np.bool_]:
        """Return which places (y, x) lie in a part of the image."""
        px, py = self.pixel
        rows = (self.y > window.y * py) & (self.y < (window.y + window.ny) * py)
        columns = (self.x > window.x * px) & (self.x < (window.x + window.nx) * px)
        return np.asarray(rows[:, None] & columns)

    def _whole(self, array: NDArray[np.float32]) -> NDArray[np.complex64]:
        """Transform the padded array."""
        return np.asarray(fft.fft2(array, s=self.shape, workers=self.workers), dtype=np.complex64)

    def _read(
        self, transform: NDArray[np.complex64], bins: NDArray[np.int64], off: FloatArray
    ) -> NDArray[np.complex64]:
        """Smooth the waves at whole bins (kx, ky) of the transform, of which the wanted ones are `off` away in 1/nm."""
        ky, kx = self._offsets
        spacing = 1.0 / (np.array(self.shape[::-1]) * self.pixel)
        patch = np.empty((len(bins), *self.patch), dtype=np.complex64)
        pass_ = None
        for n, (b, o) in enumerate(zip(bins, off, strict=True)):
            if pass_ is None or np.any(o != off[n - 1]):
                shift = np.stack(np.meshgrid(kx * spacing[0] - o[0], ky * spacing[1] - o[1]), axis=-1)
                pass_ = (np.exp(-self.kernel.decay(shift)) * np.prod(self.patch) / np.prod(self.shape)).astype(
                    np.float32
                )
                pass_ = np.roll(pass_, (-(self.patch[0] // 2), -(self.patch[1] // 2)), axis=(0, 1))
            rows = (np.roll(ky, -(self.patch[0] // 2)) + b[1]) % self.shape[0]
            columns = (np.roll(kx, -(self.patch[1] // 2)) + b[0]) % self.shape[1]
            np.multiply(transform[rows[:, None], columns], pass_, out=patch[n])
        out = fft.ifft2(patch, overwrite_x=True)
        return np.asarray(out[:, : self.inside[0], : self.inside[1]])

    def bins(self, g: FloatArray) -> NDArray[np.int64]:
        """Return the bins (kx, ky) of the whole transform next to reciprocal vectors (n, 2) in 1/nm."""
        return np.asarray(np.rint(np.asarray(g) / self.spacing), dtype=np.int64)

    def at_bins(self, bins: NDArray[np.int64], batch: int = 8) -> Iterator[tuple[slice, NDArray[np.complex64]]]:
        """Yield amplitudes (batch, y, x) at whole bins of the transform: what they stand at in the list, and they."""
        for start in range(0, len(bins), batch):
            part = slice(start, min(start + batch, len(bins)))
            yield part, self._read(self._transform, bins[part], np.zeros((part.stop - start, 2)))

    def amplitude(self, g: FloatArray, *, phase: bool = False) -> NDArray[np.complex64]:
        """Return the amplitudes (n, y, x) of waves, per valid pixel of the window.

        Parameters
        ----------
        g : ndarray of float64, shape (n, 2)
            Reciprocal vectors in 1/nm.
        phase : bool
            Whether the phase is that of the wave itself, and not of one at the nearest bin of the transform.

        Returns
        -------
        ndarray of complex64
            Half the amplitude of a cosine in the unit of the image.
        """
        g = np.asarray(g, dtype=float).reshape(-1, 2)
        bins = self.bins(g)
        off = g - bins * self.spacing
        out = self._read(self._transform, bins, off) / np.maximum(self.weight, 0.05)
        if phase:
            x, y = self.x - 0.5 * self.pixel[0], self.y - 0.5 * self.pixel[1]
            turn = off[:, 0, None, None] * x + off[:, 1, None, None] * y[:, None]
            start = 0.5 * (g @ self.pixel)[:, None, None]
            out = (out * np.exp(-2j * np.pi * (turn + start))).astype(np.complex64)
        return np.asarray(out)
