"""Files as users bring them, filled up, cut off, with headers of many programs: read, or refused with the reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xrd_files as files
from layerscope.diffraction.dataset import Pattern
from layerscope.diffraction.readers import read
from xrd_files import ALPHA1, ALPHA2, AXIS, COUNTS, POINTS

from layerscope.errors import DataError, ReaderError


def frame_of(folder: Path, data: bytes) -> Pattern:
    path = folder / "file.bin"
    path.write_bytes(data)
    return read(path).frames[0]


# --- GSAS -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "filling"), [("STD", 7), ("ESD", 3)])
def test_gsas_records_that_are_filled_up_with_zeros_hold_the_declared_channels(
    kind: str, filling: int, tmp_path: Path
) -> None:
    channels = POINTS - filling
    written = (files.gsas_std if kind == "STD" else files.gsas_esd)().decode()
    head, *lines = written.replace(f"BANK 1 {POINTS}", f"BANK 1 {channels}").splitlines()[1:]
    width = 8 if kind == "STD" else 16
    zero = {"STD": f"{0:8d}", "ESD": f"{0:8.1f}{0:8.4f}"}[kind]
    lines[-1] = lines[-1][: -filling * width] + filling * zero
    frame = frame_of(tmp_path, "\n".join(["a powder", head, *lines]).encode())
    assert frame.axis.size == channels
    np.testing.assert_allclose(frame.axis, AXIS[:channels], atol=1e-9)
    np.testing.assert_array_equal(frame.intensity, COUNTS[:channels])
    np.testing.assert_allclose(frame.sigma(), np.sqrt(COUNTS[:channels]), rtol=2e-3)


@pytest.mark.parametrize("kind", ["STD", "ESD"])
def test_gsas_with_more_channels_than_a_record_could_fill_or_with_counts_after_the_last_is_refused(
    kind: str, tmp_path: Path
) -> None:
    written = (files.gsas_std if kind == "STD" else files.gsas_esd)()
    for wrong in (POINTS - 3, POINTS - 10, POINTS + 1):
        with pytest.raises(ReaderError, match="declares"):
            frame_of(tmp_path, written.replace(f"BANK 1 {POINTS}".encode(), f"BANK 1 {wrong}".encode()))


@pytest.mark.parametrize(
    "title", [b"\x00\x01\x02 powder \xff\xfe", b"\xff\xfe\x00p\x00", b"T\x00i\x00t\x00l\x00", b"\x85\x0c a"]
)
def test_gsas_may_have_a_title_of_any_bytes(title: bytes, tmp_path: Path) -> None:
    frame = frame_of(tmp_path, title + b"\n" + files.gsas_std().partition(b"\n")[2])
    np.testing.assert_array_equal(frame.intensity, COUNTS)
    assert frame.sample.isprintable()


# --- Bruker ---------------------------------------------------------------------------------------------------------


def test_raw_2_with_the_temperature_of_no_thermometer_has_none(tmp_path: Path) -> None:
    data = bytearray(files.raw_2())
    data[256 + 46 : 256 + 48] = b"\xff\xff"
    assert frame_of(tmp_path, bytes(data)).temperature_K is None
    data[256 + 46 : 256 + 48] = (298).to_bytes(2, "little")
    assert frame_of(tmp_path, bytes(data)).temperature_K == 298


def test_a_uxd_without_a_number_of_counts_that_ends_within_a_line_is_refused(tmp_path: Path) -> None:
    whole = (files.UXD_HEAD + files.uxd_range(declared=None)).encode()
    np.testing.assert_array_equal(frame_of(tmp_path, whole).intensity, COUNTS)
    for cut in (1, 2, 3):
        with pytest.raises(ReaderError, match="part of a number"):
            frame_of(tmp_path, whole[:-cut])
    declared = (files.UXD_HEAD + files.uxd_range()).encode().rstrip()
    assert frame_of(tmp_path, declared).axis.size == POINTS


def test_the_header_of_eva_names_the_anode_and_the_time_of_a_step(tmp_path: Path) -> None:
    head = 'Id: "" Comment: "powder" Operator: "x" Anode: "Cu" Scantype: "Coupled TwoTheta/Theta" TimePerStep: "96" \n'
    frame = frame_of(tmp_path, (head + files.rows(sigma=False)).encode())
    assert frame.radiation is not None
    assert (frame.radiation.alpha1, frame.radiation.alpha2) == (ALPHA1, ALPHA2)
    assert frame.radiation.source == "anode"
    assert frame.time_per_step_s == 96


# --- synchrotrons ---------------------------------------------------------------------------------------------------

HEADER_11BM = """/* /data/apr17/11bmb_3294.mda APR 12, 2017 01:23:16.472073
# Scan Comment =          UserControl Robotic Collection
# Composition =           MnB
# Email(s) =              removed
# Temp (K) =              300.03
# Start 2theta (deg) =    -6.0
# Time per step (sec) =   0.1
# Calibrated wavelength = 0.414581
# Normalization factor  = 8.1774
# */
"""


def test_the_header_of_11_bm_names_no_columns_but_the_wavelength_and_the_temperature(tmp_path: Path) -> None:
    lines = [f"{0.5 + 0.001 * i:.6f} {y:.6f} {0.1 + np.sqrt(y) / 3:.6f}" for i, y in enumerate(COUNTS)]
    frame = frame_of(tmp_path, (HEADER_11BM + "\n".join(lines)).encode())
    assert frame.axis[[0, -1]] == pytest.approx([0.5, 0.5 + 0.001 * (POINTS - 1)])
    np.testing.assert_allclose(frame.sigma(), 0.1 + np.sqrt(COUNTS) / 3, rtol=1e-5)
    assert frame.radiation is not None
    assert frame.radiation.alpha1 == 0.414581
    assert frame.radiation.alpha2 is None
    assert frame.temperature_K == 300.03


def test_a_column_of_zeros_gives_no_errors(tmp_path: Path) -> None:
    rows = "".join(f"{x:.3f} {y:.0f} 0.0\n" for x, y in zip(AXIS, COUNTS, strict=True))
    frame = frame_of(tmp_path, rows.encode())
    assert frame.variance is None
    assert frame.intensity_unit == "counts"


def test_a_stack_of_pyfai_is_a_frame_a_row_with_errors_and_wavelength(tmp_path: Path) -> None:
    rows = np.stack([COUNTS, 2 * COUNTS, 3 * COUNTS])
    path = tmp_path / "stack.h5"
    path.write_bytes(files.pyfai_file(rows, errors=True, wavelength=4.13e-11))
    series = read(path)
    assert len(series.frames) == 3
    for frame, row in zip(series.frames, rows, strict=True):
        np.testing.assert_array_equal(frame.intensity, row)
        np.testing.assert_allclose(frame.sigma(), np.sqrt(row))
        assert frame.radiation is not None
        assert frame.radiation.alpha1 == pytest.approx(0.413)


# --- gaps, backgrounds, zeros that were not counted -----------------------------------------------------------------


@pytest.mark.parametrize("errors", [True, False])
def test_dead_modules_are_masked_and_counted(errors: bool, tmp_path: Path) -> None:
    rows = [[f"{x:.4f}", f"{y:.0f}", *([f"{2 + y:.0f}"] if errors else [])] for x, y in zip(AXIS, COUNTS, strict=True)]
    for row in rows[50:90]:
        row[1:] = ["nan"] * (len(row) - 1)
    frame = frame_of(tmp_path, "\n".join(map(" ".join, rows)).encode())
    assert frame.use is not None
    assert np.flatnonzero(~frame.use).tolist() == list(range(50, 90))
    np.testing.assert_array_equal(frame.intensity[frame.use], COUNTS[frame.use])
    assert np.isinf(frame.sigma()[50:90]).all()
    assert np.isfinite(frame.sigma()[frame.use]).all()
    assert frame.metadata["masked"].startswith("16 deg (nan)")
    falling = frame_of(tmp_path, "\n".join(map(" ".join, rows[::-1])).encode())
    assert falling.use is not None
    np.testing.assert_array_equal(falling.use, frame.use)


def test_a_subtracted_background_needs_the_errors_of_the_file(tmp_path: Path) -> None:
    values = COUNTS - 80.5
    rows = [f"{x:.4f} {y:.3f} {np.sqrt(c):.3f}" for x, y, c in zip(AXIS, values, COUNTS, strict=True)]
    frame = frame_of(tmp_path, "\n".join(rows).encode())
    np.testing.assert_allclose(frame.intensity, values, atol=1e-3)
    with pytest.raises(DataError, match="negative"):
        frame_of(tmp_path, "\n".join(row.rsplit(" ", 1)[0] for row in rows).encode())


def test_zeros_after_counts_are_cut_off_and_told(tmp_path: Path) -> None:
    data = bytearray(files.raw_1())
    data[-4 * 100 - 2 :] = bytes(4 * 100 + 2)  # the copy ends within a number
    frame = frame_of(tmp_path, bytes(data))
    assert POINTS - 102 <= frame.axis.size <= POINTS - 100
    np.testing.assert_array_equal(frame.intensity[:-1], COUNTS[: frame.axis.size - 1])
    assert "zeros from" in frame.metadata["cut"]


def test_zeros_that_were_counted_stay(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    for level in (0.05, 0.3, 1.0):
        counts = rng.poisson(level, AXIS.size)
        counts[:3] = 1, 2, 1
        rows = [f"{x:.4f} {y:d}" for x, y in zip(AXIS, counts, strict=True)]
        assert frame_of(tmp_path, "\n".join(rows).encode()).axis.size == POINTS


# --- STOE and PANalytical -------------------------------------------------------------------------------------------


def test_a_stoe_file_has_its_times_and_loses_k_alpha_2_behind_a_germanium_monochromator(tmp_path: Path) -> None:
    frame = frame_of(tmp_path, files.stoe())
    assert frame.start_time is not None
    assert frame.start_time.isoformat() == "2010-03-04T20:59:00"
    assert frame.duration_s == 3 * 3600
    assert (frame.time_per_step_s, frame.sample) == (12.5, "powder")
    single = frame_of(tmp_path, files.stoe(monochromator=102)).radiation
    assert single is not None
    assert single.alpha2 is None
    assert single.anode == "Cu"


def test_a_stoe_file_whose_numbers_were_changed_holds_no_counts_and_a_scan_of_omega_is_refused(tmp_path: Path) -> None:
    assert frame_of(tmp_path, files.stoe(history=1 << 6)).intensity_unit == "arbitrary"
    with pytest.raises(ReaderError, match="omega"):
        frame_of(tmp_path, files.stoe(scan_type=2))
    damaged = bytearray(files.stoe())
    damaged[-200:] = bytes(200)
    with pytest.raises(ReaderError, match="declares counts"):
        frame_of(tmp_path, bytes(damaged))


def test_the_whole_counts_of_nxxrd_pan_are_counts_although_called_a_rate(tmp_path: Path) -> None:
    frame = frame_of(tmp_path, files.xrd_pan())
    assert frame.intensity_unit == "counts"
    assert frame.time_per_step_s == 12.5
    assert frame.radiation is not None
    assert frame.radiation.ratio == 0.5
    assert frame.radiation.anode == "Cu"


# --- the files themselves -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "points", "start", "stop", "wavelength"),
    [
        ("FAP.XRA", 5753, 15.0, 130.04, None),
        ("std_padded.gsas", 2493, 10.0, 59.84, None),
        ("example_11bm_header.xye", 575, 0.5, 1.0731, 0.414581),
        ("brk_raw2.raw", 7251, 5.0, 150.0, 1.5406),
        ("example_evadiffract.xy", 28, 5.0001, 5.2743, ALPHA1),
        ("pyfai_multi.h5", 1500, 1.0, 25.0, None),
        ("zero_sigma.xye", 2500, 10.0, 59.98, None),
        ("pyfai_nan.dat", 1500, 5.0 / 10, 60.0 / 10, 0.413),
        ("incomplete_zero.raw", 547, 10.0, 29.9164, 1.5406),
    ],
)
def test_real_files_give_their_points_range_and_wavelength(
    name: str, points: int, start: float, stop: float, wavelength: float | None, shared_data: Path
) -> None:
    frame = read(shared_data.parent / "cases" / "xrd_files" / name).frames[0]
    assert frame.axis.size == points
    assert frame.axis[[0, -1]] == pytest.approx([start, stop], abs=1e-4)
    assert (None if frame.radiation is None else frame.radiation.alpha1) == pytest.approx(wavelength)


def test_real_gaps_are_counted_and_a_real_copy_of_half_a_file_is_cut(shared_data: Path) -> None:
    cases = shared_data.parent / "cases"
    gaps = read(cases / "xrd_files" / "pyfai_nan.dat").frames[0]
    assert gaps.use is not None
    assert (~gaps.use).sum() == 40
    cut = read(cases / "incomplete" / "bruker_tail_of_zeros.RAW").frames[0]
    whole = read(shared_data / "xrd" / "licoo2_lab" / "LiCoO2.RAW").frames[0]
    assert cut.axis.size == 2385
    np.testing.assert_array_equal(cut.intensity, whole.intensity[:2385])


def test_two_zeros_after_hundreds_of_counts_are_masked(shared_data: Path) -> None:
    frame = read(shared_data.parent / "cases" / "xrd_files" / "FAP.XRA").frames[0]
    assert frame.use is not None
    assert np.flatnonzero(~frame.use).tolist() == [5751, 5752]
    assert frame.metadata["masked"] == "130.02 deg (0), 130.04 deg (0)"


def test_a_real_uxd_that_was_cut_is_refused(shared_data: Path) -> None:
    with pytest.raises((ReaderError, DataError), match="part of a number"):
        read(shared_data.parent / "cases" / "incomplete" / "cut.UXD")
