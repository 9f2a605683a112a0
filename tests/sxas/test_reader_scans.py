from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from layerscope.spectra.sxas.options import ScanColumnsTable
from layerscope.spectra.sxas.readers import FORMATS, mda, mda_ascii, read
from layerscope.spectra.sxas.scan import Scan

from layerscope.errors import DataError, LayerscopeError, ReaderError
from layerscope.measured.files import load

from . import sxas_files as files
from .sxas_files import ENERGY, I0, TEY, TFY, WRITERS


def one(path: Path, **how: object) -> Scan:
    (scan,) = read(path, **how).scans  # type: ignore[arg-type]
    return scan


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_ratio_that_was_written(name: str, tmp_path: Path) -> None:
    path = WRITERS[name](tmp_path / "scan")
    assert FORMATS.sniffed(path) == [name]
    scan = one(path)
    shift = {"athena": 0.25, "mda": -0.004, "mda_ascii": -0.004}.get(name, 0.0)
    np.testing.assert_allclose(scan.energy, ENERGY + shift, atol=1e-6)
    np.testing.assert_allclose(scan.signal(), TEY / I0, rtol=5e-5)
    if "tfy" in scan.modes:
        np.testing.assert_allclose(scan.signal("tfy"), TFY / I0, rtol=2e-4)


@pytest.mark.parametrize("form", ["working group", "released", "subentries"])
def test_three_forms_of_nxxas_give_the_same_scan(form: str, tmp_path: Path) -> None:
    scan = one(files.nxxas(tmp_path / "scan.nxs", form))
    np.testing.assert_allclose(scan.signal("tey"), TEY / I0, rtol=1e-12)
    assert scan.edge == ("O K" if form == "working group" else "")
    assert scan.modes == (("tey", "tfy") if form == "subentries" else ("tey",))


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("harm", [lambda d: d[: len(d) // 2], lambda d: d[:-7], lambda d: d[:200]])
def test_a_file_cut_short_is_an_error_and_names_the_file(
    name: str, harm: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    path = WRITERS[name](tmp_path / "cut_scan")
    path.write_bytes(harm(path.read_bytes()))
    said = "cut_scan"
    try:
        scan = one(path)
    except LayerscopeError as error:
        said = str(error)
    else:  # digits are missing from the last number of a row: nothing tells
        assert scan.axis.size == ENERGY.size
    assert "cut_scan" in said


def test_a_column_named_twice_and_a_range_of_another_scan_are_flagged(tmp_path: Path) -> None:
    flags = one(files.bcs(tmp_path / "scan")).flags
    assert flags[0] == "COLUMN_TWICE:Mono Energy, column 1 used"
    assert flags[1].startswith("STALE_RANGE:header 290 to 320, data 515 to")


@pytest.mark.parametrize(
    ("write", "word"),
    [
        (lambda p: files.bcs(p, motor="Sample X"), "'Sample X'"),
        (lambda p: files.mda(p, unit="mm"), "'Mono setpoint' in mm"),
        (lambda p: files.mda_ascii(p, unit="mm"), "'Mono setpoint' in mm"),
        (lambda p: files.mda(p, rank=2), "2 dimensions"),
        (lambda p: files.srs(p, first="magx"), "'magx'"),
        (lambda p: files.bcs(p, names="Time (s)\tMono Energy\tGap\tx\ta\tb\tc\td"), "'Counter 0' and 'Counter 1'"),
        (lambda p: files.ssrl_raw(p, header="mono, Seconds, i0, tey, cmact, fy, ref, Energy_encoder, x"), "off"),
        (lambda p: files.ssrl_raw(p, header="mono, Seconds, i0, tey, cmact, fy, ref, Energy_encoder"), "names"),
    ],
)
def test_what_is_no_energy_scan_is_refused_by_name(write: Callable[[Path], Path], word: str, tmp_path: Path) -> None:
    with pytest.raises(ReaderError) as caught:
        read(write(tmp_path / "scan"))
    assert word in f"{caught.value}"


def test_a_scan_that_was_stopped_keeps_what_was_measured_and_says_so(tmp_path: Path) -> None:
    scan = one(files.mda(tmp_path / "scan", done=60))
    assert scan.axis.size == 60
    assert scan.flags == ("SCAN_STOPPED:60 of 90 points",)


def test_ratios_of_a_processed_file_that_are_not_those_of_its_columns_are_flagged(tmp_path: Path) -> None:
    assert one(files.ssrl_processed(tmp_path / "good")).flags == ()
    (flag,) = one(files.ssrl_processed(tmp_path / "bad", wrong=0.01)).flags
    assert flag.startswith("OTHER_RATIO:tey is not sc/i0")


def test_athena_text_is_never_run_and_its_shift_is_added(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    scan = one(files.athena(tmp_path / "p.prj", packed=False, extra=f",'file',`touch {trap}`"))
    assert not trap.exists()
    assert scan.sample == "film 'A'"
    assert (scan.edge, scan.given["e0"], scan.given["eshift"]) == ("O K", 531.5, 0.25)


def test_athena_arrays_of_unequal_length_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ReaderError, match="differ in length: x 90, y 89"):
        read(files.athena(tmp_path / "p.prj", y=(TEY / I0)[:-1]))


def columns(path: Path, header: str = "E,i0,drain,drain", **more: object) -> tuple[Path, ScanColumnsTable]:
    rows = [f"{e:.3f},{a:.2f},{b:.4f},{c:.4f}" for e, a, b, c in zip(ENERGY, I0, TEY, TFY, strict=True)]
    path.write_text("\n".join([header, *rows]) + "\n")
    return path, ScanColumnsTable.model_validate({"energy": "E", "i0": "i0", "tey": 2, **more})


def test_plain_columns_are_read_by_their_map_and_a_name_that_stands_twice_is_refused(tmp_path: Path) -> None:
    path, how = columns(tmp_path / "scan.csv")
    np.testing.assert_allclose(one(path, columns=how).signal(), TEY / I0, rtol=1e-6)
    with pytest.raises(ReaderError, match="'drain' is there more than once"):
        read(path, columns=how.model_copy(update={"tey": "drain"}))
    with pytest.raises(ReaderError, match="known format"):
        read(path)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda i0, tey: (np.zeros_like(i0), tey), "without incident flux"),
        (lambda i0, tey: (i0, np.where(ENERGY < 530, np.nan, tey)), "NaN or infinite"),
        (lambda i0, tey: (i0, np.zeros_like(tey)), "zero"),
    ],
)
def test_scans_without_beam_or_signal_are_refused(
    change: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]], match: str
) -> None:
    i0, tey = change(I0, TEY)
    with pytest.raises(DataError, match=match):
        Scan.of(ENERGY, {"i0": i0, "tey": tey}).without_dead_points().check("scan")


def test_a_single_dead_point_is_masked_and_named_and_a_falling_axis_is_turned_round() -> None:
    i0 = np.where(ENERGY == 540.0, 0.0, I0)
    scan = Scan.of(ENERGY[::-1], {"i0": i0[::-1], "tey": TEY[::-1]}).placed(0, "scan", 0).without_dead_points()
    scan.check("scan")
    assert scan.energy[0] == 515.0
    np.testing.assert_array_equal(scan.channels["tey"], TEY)
    assert scan.use is not None
    assert scan.energy[~scan.use] == [540.0]
    assert "540 eV" in scan.metadata["masked"]


# --- real files ---------------------------------------------------------------------------------------------------


def test_every_real_file_opens_or_says_why_not(shared_data: Path) -> None:
    refused = {}
    for path in sorted(p for p in (shared_data / "sxas").iterdir() if p.is_file()):
        try:
            assert read(path).scans
        except LayerscopeError as error:
            refused[path.name] = error.message
    assert refused == {"JLApr16.0001": "the scan moves '7T Sample Z' in mm: that is no photon energy"}


def test_the_mda_file_equals_its_text_column_by_column(shared_data: Path) -> None:
    folder = shared_data / "sxas"
    binary, _, points = mda.read_columns(load(folder / "sxr129598.mda"))
    text = mda_ascii.read_columns(load(folder / "sxr129598.asc"))
    assert len(binary) == len(text) == 17
    assert points == 701
    for (a, values), (b, printed) in zip(binary, text, strict=True):
        assert (a.name, a.unit) == (b.name, b.unit)
        np.testing.assert_allclose(values, printed, rtol=6e-9, err_msg=a.name)


def test_of_the_36_damaged_xdi_files_each_is_an_error_or_flagged_and_only_the_sound_one_is_neither(
    shared_data: Path,
) -> None:
    silent = []
    for path in sorted((shared_data / "sxas" / "xdi_bad").glob("*.xdi")):
        try:
            flags = one(path).flags
        except LayerscopeError:
            continue
        if not flags:
            silent.append(path.name)
    assert silent == ["bad_00.xdi"]


def test_ratios_at_ssrl_are_those_of_the_processed_file(shared_data: Path) -> None:
    path = shared_data / "sxas" / "Blank_C_tape.886"
    scan, printed = one(path), np.loadtxt(path, skiprows=1)
    for mode, column in (("tey", 1), ("aey", 2), ("tfy", 4)):
        np.testing.assert_allclose(scan.signal(mode), printed[:, column], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(scan.channels["reference"] / scan.channels["i0"], printed[:, 5], rtol=1e-5)


def test_the_raw_file_of_ssrl_is_not_read_one_column_to_the_left(shared_data: Path) -> None:
    scan = one(shared_data / "sxas" / "htxs_scan.881")
    assert (scan.energy[0], scan.energy[-1]) == (520.0, 579.0)
    assert scan.channels["i0"][0] == 6210.0
    assert scan.channels["encoder"][0] == 520.11862


def test_the_iron_scan_has_its_maxima_where_another_program_found_them(shared_data: Path) -> None:
    scan = one(shared_data / "sxas" / "236463.dat")
    near = (scan.energy > 704) & (scan.energy < 714)
    found = {mode: scan.energy[near][scan.signal(mode)[near].argmax()] for mode in scan.modes}
    assert found == {"tey": pytest.approx(707.74, abs=0.006), "tfy": pytest.approx(707.12, abs=0.006)}
