"""A checked grammar for parameter constraints, with exact derivatives.

A recipe may tie parameters by arithmetic (``fwhm_2 = fwhm_1 * 1.1``). Recipes come from files, so the text is never
handed to an interpreter: it is parsed, every node is checked against a short list, and value and gradient are
propagated together (forward-mode differentiation), which also gives the fit engine its analytic Jacobian.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import RecipeError

__all__ = ["RESERVED", "Dual", "Expression"]

FloatArray = NDArray[np.float64]
Values = Mapping[str, FloatArray | float]

MAX_LENGTH = 500
MAX_DEPTH = 40
_NUMBER = re.compile(r"[0-9.]+([eE][+-]?[0-9]+)?")
CONSTANTS = {"pi": math.pi, "e": math.e}


@dataclass(frozen=True)
class Dual:
    """A value with its gradient by name; arrays broadcast against each other."""

    value: Any
    gradient: dict[str, Any]


def _chain(x: Dual, value: Any, slope: Any) -> Dual:
    return Dual(value, {name: slope * d for name, d in x.gradient.items()})


def _combine(a: Dual, b: Dual, value: Any, slope_a: Any, slope_b: Any) -> Dual:
    gradient = {name: slope_a * d for name, d in a.gradient.items()}
    for name, d in b.gradient.items():
        gradient[name] = gradient[name] + slope_b * d if name in gradient else slope_b * d
    return Dual(value, gradient)


def _power(a: Dual, b: Dual) -> Dual:
    value = a.value**b.value
    slope_a = b.value * a.value ** (b.value - 1)
    slope_b = value * np.log(a.value) if b.gradient else 0.0
    return _combine(a, b, value, slope_a, slope_b)


_BINARY: dict[type[ast.operator], Callable[[Dual, Dual], Dual]] = {
    ast.Add: lambda a, b: _combine(a, b, a.value + b.value, 1.0, 1.0),
    ast.Sub: lambda a, b: _combine(a, b, a.value - b.value, 1.0, -1.0),
    ast.Mult: lambda a, b: _combine(a, b, a.value * b.value, b.value, a.value),
    ast.Div: lambda a, b: _combine(a, b, a.value / b.value, 1.0 / b.value, -a.value / b.value**2),
    ast.Pow: _power,
}

_FUNCTIONS: dict[str, Callable[[Dual], Dual]] = {
    "exp": lambda a: _chain(a, np.exp(a.value), np.exp(a.value)),
    "log": lambda a: _chain(a, np.log(a.value), 1.0 / a.value),
    "sqrt": lambda a: _chain(a, np.sqrt(a.value), 0.5 / np.sqrt(a.value)),
    "sin": lambda a: _chain(a, np.sin(a.value), np.cos(a.value)),
    "cos": lambda a: _chain(a, np.cos(a.value), -np.sin(a.value)),
    "tan": lambda a: _chain(a, np.tan(a.value), 1.0 / np.cos(a.value) ** 2),
    "arctan": lambda a: _chain(a, np.arctan(a.value), 1.0 / (1.0 + a.value**2)),
    "abs": lambda a: _chain(a, np.abs(a.value), np.sign(a.value)),
}


#: Names with a meaning of their own, which no parameter may take.
RESERVED = frozenset(CONSTANTS) | frozenset(_FUNCTIONS)


class Expression:
    """An arithmetic expression of named quantities.

    Allowed are numbers, names, ``+ - * / **``, parentheses, ``pi``, ``e`` and the functions ``exp log sqrt sin cos tan
    arctan abs`` of one argument. Everything else is refused.

    Parameters
    ----------
    text : str
        The expression, for instance ``"2 * a + exp(-b * x)"``.

    Raises
    ------
    RecipeError
        If the text is not an expression of this grammar.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        if len(text) > MAX_LENGTH:
            raise RecipeError(f"expression longer than {MAX_LENGTH} characters", source=text[:40] + "...")
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise RecipeError("not an arithmetic expression", source=text) from error
        names: set[str] = set()
        self._check(self._tree, names, 0)
        self.names: tuple[str, ...] = tuple(sorted(names))
        self._check_numbers(self._tree)

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    @property
    def same_as(self) -> str | None:
        """Name of the one quantity that this is, where it is nothing else."""
        return self._tree.id if isinstance(self._tree, ast.Name) and self._tree.id in self.names else None

    def _refuse(self, what: str) -> RecipeError:
        return RecipeError(
            f"{what} is not allowed in a constraint",
            source=self.text,
            hint="use numbers, parameter names, + - * / ** and " + " ".join(sorted(_FUNCTIONS)),
        )

    def _check(self, node: ast.AST, names: set[str], depth: int) -> None:
        if depth > MAX_DEPTH:
            raise self._refuse("nesting this deep")
        if isinstance(node, ast.Constant):
            if isinstance(node.value, bool) or not isinstance(node.value, int | float) or not abs(node.value) < 1e300:
                raise self._refuse(f"the constant {node.value!r}")
            written = ast.get_source_segment(self.text.strip(), node) or ""
            if not _NUMBER.fullmatch(written):  # 1_000 and 0x10 are numbers to a programmer only
                raise self._refuse(f"the number {written!r}")
        elif isinstance(node, ast.Name):
            if node.id not in CONSTANTS:
                names.add(node.id)
        elif isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
            self._check(node.left, names, depth + 1)
            self._check(node.right, names, depth + 1)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.UAdd | ast.USub):
            self._check(node.operand, names, depth + 1)
        elif isinstance(node, ast.Call):
            if not isinstance(node.func, ast.Name) or node.func.id not in _FUNCTIONS:
                raise self._refuse("this function call")
            if len(node.args) != 1 or node.keywords:
                raise self._refuse(f"{node.func.id} with other than one argument")
            self._check(node.args[0], names, depth + 1)
        else:
            raise self._refuse(type(node).__name__)

    def _check_numbers(self, node: ast.AST) -> None:
        """Refuse arithmetic of numbers alone that has no finite value."""
        if any(isinstance(n, ast.Name) and n.id in self.names for n in ast.walk(node)):
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.expr) and not (isinstance(node, ast.Call) and child is node.func):
                    self._check_numbers(child)
            return
        with np.errstate(all="ignore"):
            if not np.isfinite(self._evaluate(node, {}, frozenset()).value):
                raise self._refuse("a number that is not finite")

    def _evaluate(self, node: ast.AST, values: Values, wanted: frozenset[str]) -> Dual:
        if isinstance(node, ast.Constant):
            return Dual(np.float64(node.value), {})  # type: ignore[arg-type]
        if isinstance(node, ast.Name):
            if node.id in CONSTANTS:
                return Dual(np.float64(CONSTANTS[node.id]), {})
            return Dual(values[node.id], {node.id: 1.0} if node.id in wanted else {})
        if isinstance(node, ast.BinOp):
            left = self._evaluate(node.left, values, wanted)
            return _BINARY[type(node.op)](left, self._evaluate(node.right, values, wanted))
        if isinstance(node, ast.UnaryOp):
            operand = self._evaluate(node.operand, values, wanted)
            return operand if isinstance(node.op, ast.UAdd) else _chain(operand, -operand.value, -1.0)
        assert isinstance(node, ast.Call)  # noqa: S101 - _check admits nothing else
        assert isinstance(node.func, ast.Name)  # noqa: S101
        return _FUNCTIONS[node.func.id](self._evaluate(node.args[0], values, wanted))

    def __call__(self, values: Values) -> Any:
        """Return the value; `values` maps every name in `names` to a number or array."""
        return self._evaluate(self._tree, values, frozenset()).value

    def gradient(self, values: Values, names: frozenset[str] | None = None) -> Dual:
        """Return value and derivatives with respect to `names` (default: all of them)."""
        return self._evaluate(self._tree, values, frozenset(self.names) if names is None else names)
