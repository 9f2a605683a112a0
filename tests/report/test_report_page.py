"""What a report holds, whoever looks at it: numbers as the records have them, the same bytes, nothing from outside."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import layerscope
from layerscope.cli import main
from layerscope.errors import StoreError
from layerscope.report import renew_report, report_page, write_report
from layerscope.runs.execute import execute
from layerscope.runs.load import Run
from layerscope.runs.validate import validate_run


def data_of(page: str) -> dict[str, Any]:
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    found: dict[str, Any] = json.loads(text)
    return found


def test_every_record_with_every_number_is_in_the_page(invented_run: Callable[..., Run], tmp_path: Path) -> None:
    run = invented_run(tmp_path, 100)
    data = data_of(report_page(run))
    assert [row[0] for row in data["records"]] == [record.record_id for record in run.records]
    for row, record in zip(data["records"], run.records, strict=True):
        texts = [said if isinstance(said, str) else said[0] for said in row[5][1::2]]
        assert texts == [quantity.text().partition(" (")[0] for quantity in record.quantities]
        names = [tuple(data["terms"][term][:3]) for term in row[5][::2]]
        assert names == [(q.name, q.component or "", q.unit) for q in record.quantities]
        assert data["files"][row[7][0]][:2] == [record.inputs[0].path, record.inputs[0].sha256]


def test_a_cell_of_a_table_is_the_quantity_of_its_record(invented_run: Callable[..., Run], tmp_path: Path) -> None:
    run = invented_run(tmp_path, 100)
    data = data_of(report_page(run))
    cells = 0
    for fields, rows in data["tables"]:
        for place, *row in rows:
            for (_, _, _, name, component), cell in zip(fields, row, strict=True):
                if isinstance(cell, int):
                    quantity = run.records[place].quantities[cell]
                    assert name in ("*", quantity.name)
                    assert component in ("", quantity.component)
                    cells += 1
    assert cells > 500


def test_the_same_records_give_the_same_bytes(invented_run: Callable[..., Run], tmp_path: Path) -> None:
    assert report_page(invented_run(tmp_path, 30)) == report_page(invented_run(tmp_path, 30))


def test_the_policy_lets_nothing_in_but_the_script_and_the_style_of_the_page(
    invented_run: Callable[..., Run], tmp_path: Path
) -> None:
    page = report_page(invented_run(tmp_path, 10))
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    for text in (script, style):
        assert base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() in policy
    outside = re.findall(r"(?:src|href)=\"(?!#|data:)[^\"]*\"", page)
    assert all("//" not in link for link in outside)
    assert "http://www" not in page.replace("http://www.w3.org/2000/svg", "")


@pytest.mark.parametrize("name", ["</script><script>alert(1)</script>{}", '"><b>{}', "{{{{ 7 * 7 }}}}{}", "a\u2028{}"])
def test_names_from_files_are_escaped(invented_run: Callable[..., Run], tmp_path: Path, name: str) -> None:
    run = invented_run(tmp_path, 30, name)
    page = report_page(run)
    assert page.count("<script") == 2
    assert "<b>" not in page
    assert run.records[0].state.sample in json.dumps(data_of(page), ensure_ascii=False).replace('\\"', '"')


def test_a_run_ends_with_its_report_which_validate_checks(recipe_folder: Path, tmp_path: Path) -> None:
    summary = execute(recipe_folder / "recipe.toml", tmp_path / "run")
    report = tmp_path / "run" / "report.html"
    assert list(summary.run.info["report"]) == ["report.html"]
    assert validate_run(tmp_path / "run") == []
    first = report.read_bytes()
    report.write_bytes(first.replace(b"LRO", b"LRX", 1))
    assert [Path(problem.source or "").name for problem in validate_run(tmp_path / "run")] == ["report.html"]
    execute(recipe_folder / "recipe.toml", tmp_path / "run")
    assert report.read_bytes() == first
    report.unlink()
    assert renew_report(tmp_path / "run") == report
    assert report.read_bytes() == first
    assert validate_run(tmp_path / "run") == []


def test_a_report_elsewhere_links_to_the_run_folder(recipe_folder: Path, tmp_path: Path) -> None:
    execute(recipe_folder / "recipe.toml", tmp_path / "a run")
    path = write_report(layerscope.load_run(tmp_path / "a run"), tmp_path / "pages" / "mine.html")
    assert data_of(path.read_text(encoding="utf-8"))["folder"] == "../a%20run/"
    with pytest.raises(StoreError, match="no run folder"):
        renew_report(tmp_path / "pages")


def test_what_failed_and_what_is_flagged_stands_first_with_what_to_do(
    recipe_folder: Path, tmp_path: Path, invented_run: Callable[..., Run]
) -> None:
    (recipe_folder / "one.txt").write_text("0 100 300\n10 nan 1\n")
    execute(recipe_folder / "recipe.toml", tmp_path / "run")
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert page.index("holds NaN") < page.index("Species")
    flagged = report_page(invented_run(tmp_path, 100))
    assert "OVERDISPERSED" in flagged
    assert "3 of 100 records" in flagged
    assert "To do: " in flagged


def test_a_run_prints_the_path_of_its_report_last(
    recipe_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(recipe_folder / "recipe.toml"), "--out", str(tmp_path / "run")]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"  report   {tmp_path / 'run' / 'report.html'}"
    assert main(["report", str(tmp_path / "run"), "-o", str(tmp_path / "mine.html")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'mine.html'}\n"
