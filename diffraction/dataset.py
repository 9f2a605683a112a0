"""The diffraction dataset: the series of patterns that every reader returns."""

from __future__ import annotations

from dataclasses import dataclass

from layerscope.measured.measurement import Recording

from .pattern import Pattern

__all__ = ["Pattern", "PatternSeries"]


@dataclass(frozen=True, eq=False)
class PatternSeries(Recording[Pattern]):
    """All patterns of one file, folder or archive, in order."""

    @property
    def frames(self) -> tuple[Pattern, ...]:
        """The patterns."""
        return self.measurements
