"""What other programs and other files say of the same scans, and what the doctor finds in them: real files.

``python benchmarks/sxas_parity.py [BLOCK ...]``, with the folder of real measurements in LAYERSCOPE_TEST_DATA.
Blocks: `athena`, `ssrl`, `epics`, `places`, `noise`, `doctor`, `xdi`, `speed`; all without a word.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from layerscope.spectra.sxas.doctor import diagnose
from layerscope.spectra.sxas.edges import find_edge
from layerscope.spectra.sxas.noise import measured_noise
from layerscope.spectra.sxas.normalise import edge_step
from layerscope.spectra.sxas.positions import centroid, highest_point
from layerscope.spectra.sxas.readers import mda, mda_ascii, read
from layerscope.spectra.sxas.reduce import Reduction, edge_of, reduce_scans
from layerscope.spectra.sxas.scan import Scan

from layerscope.errors import LayerscopeError
from layerscope.flags import name_of
from layerscope.measured.files import load

FOLDER = Path(os.environ.get("LAYERSCOPE_TEST_DATA", Path(__file__).parents[2] / "shared" / "data")) / "sxas"
NOTES = {"COLUMN_TWICE", "STALE_RANGE"}


def first(name: str) -> Scan:
    """Return the first scan of a file."""
    return read(FOLDER / name).scans[0]


def athena() -> None:
    """Print the worst difference from Athena's fitted step, and the groups whose step is another."""
    worst, count, fixed = 0.0, 0, []
    for scan in (s for name in ("S_CAMD.prj", "P_CAMD.prj") for s in read(FOLDER / name).scans):
        given = scan.given
        e0 = given["e0"]
        pre, post = ((e0 + given[a], e0 + given[b]) for a, b in (("pre1", "pre2"), ("nor1", "nor2")))
        step = edge_step(scan.energy, scan.channels["mu"], e0, pre, post).value
        worst, count = max(worst, abs(step / given["fitted_step"] - 1.0)), count + 1
        fixed += [scan.sample] if abs(step / given["step"] - 1.0) > 1e-5 else []
    print(f"Athena, {count} groups: worst against fitted_step {worst:.1e}; step is fixed in {fixed}")


def ssrl() -> None:
    """Print the worst difference of ratios from those of a processed file."""
    scan, printed = first("Blank_C_tape.886"), np.loadtxt(FOLDER / "Blank_C_tape.886", skiprows=1)
    made = {name: scan.channels[name] / scan.channels["i0"] for name in ("tey", "aey", "tfy", "reference")}
    off = {
        n: float(np.max(np.abs(y / printed[:, k] - 1))) for (n, y), k in zip(made.items(), (1, 2, 4, 5), strict=True)
    }
    print("SSRL ratios, worst: " + ", ".join(f"{name} {value:.1e}" for name, value in off.items()))


def epics() -> None:
    """Print the worst relative difference of an .mda file from its text."""
    binary, _, _ = mda.read_columns(load(FOLDER / "sxr129598.mda"))
    text = mda_ascii.read_columns(load(FOLDER / "sxr129598.asc"))
    off = [np.max(np.abs(a - b) / np.maximum(np.abs(a), 1e-30)) for (_, a), (_, b) in zip(binary, text, strict=True)]
    print(f"EPICS, {len(off)} columns: .mda and .asc differ by {max(off):.1e} (nine printed digits)")


def places() -> None:
    """Print maxima and centroids."""
    rows = [("236463.dat", "Fe L3"), *((f"SigScan75331-000{k}.txt", "Co L3") for k in (1, 2, 3))]
    rows += [("SigScan74369.txt", "B K"), ("SigScan74380.txt", "B K")]
    print(f"{'file':24}{'signal':>8}{'maximum/eV':>14}{'centroid/eV':>14}")
    for name, edge_name in rows:
        scan, edge = first(name), find_edge(edge_name)
        for mode in ("tey", "tfy"):
            y = scan.signal(mode)
            curve = scan.energy, y, measured_noise(scan.energy, y).sigma
            top = highest_point(curve, edge)
            middle = f"{centroid(curve, edge).value:.3f}" if edge.shell != "K" else ""
            print(f"{name:24}{mode:>8}{top.value:>9.2f}({round(100 * top.sigma)}){middle:>15}")


def noise() -> None:
    """Print how readings scatter, over what counts would."""
    print(f"{'file':24}{'signal':>8}{'of counts':>16}  {'law':14}{'relative':>9}")
    for name in (
        "SigScan.25702",
        "SigScan74369.txt",
        "htxs_scan.881",
        "Blank_C_tape.886",
        "236463.dat",
        "sxr129598.asc",
    ):
        scan = first(name)
        for mode in scan.modes:
            y = scan.signal(mode)
            try:
                one = measured_noise(scan.energy, y, scan.channels[mode], scan.channels["i0"])
            except LayerscopeError as error:
                print(f"{name:24}{mode:>8}  {error.message[:46]}")
                continue
            counts = "" if one.of_counts is None else f"{one.of_counts:.3f} ± {one.of_counts_sigma:.3f}"
            print(f"{name:24}{mode:>8}{counts:>16}  {one.law:14}{np.median(one.sigma / np.abs(y)):>9.2%}")


def doctor() -> None:
    """Print what is found in every file."""
    silent = count = 0
    for path in sorted(p for p in FOLDER.iterdir() if p.is_file()):
        try:
            scans = read(path).scans
        except LayerscopeError as error:
            print(f"{path.name}: refused, {error.message}")
            continue
        for scan in scans:
            try:
                flags = diagnose(scan, edge_of(scan, None), scan.modes[0])
            except LayerscopeError:
                continue  # an edge that the table does not know
            found = sorted({name_of(flag) for flag in flags} - NOTES)
            if path.suffix == ".prj":
                count, silent = count + 1, silent + (not found)
            if found:
                print(f"{path.name}{', ' + scan.sample if len(scans) > 1 else ''}: {' '.join(found)}"[:80])
    print(f"of {count} scans in Athena projects, {silent} are told nothing of")


def xdi() -> None:
    """Print how many of the damaged files are errors, flagged, or neither."""
    found = {"error": 0, "flagged": 0, "neither": 0}
    for path in sorted((FOLDER / "xdi_bad").glob("*.xdi")):
        try:
            found["flagged" if first(f"xdi_bad/{path.name}").flags else "neither"] += 1
        except LayerscopeError:
            found["error"] += 1
    print(f"XDI, {sum(found.values())} files of which one is sound: {found}")


def speed() -> None:
    """Print what a scan costs from the file to its spectrum."""
    begun = time.perf_counter()
    for _ in range(10):
        scan = first("SigScan.25702")
    read_s = (time.perf_counter() - begun) / 10
    begun = time.perf_counter()
    for _ in range(10):
        reduce_scans([scan], Reduction(find_edge("O K"), "tey"))
    print(f"258 points: read {1e3 * read_s:.0f} ms, examined and reduced {1e2 * (time.perf_counter() - begun):.0f} ms")


if __name__ == "__main__":
    blocks = (athena, ssrl, epics, places, noise, doctor, xdi, speed)
    asked = sys.argv[1:]
    for block in blocks:
        if not asked or block.__name__ in asked:
            print(f"--- {block.__name__}")
            block()
