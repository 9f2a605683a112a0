"""First recipes of XPS files: regions, species that the library knows where lines stand, charge reference, levels."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from layerscope.errors import DataError, FitError
from layerscope.fitting.backgrounds import static_shirley
from layerscope.init import Opened, RecipeText, named_alike
from layerscope.init.clocks import Beside
from layerscope.init.series import files_key, series_name

from .charge import load_references
from .dataset import ELEMENTS, FloatArray, Spectrum, XpsDataset, is_core_level
from .multiplets import MultipletTemplate, load_templates
from .readers import read
from .rsf import get_rsf_set
from .species import Species, is_of_line, species_for
from .survey.pipeline import WIDE_EV

__all__ = ["CASA", "CORE_LEVELS", "SURVEYS"]

REFERENCE = "C 1s"
RSF_SET = "scofield"
FAR_EV = 8.0
"""A line further off than this from the charge reference's energy is another line."""
NEAR_EV = 1.2
"""So near must a species of the library lie to a maximum to be named."""
APART_EV = 0.9
"""Lines nearer to each other are not told apart by a first fit."""
MOST_LINES = 3
CLEAR, CLEAR_SHARE = 8.0, 0.08
"""Standard deviations, and share of the highest point, from which a further maximum is proposed as a line."""
WIDTHS_EV = 0.8, 4.0
"""Between these lies the width of a line that is drawn to see what stands beside it."""
EVERYWHERE = frozenset(("H", "Li", "C", "O"))
NOT_MEASURED_EV, FOREIGN_EV = 0.4, 5.0
"""How much further off a species counts that holds a light element, or another one, of which no line was measured."""
_SYMBOL = re.compile(r"[A-Z][a-z]?")


@dataclass(frozen=True)
class _Line:
    """A line that is proposed: a species, a template of a multiplet, or a maximum that nothing is known of."""

    at: float
    species: Species | None = None
    template: MultipletTemplate | None = None


class _XpsFiles:
    """What the first recipes over XPS files share."""

    reads = "xps"

    def read(self, path: Path) -> XpsDataset:
        """Read a file."""
        return read(path, on_error="collect")


class _CoreLevels(_XpsFiles):
    """Regions of core levels: pipeline ``xps``."""

    def suits(self, opened: Opened) -> float:
        """Core levels are what most is made of."""
        return 1.0 if _narrow(opened) else 0.0

    def kind(self, opened: Opened) -> str:
        """Files of the same regions can stand in one recipe."""
        return ", ".join(sorted(_narrow(opened)))

    def write(self, opened: Sequence[Opened], beside: Beside) -> RecipeText:
        """Write regions with the lines that stand out, all of which the user is to look at."""
        regions = _narrow(opened[0])
        if not regions:
            raise DataError("it holds no region of a core level", source=opened[0].name)
        text = RecipeText("xps", _sample(opened), f"First recipe of {series_name(opened)}")
        text.note(
            "First recipe, written from the files: species are those of the library that lie nearest to what stands"
            " out; which of them are there is for you to say (layerscope species, docs/xps.md)."
        )
        _say_what_else(text, opened)
        for group in named_alike(opened):
            for sample in _samples(group, regions):
                _series(text, group, sample, several=len(_samples(group, regions)) > 1)
        spectra = {region: _summed(opened, region) for region in regions}
        shift = _charge(text, spectra)
        elements = {region.split()[0] for region in regions}
        quantified = [_region(text, region, *spectra[region], shift, elements) for region in regions]
        if sum(quantified) > 1:
            text.table("[quantification]", "assumed: sensitivity factors after Scofield, see layerscope rsf")
            text.key("rsf_set", RSF_SET)
        return text


class _Surveys(_XpsFiles):
    """Surveys: pipeline ``xps_survey``."""

    def suits(self, opened: Opened) -> float:
        """Surveys alone; where core levels stand beside them, these are more."""
        return 0.8 if _wide(opened) else 0.0

    def kind(self, opened: Opened) -> str:
        """Surveys of one name can stand in one recipe."""
        return next(iter(_wide(opened)), "survey")

    def write(self, opened: Sequence[Opened], beside: Beside) -> RecipeText:
        """Write the survey: its elements are found by the pipeline."""
        region = next(iter(_wide(opened[0])), None)
        if region is None:
            raise DataError("it holds no survey", source=opened[0].name)
        text = RecipeText("xps_survey", _sample(opened), f"First recipe of {series_name(opened)}")
        if region != "Survey":
            text.root("region", region)
        text.root("elements", (), "assumed: none is asked for; one that is not seen would get a limit")
        for group in named_alike(opened):
            for sample in _samples(group, (region,)):
                _series(text, group, sample, several=len(_samples(group, (region,))) > 1)
        return text


class _StoredFits(_XpsFiles):
    """Fits of CasaXPS: pipeline ``casaxps``, written where it is asked for."""

    def suits(self, opened: Opened) -> float:
        """Never by itself."""
        return 0.0

    def kind(self, opened: Opened) -> str:
        """Put all in one."""
        return "fits of CasaXPS"

    def write(self, opened: Sequence[Opened], beside: Beside) -> RecipeText:
        """Write that the stored fits are drawn and fitted again."""
        chosen = [one for one in opened if _casa(one)]
        if not chosen:
            raise DataError("no block holds a fit of CasaXPS", source=opened[0].name)
        text = RecipeText("casaxps", _sample(chosen), f"Fits of CasaXPS in {series_name(chosen)}")
        text.root("files", [one.name for one in chosen])
        text.root("mode", "refit", "as stored, and fitted again; 'redraw' for the former alone")
        return text


def _is_wide(spectrum: Spectrum) -> bool:
    return spectrum.region.startswith("Survey") or float(np.ptp(spectrum.axis)) > WIDE_EV


def _narrow(opened: Opened) -> tuple[str, ...]:
    """Return the regions that are fitted: core levels, or whatever is there if none is called so."""
    found = [s for s in opened.recording.measurements if not _is_wide(s)]
    names = list(dict.fromkeys(s.region for s in found))
    return tuple([name for name in names if is_core_level(name)] or names)


def _wide(opened: Opened) -> tuple[str, ...]:
    return tuple(dict.fromkeys(s.region for s in opened.recording.measurements if _is_wide(s)))


def _casa(opened: Opened) -> bool:
    return any("CASA comp" in line for s in opened.recording.measurements for line in s.comments)


def _samples(group: Sequence[Opened], regions: Sequence[str]) -> list[str]:
    """Return the samples of files, as far as they are told apart by holding the same region."""
    spectra = [s for one in group for s in one.recording.measurements if s.region in regions]
    return list(dict.fromkeys(s.sample for s in spectra))


def _sample(opened: Sequence[Opened]) -> str:
    return opened[0].first.sample.strip() or opened[0].stem


def _say_what_else(text: RecipeText, opened: Sequence[Opened]) -> None:
    narrow = set(_narrow(opened[0]))
    others = [s.region for s in opened[0].recording.measurements if s.region not in narrow and not _is_wide(s)]
    if others:
        text.note(f"Not fitted, for they are no core levels: {', '.join(dict.fromkeys(others))}.")
    if _wide(opened[0]):
        text.note("The file holds a survey too: layerscope init FILE --technique xps_survey")
    if any(_casa(one) for one in opened):
        text.note("The file holds fits of CasaXPS: layerscope init FILE --technique casaxps")


def _series(text: RecipeText, group: Sequence[Opened], sample: str, *, several: bool) -> None:
    text.table("[[series]]")
    name = sample.strip() or series_name(group)
    text.key("name", name if several else series_name(group))
    files_key(text, group, "levels of one series")
    if several:
        text.key("sample", name)
        text.key("select_sample", sample)
    first = next(s for s in group[0].recording.measurements if not several or s.sample == sample)
    if first.intensity_unit != "counts" and first.exposure_s is None:
        text.key("exposure", 1.0, "assumed: one count behind one unit; dwell time x scans, which the file does not say")
    if any(one.alike or len(group) > 1 for one in group) and first.etch_time_s is None and first.angle_deg is None:
        text.off("etch_times_s", [0.0, 30.0], "one a level; or times_s, angles_deg: the files do not say them")


def _summed(opened: Sequence[Opened], region: str) -> tuple[FloatArray, FloatArray]:
    """Return energies and the counts of all levels on the axis of the first one, shape (n,) each."""
    spectra = [s for one in opened for s in one.recording.measurements if s.region == region]
    x = spectra[0].axis
    same = [s for s in spectra if s.axis.shape == x.shape and np.allclose(s.axis, x, atol=0.02)]
    return x, np.sum(
        [s.intensity * (s.exposure_s if s.intensity_unit == "counts/s" and s.exposure_s else 1.0) for s in same], axis=0
    )


def _smooth(x: FloatArray, y: FloatArray, width_eV: float) -> FloatArray:
    step = float(np.median(np.diff(x)))
    points = max(round(width_eV / step) | 1, 1)
    padded = np.pad(y, points // 2, mode="edge")
    smooth: FloatArray = np.convolve(padded, np.ones(points) / points, "valid")
    return smooth


def _above(x: FloatArray, y: FloatArray) -> FloatArray:
    """Return what stands above a Shirley background, smoothed; above a straight line where there is none."""
    try:
        background = static_shirley(x, y).background[0]
    except FitError:
        background = np.interp(x, x[[0, -1]], [y[:5].mean(), y[-5:].mean()])
    return _smooth(x, y - background, 0.3)


def _charge(text: RecipeText, spectra: dict[str, tuple[FloatArray, FloatArray]]) -> float:
    """Write the charge reference, and return by how much lines are shifted (eV)."""
    entry = load_references()[REFERENCE]
    if REFERENCE not in spectra:
        text.table("[charge]", "assumed: no C 1s is there, so energies stay as measured; layerscope references")
        text.key("kind", "none")
        return 0.0
    x, y = spectra[REFERENCE]
    shift = float(x[np.argmax(_above(x, y))]) - entry.energy_eV
    if abs(shift) > FAR_EV:
        text.table("[charge]", f"assumed: the highest line of C 1s lies {shift:+.1f} eV off and is no reference")
        text.key("kind", "none")
        return 0.0
    text.table("[charge]", f"assumed: the highest line of C 1s ({shift:+.2f} eV off) is {entry.species}")
    text.key("reference", REFERENCE, f"{entry.energy_eV:g}({entry.sigma_eV:g}) eV by definition, contested")
    return shift


def _region(
    text: RecipeText, region: str, x: FloatArray, y: FloatArray, shift: float, elements: Collection[str]
) -> bool:
    """Write one region, and return whether its area counts in the composition."""
    counts = is_core_level(region) and get_rsf_set(RSF_SET).has(region)
    text.table("[[regions]]")
    text.key("region", region)
    templates = [t for t in load_templates() if is_of_line(t.line, region)]
    lines: list[_Line]
    if templates:
        high = _valley(x, y, _splitting(region))
        inside = x <= high
        if high < x[-1]:
            text.key("range_eV", [round(float(x[0]), 2), round(high, 2)], "ends below the second line of the doublet")
        x, y = x[inside], y[inside]
        lines = _multiplets(x, y, templates, shift)
    else:
        lines = _lines(x, y, region, shift, elements)
    if not counts:
        text.key("quantify", False, "no sensitivity factor of this region is known")
    first = True
    for number, line in enumerate(lines):
        _component(text, line, number, x, shift, region, like=None if first else _name(lines[0], 0))
        first = False
    return counts


def _splitting(region: str) -> float:
    known = [s.splitting_eV for s in species_for(region) if s.splitting_eV is not None]
    usual = {"Mn": 11.5, "Fe": 13.1, "Co": 15.0, "Ni": 17.3, "Cu": 19.8}
    return usual.get(region.split()[0], known[0] if known else 12.0)


def _valley(x: FloatArray, y: FloatArray, splitting: float) -> float:
    """Return where the signal is lowest between the two lines of a doublet (eV); the end where it does not reach."""
    smooth = _smooth(x, y, 1.0)
    first = x <= max(x[-1] - splitting, x[0] + 5.0)
    top = float(x[first][np.argmax(smooth[first])])
    between = (x > top + 0.35 * splitting) & (x < top + 0.85 * splitting)
    return float(x[between][np.argmin(smooth[between])]) if between.sum() > 3 else float(x[-1])


def _multiplets(x: FloatArray, y: FloatArray, templates: Sequence[MultipletTemplate], shift: float) -> list[_Line]:
    """Return the two compounds whose published groups are highest where the signal is."""
    top = float(x[np.argmax(_above(x, y))]) - shift
    order = sorted(templates, key=lambda t: abs(t.position_eV + t.crest_eV - top))
    return [_Line(t.position_eV + shift, template=t) for t in order[:2]]


def _lines(x: FloatArray, y: FloatArray, region: str, shift: float, elements: Collection[str]) -> list[_Line]:
    """Return the highest line and what stands out beside it, each with the nearest species of the library."""
    above = _above(x, y)
    noise = np.sqrt(np.maximum(_smooth(x, y, 0.3), 1.0) / max(round(0.3 / float(np.median(np.diff(x)))), 1))
    known = [s for s in species_for(region) if not s.standard]
    if region == REFERENCE:
        known.sort(key=lambda s: s.id != load_references()[REFERENCE].species)
    found: list[_Line] = []
    width = _width(x, above)
    top = int(np.argmax(above))
    if above[top] < CLEAR * noise[top] and known and region != REFERENCE:  # noise has a highest point too
        middle = float(np.median(x)) - shift
        usual = min(known, key=lambda s: _distance(s, min(max(middle, s.low_eV), s.high_eV), elements))
        return [_Line(float("nan"), species=usual)]
    highest = max(float(above.max()), 1.0)
    while len(found) < MOST_LINES:
        rest = above.copy()
        for line in found:
            rest -= _drawn(x, above, line, known, width)
            rest[np.abs(x - line.at) < APART_EV] = -np.inf
        at = int(np.argmax(rest))
        if found and (rest[at] < CLEAR * noise[at] or rest[at] < CLEAR_SHARE * highest):
            break
        place = float(x[at])
        taken = {line.species.id for line in found if line.species}
        near = [s for s in known if s.id not in taken and _distance(s, place - shift, elements) < NEAR_EV]
        if region == REFERENCE and not found:
            near = [s for s in known if s.id == load_references()[REFERENCE].species]
        best = min(near, key=lambda s: _distance(s, place - shift, elements), default=None)
        found.append(_Line(place, species=best))
    return found


def _distance(species: Species, place: float, elements: Collection[str]) -> float:
    """Return how far a species lies from a place (eV), and more where it holds what was not measured."""
    outside = max(species.low_eV - place, place - species.high_eV, 0.0) + 0.05 * abs(species.position_eV - place)
    others = ELEMENTS.intersection(_SYMBOL.findall(species.id)) - EVERYWHERE - set(elements)
    return outside + sum(NOT_MEASURED_EV if len(symbol) == 1 else FOREIGN_EV for symbol in others)


def _width(x: FloatArray, above: FloatArray) -> float:
    """Return twice the smaller half width at half maximum of the highest line (eV)."""
    top = int(np.argmax(above))
    low = above < 0.5 * above[top]
    left, right = np.flatnonzero(low[:top]), np.flatnonzero(low[top:])
    halves = [x[top] - x[left[-1]]] if left.size else []
    halves += [x[top + right[0]] - x[top]] if right.size else []
    return float(np.clip(2 * min(halves, default=WIDTHS_EV[1]), *WIDTHS_EV))


def _drawn(x: FloatArray, above: FloatArray, line: _Line, known: Sequence[Species], width: float) -> FloatArray:
    """Return a curve between Gaussian and Lorentzian for a line, with the second line of its doublet."""
    height = max(float(np.interp(line.at, x, above)), 0.0)
    curve = height * _peak((x - line.at) / width)
    entry = line.species or next((s for s in known if s.splitting_eV), None)
    if entry is not None and entry.splitting_eV:
        ratio = entry.ratio or 0.7
        curve += ratio * height * _peak((x - line.at - entry.splitting_eV) / width)
    return curve


def _peak(u: FloatArray) -> FloatArray:
    curve: FloatArray = 0.7 * np.exp(-4 * np.log(2) * u**2) + 0.3 / (1 + 4 * u**2)
    return curve


def _name(line: _Line, number: int) -> str:
    if line.template is not None:
        return line.template.id
    return line.species.id if line.species is not None else f"line {number + 1}"


def _component(
    text: RecipeText, line: _Line, number: int, x: FloatArray, shift: float, region: str, *, like: str | None
) -> None:
    text.table("[[regions.components]]")
    entry = line.species
    text.key("species", _name(line, number), _why(line, shift))
    if line.template is not None:
        text.key("template", line.template.id)
        if entry is None and not any(s.id == line.template.id for s in species_for(region)):
            text.key("custom", True)
    elif entry is None:
        text.key("custom", True, "assumed: the library has no species of this line here")
        place = round(line.at - shift, 2)
        text.key("position_eV", {"value": place, "min": round(place - 1.0, 2), "max": round(place + 1.0, 2)})
    else:
        if entry.line != region or sum(s.id == entry.id for s in species_for(region)) > 1:
            text.key("line", entry.line)
        _doublet(text, entry, x, line.at)
    if like is not None:
        text.key("like", like)
        text.key("optional", True, "whether the data need it is decided by BIC")


def _doublet(text: RecipeText, entry: Species, x: FloatArray, at: float) -> None:
    place = at if np.isfinite(at) else entry.position_eV
    if entry.splitting_eV is None or place + entry.splitting_eV > x[-1] - 0.5:
        return
    text.key("doublet", True)
    if entry.ratio is None:
        orbital = entry.line.split()[1][1]
        ratio = {"p": 0.5, "d": 0.667, "f": 0.75}[orbital]
        text.key("parameters", {"splitting": entry.splitting_eV, "ratio": ratio})


def _why(line: _Line, shift: float) -> str:
    if line.species is not None and not np.isfinite(line.at):
        return f"{line.species.label}: assumed, for nothing stands out"
    at = f"a maximum at {line.at:.1f} eV"
    if line.template is not None:
        return f"{line.template.label}: assumed, by where the group is highest"
    if line.species is None:
        return at
    return f"{line.species.label}: assumed, {at}"


CORE_LEVELS: Any = _CoreLevels()
SURVEYS: Any = _Surveys()
CASA: Any = _StoredFits()
