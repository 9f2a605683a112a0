"""Which errors a fit states, as a recipe asks for them: ``errors = "bootstrap"``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from layerscope.fitting.bootstrap import bootstrap
from layerscope.fitting.profile import profile_likelihood
from layerscope.fitting.series_fit import SeriesFit
from layerscope.options import RecipeModel

__all__ = ["Errors", "ErrorsTable", "with_errors"]


class ErrorsTable(RecipeModel):
    """Where the errors of fitted numbers come from; the kind alone may be written instead of the table."""

    kind: Literal["covariance", "bootstrap", "profile"] = Field(
        default="covariance",
        description="covariance: curvature of the misfit at its minimum, or draws where it is known not to do; "
        "bootstrap: scatter of fits to simulated "
        "repetitions; profile: covariance, and beside it the interval within which the misfit rises by one",
    )
    draws: Annotated[int, Field(ge=50, le=100_000)] = Field(default=200, description="repetitions of the bootstrap")
    seed: Annotated[int, Field(ge=0)] = Field(default=0, description="of the random numbers of the bootstrap")


def _as_table(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


Errors = Annotated[ErrorsTable, BeforeValidator(_as_table)]
"""Key of a recipe: a table, or a kind of errors alone."""


def with_errors(fit: SeriesFit, wanted: ErrorsTable) -> SeriesFit:
    """Return the fit with the errors that were asked for: values are the same, and so is how it is asked for errors.

    Parameters
    ----------
    fit : SeriesFit
    wanted : ErrorsTable

    Returns
    -------
    SeriesFit
        Its `sigma_kind` says where errors come from; its `interval` gives intervals, if there are any.

    Raises
    ------
    FitError
        If most repetitions of a bootstrap do not converge.
    """
    if wanted.kind == "covariance":
        return fit
    plain = SeriesFit(fit.batch, fit.group)  # also of a fit whose errors are those of draws
    if wanted.kind == "bootstrap":
        return bootstrap(plain, draws=wanted.draws, seed=wanted.seed)
    return profile_likelihood(plain)
