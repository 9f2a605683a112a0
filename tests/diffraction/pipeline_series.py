"""A small simulated (003) series for pipeline tests: plain pseudo-Voigt doublets, nothing of layerscope."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
ALPHA1, ALPHA2 = 1.5405929, 1.5444274
FRAMES, IG_FROM, H13_FROM = 26, 9.4, 15.3
AXIS = np.arange(17.0, 21.1, 0.02)
PER_WEIGHT = np.array([1.20, 1.165, 1.13])
WIDTHS = (0.11, 0.16, 0.13)


def line(x: FloatArray, center: float, width: float, mixing: float = 0.4) -> FloatArray:
    """Return a doublet of unit area."""
    out = np.zeros_like(x)
    for wavelength, share in ((ALPHA1, 2 / 3), (ALPHA2, 1 / 3)):
        at = 2 * np.degrees(np.arcsin(wavelength / ALPHA1 * np.sin(np.radians(center) / 2)))
        z = (x - at) / width
        gauss = np.sqrt(4 * np.log(2) / np.pi) / width * np.exp(-4 * np.log(2) * z * z)
        lorentz = 2 / (np.pi * width) / (1 + 4 * z * z)
        out += share * ((1 - mixing) * gauss + mixing * lorentz)
    return out


def weights(slow: float = 1.0) -> FloatArray:
    """Return weight fractions of O3', intergrowth and H1-3, shape (3, FRAMES)."""
    f = np.arange(FRAMES, dtype=float)
    ig = 0.03 * slow * np.clip(f - IG_FROM, 0, None)
    h13 = 0.025 * slow * np.clip(f - H13_FROM, 0, None)
    return np.array([1 - ig - h13, ig, h13])


def counts(seed: int, slow: float = 1.0, scale: float = 600.0) -> FloatArray:
    """Return Poisson counts, shape (FRAMES, n)."""
    f = np.arange(FRAMES) / (FRAMES - 1)
    places = np.array([18.46 + 0.40 * f, 19.10 + 0.10 * f, 19.50 + 0.10 * f])
    areas = weights(slow) * PER_WEIGHT[:, None] * scale
    expected = np.stack(
        [120.0 + sum(areas[k, i] * line(AXIS, places[k, i], WIDTHS[k]) for k in range(3)) for i in range(FRAMES)]
    )
    return np.random.default_rng(seed).poisson(expected).astype(float)


def text(y: FloatArray, x: FloatArray = AXIS) -> str:
    """Return a pattern as two columns."""
    return "".join(f"{a:.4f} {int(b)}\n" for a, b in zip(x, y, strict=True))


def voltages() -> FloatArray:
    """Return the voltage of each frame (V)."""
    return 4.30 + 0.012 * np.arange(FRAMES)


def write_series(folder: Path, name: str, frames: dict[int, str] | None = None, **options: float) -> None:
    """Write ``<name>.zip`` and ``<name>.csv`` (time, voltage); texts of some frames may be given."""
    y = counts(**{"seed": 3, **options})  # type: ignore[arg-type]
    with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
        for i in range(FRAMES):
            archive.writestr(f"frame_{i:03d}.xy", (frames or {}).get(i, text(y[i])))
    rows = [f"{600.0 * i:.1f},{v:.5f}\n" for i, v in enumerate(voltages())]
    (folder / f"{name}.csv").write_text("time_s,voltage_V\n" + "".join(rows))


HEAD = """layerscope = 1
pipeline = "xrd_peaks"
sample = "P"
radiation = { anode = "Cu" }
axial = false
hardware = false
"""
SERIES = """
[[series]]
name = "P"
sample = "P"
files = ["P.zip"]
frames = { table = "P.csv", time_s = "time_s", voltage_V = "voltage_V" }
"""


def write_recipe(folder: Path, text_: str) -> Path:
    """Write recipe.toml and return its path."""
    path = folder / "recipe.toml"
    path.write_text(text_)
    return path
