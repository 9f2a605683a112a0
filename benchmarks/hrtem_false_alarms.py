"""How often does a window without any lattice show a spot, or a ring? Stated against found, windows of 2 to 10 nm.

    python benchmarks/hrtem_false_alarms.py [N] [BLOCK ...]

N windows of each kind: `speckle` is an amorphous film through a contrast transfer with defocus, 8 % astigmatism and
envelope, drawn anew each time; `counting` is a bare detector. Extents are uniform from 2 to 10 nm, pixels from 0.015
to 0.025 nm. Printed: windows with a spot over windows, in per cent, at the stated 1 and 5 %, by extent. Blocks whose
name begins with `rings` ask the same of rings, whose stated probability is an upper limit.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import pairwise

import numpy as np
from hrtem_windows_simulation import FloatArray, counting, speckle
from layerscope.microscopy.image import Image
from layerscope.microscopy.spots import find_rings, find_spots

STATED = (0.01, 0.05)
BORDERS = (2.0, 4.0, 7.0, 10.0)
BLOCKS: dict[str, Callable[[np.random.Generator, int, float], FloatArray]] = {
    "speckle": speckle,
    "counting": counting,
    "rings": speckle,
}


def block(name: str, windows: int) -> None:
    rng = np.random.default_rng([sum(map(ord, name)), 11])
    extents, alarms = np.empty(windows), np.zeros((windows, len(STATED)), bool)
    for k in range(windows):
        extents[k], pixel = rng.uniform(BORDERS[0], BORDERS[-1]), rng.uniform(0.015, 0.025)
        image = Image(BLOCKS[name](rng, int(extents[k] / pixel), pixel).astype(np.float32), (pixel, pixel))
        for j, stated in enumerate(STATED):
            if name.startswith("rings"):
                alarms[k, j] = find_rings(image, false_alarm=stated).g.size > 0
            else:
                alarms[k, j] = find_spots(image, false_alarm=stated, refine=False).size > 0
    for low, high in [*pairwise(BORDERS), (BORDERS[0], BORDERS[-1])]:
        some = (extents >= low) & (extents < high)
        found = "   ".join(
            f"{100 * a:4.1f} %: {100 * alarms[some, j].mean():5.2f} +- {100 * (a / some.sum()) ** 0.5:4.2f}"
            for j, a in enumerate(STATED)
        )
        print(f"{name:9s} {low:4.0f} to {high:2.0f} nm {some.sum():6d} windows   {found}", flush=True)


if __name__ == "__main__":
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    for chosen in sys.argv[2:] or BLOCKS:
        block(chosen, number)
