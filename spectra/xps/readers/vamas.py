"""VAMAS (ISO 14976): every experiment mode that holds spectra, regular and irregular scans, partial blocks.

The format is one value a line. A block repeats only the parameters that the inclusion list names, or all but those of
the exclusion list; the rest is taken over from the first block. Lines end with CR LF or with LF: a CR of its own
belongs to the comment it stands in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from layerscope.measured.files import RawFile
from layerscope.measured.measurement import IntensityUnit
from layerscope.measured.text import decode

from ..dataset import FloatArray, Spectrum, normalise_region
from ._base import known, known_positive
from ._vamas_block import Block, Header, LineCursor, VamasSyntaxError, read_block, read_header

__all__ = ["read", "sniff"]

_MAGIC_LINE = re.compile(r"\s*VAMAS Surface Chemical Analysis Standard Data Transfer Format", re.IGNORECASE)
_TERMINATOR = "end of experiment"
_RATE = re.compile(r"counts?\s*(?:/|per)\s*s|\bcps\b|\bc/s\b", re.IGNORECASE)
_CORE_LEVEL = re.compile(r"[A-Z][a-z]? [1-7][spdf]\d?(?:/\d)?$")
_TIME_FACTORS = {"s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "min": 60.0, "minute": 60.0, "minutes": 60.0}
_LENGTH_FACTORS = {"nm": 1.0, "a": 0.1, "angstrom": 0.1, "å": 0.1, "um": 1000.0, "micrometres": 1000.0}


def sniff(raw: RawFile) -> bool:
    """Tell whether the bytes begin as a VAMAS file does."""
    return _MAGIC_LINE.match(decode(raw.data[:400])) is not None


def read(raw: RawFile) -> list[Spectrum]:
    """Read a VAMAS file, one spectrum a block; a block that is no spectrum over an energy is refused."""
    if not sniff(raw):
        raise raw.error("the first line is not that of a VAMAS file")
    first: VamasSyntaxError | None = None
    for lines, closed in _line_readings(raw.data):
        try:
            header, blocks = _parse(LineCursor(lines), last_line_closed=closed)
        except VamasSyntaxError as error:
            first = first or error
            continue
        return _spectra(raw, header, blocks)
    raise raw.error(str(first))


def _line_readings(data: bytes) -> Iterator[tuple[list[str], bool]]:
    """Yield the ways in which the bytes can be cut into lines, the likeliest first."""
    text = decode(data)
    closed = text.endswith(("\n", "\r"))
    head = text[: text.find("\n") + 1]
    if head.endswith("\r\n"):
        yield text.split("\r\n"), closed
        if text.count("\n") > text.count("\r\n"):  # some lines were added with LF alone
            yield re.split(r"\r?\n", text), closed
    elif head:
        yield text.split("\n"), closed
    else:
        yield text.split("\r"), closed


def _parse(cursor: LineCursor, *, last_line_closed: bool) -> tuple[Header, list[Block]]:
    header = read_header(cursor)
    cursor.reserve(header.block_count, "number of blocks")
    blocks: list[Block] = []
    for index in range(header.block_count):
        cursor.context = f"block {index + 1} of {header.block_count}"
        block = read_block(cursor, header, blocks[0] if blocks else None, index)
        cursor.context = ""
        blocks.append(block)
    _check_end(cursor, header, last_line_closed=last_line_closed)
    return header, blocks


def _check_end(cursor: LineCursor, header: Header, *, last_line_closed: bool) -> None:
    rest = next((line.strip() for line in cursor.rest() if line.strip()), None)
    if rest is None:
        # Without the closing line nothing shows whether the last number is whole, unless its line is closed.
        if not last_line_closed:
            raise VamasSyntaxError(f"the file ends within its last value, in block {header.block_count}")
    elif not _TERMINATOR.startswith(rest.lower()) and not rest.lower().startswith(_TERMINATOR):
        raise VamasSyntaxError(
            f"line {cursor.line_number} holds {rest[:40]!r} after the {header.block_count} declared blocks"
        )


def _spectra(raw: RawFile, header: Header, blocks: list[Block]) -> list[Spectrum]:
    spectra: list[Spectrum] = []
    for index, block in enumerate(blocks):
        try:
            spectra.append(_spectrum(header, block, index))
        except VamasSyntaxError as error:
            raise raw.error(f"block {index + 1} ({block.label!r}): {error}") from error
    return spectra


def _region(block: Block) -> tuple[str, str]:
    """Return the normalised name and the label in the file.

    Some programs write the orbital into the species label, some into the block identifier, and some write the name of
    a column there.
    """
    joined = f"{block.species} {block.transition}".strip()
    for label in (block.label, joined, block.species):
        name = normalise_region(label)
        if name == "Survey" or _CORE_LEVEL.match(name):
            return name, label
    label = joined if _RATE.search(block.label) and joined else block.label or joined
    return normalise_region(label) or "unnamed", label


def _spectrum(header: Header, block: Block, index: int) -> Spectrum:
    region, label = _region(block)
    abscissa, values = _abscissa(header, block)
    energy = _binding_energy(block, abscissa)
    counts, transmission = _columns(block, values)
    etch_time, depth, angle = _variables(header, block)
    work_function = known(block.work_function)
    return Spectrum(
        region=region,
        region_label=label,
        axis=energy,
        intensity=counts,
        intensity_unit=_unit(block),
        dwell_time_s=known_positive(block.collection_time),
        scans=block.scans if block.scans > 0 else None,
        transmission=transmission,
        pass_energy_eV=known_positive(block.pass_energy),
        excitation_energy_eV=known_positive(block.source_energy),
        work_function_eV=None if work_function is None else abs(work_function) or None,
        etch_time_s=etch_time,
        depth_nm=depth,
        angle_deg=angle if angle is not None else known(block.take_off_angle),
        sample=block.sample,
        block=index,
        comments=block.comments,
        metadata=_metadata(header, block),
    )


def _abscissa(header: Header, block: Block) -> tuple[FloatArray, FloatArray]:
    """Return the file's axis, shape (n,), and the columns measured on it, shape (columns, n)."""
    if header.scan_mode == "REGULAR":
        points = block.ordinates.shape[1]
        return block.start + block.increment * np.arange(points, dtype=np.float64), block.ordinates
    if len(block.variables) < 2:
        raise VamasSyntaxError("an irregular scan needs an abscissa and an ordinate")
    return block.ordinates[0], block.ordinates[1:]


def _binding_energy(block: Block, abscissa: FloatArray) -> FloatArray:
    label, unit = block.abscissa
    if unit.lower() not in ("ev", "kev", "d", ""):
        raise VamasSyntaxError(f"the abscissa {label!r} is in {unit!r}, not in eV")
    energy = abscissa * 1000.0 if unit.lower() == "kev" else abscissa
    name = label.lower()
    if "binding" in name or re.fullmatch(r"b\.?e\.?", name):
        return np.array(energy)
    if "kinetic" not in name and not re.fullmatch(r"k\.?e\.?", name):
        raise VamasSyntaxError(f"the abscissa {label!r} is neither a kinetic nor a binding energy")
    photon = known_positive(block.source_energy)
    if photon is None:
        raise VamasSyntaxError("the abscissa is a kinetic energy, and the energy of the source is not given")
    return np.asarray(photon - energy)


def _columns(block: Block, values: FloatArray) -> tuple[FloatArray, FloatArray | None]:
    """Return counts and transmission, each shape (n,)."""
    labels = [label.lower() for label, _ in block.variables[-values.shape[0] :]]
    transmission = next((i for i, label in enumerate(labels) if "transmission" in label), None)
    counts = next((i for i, label in enumerate(labels) if i != transmission), None)
    if counts is None:
        raise VamasSyntaxError("there is no column with counts")
    if transmission is None or not (np.isfinite(values[transmission]).all() and (values[transmission] > 0).all()):
        return values[counts], None  # some programs write a column of zeros when they know none
    return values[counts], values[transmission]


def _unit(block: Block) -> IntensityUnit:
    candidates = [block.label, *(text for pair in block.variables for text in pair)]
    return "counts/s" if any(_RATE.search(text) for text in candidates) else "counts"


def _variables(header: Header, block: Block) -> tuple[float | None, float | None, float | None]:
    """Return etch time in s, depth in nm and angle in degrees from the experimental variables, where given."""
    etch_time = depth = angle = None
    for (label, unit), value in zip(header.variables, block.variable_values, strict=True):
        name, scale, number = label.lower(), unit.lower().strip("[]() "), known(value)
        if number is None:
            continue
        bracket = re.search(r"[\[(]\s*(\w+)\s*[\])]", name)
        if bracket and scale in ("", "d", "n"):
            scale = bracket[1]
        if re.search(r"etch|sputter|mill", name) and scale in _TIME_FACTORS:
            etch_time = number * _TIME_FACTORS[scale]
        elif "depth" in name and scale in _LENGTH_FACTORS:
            depth = number * _LENGTH_FACTORS[scale]
        elif re.search(r"angle|tilt|theta", name) and re.match(r"deg|d$|°", scale):
            angle = number
    return etch_time, depth, angle


def _metadata(header: Header, block: Block) -> dict[str, str]:
    entries = {
        "institution": header.institution,
        "instrument": header.instrument,
        "operator": header.operator,
        "experiment": header.experiment,
        "experiment_mode": header.mode,
        "scan_mode": header.scan_mode,
        "comment": "\n".join(header.comments),
        "technique": block.technique,
        "source": block.source,
        "analyser_mode": block.analyser_mode,
        "date": block.date,
        "signal_mode": block.signal_mode,
    }
    for (label, _), value in zip(header.variables, block.variable_values, strict=True):
        entries[f"variable {label}"] = repr(value)
    for label, unit, value in block.additional:
        entries[f"parameter {label}"] = f"{value!r} {unit}".strip()
    return {key: text for key, text in entries.items() if text}
