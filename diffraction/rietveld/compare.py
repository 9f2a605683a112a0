"""Two engines on the same data: the difference of every parameter in sigma, and a verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from .result import Estimate, RietveldResult

__all__ = ["Comparison", "Difference", "compare", "is_judged"]

# Engine-dependent by construction: scales have engine units, backgrounds and resolution trade against each other and
# are judged by the profile, not one by one.
_NOT_JUDGED = ("scale", "background", "instrument", "line")


def is_judged(name: str) -> bool:
    """Tell whether engines have to agree in a parameter, by its canonical name."""
    return not any(part in _NOT_JUDGED for part in name.split("/"))


@dataclass(frozen=True)
class Difference:
    """One parameter in both engines; ``in_sigma`` uses the larger of the two raw esds."""

    name: str
    first: float
    second: float
    sigma: float
    in_sigma: float
    judged: bool


@dataclass(frozen=True)
class Comparison:
    """Result of two engines.

    Attributes
    ----------
    first, second : RietveldResult
    differences : tuple of Difference
        Largest first.
    verdict : {"agree", "differ", "one engine fits worse"}
    message : str
        One sentence for the reader.
    """

    first: RietveldResult
    second: RietveldResult
    differences: tuple[Difference, ...]
    verdict: str
    message: str

    def of(self, name: str) -> Difference:
        """Return the difference of one parameter."""
        for row in self.differences:
            if row.name == name:
                return row
        raise KeyError(name)


def compare(first: RietveldResult, second: RietveldResult, *, limit: float = 3.0) -> Comparison:
    """Compare two results parameter by parameter.

    Both engines see the same counts, so their answers are not independent: two correct engines differ by much less
    than one sigma of counting. The difference is measured in the larger esd, without the part ``geometry``, which
    engines share, and without the square root of two that independent samples would earn.

    Parameters
    ----------
    first, second : RietveldResult
    limit : float
        Differences of a judged parameter beyond this many sigma are reported as a disagreement.
    """
    ours, theirs = first.estimates(), second.estimates()
    rows = []
    for name in ours.keys() & theirs.keys():
        a, b = ours[name], theirs[name]
        if a.sigma is None or b.sigma is None or max(a.own, b.own) == 0.0:
            continue
        if not (math.isfinite(a.value) and math.isfinite(b.value)):
            continue
        if _follows(name, ours) and _follows(name, theirs):
            continue
        sigma = max(a.own, b.own)
        rows.append(Difference(name, a.value, b.value, sigma, (b.value - a.value) / sigma, is_judged(name)))
    rows.sort(key=lambda r: (-abs(r.in_sigma), r.name))
    verdict, message = _verdict(first, second, rows, limit)
    return Comparison(first, second, tuple(rows), verdict, message)


def _follows(name: str, estimates: Mapping[str, Estimate]) -> bool:
    """Whether a cell constant is a by symmetry, and says nothing of its own."""
    base, _, last = name.rpartition("/")
    return base.endswith("/cell") and last in ("b", "c") and estimates[name].value == estimates[f"{base}/a"].value


def _verdict(first: RietveldResult, second: RietveldResult, rows: list[Difference], limit: float) -> tuple[str, str]:
    beyond = [r for r in rows if r.judged and abs(r.in_sigma) > limit]
    ratio = max(first.rwp, second.rwp) / min(first.rwp, second.rwp)
    phases = [" and ".join(p.name for p in r.phases) for r in (first, second)]
    if {p.name for p in first.phases} != {p.name for p in second.phases}:
        return "differ", f"{first.engine} finds {phases[0]}, {second.engine} finds {phases[1]}"
    if beyond:
        worst = beyond[0]
        text = (
            f"{len(beyond)} parameters differ by more than {limit:g} sigma, most {worst.name} ({worst.in_sigma:+.1f})"
        )
        if ratio > 1.05:
            worse = first if first.rwp > second.rwp else second
            return "one engine fits worse", f"{text}; {worse.engine} fits worse by a factor {ratio:.2f} in Rwp"
        return "differ", text
    judged = [abs(r.in_sigma) for r in rows if r.judged]
    largest = max(judged, default=0.0)
    return "agree", f"all {len(judged)} judged parameters agree within {largest:.1f} sigma (Rwp ratio {ratio:.3f})"
