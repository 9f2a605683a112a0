"""Figures of an edge: spectra and their differences, bands and the parts of their errors, shares of coordination."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from layerscope.figures import (
    DATA_COLOUR,
    GUIDE,
    PALETTE,
    SAMPLE_COLOURS,
    Drawing,
    Page,
    Panel,
    Scale,
    save_figure,
    style,
)
from layerscope.figures.courses import Look, draw_course
from layerscope.figures.parts import StackLayout, component_handles, draw_stack, kind_handles
from layerscope.figures.specified import Colours
from layerscope.figures.views import Points, Spectrum, provenance
from layerscope.figures.words import printed
from layerscope.records import Quantity, ResultRecord
from layerscope.runs.arrays import SeriesArrays

from .coordination_records import FOUR
from .features import FURTHER
from .model import STEP, find_bands
from .tables import BANDS, COORDINATION, METHOD

if TYPE_CHECKING:
    from layerscope.runs.load import Run

__all__ = [
    "ENERGY",
    "Drawn",
    "draw_differences",
    "draw_edges",
    "draw_parts",
    "draw_shares",
    "draw_spectra",
    "drawn",
    "order",
    "part_colours",
]

ENERGY = Scale("energy", "eV", "Photon energy / eV")
ROW_MM, ROOM_MM = 58.0, 6.0
MOST_SAMPLES = 8
SHOWN = {"edge.shift": 1, "edge.share_ratio": 4, "edge.share": 2}
"""Quantities whose errors are drawn, and how many of each sample's."""
MOST_BARS = 10
PART_COLOURS = (*PALETTE, "#8B1A1A", "#44AA99")
STEP_COLOUR = "#B0B0B0"
ERROR_COLOURS = ("#3A3A3A", "#6E6E6E", "#9A9A9A", "#C4C4C4", "#E6E6E6")
ERROR_HATCHES = ("", "//////", "......", "xxxxxx", "||||||")
"""Parts of errors are grey: colours are for samples, and for what their spectra are made of."""
SCALE_ROOM = 0.12
"""Room to the right of stacked spectra for the bar of their scale, over their range."""
_KINDS = {
    "edge.shift": "shift of {}",
    "edge.share_ratio": "ratio of {}",
    "edge.share": "share of {}",
}


@dataclass(frozen=True)
class Drawn:
    """One sample's arrays with its record."""

    name: str
    arrays: SeriesArrays
    record: ResultRecord


def draw_edges(run: Run, folder: Path) -> Iterator[Drawing]:
    """Yield one page an edge: spectra with differences, and where there are any, bands, errors, and coordination.

    Parameters
    ----------
    run : Run
    folder : Path

    Yields
    ------
    Drawing
    """
    found = sorted(drawn(run), key=order)
    for edge in dict.fromkeys(one.record.state.region or "" for one in found):
        own = [one for one in found if one.record.state.region == edge]
        spectra = [one for one in own if one.record.method == METHOD]
        if spectra:
            stem = f"{spectra[0].arrays.base or 'edge'}_{edge.replace(' ', '_')}"
            yield Drawing.by(_edge_figure, folder / stem, own, edge)


def _edge_figure(own: Sequence[Drawn], edge: str, stem: Path) -> tuple[Path, ...]:
    spectra, bands, mixed = ([o for o in own if o.record.method == m] for m in (METHOD, BANDS, COORDINATION))
    rows = [spectra, *([bands] if bands else []), *([mixed] if mixed else [])]
    with style("double") as sheet:
        page = Page(sheet.figure(ROW_MM * len(rows) + ROOM_MM))
        cells = page.figure.add_gridspec(len(rows), 2, width_ratios=(1.25, 1.0))
        panels = [[page.panel(page.figure.add_subplot(cells[r, c])) for c in (0, 1)] for r in range(len(rows))]
        samples = {one.name: SAMPLE_COLOURS[k % len(SAMPLE_COLOURS)] for k, one in enumerate(spectra)}
        colours = part_colours(Colours({}), [*mixed, *bands])
        draw_spectra(panels[0][0], spectra[:MOST_SAMPLES], edge, samples)
        draw_differences(panels[0][1], spectra[:MOST_SAMPLES], samples)
        if bands:
            draw_parts(panels[1][0], bands[:MOST_SAMPLES], colours, "1/eV")
            _draw_budget(panels[1][1], bands)
        if mixed:
            draw_parts(panels[-1][0], mixed[:MOST_SAMPLES], colours)
            draw_shares(panels[-1][1], mixed)
        caption = f"{edge}: spectra, differences to the first, what they are made of, and the parts of errors."
        records = [one.record for one in own]
        return save_figure(page.figure, stem, page.table, provenance(stem.name, records, caption))


def drawn(run: Run) -> Iterator[Drawn]:
    """Yield every spectrum with its record."""
    by_file = {Path(ref.file).stem: record for record in run.records for ref in record.arrays}
    for name, lazy in run.arrays.items():
        record = by_file.get(name)
        if record is not None and record.method in (METHOD, BANDS, COORDINATION):
            state = record.state
            label = state.series or state.sample
            told = state.cycle is None or "cycle" in label
            yield Drawn(label if told else f"{label}, {state.cycle:g} cycles", lazy.load(), record)


def order(one: Drawn) -> tuple[bool, float, str]:
    """Return what puts the sample first that others are compared with, then cycles."""
    compared = any(q.name in ("edge.shift", "edge.share_ratio") for q in one.record.quantities)
    return compared, one.record.state.cycle or 0.0, one.name


def _curve(one: Drawn) -> tuple[np.ndarray, np.ndarray]:
    """Return a normalised spectrum, or the signal over the flux where it is not normalised."""
    curves = list(one.arrays.components.values())
    used = np.isfinite(one.arrays.counts[0])
    return one.arrays.axis[used], (curves[0][0] if curves else one.arrays.counts[0])[used]


def draw_spectra(panel: Panel, spectra: Sequence[Drawn], edge: str, colours: Mapping[str, str]) -> None:
    """Draw the spectra of samples over each other."""
    scale = Scale("normalised absorption", "1")
    for one in spectra:
        x, y = _curve(one)
        panel.add(one.name, x, y, (ENERGY, scale))
        panel.axes.plot(x, y, color=colours[one.name], linewidth=0.7, label=printed(one.name))
    panel.axes.set_xlabel(ENERGY.label)
    panel.axes.set_ylabel(f"{edge} absorption, normalised")
    panel.axes.legend(loc="upper left", frameon=False, fontsize=5)


def draw_differences(panel: Panel, spectra: Sequence[Drawn], colours: Mapping[str, str]) -> None:
    """Draw each spectrum less the first, with the noise of the difference as a band."""
    axes, first = panel.axes, spectra[0]
    x0, y0 = _curve(first)
    axes.axhline(0.0, color="#7F7F7F", linewidth=0.5, label=GUIDE)
    for one in spectra[1:]:
        x, y = _curve(one)
        inside = (x >= x0[0]) & (x <= x0[-1])
        x, difference = x[inside], y[inside] - np.interp(x[inside], x0, y0)
        noise = np.hypot(_noise(one)[inside], np.interp(x, x0, _noise(first)))
        low, high = difference - noise, difference + noise
        scales = ENERGY, Scale("difference", "1")
        panel.add(f"{one.name} less {first.name}", x, difference, scales, low, high)
        colour = colours[one.name]
        axes.fill_between(x, low, high, color=colour, alpha=0.3, linewidth=0, label=f"{one.name}: noise")
        axes.plot(x, difference, color=colour, linewidth=0.6, label=printed(one.name))
    axes.set_xlabel(ENERGY.label)
    axes.set_ylabel(f"Difference to {printed(first.name)}")
    if len(spectra) < 2:
        axes.text(0.5, 0.5, "one sample: no difference", transform=axes.transAxes, ha="center", fontsize=6)


def _noise(one: Drawn) -> np.ndarray:
    used = np.isfinite(one.arrays.counts[0])
    value = one.arrays.metadata.get("normalisation")
    scale = float(value) if isinstance(value, int | float) else 1.0
    return np.asarray(np.sqrt(one.arrays.variance[0][used]) / scale)


def part_colours(known: Colours, samples: Sequence[Drawn]) -> dict[str, str]:
    """Return the colours of what spectra are made of: others than those of samples, and a step in grey."""
    names = [name for one in samples for name in one.arrays.components]
    return known.of(names, PART_COLOURS, {STEP: STEP_COLOUR})


def draw_parts(panel: Panel, samples: Sequence[Drawn], colours: Mapping[str, str], unit: str = "1") -> None:
    """Draw what spectra are made of, samples above each other."""
    names = list(dict.fromkeys(name for one in samples for name in one.arrays.components))
    words = labels(samples[0])
    spectra = [
        Spectrum.of(one.arrays, 0, {name: name for name in one.arrays.components}, scale=ENERGY, name=one.name)
        for one in samples
    ]
    spectra = [replace(one, unit=unit) for one in spectra]
    layout = StackLayout(overlap=0.97, headroom=0.85)
    draw_stack(panel, spectra, colours, layout, [printed(one.name) for one in samples])
    low, high = spectra[0].x[0], spectra[0].x[-1]
    panel.axes.set_xlim(low, high + SCALE_ROOM * (high - low))
    panel.axes.set_xlabel(ENERGY.label)
    handles = [*kind_handles(), *component_handles({words.get(name, spoken(name)): colours[name] for name in names})]
    panel.axes.legend(handles=handles, loc="upper left", ncols=3, frameon=False, fontsize=4.5)


def spoken(name: str) -> str:
    """Return what a reference, or a band that the table does not know, is called in a figure."""
    return name.replace(f"{FURTHER}_", "further band ") if name.startswith(FURTHER) else printed(name)


def labels(one: Drawn) -> dict[str, str]:
    """Return what bands are called in figures; one that two bands share is numbered."""
    if one.record.method != BANDS:
        return {}
    bands = find_bands(one.record.state.region or "").band
    spelt = [band.label or band.name for band in bands]
    found = {
        b.name: text + (f" {spelt[: k + 1].count(text)}" if spelt.count(text) > 1 else "")
        for k, (b, text) in enumerate(zip(bands, spelt, strict=True))
    }
    return found | {STEP: "step"}


def _draw_budget(panel: Panel, samples: Sequence[Drawn]) -> None:
    """Draw the parts of errors as stacked bars: the share of each part in the variance, the error itself beside it."""
    rows = []
    for name, most in SHOWN.items():
        for one in samples:
            found = [q for q in one.record.quantities if q.name == name and q.budget]
            rows += [(one, q) for q in found[:most]]
    rows = rows[:MOST_BARS]
    parts = list(dict.fromkeys(part for _, q in rows for part in q.budget))
    places = np.arange(len(rows), dtype=float)[::-1]
    left = np.zeros(len(rows))
    scales = Scale("share of the variance", "1"), Scale("row", "1")
    for k, part in enumerate(parts):
        share = np.array([q.budget.get(part, 0.0) ** 2 / sum(v**2 for v in q.budget.values()) for _, q in rows])
        colour = ERROR_COLOURS[k % len(ERROR_COLOURS)]
        hatch = ERROR_HATCHES[k % len(ERROR_HATCHES)]
        look: dict[str, Any] = {"facecolor": colour, "edgecolor": "white", "linewidth": 0, "hatch": hatch}
        panel.axes.barh(places, share, left=left, height=0.62, label=part.replace("_", " "), **look)
        panel.add(part, share, places, scales)
        left = left + share
    panel.axes.set_yticks(places, [_row(one, q) for one, q in rows])
    panel.axes.tick_params(axis="y", length=0, labelsize=5)
    panel.axes.set_xlim(0.0, 1.0)
    panel.axes.set_ylim(-0.6, len(rows) + 0.7)
    panel.axes.set_xlabel("Share of the variance")
    panel.axes.legend(loc="upper center", ncols=3, frameon=False, fontsize=4.5, handlelength=1.0)


def _row(one: Drawn, quantity: Quantity) -> str:
    component = quantity.component or ""
    what = _KINDS[quantity.name].format(labels(one).get(component, spoken(component)))
    unit = "" if quantity.unit == "1" else f" {quantity.unit}"
    return f"{printed(one.name)}, {what}\n± {quantity.sigma:.2g}{unit}"


def draw_shares(panel: Panel, samples: Sequence[Drawn]) -> None:
    """Draw the share of four-coordinate atoms against the cycle, or from sample to sample."""
    cycles = [one.record.state.cycle for one in samples]
    along = all(cycle is not None for cycle in cycles)
    x = np.array([float(c or 0.0) for c in cycles]) if along else np.arange(len(samples), dtype=float)
    scale = Scale("cycle", "1") if along else Scale("sample", "1")
    for k, component in enumerate((FOUR, f"{FOUR} by pi* over total")):
        found = [next((q for q in one.record.quantities if q.component == component), None) for one in samples]
        if not any(found):
            continue
        points = Points.of(found)
        look = Look(DATA_COLOUR, marker="os"[k], line="-", width=0.5, bars=0.5, cap=1.2, open=bool(k), edge=0.5 * k)
        draw_course(panel, x, points, component, (scale, Scale("share", "1")), look)
    panel.axes.axhline(0.0, color="#7F7F7F", linewidth=0.5, label=GUIDE)
    panel.axes.set_ylabel("Share of four-coordinate atoms")
    panel.axes.set_xlabel("Cycle" if along else "")
    if not along:
        panel.axes.set_xticks(x, [printed(one.name) for one in samples])
    panel.axes.legend(loc="upper left", frameon=False, fontsize=5)
