"""Case xps_b1s_lco_cei: boron-coated LiCoO2, pristine (VAMAS) and after 100 cycles (PHI .pro)."""

from __future__ import annotations

import math

from _generate.phi import PhiOptions, write_phi
from _generate.simulation import Level, Species, Window, exact, lines_of, measure
from _generate.truth import File, truth_json
from _generate.vamas import VamasOptions, write_vamas

NAME = "xps_b1s_lco_cei"
PRISTINE, CYCLED = "lco_pristine.vms", "lco_100_cycles.pro"
SECONDS_PER_LEVEL = 30.0
LEVELS = 10
ETCH_RATE_NM_S = 0.15
FLUX = 24000.0
TRANSMISSION_EXPONENT = 0.35
PHI_WORK_FUNCTION_EV, PHI_PASS_ENERGY_EV = 4.3, 26.0
RSF = {"B 1s": 0.486, "C 1s": 1.00, "O 1s": 2.93, "F 1s": 4.43, "P 2p": 1.19, "P 2s": 1.18}
"""Sensitivity factors of the simulation, C 1s = 1: they define the truth and recommend nothing."""

SHIFTS_EV = {
    PRISTINE: (0.08, -0.05, 0.11, 0.02, -0.12, 0.06, -0.09, 0.13, -0.02, -0.07),
    CYCLED: (0.15, 0.09, -0.06, 0.12, -0.11, 0.03, -0.14, 0.07, -0.03, 0.10),
}
WINDOWS = (
    Window("B 1s", 185.0, 198.0, 0.1, 0.2, 60, 0.040, 380.0, 0.005),
    Window("C 1s", 280.0, 294.0, 0.1, 0.2, 20, 0.025, 700.0, 0.003),
    Window("O 1s", 524.5, 538.5, 0.1, 0.2, 10, 0.035, 1200.0, -0.002),
    Window("F 1s", 679.0, 693.0, 0.1, 0.2, 10, 0.030, 1400.0, -0.003),
    Window("P 2p", 128.0, 141.0, 0.1, 0.2, 40, 0.030, 420.0, 0.004),
)


def buried(depth_nm: float, thickness_nm: float, width_nm: float) -> float:
    """Return the layer's profile: 1 at the surface, half at ``thickness_nm``, error-function edge."""
    return 0.5 * math.erfc((depth_nm - thickness_nm) / (math.sqrt(2.0) * width_nm))


def composition(depth_nm: float, cycled: bool) -> dict[str, float]:
    """Atomic fractions of the measured elements at a depth in nm (Li and Co are not measured).

    Boron is set to exactly zero beyond 36 nm, phosphorus is absent before cycling.
    """
    boron = 0.12 * buried(depth_nm, 14.0, 7.0) if cycled else 0.16 * buried(depth_nm, 16.0, 6.0)
    boron = exact(boron) if depth_nm <= 36.0 else 0.0
    organics = 0.30 * math.exp(-depth_nm / 7.0) if cycled else 0.20 * math.exp(-depth_nm / 5.0)
    carbon = exact(0.05 + organics)
    fluorine = exact(0.05 + 0.13 * buried(depth_nm, 22.0, 9.0)) if cycled else 0.0
    phosphorus = exact(0.002 + 0.020 * math.exp(-depth_nm / 12.0)) if cycled else 0.0
    oxygen = exact(1.0 - boron - carbon - fluorine - phosphorus)
    return {"B": boron, "C": carbon, "O": oxygen, "F": fluorine, "P": phosphorus}


def shares(depth_nm: float, cycled: bool) -> dict[str, float]:
    """Share of each species in its element; the last species of an element takes the rest."""
    return {
        "B-F": exact(0.45 * math.exp(-depth_nm / 15.0)) if cycled else 0.0,
        "C-O": exact(0.10 + (0.20 if cycled else 0.08) * math.exp(-depth_nm / 8.0)),
        "CO3": exact(0.04 + 0.12 * math.exp(-depth_nm / 10.0)),
        "surface O": exact(0.12 + 0.73 * buried(depth_nm, 15.0, 7.0)),
        "LixPFy": exact(0.05 + 0.40 * math.exp(-depth_nm / 9.0)) if cycled else 0.0,
    }


def _single(name: str, region: str, position: float, fwhm: float, mixing: float) -> Species:
    return Species(name, region, position, fwhm, mixing, ((region, 0.0, 1.0),))


def contents(depth_nm: float, cycled: bool) -> dict[str, list[tuple[Species, float]]]:
    """Return the species of each region with their shares; before cycling F 1s and P 2p are empty."""
    share = shares(depth_nm, cycled)
    carbonyl = share["C-O"] + share["CO3"]
    b_o = _single("B-O", "B 1s", 191.7, 1.5, 0.3)
    regions = {
        "B 1s": [(b_o, exact(1.0 - share["B-F"]))],
        "C 1s": [
            (_single("C-C/C-H", "C 1s", 284.8, 1.3, 0.2), exact(1.0 - carbonyl)),
            (_single("C-O", "C 1s", 286.5, 1.5, 0.2), share["C-O"]),
            (_single("CO3", "C 1s", 289.8, 1.4, 0.2), share["CO3"]),
        ],
        "O 1s": [
            (_single("lattice oxide", "O 1s", 529.6, 1.2, 0.35), exact(1.0 - share["surface O"])),
            (_single("surface O", "O 1s", 531.7, 1.8, 0.25), share["surface O"]),
        ],
        "F 1s": [],
        "P 2p": [],
    }
    if cycled:
        doublet = (("P 2p3/2", 0.0, 2.0 / 3.0), ("P 2p1/2", 0.87, 1.0 / 3.0))
        regions["B 1s"].append((_single("B-F", "B 1s", 193.0, 1.5, 0.3), share["B-F"]))
        regions["B 1s"].append((_single("LixPOyFz", "P 2s", 190.9, 2.1, 0.5), 1.0))
        regions["F 1s"] += [
            (_single("LiF", "F 1s", 685.0, 1.5, 0.25), exact(1.0 - share["LixPFy"])),
            (_single("LixPFy", "F 1s", 686.8, 1.8, 0.25), share["LixPFy"]),
        ]
        regions["P 2p"].append((Species("LixPOyFz", "P 2p", 133.5, 1.5, 0.25, doublet), 1.0))
    return regions


def level(number: int, shift: float, cycled: bool) -> Level:
    """Simulate the five regions of one etch level."""
    etch_time_s = SECONDS_PER_LEVEL * number
    depth_nm = exact(ETCH_RATE_NM_S * etch_time_s)
    atomic = composition(depth_nm, cycled)
    species = contents(depth_nm, cycled)
    exponent = 0.0 if cycled else TRANSMISSION_EXPONENT
    regions = []
    for index, window in enumerate(WINDOWS):
        lines = lines_of(
            species[window.region],
            atomic,
            RSF,
            exposure=FLUX * window.live_time_s,
            shift=shift,
            transmission_exponent=exponent,
            overlaps=("P 2s",),
        )
        stream = (2, int(cycled), number, index)
        factor = exact(0.9 + 0.02 * number)
        regions.append(
            measure(
                window,
                lines,
                shift=shift,
                stream=stream,
                baseline_factor=factor,
                transmission_exponent=exponent,
            )
        )
    return Level(etch_time_s, depth_nm, shift, atomic, tuple(regions))


def build() -> dict[str, bytes]:
    """Return the files of the case, name to bytes."""
    pristine, cycled = (
        tuple(level(n, shift, name == CYCLED) for n, shift in enumerate(SHIFTS_EV[name])) for name in (PRISTINE, CYCLED)
    )
    comments = (
        "SIMULATED DATA with known truth (truth.json): no measurement.",
        "Made by reference_data/generate_xps_cases.py of layerscope.",
        f"Ar+ depth profile, etch rate {ETCH_RATE_NM_S} nm/s.",
    )
    vamas = VamasOptions("LiCoO2 + B, pristine", NAME, comments, abscissa="Binding Energy", with_transmission=True)
    phi = PhiOptions(
        "LiCoO2 + B, 100 cycles",
        CYCLED,
        SECONDS_PER_LEVEL,
        ETCH_RATE_NM_S,
        pass_energy_ev=PHI_PASS_ENERGY_EV,
        work_function_ev=PHI_WORK_FUNCTION_EV,
    )
    files = (
        File(
            PRISTINE,
            "VAMAS NORM REGULAR, binding energy, counts and transmission",
            vamas.sample,
            pristine,
            FLUX,
            ETCH_RATE_NM_S,
            TRANSMISSION_EXPONENT,
        ),
        File(
            CYCLED,
            "PHI .pro, counts/s as float32",
            phi.sample,
            cycled,
            FLUX,
            ETCH_RATE_NM_S,
            pass_energy_ev=PHI_PASS_ENERGY_EV,
            work_function_ev=PHI_WORK_FUNCTION_EV,
        ),
    )
    data = {PRISTINE: write_vamas(pristine, vamas), CYCLED: write_phi(cycled, phi)}
    data["truth.json"] = truth_json(NAME, _summary(), RSF, files, NOTES)
    return data


NOTES = (
    "atomic fractions are of the measured elements; Li and Co are left out",
    "shapes, positions and the Shirley strength do not change with depth; areas, shift and baseline do",
    "P 2s lies in the B 1s region: area = atomic_fraction[P] * rsf['P 2s'] * flux * live time of B 1s, so that "
    "area(P 2s) / live_time(B 1s) = rsf['P 2s'] / rsf['P 2p'] * area(P 2p, both lines) / live_time(P 2p); its fraction "
    "is null because it is no boron",
    "before cycling F 1s and P 2p hold no line at all: the answer there is an upper limit",
    "after 36 nm the atomic fraction of boron is exactly zero: B-O and B-F are upper limits there",
)


def _summary() -> dict[str, object]:
    depths = [exact(ETCH_RATE_NM_S * SECONDS_PER_LEVEL * n) for n in range(LEVELS)]
    return {
        "etch_time_s": [SECONDS_PER_LEVEL * n for n in range(LEVELS)],
        "depth_nm": depths,
        "boron_atomic_fraction_pristine": [composition(depth, False)["B"] for depth in depths],
        "boron_atomic_fraction_cycled": [composition(depth, True)["B"] for depth in depths],
        "b_f_fraction_cycled": [shares(depth, True)["B-F"] for depth in depths],
        "lif_fraction_cycled": [exact(1.0 - shares(depth, True)["LixPFy"]) for depth in depths],
        "b_o_position_eV": 191.7,
        "b_f_position_eV": 193.0,
        "p_2s_position_eV": 190.9,
        "p_2s_over_p_2p_area_at_equal_time": exact(RSF["P 2s"] / RSF["P 2p"]),
        "c_1s_reference_eV": 284.8,
    }
