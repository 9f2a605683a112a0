"""The result record: one pydantic model that every technique writes and everything downstream reads."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, JsonValue, field_validator, model_validator

from layerscope.errors import LayerscopeError
from layerscope.flags import name_of
from layerscope.records.identity import canonical_json, make_record_id, readable_json
from layerscope.records.quantity import FrozenModel, Quantity

__all__ = [
    "SCHEMA_VERSION",
    "Alternative",
    "ArrayRef",
    "FitQuality",
    "InputFile",
    "Problem",
    "ResultRecord",
    "SampleState",
    "failed_record",
    "now_iso",
]

SCHEMA_VERSION = 1

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _relative(path: str) -> str:
    # plain tests of the text: a thousand records name ten thousand paths
    outside = path.startswith("/") or (".." in path and ".." in path.split("/"))
    if not path or "\\" in path or "\0" in path or outside or re.match("[A-Za-z]:", path):
        raise ValueError(f"{path!r} is not a relative path with forward slashes that stays inside its folder")
    return path


RelativePath = Annotated[str, AfterValidator(_relative)]


def now_iso() -> str:
    """Return the present time, UTC, to the second, in ISO 8601."""
    return datetime.now(UTC).replace(microsecond=0).isoformat()


class SampleState(FrozenModel):
    """Which sample, in which state, a record is about; what does not apply is left out."""

    sample: str = Field(min_length=1, description="name of the sample")
    series: str | None = Field(default=None, description="name of the series in the recipe, where it has one")
    cycle: float | None = Field(default=None, ge=0, description="number of charge-discharge cycles done")
    step: str | None = Field(default=None, description="step of the protocol, e.g. 'charge'")
    voltage_V: float | None = Field(default=None, description="potential of the cell, V")
    capacity_mAh_g: float | None = Field(default=None, description="specific capacity reached, mAh/g")
    frame: int | None = Field(default=None, ge=0, description="number of the frame in its series, from 0")
    etch_time_s: float | None = Field(default=None, ge=0, description="ion etching time, s")
    elapsed_s: float | None = Field(default=None, description="time since the start of the experiment, s")
    depth_nm: float | None = Field(default=None, description="depth below the surface, nm")
    angle_deg: float | None = Field(default=None, description="emission angle against the surface normal, degrees")
    region: str | None = Field(default=None, description="core level, edge, scan range or image area")
    temperature_K: float | None = Field(default=None, ge=0, description="temperature, K")
    time: str | None = Field(default=None, description="time of the measurement, ISO 8601, as far as the file says")


class InputFile(FrozenModel):
    """A file that went into a record, by content; the path is for people and stands outside the identity."""

    path: RelativePath = Field(description="path relative to the recipe's data folder, forward slashes")
    sha256: Sha256 = Field(description="SHA-256 of the file")
    size: int = Field(ge=0, description="bytes")
    reader: str = Field(description="reader that opened it")
    reader_version: str = Field(description="version of the reader")
    selector: str = Field(default="", description="part of the file that was used, e.g. 'B 1s@level=3'")


class FitQuality(FrozenModel):
    """How good a fit is, and what is suspicious about it."""

    chi2: float | None = Field(default=None, ge=0, description="weighted sum of squared residuals")
    redchi: float | None = Field(default=None, ge=0, description="chi2 per degree of freedom")
    aic: float | None = Field(default=None, description="Akaike information criterion")
    bic: float | None = Field(default=None, description="Bayesian information criterion")
    n_data: int | None = Field(default=None, ge=0, description="number of points")
    n_free: int | None = Field(default=None, ge=0, description="number of free parameters")
    rwp: float | None = Field(default=None, ge=0, description="weighted profile R factor")
    rexp: float | None = Field(default=None, ge=0, description="expected R factor")
    gof: float | None = Field(default=None, ge=0, description="rwp / rexp")
    durbin_watson: float | None = Field(default=None, ge=0, le=4, description="Durbin-Watson statistic of the residual")
    converged: bool | None = Field(default=None, description="whether the optimiser met its criterion")
    flags: tuple[str, ...] = Field(default=(), description="names in layerscope.flags, some with a detail")

    @field_validator("flags")
    @classmethod
    def _flags_are_known(cls, flags: tuple[str, ...]) -> tuple[str, ...]:
        for flag in flags:
            name_of(flag)
        return flags


class ArrayRef(FrozenModel):
    """Where an array of the record lies in the run folder."""

    file: RelativePath = Field(description="file in the run folder, e.g. 'arrays/b1s.nxs'")
    path: str = Field(min_length=1, description="path of the dataset in the file")
    shape: tuple[int, ...] = Field(description="shape of the dataset")
    unit: str = Field(description="unit of its values")
    sha256: Sha256 = Field(description="hash of its values, see layerscope.runs.arrays.array_sha256")


class Problem(FrozenModel):
    """Why something could not be done, and what would help."""

    kind: str = Field(min_length=1, description="reader, data, recipe, fit, store, dependency or internal")
    message: str = Field(min_length=1, description="what is wrong, in one sentence")
    source: str | None = Field(default=None, description="file, folder or recipe key it is about")
    hint: str | None = Field(default=None, description="what the user can do about it")

    @classmethod
    def from_error(cls, error: Exception) -> Self:
        """Return the problem that an exception tells of; one that nobody foresaw has the kind ``internal``."""
        if isinstance(error, LayerscopeError):
            return cls(kind=error.kind, message=error.message, source=error.source, hint=error.hint)
        text = str(error).strip().splitlines()
        message = f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
        return cls(kind="internal", message=message, hint="this is a defect: please report it with the recipe")


class Alternative(FrozenModel):
    """One of the models that were compared; every one is kept, the chosen one is marked."""

    name: str = Field(min_length=1, description="name of the model, e.g. 'two components'")
    comparison: str = Field(default="", description="what was asked, where a record answers several questions")
    bic: float | None = Field(default=None, description="its Bayesian information criterion")
    delta_bic: float | None = Field(default=None, description="its BIC less that of the best model")
    chi2: float | None = Field(default=None, ge=0, description="its weighted sum of squared residuals")
    n_free: int | None = Field(default=None, ge=0, description="its number of free parameters")
    probability: float | None = Field(default=None, ge=0, le=1, description="that it is right, where one is known")
    in_set: bool | None = Field(
        default=None,
        description="whether it is in the smallest set that holds 95 % of the probability",
    )
    chosen: bool = Field(default=False, description="whether the record rests on it")


class ResultRecord(FrozenModel):
    """What one analysis of one sample state gave: quantities with errors, and everything they rest on."""

    schema_version: Literal[1] = Field(default=1, description="version of this schema")
    record_id: Sha256 = Field(description="content address, see layerscope.records.make_record_id")
    technique: str = Field(min_length=1, description="xps, sxas, xrd, em, ...")
    method: str = Field(min_length=1, description="name of the analysis")
    method_version: str = Field(min_length=1, description="version of the analysis")
    state: SampleState
    inputs: tuple[InputFile, ...] = ()
    quantities: tuple[Quantity, ...] = ()
    quality: FitQuality | None = None
    alternatives: tuple[Alternative, ...] = ()
    arrays: tuple[ArrayRef, ...] = ()
    software: dict[str, str] = Field(default_factory=dict, description="versions of what took part")
    recipe: dict[str, JsonValue] = Field(default_factory=dict, description="the fully resolved recipe")
    parents: tuple[Sha256, ...] = Field(default=(), description="records that this one was derived from")
    status: Literal["ok", "warning", "failed"] = "ok"
    problem: Problem | None = None
    notes: tuple[str, ...] = ()
    created: str = Field(default_factory=now_iso, description="time of writing, ISO 8601; outside the record_id")

    @field_validator("recipe", mode="after")
    @classmethod
    def _recipe_is_canonical(cls, recipe: dict[str, Any]) -> dict[str, Any]:
        try:
            canonical_json(recipe)
        except LayerscopeError as error:
            raise ValueError(str(error)) from error
        return recipe

    @field_validator("created")
    @classmethod
    def _iso_time(cls, created: str) -> str:
        datetime.fromisoformat(created)
        return created

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.status == "failed" and self.problem is None:
            raise ValueError("a failed record needs a problem")
        if self.status == "ok" and self.problem is not None:
            raise ValueError("a record with a problem has the status 'warning' or 'failed'")
        for question in {alternative.comparison for alternative in self.alternatives}:
            chosen = sum(a.chosen for a in self.alternatives if a.comparison == question)
            if chosen != 1:
                raise ValueError(f"exactly one of the alternatives {question!r} must be chosen, not {chosen}")
        seen: set[tuple[str, str | None]] = set()
        for quantity in self.quantities:
            key = (quantity.name, quantity.component)
            if key in seen:
                raise ValueError(f"{quantity.label} is given twice")
            seen.add(key)
        return self

    @property
    def flags(self) -> tuple[str, ...]:
        """What a reader must know of the result, see `layerscope.flags`."""
        return () if self.quality is None else self.quality.flags

    def get(self, name: str, component: str | None = None) -> Quantity:
        """Return one quantity by name and component.

        Parameters
        ----------
        name : str
            Name in the vocabulary.
        component : str, optional
            Phase, species, element or plane.

        Raises
        ------
        KeyError
            If the record has none such.
        """
        for quantity in self.quantities:
            if quantity.name == name and quantity.component == component:
                return quantity
        raise KeyError(name if component is None else f"{name}[{component}]")

    def to_json(self) -> str:
        """Return the text of the record's file: sorted keys, a line an entry, one newline at the end."""
        return readable_json(self.model_dump(mode="json"))

    def content_json(self) -> str:
        """Return the canonical text of everything but the time of writing: equal for equal results."""
        return canonical_json(self.model_dump(mode="json", exclude={"created"}))


def failed_record(
    error: Exception | Problem,
    state: SampleState | None = None,
    *,
    technique: str,
    method: str,
    method_version: str,
    identity: dict[str, Any] | None = None,
    **content: Any,
) -> ResultRecord:
    """Return the record of something that could not be done, so that it does not disappear.

    Parameters
    ----------
    error : Exception or Problem
        What went wrong; a layerscope error keeps its kind, source and hint.
    state : SampleState, optional
        State of the sample, as far as it is known.
    technique, method, method_version : str
        What was being done.
    identity : dict, optional
        The recipe without its paths, for the record_id; that of the record when not given.
    **content
        Further fields of the record as far as they are known: inputs, recipe, software.

    Returns
    -------
    ResultRecord
        With ``status="failed"``. What went wrong and the state enter its record_id, so that it never takes the place of
        a record that worked, nor of another failure. Where no input could be hashed, the problem's source stands in.
    """
    problem = error if isinstance(error, Problem) else Problem.from_error(error)
    state = state or SampleState(sample="unknown")
    reason = canonical_json([problem.kind, problem.message, state.model_dump(mode="json")])
    addressed = [(item.sha256, item.selector) for item in content.get("inputs", ())] or [("", problem.source or "")]
    addressed.append(("failed", reason))
    known = content.get("recipe", {}) if identity is None else identity
    return ResultRecord(
        record_id=make_record_id(technique, method, method_version, addressed, known),
        technique=technique,
        method=method,
        method_version=method_version,
        state=state,
        status="failed",
        problem=problem,
        **content,
    )
