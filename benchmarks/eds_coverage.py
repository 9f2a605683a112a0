"""Do the errors of net counts hold? X-ray spectra of a line scan, drawn again and again.

    python benchmarks/eds_coverage.py [N] [BLOCK ...]

Each draw is a scan of eight places through a coated oxide by `reference_data/_generate/eds_simulation.py`, whose
lines, background and detector are written apart from those of the analysis: Kramers' law behind a window and a dead
layer with their edges. Offset, dispersion and width are drawn anew. Blocks: `plain`; `tail`, where lines lose up to
1.5 % at 1 keV and four times as much below to tails; `few`, with a tenth of the counts; `much`, with ten times. Boron
is in no place but the last, with 60 counts. Printed, for each line: how often 68 and 95 % intervals hold the truth,
mean and rms of the error over the stated one, how often a line is called seen, and how often the truth lies below the
limit where one is stated.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
from layerscope.spectra.eels.eds.measure import measure
from layerscope.spectra.eels.eds.options import EdsRecipe
from layerscope.spectra.eels.eds.pipeline import _counts
from layerscope.spectra.eels.places import Place, Scan
from layerscope.spectra.eels.spectrum import SpectrumImage

from layerscope.measured.series import Level

DATA = Path(__file__).resolve().parents[1] / "reference_data"
sys.path.insert(0, str(DATA))
from _generate.eds_simulation import expected  # noqa: E402

PLACES, BORON = 8, 60.0
BORDERS = 10.0 * np.arange(1001.0)
ENERGY = 0.5 * (BORDERS[1:] + BORDERS[:-1])
NAMES = ("B K", "C K", "O K", "Co L", "Al K", "Co K", "Cu K")
BLOCKS: dict[str, Callable[[np.random.Generator], tuple[float, float]]] = {
    "plain": lambda rng: (1.0, 0.0),
    "tail": lambda rng: (1.0, rng.uniform(0.0, 0.015)),
    "few": lambda rng: (0.1, 0.0),
    "much": lambda rng: (10.0, 0.0),
}


def truth(place: int) -> dict[str, float]:
    """Return the counts of the strongest line of each family."""
    inside = 1.0 / (1.0 + np.exp(-(place - 3.5)))
    lines = {"C K": 400.0, "O K": 500.0 + 1500.0 * inside, "Co L": 800.0 * inside, "Co K": 1600.0 * inside}
    lines |= {"Al K": 700.0 * float(np.exp(-0.5 * (place - 3.0) ** 2)), "Cu K": 400.0}
    return {**lines, "B K": BORON if place == PLACES - 1 else 0.0}


def drawn(rng: np.random.Generator, block: str) -> dict[str, list[tuple[float, float, float]]]:
    """Return truth, value and error of every line, and its limit where it has one."""
    dose, tail = BLOCKS[block](rng)
    offset, stretch, fwhm = rng.normal(0.0, 5.0), rng.normal(0.0, 0.001), rng.normal(132.0, 3.0)
    true = (BORDERS - offset) / (1.0 + stretch)
    lines = [{name: dose * count for name, count in truth(place).items()} for place in range(PLACES)]
    counts = np.stack([rng.poisson(expected(true, one, 2.0 * dose, fwhm, tail)).astype(float) for one in lines])
    spectra = [SpectrumImage(ENERGY, row, index=k, kind="EDS", beam_kV=200.0) for k, row in enumerate(counts)]
    places = tuple(Place(k, Level(k, 0, one), None) for k, one in enumerate(spectra))
    recipe = EdsRecipe.model_validate(
        {"layerscope": 1, "pipeline": "eds", "sample": "s", "series": [{"files": ["none"]}], "lines": NAMES}
    )
    result = measure(Scan(ENERGY, counts, places, (), spectra[0]), recipe)
    found: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    for place in range(PLACES):
        for quantity, _ in _counts(result, result.counted, place, recipe):
            if quantity is None or quantity.value is None or quantity.component is None:
                continue
            name, right = quantity.component, lines[place][quantity.component]
            key = f"{name}, {'there' if right else 'absent'}" if name == "B K" else name
            limit = quantity.upper_limit if quantity.upper_limit is not None else np.nan
            found[key].append((quantity.value - right, float(quantity.sigma or np.nan), limit - right))
    return found


def main() -> None:
    """Print one table a block."""
    words = sys.argv[1:]
    number = int(words[0]) if words and words[0].isdigit() else 100
    blocks = [word for word in words if word in BLOCKS] or list(BLOCKS)
    print(f"{number} scans of {PLACES} places a block")
    for block in blocks:
        rng = np.random.default_rng([20260111, list(BLOCKS).index(block)])
        every: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
        for _ in range(number):
            for name, rows in drawn(rng, block).items():
                every[name] += rows
        print(f"\n{block:<12}   68 %   95 %   pull  rms pull  sigma   seen %  below limit %")
        for name, rows in every.items():
            difference, sigma, below = np.array(rows).T
            pull = difference / sigma
            inside = [100.0 * np.mean(np.abs(pull) < z) for z in (1.0, 1.96)]
            seen, limited = 100.0 * np.mean(np.isnan(below)), below[np.isfinite(below)]
            under = f"{100.0 * np.mean(limited >= 0):8.1f}" if limited.size else "       -"
            line = f"{name:<12}  {inside[0]:5.1f}  {inside[1]:5.1f}  {pull.mean():5.2f}  {pull.std():8.2f}"
            print(f"{line}  {np.median(sigma):6.3g}  {seen:6.1f}  {under}")


if __name__ == "__main__":
    main()
