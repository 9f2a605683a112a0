"""Parameters as a fit is given them: value, bounds, whether they vary, what ties them.

They are declared, read and changed like `lmfit.Parameters`, which the engine takes as well; they know nothing of how a
fit is done, and so cost a fiftieth of it. A tie is an `Expression` of this package's grammar.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from layerscope.errors import FitError
from layerscope.fitting.expressions import Expression

__all__ = ["Parameter", "Parameters", "tie"]

INFINITY = float("inf")


@lru_cache(maxsize=1024)
def tie(text: str) -> Expression:
    """Return a constraint, read once."""
    return Expression(text)


@dataclass(slots=True, eq=False)
class Parameter:
    """One parameter.

    Attributes
    ----------
    name : str
    init_value : float
        The value last set, which bounds may have cut.
    min, max : float
    """

    name: str
    init_value: float
    min: float
    max: float
    _vary: bool
    _expr: str | None = None
    _value: float = field(init=False)
    _others: Parameters | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self._value = self.init_value
        self._cut()

    def _cut(self) -> None:
        self._value = min(max(self._value, self.min), self.max) if self._value == self._value else self._value

    @property
    def value(self) -> float:
        """The value: within the bounds, or that of the expression.

        Raises
        ------
        RecipeError, FitError
            If the expression is not of the grammar, or names what is not there.
        """
        if self._expr is not None and self._others is not None:
            expression = tie(self._expr)
            missing = [name for name in expression.names if name not in self._others]
            if missing:
                raise FitError(f"the constraint of '{self.name}' uses '{missing[0]}', which is no parameter")
            self._value = float(expression({name: self._others[name].value for name in expression.names}))
            self._cut()
        return self._value

    @value.setter
    def value(self, value: float) -> None:
        self._value = value
        self._cut()

    @property
    def vary(self) -> bool:
        """Whether it varies; one that is tied does not, and one that is made to vary is tied no more."""
        return self._vary

    @vary.setter
    def vary(self, vary: bool) -> None:
        self.set(vary=vary)

    @property
    def expr(self) -> str | None:
        """What ties it to others."""
        return self._expr

    @expr.setter
    def expr(self, expr: str | None) -> None:
        self.set(expr=expr or "")

    def set(
        self,
        value: float | None = None,
        vary: bool | None = None,
        min: float | None = None,
        max: float | None = None,
        expr: str | None = None,
    ) -> None:
        """Change what is given; a value, or that it varies, takes a tie off; an empty expression does no more."""
        if vary is not None:
            self._vary = bool(vary)
            self._expr = None if vary else self._expr
        if min is not None:
            self.min = min
        if max is not None:
            self.max = max
        if value is not None:
            self.init_value, self._expr = value, None
            self.value = value
        if expr is not None:
            self._expr = expr or None
            self._vary = self._vary and not expr

    def __float__(self) -> float:
        return float(self.value)


class Parameters(dict[str, Parameter]):
    """Parameters by name, in the order in which they were declared."""

    def add(
        self,
        name: str,
        value: float = -INFINITY,
        vary: bool = True,
        min: float = -INFINITY,
        max: float = INFINITY,
        expr: str | None = None,
    ) -> None:
        """Declare a parameter.

        Raises
        ------
        FitError
            If the name is no identifier.
        """
        if not name.isidentifier():
            raise FitError(f"'{name}' cannot name a parameter", hint="use letters, digits and _")
        self[name] = Parameter(name, value, min, max, vary and not expr, expr or None, _others=self)

    def copy(self) -> Parameters:
        """Return parameters that can be changed without changing these."""
        copied = Parameters()
        for p in self.values():
            copied.add(p.name, p._value, p._vary, p.min, p.max, p._expr)
            copied[p.name].init_value = p.init_value
        return copied

    def valuesdict(self) -> dict[str, float]:
        """Return the values by name."""
        return {name: p.value for name, p in self.items()}
