"""What energy losses add to a report: what each place says, at its depth."""

from __future__ import annotations

from collections.abc import Sequence

from layerscope.records import ResultRecord
from layerscope.report import Reach

__all__ = ["depths"]

_SAID = ("edge.maximum_change", "edge.share_change")


def depths(records: Sequence[ResultRecord]) -> list[Reach]:
    """Return the changes of edges at each place of a scan whose depth is known."""
    found = []
    for record in records:
        said = tuple(q for q in record.quantities if q.name in _SAID)
        depth = record.state.depth_nm
        if record.method == "eels.edges" and depth is not None and said:
            found.append(Reach(record, depth, depth, said, "place of the beam"))
    return found
