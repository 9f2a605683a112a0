"""How a sample drifted while the frames of a stack were taken, and the mean of the frames without that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

__all__ = ["Drift", "aligned_mean"]

FINE, COARSE = 1.0, 8.0
"""Standard deviations of the smoothing between which frames are compared, pixels: no counts, no thickness."""
ROUNDS = 3
STEPS = 50
"""Places that are tried in a pixel."""
UNSURE = 1.0
"""Standard error of a shift, pixels, above which frames are left as they stand."""
NOTHING = 0.1
"""Pixels by which frames may be off and are taken as they stand."""

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Drift:
    """Drift of a stack.

    Attributes
    ----------
    shift : ndarray of float64, shape (n, 2)
        By how many pixels (y, x) each frame's content lies off that of the first.
    sigma : float
        Standard error of a shift by how far two halves of the frames disagree, pixels.
    """

    shift: FloatArray
    sigma: float

    @property
    def largest(self) -> float:
        """Largest distance between two frames, pixels."""
        return float(np.hypot(*(self.shift[:, None] - self.shift).T).max())


def aligned_mean(frames: NDArray[Any]) -> tuple[NDArray[np.float32], Drift | None]:
    """Return the mean of frames of which each is moved to where the first one is, and how they drifted.

    Parameters
    ----------
    frames : ndarray, shape (n, ny, nx)

    Returns
    -------
    mean : ndarray of float32, shape (ny, nx)
        Of the frames that show each pixel; of all as they stand where no drift is seen.
    drift : Drift or None
        None where frames show nothing that others show too.

    Notes
    -----
    Each frame is compared, by the maximum of the cross-correlation between frequencies of counts and of thickness, with
    the mean of those before it; then with the mean of all others. It is looked for near the place of the frame before:
    of a lattice without anything else whole periods cannot be told.
    """
    plain = frames.mean(axis=0, dtype=np.float64).astype(np.float32)
    if not np.isfinite(plain).all():
        return plain, None
    shift = np.zeros((len(frames), 2))
    total = np.zeros(plain.shape)
    for round_ in range(ROUNDS):
        every, total = total, np.zeros(plain.shape)
        for k, frame in enumerate(frames):
            if round_ == 0:
                shift[k] = shift[max(k - 1, 0)]
            moved = _compared(frame, shift[k])
            if round_ + k > 0:
                shift[k] += _step(every - moved if round_ else total, moved)
            total += _compared(frame, shift[k])
    found = Drift(shift - shift[0], _sigma(frames, shift))
    if found.sigma > UNSURE:
        return plain, None
    if found.largest < NOTHING + 3.0 * found.sigma:
        return plain, found
    summed, seen = np.zeros(plain.shape), np.zeros(plain.shape)
    for frame, off in zip(frames, found.shift, strict=True):
        there = _there(plain.shape, off)
        summed += np.where(there, _moved(frame, off), 0.0)
        seen += there
    return (summed / np.maximum(seen, 1)).astype(np.float32), found


def _sigma(frames: NDArray[Any], shift: FloatArray) -> float:
    """Return the standard error of shifts, from what two halves of the frames differ in.

    By its median: a half without much to see may be a period off where the whole is not.
    """
    side = int(np.argmax(frames.shape[1:]))
    off = np.zeros((2, len(frames), 2))
    for half in (0, 1):
        parts = [np.array_split(_moved(frame, s), 2, axis=side)[half] for frame, s in zip(frames, shift, strict=True)]
        shown = [_compared(part, np.zeros(2)) for part in parts]
        total = np.sum(shown, axis=0)
        off[half] = [_step(total - own, own) for own in shown]
    return float(np.median(np.hypot(*(off[0] - off[1]).T)) / np.sqrt(np.log(2.0)) / 2.0)


def _moved(frame: NDArray[Any], shift: FloatArray) -> FloatArray:
    """Move a frame back by what its content lies off; what comes in at the rim is that of the opposite side."""
    values = frame.astype(np.float64)
    if not shift.any():
        return values
    transform = ndimage.fourier_shift(fft.rfft2(values), -shift, n=values.shape[1])
    return np.asarray(fft.irfft2(transform, s=values.shape))


def _there(shape: tuple[int, ...], shift: FloatArray) -> NDArray[np.bool_]:
    """Pixels that a frame shows once it is moved back."""
    rows, columns = (
        (np.arange(n) >= np.ceil(max(-s, 0.0))) & (np.arange(n) < n - np.ceil(max(s, 0.0)))
        for n, s in zip(shape, shift, strict=True)
    )
    return np.asarray(rows[:, None] & columns)


def _compared(frame: NDArray[Any], shift: FloatArray) -> FloatArray:
    """Return a frame, moved back, as it is compared: without counts and thickness, fading towards its rim."""
    moved = _moved(frame, shift)
    band = ndimage.gaussian_filter(moved, FINE) - ndimage.gaussian_filter(moved, COARSE)
    rows, columns = (np.hanning(n) for n in moved.shape)
    return np.asarray(band * rows[:, None] * columns)


def _step(reference: FloatArray, moving: FloatArray) -> FloatArray:
    """Return by how much the content of an image lies off that of another, (y, x)."""
    from skimage.registration import phase_cross_correlation

    shift = phase_cross_correlation(  # type: ignore[no-untyped-call]
        reference, moving, upsample_factor=STEPS, normalization=None
    )[0]
    return -np.asarray(shift, dtype=float)
