from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from layerscope.errors import ReaderError, StoreError
from layerscope.measured import files
from layerscope.measured.files import RawFile, load, write_atomic
from layerscope.measured.text import decode, number, numbers


def test_a_loaded_file_has_its_bytes_hash_size_and_name(tmp_path: Path) -> None:
    path = tmp_path / "profile.vms"
    path.write_bytes(b"\x00\xffVAMAS")
    raw = load(str(path))
    assert raw.data == b"\x00\xffVAMAS"
    assert raw.sha256 == hashlib.sha256(b"\x00\xffVAMAS").hexdigest()
    assert (raw.path, raw.size, raw.name, raw.member) == (path, 7, "profile.vms", "")


def test_the_error_of_a_member_names_archive_and_member(tmp_path: Path) -> None:
    raw = RawFile(tmp_path / "frames.zip", b"x", "", "run/f01.xye")
    assert raw.name == "run/f01.xye"
    error = raw.error("it is cut off", hint="copy it again")
    assert isinstance(error, ReaderError)
    assert error.source == f"{tmp_path / 'frames.zip'}: run/f01.xye"
    assert error.hint == "copy it again"


@pytest.mark.parametrize("what", ["absent", "folder", "empty", "null byte"])
def test_a_file_that_cannot_be_read_is_refused_with_its_path_and_the_reason(tmp_path: Path, what: str) -> None:
    path = tmp_path / "a.xy"
    reason = {"absent": "does not exist", "folder": "no.* regular file", "empty": "is empty", "null byte": "null"}[what]
    if what == "folder":
        path.mkdir()
        reason = "not a regular file"
    elif what == "empty":
        path.touch()
    elif what == "null byte":
        path = Path(f"{path}\0")
        reason = "does not exist|null"
    with pytest.raises(ReaderError, match=reason) as caught:
        load(path)
    assert str(caught.value.source) == str(path)


def test_a_file_as_large_as_a_disk_image_is_refused_before_it_is_read(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(b"12345")
    monkeypatch.setattr(files, "LARGEST_FILE", 4)
    monkeypatch.setattr(Path, "read_bytes", lambda self: pytest.fail("it was read"))
    with pytest.raises(ReaderError, match="5 bytes"):
        load(path)


def test_a_write_that_fails_leaves_the_old_file_and_no_temporary_one(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "fig.csv"
    assert write_atomic(path, b"old")
    assert not write_atomic(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["fig.csv"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_the_micro_sign_survives_every_encoding_that_vendors_write(encoding: str) -> None:
    assert decode("Strom / µA\n".encode(encoding)) == "Strom / µA\n"


@pytest.mark.parametrize(
    ("text", "value"), [("1e3", 1000.0), (" -2.5 ", -2.5), ("1,5", None), ("", None), (None, None)]
)
def test_a_number_is_a_number_or_nothing(text: str | None, value: float | None) -> None:
    assert number(text) == value


@pytest.mark.parametrize("text", ["nan", "inf", "-inf"])
def test_what_is_not_finite_is_no_number_of_a_header(text: str) -> None:
    assert number(text) is None


def test_numbers_are_converted_exactly_and_the_one_that_is_none_is_named() -> None:
    texts = ["0.1", "1e-300", "-7"]
    assert numbers(texts).tolist() == [0.1, 1e-300, -7.0]
    assert np.isnan(numbers(["nan"])).all()
    with pytest.raises(ValueError, match=r"value 2 is '1,5', not a number"):
        numbers(["1.5", " 1,5 ", "x"])
