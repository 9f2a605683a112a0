"""Colours of figures: what a legend shows is what is drawn, and no two of its entries look alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from layerscope.figures import PALETTE, SAMPLE_COLOURS
from layerscope.figures.specified import Source, draw_specified, read_spec
from layerscope.figures.words import printed
from layerscope.runs.load import load_run
from layerscope.runs.pipeline import find_pipeline

ROOT = Path(__file__).resolve().parents[2]
APART = 15.0
"""Least distance of two colours in CIELAB (CIE76); a difference of 2 can be seen side by side."""
SPECS = {
    "absorption_b_k": "sxas_bk_cei/recipe.toml",
    "absorption_o_k": "sxas_ok_lco/recipe.toml",
    "b1s_etch_depth": "xps_b1s_li_rich/recipe.toml",
    "insitu_003": "insitu_lco_003/recipe.toml",
    "reflections_shift": "insitu_lco_003/recipe_rietveld.toml",
    "rietveld": "insitu_lco_003/recipe_rietveld.toml",
    "xps_cycling": "xps_b1s_lco_cei/recipe.toml",
}


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Return a list to which each figure is added that would be laid out and written."""
    found: list[Figure] = []
    monkeypatch.setattr("layerscope.figures.save._draw", lambda figure, _: (found.append(figure), {})[1])
    return found


@pytest.mark.parametrize("case", sorted({*SPECS.values(), "eels_line_lco/recipe.toml", "hrtem_lco_coated/recipe.toml"}))
def test_legends_of_the_figures_of_a_run_show_the_colours_that_are_drawn(
    case: str, reference_run: Callable[[str], Path], figures: list[Figure], tmp_path: Path
) -> None:
    run = load_run(reference_run(case))
    for name in run.info["pipelines"]:
        for drawing in find_pipeline(name).figures(run.of_pipeline(name), tmp_path):
            assert not isinstance(drawing, Path)
            drawing.draw()
    assert figures
    assert not [fault for figure in figures for fault in faults(figure)]


@pytest.mark.parametrize("name", SPECS)
def test_legends_of_specified_figures_show_the_colours_that_are_drawn(
    name: str, reference_run: Callable[[str], Path], figures: list[Figure], tmp_path: Path
) -> None:
    spec = read_spec(ROOT / "docs" / "figures" / f"{name}.toml")
    draw_specified(spec, [Source(load_run(reference_run(SPECS[name])))], tmp_path / name)
    assert not faults(figures[0])


def test_no_sample_has_a_colour_that_looks_like_one_of_the_palette() -> None:
    assert min(apart(one, other) for one in SAMPLE_COLOURS for other in PALETTE) > 30.0
    assert min(apart(*pair) for pair in combinations(SAMPLE_COLOURS, 2)) > 30.0


def test_a_legend_of_another_shade_or_of_two_like_ones_is_found() -> None:
    figure = Figure()
    axes = figure.add_subplot()
    axes.add_collection(PolyCollection([[(0, 0), (1, 0), (1, 1)]], facecolors=[(PALETTE[0], 0.45)], label="O3"))
    axes.legend(handles=[Patch(color=PALETTE[0], alpha=0.6, label=name) for name in ("O3", "O1")])
    assert len(faults(figure)) == 2


def faults(figure: Figure) -> list[str]:
    """Return where legends differ from what is drawn, and entries that look alike."""
    entries = list(_entries(figure))
    found = [f"{text}: {there} in the legend, {drawn} drawn" for text, there, drawn in _differing(figure, entries)]
    for (one, first), (other, second) in combinations(entries, 2):
        if one != other and _shape(first) == _shape(second) and apart(_seen(first), _seen(second)) < APART:
            found.append(f"{one} and {other} look alike")
    return found


def _entries(figure: Figure) -> Iterator[tuple[str, Any]]:
    legends = [*figure.legends, *(a.get_legend() for a in figure.get_axes())]
    for legend in legends:
        if isinstance(legend, Legend):
            named = zip((text.get_text() for text in legend.get_texts()), legend.legend_handles, strict=True)
            yield from ((text, handle) for text, handle in named if text != " ")


def _differing(figure: Figure, entries: list[tuple[str, Any]]) -> Iterator[tuple[str, Any, Any]]:
    for axes in figure.get_axes():
        for artist in (*axes.lines, *axes.collections):
            label = printed(str(artist.get_label()).replace("'", "′"))
            for text, handle in entries:
                if label != text:
                    continue
                drawn: Any = None
                if isinstance(handle, Patch) and isinstance(artist, PolyCollection):
                    there, drawn = handle.get_facecolor(), artist.get_facecolor()[0]  # type: ignore[index]
                    if type(artist) is not PolyCollection:  # the band of an error is paler than an area
                        there, drawn = there[:3], drawn[:3]
                elif isinstance(handle, Patch) and isinstance(artist, LineCollection) and handle.get_linewidth():
                    there, drawn = handle.get_edgecolor(), artist.get_color()[0]  # type: ignore[index]
                elif isinstance(handle, Line2D) and isinstance(artist, Line2D):
                    there, drawn = to_rgba(handle.get_color()), to_rgba(artist.get_color())
                if drawn is not None and not np.allclose(there, drawn):
                    yield text, tuple(there), tuple(drawn)


def _shape(handle: Any) -> tuple[Any, ...]:
    """Return what tells two entries apart besides their colours."""
    if isinstance(handle, Line2D):
        return handle.get_linestyle(), str(handle.get_marker()), str(handle.get_markerfacecolor()) == "white"
    return (type(handle).__name__, getattr(handle, "get_hatch", lambda: None)())


def _seen(handle: Any) -> Any:
    if isinstance(handle, Line2D):
        return handle.get_color()
    edged = bool(np.any(handle.get_linewidth()))
    return np.atleast_2d(handle.get_edgecolor() if edged else handle.get_facecolor())[0]


def apart(one: Any, other: Any) -> float:
    """Return the distance of two colours on white in CIELAB."""
    return float(np.linalg.norm(_lab(one) - _lab(other)))


def _lab(colour: Any) -> Any:
    *rgb, alpha = to_rgba(colour)
    shown = alpha * np.array(rgb) + 1.0 - alpha
    linear = np.where(shown <= 0.04045, shown / 12.92, ((shown + 0.055) / 1.055) ** 2.4)
    xyz = linear @ np.array([[0.4124, 0.2126, 0.0193], [0.3576, 0.7152, 0.1192], [0.1805, 0.0722, 0.9505]])
    f = np.cbrt(xyz / [0.9505, 1.0, 1.089])
    f = np.where(f**3 > 0.008856, f, 7.787 * f**3 + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])
