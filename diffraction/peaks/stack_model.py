"""The (003) lines of a frame as stacks of layers seen through the instrument, for the fit engine.

Linear: the amounts of layers in ordered, mixed and alternating stacks, the areas of the cell's lines, a polynomial.
Shared by the frames: the instrument's line, sizes, the spacing of the alternating stack, the two probabilities of the
mixed one, what line and mixed stack are beside their formulas (`stack_freedom`), a spread of spacings in proportion to
the charge, and the cell's lines. Of each frame: the filled spacing and
how far it is charged. The mean of filled and empty spacing is that of the alternating stack.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from layerscope.fitting.basis import BasisValues, Derivative
from layerscope.fitting.model import legendre
from layerscope.fitting.parameters import Parameters

from ..radiation import FloatArray, lorentz_polarisation
from .bragg import second_line
from .components import Stacking
from .lines import DiffractionLine
from .model import HeldLine
from .stack_freedom import LINE_TERMS, MIXED_TERMS, line_terms, mixed_terms
from .stacking import Layer, Sizes, Stacked, Uneven, alternating, filled_only, mixed

__all__ = ["HELD", "LINE", "MIXED", "StackModel"]

IntArray = NDArray[np.intp]

PAD_DEG = 0.8
"""How far beyond the axis stacks still send intensity into it."""

FINEST_DEG = 0.0201
CENTERS = 7
"""Places at which the instrument's line is drawn anew."""

HELD = ("center", "fwhm", "mixing")
_SIZES = ("ln_layers", "ln_layers_mixed", "ln_layers_alternating", "size_spread")
_SHARED = (*_SIZES, "p", "r", "p_after", "mean_spacing", "filled_spacing", "tail", "variance", "charge")
LINE = tuple(f"line_{k}" for k in range(LINE_TERMS))
MIXED = tuple(f"mixed_{k}" for k in range(MIXED_TERMS))
"""How far the instrument's line and the mixed stack differ from their formulas."""


@dataclass(frozen=True)
class _Seen:
    """The instrument: line at every point of the grid, (G, n), and its derivatives by the shape."""

    value: FloatArray
    slopes: tuple[FloatArray, ...]


class StackModel:
    """Ordered, mixed and alternating stacks of one structure.

    Parameters
    ----------
    stacking : Stacking
        What the layers are made of, and how the three stacks are called.
    line : DiffractionLine
        How the instrument shows a sharp reflection.
    x : ndarray, shape (n,)
        Axis (degrees), of equal steps.
    held : sequence of HeldLine
        Lines of the cell; their parameters are ``<id>_center``, ``<id>_fwhm`` and ``<id>_mixing``.
    axial : float
        S/L = H/L of the cell's lines.
    polynomial : int
        Degree of the background.
    width, mixing : float
        Of the instrument's line, about: what is beside it stands in proportion to that height.
    alternating : float
        Typical angle of the alternating stack (degrees).
    """

    def __init__(
        self,
        stacking: Stacking,
        line: DiffractionLine,
        x: FloatArray,
        *,
        held: Sequence[HeldLine] = (),
        axial: float = 0.0,
        polynomial: int = 2,
        width: float = 0.1,
        mixing: float = 0.5,
        alternating: float = 19.6,
    ) -> None:
        self._envelope, self._alternating = (width, mixing), alternating
        self.stacking, self.line, self.axis, self.polynomial = stacking, line, x, polynomial
        self.names = stacking.names
        self._shape = line.parameters[1:]
        self.held = tuple(h.id for h in held)
        self._axial = (axial,) if line.axial else ()
        self._seen: dict[tuple[float, ...], _Seen] = {}

    @property
    def nonlinear_names(self) -> tuple[str, ...]:
        """Shape of the instrument's line, of stacks, the filled spacing, which stacks are there, lines of the cell."""
        own = (f"{n}_{part}" for n in self.held for part in HELD)
        return (*self._shape, *_SHARED, *(f"{n}_on" for n in self.names), *LINE, *MIXED, "course", *own)

    @property
    def linear_names(self) -> tuple[str, ...]:
        """Amounts of the three stacks, areas of held lines, coefficients of the polynomial."""
        own = [f"{n}_area" for n in (*self.names, *self.held)]
        return (*own, *(f"background_{i}" for i in range(self.polynomial + 1)))

    @property
    def nonnegative(self) -> tuple[bool, ...]:
        """Which coefficients are amounts."""
        lines = len(self.names) + len(self.held)
        return (True,) * lines + (False,) * (self.polynomial + 1)

    def make_parameters(self, values: Mapping[str, float]) -> Parameters:
        """Return all nonlinear parameters, held at `values`; all stacks are on where nothing is said."""
        parameters = Parameters()
        for name in self.nonlinear_names:
            parameters.add(name, value=values.get(name, 1.0), vary=False)
        return parameters

    @cached_property
    def _fine(self) -> tuple[float, int, int]:
        """Return the step of the grid (degrees), how many make one of the axis, and how many lie beside it."""
        step = float(np.ptp(self.axis)) / (self.axis.size - 1)
        together = int(np.ceil(step / FINEST_DEG))
        return step / together, together, int(np.ceil(PAD_DEG * together / step))

    @cached_property
    def _grid(self) -> FloatArray:
        step, together, beside = self._fine
        return np.asarray(self.axis[0] + step * np.arange(-beside, together * (self.axis.size - 1) + beside + 1))

    @cached_property
    def _layer(self) -> Layer:
        q = 4.0 * np.pi * np.sin(np.radians(self._grid) / 2.0) / self.line.radiation.alpha1
        return Layer(q, *self.stacking.amplitudes(q))

    @cached_property
    def _power(self) -> FloatArray:
        """What an intensity per layer counts for: Lorentz and polarisation factor, step, a common scale."""
        lp = lorentz_polarisation(self._grid)
        layer = self._layer
        whole = (layer.slab + layer.guest) ** 2 * lp
        return np.asarray(lp * np.gradient(self._grid) / float(whole.mean()))

    def _instrument(self, shape: tuple[float, ...], *, derivatives: bool) -> _Seen:
        """Return the line at every point of the grid; the last few shapes are kept, as steps come back to them."""
        found = self._seen.get(shape)
        if found is None or (derivatives and not found.slopes):
            drawn = self._drawn(shape, derivatives=derivatives)
            found = _Seen(drawn[0], tuple(drawn[1:]))
            if len(self._seen) > 3:
                self._seen.pop(next(iter(self._seen)))
            self._seen[shape] = found
        return found

    def _drawn(self, shape: tuple[float, ...], *, derivatives: bool) -> FloatArray:
        """Return the line, and its derivatives by the shape, at every point of the grid, (1 or 1 + q, G, n).

        Seen from its own centre a line hardly changes with the angle: it is drawn at a few (Chebyshev's) and
        interpolated. Grid and axis have their steps in common, so that only whole steps occur between them.
        """
        step, together, beside = self._fine
        grid, n = self._grid, self.axis.size
        nodes = -np.cos(np.pi * (np.arange(CENTERS) + 0.5) / CENTERS)
        centers = grid.mean() + 0.5 * np.ptp(grid) * nodes
        offset = step * np.arange(beside - grid.size + 1, together * (n - 1) + beside + 1)
        rows = np.column_stack([centers, np.broadcast_to(shape, (CENTERS, len(shape)))])
        v = self.line.evaluate(centers[:, None] + offset, rows, derivatives=derivatives)
        curves = [v.value, *(v.jac[:, 1 + i] for i in range(len(shape)))] if derivatives else [v.value]
        # windows[k]: what the axis sees of a line at point G - 1 - k of the grid
        span = together * (n - 1) + 1
        windows = sliding_window_view(np.stack(curves), span, axis=-1)[..., ::-1, ::together]
        weight = _lagrange(nodes, (grid - grid.mean()) / (0.5 * np.ptp(grid))) * self._power[:, None]
        return np.asarray(np.einsum("gc,kcgn->kgn", weight, windows))

    @cached_property
    def _beside(self) -> FloatArray:
        """What may be added to the line at every point of the grid, (terms, G, n): its own height times functions."""
        width, mixing = self._envelope
        radiation = self.line.radiation
        plain = DiffractionLine(replace(radiation, alpha2=None, ratio=None), axial=False)
        offset = np.linspace(-4.0, 4.0, 8001)
        height = plain.evaluate(offset + 20.0, np.array([[20.0, width, mixing]]), derivatives=False).value[0]
        terms = line_terms(offset, width)
        shapes = height[:, None] * (terms - (height @ terms) / height.sum())
        ratio = radiation.ratio if radiation.alpha2 is not None and radiation.ratio else 0.0
        lines = [(1.0 / (1.0 + ratio), self._grid)]
        if ratio and radiation.alpha2 is not None:
            lines.append((ratio / (1.0 + ratio), second_line(self._grid, radiation.alpha2 / radiation.alpha1)[0]))
        found = np.zeros((LINE_TERMS, self._grid.size, self.axis.size))
        for share, place in lines:
            away = self.axis - place[:, None]
            for k in range(LINE_TERMS):
                found[k] += share * np.interp(away, offset, shapes[:, k])
        return np.asarray(found * self._power[:, None])

    @cached_property
    def _beside_wide(self) -> FloatArray:
        """The same side by side, (G, terms * n): one product then gives all."""
        return np.ascontiguousarray(self._beside.transpose(1, 0, 2)).reshape(self._grid.size, -1)

    def _terms(self, course: FloatArray) -> FloatArray:
        """Return the functions beside the mixed stacks of some frames, (B, terms, G)."""
        filled = 2.0 * np.degrees(np.arcsin(self.line.radiation.alpha1 / (2.0 * course)))[:, None]
        return mixed_terms((self._grid - filled) / (self._alternating - filled)).transpose(0, 2, 1)

    def _stacks(self, q: FloatArray, on: FloatArray) -> list[tuple[IntArray, Stacked | None]]:
        """Return for each stack in which rows it is on, and its intensity in those."""
        sizes = [Sizes(float(np.exp(v)), float(q[0, 3])) for v in q[0, :3]]
        p, r, p_after = (float(v) for v in q[0, 4:7])
        after = None if p_after == p else p_after
        filled = q[:, 8]
        empty = 2.0 * q[:, 7] - filled
        tail, variance = q[:, 9] * q[:, 11], q[:, 10] * q[:, 11] ** 2
        found: list[tuple[IntArray, Stacked | None]] = []
        for k in range(3):
            rows = np.flatnonzero(on[:, k] > 0.5)
            f, e = filled[rows], empty[rows]
            stack: Stacked | None = None
            if rows.size == 0:
                pass
            elif k == 0:
                stack = filled_only(self._layer, f, sizes[0], Uneven(tail[rows], variance[rows]))
            elif k == 1:
                stack = mixed(self._layer, f, e, p, r, sizes[1], after=after)
            else:
                stack = alternating(self._layer, f, e, sizes[2], variance[rows])
            found.append((rows, stack))
        return found

    def basis(self, x: FloatArray, q: FloatArray, *, derivatives: bool = True) -> BasisValues:
        """Return the columns at the model's own axis for parameters `q` of shape (B, Q)."""
        rows, n = q.shape[0], self.axis.size
        columns = np.zeros((rows, len(self.linear_names), n))
        width, at_line = len(self._shape), len(self._shape) + len(_SHARED) + 3
        at_mixed, at_course = at_line + LINE_TERMS, at_line + LINE_TERMS + MIXED_TERMS
        # of these all rows have one value
        uniform = np.r_[: width + 7, at_line:at_course]
        groups = [np.arange(rows)] if (q[:, uniform] == q[0, uniform]).all() else [np.array([b]) for b in range(rows)]
        slots: dict[tuple[int, int], FloatArray] = {}
        for group in groups:
            one = q[group[0]]
            seen = self._instrument(tuple(one[:width]), derivatives=derivatives)
            more = np.einsum("k,kgn->gn", one[at_line:at_mixed], self._beside)
            seen = _Seen(seen.value + more, seen.slopes)
            stacks = self._stacks(q[group, width : at_line - 3], q[group, at_line - 3 : at_line])
            for k, (inside, stack) in enumerate(stacks):
                if stack is None:
                    continue
                at = group[inside]
                if k == 1:
                    stack, by_term = _beside_formula(stack, self._terms(q[at, at_course]), one[at_mixed:at_course])
                    for j, by in enumerate(by_term if derivatives else ()):
                        slots.setdefault((at_mixed + j, k), np.zeros((rows, n)))[at] = by @ seen.value
                columns[at, k] = stack.value @ seen.value
                if not derivatives:
                    continue
                beside = (stack.value @ self._beside_wide).reshape(at.size, LINE_TERMS, n)
                for j in range(LINE_TERMS):
                    slots.setdefault((at_line + j, k), np.zeros((rows, n)))[at] = beside[:, j]
                for slot, values in self._slopes(k, stack, seen, q[at, at_line - 4]):
                    slots.setdefault((slot, k), np.zeros((rows, n)))[at] = values
        for j in range(len(self.held)):
            first = at_course + 1 + len(HELD) * j
            p = np.column_stack([q[:, first : first + len(HELD)], np.tile(self._axial, (rows, 1))])
            p = p[:1] if (p == p[0]).all() else p
            drawn = self.line.evaluate(x, p, derivatives=derivatives)
            columns[:, 3 + j] = drawn.value
            for i in range(len(HELD) if derivatives else 0):
                slots[first + i, 3 + j] = np.broadcast_to(drawn.jac[:, i], (rows, n))
        if self.polynomial >= 0:
            columns[:, 3 + len(self.held) :] = legendre(x, self.polynomial)
        terms = [Derivative(slot, k, values) for (slot, k), values in slots.items()]
        return BasisValues(columns, terms)

    def _slopes(self, k: int, stack: Stacked, seen: _Seen, charge: FloatArray) -> list[tuple[int, FloatArray]]:
        """Return the derivatives of a column by the parameters that move it, by their places."""
        width = len(self._shape)
        found = [(i, stack.value @ slope) for i, slope in enumerate(seen.slopes)]
        found += [(width + k, stack.by_size[0] @ seen.value), (width + 3, stack.by_size[1] @ seen.value)]
        found.append((width + 8, (stack.by_filled - stack.by_empty) @ seen.value))
        if k:
            found.append((width + 7, 2.0 * (stack.by_empty @ seen.value)))
        for slot, by, power in ((width + 9, stack.by_tail, 1), (width + 10, stack.by_variance, 2)):
            if by is not None:
                found.append((slot, charge[:, None] ** power * (by @ seen.value)))
        for slot, by in ((width + 4, stack.by_p), (width + 5, stack.by_r), (width + 6, stack.by_after)):
            if by is not None:
                found.append((slot, by @ seen.value))
        return found


def _beside_formula(stack: Stacked, terms: FloatArray, size: FloatArray) -> tuple[Stacked, list[FloatArray]]:
    """Return a stack times 1 + terms . size without its net area, and its derivatives by the sizes.

    `terms` are of shape (B, T, G), `size` of (T,).
    """
    value = stack.value
    total = value.sum(axis=1, keepdims=True)
    factor = np.einsum("k,bkg->bg", size, terms)
    mean = (value * factor).sum(axis=1, keepdims=True) / total

    def times(by: FloatArray | None) -> FloatArray | None:
        if by is None:
            return None
        moved = ((by * factor).sum(axis=-1, keepdims=True) - mean * by.sum(axis=-1, keepdims=True)) / total
        return np.asarray(by * (1.0 + factor - mean) - value * moved)

    changed = {name: times(getattr(stack, name)) for name in Stacked.__dataclass_fields__ if name != "value"}
    means = np.einsum("bg,bkg->bk", value, terms) / total
    by_term = [value * (terms[:, k] - means[:, k, None]) for k in range(terms.shape[1])]
    return Stacked(value=value * (1.0 + factor - mean), **changed), by_term  # type: ignore[arg-type]


def _lagrange(nodes: FloatArray, at: FloatArray) -> FloatArray:
    """Return Lagrange's polynomials of some nodes at some places, shape (places, nodes)."""
    result = np.ones((at.size, nodes.size))
    for k, node in enumerate(nodes):
        for other in nodes[np.arange(nodes.size) != k]:
            result[:, k] *= (at - other) / (node - other)
    return result
