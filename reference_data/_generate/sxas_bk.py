"""Case sxas_bk_cei: B K of a coated cathode, pristine and after 2 and 100 cycles, raw files like those of ALS 8.0.1.

Four-coordinate boron grows from none to 0.4. What the files hide: a yield that saturates, foreign absorption,
references measured at another resolution and 0.1 eV off, a second monitor that falls over the edge, a dwell that
doubles inside the scans, and a range in the header that is that of an earlier scan.
"""

from __future__ import annotations

import json

import numpy as np
from _generate.sxas_simulation import Array, flux, line, rows, saturated, step

NAME = "sxas_bk_cei"
SEED = 20261104
X = np.unique(
    np.round(np.concatenate([np.arange(180, 190, 0.5), np.arange(190, 206, 0.1), np.arange(206, 225.1, 0.5)]), 3)
)
STATES = {"pristine": 0.0, "cycle_2": 0.15, "cycle_100": 0.40}
LOST, NOISE = 0.12, 1.0e-3
REFERENCE_OFF_EV, REFERENCE_FWHM, SAMPLE_FWHM = 0.10, 0.70, 0.62
LONGER = (196.0, 201.0)
HEAD = """Date: 3/29/2024

From File
Mono Energy
C:\\Beamline Controls\\BCS Setup Data\\Scan Files\\B1s.txt
: 290.00000000
: 320.00000000
: 0.05000000
Delay After Move (s): 0.00000000
Count Time (s): 1.00000000
Scan Number: 1
Bi-directional: No
Stay at End: 0
Description Length: 0

"""
NAMES = (
    "Time (s)\tMono Energy\tUndulator Gap\tMono Energy\tBeam Current\tGate\tCounter 0\tCounter 1\tCounter 2\tCounter 3"
)
FORMATS = ["{:.3f}", "{:.5f}", "{:.1f}", "{:.1f}", "{:.4f}", "{:.1f}", *["{:.2f}"] * 4]


def per_boron(x: Array, four: bool, fwhm: float) -> Array:
    """Return the absorption of one boron atom; `fwhm` is that of the first line of BO3."""
    y = step(x, 197.0, 1.6)
    if four:
        return y + line(x, 197.2, 1.5, 1.4) + line(x, 199.3, 1.9, 4.8) + line(x, 203.2, 5.0, 7.2)
    return y + line(x, 194.2, fwhm, 4.2, 0.1) + line(x, 202.5, 4.3, 7.6) + line(x, 205.8, 5.6, 5.0)


def scan(rng: np.random.Generator, absorption: Array, *, longer: bool) -> bytes:
    """Return a file; `longer`: the dwell doubles inside it."""
    dwell = np.where(longer & (LONGER[0] <= X) & (LONGER[1] >= X), 2.0, 1.0)
    i0 = 1.7e6 * dwell * flux(X, 193.0, 0.03, rng.uniform(0.0, 0.01))
    tey = 0.1 * i0 * absorption * (1.0 + NOISE * rng.normal(size=X.size))
    tfy = 0.004 * i0 * (0.5 + 0.1 * absorption) * (1.0 + 6 * NOISE * rng.normal(size=X.size))
    other = 0.08 * i0 * (1.0 - 0.3 * (X - X[0]) / (X[-1] - X[0]))
    zero, seconds = np.zeros_like(X), 7.8 * np.arange(X.size) + 1555.6
    columns = [seconds, X, zero, zero, 499.4 - 1e-3 * np.arange(X.size), zero, i0, tey, tfy, other]
    return (HEAD + rows(NAMES, columns, FORMATS, "\t")).encode("ascii")


def build() -> dict[str, bytes]:
    """Return the files of the case, hashes left out."""
    rng = np.random.default_rng(SEED)
    files = {}
    for name, four in (("reference_bo3", False), ("reference_bo4", True)):
        y = 1.1 + 2e-4 * (X - 200.0) + per_boron(X - REFERENCE_OFF_EV, four, REFERENCE_FWHM)
        files[f"{name}.txt"] = scan(rng, y * rng.uniform(0.6, 1.4), longer=False)
    top = 1.0 + float(per_boron(X, False, SAMPLE_FWHM).max())
    offs = {}
    for name, n4 in STATES.items():
        off = float(rng.normal(0.0, 0.02))
        mu = (1.0 - n4) * per_boron(X - off, False, SAMPLE_FWHM) + n4 * per_boron(X - off, True, SAMPLE_FWHM)
        files[f"{name}.txt"] = scan(rng, saturated(1.0 + 1e-3 * (X - 200.0) + mu, top, LOST), longer=True)
        offs[name] = round(off, 5)
    truth = {
        "seed": SEED,
        "n4": STATES,
        "lost_at_top": LOST,
        "energies_off_eV": offs,
        "references_off_eV": REFERENCE_OFF_EV,
        "faults": {"dwell": f"doubles from {LONGER[0]:g} to {LONGER[1]:g} eV", "header": "range of another scan"},
    }
    files["truth.json"] = (json.dumps(truth, indent=1) + "\n").encode("ascii")
    return files
