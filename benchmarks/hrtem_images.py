"""Micrographs drawn atom by atom (multislice) against what the wing says of them.

``python benchmarks/hrtem_images.py [N] [BLOCK ...]``: N draws a truth (3). Blocks: `crystals`, single crystals, twins
and glass, with pixel sizes off by 3 % (standard deviation); `skin`, a cubic skin of 3 nm on the layered bulk, with the
scale of the file and with that of the bulk as internal standard; `layers`, edges and thicknesses of vacuum, amorphous,
rock salt and layered oxide; `cases`, the images of the reference cases. The generator shares no code with the wing.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from layerscope.microscopy.analyse import ImageResult, RegionResult, analyse_image
from layerscope.microscopy.image import Image, Scale
from layerscope.microscopy.readers import read_image
from layerscope.microscopy.recipe import HrtemRecipe

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "reference_data"))

from _generate.hrtem_truths import TRUTHS, Truth

REFERENCE = Path(__file__).resolve().parents[1] / "reference_data"
NAMES = {"LiCoO2": "LiCoO2_O3"}
"""What the library calls a phase of the generator, where it is another name."""

PHASES = ("LiCoO2_O3", "Co3O4", "LiCo2O4", "Li2Co2O4", "CoO", "LiF", "Li2MnO3", "Li2CO3")
MARGIN_NM = 0.3
"""Left out of a region at both boundaries of its layer."""


def recipe(**more: Any) -> HrtemRecipe:
    """Return a recipe for an image that is at hand."""
    keys = {"layerscope": 1, "pipeline": "hrtem", "sample": "simulated", "series": [{"files": ["image.mrc"]}]}
    return HrtemRecipe.model_validate({**keys, "phases": PHASES, **more})


def image_of(truth: Truth) -> Image:
    """Return the image as a reader would."""
    return Image(truth.intensity.astype(np.float32), (truth.pixel_nm, truth.pixel_nm), Scale(), name="simulated")


def wanted(about: dict[str, Any]) -> str:
    """Return the phase that a truth file names, as the library calls it."""
    return NAMES.get(about["phase"], about["phase"])


def regions_of(truth: Truth, image: Image) -> list[dict[str, Any]]:
    """Return the crystalline layers as regions, nm by the stated pixel size."""
    height = image.shape[0] * truth.pixel_nm * 0.999
    right = image.shape[1] * truth.pixel_nm
    found = []
    for layer in truth.about["layers"]:
        if "phase" in layer:
            left = layer["from_nm"] / truth.scale_factor + MARGIN_NM
            end = layer["to_nm"] / truth.scale_factor - MARGIN_NM if "to_nm" in layer else right * 0.999
            found.append({"name": layer["kind"], "box": [left, 0.0, end - left, height]})
    return found


def answer(region: RegionResult) -> tuple[str, str, float]:
    """Return first answer, kind and probability."""
    if region.ranking is None:
        return region.reason, "no lattice", 1.0
    first = region.ranking.first
    return first.name, first.kind, first.probability


def probability(region: RegionResult, phase: str) -> float:
    """Return the probability of a phase, whatever the zone."""
    return 0.0 if region.ranking is None else region.ranking.by_phase().get(phase, 0.0)


def in_set(region: RegionResult, phase: str) -> bool:
    """Tell whether a phase is in the set of 95 %."""
    return region.ranking is not None and any(c.phase == phase for c in region.ranking.ambiguity_set)


def crystals(count: int) -> Iterator[str]:
    """Show single crystals, twins and glass."""
    yield f"{'truth':<16}{'right':>6}{'stated':>7}{'in set':>7}{'scale, %':>9}{'pull':>6}  other first answers"
    setting = recipe()
    phases = setting.library()
    every = []
    for name, draw in TRUTHS.items():
        if draw(0).about["kind"] == "layers":
            continue
        rows = []
        for seed in range(count):
            truth = draw(seed)
            result = analyse_image(image_of(truth), setting, phases)
            rows.append(_row(truth, result.regions[0]))
            every.append((rows[-1][0], rows[-1][2], _by_strengths(result.regions[0])))
        right, stated, held, off, pull, said = zip(*rows, strict=True)
        others = ", ".join(sorted({s for s, r in zip(said, right, strict=True) if not r}))
        numbers = f"{np.mean(right):6.2f}{np.mean(stated):7.2f}{np.mean(held):7.2f}"
        scale = f"{_rms(off):9.2f}{_rms(pull):6.1f}" if np.isfinite(off).any() else " " * 15
        yield f"{name:<16}{numbers}{scale}  {others[:28]}"
    for word, own in (("right", True), ("wrong", False)):
        some = [(held, flagged) for right, held, flagged in every if right == own]
        kept, both = sum(held for held, _ in some), sum(held or flagged for held, flagged in some)
        told = f"in set {kept}, in set or STRENGTHS_DECIDE {both}, flagged {sum(flagged for _, flagged in some)}"
        yield f"first answer {word}: {len(some)}; truth {told}"


def _by_strengths(region: RegionResult) -> bool:
    return region.ranking is not None and any("STRENGTHS_DECIDE" in flag for flag in region.ranking.flags)


def _row(truth: Truth, region: RegionResult) -> tuple[bool, float, bool, float, float, str]:
    said, kind, stated = answer(region)
    about = truth.about
    if about["kind"] == "amorphous":
        return kind == "no lattice", stated, True, np.nan, np.nan, said
    first = None if region.ranking is None else region.ranking.first
    own = wanted(about)
    if about["kind"] == "twins":
        right = kind in ("twin", "overlap") and own in said
        return right, stated, region.ranking is not None and _union(region, own), np.nan, np.nan, said
    right = kind == "phase" and first is not None and first.phase == own
    off = 100.0 * (first.scale / truth.scale_factor - 1.0) if right and first else np.nan
    pull = (first.scale - truth.scale_factor) / first.scale_sigma if right and first else np.nan
    return right, stated, in_set(region, own), off, pull, said


def _union(region: RegionResult, phase: str) -> bool:
    kept = region.ranking.ambiguity_set if region.ranking else ()
    return any(c.kind in ("twin", "overlap") and phase in c.phase for c in kept)


def _rms(values: Any) -> float:
    known = np.array([v for v in values if np.isfinite(v)])
    return float(np.sqrt(np.mean(known**2))) if known.size else float("nan")


def skin(count: int) -> Iterator[str]:
    """Show a thin skin: the right spinel with the scale of the file, and with that of the bulk.

    Co3O4 stands against LiCo2O4 alone in the columns, whatever else of the library is possible.
    """
    yield f"{'truth':<18}{'seed':>5}{'file':>8}{'locked':>8}{'scale, %':>10}{'said, %':>9}  first answer, p"
    ends = []
    for name, other in (("Co3O4", "LiCo2O4"), ("LiCo2O4", "Co3O4")):
        for seed in range(count):
            truth = TRUTHS[f"skin of {name}"](seed)
            image = image_of(truth)
            free = recipe(regions=regions_of(truth, image))
            lock = recipe(
                regions=regions_of(truth, image), internal_standard={"region": "LiCoO2", "phase": "LiCoO2_O3"}
            )
            phases = free.library()
            before, after = (analyse_image(image, setting, phases) for setting in (free, lock))
            off = 100.0 * (after.scale.factor / truth.scale_factor - 1.0)
            against = [_against(result.regions[0], name, other) for result in (before, after)]
            ends.append(against)
            said, _, stated = answer(after.regions[0])
            numbers = f"{seed:5d}{against[0]:8.3f}{against[1]:8.3f}{off:10.2f}{100 * after.scale.sd:9.2f}"
            yield f"{name:<18}{numbers}  {said}, {stated:.3f}"
    median = np.median(ends, axis=0)
    above = np.mean(np.array(ends) >= 0.95, axis=0)
    yield f"{'median':<23}{median[0]:8.3f}{median[1]:8.3f}"
    yield f"{'share of 0.95 and more':<23}{above[0]:8.2f}{above[1]:8.2f}"


def _against(region: RegionResult, own: str, other: str) -> float:
    mine, its = probability(region, own), probability(region, other)
    return mine / (mine + its) if mine + its > 0 else 0.0


def layers(count: int) -> Iterator[str]:
    """Show boundaries and thicknesses of a coated oxide."""
    yield f"{'what':<24}{'draws':>6}{'bias':>8}{'rms':>7}{'worst':>7}{'stated':>8}{'within 0.15':>12}{'in 95 %':>8}"
    rows: dict[str, list[tuple[float, float]]] = {}
    missed = []
    for seed in range(count):
        truth = TRUTHS["coated"](seed)
        image = image_of(truth)
        setting = recipe(
            regions=regions_of(truth, image),
            internal_standard={"region": "LiCoO2", "phase": "LiCoO2_O3"},
            layers={"order": ["vacuum", "amorphous", "CoO", "LiCoO2_O3"]},
        )
        result = analyse_image(image, setting, setting.library())
        found = list(measured_layers(result, truth.about["layers"], truth.intensity.shape[1] * 0.02))
        for what, value, sigma, true in found:
            rows.setdefault(what, []).append((value - true, sigma))
        if len(found) < 5:
            missed.append(seed)
    for what, pairs in rows.items():
        off, sigma = np.array(pairs).T
        numbers = f"{len(off):6d}{off.mean():8.3f}{_rms(off):7.3f}{np.abs(off).max():7.3f}{np.median(sigma):8.3f}"
        yield f"{what:<24}{numbers}{np.mean(np.abs(off) < 0.15):12.2f}{np.mean(np.abs(off) < 1.96 * sigma):8.2f}"
    yield f"not all measured in draws: {missed or 'none'}; lengths in nm"


def measured_layers(
    result: ImageResult, known: list[dict[str, Any]], width_nm: float
) -> Iterator[tuple[str, float, float, float]]:
    """Return what was measured, its error and the truth: boundaries from the image's left edge, thicknesses; nm."""
    surface = result.surface
    if surface is None or surface.layers is None:
        return
    factor = result.scale.factor
    ends = {NAMES.get(layer["kind"], layer["kind"]): layer["to_nm"] for layer in known if "to_nm" in layer}
    for edge in surface.layers.edges:
        if edge.outer in ends:
            place = factor * edge.position_nm + 0.5 * width_nm
            yield f"{edge.outer}|{edge.inner}", place, factor * edge.sigma_nm, ends[edge.outer]
    for layer in surface.layers.layers:
        own = next((k for k in known if NAMES.get(k["kind"], k["kind"]) == layer.name and "thickness_nm" in k), None)
        if own is not None and layer.present and np.isfinite(layer.thickness_nm):
            value = factor * layer.thickness_nm
            sigma = float(np.hypot(factor * layer.sigma_nm, value * result.scale.sd))
            yield f"thickness of {layer.name}", value, sigma, own["thickness_nm"]


def cases(_: int) -> Iterator[str]:
    """Show the images of the reference cases, whole or by their layers."""
    yield f"{'image':<22}{'region':<10}{'first answer':<24}{'p':>6}{'scale':>8}  also in the set"
    for folder, file, pixel in (
        ("hrtem_lco_coated", "fresh.mrc", None),
        ("hrtem_lco_coated", "cycled.mrc", None),
        ("hrtem_streaked", "flat.tif", 0.02),
        ("hrtem_streaked", "slipped.tif", 0.02),
        ("hrtem_cei_rings", "cei.tif", 0.028),
    ):
        image = read_image(REFERENCE / folder / file, **({} if pixel is None else {"pixel_nm": pixel}))
        more: dict[str, Any] = {}
        if folder == "hrtem_lco_coated":
            known = json.loads((REFERENCE / folder / "truth.json").read_text("ascii"))
            about = {"layers": known["states"][file.split(".")[0]]["layers"]}
            truth = Truth(np.zeros(image.shape, np.uint16), known["pixel_nm_said"], known["scale_factor"], about)
            more = {"regions": regions_of(truth, image)}
        if folder == "hrtem_cei_rings":
            more = {"phases": ("LiF", "LiB6O9F", "Li2CO3", "Li2O", "Al", "CoO")}
        setting = recipe(**more)
        for region in analyse_image(image, setting, setting.library()).regions:
            said, _, stated = answer(region)
            ranking = region.ranking
            kept = [] if ranking is None else [c.name for c in ranking.ambiguity_set[1:]]
            scale = float("nan") if ranking is None else ranking.first.scale
            others = ", ".join(kept)[:16]
            yield f"{file:<22}{region.name:<10}{said[:23]:<24}{stated:6.3f}{scale:8.4f}  {others}"


BLOCKS: dict[str, Callable[[int], Iterator[str]]] = {
    "crystals": crystals,
    "skin": skin,
    "layers": layers,
    "cases": cases,
}


def main() -> None:
    """Print the blocks."""
    words = sys.argv[1:]
    count = next((int(word) for word in words if word.isdigit()), 3)
    chosen = [word for word in words if not word.isdigit()] or list(BLOCKS)
    for name in chosen:
        print(f"\n{name} (N = {count})" if name != "cases" else f"\n{name}")
        for line in BLOCKS[name](count):
            print(line, flush=True)


if __name__ == "__main__":
    main()
