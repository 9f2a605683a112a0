"""One neutral, frozen model of a powder refinement, which every engine translates for itself.

Units and conventions are stated once, here, because the two engines differ in nearly all of them:

- lengths in ångström, angles in degrees, sizes in nanometres, sample displacement in millimetres;
- the Gaussian part is a Caglioti law of its *FWHM squared*, ``u tan²θ + v tanθ + w`` in degree² (GSAS-II stores a
  variance in centidegree²: factor 8 ln 2 · 1e-4);
- the Lorentzian FWHM is ``x / cosθ + y tanθ`` in degree;
- a size ``L`` adds ``(180/π) λ / (L cosθ)`` (Scherrer constant 1), a microstrain ``ε`` in ppm adds
  ``(180/π) ε 1e-6 tanθ`` to the Lorentzian FWHM (the definitions of GSAS-II);
- the polarisation ``K`` means ``K + (1 − K) cos²2θ``: 0.5 without a monochromator, ``1 / (1 + cos²2θ_M)`` with one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from layerscope.crystals import Phase, Site
from layerscope.errors import DataError, RecipeError
from layerscope.options import Positive, RecipeModel

from .geometry import Geometry

if TYPE_CHECKING:
    from ..dataset import Pattern

__all__ = [
    "EIGHT_LN2",
    "Background",
    "Diffractometer",
    "ExtraLine",
    "FloatArray",
    "Instrument",
    "PowderPattern",
    "PowderPhase",
    "Problem",
]

FloatArray = NDArray[np.float64]
EIGHT_LN2 = 8.0 * math.log(2.0)


@dataclass(frozen=True)
class PowderPattern:
    """One powder pattern as the engines take it.

    Parameters
    ----------
    two_theta : ndarray, shape (n,)
        Scattering angle in degrees, strictly ascending.
    counts : ndarray, shape (n,)
        Intensity.
    sigma : ndarray, shape (n,)
        Standard deviation of the intensity, positive.
    name : str
        What the pattern is called in messages and folders.
    """

    two_theta: FloatArray
    counts: FloatArray
    sigma: FloatArray
    name: str = "pattern"

    @classmethod
    def from_counts(
        cls, two_theta: FloatArray, counts: FloatArray, sigma: FloatArray | None = None, *, name: str = "pattern"
    ) -> PowderPattern:
        """Build a checked pattern; without ``sigma`` the counts are taken as Poisson (``max(y, 1)``)."""
        x = np.ascontiguousarray(two_theta, dtype=np.float64)
        y = np.ascontiguousarray(counts, dtype=np.float64)
        s = np.sqrt(np.maximum(y, 1.0)) if sigma is None else np.ascontiguousarray(sigma, dtype=np.float64)
        pattern = cls(x, y, s, name)
        pattern.check()
        return pattern

    @classmethod
    def from_dataset(cls, pattern: Pattern, *, name: str) -> PowderPattern:
        """Take over a pattern that a reader returned; points where nothing was measured are left out."""
        sigma = pattern.sigma()
        measured = np.isfinite(sigma)  # an infinite error says that nothing was measured there
        return cls.from_counts(pattern.two_theta[measured], pattern.intensity[measured], sigma[measured], name=name)

    def check(self) -> None:
        """Refuse what no refinement can use.

        Raises
        ------
        DataError
            Unequal lengths, fewer than 50 points, NaN, an axis that does not ascend or is not in degrees,
            no intensity at all, or a sigma that is not positive.
        """
        x, y, s = self.two_theta, self.counts, self.sigma
        if not (x.ndim == 1 and x.shape == y.shape == s.shape):
            raise DataError(
                f"axis, counts and sigma differ in shape: {x.shape}, {y.shape}, {s.shape}", source=self.name
            )
        if x.size < 50:
            raise DataError(f"{x.size} points are too few for a refinement", source=self.name)
        if not (np.isfinite(x).all() and np.isfinite(y).all() and np.isfinite(s).all()):
            raise DataError("the pattern holds NaN or infinite values", source=self.name)
        if not (np.diff(x) > 0).all():
            raise DataError("the 2θ axis does not ascend strictly", source=self.name)
        if x[-1] <= math.pi + 1e-6:
            raise DataError(
                f"the axis ends at {x[-1]:.3f}: this looks like radians, not degrees",
                source=self.name,
                hint="convert the axis to degrees 2θ",
            )
        if x[0] <= 0 or x[-1] >= 180:
            raise DataError(f"the axis {x[0]:.3f}..{x[-1]:.3f} leaves 0..180 degrees", source=self.name)
        if not (s > 0).all():
            raise DataError("sigma is not positive everywhere", source=self.name)
        if not (y > 0).any():
            raise DataError("the pattern holds no intensity", source=self.name)

    def within(self, limits: tuple[float, float] | None) -> PowderPattern:
        """Return the part inside ``limits`` (degrees, inclusive)."""
        if limits is None:
            return self
        keep = (self.two_theta >= limits[0]) & (self.two_theta <= limits[1])
        if keep.sum() < 50:
            raise DataError(f"only {int(keep.sum())} points lie within {limits[0]}..{limits[1]}°", source=self.name)
        return PowderPattern(self.two_theta[keep], self.counts[keep], self.sigma[keep], self.name)


_STAND_IN = (Site("none", "C", 0.0, 0.0, 0.0),)
"""For engines that want an atom; Le Bail does not use its intensities."""


@dataclass(frozen=True)
class PowderPhase(Phase):
    """A phase and what a powder makes of its lines.

    Parameters
    ----------
    march : float
        March coefficient to start from (1 = no texture); the axis is that of the phase.
    size_nm, microstrain_ppm : float
        Lorentzian sample broadening to start from; ``inf`` and 0 switch it off.
    start_scale : float, optional
        Scale to start from, in the units of the engine that found it (warm start); None lets the engine choose.
    """

    march: float = 1.0
    size_nm: float = math.inf
    microstrain_ppm: float = 0.0
    start_scale: float | None = None

    @classmethod
    def of(cls, phase: Phase, **values: Any) -> PowderPhase:
        """Take over a phase, of a powder or plain, with other values where given (``size_nm=200.0``)."""
        return phase if isinstance(phase, cls) and not values else cls(**vars(phase) | values)

    def usable(self, *, le_bail: bool) -> PowderPhase:
        """Return the phase as a refinement can use it: one without atoms gets a stand-in, for Le Bail alone.

        Raises
        ------
        RecipeError
            If it has no atoms, and intensities are asked of them.
        """
        if self.sites:
            return self
        if not le_bail:
            raise RecipeError(
                f"phase {self.name} has a cell and a space group, but no atoms: its intensities are not known",
                source=f"phases.{self.name}",
                hint="le_bail = true refines its cell; else take a .cif or .toml file with the atoms",
            )
        return replace(self, sites=_STAND_IN)


class Diffractometer(RecipeModel):
    """Geometry and resolution of the diffractometer (conventions in the module's docstring)."""

    polarisation: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.5, description="K in K + (1 - K) cos² 2θ: 0.5 without a monochromator"
    )
    radius_mm: Positive = Field(default=200.0, description="of the goniometer, for the displacement")
    u: float = Field(default=2e-4 * EIGHT_LN2, description="Gaussian FWHM² = u tan² θ + v tan θ + w, degrees²")
    v: float = Field(default=-2e-4 * EIGHT_LN2, description="degrees²")
    w: float = Field(default=5e-4 * EIGHT_LN2, description="degrees²")
    x: float = Field(default=0.01, description="Lorentzian FWHM = x / cos θ + y tan θ, degrees")
    y: float = Field(default=0.01, description="degrees")
    sh_l: Annotated[float, Field(ge=0)] = Field(default=0.06, description="axial divergence, S/L + H/L")
    zero: float = Field(default=0.0, description="zero shift, degrees")
    displacement_mm: float = Field(default=0.0, description="of the sample")
    geometry: Geometry | None = Field(
        default=None, description="divergent beam: takes the bias of analytic profiles out of cell and displacement"
    )


class Instrument(Diffractometer):
    """Source, geometry and resolution of the diffractometer.

    With a ``geometry`` the bias that an engine's analytic profile puts into cell and displacement is found by
    simulation and taken out, see `layerscope.diffraction.rietveld.divergent_beam`.
    """

    wavelengths: tuple[float, ...] = (1.5405929, 1.5444274)  # Cu, Hölzer et al. 1997
    ratio: Annotated[float, Field(ge=0)] = 0.5

    @model_validator(mode="after")
    def _x_rays(self) -> Self:
        """Refuse wavelengths outside the X-ray range."""
        if len(self.wavelengths) not in (1, 2):
            raise RecipeError("an instrument has one wavelength or a Kα1/Kα2 doublet")
        for value in self.wavelengths:
            if not 0.05 <= value <= 5.0:
                raise RecipeError(f"wavelength {value} Å is not an X-ray wavelength", hint="give it in ångström")
        return self

    @classmethod
    def from_instprm(cls, text: str, *, radius_mm: float = 200.0) -> Instrument:
        """Read the constant-wavelength fields of a GSAS-II ``.instprm`` text."""
        values: dict[str, float] = {}
        for line in text.splitlines():
            key, _, value = line.partition(":")
            try:
                values[key.strip()] = float(value)
            except ValueError:
                continue
        if "Lam1" in values:
            lines = tuple(values[k] for k in ("Lam1", "Lam2") if k in values)
        elif "Lam" in values:
            lines = (values["Lam"],)
        else:
            raise DataError("no wavelength (Lam or Lam1) in the instrument parameters")
        gauss = 1e-4 * EIGHT_LN2
        return cls(
            wavelengths=lines,
            ratio=values.get("I(L2)/I(L1)", 0.5),
            polarisation=values.get("Polariz.", 0.5),
            radius_mm=radius_mm,
            u=values.get("U", 0.0) * gauss,
            v=values.get("V", 0.0) * gauss,
            w=values.get("W", 5.0) * gauss,
            x=values.get("X", 0.0) * 0.01,
            y=values.get("Y", 0.0) * 0.01,
            sh_l=values.get("SH/L", 0.002),
            zero=values.get("Zero", 0.0),
        )


class ExtraLine(RecipeModel):
    """A line that no phase explains (cell hardware, holder); position and width are held, the area is refined."""

    two_theta: float = Field(description="degrees; where Kα1 is seen, Kα2 follows")
    fwhm: Positive = Field(description="degrees")
    eta: Annotated[float, Field(ge=0, le=1)] = Field(default=0.5, description="Lorentzian share")
    area: Annotated[float, Field(ge=0)] = Field(default=0.0, description="counts times degrees, to start from")
    label: str = Field(default="", description="what the records call it")


class Background(RecipeModel):
    """Chebyshev background over the fitted range, and lines that no phase explains."""

    terms: Annotated[int, Field(ge=1, le=36)] = Field(default=10, description="Chebyshev coefficients")
    lines: tuple[ExtraLine, ...] = Field(
        default=(), description="lines that no phase explains; position and width are held"
    )


@dataclass(frozen=True)
class Problem:
    """All that a refinement needs: phases, instrument, background, range and mode.

    A plain `Phase` among the phases becomes a `PowderPhase` without broadening. Only Le Bail takes a phase without
    atoms.

    ``background_start`` holds the coefficients of the background to start from (a warm start); empty starts from zero.
    """

    phases: tuple[PowderPhase, ...]
    instrument: Instrument
    background: Background = field(default_factory=Background)
    limits: tuple[float, float] | None = None
    le_bail: bool = False
    background_start: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        names = [p.name for p in self.phases]
        if not names:
            raise RecipeError("a refinement needs at least one phase")
        if len(set(names)) != len(names):
            raise RecipeError(f"phase names are not unique: {names}")
        for phase in self.phases:
            phase.check_mixing()
        object.__setattr__(
            self, "phases", tuple(p.usable(le_bail=self.le_bail) for p in map(PowderPhase.of, self.phases))
        )

    def phase(self, name: str) -> PowderPhase:
        """Return the phase called ``name``."""
        for phase in self.phases:
            if phase.name == name:
                return phase
        raise RecipeError(f"no phase {name!r} here", hint=f"phases: {[p.name for p in self.phases]}")

    def only(self, names: Iterable[str]) -> Problem:
        """Return a copy with only the named phases, in the order they were declared."""
        wanted = set(names)
        return replace(self, phases=tuple(p for p in self.phases if p.name in wanted))

    def with_phases(self, phases: Sequence[PowderPhase]) -> Problem:
        """Return a copy with other phases."""
        return replace(self, phases=tuple(phases))
