"""A small depth profile with known numbers, for every test of the exports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from layerscope.runs.arrays import SeriesArrays, SeriesParameter

SETTINGS = {
    "excitation_energy_eV": 1486.6,
    "work_function_eV": 4.3,
    "pass_energy_eV": 23.5,
    "energy_scan_mode": "fixed_analyzer_transmission",
    "analyser_scheme": "hemispherical",
    "lens_scheme": "non-dispersive",
    "lens_mode": "small area",
    "instrument": "Example spectrometer",
    "instrument_vendor": "Example",
    "source_name": "Al Kα monochromated",
    "source_type": "Fixed Tube X-ray",
    "start_time": "2024-03-01T09:30:00+01:00",
    "end_time": "2024-03-01T11:30:00+01:00",
    "user": "A. Person",
    "region": "B 1s",
    "charge_reference": "C 1s (C–C)",
    "charge_reference_energy_eV": 284.8,
    "shape": "Gaussian",
    "background": "active Shirley",
    "redchi": 1.02,
    "scans": 4,
    "neutraliser / on": True,
    "not known": None,
}


def build(levels: int = 4, points: int = 31, labels: tuple[str, ...] = ("B-O-B", "TM-O-B"), **changes: Any):
    """Return a series of Gaussian components on a sloping background, with Poisson counts."""
    random = np.random.default_rng(20240301)
    x, time = np.linspace(186.0, 198.0, points), 10.0 * np.arange(levels)
    areas = {label: np.linspace(900.0, 300.0 * (k + 1), levels) for k, label in enumerate(labels)}
    components = {
        label: np.outer(area, np.exp(-(((x - 192.0 + 0.9 * k) / 0.96) ** 2)) / 1.7)
        for k, (label, area) in enumerate(areas.items())
    }
    background = 50.0 + np.outer(np.ones(levels), 198.0 - x)
    fit = background + sum(components.values(), np.zeros((levels, points)))
    counts = random.poisson(fit).astype(float)
    variance = np.maximum(counts, 1.0)

    def parameter(value: Any, sigma: float, **more: Any) -> SeriesParameter:
        return SeriesParameter(np.full(levels, 1.0) * value, np.full(levels, sigma), "eV", **more)

    given: dict[str, Any] = {
        "name": "b1s_B_1s",
        "technique": "xps",
        "title": "B 1s of a Li-rich oxide",
        "sample": "LRO, 5 % Li₂B₄O₇",
        "axis": x,
        "axis_name": "binding_energy",
        "axis_unit": "eV",
        "levels": time,
        "level_name": "etch_time",
        "level_unit": "s",
        "counts": counts,
        "variance": variance,
        "fit": fit,
        "background": background,
        "residual": (counts - fit) / np.sqrt(variance),
        "components": components,
        "component_area": areas,
        "component_area_sigma": {label: np.full(levels, 7.0) for label in labels},
        "parameters": {
            "B_O_B_center": parameter(192.0, 0.02, initial=192.1, min=191.0, max=193.0),
            "B_O_B_fwhm": parameter(1.6, float("nan"), scope="fixed"),
            "shift": parameter(np.linspace(0.0, 0.1, levels), 0.01, initial=0.0, scope="pattern"),
            "slow": parameter(np.linspace(1.0, 1.1, levels), 0.02, min=0.0, scope="smooth"),
        },
        "metadata": SETTINGS,
    }
    return SeriesArrays(**{**given, **changes})


@pytest.fixture
def make_series() -> Callable[..., SeriesArrays]:
    """Return the builder: ``make_series(levels=4, points=31, labels=(...), **fields)``."""
    return build
