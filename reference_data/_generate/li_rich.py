"""Case xps_b1s_li_rich: B 1s depth profile of a Li2B4O7-modified Li-rich oxide."""

from __future__ import annotations

import math

from _generate.simulation import Level, Species, Window, exact, lines_of, measure
from _generate.truth import File, truth_json
from _generate.vamas import VamasOptions, write_vamas

NAME = "xps_b1s_li_rich"
ETCH_TIMES_S = (0.0, 10.0, 20.0, 30.0, 40.0, 50.0)
SATURATION_TIME_S = 20.0
SATURATED_FRACTION = 0.30
FLUX = 15150.0
RSF = {"B 1s": 0.486, "C 1s": 1.00, "O 1s": 2.93, "Mn 3s": 0.63}
"""Sensitivity factors of the simulation, C 1s = 1: they define the truth and recommend nothing."""

SHIFTS_EV = {
    "li_rich_5000.vms": (0.12, -0.08, 0.15, -0.15, 0.05, -0.11),
    "li_rich_300.vms": (-0.10, 0.14, 0.03, -0.13, 0.09, -0.04),
}
VALENCE_LAW = (8.956, -1.126)
"""Valence of Mn = 8.956 - 1.126 * (Mn 3s splitting / eV): the law that turned the valence into a splitting."""


def windows(quick: bool) -> tuple[Window, ...]:
    """Return the four regions; the quick profile spends 0.36 s on each point of B 1s instead of 6 s."""
    scans = (2, 6, 2, 2) if quick else (30, 40, 5, 30)
    dwell = 0.18 if quick else 0.2
    return (
        Window("B 1s", 186.5, 197.5, 0.05, dwell, scans[0], 0.045, 300.0, 0.006),
        Window("C 1s", 280.0, 293.0, 0.1, dwell, scans[1], 0.025, 600.0, 0.003),
        Window("O 1s", 524.5, 537.5, 0.1, dwell, scans[2], 0.035, 1500.0, -0.002),
        Window("Mn 3s", 77.5, 95.5, 0.1, dwell, scans[3], 0.020, 650.0, -0.004),
    )


def composition(etch_time_s: float) -> dict[str, float]:
    """Atomic fractions of the measured elements (Li is not measured) at an etch time in s."""
    boron = exact(0.04 + 0.16 * math.exp(-etch_time_s / 35.0))
    carbon = exact(0.10 + 0.16 * math.exp(-etch_time_s / 12.0))
    manganese = exact(0.06 + 0.20 * (1.0 - math.exp(-etch_time_s / 25.0)))
    return {"B": boron, "C": carbon, "O": exact(1.0 - boron - carbon - manganese), "Mn": manganese}


def fraction_tm_o_b(etch_time_s: float) -> float:
    """Share of boron bound as TM-O-B: zero at the surface, linear to 20 s, then constant."""
    return exact(SATURATED_FRACTION * min(etch_time_s / SATURATION_TIME_S, 1.0))


def mn_valence(etch_time_s: float) -> float:
    """Mean valence of Mn: 3.90 at the surface, towards 3.30 in the bulk."""
    return exact(3.30 + 0.60 * math.exp(-etch_time_s / 20.0))


def contents(etch_time_s: float, splitting_ev: float) -> dict[str, list[tuple[Species, float]]]:
    """Return the species of each region with their shares."""

    def single(name: str, region: str, position: float, fwhm: float, mixing: float) -> Species:
        return Species(name, region, position, fwhm, mixing, ((region, 0.0, 1.0),))

    fresh = math.exp(-etch_time_s / 15.0)
    tm_o_b = fraction_tm_o_b(etch_time_s)
    c_o, co3 = exact(0.12 + 0.08 * fresh), exact(0.03 + 0.15 * fresh)
    lattice = exact(0.30 + 0.45 * (1.0 - fresh))
    mn_3s = Species(
        "Mn 3s", "Mn 3s", 84.0, 2.2, 0.3, (("Mn 3s 7S", 0.0, 0.62), ("Mn 3s 5S", splitting_ev, 0.38)), (1.0, 1.2)
    )
    return {
        "B 1s": [
            (single("B-O-B", "B 1s", 192.0, 1.5, 0.3), exact(1.0 - tm_o_b)),
            (single("TM-O-B", "B 1s", 191.1, 1.5, 0.3), tm_o_b),
        ],
        "C 1s": [
            (single("C-C/C-H", "C 1s", 284.8, 1.3, 0.2), exact(1.0 - c_o - co3)),
            (single("C-O", "C 1s", 286.3, 1.5, 0.2), c_o),
            (single("CO3", "C 1s", 289.8, 1.4, 0.2), co3),
        ],
        "O 1s": [
            (single("lattice oxide", "O 1s", 529.6, 1.2, 0.35), lattice),
            (single("surface O", "O 1s", 531.8, 1.8, 0.25), exact(1.0 - lattice)),
        ],
        "Mn 3s": [(mn_3s, 1.0)],
    }


def level(number: int, etch_time_s: float, shift: float, quick: bool) -> Level:
    """Simulate the four regions of one etch level."""
    atomic = composition(etch_time_s)
    valence = mn_valence(etch_time_s)
    splitting = exact((valence - VALENCE_LAW[0]) / VALENCE_LAW[1])
    species = contents(etch_time_s, splitting)
    regions = []
    for index, window in enumerate(windows(quick)):
        exposure = FLUX * window.live_time_s
        lines = lines_of(species[window.region], atomic, RSF, exposure=exposure, shift=shift)
        stream = (1, int(quick), number, index)
        factor = exact(0.9 + 0.002 * etch_time_s)
        regions.append(measure(window, lines, shift=shift, stream=stream, baseline_factor=factor))
    extra = {"mn_3s_splitting_eV": splitting, "mn_valence": valence}
    return Level(etch_time_s, None, shift, atomic, tuple(regions), extra)


def build() -> dict[str, bytes]:
    """Return the files of the case, name to bytes."""
    files, data = [], {}
    for name, shifts in SHIFTS_EV.items():
        quick = name == "li_rich_300.vms"
        levels = tuple(level(n, t, s, quick) for n, (t, s) in enumerate(zip(ETCH_TIMES_S, shifts, strict=True)))
        title = "Li-rich oxide + Li2B4O7" + (", quick profile" if quick else "")
        comments = (
            "SIMULATED DATA with known truth (truth.json): no measurement.",
            "Made by reference_data/generate_xps_cases.py of layerscope.",
            "Ar+ depth profile, etch time per block as experimental variable.",
        )
        data[name] = write_vamas(levels, VamasOptions(title, NAME, comments))
        files.append(File(name, "VAMAS NORM REGULAR, kinetic energy", title, levels, FLUX))
    summary = {
        "tm_o_b_fraction": [fraction_tm_o_b(t) for t in ETCH_TIMES_S],
        "tm_o_b_saturated_fraction": SATURATED_FRACTION,
        "tm_o_b_onset_time_s": 0.0,
        "tm_o_b_saturation_time_s": SATURATION_TIME_S,
        "etch_time_s": list(ETCH_TIMES_S),
        "b_o_b_position_eV": 192.0,
        "tm_o_b_position_eV": 191.1,
        "b_1s_fwhm_eV": 1.5,
        "b_1s_mixing": 0.3,
        "mn_valence": [mn_valence(t) for t in ETCH_TIMES_S],
        "mn_valence_law": "valence = 8.956 - 1.126 * splitting_eV",
        "c_1s_reference_eV": 284.8,
    }
    notes = (
        "atomic fractions are of the measured elements; Li is left out",
        "shapes, positions and the Shirley strength do not change with depth; areas, shift and baseline do",
        "the onset is the surface: the fraction is 0 at 0 s and grows linearly from there",
    )
    data["truth.json"] = truth_json(NAME, summary, RSF, files, notes)
    return data
