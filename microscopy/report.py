"""What micrographs add to a report: where each layer lies below the surface."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from layerscope.records import ResultRecord
from layerscope.report import Reach

from .kinds import LAYERS

__all__ = ["depths"]


def depths(records: Sequence[ResultRecord]) -> list[Reach]:
    """Return the layers of each image from the surface down: between boundaries, with their thicknesses."""
    found = []
    for record in records:
        if record.method != LAYERS:
            continue
        places = {q.component: q.value for q in record.quantities if q.name == "layer.boundary" and q.value is not None}
        edges = sorted((value, name) for name, value in places.items() if name is not None)
        thick = {q.component: q for q in record.quantities if q.name == "layer.thickness"}
        for (top, _), (bottom, name) in pairwise(edges):
            layer = name.partition("|")[0]
            if layer in thick:
                how = "boundaries in the image, from the first one down"
                found.append(Reach(record, top - edges[0][0], bottom - edges[0][0], (thick[layer],), how))
    return found
