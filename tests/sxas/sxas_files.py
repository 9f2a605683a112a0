"""Small beamline files of every format, written for tests, of one O K scan whose arrays are known."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import h5py
import numpy as np

ENERGY = np.round(np.arange(515.0, 560.0, 0.5), 3)
I0 = 50000.0 + 20.0 * (ENERGY - 515.0)
TEY = I0 * (0.4 + 0.2 / (1 + np.exp(-(ENERGY - 535.0))) + 0.1 * np.exp(-((ENERGY - 530.5) ** 2)))
TFY = 0.3 * TEY + 500.0


def bcs(path: Path, *, motor: str = "Mono Energy", rows: int | None = None, names: str | None = None) -> Path:
    head = ["Date: 3/29/2024", "", "From File", motor, "C:\\scans\\O.txt", ": 290.0", ": 320.0", ": 0.05"]
    head += ["Delay After Move (s): 0.0", "Count Time (s): 1.0", "Scan Number: 1", "Description Length: 0", ""]
    columns = names or f"Time (s)\t{motor}\tGap\t{motor}\tCounter 0\tCounter 1\tCounter 2\tCounter 3"
    body = [
        f"{k}.5\t{e:.4f}\t0.0\t0.0\t{a:.2f}\t{b:.4f}\t{c:.4f}\t{a / 2:.2f}"
        for k, (e, a, b, c) in enumerate(zip(ENERGY, I0, TEY, TFY, strict=True))
    ]
    path.write_text("\r\n".join([*head, columns, *body[:rows]]) + "\r\n", newline="")
    return path


def ssrl_raw(path: Path, header: str = "    #,   mono, Seconds,  i0,  tey, cmact, fy, ref, Energy_encoder") -> Path:
    rows = [
        f"{k}, {e:g}, 0.4, {a:.0f}, {b:.0f}, 2000, {c:.0f}, 100, {e + 0.2:.4f}"
        for k, (e, a, b, c) in enumerate(zip(ENERGY, I0, TEY, TFY, strict=True))
    ]
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def ssrl_processed(path: Path, wrong: float = 0.0) -> Path:
    rows = [
        f"{e:g} {b / a + wrong:.6g} {c / a:.6g} 0.5 {a:.2f} {b:.2f} {c:.2f} {a / 2:.2f}"
        for e, a, b, c in zip(ENERGY, I0, TEY, TFY, strict=True)
    ]
    path.write_text("\n".join(["#mono tey tfy refy i0 sc fy ref", *rows]) + "\n")
    return path


def srs(path: Path, first: str = "fastEnergy") -> Path:
    head = " &SRS\n SRSRUN=1,\n SRSPRJ='I06-1   ',\ndate='Wed Feb 24 14:49:05 2021'\n &END\n"
    rows = [f"{e:.4f}\t{b:.3f}\t{a:.3f}\t{c:.3f}" for e, a, b, c in zip(ENERGY, I0, TEY, TFY, strict=True)]
    path.write_text(head + "\n".join([f"{first}\tC1\tC2\tC3", *rows]) + "\n")
    return path


_PVS = {
    "SR14ID01PGM_CALC_ENERGY_MONITOR.P": ENERGY - 0.004,
    "SR14ID01IOC68:scaler1.S20": TEY,
    "SR14ID01IOC68:scaler1.S18": I0,
    "SR14ID01IOC68:scaler1.S22": TFY,
}


def mda(path: Path, *, unit: str = "eV", done: int | None = None, rank: int = 1) -> Path:
    def text(value: str) -> bytes:
        raw = value.encode()
        return struct.pack(">ii", len(raw), len(raw)) + raw + b"\0" * (-len(raw) % 4) if raw else struct.pack(">i", 0)

    n = ENERGY.size
    out = struct.pack(">fiiiii", 1.3, 7, rank, n, 1, 0) + struct.pack(">iii", 1, n, n if done is None else done)
    out += text("scan1") + text("Mar 14, 2024 03:00:55.941426") + struct.pack(">iii", 1, len(_PVS), 0)
    out += struct.pack(">i", 0) + b"".join(map(text, ("PGM:SP", "Mono setpoint", "TABLE", unit, "", "", "")))
    for name in _PVS:
        out += struct.pack(">i", 0) + text(name) + text("") + text("")
    out += ENERGY.astype(">f8").tobytes() + b"".join(v.astype(">f4").tobytes() for v in _PVS.values())
    path.write_bytes(out)
    return path


def mda_ascii(path: Path, *, unit: str = "eV") -> Path:
    lines = ["## mda2ascii 1.2 generated output", "", "# Overall scan dimension = 1-D", "# Column Descriptions:"]
    lines += ["#    1  [     Index      ]", f"#    2  [1-D Positioner 1]  PGM:SP, Mono setpoint, TABLE, {unit}, , , "]
    lines += [f"#    {k + 3}  [1-D Detector   {k + 1}]  {name}, , " for k, name in enumerate(_PVS)]
    lines += [f"# Points completed = {ENERGY.size} of {ENERGY.size}", "# Scan time = MAR 14, 2024 03:00:55.941426"]
    rows = zip(ENERGY, *(v.astype("f4") for v in _PVS.values()), strict=True)
    lines += ["\t".join([str(k + 1), *(f"{value:.9g}" for value in row)]) for k, row in enumerate(rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def athena(path: Path, *, packed: bool = True, y: np.ndarray | None = None, extra: str = "") -> Path:
    def listed(values: np.ndarray) -> str:
        return ",".join(f"'{value!r}'" for value in values.tolist())

    args = "'label','film \\'A\\'','bkg_e0','531.5','bkg_eshift','0.25','bkg_z','O','fft_edge','k','titles',['a','b']"
    text = "# Athena project file -- Demeter version 0.9.25\n\n$old_group = 'abcd';\n"
    text += f"@args = ({args}{extra});\n@x = ({listed(ENERGY)});\n"
    text += f"@y = ({listed(TEY / I0 if y is None else y)});\n[record]\n"
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    return path


def xdi(path: Path) -> Path:
    head = ["# XDI/1.0 test/1", "# Column.1: energy eV", "# Column.2: i0", "# Column.3: tey", "# Element.symbol: O"]
    head += ["# Element.edge: K", "# Mono.d_spacing: 3.1", "# Scan.start_time: 2024-01-02T03:04:05"]
    head += ["# Facility.name: X", "# Facility.xray_source: Y", "# Beamline.name: Z", "# Sample.name: film"]
    rows = [f"{e:.3f} {a:.8g} {b:.8g}" for e, a, b in zip(ENERGY, I0, TEY, strict=True)]
    path.write_text("\n".join([*head, "# ///", "# mine", "# ---", "# energy i0 tey", *rows]) + "\n")
    return path


def nxxas(path: Path, form: str) -> Path:
    with h5py.File(path, "w") as file:

        def group(parent: h5py.Group, name: str, nx_class: str) -> h5py.Group:
            made = parent.create_group(name)
            made.attrs["NX_class"] = nx_class
            return made

        entry = group(file, "entry", "NXentry")
        if form == "working group":
            entry["definition"], entry["energy"], entry["intensity"] = "NXxas", ENERGY, TEY / I0
            group(entry, "element", "NXelement")["symbol"] = "O"
            group(entry, "edge", "NXedge")["name"] = "K"
            group(entry, "mode", "NXxas_mode")["name"] = "tey"
        elif form == "released":
            entry["definition"] = "NXxas"
            instrument = group(entry, "instrument", "NXinstrument")
            group(instrument, "monochromator", "NXmonochromator")["energy"] = ENERGY
            group(instrument, "incoming_beam", "NXdetector")["data"] = I0
            group(instrument, "absorbed_beam", "NXdetector")["data"] = TEY
            group(entry, "data", "NXdata")["mode"] = "Total Electron Yield"
        else:
            sub = group(entry, "xas_entry", "NXsubentry")
            sub["definition"], sub["energy"] = "NXxas", ENERGY
            for mode, signal in (("tey", TEY), ("tfy", TFY)):
                data = group(sub, mode, "NXdata")
                data["mode"], data["absorbed_beam"], data.attrs["signal"] = mode.upper(), signal, "absorbed_beam"
            monitor = group(sub, "i0", "NXmonitor")
            monitor["data"], monitor.attrs["signal"] = I0, "data"
    return path


WRITERS = {
    "bcs": bcs,
    "ssrl": ssrl_raw,
    "mda": mda,
    "mda_ascii": mda_ascii,
    "srs": srs,
    "athena": athena,
    "xdi": xdi,
}
