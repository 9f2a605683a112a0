"""Lines become tracks over the frames, and tracks become the lines that are fitted.

Tracks get provisional names (`names`), so that one that comes back where another left is the same line again; what the
lines are called in the end is asked again once they are fitted. Pristine O3 and the O3' of 4.6 V lie at the same angle:
the line that is there first is O3 until its spacing passes the maximum and turns back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..radiation import FloatArray
from .bragg import d_from_two_theta
from .components import ComponentSet
from .names import OTHER, LineCourse, name_lines
from .search import FoundLine

__all__ = ["Track", "Trajectory", "link_lines", "name_tracks", "past_the_turn", "trajectory", "turning_frames"]

GATE_DEG = 0.12
"""How far a line may lie from where its track is expected."""

MEMORY_FRAMES = 8
"""A track that was not seen for so many frames has ended."""

SHOULDER = 0.4
"""Area against the stronger line below which a close companion is taken for a misfit."""

GROWTH = 1.5
"""Gain of a companion in area against the stronger line, last third of its frames over first, that no misfit shows."""

HISTORY = 5
"""Frames that the slope of a track is taken from."""


@dataclass
class Track:
    """One line followed over the frames."""

    lines: list[FoundLine]

    @property
    def frames(self) -> NDArray[np.intp]:
        """Frames in which it was seen."""
        return np.array([f.frame for f in self.lines], dtype=np.intp)

    @property
    def positions(self) -> FloatArray:
        """Where (degrees)."""
        return np.array([f.position for f in self.lines])

    def expected_at(self, frame: int) -> float:
        """Extrapolate to a frame (degrees)."""
        last = self.lines[-HISTORY:]
        if len(last) < HISTORY:
            return last[-1].position
        mean = sum([f.frame for f in last]) / HISTORY
        away = [f.frame - mean for f in last]
        slope = sum([a * f.position for a, f in zip(away, last, strict=True)]) / sum([a * a for a in away])
        return last[-1].position + slope * min(frame - last[-1].frame, 3)


@dataclass(frozen=True)
class Trajectory:
    """Where a named line lies in every frame.

    Attributes
    ----------
    id : str
    position : ndarray, shape (F,)
        Smooth course, extrapolated where the line was not seen (degrees).
    sigma : ndarray, shape (F,)
        How well that is known (degrees).
    seen : ndarray of bool, shape (F,)
    """

    id: str
    position: FloatArray
    sigma: FloatArray
    seen: NDArray[np.bool_]


def link_lines(
    found: Sequence[Sequence[FoundLine]], *, persistence: int = 3, gate: float = GATE_DEG, shoulder_deg: float = 0.0
) -> list[Track]:
    """Connect lines of neighbouring frames; drop what was not seen in `persistence` frames.

    Nearest pairs are connected first, so that two tracks cannot share a line. A weak track within `shoulder_deg` of a
    strong one that is always there with it is dropped: it makes up for a width that is not known yet.
    """
    tracks: list[Track] = []
    for frame, lines in enumerate(found):
        active = [t for t in tracks if frame - t.lines[-1].frame <= MEMORY_FRAMES]
        expected = [t.expected_at(frame) for t in active]
        pairs = sorted((abs(f.position - e), i, j) for i, e in enumerate(expected) for j, f in enumerate(lines))
        used_tracks: set[int] = set()
        used_lines: set[int] = set()
        for distance, i, j in pairs:
            if distance > gate or i in used_tracks or j in used_lines:
                continue
            active[i].lines.append(lines[j])
            used_tracks.add(i)
            used_lines.add(j)
        tracks += [Track([f]) for j, f in enumerate(lines) if j not in used_lines]
    lasting = [t for t in tracks if len(t.lines) >= persistence and _dense(t, persistence)]
    return [t for t in lasting if not any(_is_shoulder(t, other, shoulder_deg) for other in lasting if other is not t)]


def _is_shoulder(track: Track, other: Track, reach: float) -> bool:
    """Return whether a track is but the misfit of the flank of a stronger one that runs beside it."""
    here = {f.frame: f for f in other.lines}
    beside = [(f, here[f.frame]) for f in track.lines if f.frame in here]
    if len(beside) < 0.7 * len(track.lines):
        return False
    near = np.median([abs(a.position - b.position) for a, b in beside]) < reach
    if not near or _grows(beside, other):
        return False
    return bool(np.median([a.area / b.area for a, b in beside]) < SHOULDER)


def _grows(beside: Sequence[tuple[FoundLine, FoundLine]], other: Track) -> bool:
    """Return whether a companion came after the stronger line and has grown against it.

    The misfit of a flank is there whenever the line is, and in proportion to it; a phase that forms is neither.
    """
    third = len(beside) // 3
    if third < 2 or int((other.frames < beside[0][0].frame).sum()) < HISTORY:
        return False
    ratio = np.array([a.area / b.area for a, b in beside])
    return bool(np.median(ratio[-third:]) > GROWTH * np.median(ratio[:third]))


def _dense(track: Track, persistence: int) -> bool:
    """Return whether the track was seen in some consecutive frames."""
    run = best = 1
    for step in np.diff(track.frames):
        run = run + 1 if step == 1 else 1
        best = max(best, run)
    return best >= persistence


def name_tracks(
    tracks: Sequence[Track], components: ComponentSet, wavelength: float, voltage: FloatArray | None = None
) -> dict[str, Track]:
    """Return the lines to fit, called by the phases that the tracks most probably are.

    Parameters
    ----------
    tracks : sequence of Track
    components : ComponentSet
    wavelength : float
        Of K-alpha-1 (Å).
    voltage : ndarray, shape (F,), optional
        Of all frames (V).

    Returns
    -------
    dict of str to Track
        In the order of the charge. Tracks of one phase that are not there together are joined; of those that are, the
        stronger one has the name and the others are numbered: ``IG``, ``IG_2``. Lines of no phase: ``other``.
    """
    if not tracks:
        return {}
    courses = [
        LineCourse(t.frames, d_from_two_theta(t.positions, wavelength)[0], np.array([f.area for f in t.lines]))
        for t in tracks
    ]
    best = name_lines(courses, components, voltage)[0].phases
    named: dict[str, Track] = {}
    for phase in (*components.ids, OTHER):
        own = [t for t, p in zip(tracks, best, strict=True) if p == phase]
        lines = _joined(own) if phase != OTHER else own
        lines.sort(key=lambda t: -sum(f.area for f in t.lines))
        for number, track in enumerate(lines, start=1):
            named[(phase or "other") + (f"_{number}" if number > 1 else "")] = track
    return named


def _joined(tracks: Sequence[Track]) -> list[Track]:
    """Join tracks that are not there together."""
    lines: list[Track] = []
    for track in sorted(tracks, key=lambda t: int(t.frames[0])):
        before = next((t for t in lines if t.lines[-1].frame < track.lines[0].frame), None)
        if before is None:
            lines.append(Track(list(track.lines)))
        else:
            before.lines += track.lines
    return lines


def turning_frames(position: FloatArray, *, least_deg: float = 0.05) -> tuple[int, ...]:
    """Return where a position passes a minimum, i.e. its spacing a maximum, at least `least_deg` deep on both sides.

    Parameters
    ----------
    position : ndarray, shape (F,)
        Course of a line (degrees), smooth.
    least_deg : float
    """
    turns: list[int] = []
    low = high = 0
    falling = True
    for f in range(1, position.size):
        if falling:
            if position[f] < position[low]:
                low = f
            elif position[f] > position[low] + least_deg:
                if position[high : low + 1].max() > position[low] + least_deg:
                    turns.append(low)
                falling, high = False, f
        elif position[f] > position[high]:
            high = f
        elif position[f] < position[high] - least_deg:
            falling, low = True, f
    return tuple(turns)


def past_the_turn(
    position: FloatArray, voltage: FloatArray | None = None, *, least_deg: float = 0.05
) -> NDArray[np.bool_]:
    """Return in which frames the first line of a series has passed its largest spacing, shape (F,).

    The spacing of O3 grows with charge, that of O3' shrinks: between two turns of the position (minima) the sign of its
    run against the voltage decides; without a voltage the series is taken to begin with a charge. A stretch in which
    the position hardly moves has the name of the one before it; the first such stretch is taken as not turned.

    Parameters
    ----------
    position : ndarray, shape (F,)
        Smooth course of the line (degrees).
    voltage : ndarray, shape (F,), optional
    least_deg : float
        Least movement that counts.
    """
    turns = turning_frames(position, least_deg=least_deg)
    result = np.zeros(position.size, bool)
    now = False
    for start, stop in zip((0, *turns), (*turns, position.size), strict=True):
        part = position[start:stop]
        if np.ptp(part) > least_deg:
            if voltage is not None and np.ptp(voltage[start:stop]) > 0.02:
                volts = voltage[start:stop]
                now = bool(((part - part.mean()) * (volts - volts.mean())).sum() > 0)
            elif start:
                now = not now
            else:
                now = bool(part[-1] > part[0])
        result[start:stop] = now
    return result


def trajectory(
    name: str,
    frames: NDArray[np.intp],
    position: FloatArray,
    sigma: FloatArray,
    total: int,
    *,
    side: Literal["both", "before", "after"] = "both",
) -> Trajectory:
    """Smooth a line's course and extend it over all frames.

    Between sightings a local straight line (tricube weights over `HISTORY` frames on each side, weighted by 1/sigma^2);
    beyond the ends the last slope runs out over `HISTORY` frames and the uncertainty grows.

    Parameters
    ----------
    name : str
    frames : ndarray of int, shape (m,)
        Frames in which the line was seen, ascending.
    position, sigma : ndarray, shape (m,)
        Degrees.
    total : int
        Number of frames, F.
    side : {"both", "before", "after"}
        Frames that a point of the course rests on: those on both sides, or the series read forward or backward.
    """
    grid = np.arange(total, dtype=float)
    inside = np.clip(grid, frames[0], frames[-1])
    # only the nearest sightings count, so that cost and memory grow linearly
    span = min(2 * HISTORY + 3, frames.size)
    first = np.clip(np.searchsorted(frames, inside) - span // 2, 0, frames.size - span)
    near = first[:, None] + np.arange(span)
    t = frames[near] - inside[:, None]
    distance = np.abs(t)
    if side != "both":
        wrong = t > 0 if side == "before" else t < 0
        distance = np.where(wrong, 1e6, distance)
    reach = np.maximum(HISTORY + 1.0, np.sort(distance, axis=1)[:, min(2, span - 1), None] * 1.5 + 1.0)
    reach = np.minimum(reach, 1e5)
    kernel = np.clip(1.0 - (distance / reach) ** 3, 0.0, None) ** 3 / (sigma[near] ** 2 + 1e-8)
    s0, s1, s2 = kernel.sum(1), (kernel * t).sum(1), (kernel * t * t).sum(1)
    m0, m1 = (kernel * position[near]).sum(1), (kernel * t * position[near]).sum(1)
    det = s0 * s2 - s1 * s1
    safe = det > 1e-9 * s0 * s2 + 1e-300
    level = np.where(safe, (s2 * m0 - s1 * m1) / np.where(safe, det, 1.0), m0 / s0)
    slope = np.where(safe, (s0 * m1 - s1 * m0) / np.where(safe, det, 1.0), 0.0)
    beyond = grid - inside
    run_out = np.sign(beyond) * HISTORY * (1.0 - np.exp(-np.abs(beyond) / HISTORY))
    course = level + slope * run_out
    scatter = float(np.sqrt(np.mean((position - np.interp(frames, grid, course)) ** 2)))
    spread = np.hypot(0.02, scatter) + 0.004 * np.abs(beyond)
    seen = np.zeros(total, bool)
    seen[frames] = True
    return Trajectory(name, course, np.minimum(spread, 0.1), seen)
