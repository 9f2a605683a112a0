"""Writes one known pattern in every format that the readers know, from the formats' descriptions."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import h5py
import numpy as np

START, STEP, POINTS = 15.0, 0.02, 240
ALPHA1, ALPHA2, RATIO = 1.5405929, 1.5444274, 0.5

AXIS = START + STEP * np.arange(POINTS)
COUNTS = (
    np.random.default_rng(20240501)
    .poisson(80 + 900 * np.exp(-(((AXIS - 18.9) / 0.09) ** 2)) + 300 * np.exp(-(((AXIS - 17.0) / 0.2) ** 2)))
    .astype(np.float64)
)


@dataclass(frozen=True)
class Format:
    """How a format is written, and what it can carry."""

    write: Callable[[], bytes]
    reader: str
    declares: bool = True
    wavelength: bool = True
    axis_tolerance: float = 1e-9
    start: float = START


def rows(separator: str = " ", decimal: str = ".", sigma: bool = True) -> str:
    """Rows of position, counts and their square root."""
    lines = []
    for x, y in zip(AXIS, COUNTS, strict=True):
        cells = [f"{x:.4f}", f"{y:.1f}", f"{np.sqrt(y):.4f}"][: 3 if sigma else 2]
        lines.append(separator.join(cells).replace(".", decimal))
    return "\n".join(lines) + "\n"


def xye() -> bytes:
    return rows().encode()


def csv_with_decimal_comma() -> bytes:
    return ("2Theta;Counts\n" + rows(";", ",", sigma=False)).encode()


def xydata() -> bytes:
    return ("XYDATA a powder\nINTER 1.0 1.0 2 0.02\nTEMP 298.5 300 300\n! a\n! b\n! c\n" + rows()).encode()


def start_step_stop() -> bytes:
    body = "\n".join(" ".join(f"{v:8.0f}" for v in COUNTS[i : i + 8]) for i in range(0, POINTS, 8))
    return f"{START:.3f} {STEP:.3f} {AXIS[-1]:.3f}\n{body}\n".encode()


def result_vector() -> bytes:
    body = rows("\t", sigma=False)
    head = f"2024.01.02 03:04:05\nОбразец: тест 1\nLambda1 = {ALPHA1}\nLambda2 = {ALPHA2}\nR = {RATIO}\n2Theta\tI\n\n"
    return f"{head}line№ 0 ;repeat№ 0\n{body}\nResult vector\n{body}".encode("cp1251")


UXD_HEAD = (
    f"; a comment\n_FILEVERSION=2\n_SAMPLE='powder'\n_WL1={ALPHA1}\n_WL2={ALPHA2}\n_WLRATIO={RATIO}\n_ANODE='Cu'\n"
    "_DATEMEASURED='04-Mar-2010 20:59:14'\n"
)


def uxd_range(keyword: str = "_COUNTS", scan: int = 1, declared: int | None = POINTS) -> str:
    count = "" if declared is None else f"_STEPCOUNT={declared}\n"
    head = (
        f"; (Data for Range number {scan})\n_DRIVE='COUPLED'\n_STEPTIME=12.5\n_STEPSIZE={STEP}\n_START={START}\n{count}"
    )
    if keyword == "_COUNTS":
        body = "\n".join(" ".join(f"{v:9.0f}" for v in COUNTS[i : i + 8]) for i in range(0, POINTS, 8))
    else:
        body = "\n".join(f"{x:.4f}\t{y:.0f}" for x, y in zip(AXIS, COUNTS, strict=True))
    return f"{head}{keyword}\n{body}\n"


def uxd() -> bytes:
    return (UXD_HEAD + uxd_range()).encode()


def raw_1(following: int = 0, magic: bytes = b"RAW ") -> bytes:
    head = struct.pack("<IffIIffff", POINTS, 12.5, STEP, 0, 0, START, -1e6, -1e6, -1e6) + b"powder".ljust(32)
    head += struct.pack("<ff", ALPHA1, ALPHA2) + bytes(72) + struct.pack("<I", following)
    return magic + head + COUNTS.astype("<f4").tobytes()


def raw_2() -> bytes:
    head = bytearray(256)
    head[:6] = b"RAW2" + struct.pack("<H", 1)
    head[168:188] = b"04-Mar-2010 20:59:14"
    head[188:190] = b"Cu"
    struct.pack_into("<fff", head, 190, ALPHA1, ALPHA2, RATIO)
    scan = bytearray(60)
    struct.pack_into("<HH", scan, 0, 60, POINTS)
    struct.pack_into("<fff", scan, 8, 12.5, STEP, START)
    struct.pack_into("<H", scan, 46, 298)
    return bytes(head + scan) + COUNTS.astype("<f4").tobytes()


def raw_3(extra: int = 40) -> bytes:
    head = bytearray(712)
    head[:8] = b"RAW1.01\0"
    struct.pack_into("<II", head, 8, 1, 1)
    head[16:26], head[26:36] = b"03/04/10".ljust(10, b"\0"), b"20:59:14".ljust(10, b"\0")
    head[326:332], head[608:610] = b"powder", b"Cu"
    struct.pack_into("<dddd", head, 624, ALPHA1, ALPHA2, 1.3922, RATIO)
    scan = bytearray(304 + extra)
    struct.pack_into("<II", scan, 0, 304, POINTS)
    struct.pack_into("<d", scan, 16, START)
    struct.pack_into("<d", scan, 176, STEP)
    struct.pack_into("<f", scan, 192, 12.5)
    struct.pack_into("<I", scan, 256, extra)
    return bytes(head + scan) + COUNTS.astype("<f4").tobytes()


def raw_4(stride: int = 4, scan_type: bytes = b"Locked Coupled") -> bytes:
    head = bytearray(61)
    head[:8] = b"RAW4.00\0"
    head[12:22], head[24:32] = b"03/04/2010", b"20:59:14"
    name = b"powder"
    tag = struct.pack("<III", 10, 36 + len(name), 0) + b"SAMPLEID".ljust(24, b"\0") + name
    tube = bytearray(136)
    struct.pack_into("<II", tube, 0, 30, 136)
    struct.pack_into("<dddd", tube, 80, ALPHA1, ALPHA2, 1.3922, RATIO)
    tube[116:118] = b"Cu"
    drive = struct.pack("<III", 50, 92, 0) + b"2Theta".ljust(80, b"\0")
    scan = bytearray(160)
    scan[32 : 32 + len(scan_type)] = scan_type
    struct.pack_into("<dd", scan, 72, START, STEP)
    struct.pack_into("<If", scan, 88, POINTS, 12.5)
    struct.pack_into("<II", scan, 136, stride, len(drive))
    data = np.zeros((POINTS, stride), dtype=np.uint8)
    data[:, :4] = COUNTS.astype("<f4").reshape(-1, 1).view(np.uint8)
    if stride > 4:
        data[:, 4] = 1
    return bytes(head) + tag + bytes(tube) + bytes(scan) + drive + data.tobytes()


def archive(members: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(zipfile.ZipInfo(name, (2024, 1, 2, 3, 4, 6)), data, zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def brml_xml(counts: np.ndarray = COUNTS, factor: np.ndarray | None = None, declared: int = POINTS) -> str:
    factors = np.ones(counts.size) if factor is None else factor
    data = "".join(
        f"<Datum>1,{f:g},{x:.4f},{x / 2:.4f},{y:.1f}</Datum>" for x, f, y in zip(AXIS, factors, counts, strict=False)
    )
    return (
        "<RawData><TimeStampStarted>2023-01-26T15:23:09.8371521+01:00</TimeStampStarted>"
        "<TimeStampFinished>2023-01-26T15:57:00.2452847+01:00</TimeStampFinished><DataRoutes>"
        '<DataRoute RouteFlag="Measured"><ScanInformation ScanName="LockedCoupled"><TimePerStep>1</TimePerStep>'
        f'</ScanInformation><SubScans><SubScanInfo MeasuredSteps="{declared}"/></SubScans>{data}<DataViews>'
        '<RawDataView Start="0" Length="1" LogicName="MeasuredTime"/>'
        '<RawDataView Start="1" Length="1" LogicName="AbsorptionFactor"/><RawDataView Start="2" Length="2"><Varying>'
        '<FieldDefinitions AxisId="TwoTheta"/><FieldDefinitions AxisId="Theta"/></Varying></RawDataView>'
        '<RawDataView Start="4" Length="1"><Recording LogicName="ScanCounter1"/></RawDataView></DataViews>'
        f'</DataRoute></DataRoutes><Tube><WaveLengthAlpha1 Value="{ALPHA1}"/><WaveLengthAlpha2 Value="{ALPHA2}"/>'
        f'<WaveLengthRatio Value="{RATIO}"/><TubeMaterial>Cu</TubeMaterial></Tube></RawData>'
    )


def brml() -> bytes:
    return archive({"Experiment0/RawData0.xml": brml_xml().encode(), "experimentCollection.xml": b"<a/>"})


def xrdml_scan(positions: str = "", values: str = "", axis: str = "Gonio") -> str:
    default = f"<startPosition>{START}</startPosition><endPosition>{AXIS[-1]:.6f}</endPosition>"
    counts = " ".join(f"{v:.0f}" for v in COUNTS)
    return (
        f'<scan scanAxis="{axis}" status="Completed"><header><startTimeStamp>2024-11-14T14:21:09-08:00</startTimeStamp>'
        "<endTimeStamp>2024-11-14T14:29:16-08:00</endTimeStamp></header><dataPoints>"
        f'<positions axis="2Theta" unit="deg">{positions or default}</positions>'
        + (
            values
            or f'<commonCountingTime unit="seconds">12.5</commonCountingTime><counts unit="counts">{counts}</counts>'
        )
        + "</dataPoints></scan>"
    )


def xrdml(*scans: str) -> bytes:
    body = "".join(scans or (xrdml_scan(),))
    return (
        '<?xml version="1.0"?><xrdMeasurements xmlns="http://www.xrdml.com/XRDMeasurement/2.3"><sample><id>powder</id>'
        f'</sample><xrdMeasurement><usedWavelength><kAlpha1 unit="Angstrom">{ALPHA1}</kAlpha1>'
        f'<kAlpha2 unit="Angstrom">{ALPHA2}</kAlpha2><ratioKAlpha2KAlpha1>{RATIO}</ratioKAlpha2KAlpha1>'
        "</usedWavelength><incidentBeamPath><xRayTube><anodeMaterial>Cu</anodeMaterial></xRayTube></incidentBeamPath>"
        f"{body}</xrdMeasurement></xrdMeasurements>"
    ).encode()


RAS_HEADER: Mapping[str, str] = {
    "FILE_SAMPLE": "powder",
    "HW_XG_TARGET_NAME": "Cu",
    "HW_XG_WAVE_LENGTH_ALPHA1": str(ALPHA1),
    "HW_XG_WAVE_LENGTH_ALPHA2": str(ALPHA2),
    "MEAS_COND_XG_WAVE_TYPE": "Ka",
    "MEAS_DATA_COUNT": str(POINTS),
    "MEAS_SCAN_AXIS_X_INTERNAL": "TwoThetaTheta",
    "MEAS_SCAN_START_TIME": "11/21/2017 08:32:31",
    "MEAS_SCAN_END_TIME": "11/21/2017 08:37:42",
    "MEAS_SCAN_UNIT_X": "deg",
    "MEAS_SCAN_UNIT_Y": "counts",
}


def ras_scan(factor: float = 1.0, **header: str) -> str:
    lines = "\n".join(f'*{key} "{value}"' for key, value in {**RAS_HEADER, **header}.items())
    data = "\n".join(f"{x:.4f} {y:.4f} {factor:.4f}" for x, y in zip(AXIS, COUNTS, strict=True))
    return f"*RAS_HEADER_START\n{lines}\n*RAS_HEADER_END\n*RAS_INT_START\n{data}\n*RAS_INT_END\n"


def ras(*scans: str) -> bytes:
    return ("*RAS_DATA_START\n" + "".join(scans or (ras_scan(),)) + "*RAS_DATA_END\n").encode()


def rasx() -> bytes:
    profile = "\ufeff" + "\n".join(f"{x:.4f}\t{y:g}\t1" for x, y in zip(AXIS, COUNTS, strict=True))
    conditions = (
        f"<MeasurementConditions><XrayGenerator><TargetName>Cu</TargetName><WaveType>Ka</WaveType>"
        f"<WavelengthKalpha1>{ALPHA1}</WavelengthKalpha1><WavelengthKalpha2>{ALPHA2}</WavelengthKalpha2>"
        "</XrayGenerator><ScanInformation><AxisName>TwoTheta</AxisName><PositionUnit>deg</PositionUnit>"
        f"<IntensityUnit>counts</IntensityUnit><DataCount>{POINTS}</DataCount>"
        "<StartTime>2021-05-05T10:35:31Z</StartTime></ScanInformation></MeasurementConditions>"
    )
    return archive(
        {
            "Data0/Profile0.txt": profile.encode(),
            "Data0/MesurementConditions0.xml": conditions.encode(),
            "root.xml": b"<Root/>",
        }
    )


def gsas_std() -> bytes:
    body = "\n".join("".join(f"  {v:6.0f}" for v in COUNTS[i : i + 10]) for i in range(0, POINTS, 10))
    head = f"a powder\nBANK 1 {POINTS} {POINTS // 10} CONST {100 * START:.3f} {100 * STEP:.3f} 0 0 STD\n"
    return f"{head}{body}\n".encode()


def gsas_esd() -> bytes:
    cells = [f"{y:8.1f}{np.sqrt(y):8.4f}" for y in COUNTS]
    body = "\n".join("".join(cells[i : i + 5]) for i in range(0, POINTS, 5))
    head = f"a powder\nBANK 1 {POINTS} {POINTS // 5} CONST {100 * START:.3f} {100 * STEP:.3f} 0 0 ESD\n"
    return f"{head}{body}\n".encode()


def gsas_fxye() -> bytes:
    body = "\n".join(f"{100 * x:.4f} {y:.1f} {np.sqrt(y):.4f}" for x, y in zip(AXIS, COUNTS, strict=True))
    return (
        f"a powder\n# a comment\nBANK 1 {POINTS} {POINTS} CONST {100 * START} {100 * STEP} 0 0 FXYE\n{body}\n".encode()
    )


def chi() -> bytes:
    body = "\n".join(f"{x:.6e} {y:.6e}" for x, y in zip(AXIS, COUNTS, strict=True))
    return f"a powder\n2-Theta Angle (Degrees)\nIntensity\n       {POINTS}\n{body}\n".encode()


def pdcif() -> bytes:
    body = "\n".join(f"{x:.4f} {y:.0f} {1 / y:.8f}" for x, y in zip(AXIS, COUNTS, strict=True))
    loop = "loop_\n_pd_proc_2theta_corrected\n_pd_meas_counts_total\n_pd_proc_ls_weight\n"
    calculated = body.replace("\n", "\n ")
    return (
        f"data_instrument\n_diffrn_radiation_type 'Cu K\\a'\nloop_\n_diffrn_radiation_wavelength_id\n"
        f"_diffrn_radiation_wavelength\n_diffrn_radiation_wavelength_wt\n1 {ALPHA1} 1.0\n2 {ALPHA2} {RATIO}\n"
        f"data_powder_meas\n_pd_phase_name powder\n_pd_meas_number_of_points {POINTS}\n{loop}{body}\n"
        f"data_powder_calc\n{loop} {calculated}\n"
    ).encode()


def nexus_file(edit: Callable[[h5py.File], None] | None = None) -> bytes:
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        entry = file.create_group("entry")
        entry.attrs["NX_class"] = "NXentry"
        entry["definition"] = "NXmonopd"
        entry["title"] = "powder"
        entry["start_time"] = "2024-01-02T03:04:05+01:00"
        entry["sample/name"] = "powder"
        entry["sample/temperature"] = 298.5
        entry["sample/temperature"].attrs["units"] = "K"
        entry["instrument/crystal/wavelength"] = [ALPHA1, ALPHA2]
        entry["instrument/crystal/wavelength"].attrs["units"] = "angstrom"
        entry["instrument/detector/polar_angle"] = AXIS
        entry["instrument/detector/polar_angle"].attrs["units"] = "degree"
        entry["instrument/detector/data"] = COUNTS.astype(np.int64)
        entry["data/polar_angle"] = h5py.SoftLink("/entry/instrument/detector/polar_angle")
        entry["data/data"] = h5py.SoftLink("/entry/instrument/detector/data")
        if edit is not None:
            edit(file)
    return stream.getvalue()


def stoe(*, counts: np.ndarray = COUNTS, scan_type: int = 3, history: int = 0, monochromator: int = 3) -> bytes:
    """A STOE file of one range: header, empty records 2 and 3, range header, counts of 32 bits."""
    head = bytearray(512)
    head[:8], head[8:14] = b"RAW_1.06", b"Powdat"
    head[32:38] = b"powder"
    struct.pack_into("<4h", head, 304, 1, 100, monochromator, 3)
    struct.pack_into("<2f", head, 322, ALPHA1, ALPHA2)
    struct.pack_into("<h", head, 360, scan_type)
    struct.pack_into("<3h", head, 376, 1, 1, 0)
    struct.pack_into("<i", head, 466, counts.size)
    struct.pack_into("<h", head, 480, 4)
    part = bytearray(512)
    part[:15], part[16:31] = b"04-mar-10 20:59", b"04-mar-10 23:59"
    struct.pack_into("<Hhhhf", part, 32, 0, counts.size, 0, 0, 1.0)
    struct.pack_into("<7f", part, 44, START, START / 2, AXIS[-1], AXIS[-1] / 2, STEP, STEP / 2, 12.5)
    struct.pack_into("<H2i", part, 118, history, int(counts.min()), int(counts.max()))
    return bytes(head) + bytes(1024) + bytes(part) + counts.astype("<i4").tobytes()


def xrd_pan() -> bytes:
    """What writes NXxrd_pan: whole counts called a rate, wavelengths of the tube."""
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        entry = file.create_group("entry")
        entry["definition"] = "NXxrd_pan"
        entry["experiment_result/two_theta"] = AXIS
        entry["experiment_result/two_theta"].attrs["units"] = "deg"
        entry["experiment_result/intensity"] = COUNTS
        entry["experiment_result/intensity"].attrs["units"] = "counts/s"
        entry["experiment_config/count_time"] = 12.5
        tube = {"k_alpha_one": ALPHA1, "k_alpha_two": ALPHA2, "ratio_k_alphatwo_k_alphaone": RATIO}
        for name, value in tube.items():
            entry[f"instrument/source/{name}"] = value
        entry["instrument/source/k_alpha_one"].attrs["units"] = "angstrom"
        entry["instrument/source/xray_tube_material"] = "Cu"
    return stream.getvalue()


def pyfai_file(rows: np.ndarray = COUNTS[None], *, errors: bool = False, wavelength: float | None = None) -> bytes:
    """A stack of integrated patterns as pyFAI writes it."""
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        plot = file.create_group("entry_0000/pyFAI/result")
        plot.attrs.update({"NX_class": "NXdata", "signal": "I", "axes": [".", "2th"]})
        plot["2th"], plot["I"] = AXIS, rows
        plot["2th"].attrs["unit"] = "2th_deg"
        if errors:
            plot["errors"] = np.sqrt(rows)
        if wavelength is not None:
            file["entry_0000/pyFAI/configuration/data"] = f'{{"dist": 0.2, "wavelength": {wavelength}}}'
    return stream.getvalue()


FORMATS: Mapping[str, Format] = {
    "xye": Format(xye, "columns", declares=False, wavelength=False),
    "csv with decimal comma": Format(csv_with_decimal_comma, "columns", declares=False, wavelength=False),
    "XYDATA": Format(xydata, "fullprof", declares=False, wavelength=False),
    "start step stop": Format(start_step_stop, "fullprof", wavelength=False),
    "result vector": Format(result_vector, "result_vector"),
    "UXD": Format(uxd, "uxd"),
    "RAW 1": Format(raw_1, "bruker_raw", axis_tolerance=1e-6),
    "RAW 2": Format(raw_2, "bruker_raw", axis_tolerance=1e-6),
    "RAW 3": Format(raw_3, "bruker_raw"),
    "RAW 4": Format(raw_4, "bruker_raw"),
    "BRML": Format(brml, "brml"),
    "XRDML": Format(xrdml, "xrdml"),
    "RAS": Format(ras, "ras"),
    "RASX": Format(rasx, "rasx"),
    "GSAS STD": Format(gsas_std, "gsas", wavelength=False),
    "GSAS ESD": Format(gsas_esd, "gsas", wavelength=False),
    "GSAS FXYE": Format(gsas_fxye, "gsas", wavelength=False),
    "CHI": Format(chi, "chi", wavelength=False),
    "pdCIF": Format(pdcif, "pdcif"),
    "NXmonopd": Format(nexus_file, "nxmonopd"),
    "NXxrd_pan": Format(xrd_pan, "nxmonopd"),
    "STOE": Format(stoe, "stoe"),
    "pyFAI": Format(pyfai_file, "pyfai", wavelength=False),
}
