"""Cells from simulated images of area detectors: whether they are right, and inside their errors.

    python benchmarks/area_cells.py [--seeds N] [--public FOLDER]

Rings of LaB6, and one line such as (003), are drawn by `area_simulation`, counted N times (40 by default), integrated
and refined by the pipelines. The table has the mean of cell or spacing less the truth (relative), the stated error, the
farthest of all, and of (value - truth) / error the mean, the standard deviation and the share inside one and two errors
(68 and 95 % are due); then CPU-seconds an image.

FOLDER holds ``CeO2_Pilatus1M.{tif,poni,xy}`` of the tests of Dioptas (github.com/Dioptas/Dioptas, dioptas/tests/data):
an image with its geometry and the pattern that pyFAI made of it in 2015, which is made again.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import area_simulation as sim
import numpy as np
from layerscope.diffraction.area.integration import IMAGES, Integration
from layerscope.diffraction.area.options import IntegrateTable

from layerscope.runs.execute import execute

SETUPS = (
    sim.Setup("flat", (300, 280), 172e-6, 0.15, (0.0258, 0.0241)),
    sim.Setup("tilted", (300, 280), 172e-6, 0.15, (0.010, 0.060), (0.2, -0.15, 0.5)),
    sim.Setup("far", (619, 487), 172e-6, 0.30, (0.050, 0.040), (0.01, -0.02, 0.0), detector="Pilatus300k"),
    sim.Setup("corner", (514, 1030), 75e-6, 0.08, (-0.002, -0.001), polarization=0.98, detector="Eiger500k"),
)
LINE_003 = 4.684  # angstrom
BROAD = {"flat": 0.10, "tilted": 0.10, "far": 0.06, "corner": 0.10}
INTEGRATE = '[[series]]\nname = "s"\nfiles = ["i_*.edf"]\n[series.integrate]\nponi = "d.poni"\n'
LE_BAIL = """pipeline = "rietveld"
le_bail = true
sample = "LaB6"
[[phases]]
name = "LaB6"
space_group = "P m -3 m"
"""


def write(folder: Path, setup: sim.Setup, expected: np.ndarray, seeds: int) -> None:
    """Write counted images and their geometry; what lies in gaps of the detector is negative."""
    import pyFAI.detectors

    gaps = None
    if setup.detector != "Detector":
        gaps = pyFAI.detectors.detector_factory(setup.detector).mask
    (folder / "d.poni").write_text(setup.poni_text())
    for seed in range(seeds):
        image = np.random.default_rng(seed).poisson(expected).astype(np.int32)
        if gaps is not None:
            image[gaps.astype(bool)] = -1
        (folder / f"i_{seed:03d}.edf").write_bytes(sim.edf(image))


def run(folder: Path, text: str, quantity: str, method: str) -> tuple[np.ndarray, np.ndarray]:
    """Return values and errors of a quantity in all frames."""
    (folder / "r.toml").write_text(f"layerscope = 1\n{text}")
    done = execute(folder / "r.toml", folder / "run", figures=False, jobs=1).run
    frames = [r for r in done.records if r.method == method and r.state.frame is not None]
    found = [q for r in frames for q in r.quantities if q.name == quantity]
    return np.array([q.value for q in found]), np.array([q.sigma for q in found])


def row(name: str, values: np.ndarray, sigmas: np.ndarray, truth: float, cpu: float) -> None:
    """Print one line of the table."""
    pull = (values - truth) / sigmas
    inside = [100 * np.mean(np.abs(pull) < k) for k in (1, 2)]
    print(
        f"{name:<24}{values.size:>4}{np.mean(values) / truth - 1:>10.1e}{np.mean(sigmas) / truth:>9.1e}"
        f"{np.max(np.abs(values / truth - 1)):>9.1e}{pull.mean():>7.2f}{pull.std():>6.2f}"
        f"{inside[0]:>5.0f}{inside[1]:>5.0f}{cpu / max(values.size, 1):>6.2f}",
        flush=True,
    )


def cells(setup: sim.Setup, seeds: int) -> None:
    """Refine LaB6 by Le Bail, and follow one line at the place of (003)."""
    fwhm = BROAD[setup.name]
    taken_out = "" if setup.polarization is None else f"polarization = {setup.polarization}\n"
    with tempfile.TemporaryDirectory() as where:
        folder = Path(where)
        places, heights = sim.lab6_lines(setup)
        write(folder, setup, setup.expected(places, [5.0 * h for h in heights], fwhm, 20.0), seeds)
        start = time.process_time()
        text = LE_BAIL + f"a = {sim.LAB6_A * 1.0003:.5f}\n[background]\nterms = 6\n"
        found = run(folder, text + INTEGRATE + taken_out, "lattice.a", "rietveld.rietx")
        row(f"LaB6 a, {setup.name}", *found, sim.LAB6_A, time.process_time() - start)
    with tempfile.TemporaryDirectory() as where:
        folder = Path(where)
        place = sim.bragg(LINE_003, setup.wavelength)
        write(folder, setup, setup.expected([place], [2000.0], fwhm, 100.0), seeds)
        start = time.process_time()
        low, high = place - 7 * fwhm, place + 7 * fwhm
        text = (
            'pipeline = "xrd_peaks"\nsample = "LCO"\ncomponents = "none"\n'
            f'[[reflections]]\nname = "(003)"\nrange_2theta = [{low:.3f}, {high:.3f}]\n'
        )
        found = run(folder, text + INTEGRATE + taken_out, "lattice.d_spacing", "xrd_peaks.shift")
        row(f"(003) d, {setup.name}", *found, LINE_003, time.process_time() - start)


def public(folder: Path) -> None:
    """Make a published pattern again."""
    known = np.loadtxt(folder / "CeO2_Pilatus1M.xy")
    table = IntegrateTable(
        poni="CeO2_Pilatus1M.poni", npt=len(known), splitting="bbox", polarization=0.99, orientation=2, dead_below=-10
    )
    use = Integration.of(table, lambda path: folder / path)
    found = IMAGES.read(folder / "CeO2_Pilatus1M.tif", prepare=use.pattern).frames[0]
    import fabio
    import pyFAI

    image = fabio.open(str(folder / "CeO2_Pilatus1M.tif")).data[::-1].astype(float)
    same = pyFAI.load(str(folder / "CeO2_Pilatus1M.poni")).integrate1d(
        image, len(known), unit="2th_deg", method=("bbox", "csr", "cython"), polarization_factor=0.99
    )
    print(f"\nCeO2 on a Pilatus 1M, {len(known)} bins, relative difference from")
    for name, other in (("pyFAI called by hand", same.intensity), ("the pattern of 2015", known[:, 1])):
        off = np.abs(found.intensity / other - 1)
        print(f"  {name:<22}median {np.median(off):.1e}, 90 % {np.percentile(off, 90):.1e}, worst {off.max():.1e}")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--public", type=Path)
    given = parser.parse_args()
    print(f"{'':<24}{'N':>4}{'mean off':>10}{'error':>9}{'worst':>9}{'pull':>7}{'sd':>6}{'1s %':>5}{'2s %':>5}{'s':>6}")
    for setup in SETUPS:
        cells(setup, given.seeds)
    if given.public is not None:
        public(given.public)


if __name__ == "__main__":
    sys.exit(main())
