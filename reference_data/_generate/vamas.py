"""Write the VAMAS transfer format (ISO 14976): experiment modes NORM and MAP, scan modes REGULAR and IRREGULAR."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from _generate.simulation import EXCITATION_ENERGY_EV, CountArray, FloatArray, Level, Measured

FORMAT_IDENTIFIER = "VAMAS Surface Chemical Analysis Standard Data Transfer Format 1988 May 4"
UNKNOWN = "1E+37"


@dataclass(frozen=True)
class VamasOptions:
    """How a file is written.

    ``abscissa`` is kinetic energy from the low end, or binding energy from the high end, as instruments scan.
    ``variables`` are label and unit of the experimental variables: the first is the etch time if there is one.
    """

    sample: str
    experiment: str
    comments: tuple[str, ...]
    mode: Literal["NORM", "MAP"] = "NORM"
    scan: Literal["REGULAR", "IRREGULAR"] = "REGULAR"
    abscissa: Literal["Kinetic Energy", "Binding Energy"] = "Kinetic Energy"
    etch_time: bool = True
    with_transmission: bool = False
    pass_energy_ev: float = 20.0
    work_function_ev: float = 4.2
    date: tuple[int, int, int] = (2025, 3, 14)


def number(value: float) -> str:
    """Write a number as short as it is exact."""
    return f"{value:.10g}"


def write_vamas(levels: Sequence[Level], options: VamasOptions) -> bytes:
    """Return the bytes of a VAMAS file: one block per region and level, CRLF line ends, ASCII."""
    blocks = [(index, level, region) for index, level in enumerate(levels) for region in level.regions]
    lines = _header(options, regions=len(levels[0].regions), blocks=len(blocks))
    for position, (index, level, region) in enumerate(blocks):
        lines += _block(options, index, level, region, position)
    lines.append("end of experiment")
    return ("\r\n".join(lines) + "\r\n").encode("ascii")


def _header(options: VamasOptions, regions: int, blocks: int) -> list[str]:
    lines = [FORMAT_IDENTIFIER, "layerscope reference data", "Simulated analyser, monochromatic Al K-alpha", "none"]
    lines += [options.experiment, str(len(options.comments)), *options.comments]
    lines += [options.mode, options.scan, str(regions)]
    if options.mode == "MAP":
        lines += ["1", "1", "1"]  # analysis positions, discrete x and y coordinates
    lines += ["1", "Etch Time", "s"] if options.etch_time else ["0"]
    return [*lines, "0", "0", "0", "0", str(blocks)]  # exclusion list, manual items, future upgrades; then blocks


def _block(options: VamasOptions, index: int, level: Level, region: Measured, position: int) -> list[str]:
    window = region.window
    minutes = 7 * position
    comments = (
        f"Sample : {options.sample}",
        f"Level {index}",
        "Mode : XPS - monochromatic",
        f"{window.region} : {number(region.binding_energy[-1])} - {number(region.binding_energy[0])} eV binding energy",
        f"Dwell time : {number(1000 * window.dwell_s)}ms, sweeps {window.scans}",
    )
    element, transition = window.region.split()
    when = (*options.date, 8 + minutes // 60, minutes % 60, 0, 0)
    lines = [window.region, options.sample, *(str(value) for value in when), str(len(comments)), *comments, "XPS"]
    if options.mode == "MAP":
        lines += ["0", "0"]
    if options.etch_time:
        lines.append(number(level.etch_time_s or 0.0))
    lines += ["Al", number(EXCITATION_ENERGY_EV), "225", UNKNOWN, UNKNOWN]
    if options.mode == "MAP":
        lines += ["300", "700"]  # field of view, micrometres
    lines += ["54.7", "0", "FAT", number(options.pass_energy_ev), "1", number(options.work_function_ev), "0"]
    lines += ["300", "700", "0", "0", element, transition, "-1"]
    lines += _columns(options, region)
    return lines


def _columns(options: VamasOptions, region: Measured) -> list[str]:
    """Abscissa, corresponding variables, counting times and the ordinate values, in the order of the scan."""
    window = region.window
    kinetic = options.abscissa == "Kinetic Energy"
    # Both ways of writing start at the high-binding-energy end.
    axis = (EXCITATION_ENERGY_EV - region.binding_energy if kinetic else region.binding_energy)[::-1]
    variables: list[tuple[str, str, list[str], FloatArray | CountArray]] = []
    counts = region.counts[::-1]
    lines: list[str] = []
    if options.scan == "REGULAR":
        step = window.step_ev if kinetic else -window.step_ev
        lines += [options.abscissa, "eV", number(axis[0]), number(step)]
    else:
        variables.append((options.abscissa, "eV", [number(round(value, 6)) for value in axis], axis))
    variables.append(("Intensity" if options.scan == "IRREGULAR" else "counts", "d", [str(c) for c in counts], counts))
    if options.with_transmission:
        transmission = region.transmission[::-1]
        variables.append(("Transmission", "d", [number(value) for value in transmission], transmission))
    lines.append(str(len(variables)))
    for label, unit, _, _ in variables:
        lines += [label, unit]
    lines += ["pulse counting", number(window.dwell_s), str(window.scans), "0", "0", "0", "0", "0"]
    lines.append(str(len(variables) * counts.size))
    for _, _, text, values in variables:
        lines += [text[int(values.argmin())], text[int(values.argmax())]]
    for row in zip(*(text for _, _, text, _ in variables), strict=True):
        lines += row
    return lines
