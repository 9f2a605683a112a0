from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from layerscope.records import Quantity, ResultRecord, SampleState
from layerscope.records.schema import SCHEMA_FILE, schema_text, write_schema

PUBLISHED: dict[str, Any] = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))


@pytest.fixture
def stored() -> dict[str, Any]:
    quantity = Quantity(name="peak.fwhm", value=1.2, sigma=0.1, sigma_kind="bootstrap", unit="eV", component="B-O")
    record = ResultRecord(
        record_id="0" * 64,
        technique="toy",
        method="mean",
        method_version="1",
        state=SampleState(sample="LRO"),
        quantities=(quantity,),
    )
    value: dict[str, Any] = json.loads(record.to_json())
    return value


def test_the_published_schema_is_that_of_the_model() -> None:
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text(), "run: python -m layerscope.records.schema"


def test_writing_the_schema_gives_the_published_file(tmp_path: Path) -> None:
    assert write_schema(tmp_path / "schema.json").read_bytes() == SCHEMA_FILE.read_bytes()


def test_a_stored_record_fits_the_published_schema(stored: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(PUBLISHED)
    jsonschema.Draft202012Validator(PUBLISHED).validate(stored)


def test_the_schema_refuses_an_unknown_key_a_bad_id_and_a_missing_state(stored: dict[str, Any]) -> None:
    validator = jsonschema.Draft202012Validator(PUBLISHED)
    without_state = {key: value for key, value in stored.items() if key != "state"}
    for wrong in (stored | {"colour": "red"}, stored | {"record_id": "xyz"}, without_state):
        assert not validator.is_valid(wrong)
