"""How far the evidence of several techniques carries a statement together.

**Each** piece of evidence is a distance in standard errors, positive where it speaks for the claim; if nothing is there
it is normal with mean 0 and standard deviation 1, as far as the errors of the records hold.

**Within a technique** pieces share the sample, the calibration and often the very file. They are taken as wholly
correlated: their mean counts, which is right then and careful otherwise.

**Between techniques** independence is assumed, and said. Where every technique foretells a direction, distances are
added and divided by the square root of their number (Stouffer), all with the same weight: a technique that finds the
opposite takes away from the sum, which it could not do in Fisher's product of probabilities. There one technique alone
carries a claim against all others. Where a piece has no direction, its sign means nothing, and Fisher's product is all
that is left; a piece of several within a technique then costs a factor of their number.

S. A. Stouffer et al., The American Soldier (1949), vol. 1; R. A. Fisher, Statistical Methods for Research Workers
(4th ed. 1932), section 21.1; S. Holm, Scand. J. Statist. 6 (1979) 65.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

__all__ = ["Evidence", "Said", "Verdict", "above", "combine", "holm", "sigmas_of"]

#: What comes of a claim.
Said = Literal["stands", "contradicted", "the opposite", "not shown", "not tested"]


@dataclass(frozen=True)
class Evidence:
    """One piece of evidence.

    Attributes
    ----------
    technique : str
    sigmas : float
        Distance in standard errors: positive where it speaks for the claim, and of no sign where it has no direction.
    directed : bool
        Whether the claim foretells a direction.
    """

    technique: str
    sigmas: float
    directed: bool = True

    @property
    def p(self) -> float:
        """Probability of as much or more if nothing is there: of one side, or of both without a direction."""
        return above(self.sigmas) if self.directed else 2.0 * above(abs(self.sigmas))


@dataclass(frozen=True)
class Verdict:
    """What the techniques say together.

    Attributes
    ----------
    said : str
        ``stands``; ``contradicted``: it would, but a technique finds the opposite; ``the opposite`` of the claim holds;
        ``not shown``; ``not tested``.
    p : float or None
        Probability of so much evidence, or more, if nothing is there.
    sigmas : float or None
        The same in standard deviations of one side.
    rule : str
        How techniques were combined.
    techniques : tuple of str
        That have been heard.
    against : tuple of str
        Techniques that find the opposite.
    """

    said: Said
    p: float | None = None
    sigmas: float | None = None
    rule: str = ""
    techniques: tuple[str, ...] = ()
    against: tuple[str, ...] = ()


def combine(evidence: Sequence[Evidence], level: float = 0.05) -> Verdict:
    """Return what pieces of evidence say together.

    Parameters
    ----------
    evidence : sequence of Evidence
        Techniques are taken as independent, pieces of one technique as wholly correlated; see the module.
    level : float, optional
        Probability at which a claim is made although nothing is there.
    """
    by_technique: dict[str, list[Evidence]] = {}
    for one in evidence:
        by_technique.setdefault(one.technique, []).append(one)
    if not by_technique:
        return Verdict("not tested")
    techniques = tuple(by_technique)
    number = len(techniques)
    if not all(one.directed for one in evidence):
        ps = [min(1.0, len(pieces) * min(one.p for one in pieces)) for pieces in by_technique.values()]
        p = _fisher(ps)
        said: Said = "stands" if p < level else "not shown"
        rule = "p of one technique" if number == 1 else "Fisher"
        return Verdict(said, p, sigmas_of(p), rule, techniques)
    means = {name: sum(one.sigmas for one in pieces) / len(pieces) for name, pieces in by_technique.items()}
    together = sum(means.values()) / math.sqrt(number)
    p, opposite = above(together), above(-together)
    rare = sigmas_of(level / number)  # of so many techniques, one is that far off by chance
    against = tuple(name for name, mean in means.items() if mean < -rare)
    if p < level:
        said = "contradicted" if against else "stands"
    else:
        said = "the opposite" if opposite < level else "not shown"
    return Verdict(said, p, together, "one technique" if number == 1 else "Stouffer", techniques, against)


def above(sigmas: float) -> float:
    """Return the probability that a normal number exceeds so many standard deviations."""
    return 0.5 * math.erfc(sigmas / math.sqrt(2.0))


def sigmas_of(p: float) -> float:
    """Return how many standard deviations a normal number exceeds with this probability."""
    return -NormalDist().inv_cdf(min(max(p, 1e-300), 1.0 - 1e-16))


def _fisher(ps: Sequence[float]) -> float:
    """Return the probability that a chi-square of twice as many degrees of freedom exceeds -2 times the sum of logs.

    For an even number of degrees of freedom it is a finite sum (Abramowitz and Stegun 26.4.21).
    """
    half = -sum(math.log(max(p, 1e-300)) for p in ps)
    return min(1.0, math.exp(-half) * sum(half**k / math.factorial(k) for k in range(len(ps))))


def holm(ps: Sequence[float]) -> list[float]:
    """Return probabilities that hold for all claims of a study together, after Holm.

    Parameters
    ----------
    ps : sequence of float
        Of each claim by itself.

    Returns
    -------
    list of float
        In the same order, none smaller than before: below a level for all claims that may be made together at it.
    """
    order = sorted(range(len(ps)), key=lambda n: ps[n])
    adjusted, last = [0.0] * len(ps), 0.0
    for rank, place in enumerate(order):
        last = max(last, min(1.0, (len(ps) - rank) * ps[place]))
        adjusted[place] = last
    return adjusted
