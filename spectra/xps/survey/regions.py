"""How much of each element a survey shows: net areas of integrated regions, with what the choice of background does.

An element is quantified by its strong core level that other elements disturb least. The region reaches from some eV
below its first to some above its last line, and ends where a peak of another element begins.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from layerscope.errors import LayerscopeError
from layerscope.fitting.backgrounds import static_shirley

from ..dataset import FloatArray
from .identify import Identification
from .lines import SurveyLine
from .peaks import Peak

__all__ = ["IntegratedRegion", "integrate", "main_region"]

BELOW_EV, ABOVE_EV = 6.0, 10.0
"""How far a region reaches below its first and above its last line; energy losses begin soon after."""
CORE_EV = 3.0
"""Around its lines, a peak of another element is a disturbance and not a neighbour."""
STRONG = 0.2
"""Least strength of a level that an element may be quantified by, against its strongest."""
VARIED = {"narrower": -0.2, "wider": 0.25}
"""How much further a region reaches, in shares of its reach, to see what the choice of its ends does."""


@dataclass(frozen=True, eq=False)
class IntegratedRegion:
    """A core level of an element in one survey.

    Attributes
    ----------
    element, line : str
        ``"Fe"``, ``"Fe 2p"``.
    energy_eV : float
        Where its first line lies, as measured.
    low_eV, high_eV : float
        Ends, as measured.
    area, sigma : float
        Net area above a Shirley background, and its standard error by counting (unit of the intensity times eV).
    others : mapping of str to float
        Areas with other backgrounds and other ends.
    inside : ndarray of bool, shape (n,)
    background : ndarray, shape (n,)
        Zero outside.
    disturbed_by : tuple of str
        Elements with lines in it.
    """

    element: str
    line: str
    energy_eV: float
    low_eV: float
    high_eV: float
    area: float
    sigma: float
    others: Mapping[str, float]
    inside: np.ndarray
    background: FloatArray
    disturbed_by: tuple[str, ...] = ()


def main_region(
    element: str,
    lines: Sequence[SurveyLine],
    found: Identification,
    peaks: Sequence[Peak],
    allowed: Collection[str],
    span: tuple[float, float],
) -> tuple[SurveyLine, float, tuple[float, float], dict[str, float]] | None:
    """Return the line to quantify an element by, where it lies, the ends of its region, and what others have in it.

    Parameters
    ----------
    element : str
    lines : sequence of SurveyLine
        All of the element.
    found : Identification
    peaks : sequence of Peak
        Of the survey.
    allowed : collection of str
        Core levels that there are sensitivity factors for.
    span : tuple of float
        Lowest and highest energy of the survey (eV).

    Returns
    -------
    tuple or None
        None if no core level of the element can be used.
    """
    own = next((one for one in found.elements if one.symbol == element), None)
    moved = 0.0
    if own is not None and own.anchor is not None and own in found.present:
        moved = own.energy_eV - own.anchor.energy_eV - found.shift_eV
    firsts = [line for line in lines if not line.auger and not line.name.endswith(("p1/2", "d3/2", "f5/2"))]
    firsts = [
        line
        for line in firsts
        if span[0] + BELOW_EV < line.energy_eV + found.shift_eV < span[1] - ABOVE_EV - line.doublet_eV
    ]
    top = max((line.factor for line in firsts), default=0.0)
    best = None
    for line in firsts:
        if line.whole not in allowed or line.factor < STRONG * top or line.energy_eV < 2 * ABOVE_EV:
            continue
        centre = line.energy_eV + found.shift_eV + moved
        if own is not None and line.name in own.seen and own in found.present:
            centre = peaks[own.peaks[own.seen.index(line.name)]].energy_eV
        ends, disturbed = _ends(element, centre, line.doublet_eV, found, peaks)
        worth = line.factor / top * (1.0 - min(sum(disturbed.values()), 0.95))
        if best is None or worth > best[0]:
            best = (worth, (line, centre, ends, disturbed))
    return None if best is None else best[1]


def _ends(
    element: str, centre: float, doublet: float, found: Identification, peaks: Sequence[Peak]
) -> tuple[tuple[float, float], dict[str, float]]:
    """Return the ends of a region, before peaks of other elements, and their shares of the peaks in its core."""
    low, high = centre - BELOW_EV, centre + doublet + ABOVE_EV
    disturbed: dict[str, float] = {}
    own: set[int] = set()
    for one in found.present:
        if one.symbol == element:
            own = set(one.peaks)
    inside = [k for k, p in enumerate(peaks) if centre - CORE_EV < p.energy_eV < centre + doublet + CORE_EV]
    whole = sum(peaks[k].area for k in inside) or 1.0
    for one in found.present:
        if one.symbol == element:
            continue
        for k in one.peaks:
            if k in inside:
                claimed = min(one.expected[k], peaks[k].area)
                disturbed[one.symbol] = disturbed.get(one.symbol, 0.0) + claimed / whole
            elif k not in own and low - peaks[k].fwhm_eV < peaks[k].energy_eV < centre:
                low = max(low, 0.5 * (peaks[k].energy_eV + centre))
            elif k not in own and centre + doublet < peaks[k].energy_eV < high + peaks[k].fwhm_eV:
                high = min(high, 0.5 * (peaks[k].energy_eV + centre + doublet))
    return (low, high), disturbed


def integrate(
    spectrum: tuple[FloatArray, FloatArray, FloatArray],
    line: SurveyLine,
    centre: float,
    ends: tuple[float, float],
    disturbed: Mapping[str, float],
) -> IntegratedRegion | None:
    """Return the net area of a region; None if it has too few points.

    Parameters
    ----------
    spectrum : tuple of ndarray, shape (n,)
        Energy (eV), intensity and its variance.
    line : SurveyLine
    centre : float
        Of its first line, as measured (eV).
    ends : tuple of float
        Of the region, as measured (eV).
    disturbed : mapping of str to float
        Shares of its peaks that other elements may have: half of them is taken off, and added to the error.
    """
    energy, intensity, variance = spectrum

    def within(low: float, high: float) -> np.ndarray:
        return np.asarray((energy >= low) & (energy <= high))

    inside = within(*ends)
    if inside.sum() < 8:
        return None
    area, linear, sigma, curve = _net(energy[inside], intensity[inside], variance[inside])
    others = {"linear": linear}
    cut = ends[1] < centre + line.doublet_eV + ABOVE_EV - 1e-9  # by a neighbour: there is no room for more
    for name, more in VARIED.items():
        reach = min(more, 0.0)  # below its first line a region has little to gain
        rows = within(ends[0] + reach * (ends[0] - centre), ends[1] + (reach if cut else more) * ABOVE_EV)
        others[name] = _net(energy[rows], intensity[rows], variance[rows])[0] if rows.sum() >= 8 else area
    share = 0.5 * min(sum(disturbed.values()), 1.0)
    background = np.zeros_like(energy)
    background[inside] = curve
    return IntegratedRegion(
        line.element,
        line.whole,
        centre,
        float(energy[inside][0]),
        float(energy[inside][-1]),
        area * (1.0 - share),
        float(np.hypot(sigma, share * area)),
        {name: value * (1.0 - share) for name, value in others.items()},
        inside,
        background,
        tuple(disturbed),
    )


def _net(x: FloatArray, y: FloatArray, variance: FloatArray) -> tuple[float, float, float, FloatArray]:
    """Return net areas above a Shirley and above a straight background, the counting error, and the former."""
    points = max(2, min(5, x.size // 6))
    low, high = float(y[:points].mean()), float(y[-points:].mean())
    straight = np.interp(x, [x[0], x[-1]], [low, high])
    step = np.gradient(x)
    at_ends = (variance[:points].mean() + variance[-points:].mean()) / points
    sigma = float(np.sqrt((variance * step**2).sum() + at_ends * (0.5 * (x[-1] - x[0])) ** 2))
    linear = float(((y - straight) * step).sum())
    curve = straight
    if linear > 3.0 * sigma:  # where hardly anything is there is nothing that a step could follow
        try:
            curve = static_shirley(x, y, end_points=points).background[0]
        except LayerscopeError:
            curve = straight
    return float(((y - curve) * step).sum()), linear, sigma, np.asarray(curve)
