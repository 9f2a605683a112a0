"""Images written by the specification of their format, without the library that reads them."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np


def fringes(shape: tuple[int, ...] = (64, 80), seed: int = 1) -> np.ndarray:
    y, x = np.indices(shape[-2:])
    mean = 400 + 100 * np.cos(2 * np.pi * (0.11 * x + 0.07 * y))
    return np.random.default_rng(seed).poisson(np.broadcast_to(mean, shape)).astype(np.uint16)


def write_mrc(path: Path, image: np.ndarray, cell: tuple[float, float], *, cut: int = 0) -> Path:
    """Write mode 6 (uint16) with a cell in angstrom, by the specification of CCP4."""
    frames = image.reshape(-1, *image.shape[-2:])
    nz, ny, nx = frames.shape
    head = struct.pack("<10i", nx, ny, nz, 6, 0, 0, 0, nx, ny, nz) + struct.pack("<3f", *cell, nz)
    path.write_bytes((head.ljust(208, b"\0") + b"MAP ").ljust(1024, b"\0") + frames.tobytes()[: frames.nbytes - cut])
    return path
