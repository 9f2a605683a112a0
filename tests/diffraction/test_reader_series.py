"""A folder or archive of frames becomes one series in natural order; what is dangerous or not certain is refused."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import xrd_files as files
from layerscope.diffraction.readers import read
from xrd_files import AXIS, COUNTS, POINTS
from xrd_series import left_out, on_one_axis

from layerscope.errors import DataError, ReaderError


def frame(shift: int) -> bytes:
    return "\n".join(f"{x:.4f} {y:.0f}" for x, y in zip(AXIS, COUNTS + shift, strict=True)).encode()


def members(count: int = 12) -> dict[str, bytes]:
    return {f"scan_{i}.xy": frame(i) for i in range(1, count + 1)}


def write_archive(folder: Path, content: dict[str, bytes]) -> Path:
    path = folder / "frames.zip"
    path.write_bytes(files.archive(content))
    return path


def write_folder(folder: Path, content: dict[str, bytes]) -> Path:
    path = folder / "frames"
    path.mkdir()
    for name, data in content.items():
        (path / name).write_bytes(data)
    return path


@pytest.mark.parametrize("write", [write_archive, write_folder])
def test_frames_come_in_natural_order_and_other_files_are_listed(write: object, tmp_path: Path) -> None:
    content = {**members(), "charge.txt": b"00:00:00 3.1 0.0\n00:00:10 3.2 0.0\n", ".hidden_1.xy": b"junk"}
    series = read(write(tmp_path, content))  # type: ignore[operator]
    assert [f.source for f in series.frames] == [f"scan_{i}.xy" for i in range(1, 13)]
    assert [f.index for f in series.frames] == list(range(12))
    np.testing.assert_array_equal(on_one_axis(series).intensity, COUNTS + np.arange(1, 13)[:, None])
    assert series.skipped == ("charge.txt",)
    assert series.format == "columns"


def test_what_macos_adds_and_folders_within_an_archive_do_not_disturb(tmp_path: Path) -> None:
    content = {f"a/b/{name}": data for name, data in members(3).items()}
    content |= {f"__MACOSX/a/b/._{name}": b"\0\1\2" for name in members(3)}
    assert len(read(write_archive(tmp_path, content))) == 3


def test_one_bad_frame_ends_the_reading_or_is_left_out_by_choice(tmp_path: Path) -> None:
    content = members(5)
    content["scan_2.xy"] = frame(0)[:-3] + b"x"
    content["scan_4.xy"] = b"\n".join(f"{x:.4f} 0".encode() for x in AXIS)
    path = write_archive(tmp_path, content)
    with pytest.raises(ReaderError, match=r"scan_2\.xy"):
        read(path)
    series = read(path, on_error="collect")
    assert [f.index for f in series.frames] == [0, 2, 4]
    assert [(p.index, p.kind) for p in series.problems] == [(1, "reader"), (3, "data")]
    assert "zero" in series.problems[1].message


def test_an_empty_frame_is_a_problem_of_that_frame(tmp_path: Path) -> None:
    path = write_folder(tmp_path, {**members(4), "scan_3.xy": b""})
    with pytest.raises(ReaderError, match=r"scan_3\.xy.*empty"):
        read(path)
    assert [p.index for p in read(path, on_error="collect").problems] == [2]


def test_a_series_without_a_usable_frame_is_an_error_even_if_problems_are_collected(tmp_path: Path) -> None:
    zeros = b"\n".join(f"{x:.4f} 0".encode() for x in AXIS)
    with pytest.raises(DataError, match="no measurement can be used"):
        read(write_archive(tmp_path, {f"scan_{i}.xy": zeros for i in range(3)}), on_error="collect")


def test_frames_of_different_lengths_are_read_and_flagged(tmp_path: Path) -> None:
    content = members(3)
    content["scan_2.xy"] = b"\n".join(content["scan_2.xy"].split(b"\n")[:-5])
    series = read(write_archive(tmp_path, content))
    assert [f.axis.size for f in series.frames] == [POINTS, POINTS - 5, POINTS]
    assert left_out(series) == [1]


def test_two_kinds_of_frames_need_a_pattern_of_names(tmp_path: Path) -> None:
    content = {**members(4), **{f"blank_{i}.xy": frame(i) for i in range(2)}}
    path = write_archive(tmp_path, content)
    with pytest.raises(ReaderError, match="not certain which files are meant"):
        read(path)
    assert len(read(path, members="blank_*.xy")) == 2
    with pytest.raises(ReaderError, match="no file fits"):
        read(path, members="*.raw")


def test_a_series_keeps_the_scans_of_each_file_in_order(tmp_path: Path) -> None:
    two = files.xrdml(files.xrdml_scan(), files.xrdml_scan())
    series = read(write_folder(tmp_path, {"run_1.xrdml": two, "run_2.xrdml": two}))
    assert [(f.index, f.source, f.scan) for f in series.frames] == [
        (0, "run_1.xrdml", 0),
        (1, "run_1.xrdml", 1),
        (2, "run_2.xrdml", 0),
        (3, "run_2.xrdml", 1),
    ]


def test_brml_frames_in_an_archive_are_read(tmp_path: Path) -> None:
    assert len(read(write_archive(tmp_path, {f"s{i}.brml": files.brml() for i in range(3)}))) == 3


@pytest.mark.parametrize("name", ["../escape_1.xy", "/etc/escape_1.xy", "a/../../escape_1.xy", "C:\\escape_1.xy"])
def test_a_path_that_leaves_the_archive_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ReaderError, match="leaves the archive"):
        read(write_archive(tmp_path, {**members(3), name: frame(1)}))


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    with pytest.raises(ReaderError, match="grows from"):
        read(write_archive(tmp_path, {**members(2), "zeros.xy": bytes(8_000_000)}))


def test_a_member_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    path = write_archive(tmp_path, {"scan_1.xy": frame(1)})
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        true_size = archive.infolist()[0].file_size
    data = bytearray(bytes(data).replace(true_size.to_bytes(4, "little"), (true_size // 2).to_bytes(4, "little")))
    path.write_bytes(data)
    with pytest.raises(ReaderError, match=r"frames\.zip"):
        read(path)


def test_a_cut_archive_is_refused(tmp_path: Path) -> None:
    path = write_archive(tmp_path, members(4))
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(ReaderError, match="damaged or cut off"):
        read(path)


def test_a_folder_without_patterns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReaderError, match="no file is of a known format"):
        read(write_folder(tmp_path, {"notes.md": b"# nothing here\n"}))


def test_the_hash_of_a_folder_follows_its_frames(tmp_path: Path) -> None:
    path = write_folder(tmp_path, members(3))
    first = read(path).sha256
    assert read(path).sha256 == first
    (path / "scan_2.xy").write_bytes(frame(99))
    assert read(path).sha256 != first
