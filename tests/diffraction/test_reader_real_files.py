"""Real files open with the number of points, the range and the wavelength that their own headers state."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from layerscope.diffraction.readers import read
from xrd_series import left_out, on_one_axis

from layerscope.errors import ReaderError


@pytest.fixture
def xrd(shared_data: Path) -> Path:
    return shared_data / "xrd"


def test_the_lab_pattern_is_the_same_in_four_formats(xrd: Path) -> None:
    frames = {name: read(xrd / "licoo2_lab" / f"LiCoO2.{name}").frames[0] for name in ("RAW", "UXD", "xye", "dat")}
    for frame in frames.values():
        assert frame.axis.size == 4001
        np.testing.assert_array_equal(frame.intensity, frames["RAW"].intensity)
        assert frame.intensity_unit == "counts"
    np.testing.assert_allclose(frames["UXD"].axis, frames["RAW"].axis, atol=1e-9)
    # The two converted files start 0.015 degrees later, by half a step.
    for name in ("xye", "dat"):
        np.testing.assert_allclose(frames[name].axis, frames["RAW"].axis + 0.015, atol=1e-6)
    assert frames["RAW"].axis[[0, -1]] == pytest.approx([15.985, 135.985])
    np.testing.assert_allclose(frames["xye"].sigma(), np.sqrt(frames["RAW"].intensity), rtol=1e-3)


def test_the_lab_pattern_has_its_wavelengths(xrd: Path) -> None:
    uxd = read(xrd / "licoo2_lab/LiCoO2.UXD").frames[0].radiation
    raw = read(xrd / "licoo2_lab/LiCoO2.RAW").frames[0].radiation
    assert uxd is not None
    assert raw is not None
    assert (uxd.alpha1, uxd.alpha2, uxd.ratio, uxd.anode) == (1.5406, 1.54443, 0.514, "Cu")
    assert (raw.alpha1, raw.alpha2) == pytest.approx((1.5406, 1.54443), abs=1e-6)


@pytest.mark.parametrize(
    ("name", "points", "start", "stop", "time"),
    [
        ("Li2CO3_0p9001-ZrO2_0p1000--8min", 8282, 10.00943322, 99.99442286, 12.495),
        ("TiO2_0p4009-ZnO_0p6010--2min", 2071, 10.02173288, 99.99585608, 10.965),
        ("TiO2_0p4009-ZnO_0p6010--8min", 8282, 10.00943322, 99.99442286, 12.495),
        ("V2O5_0p6008-ZnO_0p4010--8min", 8282, 10.00943322, 99.99442286, 12.495),
    ],
)
def test_weighed_mixtures_have_their_points_and_range(
    name: str, points: int, start: float, stop: float, time: float, xrd: Path
) -> None:
    frame = read(xrd / "weighed_mixtures" / f"{name}.xrdml").frames[0]
    assert frame.axis.size == points
    assert (frame.axis[0], frame.axis[-1]) == (start, stop)
    assert frame.time_per_step_s == time
    assert frame.radiation is not None
    assert (frame.radiation.alpha1, frame.radiation.alpha2, frame.radiation.ratio) == (1.540598, 1.544426, 0.5)
    assert frame.clock == "aware"
    assert frame.sample == name


def test_a_folder_of_different_mixtures_is_no_series_by_itself(xrd: Path) -> None:
    with pytest.raises(ReaderError, match="not certain which files are meant"):
        read(xrd / "weighed_mixtures")
    series = read(xrd / "weighed_mixtures", members="*.xrdml")
    assert [f.axis.size for f in series.frames] == [8282, 2071, 8282, 8282]
    assert left_out(series) == [1]


def test_the_operando_series_stops_before_the_repeated_result(xrd: Path) -> None:
    series = read(xrd / "operando_spinel_lab/rybakov_operando_raw.zip")
    assert len(series) == 100
    assert [f.source for f in series.frames[:3]] == ["1.txt", "2.txt", "3.txt"]
    assert series.skipped == ("charge.txt",)
    assert not left_out(series)
    assert on_one_axis(series).axis.shape == (3517,)
    assert on_one_axis(series).axis[[0, -1]] == pytest.approx([22.112, 72.8833])
    assert {f.intensity_unit for f in series.frames} == {"arbitrary"}  # 603.33 is no count
    radiation = series.frames[0].radiation
    assert radiation is not None
    assert (radiation.alpha1, radiation.alpha2, radiation.ratio) == (1.5406, 1.54439, 0.497)
    assert series.frames[0].clock == "none"
    assert series.frames[0].sample == "Ячейка LCoV 16-09-2022"


def test_the_simulated_sequence_has_a_frame_for_each_row_of_its_truth(xrd: Path) -> None:
    series = read(xrd / "sequence_o3_h13.zip")
    with zipfile.ZipFile(xrd / "sequence_o3_h13.zip") as archive:
        truth = list(csv.DictReader(io.StringIO(archive.read("truth.csv").decode())))
    assert len(series) == len(truth) == 50
    assert on_one_axis(series).axis.shape == (3001,)
    assert on_one_axis(series).axis[[0, -1]] == pytest.approx([15.0, 75.0])
    assert {f.intensity_unit for f in series.frames} == {"counts"}


def test_the_neutron_sequence_has_temperatures_and_points_that_were_not_measured(xrd: Path) -> None:
    series = read(xrd / "sequence_neutron/ed-26.zip")
    assert len(series) == 46
    assert on_one_axis(series).axis.shape == (1507,)  # 1509 steps of 0.1 without 64.6953 and 102.7953
    assert on_one_axis(series).axis[[0, -1]] == pytest.approx([0.0953, 150.8953])
    temperatures = [f.temperature_K for f in series.frames]
    assert temperatures[0] == 52.345
    assert temperatures[-1] == 497.379
    for frame in series.frames:
        assert int(np.isinf(frame.sigma()).sum()) == 2  # the two last rows are 0.000 0.000
    assert "Co2SiO4" in series.frames[0].sample


def test_the_certified_lab6_scan_is_the_measured_block_only(xrd: Path) -> None:
    pytest.importorskip("gemmi")
    series = read(xrd / "nist_660c/nist_srm660c_100a.cif")
    (frame,) = series.frames
    assert frame.axis.size == 5332  # _pd_proc_number_of_points
    assert frame.axis[[0, -1]] == pytest.approx([20.3001, 150.9081], abs=2e-4)
    assert frame.metadata["block"].endswith("_meas")
    assert frame.radiation is not None
    assert (frame.radiation.anode, frame.radiation.source) == ("Cu", "anode")
    assert frame.temperature_K == pytest.approx(294.0)
    # Mendenhall 2018: the weight is tau^2 / (N + 1); the first point counted 38 in 2 s.
    assert frame.intensity[0] == 19.0
    assert frame.sigma()[0] == pytest.approx(np.sqrt(39) / 2, rel=3e-3)


def test_the_synchrotron_frames_have_their_own_errors(xrd: Path) -> None:
    series = read(xrd / "operando_coin_cell/coincell8.zip")
    assert len(series) == 5
    assert on_one_axis(series).axis.shape == (16553,)
    assert on_one_axis(series).axis[[0, -1]] == pytest.approx([2.08, 68.312])
    assert [Path(f.source).name[:7] for f in series.frames] == ["1355639", "1355647", "1355655", "1355663", "1355671"]
    assert all(f.variance is not None for f in series.frames)


def test_what_is_no_pattern_is_refused(xrd: Path) -> None:
    for name in ("cif/H1-3.cif", "licoo2_lab/4505482.cif", "nmc811_q_a_c.tsv"):
        with pytest.raises(ReaderError):
            read(xrd / name)


def test_real_files_that_are_cut_off_are_refused(xrd: Path, tmp_path: Path) -> None:
    pytest.importorskip("gemmi")
    sources = [
        xrd / "licoo2_lab/LiCoO2.RAW",
        xrd / "licoo2_lab/LiCoO2.dat",
        xrd / "weighed_mixtures/TiO2_0p4009-ZnO_0p6010--2min.xrdml",
        xrd / "sequence_o3_h13.zip",
    ]
    for source in sources:
        data = source.read_bytes()
        for share in (0.3, 0.7, 0.99):
            cut = tmp_path / source.name
            cut.write_bytes(data[: int(share * len(data))])
            with pytest.raises(ReaderError):
                read(cut)
    scan = zipfile.ZipFile(xrd / "operando_spinel_lab/rybakov_operando_raw.zip").read("7.txt")
    for share in (0.2, 0.5, 0.8, 0.999):
        cut = tmp_path / "7.txt"
        cut.write_bytes(scan[: int(share * len(scan))])
        with pytest.raises(ReaderError):
            read(cut)
