"""A small case for every technique that the contract is tested on: one recipe with one series, and its data."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

__all__ = ["CASES"]

ROOT = Path(__file__).resolve().parents[2]
RNG_SEED = 11


def _xps(folder: Path) -> None:
    case = ROOT / "reference_data" / "xps_in3d_null"
    shutil.copy(case / "li3incl6_before.vms", folder)
    text = (case / "recipe.toml").read_text("utf-8")
    others, rest = text.index('[[series]]\nname = "charged"'), text.index("[charge]")
    (folder / "recipe.toml").write_text(text[:others] + text[rest:], "utf-8")


def _casaxps(folder: Path) -> None:
    """Write one block of counts with a fit of CasaXPS in its comments, parameter by parameter of ISO 14976."""
    axis = np.arange(186.0, 198.01, 0.1)
    component = (
        "CASA comp (*B-O*) (*GL(0)*) Area 1000 0 1e5 -1 1 MFWHM 1.5 0.2 5 -1 1 Position 1294.6 1290 1300 -1 1 RSF 1 "
        "MASS 10.8 INDEX -1 (*B 1s*) CONST (**) UNCORRECTEDRSF 1"
    )
    comments = ["CASA region (*B 1s*) (*Linear*) 1289.6 1299.6 1 2 0 0 40.4 -450 0 0 (*B 1s*) 10.8 0 1", component]
    line = np.exp(-4 * np.log(2) * ((axis - 192.0) / 1.5) ** 2) * np.sqrt(4 * np.log(2) / np.pi) / 1.5
    counts = np.random.default_rng(RNG_SEED).poisson(300.0 + 4000.0 * line)
    _one_block(folder / "film.vms", "B 1s", axis, counts, comments)
    (folder / "recipe.toml").write_text(
        'layerscope = 1\npipeline = "casaxps"\nsample = "film"\nfiles = ["film.vms"]\nmode = "refit"\n'
    )


def _xps_survey(folder: Path) -> None:
    """Write a survey of a carbonate: C, O and Li, with the Auger lines of oxygen."""
    axis = np.arange(0.0, 1100.5, 1.0)
    mean = np.full(axis.size, 400.0)
    for place, area, width in ((55.0, 600.0, 2.4), (285.0, 9000.0, 2.4), (531.5, 40000.0, 2.6), (978.0, 30000.0, 8.0)):
        line = np.exp(-4 * np.log(2) * ((axis - place) / width) ** 2) / width
        mean += area * (line + 0.004 * (axis > place))
    counts = np.random.default_rng(RNG_SEED).poisson(mean)
    _one_block(folder / "carbonate.vms", "Survey", axis, counts, [])
    (folder / "recipe.toml").write_text(
        'layerscope = 1\npipeline = "xps_survey"\nsample = "carbonate"\nelements = ["F"]\n'
        '[[series]]\nfiles = ["carbonate.vms"]\n'
    )


def _one_block(path: Path, region: str, axis: np.ndarray, counts: np.ndarray, comments: list[str]) -> None:
    """Write one block of counts over the binding energy as VAMAS (ISO 14976), parameter by parameter."""
    element, _, level = region.partition(" ")
    photon, step = 1486.6, float(axis[1] - axis[0])
    head = ["VAMAS Surface Chemical Analysis Standard Data Transfer Format 1988 May 4", "lab", "XPS", "me", "B film"]
    head += ["0", "NORM", "REGULAR", "1", "0", "0", "0", "0", "0", "1"]
    block = [region, "film", "2024", "1", "2", "3", "4", "5", "0", str(len(comments)), *comments, "XPS", "Al"]
    block += [str(photon), "225", "700", "300", "54.7", "180", "FAT", "20", "1", "4.5", "0", "0", "0", "15", "0"]
    start, each = f"{photon - axis[-1]:.6f}", f"{step:.6g}"
    block += [element, level, "-1", "Kinetic Energy", "eV", start, each, "1", "Intensity", "d"]
    block += ["pulse counting", "0.5", "8", "0", "0", "0", "0", "0"]
    block += [str(counts.size), str(counts.min()), str(counts.max()), *map(str, counts[::-1])]
    path.write_text("\r\n".join([*head, *block, "end of experiment", ""]), newline="")


def _sxas(folder: Path) -> None:
    """Write two sweeps over O K of one sample and one of another, as the control system of a beamline does."""
    energy, rng = np.arange(512.0, 556.0, 0.25), np.random.default_rng(RNG_SEED)
    head = "Date: 3/29/2024\n\nFrom File\nMono Energy\nC:\\O.txt\n: 512.0\n: 555.75\n: 0.25\n"
    head += "Delay After Move (s): 0\nCount Time (s): 1\nScan Number: 1\n\n"
    head += "Time (s)\tMono Energy\tCounter 0\tCounter 1\tCounter 2\n"
    for name, share in (("a1", 0.1), ("a2", 0.1), ("b1", 0.2)):
        flux = 1e6 * (1 + 0.002 * (energy - 512.0))
        mu = 0.4 + 0.5 / (1 + np.exp(530.0 - energy)) + share * np.exp(-((energy - 531.0) ** 2))
        signal = flux * mu * (1 + 1e-3 * rng.normal(size=energy.size))
        rows = [
            f"{k}\t{e:.3f}\t{a:.1f}\t{b:.1f}\t{b:.1f}"
            for k, (e, a, b) in enumerate(zip(energy, flux, signal, strict=True))
        ]
        (folder / f"scan_{name}.txt").write_text(head + "\n".join(rows) + "\n")
    (folder / "recipe.toml").write_text(
        'layerscope = 1\npipeline = "sxas"\nsample = "A"\nedge = "O K"\nbands = "none"\n'
        "normalise = { pre_eV = [513, 525] }\n"
        '[[series]]\nname = "a"\nfiles = ["scan_a1.txt", "scan_a2.txt"]\n'
        '[[series]]\nname = "b"\nsample = "B"\nfiles = ["scan_b1.txt"]\n'
    )


def _frames(folder: Path, axis: np.ndarray, frames: list[np.ndarray]) -> None:
    with zipfile.ZipFile(folder / "frames.zip", "w") as archive:
        for k, y in enumerate(frames):
            rows = "".join(f"{a:.4f} {b}\n" for a, b in zip(axis, y, strict=True))
            archive.writestr(f"frame_{k}.xy", rows)


def _xrd_peaks(folder: Path) -> None:
    axis, rng = np.arange(36.0, 39.0, 0.02), np.random.default_rng(RNG_SEED)
    lines = [np.exp(-4 * np.log(2) * ((axis - 37.5 - 0.01 * k) / 0.1) ** 2) for k in range(3)]
    _frames(folder, axis, [rng.poisson(200.0 + 4000.0 * line) for line in lines])
    (folder / "recipe.toml").write_text(
        'layerscope = 1\npipeline = "xrd_peaks"\nsample = "S"\ncomponents = "none"\n'
        "radiation = { wavelength = 1.5406 }\n"
        'reflections = [{ name = "(101)", range_2theta = [36.2, 38.8], axial = false }]\n'
        '[[series]]\nfiles = ["frames.zip"]\n'
    )


def _rietveld(folder: Path) -> None:
    from layerscope.diffraction.rietveld.engines.rietx_engine import simulate
    from layerscope.diffraction.rietveld.model import Background, Instrument, Problem

    from layerscope.crystals import load_phase

    axis = np.arange(17.0, 46.5, 0.05)
    problem = Problem((load_phase("LiCoO2_O3"),), Instrument(sh_l=0.01, x=0.03, y=0.03), Background(terms=4))
    truth = simulate(problem, axis, fractions=(1.0,), strongest=2000.0, level=80.0)
    _frames(folder, axis, [np.random.default_rng(RNG_SEED).poisson(truth)])
    (folder / "recipe.toml").write_text(
        'layerscope = 1\npipeline = "rietveld"\nsample = "S"\nradiation = { anode = "Cu" }\n'
        "instrument = { sh_l = 0.01, x = 0.03, y = 0.03 }\nbackground = { terms = 4 }\n"
        'phases = [{ name = "O3", library = "LiCoO2_O3" }]\n'
        'plan = { kind = "stages", stages = [{ name = "scale", free = ["scale", "background"] }] }\n'
        '[[series]]\nfiles = ["frames.zip"]\n'
    )


def _eels(folder: Path) -> None:
    """Write a line scan of two places: an edge with a pre-peak on a power law."""
    axis = np.arange(470.0, 600.0, 0.4)
    for place in range(2):
        edge = (axis > 532.0) * (0.3 + 0.2 * np.exp(-0.5 * ((axis - 541.0) / 2.5) ** 2))
        edge += 0.15 * np.exp(-0.5 * ((axis - 530.0) / 1.0) ** 2)
        counts = np.random.default_rng(RNG_SEED + place).poisson(20000.0 * ((axis / 500.0) ** -3.0 + edge))
        head = ["#FORMAT : EMSA/MAS Spectral Data File", f"#NPOINTS : {axis.size}", "#NCOLUMNS : 1", "#XUNITS : eV"]
        head += ["#DATATYPE : XY", "#XPERCHAN : 0.4", "#OFFSET : 470.0", "#SIGNALTYPE : ELS", "#SPECTRUM :"]
        rows = [f"{e:.1f}, {n}" for e, n in zip(axis, counts, strict=True)]
        (folder / f"place_{place}.msa").write_text("\n".join([*head, *rows, "#ENDOFDATA :", ""]))
    (folder / "recipe.toml").write_text(
        'layerscope = 1\npipeline = "eels"\nsample = "oxide"\n'
        '[[series]]\nfiles = ["place_0.msa", "place_1.msa"]\nstep_nm = 2.0\n'
        '[[edges]]\nedge = "O K"\nonset_eV = 527.0\narea_eV = [526, 566]\nprepeak_eV = [527, 533]\n'
    )


def _eds(folder: Path) -> None:
    """Write a line scan of two places: carbon and oxygen on a background."""
    axis = 0.01 * np.arange(10, 310)
    for place in range(2):
        mean = 200.0 / (axis + 0.3)
        for energy, area in ((0.277, 4000.0), (0.525, 8000.0)):
            mean = mean + 0.01 * area * np.exp(-0.5 * ((axis - energy) / 0.025) ** 2) / (0.025 * np.sqrt(2 * np.pi))
        counts = np.random.default_rng(RNG_SEED + place).poisson(mean)
        head = ["#FORMAT : EMSA/MAS Spectral Data File", f"#NPOINTS : {axis.size}", "#NCOLUMNS : 1", "#XUNITS : keV"]
        head += ["#DATATYPE : XY", "#XPERCHAN : 0.01", "#OFFSET : 0.1", "#SIGNALTYPE : EDS", "#BEAMKV : 200"]
        rows = [f"{e:.2f}, {n}" for e, n in zip(axis, counts, strict=True)]
        (folder / f"place_{place}.msa").write_text("\n".join([*head, "#SPECTRUM :", *rows, "#ENDOFDATA :", ""]))
    (folder / "recipe.toml").write_text(
        'layerscope = 1\npipeline = "eds"\nsample = "oxide"\nlines = ["B K", "C K", "O K"]\n'
        '[[series]]\nfiles = ["place_0.msa", "place_1.msa"]\nstep_nm = 2.0\n'
    )


def _hrtem(folder: Path) -> None:
    """Write a picture of one lattice: CoO along [110], by its strongest waves."""
    from PIL import Image

    pixel, a = 0.025, 0.42612
    y, x = np.indices((160, 160)) * pixel
    mean = np.full(x.shape, 100.0)
    for gx, gy in ((1, 1), (1, -1), (0, 2), (2, 0)):  # 1-11, 1-1-1, 002, 2-20
        mean += 9.0 * np.cos(2 * np.pi * (gx * np.sqrt(2) * x + gy * y) / a)
    counts = np.random.default_rng(RNG_SEED).poisson(mean)
    Image.fromarray(np.clip(counts, 0, 255).astype(np.uint8)).save(folder / "grain.png")
    (folder / "recipe.toml").write_text(
        'layerscope = 1\npipeline = "hrtem"\nsample = "oxide"\nphases = ["CoO", "LiCoO2_O3"]\n'
        '[[series]]\nfiles = ["grain.png"]\npixel_nm = 0.025\n'
    )


def _toy_line(folder: Path) -> None:
    axis, rng = np.arange(0.0, 10.0, 0.25), np.random.default_rng(RNG_SEED)
    for level in range(3):
        counts = rng.poisson(50.0 + 300.0 * (level + 1) * np.exp(-4 * np.log(2) * ((axis - 5.0) / 1.2) ** 2))
        rows = "".join(f"{a:.2f} {b}\n" for a, b in zip(axis, counts, strict=True))
        (folder / f"level_{level}.txt").write_text(f"TOYLINE {axis.size} 2024-03-01T09:{10 + level}:00\n{rows}")
    (folder / "recipe.toml").write_text(
        'layerscope = 1\npipeline = "toy_line"\nsample = "S"\n'
        '[[series]]\nname = "three"\nfiles = ["level_0.txt", "level_1.txt", "level_2.txt"]\n'
    )


CASES: Mapping[str, Callable[[Path], None]] = {
    "xps": _xps,
    "casaxps": _casaxps,
    "xps_survey": _xps_survey,
    "sxas": _sxas,
    "xrd_peaks": _xrd_peaks,
    "rietveld": _rietveld,
    "eels": _eels,
    "eds": _eds,
    "hrtem": _hrtem,
    "toy_line": _toy_line,
}
"""What writes ``recipe.toml`` and its data into a folder, by the name of the pipeline."""
