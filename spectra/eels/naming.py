"""Does a file of one edge show the edge that its name says? Two files have been stored under each other's name."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from .options import known_onsets

__all__ = ["edge_shown", "elements_named", "name_flags"]

FloatArray = NDArray[np.float64]

NEAR_EV = 25.0
"""An axis that was not calibrated may be off by as much."""
LEAST_ZEROS = 20
"""Channels without counts at the start of a spectrum whose background was taken off."""
JUMP_EV = 8.0
FIRST = 0.3
"""A jump counts as the first one from this share of the largest."""
_WORDS = {"oxygen": "O", "boron": "B", "carbon": "C", "nitrogen": "N", "fluorine": "F", "manganese": "Mn", "iron": "Fe"}
_WORDS |= {"cobalt": "Co", "nickel": "Ni", "titanium": "Ti", "vanadium": "V", "chromium": "Cr", "copper": "Cu"}


def elements_named(text: str) -> set[str]:
    """Return the elements that stand in a title or a file name as words of their own."""
    symbols = {name.split()[0] for name in known_onsets()}
    words = [word for word in re.split(r"[^A-Za-z]+", text) if word]
    return {word for word in words if word in symbols} | {_WORDS[w.lower()] for w in words if w.lower() in _WORDS}


def edge_shown(energy: FloatArray, counts: FloatArray) -> float | None:
    """Return where the first edge of a spectrum begins whose background was taken off, in eV; None of any other.

    Parameters
    ----------
    energy, counts : ndarray, shape (n,)
    """
    begun = np.flatnonzero(counts)
    if not begun.size or begun[0] < LEAST_ZEROS:
        return None
    step = float(energy[1] - energy[0])
    width = max(round(JUMP_EV / step), 2)
    running = np.concatenate([[0.0], np.cumsum(counts)])
    at = np.arange(begun[0] + width, counts.size - width)
    if not at.size:
        return None
    jump = (running[at + width] + running[at - width] - 2.0 * running[at]) / width
    first = int(np.argmax(jump > FIRST * jump.max()))
    return float(energy[at[first] + width // 2])


def name_flags(energy: FloatArray, counts: FloatArray, *names: str) -> tuple[str, ...]:
    """Return the flag of a spectrum that shows another edge than its name says; none where that cannot be told.

    Parameters
    ----------
    energy, counts : ndarray, shape (n,)
        On the best axis that there is.
    *names : str
        Title, file.
    """
    named = set().union(*(elements_named(name) for name in names))
    shown = edge_shown(energy, counts)
    if len(named) != 1 or shown is None:
        return ()
    distances = {name: abs(value - shown) for name, value in known_onsets().items() if name.endswith((" K", " L3"))}
    (own,) = named
    if min((d for name, d in distances.items() if name.split()[0] == own), default=np.inf) <= NEAR_EV:
        return ()
    nearest = min(distances, key=lambda name: distances[name])
    return (f"NAME_DISAGREES:{own} is named, the edge begins at {shown:.0f} eV, nearest to {nearest}",)
