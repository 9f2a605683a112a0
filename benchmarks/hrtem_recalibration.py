"""Fit the one number that corrects the stated probabilities: the temperature of `layerscope.microscopy.indexing.index`.

    python benchmarks/hrtem_recalibration.py [N] [SEED ...]

Draws N images a seed of the generator "tem" (seeds apart from those of `hrtem_calibration.py`), indexes them without a
correction, and prints the mean logarithmic loss of the truth and the ECE of the first answers for each temperature. The
generator "stem" never enters: it is what the result is judged on.
"""

from __future__ import annotations

import itertools
import sys

import numpy as np
from hrtem_calibration import NONE, PHASES, ece
from hrtem_kinematic import draw
from layerscope.microscopy.image import Image, Scale
from layerscope.microscopy.indexing import index, index_spots, library_of
from layerscope.microscopy.spots import find_spots

from layerscope.crystals import load_phase


def tempered(candidates, temperature):
    """Return the probabilities of the answers, raised to one over the temperature."""
    told = {}
    for name, p in candidates:
        told[name] = told.get(name, 0.0) + max(p, 1e-12)
    told = {name: p ** (1 / temperature) for name, p in told.items()}
    total = sum(told.values())
    return {name: value / total for name, value in told.items()}


def main():
    """Print the table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    seeds = [int(word) for word in sys.argv[2:]] or [21]
    index.TEMPERATURE = 1.0
    library = library_of([load_phase(file, name=name) for file, name in PHASES.items()])
    rows = []
    for draws in itertools.product(seeds, range(count)):
        trial = draw(np.random.default_rng(draws), "tem")
        spots = find_spots(Image(trial.image, (trial.pixel_nm, trial.pixel_nm)), false_alarm=0.01)
        if (~spots.on_streak).any():
            ranking = index_spots(spots, library, Scale())
            rows.append((trial.truth, [(NONE.get(c.phase, c.phase), c.probability) for c in ranking.candidates]))
    print(f"{len(rows)} images with spots of {count * len(seeds)}\ntemperature   loss   ECE first")
    for temperature in (0.8, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.7):
        told = [(truth, tempered(candidates, temperature)) for truth, candidates in rows]
        loss = -np.mean([np.log(max(p.get(truth, 0.0), 1e-4)) for truth, p in told])
        first = [(max(p.values()), max(p, key=p.get) == truth) for truth, p in told]
        print(f"{temperature:8.1f}    {loss:.3f}     {ece(*zip(*first, strict=True)):.3f}")


if __name__ == "__main__":
    main()
