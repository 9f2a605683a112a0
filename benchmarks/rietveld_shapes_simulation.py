"""Simulated powder patterns of three phases whose lines no refinement assumes; shares no code with the package.

Mixtures of LiCoO2 (O3), H1-3 and Co3O4. Structure factors are summed over the atoms of the cell for every reflection
of a sphere of the reciprocal lattice, so there are no tables of symmetry. The diffractometer is traced ray by ray:
finite focus with the tails of its tube, axial divergence, flat specimen, opaque or transparent, receiving slit. The
emission of the tube is a sum of Lorentzians with a satellite. Crystallites are spheres of log-normal diameters, and
strain depends on the direction in the cell.

Form factors: International Tables for Crystallography C (2004), table 6.1.1.4; dispersion at Cu K-alpha: Cromer &
Liberman (1981), Acta Cryst. A37, 267. Emission: Hölzer et al. (1997), Phys. Rev. A 56, 4554; satellite: Berger (1986),
X-Ray Spectrom. 15, 241. Tails of a tube: Bergmann et al. (2000), Mater. Sci. Forum 347, 303. Spheres: the shape factor
1 - 3 L / 2 D + (L / D)**3 / 2 (Langford & Louer 1982, J. Appl. Cryst. 15, 20).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

FORM = {
    "Co": ((12.2841, 7.3409, 4.0034, 2.2348), (4.2791, 0.2784, 13.5359, 71.1692), 1.0118, complex(-2.365, 3.614)),
    "O": ((3.0485, 2.2868, 1.5463, 0.867), (13.2771, 5.7011, 0.3239, 32.9089), 0.2508, complex(0.047, 0.032)),
    "Li": ((1.1282, 0.7508, 0.6175, 0.4653), (3.9546, 1.0524, 85.3905, 168.261), 0.0377, complex(0.001, 0.0003)),
}
MASS = {"Co": 58.933, "O": 15.999, "Li": 6.94}
# wavelength (Å), width (Å), share of the intensity: K-alpha 1 and 2 as two Lorentzians each, K-alpha 3
LAMBDA = 1.5405929
EMISSION = (
    (1.540591, 0.000436, 0.579),
    (1.541064, 0.000602, 0.080),
    (1.544399, 0.000502, 0.236),
    (1.544686, 0.000626, 0.105),
    (1.534753, 0.003685, 0.010),
)
FINE, HALF = 0.002, 6.0  # step and half range of a line's own axis (degrees)
RAYS = 20_000

Atom = tuple[str, float, float, float, float, float]  # element, x, y, z, occupancy, B


def _r3m(atoms: list[Atom]) -> list[Atom]:
    """Atoms on (0, 0, z) of R-3m, hexagonal axes."""
    out = []
    for element, _, _, z, occupancy, b in atoms:
        for dx, dy, dz in ((0.0, 0.0, 0.0), (2 / 3, 1 / 3, 1 / 3), (1 / 3, 2 / 3, 2 / 3)):
            for sign in {1.0, 1.0 if min(z % 0.5, 0.5 - z % 0.5) < 1e-9 else -1.0}:
                out.append((element, dx, dy, (dz + sign * z) % 1.0, occupancy, b))
    return out


def _spinel(u: float, b: tuple[float, float, float]) -> list[Atom]:
    """Co3O4, Fd-3m with the origin at the inversion centre."""
    faces = ((0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0))
    quarter = {
        "a": [(1 / 8,) * 3, (7 / 8,) * 3],
        "d": [(0.5, 0.5, 0.5), (0.25, 0.75, 0.0), (0.75, 0.0, 0.25), (0.0, 0.25, 0.75)],
        "e": [
            (u, u, u),
            (0.25 - u, 0.25 - u, u),
            (0.25 - u, u, 0.25 - u),
            (u, 0.25 - u, 0.25 - u),
            (-u, -u, -u),
            (0.75 + u, 0.75 + u, -u),
            (0.75 + u, -u, 0.75 + u),
            (-u, 0.75 + u, 0.75 + u),
        ],
    }
    kinds = (("a", "Co", b[0]), ("d", "Co", b[1]), ("e", "O", b[2]))
    return [
        (element, *((np.array(p) + f) % 1.0), 1.0, value)
        for site, element, value in kinds
        for p in quarter[site]
        for f in faces
    ]


@dataclass(frozen=True)
class Crystal:
    """A phase: cell a, c (Å) and gamma (degrees), atoms of the whole cell."""

    a: float
    c: float
    gamma: float
    atoms: tuple[Atom, ...]

    @property
    def volume(self) -> float:
        """Å³."""
        return self.a**2 * self.c * math.sin(math.radians(self.gamma))

    @property
    def mass(self) -> float:
        """Of the cell, atomic units."""
        return sum(MASS[element] * occupancy for element, _, _, _, occupancy, _ in self.atoms)

    def lines(self, top: float) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return d (Å), sum of |F|² and the cosine squared to c of every line up to 2theta `top` (degrees)."""
        least = LAMBDA / (2 * math.sin(math.radians(top / 2)))
        n, m = int(self.a / least) + 2, int(self.c / least) + 1
        hkl = np.array([(h, k, q) for h in range(-n, n + 1) for k in range(-n, n + 1) for q in range(-m, m + 1)], float)
        hkl = hkl[np.any(hkl != 0, axis=1)]
        g = math.radians(self.gamma)
        across = (hkl[:, 0] ** 2 + hkl[:, 1] ** 2 - 2 * hkl[:, 0] * hkl[:, 1] * math.cos(g)) / (
            self.a * math.sin(g)
        ) ** 2
        along = (hkl[:, 2] / self.c) ** 2
        keep = across + along < 1 / least**2
        hkl, across, along = hkl[keep], across[keep], along[keep]
        s2 = (across + along) / 4
        factor = np.zeros(len(hkl), complex)
        for element, x, y, z, occupancy, b in self.atoms:
            a4, b4, c0, dispersion = FORM[element]
            f = c0 + dispersion + sum(p * np.exp(-q * s2) for p, q in zip(a4, b4, strict=True))
            factor += occupancy * f * np.exp(-b * s2 + 2j * np.pi * (hkl @ np.array([x, y, z])))
        power = np.abs(factor) ** 2
        tilt = along / (across + along)
        key = np.round(np.stack([across + along, tilt], axis=1), 7)
        groups, which = np.unique(key, axis=0, return_inverse=True)
        total = np.bincount(which.ravel(), power)
        strong = total > 1e-5 * total.max()
        return 1 / np.sqrt(groups[strong, 0]), total[strong], groups[strong, 1]


def crystals() -> dict[str, Crystal]:
    """Return the three phases; what the fit knows of them are these atoms too."""
    o3 = _r3m([("Li", 0, 0, 0.5, 0.5, 1.0), ("Co", 0, 0, 0.0, 1.0, 0.3), ("O", 0, 0, 0.26388, 1.0, 0.5)])
    h13 = _r3m(
        [
            ("Li", 0, 0, 0.0, 0.25, 1.0),
            ("Co", 0, 0, 0.4207, 1.0, 0.3),
            ("O", 0, 0, 0.2828, 1.0, 0.5),
            ("O", 0, 0, 0.1242, 1.0, 0.5),
        ]
    )
    return {
        "O3": Crystal(2.811, 14.35, 120.0, tuple(o3)),
        "H1-3": Crystal(2.823, 27.02, 120.0, tuple(h13)),
        "Co3O4": Crystal(8.084, 8.084, 90.0, tuple(_spinel(0.2631, (0.3, 0.3, 0.5)))),
    }


@dataclass(frozen=True)
class Sample:
    """Sizes and strain of a phase.

    Attributes
    ----------
    diameter_nm, spread : float
        Median of the diameters, and the standard deviation of their logarithm.
    strain_a, strain_c : float
        Root mean square strain across and along c.
    """

    diameter_nm: float = 400.0
    spread: float = 0.3
    strain_a: float = 2e-4
    strain_c: float = 2e-4


@dataclass(frozen=True)
class Optics:
    """The diffractometer (mm, degrees): Bragg-Brentano."""

    radius: float = 200.0
    focus: float = 0.04
    slit: float = 0.1
    divergence: float = 1.0
    axial: float = 10.0  # length of focus, specimen and slit
    soller: float = 5.0  # full opening
    depth: float = 0.0  # 1/e depth of the intensity
    tail_share: float = 0.0
    tail_reach: float = 1.0
    displacement: float = 0.03

    def rays(self, two_theta: float, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """Return where rays that are scattered by a sharp line are seen (degrees off it), and their weights."""
        theta, r = math.radians(two_theta / 2), self.radius
        u = rng.random((7, RAYS))
        half = math.radians(self.divergence / 2)
        focus = (u[0] - 0.5) * self.focus
        tail = u[6] < self.tail_share
        focus = np.where(tail, (2 * rng.random(RAYS) - 1) * self.tail_reach, focus)
        alpha = (2 * u[1] - 1) * half
        sx = -r * math.cos(theta) + focus * math.sin(theta)
        sy = r * math.sin(theta) + focus * math.cos(theta)
        down = -theta + alpha
        height = self.displacement + self.depth * math.sin(theta) / 2 * np.log(np.maximum(u[2], 1e-12))
        t = (height - sy) / np.sin(down)
        px, py = sx + t * np.cos(down), height
        up = down + 2 * theta
        along = px * np.cos(up) + py * np.sin(up)
        t = -along + np.sqrt(along**2 - px**2 - py**2 + r**2)
        seen = np.arctan2(py + t * np.sin(up), px + t * np.cos(up)) - theta
        beta, gamma = (self.axial * (u[k + 1] - u[k]) / r for k in (3, 4))
        cosine = (math.cos(2 * theta) - np.sin(beta) * np.sin(gamma)) / (np.cos(beta) * np.cos(gamma))
        seen += np.arccos(np.clip(cosine, -1, 1)) - 2 * theta
        seen += (rng.random(RAYS) - 0.5) * self.slit / r
        opening = math.radians(self.soller) / 2
        weight = np.maximum(1 - np.abs(beta) / opening, 0) * np.maximum(1 - np.abs(gamma) / opening, 0)
        return np.degrees(seen), weight


def _emission(two_theta: float, frequency: FloatArray) -> NDArray[np.complex128]:
    """Fourier transform of the tube's emission at a line; `frequency` in 1/degree times 2 pi."""
    slope = math.degrees(2 * math.tan(math.radians(two_theta / 2)) / LAMBDA)
    return sum(
        share * np.exp(-1j * frequency * slope * (value - LAMBDA) - 0.5 * width * slope * np.abs(frequency))
        for value, width, share in EMISSION
    )


def _crystallites(sample: Sample, two_theta: float, tilt: float, frequency: FloatArray) -> FloatArray:
    """Fourier transform of size and strain."""
    theta = math.radians(two_theta / 2)
    length = np.abs(np.degrees(1) * frequency) * LAMBDA / (2 * np.pi * math.cos(theta))
    nodes, weights = np.polynomial.hermite_e.hermegauss(15)
    diameter = 10 * sample.diameter_nm * np.exp(sample.spread * nodes)
    volume = weights * diameter**3
    ratio = np.minimum(length[:, None] / diameter, 1.0)
    size = ((1 - 1.5 * ratio + 0.5 * ratio**3) @ volume) / volume.sum()
    strain = sample.strain_a + (sample.strain_c - sample.strain_a) * tilt
    spread = math.degrees(2 * strain * math.tan(theta))
    return np.asarray(size * np.exp(-0.5 * (frequency * spread) ** 2))


def pattern(crystal: Crystal, sample: Sample, optics: Optics, x: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return the pattern of one unit of weight, shape (n,)."""
    d, power, tilt = crystal.lines(float(x[-1]) + 3.0)
    count = int(2 * HALF / FINE)
    own = (np.arange(count) - count // 2) * FINE
    frequency = 2 * np.pi * np.fft.rfftfreq(count, FINE)
    out = np.zeros_like(x)
    for spacing, strength, cosine in zip(d, power, tilt, strict=True):
        angle = 2 * math.degrees(math.asin(LAMBDA / (2 * spacing)))
        if angle < x[0] - 3 or angle > x[-1] + 3:
            continue
        theta = math.radians(angle / 2)
        area = strength * (1 + math.cos(2 * theta) ** 2) / (math.sin(theta) ** 2 * math.cos(theta))
        seen, weight = optics.rays(angle, rng)
        place = seen / FINE + count // 2
        low = np.clip(np.floor(place).astype(int), 0, count - 2)
        part = place - low
        drawn = np.bincount(low, weight * (1 - part), count) + np.bincount(low + 1, weight * part, count)
        whole = np.fft.rfft(np.fft.ifftshift(drawn / drawn.sum())) * _emission(angle, frequency)
        whole = whole * _crystallites(sample, angle, cosine, frequency)
        line = np.fft.fftshift(np.fft.irfft(whole, count)) / FINE
        out += area * np.interp(x - angle, own, line, left=0.0, right=0.0)
    return out / (crystal.mass * crystal.volume)


@dataclass(frozen=True)
class Kind:
    """A block of the benchmark: the diffractometer, and sizes and strain of each phase."""

    optics: Optics = field(default_factory=Optics)
    samples: dict[str, Sample] = field(default_factory=dict)


KINDS = {
    "plain": Kind(),
    "tails": Kind(Optics(tail_share=0.04, tail_reach=1.5)),
    "sizes": Kind(
        Optics(),
        {"O3": Sample(60, 0.5), "H1-3": Sample(15, 0.7), "Co3O4": Sample(20, 0.3)},
    ),
    "strain": Kind(
        Optics(),
        {"O3": Sample(150, 0.3, 3e-4, 3e-3), "H1-3": Sample(60, 0.4, 5e-4, 5e-3), "Co3O4": Sample(100, 0.4)},
    ),
    "all": Kind(
        Optics(tail_share=0.03, tail_reach=1.5, depth=0.05),
        {"O3": Sample(100, 0.5, 3e-4, 2e-3), "H1-3": Sample(20, 0.6, 5e-4, 4e-3), "Co3O4": Sample(40, 0.5)},
    ),
}


@dataclass(frozen=True)
class Truth:
    """A pattern: axis (degrees), mean counts, weight fractions and cells."""

    x: FloatArray
    mean: FloatArray
    fractions: dict[str, float]
    cells: dict[str, Crystal]


def simulate(kind: str, strongest: float, seed: int, *, without: str = "", trace: float = 0.0) -> Truth:
    """Return the mean of a pattern, and what is in it.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    strongest : float
        Counts of the highest point above the background.
    seed : int
    without : str
        Phase that is not there.
    trace : float
        Weight fraction of it that is there nevertheless.
    """
    rng = np.random.default_rng([7, seed])
    x = np.arange(15.0, 80.0, 0.025)
    chosen, known = KINDS[kind], crystals()
    shares = rng.dirichlet([1.2, 1.0, 0.6])
    shares = np.maximum(shares, 0.01) / np.maximum(shares, 0.01).sum()
    shares = np.where(np.array(list(known)) == without, 0.0, shares)
    shares = (1 - trace) * shares / shares.sum()
    shares = np.where(np.array(list(known)) == without, trace, shares)
    moved, drawn = {}, np.zeros_like(x)
    for share, (name, crystal) in zip(shares, known.items(), strict=True):
        a, c = crystal.a * (1 + 5e-4 * rng.standard_normal()), crystal.c * (1 + 2e-3 * rng.standard_normal())
        moved[name] = Crystal(a, a if crystal.gamma == 90 else c, crystal.gamma, crystal.atoms)
        drawn += share * pattern(moved[name], chosen.samples.get(name, Sample()), chosen.optics, x, rng)
    scaled = (x - x[0]) / (x[-1] - x[0])
    level = 0.02 * strongest * (1 + 0.8 * (1 - scaled) ** 2 + 0.5 * np.exp(-(((x - 24) / 6) ** 2)))
    mean = strongest * drawn / drawn.max() + level + 30
    return Truth(x, mean, dict(zip(known, map(float, shares), strict=True)), moved)
