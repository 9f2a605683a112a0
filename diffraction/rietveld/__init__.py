"""Rietveld refinement with two engines behind one model and one result.

A :class:`Problem` says what is refined, a :class:`RefinementPlan` in which order; :func:`refine` runs one engine on one
pattern, :func:`refine_both` both with a verdict, :func:`refine_series` a series. Engines load when they are used.
"""

from .compare import Comparison, Difference, compare, refine_both
from .divergent_beam.geometry import Geometry
from .engines.interface import EngineStatus, RefineOptions, engine_statuses, refine
from .library import available_phases, load_phase
from .model import (
    Background,
    ExtraLine,
    Instrument,
    Phase,
    PowderPattern,
    Problem,
    Site,
    SiteMixing,
)
from .options import SeriesOptions
from .plan import RefinementPlan, Stage, calibration_plan, full_plan, le_bail_plan, series_plan
from .result import Curves, Estimate, PhaseResult, RietveldResult, update_problem
from .sequence import FrameResult, SeriesResult, calibrate, refine_series

__all__ = [
    "Background",
    "Comparison",
    "Curves",
    "Difference",
    "EngineStatus",
    "Estimate",
    "ExtraLine",
    "FrameResult",
    "Geometry",
    "Instrument",
    "Phase",
    "PhaseResult",
    "PowderPattern",
    "Problem",
    "RefineOptions",
    "RefinementPlan",
    "RietveldResult",
    "SeriesOptions",
    "SeriesResult",
    "Site",
    "SiteMixing",
    "Stage",
    "available_phases",
    "calibrate",
    "calibration_plan",
    "compare",
    "engine_statuses",
    "full_plan",
    "le_bail_plan",
    "load_phase",
    "refine",
    "refine_both",
    "refine_series",
    "series_plan",
    "update_problem",
]
