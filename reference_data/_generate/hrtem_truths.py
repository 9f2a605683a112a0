"""Images with known truth that are drawn when they are wanted, not kept: for tests and benchmarks of HRTEM.

Each takes a seed and returns the numbers of the file, the pixel size that a file would state, and what is true. The
thickness of the sample (2.5 to 6 nm) and the defocus (3 to 9 nm) are drawn too: with them the strengths of spots
change, and no longer follow the structure factors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from _generate.hrtem_crystals import CO3O4, COO, LICO2O4, LICOO2, LIF, Crystal, Orientation, amorphous
from _generate.hrtem_scenes import (
    Layer,
    View,
    crystal_truth,
    cubic_along,
    layered_along,
    photograph,
    single,
    slipped,
    stack,
    twins,
)
from numpy.typing import NDArray

SQUARE = View(shape=(384, 384))
STRIP = View(shape=(384, 768))
THICKNESS_NM, DEFOCUS_NM = (2.5, 6.0), (3.0, 9.0)
SCALE_SD = 0.03
"""Of the pixel size that is stated, cut at 1.5 standard deviations."""


@dataclass(frozen=True, eq=False)
class Truth:
    """An image of known truth.

    Attributes
    ----------
    intensity : ndarray of uint16, shape (ny, nx)
    pixel_nm : float
        As a file would state it; the true one is `scale_factor` times it.
    scale_factor : float
    about : dict
        ``kind`` (single, twins, layers, amorphous), ``phase`` and ``zone``, or ``layers`` as in the reference cases.
    """

    intensity: NDArray[np.uint16]
    pixel_nm: float
    scale_factor: float
    about: dict[str, Any]


def skin(seed: int, crystal: Crystal = CO3O4, thickness_nm: float = 3.0, factor: float | None = None) -> Truth:
    """Return a thin cubic skin, grown on the layered bulk, vacuum beside it: the bulk is the internal standard."""
    rng, angle = np.random.default_rng([1, seed]), -55.2
    layers = [
        Layer("vacuum", 1.5, 0.15),
        Layer(crystal.name, 1.5 + thickness_nm, 0.15, crystal, cubic_along(angle, crystal)),
        Layer("LiCoO2", crystal=LICOO2, orientation=layered_along(angle)),
    ]
    view = _drawn(rng, STRIP)
    atoms, about = stack(rng, view, layers)
    return _seen(rng, view, photograph(rng, view, atoms), factor, {"kind": "layers", "layers": about})


def coated(seed: int, amorphous_nm: float = 3.0, rocksalt_nm: float = 3.0, factor: float | None = None) -> Truth:
    """Return vacuum, amorphous coating, rock salt and layered bulk."""
    rng, angle = np.random.default_rng([2, seed]), -55.2
    ends = np.cumsum([2.0, amorphous_nm, rocksalt_nm])
    layers = [
        Layer("vacuum", float(ends[0]), 0.2),
        Layer("amorphous", float(ends[1]), 0.2),
        Layer("CoO", float(ends[2]), 0.2, COO, cubic_along(angle, COO)),
        Layer("LiCoO2", crystal=LICOO2, orientation=layered_along(angle)),
    ]
    view = _drawn(rng, replace(STRIP, shape=(384, 896)))
    atoms, about = stack(rng, view, layers)
    return _seen(rng, view, photograph(rng, view, atoms), factor, {"kind": "layers", "layers": about})


def crystal(seed: int, what: Crystal, zone: tuple[int, int, int], along: tuple[int, int, int]) -> Truth:
    """Return a single crystal, a reflection of its zone in a random direction."""
    rng = np.random.default_rng([3, seed])
    view, orientation = _drawn(rng, SQUARE), Orientation.of(what, zone, along, rng.uniform(0.0, 360.0))
    atoms = single(rng, view, what, orientation)
    about = {"kind": "single", **crystal_truth(what, orientation)}
    return _seen(rng, view, photograph(rng, view, atoms), None, about)


def twinned(seed: int) -> Truth:
    """Return two layered crystals on top of each other, twins across (01-4), seen along [100]."""
    rng = np.random.default_rng([4, seed])
    view, angle = _drawn(rng, SQUARE), rng.uniform(0.0, 360.0)
    atoms = twins(rng, view, angle)
    about = {"kind": "twins", **crystal_truth(LICOO2, layered_along(angle))}
    return _seen(rng, view, photograph(rng, view, atoms), None, about)


def slips(seed: int, slip_nm: float) -> Truth:
    """Return a layered crystal whose slabs slip."""
    rng = np.random.default_rng([5, seed])
    view, angle = _drawn(rng, SQUARE), rng.uniform(0.0, 360.0)
    atoms, moved = slipped(rng, view, angle, slip_nm)
    about = {"kind": "single", **crystal_truth(LICOO2, layered_along(angle)), "slip_nm": slip_nm, "slips_nm": moved}
    return _seen(rng, view, photograph(rng, view, atoms), None, about)


def glass(seed: int) -> Truth:
    """Return an amorphous layer."""
    rng = np.random.default_rng([6, seed])
    view = _drawn(rng, SQUARE)
    atoms = amorphous(rng, (0, 0, 0), view.size)
    return _seen(rng, view, photograph(rng, view, atoms), None, {"kind": "amorphous"})


TRUTHS: dict[str, Callable[[int], Truth]] = {
    "LiCoO2 [100]": lambda seed: crystal(seed, LICOO2, (1, 0, 0), (0, 0, 3)),
    "LiCoO2 [001]": lambda seed: crystal(seed, LICOO2, (0, 0, 1), (1, 1, 0)),
    "Co3O4 [110]": lambda seed: crystal(seed, CO3O4, (1, 1, 0), (1, -1, 1)),
    "LiCo2O4 [110]": lambda seed: crystal(seed, LICO2O4, (1, 1, 0), (1, -1, 1)),
    "CoO [110]": lambda seed: crystal(seed, COO, (1, 1, 0), (1, -1, 1)),
    "CoO [001]": lambda seed: crystal(seed, COO, (0, 0, 1), (2, 0, 0)),
    "LiF [110]": lambda seed: crystal(seed, LIF, (1, 1, 0), (1, -1, 1)),
    "twins": twinned,
    "glass": glass,
    "skin of Co3O4": lambda seed: skin(seed, CO3O4),
    "skin of LiCo2O4": lambda seed: skin(seed, LICO2O4),
    "coated": coated,
}
"""By name, each of a seed."""


def _drawn(rng: np.random.Generator, view: View) -> View:
    """Return a view with a thickness and a defocus of its own."""
    scope = replace(view.microscope, defocus_nm=rng.uniform(*DEFOCUS_NM))
    return replace(view, thickness_nm=rng.uniform(*THICKNESS_NM), microscope=scope)


def _seen(
    rng: np.random.Generator, view: View, intensity: NDArray[np.uint16], factor: float | None, about: dict[str, Any]
) -> Truth:
    if factor is None:
        factor = float(np.exp(SCALE_SD * np.clip(rng.normal(), -1.5, 1.5)))
    return Truth(intensity, view.pixel_nm / factor, factor, about)
