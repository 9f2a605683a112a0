"""How a series is refined: what a recipe says about it, and where that is done."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from layerscope.options import Positive, RecipeModel

from .plan import Groups, PhaseGroups, PlanTable

__all__ = ["CalibrationTable", "SequenceTable", "SeriesOptions"]


class CalibrationTable(RecipeModel):
    """Refine one good frame first; its instrument is then held."""

    frame: Annotated[int, Field(ge=0)] = Field(default=0, description="number of the frame")
    phases: tuple[str, ...] = Field(default=(), description="phases of that frame; all when empty")
    plan: PlanTable = Field(default=PlanTable(atoms=False), description="how that frame is refined")


class SequenceTable(RecipeModel):
    """How a series is refined."""

    always: tuple[str, ...] = Field(default=(), description="phases that are in every frame; all others come and go")
    free: Groups = Field(default=("background", "lines"), description="groups refined in every frame besides scale")
    free_when_strong: PhaseGroups = Field(
        default=("cell",), description="groups of a phase refined while its scale is strong"
    )
    strong: Positive = Field(default=12.0, description="scale over its standard error")
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


class SeriesOptions(SequenceTable):
    """How a series is refined, by which engine, and in which folder engines leave their files."""

    engine: str = "rietx"
    time_limit_s: Positive = 300.0
    folder: Path | None = None
