"""The recipe of the pipeline ``rietveld``: instrument, phases, background, plan and sequence."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from layerscope.options import RecipeModel, RecipePath, not_empty, unique
from layerscope.runs.recipe import PipelineName

from ..recipe_series import DiffractionRecipe, given_images
from .model import Background, Diffractometer
from .options import SequenceTable
from .plan import PlanTable, RefinementPlan

__all__ = ["GuestTable", "InstrumentTable", "PhaseTable", "RietveldRecipe"]


class InstrumentTable(Diffractometer):
    """Instrument to start from; wavelengths come from the radiation."""

    instprm: RecipePath | None = Field(
        default=None,
        description="of GSAS-II or GSAS (.prm), over the defaults; what is written here stands over both",
    )
    instprm_member: str | None = Field(default=None, description="the one file in an archive")


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


class RietveldRecipe(DiffractionRecipe):
    """Recipe of the pipeline ``rietveld``."""

    pipeline: PipelineName = "rietveld"
    engine: Literal["rietx", "gsas2", "both"] = Field(default="rietx", description="both: refine with each and compare")
    phases: Annotated[tuple[PhaseTable, ...], AfterValidator(not_empty)] = Field(
        description="what may be in the sample"
    )
    instrument: InstrumentTable = Field(default=InstrumentTable(), description="profile and geometry to start from")
    background: Background = Field(default=Background(), description="Chebyshev, and extra lines")
    plan: PlanTable = Field(default=PlanTable(), description="in which order parameters are freed")
    sequence: SequenceTable | None = Field(
        default=None, description="refine the frames as a series; each alone when not given"
    )
    total: tuple[str, ...] = Field(default=(), description="phases summed in the table, with their covariance")
    le_bail: bool = Field(default=False, description="extract intensities: cells without atoms")
    save_gpx: bool = Field(default=False, description="keep GSAS-II's project and log in the run folder")
    time_limit_s: Annotated[float, Field(gt=0)] = Field(default=300.0, description="CPU time of one refinement")
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
        self._check_polarisation()
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

    @model_validator(mode="before")
    @classmethod
    def _rings(cls, data: Any) -> Any:
        """Take rings as free of axial divergence, unless it is given."""
        own = data.get("instrument", {}) if given_images(data) else None
        if not isinstance(own, dict) or "instprm" in own:
            return data
        return {**data, "instrument": {"sh_l": 0.0, **own}}

    def refinement_plan(self, table: PlanTable) -> RefinementPlan:
        """Return what is freed in which order; of images not what only a goniometer has, unless it is asked for."""
        plan = table.plan()
        return plan.without("displacement", "sh_l") if self.of_images and table.kind != "stages" else plan

    def _check_polarisation(self) -> None:
        taken_out = [t for t in self.series if t.integrate is not None and t.integrate.polarization is not None]
        if taken_out and self.instrument.polarisation != 1.0 and not self.le_bail:
            raise ValueError("series.integrate.polarization takes it out: say instrument.polarisation = 1.0")

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
