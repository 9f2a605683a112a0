"""How well names of ring mixtures hold, on lists of rings drawn from cells of their own.

    python benchmarks/hrtem_rings.py [N] [SEED]

Cells, symmetry and atoms stand below; nothing of the fit is used to draw. Each list has one, two or three
phases in equal parts, the minor ones at 0.15 to 1 of the first. Lines are weighted at random (a factor of 1.6, the
transfer of the image), weak ones are lost below a limit of 2 to 15 % of the strongest of all, rings nearer than
0.3 1/nm merge, and a radius errs by 0.2 to 1 %, all by one scale (3 %). A quarter of the lists have a phase that is not
in the library, a third one to three rings by chance. A phase that leaves no ring counts as absent.

Names are mixtures; "right" is the first one, "stated" its probability. Presence is asked of each phase of the library.
Rows are by the number of true phases, then by the number of phases that the first name has: only the second is known
to a reader, and only there can a true probability be right in each row.
"""

from __future__ import annotations

import sys
import time
from itertools import product

import numpy as np
from hrtem_calibration import chance, ece
from layerscope.microscopy.image import Scale
from layerscope.microscopy.indexing import index_rings, library_of
from layerscope.microscopy.spots import Rings

from layerscope.crystals import load_phase


def orbit(moves, place):
    """All places that symmetry makes of one; a move maps x, y, z."""
    found, fresh = {}, [place]
    while fresh:
        at = fresh.pop()
        key = tuple(round(v % 1.0, 4) % 1.0 for v in at)
        if key not in found:
            found[key] = at
            fresh.extend(move(*key) for move in moves)
    return tuple(found)


def spread(moves, atoms):
    """Atoms as (weight, places) from those of the asymmetric unit; a weight stands for the scattering."""
    return tuple((weight, orbit(moves, place)) for weight, place in atoms)


FACES = (lambda x, y, z: (x + 0.5, y + 0.5, z), lambda x, y, z: (x + 0.5, y, z + 0.5))
SPINEL = (*FACES, lambda x, y, z: (y, z, x), lambda x, y, z: (0.25 - x, 0.25 - y, z), lambda x, y, z: (-x, -y, -z))
C2C = (
    lambda x, y, z: (x + 0.5, y + 0.5, z),
    lambda x, y, z: (-x, -y, -z),
    lambda x, y, z: (x, -y, z + 0.5),
)
PMNB = (
    lambda x, y, z: (0.5 - x, y, z),
    lambda x, y, z: (x + 0.5, 0.5 - y, z + 0.5),
    lambda x, y, z: (-x, -y, -z),
)
RUTILE = (lambda x, y, z: (-x, -y, -z), lambda x, y, z: (0.5 - y, x + 0.5, z + 0.5))
LI, OX, F, CO, C, P, AL = 1.2, 2.0, 1.9, 5.5, 1.8, 3.5, 3.5  # electron scattering near g = 4 /nm, relative
CARBONATE = (
    (LI, (0.1965, 0.4488, 0.8342)),
    (C, (0.0, 0.0657, 0.25)),
    (OX, (0.0, 0.3216, 0.25)),
    (OX, (0.146, 0.9345, 0.3133)),
)
PHOSPHATE = (
    (LI, (0.5016, 0.1627, 0.3008)),
    (LI, (0.75, 0.4246, 0.2045)),
    (P, (0.25, 0.4115, 0.3079)),
    (OX, (0.0441, 0.3418, 0.2054)),
    (OX, (0.25, 0.0503, 0.2928)),
    (OX, (0.75, 0.0896, 0.1223)),
)
COBALT = ((CO, (0.125,) * 3), (CO, (0.5,) * 3), (OX, (0.263,) * 3))


def salt(one, other):
    """Rock salt."""
    return spread(FACES, ((one, (0.0,) * 3), (other, (0.5,) * 3)))


#: Cell (Å, monoclinic angle) and atoms; without atoms the strengths of lines are drawn.
CELLS = {
    "LiF": ((4.027,) * 3, 90.0, salt(LI, F)),
    "CoO": ((4.2612,) * 3, 90.0, salt(CO, OX)),
    "Al": ((4.0494,) * 3, 90.0, spread(FACES, ((AL, (0.0,) * 3),))),
    "Li2O": ((4.619,) * 3, 90.0, spread(FACES, ((OX, (0.0,) * 3), (LI, (0.25,) * 3), (LI, (0.75,) * 3)))),
    "Co3O4": ((8.0837,) * 3, 90.0, spread(SPINEL, COBALT)),
    "Li2CO3": ((8.3593, 4.9725, 6.1975), 114.83, spread(C2C, CARBONATE)),
    "Li3PO4": ((6.1113, 10.4612, 4.9208), 90.0, spread(PMNB, PHOSPHATE)),
    "LiB6O9F": ((7.6555, 8.5318, 10.7894), 90.0, ()),
}
REPORTED = {"LiB6O9F": ((1, 1, 1), (2, 1, 2))}
FOREIGN = {
    "Cu": ((3.615,) * 3, 90.0, spread(FACES, ((5.6, (0.0,) * 3),))),
    "NaCl": ((5.640,) * 3, 90.0, salt(3.0, 4.0)),
    "TiO2": ((4.594, 4.594, 2.959), 90.0, spread(RUTILE, ((5.5, (0.0,) * 3), (OX, (0.305, 0.305, 0.0))))),
    "SrTiO3": ((3.905,) * 3, 90.0, ((8.0, ((0.5,) * 3,)), (5.5, ((0.0,) * 3,)), (OX, tuple(0.5 * np.eye(3))))),
}
BAND = (1.6, 9.0)
MERGE = 0.3


def lines(cell, rng, only=()):
    """Radii (1/nm) and strengths of the lines of a cell."""
    (a, b, c), angle, atoms = cell
    beta = np.radians(angle)
    found = {}
    for hkl in product(range(-12, 13), repeat=3):
        h, k, l = hkl  # noqa: E741
        if hkl == (0, 0, 0) or (only and tuple(map(abs, hkl)) not in only):
            continue
        across = (h / a) ** 2 + (l / c) ** 2 - 2 * h * l * np.cos(beta) / (a * c)
        g = 10.0 * np.sqrt(across / np.sin(beta) ** 2 + (k / b) ** 2)
        if g < BAND[1] * 1.15:
            found.setdefault(round(g, 3), []).append(hkl)
    g = np.array(sorted(found))
    strength = np.empty(g.size)
    for at, key in enumerate(g):
        same = np.array(found[key])
        if atoms:
            waves = sum(w * np.exp(2j * np.pi * same @ np.array(places).T).sum(axis=1) for w, places in atoms)
            strength[at] = (np.abs(waves) ** 2).sum()
        else:
            strength[at] = len(same) * rng.exponential()
    seen = strength > 1e-3 * strength.max()
    g, strength = g[seen], (strength / (1.0 + (g / 4.0) ** 2) ** 2)[seen]  # electrons: amplitudes fall as 1 / g²
    return g, strength / strength.max()


def fixed():
    """Lines of all phases, strengths of each drawn once: a crystal has its own."""
    rng = np.random.default_rng(11)
    names = {**CELLS, **FOREIGN}
    return {name: lines(cell, rng, REPORTED.get(name, ())) for name, cell in names.items()}


def draw(rng, table):
    """Rings of a window and the names of the phases that left any."""
    count = int(rng.integers(1, 4))
    names = list(rng.choice(list(CELLS), count, replace=False))
    if rng.random() < 0.25:
        names.append(str(rng.choice(list(FOREIGN))))
    envelope = rng.uniform(5.0, 9.0)
    limit, scale = np.exp(rng.uniform(np.log(0.02), np.log(0.15))), np.exp(0.03 * rng.standard_normal())
    g, strength, left = [], [], set()
    for at, name in enumerate(names):
        share = 1.0 if at == 0 else np.exp(rng.uniform(np.log(0.15), 0.0))
        radius, height = table[name][0] * scale * np.exp(5e-4 * rng.standard_normal()), table[name][1] * share
        height = height * np.exp(np.log(1.6) * rng.standard_normal(height.size) - (radius / envelope) ** 2)
        shown = (height > limit) & (radius > BAND[0]) & (radius < BAND[1])
        g.extend(radius[shown])
        strength.extend(height[shown])
        if shown.any() and name in CELLS:
            left.add(name)
    for _ in range(int(rng.integers(1, 4)) if rng.random() < 1 / 3 else 0):
        g.append(rng.uniform(*BAND))
        strength.append(limit * rng.uniform(1, 3))
    g, strength = merged(np.array(g), np.array(strength))
    error = np.exp(rng.uniform(np.log(0.002), np.log(0.01)))
    sigma = error * g * np.exp(0.3 * rng.standard_normal(g.size))
    g = g + sigma * rng.standard_normal(g.size)
    order = np.argsort(g)
    return rings_of(g[order], sigma[order]), frozenset(left)


def merged(g, strength):
    """Join rings that are nearer than a finder tells apart, the nearest first, at their weighted mean."""
    order = np.argsort(g)
    g, strength = list(g[order]), list(strength[order])
    while len(g) > 1 and min(gaps := np.diff(g)) < MERGE:
        k = int(np.argmin(gaps))
        total = strength[k] + strength[k + 1]
        g[k] = (g[k] * strength[k] + g[k + 1] * strength[k + 1]) / total
        strength[k] = total
        del g[k + 1], strength[k + 1]
    return np.array(g), np.array(strength)


def rings_of(g, sigma):
    """Rings as the fit takes them."""
    ones, radius = np.ones(g.size), np.linspace(*BAND, 50)
    flat = np.ones(50)
    return Rings(g, sigma, ones, 0.2 * ones, radius, flat, flat)


def lists(count, seed):
    """Drawn lists with at least one ring."""
    rng, table = np.random.default_rng(seed), fixed()
    made = 0
    while made < count:
        rings, truth = draw(rng, table)
        if rings.g.size and truth:
            made += 1
            yield rings, truth


def judged(rings, truth, library):
    """Truth, the first name, its probability, whether it and the set are right, presence of each phase, set's size."""
    ranking = index_rings(rings, library, Scale())
    named = [frozenset(() if c.is_none else c.phase.split(" + ")) for c in ranking.candidates]
    inside = [name for name, c in zip(named, ranking.candidates, strict=True) if c.in_set]
    present = ranking.present()
    return {
        "true": len(truth),
        "named": len(named[0]),
        "first": (ranking.first.probability, named[0] == truth),
        "present": [(min(present.get(name, 0.0), 1.0), name in truth) for name in CELLS],
        "covers": truth in inside,
        "size": len(inside),
    }


def row(name, rows):
    """Print one group."""
    if not rows:
        return
    first = [one["first"] for one in rows]
    present = [pair for one in rows for pair in one["present"]]
    stated, right = np.array(first, float).T
    low, high = chance(stated, np.random.default_rng(0))
    print(
        f"{name:>8} {len(rows):4d}  {right.mean():.2f}   {stated.mean():.2f}   "
        f"{ece(stated, right):.3f} ({low:.3f}, {high:.3f})   {ece(*zip(*present, strict=True)):.3f}    "
        f"{np.mean([one['covers'] for one in rows]):.3f}  {np.mean([one['size'] for one in rows]):.1f}"
    )


def main(count=200, seed=1):
    """Print the table."""
    begun = time.process_time()
    library = library_of([load_phase(name) for name in CELLS])
    rows = [judged(rings, truth, library) for rings, truth in lists(count, seed)]
    print(f"{count} lists, seed {seed}")
    print("              first   first   ECE of names             ECE of   95 % set")
    print("   group    n  right  stated  (chance: median, 95 %)   presence covers  size")
    row("all", rows)
    for kind in ("true", "named"):
        for number in range(4):
            row(f"{number} {kind}", [one for one in rows if one[kind] == number])
    print(f"{time.process_time() - begun:.0f} CPU-s")


if __name__ == "__main__":
    main(*(int(value) for value in sys.argv[1:]))
