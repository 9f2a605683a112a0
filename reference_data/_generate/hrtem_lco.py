"""Case hrtem_lco_coated: vacuum, coating, rock salt and layered bulk, fresh and after cycling."""

from __future__ import annotations

import json

import numpy as np
from _generate.hrtem_crystals import COO, LICOO2
from _generate.hrtem_scenes import Layer, View, cubic_along, layered_along, photograph, stack, write_mrc

NAME = "hrtem_lco_coated"
SEED = 20261129
VIEW = View(shape=(448, 1024))
SAID_PIXEL_NM = 0.0204
"""What the files say: 2 % more than the true size."""

ANGLE = -55.2
"""Of (003): the surface is (0-14), the (100) of the cubic oxides."""

STATES = {
    "fresh": {"vacuum": 4.0, "amorphous": 7.0, "CoO": 10.0},
    "cycled": {"vacuum": 3.0, "amorphous": 7.5, "CoO": 12.5},
}
"""Where each layer ends, nm of true length."""

ROUGH = {"vacuum": 0.20, "amorphous": 0.15, "CoO": 0.20}


def build() -> dict[str, bytes]:
    """Return the files of the case, hashes left out."""
    files, states = {}, {}
    for number, (state, ends) in enumerate(STATES.items()):
        rng = np.random.default_rng([SEED, number])
        layers = [
            Layer(kind, end, ROUGH[kind], *((COO, cubic_along(ANGLE, COO)) if kind == "CoO" else ()))
            for kind, end in ends.items()
        ]
        layers.append(Layer("LiCoO2", crystal=LICOO2, orientation=layered_along(ANGLE)))
        atoms, about = stack(rng, VIEW, layers)
        files[f"{state}.mrc"] = write_mrc(photograph(rng, VIEW, atoms), SAID_PIXEL_NM)
        states[state] = {"atoms": len(atoms.position), "layers": about}
    truth = {
        "seed": SEED,
        "pixel_nm": VIEW.pixel_nm,
        "pixel_nm_said": SAID_PIXEL_NM,
        "scale_factor": round(VIEW.pixel_nm / SAID_PIXEL_NM, 6),
        "thickness_nm": VIEW.thickness_nm,
        "film_nm": VIEW.film_nm,
        "dose_e_per_A2": VIEW.dose,
        "microscope": vars(VIEW.microscope),
        "states": states,
    }
    files["truth.json"] = (json.dumps(truth, indent=1) + "\n").encode("ascii")
    return files
