"""Where a detector stands: the ``.poni`` file of pyFAI, read without following a path out of it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from layerscope.measured.files import RawFile

from .image import called, library

__all__ = ["Geometry"]

_LARGEST = 1_000_000  # bytes of a text of a dozen lines
_KEYS = ("distance", "poni1", "poni2", "rot1", "rot2", "rot3")
_METRES = 1e10  # Å


@dataclass(frozen=True, eq=False)
class Geometry:
    """A detector before a beam.

    Attributes
    ----------
    raw : RawFile
        The ``.poni`` file.
    integrator : pyFAI.integrator.azimuthal.AzimuthalIntegrator
    settings : mapping of str to str
        What the file says, for records.
    """

    raw: RawFile
    integrator: Any
    settings: Mapping[str, str]

    @property
    def wavelength(self) -> float | None:
        """In Å; None where the file does not say it."""
        metres = self.integrator.wavelength
        return None if metres is None else float(metres) * _METRES

    @property
    def shape(self) -> tuple[int, int] | None:
        """Rows and columns of the detector, where the file says them."""
        found = self.integrator.detector.shape
        return None if found is None else (int(found[0]), int(found[1]))

    def is_of(self, shape: tuple[int, int]) -> bool:
        """Tell whether images of a size are its own; the first does where the file does not say it."""
        if self.shape is None:
            self.integrator.detector.max_shape = self.integrator.detector.shape = shape
        return self.shape == shape

    @classmethod
    def read(cls, raw: RawFile, orientation: int | None = None) -> Geometry:
        """Read a ``.poni`` file.

        Parameters
        ----------
        raw : RawFile
        orientation : int, optional
            Corner at which images begin, over what the file says.

        Raises
        ------
        ReaderError
            If it is none, a number is missing or none, or its detector lies in a further file.
        MissingDependencyError
            If pyFAI is not installed.
        """
        settings = _settings(raw)
        for key in _KEYS:
            _finite(raw, key, settings.get(key))
        if _finite(raw, "distance", settings.get("distance")) <= 0:
            raise raw.error(f"the distance is {settings['distance']} m")
        known = library("pyFAI.detectors").ALL_DETECTORS
        name = settings.get("detector", "detector")
        if name.lower() not in known or "/" in name:
            raise raw.error(f"the detector {name!r} is not one of pyFAI's", hint="give its pixels: Detector_config")
        config = _config(raw, settings)
        if orientation is not None:
            config["orientation"] = orientation
        module = library("pyFAI.integrator.azimuthal")
        with called(raw, "the geometry cannot be used"):
            detector = library("pyFAI.detectors").detector_factory(name, config)
            numbers = [float(settings[key]) for key in _KEYS]
            wavelength = settings.get("wavelength")
            metres = None if wavelength is None else float(wavelength)
            integrator = module.AzimuthalIntegrator(*numbers, detector=detector, wavelength=metres)
            pixels = (float(detector.pixel1), float(detector.pixel2))
        if not all(math.isfinite(p) and p > 0 for p in pixels):
            raise raw.error(f"the pixels of the detector are {pixels[0]:g} x {pixels[1]:g} m")
        return cls(raw, integrator, settings)


def _settings(raw: RawFile) -> dict[str, str]:
    if len(raw.data) > _LARGEST:
        raise raw.error("this is no .poni file: it is far too long")
    text = raw.data.decode("utf-8", errors="replace")
    lines = (line.partition(":") for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))
    # calibrating again appends to the file: the last word counts
    found = {key.strip().lower(): value.strip() for key, colon, value in lines if colon}
    if "distance" not in found:
        raise raw.error("this is no .poni file: it does not say the distance", hint="pyFAI-calib2 writes one")
    return {key: value for key, value in found.items() if value and value != "None"}


def _finite(raw: RawFile, key: str, value: str | None) -> float:
    try:
        found = float(value or "")
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise raw.error(f"{key} is {value!r}, not a number")
    return found


def _config(raw: RawFile, settings: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings of the detector; old files give the size of the pixels alone."""
    if "wavelength" in settings:
        _finite(raw, "wavelength", settings["wavelength"])
    if "splinefile" in settings:
        raise raw.error("the detector's distortion lies in a further file", hint="correct the images for it first")
    try:
        config = json.loads(settings.get("detector_config", "{}"))
    except (ValueError, RecursionError) as error:
        raise raw.error("Detector_config is damaged") from error
    if not isinstance(config, dict):
        raise raw.error("Detector_config is damaged")
    further = [key for key, value in config.items() if re.search("file|spline", key, re.IGNORECASE) and value]
    if further:
        raise raw.error(f"the detector lies in a further file ({further[0]})", hint="correct the images for it first")
    for old, key in (("pixelsize1", "pixel1"), ("pixelsize2", "pixel2")):
        if old in settings:
            config.setdefault(key, _finite(raw, old, settings[old]))
    return config
