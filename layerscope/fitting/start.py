"""Where the lines of a model may be: every place is weighed before the first step of a fit.

A fit goes downhill from where it starts, and finds the wrong line where it starts a few widths off. Here the projected
chi2 (areas at or above zero, background in closed form) is taken for all places on a grid: for each of a few widths one
Gram matrix of all candidate columns serves every set of places, which then costs the solution of K equations. Lines
that overlap are moved together, and the best places *of every width* are handed on, because a wrong width prefers wrong
places.

A start needs no more than that the patterns share their weights, so that the cost does not grow with their number.

References
----------
Golub, G. H., Pereyra, V. (1973). SIAM J. Numer. Anal. 10, 413-432. doi:10.1137/0710036 (variable projection)
Lawson, C. L., Hanson, R. J. (1974). Solving Least Squares Problems, ch. 23 (amounts at or above zero)
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from layerscope.fitting.layout import Layout
from layerscope.fitting.measured import Prepared, Series, prepare
from layerscope.fitting.model import SHIFT, Component, PatternModel, legendre
from layerscope.fitting.parameters import Parameters
from layerscope.fitting.shapes.base import AXIS_UNIT

__all__ = ["WIDTHS", "Start", "scan_starts", "smoothed_variance"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

WIDTHS = (0.6, 0.87, 1.2, 1.75)  # of the start widths: four Gram matrices span a factor of three
STEP = 0.15  # of the narrowest width: the grid on which lines are placed
BEAM = 6  # sets of places that are kept while lines are added one by one
PLACES_WITH_SHIFT = 5  # places of a line inside its bounds at every common shift
KEPT = 3  # starts that each width hands on
ENUMERATED = 4  # lines up to which every set of amounts above zero is tried
ORDERS = 6  # orders in which lines are added
DESCENTS = 8  # steps that a set of places may go down
CHUNK = 20_000  # sets that are weighed at once
BESIDE = 1  # grid steps within which two sets go down to the same places
SAME = 1.5  # grid steps within which two sets of places are the same


@dataclass(frozen=True)
class Start:
    """Where a fit may start.

    Attributes
    ----------
    values : dict of float
        Nonlinear parameters: positions, widths and the common shift.
    chi2 : float
        Projected chi2 of all patterns there, with weights that they share.
    """

    values: dict[str, float]
    chi2: float


@dataclass(frozen=True)
class _Line:
    """A component whose place is searched.

    Attributes
    ----------
    component : Component
    low, high : float
        Bounds of its centre; equal where it is held.
    tied : bool
        Whether an expression places it.
    kind : int
        Lines of one kind share their columns.
    """

    component: Component
    low: float
    high: float
    tied: bool
    kind: int


@dataclass
class _Gram:
    """Products of all candidate columns with each other and with the data, background projected out.

    Attributes
    ----------
    products : ndarray, shape (C, C)
    data : ndarray, shape (C, L)
    total : float
        Sum of squares of the data.
    """

    products: FloatArray
    data: FloatArray
    total: float

    def chi2(self, columns: IntArray) -> FloatArray:
        """Return chi2 (M,) of the sets of `columns` (M, K) with amounts at or above zero."""
        if columns.shape[1] == 0:
            return np.full(len(columns), self.total)
        g = self.products[columns[:, :, None], columns[:, None, :]]
        b = self.data[columns]
        if columns.shape[1] <= ENUMERATED:
            return self.total - self._best_subset(g, b)
        return self.total - _active_set(g, b)

    @staticmethod
    def _best_subset(g: FloatArray, b: FloatArray) -> FloatArray:
        k = b.shape[1]
        best = np.zeros((b.shape[0], b.shape[2]))
        for size in range(1, k + 1):
            for chosen in itertools.combinations(range(k), size):
                at = list(chosen)
                amounts = _solve(g[:, at][:, :, at], b[:, at])
                gain = np.where((amounts >= 0.0).all(axis=1), (amounts * b[:, at]).sum(axis=1), 0.0)
                best = np.maximum(best, gain)
        return np.asarray(best.sum(axis=1))


def _solve(g: FloatArray, b: FloatArray) -> FloatArray:
    """Solve for amounts; columns have length one, so that a tiny ridge holds merged lines apart."""
    if b.shape[1] == 1:
        return np.asarray(b / np.maximum(g[:, :, 0, None], 1e-12))
    ridge = g.copy()
    at = np.arange(b.shape[1])
    ridge[:, at, at] = ridge[:, at, at] * (1.0 + 1e-6) + 1e-12
    return np.asarray(np.linalg.solve(ridge, b), float)


def _active_set(g: FloatArray, b: FloatArray) -> FloatArray:
    """Return the gain of amounts at or above zero for many lines: the most negative one is left out, one by one."""
    m, k, patterns = b.shape
    gains = np.zeros(m)
    for pattern in range(patterns):
        inside = np.ones((m, k), bool)
        target = b[:, :, pattern]
        amounts = np.zeros((m, k))
        for _ in range(k):
            both = inside[:, :, None] & inside[:, None, :]
            at = np.arange(k)
            held = np.where(both, g, 0.0)
            held[:, at, at] = np.where(inside, held[:, at, at] * (1.0 + 1e-6) + 1e-12, 1.0)
            amounts = np.linalg.solve(held, np.where(inside, target, 0.0)[:, :, None])[:, :, 0]
            worst = amounts.argmin(axis=1)
            negative = amounts[np.arange(m), worst] < 0.0
            if not negative.any():
                break
            inside[negative, worst[negative]] = False
        gains += (np.maximum(amounts, 0.0) * target).sum(axis=1)
    return gains


def scan_starts(
    model: PatternModel,
    parameters: Parameters,
    series: Series,
    *,
    reach: float = 0.0,
    widths: Sequence[float] = WIDTHS,
    kept: int = KEPT,
) -> list[Start]:
    """Return the best places of the lines of a model, for each of a few widths, the best first.

    Parameters
    ----------
    model : PatternModel
    parameters : Parameters
        Bounds of the centres say where each line may be; a centre that does not vary, or is tied, stays so.
    series : Series
        Patterns on one axis; of several axes the first is used.
    reach : float, optional
        How far all lines that shift may have shifted together, in the unit of the axis; 0 for not at all.
    widths : sequence of float, optional
        That are tried, in units of the start widths.
    kept : int, optional
        Starts that each width hands on.

    Returns
    -------
    list of Start
        At most ``kept`` for each width.
    """
    search = _Search(model, parameters, series, reach)
    found: list[Start] = []
    for factor in widths:
        found += search.best(factor, kept)
    return sorted(found, key=lambda start: start.chi2)


class _Search:
    """The data and the grid of one scan.

    Places are numbers of grid points; a set of places is a row with one number a line, and shifts are whole grid steps.
    """

    def __init__(self, model: PatternModel, parameters: Parameters, series: Series, reach: float) -> None:
        self.model, self.parameters = model, parameters
        self._take(series)
        self.lines = self._lines(reach)
        width = min((self._width(line.component) for line in self.lines), default=1.0)
        span = float(self.x[-1] - self.x[0])
        self.step = max(STEP * width * WIDTHS[1], span / 400.0)
        low = max(min((line.low for line in self.lines), default=0.0) - reach, float(self.x[0]))
        high = min(max((line.high for line in self.lines), default=0.0) + reach, float(self.x[-1]))
        self.grid = low + self.step * np.arange(max(int(np.ceil((high - low) / self.step)), 0) + 1)
        number = int(reach / self.step)
        self.shifts = np.arange(-number, number + 1)
        self.reach = reach
        self.moves_along = np.array([int(line.component.shifted) for line in self.lines], np.intp)
        self.offsets = np.array([line.kind for line in self.lines], np.intp) * self.grid.size
        self._layout = Layout(parameters, model.nonlinear_names, 1)

    def _take(self, series: Series) -> None:
        """Keep the points that every pattern has, with weights that all patterns share."""
        data = prepare(series)
        use = data.use[0].all(axis=0)
        use = use if use.any() else data.use[0].any(axis=0)
        variance = (smoothed_variance(data) if data.variance is None else data.variance)[0][:, use]
        self.x = data.x[0][use]
        self.y = (data.y[0] - data.offset[0])[:, use]
        self.root_weight = 1.0 / np.sqrt(np.maximum(variance.mean(axis=0), 1e-300))
        fixed = [legendre(self.x[None], self.model.polynomial)[0]] if self.model.polynomial >= 0 else []
        if data.columns is not None:
            fixed.append(data.columns[0][:, :, use].mean(axis=0))
        self.fixed = np.concatenate(fixed) if fixed else np.zeros((0, self.x.size))

    def _lines(self, reach: float) -> list[_Line]:
        """Return the lines that can stand where there are data."""
        kinds: dict[tuple[object, ...], int] = {}
        lines = []
        start = self._values({})
        for c in self.model.components:
            center = self.parameters[c.parameter("center")]
            tied, value = bool(center.expr), start[c.parameter("center")]
            low, high = (value, value) if tied or not center.vary else (float(center.min), float(center.max))
            moved = reach if c.shifted else 0.0
            if high + moved < self.x[0] or low - moved > self.x[-1]:
                continue
            rest = tuple(start[c.parameter(p)] for p in c.line.parameters[1:])
            kind = kinds.setdefault((c.line.name, c.doublet, *rest), len(kinds))
            lines.append(_Line(c, max(low, float(self.x[0]) - moved), min(high, float(self.x[-1]) + moved), tied, kind))
        return sorted(lines, key=lambda line: line.tied)

    def _values(self, given: dict[str, float]) -> dict[str, float]:
        """Return every nonlinear parameter, tied ones included, where some are given."""
        starts = {name: np.array([value]) for name, value in given.items()}
        layout = Layout(self.parameters, self.model.nonlinear_names, 1, starts=starts)
        shared, local = layout.start()
        values, _ = layout.local_values(shared[None], local[None])
        return {name: float(value[0, 0]) for name, value in values.items()}

    def _widths(self, factor: float) -> dict[str, float]:
        """Return the free widths, scaled and kept inside their bounds."""
        scaled = {}
        for c in self.model.components:
            for name, hint in c.line.defaults().items():
                parameter = self.parameters[c.parameter(name)]
                if hint.unit != AXIS_UNIT or name in ("center", "splitting") or parameter.expr or not parameter.vary:
                    continue
                scaled[parameter.name] = float(np.clip(parameter.value * factor, parameter.min, parameter.max))
        return scaled

    def _width(self, c: Component) -> float:
        """Return the full width at half maximum of a line at its start, from its curve."""
        values = self._values({})
        p = np.array([values[c.parameter(name)] for name in c.line.parameters])
        p[0] = 0.0
        span = float(self.x[-1] - self.x[0]) or 1.0
        x = np.linspace(-span, span, 4001)
        curve = c.line.evaluate(x[None], p[None], derivatives=False).value[0]
        top = int(curve.argmax())
        below = np.flatnonzero(curve < 0.5 * curve[top])
        left, right = below[below < top], below[below > top]
        high, low = (x[right[0]] if right.size else x[-1]), (x[left[-1]] if left.size else x[0])
        return max(float(high - low), float(np.diff(self.x).min(initial=span)), span * 1e-3)

    def _gram(self, factor: float) -> _Gram:
        values = self._values(self._widths(factor))
        kinds = {line.kind: line.component for line in reversed(self.lines)}
        columns = np.concatenate([self._columns(c, values) for _, c in sorted(kinds.items())]) * self.root_weight
        data = self.y * self.root_weight
        if len(self.fixed):
            q, _ = np.linalg.qr((self.fixed * self.root_weight).T)
            columns = columns - (columns @ q) @ q.T
            data = data - (data @ q) @ q.T
        norm = np.sqrt((columns**2).sum(axis=1, keepdims=True))
        columns = columns / np.maximum(norm, 1e-12 * max(float(norm.max()), 1e-300))
        return _Gram(columns @ columns.T, columns @ data.T, float((data**2).sum()))

    def _columns(self, c: Component, values: dict[str, float]) -> FloatArray:
        alone = PatternModel([c], polynomial=-1, active=self.model.active)
        q = np.tile([values[name] for name in alone.nonlinear_names], (self.grid.size, 1))
        q[:, 0] = self.grid
        q[:, alone.nonlinear_names.index(SHIFT)] = 0.0
        return alone.basis(self.x[None], q, derivatives=False).columns[:, 0]

    def best(self, factor: float, kept: int) -> list[Start]:
        """Return the best sets of places at one width."""
        if not self.lines:
            return []
        gram = self._gram(factor)
        ends = [self._descended(gram, shift, places) for shift, places in _apart(self._sets(gram))]
        found: list[tuple[float, int, IntArray]] = []
        for chi2, shift, places in sorted(ends, key=lambda end: end[0]):
            moved = [max(abs(shift - s), int(np.abs(places - p).max())) for _, s, p in found]
            if all(by > SAME for by in moved):
                found.append((chi2, shift, places))
            if len(found) == kept:
                break
        widths = self._widths(factor)
        return [Start(widths | self._named(shift, places), chi2) for chi2, shift, places in found]

    def _named(self, shift: int, places: IntArray) -> dict[str, float]:
        """Return the parameters of a set; lines of one kind keep the order of their starts where bounds allow it."""
        by = self.step * shift
        named = {SHIFT: by} if self.reach > 0.0 else {}
        kinds: dict[int, dict[str, float]] = {}
        for line, place in zip(self.lines, places, strict=True):
            center = self.parameters[line.component.parameter("center")]
            if not line.tied and center.vary:
                value = float(self.grid[place]) - (by if line.component.shifted else 0.0)
                kinds.setdefault(line.kind, {})[center.name] = float(np.clip(value, center.min, center.max))
        for found in kinds.values():
            in_order = dict(
                zip(sorted(found, key=lambda n: self.parameters[n].value), sorted(found.values()), strict=True)
            )
            fits = all(self.parameters[n].min <= value <= self.parameters[n].max for n, value in in_order.items())
            named |= in_order if fits else found
        return named

    def _bounds(self, i: int) -> tuple[int, int]:
        """Return the first and last place of a line where nothing is shifted; they may lie outside the grid."""
        line = self.lines[i]
        low, high = ((end - self.grid[0]) / self.step for end in (line.low, line.high))
        first, last = int(np.ceil(low - 1e-9)), int(np.floor(high + 1e-9))
        return (first, last) if first <= last else (round(0.5 * (low + high)),) * 2

    def _allowed(self, i: int) -> IntArray:
        first, last = self._bounds(i)
        if self.shifts.size > 1 and last - first >= PLACES_WITH_SHIFT:
            return np.unique(np.round(np.linspace(first, last, PLACES_WITH_SHIFT)).astype(np.intp))
        return np.arange(max(first, 0), min(last, self.grid.size - 1) + 1)

    def _sets(self, gram: _Gram) -> Iterator[tuple[int, IntArray]]:
        """Add the lines one by one, at every shift, and keep the best sets; then the shifts with the lowest chi2."""
        free = [i for i, line in enumerate(self.lines) if not line.tied]
        tied = [i for i, line in enumerate(self.lines) if line.tied]
        alike = len({(self.lines[i].low, self.lines[i].high, self.lines[i].kind) for i in free}) <= 1
        for order in [tuple(free)] if alike else list(itertools.islice(itertools.permutations(free), ORDERS)):
            places = np.zeros((self.shifts.size, 1, len(self.lines)), np.intp)
            chi2 = np.full((self.shifts.size, 1), gram.total)
            for number, i in enumerate(order, 1):
                places, chi2 = self._added(gram, places, order[:number], i)
            if tied:
                places = self._with_tied(places)
                chi2 = self._chi2(gram, places, tuple(range(len(self.lines))))
            yield from self._lowest(places, chi2)

    def _lowest(self, places: IntArray, chi2: FloatArray) -> Iterator[tuple[int, IntArray]]:
        envelope = np.pad(chi2.min(axis=1), 1, constant_values=np.inf)
        lowest = (envelope[1:-1] <= envelope[:-2]) & (envelope[1:-1] <= envelope[2:]) & np.isfinite(envelope[1:-1])
        rows = np.flatnonzero(lowest)
        rows = rows[np.argsort(envelope[1:-1][rows], kind="stable")][:BEAM]
        for row in rows:
            for at in np.argsort(chi2[row], kind="stable")[: 3 if self.shifts.size == 1 else 2]:
                if np.isfinite(chi2[row, at]):
                    yield int(self.shifts[row]), places[row, at]

    def _added(self, gram: _Gram, places: IntArray, placed: tuple[int, ...], i: int) -> tuple[IntArray, FloatArray]:
        """Add line `i` at each of its places to every set; return the best sets of every shift."""
        allowed = self._allowed(i)
        shifted = allowed[None, :] + self.moves_along[i] * self.shifts[:, None]
        shape = (*places.shape[:2], allowed.size)
        wider = np.broadcast_to(places[:, :, None], (*shape, places.shape[2])).copy()
        wider[..., i] = shifted[:, None, :]
        chi2 = self._chi2(gram, wider.reshape(shape[0], -1, places.shape[2]), placed).reshape(shape)
        if allowed.size > PLACES_WITH_SHIFT:
            around = np.pad(chi2, ((0, 0), (0, 0), (1, 1)), constant_values=np.inf)
            chi2 = np.where((chi2 <= around[..., :-2]) & (chi2 <= around[..., 2:]), chi2, np.inf)
        flat, sets = chi2.reshape(shape[0], -1), wider.reshape(shape[0], -1, places.shape[2])
        order = np.argsort(flat, axis=1, kind="stable")
        ranked = np.take_along_axis(flat, order, axis=1)
        with np.errstate(invalid="ignore"):
            again = np.diff(ranked, axis=1, prepend=-1.0) <= 1e-12 * np.abs(ranked)
        ranked = np.where(again, np.inf, ranked)  # the same places in another order
        best = np.argsort(ranked, axis=1, kind="stable")[:, :BEAM]
        chosen = np.take_along_axis(order, best, axis=1)
        return np.take_along_axis(sets, chosen[..., None], axis=1), np.take_along_axis(ranked, best, axis=1)

    def _chi2(self, gram: _Gram, places: IntArray, placed: tuple[int, ...]) -> FloatArray:
        """Return chi2 of sets of shape (S, B, K) over the lines that are placed; infinite outside the grid."""
        at = places[..., list(placed)].reshape(-1, len(placed))
        inside = ((at >= 0) & (at < self.grid.size)).all(axis=1)
        chi2 = np.full(len(at), np.inf)
        for part in np.array_split(np.flatnonzero(inside), max(inside.sum() // CHUNK, 1)):
            chi2[part] = gram.chi2(at[part] + self.offsets[list(placed)])
        return chi2.reshape(places.shape[:2])

    def _with_tied(self, places: IntArray, shift: int | None = None) -> IntArray:
        """Return sets of shape (S, B, K) with the tied lines where their expressions put them."""
        shifts = (self.shifts[:, None] if shift is None else np.array([[shift]])) + np.zeros(places.shape[:2], np.intp)
        shared, local = (part[None] for part in self._layout.start())
        shared = np.repeat(shared, shifts.size, axis=0)
        for i, line in enumerate(self.lines):
            label = line.component.parameter("center")
            if label in self._layout.shared_labels:
                moved = places[..., i] - self.moves_along[i] * shifts
                shared[:, self._layout.shared_labels.index(label)] = (self.grid[0] + self.step * moved).ravel()
        values, _ = self._layout.local_values(shared, np.repeat(local, shifts.size, axis=0))
        placed = places.copy()
        for i, line in enumerate(self.lines):
            if line.tied:
                center = values[line.component.parameter("center")].reshape(shifts.shape)
                at = np.round((center - self.grid[0]) / self.step).astype(np.intp)
                placed[..., i] = at + self.moves_along[i] * shifts
        return placed

    def _descended(self, gram: _Gram, shift: int, places: IntArray) -> tuple[float, int, IntArray]:
        """Go down over the neighbours of all lines together, for lines that overlap trade places with each other."""
        every = tuple(range(len(self.lines)))
        free = [i for i, line in enumerate(self.lines) if not line.tied and self._bounds(i)[0] < self._bounds(i)[1]]
        moves = np.zeros((len(_moves(len(free))), len(self.lines)), np.intp)
        moves[:, free] = _moves(len(free))
        limits = np.array([self._bounds(i) for i in every]) + self.moves_along[:, None] * shift
        best = float(self._chi2(gram, places[None, None], every)[0, 0])
        for _ in range(DESCENTS):
            near = np.clip(places + moves, np.maximum(limits[:, 0], 0), np.minimum(limits[:, 1], self.grid.size - 1))
            near[:, [i for i in every if i not in free]] = places[[i for i in every if i not in free]]
            near = self._with_tied(near[None], shift) if any(line.tied for line in self.lines) else near[None]
            chi2 = self._chi2(gram, near, every)[0]
            at = int(chi2.argmin())
            if not chi2[at] < best - 1e-9 * abs(best):
                break
            best, places = float(chi2[at]), near[0, at]
        return best, shift, places


def _apart(sets: Iterator[tuple[int, IntArray]]) -> Iterator[tuple[int, IntArray]]:
    """Leave out sets that stand beside one before: both go down to the same places."""
    before: list[tuple[int, IntArray]] = []
    for shift, places in sets:
        if all(shift != s or np.abs(places - p).max(initial=0) > BESIDE for s, p in before):
            before.append((shift, places))
            yield shift, places


def _moves(k: int) -> IntArray:
    """Return the moves of k lines by a few grid steps: all together for few lines, pairs for many."""
    if k <= 3:
        return np.array(list(itertools.product((-2, -1, 0, 1, 2), repeat=k)), np.intp).reshape(5**k, k)
    if k <= ENUMERATED:
        return np.array(list(itertools.product((-1, 0, 1), repeat=k)), np.intp)
    moves = [np.zeros(k, np.intp)]
    for i, j in itertools.combinations(range(k), 2):
        for a, b in itertools.product((-1, 0, 1), repeat=2):
            move = np.zeros(k, np.intp)
            move[i], move[j] = a, b
            moves.append(move)
    return np.unique(np.array(moves), axis=0)


def smoothed_variance(data: Prepared) -> FloatArray:
    """Return the variance of counts from their running mean over nine points, shape (G, L, n)."""
    n = data.y.shape[-1]
    padded = np.pad(data.y.reshape(-1, n), ((0, 0), (4, 4)), mode="edge")
    mean = np.stack([np.convolve(row, np.full(9, 1.0 / 9.0), "valid") for row in padded]).reshape(data.y.shape)
    exposure = np.broadcast_to(data.exposure, data.y.shape)
    return np.asarray(np.maximum(mean * exposure, 1.0) / exposure**2)
