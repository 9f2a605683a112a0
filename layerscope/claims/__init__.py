"""Statements about samples that need several techniques, weighed on records alone."""

from __future__ import annotations

from layerscope.claims.judge import Compared, Judged, Weighed, compare, judge
from layerscope.claims.statistics import Evidence, Verdict, combine, holm
from layerscope.claims.tables import ClaimTable, EvidenceTable, PairTable, SampleTable, StoryTables

__all__ = [
    "ClaimTable",
    "Compared",
    "Evidence",
    "EvidenceTable",
    "Judged",
    "PairTable",
    "SampleTable",
    "StoryTables",
    "Verdict",
    "Weighed",
    "combine",
    "compare",
    "holm",
    "judge",
]
