from __future__ import annotations

import json
import math
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from layerscope.errors import DataError, ReaderError
from layerscope.records import (
    DIMENSIONS,
    VOCABULARY,
    Alternative,
    Assignment,
    FitQuality,
    InputFile,
    Problem,
    Quantity,
    ResultRecord,
    SampleState,
    canonical_json,
    failed_record,
    make_record_id,
)

SHA = "ab" * 32


def position(**changes: Any) -> Quantity:
    return Quantity(
        **{"name": "peak.position", "value": 191.1, "sigma": 0.03, "sigma_kind": "covariance", "unit": "eV"} | changes
    )


def record(**changes: Any) -> ResultRecord:
    defaults: dict[str, Any] = {
        "record_id": SHA,
        "technique": "toy",
        "method": "mean",
        "method_version": "1",
        "state": SampleState(sample="LRO", etch_time_s=10),
        "quantities": (position(component="B-O-B"), position(component="TM-O-B", value=192.0)),
    }
    return ResultRecord(**defaults | changes)


def test_every_dimension_of_the_vocabulary_has_units_and_every_term_a_meaning() -> None:
    for term in VOCABULARY.values():
        assert term.meaning
        assert term.units
        assert set(term.dimensions) <= set(DIMENSIONS)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": "peak.postion"}, "did you mean 'peak.position'"),
        ({"unit": "s"}, "unit 's' does not fit 'peak.position'"),
        ({"value": math.nan}, "finite"),
        ({"sigma": math.inf}, "finite"),
        ({"sigma": -0.1}, "greater than or equal to 0"),
        ({"sigma": None}, "without sigma needs role 'fixed'"),
        ({"sigma": None, "sigma_kind": "none"}, "without sigma needs role 'fixed'"),
        ({"sigma": None, "role": "fixed"}, "without sigma needs role 'fixed'"),
        ({"sigma_kind": "none"}, "a sigma needs a sigma_kind"),
        ({"value": None}, "a sigma without a value"),
        ({"value": None, "sigma": None}, "neither a value nor a limit"),
        ({"upper_limit": 200.0}, "limit_confidence go together"),
        ({"low": 190.0}, "confidence go together"),
        ({"low": 191.2, "high": 192.0, "confidence": 0.68}, "low <= value"),
        ({"low": 190.0, "high": 191.0, "confidence": 0.68}, "value <= high"),
        ({"low": 190.0, "high": 192.0, "confidence": 1.0}, "less than 1"),
        ({"min": 2.0, "max": 1.0}, "min <= max"),
        ({"budget": {"counting": -1.0}}, "error budget is negative"),
        ({"budget": {"counting": math.nan}}, "finite"),
        ({"colour": "red"}, "Extra inputs"),
    ],
)
def test_a_quantity_that_is_not_honest_is_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        position(**changes)


def test_a_fixed_value_an_upper_limit_and_an_interval_need_no_sigma() -> None:
    assert position(sigma=None, sigma_kind="none", role="fixed").text() == "191.1"
    limit = Quantity(name="species.fraction", unit="1", upper_limit=0.0173, limit_confidence=0.95)
    assert limit.text() == "< 0.018 (95 %)"
    onset = Quantity(name="species.onset_time", unit="s", low=10, high=20, confidence=0.95, role="derived")
    assert onset.text() == "10 to 20 (95 %)"


def test_a_value_with_an_upper_limit_shows_both() -> None:
    small = Quantity(
        name="species.fraction",
        value=0.004,
        sigma=0.007,
        sigma_kind="covariance",
        unit="1",
        upper_limit=0.018,
        limit_confidence=0.95,
    )
    assert small.text() == "0.004(7), < 0.018 (95 %)"


def test_a_name_outside_the_vocabulary_begins_with_x_and_still_needs_a_known_unit() -> None:
    assert position(name="x.mylab.tilt").name == "x.mylab.tilt"
    with pytest.raises(ValidationError, match="does not fit"):
        position(name="x.mylab.tilt", unit="furlong")


def test_numpy_numbers_become_plain_floats() -> None:
    quantity = position(value=np.float64(191.1), sigma=np.float64(0.03))
    assert type(quantity.value) is float
    assert json.loads(record(quantities=(quantity,)).to_json())["quantities"][0]["value"] == 191.1


def test_nothing_in_a_record_can_be_reassigned() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        record().technique = "other"  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        position().value = 0.0  # type: ignore[misc]


def test_a_competing_assignment_has_an_ordered_range() -> None:
    with pytest.raises(ValidationError, match="range of 'B-F'"):
        Assignment(species="B-F", line="B 1s", low_eV=194, high_eV=193, source="somebody")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"status": "failed"}, "needs a problem"),
        ({"problem": Problem(kind="fit", message="no")}, "has the status"),
        ({"quantities": (position(), position())}, "given twice"),
        ({"recipe": {"a": math.nan}}, "nan|finite"),
        ({"recipe": {"a": {"b": [1, math.inf]}}}, "inf"),
        ({"record_id": "short"}, "pattern"),
        ({"created": "yesterday"}, "isoformat"),
        ({"alternatives": (Alternative(name="a"), Alternative(name="b"))}, "exactly one"),
        ({"quality": {"flags": ("at bound",)}}, "not of the form"),
        ({"quality": {"chi2": math.nan}}, "finite"),
        ({"state": {"sample": ""}}, "at least 1"),
        ({"schema_version": 2}, "1"),
    ],
)
def test_a_record_that_contradicts_itself_is_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        record(**changes)


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", "C:/x", "a\\b", ""])
def test_an_input_path_cannot_leave_its_folder(path: str) -> None:
    with pytest.raises(ValidationError, match="stays inside"):
        InputFile(path=path, sha256=SHA, size=1, reader="toy", reader_version="1")


def test_a_record_survives_its_file() -> None:
    before = record(
        quality=FitQuality(chi2=1.0, flags=("AT_BOUND:fwhm", "RESIDUAL_STRUCTURE")),
        alternatives=(Alternative(name="one", bic=3.0, delta_bic=0.0, chosen=True), Alternative(name="two", bic=5.0)),
        recipe={"region": "B 1s", "list": [1, 2.5, None, True]},
    )
    assert ResultRecord.model_validate_json(before.to_json()) == before


def test_get_finds_a_quantity_by_name_and_component() -> None:
    assert record().get("peak.position", "TM-O-B").value == 192.0
    with pytest.raises(KeyError, match="B-F"):
        record().get("peak.position", "B-F")


def test_the_record_id_depends_on_what_was_done_and_on_nothing_else() -> None:
    arguments: dict[str, Any] = {
        "technique": "xps",
        "method": "fit",
        "method_version": "1",
        "inputs": [(SHA, "B 1s")],
        "recipe": {"a": 1.0, "b": [1, 2]},
    }
    reference = make_record_id(**arguments)
    assert make_record_id(**arguments | {"recipe": {"b": (1, 2), "a": 1.0}}) == reference
    for changes in (
        {"technique": "xas"},
        {"method": "fit2"},
        {"method_version": "2"},
        {"inputs": [(SHA, "C 1s")]},
        {"inputs": [("cd" * 32, "B 1s")]},
        {"inputs": [(SHA, "B 1s"), (SHA, "B 1s")]},
        {"recipe": {"a": 1.5, "b": [1, 2]}},
        {"recipe": {"a": 1.0, "b": [2, 1]}},
    ):
        assert make_record_id(**arguments | changes) != reference, changes


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(JSON_VALUES, st.integers())
def test_canonical_json_ignores_the_order_of_keys_and_reads_back_equal(value: Any, seed: int) -> None:
    def shuffled(item: Any) -> Any:
        if isinstance(item, dict):
            keys = list(item)
            random.Random(seed).shuffle(keys)
            return {key: shuffled(item[key]) for key in keys}
        return [shuffled(entry) for entry in item] if isinstance(item, list) else item

    text = canonical_json(value)
    assert canonical_json(shuffled(value)) == text
    assert json.loads(text) == value


def test_canonical_json_has_one_text_for_zero_and_refuses_what_json_cannot_hold() -> None:
    assert canonical_json({"a": -0.0, "b": (1,)}) == '{"a":0.0,"b":[1]}'
    with pytest.raises(DataError, match=r"\$\.a\[1\] is nan"):
        canonical_json({"a": [1, math.nan]})
    with pytest.raises(DataError, match="not a string"):
        canonical_json({1: "a"})
    with pytest.raises(DataError, match="set"):
        canonical_json({"a": {1}})


def test_a_failed_record_keeps_the_error_and_two_missing_files_are_two_records() -> None:
    common: dict[str, Any] = {
        "technique": "xps",
        "method": "fit",
        "method_version": "1",
        "state": SampleState(sample="LRO"),
    }
    first = failed_record(ReaderError("is empty", source="a.vms", hint="measure again"), **common)
    assert first.status == "failed"
    assert first.problem == Problem(kind="reader", message="is empty", source="a.vms", hint="measure again")
    second = failed_record(ReaderError("is empty", source="b.vms"), **common)
    assert first.record_id != second.record_id
    unforeseen = failed_record(ZeroDivisionError("division by zero\nmore"), **common)
    assert unforeseen.problem is not None
    assert unforeseen.problem.kind == "internal"
    assert unforeseen.problem.message == "ZeroDivisionError: division by zero"
