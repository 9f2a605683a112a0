"""Recipes of the diffraction wing: what both pipelines share, the (003) series, and Rietveld refinements."""

from __future__ import annotations

from .peaks.recipe import ComparisonTable, GuardTable, PeaksRecipe, ReflectionTable
from .recipe_series import (
    ColumnsTable,
    CyclerColumnsTable,
    CyclerTable,
    DiffractionRecipe,
    FramesTable,
    RadiationTable,
    SeriesTable,
)
from .rietveld.recipe import (
    BackgroundTable,
    CalibrationTable,
    ExtraLineTable,
    GeometryTable,
    GuestTable,
    InstrumentTable,
    PhaseTable,
    PlanTable,
    RietveldRecipe,
    SequenceTable,
    StageTable,
)

__all__ = [
    "BackgroundTable",
    "CalibrationTable",
    "ColumnsTable",
    "ComparisonTable",
    "CyclerColumnsTable",
    "CyclerTable",
    "DiffractionRecipe",
    "ExtraLineTable",
    "FramesTable",
    "GeometryTable",
    "GuardTable",
    "GuestTable",
    "InstrumentTable",
    "PeaksRecipe",
    "PhaseTable",
    "PlanTable",
    "RadiationTable",
    "ReflectionTable",
    "RietveldRecipe",
    "SequenceTable",
    "SeriesTable",
    "StageTable",
]
