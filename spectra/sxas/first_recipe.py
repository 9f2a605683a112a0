"""First recipes of absorption scans: the edge that they run over, samples, and the normalisation that they reach."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from layerscope.errors import DataError
from layerscope.init import Opened, RecipeText
from layerscope.init.clocks import Beside
from layerscope.init.series import files_key, series_name

from .edges import Edge
from .readers import read
from .reduce import edge_of
from .scan import Scan, ScanFile

__all__ = ["SCANS"]

_REPEAT = re.compile(r"[\s_.-]+\d{1,4}$")
LEAST_POINTS = 5


class _Scans:
    """Scans over one edge: pipeline ``sxas``."""

    reads = "sxas"

    def read(self, path: Path) -> ScanFile:
        """Read a file."""
        return read(path, on_error="collect")

    def suits(self, opened: Opened) -> float:
        """Take what a beamline wrote."""
        return 1.0

    def kind(self, opened: Opened) -> str:
        """One recipe holds one edge: that of most scans."""
        edges = [edge.name for scan in opened.recording.measurements if (edge := _edge(scan)) is not None]
        return max(edges, key=edges.count) if edges else "no edge"

    def write(self, opened: Sequence[Opened], beside: Beside) -> RecipeText:
        """Write samples with their repeats, and what the scans reach to be normalised by."""
        name = self.kind(opened[0])
        scans = [scan for one in opened for scan in one.recording.measurements]
        own = [scan for scan in scans if (edge := _edge(scan)) is not None and edge.name == name]
        if not own:
            edge_of(scans[0], None)  # says why
            raise DataError("no scan runs over an edge of the table", source=opened[0].name, hint="layerscope edges")
        edge = _edge(own[0])
        text = RecipeText("sxas", series_name(opened), f"First recipe of {series_name(opened)}")
        text.note("First recipe, written from the files. The first series is what others are compared with.")
        left = {scan.sample or scan.name for scan in scans} - {scan.sample or scan.name for scan in own}
        if left:
            text.note(f"Left out, for they are of other edges: {', '.join(sorted(left))}.")
        text.root("edge", name)
        modes = [mode for mode in own[0].modes if all(mode in scan.modes for scan in own)]
        if modes:
            others = f"; {', '.join(modes[1:])} are there too" if modes[1:] else ""
            text.root("mode", modes[0], f"assumed: the first that all scans have{others}")
        _normalise(text, edge, own)
        text.table("[energy]")
        text.key("convention", "as the beamline has it", "assumed: nobody calibrated it; or known_eV")
        if len(own) > 1 and all("reference" in scan.channels for scan in own):
            text.key("align", "reference", "all scans have a reference channel")
        for group in _repeats(opened):
            _samples(text, group, name)
        return text


def _edge(scan: Scan) -> Edge | None:
    try:
        return edge_of(scan, None)
    except DataError:
        return None


def _repeats(opened: Sequence[Opened]) -> list[list[Opened]]:
    """Return files by samples: those whose names differ only in a number at the end are taken for repeats."""
    found: dict[tuple[str, str], list[Opened]] = {}
    for one in opened:
        path = PurePosixPath(one.name)
        found.setdefault((str(path.parent / _REPEAT.sub("", path.stem)), path.suffix), []).append(one)
    return list(found.values())


def _samples(text: RecipeText, group: Sequence[Opened], edge: str) -> None:
    """Write the series of some files: one, or one a scan where a file holds scans of several names."""
    scans = [s for one in group for s in one.recording.measurements if (e := _edge(s)) is not None and e.name == edge]
    names = list(dict.fromkeys(scan.sample for scan in scans))
    several = len(names) > 1 and len(group) == 1
    for sample in names if several else [""]:
        text.table("[[series]]")
        label = f"{series_name(group)} {sample}".strip()
        text.key("name", label)
        text.key("sample", sample.strip() or scans[0].sample.strip() or series_name(group))
        files_key(text, group, "repeats of one sample")
        if several:
            text.key("scan", sample.strip())


def _normalise(text: RecipeText, edge: Edge | None, scans: Sequence[Scan]) -> None:
    """Write what spectra are normalised by: the area of the edge where all scans reach over its ranges."""
    if edge is None:
        return
    low, high = max(s.energy[0] for s in scans), min(s.energy[-1] for s in scans)

    def points(limits: tuple[float, float]) -> int:
        return min(int(((s.energy >= limits[0]) & (s.energy <= limits[1])).sum()) for s in scans)

    text.table("[normalise]")
    before = (max(edge.pre_eV[0], round(float(low), 1)), edge.pre_eV[1])
    after = (edge.post_eV[0], min(edge.post_eV[1], round(float(high), 1)))
    if before[0] < before[1] and points(before) >= LEAST_POINTS and low <= edge.area_eV[0] and high >= edge.area_eV[1]:
        text.key("kind", "area", f"the area from {edge.area_eV[0]:g} to {edge.area_eV[1]:g} eV; or step, point, none")
        if low > edge.pre_eV[0]:
            text.key("pre_eV", before, "assumed: the scans begin here")
    else:
        text.key("kind", "none", f"the scans ({low:.1f} to {high:.1f} eV) do not reach over the ranges of the table")
        text.off("pre_eV", before, "and kind = 'step' or 'area', with ranges that the scans reach")
        text.off("post_eV", after, "")


SCANS: Any = _Scans()
