"""Index the simulated and real images whose truth is known, and print one table.

    python benchmarks/hrtem_real.py

The images lie outside the repository (`LAYERSCOPE_TEST_DATA`, default ../shared/data). Scale priors are 3 % where
nothing else is said; "free" knows no pixel size, so that ratios and angles alone decide.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from layerscope.microscopy.image import Scale, Window
from layerscope.microscopy.indexing import index_rings, index_spots, library_of
from layerscope.microscopy.readers import read_image
from layerscope.microscopy.spots import find_rings, find_spots

from layerscope.crystals import load_phase

FOLDER = Path(os.environ.get("LAYERSCOPE_TEST_DATA", Path(__file__).resolve().parents[1].parent / "shared" / "data"))
NAMES = ("LiCoO2_O3", "Co3O4", "LiCo2O4", "CoO", "LiF", "Al", "Li2MnO3", "Li2CO3", "SrTiO3", "graphene")
CASES = (  # file, part along x in nm, scale prior (None: pixel unknown), pixel given, what is true
    ("lco_100_r17.tif", None, 0.03, None, "LiCoO2 [1 0 0]"),
    ("co3o4_110_rm23.tif", None, 0.03, None, "Co3O4 [1 1 0]"),
    ("coo_110_r41.tif", None, 0.03, None, "CoO [1 1 0]"),
    ("amorphous_only.tif", None, 0.03, None, "no lattice"),
    ("composite_vac_am3_rs3_layered.tif", (4.0, 7.0), 0.03, None, "no lattice"),
    ("composite_vac_am3_rs3_layered.tif", (7.0, 10.0), 0.03, None, "CoO [1 1 0]"),
    ("composite_vac_am3_rs3_layered.tif", (10.5, 20.4), 0.03, None, "LiCoO2 [1 0 0]"),
    ("lif_nanopoly_rings.tif", None, 0.03, None, "LiF rings"),
    ("rsciio_multi_signal.dm3", None, 0.03, None, "no lattice"),
    ("ncem_16_STOimage_1.ser", None, 0.03, None, "SrTiO3 [1 0 0]"),
    ("ncem_16_STOimage_1.ser", None, 0.01, None, "the prior decides"),
    ("atomap_ADF_cropped.hdf5", None, 0.03, 0.00932627, "SrTiO3 [1 1 0]"),
    ("hambach_graphene_defect_raw.tif", None, None, 0.02, "two of graphene"),
    ("ucam_soot_HRTEM.tif", None, None, 0.02, "no lattice"),
)


def main() -> None:
    """Print the table."""
    library = library_of([load_phase(name, name="LiCoO2" if name == "LiCoO2_O3" else None) for name in NAMES])
    print(f"{'image':22} {'truth':17} {'first answer':21} {'p':>5} {'set':>3} {'scale':>7}")
    for name, part, sd, pixel, truth in CASES:
        options = {} if pixel is None else {"pixel_nm": pixel}
        image = read_image(FOLDER / "hrtem" / name, **options)
        if part is not None:
            size = image.pixel()[1]
            image = image.cut(Window(0, round(part[0] / size), image.shape[0], round((part[1] - part[0]) / size)))
        if sd is None:
            spots = find_spots(replace(image, pixel_nm=(1.0, 1.0)), band=(0.02, 0.45))
            ranking = index_spots(spots, library, None)
        else:
            ranking = index_spots(find_spots(image), library, Scale(sd=sd))
        first = ranking.first
        said = f"{first.name} {first.kind}" if first.kind in ("rings", "twin", "overlap") else first.name
        print(
            f"{name[:22]:22} {truth:17} {said[:21]:21} {first.probability:5.3f} "
            f"{len(ranking.ambiguity_set):3d} {first.pattern_scale:7.4f}"
        )
        for flag in ranking.flags:
            print(f"    {flag}")
    image = read_image(FOLDER / "hrtem" / "lif_nanopoly_rings.tif")
    for sd in (0.03, 0.01, 0.002):
        ranking = index_rings(find_rings(image), library, Scale(sd=sd))
        members = ", ".join(f"{one.name} {one.probability:.2f} ({one.scale:.4f})" for one in ranking.ambiguity_set)
        print(f"rings of LiF, prior {100 * sd:.1f} %: {members}")


if __name__ == "__main__":
    main()
