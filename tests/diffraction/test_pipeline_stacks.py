"""The (003) lines read as stacks of layers, against frames drawn layer by layer."""

from __future__ import annotations

import csv
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from layerscope.diffraction.figure_data import collect_views, phase_colours
from layerscope.diffraction.figure_series import LAYERS, amounts_figure
from layerscope.diffraction.peaks import pipeline
from layerscope.diffraction.peaks.line_series import LineSeries
from layerscope.diffraction.peaks.recipe import ComparisonTable
from layerscope.diffraction.peaks.sample_records import stack_difference_record
from layerscope.diffraction.peaks.stack_records import _series
from layerscope.diffraction.peaks.stack_series import LINES, Reading, StackSeries, read_stacks
from numpy.typing import NDArray
from pipeline_series import ALPHA1, ALPHA2, HEAD, SERIES, write_recipe

import layerscope
from layerscope.errors import DataError
from layerscope.records import Quantity, ResultRecord
from layerscope.runs.execute import execute
from layerscope.runs.load import Run

FloatArray = NDArray[np.float64]
FRAMES, MIXED_FROM, ALTERNATING_FROM = 22, 11, 15
AXIS = np.arange(17.4, 20.61, 0.03)
FILLED = 4.78 - 0.004 * np.arange(FRAMES)


def shares() -> FloatArray:
    f = np.arange(FRAMES)
    mixed, turns = 0.05 * np.clip(f - MIXED_FROM, 0, None), 0.04 * np.clip(f - ALTERNATING_FROM, 0, None)
    return np.array([1 - mixed - turns, mixed, turns])


def crystallites(kind: int, rng: np.random.Generator) -> list[NDArray[np.bool_]]:
    """Return which interlayers are empty in crystallites: none, blocks of about four layers, every other one."""
    rows = []
    for size in rng.gamma(9.0, 110 / 9.0, 160 if kind == 1 else 40).astype(int) + 2:
        row: list[bool] = []
        while len(row) < size:
            pairs = [True, False] * int(rng.geometric(0.5))
            row += pairs if kind == 2 or (kind == 1 and rng.random() < 0.5) else [False] * int(rng.geometric(0.25))
        rows.append(np.array(row[:size]) & (kind > 0))
    return rows


def pattern(crystals: list[NDArray[np.bool_]], filled: float, gap: float, grid: FloatArray) -> FloatArray:
    """Return the intensity per layer as a wide-open detector would see it at the angles of the grid."""
    q = 4 * np.pi * np.sin(np.radians(grid) / 2) / ALPHA1
    crystals = sorted(crystals, key=len, reverse=True)
    total, height = np.zeros((len(crystals), grid.size), complex), np.zeros((len(crystals), 1))
    for j in range(len(crystals[0])):
        there = sum(len(c) > j for c in crystals)
        total[:there] += (37.0 - 5.0 * (q - 1.3)) * np.exp(1j * q * height[:there])
        height[:there, 0] += [gap if c[j] else filled for c in crystals[:there]]
    return np.asarray((np.abs(total) ** 2).sum(axis=0) / sum(map(len, crystals)))


def simulated() -> tuple[FloatArray, float]:
    """Return counts (FRAMES, n) and the share of empty interlayers in mixed crystallites."""
    rng = np.random.default_rng(8)
    grid = np.arange(AXIS[0] - 0.9, AXIS[-1] + 0.9, 0.015)
    stacks = [crystallites(kind, rng) for kind in range(3)]
    x = 0.015 * np.arange(-40, 41)
    seen = np.where(x < 0, (1 + (x / 0.055) ** 2) ** -1.8, (1 + (x / 0.04) ** 2) ** -2.2)
    frames = []
    for share, filled in zip(shares().T, FILLED, strict=True):
        parts = [w * pattern(s, filled, 9.06 - filled, grid) for s, w in zip(stacks, share, strict=True) if w > 0]
        lp = (1 + np.cos(np.radians(grid)) ** 2) / np.sin(np.radians(grid) / 2) ** 2
        one = sum(parts) * lp
        second = 2 * np.degrees(np.arcsin(np.sin(np.radians(grid / 2)) * ALPHA1 / ALPHA2))
        both = one + 0.5 * np.interp(second, grid, one)
        frames.append(np.interp(AXIS, grid, np.convolve(both, seen / seen.sum(), mode="same")))
    y = np.array(frames)
    return rng.poisson(120 + 2500 * y / y[0].max()).astype(float), float(np.concatenate(stacks[1]).mean())


TRUE_EMPTY: list[float] = []
READ: list[StackSeries] = []
SERIES_READ: list[LineSeries] = []
SLOW = 0.6
"""Of what is no O3' in the first sample, this share is none in the second."""


def slower(read: StackSeries) -> StackSeries:
    """Return a series of the same frames in which less is no O3', and which lines of their own describe better."""
    others = SLOW * read.share[1:]
    compared = tuple(replace(w, bic=w.bic - 1e5 * (w.name == LINES)) for w in read.compared)
    return replace(read, share=np.vstack([1 - others.sum(axis=0), others]), compared=compared)


def read_once(series: LineSeries) -> StackSeries | None:
    """Read the first series; the second one is made of it, as reading takes long."""
    found = slower(READ[0]) if READ else read_stacks(series)
    SERIES_READ.append(series)
    READ.extend([found] if found is not None else [])
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("stacks")
    y, empty = simulated()
    TRUE_EMPTY.append(empty)
    states = [f"{600.0 * i:.1f},{4.30 + 0.012 * i:.5f}\n" for i in range(FRAMES)]
    for name in "PB":
        with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
            for i, row in enumerate(y):
                rows = (f"{a:.4f} {b:.0f}\n" for a, b in zip(AXIS, row, strict=True))
                archive.writestr(f"{name}_{i:03d}.xy", "".join(rows))
        (folder / f"{name}.csv").write_text("time_s,voltage_V\n" + "".join(states))
    head = HEAD.replace("axial = false", "stacking = true\nguard = { persistence = 2 }")
    compare = 'compare = { samples = ["P", "B"], voltage_V = [4.49, 4.56] }\n'
    recipe = write_recipe(folder, head + compare + SERIES + SERIES.replace('"P', '"B'))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "read_stacks", read_once)
        execute(recipe, folder / "run", figures=False)
    return layerscope.load_run(folder / "run")


def of_p(run: Run) -> list[ResultRecord]:
    return [r for r in run.records if r.state.sample == "P"]


def layer_shares(record: ResultRecord) -> dict[str | None, Quantity]:
    return {q.component: q for q in record.quantities if q.name == "phase.layer_fraction"}


def test_shares_of_layers_are_those_that_were_counted(run: Run) -> None:
    frames = {r.state.frame: r for r in of_p(run) if r.method == "xrd_peaks.stack_frame"}
    truth = shares()
    errors, pulls = [], []
    for f in range(MIXED_FROM + 2, FRAMES):
        found = layer_shares(frames[f])
        for k, label in enumerate(("O3'", "O3'/H1-3", "H1-3")):
            q = found[label]
            if truth[k, f] > 0.03:
                assert q.sigma is not None
                assert q.budget.keys() == {"counting", "model"}
                errors.append(q.value - truth[k, f])
                pulls.append(errors[-1] / q.sigma)
    assert np.sqrt(np.mean(np.square(errors))) < 0.014
    assert np.mean(np.abs(pulls) < 1.96) > 0.8


def test_shares_of_a_frame_sum_to_one_and_what_is_absent_has_a_limit(run: Run) -> None:
    for record in (r for r in of_p(run) if r.method == "xrd_peaks.stack_frame"):
        there = [q for c, q in layer_shares(record).items() if c != "empty in all"]
        limits = [q for q in there if q.upper_limit is not None]
        assert sum(q.value for q in there if q not in limits) == pytest.approx(1.0, abs=1e-9)
        assert all(q.upper_limit > 0 and q.upper_limit < 0.1 for q in limits if q.upper_limit is not None)


def test_the_series_says_how_the_intergrowth_is_stacked(run: Run) -> None:
    whole = next(r for r in of_p(run) if r.method == "xrd_peaks.stacks")
    empty = layer_shares(whole)["empty in O3'/H1-3"]
    assert empty.value == pytest.approx(TRUE_EMPTY[0], abs=0.02)
    lengths = {q.component: q.value for q in whole.quantities if q.name == "phase.block_length"}
    assert 5.0 < lengths["alternating in O3'/H1-3"] < 11.0
    names = [a.name for a in whole.alternatives if a.chosen]
    assert names == ["stacks, range 2"]
    onset = next(q for q in whole.quantities if q.name == "phase.onset_frame" and q.component == "H1-3")
    assert onset.value == pytest.approx(ALTERNATING_FROM, abs=1.0)


def test_a_series_without_intergrowth_states_nothing_of_its_order_and_is_not_doubted_for_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = READ[0]
    labels = {name: name for name in read.stacking.names}
    monkeypatch.setattr(type(read), "empty", Reading(0.45, 0.01, 0.02))
    assert any(flag.startswith("PRIOR_CONFLICT:empty") for flag in read.doubts)
    none = replace(read, present=read.present & np.array([True, False, True])[:, None])
    assert not any(flag.startswith(("PRIOR_CONFLICT:empty", "AT_BOUND")) for flag in none.doubts)
    stated = {(q.name, q.component) for q in _series(none, labels)}
    assert {c for _, c in {(q.name, q.component) for q in _series(read, labels)} - stated} == {
        f"empty in {read.stacking.names[1]}",
        f"alternating in {read.stacking.names[1]}",
        f"filled in {read.stacking.names[1]}",
        read.stacking.names[1],
    }


def test_records_by_lines_say_that_stacks_describe_the_series_better(run: Run) -> None:
    for method in ("xrd_peaks.series", "xrd_peaks.frame"):
        record = next(r for r in of_p(run) if r.method == method)
        assert record.quality is not None
        assert any(f.startswith("STACKS_FIT_BETTER:") for f in record.quality.flags)
    stacks = next(r for r in of_p(run) if r.method == "xrd_peaks.stacks")
    assert stacks.quality is not None
    assert not any(f.startswith(("LINES_FIT_BETTER", "PRIOR_CONFLICT")) for f in stacks.quality.flags)


def test_samples_are_compared_by_their_shares_of_layers(run: Run) -> None:
    (record,) = [r for r in run.records if r.method == "xrd_peaks.stack_difference"]
    mean, *rows = (q for q in record.quantities if q.name == "phase.layer_fraction_difference")
    volts = 4.30 + 0.012 * np.arange(FRAMES)
    inside = (volts >= 4.49) & (volts <= 4.56)
    truth = (1 - SLOW) * (1 - shares()[0])[inside]
    assert len(rows) == inside.sum()
    for q, true in zip((mean, *rows), (truth.mean(), *truth), strict=True):
        assert q.sigma is not None
        assert q.budget.keys() == {"counting", "model"}
        assert abs(q.value - true) < 3 * q.sigma
        assert q.sigma < 0.3 * q.value
    # what a frame's few crystallites do to its shape is its own, what they do to shared shapes is not
    each = float(np.mean([q.budget["model"] for q in rows]))
    assert each / np.sqrt(len(rows)) < mean.budget["model"] < each
    assert "shares are of layers" in record.notes[1]


def test_what_is_doubtful_in_one_sample_is_so_in_the_comparison(run: Run) -> None:
    by_lines, by_stacks = (
        next(r for r in run.records if r.method == f"xrd_peaks.{kind}") for kind in ("difference", "stack_difference")
    )
    assert [f for f in by_stacks.flags if f.startswith("LINES_FIT_BETTER:B ")]
    assert not [f for f in by_stacks.flags if f.startswith("LINES_FIT_BETTER:P ")]
    assert by_stacks.status == "warning"
    assert [f for f in by_lines.flags if f.startswith("STACKS_FIT_BETTER:P ")]


def test_frames_share_what_counts_tell_of_a_total(run: Run) -> None:
    read = READ[0]
    chosen = np.array([0.0, 1.0, 1.0])
    counting, model = read.of_total(chosen)
    amount, areas = read.plain.amounts()[0], read.plain.fit.covariance(read.plain.areas)
    slope = np.where(read.present, (chosen[:, None] - chosen @ amount / amount.sum(axis=0)) / amount.sum(axis=0), 0.0)
    np.testing.assert_allclose(counting, np.einsum("kf,kflg,lg->fg", slope, areas, slope), atol=1e-12)
    whole = np.einsum("k,fkl,l->f", chosen, read.covariance, chosen)
    np.testing.assert_allclose(np.diag(counting + model), np.maximum(whole, np.diag(counting)), rtol=1e-6, atol=1e-9)
    assert np.linalg.eigvalsh(model).min() > -1e-3 * np.linalg.eigvalsh(model).max()


def test_samples_that_do_not_hold_the_same_stacks_are_not_compared(run: Run) -> None:
    table, read = ComparisonTable(samples=("P", "B")), READ[0]
    without = replace(read, present=read.present & np.array([True, True, False])[:, None])
    for other, words in ((without, "H1-3 was found in one of the samples only"), (None, "B was not read as stacks")):
        first, second = (
            SimpleNamespace(series=SimpleNamespace(sample=name), result=SERIES_READ[0], stacks=stacks)
            for name, stacks in (("P", read), ("B", other))
        )
        with pytest.raises(DataError, match=words):
            stack_difference_record(table, cast("Any", None), cast("Any", first), cast("Any", second))


def test_shares_of_layers_are_drawn_with_their_errors_beside_the_share_of_empty_interlayers(
    run: Run, tmp_path: Path
) -> None:
    stacks = [view for view in collect_views(run) if view.series.method == "xrd_peaks.stack_frame"]
    files = amounts_figure(stacks, phase_colours(stacks), tmp_path / "layers", LAYERS)
    (table,) = [path for path in files if path.suffix == ".csv"]
    with table.open(encoding="utf-8", newline="") as stream:
        header, *rows = csv.reader(stream)
    columns = {name: [row[k] for row in rows if row[k]] for k, name in enumerate(header)}
    frames = [r for r in of_p(run) if r.method == "xrd_peaks.stack_frame"]
    for component, name in (
        ("O3'/H1-3", "a: O3′/H1-3: share of layers"),
        ("empty in all", "c: P: share of interlayers"),
    ):
        found = [layer_shares(r).get(component) for r in frames]
        there = [q for q in found if q is not None and q.upper_limit is None and q.value]
        drawn = [float(v) for v in columns[f"{name} [1]"] if v != "nan"]
        assert drawn == pytest.approx([q.value for q in there], rel=1e-4)
    assert {"O3'", "O3'/H1-3", "H1-3"} == set(stacks[0].series.parts)
