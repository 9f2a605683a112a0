"""The frame of a series in records, tables and their order."""

from __future__ import annotations

from layerscope.records import Quantity, ResultRecord, SampleState
from layerscope.runs.summary import sorted_records, table
from layerscope.runs.table import table_frame


def record(frame: int, voltage: float) -> ResultRecord:
    return ResultRecord(
        record_id=f"{frame:064x}",
        technique="xrd",
        method="xrd_peaks.frame",
        method_version="1",
        state=SampleState(sample="LCO", frame=frame, voltage_V=voltage),
        quantities=(Quantity(name="phase.fraction", value=frame / 10, sigma=0.01, sigma_kind="covariance", unit="1"),),
    )


def test_records_of_a_series_follow_the_frames_and_not_the_voltage() -> None:
    records = [record(10, 4.2), record(2, 4.6), record(9, 4.3)]
    assert [r.state.frame for r in sorted_records(records)] == [2, 9, 10]
    assert list(table_frame(records)["frame"]) == [2, 9, 10]


def test_a_table_by_frame_shows_frame_and_voltage() -> None:
    made = table([record(10, 4.2), record(2, 4.6)], ("frame", "voltage_V"), ("phase.fraction",), title="fractions")
    assert made.columns[:2] == ("frame", "voltage / V")
    assert [row[:2] for row in made.rows] == [("2", "4.6"), ("10", "4.2")]
