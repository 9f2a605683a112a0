"""The grammar of ISO 14976: header and blocks, line by line, with the block and line in every error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from layerscope.measured.text import numbers

from ..dataset import FloatArray

__all__ = ["Block", "Header", "LineCursor", "VamasSyntaxError", "read_block", "read_header"]

_MODES = ("MAP", "MAPDP", "MAPSV", "MAPSVDP", "NORM", "SDP", "SDPSV", "SEM", "NOEXP")
_SCAN_MODES = ("REGULAR", "IRREGULAR", "MAPPING")
_ION_MODES = ("MAPDP", "MAPSVDP", "SDP", "SDPSV")
_ION_TECHNIQUES = ("FABMS", "FABMS ENERGY SPEC", "ISS", "SIMS", "SIMS ENERGY SPEC", "SNMS", "SNMS ENERGY SPEC", "ION")
_ELECTRON_TECHNIQUES = ("AES DIFF", "AES DIR", "EDX", "ELS", "UPS", "XPS", "XRF")
_ALL_PARAMETERS = frozenset(range(1, 41))


class VamasSyntaxError(Exception):
    """The text does not follow the standard; the reader turns it into a ReaderError that names the file."""


class LineCursor:
    """Reads values line by line and knows where it is.

    Parameters
    ----------
    lines : list of str
        All lines of the file.
    """

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._next = 0
        self.context = ""

    @property
    def line_number(self) -> int:
        """Number of the line read last, from 1."""
        return self._next

    def _where(self, what: str) -> str:
        return f"{self.context}: {what}" if self.context else what

    def text(self, what: str) -> str:
        """Return the next line without surrounding blanks."""
        if self._next >= len(self._lines):
            raise VamasSyntaxError(self._where(f"the file ends where the {what} should stand"))
        self._next += 1
        return self._lines[self._next - 1].strip()

    def texts(self, count: int, what: str) -> tuple[str, ...]:
        """Return the next `count` lines."""
        self.reserve(count, what)
        return tuple(self.text(what) for _ in range(count))

    def integer(self, what: str, *, minimum: int | None = None) -> int:
        """Return the next line as a whole number; ``2.0`` counts as one."""
        value = self.number(what)
        if not np.isfinite(value) or value != int(value):
            raise VamasSyntaxError(self._where(f"the {what} in line {self._next} is {value!r}, not a whole number"))
        if minimum is not None and value < minimum:
            raise VamasSyntaxError(self._where(f"the {what} in line {self._next} is {int(value)}"))
        return int(value)

    def number(self, what: str) -> float:
        """Return the next line as a number."""
        text = self.text(what)
        try:
            return float(text)
        except ValueError:
            raise VamasSyntaxError(
                self._where(f"the {what} in line {self._next} is {text[:40]!r}, not a number")
            ) from None

    def pairs(self, count: int, what: str) -> tuple[tuple[str, str], ...]:
        """Return `count` pairs of label and unit."""
        self.reserve(2 * count, what)
        return tuple((self.text(f"label of {what}"), self.text(f"unit of {what}")) for _ in range(count))

    def values(self, count: int, what: str) -> FloatArray:
        """Return the next `count` lines as numbers, shape (count,)."""
        self.reserve(count, what)
        chunk = self._lines[self._next : self._next + count]
        try:
            array = numbers(chunk)
        except ValueError as error:
            raise VamasSyntaxError(self._where(f"{what}, from line {self._next + 1}: {error}")) from None
        self._next += count
        return array

    def reserve(self, count: int, what: str) -> None:
        """Refuse a declared number of lines that the file cannot hold, before anything is allocated."""
        left = len(self._lines) - self._next
        if count > left:
            raise VamasSyntaxError(
                self._where(f"{what}: {count} lines are declared, but the file ends after {left} more")
            )

    def rest(self) -> Iterator[str]:
        """Yield the lines that are left."""
        while self._next < len(self._lines):
            self._next += 1
            yield self._lines[self._next - 1]


@dataclass(frozen=True)
class Header:
    """The part before the blocks, in the terms of the standard."""

    institution: str
    instrument: str
    operator: str
    experiment: str
    comments: tuple[str, ...]
    mode: str
    scan_mode: str
    variables: tuple[tuple[str, str], ...]
    included: frozenset[int]
    manual_items: int
    future_block_entries: int
    block_count: int


@dataclass(frozen=True)
class Block:
    """One block; what it does not repeat is taken over from the first block."""

    label: str = ""
    sample: str = ""
    comments: tuple[str, ...] = ()
    date_parts: tuple[str, ...] = ("", "", "", "", "", "")
    technique: str = ""
    variable_values: tuple[float, ...] = ()
    source: str = ""
    source_energy: float = np.nan
    analyser_mode: str = ""
    pass_energy: float = np.nan
    work_function: float = np.nan
    take_off_angle: float = np.nan
    species: str = ""
    transition: str = ""
    abscissa: tuple[str, str] = ("", "")
    start: float = np.nan
    increment: float = np.nan
    variables: tuple[tuple[str, str], ...] = ()
    signal_mode: str = ""
    collection_time: float = np.nan
    scans: int = 0
    additional: tuple[tuple[str, str, float], ...] = ()
    ordinates: FloatArray = field(default_factory=lambda: np.empty((0, 0)))

    @property
    def date(self) -> str:
        """ISO date and time, or nothing if the file gives no date."""
        try:
            parts = [int(float(part)) for part in self.date_parts]
        except (ValueError, OverflowError):
            return ""
        if parts[0] <= 0:
            return ""
        return f"{parts[0]:04d}-{parts[1]:02d}-{parts[2]:02d}T{parts[3]:02d}:{parts[4]:02d}:{parts[5]:02d}"


def read_header(cursor: LineCursor) -> Header:
    """Read everything before the first block.

    Raises
    ------
    VamasSyntaxError
        If it does not follow the standard.
    """
    cursor.text("format identifier")
    institution, instrument = cursor.text("institution"), cursor.text("instrument")
    operator, experiment = cursor.text("operator"), cursor.text("experiment")
    comments = cursor.texts(cursor.integer("number of comment lines", minimum=0), "comment")
    mode = _choice(cursor, "experiment mode", _MODES)
    scan_mode = _choice(cursor, "scan mode", _SCAN_MODES)
    if mode == "NOEXP" or mode == "SEM" or scan_mode == "MAPPING":
        raise VamasSyntaxError(f"the file holds no spectra (experiment mode {mode}, scan mode {scan_mode})")
    if mode in ("MAP", "MAPDP", "NORM", "SDP"):
        cursor.integer("number of spectral regions")
    if mode in ("MAP", "MAPDP"):
        for what in ("number of positions", "number of x coordinates", "number of y coordinates"):
            cursor.integer(what)
    variables = cursor.pairs(cursor.integer("number of experimental variables", minimum=0), "experimental variable")
    entries = cursor.integer("number of entries in the inclusion or exclusion list")
    cursor.reserve(abs(entries), "inclusion or exclusion list")
    listed = frozenset(cursor.integer("entry of the inclusion or exclusion list") for _ in range(abs(entries)))
    manual = cursor.integer("number of manually entered items", minimum=0)
    cursor.texts(manual, "manually entered item")
    future_experiment = cursor.integer("number of future upgrade experiment entries", minimum=0)
    future_block = cursor.integer("number of future upgrade block entries", minimum=0)
    cursor.texts(future_experiment, "future upgrade experiment entry")
    return Header(
        institution=institution,
        instrument=instrument,
        operator=operator,
        experiment=experiment,
        comments=comments,
        mode=mode,
        scan_mode=scan_mode,
        variables=variables,
        included=listed if entries > 0 else _ALL_PARAMETERS - listed,
        manual_items=manual,
        future_block_entries=future_block,
        block_count=cursor.integer("number of blocks", minimum=1),
    )


def _choice(cursor: LineCursor, what: str, choices: tuple[str, ...]) -> str:
    text = cursor.text(what)
    if text.upper() not in choices:
        raise VamasSyntaxError(f"the {what} in line {cursor.line_number} is {text[:40]!r}, not one of the standard's")
    return text.upper()


def read_block(cursor: LineCursor, header: Header, first: Block | None, index: int) -> Block:
    """Read one block.

    Parameters
    ----------
    cursor : LineCursor
        Stands at the block identifier.
    header : Header
        Of the file.
    first : Block or None
        The first block, which gives what this one leaves out; None for the first block, which is always complete.
    index : int
        Number of the block from 0, for error messages.

    Returns
    -------
    Block
        Complete.

    Raises
    ------
    VamasSyntaxError
        If it does not follow the standard or the file ends.
    """
    included = _ALL_PARAMETERS if first is None else header.included
    label = cursor.text("block identifier")
    cursor.context += f" ({label!r})"
    block = replace(first or Block(), label=label, sample=cursor.text("sample identifier"))
    for parameters, step in _STEPS:
        wanted = [number in included for number in parameters]
        if any(wanted):
            block = step(cursor, header, block, tuple(wanted))
    cursor.texts(header.future_block_entries, "future upgrade block entry")
    return replace(block, ordinates=_ordinates(cursor, block))


Flags = tuple[bool, ...]
Step = Callable[[LineCursor, Header, Block, Flags], Block]


def _skip(cursor: LineCursor, count: int, what: str) -> None:
    for _ in range(count):
        cursor.text(what)


def _date(cursor: LineCursor, header: Header, block: Block, wanted: Flags) -> Block:
    parts = list(block.date_parts)
    for position, (name, flag) in enumerate(
        zip(("year", "month", "day", "hours", "minutes", "seconds", "offset from GMT"), wanted, strict=True)
    ):
        if flag:
            text = cursor.text(name)
            if position < len(parts):
                parts[position] = text
    return replace(block, date_parts=tuple(parts))


def _comment(cursor: LineCursor, header: Header, block: Block, wanted: Flags) -> Block:
    count = cursor.integer("number of lines in the block comment", minimum=0)
    return replace(block, comments=cursor.texts(count, "block comment"))


def _technique(cursor: LineCursor, header: Header, block: Block, wanted: Flags) -> Block:
    return replace(block, technique=cursor.text("technique"))


def _position(cursor: LineCursor, header: Header, block: Block, wanted: Flags) -> Block:
    if header.mode in ("MAP", "MAPDP"):
        _skip(cursor, 2, "map position")
    return block


def _variable_values(cursor: LineCursor, header: Header, block: Block, wanted: Flags) -> Block:
    values = tuple(cursor.number(f"experimental variable {label!r}") for label, _ in header.variables)
    return replace(block, variable_values=values)


def _source_label(cursor: LineCursor, header: Header, block: Block, wanted: Flags) -> Block:
    return replace(block, source=cursor.text("label of the source"))


def _ion(cursor: LineCursor, header: Header, block: Block, wanted: Flags) -> Block:
    if header.mode in _ION_MODES or block.technique.upper() in _ION_TECHNIQUES:
        _skip(cursor, 3, "sputtering ion")
    return block


def _source(cursor: LineCursor, header: Header, block: Block, wanted: Flags) -> Block:
    energy, strength, beam, field_of_view, linescan, polar, azimuth = wanted
    if energy:
        block = replace(block, source_energy=cursor.number("energy of the source"))
    _skip(cursor, int(strength) + 2 * int(beam), "strength or width of the source")
    if field_of_view and header.mode in ("MAP", "MAPDP", "MAPSV", "MAPSVDP", "SEM"):
        _skip(cursor, 2, "field of view")
    if linescan and header.mode in ("MAPSV", "MAPSVDP", "SEM"):
        _skip(cursor, 6, "line scan coordinates")
    _skip(cursor, int(polar) + int(azimuth), "angle of the source")
    return block


def _analyser(cursor: LineCursor, header: Header, block: Block, wanted: Flags) -> Block:
    mode, pass_energy, differential, magnification, work_function, bias, width, take_off = wanted
    if mode:
        block = replace(block, analyser_mode=cursor.text("analyser mode"))
    if pass_energy:
        block = replace(block, pass_energy=cursor.number("pass energy"))
    if differential and block.technique.upper() == "AES DIFF":
        _skip(cursor, 1, "differential width")
    _skip(cursor, int(magnification), "magnification")
    if work_function:
        block = replace(block, work_function=cursor.number("work function"))
    _skip(cursor, int(bias) + 2 * int(width), "target bias or analysis width")
    if take_off:
        block = replace(block, take_off_angle=cursor.number("take-off angle"))
        _skip(cursor, 1, "take-off azimuth")
    return block


def _species(cursor: LineCursor, header: Header, block: Block, wanted: Flags) -> Block:
    species, transition = wanted
    if species:
        block = replace(block, species=cursor.text("species label"))
    if transition:
        block = replace(block, transition=cursor.text("transition label"))
        _skip(cursor, 1, "charge of the detected particle")
    return block


def _abscissa(cursor: LineCursor, header: Header, block: Block, wanted: Flags) -> Block:
    if header.scan_mode != "REGULAR":
        return block
    label, unit = cursor.text("abscissa label"), cursor.text("abscissa unit")
    start, increment = cursor.number("abscissa start"), cursor.number("abscissa increment")
    if not (np.isfinite(start) and np.isfinite(increment)) or increment == 0:
        raise VamasSyntaxError(f"{cursor.context}: the abscissa starts at {start!r} with steps of {increment!r}")
    return replace(block, abscissa=(label, unit), start=start, increment=increment)


def _corresponding(cursor: LineCursor, header: Header, block: Block, wanted: Flags) -> Block:
    count = cursor.integer("number of corresponding variables", minimum=1)
    pairs = cursor.pairs(count, "corresponding variable")
    if header.scan_mode == "IRREGULAR":
        block = replace(block, abscissa=pairs[0])
    return replace(block, variables=pairs)


def _signal(cursor: LineCursor, header: Header, block: Block, wanted: Flags) -> Block:
    mode, time, scans, correction = wanted
    if mode:
        block = replace(block, signal_mode=cursor.text("signal mode"))
    if time:
        block = replace(block, collection_time=cursor.number("signal collection time"))
    if scans:
        block = replace(block, scans=cursor.integer("number of scans"))
    _skip(cursor, int(correction), "signal time correction")
    return block


def _sputtering(cursor: LineCursor, header: Header, block: Block, wanted: Flags) -> Block:
    if header.mode in _ION_MODES and block.technique.upper() in _ELECTRON_TECHNIQUES:
        _skip(cursor, 7, "sputtering source")
    return block


def _tilt(cursor: LineCursor, header: Header, block: Block, wanted: Flags) -> Block:
    tilt, rotation = wanted
    _skip(cursor, 2 * int(tilt) + int(rotation), "sample tilt or rotation")
    return block


def _additional(cursor: LineCursor, header: Header, block: Block, wanted: Flags) -> Block:
    count = cursor.integer("number of additional parameters", minimum=0)
    cursor.reserve(3 * count, "additional parameters")
    rows = tuple(
        (cursor.text("parameter label"), cursor.text("parameter unit"), cursor.number("parameter value"))
        for _ in range(count)
    )
    return replace(block, additional=rows)


_STEPS: tuple[tuple[tuple[int, ...], Step], ...] = (
    ((1, 2, 3, 4, 5, 6, 7), _date),
    ((8,), _comment),
    ((9,), _technique),
    ((10,), _position),
    ((11,), _variable_values),
    ((12,), _source_label),
    ((13,), _ion),
    ((14, 15, 16, 17, 18, 19, 20), _source),
    ((21, 22, 23, 24, 25, 26, 27, 28), _analyser),
    ((29, 30), _species),
    ((31,), _abscissa),
    ((32,), _corresponding),
    ((33, 34, 35, 36), _signal),
    ((37,), _sputtering),
    ((38, 39), _tilt),
    ((40,), _additional),
)


def _ordinates(cursor: LineCursor, block: Block) -> FloatArray:
    """Return the values, shape (corresponding variables, points)."""
    columns = len(block.variables)
    count = cursor.integer("number of ordinate values", minimum=1)
    if count % columns:
        raise VamasSyntaxError(f"{cursor.context}: {count} ordinate values do not fill {columns} columns")
    _skip(cursor, 2 * columns, "lowest and highest ordinate")
    values = cursor.values(count, "ordinate values")
    return np.ascontiguousarray(values.reshape(-1, columns).T)
