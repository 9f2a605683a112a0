"""Do the errors of edges hold? Energy losses of two places, drawn again and again on bent backgrounds.

    python benchmarks/eels_coverage.py [N] [BLOCK ...]

Each draw is a pair of places, bulk and surface, 1000 channels of 0.4 eV, by the generator of the reference case
(`reference_data/_generate/eels_simulation.py`): axis, known edges, drift and noise are drawn anew. Blocks differ in the
background: `power` is one power law, `bent` has a bend of ln b over ln E drawn from a normal distribution of 2.5,
`two` is the sum of two power laws with a share of the second up to 0.3, `blurred` spreads every electron over channels
(Gaussian of 0.8 channels), `few` has a twentieth of the counts. Printed, for each number: how often 68 and 95 %
intervals hold the truth, how often those of counting alone do, mean and rms of the error over the stated one.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
from layerscope.spectra.eels.measure import AREA, MAXIMUM, SHARE, measure
from layerscope.spectra.eels.options import EelsRecipe
from layerscope.spectra.eels.places import Place, Scan
from layerscope.spectra.eels.spectrum import SpectrumImage

from layerscope.measured.series import Level

DATA = Path(__file__).resolve().parents[1] / "reference_data"
sys.path.insert(0, str(DATA))
from _generate.eels_simulation import (  # noqa: E402
    CO_RANGE,
    EDGES,
    FINE_EV,
    PREPEAK,
    TOTAL,
    Background,
    Sample,
    expected,
    metal,
    oxygen,
    spread_counts,
    truth,
)

SHOWN = 460.0 + 0.4 * np.arange(1000)
FLUX, DRIFT_EV, KNOWN_EV = 60000.0, 0.05, 0.2
CO_AREA = (772.0, 812.0)
FINE = np.arange(500.0, 860.0, FINE_EV)
RECIPE = {
    "layerscope": 1,
    "pipeline": "eels",
    "sample": "simulated",
    "drift_eV": DRIFT_EV,
    "series": [{"files": ["none"]}],
    "edges": [
        {"edge": "O K", "onset_eV": 527.0, "area_eV": TOTAL, "prepeak_eV": PREPEAK},
        {"edge": "Co L3", "onset_eV": 775.0, "area_eV": CO_AREA, "maximum_eV": CO_RANGE},
    ],
}
BLOCKS: dict[str, Callable[[np.random.Generator], tuple[Background, float, float]]] = {
    "power": lambda rng: (Background(rng.uniform(2.2, 3.6)), 0.0, 1.0),
    "bent": lambda rng: (Background(rng.uniform(2.2, 3.6), rng.normal(0.0, 2.5)), 0.0, 1.0),
    "two": lambda rng: (Background(rng.uniform(2.2, 3.6), 0.0, rng.uniform(0.0, 0.3)), 0.0, 1.0),
    "blurred": lambda rng: (Background(rng.uniform(2.2, 3.6), rng.normal(0.0, 2.5)), 0.8, 1.0),
    "few": lambda rng: (Background(rng.uniform(2.2, 3.6), rng.normal(0.0, 2.5)), 0.0, 0.05),
}


def area_within(curve: np.ndarray, limits: tuple[float, float]) -> float:
    """Return the integral of a curve on the fine axis."""
    return float(curve[(limits[0] <= FINE) & (limits[1] > FINE)].sum() * FINE_EV)


def drawn(rng: np.random.Generator, block: str) -> dict[str, list[tuple[float, float, float]]]:
    """Return, for each number, difference to the truth, stated error and counting error, at both places."""
    background, blur, dose = BLOCKS[block](rng)
    offset, stretch = rng.normal(0.0, 3.0), rng.normal(0.0, 0.002)
    samples = [Sample(0.0, rng.uniform(0.6, 1.2)), Sample(rng.uniform(0.2, 0.8), rng.uniform(0.6, 1.2))]
    counts = []
    for sample in samples:
        true = 600.0 + offset + rng.normal(0.0, DRIFT_EV) + (1.0 + stretch) * (SHOWN - 600.0)
        mean = dose * FLUX * sum(expected(true, sample, background).values())
        counts.append(spread_counts(rng, mean, blur))
    known = []
    for name, energy in (("O K main", 541.0), ("Mn L3", 642.0)):
        near = 600.0 + (energy - 600.0 - offset) / (1.0 + stretch)
        said = energy + rng.normal(0.0, KNOWN_EV)
        known.append({"edge": name, "near_eV": [near - 4, near + 4], "energy_eV": said, "sigma_eV": KNOWN_EV})
    recipe = EelsRecipe.model_validate({**RECIPE, "calibration": {"edges": known}})
    spectra = [SpectrumImage(SHOWN, row, "counts", index=k) for k, row in enumerate(counts)]
    places = tuple(Place(k, Level(k, 0, one), None) for k, one in enumerate(spectra))
    oxide, cobalt = measure(Scan(SHOWN, np.stack(counts), places, (), spectra[0]), recipe).edges
    width = dose * FLUX / (1.0 + stretch)  # counts stand on the channels of the file, areas on the true axis
    found: dict[str, list[tuple[float, float, float]]] = defaultdict(list)

    def note(name: str, estimate, right: list[float]) -> None:  # type: ignore[no-untyped-def]
        value, sigma, parts = estimate.stated()
        found[name] += list(zip(value - np.array(right), sigma, parts["counting"], strict=True))[: len(right)]

    true_share = [truth(sample)["share"] for sample in samples]
    true_place = [truth(sample)["maximum_eV"] for sample in samples]
    per_eV = width * (1.0 + stretch)  # counts a channel times its true width
    area = [s.thickness * per_eV * EDGES["O K"] * area_within(oxygen(FINE, s), TOTAL) for s in samples]
    lines = [metal(FINE, s.co_l3, 15.0, 3.0) for s in samples]
    tail = [s.thickness * per_eV * EDGES["Co L"] * area_within(m, CO_AREA) for s, m in zip(samples, lines, strict=True)]
    note("O K area", oxide.estimates[AREA], area)
    note("O K share", oxide.estimates[SHARE], true_share)
    note("Co L area", cobalt.estimates[AREA], tail)
    note("Co L3 place", cobalt.estimates[MAXIMUM], true_place)
    bulk = np.array([0])
    for name, edge, kind, right in (
        ("O K share, change", oxide, SHARE, true_share),
        ("Co L3 shift", cobalt, MAXIMUM, true_place),
    ):
        value, sigma, parts = edge.estimates[kind].less(bulk).stated()
        found[name].append((float(value[1] - right[1] + right[0]), float(sigma[1]), float(parts["counting"][1])))
    return found


def main() -> None:
    """Print one table a block."""
    words = sys.argv[1:]
    number = int(words[0]) if words and words[0].isdigit() else 200
    blocks = [word for word in words if word in BLOCKS] or list(BLOCKS)
    print(f"{number} pairs a block; intervals of the stated error, and of counting alone")
    for block in blocks:
        rng = np.random.default_rng([20260110, list(BLOCKS).index(block)])
        every: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
        for _ in range(number):
            for name, rows in drawn(rng, block).items():
                every[name] += rows
        print(f"\n{block:<20}  68 %   95 %  counting 68 %   pull   rms pull  sigma")
        for name, rows in every.items():
            difference, sigma, counting = np.array(rows).T
            pull = difference / sigma
            inside = [100.0 * np.mean(np.abs(pull) < z) for z in (1.0, 1.96)]
            alone = 100.0 * np.mean(np.abs(difference) < counting)
            line = (
                f"{name:<20} {inside[0]:5.1f}  {inside[1]:5.1f}  {alone:13.1f}  {pull.mean():5.2f}  {pull.std():9.2f}"
            )
            print(f"{line}  {np.median(sigma):.3g}")


if __name__ == "__main__":
    main()
