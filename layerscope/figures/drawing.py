"""A figure that is still to be drawn: so that one that fails takes no other with it, and processes share them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

__all__ = ["Drawing"]


@dataclass(frozen=True)
class Drawing:
    """A figure of a run before it is drawn.

    Attributes
    ----------
    stem : Path
        Folder and name of its files, without ending.
    draw : callable
        Draws and saves it; returns its files.
    """

    stem: Path
    draw: Callable[[], Iterable[Path]]

    @classmethod
    def by(cls, draw: Callable[..., Iterable[Path]], stem: Path, *given: Any, **named: Any) -> Drawing:
        """Return the figure that ``draw(*given, stem=stem, **named)`` makes."""
        return cls(stem, partial(draw, *given, stem=stem, **named))
