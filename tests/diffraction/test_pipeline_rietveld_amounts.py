"""Shared sites and sums of phases through the pipeline rietveld: constraints, weak contrast, covariance, tables."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

pytest.importorskip("rietx", reason="rietx is not installed (pip install 'layerscope[xrd]')")

from layerscope.diffraction.exports import FORMATS
from layerscope.diffraction.rietveld.engines.gsas2_engine import find_interpreter
from pipeline_refined import H13, PLAN, WIDE, columns, counts, flags_of, pull, run_of, write_recipe

from layerscope.cli.app import app
from layerscope.crystals import Phase, Site, SiteMixing, load_phase
from layerscope.errors import RecipeError
from layerscope.records.formatting import parse_value
from layerscope.runs.export import FORMATS as CORE_FORMATS
from layerscope.runs.load import Run
from layerscope.runs.plan import check_plan, make_plan

ALL_FORMATS = {**CORE_FORMATS, **FORMATS}

GSAS2 = find_interpreter()
ENGINES = [
    "rietx",
    pytest.param("gsas2", marks=pytest.mark.skipif(GSAS2 is None, reason="GSAS-II is not installed on this machine")),
]
ALL = f'engine = "{"rietx" if GSAS2 is None else "both"}"'
SERIES = '[[series]]\nfiles = ["p.xy"]\n'
LAYERED = replace(load_phase("LiCoO2_O3"), texture_axis=None)
MIXED_PLAN = """plan = { kind = "stages", stages = [
  { name = "scale", free = ["scale", "background"] },
  { name = "cell", free = ["cell"] },
  { name = "sites", free = ["occupancy", "b_iso"] },
] }"""


def shared_site(element: str, amount: float) -> Phase:
    """Return LiCoO2 with another element on the Li layer."""
    li, co, o = LAYERED.sites
    sites = (replace(li, occupancy=1.0 - amount), Site("G", element, *li.xyz, amount, li.b_iso), co, o)
    return replace(LAYERED, sites=sites, mixing=(SiteMixing(("Li", "G")),))


def mixed_recipe(folder: Path, element: str, more: str = "") -> Path:
    guest = f'guests = [{{ site = "Li", element = "{element}", occupancy = 0.02{more} }}]'
    phases = f'phases = [{{ name = "O3", library = "LiCoO2_O3", texture = false, {guest} }}]'
    return write_recipe(folder, f"{ALL}\n{MIXED_PLAN}", phases=phases, series=SERIES)


@pytest.fixture(scope="module", params=[("B", 0.054), ("Ni", 0.06)], ids=["boron", "nickel"])
def mixed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, str, float]:
    element, amount = request.param
    folder = tmp_path_factory.mktemp("mixed")
    truth = shared_site(element, amount)
    (folder / "p.xy").write_text(columns(WIDE, counts((truth,), (1.0,), 8, grid=WIDE, strongest=8000.0)))
    return run_of(mixed_recipe(folder, element)), element, amount


@pytest.mark.parametrize("engine", ENGINES)
def test_the_occupancy_of_a_shared_site_is_true_within_its_error_and_the_site_stays_full(
    mixed: tuple[Run, str, float], engine: str
) -> None:
    run, element, amount = mixed
    record = run.select(method=f"rietveld.{engine}").records[0]
    guest = record.get("atom.occupancy", f"O3/{element}_Li")
    host = record.get("atom.occupancy", "O3/Li")
    assert guest.role == "refined"
    assert host.role == "constrained"
    assert abs(pull(record, "atom.occupancy", f"O3/{element}_Li", amount)) < 4
    assert (guest.value or 0) + (host.value or 0) == pytest.approx(1.0, abs=1e-6)
    assert host.sigma == pytest.approx(guest.sigma, rel=1e-3)
    shared = (record.get("atom.uiso", f"O3/{label}") for label in ("Li", f"{element}_Li"))
    assert len({round(q.value or 0, 9) for q in shared}) == 1


@pytest.mark.parametrize("engine", ENGINES)
def test_what_x_rays_cannot_tell_is_flagged_in_the_record_and_said_by_show(
    mixed: tuple[Run, str, float], engine: str
) -> None:
    run, element, amount = mixed
    record = run.select(method=f"rietveld.{engine}").records[0]
    weak = [f for f in flags_of(record) if f.startswith(f"WEAK_CONTRAST:O3/site/{element}_Li/occupancy")]
    said = [n for n in record.notes if n.startswith("weak contrast: B on the Li site Li")]
    printed = CliRunner().invoke(app, ["show", str(run.folder)], terminal_width=10_000).output
    found = record.get("atom.occupancy", f"O3/{element}_Li")
    assert [line for line in printed.splitlines() if f"O3/{element}_Li " in line and found.text() in line]
    assert bool(weak) == bool(said) == ("WEAK_CONTRAST" in printed) == ("Weak contrast: B" in printed)
    assert bool(weak) == (element == "B")
    if element == "B":
        assert (found.sigma or 0) > amount / 3  # the statement is true: the error is as large as what is looked for


@pytest.mark.parametrize(
    ("guest", "words"),
    [
        ('site = "Na", element = "B"', "no site 'Na'"),
        ('site = "Li", element = "B", occupancy = 1.0', ""),
        ('site = "Li", element = "Xx"', "no element"),
        ('site = "Li", element = "B", label = "Co"', "called 'Co' already"),
        ('site = "Li", element = "B", occupancy = 1.2', "occupancy"),
    ],
)
def test_a_guest_that_cannot_be_is_refused_with_the_reason(tmp_path: Path, guest: str, words: str) -> None:
    (tmp_path / "p.xy").write_text(columns(WIDE, np.full(WIDE.size, 50)))
    phases = f'phases = [{{ name = "O3", library = "LiCoO2_O3", guests = [{{ {guest} }}] }}]'
    path = write_recipe(tmp_path, MIXED_PLAN, phases=phases, series=SERIES)
    try:
        found = " ".join(f"{p.message} {p.hint}" for _, p in check_plan(make_plan(path)))
    except RecipeError as error:
        found = str(error)
    assert words in found
    assert bool(found) == bool(words)


INTERGROWTH = replace(LAYERED.with_cell(c=13.857), name="IG")
SHARES = (0.5, 0.2, 0.3)
THREE = """phases = [
  { name = "O3", library = "LiCoO2_O3", texture = false },
  { name = "IG", library = "LiCoO2_O3", texture = false, c = 13.857 },
  { name = "H1-3", library = "LiCoO2_H1-3", texture = false },
]
total = ["IG", "H1-3"]"""


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("three")
    y = counts((LAYERED, INTERGROWTH, H13), SHARES, 5, grid=WIDE, strongest=6000.0)
    (folder / "p.xy").write_text(columns(WIDE, y))
    return run_of(write_recipe(folder, f"{ALL}\n{PLAN}", phases=THREE, series=SERIES))


@pytest.mark.parametrize("engine", ENGINES)
def test_the_total_of_two_phases_has_the_error_of_their_covariance(three: Run, engine: str) -> None:
    record = three.select(method=f"rietveld.{engine}").records[0]
    for name, share in zip(("O3", "IG", "H1-3"), SHARES, strict=True):
        assert abs(pull(record, "phase.fraction", name, share)) < 4
    rest, first, second = (record.get("phase.fraction", name) for name in ("O3", "IG", "H1-3"))
    total = record.get("phase.total_fraction", "IG + H1-3")
    # what is not O3 is the total, so both have the same error; that of independent summands would be another
    assert total.value == pytest.approx(1.0 - (rest.value or 0))
    assert total.sigma == pytest.approx(rest.sigma, rel=1e-6)
    assert abs((total.sigma or 0) / np.hypot(first.sigma or 0, second.sigma or 0) - 1) > 0.03


def printed_cells(text: str, separator: str) -> list[list[str]]:
    """Return the cells of the rows that hold a value with its error."""
    rows = [line for line in text.splitlines() if separator in line and re.search(r"\d\(\d+\)", line)]
    return [[cell.strip(" |\\") for cell in row.strip("| ").split(separator)] for row in rows]


def test_parquet_csv_markdown_and_latex_agree_digit_by_digit(three: Run, tmp_path: Path) -> None:
    paths = {p.suffix: p for name in ("phases", "markdown", "latex") for p in ALL_FORMATS[name](three, tmp_path)}
    table = pq.read_table(paths[".parquet"]).to_pylist()
    with paths[".csv"].open(newline="", encoding="utf-8") as stream:
        read = list(csv.DictReader(stream))
    assert len(table) == len(read) == (1 if GSAS2 is None else 2)
    for ours, theirs in zip(table, read, strict=True):
        assert list(ours) == list(theirs)
        for key, value in ours.items():
            assert theirs[key] == "" if value is None else (value == type(value)(theirs[key])), key
    markdown, latex = printed_cells(paths[".md"].read_text(), "|"), printed_cells(paths[".tex"].read_text(), "&")
    values = [[cell for row in rows for cell in row if re.match(r"[\d.]+\(\d+\)$", cell)] for rows in (markdown, latex)]
    assert sorted(values[0]) == sorted(values[1])  # a wide table goes on in further ones
    parsed = [parse_value(cell) for row in markdown for cell in row if re.match(r"[\d.]+\(\d+\)$", cell)]
    columns_ = ("fraction_O3", "fraction_IG", "fraction_H1_3", "total_IG_H1_3", "a_O3_angstrom", "c_O3_angstrom")
    for row in table:
        for key in columns_:
            value, sigma = row[key], row[f"{key}_sigma"]
            near = [p for p in parsed if abs(p[0] - value) <= 0.51 * 10 ** np.floor(np.log10(p[1] or 1))]
            assert near, key
            assert any(p[1] == pytest.approx(sigma, rel=0.3) for p in near), key
