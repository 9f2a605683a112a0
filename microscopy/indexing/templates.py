"""What each phase would show along each of its zone axes, prepared for matching.

Vectors of the plane are complex numbers here, ``gx + i gy``: a rotation with a change of scale is a factor, a mirror
the conjugate, and a small distortion adds a multiple of the conjugate,

    z' = exp(s + iθ) (z + ε z*),   ε = e1 + i e2.

``s`` is the logarithm of the scale, e1 the anisotropy along the axes of the pattern, e2 the shear. Any linear map of
the plane has this form, so also the change of a zone's pattern with the cell of the phase.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.crystals import ZonePattern

from ..image import Scale

__all__ = ["Bank", "Prior", "Template", "bank_of", "cell_priors", "image_prior", "turned_distortion"]

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
IntArray = NDArray[np.int64]

WEAKEST = 0.002
"""Amplitude, of the strongest of the zone, below which a reflection counts as a forbidden point."""
BRIGHT = 0.03
"""Contrast, of the strongest, from which a forbidden point counts as a reflection of an incoherent image."""
FAINT = 0.01
"""Contrast, of the strongest, that no reflection falls below: columns are tilted, and beams channel."""
RELAXED = 0.5
"""Prior probability that a phase whose cell may vary has the cell of the library."""
LIBRARY_WIDTH = 0.005
"""Width of the range of ln(a) of a relaxed cell: sources differ by 0.1 to 0.2 %."""


@dataclass(frozen=True, eq=False)
class Prior:
    """One Gaussian of a mixture over (s, e1, e2): weight, mean (3,) and covariance (3, 3)."""

    weight: float
    mean: FloatArray
    covariance: FloatArray


@dataclass(frozen=True, eq=False)
class Template:
    """One zone axis of one phase.

    Attributes
    ----------
    pattern : ZonePattern
        What the phase shows along the axis.
    log_prior : float
        Logarithm of the prior probability of phase and zone.
    known : bool
        Whether the structure factors are known (a phase without sites has none).
    cell : tuple of Prior
        What the phase's own cell adds to scale and distortion.
    """

    pattern: ZonePattern
    log_prior: float
    known: bool
    cell: tuple[Prior, ...]


@dataclass(frozen=True, eq=False)
class Bank:
    """Templates side by side, padded to the same length; one that is not its own mirror image stands there twice.

    Attributes
    ----------
    templates : tuple of Template
    source : ndarray of int, shape (t,)
        Template of each row.
    mirror : ndarray of bool, shape (t,)
        Whether the row is the pattern seen from behind.
    log_prior : ndarray of float64, shape (t,)
        Of the row.
    z : ndarray of complex, shape (t, n)
        Reflections, 1/nm, by their length; 0 where there is none.
    index : ndarray of int, shape (t, n)
        Row of each in the pattern, -1 where there is none.
    log_amplitude : ndarray of float64, shape (t, n)
        Logarithm of the structure factor over the largest of the zone.
    log_contrast : ndarray of float64, shape (t, n)
        The same in an incoherent dark-field image.
    known : ndarray of bool, shape (t,)
    lead : ndarray of int, shape (t, l)
        The reflections to look for first.
    forbidden, laue : ndarrays of complex, shapes (t, k) and (t, k')
        Forbidden points of the zone, and those of the next Laue zone; 0 where there is none.
    bright : ndarray of complex, shape (t, b)
        Those of the forbidden points that an incoherent dark-field image shows; 0 where there is none.
    log_bright : ndarray of float64, shape (t, b)
        Their amplitude there.
    cell_weight, cell_mean, cell_covariance : ndarrays, shapes (t, c), (t, c, 3), (t, c, 3, 3)
        Mixture of the phase's own (s, e1, e2).
    """

    templates: tuple[Template, ...]
    source: IntArray
    mirror: NDArray[np.bool_]
    log_prior: FloatArray
    z: ComplexArray
    index: IntArray
    log_amplitude: FloatArray
    log_contrast: FloatArray
    known: NDArray[np.bool_]
    lead: IntArray
    forbidden: ComplexArray
    laue: ComplexArray
    bright: ComplexArray
    log_bright: FloatArray
    cell_weight: FloatArray
    cell_mean: FloatArray
    cell_covariance: FloatArray

    def rows(self, keep: IntArray) -> Bank:
        """Return some rows alone."""
        parts = {name: getattr(self, name)[keep] for name in self.__dataclass_fields__ if name != "templates"}
        return Bank(templates=self.templates, **parts)


def image_prior(scale: Scale) -> Prior:
    """Prior of the image alone, in the axes of the image.

    Scale and distortion are independent and the distortion has no direction, unless they were found together; then a
    standard error of the scale that is not theirs stretches it alone.
    """
    covariance = np.diag([scale.sd**2, scale.shear_sd**2, scale.shear_sd**2])
    if scale.joint is not None:
        covariance = np.array(scale.joint)
        stretch = np.array([scale.sd / np.sqrt(covariance[0, 0]), 1.0, 1.0])
        covariance = covariance * np.outer(stretch, stretch)
    return Prior(1.0, np.array([np.log(scale.factor), 0.0, 0.0]), covariance)


def turned_distortion(angle: FloatArray) -> FloatArray:
    """Matrices (k, 3, 3) that take (s, e1, e2) of patterns turned by some angles (k,) to the axes of the image."""
    turn = np.zeros((len(angle), 3, 3))
    turn[:, 0, 0] = 1.0
    turn[:, 1, 1] = turn[:, 2, 2] = np.cos(2 * angle)  # a distortion turns with twice the angle of the pattern
    turn[:, 2, 1] = np.sin(2 * angle)
    turn[:, 1, 2] = -turn[:, 2, 1]
    return turn


def _as_complex(g: FloatArray) -> ComplexArray:
    return np.ascontiguousarray(g[..., 0] + 1j * g[..., 1])


def _distortion(z: ComplexArray, change: ComplexArray) -> FloatArray:
    """(s, e1, e2) of the linear map that changes the vectors z by `change` (least squares; its rotation is free)."""
    design = np.stack([z, z.conj()], axis=1)
    (turn, epsilon), *_ = np.linalg.lstsq(design, change, rcond=None)
    return np.array([turn.real, epsilon.real, epsilon.imag])


def cell_priors(pattern: ZonePattern) -> tuple[Prior, ...]:
    """Prior of the phase's own cell in the plane of one zone: the cell of the library, or anywhere within its range.

    A uniform range enters as the Gaussian of its mean and variance.
    """
    z = _as_complex(pattern.g)
    widths = pattern.log_range[:, 1] - pattern.log_range[:, 0]
    vectors = [_distortion(z, _as_complex(change)) for change in pattern.strain_basis]
    narrow, wide = 1e-10 * np.eye(3), 1e-10 * np.eye(3)
    mean = np.zeros(3)
    for vector, width, middle in zip(vectors, widths, pattern.log_range.mean(axis=1), strict=True):
        narrow = narrow + np.outer(vector, vector) * min(width, LIBRARY_WIDTH) ** 2 / 12
        wide = wide + np.outer(vector, vector) * width**2 / 12
        mean = mean + vector * middle
    relaxed = Prior(1.0, np.zeros(3), narrow)
    if widths.max() <= LIBRARY_WIDTH:
        return (relaxed,)
    return (Prior(RELAXED, np.zeros(3), narrow), Prior(1.0 - RELAXED, mean, wide))


def _own_mirror(z: ComplexArray, amplitude: FloatArray, ghosts: ComplexArray) -> bool:
    """Whether a pattern seen from behind is the same pattern, turned."""
    first = z[np.abs(np.abs(z) - np.abs(z).min()) < 1e-4]
    for start in np.concatenate([first, -first]):
        turned = z.conj() * (start / z[np.abs(z).argmin()].conj())
        turned = turned / np.abs(start / z[np.abs(z).argmin()])
        if _same(turned, z, amplitude) and _same(ghosts.conj() * turned[0] / z[0].conj(), ghosts, None):
            return True
    return False


def _same(one: ComplexArray, other: ComplexArray, amplitude: FloatArray | None) -> bool:
    if not one.size:
        return True
    distance = np.minimum(np.abs(one[:, None] - other), np.abs(one[:, None] + other))
    partner = distance.argmin(axis=1)
    near = distance[np.arange(len(one)), partner] < 1e-3 * np.abs(one) + 1e-6
    return bool(near.all() and (amplitude is None or np.allclose(amplitude, amplitude[partner], rtol=1e-2, atol=1e-6)))


def bank_of(templates: tuple[Template, ...], *, lead: int = 12) -> Bank:
    """Lay templates side by side.

    Parameters
    ----------
    templates : tuple of Template
    lead : int
        Number of reflections to look for first: the strong ones at small |g|.
    """
    rows: list[tuple[Any, ...]] = []
    for source, template in enumerate(templates):
        amplitude = template.pattern.amplitude / template.pattern.amplitude.max()
        keep = np.flatnonzero(amplitude >= WEAKEST)
        z = _as_complex(template.pattern.g[keep])
        keep, z = keep[np.argsort(np.abs(z))], z[np.argsort(np.abs(z))]
        ghosts = [_as_complex(points.reshape(-1, 2)) for points in (template.pattern.forbidden, template.pattern.laue)]
        sides = (False,) if _own_mirror(z, amplitude[keep], np.concatenate(ghosts)) else (False, True)
        contrast, bright, lit = _by_contrast(template.pattern, ghosts[0])
        for mirror in sides:
            seen = [points.conj() if mirror else points for points in (z, *ghosts, bright)]
            own = (seen[0], amplitude[keep], seen[1], len(sides), seen[2], contrast[keep], seen[3], lit)
            rows.append((source, mirror, keep, *own))
    n, k, far, most = (max(len(row[column]) for row in rows) for column in (2, 5, 7, 9))
    c = max(len(template.cell) for template in templates)

    def padded(values: list[NDArray[Any]], length: int, fill: float) -> NDArray[Any]:
        return np.array(
            [np.concatenate([v, np.full((length - len(v), *v.shape[1:]), fill, dtype=v.dtype)]) for v in values]
        )

    z = padded([row[3] for row in rows], n, 0)
    amplitude = padded([row[4] for row in rows], n, 0.0)
    order = np.argsort(-amplitude * np.exp(-((np.abs(z) / 6.0) ** 2)), axis=1)[:, :lead]
    cells = [_seen(templates[row[0]].cell, row[1]) for row in rows]
    mean = padded([np.array([prior.mean for prior in cell]) for cell in cells], c, 0.0)
    covariance = padded([np.array([prior.covariance for prior in cell]) for cell in cells], c, 0.0)
    return Bank(
        templates=templates,
        source=np.array([row[0] for row in rows]),
        mirror=np.array([row[1] for row in rows]),
        log_prior=np.array([templates[row[0]].log_prior - np.log(row[6]) for row in rows]),
        z=z,
        index=padded([row[2] for row in rows], n, -1),
        log_amplitude=np.log(np.maximum(amplitude, 1e-12)),
        log_contrast=np.log(np.maximum(padded([row[8] for row in rows], n, 0.0), FAINT)),
        known=np.array([templates[row[0]].known for row in rows]),
        lead=order,
        forbidden=padded([row[5] for row in rows], k, 0),
        laue=padded([row[7] for row in rows], far, 0),
        bright=padded([row[9] for row in rows], most, 0),
        log_bright=np.log(np.maximum(padded([row[10] for row in rows], most, 0.0), FAINT)),
        cell_weight=padded([np.array([prior.weight for prior in cell]) for cell in cells], c, 0.0),
        cell_mean=mean,
        cell_covariance=covariance,
    )


def _by_contrast(pattern: ZonePattern, forbidden: ComplexArray) -> tuple[FloatArray, ComplexArray, FloatArray]:
    """Contrast of the reflections, and places and contrast of the bright forbidden points, over the largest."""
    top = max(pattern.contrast.max(), pattern.forbidden_contrast.max(initial=0.0))
    bright = pattern.forbidden_contrast >= BRIGHT * top
    return pattern.contrast / top, forbidden[bright], pattern.forbidden_contrast[bright] / top


def _seen(cell: tuple[Prior, ...], mirror: bool) -> tuple[Prior, ...]:
    """Prior of a cell seen from behind: e2 flips."""
    flip = np.diag([1.0, 1.0, -1.0 if mirror else 1.0])
    return tuple(Prior(part.weight, flip @ part.mean, flip @ part.covariance @ flip) for part in cell)
