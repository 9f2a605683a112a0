"""Kinematic images of lattices for judging probabilities: its own crystals, zone axes, transfer functions and noise.

Nothing here is shared with the likelihood: structures are typed out atom by atom, electron scattering is Wentzel's
closed form, zone axes are found by counting. Two laws of the microscope, `tem` and `stem`: the second has another
transfer function (no zeros), other amplitudes (intensity instead of amplitude), other noise, another spread of scale.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cache

import numpy as np

FCC = [(0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)]
HEX = [(0, 0, 0), (2 / 3, 1 / 3, 1 / 3), (1 / 3, 2 / 3, 2 / 3)]
CCC = [(0, 0, 0), (0.5, 0.5, 0)]
Z = {"Li": 3, "B": 5, "C": 6, "O": 8, "F": 9, "Si": 14, "Ti": 22, "Mn": 25, "Co": 27, "Sr": 38, "Zr": 40, "La": 57}
TET = [(1 / 8, 1 / 8, 1 / 8), (7 / 8, 3 / 8, 3 / 8)]
OCT_D = [(0.5, 0.5, 0.5), (0.25, 0.75, 0), (0.75, 0, 0.25), (0, 0.25, 0.75)]


def oxygen(u):
    """Return the eight oxygen sites of a spinel, origin at the centre of symmetry."""
    a = [(u, u, u), (0.75 - u, 0.25 - u, u + 0.5), (0.25 - u, u + 0.5, 0.75 - u), (u + 0.5, 0.75 - u, 0.25 - u)]
    return a + [tuple(-v for v in site) for site in a]


def centred(sites, shifts):
    """Repeat sites by the centring."""
    return [(e, tuple((p + q) % 1 for p, q in zip(x, t, strict=True))) for e, x in sites for t in shifts]


def spinel(tetrahedral, octahedral, u):
    """Return a spinel's atoms."""
    sites = [(tetrahedral, x) for x in TET] + [(octahedral, x) for x in OCT_D] + [("O", x) for x in oxygen(u)]
    return centred(sites, FCC)


def signs(site, operations):
    """Repeat a site by operations given as functions."""
    return [operation(*site) for operation in operations]


MONO_C2M = [
    lambda x, y, z: (x, y, z),
    lambda x, y, z: (-x, y, -z),
    lambda x, y, z: (-x, -y, -z),
    lambda x, y, z: (x, -y, z),
]
MONO_C2C = [
    lambda x, y, z: (x, y, z),
    lambda x, y, z: (-x, y, 0.5 - z),
    lambda x, y, z: (-x, -y, -z),
    lambda x, y, z: (x, -y, z + 0.5),
]
MONO_P21C = [
    lambda x, y, z: (x, y, z),
    lambda x, y, z: (-x, y + 0.5, 0.5 - z),
    lambda x, y, z: (-x, -y, -z),
    lambda x, y, z: (x, 0.5 - y, z + 0.5),
]


def unique(atoms):
    """Atoms of special sites once."""
    seen = {}
    for e, x in atoms:
        seen[(e, *np.round(np.mod(np.round(x, 5), 1), 4))] = (e, tuple(np.mod(np.round(x, 5), 1)))
    return list(seen.values())


def general(sites, operations, shifts=((0, 0, 0),)):
    """All atoms of sites under operations and centring."""
    return unique(centred([(e, x) for e, site in sites for x in signs(site, operations)], shifts))


def cubic(a):
    """Cell of a cubic crystal."""
    return (a, a, a, 90, 90, 90)


CRYSTALS = {  # name: (cell in Å, atoms)
    "LiCoO2": (
        (2.8156, 2.8156, 14.0542, 90, 90, 120),
        centred([("Co", (0, 0, 0)), ("Li", (0, 0, 0.5)), ("O", (0, 0, 0.2602)), ("O", (0, 0, -0.2602))], HEX),
    ),
    "Co3O4": (cubic(8.0837), spinel("Co", "Co", 0.2631)),
    "LiCo2O4": (cubic(7.998), spinel("Li", "Co", 0.2625)),
    "CoO": (cubic(4.2612), centred([("Co", (0, 0, 0)), ("O", (0.5, 0.5, 0.5))], FCC)),
    "LiF": (cubic(4.027), centred([("Li", (0, 0, 0)), ("F", (0.5, 0.5, 0.5))], FCC)),
    "Li2MnO3": (
        (4.937, 8.532, 5.030, 90, 109.46, 90),
        general(
            [
                ("Li", (0, 0.5, 0)),
                ("Li", (0, 0, 0.5)),
                ("Li", (0, 0.6606, 0.5)),
                ("Mn", (0, 0.167, 0)),
                ("O", (0.2189, 0, 0.2273)),
                ("O", (0.2540, 0.3213, 0.2233)),
            ],
            MONO_C2M,
            CCC,
        ),
    ),
    "Li2CO3": (
        (8.3593, 4.9725, 6.1975, 90, 114.83, 90),
        general(
            [
                ("Li", (0.1965, 0.4486, 0.8345)),
                ("C", (0, 0.0657, 0.25)),
                ("O", (0, 0.3209, 0.25)),
                ("O", (0.1460, -0.0660, 0.3134)),
            ],
            MONO_C2C,
            CCC,
        ),
    ),
    "SrTiO3": (
        cubic(3.905),
        [("Sr", (0.5, 0.5, 0.5)), ("Ti", (0, 0, 0)), ("O", (0.5, 0, 0)), ("O", (0, 0.5, 0)), ("O", (0, 0, 0.5))],
    ),
    "Si": (cubic(5.431), centred([("Si", (0, 0, 0)), ("Si", (0.25, 0.25, 0.25))], FCC)),
    "LaB6": (
        cubic(4.1568),
        [("La", (0, 0, 0))] + [("B", x) for u in (0.2, 0.8) for x in [(u, 0.5, 0.5), (0.5, u, 0.5), (0.5, 0.5, u)]],
    ),
    "rutile": (
        (4.5937, 4.5937, 2.9587, 90, 90, 90),
        [("Ti", (0, 0, 0)), ("Ti", (0.5, 0.5, 0.5))]
        + [("O", x) for x in [(0.305, 0.305, 0), (0.695, 0.695, 0), (0.805, 0.195, 0.5), (0.195, 0.805, 0.5)]],
    ),
    "anatase": (
        (3.7845, 3.7845, 9.5143, 90, 90, 90),
        centred(
            [("Ti", (0, 0, 0)), ("Ti", (0, 0.5, 0.25))]
            + [("O", x) for x in [(0, 0, 0.2081), (0, 0, -0.2081), (0, 0.5, 0.4581), (0, 0.5, 0.0419)]],
            [(0, 0, 0), (0.5, 0.5, 0.5)],
        ),
    ),
    "baddeleyite": (
        (5.1505, 5.2116, 5.3173, 90, 99.23, 90),
        general(
            [("Zr", (0.2754, 0.0395, 0.2083)), ("O", (0.07, 0.3317, 0.3447)), ("O", (0.4496, 0.7569, 0.4792))],
            MONO_P21C,
        ),
    ),
}
LIBRARY = ("LiCoO2", "Co3O4", "LiCo2O4", "CoO", "LiF", "Li2MnO3", "Li2CO3")
FOREIGN = ("SrTiO3", "Si", "LaB6", "rutile", "anatase", "baddeleyite")
FAMILY = {
    "LiCoO2": "layered",
    "Li2MnO3": "layered",
    "Co3O4": "spinel",
    "LiCo2O4": "spinel",
    "CoO": "rocksalt",
    "LiF": "rocksalt",
    "Li2CO3": "other",
}


def basis(cell):
    """Rows a, b, c of a cell in nm."""
    a, b, c, al, be, ga = cell
    al, be, ga = np.radians([al, be, ga])
    x = np.cos(be)
    y = (np.cos(al) - np.cos(be) * np.cos(ga)) / np.sin(ga)
    rows = np.array([[a, 0, 0], [b * np.cos(ga), b * np.sin(ga), 0], [c * x, c * y, c * np.sqrt(1 - x * x - y * y)]])
    return rows / 10


def scattering(element, g):
    """Wentzel's form of the electron scattering amplitude (g in 1/nm), with a thermal factor of 0.5 Å²."""
    radius = 0.0529 * Z[element] ** (-1 / 3)
    return 2 * Z[element] * radius**2 / (1 + (2 * np.pi * radius * g) ** 2) * np.exp(-0.005 * g**2 / 4)


@cache
def reflections(name, most=10.0):
    """Return indices and |F| of all reflections below `most` 1/nm (F is zero where absent)."""
    cell, atoms = CRYSTALS[name]
    b = np.linalg.inv(basis(cell)).T
    top = [int(length / 10 * most) + 1 for length in cell[:3]]
    hkl = np.array([h for h in itertools.product(*(range(-m, m + 1) for m in top)) if any(h)])
    g = np.linalg.norm(hkl @ b, axis=1)
    hkl, g = hkl[g < most], g[g < most]
    total = np.zeros(len(hkl), complex)
    for element, place in atoms:
        total += scattering(element, g) * np.exp(2j * np.pi * (hkl @ np.array(place)))
    return hkl, np.abs(total)


@cache
def zone_axes(name):
    """Zone axes with up to 2 in their indices that show at least two reflections below 5.5 1/nm, and their weights."""
    cell, _ = CRYSTALS[name]
    hkl, size = reflections(name)
    b = np.linalg.inv(basis(cell)).T
    length = np.linalg.norm(hkl @ b, axis=1)
    axes, weight, seen = [], [], set()
    for uvw in itertools.product(range(-2, 3), repeat=3):
        if not any(uvw) or np.gcd.reduce(uvw) != 1 or uvw < tuple(-v for v in uvw):
            continue
        zone = hkl @ np.array(uvw) == 0
        strong = zone & (length < 5.5) & (size > 0.1 * size[zone].max(initial=0))
        if strong.sum() < 4 or np.linalg.matrix_rank(hkl[strong]) < 2:
            continue
        key = tuple(np.sort(np.round(length[strong], 3)))
        if key not in seen:
            seen.add(key)
            axes.append(uvw)
            weight.append(strong.sum())
    order = np.argsort(weight)[::-1][:6]
    return [axes[k] for k in order], np.array(weight, float)[order] / np.sum(np.array(weight, float)[order])


def strained(name, rng):
    """Cell of one crystal: the textbook's half of the time, else within what charge and coherent growth allow."""
    cell = np.array(CRYSTALS[name][0], float)
    cell[:3] *= np.exp(rng.normal(0, 0.001))
    if rng.random() < 0.5:
        if name == "CoO":
            cell[:3] = rng.uniform(3.98, 4.27)
        if name == "LiCoO2":
            cell[2] = rng.uniform(13.9, 14.45)
    return cell


@dataclass(frozen=True)
class Trial:
    """One image with its truth."""

    image: np.ndarray
    pixel_nm: float
    truth: str  # name, "foreign" or "amorphous"
    crystal: str
    zone: tuple
    factor: float  # stated over true: what the image's scale was off by
    window_nm: float


def in_plane(name, uvw, cell):
    """Reflections of a zone in its plane: hkl, g (n, 2), |F|, of the half plane, and those of forbidden points."""
    hkl, size = reflections(name)
    rows = basis(cell)
    g = hkl @ np.linalg.inv(rows).T
    axis = np.array(uvw, float) @ rows
    axis /= np.linalg.norm(axis)
    zone = hkl @ np.array(uvw) == 0
    first = g[zone][np.argmin(np.linalg.norm(g[zone], axis=1))]
    x = first / np.linalg.norm(first)
    y = np.cross(axis, x)
    flat = np.stack([g @ x, g @ y], axis=1)
    half = (flat[:, 1] > 1e-6) | ((np.abs(flat[:, 1]) <= 1e-6) & (flat[:, 0] > 0))
    use = zone & half
    top = size[use].max()
    absent = use & (size < 0.02 * top)
    next_zone = (np.abs(hkl @ np.array(uvw)) == 1) & half & (size > 0.1 * size.max())
    keep = use & (size >= 0.02 * top)
    return flat[keep], size[keep] / top, np.concatenate([flat[absent], flat[next_zone]])


def transfer_tem(rng):
    """Transfer function of a microscope with plates: astigmatism, zeros, an envelope."""
    kv = rng.choice([80, 200, 300])
    wave = {80: 0.00418, 200: 0.00251, 300: 0.00197}[int(kv)]
    focus = rng.normal() * (10 if kv == 300 else 40)
    spherical = -1e4 if kv == 80 else rng.choice([-1e4, 0.5e6, 1e6])
    stigma, direction, cut = rng.normal(0, 0.08) * abs(focus), rng.uniform(0, np.pi), rng.uniform(4.5, 9)

    def transfer(g, angle):
        local = focus + stigma * np.cos(2 * (angle - direction))
        phase = np.pi * wave * local * g**2 + 0.5 * np.pi * spherical * wave**3 * g**4 + 0.2
        return np.abs(np.sin(phase)) * np.exp(-((g / cut) ** 4)) + 0.02

    return transfer


def transfer_stem(rng):
    """Transfer of a scanned probe: no zeros, falls like the overlap of two discs, stretched along one direction."""
    limit, source, stigma, direction = rng.uniform(7, 14), rng.uniform(3, 8), rng.normal(0, 0.1), rng.uniform(0, np.pi)

    def transfer(g, angle):
        along = g * (1 + stigma * np.cos(2 * (angle - direction)))
        u = np.clip(along / limit, 0, 1)
        disc = (np.arccos(u) - u * np.sqrt(1 - u**2)) * 2 / np.pi
        return disc * np.exp(-0.5 * (along / source) ** 2) + 1e-3

    return transfer


def draw(rng, law="tem", kind=None):
    """Draw one image.

    Parameters
    ----------
    rng : numpy Generator
    law : {"tem", "stem"}
        Which generator.
    kind : {"library", "foreign", "amorphous"}, optional
        What is seen; by default 70, 15 and 15 %.
    """
    kind = kind or str(rng.choice(["library", "foreign", "amorphous"], p=[0.7, 0.15, 0.15]))
    window, pixel = rng.uniform(2, 10), rng.uniform(0.015, 0.025)
    n = int(window / pixel)
    transfer = (transfer_tem if law == "tem" else transfer_stem)(rng)
    fx, fy = np.fft.rfftfreq(n, pixel)[None], np.fft.fftfreq(n, pixel)[:, None]
    g = np.hypot(fx, fy)
    white = np.fft.rfft2(rng.standard_normal((n, n), dtype=np.float32))
    glass = np.fft.irfft2(white * transfer(g, np.arctan2(fy, fx)) * np.exp(-((g / 8) ** 2)), s=(n, n))
    glass /= glass.std()
    name, uvw, factor, waves = "", (), 1.0, 0.0
    contrast = 10 ** rng.uniform(-1.3, -0.5)
    if kind != "amorphous":
        name = str(rng.choice(LIBRARY if kind == "library" else FOREIGN))
        axes, weight = zone_axes(name)
        uvw = axes[rng.choice(len(axes), p=weight)]
        places, size, ghosts = in_plane(name, uvw, strained(name, rng))
        factor = (
            np.exp(np.clip(rng.normal(0, 0.03), -0.06, 0.06))
            if law == "tem"
            else np.exp(0.024 * np.clip(rng.standard_t(4), -3, 3))
        )
        e1, e2 = rng.normal(0, 0.01, 2)
        turn = rng.uniform(0, 2 * np.pi)
        c, s = np.cos(turn), np.sin(turn)
        matrix = (
            factor
            * np.array([[1 + e1, e2], [e2, 1 - e1]])
            @ np.array([[c, -s], [s, c]])
            @ np.diag([1, rng.choice([-1, 1])])
        )
        law_of_size = size if law == "tem" else size**1.6
        amplitude = law_of_size * np.exp(rng.normal(0, 0.5 if law == "tem" else 0.6, len(size)))
        if rng.random() < 0.35 and len(ghosts):
            shown = ghosts[rng.random(len(ghosts)) < 0.15]
            places = np.concatenate([places, shown])
            amplitude = np.concatenate([amplitude, 0.03 * np.exp(rng.normal(0, 0.5, len(shown)))])
        places = places @ matrix.T
        radius = np.hypot(*places.T)
        amplitude = amplitude * transfer(radius, np.arctan2(places[:, 1], places[:, 0]))
        amplitude = np.where(radius < 0.48 / pixel, amplitude, 0)
        axis = np.arange(n) * pixel
        phase = np.exp(2j * np.pi * rng.random(len(places)))
        columns = np.exp(2j * np.pi * np.outer(places[:, 0], axis))
        lines = np.exp(2j * np.pi * np.outer(axis, places[:, 1]))
        waves = ((lines * (amplitude * phase)) @ columns).real
        waves = contrast * waves / waves.std()
    image = 1 + waves + contrast * rng.uniform(0.1, 0.75) * glass
    dose = 10 ** rng.uniform(2, 3.5) * 100 * pixel**2
    if law == "tem":
        image = rng.poisson(np.clip(image, 0.02, None) * dose) * 8 + rng.normal(0, 3, image.shape)
    else:
        image = image + rng.normal(0, 1 / np.sqrt(dose), image.shape) + rng.normal(0, 0.1 / np.sqrt(dose), (n, 1))
    truth = {"library": name, "foreign": "foreign", "amorphous": "amorphous"}[kind]
    return Trial(image.astype(np.float32), float(pixel), truth, name, uvw, float(factor), float(window))
