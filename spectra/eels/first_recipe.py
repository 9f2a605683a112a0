"""First recipes of energy losses: the edges that rise in the spectrum, with windows that fit before them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from layerscope.errors import DataError
from layerscope.init import Opened, RecipeText, named_alike
from layerscope.init.clocks import Beside
from layerscope.init.series import files_key, series_name

from .options import known_onsets
from .readers import FORMATS
from .spectrum import SpectrumRecording

__all__ = ["LOSSES"]

FloatArray = np.ndarray[Any, np.dtype[np.float64]]

AXIS_OFF_EV = 8.0
"""By how much an axis that nobody calibrated may be off."""
REACH_EV = 40.0
LEAST_BEFORE_EV = 12.0
LEAST_RISE = 0.03
"""Net signal over the background from which an edge is proposed."""
MOST_EDGES = 4
MOST_GAP_EV, MOST_WINDOW_EV = 14.0, 35.0
"""The largest gap and window of the pipeline's own ensemble."""
_LIKELY = "KLMNO"
"""Where edges lie close together, those of inner shells, which are of lighter elements, are proposed."""
TAKEN_OFF = 0.05
"""Where the median of the spectrum is below this share of its range, its background was taken off."""


class _Losses:
    """Spectra and line scans: pipeline ``eels``."""

    reads = "eels"

    def read(self, path: Path) -> SpectrumRecording:
        """Read a file."""
        return FORMATS.read(path, on_error="collect")

    def suits(self, opened: Opened) -> float:
        """Losses, and what does not say that it is X-rays."""
        return 0.0 if all(one.kind == "EDS" for one in opened.recording.measurements) else 1.0

    def kind(self, opened: Opened) -> str:
        """Spectra of one range, with or without their background, can stand in one recipe."""
        energy = opened.first.axis
        state = " without background" if _taken_off(opened) else ""
        return f"{energy[0]:.0f} to {energy[-1]:.0f} eV{state}"

    def write(self, opened: Sequence[Opened], beside: Beside) -> RecipeText:
        """Write the edges that rise by more than the background may bend."""
        energy = opened[0].first.axis
        counts = np.sum(
            [m.intensity for one in opened for m in one.measurements if m.axis.shape == energy.shape], axis=0
        )
        off = _taken_off(opened[0])
        edges = _edges(energy, counts, off)
        if not edges:
            span = f"{energy[0]:.0f} to {energy[-1]:.0f} eV"
            raise DataError(f"no edge of the table rises between {span}", source=opened[0].name)
        text = RecipeText("eels", series_name(opened), f"First recipe of {series_name(opened)}")
        text.note(
            "First recipe, written from the files: edges are those of the table where the spectrum rises; look at"
        )
        text.note("the names, for the axis is as the file has it and may be off by several eV (docs/eels.md).")
        text.root("axis_sigma_eV", 3.0, "assumed: nobody calibrated the axis; see [calibration]")
        if off:
            text.root("background", "taken off", "assumed: the spectrum falls to zero before its edges")
        for group in named_alike(opened):
            text.table("[[series]]")
            text.key("name", series_name(group))
            files_key(text, group, "places of one scan")
            if group[0].first.image is None and len(group) > 1:
                text.off("step_nm", 1.0, "distance of two places: the files do not say it")
        for name, rise in edges:
            _edge(text, name, rise, energy, off)
        return text


def _taken_off(opened: Opened) -> bool:
    values = opened.first.intensity
    return bool(np.median(values[: max(values.size // 10, 5)]) < TAKEN_OFF * float(np.ptp(values)))


def _edges(energy: FloatArray, counts: FloatArray, off: bool) -> list[tuple[str, float]]:
    """Return edges with their relative rise, the strongest ones, in the order of their onsets."""
    found: list[tuple[str, float]] = []
    scale = float(np.abs(counts).max())
    for name, onset in known_onsets().items():
        minor = name.replace("L2", "L3").replace("M5", "M4")
        if (minor != name and minor in known_onsets()) or onset - LEAST_BEFORE_EV - 2.0 < energy[0]:
            continue
        if onset + REACH_EV + 2.0 > energy[-1]:
            continue
        rise = _rise(energy, counts, onset, scale if off else None)
        if rise > LEAST_RISE:
            found.append((name, rise))
    found.sort(key=lambda item: (_LIKELY.index(item[0].split()[1][0]), -item[1]))
    kept: list[tuple[str, float]] = []
    for name, rise in found:
        if all(abs(known_onsets()[name] - known_onsets()[other]) > 25.0 for other, _ in kept):
            kept.append((name, rise))
    return sorted(kept[:MOST_EDGES], key=lambda item: known_onsets()[item[0]])


def _rise(energy: FloatArray, counts: FloatArray, onset: float, scale: float | None) -> float:
    """Return the net signal behind an onset over the background; over the highest point where that was taken off."""
    before = (energy > onset - AXIS_OFF_EV - 30.0) & (energy < onset - AXIS_OFF_EV)
    behind = (energy > onset) & (energy < onset + 15.0)
    if scale is not None:
        return float((counts[behind].mean() - counts[before].mean()) / scale) if before.sum() > 5 else 0.0
    usable = before & (counts > 0)
    if usable.sum() < 8:
        return 0.0
    slope, level = np.polyfit(np.log(energy[usable]), np.log(counts[usable]), 1)
    background = np.exp(level) * energy[behind] ** slope
    return float((counts[behind] - background).sum() / background.sum())


def _edge(text: RecipeText, name: str, rise: float, energy: FloatArray, off: bool) -> None:
    onset = known_onsets()[name]
    text.table("[[edges]]")
    text.key("edge", name, f"assumed: a rise of {100 * rise:.0f} % there")
    text.key("area_eV", [onset - 2.0, onset + REACH_EV], "from 2 eV below to 40 above the onset of the table")
    text.off("maximum_eV", [onset, onset + 12.0], "where the highest point is looked for")
    room = onset - float(energy[0]) - 1.0
    if off or room > MOST_GAP_EV + MOST_WINDOW_EV:
        return
    largest = 0.35 * room
    gaps = [round(g, 1) for g in np.linspace(0.35 * largest, largest, 5)]
    lengths = [round(w, 1) for w in np.linspace(0.4 * (room - largest), room - largest - 0.5, 5)]
    text.key("ensemble", {"gaps_eV": gaps, "lengths_eV": lengths}, f"the spectrum begins {room:.0f} eV before the edge")


LOSSES: Any = _Losses()
