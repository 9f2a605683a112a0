"""The columns that all patterns of a fit share, and just those derivatives that it wants, as rows of one array.

What is wanted is settled once a fit. Lines with a closed form are worked out by the compiled loops in one call.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from layerscope.fitting.common import Stack
from layerscope.fitting.kernels import Terms
from layerscope.fitting.projection import Routes

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["Lines", "Places", "SharedLines"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

KINDS = ("gaussian", "lorentzian", "pseudo_voigt")  # as `loops` counts them


@dataclass(frozen=True)
class Places:
    """Where the parameters of K lines stand among those of their model.

    Attributes
    ----------
    kinds : tuple of str, optional
        Shape of each line, where all are Gaussians, Lorentzians or pseudo-Voigts.
    own : tuple of tuple of int, length K
        The shape's parameters, centre first.
    shift : tuple of int, length K
        A common shift; -1 where there is none.
    strength : int
        Strength of an active Shirley background; -1 without one.
    """

    kinds: tuple[str, ...] | None
    own: tuple[tuple[int, ...], ...]
    shift: tuple[int, ...]
    strength: int

    @cached_property
    def width(self) -> int:
        """What a derivative by the strength is numbered: behind the parameters of the largest shape."""
        return max(map(len, self.own))

    @cached_property
    def closed(self) -> IntArray:
        """Centre, width, mixing (or -1) and shift of each line, shape (K, 4), for the compiled loops."""
        rows = [(*(*own, -1)[:3], shift) for own, shift in zip(self.own, self.shift, strict=True)]
        return np.array(rows, dtype=np.intp)


class Lines(Protocol):
    """A model made of lines on a background."""

    def places(self) -> Places | None:
        """Return where their parameters stand; None where each pattern has to be asked for its columns."""

    def lines(self, x: FloatArray, q: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return lines with what lies under them (K, n) and derivatives (width + 1, K, n) at `x` (1, n), `q` (Q,)."""

    def polynomials(self, x: FloatArray) -> FloatArray:
        """Return the columns that no parameter moves, shape (b, n)."""


class SharedLines:
    """What a fit without expressions wants of its lines.

    Parameters
    ----------
    model : Lines
    places : Places
    routes : list
        For each parameter of the model the free parameters it depends on, all with a slope of 1.
    n_free : int
    """

    def __init__(self, model: Lines, places: Places, routes: Routes, n_free: int) -> None:
        self.model, self.places = model, places
        wanted = [
            (k, by, free)
            for k, (own, shift) in enumerate(zip(places.own, places.shift, strict=True))
            for by, place in (*enumerate(own), (0, shift), (places.width, places.strength))
            if place >= 0
            for free, _ in routes[place]
        ]
        line, by, free = ([term[i] for term in wanted] for i in range(3))
        self.terms, order = Terms.of(line, free, np.ones(len(line)), n_free, len(places.own))
        self.by = np.array(by, dtype=np.intp)[order]
        self.at = self.by * len(places.own) + self.terms.column
        self._axis: FloatArray | None = None
        self._background = np.zeros((0, 0))
        self._kind: IntArray | None = None

    def stack(self, x: FloatArray, q: FloatArray, loops: ModuleType | None) -> Stack:
        """Return columns and derivatives at `x` (1, n) for parameters `q` (Q,)."""
        if self._axis is not x:
            self._axis, self._background = x, self.model.polynomials(x)
        k, m = len(self.places.own), len(self.places.own) + len(self._background)
        rows = np.empty((m + self.at.size, x.shape[1]))
        rows[k:m] = self._background
        if loops is None or not self._compiled(loops, x[0], q, rows, m):
            rows[:k], slopes = self.model.lines(x, q)
            slopes.reshape(-1, x.shape[1]).take(self.at, axis=0, out=rows[m:])
        return Stack(rows, self.terms)

    def _compiled(self, loops: ModuleType, x: FloatArray, q: FloatArray, rows: FloatArray, m: int) -> bool:
        """Write the rows by the compiled loops; False where these do not know a shape, or a parameter is no good."""
        if self.places.kinds is None:
            return False
        if self._kind is None:
            self._kind = np.array([KINDS.index(name) for name in self.places.kinds], dtype=np.intp)
        by = np.where(self.by == self.places.width, 3, self.by) if self.places.width < 3 else self.by
        asked = (x, q, self._kind, self.places.closed, self.places.strength, self.terms.column, by, rows, m)
        return bool(loops.lines(*asked))
