"""The tables of micrographs: what each region shows, every explanation by its probability, spacings, layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from layerscope.records import Alternative, Quantity, ResultRecord
from layerscope.runs.columns import Cell, Column
from layerscope.runs.summary import Shown, SummaryTable, records_table, table

from .kinds import LAYERS, REGION, SERIES

__all__ = ["image_tables"]

LEAST = 0.005
"""Probability below which an explanation stands in the record only."""
MOST_NAMED, MOST_RANKED = 6, 12
"""Explanations of a region that are named beside the first one, and listed."""
MOST_REGIONS = 12
"""Regions whose explanations are printed one by one."""
_NOTE = (
    "p: probability among all that were compared, by the priors of the recipe; set: the smallest set that holds 95 %. "
    "'no lattice' and 'another lattice' are answers like any other."
)

_LAYERS = (
    "Thicknesses along the normal, with the error of the scale. Spread: along the surface of an image; in the row of "
    "all images, between them."
)
_SHAPES = (
    "Elongation: length over width of spots, mean by their errors; 1 for flat slabs, more where slabs slip. "
    "Crystallinity: share of the power that stands in spots, 0 for speckle."
)
_SPACINGS = "The error of d is mostly that of the scale, which all share; angles are between planes, see the notes."


def _place(quantity: Quantity) -> float | None:
    """Return what the place of a spot adds to the error of its spacing, to two digits."""
    part = quantity.budget.get("position")
    return None if part is None else float(f"{part:.2g}")


def image_tables(records: Sequence[ResultRecord]) -> list[SummaryTable]:
    """Return the tables of all images: layers with their spread, answers of the regions, and spacings."""
    layers = [r for r in records if r.method in (LAYERS, SERIES) and r.status != "failed"]
    return [made for made in (*_thicknesses(layers), *_phases(records)) if made.rows]


def _thicknesses(records: Sequence[ResultRecord]) -> list[SummaryTable]:
    """Return a table of thicknesses and one of boundaries a sample; the row without a frame is that of all images."""
    found = []
    for sample in dict.fromkeys(r.state.sample for r in records):
        own = [r for r in records if r.state.sample == sample]
        columns = [
            Shown("layer.thickness", "{}"),
            Shown("layer.thickness_spread", "spread of {}"),
            Shown(lambda record: "mean" if record.method == SERIES else None, "of images", kind="text"),
        ]
        found.append(table(own, ("frame",), columns, title=f"{sample}: layers", note=_LAYERS, headline=True))
        names = {"layer.boundary": "{}", "layer.roughness": "roughness of {}", "layer.normal": "normal"}
        edges = [Shown(name, head) for name, head in names.items()]
        found.append(table(own, ("frame",), edges, title=f"{sample}: boundaries"))
    return found


def _phases(records: Sequence[ResultRecord]) -> list[SummaryTable]:
    """Return the tables of the regions of all images."""
    regions = [r for r in records if r.method == REGION and r.status != "failed"]
    samples = dict.fromkeys((r.state.sample, r.state.series) for r in regions)
    found: list[SummaryTable] = []
    for sample, series in samples:
        own = [r for r in regions if (r.state.sample, r.state.series) == (sample, series)]
        name = ", ".join(part for part in (sample, series) if part)
        found.append(_answers(own, name))
        found += [_ranked(own[:MOST_REGIONS], name, question) for question in ("", "present")]
        shapes = [
            Shown("spot.elongation", "elongation", components=("mean",)),
            Shown("image.crystallinity", "crystallinity"),
        ]
        found.append(table(own, ("frame", "region"), shapes, title=f"{name}: shapes of spots", note=_SHAPES))
        grains = [Shown("lattice.rotation", "direction")]
        found.append(table(own, ("frame", "region", "component"), grains, title=f"{name}: grains"))
        spacings = [
            Shown("lattice.d_spacing", "d"),
            Shown("lattice.d_spacing", "error of place", cell=_place, unit="nm"),
            Shown("lattice.angle", "angle"),
        ]
        for region in own[:MOST_REGIONS]:
            title = f"{name}: spacings in {_where(region)}"
            found.append(table([region], ("component",), spacings, title=title, note=_SPACINGS))
    return found


def _where(record: ResultRecord) -> str:
    frame = "" if record.state.frame is None else f" of image {record.state.frame}"
    return f"{record.state.region}{frame}"


def _best(record: ResultRecord) -> Alternative | None:
    return next((one for one in _main(record) if one.chosen), None)


def _main(record: ResultRecord) -> list[Alternative]:
    """Return the explanations that the answer was chosen from; others stand beside them under a name."""
    return [one for one in record.alternatives if not one.comparison]


def _answers(records: Sequence[ResultRecord], name: str) -> SummaryTable:
    """Return a row a region: the first answer, how sure it is, and what else is in the set."""

    def of_best(read: Callable[[Alternative], Cell]) -> Callable[[ResultRecord], Cell]:
        def cell(record: ResultRecord) -> Cell:
            best = _best(record)
            return None if best is None else read(best)

        return cell

    def others(record: ResultRecord) -> Cell:
        names = [one.name for one in _main(record) if one.in_set and not one.chosen]
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        return ", ".join(names[:MOST_NAMED]) + more or None

    columns = [
        Shown(of_best(lambda best: best.name), "first answer", kind="text"),
        Shown(of_best(lambda best: best.probability), "p", digits=3),
        Shown(others, "also in the set", kind="text"),
        Shown(_scale, "scale", kind="text"),
    ]
    return table(records, ("frame", "region"), columns, title=f"{name}: phases", note=_NOTE, headline=True)


def _scale(record: ResultRecord) -> Cell:
    return next((q.text() for q in record.quantities if q.name == "image.scale"), None)


def _ranked(records: Sequence[ResultRecord], name: str, question: str = "") -> SummaryTable:
    """Return a row an explanation, the most probable first; or a row a phase that may be among those present."""
    columns = [
        Column("image", kind="key"),
        Column("region", kind="key"),
        Column("rank", kind="key"),
        Column("phase" if question else "explanation", kind="text"),
        Column("p", digits=4),
        Column("set", kind="text"),
    ]
    rows: list[tuple[ResultRecord, tuple[Cell, ...]]] = []
    for record in records:
        asked = [one for one in record.alternatives if one.comparison == question]
        shown = [one for one in asked if one.in_set or (one.probability or 0.0) >= LEAST][:MOST_RANKED]
        for rank, one in enumerate(shown, start=1):
            mark = "yes" if one.in_set else ""
            rows.append((record, (record.state.frame, record.state.region, rank, one.name, one.probability, mark)))
    kept = [k for k, _ in enumerate(columns) if k > 0 or any(cells[0] is not None for _, cells in rows)]
    body = [(record, tuple(cells[k] for k in kept)) for record, cells in rows]
    title = "phases present, alone or with others" if question else "ranked explanations"
    return records_table(f"{name}: {title}", [columns[k] for k in kept], body)
