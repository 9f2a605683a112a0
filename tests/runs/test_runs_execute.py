from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import layerscope
from layerscope.errors import DataError, FitError, MissingDependencyError, RecipeError, StoreError
from layerscope.records import InputFile, SampleState, file_sha256
from layerscope.runs.execute import execute
from layerscope.runs.ledger import Ledger
from layerscope.runs.outcome import ProgressEvent
from layerscope.runs.pipeline import PipelineBase, PipelineOutput, RunContext, find_pipeline
from layerscope.runs.plan import check_plan, make_plan
from layerscope.runs.recipe import PipelineRecipe
from layerscope.runs.validate import validate_run


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def ids(folder: Path) -> list[str]:
    return sorted(path.stem for path in (folder / "records").glob("*.json"))


@pytest.fixture
def study(recipe_folder: Path) -> Path:
    """A study of a good recipe, one with a wrong key, one whose pipeline is unknown, and one that is not there."""
    root = recipe_folder.parent
    for name, text in {
        "wrong_key": 'layerscope = 1\npipeline = "toy"\nsample = "W"\nfiles = ["a"]\nregions = [{nam = "x"}]\n',
        "unknown": 'layerscope = 1\npipeline = "toi"\nsample = "U"\nwhen = 2024-01-01\n',
    }.items():
        (root / name).mkdir()
        (root / name / "recipe.toml").write_text(text)
    path = root / "study.toml"
    names = ", ".join(f'"{name}/recipe.toml"' for name in ("case", "wrong_key", "unknown", "absent"))
    path.write_text(f'layerscope = 1\ntitle = "All"\nrecipes = [{names}]\n')
    return path


def test_a_recipe_gives_records_arrays_a_table_and_a_figure(recipe_folder: Path, tmp_path: Path) -> None:
    summary = execute(recipe_folder / "recipe.toml", tmp_path / "run")
    assert (summary.exit_code, summary.done, summary.reused, summary.warnings) == (0, 2, 0, ())
    run = layerscope.load_run(tmp_path / "run")
    assert len(run.records) == 3
    first = run.select(lambda record: record.state.etch_time_s == 10).records[0]
    fraction = first.get("species.fraction", "A")
    assert fraction.value == 0.5
    assert fraction.sigma == pytest.approx(math.sqrt(200) / 400)
    assert first.inputs[0].path == "one.txt"
    assert first.recipe["scale"] == 1.0
    assert set(run.arrays) == {"case_one", "case_two"}
    assert run.arrays["case_one"].counts.tolist() == [[100.0, 300.0], [200.0, 200.0]]
    assert {reference.file for reference in first.arrays} == {"arrays/case_one.nxs"}
    assert [path.name for path in run.figures] == ["toy.csv"]
    assert validate_run(tmp_path / "run") == []


def test_a_second_run_looks_everything_up_and_changes_no_byte(recipe_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    execute(recipe_folder / "recipe.toml", out)
    before = snapshot(out)
    summary = execute(recipe_folder / "recipe.toml", out)
    assert (summary.done, summary.reused, summary.changed) == (0, 2, False)
    assert snapshot(out) == before


def test_losing_the_ledger_costs_work_but_changes_no_record(recipe_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    execute(recipe_folder / "recipe.toml", out)
    before = snapshot(out)
    (out / "ledger.sqlite").unlink()
    summary = execute(recipe_folder / "recipe.toml", out)
    assert (summary.done, summary.changed) == (2, False)
    after = snapshot(out)
    del before["ledger.sqlite"], after["ledger.sqlite"]
    assert after == before


@pytest.mark.parametrize(
    "harm",
    [
        lambda out: next((out / "records").glob("*.json")).unlink(),
        lambda out: next((out / "records").glob("*.json")).write_text("{"),
        lambda out: (out / "arrays" / "case_one.nxs").write_bytes(b"x"),
        lambda out: (out / "quantities.parquet").unlink(),
        lambda out: (out / "figures" / "toy.csv").unlink(),
        lambda out: (out / "run.json").write_text((out / "run.json").read_text().replace("finished", "running")),
    ],
)
def test_what_was_harmed_is_found_and_made_anew(
    harm: Callable[[Path], object], recipe_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    execute(recipe_folder / "recipe.toml", out)
    before = snapshot(out)
    harm(out)
    assert validate_run(out)
    execute(recipe_folder / "recipe.toml", out)
    assert validate_run(out) == []
    after = snapshot(out)
    assert set(after) == set(before)
    for name in ("quantities.parquet", "figures/toy.csv", "arrays/case_one.nxs"):
        assert after[name] == before[name]


def test_the_record_id_does_not_know_path_host_or_time(
    recipe_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute(recipe_folder / "recipe.toml", tmp_path / "run")
    elsewhere = tmp_path / "other" / "place"
    (elsewhere / "data").mkdir(parents=True)
    for name in ("one", "two"):
        shutil.copy(recipe_folder / f"{name}.txt", elsewhere / "data" / f"renamed_{name}.txt")
    text = (recipe_folder / "recipe.toml").read_text()
    text = text.replace('"one.txt", "two.txt"', '"data/renamed_one.txt", "data/renamed_two.txt"')
    (elsewhere / "recipe.toml").write_text(text)
    monkeypatch.setenv("HOSTNAME", "elsewhere")
    monkeypatch.setattr("socket.gethostname", lambda: "elsewhere")
    monkeypatch.setattr("layerscope.records.model.now_iso", lambda: "2001-01-01T00:00:00+00:00")
    monkeypatch.setattr("time.time", lambda: 0.0)
    execute(elsewhere / "recipe.toml", tmp_path / "run2")
    assert ids(tmp_path / "run") == ids(tmp_path / "run2")
    (elsewhere / "recipe.toml").write_text(text + "scale = 2.0\n")
    execute(elsewhere / "recipe.toml", tmp_path / "run3")
    assert not set(ids(tmp_path / "run")) & set(ids(tmp_path / "run3"))


def test_a_changed_recipe_supersedes_its_records_without_losing_them(recipe_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    execute(recipe_folder / "recipe.toml", out)
    old = ids(out)
    with (recipe_folder / "recipe.toml").open("a") as stream:
        stream.write("scale = 2.0\n")
    summary = execute(recipe_folder / "recipe.toml", out)
    assert summary.changed
    assert not set(ids(out)) & set(old)
    assert sorted(path.stem for path in (out / "superseded").iterdir()) == old
    assert set(layerscope.load_run(out).table["record_id"]) == set(ids(out))


def test_a_changed_input_is_done_again_and_the_other_is_looked_up(recipe_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    execute(recipe_folder / "recipe.toml", out)
    (recipe_folder / "two.txt").write_text("0 800 200\n")
    summary = execute(recipe_folder / "recipe.toml", out)
    assert (summary.done, summary.reused) == (1, 1)
    assert len(ids(out)) == 3


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        ("", "reader", "is empty"),
        ("0 nan 1\n", "data", "holds NaN"),
        ("0 crash\n", "internal", "ZeroDivisionError: division by zero"),
        (None, "reader", "there is no such file"),
    ],
)
def test_a_bad_input_is_quarantined_and_the_rest_is_done(
    content: str | None, kind: str, message: str, recipe_folder: Path, tmp_path: Path
) -> None:
    if content is None:
        (recipe_folder / "two.txt").unlink()
    else:
        (recipe_folder / "two.txt").write_text(content)
    summary = execute(recipe_folder / "recipe.toml", tmp_path / "run")
    assert summary.exit_code == 2
    failed = layerscope.load_run(tmp_path / "run").failed
    assert {record.problem.kind for record in failed if record.problem} >= {kind}
    assert any(record.problem and message in record.problem.message for record in failed)
    quarantine = json.loads((tmp_path / "run" / "quarantine.json").read_text())["quarantined"]
    assert {entry["record_id"] for entry in quarantine} == {record.record_id for record in failed}
    good = layerscope.load_run(tmp_path / "run").select(status="ok")
    assert len(good.records) == 2
    before = snapshot(tmp_path / "run")
    assert execute(recipe_folder / "recipe.toml", tmp_path / "run").exit_code == 2
    after = snapshot(tmp_path / "run")
    del before["ledger.sqlite"], after["ledger.sqlite"]  # the second attempt is counted there
    assert after == before


class Clumsy(PipelineBase):
    """Gives one record, guards two failures of the same input, and then fails as a whole."""

    name = "clumsy"
    version = "1"
    technique = "clumsy"

    def __init__(self, *, twice: bool = False) -> None:
        self.twice = twice

    def run(self, recipe: PipelineRecipe, context: RunContext) -> Iterator[PipelineOutput]:
        data = recipe.folder / "one.txt"
        source = InputFile(path="one.txt", sha256=file_sha256(data), size=1, reader="r", reader_version="1")
        state = SampleState(sample=recipe.sample)
        yield PipelineOutput((context.record(state=state, inputs=(source,)),))
        for reason in ("first", "second", "second"):
            with context.guard(inputs=(source,), state=state):
                raise DataError(reason, source=data.absolute())
        if self.twice:
            yield PipelineOutput((context.record(state=state, inputs=(source,), notes=("other",)),))
        raise FitError("the whole fails")


@pytest.mark.parametrize(
    ("twice", "message"), [(False, "the whole fails"), (True, "two different records have the id")]
)
def test_failures_never_take_the_place_of_a_record_or_of_each_other(
    twice: bool, message: str, recipe_folder: Path, tmp_path: Path
) -> None:
    recipe = recipe_folder / "recipe.toml"
    recipe.write_text('layerscope = 1\npipeline = "clumsy"\nsample = "LRO"\n')
    summary = execute(recipe, tmp_path / "run", pipelines={"clumsy": Clumsy(twice=twice)})
    assert summary.exit_code == 2
    problems = [record.problem for record in summary.failed if record.problem]
    assert len(problems) == 3
    assert {problem.message for problem in problems if problem.kind == "data"} == {"first", "second"}
    assert {problem.source for problem in problems if problem.kind == "data"} == {"one.txt"}
    assert any(message in problem.message for problem in problems)
    assert [record.status for record in summary.run.records].count("ok") == 1


def test_one_bad_level_is_guarded_and_its_neighbours_are_kept(recipe_folder: Path, tmp_path: Path) -> None:
    (recipe_folder / "one.txt").write_text("0 100 300\n10 nan 200\n20 250 150\n")
    summary = execute(recipe_folder / "recipe.toml", tmp_path / "run")
    assert summary.exit_code == 2
    run = layerscope.load_run(tmp_path / "run")
    assert len(run.failed) == 1
    assert run.failed[0].inputs[0].selector == "level=1"
    assert run.arrays["case_one"].levels.tolist() == [0.0, 20.0]


def test_nothing_but_failures_gives_exit_code_three(recipe_folder: Path, tmp_path: Path) -> None:
    for name in ("one.txt", "two.txt"):
        (recipe_folder / name).write_text("")
    assert execute(recipe_folder / "recipe.toml", tmp_path / "run").exit_code == 3


def test_debug_lets_the_first_error_through(recipe_folder: Path, tmp_path: Path) -> None:
    (recipe_folder / "one.txt").write_text("0 crash\n")
    with pytest.raises(ZeroDivisionError):
        execute(recipe_folder / "recipe.toml", tmp_path / "run", debug=True)


def test_a_study_goes_on_past_recipes_that_cannot_be_used(study: Path, tmp_path: Path) -> None:
    summary = execute(study, tmp_path / "run")
    assert summary.exit_code == 2
    assert summary.done == 2
    problems = {record.problem.source: record.problem for record in summary.failed if record.problem}
    assert set(problems) == {"wrong_key/recipe.toml", "unknown/recipe.toml", "absent/recipe.toml"}
    wrong = problems["wrong_key/recipe.toml"]
    assert wrong.kind == "recipe"
    assert wrong.message == "regions[0].nam: unknown key, did you mean 'name'?"
    assert problems["unknown/recipe.toml"].hint == "did you mean 'toy'?"
    assert validate_run(tmp_path / "run") == []


def test_a_study_of_unusable_recipes_only_is_a_recipe_error(study: Path, tmp_path: Path) -> None:
    study.write_text('layerscope = 1\nrecipes = ["wrong_key/recipe.toml", "unknown/recipe.toml"]\n')
    assert execute(study, tmp_path / "run").exit_code == 1


def test_a_study_finds_the_data_of_each_recipe_under_data(study: Path, tmp_path: Path) -> None:
    study.write_text('layerscope = 1\nrecipes = ["case/recipe.toml"]\n')
    data = tmp_path / "data"
    (data / "case").mkdir(parents=True)
    for name in ("one.txt", "two.txt"):
        shutil.move(study.parent / "case" / name, data / "case" / name)
    assert execute(study, tmp_path / "run").exit_code == 3
    assert execute(study, tmp_path / "run2", data=data).exit_code == 0


def test_check_names_what_a_run_would_stumble_over_and_writes_nothing(study: Path) -> None:
    (study.parent / "case" / "two.txt").unlink()
    before = snapshot(study.parent)
    problems = check_plan(make_plan(study))
    assert {(label, problem.kind) for label, problem in problems} == {
        ("case/recipe.toml", "reader"),
        ("wrong_key/recipe.toml", "recipe"),
        ("unknown/recipe.toml", "recipe"),
        ("absent/recipe.toml", "reader"),
    }
    assert snapshot(study.parent) == before


def test_a_single_recipe_that_cannot_be_used_raises_and_leaves_no_folder(study: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="did you mean 'name'"):
        execute(study.parent / "wrong_key" / "recipe.toml", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_pool_gives_the_same_bytes_as_one_process(recipe_folder: Path, tmp_path: Path) -> None:
    execute(recipe_folder / "recipe.toml", tmp_path / "one")
    execute(recipe_folder / "recipe.toml", tmp_path / "two", jobs=2)
    one, two = snapshot(tmp_path / "one"), snapshot(tmp_path / "two")
    assert set(one) == set(two)
    for name in one:
        if name.startswith(("arrays/", "figures/")) or name == "quantities.parquet":
            assert one[name] == two[name], name


def test_a_process_that_dies_takes_only_its_own_file_with_it(recipe_folder: Path, tmp_path: Path) -> None:
    (recipe_folder / "one.txt").write_text("die\n")
    summary = execute(recipe_folder / "recipe.toml", tmp_path / "run", jobs=2)
    assert summary.exit_code == 2
    (failed,) = summary.failed
    assert failed.problem is not None
    assert failed.problem.message == "the process that worked on it died"
    assert failed.inputs[0].path == "one.txt"


def test_a_figure_that_fails_is_a_warning_and_is_tried_again(
    recipe_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY_FIGURES", "fail")
    summary = execute(recipe_folder / "recipe.toml", tmp_path / "run")
    assert summary.exit_code == 0
    assert summary.warnings == ("figures of pipeline 'toy': ValueError: no ink",)
    monkeypatch.delenv("TOY_FIGURES")
    summary = execute(recipe_folder / "recipe.toml", tmp_path / "run")
    assert summary.warnings == ()
    assert (tmp_path / "run" / "figures" / "toy.csv").is_file()


def test_figures_left_out_are_drawn_by_the_next_run(recipe_folder: Path, tmp_path: Path) -> None:
    execute(recipe_folder / "recipe.toml", tmp_path / "run", figures=False)
    assert not (tmp_path / "run" / "figures").exists()
    execute(recipe_folder / "recipe.toml", tmp_path / "run")
    assert (tmp_path / "run" / "figures" / "toy.csv").is_file()


def test_a_folder_that_is_not_of_this_recipe_is_left_alone(recipe_folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "thesis"
    other.mkdir()
    (other / "thesis.docx").write_text("years of work")
    with pytest.raises(StoreError, match="is no run folder"):
        execute(recipe_folder / "recipe.toml", other)
    execute(recipe_folder / "recipe.toml", tmp_path / "run")
    shutil.copy(recipe_folder / "recipe.toml", recipe_folder / "second.toml")
    with pytest.raises(StoreError, match=r"holds a run of case/recipe\.toml"):
        execute(recipe_folder / "second.toml", tmp_path / "run")
    assert snapshot(other) == {"thesis.docx": b"years of work"}


def test_progress_ends_with_every_task_done(recipe_folder: Path, tmp_path: Path) -> None:
    events: list[ProgressEvent] = []
    execute(recipe_folder / "recipe.toml", tmp_path / "run", progress=events.append)
    inside = [event for event in events if event.message == "level"]
    assert [(event.done, event.total) for event in inside] == [(1, 2), (2, 2), (1, 1)]
    assert events[-1].tasks_done == events[-1].tasks_total == 2


def test_the_ledger_counts_attempts_and_keeps_the_reason(recipe_folder: Path, tmp_path: Path) -> None:
    (recipe_folder / "two.txt").write_text("")
    for _ in range(2):
        execute(recipe_folder / "recipe.toml", tmp_path / "run")
    jobs = {job.recipe: job for job in Ledger(tmp_path / "run" / "ledger.sqlite").jobs()}
    assert jobs["recipe.toml[one.txt]"].attempts == 1
    assert jobs["recipe.toml[two.txt]"].attempts == 2
    assert jobs["recipe.toml[two.txt]"].state == "failed"
    assert jobs["recipe.toml[two.txt]"].message == "is empty"


def test_a_pipeline_that_cannot_be_imported_says_so(toy: Path) -> None:
    (toy / "layerscope_toy-1.0.dist-info" / "entry_points.txt").write_text(
        "[layerscope.pipelines]\ntoy = layerscope_toy:PIPELINE\nbroken = no_such_module:PIPELINE\nempty = json:dumps\n"
    )
    assert find_pipeline("toy").technique == "toy"
    with pytest.raises(MissingDependencyError, match="no_such_module"):
        find_pipeline("broken")
    with pytest.raises(MissingDependencyError, match="has no name, version"):
        find_pipeline("empty")


def test_a_file_that_takes_too_long_is_quarantined_and_the_rest_is_done(recipe_folder: Path, tmp_path: Path) -> None:
    (recipe_folder / "one.txt").write_text("wait\n")
    recipe = recipe_folder / "recipe.toml"
    recipe.write_text(f"{recipe.read_text()}\n[limits]\ntime_s = 3\n")
    summary = execute(recipe, tmp_path / "run")
    (failed,) = summary.failed
    assert failed.problem is not None
    assert (failed.problem.kind, failed.problem.message) == ("limit", "took longer than the 3 s that are allowed")
    assert len(summary.run.records) > 1
    assert "limits" not in failed.recipe
    table = (tmp_path / "run" / "quarantine.csv").read_text()
    assert "one.txt,limit,took longer than the 3 s that are allowed" in table


def test_what_failed_is_tried_again_only_when_asked(recipe_folder: Path, tmp_path: Path) -> None:
    (recipe_folder / "two.txt").write_text("")
    first = execute(recipe_folder / "recipe.toml", tmp_path / "run")
    second = execute(recipe_folder / "recipe.toml", tmp_path / "run", retry_quarantined=False)
    assert (second.done, second.reused, second.changed) == (0, 2, False)
    assert [record.record_id for record in second.failed] == [record.record_id for record in first.failed]
    assert second.exit_code == first.exit_code
    assert execute(recipe_folder / "recipe.toml", tmp_path / "run", retry_quarantined=True).done == 1
    (recipe_folder / "two.txt").write_text("0 300 100\n")
    assert execute(recipe_folder / "recipe.toml", tmp_path / "run", retry_quarantined=False).exit_code == 0


def test_a_run_tells_in_its_logs_what_it_did_and_where_errors_arose(recipe_folder: Path, tmp_path: Path) -> None:
    (recipe_folder / "two.txt").write_text("")
    execute(recipe_folder / "recipe.toml", tmp_path / "run", log=True)
    told, debug = ((tmp_path / "run" / name).read_text() for name in ("user.log", "debug.log"))
    assert "case/recipe.toml: 2 tasks to do, 0 found done, 1 process" in told
    assert "recipe.toml[two.txt]: quarantined: is empty" in told
    assert "Traceback" not in told
    assert "Traceback" in debug
    assert "recipe.toml[one.txt]: " in debug
    execute(recipe_folder / "recipe.toml", tmp_path / "run", log=True, retry_quarantined=False)
    assert (tmp_path / "run" / "user.log").read_text() == told


@pytest.mark.parametrize("jobs", [1, 2, 4])
def test_the_order_of_files_and_the_number_of_processes_change_no_record(
    recipe_folder: Path, tmp_path: Path, jobs: int
) -> None:
    names = [f"{letter}.txt" for letter in "abcdef"]
    for number, name in enumerate(names):
        (recipe_folder / name).write_text(f"0 {number + 1}00 300\n")
    recipe = recipe_folder / "recipe.toml"
    text = recipe.read_text()
    found = []
    for folder, order in (("straight", names), ("turned", names[::-1])):
        recipe.write_text(text.replace('"one.txt", "two.txt"', ", ".join(f'"{name}"' for name in order)))
        run = execute(recipe, tmp_path / folder, jobs=jobs if folder == "turned" else 1, figures=False).run
        found.append(sorted(record.content_json() for record in run.records))
        arrays = {path.name: path.read_bytes() for path in (tmp_path / folder / "arrays").iterdir()}
        found.append(arrays)
    assert found[0] == found[2]
    assert found[1] == found[3]
