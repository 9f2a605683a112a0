"""Recipes of the diffraction wing: what both pipelines share, the (003) series, and Rietveld refinements."""

from __future__ import annotations

from .recipe_peaks import ComparisonTable, GuardTable, PeaksRecipe, ReflectionTable
from .recipe_rietveld import (
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
from .recipe_series import (
    ColumnsTable,
    CyclerColumnsTable,
    CyclerTable,
    DiffractionRecipe,
    FramesTable,
    RadiationTable,
    SeriesTable,
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
