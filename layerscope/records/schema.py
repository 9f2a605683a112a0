"""The published JSON Schema of the result record; ``python -m layerscope.records.schema`` writes it anew."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from layerscope.records.model import ResultRecord

__all__ = ["SCHEMA_FILE", "schema_text", "write_schema"]

SCHEMA_FILE = Path(__file__).with_name("result_record.schema.json")


def schema_text() -> str:
    """Return the schema that the present model gives, as the text of its file."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://github.com/layerscope/layerscope/schemas/result_record-1.json",
        **ResultRecord.model_json_schema(mode="serialization"),
    }
    return json.dumps(schema, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def write_schema(path: Path = SCHEMA_FILE) -> Path:
    """Write the schema of the present model.

    Parameters
    ----------
    path : Path, optional
        Where to; the published file by default.

    Returns
    -------
    Path
        The file.
    """
    path.write_text(schema_text(), encoding="utf-8")
    return path


if __name__ == "__main__":
    sys.stdout.write(f"{write_schema()}\n")
