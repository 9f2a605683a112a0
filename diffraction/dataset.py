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

    @property
    def flags(self) -> tuple[str, ...]:
        """What a user should know: axes or wavelengths that differ, frames left out."""
        waves = {None if f.radiation is None else f.radiation.alpha1 for f in self.frames}
        return (*super().flags, *(("UNEQUAL_WAVELENGTHS",) if len(waves) > 1 else ()))
