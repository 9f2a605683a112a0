"""What every installed technique must keep, those of packages from outside included: a toy stands for these."""

from __future__ import annotations

import ast
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import h5py
import pytest
from pydantic import BaseModel

from layerscope.flags import name_of, status_of
from layerscope.records import ResultRecord
from layerscope.runs.execute import RunSummary, execute
from layerscope.runs.pipeline import Pipeline, find_pipeline, installed_pipelines
from layerscope.runs.present import summary_tables

from .technique_cases import CASES

ROOT = Path(__file__).resolve().parents[2]
TOY = Path(__file__).with_name("toy_technique")
TYPED = {"reader", "data"}
"""Kinds of problems that a bad file may be: never one that nobody foresaw."""


@pytest.fixture(scope="module", autouse=True)
def toy_installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Install the toy technique as pip would: its package beside the description of its distribution."""
    site = tmp_path_factory.mktemp("site")
    shutil.copytree(TOY / "layerscope_toy_line", site / "layerscope_toy_line")
    info = site / "layerscope_toy_line-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: layerscope-toy-line\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[layerscope.pipelines]\ntoy_line = layerscope_toy_line.pipeline:PIPELINE\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        yield
    for name in [name for name in sys.modules if name.startswith("layerscope_toy_line")]:
        del sys.modules[name]


@pytest.fixture(scope="module", params=CASES)
def technique(request: pytest.FixtureRequest) -> str:
    """Name of a technique's pipeline."""
    return str(request.param)


@pytest.fixture(scope="module")
def case(technique: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of its small case, with its run."""
    folder = tmp_path_factory.mktemp(technique)
    CASES[technique](folder)
    execute(folder / "recipe.toml", folder / "run")
    return folder


@pytest.fixture(scope="module")
def again(case: Path) -> RunSummary:
    """The case run a second time."""
    return execute(case / "recipe.toml", case / "run")


def tables_of(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Yield a model and all models inside it."""
    yield model
    waiting: list[Any] = [field.annotation for field in model.model_fields.values()]
    while waiting:
        one = waiting.pop()
        if isinstance(one, type) and issubclass(one, BaseModel):
            yield from tables_of(one)
        waiting += get_args(one)


def data_files(folder: Path) -> list[Path]:
    """Return the measured files of a case."""
    return [path for path in folder.iterdir() if path.is_file() and path.suffix != ".toml"]


def cut(data: bytes) -> bytes:
    """Return the first half of a file, as a copy leaves it that was broken off."""
    return data[: len(data) // 2]


def garbled(data: bytes) -> bytes:
    """Return a file whose middle was overwritten."""
    third = len(data) // 3
    return data[:third] + bytes(range(256)) * (third // 256 + 1) + data[2 * third :]


def test_every_installed_technique_has_a_case_here() -> None:
    assert set(installed_pipelines()) == set(CASES)


def test_every_key_of_a_recipe_is_described(technique: str) -> None:
    for model in tables_of(find_pipeline(technique).recipe_model):
        silent = [key for key, field in model.model_fields.items() if not field.description]
        assert not silent, f"{model.__name__}: {silent}"


def test_a_case_runs_without_failures_or_warnings_of_its_figures(case: Path, again: RunSummary) -> None:
    assert again.run.records
    assert not again.failed
    assert again.warnings == ()


def test_its_arrays_are_nexus_for_other_programs_too(case: Path) -> None:
    nxdata = pytest.importorskip("silx.io.nxdata", reason="silx is not installed: extra verify")
    scippnexus = pytest.importorskip("scippnexus", reason="scippnexus is not installed: extra verify")
    validation = pytest.importorskip("pynxtools.dataconverter.validation", reason="extra verify")
    files = sorted((case / "run" / "arrays").glob("*.nxs"))
    assert files
    for path in files:
        with h5py.File(path, "r") as file:
            plot = nxdata.get_default(file)
            assert plot is not None, path.name
            assert plot.is_valid, path.name
            entry, place, size = file["entry"], plot.group.name, plot.signal.size
            if "definition" in entry:
                name = entry["definition"].asstr()[()]
                assert validation.validate_hdf_group_against(name, entry, str(path)), (path.name, name)
        with scippnexus.File(path, "r") as file:
            loaded = file[place][()]
        assert loaded.size == size


def test_a_second_run_does_nothing(again: RunSummary) -> None:
    assert (again.done, again.changed) == (0, False)
    assert again.reused > 0


def test_every_refined_number_has_an_error(again: RunSummary) -> None:
    for record in again.run.records:
        for quantity in record.quantities:
            if quantity.value is not None and quantity.role != "fixed":
                assert quantity.sigma, f"{record.method}: {quantity.label}"


def test_a_suspicious_flag_always_warns_and_nothing_else_does(technique: str, again: RunSummary) -> None:
    own = find_pipeline(technique).flags
    assert all(flag.name.startswith("X_") for flag in own)
    for record in again.run.records:
        assert record.status == status_of(record.flags, own), record.flags


def test_the_status_of_a_record_follows_from_its_flags_whatever_they_are(technique: str) -> None:
    from layerscope.flags import FLAGS
    from layerscope.records import FitQuality, SampleState
    from layerscope.runs.pipeline import RunContext

    pipeline: Pipeline = find_pipeline(technique)
    recipe = pipeline.recipe_model.model_construct(layerscope=1, pipeline=technique, title="", sample="S")
    context = RunContext(pipeline, recipe, {})
    for name, flag in FLAGS.items():
        made = context.record(state=SampleState(sample="S"), inputs=(), quality=FitQuality(flags=(f"{name}:x",)))
        assert made.status == ("warning" if flag.severity == "suspicious" else "ok")


def test_levels_name_what_warns_in_their_series(again: RunSummary) -> None:
    from layerscope.flags import FLAGS

    by_id: dict[str, ResultRecord] = {record.record_id: record for record in again.run.records}
    for whole in by_id.values():
        shared = {flag for flag in whole.flags if FLAGS[name_of(flag)].of_series and not flag.endswith("]")}
        levels = [by_id[parent] for parent in whole.parents if parent in by_id]
        if whole.quality is None or whole.quality.redchi is None or len(levels) < 2:
            continue  # it rests on no fit that its levels share
        for level in levels:
            assert shared <= set(level.flags), (whole.method, shared - set(level.flags))


def test_every_figure_stands_beside_its_table_and_its_description(case: Path, again: RunSummary) -> None:
    files = {Path(name) for name in again.run.info["figures"]}
    stems = {file.with_suffix("") for file in files}
    for stem in stems:
        kinds = {file.suffix for file in files if file.with_suffix("") == stem}
        assert kinds >= {".pdf", ".svg", ".png", ".csv", ".json"}, stem
        assert (case / "run" / stem).with_suffix(".csv").stat().st_size > 0


def test_its_tables_have_rows_and_show_the_status_of_every_one(again: RunSummary) -> None:
    tables = summary_tables(again.run)
    assert tables
    for table in tables:
        assert not table.note.startswith("plain table"), table.note
        assert table.rows
        assert "status" in [column.head for column in table.fields]


def test_its_sniffers_take_a_file_for_one_format_and_leave_those_of_others(technique: str, tmp_path: Path) -> None:
    formats = getattr(find_pipeline(technique), "formats", None)
    assert formats is not None, "name the registry of the formats that the pipeline reads: formats = FORMATS"
    for other, write in CASES.items():
        folder = tmp_path / other
        folder.mkdir()
        write(folder)
        for file in data_files(folder):
            found = formats.sniffed(file)
            if file.suffix != ".zip" and find_pipeline(other).formats is formats:
                assert len(found) == 1, (other, file.name, found)
            else:  # plain columns take what no other format knows
                assert set(found) <= {"columns"}, (other, file.name, found)


@pytest.mark.parametrize("harm", [cut, garbled], ids=["cut short", "damaged"])
def test_a_harmed_file_gives_a_typed_error_and_a_failed_record(
    technique: str, harm: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    CASES[technique](tmp_path)
    victim = sorted(data_files(tmp_path))[0]
    victim.write_bytes(harm(victim.read_bytes()))
    found = execute(tmp_path / "recipe.toml", tmp_path / "run", figures=False)
    assert found.failed
    assert found.exit_code in (2, 3)
    for record in found.failed:
        assert record.problem is not None
        assert record.problem.kind in TYPED, record.problem
        assert victim.name in f"{record.problem.source} {record.problem.message}", record.problem
    problems = find_pipeline(technique).check(found_recipe(tmp_path))
    assert {problem.kind for problem in problems} <= TYPED
    assert problems


def found_recipe(folder: Path) -> Any:
    """Return the recipe of a case, located."""
    from layerscope.runs.plan import make_plan

    (planned,) = make_plan(folder / "recipe.toml").recipes
    return planned.recipe


def test_the_core_knows_no_technique_by_name() -> None:
    points = set(installed_pipelines())
    names = points | {find_pipeline(name).technique for name in points}
    for path in sorted((ROOT / "layerscope").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                word = node.value.split(".")[0]
                assert word not in names, f"{path}, line {node.lineno}: {node.value!r}"
