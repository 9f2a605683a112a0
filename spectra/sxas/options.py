"""What a recipe may say of scans: their files, what columns mean, how they are normalised and put on one energy."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from layerscope.measured import options
from layerscope.measured.delimited import Column, ColumnsTable
from layerscope.options import Positive, RecipeModel, not_empty, unique

from .edges import Edge, Range
from .normalise import Definition, Kind
from .scan import ROLES, SIGNALS

__all__ = [
    "CoordinationTable",
    "EnergyTable",
    "Mode",
    "NormaliseTable",
    "ReferenceTable",
    "ScanColumnsTable",
    "SeriesTable",
]

Mode = Literal["tey", "aey", "pey", "tfy", "pfy", "ipfy", "mu"]
"""A signal that can stand for the absorption."""


class ScanColumnsTable(ColumnsTable):
    """What the columns of a plain text file mean, and how they are written."""

    energy: Column = Field(default=0, description="column of the photon energy: its name, or its number from 0")
    energy_unit: Literal["eV", "keV"] = Field(default="eV", description="of the photon energy")
    i0: Column | None = Field(default=None, description="column of the incident flux")
    i0_other: Column | None = Field(default=None, description="column of a second monitor")
    tey: Column | None = Field(default=None, description="column of the total electron yield")
    aey: Column | None = Field(default=None, description="column of the Auger electron yield")
    pey: Column | None = Field(default=None, description="column of the partial electron yield")
    tfy: Column | None = Field(default=None, description="column of the total fluorescence yield")
    pfy: Column | None = Field(default=None, description="column of a partial fluorescence yield")
    ipfy: Column | None = Field(default=None, description="column of an inverse partial fluorescence yield")
    pfy_other: Column | None = Field(
        default=None, description="column of another element's fluorescence yield, whose inverse becomes ipfy"
    )
    mu: Column | None = Field(default=None, description="column of an absorption, divided by the flux already")
    reference: Column | None = Field(default=None, description="column of the reference sample's signal")
    diode: Column | None = Field(default=None, description="column of a photodiode in place of the sample")
    dwell_s: Column | None = Field(default=None, description="column of the counting time of each point, s")
    divided: bool = Field(default=False, description="the signals are divided by the incident flux already")
    edge: str = Field(default="", description="edge that was measured, e.g. 'O K'")

    @property
    def roles(self) -> dict[str, Column]:
        """Columns of the channels by role."""
        names = (*SIGNALS, "pfy_other", "i0", "i0_other", "reference", "diode")
        found = {name: getattr(self, name) for name in names}
        return {name: column for name, column in found.items() if column is not None}

    @model_validator(mode="after")
    def _some_signal(self) -> Self:
        if not set(self.roles) & {*SIGNALS, "pfy_other"}:
            raise ValueError(f"columns: name the column of a signal, one of {', '.join(SIGNALS)}")
        return self


def _roles(dark: dict[str, float]) -> dict[str, float]:
    unknown = [role for role in dark if role not in ROLES]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no channel (known: {', '.join(ROLES)})")
    return dark


class SeriesTable(options.SeriesTable):
    """The scans of one sample at one edge: repeats, each in a file of its own or several in one."""

    columns: ScanColumnsTable | None = Field(default=None, description="meaning of the columns of a text file")
    scan: str | None = Field(default=None, description="which of the scans in the files are meant, by their name")
    dark: Annotated[dict[str, float], AfterValidator(_roles)] = Field(
        default_factory=dict,
        description="readings without beam, taken off before anything, e.g. tey = 7500",
    )


class NormaliseTable(RecipeModel):
    """What spectra are normalised by; ranges that are not given are those of the edge, see `layerscope edges`."""

    kind: Literal["area", "step", "point", "none"] = Field(
        default="area", description="area of the edge, step between two lines, value at one energy, or not at all"
    )
    pre_eV: Range | None = Field(default=None, description="range of the line before the edge")
    post_eV: Range | None = Field(default=None, description="range of the line after the edge, for a step")
    area_eV: Range | None = Field(default=None, description="range of the area")
    at_eV: Positive | None = Field(
        default=None,
        description="where the step is taken, by default the middle of where its maximum is looked for; "
        "or the single energy, by default where the area ends",
    )
    pre_degree: Literal[0, 1] = Field(default=1, description="degree of the line before the edge")

    def definition(self, edge: Edge) -> Definition | None:
        """Return all limits for an edge; None where spectra are not normalised."""
        return None if self.kind == "none" else self.of(edge, self.kind)

    def of(self, edge: Edge, kind: Kind) -> Definition:
        """Return all limits for an edge and a kind of normalisation."""
        area = self.area_eV or edge.area_eV
        at = area[1] if kind == "point" else (edge.search_eV[0] + edge.search_eV[1]) / 2
        return Definition(
            kind=kind,
            pre_eV=self.pre_eV or edge.pre_eV,
            post_eV=self.post_eV or edge.post_eV,
            area_eV=area,
            at_eV=self.at_eV or at,
            degree=self.pre_degree,
        )


class ReferenceTable(SeriesTable):
    """A reference of known coordination: its scans, reduced as those of the samples are."""

    name: Annotated[str, Field(min_length=1, description="of the reference, e.g. 'B2O3'")]
    four: Annotated[float, Field(ge=0, le=1)] = Field(description="share of its atoms that have four neighbours")


class CoordinationTable(RecipeModel):
    """The share of four-coordinate boron, by references."""

    reference: Annotated[tuple[ReferenceTable, ...], AfterValidator(not_empty)] = Field(
        description="at least one with three neighbours (four = 0) and one with four (four = 1)"
    )
    range_eV: Range = Field(default=(186.0, 215.0), description="range in which spectra are compared")
    pre_eV: Range | None = Field(
        default=None, description="of the references' line before the edge; as the edge has it"
    )
    post_eV: Range | None = Field(
        default=None, description="where references are taken for equal per atom; the end of the edge's range"
    )
    per_boron_sigma: Annotated[float, Field(ge=0)] = Field(
        default=0.02, description="relative standard error of references per atom against each other"
    )

    def ranges(self, edge: Edge) -> tuple[Range, Range]:
        """Return the ranges before and after the edge by which references are made equal per atom."""
        return self.pre_eV or edge.pre_eV, self.post_eV or edge.post_eV

    @model_validator(mode="after")
    def _both_kinds(self) -> Self:
        shares = [one.four for one in self.reference]
        if not (min(shares) < max(shares)):
            raise ValueError("coordination: references need different shares of four-coordinate atoms")
        unique([one.name for one in self.reference], "references")
        return self


class EnergyTable(RecipeModel):
    """How energies are calibrated, and how sure they are."""

    align: Literal["none", "reference"] = Field(
        default="none", description="reference: samples are put on the first one's energies by their reference channels"
    )
    reach_eV: Positive = Field(default=1.5, description="largest shift that is looked for")
    shift_eV: float = Field(default=0.0, description="added to all energies of the files")
    known_eV: Positive | None = Field(
        default=None, description="energy of the reference channel's maximum: all energies are shifted so that it fits"
    )
    sigma_eV: Annotated[float, Field(ge=0)] = Field(
        default=0.1, description="standard error of the scale as a whole, in every position and no difference"
    )
    repeat_eV: Annotated[float, Field(ge=0)] = Field(
        default=0.03, description="standard error between samples that no reference channel aligns"
    )
    convention: str = Field(default="", description="what the scale rests on, in words, for the record")
