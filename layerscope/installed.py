"""What installed packages add to the core, by entry points."""

from __future__ import annotations

import sys
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

__all__ = ["installed"]


def installed(group: str) -> dict[str, EntryPoint]:
    """Return the entry points of a group by name, in the order of their names; nothing is imported.

    Parameters
    ----------
    group : str
        ``layerscope.pipelines``, ...
    """
    points = _installed(tuple(sys.path)).select(group=group)
    return {point.name: point for point in sorted(points, key=lambda one: one.name)}


@lru_cache(maxsize=2)
def _installed(path: tuple[str, ...]) -> Any:
    """Return all entry points: to look through what is installed takes as long as a small fit, so it is done once."""
    return entry_points()
