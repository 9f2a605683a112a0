"""What indexing hands on: every explanation of the spots of one window with its probability."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..image import Scale

__all__ = ["NO_LATTICE", "OTHER_LATTICE", "Candidate", "Kind", "Ranking"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Kind = Literal["phase", "twin", "overlap", "rings", "no lattice", "other lattice"]

NO_LATTICE = "no lattice"
OTHER_LATTICE = "another lattice"


@dataclass(frozen=True, eq=False)
class Candidate:
    """One explanation of the spots: a phase seen along a zone axis, a union of two, rings, or none of the library.

    Attributes
    ----------
    phase : str
        Name of the phase; `NO_LATTICE` or `OTHER_LATTICE`; of a union the names joined by " + ".
    kind : str
        Whether it is a phase, a union (twin, overlap), rings, or one of the two kinds of none.
    probability : float
        Of the explanation among all that were compared.
    by_places : float
        The same where strengths of reflections tell nothing; nan where that was not asked.
    log_evidence : float
        Of the spots, with all that is not asked integrated out, against clutter alone, without the prior of the phase.
    zone : tuple of 3 ints, optional
        Zone axis; None where the explanation has none.
    in_set : bool
        Whether it belongs to the smallest set of at least 95 %, by all that is known or by places alone.
    scale, scale_sigma : float
        True length over length by the stated pixel size, and its standard deviation.
    rotation_deg : float
        From the x axis of the image to the first axis of the pattern (towards y, which runs down).
    mirror : bool
        Whether the pattern is seen from behind.
    matrix : ndarray of float64, shape (2, 2), optional
        From the vectors of the phase's zone pattern to those in the image by the stated pixel size:
        ``g_image = g_pattern @ matrix.T``.
    lattice : ndarray of float64, shape (2, 2), optional
        Reduced basis of the reciprocal lattice in the image, 1/nm, one vector a row.
    hkl : ndarray of int, shape (n, 3)
        Of every spot of the window; (0, 0, 0) where the spot is not a reflection of the zone.
    role : tuple of str
        Of every spot: "reflection", "forbidden" (absent, of the next Laue zone, or doubly diffracted), "clutter",
        "ring" or "streak".
    pattern_scale : float
        Scale of the pattern against the library's cell: of image and cell together.
    distortion : tuple of (ndarray (3,), ndarray (3, 3), float), optional
        Posterior mean and covariance of the image's own (ln scale, anisotropy, shear) in the frame of the pattern, and
        the rotation of that frame in radians.
    grains : tuple of Candidate
        Of a union, its two grains.
    """

    phase: str
    kind: Kind
    probability: float
    log_evidence: float
    zone: tuple[int, int, int] | None = None
    in_set: bool = False
    scale: float = 1.0
    scale_sigma: float = float("nan")
    rotation_deg: float = float("nan")
    mirror: bool = False
    matrix: FloatArray | None = None
    lattice: FloatArray | None = None
    hkl: IntArray | None = None
    role: tuple[str, ...] = ()
    pattern_scale: float = 1.0
    distortion: tuple[FloatArray, FloatArray, float] | None = None
    grains: tuple[Candidate, ...] = ()
    by_places: float = float("nan")

    @property
    def name(self) -> str:
        """What messages and tables call it: phase and zone axis."""
        return self.phase if self.zone is None else f"{self.phase} [{' '.join(map(str, self.zone))}]"

    @property
    def is_none(self) -> bool:
        """Whether it says that no phase of the library is seen."""
        return self.kind in ("no lattice", "other lattice")


@dataclass(frozen=True, eq=False)
class Ranking:
    """All explanations of one window, the most probable first.

    Attributes
    ----------
    candidates : tuple of Candidate
        The most probable first; their probabilities sum to one (those below 1e-4 may be left out).
    scale : Scale
        The prior on the scale that was used.
    reasons : tuple of str
        Why nothing of the library is seen, where that is the answer: empty otherwise.
    would_decide : tuple of str
        What would tell the members of the set apart: "calibration", "another zone axis", "a second ring".
    flags : tuple of str
        What the reader must know, such as that the prior on the scale decided.
    """

    candidates: tuple[Candidate, ...]
    scale: Scale
    reasons: tuple[str, ...] = ()
    would_decide: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()

    @property
    def first(self) -> Candidate:
        """The most probable explanation."""
        return self.candidates[0]

    @property
    def indexable(self) -> bool:
        """Whether the first answer is a phase of the library (or a union, or rings)."""
        return not self.first.is_none

    @property
    def ambiguity_set(self) -> tuple[Candidate, ...]:
        """The explanations in the stated set: at least 95 % of the probability, and what strengths alone exclude."""
        return tuple(candidate for candidate in self.candidates if candidate.in_set)

    def by_phase(self) -> dict[str, float]:
        """Probability of each phase, summed over its zone axes, the most probable first."""
        total: dict[str, float] = {}
        for candidate in self.candidates:
            total[candidate.phase] = total.get(candidate.phase, 0.0) + candidate.probability
        return dict(sorted(total.items(), key=lambda item: -item[1]))

    def present(self) -> dict[str, float]:
        """Probability of each phase being among those seen, summed over all explanations that it is part of."""
        total: dict[str, float] = {}
        for candidate in self.candidates:
            for name in () if candidate.is_none else dict.fromkeys(candidate.phase.split(" + ")):
                total[name] = total.get(name, 0.0) + candidate.probability
        return dict(sorted(total.items(), key=lambda item: -item[1]))

    @staticmethod
    def ranked(candidates: list[Candidate], scale: Scale, *, coverage: float = 0.95) -> Ranking:
        """Sort explanations by their probability and mark the smallest set that covers.

        Parameters
        ----------
        candidates : list of Candidate
            With probabilities that sum to one.
        scale : Scale
            The prior that was used.
        coverage : float
            Of the set.
        """
        ordered = sorted(candidates, key=lambda candidate: -candidate.probability)
        before = np.concatenate([[0.0], np.cumsum([candidate.probability for candidate in ordered])[:-1]])
        marked = (
            replace(candidate, in_set=bool(below < coverage)) for candidate, below in zip(ordered, before, strict=True)
        )
        return Ranking(tuple(marked), scale)
