"""From declared parameters to the vector that the solver iterates.

Users declare parameters per pattern with `Parameters` (value, bounds, ``vary``, ``expr``) and say how each one
runs through the series: the same in every pattern (`SHARED`), one value per pattern (`PER_PATTERN`), or a smooth
function of the series variable (`Smooth`). The layout turns this into arrays: which entries are free, their bounds, and
the matrices that carry values and derivatives between the free vector and the local parameters of each pattern.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import FitError
from layerscope.fitting.expressions import RESERVED, Expression
from layerscope.fitting.parameters import Parameter, Parameters, tie

__all__ = ["PER_PATTERN", "SHARED", "Layout", "Scope", "Smooth"]

FloatArray = NDArray[np.float64]

SHARED: Literal["shared"] = "shared"
PER_PATTERN: Literal["per_pattern"] = "per_pattern"


@dataclass(frozen=True)
class Smooth:
    """A parameter that is a smooth function of the series variable.

    The free numbers are its values at `knots` Chebyshev-Lobatto nodes of the variable's range, so that they carry the
    parameter's own unit and bounds; between the nodes it is their interpolating polynomial.

    Parameters
    ----------
    knots : int
        Number of nodes, at least 1; 2 is a straight line, 3 a parabola.
    """

    knots: int = 2

    def matrix(self, u: FloatArray) -> FloatArray:
        """Return the interpolation weights, shape (L, knots), at the series variable `u` of shape (L,)."""
        if self.knots < 1:
            raise FitError("a smooth parameter needs at least one knot")
        low, high = float(u.min()), float(u.max())
        if self.knots == 1 or high == low:
            return np.ones((u.size, 1)) if self.knots == 1 else _degenerate(u.size, self.knots)
        t = 2.0 * (u - low) / (high - low) - 1.0
        nodes = -np.cos(np.pi * np.arange(self.knots) / (self.knots - 1))
        weights = np.ones((u.size, self.knots))
        for k in range(self.knots):  # Lagrange's form: exact for the few knots used here
            for j in range(self.knots):
                if j != k:
                    weights[:, k] *= (t - nodes[j]) / (nodes[k] - nodes[j])
        return weights


def _degenerate(size: int, knots: int) -> FloatArray:
    raise FitError(f"{knots} knots need a series variable that varies, but all {size} values are equal")


Scope = Literal["shared", "per_pattern"] | Smooth


@dataclass(frozen=True)
class _Base:
    """A declared parameter that is no expression."""

    name: str
    vary: bool
    scope: Scope
    start: FloatArray  # shape (L,)
    low: float
    high: float


class Layout:
    """Map between the free vector of a series and the local parameters of its patterns.

    Parameters
    ----------
    parameters : Parameters
        Every nonlinear parameter of the model, and any helper parameters that expressions use. Bounds hold for free
        parameters; a tied one follows its expression wherever that leads.
    model_names : tuple of str
        The nonlinear parameters in the order in which the model wants them.
    n_patterns : int
        Patterns in the series, L.
    scopes : mapping of str to Scope, optional
        How each free parameter runs through the series; `SHARED` where nothing is said.
    variable : ndarray, shape (L,), optional
        Series variable (etch time, voltage, ...); pattern index where nothing is said.
    starts : mapping of str to array-like, shape (L,), optional
        Start values (or, for a parameter that does not vary, its values) pattern by pattern.

    Raises
    ------
    FitError
        If a parameter is missing, a scope names an unknown parameter, bounds cross, or expressions form a circle.
    """

    def __init__(
        self,
        parameters: Parameters,
        model_names: tuple[str, ...],
        n_patterns: int,
        *,
        scopes: Mapping[str, Scope] | None = None,
        variable: FloatArray | None = None,
        starts: Mapping[str, FloatArray] | None = None,
    ) -> None:
        scopes, starts = dict(scopes or {}), dict(starts or {})
        for name in (*scopes, *starts, *model_names):
            if name not in parameters:
                raise FitError(f"no parameter '{name}' is declared", hint="declared: " + ", ".join(parameters))
        for name in parameters:
            if name in RESERVED:
                raise FitError(f"'{name}' cannot name a parameter: constraints use it for something else")
        self.n_patterns = n_patterns
        self.model_names = model_names
        self.variable = np.arange(n_patterns, dtype=float) if variable is None else np.asarray(variable, float)
        self.bases = [_base(p, scopes, starts, n_patterns) for p in parameters.values() if not p.expr]
        self.expressions = _ordered({p.name: tie(p.expr) for p in parameters.values() if p.expr}, parameters)
        self._index_bases(scopes)

    def _index_bases(self, scopes: Mapping[str, Scope]) -> None:
        tied = [name for name in scopes if name in self.expressions]
        if tied:
            raise FitError(f"'{tied[0]}' is tied by an expression and cannot have a scope of its own")
        used = set(self.model_names)
        for expression in reversed(self.expressions.values()):
            used |= set(expression.names)
        free = [b for b in self.bases if b.vary and b.name in used]
        self.shared = [b for b in free if b.scope != PER_PATTERN]
        self.local = [b for b in free if b.scope == PER_PATTERN]
        self.fixed = [b for b in self.bases if b not in free]
        blocks = [
            b.scope.matrix(self.variable) if isinstance(b.scope, Smooth) else np.ones((self.n_patterns, 1))
            for b in self.shared
        ]
        self.n_shared = sum(block.shape[1] for block in blocks)
        self.n_local = len(self.local)
        # spread[l, v, s]: how the s-th free number enters the v-th shared parameter in pattern l
        self.is_plain = not any(isinstance(b.scope, Smooth) for b in self.shared)
        whole = (self.n_patterns, len(self.shared), self.n_shared)
        self.spread = np.broadcast_to(np.eye(self.n_shared), whole) if self.is_plain else np.zeros(whole)
        self.shared_labels: list[str] = []
        column = 0
        for v, (base, block) in enumerate(zip(self.shared, blocks, strict=True)):
            width = block.shape[1]
            if not self.is_plain:
                self.spread[:, v, column : column + width] = block
            self.shared_labels += (
                [f"{base.name}@{k}" for k in range(width)] if isinstance(base.scope, Smooth) else [base.name]
            )
            column += width
        #: whether every parameter is the same in all patterns
        self.alike = self.is_plain and not self.local and all((b.start == b.start[0]).all() for b in self.fixed)
        self.free_names = tuple(b.name for b in (*self.shared, *self.local))
        self.all_names = tuple(b.name for b in self.bases) + tuple(self.expressions)
        #: where each parameter that is free, or the same as one that is, stands in the free vector
        self.plain_routes = {name: i for i, name in enumerate(self.free_names)}
        for name, expression in self.expressions.items():
            if expression.same_as in self.plain_routes:
                self.plain_routes[name] = self.plain_routes[expression.same_as]

    def start(self) -> tuple[FloatArray, FloatArray]:
        """Return the start vector: shared part (S,) and local part (L, T)."""
        shared = np.zeros(self.n_shared)
        for v, base in enumerate(self.shared):
            if self.n_patterns == 1 and self.is_plain:
                shared[v] = base.start[0]
                continue
            columns = np.flatnonzero(self.spread[:, v].any(axis=0))
            block = self.spread[:, v][:, columns]
            shared[columns] = np.linalg.lstsq(block, base.start, rcond=None)[0]
        local = np.stack([b.start for b in self.local], axis=1) if self.local else np.zeros((self.n_patterns, 0))
        low, high = self.bounds_shared()
        low_local, high_local = self.bounds_local()
        return np.clip(shared, low, high), np.clip(local, low_local, high_local)

    def bounds_shared(self) -> tuple[FloatArray, FloatArray]:
        """Return lower and upper bounds of the shared part, each of shape (S,)."""
        owner = [b for b in self.shared for _ in range(b.scope.knots if isinstance(b.scope, Smooth) else 1)]
        return np.array([b.low for b in owner]), np.array([b.high for b in owner])

    def bounds_local(self) -> tuple[FloatArray, FloatArray]:
        """Return lower and upper bounds of the local part, each of shape (T,)."""
        return np.array([b.low for b in self.local]), np.array([b.high for b in self.local])

    def local_values(
        self, shared: FloatArray, local: FloatArray
    ) -> tuple[dict[str, FloatArray], dict[str, dict[str, FloatArray]]]:
        """Return every declared parameter in every pattern, and the slopes of the tied ones.

        Parameters
        ----------
        shared : ndarray, shape (G, S)
        local : ndarray, shape (G, L, T)

        Returns
        -------
        values : dict of ndarray, shape (G, L)
        slopes : dict of dict of ndarray, shape (G, L)
            ``slopes[tied][free]``, only where not zero.
        """
        shape = (shared.shape[0], self.n_patterns)
        values = {b.name: np.broadcast_to(b.start, shape) for b in self.fixed}
        for v, base in enumerate(self.shared):
            if self.is_plain:
                values[base.name] = np.broadcast_to(shared[:, v, None], shape)
            else:
                values[base.name] = shared @ self.spread[:, v].T
        for t, base in enumerate(self.local):
            values[base.name] = local[..., t]
        free = set(self.free_names)
        slopes: dict[str, dict[str, FloatArray]] = {}
        one = np.broadcast_to(1.0, shape)
        with np.errstate(all="ignore"):
            for name, expression in self.expressions.items():
                if (same := expression.same_as) is not None:
                    values[name] = values[same]
                    slopes[name] = {same: one} if same in free else slopes.get(same, {})
                    continue
                dual = expression.gradient(values)
                values[name] = np.broadcast_to(np.asarray(dual.value, float), shape)
                slope: dict[str, FloatArray] = {}
                for source, d in dual.gradient.items():
                    inner = {source: np.ones(shape)} if source in free else slopes.get(source, {})
                    for target, e in inner.items():
                        slope[target] = slope.get(target, 0.0) + np.broadcast_to(d, shape) * e
                slopes[name] = slope
        return values, slopes


def _base(p: Parameter, scopes: Mapping[str, Scope], starts: Mapping[str, FloatArray], n_patterns: int) -> _Base:
    low, high = float(p.min), float(p.max)
    if low > high:
        raise FitError(f"bounds of '{p.name}' cross: {low} > {high}")
    given = starts.get(p.name)
    if given is None:
        start = np.full(n_patterns, float(p.value))
    else:
        start = np.broadcast_to(np.asarray(given, float), (n_patterns,)).copy()
    if not np.isfinite(start).all():
        raise FitError(f"'{p.name}' has no finite start value")
    scope = scopes.get(p.name, SHARED)
    if not isinstance(scope, Smooth) and scope not in (SHARED, PER_PATTERN):
        raise FitError(f"scope of '{p.name}' is {scope!r}", hint="use 'shared', 'per_pattern' or Smooth(knots)")
    if n_patterns == 1 and scope == PER_PATTERN:
        scope = SHARED
    return _Base(p.name, bool(p.vary), scope, start, low, high)


def _ordered(expressions: dict[str, Expression], parameters: Parameters) -> dict[str, Expression]:
    """Sort expressions so that each one comes after those it uses."""
    done: dict[str, Expression] = {}
    pending = dict(expressions)
    for name, expression in expressions.items():
        for used in expression.names:
            if used not in parameters:
                hint = "parameters are " + ", ".join(parameters)
                raise FitError(f"the constraint of '{name}' uses '{used}', which is no parameter", hint=hint)
    while pending:
        ready = [n for n, e in pending.items() if not set(e.names) & set(pending)]
        if not ready:
            chain = [next(iter(pending))]
            while chain[-1] not in chain[:-1]:
                chain.append(next(used for used in pending[chain[-1]].names if used in pending))
            raise FitError("constraints form a circle: " + " -> ".join(chain[chain.index(chain[-1]) :]))
        done.update((n, pending.pop(n)) for n in ready)
    return done
