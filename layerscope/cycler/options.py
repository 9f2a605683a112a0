"""What a recipe says of a cycler and its clock, and of the times of frames that do not say when they were measured."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, model_validator

from layerscope.measured.delimited import Column, ColumnsTable
from layerscope.options import RecipeModel, RecipePath

__all__ = ["CyclerColumnsTable", "CyclerTable", "FramesTable", "zone_of"]


def zone_of(text: str) -> tzinfo:
    """Return the time zone of ``+01:00`` or ``Europe/Berlin``.

    Raises
    ------
    ValueError
        If there is none of this name.
    """
    if text[:1] in "+-":
        return datetime.strptime(text, "%z").tzinfo or UTC
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, OSError) as error:
        raise ValueError(f"{text!r} is no time zone such as '+01:00' or 'Europe/Berlin'") from error


def _known_zone(text: str) -> str:
    zone_of(text)
    return text


class CyclerColumnsTable(ColumnsTable):
    """What the columns of a cycler's text file mean, and how they are written."""

    time: Column = Field(default=0, description="column: number from 0, or name in the header")
    voltage: Column = Field(default=1, description="column of the cell voltage")
    current: Column | None = Field(default=None, description="column of the current")
    capacity: Column | None = Field(default=None, description="column of the capacity")
    cycle: Column | None = Field(default=None, description="column of the cycle's number")
    step: Column | None = Field(default=None, description="column of the step's number")
    time_unit: Literal["auto", "s", "ms", "min", "h", "hms", "datetime"] = Field(
        default="auto", description="hms: hours, minutes, seconds since the start; datetime: with the date"
    )
    voltage_unit: Literal["V", "mV"] | None = Field(
        default=None, description="what the header says if not given, else V"
    )
    current_unit: Literal["A", "mA", "uA", "A/g", "mA/g"] | None = Field(
        default=None, description="what the header says if not given, else mA"
    )
    capacity_unit: Literal["Ah", "mAh", "uAh", "Ah/g", "mAh/g"] | None = Field(
        default=None, description="what the header says if not given, else mAh"
    )
    signed: bool = Field(
        default=True,
        description="false: discharge has the same sign as charge, and the trend of the voltage tells them apart",
    )
    capacity_is_net: bool = Field(
        default=False,
        description="the column is the net charge since the first record; otherwise the current is integrated",
    )


class CyclerTable(RecipeModel):
    """Record of the cycler and how its clock stands to that of the diffractometer."""

    file: RecipePath = Field(description="the cycler's file, or an archive that holds it")
    member: str | None = Field(default=None, description="the one file in an archive, e.g. '*.ndax'")
    format: Literal["auto", "biologic", "neware", "table"] = Field(
        default="auto", description="found by the content if 'auto'"
    )
    columns: CyclerColumnsTable | None = Field(default=None, description="meaning of the columns of a text file")
    clock_offset_s: float = Field(default=0.0, description="by how much the cycler's clock is ahead")
    clock_sigma_s: Annotated[float, Field(ge=0)] = Field(description="standard error of that offset")
    start: datetime | None = Field(default=None, description="time of the first record, if the file has none")
    frame_duration_s: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="length of a frame, where the frames do not say it"
    )
    max_gap_s: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="pause of the record that is a gap; 20 median intervals, at least 120 s, if not given"
    )
    zone: Annotated[str, AfterValidator(_known_zone)] | None = Field(
        default=None,
        description="of the cycler's clock, e.g. '+01:00' or 'Europe/Berlin', where only the frames' is known",
    )
    frames_zone: Annotated[str, AfterValidator(_known_zone)] | None = Field(
        default=None, description="of the frames' clock, where only the cycler's is known"
    )
    mass_mg: Annotated[float, Field(gt=0)] | None = Field(default=None, description="active mass: mAh become mAh/g")


class FramesTable(ColumnsTable):
    """When the frames were measured and at which voltage, where their files do not say."""

    table: RecipePath | None = Field(default=None, description="CSV with a header and one row a frame, in order")
    member: str | None = Field(default=None, description="the one file in an archive, e.g. 'truth.csv'")
    time_s: str | None = Field(default=None, description="column of the time, s")
    voltage_V: str | None = Field(default=None, description="column of the voltage, V")
    capacity_mAh_g: str | None = Field(default=None, description="column of the specific capacity, mAh/g")
    log: RecipePath | None = Field(default=None, description="CSV with start and end of each frame")
    log_member: str | None = Field(default=None, description="the one file in an archive")
    log_key: str = Field(default="scan_number", description="column that numbers the frames")
    log_start: str = Field(default="start_time", description="column of the start")
    log_end: str = Field(default="end_time", description="column of the end")
    start: datetime | None = Field(default=None, description="start of the first frame, for a fixed period")
    period_s: Annotated[float, Field(gt=0)] | None = Field(default=None, description="from start to start")
    duration_s: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="length of a frame; the period if not given"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.table is not None and not (self.time_s or self.voltage_V or self.capacity_mAh_g):
            raise ValueError("a table of frames needs the name of at least one column: time_s or voltage_V")
        if (self.start is None) != (self.period_s is None):
            raise ValueError("start and period_s go together")
        if self.log is not None and self.start is not None:
            raise ValueError("times come from a log or from a period, not from both")
        return self
