"""First recipes of powder patterns: radiation, the phases of the library that explain the lines, or the lines alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, minimum_filter1d
from scipy.signal import find_peaks

from layerscope.crystals import available_phases, load_phase, reflections
from layerscope.errors import DataError, LayerscopeError, MissingDependencyError
from layerscope.init import Opened, RecipeText, named_alike
from layerscope.init.clocks import Beside
from layerscope.init.files import relative_name
from layerscope.init.series import files_key, series_name

from .area.beside import beside as beside_images
from .area.beside import read_beside
from .dataset import Pattern, PatternSeries
from .peaks.components import available_sets, component_set
from .radiation import FloatArray, Radiation, lorentz_polarisation, tube_radiation
from .readers import FORMATS, read

__all__ = ["LINES", "WHOLE_PATTERNS"]

ANODE = "Cu"
SERIES_FRAMES = 3
CLEAR, CLEAR_SHARE = 8.0, 0.02
"""Standard deviations, and share of the highest line, from which a maximum is a line."""
MOST_LINES = 6
OFF_DEG, SAME_CELL = 0.15, 0.003
"""By how much the zero of 2θ, and the spacings of a cell (relative), may be off where a line is recognised."""
STRONG, LEAST_D = 0.08, 0.8
"""Calculated lines that must be seen, over the strongest, and the least spacing that is looked at (Å)."""
LEAST_FOUND, LEAST_EXPLAINED = 0.75, 0.08
"""Share of a phase's strong lines that must be seen, and share of the measured lines that it must explain."""
MOST_PHASES = 3
WIDE_DEG = 30.0
"""A pattern shorter than this is fitted line by line."""
LEAST_POINTS = 25
"""Points of a range around a line."""


@dataclass(frozen=True)
class _Peaks:
    """Maxima of a pattern: where (degrees), how high, how wide (degrees), shape (n,) each, strongest first."""

    place: FloatArray
    height: FloatArray
    width: FloatArray


class _Patterns:
    """What both first recipes over powder patterns share."""

    reads = "xrd"

    def read(self, path: Path) -> PatternSeries:
        """Read a file; of images with their geometry beside them, the patterns that these give."""
        known = None if FORMATS.sniffed(path) else beside_images(path)
        return read(path, on_error="collect") if known is None else read_beside(path, known)

    def kind(self, opened: Opened) -> str:
        """Patterns of one range and radiation, and of one structure of series, can stand in one recipe."""
        first, number = opened.first, max(len(opened.measurements), opened.namesakes)
        ends = f"{first.axis[0]:.0f} to {first.axis[-1]:.0f} {first.axis_unit}"
        light = "" if first.radiation is None else f", {first.radiation.alpha1:.4f} Å"
        return f"{'series' if number >= SERIES_FRAMES else 'patterns'} of {ends}{light}"


class _Lines(_Patterns):
    """Lines of a series: pipeline ``xrd_peaks``."""

    def suits(self, opened: Opened) -> float:
        """Whatever has lines, and whatever is too short for whole patterns."""
        return 0.96 if _is_images(opened) else 0.5

    def write(self, opened: Sequence[Opened], beside: Beside) -> RecipeText:
        """Write the lines of a layered oxide if they are there, else the strongest lines one by one."""
        text = _begin("xrd_peaks", opened)
        pattern, frames = _mean(opened)
        layered = _layered(pattern) if frames >= SERIES_FRAMES else None
        if layered is not None:
            others = ", ".join(name for name in available_sets() if name != layered)
            text.root("components", layered, f"assumed: a strong line near (003); or {others}, 'none'")
            first = min(3, frames)
            text.root("reference_frames", list(range(first)), "assumed: the first frames hold a single phase")
        else:
            text.root("components", "none", "single lines alone; a set such as 'lco_003' looks for phases")
        if not _whole(opened):
            text.root("noise", "scaled", "the intensities are no counts: their factor is estimated from flat regions")
        if layered is None:
            _reflections(text, pattern)
        _series(text, opened, beside)
        return text


class _WholePatterns(_Patterns):
    """Whole patterns with known phases: pipeline ``rietveld``."""

    def suits(self, opened: Opened) -> float:
        """Single wide patterns that phases of the library explain."""
        number = max(len(opened.measurements), opened.namesakes)
        if number >= SERIES_FRAMES or float(np.ptp(opened.first.axis)) < WIDE_DEG:
            return 0.0
        try:
            fits = bool(_phases(_mean([opened])[0]))
        except (DataError, MissingDependencyError):
            return 0.0
        # with a geometry beside it an image is no micrograph
        return (0.98 if _is_images(opened) else 0.9) if fits else 0.0

    def kind(self, opened: Opened) -> str:
        """Patterns of the same phases can stand in one recipe."""
        return f"{super().kind(opened)}: {', '.join(_phases(_mean([opened])[0]))}"

    def write(self, opened: Sequence[Opened], beside: Beside) -> RecipeText:
        """Write the phases: structures that lie beside the patterns, or those of the library that explain the lines."""
        text = _begin("rietveld", opened)
        text.root("engine", "rietx", "or 'gsas2', or 'both' with their difference")
        if not _whole(opened):
            text.root("noise", "scaled", "the intensities are no counts: their factor is estimated from flat regions")
        files = [path for path in beside.paths if path.suffix.lower() == ".cif"]
        found = [] if files else _phases(_mean(opened)[0])
        if not files and not found:
            raise DataError("no phase of the library explains the lines", hint="give a .cif beside the pattern")
        _series(text, opened, beside)
        for path in files:
            text.table("[[phases]]", "assumed: a structure that lay beside the patterns is in them")
            text.key("name", path.stem)
            text.key("file", relative_name(path, beside.folder))
        beside.used.update(files)
        for name in found:
            text.table("[[phases]]", "assumed: this structure of the library explains lines; others may too")
            text.key("name", name)
            text.key("library", name)
        profile = [path for path in beside.paths if path.suffix.lower() in (".instprm", ".prm")]
        if len(profile) == 1:
            text.table("[instrument]")
            text.key("instprm", relative_name(profile[0], beside.folder))
            beside.used.update(profile)
        text.table("[background]")
        text.key("terms", 8, "assumed: of a Chebyshev polynomial")
        if sum(len(one.measurements) for one in opened) >= SERIES_FRAMES and len(named_alike(opened)) == 1:
            text.table("[sequence]", "frames are refined as a series; without this table each alone")
            text.key("both_directions", False, "true reads the series backward too, and says where that differs")
        return text


def _begin(pipeline: str, opened: Sequence[Opened]) -> RecipeText:
    sample = opened[0].first.sample.strip() or series_name(opened)
    text = RecipeText(pipeline, sample, f"First recipe of {series_name(opened)}")
    text.note("First recipe, written from the files; see docs/xrd.md for what else can be said.")
    if opened[0].first.radiation is None:
        text.root("radiation", {"anode": ANODE}, "assumed: the files do not say it; or { wavelength = 0.4139 }")
    return text


def _series(text: RecipeText, opened: Sequence[Opened], beside: Beside) -> None:
    for group in named_alike(opened):
        text.table("[[series]]")
        text.key("name", series_name(group))
        text.key("sample", group[0].first.sample.strip() or series_name(group))
        files_key(text, group, "frames of one series")
        beside.write(text, group)
        if _is_images(group[0]):
            _integrate(text, group[0], beside)


def _is_images(opened: Opened) -> bool:
    return bool(opened.recording.reader.endswith(".area"))


def _integrate(text: RecipeText, opened: Opened, beside: Beside) -> None:
    known = beside_images(opened.path)
    assert known is not None  # noqa: S101
    text.table("[series.integrate]", "assumed: the geometry that lay beside the images is theirs")
    text.key("poni", relative_name(known.poni, beside.folder))
    if known.mask is not None:
        text.key("mask", relative_name(known.mask, beside.folder), "assumed: by its name")
    text.off("polarization", 0.99, "of a synchrotron's beam; a Rietveld recipe then says instrument.polarisation = 1.0")
    own = {known.poni.absolute(), *([] if known.mask is None else [known.mask.absolute()])}
    beside.used.update(path for path in beside.paths if path.absolute() in own)


def _whole(opened: Sequence[Opened]) -> bool:
    return all(m.intensity_unit == "counts" or m.variance is not None for one in opened for m in one.measurements[:1])


def _mean(opened: Sequence[Opened]) -> tuple[Pattern, int]:
    """Return one pattern over 2θ that stands for all of one axis, and how many frames there are.

    Raises
    ------
    DataError
        If its axis cannot be turned into 2θ.
    """
    frames = [m for one in opened for m in one.recording.measurements]
    light = frames[0].radiation or tube_radiation(ANODE)
    same = [m.intensity for m in frames if m.axis.shape == frames[0].axis.shape]
    total = np.mean(same, axis=0)
    first: Pattern = frames[0].reordered(slice(None))
    joint = type(first)(
        axis=first.axis, intensity=total, axis_kind=first.axis_kind, radiation=light, small_angle=first.small_angle
    )
    return joint.to("two_theta"), len(frames) + sum(len(one.alike) for one in opened)


def _light(pattern: Pattern) -> Radiation:
    return pattern.radiation or tube_radiation(ANODE)


def _peaks(pattern: Pattern) -> _Peaks:
    """Return the maxima that stand out of the noise, which is taken from neighbouring points."""
    x, y = pattern.axis, np.asarray(pattern.intensity, float)
    noise = 1.4826 * float(np.median(np.abs(np.diff(y)))) / np.sqrt(2.0)
    smooth = gaussian_filter1d(y, 1.5)
    step = float(np.median(np.diff(x)))
    base = gaussian_filter1d(minimum_filter1d(smooth, max(round(3.0 / step), 5)), max(1.5 / step, 2.0))
    least = max(CLEAR * noise / 2.3, CLEAR_SHARE * float((smooth - base).max()), 1e-12)
    at, more = find_peaks(smooth, prominence=least, width=1.0, rel_height=0.5)
    order = np.argsort(-more["prominences"])
    return _Peaks(x[at][order], more["prominences"][order], more["widths"][order] * step)


def _layered(pattern: Pattern) -> str | None:
    """Return the first set of lines whose reflection dominates where it is looked for."""
    name = "lco_003"
    found, light, own = component_set(name), _light(pattern), _peaks(pattern)
    if not own.place.size:
        return None
    copper = tube_radiation(ANODE).alpha1
    ends = [
        np.degrees(2 * np.arcsin(np.sin(np.radians(t / 2)) * light.alpha1 / copper))
        for t in (found.low_deg, found.high_deg)
    ]
    inside = (own.place > ends[0]) & (own.place < ends[1])
    reaches = pattern.axis[0] < ends[0] and pattern.axis[-1] > ends[1]
    return name if reaches and inside.any() and own.height[inside].max() > 0.3 * own.height.max() else None


def _reflections(text: RecipeText, pattern: Pattern) -> None:
    """Write the strongest lines that stand alone, each with the range around it.

    Raises
    ------
    DataError
        If no line stands out.
    """
    own = _peaks(pattern)
    x = pattern.axis
    step = float(np.median(np.diff(x)))
    chosen: list[dict[str, Any]] = []
    for place, width in zip(own.place, own.width, strict=True):
        apart = np.abs(own.place - place)
        second = max(2.5 * width, 0.006 * place)  # the second line of a doublet belongs to the first
        nearest = min((float(d) for d in apart if d > second), default=np.inf)
        reach = min(max(6.0 * width, 0.5 * LEAST_POINTS * step, 0.25), 0.6 * nearest)
        low, high = max(place - reach, float(x[0])), min(place + reach, float(x[-1]))
        taken = any(low < r["range_2theta"][1] and r["range_2theta"][0] < high for r in chosen)
        if taken or (high - low) / step < LEAST_POINTS / 2 or min(place - low, high - place) < width:
            continue
        limits = [round(low, 3), round(high, 3)]
        chosen.append({"name": f"line at {place:.2f}", "range_2theta": limits, "axial": False})
        if len(chosen) == MOST_LINES:
            break
    if not chosen:
        raise DataError("no line stands out of the pattern", hint="write the recipe by hand: docs/recipes.md")
    for line in sorted(chosen, key=lambda r: float(r["range_2theta"][0])):
        text.table("[[reflections]]", "" if len(chosen) > 1 else "the only line that stands out")
        for key, value in line.items():
            text.key(key, value)
        text.off("d_to_a", 2.828427, "of a cubic cell: the square root of h2 + k2 + l2")


def _phases(pattern: Pattern) -> list[str]:
    """Return the phases of the library that together explain the lines, the one that explains most first."""
    own, light = _peaks(pattern), _light(pattern)
    if own.place.size < 4:
        return []
    left = np.ones(own.place.size, bool)
    found: list[str] = []
    while len(found) < MOST_PHASES:
        scores = {name: _score(name, own, left, pattern, light) for name in available_phases() if name not in found}
        best = max(scores, key=lambda name: scores[name][0])
        if scores[best][0] < LEAST_EXPLAINED:
            break
        found.append(best)
        left &= ~_near(own.place, scores[best][1])
    return found


def _score(
    name: str, own: _Peaks, left: NDArray[np.bool_], pattern: Pattern, light: Radiation
) -> tuple[float, FloatArray]:
    """Return the share of the measured lines that a phase explains, 0 where its own strong lines are not there.

    Beside it where its lines lie (degrees).
    """
    low, high = (light.alpha1 / (2 * np.sin(np.radians(end / 2))) for end in pattern.axis[[-1, 0]])
    try:
        known = reflections(load_phase(name), max(float(low), LEAST_D))
    except LayerscopeError:
        return 0.0, np.empty(0)
    inside = (known.d > low) & (known.d < high)
    place = known.two_theta(light.alpha1)[inside]
    if place.size < 3:
        return 0.0, place
    intensity = (known.multiplicity * known.f2)[inside] * lorentz_polarisation(place)
    strong = intensity > STRONG * intensity.max()
    seen = _near(place, own.place) & strong
    share = float(intensity[seen].sum() / intensity[strong].sum())
    if share < LEAST_FOUND or seen.sum() < 3:
        return 0.0, place
    worth = place[intensity > 0.2 * STRONG * intensity.max()]
    agree = _near(own.place, worth) & left
    return share * float(own.height[agree].sum() / own.height.sum()), worth


def _near(places: FloatArray, others: FloatArray) -> NDArray[np.bool_]:
    """Tell which angles lie near any of others, for cells that differ and a zero that is off; shape of `places`."""
    if not others.size:
        return np.zeros(places.size, bool)
    tolerance = OFF_DEG + 2 * np.degrees(SAME_CELL) * np.tan(np.radians(places / 2))
    nearest: FloatArray = np.abs(places[:, None] - others[None, :]).min(axis=1)
    near: NDArray[np.bool_] = nearest < tolerance
    return near


LINES: Any = _Lines()
WHOLE_PATTERNS: Any = _WholePatterns()
