"""The curves of a report: a part that was not asked for somewhere is not drawn there."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable
from pathlib import Path

import numpy as np

import layerscope
from layerscope.report.curves import fit_curves


def test_the_net_signal_of_an_edge_ends_with_its_window_and_does_not_fall_to_the_background(
    reference_run: Callable[[str], Path],
) -> None:
    curves, _ = fit_curves(layerscope.load_run(reference_run("eels_line_lco/recipe.toml")))
    edge = next(curve for curve in curves if "Co L3" in curve["title"])
    net = edge["levels"][0][5 + edge["parts"].index("net")]
    assert edge["x"][-1] > 820.0
    assert net[-1] is None
    measured = [n for n, value in enumerate(net) if value is not None]
    assert 805.0 < edge["x"][measured[-1]] < 815.0
    assert measured == list(range(measured[0], measured[-1] + 1))


def test_all_levels_of_a_long_series_are_shades_by_the_root_of_their_counts_and_short_ones_have_none(
    reference_run: Callable[[str], Path],
) -> None:
    run = layerscope.load_run(reference_run("eels_line_lco/recipe.toml"))
    edge = next(curve for curve in fit_curves(run)[0] if "Co L3" in curve["title"])
    shown, series = edge["map"], run.arrays[edge["name"]]
    shades = np.frombuffer(b64decode(shown["shades"]), dtype=np.uint8).reshape(-1, shown["columns"])
    assert shown["levels"] == [float(f"{level:.6g}") for level in series.levels]
    assert np.allclose(shown["span"], [series.axis[0], series.axis[-1]], rtol=1e-6)
    roots = np.sqrt(series.counts)
    expected = 1 + 254 * (roots - roots.min()) / (roots.max() - roots.min())
    assert shades.shape == expected.shape
    assert np.abs(shades - expected).max() <= 0.51
    few, _ = fit_curves(layerscope.load_run(reference_run("xps_in3d_null/recipe.toml")))
    assert all(curve["map"] is None for curve in few)
