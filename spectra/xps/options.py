"""What a recipe may say of files, regions and lines: the tables that readers and the fit of a region are given."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from layerscope.errors import RecipeError
from layerscope.fitting.expressions import Expression
from layerscope.measured import options
from layerscope.measured.delimited import Column, ColumnsTable
from layerscope.options import RecipeModel, not_empty

from .dataset import normalise_region

__all__ = [
    "BackgroundTable",
    "ComponentTable",
    "ParameterTable",
    "RegionTable",
    "SeriesTable",
    "SpectrumColumnsTable",
    "identifier",
]

ShapeName = Literal["gaussian", "lorentzian", "pseudo_voigt", "gl_product", "voigt", "doniach_sunjic", "casa_la"]
BackgroundKind = Literal["shirley", "tougaard_u2", "tougaard_u3", "polynomial"]


def identifier(name: str) -> str:
    """Return a name under which a component's parameters can be declared: ``TM-O-B`` -> ``TM_O_B``."""
    text = re.sub(r"\W+", "_", name).strip("_") or "line"
    return text if text[0].isalpha() else f"c_{text}"


def _as_table(value: Any) -> Any:
    return {"value": value} if isinstance(value, int | float) and not isinstance(value, bool) else value


class ParameterTable(RecipeModel):
    """Start value, bounds and scope of one parameter; a bare number is its start value."""

    value: float | None = Field(default=None, description="start value; the library's where nothing is said")
    min: float | None = Field(default=None, description="lower bound")
    max: float | None = Field(default=None, description="upper bound")
    vary: bool = Field(default=True, description="false holds the value")
    expr: str | None = Field(default=None, description="arithmetic of other parameters, e.g. 'B_O_B_fwhm * 1.1'")
    scope: Literal["shared", "level", "smooth"] = Field(
        default="shared", description="one value for the series, one a level, or a smooth function of the etch time"
    )
    knots: Annotated[int, Field(ge=1, le=6)] = Field(
        default=3, description="nodes of a smooth parameter over the etch time"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.expr is not None:
            try:
                Expression(self.expr)  # refused here, before anything else reads the text
            except RecipeError as error:
                hint = f" ({error.hint})" if error.hint else ""
                raise ValueError(f"expr {self.expr[:60]!r}: {error.message}{hint}") from error
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        if self.value is not None and not (self.min is None or self.min <= self.value):
            raise ValueError(f"the value {self.value} lies below min {self.min}")
        if self.value is not None and not (self.max is None or self.value <= self.max):
            raise ValueError(f"the value {self.value} lies above max {self.max}")
        return self


Parameter = Annotated[ParameterTable, BeforeValidator(_as_table)]


class ComponentTable(RecipeModel):
    """One line (or doublet) of a region."""

    species: Annotated[str, Field(min_length=1, description="id in the species library, or any name if custom")]
    line: str | None = Field(default=None, description="core level in the library; the region's when not given")
    custom: bool = Field(default=False, description="the species is not in the library; a position is then needed")
    shape: ShapeName = Field(default="pseudo_voigt", description="of the line; widths are full widths at half maximum")
    template: str | None = Field(
        default=None,
        description="multiplet of the library, 'MnO2', whose peaks together are the line",
    )
    doublet: bool = Field(default=False, description="two lines with the splitting and ratio of the library")
    like: str | None = Field(default=None, description="species whose shape, and width within a spread, this one has")
    like_spread: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.1,
        description="relative standard deviation of each width about the common one; 0 makes them equal",
    )
    optional: bool = Field(default=False, description="test by BIC whether the data need it")
    foreign: bool = Field(default=False, description="a line of another element: fitted, but no species of the region")
    position_eV: Parameter = Field(
        default=ParameterTable(), description="binding energy: a start value, or a table as of any parameter"
    )
    parameters: dict[str, Parameter] = Field(
        default_factory=dict, description="fwhm, mixing, splitting, ratio, ... of the shape"
    )

    @model_validator(mode="before")
    @classmethod
    def _of_species(cls, given: Any) -> Any:
        return {"species": given} if isinstance(given, str) else given

    @property
    def name(self) -> str:
        """Name of the component in the fit."""
        return identifier(self.species)

    @property
    def line_shape(self) -> str:
        """What the line is, in words: ``"pseudo_voigt"``, or with a template ``"MnO2 of pseudo_voigt"``."""
        return self.shape if self.template is None else f"{self.template} of {self.shape}"


class BackgroundTable(RecipeModel):
    """Background of a region."""

    kind: BackgroundKind = Field(default="shirley", description="inelastic background, or the polynomial alone")
    mode: Literal["active", "static"] = Field(
        default="active", description="active: part of the fit; static: from the data beforehand, with a free height"
    )
    polynomial: Annotated[int, Field(ge=0, le=3)] = Field(default=1, description="degree of the polynomial below it")

    @property
    def label(self) -> str:
        """Name in comparisons."""
        return "polynomial" if self.kind == "polynomial" else f"{self.mode} {self.kind}"


class RegionTable(RecipeModel):
    """One region (core level) of the profile."""

    region: Annotated[str, Field(min_length=1, description="core level as in the file, e.g. 'B 1s'")]
    range_eV: tuple[float, float] | None = Field(default=None, description="binding energies to fit, as measured")
    components: Annotated[tuple[ComponentTable, ...], AfterValidator(not_empty)] = Field(
        description="lines of the region"
    )
    background: BackgroundTable = Field(default=BackgroundTable(), description="under its lines")
    shift: Literal["auto", "charge", "free", "none"] = Field(
        default="auto",
        description="shift a level: by the charge reference, free, none; auto: whichever of these BIC prefers, or "
        "without a reference alike within a spread that is drawn with everything else",
    )
    quantify: bool = Field(default=True, description="whether the region's area counts as its element")
    rsf_line: str | None = Field(
        default=None,
        description="line whose sensitivity the area has, if not the region's name: 'Sn 3d' for both lines",
    )

    @property
    def name(self) -> str:
        """Region as the field writes it."""
        return normalise_region(self.region)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [c.name for c in self.components]
        twice = {n for n in names if names.count(n) > 1}
        if twice:
            raise ValueError(f"two components are called {sorted(twice)[0]!r}")
        species = {c.species for c in self.components}
        for c in self.components:
            if c.like is not None and (c.like not in species or c.like == c.species):
                raise ValueError(f"'{c.species}' is to be like '{c.like}', which is no other component of the region")
        if self.range_eV is not None and not self.range_eV[0] < self.range_eV[1]:
            raise ValueError("range_eV must be (low, high)")
        return self


class SpectrumColumnsTable(ColumnsTable):
    """What the columns of a plain text file mean, and how they are written."""

    region: str = Field(description="core level that was measured, e.g. 'O 1s'")
    energy: Column = Field(default=0, description="column of the energy: name in the header line, or number from 0")
    counts: Column | tuple[Column, ...] = Field(
        default=1, description="column of the intensity; a list of columns makes the levels of a profile"
    )
    kind: Literal["binding", "kinetic"] = Field(
        default="binding", description="what the energies are; kinetic ones need excitation_energy_eV"
    )
    unit: Literal["counts", "counts/s"] = Field(default="counts", description="of the intensity")
    transmission: Column | None = Field(default=None, description="column of the analyser's transmission")
    excitation_energy_eV: float | None = Field(default=None, description="photon energy")
    pass_energy_eV: float | None = Field(default=None, description="of the analyser; kept with the data")
    dwell_time_s: float | None = Field(default=None, description="time per point and scan: what makes a rate counts")
    scans: int | None = Field(default=None, description="number of scans that were added up")
    etch_time_s: float | tuple[float, ...] | None = Field(
        default=None, description="total etch time, of each column of counts if there are several"
    )
    sample: str = Field(default="", description="name, if the file is of another sample than the recipe's")

    @property
    def count_columns(self) -> tuple[Column, ...]:
        """The intensity columns as a tuple."""
        return self.counts if isinstance(self.counts, tuple) else (self.counts,)

    @property
    def etch_times_s(self) -> tuple[float | None, ...]:
        """The etch times as a tuple; one None a column of counts if there are none."""
        if self.etch_time_s is None:
            return (None,) * len(self.count_columns)
        return self.etch_time_s if isinstance(self.etch_time_s, tuple) else (self.etch_time_s,)


class SeriesTable(options.SeriesTable):
    """One depth profile: a file with all levels, or a file a level."""

    select_sample: str | None = Field(default=None, description="sample inside the file, if it holds several")
    format: str = Field(
        default="auto", description="found by the content if 'auto'; or the name of a reader, e.g. vamas, phi, columns"
    )
    columns: SpectrumColumnsTable | None = Field(default=None, description="meaning of the columns of a text file")
    etch_times_s: tuple[float, ...] | None = Field(default=None, description="etch time of each level, over the file's")
    times_s: tuple[float, ...] | None = Field(
        default=None, description="time of each level, where the levels are moments and not etch steps"
    )
    angles_deg: tuple[Annotated[float, Field(ge=0, lt=90)], ...] | None = Field(
        default=None, description="emission angle of each level against the surface normal, over the file's"
    )
    exposure: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="counts per unit of intensity, where the file does not give dwell time and scans"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if sum(given is not None for given in (self.etch_times_s, self.times_s, self.angles_deg)) > 1:
            raise ValueError("levels are etch steps (etch_times_s), moments (times_s) or angles (angles_deg): give one")
        return self
