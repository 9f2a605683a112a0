"""From images to patterns: each pixel to its bin by pyFAI, with the error of what was counted in it.

The error of a bin is the square root of its summed variance over its summed normalisation. The variance of a pixel that
counts is its count (of a bin in which nothing was counted, that of one count); of other pixels it is taken from their
scatter around the ring. Where pixels are split between bins neighbours go together: the variance of a bin then is the
sum over the shares of its pixels, not over their squares, so that what is fitted over several bins has the error that
its counts have.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import DataError, ReaderError
from layerscope.measured.files import RawFile, load
from layerscope.measured.formats import Formats

from ..dataset import Pattern, PatternSeries
from ..radiation import FloatArray, Radiation, convert_axis
from .counts import AS_COUNTS, Bins, flags, grains, means, over_pixels, scattered
from .geometry import Geometry
from .image import Image, called, image_of
from .options import IntegrateTable

__all__ = ["IMAGES", "Integration"]

IMAGES = Formats(__package__ or "", ("edf", "cbf", "tif", "hdf5"), PatternSeries)

SAME_WAVELENGTH = 1e-4
"""Relative difference between the wavelengths of a recipe and of a ``.poni`` file beyond which one of them is wrong."""

MOST_GRAINY = 0.02
"""Share of bins with grains from which on it is said; of pure counts there are none."""

MOST_SATURATED = 0.002
"""Share of saturated pixels of a bin above which what is left of them would be too low."""

BINS_A_PIXEL = 3
"""Bins along a radius where their number is not given: lines are hardly wider than a pixel, and with one bin for each
their places are wrong by several standard errors, with three by a fraction of one."""

LEAST_BINS = 20

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Integration:
    """How the images of a series become patterns.

    Attributes
    ----------
    options : IntegrateTable
    geometry : Geometry
    masked, dark, flat : Image or None
    """

    options: IntegrateTable
    geometry: Geometry
    masked: Image | None = None
    dark: Image | None = None
    flat: Image | None = None
    _bins: dict[tuple[int, int], Bins] = field(default_factory=dict)
    _fixed: dict[str, NDArray[Any]] = field(default_factory=dict)

    @classmethod
    def of(
        cls, options: IntegrateTable, resolve: Callable[[str], Path], wavelength: float | None = None
    ) -> Integration:
        """Read geometry, mask, dark and flat.

        Parameters
        ----------
        options : IntegrateTable
        resolve : callable
            From a path of the recipe to the file.
        wavelength : float, optional
            That the recipe says, Å.

        Raises
        ------
        ReaderError
            If one of the files is missing or damaged.
        DataError
            If the wavelengths of recipe and geometry differ.
        MissingDependencyError
            If pyFAI is not installed.
        """
        geometry = _named(options.poni, resolve, lambda path: Geometry.read(load(path), options.orientation))
        own = geometry.wavelength
        if own is not None:
            Radiation(own).check(options.poni)
        if own is not None and wavelength is not None and abs(own / wavelength - 1) > SAME_WAVELENGTH:
            raise DataError(
                f"the geometry was calibrated with {own:.6g} Å, the recipe says {wavelength:.6g} Å",
                source=options.poni,
                hint="leave the wavelength out of the recipe: the geometry says it",
            )
        if own is None and options.unit != "2th_deg":
            raise DataError("the geometry says no wavelength", source=options.poni, hint="unit = '2th_deg'")
        found = {
            name: None if path is None else _named(path, resolve, partial(_side_image, geometry.shape))
            for name, path in (("masked", options.mask), ("dark", options.dark), ("flat", options.flat))
        }
        return cls(options, geometry, found["masked"], found["dark"], found["flat"])

    @property
    def method(self) -> tuple[str, str, str]:
        """How pyFAI integrates: splitting, algorithm, implementation."""
        return self.options.splitting, self.options.algorithm, "cython"

    def settings(self) -> dict[str, str]:
        """Return what records say of the integration: programs, geometry, method."""
        said = {"pyFAI": version("pyFAI"), "method": "/".join(self.method), "unit": self.options.unit}
        said |= {"poni_sha256": self.geometry.raw.sha256}
        said |= {} if self.masked is None else {"mask_sha256": self.masked.raw.sha256}
        said |= {f"poni {key}": value for key, value in self.geometry.settings.items() if key != "poni_version"}
        for (rows, columns), bins in self._bins.items():
            used, empty = round(bins.count.sum()), int((~bins.kept).sum())
            said["pixels"] = f"{used} of {rows} x {columns}, less those that are dead or saturated in an image"
            said["bins"] = f"{bins.centre.size}, {empty} empty ones left out"
        return said

    def pattern(self, image: Image) -> Pattern:
        """Return the pattern of an image over 2θ (degrees), in mean counts of a pixel, with its errors.

        Bins without pixels are left out; those that lose theirs, or too many of them, to dead or saturated pixels of
        this image are masked.

        Raises
        ------
        ReaderError
            If the image is damaged, or not that of the detector.
        DataError
            If too few pixels are left, or errors of counts are asked for where there are none.
        """
        options, name = self.options, f"frame {image.scan}"
        if not self.geometry.is_of(image.shape):
            own = self.geometry.shape or (0, 0)
            raise image.raw.error(
                f"{name} has {_size(image.shape)} pixels, the geometry is that of a detector with {_size(own)}",
                hint="is it the .poni file of this detector, of its binning and its direction?",
            )
        bins = self._bins_of(image)
        signal, bad, saturated = self._signal(image)
        whole = bool((signal == np.rint(signal))[~bad & ~bins.mask].all())
        if not whole and options.errors == "poisson":
            raise DataError(
                f"the pixels of {name} are no whole numbers: they are not counts",
                source=image.raw.path,
                hint="errors = 'azimuthal' takes them from the scatter around the rings",
            )
        result, spread = self._integrated(bins, image, signal, bad, counts=whole and options.errors != "azimuthal")
        scatter, uneven = (None, 0.0) if result is None else scattered(result, spread)
        counts = scatter is not None and (options.errors == "poisson" or AS_COUNTS[0] <= scatter <= AS_COUNTS[1])
        values, variance = means(result if counts else spread, bins, counts=counts)
        grainy = grains(result, spread, bins) if counts and options.errors == "auto" else np.zeros(values.size)
        variance = np.maximum(variance, grainy)
        lost = ~np.isfinite(values) | (self._share(bins, image, saturated) > MOST_SATURATED)
        if int((~lost).sum()) < LEAST_BINS:
            raise DataError(f"dead and saturated pixels leave nothing of {name}", source=image.raw.path)
        wavelength = self.geometry.wavelength
        start = image.start_time
        end = None if start is None or image.exposure_s is None else start + timedelta(seconds=image.exposure_s)
        bad_ones, saturated_ones = (int((some & ~bins.mask).sum()) for some in (bad, saturated))
        said = {"pixels_bad": str(bad_ones), "errors": "poisson" if counts else "azimuthal"}
        said |= {"flag saturated": f"PIXELS_SATURATED:{saturated_ones}"} if saturated_ones else {}
        if (share := float(np.mean(grainy > 0))) > MOST_GRAINY:
            said["flag grains"] = f"RINGS_GRAINY:{share:.2f}"
        said |= flags(options, scatter, uneven, counts=counts)
        return Pattern(
            axis=bins.centre,
            intensity=np.where(lost, np.nan, values),
            intensity_unit="arbitrary",
            variance=np.where(lost, np.inf, variance),
            radiation=None if wavelength is None else Radiation(wavelength),
            start_time=start,
            end_time=end,
            index=image.index,
            source=image.source,
            scan=image.scan,
            metadata={**image.metadata, **said, "points_declared": "yes"},
            small_angle=True,
        ).masked()

    def _signal(self, image: Image) -> tuple[FloatArray, Mask, Mask]:
        """Return the pixels, those that are of no use, and which of these are saturated."""
        pixels = image.pixels()
        counts = pixels.dtype.kind in "iu"
        signal = np.asarray(pixels, np.float64)
        highest = self.options.saturated_from
        if highest is None:
            highest = image.saturated if image.saturated is not None else np.inf
            highest = min(highest, float(np.iinfo(pixels.dtype).max)) if counts else highest
        lowest = self.options.dead_below
        with np.errstate(invalid="ignore"):
            if lowest is None:
                whole = counts or bool((signal == np.rint(signal))[np.isfinite(signal)].all())
                lowest = 0.0 if whole else -np.inf
            saturated = signal >= highest
            bad = ~np.isfinite(signal) | (signal < lowest) | saturated
        if image.dead is not None:
            with called(image.raw, "its mask of dead pixels cannot be read"):
                dead = image.dead()
            bad, saturated = bad | dead, saturated & ~dead
        return np.where(bad, 0.0, signal), bad, saturated

    def _variance(self, signal: FloatArray) -> FloatArray:
        dark = self._side("dark", self.dark)
        return signal if dark is None else signal + np.maximum(dark, 0.0)

    def _side(self, name: str, image: Image | None) -> FloatArray | None:
        if image is not None and name not in self._fixed:
            self._fixed[name] = np.asarray(image.pixels(), np.float64)
        return self._fixed.get(name)

    def _integrated(
        self, bins: Bins, image: Image, signal: FloatArray, bad: Mask, *, counts: bool
    ) -> tuple[Any | None, Any]:
        """Return what pyFAI makes of an image with the variance of counts, if it may hold some, and of its scatter."""
        given = np.where(bad, np.nan, signal)
        how = {
            "correctSolidAngle": self.options.solid_angle,
            "polarization_factor": self.options.polarization,
            "dark": self._side("dark", self.dark),
            "flat": self._side("flat", self.flat),
        }
        with called(image.raw, "the image cannot be integrated"):
            spread = self._run(given, bins.number, bins.mask, error_model="azimuthal", **how)
            if not counts:
                return None, spread
            return self._run(given, bins.number, bins.mask, variance=self._variance(signal), **how), spread

    def _run(self, signal: FloatArray, number: int, mask: Mask, **how: Any) -> Any:
        return self.geometry.integrator.integrate1d(
            signal,
            number,
            mask=mask,
            unit=self.options.unit,
            radial_range=self.options.radial_range,
            method=self.method,
            **how,
        )

    def _share(self, bins: Bins, image: Image, saturated: Mask) -> FloatArray:
        """Return the share of each bin's pixels that is saturated, shape (n,)."""
        if not (saturated & ~bins.mask).any():
            return np.zeros(bins.centre.size)
        with called(image.raw, "the saturated pixels cannot be counted"):
            found = self._run(saturated.astype(np.float64), bins.number, bins.mask, correctSolidAngle=False)
        return np.asarray(found.intensity, float)[bins.kept]

    def _bins_of(self, image: Image) -> Bins:
        if image.shape not in self._bins:
            with called(self.geometry.raw, "the geometry cannot be used"):
                self._bins[image.shape] = self._laid_out(image.shape)
        return self._bins[image.shape]

    def _laid_out(self, shape: tuple[int, int]) -> Bins:
        options, integrator = self.options, self.geometry.integrator
        mask = np.zeros(shape, bool)
        own = integrator.detector.mask
        if own is not None and own.shape == shape:
            mask |= own.astype(bool)
        given = self._side("masked", self.masked)
        if given is not None:
            mask |= given != 0
        flat = self._side("flat", self.flat)
        if flat is not None:
            mask |= ~(np.isfinite(flat) & (flat > 0))
        if options.azimuth is not None:
            low, high = options.azimuth
            chi = integrator.center_array(shape, unit="chi_deg")
            mask |= np.mod(chi - low, 360.0) > high - low
        two_theta = integrator.center_array(shape, unit="2th_deg")
        radius = integrator.center_array(shape, unit="r_mm")[~mask]
        if radius.size == 0:
            raise DataError("the mask, or the range of azimuth, leaves no pixel", source=options.mask or options.poni)
        side = 1e3 * min(integrator.detector.pixel1, integrator.detector.pixel2)
        number = options.npt or max(int(np.ceil(BINS_A_PIXEL * np.ptp(radius) / side)), LEAST_BINS)
        ones = self._run(np.ones(shape), number, mask, correctSolidAngle=False, variance=np.ones(shape))
        count = np.asarray(ones.sum_signal, float)
        kept = count > 0
        if int(kept.sum()) < LEAST_BINS:
            raise DataError(f"only {int(kept.sum())} bins hold pixels", source=options.poni, hint="look at the mask")
        shares = count[kept] / np.asarray(ones.sum_variance, float)[kept]
        if options.splitting == "no":
            place = self._run(over_pixels(two_theta), number, mask, correctSolidAngle=False).intensity
        else:  # bins near the beam may hold parts of the same pixel alone, whose mean is one
            place = self._angle(np.asarray(ones.radial, float))
        return Bins(mask, number, kept, np.asarray(place, float)[kept], count[kept], shares)

    def _angle(self, radial: FloatArray) -> FloatArray:
        """Return 2θ (degrees) of positions in the unit of the bins."""
        if self.options.unit == "2th_deg":
            return radial
        scale = 1.0 if self.options.unit == "q_A^-1" else 0.1
        return convert_axis(scale * radial, "q", "two_theta", self.geometry.wavelength)


def _named(path: str, resolve: Callable[[str], Path], read: Callable[[Path], Any]) -> Any:
    """Return what a file of the recipe holds; its errors name it as the recipe does."""
    try:
        return read(resolve(path))
    except (ReaderError, DataError) as error:
        error.source = path
        raise


def _side_image(shape: tuple[int, int] | None, path: Path) -> Image:
    """Return a mask, dark or flat of the size of the detector."""
    raw = load(path)
    if raw.data.startswith(b"\x93NUMPY"):
        image = _of_numpy(raw)
    else:
        names = IMAGES.sniffed(raw)
        if not names:
            raise raw.error("it is no image that can be read", hint=".edf, .cbf, .tif, .h5 or .npy")
        image = import_module(f"{__package__}.{names[0]}").read(raw)[0]
    if shape is not None and image.shape != shape:
        raise raw.error(f"it has {_size(image.shape)} pixels, the detector {_size(shape)}")
    return image


def _of_numpy(raw: RawFile) -> Image:
    with called(raw, "it is damaged"):
        stream = io.BytesIO(raw.data)
        major, _ = np.lib.format.read_magic(stream)
        header = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
        shape, _, dtype = header(stream)

    def pixels() -> NDArray[Any]:
        found: NDArray[Any] = np.load(io.BytesIO(raw.data), allow_pickle=False)
        return found.astype(np.uint8) if dtype == np.bool_ else found

    return image_of(raw, tuple(shape), pixels)


def _size(shape: tuple[int, int]) -> str:
    return f"{shape[0]} x {shape[1]}"
