"""Which phase is each line? A posterior over the names of all lines together; "another line" is an answer.

A labelling gives every line of a series a component of the set or none. Its probability is the product of what speaks
for each line alone and for each pair:

- **angle**: the spacings of the line against the window of the component, and against its law of the voltage;
- **width** against that of the first line, and how the **amount** runs against the charge;
- **voltage** at which the line comes, against the lowest at which the component was seen;
- **order**: of two lines the one of higher order comes later on the charge, and lies on the side that the set says;
- **continuity**: two lines that are never there together can be one phase that came back. Two that are there together
  and bear one name are one phase whose line has not the shape of the model: an answer too, with a prior of its own.

Frames of a line are no independent witnesses: evidence of a line is the mean over its frames, as if it were one. The
numbers are priors about lines and samples, stated here; they are not fitted to any series.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from ..radiation import FloatArray
from .components import ComponentSet

__all__ = ["CERTAIN_NAME", "OTHER", "Labelling", "LineCourse", "name_lines"]

OTHER = ""
"""The name of a line that is none of the components."""

CERTAIN_NAME = 0.95
"""Probability from which on a name is a result."""

OTHER_PRIOR, OTHER_SPACINGS, OTHER_WIDTHS = 0.03, 0.6, (0.2, 8.0)
"""How often a line is none of the set, and the range (Å) and widths over which such lines lie evenly."""
SECOND_PRIOR = 0.04
"""How often a phase needs a second line beside its own, because its line has another shape."""
EDGE_A, EDGE_WIDTH, EDGE_V = 0.012, 0.2, 0.05
"""Softness of windows: of spacings (Å), of widths (logarithm), of voltages (V)."""
LEAST = 1e-9
"""Density that nothing falls below: a sample can be unlike all those in the sources."""
OUT_OF_ORDER, BEGINS_OTHERWISE, WRONG_SIDE, CAME_BACK_ELSEWHERE = 0.03, 1e-3, 1e-3, 0.1
LATE_V, LATE_FRAMES = 0.03, 8
"""What counts as coming later, on the charge (V) or in frames where no voltage is known."""
MANY = 400
"""Labellings that are followed up."""


@dataclass(frozen=True)
class LineCourse:
    """One line of a series, without its name.

    Attributes
    ----------
    frames : ndarray of int, shape (m,)
        In which it is there, ascending.
    d : ndarray, shape (m,)
        Spacing (Å).
    amount : ndarray, shape (m,)
        Share of the intensity.
    fwhm_ratio : float or None
        Width over that of the first line, where it is known.
    """

    frames: NDArray[np.intp]
    d: FloatArray
    amount: FloatArray
    fwhm_ratio: float | None = None


@dataclass(frozen=True)
class Labelling:
    """Names of all lines, `OTHER` for none, and the probability that they are right together."""

    phases: tuple[str, ...]
    probability: float


def name_lines(
    lines: Sequence[LineCourse], components: ComponentSet, voltage: FloatArray | None = None
) -> tuple[Labelling, ...]:
    """Return the labellings that are not negligible, the most probable one first.

    Parameters
    ----------
    lines : sequence of LineCourse
        K lines.
    components : ComponentSet
    voltage : ndarray, shape (F,), optional
        Of each frame (V).

    Returns
    -------
    tuple of Labelling
        Their probabilities sum to one; at least one.
    """
    start = _first(lines)
    choices = [*(c.id for c in components.components), OTHER]
    alone = np.array([[_alone(line, c, components, voltage) for c in choices] for line in lines])
    # the line that the series begins with is what the first component is for, and no other begins it
    if start is not None:
        begins = np.array([c == components.ids[0] for c in choices])
        alone[start] = np.where(begins, alone[start], alone[start] + np.log(BEGINS_OTHERWISE))
    order = sorted(range(len(lines)), key=lambda j: int(lines[j].frames[0]))
    beam: list[tuple[float, dict[int, str]]] = [(0.0, {})]
    for j in order:
        grown = []
        for score, named in beam:
            for k, choice in enumerate(choices):
                both = sum(_pair(lines[i], lines[j], name, choice, components, voltage) for i, name in named.items())
                grown.append((score + float(alone[j, k]) + both, {**named, j: choice}))
        beam = sorted(grown, key=lambda entry: -entry[0])[:MANY]
    weights = np.exp(np.array([score for score, _ in beam]) - beam[0][0])
    weights /= weights.sum()
    return tuple(
        Labelling(tuple(named[j] for j in range(len(lines))), float(w))
        for w, (_, named) in zip(weights, beam, strict=True)
        if w > LEAST
    )


def _first(lines: Sequence[LineCourse]) -> int | None:
    """Return the line that is strongest where the series begins."""
    begin = min((int(line.frames[0]) for line in lines), default=0)
    there = [(float(line.amount[0]), -j) for j, line in enumerate(lines) if int(line.frames[0]) <= begin + 1]
    return -max(there)[1] if there else None


def _alone(line: LineCourse, choice: str, components: ComponentSet, voltage: FloatArray | None) -> float:
    """Return what speaks for a name of a line by itself, as a logarithm."""
    if choice == OTHER:
        width = 0.0 if line.fwhm_ratio is None else -np.log(np.log(OTHER_WIDTHS[1] / OTHER_WIDTHS[0]))
        return float(np.log(OTHER_PRIOR / OTHER_SPACINGS) + width + np.log(_runs_so("other", line, voltage)))
    c = components[choice]
    windows = [c.d_A] if c.side != "first" else [c.d_A, *(t.d_A for t in (components.turned,) if t is not None)]
    low, high = min(w[0] for w in windows), max(w[1] for w in windows)
    density = (ndtr((line.d - low) / EDGE_A) - ndtr((line.d - high) / EDGE_A)) / (high - low)
    if c.law and voltage is not None:
        volts, spacings = np.array(c.law).T
        z = (line.d - np.interp(voltage[line.frames], volts, spacings)) / c.law_sigma_A
        density = density * (high - low) * np.exp(-0.5 * z * z) / (c.law_sigma_A * np.sqrt(2.0 * np.pi))
    score = float(np.log(np.maximum(density, LEAST)).mean())
    if line.fwhm_ratio is not None:
        thin, broad = np.log(c.fwhm_ratio)
        ratio = np.log(line.fwhm_ratio)
        inside = ndtr((ratio - thin) / EDGE_WIDTH) - ndtr((ratio - broad) / EDGE_WIDTH)
        score += float(np.log(max(float(inside), 1e-3) / (broad - thin)))
    if c.from_V is not None and voltage is not None:
        comes = float(voltage[line.frames].min())
        score += float(np.log(max(float(ndtr((comes - c.from_V) / EDGE_V)), 1e-5)))
    return score + float(np.log(_runs_so(c.amount, line, voltage)))


def _runs_so(amount: str, line: LineCourse, voltage: FloatArray | None) -> float:
    """Return how probable the run of an amount against the charge is: it rises, falls, or neither."""
    x = line.frames.astype(float) if voltage is None else voltage[line.frames]
    if x.size < 6 or np.ptp(x) <= 0 or np.ptp(line.amount) <= 0:
        return 1.0 / 3.0
    r = float(np.corrcoef(x, line.amount)[0, 1])
    seen = 0 if r > 0.5 else 2 if r < -0.5 else 1
    table = {"rises": (0.70, 0.20, 0.10), "falls": (0.10, 0.30, 0.60), "any": (0.4, 0.2, 0.4), "other": (0.3, 0.4, 0.3)}
    return table[amount][seen]


def _pair(
    a: LineCourse, b: LineCourse, first: str, second: str, components: ComponentSet, voltage: FloatArray | None
) -> float:
    """Return what speaks for the names of two lines together, as a logarithm."""
    if OTHER in (first, second):
        return 0.0
    _, at_a, at_b = np.intersect1d(a.frames, b.frames, return_indices=True)
    if first == second:
        if at_a.size > 2:
            return float(np.log(SECOND_PRIOR))
        before, after = (a, b) if a.frames[0] < b.frames[0] else (b, a)
        return 0.0 if abs(before.d[-1] - after.d[0]) < 0.06 else float(np.log(CAME_BACK_ELSEWHERE))
    low, high = (a, b) if components[first].order < components[second].order else (b, a)
    later = components[max((first, second), key=lambda n: components[n].order)]
    score = 0.0
    if _comes_later(low, high, voltage):
        score += float(np.log(OUT_OF_ORDER))
    if at_a.size:
        spacing = {id(a): a.d[at_a].mean(), id(b): b.d[at_b].mean()}
        above = bool(spacing[id(high)] < spacing[id(low)])  # at a higher angle
        if (later.side == "high" and not above) or (later.side in ("low", "turn") and above and low.frames[0] == 0):
            score += float(np.log(WRONG_SIDE))
    return score


def _comes_later(line: LineCourse, other: LineCourse, voltage: FloatArray | None) -> bool:
    """Return whether a line comes later than another: at a higher voltage, or in a later frame."""
    if voltage is not None:
        return float(voltage[line.frames].min()) > float(voltage[other.frames].min()) + LATE_V
    return int(line.frames[0]) > int(other.frames[0]) + LATE_FRAMES
