"""Studies of two samples drawn as files of spectra, and what the pipelines say of them: see `claims.py`.

Files are drawn by the generator of the reference cases (`reference_data/_generate`), which shares no code with the
fits, and written in the formats of instruments. Both samples of a study have the same truth but for the difference that
is asked for; what differs besides is what differs between any two specimens: charging, beam, widths, backgrounds,
saturation, the zero of the energy scale.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from layerscope.claims import ClaimTable, EvidenceTable, SampleTable, StoryTables, judge
from layerscope.records import ResultRecord
from layerscope.runs.pipeline import RunContext, find_pipeline

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "reference_data"))
from _generate import sxas_bk
from _generate.simulation import Background, Level, Line, Measured, Window, expectation
from _generate.sxas_simulation import saturated
from _generate.vamas import VamasOptions, write_vamas

Draw = Callable[[np.random.Generator, float, Path], None]
SAMPLES = ("A", "B")
SHARE = 0.3
"""Share of the second species, of boron at fluorine and of boron with four neighbours, in both samples."""


def _region(rng: np.random.Generator, window: Window, lines: tuple[Line, ...], shift: float) -> Measured:
    rate = window.baseline_rate * rng.uniform(0.8, 1.2)
    background = Background(
        window.shirley_k * rng.uniform(0.8, 1.2), rate, rate * window.slope, 0.5 * (window.low_ev + window.high_ev)
    )
    x = window.energies()
    expected = expectation(x, lines, background, shift)
    return Measured(window, lines, background, shift, x, expected, rng.poisson(expected), np.ones_like(x))


def _vamas(sample: str, shift: float, regions: tuple[Measured, ...], folder: Path) -> None:
    options = VamasOptions(sample, "simulated", ("SIMULATED DATA",), etch_time=False)
    (folder / f"{sample}.vms").write_bytes(write_vamas((Level(None, None, shift, {}, regions),), options))


def draw_carbon(rng: np.random.Generator, difference: float, folder: Path) -> None:
    """Write a VAMAS file of C 1s for each sample: two lines 5 eV apart."""
    window = Window("C 1s", 280.0, 293.0, 0.1, 0.2, 20, 0.025, 700.0, 0.003)
    for sample, more in zip(SAMPLES, (difference, 0.0), strict=True):
        shift, area, share = rng.normal(0.0, 0.1), 9000.0 * rng.uniform(0.7, 1.4), SHARE + more
        lines = tuple(
            Line(name, "C 1s", at, fwhm * rng.uniform(0.97, 1.03), 0.2, area * part, part, 1.0)
            for name, at, fwhm, part in (("C-C/C-H", 284.8, 1.3, 1.0 - share), ("CO3", 289.8, 1.4, share))
        )
        _vamas(sample, shift, (_region(rng, window, lines, shift),), folder)


def draw_boron(rng: np.random.Generator, difference: float, folder: Path) -> None:
    """Write a VAMAS file of B 1s and C 1s for each sample: two lines of B 1s that overlap, moved alike by charging."""
    window = Window("B 1s", 186.0, 198.0, 0.1, 0.2, 60, 0.04, 300.0, 0.005)
    other = Window("C 1s", 280.0, 292.0, 0.1, 0.2, 20, 0.025, 700.0, 0.003)
    apart = 1.2 + rng.normal(0.0, 0.05)  # eV; of the same solids in both samples
    for sample, more in zip(SAMPLES, (difference, 0.0), strict=True):
        shift, fwhm, mixing = rng.normal(0.0, 0.1), 1.5 * rng.uniform(0.97, 1.03), rng.uniform(0.2, 0.4)
        area, share = 3000.0 * rng.uniform(0.7, 1.4), SHARE + more
        boron = tuple(
            Line(name, "B 1s", at, fwhm, mixing, area * part, part, 0.486)
            for name, at, part in (("B-O", 191.7, 1.0 - share), ("B-F", 191.7 + apart, share))
        )
        carbon = (Line("C-C/C-H", "C 1s", 284.8, 1.3, 0.2, 12000.0 * rng.uniform(0.7, 1.4), 1.0, 1.0),)
        _vamas(sample, shift, (_region(rng, window, boron, shift), _region(rng, other, carbon, shift)), folder)


def draw_sxas(rng: np.random.Generator, difference: float, folder: Path) -> None:
    """Write a scan of B K for each sample, and those of both references."""
    x = sxas_bk.X
    off, fwhm = rng.normal(0.0, 0.1), rng.uniform(0.6, 0.75)  # of the beamline where the references were measured
    for name, four in (("bo3", False), ("bo4", True)):
        y = 1.1 + 2e-4 * (x - 200.0) + sxas_bk.per_boron(x - off - rng.normal(0.0, 0.02), four, fwhm)
        (folder / f"{name}.txt").write_bytes(sxas_bk.scan(rng, y * rng.uniform(0.6, 1.4), longer=False))
    fwhm = rng.uniform(0.6, 0.7)
    top = 1.0 + float(sxas_bk.per_boron(x, False, fwhm).max())
    for sample, more in zip(SAMPLES, (difference, 0.0), strict=True):
        at, share = x - rng.normal(0.0, 0.02), SHARE + more
        mu = (1.0 - share) * sxas_bk.per_boron(at, False, fwhm) + share * sxas_bk.per_boron(at, True, fwhm)
        foreign = rng.uniform(0.7, 1.4) * (1.0 + 1e-3 * (x - 200.0))
        signal = saturated(foreign + mu, top, rng.uniform(0.0, 0.1))
        (folder / f"{sample}.txt").write_bytes(sxas_bk.scan(rng, signal, longer=False))


def _series(ending: str) -> list[dict[str, Any]]:
    return [{"name": sample, "sample": sample, "files": [f"{sample}.{ending}"]} for sample in SAMPLES]


XPS = {"pipeline": "xps", "sample": "S", "series": _series("vms"), "charge": {"reference": "C 1s"}}
CARBON = {**XPS, "regions": {"C 1s": ["C-C/C-H", {"species": "CO3"}]}}
BORON = {**XPS, "regions": {"B 1s": ["B-O", {"species": "B-F", "like": "B-O"}], "C 1s": ["C-C/C-H"]}}
SXAS = {
    "pipeline": "sxas",
    "sample": "S",
    "edge": "B K",
    "mode": "tey",
    "series": _series("txt"),
    "coordination": {
        "reference": [{"name": name, "four": four, "files": [f"{name}.txt"]} for name, four in (("bo3", 0), ("bo4", 1))]
    },
}


@dataclass(frozen=True)
class Kind:
    """Files of one kind, how they are analysed, what a claim is about, and the parts of errors that samples share."""

    draw: Draw
    recipe: dict[str, Any]
    quantity: dict[str, str]
    shared: tuple[str, ...]


CHOICES = ("background", "line_shape", "width_spread")  # of models: the same for both samples
KINDS = {
    "carbon": Kind(draw_carbon, CARBON, {"quantity": "species.fraction", "component": "CO3"}, CHOICES),
    "boron": Kind(draw_boron, BORON, {"quantity": "species.fraction", "component": "B-F"}, CHOICES),
    "sxas": Kind(
        draw_sxas, SXAS, {"quantity": "coordination.fraction", "component": "four-coordinate"}, ("references",)
    ),
}


def study(kind: Kind, rng: np.random.Generator, difference: float, folder: Path) -> list[ResultRecord]:
    """Return the records that a claim may rest on, of two samples of which A is `difference` above B."""
    kind.draw(rng, difference, folder)
    pipeline = find_pipeline(kind.recipe["pipeline"])
    recipe = pipeline.recipe_model.model_validate({"layerscope": 1, **kind.recipe}).located(folder)
    found = [
        record
        for part in pipeline.split(recipe)
        for output in pipeline.run(part, RunContext(pipeline, part, {}, debug=True))
        for record in output.records
    ]
    return [r for r in found if any(q.name == kind.quantity["quantity"] for q in r.quantities)]


def studies(name: str, number: int, difference: float = 0.0) -> list[list[ResultRecord]]:
    """Return the records of many studies, each drawn from a stream of its own."""
    with tempfile.TemporaryDirectory() as folder:
        stream = (20261130, list(KINDS).index(name), round(1e6 * difference))
        return [
            study(KINDS[name], np.random.default_rng([*stream, k]), difference, Path(folder)) for k in range(number)
        ]


def claim(names: Sequence[str], expects: str, *, shared: bool = True) -> StoryTables:
    """Return a study that claims one thing, by these kinds of files."""
    evidence = tuple(
        EvidenceTable(
            technique=KINDS[n].recipe["pipeline"], expects=expects, shared=KINDS[n].shared if shared else (),
            **KINDS[n].quantity,
        )
        for n in names
    )  # fmt: skip
    samples = (SampleTable(name="S", states={"a": ("A",), "b": ("B",)}),)
    return StoryTables(samples=samples, claims=(ClaimTable(says="x", of="S: a", against="S: b", evidence=evidence),))


def interval(made: int, number: int) -> tuple[float, float]:
    """Return the 95 % interval of a share, in per cent (E. B. Wilson, J. Am. Stat. Assoc. 22 (1927) 209)."""
    z, p = 1.96, made / number
    middle, half = p + z * z / (2 * number), z * np.sqrt(p * (1 - p) / number + z * z / (4 * number**2))
    return 100 * (middle - half) / (1 + z * z / number), 100 * (middle + half) / (1 + z * z / number)


def line(words: str, records: Sequence[list[ResultRecord]], story: StoryTables, wanted: tuple[float, float]) -> int:
    """Print how often a claim is made; return 1 if that is out of range by more than chance."""
    judged = [judge(story, one)[0] for one in records]
    number, made = len(judged), sum(one.verdict.said == "stands" for one in judged)
    heard = sum(one.verdict.p is not None for one in judged)
    away = [w.evidence.sigmas for one in judged for w in one.weighed if w.evidence is not None]
    low, high = interval(made, number)
    missed = high < wanted[0] or low > wanted[1]
    told = f"{100 * made / number:5.1f} ({low:.1f}-{high:.1f})"
    print(
        f"{words:36} {number:5} {told:>18} {wanted[0]:g}-{wanted[1]:<4g} {np.std(away):5.2f}"
        f"{'' if heard == number else f'  {number - heard} not tested'}{'  MISSED' if missed else ''}",
        flush=True,
    )
    return int(missed)


Lines = list[list[ResultRecord]]


def carbon(number: int) -> tuple[int, Lines]:
    """Print what two lines of C 1s give that stand apart; return misses, and the records without a difference."""
    null = studies("carbon", number)
    wrong = line("C 1s, 5 eV apart: one direction", null, claim(["carbon"], "greater"), (3, 7))
    wrong += line("  either direction", null, claim(["carbon"], "differs"), (3, 7))
    wrong += line("  shared choices not named", null, claim(["carbon"], "greater", shared=False), (0, 7))
    for difference in (0.01, 0.02, 0.04):
        found = studies("carbon", max(number // 10, 1), difference)
        wrong += line(f"  {difference:g} more in A", found, claim(["carbon"], "greater"), (3, 100))
    return wrong, null


def sxas(number: int) -> tuple[int, Lines]:
    """Print what B K gives: the share of boron with four neighbours.

    Its errors are scaled by what references misfit, which is the same in both samples: claims are made too seldom.
    """
    null = studies("sxas", max(number // 4, 1))
    wrong = line("B K: one direction", null, claim(["sxas"], "greater"), (0, 7))
    wrong += line("  either direction", null, claim(["sxas"], "differs"), (0, 7))
    wrong += line("  shared references not named", null, claim(["sxas"], "greater", shared=False), (0, 7))
    for difference in (0.002, 0.004):
        found = studies("sxas", max(number // 20, 1), difference)
        wrong += line(f"  {difference:g} more in A", found, claim(["sxas"], "greater"), (3, 100))
    return wrong, null


def boron(number: int) -> tuple[int, Lines]:
    """Print what two lines of B 1s give that overlap: their positions are known to 0.2 eV, and errors are wide."""
    null = studies("boron", max(number // 10, 1))
    wrong = line("B 1s, overlapping: one direction", null, claim(["boron"], "greater"), (0, 7))
    for difference in (0.1, 0.2, 0.3):
        found = studies("boron", max(number // 20, 1), difference)
        wrong += line(f"  {difference:g} more in A", found, claim(["boron"], "greater"), (3, 100))
    return wrong, null


BLOCKS: dict[str, Callable[[int], tuple[int, Lines]]] = {"carbon": carbon, "sxas": sxas, "boron": boron}


def main(number: int, blocks: Sequence[str] = ()) -> int:
    """Print how often claims are made of simulated spectra; return 1 if a rate is out of range."""
    print("studies of spectra: claims at 5 %, per cent of studies with 95 % interval;")
    print("SD: of the distances in standard errors, 1 if errors are right")
    print(f"{'':36} {'N':>5} {'made':>18} {'wanted':6} {'SD':>5}")
    wrong, null = 0, {}
    for block in blocks or BLOCKS:
        more, null[block] = BLOCKS[block](number)
        wrong += more
    if {"carbon", "sxas"} <= set(null):
        both = [one + two for one, two in zip(null["carbon"], null["sxas"], strict=False)]
        wrong += line("C 1s and B K: one direction", both, claim(["carbon", "sxas"], "greater"), (0, 7))
        wrong += line("  either direction", both, claim(["carbon", "sxas"], "differs"), (0, 7))
    return 1 if wrong else 0
