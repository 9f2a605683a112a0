"""One registry finds files and formats for every technique: folders, archives, patterns; all errors are typed."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from layerscope.errors import DataError, ReaderError, RecipeError
from layerscope.measured.files import RawFile, fingerprint
from layerscope.measured.formats import Formats
from layerscope.measured.measurement import Measurement, Recording
from layerscope.runs.recipe import resolve_inside


def module(name: str, mark: bytes) -> ModuleType:
    """Return a reader of files that begin with a mark: numbers, one curve a line."""
    made = ModuleType(name)

    def read(raw: RawFile, columns: object = None) -> list[Measurement]:
        lines = [line.split() for line in raw.data.removeprefix(mark).decode().splitlines() if line.strip()]
        rows = [np.array(line, dtype=float) for line in lines]
        return [
            Measurement(np.arange(row.size, 0.0, -1.0), row, metadata={"mark": name, "n": str(len(row))})
            for row in rows
        ]

    made.sniff = lambda raw: raw.data.startswith(mark)  # type: ignore[attr-defined]
    made.read = read  # type: ignore[attr-defined]
    return made


@pytest.fixture
def formats(monkeypatch: pytest.MonkeyPatch) -> Formats[Recording[Measurement]]:
    for name, mark in (("alpha", b"A "), ("beta", b"B "), ("columns", b"+")):
        monkeypatch.setitem(sys.modules, f"made_up.readers.{name}", module(name, mark))
    return Formats("made_up.readers", ("alpha", "beta", "columns"), Recording[Measurement], version="7")


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.txt").write_text(text)
    return folder


FIVE = "1 2 3 4 5"


def test_a_file_is_taken_by_one_format_and_plain_columns_take_what_is_left(
    formats: Formats[Recording[Measurement]], tmp_path: Path
) -> None:
    folder = write(tmp_path, a=f"A {FIVE}", b=f"B {FIVE}", c=f"+{FIVE}")
    assert [formats.sniffed(folder / f"{n}.txt") for n in "abc"] == [["alpha"], ["beta"], ["columns"]]


def test_what_is_read_knows_its_place_is_ascending_and_says_what_read_it(
    formats: Formats[Recording[Measurement]], tmp_path: Path
) -> None:
    found = formats.read(write(tmp_path, a=f"A {FIVE}\n5 4 3 2 1") / "a.txt")
    assert [(m.index, m.scan, m.source) for m in found.measurements] == [(0, 0, "a.txt"), (1, 1, "a.txt")]
    assert found.measurements[0].axis.tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert found.measurements[0].intensity.tolist() == [5.0, 4.0, 3.0, 2.0, 1.0]
    assert found.measurements[1].metadata == {"mark": "alpha", "n": "5"}
    entry = found.input_file("a.txt", "all")
    assert (entry.reader, entry.reader_version, entry.selector) == ("made_up alpha", "7", "all")
    assert (entry.sha256, entry.size) == fingerprint(tmp_path / "a.txt")


def test_a_folder_a_pattern_and_an_archive_give_the_same_series(
    formats: Formats[Recording[Measurement]], tmp_path: Path
) -> None:
    names = [f"s_{i}" for i in range(1, 12)]
    folder = write(tmp_path / "in", **{n: f"A {i} 1 1 1 1" for i, n in enumerate(names)})
    (folder / "notes.md").write_text("of that day")
    archive = tmp_path / "in.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        for file in folder.iterdir():
            zipped.write(file, file.name)
    ways = [formats.read(way) for way in (folder, tmp_path / "in" / "s_*.txt", archive)]
    ways.append(formats.read(folder, members="s_*.txt"))
    for found in ways:
        assert [m.source for m in found.measurements] == [f"{n}.txt" for n in names]
        assert [m.intensity[-1] for m in found.measurements] == list(range(11))
    assert [found.skipped for found in ways] == [("notes.md",), (), ("notes.md",), ("notes.md",)]
    assert ways[1].sha256 == fingerprint(tmp_path / "in" / "s_*.txt")[0]


def test_whatever_a_reader_raises_names_the_file(
    formats: Formats[Recording[Measurement]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, a=f"A {FIVE}") / "a.txt"

    def broken(raw: RawFile) -> list[Measurement]:
        raise AttributeError("nothing there")

    monkeypatch.setattr(sys.modules["made_up.readers.alpha"], "read", broken)
    with pytest.raises(ReaderError, match=r"a\.txt: the content is damaged \(alpha\): AttributeError: nothing there"):
        formats.read(path)


def test_what_cannot_be_used_ends_the_reading_or_is_listed(
    formats: Formats[Recording[Measurement]], tmp_path: Path
) -> None:
    folder = write(tmp_path / "in", s_1=f"A {FIVE}", s_2="A 1 2", s_3="A x", s_4=f"A {FIVE}\n1 2 3 4 -5")
    with pytest.raises(DataError, match=r"in: s_2\.txt: frame 1 .*only 2 points"):
        formats.read(folder)
    found = formats.read(folder, on_error="collect")
    assert [(m.index, m.source, m.scan) for m in found.measurements] == [(0, "s_1.txt", 0), (3, "s_4.txt", 0)]
    assert [(p.index, p.source, p.kind) for p in found.problems] == [
        (1, "s_2.txt", "data"),
        (2, "s_3.txt", "reader"),
        (4, "s_4.txt", "data"),
    ]


def test_a_recipe_may_name_a_folder_or_a_pattern_inside_its_own_folder(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    write(home / "in", s_1=FIVE, s_2=FIVE)
    (tmp_path / "secret.txt").write_text("secret")
    assert resolve_inside(home, "in") == home / "in"
    assert resolve_inside(home, "in/s_*.txt") == home / "in" / "s_*.txt"
    with pytest.raises(ReaderError, match="there is no such file"):
        resolve_inside(home, "in/t_*.txt")
    before = fingerprint(home / "in")
    (home / "in" / "s_2.txt").write_text("5 4 3 2 1")
    assert fingerprint(home / "in") != before
    (home / "in" / "s_3.txt").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(RecipeError, match="leads out of the recipe's folder"):
        resolve_inside(home, "in/s_*.txt")
