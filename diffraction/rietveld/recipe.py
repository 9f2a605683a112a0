"""The recipe of the pipeline ``rietveld``: instrument, phases, background, plan and sequence."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from layerscope.options import Positive, RecipeModel, RecipePath, not_empty

from ..recipe_series import DiffractionRecipe, unique

__all__ = [
    "BackgroundTable",
    "CalibrationTable",
    "ExtraLineTable",
    "GeometryTable",
    "GuestTable",
    "InstrumentTable",
    "PhaseTable",
    "PlanTable",
    "RietveldRecipe",
    "SequenceTable",
    "StageTable",
]


class GeometryTable(RecipeModel):
    """Divergent-beam geometry, as in `layerscope.diffraction.rietveld.geometry.Geometry`."""

    source_width_mm: Positive | None = Field(default=None, description="focus as seen at the take-off angle, 0.04")
    source_length_mm: Positive | None = Field(default=None, description="focus along the axis, 12")
    specimen_length_mm: Positive | None = Field(default=None, description="lit part of the specimen along the axis, 12")
    slit_width_mm: Positive | None = Field(default=None, description="receiving slit or pixel, 0.2")
    slit_length_mm: Positive | None = Field(default=None, description="receiving slit along the axis, 12")
    divergence_deg: Positive | None = Field(default=None, description="full equatorial divergence, 1")
    soller_deg: Positive | None = Field(default=None, description="full opening of the Soller slits; none without")
    attenuation_per_mm: Positive | None = Field(default=None, description="of the packed powder; opaque without")
    tail_low_mm: Annotated[float, Field(ge=0)] | None = Field(default=None, description="reach of the tube tails")
    tail_high_mm: Annotated[float, Field(ge=0)] | None = Field(default=None, description="to higher angles")
    tail_share: Annotated[float, Field(ge=0, lt=1)] | None = Field(default=None, description="of the intensity")
    emission_width: Positive | None = Field(default=None, description="factor on the natural widths")
    passband_per_ev: float | None = Field(default=None, description="relative slope of the monochromator's passband")
    refine: tuple[str, ...] = Field(default=(), description="what the pattern of a standard is to tell, by name")


class InstrumentTable(RecipeModel):
    """Instrument, as in `layerscope.diffraction.rietveld.model.Instrument`; wavelengths come from the radiation."""

    instprm: RecipePath | None = Field(default=None, description="GSAS-II parameters to start from")
    instprm_member: str | None = Field(default=None, description="the one file in an archive")
    polarisation: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None, description="K in K + (1 - K) cos² 2θ: 0.5 without a monochromator"
    )
    radius_mm: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="of the goniometer, for the displacement"
    )
    u: float | None = Field(default=None, description="Gaussian FWHM² = u tan² θ + v tan θ + w, degrees²")
    v: float | None = Field(default=None, description="degrees²")
    w: float | None = Field(default=None, description="degrees²")
    x: float | None = Field(default=None, description="Lorentzian FWHM = x / cos θ + y tan θ, degrees")
    y: float | None = Field(default=None, description="degrees")
    sh_l: Annotated[float, Field(ge=0)] | None = Field(default=None, description="axial divergence, S/L + H/L")
    zero: float | None = Field(default=None, description="zero shift, degrees")
    displacement_mm: float | None = Field(default=None, description="of the sample")
    geometry: GeometryTable | None = Field(
        default=None, description="divergent beam: takes the bias of analytic profiles out of cell and displacement"
    )


class GuestTable(RecipeModel):
    """An element that shares a site with the one that is there; the site stays as full as it was."""

    site: Annotated[str, Field(min_length=1, description="label of the host's site, e.g. 'Li'")]
    element: Annotated[str, Field(min_length=1)] = Field(description="of the guest, e.g. 'B'")
    occupancy: Annotated[float, Field(ge=0, le=1)] = Field(default=0.01, description="to start from")
    label: str | None = Field(default=None, description="what the records call it; element and site when not given")


class PhaseTable(RecipeModel):
    """A phase: from the library, from a CIF or TOML file beside the recipe, or, for Le Bail, space group and cell."""

    name: Annotated[str, Field(min_length=1, description="what the records call it")]
    library: str | None = Field(default=None, description="name in reference_data/phases")
    file: RecipePath | None = Field(default=None, description=".cif or .toml, or an archive that holds it")
    member: str | None = Field(default=None, description="the one file in an archive, e.g. 'O3.cif'")
    space_group: str | None = Field(default=None, description="Hermann-Mauguin; atoms unknown, for le_bail only")
    a: Annotated[float, Field(gt=0)] | None = Field(default=None, description="Å; over the library's or the file's")
    b: Annotated[float, Field(gt=0)] | None = Field(default=None, description="Å")
    c: Annotated[float, Field(gt=0)] | None = Field(default=None, description="Å")
    alpha: Annotated[float, Field(gt=0, lt=180)] | None = Field(default=None, description="degrees")
    beta: Annotated[float, Field(gt=0, lt=180)] | None = Field(default=None, description="degrees")
    gamma: Annotated[float, Field(gt=0, lt=180)] | None = Field(default=None, description="degrees")
    size_nm: Annotated[float, Field(gt=0)] | None = Field(default=None, description="crystallite size to start from")
    microstrain_ppm: Annotated[float, Field(ge=0)] | None = Field(default=None, description="to start from, 1e-6")
    broadening_like: str | None = Field(
        default=None, description="after the calibration of a series: size and strain of this phase"
    )
    texture: bool = Field(default=True, description="false switches the texture of the library off")
    texture_axis: tuple[int, int, int] | None = Field(
        default=None, description="March-Dollase axis h k l, over the library's"
    )
    refine_occupancy: tuple[str, ...] = Field(default=(), description="sites whose occupancy the plan may free")
    guests: tuple[GuestTable, ...] = Field(default=(), description="elements that share a site, e.g. B on the Li layer")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if sum(origin is not None for origin in (self.library, self.file, self.space_group)) != 1:
            raise ValueError(f"phase {self.name!r}: give either library or file (or space_group, for le_bail)")
        if self.member is not None and self.file is None:
            raise ValueError(f"phase {self.name!r}: member goes with file")
        if self.space_group is not None:
            if self.a is None:
                raise ValueError(f"phase {self.name!r}: space_group needs the cell: a, and b, c, alpha, beta, gamma")
            if self.guests or self.refine_occupancy:
                raise ValueError(f"phase {self.name!r}: without atoms there is no site to share or to refine")
        return self


class ExtraLineTable(RecipeModel):
    """A line that no phase explains; position and width are held."""

    two_theta: float = Field(description="degrees")
    fwhm: Annotated[float, Field(gt=0)] = Field(description="degrees")
    eta: Annotated[float, Field(ge=0, le=1)] = Field(default=0.5, description="Lorentzian share")
    label: str = Field(default="", description="what the records call it")


class BackgroundTable(RecipeModel):
    """Chebyshev background."""

    terms: Annotated[int, Field(ge=1, le=36)] = Field(default=10, description="Chebyshev coefficients")
    lines: tuple[ExtraLineTable, ...] = Field(
        default=(), description="lines that no phase explains; position and width are held"
    )


class StageTable(RecipeModel):
    """One stage of a plan."""

    name: str = Field(description="for messages")
    free: Annotated[tuple[str, ...], AfterValidator(not_empty)] = Field(
        description="groups of parameters, e.g. 'cell' or 'size:H1-3'; they stay free"
    )


class PlanTable(RecipeModel):
    """In which order parameters are freed."""

    kind: Literal["full", "calibration", "series", "le_bail", "stages"] = Field(
        default="full", description="series holds the instrument; stages: your own"
    )
    texture: bool = Field(default=True, description="free the texture of the phases that declare an axis")
    atoms: bool = Field(default=True, description="free Biso and coordinates")
    occupancy: bool = Field(default=False, description="free the occupancies that the phases allow")
    size: bool = Field(default=True, description="free sizes, in a series")
    strain: bool = Field(default=False, description="free strains, in a series")
    stages: tuple[StageTable, ...] = Field(default=(), description="what is freed, in this order")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.kind == "stages") != bool(self.stages):
            raise ValueError("stages go with kind = 'stages'")
        return self


class CalibrationTable(RecipeModel):
    """Refine one good frame first; its instrument is then held."""

    frame: Annotated[int, Field(ge=0)] = Field(default=0, description="number of the frame")
    phases: tuple[str, ...] = Field(default=(), description="phases of that frame; all when empty")
    plan: PlanTable = Field(default=PlanTable(atoms=False), description="how that frame is refined")


class SequenceTable(RecipeModel):
    """How a series is refined; see `layerscope.diffraction.rietveld.frame.SeriesOptions`."""

    always: tuple[str, ...] = Field(default=(), description="phases that are in every frame; all others come and go")
    free: tuple[str, ...] = Field(
        default=("background", "lines"), description="groups refined in every frame besides scale"
    )
    free_when_strong: tuple[str, ...] = Field(
        default=("cell",), description="groups of a phase refined while its scale is strong"
    )
    strong: Annotated[float, Field(gt=0)] = Field(default=12.0, description="scale over its standard error")
    bic_margin: float = Field(default=6.0, description="by which a phase must improve BIC")
    persistence: Annotated[int, Field(ge=1)] = Field(
        default=2, description="frames in a row that a phase must be present (or absent)"
    )
    min_intensity_share: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.003, description="of the calculated intensity, below which a phase is a ghost"
    )
    both_directions: bool = Field(default=True, description="read the series backward too, and say where that differs")
    workers: Annotated[int, Field(ge=1, le=64)] = Field(default=1, description="processes")
    chunk: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=8, description="frames from one milestone to the next, for several processes"
    )
    calibrate: CalibrationTable | None = Field(
        default=None, description="refine one good frame first; its instrument is then held"
    )


class RietveldRecipe(DiffractionRecipe):
    """Recipe of the pipeline ``rietveld``."""

    engine: Literal["rietx", "gsas2", "both"] = Field(default="rietx", description="both: refine with each and compare")
    phases: Annotated[tuple[PhaseTable, ...], AfterValidator(not_empty)] = Field(
        description="what may be in the sample"
    )
    instrument: InstrumentTable = Field(default=InstrumentTable(), description="profile and geometry to start from")
    background: BackgroundTable = Field(default=BackgroundTable(), description="Chebyshev, and extra lines")
    plan: PlanTable = Field(default=PlanTable(), description="in which order parameters are freed")
    sequence: SequenceTable | None = Field(
        default=None, description="refine the frames as a series; each alone when not given"
    )
    total: tuple[str, ...] = Field(default=(), description="phases summed in the table, with their covariance")
    le_bail: bool = Field(default=False, description="extract intensities: cells without atoms")
    save_gpx: bool = Field(default=False, description="keep GSAS-II's project and log in the run folder")
    time_limit_s: Annotated[float, Field(gt=0)] = Field(default=300.0, description="of one refinement")
    agree_within: Annotated[float, Field(gt=0)] = Field(default=3.0, description="sigma, for engine = 'both'")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [p.name for p in self.phases]
        unique(names, "phases")
        if self.instrument.geometry is not None and (self.sequence is not None or self.le_bail):
            raise ValueError("instrument.geometry is for Rietveld of single patterns; leave out sequence and le_bail")
        wanted = [("broadening_like", p.broadening_like) for p in self.phases if p.broadening_like is not None]
        wanted += [("total", n) for n in self.total]
        if self.sequence is not None:
            wanted += [("sequence.always", n) for n in self.sequence.always]
            if self.sequence.calibrate is not None:
                wanted += [("sequence.calibrate.phases", n) for n in self.sequence.calibrate.phases]
            if self.le_bail:
                raise ValueError("le_bail is for single patterns; leave out the table sequence")
        self._check_le_bail()
        for where, name in wanted:
            if name not in names:
                raise ValueError(f"{where}: no phase is called {name!r}; there are {', '.join(names)}")
        return self

    @model_validator(mode="before")
    @classmethod
    def _le_bail_plan(cls, data: Any) -> Any:
        """Give Le Bail its own plan where none is asked for."""
        if isinstance(data, dict) and data.get("le_bail") is True and "plan" not in data:
            return {**data, "plan": {"kind": "le_bail"}}
        return data

    def _check_le_bail(self) -> None:
        if not self.le_bail:
            if self.plan.kind == "le_bail":
                raise ValueError("plan.kind = 'le_bail' goes with le_bail = true")
            bare = [p.name for p in self.phases if p.space_group is not None]
            if bare:
                raise ValueError(f"phase {bare[0]!r} has no atoms: only le_bail = true can use it")
            return
        if self.total:
            raise ValueError("le_bail gives no fractions: leave out total")
        freed = {token.partition(":")[0] for stage in self.plan.stages for token in stage.free}
        atoms = sorted(freed & {"scale", "texture", "b_iso", "xyz", "occupancy"})
        if atoms or self.plan.kind not in ("le_bail", "stages"):
            what = ", ".join(atoms) if atoms else f"plan.kind = '{self.plan.kind}'"
            raise ValueError(f"le_bail extracts intensities, so it refines no scale, texture or atoms: drop {what}")
