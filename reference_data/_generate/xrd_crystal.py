"""Structure factors of the layered phases and of aluminium, from atoms on the three-fold axis up.

Nothing here comes from layerscope: the positions of each cell are written out, the reflections of a sphere are summed
one by one and then grouped by spacing, so that multiplicities and extinctions follow by themselves.

Form factors: four Gaussians and a constant for the neutral atoms, International Tables for Crystallography C (1992),
Table 6.1.1.4 (Cromer-Mann form). Dispersion for Cu K-alpha-1: Cromer & Liberman (1981), Acta Cryst. A37, 267. Masses:
IUPAC standard atomic weights. The refinement programs use neutral atoms where a model names the element only, as the
models in ``phases/`` do: with ions the truth could not be recovered from those models.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from _generate.simulation import FloatArray
from _generate.xrd_profile import ALPHA1_A

FORM_FACTORS = {
    "Li": ((1.1282, 0.7508, 0.6175, 0.4653), (3.9546, 1.0524, 85.3905, 168.261), 0.0377),
    "O": ((3.0485, 2.2868, 1.5463, 0.867), (13.2771, 5.7011, 0.3239, 32.9089), 0.2508),
    "Al": ((6.4202, 1.9002, 1.5936, 1.9646), (3.0387, 0.7426, 31.5472, 85.0886), 1.1151),
    "Co": ((12.2841, 7.3409, 4.0034, 2.3488), (4.2791, 0.2784, 13.5359, 71.1692), 1.0118),
}
"""``a_i``, ``b_i`` (Å^2) and ``c`` of f0(s) = sum a_i exp(-b_i s^2) + c, s = sin(theta)/lambda in 1/Å."""

DISPERSION = {"Li": (0.0014, 0.0003), "O": (0.0494, 0.0322), "Al": (0.2126, 0.2455), "Co": (-2.3622, 3.6142)}
"""f' and f'' in electrons for Cu K-alpha."""

MASSES = {"Li": 6.94, "O": 15.999, "Al": 26.982, "Co": 58.933}
"""g/mol."""

_RHOMBOHEDRAL = ((0.0, 0.0, 0.0), (2.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0), (1.0 / 3.0, 2.0 / 3.0, 2.0 / 3.0))
_FACE_CENTRED = ((0.0, 0.0, 0.0), (0.0, 0.5, 0.5), (0.5, 0.0, 0.5), (0.5, 0.5, 0.0))


@dataclass(frozen=True)
class Site:
    """An atom on the axis at (0, 0, z): label, element, z, occupancy, B (Å^2)."""

    label: str
    element: str
    z: float
    occupancy: float
    b_iso: float


@dataclass(frozen=True)
class Structure:
    """A phase: rhombohedral in hexagonal axes (R-3m), or cubic face-centred (Fm-3m) where a = c and the atom is at 0.

    ``model`` is the file in ``phases/`` that has the same atoms; the cell is that of the simulated sample.
    """

    name: str
    model: str
    a: float
    c: float
    sites: tuple[Site, ...]
    cubic: bool = False

    @property
    def volume(self) -> float:
        """Of the cell, Å^3."""
        return self.a**3 if self.cubic else float(np.sqrt(0.75)) * self.a**2 * self.c

    def atoms(self) -> list[tuple[Site, FloatArray]]:
        """Return every atom of the cell: its site and its fractional coordinates, shape (3,)."""
        found = []
        for site in self.sites:
            on_inversion = (2.0 * site.z) % 1.0 == 0.0
            for z in (site.z,) if on_inversion else (site.z, -site.z):
                for shift in _FACE_CENTRED if self.cubic else _RHOMBOHEDRAL:
                    found.append((site, np.array([0.0, 0.0, z]) + np.array(shift)))
        return found

    @property
    def mass(self) -> float:
        """Of the cell's content, g/mol."""
        return sum(site.occupancy * MASSES[site.element] for site, _ in self.atoms())


@dataclass(frozen=True)
class Reflection:
    """A powder line: an index of it, spacing (Å), multiplicity, sum of |F|^2 over it / multiplicity, texture factor."""

    hkl: tuple[int, int, int]
    d: float
    multiplicity: int
    f_squared: float
    texture: float


def form_factor(element: str, s: float) -> float:
    """Return f0 of the neutral atom at s = sin(theta)/lambda (1/Å)."""
    a, b, c = FORM_FACTORS[element]
    return float(np.dot(a, np.exp(-np.array(b) * s * s)) + c)


def structure_factor_squared(structure: Structure, hkl: FloatArray, d: float) -> FloatArray:
    """Return |F|^2 (electron^2) of reflections of one spacing, shape (n,); B and dispersion included."""
    s = 0.5 / d
    total = np.zeros(len(hkl), dtype=np.complex128)
    for site, position in structure.atoms():
        real, imaginary = DISPERSION[site.element]
        f = form_factor(site.element, s) + real + 1j * imaginary
        damping = float(np.exp(-site.b_iso * s * s))
        total += site.occupancy * damping * f * np.exp(2j * np.pi * (hkl @ position))
    return np.asarray(np.abs(total) ** 2)


def march_dollase(cos_squared: FloatArray, r: float) -> FloatArray:
    """Return the March-Dollase factor for plates that lie flat; r = 1 is a random powder. Dollase (1986)."""
    return np.asarray((r * r * cos_squared + (1.0 - cos_squared) / r) ** -1.5)


def reflections(structure: Structure, d_min: float, march: float = 1.0) -> tuple[Reflection, ...]:
    """Return the powder lines down to `d_min` (Å), longest spacing first; those without intensity are left out."""
    a, c = structure.a, structure.c
    h_max, l_max = int(a / d_min) + 2, int(c / d_min) + 2
    grid = np.mgrid[-h_max : h_max + 1, -h_max : h_max + 1, -l_max : l_max + 1].reshape(3, -1).T.astype(float)
    h, k, m = grid.T
    across = (h * h + k * k) / a**2 if structure.cubic else 4.0 / 3.0 * (h * h + h * k + k * k) / a**2
    inverse = across + (m / c) ** 2
    keep = (inverse > 0.0) & (inverse <= d_min**-2)
    grid, inverse = grid[keep], inverse[keep]
    keys = np.round(inverse, 9)
    found = []
    for key in np.unique(keys):
        own = grid[keys == key]
        d = float(inverse[keys == key][0] ** -0.5)
        squares = structure_factor_squared(structure, own, d)
        lit = squares > 1e-6
        if not lit.any():
            continue
        own, squares = own[lit], squares[lit]
        cosine = np.ones(len(own)) if structure.cubic else (own[:, 2] / c) ** 2 * d * d
        r = 1.0 if structure.cubic else march
        texture = float(np.average(march_dollase(cosine, r), weights=squares))
        best = max(tuple(int(v) for v in row) for row in own)
        found.append(Reflection((best[0], best[1], best[2]), d, len(own), float(squares.mean()), texture))
    return tuple(sorted(found, key=lambda line: -line.d))


def lorentz_polarisation(two_theta: float) -> float:
    """Return (1 + cos^2 2theta) / (sin^2 theta cos theta): Bragg-Brentano, no monochromator."""
    angle = np.radians(two_theta)
    return float((1.0 + np.cos(angle) ** 2) / (np.sin(angle / 2.0) ** 2 * np.cos(angle / 2.0)))


def intensity_per_weight(structure: Structure, line: Reflection, wavelength: float = ALPHA1_A) -> float:
    """Return m |F|^2 LP / (M V): intensity of a line for unit weight, arbitrary unit, without texture."""
    two_theta = 2.0 * float(np.degrees(np.arcsin(wavelength / (2.0 * line.d))))
    lorentz = lorentz_polarisation(two_theta)
    return line.multiplicity * line.f_squared * lorentz / (structure.mass * structure.volume)


def layered(name: str, model: str, a: float, c: float) -> Structure:
    """Return one of the layered phases with the atoms of its model in ``phases/`` and a cell of its own (Å)."""
    sites = {
        "LiCoO2_O3": (("Li", "Li", 0.5, 1.0, 1.0), ("Co", "Co", 0.0, 1.0, 0.3), ("O", "O", 0.2602, 1.0, 0.5)),
        "LiCoO2_O3_delithiated": (
            ("Li", "Li", 0.5, 0.5, 1.0),
            ("Co", "Co", 0.0, 1.0, 0.3),
            ("O", "O", 0.26388, 1.0, 0.5),
        ),
        "LiCoO2_H1-3": (
            ("Li", "Li", 0.0, 0.25, 1.0),
            ("Co", "Co", 0.4207, 1.0, 0.3),
            ("O1", "O", 0.2828, 1.0, 0.5),
            ("O2", "O", 0.1242, 1.0, 0.5),
        ),
    }
    return Structure(name, model, a, c, tuple(Site(*row) for row in sites[model]))


ALUMINIUM = Structure("Al", "Al", 4.0495, 4.0495, (Site("Al", "Al", 0.0, 1.0, 0.8),), cubic=True)
"""Current collector; a at 25 C: Witt (1967), Z. Naturforsch. A 22, 92."""
