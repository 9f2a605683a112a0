"""A page is drawn once for all formats; figures of a run fail one by one, and processes share them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from PIL import Image

from layerscope.figures import Drawing, FigureOptions, FigureProvenance, FigureTable, Page, Scale, save_figure, saved_as
from layerscope.figures.images import draw_rim
from layerscope.figures.once import NotingCanvas
from layerscope.figures.parts import RASTER_FROM
from layerscope.figures.style import sheets, style
from layerscope.records import file_sha256
from layerscope.runs.drawing import EarlyFigures, redraw
from layerscope.runs.load import load_run
from layerscope.runs.pipeline import find_pipeline
from layerscope.runs.store import RunStore
from layerscope.runs.work import TaskResult

PROVENANCE = FigureProvenance("a figure")
SCALES = Scale("x", "s"), Scale("y", "1")


def made() -> tuple[Figure, FigureTable]:
    """Return a figure with all that is drawn in other ways: many dots, an image, outlined and turned text, a legend."""
    generator = np.random.default_rng(4)
    x, y = generator.uniform(0.0, 1.0, (2, RASTER_FROM))
    with style("single") as sheet:
        page = Page(sheet.figure(60.0))
        left, right = page.figure.subplots(1, 2)
        panel = page.panel(left, "dots")
        panel.add("dots", x, y, SCALES)
        left.plot(x, y, ".", rasterized=True, label="dots")
        left.text(0.5, 0.5, "outlined", path_effects=[withStroke(linewidth=1.0, foreground="white")])
        left.text(0.1, 0.2, "turned", rotation=30.0, ha="center")
        left.set_ylabel(r"$\Delta y$ / $10^{-3}$")
        left.legend(loc="upper right")
        mesh = page.panel(right).axes.pcolormesh(np.zeros((3, 3)) + 0.25)
        mesh.set_label("_guide")
        page.figure.colorbar(mesh, ax=right)
        right.imshow(np.zeros((2, 2)), extent=(0.5, 1.0, 0.5, 1.0), label="_guide")
    return page.figure, page.table


def test_three_formats_are_written_from_one_drawing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    draw = Figure.draw
    monkeypatch.setattr(Figure, "draw", lambda figure, on: (drawn.append(on), draw(figure, on)))
    figure, table = made()
    files = save_figure(figure, tmp_path / "one", table, PROVENANCE)
    assert [file.suffix for file in files] == [".pdf", ".svg", ".png", ".csv", ".json"]
    assert len(drawn) == 1


def test_pixels_are_those_of_matplotlibs_own_canvas() -> None:
    from matplotlib import style as mpl_style

    with mpl_style.context([*map(str, sheets())], after_reset=True):
        ours, theirs = (made()[0] for _ in range(2))
        canvas, own = NotingCanvas.of(ours), FigureCanvasAgg(theirs)
        canvas.draw()
        own.draw()  # type: ignore[no-untyped-call]
        assert np.array_equal(np.asarray(canvas.notes.page.buffer_rgba()), np.asarray(own.buffer_rgba()))  # type: ignore[no-untyped-call]


def test_text_stays_text_in_svg_and_is_anchored_where_it_is_aligned(tmp_path: Path) -> None:
    figure, table = made()
    save_figure(figure, tmp_path / "one", table, PROVENANCE)
    text = (tmp_path / "one.svg").read_text("utf-8")
    for word in ("dots", "turned"):
        assert f">{word}</text>" in text
    assert "text-anchor: middle" in text


def test_a_text_with_a_rim_stays_text_too(tmp_path: Path) -> None:
    with style("single") as sheet:
        page = Page(sheet.figure(40.0))
        axes = page.figure.subplots()
        draw_rim(axes.text(0.5, 0.5, "rimmed", color="#0072B2"))
        page.panel(axes).add("none", [0.0], [0.0], SCALES)
    save_figure(page.figure, tmp_path / "one", page.table, PROVENANCE)
    assert ">rimmed</text>" in (tmp_path / "one.svg").read_text("utf-8")


def test_only_the_formats_that_are_asked_for_are_written(tmp_path: Path) -> None:
    figure, table = made()
    with saved_as(FigureOptions(formats=("svg",), dpi=100)):
        files = save_figure(figure, tmp_path / "one", table, PROVENANCE)
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(file.name for file in files)
    assert [file.suffix for file in files] == [".svg", ".csv", ".json"]
    with saved_as(FigureOptions(formats=("png",), dpi=100)):
        save_figure(figure, tmp_path / "two", table, PROVENANCE)
    with Image.open(tmp_path / "two.png") as image:
        assert image.size[0] == int(89.0 / 25.4 * 100)


@pytest.fixture
def run(reference_run: Callable[[str], Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(reference_run("sxas_bk_cei/recipe.toml"), tmp_path / "run"))


def figures(run: Path) -> dict[str, str]:
    return {file.name: file_sha256(file) for file in sorted((run / "figures").iterdir())}


def test_a_figure_that_fails_takes_no_other_with_it(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = type(find_pipeline("sxas"))
    before, own = figures(run), pipeline.figures
    shutil.rmtree(run / "figures")

    def broken(stem: Path) -> Any:
        raise ValueError("no ink")

    def with_one_more(self: Any, chosen: Any, folder: Path) -> Iterator[Drawing]:
        yield Drawing.by(broken, folder / "broken")
        yield from own(self, chosen, folder)

    monkeypatch.setattr(pipeline, "figures", with_one_more)
    _, warnings = redraw(run)
    assert warnings == ("figure 'broken' of pipeline 'sxas': ValueError: no ink",)
    assert figures(run) == before


def test_processes_draw_the_same_bytes(run: Path) -> None:
    before = figures(run)
    shutil.rmtree(run / "figures")
    _, warnings = redraw(run, jobs=2)
    assert warnings == ()
    assert figures(run) == before


def test_figures_are_drawn_when_the_last_task_of_their_pipeline_has_ended_and_are_the_same_bytes(run: Path) -> None:
    before, records = figures(run), load_run(run).records
    shutil.rmtree(run / "figures")
    tasks: list[Any] = [SimpleNamespace(pipeline=find_pipeline(name)) for name in ("sxas", "eels", "sxas")]
    early = EarlyFigures(RunStore(run), tasks, records[:2], FigureOptions(), 1)
    results = [
        TaskResult(tuple(r.record_id for r in some), (), {}, True) for some in (records[2:5], records[:1], records[5:])
    ]
    assert early.after(tasks[0], results[0]) == []
    assert early.done == {}  # one task of this pipeline is still to come
    for piece in early.after(tasks[2], results[2]):
        early.take(piece, piece())
    drawn = {Path(file).name: sha256 for files, _ in early.done["sxas"] for file, sha256 in files.items()}
    assert drawn == figures(run) == before
    piece = early.after(tasks[1], results[1])[0]
    early.take(piece, ValueError("the process died"))
    assert early.done["eels"] == [({}, ["figures of pipeline 'eels': ValueError: the process died"])]


def test_formats_of_a_recipe_enter_no_record() -> None:
    model = find_pipeline("sxas").recipe_model
    recipe = model.model_construct(layerscope=1, pipeline="sxas", sample="s", figures=FigureOptions(formats=("png",)))
    assert "figures" not in recipe.resolved()
    assert "figures" not in recipe.identity()
