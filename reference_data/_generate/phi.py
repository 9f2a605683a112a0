"""Write a PHI depth profile (.pro): a text header from SOFH to EOFH, then a block table and float32 data.

Layout of the binary part, little-endian, as observed in public instrument files (offsets count from its first byte):

- four uint32: 1, number of entries, bytes of the entry table, 16 (where the table starts);
- 24 uint32 per entry: [0] number, [1] 1, [2] 1, [3] region (0 for none), [4] kind (1 spectra, 8 etch time),
  [5] length of the fast axis, [6] length of the slow axis, [7] 1, [8] and [10] names of the axes, [14] unit,
  [18] type ("f4"), [19] bytes, [20] offset;
- spectra: levels times points, counts/s, each level from the start energy of the header (high binding energy) down;
- etch time: regions times levels, s.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from _generate.simulation import EXCITATION_ENERGY_EV, Level, Measured

SWEEP_TIME_S = 0.02
ATOMIC_NUMBER = {"B": 5, "C": 6, "O": 8, "F": 9, "P": 15}


@dataclass(frozen=True)
class PhiOptions:
    """What the header says; ``seconds_per_level`` is the sputter time between two levels."""

    sample: str
    filename: str
    seconds_per_level: float
    etch_rate_nm_s: float
    pass_energy_ev: float = 26.0
    work_function_ev: float = 4.3
    date: tuple[int, int, int] = (2025, 4, 2)


def write_phi(levels: Sequence[Level], options: PhiOptions) -> bytes:
    """Return the bytes of a .pro file holding every region of every level."""
    header = "\r\n".join([*_header(levels, options), "EOFH", ""]).encode("ascii")
    payloads: list[tuple[tuple[int, ...], bytes]] = []
    for number in range(len(levels[0].regions)):
        cycles = [level.regions[number] for level in levels]
        rates = np.stack([region.counts[::-1] / region.window.live_time_s for region in cycles])
        entry = (number + 1, 1, 1, number + 1, 1, rates.shape[1], len(levels), 1, _tag("pnt"), 0, _tag("cyc"), 0, 0, 0)
        payloads.append(((*entry, _tag("c/s"), 0, 0, 0), rates.astype("<f4").tobytes()))
    regions = len(payloads)
    etch = np.tile([level.etch_time_s or 0.0 for level in levels], (regions, 1))
    entry = (regions + 1, 1, 1, 0, 8, len(levels), regions, 1, _tag("cyc"), 1, _tag("reg"), 0, 0, 1)
    payloads.append(((*entry, _tag("s"), 0, 0, 0), etch.astype("<f4").tobytes()))
    return header + _binary(payloads)


def _tag(name: str) -> int:
    """Return up to four characters as the uint32 that stores them."""
    return int(struct.unpack("<I", name.encode("ascii").ljust(4, b"\0"))[0])


def _binary(payloads: list[tuple[tuple[int, ...], bytes]]) -> bytes:
    table_bytes = 96 * len(payloads)
    offset = 16 + table_bytes
    table = struct.pack("<4I", 1, len(payloads), table_bytes, 16)
    for entry, data in payloads:
        table += struct.pack("<24I", *entry, _tag("f4"), len(data), offset, 0, 0, 0)
        offset += len(data)
    return table + b"".join(data for _, data in payloads)


def _header(levels: Sequence[Level], options: PhiOptions) -> list[str]:
    regions = levels[0].regions
    date = " ".join(str(part) for part in options.date)
    lines = [
        "SOFH",
        "Platform: PC",
        "Technique: XPS",
        "TechniqueEx: XPS",
        "FileType: DEPTHPRO",
        f"FileDesc: {options.sample}",
        "SoftwareVersion: SS 3.3.3.2",
        "InstrumentModel: simulated",
        f"AcqFilename: {options.filename}",
        f"FileDate: {date}",
        f"AcqFileDate: {date}",
        "Institution: layerscope reference data (simulated, no measurement)",
        "Operator: ",
        "EnergyReference: none 0.0",
        f"AnalyserWorkFcn: {options.work_function_ev:.3f} eV",
        "SourceAnalyserAngle: 45.0 d",
        "AnalyserSolidAngle: 0.38 sr",
        "IntensityRecal: no",
        "EnergyRecal: no",
        "IonGunMode: Standby",
        "SputterIon: Ar+",
        f"SputterRate: {600 * options.etch_rate_nm_s:.3f} A/min",
        "SputterEnergy: 1.000 kV",
        "SputterRaster: 2.00 2.00 mm",
        "AnalyserMode: FAT",
        f"SurvTimePerStep: {1000 * SWEEP_TIME_S:.6f}",
        f"NoDPDataCyc: {len(levels)}",
        "NoPreSputterCyc: 1",
        "SputterMode: Alternating",
        "NoDepthReg: 1",
        _depth_definition(len(levels), options),
    ]
    for full in ("Full", ""):
        lines.append(f"NoSpectralReg{full}: {len(regions)}")
        for number, region in enumerate(regions, start=1):
            lines += _region_definition(number, region, full, options)
    return [*lines, f"XraySource: Al {EXCITATION_ENERGY_EV:.1f} mono", "XrayPower: 50.00 W", "Presputter: no"]


def _depth_definition(levels: int, options: PhiOptions) -> str:
    minutes = options.seconds_per_level / 60.0
    return f"DepthCalDef: 1 Layer1 1 0.0000 0.0000 Ar+ 1.00 {minutes:.2f} {levels - 1} '1kV2x2'"


def _region_definition(number: int, region: Measured, full: str, options: PhiOptions) -> list[str]:
    """Two lines of the header: axis, time per point and pass energy; then width and sweeps."""
    window = region.window
    high, low = region.binding_energy[-1], region.binding_energy[0]
    element, transition = window.region.split()
    time = 0.0 if full else window.live_time_s
    sweeps = round(window.live_time_s / SWEEP_TIME_S)
    axis = f"{-window.step_ev:.4f} {high:.4f} {low:.4f} {high - 1:.4f} {low + 1:.4f}"
    name = f"{element}{transition} {ATOMIC_NUMBER[element]} {region.counts.size}"
    return [
        f"SpectralRegDef{full}: {number} {number if not full else 1} {name} {axis} {time:.6f} "
        f"{options.pass_energy_ev:.2f} AREA",
        f"SpectralRegDef2{full}: {number} {high - low:.1f} {sweeps} 0 1 180",
    ]
