"""What techniques add to a report: phase fractions of all samples, and checklists filled from records."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from layerscope.diffraction.exports import export_pdcif
from layerscope.diffraction.report import sections as diffraction_sections
from layerscope.spectra.xps.report import sections as xps_sections

import layerscope
from layerscope.report import CheckItem, ReportSection, report_tables, roles_table
from layerscope.runs.export import export_run
from layerscope.runs.load import Run


@pytest.fixture(scope="module")
def refined(reference_run: Callable[[str], Path]) -> Run:
    return layerscope.load_run(reference_run("insitu_lco_003/recipe_rietveld.toml"))


@pytest.fixture(scope="module")
def phases(refined: Run) -> ReportSection:
    (section,) = diffraction_sections(refined)
    return section


def test_samples_stand_beside_each_other_with_what_the_records_say(refined: Run, phases: ReportSection) -> None:
    table = next(t for t in phases.tables if t.title == "Phase fractions, refined with rietx")
    assert {row[0] for row in table.cells} == {"P-LCO", "B-LCO"}
    assert {"H1-3", "Rwp / %", "Rexp / %", "gof"} <= set(table.columns)
    at = table.columns.index("H1-3")
    for row, record_id in zip(table.cells, table.records, strict=True):
        assert row[at] == refined.get(record_id).get("phase.fraction", "H1-3")


def test_a_cell_edge_that_is_another_by_symmetry_is_not_said_twice(phases: ReportSection) -> None:
    table = next(t for t in phases.tables if t.title == "Cells and widths, refined with rietx")
    assert "H1-3: a / Å" in table.columns
    assert not [head for head in table.columns if ": b" in head]


def test_a_difference_of_refined_fractions_has_the_error_of_both(refined: Run, phases: ReportSection) -> None:
    table = next(t for t in phases.tables if "sample against sample" in t.title)
    first, second = (r.get("phase.fraction", "H1-3") for r in refined.records if r.method == "rietveld.rietx")
    (row,) = [cells for cells in table.cells if cells[2] == "H1-3"]
    assert row[3].value == pytest.approx(first.value - second.value)
    assert row[3].sigma == pytest.approx(math.hypot(first.sigma, second.sigma))


def test_the_checklist_of_refinements_names_what_is_missing(phases: ReportSection) -> None:
    (checklist,) = phases.checklists
    items = {item.asks: item for item in checklist.items}
    assert items["Rwp, Rexp and goodness of fit"].state == "given"
    assert "4201 points" in items["range and number of points"].answer
    assert items["temperature"].state == "missing"
    assert "temperature_K" in items["temperature"].answer
    assert checklist.missing == sum(item.state != "given" for item in checklist.items)


def test_the_page_brings_the_cif_of_each_refinement(refined: Run, phases: ReportSection, tmp_path: Path) -> None:
    assert len(phases.files) == sum(record.method == "rietveld.rietx" for record in refined.records)
    for path in export_pdcif(refined, tmp_path):
        assert (path.name, path.read_text(encoding="ascii")) in phases.files


def test_what_was_refined_tied_and_held_stands_by_phase(refined: Run) -> None:
    table = roles_table(refined.select(method="rietveld.rietx").records)
    rows = {(row[0], row[2]): dict(zip(table.columns, row, strict=True)) for row in table.rows}
    row = rows["P-LCO", "H1-3"]
    assert "lattice.a" in row["refined"]
    assert "lattice.b" in row["tied"]
    assert "atom.coordinate (" in row["held"]


def test_the_checklist_of_peak_fits_is_filled_from_the_records(reference_run: Callable[[str], Path]) -> None:
    (section,) = xps_sections(layerscope.load_run(reference_run("xps_b1s_lco_cei/recipe.toml")))
    items = {item.asks: item for item in section.checklists[0].items}
    assert "active shirley" in items["kind of background and how it is fitted"].answer
    assert "B 1s: 185.00 to 198.00 eV" in items["range of energies that is fitted"].answer
    assert "pass energy 26 eV" in items["instrument and its settings"].answer
    assert items["charge control and correction"].answer == "line C 1s C-C/C-H at 284.8(0.2) eV"
    assert items["charge neutraliser"].state == "missing"


def test_an_item_that_some_records_answer_says_how_many_do_not(refined: Run) -> None:
    item = CheckItem.of(
        "sample", refined.records, lambda r: r.state.sample if r.state.sample == "P-LCO" else None, else_do="name it"
    )
    silent = sum(record.state.sample != "P-LCO" for record in refined.records)
    assert item.state == "part"
    assert item.answer == f"P-LCO. Not for {silent} of {len(refined.records)} records: name it"


def test_the_tables_of_the_report_are_exported_with_its_checklists(refined: Run, tmp_path: Path) -> None:
    (path,) = export_run(refined, "markdown", tmp_path)
    text = path.read_text(encoding="utf-8")
    titles = [table.title for table in report_tables(refined)]
    assert {"Phase fractions, refined with rietx", "What was refined, tied and held"} <= set(titles)
    assert all(f"**{title}**" in text for title in titles)
    assert "| temperature | missing |" in text
