"""Every format gives back the pattern that was written in it, and says when it is not whole."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import h5py
import numpy as np
import pytest
import xrd_files as files
from layerscope.diffraction.dataset import Pattern, PatternSeries
from layerscope.diffraction.readers import read
from layerscope.diffraction.recipe_series import PatternColumnsTable
from xrd_files import ALPHA1, ALPHA2, AXIS, COUNTS, FORMATS, POINTS, START, STEP
from xrd_series import left_out

from layerscope.errors import DataError, LayerscopeError, MissingDependencyError, ReaderError

EVERY = pytest.mark.parametrize("name", FORMATS)


def read_bytes(folder: Path, data: bytes, name: str = "file.bin", **options: object) -> PatternSeries:
    path = folder / name
    path.write_bytes(data)
    return read(path, **options)  # type: ignore[arg-type]


def only(series: PatternSeries) -> Pattern:
    (frame,) = series.frames
    return frame


@EVERY
def test_the_written_pattern_comes_back_whatever_the_extension(name: str, tmp_path: Path) -> None:
    if name == "pdCIF":
        pytest.importorskip("gemmi")
    series = read_bytes(tmp_path, FORMATS[name].write())
    frame = only(series)
    assert series.format == FORMATS[name].reader
    assert frame.axis.size == POINTS
    np.testing.assert_allclose(frame.axis, AXIS, rtol=0, atol=FORMATS[name].axis_tolerance)
    np.testing.assert_array_equal(frame.intensity, COUNTS)
    np.testing.assert_allclose(frame.sigma(), np.sqrt(COUNTS), rtol=2e-3)
    assert frame.axis_kind == "two_theta"
    assert frame.metadata["points_declared"] == ("yes" if FORMATS[name].declares and name != "XRDML" else "no")


@EVERY
def test_the_wavelength_comes_back(name: str, tmp_path: Path) -> None:
    if name == "pdCIF":
        pytest.importorskip("gemmi")
    radiation = only(read_bytes(tmp_path, FORMATS[name].write())).radiation
    if not FORMATS[name].wavelength:
        assert radiation is None
        return
    assert radiation is not None
    assert radiation.alpha1 == pytest.approx(ALPHA1, abs=1e-6)
    assert radiation.alpha2 == pytest.approx(ALPHA2, abs=1e-6)
    assert radiation.source == "file"


@EVERY
def test_a_truncated_scan_is_never_a_shorter_pattern(name: str, tmp_path: Path) -> None:
    if name == "pdCIF":
        pytest.importorskip("gemmi")
    data = FORMATS[name].write()
    for share in np.linspace(0.02, 0.985, 24):
        cut = data[: int(share * len(data))]
        try:
            frames = read_bytes(tmp_path, cut).frames
        except (ReaderError, DataError) as error:
            named = str(error)
        else:
            if np.array_equal(frames[0].intensity, COUNTS):
                continue  # what was cut off came after the measured pattern
            # Formats that do not state their length cannot know; they must say so.
            assert not FORMATS[name].declares, f"{name} cut at {share:.2f} gave {frames[0].axis.size} points"
            assert frames[0].metadata["points_declared"] == "no"
            continue
        assert "file.bin" in named


@EVERY
def test_damaged_bytes_give_a_typed_error_or_a_checked_pattern(name: str, tmp_path: Path) -> None:
    if name == "pdCIF":
        pytest.importorskip("gemmi")
    original = np.frombuffer(FORMATS[name].write(), dtype=np.uint8)
    rng = np.random.default_rng(7)
    for _ in range(12):
        data = original.copy()
        places = rng.integers(0, data.size, size=int(rng.integers(1, 30)))
        data[places] = rng.integers(0, 256, size=places.size)
        try:
            series = read_bytes(tmp_path, data.tobytes())
        except LayerscopeError:
            continue
        for frame in series.frames:
            frame.check()


@pytest.mark.parametrize(
    "head", [b"", b"RAW ", b"RAW2", b"RAW1.01", b"RAW4.00", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n", b"\xff\xfe"]
)
def test_binary_noise_gives_a_typed_error(head: bytes, tmp_path: Path) -> None:
    rng = np.random.default_rng(len(head))
    for size in (1, 30, 800, 5000):
        with pytest.raises((ReaderError, DataError), match=r"file\.bin"):
            read_bytes(tmp_path, head + rng.bytes(size))


def test_an_empty_file_and_a_missing_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(ReaderError, match=r"file\.bin.*empty"):
        read_bytes(tmp_path, b"")
    with pytest.raises(ReaderError, match=r"absent\.xy.*does not exist"):
        read(tmp_path / "absent.xy")


def test_times_are_aware_only_where_the_file_gives_a_zone(tmp_path: Path) -> None:
    xrdml = only(read_bytes(tmp_path, files.xrdml()))
    assert xrdml.start_time == datetime(2024, 11, 14, 14, 21, 9, tzinfo=timezone(timedelta(hours=-8)))
    assert xrdml.duration_s == 487.0
    assert only(read_bytes(tmp_path, files.rasx())).start_time == datetime(2021, 5, 5, 10, 35, 31, tzinfo=UTC)
    naive = only(read_bytes(tmp_path, files.ras()))
    assert naive.start_time == datetime(2017, 11, 21, 8, 32, 31)
    assert naive.clock == "naive"
    assert only(read_bytes(tmp_path, files.raw_4())).start_time == datetime(2010, 3, 4, 20, 59, 14)
    # The date of the result-vector format is that of saving, one second for a hundred scans.
    assert only(read_bytes(tmp_path, files.result_vector())).clock == "none"


# columns


def test_a_header_names_columns_and_their_units(tmp_path: Path) -> None:
    q = 4 * np.pi * np.sin(np.radians(AXIS / 2)) / ALPHA1
    lines = "\n".join(f"{10 * x:.8f}\t{y:.0f}" for x, y in zip(q, COUNTS, strict=True))
    frame = only(read_bytes(tmp_path, f"# pyFAI\n# Wavelength: {ALPHA1}e-10 m\n# q_nm^-1 I\n{lines}".encode()))
    assert frame.axis_kind == "q"
    np.testing.assert_allclose(frame.axis, q, atol=1e-8)
    assert frame.radiation is not None
    assert frame.radiation.alpha1 == pytest.approx(ALPHA1)
    np.testing.assert_allclose(frame.to("two_theta").axis, AXIS, atol=1e-6)


def test_radians_named_in_the_header_are_converted(tmp_path: Path) -> None:
    lines = "\n".join(f"{np.radians(x):.10f} {y:.0f}" for x, y in zip(AXIS, COUNTS, strict=True))
    frame = only(read_bytes(tmp_path, f"# 2th_rad I\n{lines}".encode()))
    np.testing.assert_allclose(frame.axis, AXIS, atol=1e-6)


def test_radians_without_a_word_are_refused(tmp_path: Path) -> None:
    lines = "\n".join(f"{np.radians(x):.10f} {y:.0f}" for x, y in zip(AXIS, COUNTS, strict=True))
    with pytest.raises(DataError, match="radians, not degrees"):
        read_bytes(tmp_path, lines.encode())
    given = read_bytes(tmp_path, lines.encode(), columns=PatternColumnsTable(axis_unit="two_theta_rad"))
    np.testing.assert_allclose(only(given).axis, AXIS, atol=1e-6)


def test_more_than_three_columns_need_a_map(tmp_path: Path) -> None:
    text = "\n".join(f"{x:.4f},{y:.0f},{1 / y:.6f},{y:.1f}" for x, y in zip(AXIS, COUNTS, strict=True))
    data = ("x,y_obs,weight,y_calc\n" + text).encode()
    with pytest.raises(ReaderError, match="what the 4 columns mean is not certain"):
        read_bytes(tmp_path, data)
    frame = only(
        read_bytes(tmp_path, data, columns=PatternColumnsTable(axis="x", intensity="y_obs", intensity_unit="counts"))
    )
    np.testing.assert_array_equal(frame.intensity, COUNTS)


def test_a_third_column_that_is_no_error_is_not_taken_for_one(tmp_path: Path) -> None:
    text = "\n".join(f"{x:.4f},{y:.0f},{1 / y:.6f}" for x, y in zip(AXIS, COUNTS, strict=True))
    with pytest.raises(ReaderError, match="not certain"):
        read_bytes(tmp_path, ("x,y_obs,weight\n" + text).encode())


def test_intensities_alone_need_start_and_step(tmp_path: Path) -> None:
    data = "\n".join(f"{y:.0f}" for y in COUNTS).encode()
    with pytest.raises(ReaderError, match="no known format"):
        read_bytes(tmp_path, data)
    plan = PatternColumnsTable(axis=None, intensity=0, start=START, step=STEP)
    np.testing.assert_allclose(only(read_bytes(tmp_path, data, columns=plan)).axis, AXIS)


def test_a_falling_axis_is_turned_round_with_its_errors(tmp_path: Path) -> None:
    data = "\n".join(reversed(files.rows().splitlines())).encode()
    frame = only(read_bytes(tmp_path, data))
    np.testing.assert_allclose(frame.axis, AXIS, atol=1e-9)
    np.testing.assert_array_equal(frame.intensity, COUNTS)
    assert frame.variance is not None
    np.testing.assert_allclose(frame.variance, COUNTS, rtol=2e-3)


def test_an_error_of_zero_is_one_count_or_no_measurement(tmp_path: Path) -> None:
    rows = [(x, y, np.sqrt(y)) for x, y in zip(AXIS, COUNTS, strict=True)]
    rows[5] = (AXIS[5], 0.0, 0.0)
    poisson = only(read_bytes(tmp_path, "\n".join(f"{x:.4f} {y:.4f} {s:.5f}" for x, y, s in rows).encode()))
    assert poisson.sigma()[5] == 1.0
    reduced = only(read_bytes(tmp_path, "\n".join(f"{x:.4f} {y:.4f} {3 * s:.5f}" for x, y, s in rows).encode()))
    assert reduced.sigma()[5] == np.inf
    assert np.isfinite(np.delete(reduced.sigma(), 5)).all()


def test_text_between_rows_and_short_rows_are_named(tmp_path: Path) -> None:
    lines = files.rows().splitlines()
    with pytest.raises(ReaderError, match=r"line 101 is not a row of numbers: 'second scan'"):
        read_bytes(tmp_path, "\n".join([*lines[:100], "second scan", *lines[100:]]).encode(), format="columns")
    with pytest.raises(ReaderError, match=r"line 240 has 2 columns"):
        read_bytes(tmp_path, "\n".join([*lines[:-1], lines[-1].rsplit(" ", 1)[0]]).encode())


def test_bad_values_are_data_errors(tmp_path: Path) -> None:
    for bad, where, reason in (("nan", slice(0, 130), "NaN"), ("-3", slice(9, 10), "negative")):
        lines = [f"{x:.4f} {y:.0f}" for x, y in zip(AXIS, COUNTS, strict=True)]
        lines[where] = [f"{x:.4f} {bad}" for x in AXIS[where]]
        with pytest.raises(DataError, match=rf"file\.bin.*{reason}"):
            read_bytes(tmp_path, "\n".join(lines).encode())


# FullProf


def test_factors_of_the_inter_line_scale_positions_intensities_and_errors(tmp_path: Path) -> None:
    data = files.xydata().replace(b"INTER 1.0 1.0", b"INTER 2.0 0.5")
    frame = only(read_bytes(tmp_path, data))
    np.testing.assert_allclose(frame.axis, 2 * AXIS, atol=1e-9)
    np.testing.assert_allclose(frame.intensity, COUNTS / 2)
    np.testing.assert_allclose(frame.sigma(), np.sqrt(COUNTS) / 2, rtol=1e-3)
    assert frame.temperature_K == 298.5


# Bruker


def test_uxd_ranges_keywords_and_rates(tmp_path: Path) -> None:
    text = files.UXD_HEAD + files.uxd_range() + files.uxd_range("_2THETACOUNTS", 2) + files.uxd_range("_2THETACPS", 3)
    first, second, third = read_bytes(tmp_path, text.encode()).frames
    for frame in (first, second, third):
        np.testing.assert_allclose(frame.axis, AXIS, atol=1e-9)
        np.testing.assert_array_equal(frame.intensity, COUNTS)
    assert [f.scan for f in (first, second, third)] == [0, 1, 2]
    assert third.intensity_unit == "counts/s"
    np.testing.assert_allclose(third.sigma(), np.sqrt(COUNTS * 12.5) / 12.5)


def test_uxd_ranges_without_comments_or_drives_between_them_are_not_lost(tmp_path: Path) -> None:
    short = "\n".join(f"{v:.0f}" for v in COUNTS)
    text = (
        files.UXD_HEAD
        + f"_START={START}\n_STEPSIZE={STEP}\n_COUNTS\n{short}\n"
        + (f"_START=50\n_STEPSIZE=0.1\n_COUNTS\n{short}\n")
    )
    first, second = read_bytes(tmp_path, text.encode()).frames
    assert (first.axis[0], second.axis[0]) == (START, 50.0)
    np.testing.assert_array_equal(second.intensity, COUNTS)
    with pytest.raises(ReaderError, match="the last range has no counts"):
        read_bytes(tmp_path, (text + "_DRIVE='COUPLED'\n_START=60\n").encode())


def test_uxd_that_declares_another_length_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReaderError, match="range 1 declares 241 points, 240 are there"):
        read_bytes(tmp_path, (files.UXD_HEAD + files.uxd_range(declared=POINTS + 1)).encode())


def test_raw_1_reads_further_ranges_with_and_without_their_magic(tmp_path: Path) -> None:
    for magic in (b"RAW ", b""):
        series = read_bytes(tmp_path, files.raw_1(1) + files.raw_1(0, magic))
        assert [f.axis.size for f in series.frames] == [POINTS, POINTS]
        np.testing.assert_array_equal(series.frames[1].intensity, COUNTS)


def test_raw_refuses_what_is_left_over_and_what_cannot_fit(tmp_path: Path) -> None:
    with pytest.raises(ReaderError, match="left over"):
        read_bytes(tmp_path, files.raw_1() + b"\1\2\3\4")
    huge = bytearray(files.raw_3())
    huge[712 + 4 : 712 + 8] = (2**31).to_bytes(4, "little")
    with pytest.raises(ReaderError, match=f"declares {2**31} points, but only 240 are there"):
        read_bytes(tmp_path, bytes(huge))


def test_raw_4_takes_the_first_number_of_wider_points(tmp_path: Path) -> None:
    np.testing.assert_array_equal(only(read_bytes(tmp_path, files.raw_4(stride=8))).intensity, COUNTS)


def test_raw_4_refuses_a_rocking_curve(tmp_path: Path) -> None:
    with pytest.raises(ReaderError, match="'Rocking Curve', not of 2θ"):
        read_bytes(tmp_path, files.raw_4(scan_type=b"Rocking Curve"))


def test_brml_with_an_absorber_has_the_variance_of_the_counts_behind_it(tmp_path: Path) -> None:
    factor = np.where(np.arange(POINTS) > 180, 8.0, 1.0)
    xml = files.brml_xml(COUNTS * factor, factor)
    frame = only(read_bytes(tmp_path, files.archive({"Experiment0/RawData0.xml": xml.encode()})))
    np.testing.assert_allclose(frame.intensity, COUNTS * factor)
    np.testing.assert_allclose(frame.sigma(), np.sqrt(COUNTS) * factor)


def test_brml_with_fewer_rows_than_measured_steps_is_refused(tmp_path: Path) -> None:
    xml = files.brml_xml(declared=POINTS + 7)
    with pytest.raises(ReaderError, match="247 points are declared, 240 are there"):
        read_bytes(tmp_path, files.archive({"Experiment0/RawData0.xml": xml.encode()}))


# PANalytical


def values(name: str, extra: str = "", numbers: np.ndarray = COUNTS) -> str:
    return f'{extra}<{name} unit="counts">{" ".join(f"{v:g}" for v in numbers)}</{name}>'


def test_xrdml_counts_are_multiplied_by_the_attenuation_and_intensities_are_not(tmp_path: Path) -> None:
    factor = np.where(np.arange(POINTS) > 180, 188.0, 1.0)
    listed = f"<beamAttenuationFactors>{' '.join(f'{f:g}' for f in factor)}</beamAttenuationFactors>"
    for name, numbers in (("counts", COUNTS), ("intensities", COUNTS * factor)):
        frame = only(read_bytes(tmp_path, files.xrdml(files.xrdml_scan(values=values(name, listed, numbers)))))
        np.testing.assert_allclose(frame.intensity, COUNTS * factor)
        np.testing.assert_allclose(frame.sigma(), np.sqrt(COUNTS) * factor)


def test_xrdml_with_varying_counting_time_becomes_a_rate_with_its_errors(tmp_path: Path) -> None:
    time = np.where(np.arange(POINTS) < 100, 2.0, 8.0)
    listed = f'<countingTimes unit="seconds">{" ".join(f"{t:g}" for t in time)}</countingTimes>'
    frame = only(read_bytes(tmp_path, files.xrdml(files.xrdml_scan(values=values("counts", listed)))))
    assert frame.intensity_unit == "counts/s"
    np.testing.assert_allclose(frame.intensity, COUNTS / time)
    np.testing.assert_allclose(frame.sigma(), np.sqrt(COUNTS) / time)


def test_xrdml_reads_listed_positions_and_several_scans(tmp_path: Path) -> None:
    uneven = AXIS + 0.004 * np.sin(np.arange(POINTS))
    listed = f"<listPositions>{' '.join(f'{x:.6f}' for x in uneven)}</listPositions>"
    series = read_bytes(tmp_path, files.xrdml(files.xrdml_scan(), files.xrdml_scan(listed)))
    assert [f.index for f in series.frames] == [0, 1]
    np.testing.assert_allclose(series.frames[1].axis, uneven, atol=1e-6)
    assert left_out(series) == [1]


def test_xrdml_refuses_a_rocking_curve_and_lists_of_other_lengths(tmp_path: Path) -> None:
    with pytest.raises(ReaderError, match="2Theta does not move"):
        read_bytes(tmp_path, files.xrdml(files.xrdml_scan("<commonPosition>20</commonPosition>", axis="Omega")))
    bad = values("counts", "<beamAttenuationFactors>1 1 1</beamAttenuationFactors>")
    with pytest.raises(ReaderError, match="3 beamAttenuationFactors for 240 intensities"):
        read_bytes(tmp_path, files.xrdml(files.xrdml_scan(values=bad)))


def test_xml_with_entities_is_refused_before_it_is_expanded(tmp_path: Path) -> None:
    bomb = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "cccc">]><xrdMeasurements>&b;</xrdMeasurements>'
    with pytest.raises(ReaderError, match="document type"):
        read_bytes(tmp_path, bomb)


def test_a_wavelength_that_is_not_the_anodes_is_refused(tmp_path: Path) -> None:
    wrong = files.xrdml().replace(str(ALPHA1).encode(), b"0.70932").replace(str(ALPHA2).encode(), b"0.71361")
    with pytest.raises(DataError, match=r"0\.70932 Å does not belong to the anode Cu"):
        read_bytes(tmp_path, wrong)
    assert only(read_bytes(tmp_path, wrong, radiation=ALPHA1)).radiation is not None


# Rigaku


def test_ras_multiplies_by_the_attenuation_and_reads_several_scans(tmp_path: Path) -> None:
    first, second = read_bytes(tmp_path, files.ras(files.ras_scan(), files.ras_scan(4.0))).frames
    np.testing.assert_array_equal(first.intensity, COUNTS)
    np.testing.assert_allclose(second.intensity, 4 * COUNTS)
    np.testing.assert_allclose(second.sigma(), 4 * np.sqrt(COUNTS))


def test_ras_refuses_other_axes_and_other_lengths(tmp_path: Path) -> None:
    with pytest.raises(ReaderError, match="a scan of Omega, not of 2θ"):
        read_bytes(tmp_path, files.ras(files.ras_scan(MEAS_SCAN_AXIS_X_INTERNAL="Omega")))
    with pytest.raises(ReaderError, match="declares 300 points, 240 are there"):
        read_bytes(tmp_path, files.ras(files.ras_scan(MEAS_DATA_COUNT="300")))


def test_a_rate_without_counting_time_has_no_error(tmp_path: Path) -> None:
    frame = only(read_bytes(tmp_path, files.ras(files.ras_scan(MEAS_SCAN_UNIT_Y="cps"))))
    with pytest.raises(DataError, match="the error of the intensity is not known"):
        frame.sigma()


# GSAS


def test_gsas_counters_divide_the_variance(tmp_path: Path) -> None:
    text = files.gsas_std().decode().splitlines()
    cells = "".join(f"{'  ' if i % 2 else ' 4'}{v:6.0f}" for i, v in enumerate(COUNTS))
    body = "\n".join(cells[i : i + 80] for i in range(0, len(cells), 80))
    frame = only(read_bytes(tmp_path, "\n".join([*text[:2], body]).encode()))
    np.testing.assert_array_equal(frame.intensity, COUNTS)
    np.testing.assert_allclose(frame.sigma() ** 2, COUNTS / np.where(np.arange(POINTS) % 2, 1, 4))


def test_gsas_accepts_free_blanks_but_refuses_cells_that_read_two_ways(tmp_path: Path) -> None:
    head = f"title\nBANK 1 {POINTS} {POINTS} CONST {100 * START} {100 * STEP}\n"
    free = "\n".join(" ".join(f"{v:.0f}" for v in COUNTS[i : i + 10]) for i in range(0, POINTS, 10))
    np.testing.assert_array_equal(only(read_bytes(tmp_path, (head + free).encode())).intensity, COUNTS)
    # Seven digits run into the place of the counter: 1 counter and 234567, or 1234567?
    wide = "\n".join(f" {1234567 + i}" for i in range(POINTS))
    with pytest.raises(ReaderError, match="two ways"):
        read_bytes(tmp_path, (head + wide).encode())


def test_gsas_time_of_flight_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReaderError, match="time of flight"):
        read_bytes(tmp_path, files.gsas_fxye().replace(b"CONST", b"SLOG"))


def test_gsas_reads_several_banks(tmp_path: Path) -> None:
    bank = files.gsas_fxye().split(b"\n", 2)[2]
    series = read_bytes(tmp_path, b"title\n" + bank + bank.replace(b"BANK 1", b"BANK 2"))
    assert [f.axis.size for f in series.frames] == [POINTS, POINTS]


# FIT2D


def test_chi_in_q_per_nanometre_is_converted(tmp_path: Path) -> None:
    data = files.chi().replace(b"2-Theta Angle (Degrees)", b"Q Space (Inverse Nanometres)")
    frame = only(read_bytes(tmp_path, data))
    assert frame.axis_kind == "q"
    np.testing.assert_allclose(frame.axis, AXIS / 10, atol=1e-9)


# CIF


def test_pdcif_takes_the_measured_block_and_its_weights(tmp_path: Path) -> None:
    pytest.importorskip("gemmi")
    frame = only(read_bytes(tmp_path, files.pdcif().replace(b"_pd_meas_counts_total", b"_pd_proc_intensity_total")))
    assert frame.metadata["block"] == "powder_meas"
    assert frame.radiation is not None
    assert (frame.radiation.ratio, frame.radiation.anode) == (files.RATIO, "Cu")
    np.testing.assert_allclose(frame.sigma(), np.sqrt(COUNTS), rtol=1e-4)


def test_pdcif_reads_uncertainties_in_brackets_and_points_out_of_the_fit(tmp_path: Path) -> None:
    pytest.importorskip("gemmi")
    body = "\n".join(f"{x:.4f} {y:.2f}(125)" for x, y in zip(AXIS, COUNTS, strict=True))
    text = f"data_a\nloop_\n_pd_meas_2theta_scan\n_pd_meas_intensity_total\n{body}\n"
    np.testing.assert_allclose(only(read_bytes(tmp_path, text.encode())).sigma(), 1.25)
    weights = "\n".join(
        f"{x:.4f} {y:.2f} {0 if i < 3 else 0.25}" for i, (x, y) in enumerate(zip(AXIS, COUNTS, strict=True))
    )
    text = f"data_a\nloop_\n_pd_meas_2theta_scan\n_pd_meas_intensity_total\n_pd_proc_ls_weight\n{weights}\n"
    sigma = only(read_bytes(tmp_path, text.encode())).sigma()
    assert np.isinf(sigma[:3]).all()
    np.testing.assert_allclose(sigma[3:], 2.0)


def test_pdcif_with_a_range_instead_of_positions_counts_its_points(tmp_path: Path) -> None:
    pytest.importorskip("gemmi")
    scan = f"_pd_meas_2theta_range_min {START}\n_pd_meas_2theta_range_max {AXIS[-1]:.4f}\n"
    values = "\n".join(f"{y:.0f}" for y in COUNTS)
    text = f"data_a\n{scan}_pd_meas_2theta_range_inc {STEP}\nloop_\n_pd_meas_counts_total\n{values}\n"
    np.testing.assert_allclose(only(read_bytes(tmp_path, text.encode())).axis, AXIS, atol=1e-6)
    with pytest.raises(ReaderError, match="are not the 235 points"):
        read_bytes(tmp_path, "\n".join(text.splitlines()[:-5]).encode())


def test_pdcif_without_gemmi_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "gemmi", None)
    with pytest.raises(MissingDependencyError, match="pip install"):
        read_bytes(tmp_path, files.pdcif())


# NeXus


def test_nxmonopd_reads_stacks_units_and_temperature(tmp_path: Path) -> None:
    def edit(file: h5py.File) -> None:
        for name in ("instrument/detector/data", "instrument/detector/polar_angle"):
            del file["entry"][name]
        file["entry/instrument/detector/data"] = np.stack([COUNTS, COUNTS + 1])
        file["entry/instrument/detector/polar_angle"] = np.radians(AXIS)
        file["entry/instrument/detector/polar_angle"].attrs["units"] = "rad"

    series = read_bytes(tmp_path, files.nexus_file(edit))
    assert [f.scan for f in series.frames] == [0, 1]
    np.testing.assert_allclose(series.frames[1].axis, AXIS)
    np.testing.assert_array_equal(series.frames[1].intensity, COUNTS + 1)
    assert series.frames[0].temperature_K == 298.5


def test_nxmonopd_refuses_links_to_other_files_and_unknown_units(tmp_path: Path) -> None:
    (tmp_path / "secret.h5").write_bytes(files.nexus_file())

    def link(file: h5py.File) -> None:
        del file["entry/data/data"]
        file["entry/data/data"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "/entry/data/data")

    with pytest.raises(ReaderError, match="link to another file"):
        read_bytes(tmp_path, files.nexus_file(link))

    def unit(file: h5py.File) -> None:
        file["entry/instrument/detector/polar_angle"].attrs["units"] = "furlong"

    with pytest.raises(ReaderError, match="'furlong'"):
        read_bytes(tmp_path, files.nexus_file(unit))


def test_nxmonopd_that_declares_too_much_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    def edit(file: h5py.File) -> None:
        del file["entry/instrument/detector/data"]
        file["entry/instrument/detector"].create_dataset("data", shape=(10**12,), dtype="f8", chunks=(1000,))

    with pytest.raises(ReaderError, match="declares 1000000000000 numbers"):
        read_bytes(tmp_path, files.nexus_file(edit))


def test_options_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ReaderError, match="unknown format 'xml'"):
        read_bytes(tmp_path, files.xye(), format="xml")
    with pytest.raises(ReaderError, match="does not go with"):
        read_bytes(tmp_path, files.xye(), format="uxd", columns=PatternColumnsTable())
    with pytest.raises(DataError, match="in nm, not in Å"):
        read_bytes(tmp_path, files.xye(), radiation=0.15406)
