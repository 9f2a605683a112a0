"""Simulate survey spectra of a known composition: lines, Auger groups, shake-up, inelastic tails, charging and noise.

Nothing here comes from layerscope. An electron of a line at depth loses energy on its way out by the universal loss
function of Tougaard, K(T) = B T / (C + T^2)^2 with C = 1643 eV^2; each line carries its tail up to 200 eV. Every area
is scattered about atomic fraction x cross-section x E^0.75 x transmission (E^-0.6), and every element has one chemical
shift, so that neither strengths nor places are what a table says.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

PHOTON_EV = 1486.6
_LN2 = float(np.log(2.0))

LINES: dict[str, list[tuple[float, float, float]]] = {
    "Li": [(55.2, 0.057, 2.2)],
    "B": [(192.0, 0.49, 2.0)],
    "C": [(285.0, 1.0, 2.0)],
    "N": [(400.0, 1.8, 2.2)],
    "O": [(531.2, 2.93, 2.3), (23.0, 0.14, 3.5)],
    "F": [(685.5, 4.43, 2.2), (30.0, 0.21, 3.0)],
    "Na": [(1071.8, 8.52, 2.3), (63.6, 0.42, 3.0), (31.0, 0.19, 2.5)],
    "Al": [(74.4, 0.537, 2.2), (119.2, 0.75, 2.8)],
    "Si": [(102.8, 0.817, 2.3), (153.8, 0.955, 2.8)],
    "P": [(133.4, 1.19, 2.5), (190.6, 1.18, 2.8)],
    "S": [(168.8, 1.68, 2.6), (232.5, 1.43, 3.0)],
    "Cl": [(199.0, 2.29, 3.0), (270.5, 1.69, 3.0)],
    "Ca": [(347.2, 3.35, 2.2), (350.8, 1.72, 2.2), (439.0, 2.59, 4.0), (44.2, 0.35, 3.5), (25.5, 0.51, 3.0)],
    "Ti": [(458.7, 5.22, 2.2), (464.4, 2.59, 2.9), (565.8, 3.24, 6.5), (37.6, 0.81, 4.0), (62.0, 0.47, 5.0)],
    "Mn": [(642.0, 9.17, 3.6), (653.6, 4.74, 4.0), (770.5, 4.23, 8.0), (48.8, 1.42, 4.5), (84.5, 0.67, 6.0)],
    "Fe": [(710.8, 10.8, 4.2), (724.2, 5.6, 5.0), (847.5, 4.57, 8.5), (55.8, 1.67, 4.5), (93.8, 0.75, 6.0)],
    "Co": [(780.2, 12.6, 3.4), (795.4, 6.54, 3.8), (927.5, 4.88, 8.5), (60.9, 1.93, 4.5), (102.5, 0.82, 6.0)],
    "Ni": [(854.8, 14.6, 3.4), (872.4, 7.57, 4.0), (1010.5, 5.16, 8.5), (67.6, 2.2, 4.5), (112.0, 0.89, 6.0)],
    "Cu": [(933.6, 16.7, 2.6), (953.5, 8.66, 3.2), (1097.5, 5.46, 8.0), (76.5, 2.48, 4.5), (123.0, 0.96, 6.0)],
    "Zn": [(1021.9, 18.9, 2.4), (1045.0, 9.8, 2.8), (1196.0, 5.76, 8.0), (89.5, 2.83, 4.5), (140.2, 1.04, 6.0)],
    "Zr": [
        (182.3, 4.17, 2.0),
        (184.7, 2.87, 2.0),
        (333.0, 5.14, 3.5),
        (346.6, 2.64, 3.8),
        (432.5, 2.1, 6.0),
        (29.8, 1.05, 4.0),
    ],
    "In": [
        (444.7, 13.3, 2.0),
        (452.3, 9.22, 2.0),
        (665.8, 8.93, 4.2),
        (703.5, 4.4, 4.6),
        (828.5, 3.16, 7.0),
        (17.7, 2.28, 2.5),
    ],
    "Sn": [
        (486.6, 14.8, 2.0),
        (495.0, 10.25, 2.0),
        (716.0, 9.35, 4.4),
        (758.0, 4.58, 4.8),
        (886.0, 3.26, 7.0),
        (26.2, 2.7, 2.5),
    ],
}
"""Core lines by element: binding energy (eV) of an oxide or salt, cross-section (C 1s = 1), full width (eV)."""

AUGER: dict[str, list[tuple[float, float, float]]] = {
    "C": [(263.0, 0.25, 14.0)],
    "N": [(380.0, 0.6, 10.0)],
    "O": [(508.5, 1.9, 7.0), (489.0, 0.6, 8.0), (475.0, 0.2, 8.0)],
    "F": [(654.0, 3.0, 6.0), (630.0, 0.8, 8.0)],
    "Na": [(990.0, 4.5, 4.0), (958.0, 1.2, 6.0)],
    "Ca": [(288.0, 1.2, 7.0), (318.0, 0.4, 8.0)],
    "Ti": [(382.0, 2.2, 8.0), (414.0, 1.2, 8.0)],
    "Mn": [(586.0, 2.8, 8.0), (541.0, 1.9, 9.0), (637.0, 1.2, 9.0)],
    "Fe": [(702.0, 1.8, 8.0), (648.0, 3.6, 9.0), (597.0, 2.6, 10.0)],
    "Co": [(773.0, 3.4, 7.0), (714.0, 3.0, 9.0), (653.0, 1.9, 10.0)],
    "Ni": [(845.0, 5.0, 7.0), (777.0, 4.0, 9.0), (711.0, 3.6, 10.0)],
    "Cu": [(917.5, 8.5, 5.0), (839.0, 3.5, 8.0), (770.0, 3.0, 10.0)],
    "Zn": [(988.0, 8.0, 5.0), (909.0, 4.5, 9.0), (828.0, 1.6, 9.0)],
    "In": [(401.0, 6.0, 6.0), (409.0, 4.0, 6.0)],
    "Sn": [(424.0, 7.0, 6.0), (432.0, 4.5, 6.0)],
}
"""Auger groups by element: kinetic energy (eV), strength on the scale of the cross-sections, full width (eV)."""

SHAKE_UP: dict[str, tuple[float, float]] = {"Fe": (8.0, 0.12), "Co": (5.5, 0.2), "Ni": (6.5, 0.3), "Cu": (9.0, 0.3)}
"""Distance (eV) and share of a satellite of the first two lines."""


X_RAY_SATELLITES: tuple[tuple[float, float], ...] = ((9.8, 0.064), (11.8, 0.032))
"""Distance (eV) to lower binding energies and share of what Al K-alpha 3 and 4 of an unfiltered source excite."""

OVERLAPPING = ("Al Cu", "B P", "Fe F", "Co Fe", "Ni Co", "N In", "Na Zn", "Mn Ni", "B Zr", "S Zr", "Ti In", "Ca Zr")
"""Pairs of which one has its strong lines or Auger lines under those of the other."""


@dataclass(frozen=True)
class Survey:
    """How a survey is measured: axis (eV), height of the strongest line (counts), charging, scatter of strengths.

    `plasmon` is the energy (eV) and the share of a plasmon of every line, that of two the square of the share;
    `satellites` adds the lines of an unfiltered source, and `stretch` is an error of the energy scale, eV an eV.
    """

    low_ev: float = 0.0
    high_ev: float = 1200.0
    step_ev: float = 1.0
    counts: float = 20000.0
    charging_ev: float = 0.0
    scatter: float = 0.15
    state_ev: float = 0.7
    broadening_ev: float = 1.2
    gain: dict[str, float] = field(default_factory=dict)
    plasmon: tuple[float, float] = (0.0, 0.0)
    satellites: bool = False
    stretch: float = 0.0

    @property
    def axis(self) -> FloatArray:
        """Binding energies as measured (eV)."""
        return np.arange(self.low_ev, self.high_ev + 0.5 * self.step_ev, self.step_ev)


def _line(axis: FloatArray, center: float, fwhm: float) -> FloatArray:
    gauss = 2.0 / fwhm * np.sqrt(_LN2 / np.pi) * np.exp(-4.0 * _LN2 * ((axis - center) / fwhm) ** 2)
    lorentz = 0.5 * fwhm / np.pi / ((axis - center) ** 2 + 0.25 * fwhm**2)
    return np.asarray(0.7 * gauss + 0.3 * lorentz)


def expected(composition: dict[str, float], how: Survey, rng: np.random.Generator) -> FloatArray:
    """Return the expected counts of a survey, shape (n,)."""
    axis = how.axis
    primary = np.zeros_like(axis)
    for element, fraction in composition.items():
        state = rng.normal(0.0, how.state_ev)
        lines = [(be, strength, width, state) for be, strength, width in LINES[element]]
        if element in SHAKE_UP:
            distance, share = SHAKE_UP[element]
            lines += [(be + distance, share * s, w + 1.5, state) for be, s, w in LINES[element][:2]]
        lines += [(PHOTON_EV - ke, s, w, 2.0 * state) for ke, s, w in AUGER.get(element, [])]
        for place, strength, width, moved in lines:
            kinetic = max(PHOTON_EV - place, 40.0)
            area = fraction * strength * kinetic**0.15 * float(np.exp(rng.normal(0.0, how.scatter)))
            wide = float(np.hypot(width, how.broadening_ev))
            seen = place + moved + how.charging_ev + how.stretch * place
            primary += area * _line(axis, seen, wide)
            energy, share = how.plasmon
            for times in (1, 2) if share else ():
                broad = float(np.hypot(wide, 0.25 * times * energy))
                primary += area * share**times * _line(axis, seen + times * energy, broad)
            for distance, part in X_RAY_SATELLITES if how.satellites else ():
                primary += area * part * _line(axis, seen - distance, wide)
    loss = np.arange(0.0, 200.0, how.step_ev)
    kernel = 2400.0 * loss / (1643.0 + loss**2) ** 2 * how.step_ev
    tail = np.convolve(primary, kernel)[: axis.size]
    again = np.convolve(tail, kernel)[: axis.size]
    smooth = 0.02 * primary.max() * (1.0 + 0.3 * (axis / 1200.0))
    whole = primary + 0.9 * tail + 0.5 * again + smooth
    return np.asarray(how.counts * whole / primary.max())


def simulate(composition: dict[str, float], how: Survey, seed: int) -> tuple[FloatArray, FloatArray]:
    """Return axis (eV) and counts of a survey of a composition in atomic fractions."""
    rng = np.random.default_rng([seed, 31])
    return how.axis, rng.poisson(expected(composition, how, rng)).astype(float)


def random_composition(seed: int, *, overlapping: bool = False) -> dict[str, float]:
    """Return a composition: C and O, two to five others of 2 at.% or more, with an overlapping pair if wanted."""
    rng = np.random.default_rng([seed, 17])
    pair = OVERLAPPING[seed % len(OVERLAPPING)].split() if overlapping else []
    others = [e for e in LINES if e not in ("C", "O", "Li", *pair)]
    size = int(rng.integers(2, 6)) - len(pair)
    chosen = ["C", "O", *pair, *rng.choice(others, size=size, replace=False)]
    share = rng.dirichlet(np.full(len(chosen), 1.5))
    share = 0.02 + (1.0 - 0.02 * len(chosen)) * share
    return {str(e): float(s) for e, s in zip(chosen, share, strict=True)}
