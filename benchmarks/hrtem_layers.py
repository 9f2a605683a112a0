"""Measure edges of layers in drawn images: how well, and how often the stated interval holds the truth.

    python benchmarks/hrtem_layers.py [N] [--seed 1] [--normal] [--verbose]

Each of N images shows a section through a surface: vacuum, an amorphous film (absent in three of ten), a rocksalt skin
(absent in three of ten), sometimes a spinel below it, and layered bulk. Drawn column of atoms by column of atoms: a
column belongs to the layer in which it stands, edges are rough and inclined along the beam, amorphous matter is atoms
at random, and lies thinly over everything. Weak-phase imaging by lenses of two kinds, counting noise of
300–5 000 e/Å². Orientation of the surface, of the lattices to it, scale and rotation of what the measurement is told of
the lattices (0.5 %, 0.3°) are drawn too. The measurement is told the order of all five layers that could be there, and
with --normal finds the normal of the surface itself.

Printed for each kind of edge: number, bias, rms and 95th percentile of the error in nm, share within 0.15 nm, mean
half width of the interval and the share of 95 % intervals that hold the truth; then layers invented and missed, limits
of absent layers, thickness, roughness, the normal, and how often each flag stands.
"""

from __future__ import annotations

import argparse
import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import time  # noqa: E402
from collections import defaultdict  # noqa: E402
from dataclasses import dataclass  # noqa: E402
from itertools import pairwise  # noqa: E402

import numpy as np  # noqa: E402
from layerscope.microscopy.image import Image  # noqa: E402
from layerscope.microscopy.layers.edges import measure_edges  # noqa: E402
from layerscope.microscopy.layers.model import Lattice  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

FloatArray = NDArray[np.float64]
SHAPE = (480, 720)
ORDER = ("vacuum", "amorphous", "rocksalt", "spinel", "layered")


def turn(degrees: float) -> FloatArray:
    """Rotation matrix."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s], [s, c]])


def crystal(name: str) -> tuple[FloatArray, FloatArray]:
    """Projected cell (vectors in nm, planes 111 or 003 nearly along x) and columns (fractions, strength).

    Rocksalt and spinel [110]: a/√2 x a. Layered [100]: the cell of one slab, shifted by a third from slab to slab.
    """
    if name == "layered":
        width = 0.28156 * np.sqrt(3) / 2
        cell = np.array([[width, 0.0], [width / 3, 1.40542 / 3]])
        return cell, np.array([(0, 0, 27.0), (0.17, 0.5, 3.0), (0.25, 0.24, 8.0), (0.42, 0.76, 8.0)])
    if name == "rocksalt":
        columns = [(0, 0, 27.0), (0.5, 0.5, 27.0), (0, 0.5, 8.0), (0.5, 0, 8.0)]
        a = 0.4261
    else:
        columns = [(0, 0.5, 54.0), (0.5, 0, 54.0)]
        columns += [(x, y, 27.0) for x in (0.25, 0.75) for y in (0.25, 0.75)]
        columns += [(0, 0.125, 27.0), (0, 0.875, 27.0), (0.5, 0.375, 27.0), (0.5, 0.625, 27.0)]
        columns += [(x, y, 16.0) for x in (0.0, 0.5) for y in (0.236, 0.764)]
        columns += [(x, y, 16.0) for x in (0.26, 0.74) for y in (0.0, 0.5)]
        a = 0.8084
    return np.array([[a / np.sqrt(2), 0.0], [0.0, a]]) @ turn(35.264).T, np.array(columns)


def lattice(name: str, degrees: float, scale: float) -> Lattice:
    """List reflections up to 9 /nm and their strength: what the measurement is told."""
    cell, columns = crystal(name)
    h = np.array([(i, j) for i in range(-7, 8) for j in range(-7, 8) if (i, j) > (0, 0)])
    g = h @ np.linalg.inv(cell @ turn(degrees).T).T / scale
    strength = np.abs(np.exp(2j * np.pi * h @ columns[:, :2].T) @ columns[:, 2])
    strength = strength * np.exp(-np.sum(g**2, axis=1) / 6.0**2)
    keep = (np.hypot(*g.T) < 9.0) & (strength > 0.02 * strength.max())
    return Lattice.of(name, g[keep], strength[keep])


@dataclass
class Scene:
    """One image with what is known of it; depths are along the normal from the middle of the image."""

    image: Image
    normal_deg: float
    edges: dict[tuple[str, str], float]
    rough: dict[tuple[str, str], float]
    told: tuple[str | Lattice, ...]
    about: str


def rough_line(rng: np.random.Generator, v: FloatArray, length: float) -> FloatArray:
    """Gaussian random line of standard deviation 1 with a correlation length in nm."""
    f = np.fft.rfftfreq(v.size, v[1] - v[0])
    line = np.fft.irfft(np.fft.rfft(rng.normal(size=v.size)) * np.exp(-((np.pi * f * length) ** 2)), n=v.size)
    return line / line.std()


def smoothed_deviation(v: FloatArray, line: FloatArray, seen: NDArray[np.bool_]) -> float:
    """Give the standard deviation, about a straight line, of what a window of 2 nm leaves of a rough edge."""
    weight = np.exp(-4 * np.log(2) * (v[:, None] - v) ** 2 / 2.0**2)
    smooth = (weight @ line / weight.sum(axis=1))[seen]
    return float(np.std(smooth - np.polyval(np.polyfit(v[seen], smooth, 1), v[seen])))


def draw(rng: np.random.Generator) -> Scene:
    """Draw one scene."""
    pixel = rng.uniform(0.018, 0.026)
    size = np.array(SHAPE[::-1]) * pixel
    normal = rng.normal(0, 12) + 180 * rng.integers(2)
    frame = np.array([turn(normal) @ (1, 0), turn(normal) @ (0, 1)])
    width = {"amorphous": rng.uniform(1, 4.5), "rocksalt": rng.uniform(1.5, 4.5), "spinel": rng.uniform(2, 3.5)}
    chance = {"vacuum": 1.0, "amorphous": 0.7, "rocksalt": 0.7, "spinel": 0.25, "layered": 1.0}
    names = [n for n in ORDER if rng.random() < chance[n]]
    thick = np.cumsum([0.0, *(width[n] for n in names[1:-1])])
    depth = -0.5 * size[0] + rng.uniform(2.8, 4.0) + thick * min(1.0, (size[0] - 7.5) / max(thick[-1], 1e-9))
    v = np.linspace(-size.max(), size.max(), 2000)
    sd, inclined, length = rng.uniform(0, 0.3), rng.uniform(0.01, 0.5), rng.uniform(1.5, 5)
    shared = rough_line(rng, v, length)
    lines = [d + sd * (0.6 * shared + 0.8 * rough_line(rng, v, length)) for d in depth]

    def share(at: FloatArray, layer: int) -> FloatArray:
        """Part of a column that lies in a layer: edges are inclined."""
        across, along = frame @ at.T
        above = [np.clip((across - np.interp(along, v, line)) / inclined + 0.5, 0, 1) for line in lines]
        above = [np.ones(len(at)), *above, np.zeros(len(at))]
        return above[layer] - above[layer + 1]

    potential = np.zeros(SHAPE)
    angle, told = normal + rng.uniform(0, 360), []
    for name in ORDER[2:]:
        own = angle + rng.normal(0, 1.0)
        told.append(lattice(name, own + rng.normal(0, 0.3), 1 + rng.normal(0, 0.005)))
        if name in names:
            cell, columns = crystal(name)
            cell = cell @ turn(own).T
            m = int(np.hypot(*size) / np.sqrt(abs(np.linalg.det(cell))))
            cells = np.stack([k.ravel() for k in np.mgrid[-m:m, -m:m]], axis=1) @ cell + rng.uniform(-0.2, 0.2, 2)
            for fx, fy, z in columns:
                at = cells + np.array([fx, fy]) @ cell
                at = at[(np.abs(at) < 0.5 * size - 2 * pixel).all(axis=1)]
                add(potential, at, z * share(at, names.index(name)), pixel)
    random = rng.uniform(-0.5, 0.5, (int(size.prod() * 250), 2)) * (size - 4 * pixel)
    some = len(random) // 3
    film, cover = random[some:], random[:some]
    if "amorphous" in names:
        film = film[rng.random(len(film)) < share(film, names.index("amorphous"))]
        add(potential, film, np.full(len(film), 5.0), pixel)
    cover = cover[rng.random(len(cover)) < 1 - share(cover, 0)]
    add(potential, cover, np.full(len(cover), rng.uniform(1, 4)), pixel)
    seen = np.abs(v) < 0.5 * size[1] - 0.5
    edges = {pair: float(line[seen].mean()) for pair, line in zip(pairwise(names), lines, strict=True)}
    rough = {pair: smoothed_deviation(v, line, seen) for pair, line in zip(pairwise(names), lines, strict=True)}
    image, lens = expose(rng, potential, pixel)
    about = f"{'|'.join(n[:2] for n in names)} normal {normal:.1f} sd {sd:.2f} incl {inclined:.2f} {lens}"
    return Scene(Image(image, (pixel, pixel)), normal, edges, rough, (*ORDER[:2], *told), about)


def add(potential: FloatArray, at: FloatArray, strength: FloatArray, pixel: float) -> None:
    """Add columns at places (x, y) from the middle of the image, between four pixels each."""
    place = at / pixel + 0.5 * np.array(potential.shape[::-1]) - 0.5
    low = np.floor(place).astype(int)
    part = place - low
    for dx in (0, 1):
        for dy in (0, 1):
            weight = np.abs(1 - dx - part[:, 0]) * np.abs(1 - dy - part[:, 1])
            np.add.at(potential, (low[:, 1] + dy, low[:, 0] + dx), strength * weight)


def expose(rng: np.random.Generator, potential: FloatArray, pixel: float) -> tuple[NDArray[np.float32], str]:
    """Image a weak phase object: lens, damping, counting noise."""
    corrected = rng.random() < 0.6
    wave, sphere = (0.00197, -0.01e6) if corrected else (0.00251, 0.5e6)
    focus = rng.choice([-1, 1]) * rng.uniform(3, 9) if corrected else -1.2 * np.sqrt(sphere * wave) + rng.normal(0, 5)
    fy, fx = np.fft.fftfreq(potential.shape[0], pixel)[:, None], np.fft.rfftfreq(potential.shape[1], pixel)
    g2 = fx**2 + fy**2
    chi = np.pi * wave * focus * g2 + 0.5 * np.pi * sphere * wave**3 * g2**2
    damping = np.exp(-((g2 / rng.uniform(5.5, 9) ** 2) ** 2) - 2 * (np.pi * 0.04) ** 2 * g2)
    signal = np.fft.irfft2(np.fft.rfft2(potential) * np.sin(chi) * damping, s=potential.shape)
    contrast, dose = rng.uniform(0.05, 0.25), 10 ** rng.uniform(2.5, 3.7)
    electrons = dose * 100 * pixel**2
    counts = rng.poisson(electrons * np.clip(1 + contrast * signal / signal.std(), 0.05, None))
    about = f"{'Cs-corrected' if corrected else 'Scherzer'} {focus:.0f} nm, contrast {contrast:.2f}, dose {dose:.0f}"
    return (counts * 4.0 + rng.normal(0, 2, counts.shape)).astype(np.float32), about


def measure(scene: Scene, find_normal: bool, rows: dict[str, list[tuple[float, ...]]]) -> str:
    """Measure one scene, add to the rows of the tables, and return what happened."""
    result = measure_edges(scene.image, scene.told, normal_deg=None if find_normal else scene.normal_deg)
    off = (result.normal_deg - scene.normal_deg + 180) % 360 - 180
    if find_normal:
        rows["normal"].append((off, result.normal_sigma_deg))
    text = []
    found = {(e.outer, e.inner): e for e in result.edges}
    for pair, truth in scene.edges.items():
        edge = found.pop(pair, None)
        if edge is None:
            text.append(f"{pair[0][:2]}|{pair[1][:2]} missed")
            rows["missed"].append((truth,))
            continue
        rows["|".join(pair)].append((edge.position_nm - truth, edge.sigma_nm))
        text.append(f"{pair[0][:2]}|{pair[1][:2]} {edge.position_nm - truth:+.3f}±{edge.sigma_nm:.3f}")
        if np.isfinite(edge.roughness_nm):
            rows["roughness"].append((edge.roughness_nm - scene.rough[pair], edge.roughness_sigma_nm))
    text += [f"{a[:2]}|{b[:2]} INVENTED" for a, b in found]
    for flag in result.flags:
        word, _, name = flag.partition(":")
        rows[f"flag {word}"].append((float(any(name in pair for pair in scene.edges)),))
    depth = {pair[1]: d for pair, d in scene.edges.items()}
    ends = {pair[0]: d for pair, d in scene.edges.items()}
    for layer in result.layers:
        truth = ends[layer.name] - depth[layer.name] if layer.name in ends and layer.name in depth else 0.0
        if np.isfinite(layer.thickness_nm) and truth > 0:
            rows["thickness"].append((layer.thickness_nm - truth, layer.sigma_nm))
        if layer.present != (truth > 0):
            rows["invented" if layer.present else "lost"].append((truth, layer.thickness_nm))
            text.append(f"{layer.name} {'INVENTED' if layer.present else 'LOST'} (truth {truth:.1f})")
        if not layer.present and np.isfinite(layer.limit_nm):
            rows["limit"].append((layer.limit_nm - truth, layer.limit_nm))
    return ", ".join((*text, *result.flags)) + (
        f", normal {off:+.2f}±{result.normal_sigma_deg:.2f}" if find_normal else ""
    )


def main() -> None:
    """Draw, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("n", nargs="?", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first scene, to see one again")
    parser.add_argument("--normal", action="store_true", help="find the normal, too")
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    rows: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    start = time.process_time()
    for n in range(arguments.first, arguments.first + arguments.n):
        scene = draw(np.random.default_rng([arguments.seed, n]))
        text = measure(scene, arguments.normal, rows)
        if arguments.verbose:
            print(n, scene.about, "\n   ", text, flush=True)
    print(f"{arguments.n} images, seed {arguments.seed}, {(time.process_time() - start) / arguments.n:.1f} CPU-s each")
    print(f"{'edge':20s} {'n':>4s} {'bias':>6s} {'rms':>6s} {'p95':>6s} {'<0.15':>6s} {'half':>6s} {'covered':>8s}")
    for name in [k for k in rows if "|" in k] + ["thickness", "normal", "roughness"]:
        if rows[name]:
            off, sigma = np.array(rows[name]).T
            print(
                f"{name:20s} {len(off):4d} {off.mean():6.3f} {np.sqrt(np.mean(off**2)):6.3f}"
                f" {np.quantile(np.abs(off), 0.95):6.3f} {np.mean(np.abs(off) < 0.15):6.2f}"
                f" {1.96 * sigma.mean():6.3f} {np.mean(np.abs(off) < 1.96 * sigma):8.2f}"
            )
    every = np.array([r for k in rows if "|" in k for r in rows[k]])
    print(
        f"{'all edges':20s} {len(every):4d} {every[:, 0].mean():6.3f} {np.sqrt(np.mean(every[:, 0] ** 2)):6.3f}"
        f" {np.quantile(np.abs(every[:, 0]), 0.95):6.3f} {np.mean(np.abs(every[:, 0]) < 0.15):6.2f}"
        f" {1.96 * every[:, 1].mean():6.3f} {np.mean(np.abs(every[:, 0]) < 1.96 * every[:, 1]):8.2f}"
    )
    limit = np.array(rows["limit"]).reshape(-1, 2)
    print(
        f"edges missed {len(rows['missed'])}; layers invented {len(rows['invented'])}, lost {len(rows['lost'])};"
        f" absent {len(limit)}, limit holds {np.mean(limit[:, 0] >= 0):.2f}, median {np.median(limit[:, 1]):.2f} nm"
    )
    for name in sorted(k for k in rows if k.startswith("flag ")):
        there = int(sum(row[0] for row in rows[name]))
        print(f"{name}: {len(rows[name])} in {arguments.n} images, {there} of them of a layer that is there")


if __name__ == "__main__":
    main()
