"""Case eels_line_lco: a line scan of energy losses from the surface into an oxide, one .msa file a place."""

from __future__ import annotations

import json

import numpy as np
from _generate.eels_simulation import Background, Sample, expected, spread_counts, truth

NAME = "eels_line_lco"
SEED = 20260110
PLACES, STEP_NM = 10, 1.5
CHANNELS, DISPERSION, START = 1000, 0.4, 470.0
OFFSET_EV, STRETCH, DRIFT_EV = 3.1, 0.002, 0.05
FLUX = 60000.0
DEPTH_NM = 3.0
BACKGROUND = Background(r=2.9, bend=-1.5, second=0.05)
HEAD = """#FORMAT      : EMSA/MAS Spectral Data File
#VERSION     : 1.0
#TITLE       : line scan, place {place}
#DATE        :
#TIME        :
#OWNER       : simulated
#NPOINTS     : {channels}.
#NCOLUMNS    : 1.
#XUNITS      : eV
#YUNITS      : Counts
#DATATYPE    : Y
#XPERCHAN    : {dispersion}
#OFFSET      : {start}
#SIGNALTYPE  : ELS
#BEAMKV      : 300.0
#SPECTRUM    : Spectral Data Starts Here
"""


def build() -> dict[str, bytes]:
    """Return the files of the case, hashes left out."""
    rng = np.random.default_rng(SEED)
    shown = START + DISPERSION * np.arange(CHANNELS)
    files, places = {}, []
    for place in range(PLACES):
        depth = place * STEP_NM
        sample = Sample(surface=float(np.exp(-depth / DEPTH_NM)), thickness=0.6 + 0.05 * place)
        drift = float(rng.normal(0.0, DRIFT_EV))
        true = 600.0 + OFFSET_EV + drift + (1.0 + STRETCH) * (shown - 600.0)
        mean = FLUX * sum(expected(true, sample, BACKGROUND).values())
        counts = spread_counts(rng, mean, 0.0)
        rows = "\n".join(", ".join(f"{n:.0f}." for n in counts[k : k + 5]) for k in range(0, CHANNELS, 5))
        head = HEAD.format(place=place, channels=CHANNELS, dispersion=DISPERSION, start=START)
        files[f"place_{place:02d}.msa"] = f"{head}{rows}\n#ENDOFDATA   :\n".encode("ascii")
        numbers = {key: round(value, 5) for key, value in truth(sample).items()}
        places.append({"depth_nm": depth, "drift_eV": round(drift, 5), **numbers})
    axis = {"offset_eV_at_600": OFFSET_EV, "stretch": STRETCH}
    about = {"seed": SEED, "axis": axis, "background": vars(BACKGROUND), "places": places}
    files["truth.json"] = (json.dumps(about, indent=1) + "\n").encode("ascii")
    return files
