from __future__ import annotations

import csv
import re
from importlib.metadata import requires
from pathlib import Path

import openpyxl
import pytest

import layerscope
from layerscope.errors import LayerscopeError, StoreError
from layerscope.records import Quantity
from layerscope.runs import doctor
from layerscope.runs.execute import execute
from layerscope.runs.export import export_run, formats_of
from layerscope.runs.hooks import Finding
from layerscope.runs.load import Run
from layerscope.runs.present import element_table, narrowed, quantity_tables, summary_tables
from layerscope.runs.recipe import PipelineRecipe


@pytest.fixture
def run(recipe_folder: Path, tmp_path: Path) -> Run:
    with (recipe_folder / "one.txt").open("a") as stream:
        stream.write("20 nan 1\n")
    execute(recipe_folder / "recipe.toml", tmp_path / "run")
    return layerscope.load_run(tmp_path / "run")


def test_a_run_says_what_it_holds(run: Run) -> None:
    assert "4 (1 failed)" in repr(run)
    assert "case_one, case_two" in repr(run)
    page = run._repr_html_()
    assert "<h5>Species</h5>" in page
    assert "holds NaN" in page


def test_the_notebook_page_escapes_what_came_from_files(recipe_folder: Path, tmp_path: Path) -> None:
    recipe = recipe_folder / "recipe.toml"
    recipe.write_text(recipe.read_text().replace("LRO", "<script>alert(1)</script>"))
    execute(recipe, tmp_path / "run")
    page = layerscope.load_run(tmp_path / "run")._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_arrays_are_read_when_asked_for_and_an_unknown_name_is_a_key_error(run: Run) -> None:
    assert len(run.arrays) == 2
    assert "case_one" in run.arrays
    with pytest.raises(KeyError, match="no_such"):
        run.arrays["no_such"]
    (run.folder / "arrays" / "case_one.nxs").write_bytes(b"broken")
    again = layerscope.load_run(run.folder)
    assert again.arrays["case_two"].counts.shape == (1, 2)
    with pytest.raises(StoreError, match="case_one"):
        again.arrays["case_one"]


def test_a_selection_keeps_only_its_records_and_their_series(run: Run) -> None:
    late = run.select(lambda record: record.state.etch_time_s == 10, technique="toy", region="T 1s", sample="LRO")
    assert len(late) == 1
    assert list(late.arrays) == ["case_one"]
    assert len(run.select(technique="xps")) == 0
    assert set(late.table["quantity"]) == {"species.fraction", "signal.total"}


def test_a_record_is_found_by_the_first_digits_of_its_id(run: Run) -> None:
    wanted = run.records[0]
    assert run.get(wanted.record_id[:20]) == wanted
    with pytest.raises(KeyError, match="4 records begin so"):
        run.get("")


def test_the_summary_is_a_pivot_of_species_against_etch_time(run: Run) -> None:
    tables = summary_tables(run)
    assert [table.title for table in tables] == ["Species", "Quarantined"]
    # both files have a level at 0 s
    assert tables[0].columns == ("file", "etch time / s", "A", "B", "status")
    rows = {row[:2]: row for row in tables[0].rows}
    assert rows["one.txt", "10"] == ("one.txt", "10", "0.50(4)", "0.50(4)", "ok")


def test_a_run_of_a_technique_that_is_not_installed_is_still_shown(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("layerscope.runs.pipeline.installed_pipelines", dict)
    tables = summary_tables(run)
    assert "not installed" in tables[0].note
    assert "signal.total" in {row[tables[0].columns.index("quantity")] for row in tables[0].rows}


def test_an_element_seen_by_two_techniques_stands_in_one_table_with_a_row_each(run: Run) -> None:
    first = next(record for record in run.records if record.status != "failed")
    quantity = next(q for q in first.quantities if q.name == "species.fraction")
    four = quantity.model_copy(update={"name": "coordination.fraction", "component": "four-coordinate"})
    state = first.state.model_copy(update={"region": "T K", "etch_time_s": None})
    other = first.model_copy(update={"technique": "sxas", "state": state, "quantities": (four,)})
    (table,) = element_table((*run.records, other), "t")
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    found = [(row["region"], row["technique"], bool(row["A"]), bool(row["four-coordinate"])) for row in rows]
    assert len(found) == len({(r.state.sample, r.state.series) for r in run.records if r.status != "failed"}) + 1
    assert found.count(("T K", "sxas", False, True)) == 1
    assert set(found) == {("T K", "sxas", False, True), ("T 1s", "toy", True, False)}
    assert element_table(run.records, "B") == []


def test_filters_choose_components_quantities_and_regions(run: Run) -> None:
    def values(chosen: Run, **asked: str) -> int:
        tables = quantity_tables(chosen, **asked)
        return sum(isinstance(cell, Quantity) for table in tables for row in table.cells for cell in row)

    assert values(run) == 9
    assert values(run, component="a") == 3
    assert values(narrowed(run, region="t1s"), quantity="signal.total") == 3
    assert values(run, quantity="species") == 6
    assert quantity_tables(narrowed(run, region="B 1s")) == []


def test_a_run_is_narrowed_by_sample_technique_method_and_status(run: Run) -> None:
    assert len(narrowed(run, sample="lro")) == len(narrowed(run, kinds=["Toy"])) == 4
    assert len(narrowed(run, sample="L")) == 4  # a part of the name, where none is called so
    assert len(narrowed(run, kinds=["toy", "failed"])) == 1
    assert len(narrowed(run, sample="LCO")) == len(narrowed(run, kinds=["xps"])) == 0


def test_csv_reads_back_the_same_numbers(run: Run, tmp_path: Path) -> None:
    (path,) = export_run(run, "csv", tmp_path / "out")
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(run.table) == 10
    for row, value in zip(rows, run.table["value"], strict=True):
        assert (row["value"] == "") == (value != value)
        assert row["value"] == "" or float(row["value"]) == value


def test_xlsx_holds_the_table_and_the_summary_and_no_formula(recipe_folder: Path, tmp_path: Path) -> None:
    recipe = recipe_folder / "recipe.toml"
    recipe.write_text(recipe.read_text().replace("LRO", '=HYPERLINK(\\"x\\")'))
    execute(recipe, tmp_path / "run")
    (path,) = export_run(layerscope.load_run(tmp_path / "run"), "xlsx", tmp_path / "out")
    book = openpyxl.load_workbook(path)
    assert book.sheetnames == ["quantities", "Species", "contents"]
    sheet = book["quantities"]
    heading = [cell.value for cell in sheet[1]]
    sample = sheet[2][heading.index("sample")]
    assert (sample.value, sample.data_type) == ('=HYPERLINK("x")', "s")
    assert isinstance(sheet[2][heading.index("value")].value, float)


def test_names_that_a_spreadsheet_would_compute_are_quoted_in_csv(recipe_folder: Path, tmp_path: Path) -> None:
    recipe = recipe_folder / "recipe.toml"
    recipe.write_text(recipe.read_text().replace("LRO", '=HYPERLINK(\\"x\\")'))
    execute(recipe, tmp_path / "run")
    (path,) = export_run(layerscope.load_run(tmp_path / "run"), "csv", tmp_path / "out")
    with path.open(newline="", encoding="utf-8") as stream:
        assert {row["sample"] for row in csv.DictReader(stream)} == {'\'=HYPERLINK("x")'}


def test_the_last_sheet_names_every_table_in_full(run: Run, tmp_path: Path) -> None:
    (path,) = export_run(run, "xlsx", tmp_path / "out")
    rows = list(openpyxl.load_workbook(path)["contents"].iter_rows(values_only=True))
    assert [row[0] for row in rows] == ["sheet", "quantities", "Species", "Quarantined"]
    assert [row[1] for row in rows[2:]] == [table.title for table in summary_tables(run)]


def test_html_for_word_processors_holds_every_table_that_is_shown(run: Run, tmp_path: Path) -> None:
    (path,) = export_run(run, "html", tmp_path / "out")
    text = path.read_text(encoding="utf-8")
    tables = summary_tables(run)
    assert text.count("<table") == text.count("</table>") == len(tables)
    assert text.count("<td") == sum(len(table.fields) * len(table.rows) for table in tables)
    assert ">0.50(4)</td>" in text


def test_the_wide_sheets_hold_numbers_beside_their_errors(run: Run, tmp_path: Path) -> None:
    (path,) = export_run(run, "xlsx", tmp_path / "out")
    rows = list(openpyxl.load_workbook(path)["Species"].iter_rows(values_only=True))
    heading = list(rows[0])
    assert heading[:4] == ["file", "etch time / s", "A", "A sigma"]
    at = {row[:2]: row for row in rows[1:]}
    assert at["one.txt", 10][heading.index("A")] == 0.5
    assert at["one.txt", 10][heading.index("A sigma")] == pytest.approx(0.035, abs=0.001)


def test_markdown_and_latex_hold_every_table_that_is_shown(run: Run, tmp_path: Path) -> None:
    texts = {n: export_run(run, n, tmp_path / n)[0].read_text(encoding="utf-8") for n in ("markdown", "latex")}
    for table in summary_tables(run):
        assert f"**{table.title}**" in texts["markdown"]
        assert f"\\caption{{{table.title}" in texts["latex"]
    assert "| 0.50(4) |" in texts["markdown"]
    assert "& 0.50(4) &" in texts["latex"]


def test_nexus_export_copies_every_series(run: Run, tmp_path: Path) -> None:
    paths = export_run(run, "nexus", tmp_path / "out")
    assert [path.name for path in paths] == ["case_one.nxs", "case_two.nxs"]
    assert paths[0].read_bytes() == (run.folder / "arrays" / "case_one.nxs").read_bytes()


def test_an_unknown_export_format_names_the_known_ones(run: Run, tmp_path: Path) -> None:
    with pytest.raises(LayerscopeError, match="csv, xlsx, nexus"):
        export_run(run, "docx", tmp_path)


def test_a_pipeline_adds_formats_of_its_own_for_its_own_records(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import layerscope_toy

    def write(chosen: Run, folder: Path) -> list[Path]:
        path = folder / "toy.txt"
        path.write_text(f"{len(chosen)} records, failed: {len(chosen.failed)}")
        return [path]

    monkeypatch.setattr(layerscope_toy.ToyPipeline, "exports", lambda self: {"toy": write, "csv": None}, raising=False)
    assert list(formats_of(run)) == ["csv", "xlsx", "nexus", "markdown", "latex", "html", "ro-crate", "toy"]
    (path,) = export_run(run, "toy", tmp_path / "out")
    assert path.read_text() == "3 records, failed: 0"
    assert export_run(run, "csv", tmp_path / "out")[0].name == "quantities.csv"


def test_a_format_in_which_nothing_can_be_written_says_so(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import layerscope_toy

    exports = {"empty": lambda chosen, folder: []}
    monkeypatch.setattr(layerscope_toy.ToyPipeline, "exports", lambda self: exports, raising=False)
    with pytest.raises(LayerscopeError, match="nothing in this run can be written as 'empty'"):
        export_run(run, "empty", tmp_path / "out")


def test_a_run_whose_pipeline_is_gone_keeps_the_formats_of_the_core(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("layerscope.runs.pipeline.installed_pipelines", dict)
    assert list(formats_of(run)) == ["csv", "xlsx", "nexus", "markdown", "latex", "html", "ro-crate"]


def test_the_doctor_names_what_is_missing_and_how_to_get_it(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [
        "numpy>=1",
        "no-such-package (>=2)",
        'dreams>=1; extra == "sleep"',
        'pytest>=8; extra == "test"',
        "layerscope[sleep]; extra == 'all'",
    ]
    monkeypatch.setattr(doctor, "requires", lambda _: asked)
    findings = doctor.examine()
    found = {finding.name: finding for finding in findings}
    assert (found["numpy"].group, found["numpy"].state) == ("required", "ok")
    assert (found["no-such-package"].group, found["no-such-package"].state) == ("required", "missing")
    assert (found["dreams"].group, found["dreams"].state) == ("optional", "missing")
    assert found["dreams"].hint == 'pip install "layerscope[sleep]"'
    assert "pytest" not in found
    assert [finding.name for finding in findings].count("layerscope") == 1
    assert found["toy"].state == "ok"
    assert "layerscope-toy" in found["toy"].detail


def test_the_doctor_looks_for_everything_that_the_package_asks_for() -> None:
    of_contributors = re.compile("|".join(doctor._OF_CONTRIBUTORS))
    asked = {
        re.split(r"[^\w.-]", text)[0]
        for text in requires("layerscope") or ()
        if not of_contributors.search(text.partition(";")[2])
    }
    assert asked - {"layerscope"} <= {finding.name for finding in doctor.examine()}


def test_the_doctor_passes_on_what_pipelines_find_and_survives_those_that_fail(
    toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import layerscope_toy

    engine = Finding("engine", "toy engine", "missing", "for toys", "buy one")
    monkeypatch.setattr(layerscope_toy.ToyPipeline, "doctor", lambda self: (engine,))
    assert engine in doctor.examine()
    monkeypatch.setattr(layerscope_toy.ToyPipeline, "doctor", lambda self: 1 / 0)
    found = {finding.name: finding for finding in doctor.examine()}
    assert (found["toy"].state, found["toy"].detail) == ("broken", "ZeroDivisionError: division by zero")


def test_a_recipe_of_the_base_kind_needs_a_sample() -> None:
    with pytest.raises(ValueError, match="sample"):
        PipelineRecipe(layerscope=1, pipeline="toy", sample="")
