"""Lines with a closed form, on a closed background, as the compiled loops want them: all columns in one call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from layerscope.fitting.common import Stack
from layerscope.fitting.kernels import Terms
from layerscope.fitting.projection import Routes

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

__all__ = ["ClosedLines", "CompiledLines"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

CENTER, WIDTH, MIXING, STRENGTH = range(4)


@dataclass(frozen=True)
class ClosedLines:
    """Where the parameters of K lines stand among those of their model.

    Attributes
    ----------
    kinds : tuple of str
        Name of the shape of each line.
    places : ndarray of int, shape (K, 4)
        Of centre, width, mixing and common shift; -1 where there is none.
    strength : int
        Of the strength of an active Shirley background; -1 without one.
    background : callable
        Columns that no parameter moves, (b, n), on an axis of shape (1, n).
    """

    kinds: tuple[str, ...]
    places: IntArray
    strength: int
    background: Callable[[FloatArray], FloatArray]


@dataclass
class CompiledLines:
    """Lines and what of their derivatives a fit wants."""

    lines: ClosedLines
    line: IntArray  # (E,)
    by: IntArray  # (E,)
    terms: Terms
    kind: IntArray | None = None
    axis: FloatArray | None = None
    background: FloatArray | None = None

    @classmethod
    def of(cls, lines: ClosedLines, routes: Routes, n_free: int) -> CompiledLines:
        """Choose the derivatives by what is free; `routes` as for a fit without expressions."""
        wanted = [
            (k, by, free)
            for k, places in enumerate(lines.places)
            for by, place in zip((CENTER, WIDTH, MIXING, CENTER), places, strict=True)
            if place >= 0
            for free, _ in routes[place]
        ]
        if lines.strength >= 0:
            wanted += [(k, STRENGTH, free) for k in range(len(lines.kinds)) for free, _ in routes[lines.strength]]
        line, by, free = ([term[i] for term in wanted] for i in range(3))
        terms, order = Terms.of(line, free, np.ones(len(line)), n_free)
        return cls(lines, np.array(line, dtype=np.intp)[order], np.array(by, dtype=np.intp)[order], terms)

    def stack(self, loops: ModuleType, x: FloatArray, q: FloatArray) -> Stack | None:
        """Return columns and derivatives at `x` (1, n) for parameters `q` (Q,); None where one is out of range."""
        if self.kind is None:
            kinds = {"gaussian": loops.GAUSSIAN, "lorentzian": loops.LORENTZIAN, "pseudo_voigt": loops.PSEUDO_VOIGT}
            self.kind = np.array([kinds[name] for name in self.lines.kinds], dtype=np.intp)
        if self.axis is not x or self.background is None:
            self.axis, self.background = x, self.lines.background(x)
        k, b = len(self.lines.kinds), len(self.background)
        rows = np.empty((k + b + self.line.size, x.shape[1]))
        rows[k : k + b] = self.background
        asked = (x[0], q, self.kind, self.lines.places, self.lines.strength, self.line, self.by, rows, k + b)
        return Stack(rows, self.terms) if loops.lines(*asked) else None
