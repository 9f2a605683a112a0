"""The recipe of a survey: which spectra, which elements."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from layerscope.options import Positive, not_empty
from layerscope.runs.recipe import PipelineName, SeriesRecipe

from ..options import SeriesTable
from .amounts import SurveyQuantificationTable
from .lines import known_elements

__all__ = ["SurveyRecipe"]


def _known(names: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [name for name in names if name not in known_elements()]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no element whose lines are known (known: {', '.join(known_elements())})")
    return names


Elements = Annotated[tuple[str, ...], AfterValidator(_known)]


class SurveyRecipe(SeriesRecipe):
    """Recipe of the pipeline ``xps_survey``."""

    pipeline: PipelineName = "xps_survey"
    series: Annotated[tuple[SeriesTable, ...], AfterValidator(not_empty)] = Field(
        description="surveys: single ones, or one a level of a profile"
    )
    region: str | None = Field(
        default=None,
        description="name of the survey in the files; the one that is called so, or is the widest, if left out",
    )
    elements: Elements = Field(
        default=(), description="elements that are asked for: those that are not seen get an upper limit"
    )
    exclude: Elements = Field(default=(), description="elements that are known not to be there")
    excitation_energy_eV: Positive | None = Field(
        default=None, description="photon energy, if the file does not give it"
    )
    shift_eV: float | None = Field(
        default=None,
        description="charging, if known: measured less true binding energy; found by the lines if left out",
    )
    quantification: SurveyQuantificationTable | None = Field(
        default=SurveyQuantificationTable(), description="atomic fractions by integrated regions"
    )
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = Field(default=0.95, description="of limits")

    @model_validator(mode="after")
    def _not_both(self) -> Self:
        if both := sorted(set(self.elements) & set(self.exclude)):
            raise ValueError(f"{both[0]} is asked for and excluded")
        return self
