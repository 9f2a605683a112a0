"""Text: ``TOYLINE <points> <start, ISO 8601>``, then one line a point: energy in eV, counts."""

from layerscope.measured.files import RawFile
from layerscope.measured.measurement import Measurement
from layerscope.measured.text import decode, moment, numbers


class LineSpectrum(Measurement):
    """Counts along an energy."""

    axis_unit = "eV"


def sniff(raw: RawFile) -> bool:
    """Tell whether the file begins with its name."""
    return raw.data.startswith(b"TOYLINE ")


def read(raw: RawFile) -> list[LineSpectrum]:
    """Read the one spectrum of a file."""
    head, *rows = decode(raw.data).splitlines()
    _, points, start = head.split()
    table = numbers(" ".join(rows).split()).reshape(-1, 2)
    if len(table) != int(points):
        raise raw.error(f"{points} points are declared, {len(table)} are there", hint="is the file cut off?")
    return [LineSpectrum(axis=table[:, 0], intensity=table[:, 1], start_time=moment(start))]
