"""The curves of a report: a part that was not asked for somewhere is not drawn there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

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
