"""Case hrtem_streaked: a layered oxide whose slabs lie flat on each other, and one whose slabs have slipped."""

from __future__ import annotations

import json

import numpy as np
from _generate.hrtem_crystals import LICOO2
from _generate.hrtem_multislice import FloatArray
from _generate.hrtem_scenes import View, crystal_truth, layered_along, photograph, slipped, write_tiff

NAME = "hrtem_streaked"
SEED = 20261130
VIEW = View(shape=(512, 512))
ANGLE = 20.0
SLIPS = {"flat": 0.0, "slipped": 0.014}
"""Standard deviation of the place of a slab from the one below, nm."""


def streak(slip_nm: float, g_along: float) -> float:
    """Return the full width at half maximum along c* (1/nm) of a spot whose g has this part along the slabs.

    Slips that add up leave ``exp(-(2 pi g s)^2 |n| / 2)`` of the order between slabs n apart: a Lorentzian.
    """
    return float((2.0 * np.pi * g_along * slip_nm) ** 2 / 2.0 / (np.pi * LICOO2.c / 30.0))


def build(only: tuple[str, ...] = tuple(SLIPS)) -> dict[str, bytes]:
    """Return the files of the case, hashes left out, or those of some samples."""
    orientation = layered_along(ANGLE)
    files, samples = {}, {}
    for number, (name, slip) in enumerate(SLIPS.items()):
        if name not in only:
            continue
        rng = np.random.default_rng([SEED, number])
        atoms, slips = slipped(rng, VIEW, ANGLE, slip)
        files[f"{name}.tif"] = write_tiff(photograph(rng, VIEW, atoms), VIEW.pixel_nm)
        along = _along(orientation.reflection(LICOO2, (0, -1, 4)), orientation.reflection(LICOO2, (0, 0, 3)))
        samples[name] = {"slip_nm": slip, "streak_fwhm_0m14_per_nm": round(streak(slip, along), 5), "slips_nm": slips}
    truth = {
        "seed": SEED,
        "pixel_nm": VIEW.pixel_nm,
        "thickness_nm": VIEW.thickness_nm,
        "film_nm": VIEW.film_nm,
        "dose_e_per_A2": VIEW.dose,
        "microscope": vars(VIEW.microscope),
        **crystal_truth(LICOO2, orientation),
        "angle_003_deg": ANGLE,
        "samples": samples,
    }
    files["truth.json"] = (json.dumps(truth, indent=1) + "\n").encode("ascii")
    return files


def _along(g: FloatArray, normal: FloatArray) -> float:
    return float(np.linalg.norm(np.cross(g, normal)) / np.linalg.norm(normal))
