"""Logs of frames and records of cyclers beside measured series, and which of them belong together by their clocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from layerscope.cycler import CyclerData, FrameLog, read_cycler, read_frame_log, with_log
from layerscope.errors import LayerscopeError
from layerscope.init.files import Opened, common_start, relative_name
from layerscope.init.text import RecipeText
from layerscope.measured.archive import one_member
from layerscope.measured.delimited import parse_table
from layerscope.measured.files import load

__all__ = ["Beside", "Place"]

T = TypeVar("T")

CLOCK_SIGMA_S = 60.0
"""Two clocks that nobody compared differ by a minute."""
LEAST_FRAMES = 3
TABLE_COLUMNS = ("time_s", "voltage_V", "capacity_mAh_g")
_NO_RECORD = (".xml", ".pdf", ".png", ".jpg", ".cif", ".toml", ".md", ".py", ".json", ".instprm", ".prm")


@dataclass(frozen=True)
class Place:
    """A file, or a member of an archive, as a recipe names it."""

    path: Path
    name: str
    member: str | None = None

    @property
    def shown(self) -> str:
        """Name for people, and for how alike two names are."""
        return (self.member or self.name).rsplit("/", 1)[-1]

    def named(self, key: str, member_key: str) -> dict[str, Any]:
        """Return the keys of a recipe that mean it."""
        return {key: self.name} | ({} if self.member is None else {member_key: self.member})


@dataclass(frozen=True)
class Beside:
    """What lies beside the measurements: files that hold none of them.

    Attributes
    ----------
    folder : Path
        That the recipe names files from.
    paths : tuple of Path
    used : set of Path
        Those that a recipe has named; the others are told.
    """

    folder: Path
    paths: tuple[Path, ...]
    used: set[Path] = field(default_factory=set)

    def write(self, text: RecipeText, group: Sequence[Opened]) -> None:
        """Add to the series that was begun last when its frames were measured, and the record of the cell.

        Parameters
        ----------
        text : RecipeText
        group : sequence of Opened
            The files of the series.
        """
        frames = [m for one in group for m in one.measurements]
        if len(frames) < LEAST_FRAMES:
            return
        table = self._table(group, len(frames)) if not any(one.alike for one in group) else None
        if table is not None:
            place, columns = table
            self.used.add(place.path)
            text.key("frames", {**place.named("table", "member"), **{c: c for c in columns}}, "one row a frame")
            if "voltage_V" in columns:
                return
        starts: list[datetime | None] = [m.start_time for m in frames]
        durations = [m.duration_s for m in frames]
        if None in starts and (log := self._log(group, frames)) is not None:
            place, times = log
            self.used.add(place.path)
            starts, durations = [a for a, _ in times], [(b - a).total_seconds() for a, b in times]
            text.key("frames", place.named("log", "log_member"), "start and end of each frame")
        known = [start for start in starts if start is not None]
        if len(known) < len(starts):
            text.remark("The files do not say when they were measured: frames are numbered. Say it, for instance:")
            text.off("frames", {"start": datetime(2026, 1, 31, 12), "period_s": 600.0}, "first frame, start to start")
            return
        self._cycler(text, group, known, durations)

    def _cycler(
        self, text: RecipeText, group: Sequence[Opened], starts: Sequence[datetime], durations: Sequence[float | None]
    ) -> None:
        fitting = [(place, cell) for place, cell in self._cyclers(group) if _overlap(cell, starts)]
        if not fitting:
            return
        place, cell = max(fitting, key=lambda item: _alike(item[0].shown, group[0].path.name))
        self.used.add(place.path)
        text.table("[series.cycler]")
        for key, value in place.named("file", "member").items():
            text.key(key, value)
        first = starts[0]
        if cell.start is None:
            text.key("start", first.replace(microsecond=0), "assumed: the record has no date and began with frame 0")
        elif (cell.start.tzinfo is None) != (first.tzinfo is None):
            aware = first if cell.start.tzinfo is None else cell.start
            key = "zone" if cell.start.tzinfo is None else "frames_zone"
            offset = aware.strftime("%z")
            text.key(key, f"{offset[:3]}:{offset[3:5]}", "assumed: both clocks show the time of one zone")
        text.key("clock_sigma_s", CLOCK_SIGMA_S, "assumed: nobody compared the clocks; clock_offset_s if you did")
        if None in durations:
            step = (starts[-1] - first).total_seconds() / max(len(starts) - 1, 1)
            text.key("frame_duration_s", max(step, 1.0), "assumed: as long as from one frame to the next")

    def _log(
        self, group: Sequence[Opened], frames: Sequence[Any]
    ) -> tuple[Place, list[tuple[datetime, datetime]]] | None:
        found = []
        for place, log in _read(self._places(group), _frame_log):
            try:
                timed = with_log(frames, log)
            except LayerscopeError:
                continue
            times = [(m.start_time, m.end_time) for m in timed]
            found.append((place, times))
        return max(found, key=lambda item: _alike(item[0].shown, group[0].path.name), default=None)

    def _table(self, group: Sequence[Opened], frames: int) -> tuple[Place, list[str]] | None:
        for place, (names, rows) in _read(self._places(group), _table_of):
            columns = [name for name in TABLE_COLUMNS if name in names]
            if columns and rows == frames:
                return place, columns
        return None

    def _cyclers(self, group: Sequence[Opened]) -> list[tuple[Place, CyclerData]]:
        own = [*self._outside, *_read(_members(group), _record)]
        return [(place, cell) for place, cell in own if cell.time_s.size > LEAST_FRAMES]

    @cached_property
    def _outside(self) -> list[tuple[Place, CyclerData]]:
        return list(_read(self._files(), _record))

    def _files(self) -> list[Place]:
        readable = (path for path in self.paths if path.suffix.lower() not in _NO_RECORD)
        return [Place(path, relative_name(path, self.folder)) for path in readable]

    def _places(self, group: Sequence[Opened]) -> list[Place]:
        return [*self._files(), *_members(group)]


def _members(group: Sequence[Opened]) -> list[Place]:
    """Return what an archive of frames holds beside them."""
    return [
        Place(one.path, one.name, member)
        for one in group
        if one.path.is_file()
        for member in one.recording.skipped
        if not member.lower().endswith(_NO_RECORD)
    ]


def _read(places: Sequence[Place], read: Callable[[Place], T]) -> Iterator[tuple[Place, T]]:
    """Yield what each place holds, if it is of that kind."""
    for place in places:
        try:
            yield place, read(place)
        except LayerscopeError:
            continue


def _record(place: Place) -> CyclerData:
    cell: CyclerData = read_cycler(place.path, member=place.member).measurements[0]
    return cell


def _frame_log(place: Place) -> FrameLog:
    return read_frame_log(place.path, member=place.member)


def _table_of(place: Place) -> tuple[tuple[str, ...], int]:
    table = parse_table(one_member(load(place.path), place.member), None, cells="any", least=1)
    return tuple(table.names), len(table.rows)


def _overlap(cell: CyclerData, starts: Sequence[datetime]) -> bool:
    """Tell whether a record lies where the frames do; one without a date may."""
    if cell.start is None:
        return True
    begin = cell.start.replace(tzinfo=None)
    end = begin + timedelta(seconds=float(cell.time_s[-1]))
    return any(begin <= start.replace(tzinfo=None) <= end for start in starts)


def _alike(name: str, other: str) -> int:
    """Return how many letters two names have in common at their beginning."""
    return len(common_start([name.lower(), other.lower()]))
