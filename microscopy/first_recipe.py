"""First recipes of micrographs: images, their scale as far as the files say it, phases that may be seen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from layerscope.errors import DataError
from layerscope.init import Opened, RecipeText, named_alike
from layerscope.init.clocks import Beside
from layerscope.init.series import files_key, series_name

from .readers import FORMATS
from .readers.micrograph import Micrograph, MicrographRecording
from .recipe import DEFAULT_PHASES

__all__ = ["IMAGES"]

COARSE_NM = 0.1
"""Pixels larger than this show no lattice planes of a cathode."""


class _Images:
    """Images of a lattice: pipeline ``hrtem``."""

    reads = "hrtem"

    def read(self, path: Path) -> MicrographRecording:
        """Read a file."""
        return FORMATS.read(path, on_error="collect")

    def suits(self, opened: Opened) -> float:
        """Take what holds an image."""
        return 0.9

    def kind(self, opened: Opened) -> str:
        """Put all in one."""
        return "images"

    def write(self, opened: Sequence[Opened], beside: Beside) -> RecipeText:
        """Write each image as a series, with the phases of a cathode and its surface."""
        structures = [path for path in beside.paths if path.suffix.lower() == ".cif"]
        text = RecipeText("hrtem", series_name(opened), f"First recipe of {series_name(opened)}")
        text.note("First recipe, written from the files: the whole image is one region. Name regions, layers and an")
        text.note("internal standard where you know them (docs/hrtem.md).")
        text.root("phases", DEFAULT_PHASES, "assumed: a cathode of LiCoO2 and its surface; layerscope phases")
        if structures:
            files = [{"name": path.stem, "file": path.relative_to(beside.folder).as_posix()} for path in structures]
            text.root("phase_files", files, "structures that lay beside the images")
            beside.used.update(structures)
        for group in named_alike(opened):
            _series(text, group)
        return text


def _series(text: RecipeText, group: Sequence[Opened]) -> None:
    text.table("[[series]]")
    text.key("name", series_name(group))
    text.key("sample", series_name(group))
    files_key(text, group, "images of one sample")
    images: list[Micrograph] = [m for one in group for m in one.recording.measurements]
    if any(len(one.recording.measurements) > 1 for one in group):
        first = group[0].recording.measurements
        if not first:
            raise DataError("it holds no image", source=group[0].name)
        best = max(first, key=lambda image: image.stack.size)
        text.key("signal", best.scan, f"assumed: the largest of {len(first)} images in the file")
    sizes = [image.pixel_nm for image in images if image.vectors is None]
    if any(size is None for size in sizes):
        text.key("pixel_nm", "unknown", "the file does not say it: ratios and angles alone decide; nm if you know it")
    elif any(size is not None and max(size) > COARSE_NM for size in sizes):
        text.remark("The pixels are too coarse for lattice planes: the image will be called not indexable.")
    text.off("scale_sd", 0.01, "relative error of the pixel size of a calibrated microscope; 0.03 if left out")


IMAGES: Any = _Images()
