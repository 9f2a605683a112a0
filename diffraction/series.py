"""From the files of a recipe to frames: read, checked, and set against time and voltage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layerscope.cycler.clock import aligned, by_clock, timed
from layerscope.errors import DataError
from layerscope.measured.files import load
from layerscope.measured.formats import Formats
from layerscope.measured.measurement import NOTHING
from layerscope.records import InputFile
from layerscope.runs.levels import read_levels, side_files
from layerscope.runs.technique import SeriesPipeline

from .dataset import Pattern, PatternSeries
from .frames import Frame, FrameSeries
from .radiation import Radiation, tube_radiation
from .readers import FORMATS
from .recipe_series import DiffractionRecipe, RadiationTable, SeriesTable

if TYPE_CHECKING:
    from .area.integration import Integration

__all__ = ["FramesPipeline", "load_series"]

SAME_WAVELENGTH = 2e-3
"""Relative difference between the wavelength of a file and of the recipe beyond which one of them is wrong."""


class FramesPipeline(SeriesPipeline[FrameSeries]):
    """What the pipelines of this wing share: their formats, and images, of which a recipe makes patterns."""

    formats = FORMATS

    def recording(self, path: str | Path, **how: Any) -> PatternSeries:
        """Return what a file holds, as `Formats.read`.

        Raises
        ------
        DataError
            If it is a whole image, which a geometry has to turn into a pattern first; a ReaderError if it is cut off.
        """
        if Path(path).is_file():
            raw = load(path)
            if not FORMATS.sniffed(raw) and _images().sniffed(raw):
                _images().read(raw)
                hint = "a recipe integrates it: [series.integrate]"
                raise DataError("it is an image of a detector, not a pattern", source=path, hint=hint)
        return FORMATS.read(path, **how)


def load_series(recipe: DiffractionRecipe, table: SeriesTable) -> FrameSeries:
    """Read the frames of a series and set them against time and voltage.

    Parameters
    ----------
    recipe : DiffractionRecipe
        Located.
    table : SeriesTable
        One of its series.

    Returns
    -------
    FrameSeries
        Frames that cannot be used are in ``rejected``.

    Raises
    ------
    ReaderError, DataError
        If no frame can be used, the cycler's record is missing or cannot be aligned, or the wavelength is not known.
    MissingDependencyError
        If a format needs a library that is not installed.
    """
    given = table.radiation or recipe.radiation
    integration = _integration(recipe, table, given)
    read = FORMATS.read if integration is None else partial(_images().read, prepare=integration.pattern)
    found = read_levels(recipe, table, read, partial(_in_two_theta, given))
    total = len(found.levels) + len(found.rejected)
    left_out = set(table.leave_out)
    frames = [f for f in found.levels if f.index not in left_out]
    rejected = tuple(r for r in found.rejected if r.index not in left_out)
    if not frames:
        raise rejected[0].error if rejected else DataError("the series holds no frame", source=table.files[0])
    others: list[InputFile] = []
    if table.integrate is not None:
        one = table.integrate
        others += side_files(recipe, one.poni, one.mask, one.dark, one.flat)
    notes: list[str] = []
    cell = None
    if table.frames is not None:
        others += side_files(recipe, table.frames.table, table.frames.log)
        frames = timed(frames, table.frames, recipe.resolve, total)
    if table.cycler is not None:
        frames, cycler, notes, cell = aligned(frames, table.cycler, recipe.resolve)
        others.append(cycler)
    else:
        frames = by_clock(frames)
    frames = [_told(frame) for frame in frames]
    flags = [f"FRAMES_LEFT_OUT:{','.join(map(str, sorted(left_out)))}"] if left_out else []
    return FrameSeries(
        table=table,
        whole=table.state(recipe.sample, temperature_K=table.temperature_K),
        levels=tuple(frames),
        rejected=rejected,
        files=found.files,
        others=tuple(others),
        notes=(*notes, *_missing_notes(frames)),
        flags=(*flags, *_missing_flags(frames)),
        cell=cell,
        integration=NOTHING if integration is None else integration.settings(),
    )


def _integration(recipe: DiffractionRecipe, table: SeriesTable, given: RadiationTable | None) -> Integration | None:
    """Return how the images of a series become patterns; None where its files hold patterns."""
    if table.integrate is None:
        return None
    from .area.integration import Integration

    wavelength = None
    if given is not None and not given.override:
        wavelength = given.wavelength
        if given.anode is not None:
            wavelength = tube_radiation(given.anode).alpha1
    return Integration.of(table.integrate, recipe.resolve, wavelength)


def _images() -> Formats[PatternSeries]:
    from .area.integration import IMAGES

    return IMAGES


def _told(frame: Frame) -> Frame:
    """Return a frame with the flags of points that are missing in it."""
    return replace(frame, flags=(*frame.flags, *_missing_flags([frame])))


def _missing_flags(frames: Sequence[Frame]) -> list[str]:
    masked = sum(int((~f.measurement.use).sum()) for f in frames if f.measurement.use is not None)
    cut = [f.index for f in frames if "cut" in f.measurement.metadata]
    flags = [f"POINTS_MASKED:{masked}"] if masked else []
    flags += [f"ZERO_TAIL:{','.join(map(str, cut))}"] if cut else []
    said = [words for f in frames for key, words in f.measurement.metadata.items() if key.startswith("flag ")]
    return flags + list(dict.fromkeys(said))


def _missing_notes(frames: Sequence[Frame]) -> list[str]:
    notes = []
    for frame in frames:
        found, name = frame.measurement.metadata, frame.measurement.name
        notes += [f"{name}: no intensities at {found['masked']}; masked"] if "masked" in found else []
        notes += [f"{name}: cut off, {found['cut']}"] if "cut" in found else []
    return notes


def _in_two_theta(given: RadiationTable | None, pattern: Pattern) -> Pattern:
    return replace(pattern, radiation=_radiation(given, pattern)).to("two_theta")


def _radiation(given: RadiationTable | None, pattern: Pattern) -> Radiation:
    """Return the wavelengths: the recipe's if it has any, but not against what the file says."""
    own = pattern.radiation
    if given is None:
        if own is None:
            raise DataError(
                "the wavelength is not known: the file does not say it",
                source=pattern.source,
                hint="add a table [radiation] with anode or wavelength",
            )
        return own
    if given.anode is not None:
        radiation = tube_radiation(given.anode, lines=given.lines)
    else:
        assert given.wavelength is not None  # noqa: S101
        radiation = Radiation(given.wavelength, given.alpha2, given.ratio, source="given")
    radiation.check(pattern.source)
    if own is not None and not given.override and abs(own.alpha1 / radiation.alpha1 - 1) > SAME_WAVELENGTH:
        raise DataError(
            f"the recipe's wavelength is {radiation.alpha1:g} Å, the file says {own.alpha1:g} Å",
            source=pattern.source,
            hint="correct the recipe, or say radiation.override = true",
        )
    return radiation
