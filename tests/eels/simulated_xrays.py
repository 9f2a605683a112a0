"""X-ray spectra of a line scan through a coating into an oxide, as files, by the generator of the reference data."""

from __future__ import annotations

import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

SIMULATION = runpy.run_path(
    str(Path(__file__).resolve().parents[2] / "reference_data" / "_generate" / "eds_simulation.py")
)
STEP_EV, CHANNELS = 10.0, 1000
ENERGY = STEP_EV * (np.arange(CHANNELS) + 0.5)
BORDERS = STEP_EV * np.arange(CHANNELS + 1.0)


def mean_counts(
    lines: Mapping[str, float], background: float = 2.0, offset: float = 3.0, fwhm: float = 133.0
) -> FloatArray:
    """Return expected counts on the axis of a file that is off by `offset` eV."""
    return np.asarray(SIMULATION["expected"](BORDERS - offset, lines, background, fwhm))


def write_msa(path: Path, counts: FloatArray) -> None:
    """Write one spectrum."""
    head = ["#FORMAT : EMSA/MAS Spectral Data File", "#TITLE : place", f"#NPOINTS : {CHANNELS}", "#NCOLUMNS : 1"]
    head += ["#XUNITS : keV", "#YUNITS : counts", "#DATATYPE : Y", f"#XPERCHAN : {STEP_EV / 1000}"]
    head += [f"#OFFSET : {ENERGY[0] / 1000}", "#SIGNALTYPE : EDS", "#BEAMKV : 200", "#SPECTRUM :"]
    rows = [", ".join(f"{n:.0f}" for n in counts[k : k + 10]) for k in range(0, CHANNELS, 10)]
    path.write_text("\n".join([*head, *rows, "#ENDOFDATA :", ""]))


def write_hspy(path: Path, image: NDArray[Any]) -> None:
    """Write a map, shape (rows, columns, channels)."""
    from rsciio.hspy import file_writer

    nm = {"scale": 2.0, "offset": 0.0, "units": "nm", "navigate": True}
    places = [{"name": name, "size": size, **nm} for name, size in zip("yx", image.shape, strict=False)]
    energy = {"name": "Energy", "size": CHANNELS, "scale": STEP_EV / 1000, "offset": ENERGY[0] / 1000, "units": "keV"}
    axes = [{**a, "_type": "UniformDataAxis", "is_binned": False} for a in (*places, {**energy, "navigate": False})]
    about = {"Signal": {"signal_type": "EDS_TEM"}, "General": {"title": "map"}}
    signal = {"data": image, "axes": axes, "metadata": about, "original_metadata": {}, "learning_results": {}}
    signal |= {"package_info": {"name": "none", "version": "0"}, "attributes": {"_lazy": False}}
    file_writer(str(path), signal | {"tmp_parameters": {}, "models": {}})
