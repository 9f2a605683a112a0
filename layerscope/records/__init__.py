"""The result record that every technique writes: quantities with errors, and what they rest on."""

from __future__ import annotations

from layerscope.records.formatting import format_limit, format_value, parse_value
from layerscope.records.identity import canonical_json, file_sha256, make_record_id
from layerscope.records.model import (
    SCHEMA_VERSION,
    Alternative,
    ArrayRef,
    FitQuality,
    InputFile,
    Problem,
    ResultRecord,
    SampleState,
    failed_record,
)
from layerscope.records.quantity import Assignment, Quantity
from layerscope.records.vocabulary import DIMENSIONS, VOCABULARY

__all__ = [
    "DIMENSIONS",
    "SCHEMA_VERSION",
    "VOCABULARY",
    "Alternative",
    "ArrayRef",
    "Assignment",
    "FitQuality",
    "InputFile",
    "Problem",
    "Quantity",
    "ResultRecord",
    "SampleState",
    "canonical_json",
    "failed_record",
    "file_sha256",
    "format_limit",
    "format_value",
    "make_record_id",
    "parse_value",
]
