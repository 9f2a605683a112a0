"""A run folder that others made: nothing outside it is read or written, nothing hangs, every fault has its error."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from layerscope.cli import main
from layerscope.errors import StoreError, printable
from layerscope.measured.files import RawFile
from layerscope.measured.markup import parse_xml
from layerscope.runs.execute import execute
from layerscope.runs.export import export_run
from layerscope.runs.load import load_run
from layerscope.runs.rebuild import rebuild_run
from layerscope.runs.validate import validate_run

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
SECRET = b"SECRET " * 20


@pytest.fixture(autouse=True)
def _nothing_hangs() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TimeoutError("it hangs")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def run_folder(recipe_folder: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished run of the recipe, copied from one that was made once."""
    made = tmp_path_factory.getbasetemp() / "hostile"
    if not made.is_dir():
        execute(recipe_folder / "recipe.toml", made, figures=False)
    shutil.copytree(made, tmp_path / "run")
    return tmp_path / "run"


def pipe(path: Path, _: Path) -> None:
    os.mkfifo(path)


def link(path: Path, secret: Path) -> None:
    path.symlink_to(secret)


def device(path: Path, _: Path) -> None:
    path.symlink_to("/dev/zero")


def one_of(folder: Path) -> Path:
    return next(path for path in sorted(folder.iterdir()) if not path.name.startswith("."))


PLACES: dict[str, Callable[[Path], Path]] = {
    "a record": lambda run: one_of(run / "records"),
    "an array": lambda run: one_of(run / "arrays"),
    "the table": lambda run: run / "quantities.parquet",
    "run.json": lambda run: run / "run.json",
}


@pytest.mark.parametrize("harm", [pipe, link, device])
@pytest.mark.parametrize("place", PLACES)
def test_what_is_no_plain_file_is_named_and_never_opened(
    place: str, harm: Callable[[Path, Path], None], run_folder: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(SECRET)
    path = PLACES[place](run_folder)
    path.unlink()
    harm(path, secret)
    try:
        told = [f"{problem.source} {problem.message}" for problem in validate_run(run_folder)]
    except StoreError as error:
        told = [str(error)]
    assert any(path.name in line for line in told)
    out = tmp_path / "out"
    for form in ("csv", "nexus"):
        try:
            export_run(load_run(run_folder), form, out)
        except StoreError as error:
            assert path.name in str(error) or "run.json" in str(error)  # noqa: PT017
    copied = [file for file in out.rglob("*") if file.is_file()] if out.is_dir() else []
    assert not [file for file in copied if SECRET[:6] in file.read_bytes()]


@pytest.mark.parametrize("name", ["records", "arrays", "figures", "superseded", "attachments", "export"])
def test_a_folder_that_is_a_link_is_refused_before_anything_is_read_or_written(
    name: str, run_folder: Path, recipe_folder: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    if (run_folder / name).is_dir():
        shutil.move(run_folder / name, elsewhere)
    else:
        elsewhere.mkdir()
    before = sorted(elsewhere.iterdir())
    (run_folder / name).symlink_to(elsewhere)
    for use in (load_run, validate_run, rebuild_run, lambda run: execute(recipe_folder / "recipe.toml", run)):
        with pytest.raises(StoreError, match="is a link"):
            use(run_folder)
    assert sorted(elsewhere.iterdir()) == before


def test_a_lock_that_is_a_pipe_does_not_stop_a_run_for_ever(run_folder: Path, recipe_folder: Path) -> None:
    (run_folder / ".lock").unlink()
    os.mkfifo(run_folder / ".lock")
    for use in (rebuild_run, lambda run: execute(recipe_folder / "recipe.toml", run)):
        with pytest.raises(StoreError, match="is no file"):
            use(run_folder)


@pytest.mark.parametrize("file", ["../secret", "/etc/passwd", "arrays/../../secret"])
def test_hashes_of_files_outside_are_not_told(file: str, run_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(SECRET)
    info = json.loads((run_folder / "run.json").read_text())
    info["figures"] = {file: "0" * 64}
    (run_folder / "run.json").write_text(json.dumps(info))
    assert any("leads out of the run folder" in problem.message for problem in validate_run(run_folder))


@pytest.mark.parametrize("value", [[1], {"a": 1}, 5, None])
@pytest.mark.parametrize("key", ["counts", "records", "arrays", "figures", "title", "warnings", "pipelines", "status"])
def test_a_wrong_type_in_run_json_is_an_error_that_names_the_key(key: str, value: Any, run_folder: Path) -> None:
    info = json.loads((run_folder / "run.json").read_text())
    if key in ("counts", "pipelines") and isinstance(value, dict):
        pytest.skip("a table there is right by its type")
    if key == "warnings" and isinstance(value, list):
        value = {}
    info[key] = value
    (run_folder / "run.json").write_text(json.dumps(info))
    for use in (load_run, validate_run):
        with pytest.raises(StoreError, match=f"run.json: is damaged: {key} is of a wrong type .*rebuild"):
            use(run_folder)


def test_a_terminal_is_not_steered_by_what_a_run_holds(
    run_folder: Path, recipe_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = recipe_folder / "recipe.toml"
    recipe.write_text(recipe.read_text().replace('"LRO"', '"LRO\\u001b]0;owned\\u0007\\u001b[2J"'))
    execute(recipe, run_folder, figures=False)
    shown = ["show", str(run_folder), "--all"]
    for words in (shown, [*shown, "--format", "tsv"], ["check", "\x1b[31mno.toml"]):
        main(words)
    told = "".join(capsys.readouterr())
    assert "\x1b" not in told
    assert "\x07" not in told
    assert "\\x1b]0;owned" in told


def test_signs_that_steer_are_written_out_and_letters_stay() -> None:
    assert printable("Å β 中\n\tx") == "Å β 中\n\tx"
    assert printable("a\x1b[2J\x9b\u202eb\n", keep="") == "a\\x1b[2J\\x9b\\u202eb\\n"


HARMS: dict[str, Callable[[Path], object]] = {
    "run.json cut off": lambda run: (run / "run.json").write_bytes((run / "run.json").read_bytes()[:90]),
    "run.json gone": lambda run: (run / "run.json").unlink(),
    "run.json a list": lambda run: (run / "run.json").write_text("[]"),
    "ledger of noise": lambda run: (run / "ledger.sqlite").write_bytes(os.urandom(5000)),
    "ledger gone": lambda run: (run / "ledger.sqlite").unlink(),
    "table and quarantine gone": lambda run: [(run / n).unlink() for n in ("quantities.parquet", "quarantine.json")],
}


@pytest.mark.parametrize("harm", HARMS)
def test_a_run_is_rebuilt_from_its_records_alone_and_goes_on(harm: str, run_folder: Path, recipe_folder: Path) -> None:
    records = {path.name: path.read_bytes() for path in (run_folder / "records").iterdir()}
    table = (run_folder / "quantities.parquet").read_bytes()
    HARMS[harm](run_folder)
    rebuilt = rebuild_run(run_folder)
    assert rebuilt.records == len(records)
    assert validate_run(run_folder) == []
    assert (run_folder / "quantities.parquet").read_bytes() == table
    summary = execute(recipe_folder / "recipe.toml", run_folder, figures=False)
    assert summary.exit_code == 0
    assert {path.name: path.read_bytes() for path in (run_folder / "records").iterdir()} == records
    assert json.loads((run_folder / "run.json").read_text())["recipe"] == "case/recipe.toml"


@pytest.mark.parametrize("harm", ["run.json cut off", "run.json gone", "run.json a list", "ledger of noise"])
def test_an_error_never_advises_the_command_that_it_ended(harm: str, run_folder: Path, recipe_folder: Path) -> None:
    HARMS[harm](run_folder)
    with pytest.raises(StoreError, match="layerscope rebuild"):
        execute(recipe_folder / "recipe.toml", run_folder, figures=False)


def test_a_damaged_record_is_put_aside_and_the_others_are_kept(run_folder: Path, recipe_folder: Path) -> None:
    path = one_of(run_folder / "records")
    path.write_text("{}")
    rebuilt = rebuild_run(run_folder)
    assert len(rebuilt.remarks) == 1
    assert path.with_name(path.name + ".damaged").exists()
    execute(recipe_folder / "recipe.toml", run_folder, figures=False)
    assert path.exists()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("declaration", ['<!DOCTYPE a SYSTEM "file:///etc/passwd">', '<!DOCTYPE a [<!ENTITY x "y">]>'])
def test_a_document_type_is_refused_in_every_encoding(declaration: str, encoding: str) -> None:
    name = "utf-16" if encoding.startswith("utf-16") else encoding
    data = f'<?xml version="1.0" encoding="{name}"?>{declaration}<a/>'.encode(encoding)
    mark = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}.get(encoding, b"")
    with pytest.raises(Exception, match="declares a document type or entities"):
        parse_xml(RawFile(Path("a.xml"), mark + data, ""))
