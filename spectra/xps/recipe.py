"""The recipe of an XPS depth profile: what was measured, which lines, and what to make of them."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from layerscope.errors import RecipeError
from layerscope.fitting.expressions import Expression
from layerscope.measured.delimited import Column, ColumnsTable
from layerscope.options import RecipeModel, RecipePath, not_empty
from layerscope.runs.recipe import PipelineRecipe

from .attenuation import TPP2M_RELATIVE_SIGMA, Material, MaterialByName
from .charge import ChargeTable
from .dataset import normalise_region
from .rsf import RsfSet, get_rsf_set

__all__ = [
    "BackgroundTable",
    "ChargeTable",
    "ComponentTable",
    "DepthTable",
    "MnValenceTable",
    "OverlapTable",
    "ParameterTable",
    "QuantificationTable",
    "RegionTable",
    "SeriesTable",
    "SpectrumColumnsTable",
    "XpsRecipe",
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
    doublet: bool = Field(default=False, description="two lines with the splitting and ratio of the library")
    like: str | None = Field(default=None, description="species whose width and shape this one shares")
    optional: bool = Field(default=False, description="test by BIC whether the data need it")
    foreign: bool = Field(default=False, description="a line of another element: fitted, but no species of the region")
    position_eV: Parameter = Field(
        default=ParameterTable(), description="binding energy: a start value, or a table as of any parameter"
    )
    parameters: dict[str, Parameter] = Field(
        default_factory=dict, description="fwhm, mixing, splitting, ratio, ... of the shape"
    )

    @property
    def name(self) -> str:
        """Name of the component in the fit."""
        return identifier(self.species)


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
        default="auto", description="shift a level: by the charge reference, free, none, or whichever BIC prefers"
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


class SeriesTable(RecipeModel):
    """One depth profile: a file with all levels, or a file a level."""

    files: Annotated[tuple[RecipePath, ...], AfterValidator(not_empty)] = Field(
        description="one file with all levels, or several, of which each adds its levels in this order"
    )
    name: Annotated[str, Field(description="tells the series of a recipe apart")] = ""
    sample: str | None = Field(default=None, description="sample's name, if other than the recipe's")
    select_sample: str | None = Field(default=None, description="sample inside the file, if it holds several")
    format: str = Field(
        default="auto", description="found by the content if 'auto'; or vamas, phi, vgd, specs, scienta, columns"
    )
    columns: SpectrumColumnsTable | None = Field(default=None, description="meaning of the columns of a text file")
    etch_times_s: tuple[float, ...] | None = Field(default=None, description="etch time of each level, over the file's")
    times_s: tuple[float, ...] | None = Field(
        default=None, description="time of each level, where the levels are moments and not etch steps"
    )
    exposure: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="counts per unit of intensity, where the file does not give dwell time and scans"
    )
    cycle: float | None = Field(default=None, description="of the cell, for the records")
    voltage_V: float | None = Field(default=None, description="of the cell, for the records")
    step: str | None = Field(default=None, description="of the cell's program, for the records")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.etch_times_s is not None and self.times_s is not None:
            raise ValueError("levels are etch steps (etch_times_s) or moments (times_s), not both")
        return self


_OF_PATHS = ("attenuation_exponent", "path_sigma", "emission_angle_deg")


class QuantificationTable(RecipeModel):
    """Atomic fractions."""

    rsf_set: str = Field(
        default="scofield", description="sensitivity factors: scofield, amrsf, wagner_1981, thermo_al, kratos"
    )
    alternative_sets: tuple[str, ...] = Field(
        default=(), description="sets whose spread is the error; all that have the lines when empty"
    )
    factors: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict, description="factors (C 1s = 1) that the set lacks or that you measured, by line"
    )
    factors_source: str = Field(default="", description="where these factors come from")
    attenuation_exponent: float = Field(
        default=0.75, description="n of a mean free path ~ E^n, for sets that do not contain it; 0 for none"
    )
    material: MaterialByName | None = Field(
        default=None,
        description="solid whose mean free paths by TPP-2M take the place of the exponent and give probing depths: a "
        "formula of the library, or a table",
    )
    path_sigma: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=TPP2M_RELATIVE_SIGMA, description="relative standard error of a mean free path by TPP-2M"
    )
    emission_angle_deg: Annotated[float, Field(ge=0, lt=90)] = Field(
        default=0.0, description="angle between surface normal and analyser, for the probing depth"
    )
    alternative_backgrounds: tuple[BackgroundTable, ...] = Field(
        default=(
            BackgroundTable(kind="shirley", mode="static"),
            BackgroundTable(kind="tougaard_u2", mode="active"),
        ),
        description="backgrounds that the regions are fitted with again; the spread of the areas is an error",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.factors and not self.factors_source:
            raise ValueError("factors need factors_source: where do they come from?")
        told = {name: getattr(self, name) != type(self).model_fields[name].default for name in _OF_PATHS}
        if self.material is not None and told["attenuation_exponent"]:
            raise ValueError("paths follow either a material or attenuation_exponent")
        if self.material is None and (told["path_sigma"] or told["emission_angle_deg"]):
            raise ValueError("path_sigma and emission_angle_deg say something of mean free paths: name a material")
        return self

    @property
    def paths(self) -> float | Material:
        """What mean free paths follow: an exponent, or TPP-2M in a solid."""
        return self.attenuation_exponent if self.material is None else self.material

    def rsf(self) -> RsfSet:
        """Return the set, with the factors that the recipe adds or replaces.

        Raises
        ------
        RecipeError
            If the set is not known.
        """
        base = get_rsf_set(self.rsf_set)
        return base.extended(self.factors, self.factors_source) if self.factors else base


class OverlapTable(RecipeModel):
    """P 2s inside B 1s, from P 2p."""

    region: str = Field(default="B 1s", description="where P 2s lies")
    species: str = Field(default="P 2s", description="the foreign component of that region")
    from_region: str = Field(default="P 2p", description="region that foretells it")


class MnValenceTable(RecipeModel):
    """Mean oxidation state of Mn from the splitting of Mn 3s."""

    region: str = Field(default="Mn 3s", description="with both components of Mn 3s")
    low: str = Field(description="component at lower binding energy")
    high: str = Field(description="component at higher binding energy")
    law: str = Field(
        default="beyreuther", description="splitting to valence: beyreuther or galakhov; the other one is the error"
    )


class DepthTable(RecipeModel):
    """Depth scale."""

    etch_rate_nm_s: Annotated[float, Field(gt=0)] = Field(description="turns etch times into depths, nm/s")
    sigma_nm_s: Annotated[float, Field(ge=0)] = Field(description="standard error of the rate, nm/s")


class XpsRecipe(PipelineRecipe):
    """Recipe of the pipeline ``xps``."""

    series: Annotated[tuple[SeriesTable, ...], AfterValidator(not_empty)] = Field(
        description="depth profiles, or single levels"
    )
    regions: Annotated[tuple[RegionTable, ...], AfterValidator(not_empty)] = Field(description="core levels to fit")
    charge: ChargeTable = Field(default=ChargeTable(), description="charge reference")
    quantification: QuantificationTable | None = Field(
        default=None, description="atomic fractions; none without this table"
    )
    overlap: OverlapTable | None = Field(default=None, description="P 2s inside B 1s, foretold from P 2p")
    mn_valence: MnValenceTable | None = Field(
        default=None, description="oxidation state of Mn from the splitting of Mn 3s"
    )
    depth: DepthTable | None = Field(default=None, description="depth scale")
    single_level: bool = Field(default=False, description="fit every level alone as well, to show what joining gains")
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = Field(default=0.95, description="of limits")
    noise: Literal["poisson", "scaled"] = Field(
        default="poisson", description="scaled: multiply errors by the square root of the reduced chi2"
    )

    def region(self, name: str) -> RegionTable | None:
        """Return the table of a region, or None."""
        wanted = normalise_region(name)
        return next((r for r in self.regions if r.name == wanted), None)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [r.name for r in self.regions]
        if len(set(names)) < len(names):
            raise ValueError("a region is declared twice")
        labels = [s.name for s in self.series]
        if len(set(labels)) < len(labels):
            raise ValueError("several series need different names (series.name)")
        if self.quantification is not None and sum(r.quantify for r in self.regions) < 2:
            raise ValueError("quantification: atomic fractions need two regions that count (regions.quantify = true)")
        self._check_component("charge", self.charge.region, self.charge.species)
        if self.overlap is not None:
            self._check_component("overlap", self.overlap.region, self.overlap.species)
            self._check_component("overlap", self.overlap.from_region, None)
        if self.mn_valence is not None:
            for species in (self.mn_valence.low, self.mn_valence.high):
                self._check_component("mn_valence", self.mn_valence.region, species)
        return self

    def _check_component(self, where: str, region: str | None, species: str | None) -> None:
        if region is None:
            return
        table = self.region(region)
        if table is None:
            raise ValueError(f"{where}: region {region!r} is not among the regions")
        if species is not None and species not in {c.species for c in table.components}:
            raise ValueError(f"{where}: region {table.name!r} has no component {species!r}")
