"""Case sxas_ok_lco: O K of bare and coated LiCoO2, raw files of an SSRL 8-2 kind, three sweeps each.

What the files hide: dark levels that they do not state, a dip of the flux at the edge, energies that jitter from sweep
to sweep and are found by a reference channel, Li2CO3 that the beam destroys in the third sweep of the bare sample, a
single bad point, and some signal of the carbon tape.
"""

from __future__ import annotations

import json

import numpy as np
from _generate.sxas_simulation import Array, flux, line, rows, step

NAME = "sxas_ok_lco"
SEED = 20261103
X = np.unique(np.round(np.concatenate([np.arange(512, 527, 0.5), np.arange(527, 552, 0.15), np.arange(552, 572)]), 3))
AREA = (525.0, 550.0)
DARK = {"tey": 7500.0, "fy": 5440.0, "ref": 5130.0}
JITTER_EV, NOISE = 0.06, 6e-4
SHIFT_EV = 0.12
EG, CARBONATE = {"bare": 1.00, "coated": 0.82}, {"bare": 0.60, "coated": 0.16}
MAIN = {"bare": (4.0, 6.0, 4.0), "coated": (4.5, 6.9, 4.1)}
TAPE = 0.05  # area of the tape's line at 532.3 eV
DECAYED = 0.75  # of the carbonate left in the third sweep of the bare sample
NAMES = "    #,      mono,  Seconds,       i0,      tey,    cmact,    spare,       fy,      ref,       i1,   SRS_i0,"
NAMES += "  SRS_tey,  Encoder, Grating_Encoder, Energy_encoder"
FORMATS = [
    "{:5.0f}",
    "{:.6g}",
    "{:.1f}",
    "{:.0f}",
    "{:.2f}",
    "{:.0f}",
    "{:.0f}",
    "{:.1f}",
    "{:.2f}",
    *["{:.0f}"] * 5,
    "{:.5f}",
]


def edge(x: Array, sample: str, carbonate: float = 1.0) -> Array:
    """Return the absorption of the edge alone, in steps."""
    y = step(x, 536.6, 1.6)
    for (center, width), area in zip(((537.1, 4.3), (541.1, 5.1), (545.2, 7.1)), MAIN[sample], strict=True):
        y = y + line(x, center, width, area)
    y = y + line(x, 530.5 + SHIFT_EV * (sample == "coated"), 1.35, EG[sample])
    return y + line(x, 533.9, 1.25, carbonate * CARBONATE[sample]) + line(x, 532.3, 1.2, TAPE)


def reference(x: Array) -> Array:
    """Return a sharp reference spectrum."""
    return 0.2 + line(x, 530.9, 1.0, 1.4) + line(x, 533.3, 1.2, 1.0) + line(x, 540.5, 4.0, 2.5) + step(x, 537.0, 1.5)


def sweep(rng: np.random.Generator, sample: str, number: int) -> tuple[bytes, float]:
    """Return a file, and by how much its energies are off."""
    off = float(rng.normal(0.0, JITTER_EV))
    true = X - off
    decayed = DECAYED if (sample, number) == ("bare", 3) else 1.0
    tilt, bow = (0.05, 0.01) if sample == "bare" else (-0.03, 0.012)
    u = (X - 530.0) / 20.0
    mu = 0.02 * (1.2 + tilt * u + bow * u**2 + edge(true, sample, decayed))
    i0 = 6.2e4 * flux(X, 537.7, 0.055, rng.uniform(0.0, 0.02))
    tey = i0 * mu * (1.0 + NOISE * rng.normal(size=X.size))
    if (sample, number) == ("coated", 2):
        tey[np.searchsorted(X, 543.0)] *= 1.06
    ref = 0.1 * i0 * reference(true) * (1.0 + 1.5e-3 * rng.normal(size=X.size))
    fy = 0.01 * i0 * (0.3 + 0.5 * edge(true, sample, decayed)) * (1.0 + 4e-3 * rng.normal(size=X.size))
    zero, one = np.zeros_like(X), np.ones_like(X)
    aey = 0.3 * tey * (1.0 + 2e-2 * rng.normal(size=X.size))
    encoder = X + 0.15
    columns = [np.arange(X.size), X, 0.4 * one, i0, tey + DARK["tey"], aey, zero, fy + DARK["fy"], ref + DARK["ref"]]
    columns += [767.0 * one, 8.0 * one, 8.0 * one, 61606.0 - 500.0 * (X - X[0]), 493313.0 - 985.0 * (X - X[0]), encoder]
    return rows(NAMES, columns, FORMATS, ", ").encode("ascii"), off


def build() -> dict[str, bytes]:
    """Return the files of the case, hashes left out."""
    rng = np.random.default_rng(SEED)
    fine = np.linspace(*AREA, 5001)
    files: dict[str, bytes] = {}
    truth: dict[str, object] = {"seed": SEED, "dark": DARK, "area_eV": AREA, "eg_shift_eV": SHIFT_EV}
    for sample in ("bare", "coated"):
        offs = []
        for number in (1, 2, 3):
            files[f"{sample}_{number}.csv"], off = sweep(rng, sample, number)
            offs.append(round(off, 5))
        whole = float(np.trapezoid(edge(fine, sample), fine))
        part = (fine >= 535.0) & (fine <= 545.0)
        truth[sample] = {
            "energies_off_eV": offs,
            "area_steps_eV": round(whole, 5),
            "eg_share": round(EG[sample] / whole, 6),
            "carbonate_share": round(CARBONATE[sample] / whole, 6),
            "share_535_545": round(float(np.trapezoid(edge(fine, sample)[part], fine[part])) / whole, 6),
        }
    truth["faults"] = {
        "dose": "third sweep of bare: carbonate 0.75 of before",
        "glitch": "second sweep of coated: 6 % at 543.0 eV",
        "tape": "line of area 0.05 at 532.3 eV in both samples, which the table of bands does not name",
    }
    files["truth.json"] = (json.dumps(truth, indent=1) + "\n").encode("ascii")
    return files
