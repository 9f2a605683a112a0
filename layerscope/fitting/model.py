"""A pattern of peaks on a background, written down once and evaluated for many patterns at once.

Every component is a peak shape times an area; every area and every background coefficient is linear and is eliminated
by the engine. An *active* background is part of the model instead of being taken off the data first: the inelastic tail
of each peak moves with its area, so the column of a component becomes ``s + k * integral(s)`` (Shirley) or ``s + B *
K[s]`` (Tougaard), which is still linear in the area.

References
----------
Herrera-Gomez, A. et al. (2014). Practical methods for background subtraction in photoemission spectra.
Surf. Interface Anal. 46, 897-905. doi:10.1002/sia.5453 (the active approach)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import FitError
from layerscope.fitting.basis import BasisValues, Derivative
from layerscope.fitting.lines import Places
from layerscope.fitting.parameters import Parameters
from layerscope.fitting.shapes import Doublet, Gaussian, Lorentzian, PseudoVoigt, Shape, ShapeValues, get_shape
from layerscope.fitting.tougaard import TougaardKernel, TougaardOperator, tougaard_operator

__all__ = ["ActiveBackground", "Component", "PatternModel"]

FloatArray = NDArray[np.float64]
ActiveBackground = Literal["none", "shirley", "tougaard_u2", "tougaard_u3"]

SHIFT = "shift"
UNIVERSAL_C = 1643.0  # eV^2, Tougaard (1987), doi:10.1016/0038-1098(87)90166-9
FEW_VALUES = 1 << 12  # points up to which lines of one shape are worked out together: more would leave the cache
MAX_OPERATORS = 64  # an operator of a 200-point axis takes 1 MB


@dataclass(frozen=True)
class Component:
    """One line or doublet of a pattern.

    Parameters
    ----------
    name : str
        A valid identifier; its parameters are called ``<name>_center``, ``<name>_fwhm``, ... and its coefficient
        ``<name>_area``.
    shape : str or Shape
        Name of a shape of `layerscope.fitting.shapes`, or a shape.
    doublet : bool
        Whether to double the line; adds ``<name>_splitting`` and ``<name>_ratio``.
    nonnegative : bool
        Whether the area is a physical amount that cannot be negative.
    shifted : bool
        Whether the component moves with the pattern's common ``shift``.
    """

    name: str
    shape: str | Shape = "pseudo_voigt"
    doublet: bool = False
    nonnegative: bool = True
    shifted: bool = True
    _resolved: Shape = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise FitError(f"'{self.name}' cannot name a component", hint="use letters, digits and _")
        base = get_shape(self.shape) if isinstance(self.shape, str) else self.shape
        object.__setattr__(self, "_resolved", Doublet(base) if self.doublet else base)

    @property
    def line(self) -> Shape:
        """The shape that is evaluated."""
        return self._resolved

    def parameter(self, name: str) -> str:
        """Return the full name of a shape parameter."""
        return f"{self.name}_{name}"


class PatternModel:
    """Components on a background: the model of one pattern of a series.

    Parameters
    ----------
    components : sequence of Component
    polynomial : int
        Degree of the polynomial background (Legendre polynomials on the range of the axis); -1 for none.
    active : {"none", "shirley", "tougaard_u2", "tougaard_u3"}
        Inelastic background that is fitted with the peaks. Shirley adds the nonlinear parameter ``shirley_k`` (1/axis
        unit), Tougaard ``tougaard_b`` (axis unit squared; the three-parameter form also ``tougaard_c`` and
        ``tougaard_d``).

    Raises
    ------
    FitError
        If there is no component, two share a name, or the background is unknown.
    """

    def __init__(
        self, components: Sequence[Component], *, polynomial: int = 1, active: ActiveBackground = "none"
    ) -> None:
        if not components:
            raise FitError("a pattern needs at least one component")
        names = [c.name for c in components]
        if len(set(names)) < len(names):
            raise FitError("two components share a name", hint=", ".join(names))
        if active not in ("none", "shirley", "tougaard_u2", "tougaard_u3"):
            raise FitError(f"unknown active background '{active}'")
        self.components = tuple(components)
        self.polynomial = polynomial
        self.active = active
        self._slots: list[tuple[int, ...]] = []
        nonlinear: list[str] = []
        for c in self.components:
            own = [c.parameter(p) for p in c.line.parameters]
            self._slots.append(tuple(range(len(nonlinear), len(nonlinear) + len(own))))
            nonlinear += own
        self._alike = _alike([c.line for c in self.components])
        self._shift = len(nonlinear)
        nonlinear.append(SHIFT)
        self._background = len(nonlinear)
        nonlinear += {
            "none": [],
            "shirley": ["shirley_k"],
            "tougaard_u2": ["tougaard_b"],
            "tougaard_u3": ["tougaard_b", "tougaard_c", "tougaard_d"],
        }[active]
        self._nonlinear = tuple(nonlinear)
        self._linear = tuple(f"{c.name}_area" for c in self.components) + tuple(
            f"background_{i}" for i in range(polynomial + 1)
        )
        self._operator_cache: dict[tuple[bytes, bytes], TougaardOperator] = {}
        self._last_legendre: tuple[FloatArray, FloatArray] | None = None

    @property
    def nonlinear_names(self) -> tuple[str, ...]:
        """Names of positions, widths, ..., ``shift`` and the strength of an active background."""
        return self._nonlinear

    @property
    def linear_names(self) -> tuple[str, ...]:
        """Names of the areas and of the polynomial's coefficients."""
        return self._linear

    @property
    def nonnegative(self) -> tuple[bool, ...]:
        """Which coefficients are amounts."""
        return tuple(c.nonnegative for c in self.components) + (False,) * (self.polynomial + 1)

    def make_parameters(self) -> Parameters:
        """Return every nonlinear parameter with the default start, bounds and ``shift`` fixed at zero."""
        parameters = Parameters()
        for c in self.components:
            for name, hint in c.line.defaults().items():
                parameters.add(c.parameter(name), value=hint.value, min=hint.min, max=hint.max)
            if c.doublet:
                parameters[c.parameter("splitting")].set(vary=False)
                parameters[c.parameter("ratio")].set(vary=False)
        parameters.add(SHIFT, value=0.0, vary=False)
        if self.active == "shirley":
            parameters.add("shirley_k", value=0.02, min=0.0, max=2.0)
        elif self.active != "none":
            parameters.add("tougaard_b", value=1000.0, min=0.0, max=1e5)
        if self.active == "tougaard_u3":
            parameters.add("tougaard_c", value=1000.0, min=0.0, max=1e5, vary=False)
            parameters.add("tougaard_d", value=13300.0, min=0.0, max=1e6, vary=False)
        return parameters

    def evaluate_lines(self, x: FloatArray, q: FloatArray, *, derivatives: bool = True) -> list[ShapeValues]:
        """Return the bare line of every component at `x` (B or 1, n) for parameters `q` (B, Q).

        A line that is the same in all rows, on one axis, is worked out once: its arrays then have a first axis of 1.
        """
        own = [q[:, slots] for slots in self._slots]
        for c, p in zip(self.components, own, strict=True):
            if c.shifted:
                p[:, 0] += q[:, self._shift]
        if x.shape[0] == 1 and not self.active.startswith("tougaard"):
            own = [_once(p) for p in own]
        asked = {"derivatives": derivatives, "integral": self.active == "shirley"}
        values: list[ShapeValues | None] = [None] * len(own)
        for together in self._alike:
            rows = [own[j] for j in together]
            if x.shape[0] > 1 or len(together) == 1 or sum(map(len, rows)) * x.shape[-1] > FEW_VALUES:
                for j, p in zip(together, rows, strict=True):
                    values[j] = self.components[j].line.evaluate(x, p, **asked)
                continue
            one = self.components[together[0]].line.evaluate(x, np.concatenate(rows), **asked)
            ends = np.cumsum([len(p) for p in rows])
            for j, p, end in zip(together, rows, ends, strict=True):
                values[j] = one.rows(slice(end - len(p), end))
        return [one for one in values if one is not None]

    def basis(self, x: FloatArray, q: FloatArray, *, derivatives: bool = True) -> BasisValues:
        """Return the columns of all components and of the polynomial at `x` of shape (B, n) or (1, n)."""
        if len(q) == len(x) == 1 and not self.active.startswith("tougaard"):
            return self._basis_of_one_row(x, q, derivatives)
        lines = self.evaluate_lines(x, q, derivatives=derivatives)
        columns = np.empty((q.shape[0], len(self._linear), x.shape[-1]))
        terms: list[Derivative] = []
        for j, (c, slots, line) in enumerate(zip(self.components, self._slots, lines, strict=True)):
            column, jacobian, extra = self._with_background(x, q, line, derivatives)
            columns[:, j] = column
            if not derivatives:
                continue
            terms += [Derivative(slot, j, jacobian[:, i]) for i, slot in enumerate(slots)]
            if c.shifted:
                terms.append(Derivative(self._shift, j, jacobian[:, 0]))
            terms += [Derivative(self._background + i, j, d) for i, d in enumerate(extra)]
        if self.polynomial >= 0:
            columns[:, len(self.components) :] = self._legendre(x)
        return BasisValues(columns, terms)

    def _basis_of_one_row(self, x: FloatArray, q: FloatArray, derivatives: bool) -> BasisValues:
        """Return what `basis` does: lines of one shape and what lies under them are worked out as rows of one array."""
        columns = np.empty((1, len(self._linear), x.shape[-1]))
        terms: list[Derivative] = []
        for places in self._alike:
            line, p = self.components[places[0]].line, q[0, [self._slots[j] for j in places]]
            p[:, 0] += [q[0, self._shift] if self.components[j].shifted else 0.0 for j in places]
            one = line.evaluate(x, p, derivatives=derivatives, integral=self.active == "shirley")
            columns[0, places], jacobian, extra = self._with_background(x, q, one, derivatives)
            for row, j in enumerate(places) if derivatives else ():
                own = jacobian[row]
                terms += [Derivative(slot, j, own[i : i + 1]) for i, slot in enumerate(self._slots[j])]
                if self.components[j].shifted:
                    terms.append(Derivative(self._shift, j, own[:1]))
                terms += [Derivative(self._background + i, j, d[row : row + 1]) for i, d in enumerate(extra)]
        if self.polynomial >= 0:
            columns[:, len(self.components) :] = self._legendre(x)
        return BasisValues(columns, terms)

    def places(self) -> Places | None:
        """Return where the parameters of the lines stand; None with a Tougaard background, or columns of its own."""
        if self.active.startswith("tougaard") or type(self).basis is not PatternModel.basis:
            return None
        closed = all(type(c.line) in (Gaussian, Lorentzian, PseudoVoigt) for c in self.components)
        return Places(
            tuple(c.line.name for c in self.components) if closed else None,
            tuple(self._slots),
            tuple(self._shift if c.shifted else -1 for c in self.components),
            self._background if self.active == "shirley" else -1,
        )

    def lines(self, x: FloatArray, q: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return lines with what lies under them, and derivatives (see `layerscope.fitting.lines.Lines`)."""
        count, width = len(self.components), max(map(len, self._slots))
        columns, slopes = np.empty((count, x.shape[-1])), np.empty((width + 1, count, x.shape[-1]))
        for at, slots, shifted in self._together:
            p = q[slots]
            p[:, 0] += q[self._shift] * shifted
            line = self.components[at[0]].line.evaluate(x, p, integral=self.active == "shirley")
            place = slice(None) if len(at) == count else at
            columns[place], jacobian, extra = self._with_background(x, q[None], line, True)
            slopes[: slots.shape[1], place] = jacobian.swapaxes(0, 1)
            if extra:
                slopes[width, place] = extra[0]
        return columns, slopes

    @cached_property
    def _together(self) -> list[tuple[list[int], NDArray[np.intp], FloatArray]]:
        """Lines of one shape: their places, those of their parameters, and 1 where they are shifted, else 0."""
        return [
            (at, np.array([self._slots[j] for j in at]), np.array([float(self.components[j].shifted) for j in at]))
            for at in self._alike
        ]

    def polynomials(self, x: FloatArray) -> FloatArray:
        """Return the columns of the polynomial on an axis of shape (1, n), (b, n)."""
        return self._legendre(x)[0] if self.polynomial >= 0 else np.zeros((0, x.shape[-1]))

    def _legendre(self, x: FloatArray) -> FloatArray:
        """Return the polynomials on an axis, which a fit asks for again and again."""
        if x.shape[0] > 1:
            return legendre(x, self.polynomial)
        if self._last_legendre is None or not np.array_equal(self._last_legendre[0], x):
            self._last_legendre = (x.copy(), legendre(x, self.polynomial))
        return self._last_legendre[1]

    def _with_background(
        self, x: FloatArray, q: FloatArray, line: ShapeValues, derivatives: bool
    ) -> tuple[FloatArray, FloatArray, list[FloatArray]]:
        """Add a line's own inelastic background: column, derivatives by shape parameter, derivatives by strength."""
        if self.active == "none":
            return line.value, line.jac, []
        strength = q[:, self._background, None]
        if self.active == "shirley":
            if len(line.value) == 1:
                strength = _once(strength)
            assert line.integral is not None  # noqa: S101 - asked for in evaluate_lines
            column = line.value + strength * line.integral
            if not derivatives:
                return column, line.jac, []
            assert line.integral_jac is not None  # noqa: S101
            return column, line.jac + strength[:, None] * line.integral_jac, [line.integral]
        return self._with_tougaard(x, q, line, derivatives)

    def _with_tougaard(
        self, x: FloatArray, q: FloatArray, line: ShapeValues, derivatives: bool
    ) -> tuple[FloatArray, FloatArray, list[FloatArray]]:
        form: Literal["U2", "U3"] = "U2" if self.active == "tougaard_u2" else "U3"
        b = q[:, self._background, None]
        kernels = q[:, self._background + 1 :] if form == "U3" else np.broadcast_to([UNIVERSAL_C, 0.0], (len(q), 2))
        value, jac = np.empty_like(line.value), np.empty_like(line.jac)
        losses = [np.empty_like(line.value) for _ in range(1 if form == "U2" else 3)]
        for rows, operator in self._operators(x, kernels, form):
            t = operator.matrix.T
            losses[0][rows] = line.value[rows] @ t
            if derivatives:
                jac[rows] = line.jac[rows] + b[rows, :, None] * (line.jac[rows] @ t)
                for slot, matrix in zip(losses[1:], (operator.d_c, operator.d_d), strict=False):
                    slot[rows] = b[rows] * (line.value[rows] @ matrix.T)
        value = line.value + b * losses[0]
        return value, jac, losses if derivatives else []

    def _operators(
        self, x: FloatArray, kernels: FloatArray, form: Literal["U2", "U3"]
    ) -> Iterator[tuple[NDArray[np.intp], TougaardOperator]]:
        """Yield the loss operators that occur, each with the rows it belongs to."""
        full = np.broadcast_to(x, (len(kernels), x.shape[-1]))
        keys = [(a.tobytes(), k.tobytes()) for a, k in zip(full, kernels, strict=True)]
        for key in dict.fromkeys(keys):
            rows = np.array([i for i, other in enumerate(keys) if other == key])
            if key not in self._operator_cache:
                if len(self._operator_cache) > MAX_OPERATORS:
                    self._operator_cache.clear()
                c, d = kernels[rows[0]]
                self._operator_cache[key] = _padded_operator(full[rows[0]], TougaardKernel(form, 1.0, c, d))
            yield rows, self._operator_cache[key]

    def component_curves(
        self, x: FloatArray, q: FloatArray, coefficients: FloatArray
    ) -> tuple[dict[str, FloatArray], FloatArray]:
        """Split the model into bare lines and everything below them.

        Parameters
        ----------
        x : ndarray, shape (B, n) or (1, n)
        q : ndarray, shape (B, Q)
        coefficients : ndarray, shape (B, m)
            The first m of `linear_names`; data-borne columns are not included.

        Returns
        -------
        lines : dict of ndarray, shape (B, n)
            By component, without background.
        background : ndarray, shape (B, n)
            Polynomial and inelastic background.
        """
        basis = self.basis(x, q, derivatives=False)
        total = np.einsum("bm,bmn->bn", coefficients[:, : len(self._linear)], basis.columns)
        lines = {
            c.name: coefficients[:, j, None] * values.value
            for j, (c, values) in enumerate(
                zip(self.components, self.evaluate_lines(x, q, derivatives=False), strict=True)
            )
        }
        return lines, total - sum(lines.values(), np.zeros_like(total))


def _once(p: FloatArray) -> FloatArray:
    """Return the first row alone where all rows are equal."""
    return p[:1] if len(p) > 1 and (p == p[0]).all() else p


def _alike(lines: Sequence[Shape]) -> list[list[int]]:
    """Return the places of lines of one shape, shape by shape: they are worked out as rows of one array."""
    groups: dict[object, list[int]] = {}
    for place, line in enumerate(lines):
        groups.setdefault(id(line) if vars(line) else type(line), []).append(place)
    return list(groups.values())


def _padded_operator(x: FloatArray, kernel: TougaardKernel) -> TougaardOperator:
    """Return the operator on an axis whose end may be padding (points that repeat the last value)."""
    n = int(np.argmax(np.diff(x) <= 0)) + 1 if (np.diff(x) <= 0).any() else x.size
    operator = tougaard_operator(x[:n], kernel)
    if n == x.size:
        return operator
    pad = ((0, x.size - n), (0, x.size - n))
    return TougaardOperator(*(np.pad(m, pad) for m in (operator.matrix, operator.d_c, operator.d_d)))


def legendre(x: FloatArray, degree: int) -> FloatArray:
    """Return Legendre polynomials 0..degree on the range of each axis, shape (B, degree + 1, n)."""
    low, high = x.min(axis=-1, keepdims=True), x.max(axis=-1, keepdims=True)
    span = np.where(high > low, high - low, 1.0)
    t = (2.0 * x - low - high) / span
    return np.moveaxis(np.polynomial.legendre.legvander(t, degree), -1, 1)
