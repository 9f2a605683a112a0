"""From what a file holds to an image that can be analysed: one frame, its scale, and what of it is no image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from layerscope.errors import DataError
from layerscope.measured.series import Level, MeasuredSeries, Rejected
from layerscope.options import Positive, RecipeModel

from ..image import NOBODY_KNOWS, UNVERIFIED_SCALE, UNVERIFIED_SHEAR, Image, Scale
from .drift import Drift, aligned_mean
from .micrograph import Micrograph
from .registry import FORMATS
from .scale_bar import ScaleBar, find_scale_bar

__all__ = ["ImageOptions", "chosen", "one_a_file", "read_image", "ready_image"]

NO_SCALE = Scale(sd=2.0 * NOBODY_KNOWS, source="nobody knows the size of a pixel: lengths are in pixels")
DISAGREE = 0.02
"""Relative difference of two statements of the pixel size that is told."""


class ImageOptions(RecipeModel):
    """How images are read, and how sure their scale is."""

    signal: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="number of the image in its file, from 0, where it holds several"
    )
    frame: Annotated[int, Field(ge=0)] | Literal["mean"] = Field(
        default="mean", description="of a stack: its number from 0, or the mean of all, moved back by their drift"
    )
    pixel_nm: Positive | tuple[Positive, Positive] | Literal["unknown"] | None = Field(
        default=None,
        description="size of a pixel, or its sizes along y and x; that of the file if left out; 'unknown': ratios and "
        "angles alone decide",
    )
    scale_bar_nm: Positive | None = Field(
        default=None, description="length that is written beside a burned-in scale bar; its pixels are counted"
    )
    scale_sd: Positive = Field(
        default=UNVERIFIED_SCALE,
        description="relative standard error of the pixel size; 0.03 for what nobody verified, 0.01 for a calibrated "
        "microscope",
    )
    shear_sd: Positive = Field(
        default=UNVERIFIED_SHEAR, description="standard error of anisotropy and shear of the image"
    )


def read_image(path: str | Path, **options: Any) -> Image:
    """Return the image of one file.

    Parameters
    ----------
    path : str or Path
    **options
        Fields of `ImageOptions`.

    Raises
    ------
    ReaderError, DataError
        If the file cannot be read, holds no image or several, or what it holds cannot be used; the message names it.
    MissingDependencyError
        If rosettasciio is not installed.
    """
    table = ImageOptions(**options)
    found = FORMATS.read(path)
    return ready_image(chosen(found.measurements, table, str(path)), table)


def chosen(images: Sequence[Micrograph], table: ImageOptions, source: str) -> Micrograph:
    """Return that image of a file that is meant.

    Raises
    ------
    DataError
        If it holds several, and the recipe names none, or one that is not there.
    """
    meant = [image for image in images if table.signal in (None, image.scan)]
    if len(meant) == 1:
        return meant[0]
    there = ", ".join(f"{image.scan} {image.title} ({_size(image)})".replace("  ", " ") for image in images)
    words = f"it holds {len(images)} images: {there}" if meant else f"it has no image {table.signal}, but: {there}"
    raise DataError(words, source=source, hint="name one: signal")


def one_a_file(series: MeasuredSeries[Micrograph], table: ImageOptions) -> MeasuredSeries[Micrograph]:
    """Return a series with that image of every file that is meant; a file of which none is has its error."""
    files: dict[tuple[int, str], list[Level[Micrograph]]] = {}
    for level in series.levels:
        files.setdefault((level.file, level.measurement.source), []).append(level)
    kept: list[Level[Micrograph]] = []
    rejected = list(series.rejected)
    for (file, source), levels in files.items():
        try:
            image = chosen([level.measurement for level in levels], table, source)
        except DataError as error:
            rejected.append(Rejected(levels[0].index, file, error))
        else:
            kept += [level for level in levels if level.measurement is image]
    return replace(series, levels=tuple(kept), rejected=tuple(rejected))


def _size(image: Micrograph) -> str:
    return " x ".join(map(str, image.stack.shape[1:]))


def ready_image(micrograph: Micrograph, table: ImageOptions) -> Image:
    """Return the image of a micrograph with its scale, without what is no image.

    Parameters
    ----------
    micrograph : Micrograph
    table : ImageOptions

    Raises
    ------
    DataError
        If the size of a pixel is not known, or the stack has no such frame.
    """
    intensity, flags, drift = _one_frame(micrograph, table)
    bar = find_scale_bar(intensity)
    valid = np.isfinite(intensity)
    if not valid.all():
        flags.append(f"PIXELS_LEFT_OUT:{valid.size - int(valid.sum())} that are no numbers")
    if bar is not None:
        valid &= ~bar.mask
        flags.append(f"SCALE_BAR:{bar.window.nx} pixels long, masked")
    if not valid.all():
        intensity = np.where(valid, intensity, intensity[valid].mean(dtype=np.float64)).astype(np.float32)
    unknown = table.pixel_nm == "unknown"
    pixel, source = ((1.0, 1.0), "") if unknown else _pixel(micrograph, table, bar, flags)
    if pixel[0] != pixel[1]:
        flags.append(f"PIXELS_OBLONG:{pixel[0]:.6g} nm along y, {pixel[1]:.6g} nm along x")
    return Image(
        intensity=intensity,
        pixel_nm=pixel,
        scale=NO_SCALE if unknown else Scale(sd=table.scale_sd, shear_sd=table.shear_sd, source=source),
        valid=None if valid.all() else valid,
        name=micrograph.title or micrograph.name,
        source=micrograph.source,
        flags=tuple(flags),
        drift=None if drift is None else (drift.largest, drift.sigma),
    )


def _one_frame(micrograph: Micrograph, table: ImageOptions) -> tuple[NDArray[np.float32], list[str], Drift | None]:
    frames = micrograph.stack
    flags = [] if micrograph.is_grey else ["COLOURS_AVERAGED"]
    if table.frame == "mean" and len(frames) > 1:
        mean, drift = aligned_mean(frames)
        told = "STACK_AVERAGED:{}" if drift is None else f"STACK_ALIGNED:{{}} frames, drift {drift.largest:.3g} pixels"
        return mean, [*flags, told.format(len(frames))], drift
    if table.frame == "mean":
        return frames[0].astype(np.float32), flags, None
    if table.frame >= len(frames):
        words = f"{micrograph.name} has {len(frames)} frames, counted from 0; there is no frame {table.frame}"
        raise DataError(words, source=micrograph.source or None)
    return frames[table.frame].astype(np.float32), flags, None


def _pixel(
    micrograph: Micrograph, table: ImageOptions, bar: ScaleBar | None, flags: list[str]
) -> tuple[tuple[float, float], str]:
    """Return the size of a pixel (nm) and who says so: the recipe, the bar, or the file, in this order."""
    stated: list[tuple[tuple[float, float], str]] = []
    if table.pixel_nm is not None and table.pixel_nm != "unknown":
        one = table.pixel_nm
        stated.append((one if isinstance(one, tuple) else (one, one), "the recipe's pixel size"))
    if table.scale_bar_nm is not None:
        if bar is None:
            words = f"{micrograph.name} shows no scale bar: no long solid rectangle of its lowest or highest value"
            raise DataError(words, source=micrograph.source or None, hint="give pixel_nm instead of scale_bar_nm")
        size = table.scale_bar_nm / bar.window.nx
        stated.append(((size, size), "the burned-in scale bar"))
    if micrograph.pixel_nm is not None:
        stated.append((micrograph.pixel_nm, "the file's pixel size, unverified"))
    if not stated:
        hint = "give pixel_nm, or scale_bar_nm where a scale bar is burned in"
        if bar is not None:
            hint += f"; it has one of {bar.window.nx} pixels"
        words = f"the size of a pixel of {micrograph.name} is not known: {micrograph.unsaid or 'nobody says it'}"
        raise DataError(words, source=micrograph.source or None, hint=hint)
    for other, who in stated[1:]:
        if abs(math.log(_mean(other) / _mean(stated[0][0]))) > DISAGREE:
            flags.append(f"SCALE_DISAGREES:{who}, {_mean(other):.5g} nm")
    return stated[0]


def _mean(pixel: tuple[float, float]) -> float:
    return math.sqrt(pixel[0] * pixel[1])
