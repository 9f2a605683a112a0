"""What competes with the library: no lattice at all, a lattice that is not in it, and rings of many small crystals.

The other lattice is a free two-dimensional net. Its shortest vector and its orientation are flat (the length in its
logarithm); foreign crystals are seen along low zone axes like those of the library, so nets of high symmetry have a
share of their own: square, hexagonal, centred and plain rectangles, and the rectangle 1 : √2 of cubic [1 1 0].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .detection import CLUTTER_ALONE, Marks, log_sum, reflection_marks, unmatched_of_net
from .matching import linear, nearest, place

__all__ = ["Net", "no_lattice", "other_lattice", "reduced", "ring_of_spots"]

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
IntArray = NDArray[np.int64]

SHORTEST = (1.0, 6.0)
"""Range of the shortest vector of a net, 1/nm."""
RATIO = 2.5
"""Largest ratio of the two vectors of a reduced basis."""
KINDS = {
    "oblique": 0.2,
    "rectangular": 0.17,
    "centred": 0.2,
    "square": 0.2,
    "hexagonal": 0.19,
    "root two": 0.04,
}
"""Share of each kind of net among foreign crystals."""
ROW = 0.05
"""Share of foreign crystals that show one direction alone, over the number of steps tried for it."""
HALO, HALO_WIDTHS = 0.05, (0.03, 0.08)
"""Share of windows without a lattice that show a halo of spots, and its relative widths."""
_REACH = 4
_KEPT = 8


@dataclass(frozen=True, eq=False)
class Net:
    """A net that explains the spots: log evidence, basis (rows, 1/nm), indices and role of each spot, its kind."""

    log_evidence: float
    basis: FloatArray
    index: IntArray
    kind: str

    @property
    def role(self) -> tuple[str, ...]:
        """Of each spot: a reflection of the net, or clutter."""
        return tuple("reflection" if any(point) else "clutter" for point in self.index)


def no_lattice(marks: Marks) -> float:
    """Log probability of the spots as noise and clutter alone, or as a halo: many small crystals at one spacing."""
    weight, density = marks.clutter(CLUTTER_ALONE)
    alone = float(log_sum(weight + density.sum(axis=1), 0))
    if marks.size < 2:
        return alone
    at = np.abs(marks.z)
    parts = []
    for width in HALO_WIDTHS:
        radius = np.geomspace(marks.low, marks.high, 60)
        normal = np.exp(-0.5 * ((at - radius[:, None]) / (width * radius[:, None])) ** 2)
        ring = normal / (width * radius[:, None] * np.sqrt(2 * np.pi) * np.pi * at)
        for mean in (4.0, 12.0):
            own = np.log(mean) + np.log(ring + 1e-300) + (marks.threshold - marks.mark)
            both = np.logaddexp(own[:, None], density).sum(axis=2) + weight - mean
            parts.append(log_sum(both, (0, 1)) - np.log(2.0 * len(HALO_WIDTHS) * len(radius)))
    return float(np.logaddexp(alone, np.log(HALO) + log_sum(np.array(parts), 0)))


def reduced(first: ComplexArray, second: ComplexArray) -> tuple[ComplexArray, ComplexArray]:
    """Reduce bases of nets (Gauss): the two shortest vectors, the shorter first, at 60 to 120 degrees."""
    a, b = first.copy(), second.copy()
    for _ in range(12):
        swap = np.abs(a) > np.abs(b)
        a, b = np.where(swap, b, a), np.where(swap, a, b)
        b = b - np.round((b * a.conj()).real / np.maximum(np.abs(a) ** 2, 1e-12)) * a
    swap = np.abs(a) > np.abs(b)
    return np.where(swap, b, a), np.where(swap, a, b)


def _bases(marks: Marks, shortest: float) -> tuple[ComplexArray, ComplexArray]:
    """Reduced bases that pairs of strong spots, and of their differences, span; without repeats."""
    strong = marks.z[np.argsort(-marks.mark)[:8]]
    i, j = np.triu_indices(min(len(strong), 5), 1)
    vectors = np.concatenate([strong, strong[i] - strong[j], strong[i] + strong[j]])
    length = np.abs(vectors)
    vectors = vectors[(length > 0.8 * shortest) & (length < marks.high)]
    i, j = np.triu_indices(len(vectors), 1)
    a, b = reduced(vectors[i], vectors[j])
    sine = np.abs((a.conj() * b).imag) / np.maximum(np.abs(a) * np.abs(b), 1e-12)
    good = (sine > 0.7) & (np.abs(a) > shortest) & (np.abs(b) < RATIO * 1.2 * np.abs(a))
    a, b = a[good], b[good]
    a = np.where((a.imag < 0) | ((a.imag == 0) & (a.real < 0)), -a, a)
    b = np.where((b * a.conj()).real < 0, -b, b)
    key = np.round(np.stack([a.real, a.imag, b.real, b.imag], axis=1) / (0.01 * marks.high)).astype(np.int64)
    _, first = np.unique(key, axis=0, return_index=True)
    return a[first], b[first]


def _points() -> IntArray:
    h, k = np.meshgrid(np.arange(-_REACH, _REACH + 1), np.arange(0, _REACH + 1), indexing="ij")
    points = np.stack([h.ravel(), k.ravel()], axis=1)
    return points[(points[:, 1] > 0) | (points[:, 0] > 0)]


def other_lattice(marks: Marks, shear: float, *, scale_free: bool = False) -> Net | None:
    """Log evidence of a lattice that is not in the library, net or row of fringes, and the best; None if none fits.

    Parameters
    ----------
    marks : Marks
        The spots.
    shear : float
        Standard deviation of the distortion of the image: how far a symmetric net may be from its symmetry.
    scale_free : bool
        Whether the size of the pixel is unknown, so that the shortest vector may be anything.
    """
    if not marks.size:
        return None
    nets = [*_rows(marks, scale_free), *_nets(marks, shear, scale_free)]
    if not nets:  # spots finer than any lattice that is looked for
        return None
    first = max(nets, key=lambda net: net.log_evidence)
    total = log_sum(np.array([net.log_evidence for net in nets]), 0)
    return Net(float(total), first.basis, first.index, first.kind)


def _nets(marks: Marks, shear: float, scale_free: bool) -> list[Net]:
    """Nets of two directions."""
    if marks.size < 2:
        return []
    a, b = _bases(marks, 0.6 * marks.low if scale_free else SHORTEST[0])
    if not a.size:
        return []
    points = _points()
    predicted = a[:, None] * points[:, 0] + b[:, None] * points[:, 1]
    radius = np.abs(predicted)
    inside = (radius > marks.low) & (radius < marks.high)
    reach = 3 * marks.sigma + 0.01 * np.abs(marks.z)
    assigned = np.where(inside, nearest(predicted, marks, reach), -1)
    matched = (assigned >= 0).sum(axis=1)
    score = 4.0 * matched - 0.5 * inside.sum(axis=1)
    best = np.argsort(-score)[:_KEPT]
    tried = [_net(marks, points, a[k], b[k], shear, scale_free) for k in best if matched[k] >= 2]
    return [net for net in tried if net is not None]


def _rows(marks: Marks, scale_free: bool) -> list[Net]:
    """Fringes of one direction: a spot with its multiples, the others of the zone too weak to be seen."""
    strong = marks.z[np.argsort(-marks.mark)[:4]]
    found: list[Net] = []
    order = np.arange(1, 9)
    unit = marks.high / 9.0 if scale_free else 1.0
    span = np.log(100.0) if scale_free else np.log(SHORTEST[1] / SHORTEST[0])
    for step in np.concatenate([strong, strong / 2, strong / 3]):
        if abs(step) < (0.5 * marks.low if scale_free else SHORTEST[0]):
            continue
        assigned = nearest((step * order)[None], marks, 4 * marks.sigma + 0.003 * np.abs(marks.z))
        n, spot = order[assigned[0] >= 0], assigned[0][assigned[0] >= 0]
        seen = marks.z[spot] * np.where((marks.z[spot] * step.conjugate()).real >= 0, 1.0, -1.0)
        weight = marks.sigma[spot] ** -2.0
        information = float((weight * n**2).sum())
        fit = (weight * n * seen).sum() / information
        place = (-0.5 * weight * np.abs(seen - n * fit) ** 2 - np.log(2 * np.pi) + np.log(weight)).sum()
        radius = np.abs(fit * order)[None]
        inside = (radius > marks.low) & (radius < marks.high)
        grid = reflection_marks(marks, np.zeros(radius.shape), radius / unit, assigned, inside, np.array([False]))
        free = np.ones((1, marks.size), dtype=bool)
        free[0, spot] = False
        told = float(place + log_sum(grid, (0, 1, 2, 3)) - np.log(2) + unmatched_of_net(marks, free)[0])
        flat = np.log(2 * np.pi / information) - np.log(span * np.pi * abs(fit) ** 2)
        index = np.zeros((marks.size, 2), dtype=np.int64)
        index[spot, 0] = n
        basis = np.array([[fit.real, fit.imag], [-fit.imag, fit.real]])  # the second direction is not known
        found.append(Net(told + float(flat) + np.log(ROW), basis, index, "row"))
    return found


def _net(marks: Marks, points: IntArray, a: complex, b: complex, shear: float, scale_free: bool) -> Net | None:
    at = np.zeros((1, 4))
    z = a * points[:, 0] + b * points[:, 1]
    for slack in (0.01, 0.003, 0.0015):
        assigned = nearest(place(at, z[None]), marks, 4 * marks.sigma + slack * np.abs(marks.z))
        if np.linalg.matrix_rank(points[assigned[0] >= 0].astype(float)) < 2:
            return None
        information, pull, _ = linear(at, z[None], marks, assigned)
        at = at + np.linalg.solve(information[0] + 1e-6 * np.eye(4), pull[0])
    turned = np.exp(at[0, 1] + 1j * at[0, 0]) * (
        np.array([a, b]) + (at[0, 2] + 1j * at[0, 3]) * np.array([a, b]).conj()
    )
    origin = np.zeros((1, 4))
    z = turned[0] * points[:, 0] + turned[1] * points[:, 1]
    information, _, constant = linear(origin, z[None], marks, assigned)
    radius = np.abs(z)[None]
    inside = (radius > marks.low) & (radius < marks.high)
    unit = marks.high / 9.0 if scale_free else 1.0
    grid = reflection_marks(marks, np.zeros(radius.shape), radius / unit, assigned, inside, np.array([False]))
    free = np.ones((1, marks.size), dtype=bool)
    free[0, assigned[0][assigned[0] >= 0]] = False
    value = float(constant[0] + unmatched_of_net(marks, free)[0] + log_sum(grid, (0, 1, 2, 3)) - np.log(2))
    kind, prior = _symmetries(information[0], turned, shear, scale_free)
    index = np.zeros((marks.size, 2), dtype=np.int64)
    hit = np.flatnonzero(assigned[0] >= 0)
    index[assigned[0][hit]] = points[hit]
    basis = np.stack([turned.real, turned.imag], axis=1)
    return Net(value + prior, basis, index, kind)


def _symmetries(information: FloatArray, basis: ComplexArray, shear: float, scale_free: bool) -> tuple[str, float]:
    """Best kind of the net, and log of the integral over its free parameters under the prior of all kinds.

    In logarithms the two vectors move by ``s + iθ + ε b*/b``: linear in the parameters. A kind holds some combinations
    of (ln length ratio, angle) at its own values, within the distortion of the image; the rest is flat.
    """
    turn = basis.conj() / basis
    # rows: ln|a|, arg a, ln|b|/|a|, angle from a to b
    one = np.array([[0.0, 1.0, t.real, -t.imag] for t in turn])
    two = np.array([[1.0, 0.0, t.imag, t.real] for t in turn])
    ratio, angle = one[1] - one[0], two[1] - two[0]
    rows = np.array([one[0], two[0], ratio, angle])
    jacobian = np.log(max(abs(np.linalg.det(rows)), 1e-12))
    now = np.log(abs(basis[1]) / abs(basis[0]))
    between = abs(np.angle(basis[1] / basis[0]))
    span = np.log(100.0) if scale_free else np.log(SHORTEST[1] / SHORTEST[0])
    flat = -np.log(span) - np.log(np.pi) - np.log(2.0)
    full = np.log(np.log(RATIO)) + np.log(np.pi / 6)
    inner = np.sign(np.angle(basis[1] / basis[0]))
    parts: dict[str, float] = {}
    for kind, share in KINDS.items():
        held = []
        if kind in ("rectangular", "square", "root two"):
            held.append((angle, inner * (np.pi / 2 - between)))
        if kind == "hexagonal":
            held.append((angle, inner * (np.pi / 3 - between)))
        if kind in ("square", "hexagonal"):
            held.append((ratio, -now))
        if kind == "root two":
            held.append((ratio, np.log(2.0) / 2 - now))
        density = flat + np.log(share)
        if kind == "centred":  # a rhombus, or a reduced basis whose longer vector ends over the middle of the shorter
            rhombus = (ratio, -now)
            middle = 2 * np.cos(between) * np.exp(now) - 1.0
            slope = np.exp(now) * 2 * (np.cos(between) * ratio - np.sin(between) * inner * angle)
            for option in (rhombus, (slope, -middle)):
                parts[f"centred{len(parts)}"] = (
                    density - np.log(2.0) + _constrained(information, [option], shear) - np.log(np.pi / 6) + jacobian
                )
            continue
        free = {"oblique": full, "rectangular": np.log(np.log(RATIO))}.get(kind, 0.0)
        parts[kind] = density - free + _constrained(information, held, shear) + jacobian
    return max(parts, key=lambda kind: parts[kind]).rstrip("0123456789"), float(
        log_sum(np.array(list(parts.values())), 0)
    )


def _constrained(information: FloatArray, held: list[tuple[FloatArray, float]], shear: float) -> float:
    """Log of the integral of the places' likelihood, some combinations of its parameters held within the distortion."""
    total, pull, value = information.copy(), np.zeros(4), 0.0
    sd = 2.0 * shear
    for row, offset in held:
        total += np.outer(row, row) / sd**2
        pull += row * offset / sd**2
        value -= 0.5 * (offset / sd) ** 2 + np.log(sd * np.sqrt(2 * np.pi))
    step = np.linalg.solve(total, pull)
    return float(value + 0.5 * pull @ step - 0.5 * np.linalg.slogdet(total)[1] + 2 * np.log(2 * np.pi))


def ring_of_spots(
    marks: Marks,
    radius: FloatArray,
    share: FloatArray,
    scale: float,
    sd: float,
    *,
    widths: tuple[float, ...] = (0.006, 0.02),
) -> float:
    """Log evidence of the spots as those of many small crystals: on the rings of one phase, at any angle.

    Parameters
    ----------
    marks : Marks
        The spots.
    radius, share : ndarrays, shape (r,)
        Radii of the rings, 1/nm, and how the spots are shared out.
    scale, sd : float
        Prior of the scale.
    widths : tuple of float
        Relative spread of the spots about the ring, equally probable (few unit cells, grains a little off their axis).
    """
    factor = np.exp(np.log(scale) + sd * np.linspace(-3, 3, 61))
    weight = -0.5 * np.linspace(-3, 3, 61) ** 2
    weight = weight - log_sum(weight, 0)
    at = np.abs(marks.z)
    rings = factor[:, None] * radius
    inside = (rings > marks.low) & (rings < marks.high)
    portion = np.where(inside, share, 0.0)
    portion = portion / np.maximum(portion.sum(axis=1, keepdims=True), 1e-12)
    density = np.zeros((len(factor), marks.size))
    for width in widths:
        spread = np.sqrt(marks.sigma**2 + (width * at) ** 2)
        away = (at[None, :, None] - rings[:, None, :]) / spread[None, :, None]
        normal = (portion[:, None, :] * np.exp(-0.5 * away**2)).sum(axis=2)
        density += normal / (spread * np.sqrt(2 * np.pi) * np.pi * at * len(widths))
    clutter_weight, clutter = marks.clutter(CLUTTER_ALONE)
    parts = []
    for mean in (4.0, 12.0, 30.0):
        own = np.log(mean) + np.log(density + 1e-300)[:, None, :] + (marks.threshold - marks.mark)
        both = np.logaddexp(own, clutter[None]).sum(axis=2) + clutter_weight - mean
        parts.append(log_sum(both, 1) - np.log(3.0))
    return float(log_sum(np.logaddexp.reduce(parts, axis=0) + weight, 0))
