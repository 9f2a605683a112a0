"""A scale bar that a program burned into an image: where it is, and how long."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..image import Window

__all__ = ["ScaleBar", "find_scale_bar"]

SHORTEST, LONGEST = 0.04, 0.7
"""Length of a bar over the width of the image."""
SLENDER = 5.0
"""Length over height at least."""
FILLED = 0.95
"""Share of its rectangle that has the very same value."""
BLUR = 2
"""Pixels around bar and letters that their smoothing reaches."""
LETTERS = 8.0
"""Height of the letters beside it at most, over the height of the bar; and no farther than half its length."""


@dataclass(frozen=True, eq=False)
class ScaleBar:
    """A bar of one value, the lowest or highest of the image.

    Attributes
    ----------
    window : Window
        The bar itself; its length in pixels is ``window.nx``.
    mask : ndarray of bool, shape (ny, nx)
        Pixels of the bar and of the letters beside it.
    """

    window: Window
    mask: NDArray[np.bool_]


def find_scale_bar(intensity: NDArray[np.float32]) -> ScaleBar | None:
    """Return the bar that was burned into an image, or None: a long solid rectangle of the highest or lowest value.

    Noise gives no such rectangle: of a thousand equal neighbours that saturated pixels make, the outline is ragged.

    Parameters
    ----------
    intensity : ndarray of float32, shape (ny, nx)
    """
    least = int(SHORTEST * intensity.shape[1] / 2) * 2 + 1
    for extreme in (np.nanmax(intensity), np.nanmin(intensity)):
        same = intensity == extreme
        if same.sum() < 2 * least:
            continue
        runs = ndimage.minimum_filter1d(same.astype(np.uint8), least, axis=1, mode="constant")
        labels, _ = ndimage.label(ndimage.maximum_filter1d(runs, least, axis=1, mode="constant"))
        for number, place in enumerate(ndimage.find_objects(labels), start=1):
            window = Window(place[0].start, place[1].start, *(axis.stop - axis.start for axis in place))
            if _is_bar(window, intensity.shape) and (labels[place] == number).mean() >= FILLED:
                return ScaleBar(window, _with_letters(same, window))
    return None


def _is_bar(window: Window, shape: tuple[int, ...]) -> bool:
    inside = SHORTEST * shape[1] <= window.nx <= LONGEST * shape[1]
    return inside and window.ny >= 2 and window.nx >= SLENDER * window.ny


def _with_letters(same: NDArray[np.bool_], bar: Window) -> NDArray[np.bool_]:
    """Return the pixels of the bar and those of its value around it, where its length is written."""
    reach = int(min(LETTERS * bar.ny, 0.5 * bar.nx)) + bar.ny
    rows = slice(max(bar.y - reach, 0), bar.y + bar.ny + reach)
    columns = slice(max(bar.x - bar.nx // 4, 0), bar.x + bar.nx + bar.nx // 4)
    mask = np.zeros_like(same)
    mask[rows, columns] = same[rows, columns]
    found: NDArray[np.bool_] = ndimage.binary_dilation(mask, iterations=BLUR)
    return found
