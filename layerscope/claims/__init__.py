"""Statements about samples that need several techniques, weighed on records alone."""

from __future__ import annotations

from layerscope.claims.judge import Judged, Weighed, judge
from layerscope.claims.statistics import Evidence, Verdict, combine, holm
from layerscope.claims.tables import ClaimTable, EvidenceTable, SampleTable, StoryTables

__all__ = [
    "ClaimTable",
    "Evidence",
    "EvidenceTable",
    "Judged",
    "SampleTable",
    "StoryTables",
    "Verdict",
    "Weighed",
    "combine",
    "holm",
    "judge",
]
