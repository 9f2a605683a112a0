"""The recipe of a survey: which spectra, which elements, and how areas become a composition."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from layerscope.options import Positive, RecipeModel, not_empty
from layerscope.runs.recipe import SeriesRecipe

from ..options import SeriesTable
from ..rsf import RsfSet, get_rsf_set
from .lines import known_elements, level_factors, library_source

__all__ = ["SurveyQuantificationTable", "SurveyRecipe"]


def _known(names: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [name for name in names if name not in known_elements()]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no element whose lines are known (known: {', '.join(known_elements())})")
    return names


Elements = Annotated[tuple[str, ...], AfterValidator(_known)]


class SurveyQuantificationTable(RecipeModel):
    """Atomic fractions from integrated regions."""

    rsf_set: str = Field(
        default="scofield", description="sensitivity factors: scofield, amrsf, wagner_1981, thermo_al, kratos"
    )
    alternative_sets: tuple[str, ...] = Field(
        default=(), description="sets whose spread is an error; all that have the lines when empty"
    )
    factors: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict, description="factors (C 1s = 1) that the set lacks or that you measured, by level"
    )
    factors_source: str = Field(default="", description="where these factors come from")
    attenuation_exponent: float = Field(
        default=0.75, description="n of a mean free path ~ E^n, for sets that do not contain it; 0 for none"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.factors and not self.factors_source:
            raise ValueError("factors need factors_source: where do they come from?")
        return self

    def rsf(self) -> RsfSet:
        """Return the set, Scofield's completed by the table of survey lines, with the recipe's factors.

        Raises
        ------
        RecipeError
            If the set is not known.
        """
        base = get_rsf_set(self.rsf_set)
        if base.name == "scofield":
            missing = {line: factor for line, factor in level_factors().items() if not base.has(line)}
            values = {**base.values, **missing}
            base = base.model_copy(update={"values": values, "source": f"{base.source}; {library_source()}"})
        return base.extended(self.factors, self.factors_source) if self.factors else base


class SurveyRecipe(SeriesRecipe):
    """Recipe of the pipeline ``xps_survey``."""

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
