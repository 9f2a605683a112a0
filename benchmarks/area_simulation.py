"""Images of powders as a flat detector counts them: rings by plain geometry, nothing of pyFAI and of layerscope.

A pixel lies at ``(y pixel - poni1, x pixel - poni2, distance)`` before the detector is turned about the first axis by
-rot1, the second by -rot2 and the third by rot3, as pyFAI's documentation of its geometry says. It sees an angle that
falls with the third power of distance over path, and a beam that is polarised along the second axis. Rings are drawn at
3 x 3 points of each pixel, and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
LAB6_A = 4.156826  # angstrom, of NIST's SRM 660c
LAB6_SUMS = (1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 16, 17, 18, 19, 20, 21, 22)
LAB6_HEIGHTS = (60, 100, 45, 25, 55, 40, 15, 45, 30, 25, 6, 20, 30, 6, 22, 20, 12, 12, 18, 5)
INSIDE = (np.arange(3) + 0.5) / 3


def turn(axis: int, angle: float) -> FloatArray:
    """Return the matrix of a right-handed turn about an axis."""
    c, s = np.cos(angle), np.sin(angle)
    a, b = ((1, 2), (2, 0), (0, 1))[axis]
    matrix = np.eye(3)
    matrix[a, a] = matrix[b, b] = c
    matrix[a, b], matrix[b, a] = -s, s
    return matrix


@dataclass(frozen=True)
class Setup:
    """A detector before a beam: metres and radians, the wavelength in angstrom."""

    name: str
    shape: tuple[int, int]
    pixel: float
    distance: float
    poni: tuple[float, float]
    turns: tuple[float, float, float] = (0.0, 0.0, 0.0)
    wavelength: float = 0.4139
    detector: str = "Detector"
    polarization: float | None = None

    def poni_text(self) -> str:
        """Return the text of a .poni file."""
        own = f', "max_shape": [{self.shape[0]}, {self.shape[1]}]' if self.detector == "Detector" else ""
        names = ("Distance", "Poni1", "Poni2", "Rot1", "Rot2", "Rot3", "Wavelength")
        values = (self.distance, *self.poni, *self.turns, self.wavelength * 1e-10)
        return (
            f"# a detector\nponi_version: 2.1\nDetector: {self.detector}\n"
            f'Detector_config: {{"pixel1": {self.pixel!r}, "pixel2": {self.pixel!r}, "orientation": 3{own}}}\n'
            + "".join(f"{name}: {value!r}\n" for name, value in zip(names, values, strict=True))
        )

    def seen(self, y: FloatArray, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return 2theta (degrees) and what a pixel is worth, at places counted in pixels."""
        place = np.stack(
            np.broadcast_arrays(y * self.pixel - self.poni[0], x * self.pixel - self.poni[1], self.distance)
        )
        r1, r2, r3 = self.turns
        first, second, along = np.tensordot(turn(2, r3) @ turn(1, -r2) @ turn(0, -r1), place, 1)
        two_theta = np.arctan2(np.hypot(first, second), along)
        worth = (self.distance / np.sqrt((place**2).sum(axis=0))) ** 3
        if self.polarization is not None:
            azimuth = np.arctan2(first, second)
            cos2 = np.cos(two_theta) ** 2
            worth = worth * 0.5 * (1 + cos2 - self.polarization * np.cos(2 * azimuth) * (1 - cos2))
        return np.degrees(two_theta), worth

    def expected(
        self, places: Sequence[float], heights: Sequence[float], fwhm: float, base: float, mixing: float = 0.3
    ) -> FloatArray:
        """Return the mean counts of each pixel: pseudo-Voigt rings (degrees) on a background that falls."""
        grid = np.arange(0.0, 120.0, fwhm / 40)
        curve = base * (0.6 + np.exp(-grid / 12))
        for place, height in zip(places, heights, strict=True):
            z = (grid - place) / fwhm
            curve += height * ((1 - mixing) * np.exp(-4 * np.log(2) * z * z) + mixing / (1 + 4 * z * z))
        y, x = (np.arange(n, dtype=float) for n in self.shape)
        total = np.zeros(self.shape)
        for dy in INSIDE:
            for dx in INSIDE:
                angle, worth = self.seen((y + dy)[:, None], (x + dx)[None, :])
                total += np.interp(angle, grid, curve) * worth
        return total / INSIDE.size**2


def lab6_lines(setup: Setup, a: float = LAB6_A, upto: float = 90.0) -> tuple[list[float], list[float]]:
    """Return where the lines of LaB6 lie (degrees), and how high they are."""
    found = [
        (2 * np.degrees(np.arcsin(setup.wavelength * np.sqrt(n) / (2 * a))), h)
        for n, h in zip(LAB6_SUMS, LAB6_HEIGHTS, strict=True)
    ]
    found = [(t, h) for t, h in found if t < upto]
    return [float(t) for t, _ in found], [float(h) for _, h in found]


def bragg(d: float, wavelength: float) -> float:
    """Return 2theta (degrees) of a spacing (angstrom)."""
    return float(2 * np.degrees(np.arcsin(wavelength / (2 * d))))


def edf(image: NDArray[np.int32], **header: str) -> bytes:
    """Return a file in the format of the ESRF."""
    words = {"HeaderID": "EH:000001:000000:000000", "Image": "1", "ByteOrder": "LowByteFirst"}
    words |= {"DataType": "SignedInteger", "Dim_1": str(image.shape[1]), "Dim_2": str(image.shape[0])}
    words |= {"Size": str(image.size * 4), **header}
    text = "{\n" + "".join(f"{key} = {value} ;\n" for key, value in words.items())
    length = -(-(len(text) + 2) // 512) * 512
    return (text.ljust(length - 2) + "}\n").encode() + image.astype("<i4").tobytes()
