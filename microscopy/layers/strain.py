"""Strain of a lattice from the phases of two of its waves (geometric phase analysis), and images of single lattices.

How the phase of a wave runs says what its vector is off by, there; two vectors make the lattice. The slope is taken
from the complex amplitude from place to place, so that no phase is ever unwrapped, and the strain is that of the
lattice: of the inverse of its reciprocal vectors, exact for large ones. Hÿtch, Snoeck, Kilaas, Ultramicroscopy 74
(1998) 131; false strain where the structure changes: Peters et al., arXiv:1504.06089.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft
from scipy.ndimage import gaussian_filter, maximum_filter

from layerscope.errors import DataError

from ..image import Image, Window
from .lockin import LockIn
from .model import FloatArray, Kernel, PhaseMap

__all__ = ["Strain", "bragg_filtered", "strain"]

#: Amplitude of a wave over its median in the reference below which the lattice is another one, or none.
LOWEST = 0.5
#: Power of a wave over its background below which its phase is none.
CONTRAST = 10.0
#: Part of a window that must lie on the image.
INSIDE = 0.7


@dataclass(frozen=True, eq=False)
class Strain:
    """Strain of a lattice against a reference, NaN where that lattice does not stand.

    Attributes
    ----------
    x, y : ndarray of float64
        Places in nm.
    exx, eyy, exy : ndarray of float64, shape (y, x)
        Stretch less one: symmetric, in the frame of the lattice before it is turned; x and y of the image, or across
        and along a surface.
    rotation_deg : ndarray of float64, shape (y, x)
        Turn of the lattice, from x towards y.
    sigma : ndarray of float64, shape (y, x)
        Standard deviation of `exx` and `eyy` from the noise of the image, the larger of both.
    changes : ndarray of bool, shape (y, x)
        Within the window of a place where the phase changes or the lattice ends: strain there may be false.
    reference : ndarray of float64, shape (2, 2)
        Reciprocal vectors of no strain, as rows, 1/nm.
    width_nm : float
        Full width of the window.
    flags : tuple of str
        What stands in the way.
    """

    x: FloatArray
    y: FloatArray
    exx: FloatArray
    eyy: FloatArray
    exy: FloatArray
    rotation_deg: FloatArray
    sigma: FloatArray
    changes: NDArray[np.bool_]
    reference: FloatArray
    width_nm: float
    flags: tuple[str, ...]


def strain(
    image: Image,
    g: ArrayLike,
    *,
    width_nm: float = 2.0,
    reference: Window | ArrayLike | None = None,
    phases: PhaseMap | None = None,
    axis_deg: float = 0.0,
) -> Strain:
    """Map the strain of a lattice.

    Parameters
    ----------
    image : Image
        With the size of its pixels.
    g : array-like, shape (2, 2)
        Two reflections of the lattice as rows (gx, gy), 1/nm, as found in the image.
    width_nm : float
        Full width at half maximum of the window, and so the resolution of the map.
    reference : Window or array-like of shape (2, 2), optional
        A part of the image, or reciprocal vectors, where strain is none; the whole of the lattice unless given.
    phases : PhaseMap, optional
        Strain is given in the phase that stands in the reference; near others it is warned of.
    axis_deg : float
        Direction of the first axis of the strain, from x towards y: that of the normal of a surface, say.

    Returns
    -------
    Strain

    Raises
    ------
    DataError
        If the two vectors lie on one line, the lattice is not seen in the reference, or the image is smaller than the
        window.
    """
    own = np.array(g, dtype=float)
    if own.shape != (2, 2) or abs(np.linalg.det(own)) < 0.05 * np.prod(np.linalg.norm(own, axis=1)):
        raise DataError("strain needs two reflections that do not lie on one line", source=image.source)
    reader = LockIn(image, Kernel(width_nm, width_nm), step_nm=width_nm / 8.0)
    home = _home(reader, reference)
    for _ in range(3):
        waves = reader.amplitude(own, phase=True)
        usable, power, noise = _usable(reader, waves, own, home)
        off = _slopes(reader, waves)
        chosen = home & usable if (home & usable).any() else home
        centre = np.array(
            [[np.average(o[chosen], weights=p[chosen]) for o in v] for v, p in zip(off, power, strict=True)]
        )
        if np.abs(centre).max() < 1e-4:
            break
        own = own + centre
    changes = ~usable
    flags = []
    if phases is not None:
        other = _elsewhere(reader, phases, home)
        usable, changes = usable & ~other, changes | other
    if (changes & (reader.weight > INSIDE)).any():
        flags.append("STRAIN_ACROSS_PHASES")
    size = 1 + 2 * int(np.ceil(0.6 * width_nm / (reader.x[1] - reader.x[0])))
    changes = maximum_filter(changes, size)
    start = own if reference is None or isinstance(reference, Window) else np.array(reference, dtype=float)
    local = own + np.moveaxis(off, (0, 1), (-2, -1))
    stretch, angle = _deformation(local, start, axis_deg)
    sigma = _sigma(local, noise / np.maximum(power, 1e-30), float(reader.kernel.sigma[0]))
    hidden = np.where(usable, 1.0, np.nan)
    parts = (stretch[..., 0, 0] - 1.0, stretch[..., 1, 1] - 1.0, stretch[..., 0, 1], angle, sigma)
    exx, eyy, exy, rotation, error = (hidden * p for p in parts)
    return Strain(reader.x, reader.y, exx, eyy, exy, rotation, error, changes, start, width_nm, tuple(flags))


def _sigma(local: FloatArray, ratio: FloatArray, sigma_nm: float) -> FloatArray:
    """Propagate noise over power of each wave (2, y, x), in a window of a known width, to strain.

    Noise through a Gaussian window has a slope of variance 1 / (2 σ²) for each unit of its own variance along an axis.
    """
    slope = ratio / (4.0 * sigma_nm**2) / (4.0 * np.pi**2)
    return np.asarray(np.sqrt(np.einsum("yxik,kyx->yxi", np.linalg.inv(local) ** 2, slope).max(axis=-1)))


def _home(reader: LockIn, reference: Window | ArrayLike | None) -> NDArray[np.bool_]:
    """Places of the reference."""
    inside = reader.weight > 0.95
    if isinstance(reference, Window):
        inside = inside & reader.within(reference)
    if not inside.any():
        message = "the reference holds no whole window"
        raise DataError(message, source=reader.image.source, hint="give a larger one")
    return np.asarray(inside)


def _usable(
    reader: LockIn, waves: NDArray[np.complex64], g: FloatArray, home: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], FloatArray, FloatArray]:
    """Where both waves stand, their power, and that of the background beside them."""
    power = np.abs(waves).astype(float) ** 2
    far = 0.9 / float(reader.kernel.sigma[0])
    beside = [vector + far * np.array(d) for vector in g for d in ((1, 1), (1, -1), (-1, 1), (-1, -1))]
    read = np.abs(reader.amplitude(np.array(beside))) ** 2
    lowest = np.sort(read.reshape(2, 4, *power[0].shape), axis=1)[:, :3].mean(axis=1)
    noise = np.array([gaussian_filter(n, 4.0) for n in lowest], dtype=float)
    seen = (power > CONTRAST * noise) & home
    if not seen.all(axis=0).any():
        raise DataError("the lattice is not seen where strain is to be none", source=reader.image.source)
    usual = np.array([np.median(p[s]) for p, s in zip(power, seen, strict=True)])
    usable = (power > CONTRAST * noise) & (power > LOWEST**2 * usual[:, None, None])
    return np.asarray(usable.all(axis=0) & (reader.weight > INSIDE)), power, noise


def _slopes(reader: LockIn, waves: NDArray[np.complex64]) -> FloatArray:
    """Give what each vector (first axis) is off by along x and y (second axis), 1/nm.

    A window that the rim of the image cuts sits at its centroid, σ² d ln(weight)/dx off, where the phase is that of the
    wave: places lie closer there than they seem.
    """
    out = []
    weight = np.log(np.maximum(reader.weight, 0.05)).astype(float)
    for axis, places in ((2, reader.x), (1, reader.y)):
        a, b = (np.take(waves, range(n, waves.shape[axis] - 1 + n), axis=axis) for n in (0, 1))
        step = np.angle(b * np.conj(a)) / (2.0 * np.pi * (places[1] - places[0]))
        first, last = np.take(step, [0], axis=axis), np.take(step, [-1], axis=axis)
        wide = np.concatenate([first, step, last], axis=axis)
        count = waves.shape[axis]
        slope = 0.5 * (np.take(wide, range(count), axis=axis) + np.take(wide, range(1, count + 1), axis=axis))
        bend = np.gradient(np.gradient(weight, places, axis=axis - 1), places, axis=axis - 1)
        out.append(slope / np.maximum(1.0 + float(reader.kernel.sigma[0]) ** 2 * bend, 0.3))
    return np.stack(out, axis=1).astype(float)


def _elsewhere(reader: LockIn, phases: PhaseMap, home: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where another phase stands than in the reference."""
    best = phases.best()
    row = np.abs(reader.y[:, None] - phases.y).argmin(axis=1)
    column = np.abs(reader.x[:, None] - phases.x).argmin(axis=1)
    here = best[row[:, None], column]
    known = here[home & (here >= 0)]
    return here != np.bincount(known).argmax() if known.size else np.zeros(here.shape, dtype=bool)


def _deformation(local: FloatArray, start: FloatArray, axis_deg: float) -> tuple[FloatArray, FloatArray]:
    """Stretch (y, x, 2, 2) about an axis, and turn in degrees, that take the lattice of `start` to that of `local`."""
    taken = np.linalg.inv(local) @ start
    angle = np.arctan2(taken[..., 1, 0] - taken[..., 0, 1], taken[..., 0, 0] + taken[..., 1, 1])
    c, s = np.cos(angle), np.sin(angle)
    back = np.stack([np.stack([c, s], axis=-1), np.stack([-s, c], axis=-1)], axis=-2)
    axes = Kernel(1, 1, axis_deg).axes
    return axes @ (back @ taken) @ axes.T, np.degrees(angle)


def bragg_filtered(image: Image, g: Sequence[ArrayLike] | FloatArray, *, width_nm: float = 1.0) -> NDArray[np.float32]:
    """Return the image of one lattice: what waves near some reciprocal vectors add up to.

    A picture for people, not for measuring: whatever is filtered so shows fringes, and so does noise.

    Parameters
    ----------
    image : Image
        With the size of its pixels.
    g : array-like, shape (n, 2)
        Reflections in 1/nm, one of each Friedel pair.
    width_nm : float
        Full width of the window that the mask stands for: features narrower than this are smeared.

    Returns
    -------
    ndarray of float32, shape (ny, nx)
        Without the mean.
    """
    py, px = image.pixel()
    fy = np.fft.fftfreq(image.shape[0], py)[:, None].astype(np.float32)
    fx = np.fft.rfftfreq(image.shape[1], px)[None].astype(np.float32)
    kernel = Kernel(width_nm, width_nm)
    hidden = np.ones(np.broadcast_shapes(fx.shape, fy.shape), dtype=np.float32)
    for x, y in np.asarray(g, dtype=float).reshape(-1, 2):
        for sign in (1.0, -1.0):
            # Beyond 4 standard deviations nothing passes: only a small part of the mask is touched.
            near_y, near_x = (
                np.flatnonzero(np.abs(f - sign * v) < 0.64 / kernel.sigma[0]) for f, v in ((fy[:, 0], y), (fx[0], x))
            )
            off = np.stack(np.broadcast_arrays(fx[0, near_x] - sign * x, fy[near_y, :] - sign * y), axis=-1)
            hidden[near_y[:, None], near_x] *= (1.0 - np.exp(-kernel.decay(off))).astype(np.float32)
    transform = fft.rfft2(image.intensity - image.intensity.mean())
    return np.asarray(fft.irfft2(transform * (1.0 - hidden), s=image.shape), dtype=np.float32)
