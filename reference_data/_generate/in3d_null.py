"""Case xps_in3d_null: In 3d of Li3InCl6 before and after charging without oxide, and a twin with 5 % oxide."""

from __future__ import annotations

from _generate.simulation import Level, Species, Window, exact, lines_of, measure
from _generate.truth import File, truth_json
from _generate.vamas import VamasOptions, write_vamas

NAME = "xps_in3d_null"
BEFORE, AFTER, TWIN = "li3incl6_before.vms", "li3incl6_4.7V.vms", "li3incl6_4.7V_oxide.vms"
OXIDE_FRACTION = 0.05
FLUX = 15000.0
SPLITTING_EV = 7.6
TRANSMISSION_EXPONENT = 0.3
RSF = {"In 3d": 22.5, "Cl 2p": 2.28, "C 1s": 1.00}
"""Sensitivity factors of the simulation, C 1s = 1: they define the truth and recommend nothing."""

SHIFT_EV = {BEFORE: 0.06, AFTER: -0.13, TWIN: 0.10}
FWHM_EV = {BEFORE: 1.25, AFTER: 1.35, TWIN: 1.35}


def uneven_axis() -> tuple[float, ...]:
    """In 3d from 438 to 460 eV: 0.1 eV where the doublet lies, 0.2 eV elsewhere."""
    axis = [438.0]
    while axis[-1] < 460.0 - 1e-9:
        fine = 442.0 <= axis[-1] + 1e-9 < 457.0
        axis.append(round(axis[-1] + (0.1 if fine else 0.2), 6))
    return tuple(axis)


def windows(irregular: bool) -> tuple[Window, ...]:
    """Return the three regions; ``irregular`` scans the tails of In 3d with twice the step."""
    axis = uneven_axis() if irregular else ()
    return (
        Window("In 3d", 438.0, 460.0, 0.1, 0.2, 8, 0.020, 3200.0, 0.002, axis),
        Window("Cl 2p", 193.0, 207.0, 0.1, 0.2, 10, 0.030, 500.0, 0.003),
        Window("C 1s", 280.0, 293.0, 0.1, 0.2, 20, 0.025, 600.0, 0.003),
    )


def composition(oxide: float) -> dict[str, float]:
    """Atomic fractions of the measured elements: Li3InCl6, the share ``oxide`` of its indium as oxide, 25 % carbon."""
    indium = 0.75 / (1.0 + 6.0 * (1.0 - oxide))
    return {"In": exact(indium), "Cl": exact(0.75 - indium), "C": 0.25}


def contents(name: str, oxide: float) -> dict[str, list[tuple[Species, float]]]:
    """Return the species of each region with their shares; In2O3 appears only where it is present."""
    in_3d = (("In 3d5/2", 0.0, 0.6), ("In 3d3/2", SPLITTING_EV, 0.4))
    cl_2p = (("Cl 2p3/2", 0.0, 2.0 / 3.0), ("Cl 2p1/2", 1.62, 1.0 / 3.0))
    indium = [(Species("Li3InCl6", "In 3d", 445.9, FWHM_EV[name], 0.3, in_3d), exact(1.0 - oxide))]
    if oxide > 0.0:
        indium.append((Species("In2O3", "In 3d", 444.8, FWHM_EV[name], 0.3, in_3d), oxide))
    carbon = (("C 1s", 0.0, 1.0),)
    return {
        "In 3d": indium,
        "Cl 2p": [(Species("Li3InCl6", "Cl 2p", 198.8, 1.2, 0.25, cl_2p), 1.0)],
        "C 1s": [
            (Species("C-C/C-H", "C 1s", 284.8, 1.3, 0.2, carbon), 0.85),
            (Species("C-O", "C 1s", 286.4, 1.5, 0.2, carbon), 0.15),
        ],
    }


def level(number: int, name: str, oxide: float) -> Level:
    """Simulate the three regions of one sample."""
    shift = SHIFT_EV[name]
    atomic = composition(oxide)
    species = contents(name, oxide)
    exponent = TRANSMISSION_EXPONENT if name == AFTER else 0.0
    regions = []
    for index, window in enumerate(windows(irregular=name == AFTER)):
        exposure = FLUX * window.live_time_s
        lines = lines_of(
            species[window.region], atomic, RSF, exposure=exposure, shift=shift, transmission_exponent=exponent
        )
        stream = (3, number, 0, index)
        regions.append(measure(window, lines, shift=shift, stream=stream, transmission_exponent=exponent))
    return Level(None, None, shift, atomic, tuple(regions))


def build() -> dict[str, bytes]:
    """Return the files of the case, name to bytes."""
    comments = (
        "SIMULATED DATA with known truth (truth.json): no measurement.",
        "Made by reference_data/generate_xps_cases.py of layerscope.",
    )
    options = {
        BEFORE: VamasOptions("Li3InCl6 before charging", NAME, comments, etch_time=False),
        AFTER: VamasOptions(
            "Li3InCl6 charged to 4.7 V", NAME, comments, scan="IRREGULAR", etch_time=False, with_transmission=True
        ),
        TWIN: VamasOptions("Li3InCl6 charged to 4.7 V, 5 % oxide", NAME, comments, mode="MAP", etch_time=False),
    }
    formats = {
        BEFORE: "VAMAS NORM REGULAR, kinetic energy",
        AFTER: "VAMAS NORM IRREGULAR, kinetic energy, counts and transmission",
        TWIN: "VAMAS MAP REGULAR, kinetic energy",
    }
    files, data = [], {}
    for number, (name, option) in enumerate(options.items()):
        oxide = OXIDE_FRACTION if name == TWIN else 0.0
        levels = (level(number, name, oxide),)
        exponent = TRANSMISSION_EXPONENT if name == AFTER else 0.0
        data[name] = write_vamas(levels, option)
        files.append(File(name, formats[name], option.sample, levels, FLUX, transmission_exponent=exponent))
    summary = {
        "oxide_fraction": {BEFORE: 0.0, AFTER: 0.0, TWIN: OXIDE_FRACTION},
        "li3incl6_3d5_position_eV": 445.9,
        "in2o3_3d5_position_eV": 444.8,
        "splitting_eV": SPLITTING_EV,
        "area_ratio_3d3_over_3d5": exact(2.0 / 3.0),
        "c_1s_reference_eV": 284.8,
    }
    notes = (
        "no oxide in the first two files: the answer is an upper limit, and it must not fall below the truth, zero",
        "atomic fractions are of the measured elements; Li is left out, and no O 1s was simulated",
    )
    data["truth.json"] = truth_json(NAME, summary, RSF, files, notes)
    return data
