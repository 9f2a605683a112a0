"""One number with its error, unit and role: what every table, figure and report is made of."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from layerscope.records.formatting import format_limit, format_value
from layerscope.records.vocabulary import check_name_and_unit

__all__ = ["Assignment", "FrozenModel", "Quantity", "Role", "SigmaKind"]

SigmaKind = Literal["covariance", "bootstrap", "sampling", "counting", "systematic", "none"]
Role = Literal["refined", "fixed", "derived", "constrained"]


class FrozenModel(BaseModel):
    """Base of everything in a record: immutable, no unknown key, no NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, ser_json_inf_nan="constants")


class Assignment(FrozenModel):
    """A chemical species that a line may belong to, with the range of positions reported for it."""

    species: str = Field(description="name in the species library, e.g. 'TM-O-B'")
    line: str = Field(description="core level or reflection, e.g. 'B 1s'")
    low_eV: float = Field(description="lower end of the reported range, eV")
    high_eV: float = Field(description="upper end of the reported range, eV")
    source: str = Field(description="where the range comes from")
    distance_sigma: float | None = Field(
        default=None, ge=0, description="distance of the position to the range, in its sigma"
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low_eV > self.high_eV:
            raise ValueError(f"range of {self.species!r} runs from {self.low_eV} to {self.high_eV} eV")
        return self


class Quantity(FrozenModel):
    """A named value with its standard error, or a limit on it.

    A value without sigma is allowed only when it was held (``role="fixed"``, ``sigma_kind="none"``). Where nothing was
    detected there is no value but an upper limit; where only an interval is known there is no value but `low`, `high`
    or both.
    """

    name: str = Field(description="name in the vocabulary")
    value: float | None = Field(default=None, description="best estimate, in `unit`")
    sigma: float | None = Field(default=None, ge=0, description="one standard error, in `unit`")
    sigma_kind: SigmaKind = Field(default="none", description="where sigma comes from")
    unit: str = Field(description="unit, one of those of the name's dimension")
    component: str | None = Field(default=None, description="phase, species, element or plane")
    role: Role = Field(default="refined", description="how the value came about")
    initial: float | None = Field(default=None, description="start value of the fit")
    min: float | None = Field(default=None, description="lower bound in the fit; absent when there is none")
    max: float | None = Field(default=None, description="upper bound in the fit; absent when there is none")
    expr: str | None = Field(default=None, description="expression that ties the value to others")
    low: float | None = Field(default=None, description="lower end of the interval")
    high: float | None = Field(default=None, description="upper end of the interval")
    confidence: float | None = Field(default=None, gt=0, lt=1, description="confidence of the interval")
    low_95: float | None = Field(default=None, description="lower end of the 95 % interval, where it is no 1.96 sigma")
    high_95: float | None = Field(default=None, description="upper end of the 95 % interval")
    upper_limit: float | None = Field(default=None, description="the value lies below, at `limit_confidence`")
    limit_confidence: float | None = Field(default=None, gt=0, lt=1, description="confidence of the upper limit")
    budget: dict[str, float] = Field(default_factory=dict, description="parts of the error, each one sigma in `unit`")
    competing: tuple[Assignment, ...] = Field(default=(), description="other assignments within the uncertainty")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        check_name_and_unit(self.name, self.unit)
        self._check_error()
        self._check_order()
        if any(part < 0 for part in self.budget.values()):
            raise ValueError(f"{self.label}: a part of the error budget is negative")
        return self

    def _check_error(self) -> None:
        if self.value is None:
            if self.sigma is not None:
                raise ValueError(f"{self.label}: a sigma without a value")
            if self.upper_limit is None and self.low is None and self.high is None:
                raise ValueError(f"{self.label}: neither a value nor a limit")
        elif self.sigma is None and (self.role != "fixed" or self.sigma_kind != "none"):
            raise ValueError(f"{self.label}: a value without sigma needs role 'fixed' and sigma_kind 'none'")
        if self.sigma is not None and self.sigma_kind == "none":
            raise ValueError(f"{self.label}: a sigma needs a sigma_kind other than 'none'")
        if (self.upper_limit is None) != (self.limit_confidence is None):
            raise ValueError(f"{self.label}: upper_limit and limit_confidence go together")
        if (self.low is None and self.high is None) != (self.confidence is None):
            raise ValueError(f"{self.label}: an interval (low, high) and its confidence go together")

    def _check_order(self) -> None:
        for lower, upper, what in (
            (self.low, self.value, "low <= value"),
            (self.value, self.high, "value <= high"),
            (self.low, self.high, "low <= high"),
            (self.low_95, self.value, "low_95 <= value"),
            (self.value, self.high_95, "value <= high_95"),
            (self.low_95, self.low, "low_95 <= low"),
            (self.high, self.high_95, "high <= high_95"),
            (self.min, self.max, "min <= max"),
        ):
            if lower is not None and upper is not None and lower > upper:
                raise ValueError(f"{self.label}: {what} does not hold ({lower!r}, {upper!r})")

    @property
    def label(self) -> str:
        """Name, with the component where there is one: ``species.fraction[TM-O-B]``."""
        return self.name if self.component is None else f"{self.name}[{self.component}]"

    def intervals(self) -> str:
        """Return what is known beside the error: ``10 to 20 (68.3 %), 5 to 31 (95 %)``; empty if nothing is."""
        inner = format_limit(low=self.low, high=self.high, confidence=self.confidence)
        outer = format_limit(low=self.low_95, high=self.high_95, confidence=0.95)
        return ", ".join(text for text in (inner, outer) if text != "-")

    def text(self) -> str:
        """Return value and error as people write them: ``1.234(5)``, ``< 0.018 (95 %)``, ``10 to 20 (68 %)``."""
        limit = format_limit(upper_limit=self.upper_limit, limit_confidence=self.limit_confidence)
        if self.value is None:
            if self.upper_limit is not None:
                return limit
            return format_limit(low=self.low, high=self.high, confidence=self.confidence)
        best = format_value(self.value, self.sigma)
        return best if self.upper_limit is None else f"{best}, {limit}"
