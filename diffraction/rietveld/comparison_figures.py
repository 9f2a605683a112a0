"""Figures of two engines on the same data: the difference of every parameter in standard errors."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from layerscope.figures import GUIDE, PALETTE, Column, Drawing, Page, Panel, Scale, save_figure, style
from layerscope.figures.words import figure_stem, legible, minus, printed, printed_unit
from layerscope.records import Quantity, ResultRecord

from ..figure_data import SeriesView, provenance_of
from .compare import is_judged

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from layerscope.runs.load import Run

__all__ = ["Compared", "collect_comparisons", "draw_comparisons", "parameter_label"]

METHOD = "rietveld.comparison"
SERIES_FROM = 4
"""Frames from which differences are drawn along the frames."""
ROW_MM = 3.1
"""Height of a parameter's row."""
ONE_COLUMN = 36
"""Parameters up to which one column of a page is enough."""
LINEAR_TO = 5.0
"""Standard errors up to which the scale is linear."""
NOT_JUDGED_COLOUR = "#8C8C8C"
_MARKERS = "os^vD<>ph*"
_LAST = ("instrument", "background", "extra lines")
_KINDS = ("cell", "weight_fraction", "site", "size_nm", "microstrain_ppm", "march", "scale")
_NAMES = {
    "a": "$a$",
    "b": "$b$",
    "c": "$c$",
    "alpha": "$α$",
    "beta": "$β$",
    "gamma": "$γ$",
    "volume": "cell volume",
    "weight_fraction": "weight fraction",
    "size_nm": "crystallite size",
    "microstrain_ppm": "microstrain",
    "march": "texture (March)",
    "scale": "scale",
    "zero": "zero shift",
    "displacement_mm": "displacement",
    "sh_l": "axial divergence",
    "u": "$U$",
    "v": "$V$",
    "w": "$W$",
    "x": "$X$",
    "y": "$Y$",
}


@dataclass(frozen=True, eq=False)
class Compared:
    """The comparisons of one series.

    Attributes
    ----------
    view : SeriesView
        The series by the first engine.
    names : tuple of str
        Names of the arrays of both engines.
    records : mapping of int to ResultRecord
        Row of `view` -> record of the comparison.
    """

    view: SeriesView
    names: tuple[str, ...]
    records: Mapping[int, ResultRecord]


def collect_comparisons(run: Run, views: Sequence[SeriesView]) -> tuple[Compared, ...]:
    """Return the comparisons of a run by series, in the order of `views`."""
    place = {row.record.record_id: (n, k) for n, view in enumerate(views) for k, row in enumerate(view.series.rows)}
    found: dict[int, dict[int, ResultRecord]] = {}
    partners: dict[int, dict[str, None]] = {}
    for record in run.records:
        if record.method != METHOD or record.status == "failed" or not record.parents:
            continue
        first = place.get(record.parents[0])
        if first is None:
            continue
        found.setdefault(first[0], {})[first[1]] = record
        for parent in record.parents[1:]:
            if parent in place:
                partners.setdefault(first[0], {})[views[place[parent][0]].series.name] = None
    return tuple(
        Compared(views[n], (views[n].series.name, *partners.get(n, ())), dict(sorted(found[n].items())))
        for n in sorted(found)
    )


def draw_comparisons(found: Sequence[Compared], chosen: Mapping[int, Sequence[int]], folder: Path) -> Iterator[Drawing]:
    """Yield the differences of the engines.

    Parameters
    ----------
    found : sequence of Compared
    chosen : mapping of int to sequence of int
        For each comparison by number, the rows that get a figure of their own.
    folder : Path

    Yields
    ------
    Drawing
        ``<series>_engines`` a pattern, of sequences ending in ``_frame_<number>``; ``<series>_engines_frames`` for a
        sequence.
    """
    taken: set[str] = set()
    for number, one in enumerate(found):
        for row in chosen.get(number, tuple(one.records)):
            if row in one.records:
                several = len(one.view.series.rows) > 1
                ending = f"engines_frame_{one.view.frames[row]:03.0f}" if several else "engines"
                yield Drawing.by(_dots, folder / figure_stem(one.names, ending, taken), one, row)
        if len(one.records) >= SERIES_FROM:
            yield Drawing.by(_courses, folder / figure_stem(one.names, "engines_frames", taken), one)


def parameter_label(name: str) -> str:
    """Return a parameter by its canonical name as it is printed, without the phase.

    Parameters
    ----------
    name : str
        ``O3/cell/c``, ``O3/site/O/z``, ``instrument/sh_l``, ``background/3``: $c$, $z$(O), axial divergence, term 3.
    """
    parts = name.split("/")
    if parts[0] in ("background", "line"):
        return f"{'term' if parts[0] == 'background' else 'line'} {parts[-1]}"
    if "site" in parts:
        label, kind = parts[-2], parts[-1]
        words = {"b_iso": "$B$", "occupancy": "occupancy"}.get(kind, f"${kind}$")
        return f"{words}({label})"
    return _NAMES.get(parts[-1], " ".join(parts[1:]).replace("_", " ") or name)


def _group(name: str) -> str:
    """Return what a parameter belongs to: its phase, or the pattern."""
    head = name.split("/")[0]
    return "extra lines" if head == "line" else head


def _shown(record: ResultRecord, phases: Sequence[str]) -> list[Quantity]:
    """Return the differences of a record by group, phases first and in their order; b where it is not a."""
    rows = {q.component or "": q for q in record.quantities if q.name == "comparison.difference" and q.sigma}
    kept = [q for name, q in rows.items() if not _follows(name, q, rows)]
    groups = [*phases, *sorted({_group(name) for name in rows}.difference(phases, _LAST)), *_LAST]

    def key(q: Quantity) -> tuple[int, int, int, str]:
        name = q.component or ""
        parts = name.split("/")
        kind = next((_KINDS.index(p) for p in parts if p in _KINDS), len(_KINDS))
        return groups.index(_group(name)), kind, int(parts[-1]) if parts[-1].isdigit() else 0, name

    return sorted(kept, key=key)


def _follows(name: str, quantity: Quantity, rows: Mapping[str, Quantity]) -> bool:
    """Tell whether it is b where symmetry makes it a."""
    if not name.endswith("/cell/b"):
        return False
    a = rows.get(f"{name[:-1]}a")
    return a is not None and math.isclose(_ratio(a), _ratio(quantity), rel_tol=1e-9)


def _ratio(quantity: Quantity | None) -> float:
    if quantity is None or quantity.value is None or not quantity.sigma:
        return float("nan")
    return quantity.value / quantity.sigma


def _limit(record: ResultRecord) -> float:
    """Return the standard errors within which the recipe calls engines equal."""
    limit = record.recipe.get("agree_within")
    return float(limit) if isinstance(limit, int | float) else 3.0


def _frame(axes: Axes, reach: float, limit: float, which: Literal["x", "y"]) -> None:
    """Shade what counts as equal; the scale is linear to five standard errors and logarithmic beyond, and says so."""
    across = which == "x"
    (axes.axvspan if across else axes.axhspan)(-limit, limit, color="#E4E4E4", linewidth=0, zorder=0, label=GUIDE)
    (axes.axvline if across else axes.axhline)(0.0, color="#BBBBBB", linewidth=0.5, zorder=0.5, label=GUIDE)
    span, marks = max(1.35 * reach, limit + 1.0), [float(v) for v in range(-3, 4)]
    if span > LINEAR_TO:
        (axes.set_xscale if across else axes.set_yscale)("symlog", linthresh=LINEAR_TO, linscale=1.4)
        big = [10.0**p for p in range(1, 9) if 10.0**p <= span] or [LINEAR_TO]
        big = big[:: -(-len(big) // 3)]
        marks = [*(-b for b in reversed(big)), -3.0, 0.0, 3.0, *big]
    axis = axes.xaxis if across else axes.yaxis
    axis.set_ticks(marks, [minus(f"{v:g}") for v in marks])
    axis.set_ticks([], minor=True)
    axes.set(**{f"{which}lim": (-span, span), f"{which}label": "(GSAS-II − rietx) / σ"})


# --- one pattern -------------------------------------------------------------------------------------------------


def _dots(one: Compared, row: int, stem: Path) -> tuple[Path, ...]:
    record = one.records[row]
    shown, limit = _shown(record, one.view.series.phases), _limit(record)
    columns = 1 if len(shown) <= ONE_COLUMN else 2
    parts = [shown] if columns == 1 else _halves(shown)
    longest = max(len(part) + len({_group(q.component or "") for q in part}) for part in parts)
    reach = max((abs(_ratio(q)) for q in shown), default=0.0)
    with style("single" if columns == 1 else "double") as sheet:
        page = Page(sheet.figure(min(24.0 + ROW_MM * longest, 245.0)))
        panels = page.figure.subplots(1, columns, squeeze=False)[0]
        for axes, part in zip(panels, parts, strict=True):
            panel = page.panel(axes) if columns > 1 else Panel(page, axes, "")
            _rows(panel, part, longest)
            _frame(axes, reach, limit, "x")
        several = len(one.view.series.rows) > 1
        title = printed(one.view.series.sample)
        page.figure.suptitle(f"{title}, {one.view.title_of(row)}" if several else title)
        verdict = record.notes[0] if record.notes else ""
        caption = (
            f"{one.view.series.sample}: difference of every parameter between GSAS-II and rietx in units of the larger "
            f"of the two standard errors; grey: {limit:g} of them. Open grey: parameters that depend on the engine by "
            "construction and are not judged. To the right: the difference with that standard error. The scale is "
            f"logarithmic beyond {LINEAR_TO:g}. {verdict}"
        ).strip()
        parents = [r.record for r in one.view.series.rows if r.record.record_id in record.parents]
        return save_figure(page.figure, stem, page.table, provenance_of([one.view], caption, [record, *parents]))


def _halves(shown: list[Quantity]) -> list[list[Quantity]]:
    """Cut a list of parameters in two, where a group ends near the middle if one does."""
    half = -(-len(shown) // 2)
    ends = [k for k in range(1, len(shown)) if _group(shown[k].component or "") != _group(shown[k - 1].component or "")]
    near = [k for k in ends if abs(k - half) <= len(shown) // 8]
    cut = min(near, key=lambda k: abs(k - half)) if near else half
    return [shown[:cut], shown[cut:]]


def _rows(panel: Panel, shown: Sequence[Quantity], longest: int) -> None:
    """Draw a dot a parameter, from above, under the name of its group."""
    axes = panel.axes
    level, group = 0.0, ""
    ticks: list[float] = []
    labels: list[str] = []
    differences: list[str] = []
    drawn: dict[bool, list[tuple[float, float, str]]] = {True: [], False: []}
    for quantity in shown:
        name = quantity.component or ""
        if _group(name) != group:
            group, level = _group(name), level - 1.0
            axes.annotate(
                printed(group), (0.0, level), xycoords=axes.get_yaxis_transform(), xytext=(-2, 0), fontsize=5.5,
                textcoords="offset points", fontweight="bold", ha="right", va="center",
            )  # fmt: skip
        level -= 1.0
        ticks.append(level)
        labels.append(parameter_label(name))
        drawn[is_judged(name)].append((_ratio(quantity), level, name))
        unit = printed_unit(quantity.unit)
        differences.append(minus(quantity.text()) + (unit if unit == "°" else f" {unit}" if unit else ""))
    for judged, rows in drawn.items():
        if not rows:
            continue
        x, y = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
        label = "judged" if judged else "not judged"
        panel.add(label, x, y, (Scale(f"{label}: difference / sigma", "1"), Scale("row", "1")))
        name = ": ".join(word for word in (panel.letter, f"{label}: parameter") if word)
        panel.page.columns.append(Column.labels(name, [r[2] for r in rows]))
        colour = PALETTE[0] if judged else NOT_JUDGED_COLOUR
        face = colour if judged else "white"
        axes.plot(x, y, "o", color=colour, markersize=3.0, markerfacecolor=face, markeredgewidth=0.6, label=label)
    axes.set_yticks(ticks, labels, fontsize=5.5)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(-longest - 0.7, -0.3)
    beside = axes.secondary_yaxis("right")
    beside.set_yticks(ticks, differences, fontsize=5)
    beside.tick_params(axis="y", length=0)


# --- along the frames --------------------------------------------------------------------------------------------


def _courses(one: Compared, stem: Path) -> tuple[Path, ...]:
    """Draw the judged parameters of each phase against time, a panel a phase."""
    rows, phases = list(one.records), one.view.series.phases
    values = {row: {q.component or "": _ratio(q) for q in _shown(one.records[row], phases)} for row in rows}
    names = [n for n in dict.fromkeys(n for row in rows for n in values[row]) if is_judged(n)]
    groups = sorted(dict.fromkeys(map(_group, names)), key=lambda g: phases.index(g) if g in phases else len(phases))
    limit = _limit(one.records[rows[0]])
    clock, scales = one.view.clock[rows], (one.view.time, Scale("difference / sigma", "1"))
    with style("double") as sheet:
        page = Page(sheet.figure(min(16.0 + 36.0 * max(len(groups), 1), 245.0)))
        panels = page.column(page.figure.add_gridspec(max(len(groups), 1), 1), one.view.time.label)
        for axes, group in zip(panels, groups, strict=False):
            panel = page.panel(axes, printed(group))
            own = [n for n in names if _group(n) == group]
            reach = 0.0
            for rank, name in enumerate(own):
                y = np.array([values[row].get(name, np.nan) for row in rows])
                reach = max(reach, float(np.nanmax(np.abs(y))))
                panel.add(name, clock, y, scales)
                axes.plot(
                    clock, y, color=legible(PALETTE[rank % 6], 2.2), marker=_MARKERS[rank % len(_MARKERS)],
                    markersize=2.2, markeredgewidth=0.0, linewidth=0.5, label=parameter_label(name),
                )  # fmt: skip
            _frame(axes, reach, limit, "y")
            axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=5.5)
        page.figure.suptitle(printed(one.view.series.sample))
        beyond = sum(abs(v) > limit for row in rows for n, v in values[row].items() if n in names)
        count = sum(np.isfinite(v) for row in rows for n, v in values[row].items() if n in names)
        caption = (
            f"{one.view.series.sample}: difference of every judged parameter between GSAS-II and rietx in units of the "
            f"larger of the two standard errors, against {one.view.time.name}; grey: {limit:g} of them. "
            f"{beyond} of {count} lie beyond."
        )
        records = list(one.records.values())
        return save_figure(page.figure, stem, page.table, provenance_of([one.view], caption, records))
