"""Series through the pipeline rietveld: two engines, two directions, the rule of persistence, frames that fail."""

from __future__ import annotations

import contextlib
import math
import shlex
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rietx", reason="rietx is not installed (pip install 'layerscope[xrd]')")

from layerscope.diffraction.rietveld.engines.gsas2_engine import find_interpreter
from pipeline_refined import (
    GRID,
    H13,
    O3,
    ONE,
    by_frame,
    counts,
    flags_of,
    pull,
    run_of,
    with_errors,
    write_recipe,
    write_series,
)

from layerscope.runs.load import Run
from layerscope.runs.present import summary_tables

GSAS2 = find_interpreter()
needs_gsas2 = pytest.mark.skipif(GSAS2 is None, reason="GSAS-II is not installed on this machine")
FRACTIONS = (0.0, 0.0, 0.0, 0.08, 0.3, 0.6)
ONSET = 3
ENGINES = [pytest.param("rietx"), pytest.param("gsas2", marks=needs_gsas2)]


def moved(k: int) -> tuple[float, float]:
    """Return a and c of O3 in frame k."""
    return 2.808 + 0.0004 * k, 14.42 - 0.01 * k


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """H1-3 appears midway; both engines where there are two. The run folder is given relative, as users do."""
    folder = tmp_path_factory.mktemp("both")
    frames = []
    for k, f in enumerate(FRACTIONS):
        a, c = moved(k)
        frames.append(with_errors(GRID, counts((O3.with_cell(a=a, c=c), H13), (1 - f, f), k)))
    write_series(folder, frames)
    engine = "rietx" if GSAS2 is None else "both"
    recipe = write_recipe(folder, f'engine = "{engine}"\nsave_gpx = true\ntotal = ["H1-3"]\n[sequence]')
    with contextlib.chdir(folder):
        run_of(Path(recipe.name), Path("out"))
    import layerscope

    return layerscope.load_run(folder / "out")


@pytest.mark.parametrize("engine", ENGINES)
def test_no_frame_is_lost_and_every_fraction_and_cell_is_true_within_its_error(series: Run, engine: str) -> None:
    frames = by_frame(series, engine)
    assert set(frames) == set(range(len(FRACTIONS)))
    assert not [r for r in series.records if r.status == "failed"]
    for k, f in enumerate(FRACTIONS):
        assert abs(pull(frames[k], "lattice.a", "O3", moved(k)[0])) < 4
        assert abs(pull(frames[k], "lattice.c", "O3", moved(k)[1])) < 4
        assert abs(pull(frames[k], "phase.fraction", "H1-3", f)) < 4
        limit = frames[k].get("phase.fraction", "H1-3").upper_limit
        assert (limit is None) == (k >= ONSET)
        assert limit is None or limit < 0.01


@pytest.mark.parametrize("engine", ENGINES)
def test_both_directions_are_compared_and_agree(series: Run, engine: str) -> None:
    for record in by_frame(series, engine).values():
        assert any(n.startswith("forward and backward differ by at most") for n in record.notes)
        assert not any(f.startswith(("DIRECTION_DEPENDENT", "ONE_DIRECTION")) for f in flags_of(record))


@pytest.mark.parametrize("engine", ENGINES)
def test_the_series_says_where_the_phase_begins(series: Run, engine: str) -> None:
    whole = series.select(method=f"rietveld.{engine}.series").records[0]
    assert f"H1-3: in frames {ONSET} to {len(FRACTIONS) - 1}" in whole.notes
    begin = whole.get("phase.onset_frame", "H1-3")
    assert begin.value is not None
    assert ONSET - 1 <= begin.value <= ONSET


@pytest.mark.parametrize("engine", ENGINES)
def test_cell_constants_equal_by_symmetry_and_fixed_angles_have_no_column_of_their_own(
    series: Run, engine: str
) -> None:
    for record in by_frame(series, engine).values():
        a, b, gamma = (record.get(f"lattice.{key}", "O3") for key in ("a", "b", "gamma"))
        assert (a.value, a.sigma) == (b.value, b.sigma)
        assert gamma.role == "fixed"
    table = next(t for t in summary_tables(series) if t.title.endswith(engine))
    assert {"O3: a / Å", "O3: c / Å", "H1-3: wt", "H1-3: total wt"} <= set(table.columns)
    assert not {"O3: b / Å", "O3: gamma / °"} & set(table.columns)
    assert len(set(table.columns)) == len(table.columns)


@needs_gsas2
def test_every_frame_has_the_difference_of_every_parameter_in_sigma_and_a_verdict(series: Run) -> None:
    compared = {r.state.frame: r for r in series.select(method="rietveld.comparison").records}
    ours, theirs = by_frame(series), by_frame(series, "gsas2")
    assert set(compared) == set(ours)
    for k, record in compared.items():
        assert record.notes[0].startswith("agree: all")
        assert record.parents == (ours[k].record_id, theirs[k].record_id)
        for key in ("a", "c"):
            found = record.get("comparison.difference", f"O3/cell/{key}")
            first, second = ours[k].get(f"lattice.{key}", "O3"), theirs[k].get(f"lattice.{key}", "O3")
            assert found.value == pytest.approx((second.value or 0) - (first.value or 0), abs=1e-12)
            own = [math.sqrt((q.sigma or 0) ** 2 - q.budget.get("geometry", 0.0) ** 2) for q in (first, second)]
            assert found.sigma == pytest.approx(max(own))
            assert abs(found.value or 1) < (found.sigma or 0)
        named = {q.component or "" for q in record.quantities}
        assert not any(n.endswith(("/scale", "cell/b")) for n in named)  # engine's own unit; equal to a
        assert ("H1-3/weight_fraction" in named) == (k >= ONSET)


@needs_gsas2
def test_one_project_of_each_frame_is_kept_and_named_by_its_record(series: Run) -> None:
    for k, record in by_frame(series, "gsas2").items():
        kept = [n.removeprefix("kept: ") for n in record.notes if n.startswith("kept: ")]
        assert [Path(p).name for p in kept] == ["job.gpx", "gsas2.log"]
        assert all((series.folder / p).is_file() for p in kept)
        assert f"frame_{k:04d}" in kept[0]
    assert len(list(series.folder.rglob("*.gpx"))) == len(FRACTIONS)


@pytest.fixture(scope="module")
def hidden(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, tuple[float, ...]]:
    """The cell of H1-3 is 0.4 % off until the phase is strong: forward does not see it where backward does."""
    folder = tmp_path_factory.mktemp("hidden")
    fractions = (0.0, 0.03, 0.04, 0.4, 0.5)
    true = H13.with_cell(c=1.004 * H13.cell[2])
    write_series(folder, [with_errors(GRID, counts((O3, true), (1 - f, f), 20 + k)) for k, f in enumerate(fractions)])
    return run_of(write_recipe(folder, "[sequence]")), fractions


def test_a_frame_whose_answer_depends_on_the_direction_is_flagged_and_the_better_answer_kept(
    hidden: tuple[Run, tuple[float, ...]],
) -> None:
    run, fractions = hidden
    frames = by_frame(run)
    flagged = {k for k, r in frames.items() if "DIRECTION_DEPENDENT" in flags_of(r)}
    assert flagged == {1, 2}
    for k in flagged:
        assert frames[k].status == "warning"
        assert abs(pull(frames[k], "phase.fraction", "H1-3", fractions[k])) < 4
        assert any(n.startswith("forward and backward ") for n in frames[k].notes)


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """H1-3 in one frame only; one frame of zeros, one that is cut off, one that ends before the range begins."""
    folder = tmp_path_factory.mktemp("broken")
    frames = [with_errors(GRID, counts((O3, H13), (1 - f, f), 40 + k)) for k, f in enumerate((0, 0, 0.1, 0, 0))]
    lines = frames[3].splitlines(keepends=True)
    frames[3] = "".join(lines[:460])
    frames += [with_errors(GRID, np.zeros(GRID.size, np.int64)), "".join(lines[:20])]
    write_series(folder, frames)
    return run_of(write_recipe(folder, "[sequence]\nboth_directions = false"))


def test_a_phase_seen_in_one_frame_alone_is_taken_out_flagged_and_its_amount_recorded(broken: Run) -> None:
    frames = by_frame(broken)
    assert set(frames) == {0, 1, 2, 3, 4}
    assert [k for k, r in frames.items() if "PHASE_BY_PERSISTENCE:H1-3" in flags_of(r)] == [2]
    found = frames[2].get("phase.fraction", "H1-3")
    assert frames[2].status == "warning"
    assert found.upper_limit is not None
    assert 0.1 < found.upper_limit < 0.13
    assert any(f.startswith("OVERDISPERSED") for f in flags_of(frames[2]))  # the counts say otherwise
    whole = broken.select(method="rietveld.rietx.series").records[0]
    assert "H1-3: in no frame" in whole.notes
    assert not [q for q in whole.quantities if q.name.startswith("phase.onset")]


def test_frames_of_another_length_are_refined_and_empty_ones_are_failed_records(broken: Run) -> None:
    failed = {r.state.frame: r.problem for r in broken.records if r.status == "failed"}
    assert set(failed) == {5, 6}
    assert all(p is not None and p.kind == "data" for p in failed.values())
    assert abs(pull(by_frame(broken)[3], "lattice.a", "O3", O3.cell[0])) < 4
    shapes = sorted(a.counts.shape for a in broken.arrays.values())
    assert shapes == [(1, 460), (4, GRID.size)]


@needs_gsas2
def test_an_engine_that_dies_in_the_middle_loses_no_other_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrapper, died = tmp_path / "python", tmp_path / "died"
    quoted, mark = shlex.quote(str(GSAS2)), shlex.quote(str(died))
    wrapper.write_text(
        f"""#!/bin/sh
case "$2" in -c) exec {quoted} "$@";; esac
if [ -e {mark} ]; then exec {quoted} "$@"; fi
(sed -u 4q; read job; touch {mark}) | {quoted} "$@"
"""
    )  # GSAS-II gets four jobs; the fifth is taken and never answered
    wrapper.chmod(0o755)
    monkeypatch.setenv("LAYERSCOPE_GSAS2_PYTHON", str(wrapper))
    write_series(tmp_path, [with_errors(GRID, counts((O3,), (1.0,), 60 + k)) for k in range(4)])
    body = 'engine = "gsas2"\nsave_gpx = true\n[sequence]\nboth_directions = false'
    run = run_of(write_recipe(tmp_path, body, phases=ONE))
    assert died.exists()
    failed = {r.state.frame: r.problem for r in run.records if r.status == "failed"}
    assert len(failed) <= 1  # none where the frame is taken up again
    assert set(by_frame(run, "gsas2")) == set(range(4)) - set(failed)
    whole = run.select(method="rietveld.gsas2.series").records[0]
    for frame, problem in failed.items():
        assert problem is not None
        assert "ended unexpectedly" in problem.message
        assert str(tmp_path) not in f"{problem.source} {problem.hint}"
        assert f"FRAMES_FAILED:{frame}" in flags_of(whole)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_frame_without_a_phase_says_so_with_the_cell_at_which_the_limit_was_taken(series: Run, engine: str) -> None:
    records = by_frame(series, engine)
    without = [r for r in records.values() if "NOT_DETECTED:H1-3" in flags_of(r)]
    assert without
    first = next(r for _, r in sorted(records.items()) if r not in without)
    for record in without:
        assert record.get("phase.fraction", "H1-3").upper_limit is not None
        for key in ("a", "c"):
            held = record.get(f"lattice.{key}", "H1-3")
            assert held.role == "fixed"
            assert held.sigma is None
            assert held.value == first.get(f"lattice.{key}", "H1-3").value
