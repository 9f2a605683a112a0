"""What is wrong with a scan, told before any number is taken from it: a flag for each fault, with place and size.

Nothing is mended here. Whoever uses the scan decides by the flags; only single points far off all others can be masked.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from layerscope.measured.measurement import FloatArray

from .edges import Edge
from .noise import differences
from .scan import Scan

__all__ = ["Thresholds", "diagnose", "glitches", "jumps_of"]


@dataclass(frozen=True)
class Thresholds:
    """From which value on a fault is told."""

    jump: float = 1.3
    """Factor between neighbouring readings of every counter that no beam makes."""
    fall: float = 0.05
    """Fall of the signal over the edge, over its level before it."""
    flux_range: float = 0.02
    """Change of the flux before the edge, over its mean, that tells a dark level."""
    straight: float = 0.99
    """Correlation of signal and flux before the edge that tells a dark level."""
    monitor: float = 0.045
    """Structure of the incident flux within 10 eV at the edge, over its mean."""
    disagree: float = 0.05
    """Change of the ratio of two monitors along the scan."""
    encoder_eV: float = 0.05
    """Distance of the encoder from the energy on the axis."""
    glitch: float = 8.0
    """A point's distance from its neighbours, in standard deviations of such distances."""
    maxima_eV: float = 0.3
    """Distance of the maxima of two yields."""
    yields: float = 0.25
    """Root mean square difference of two yields, each over its maximum."""
    least_points: int = 4
    """Points that a line before or after the edge needs."""


LIMITS = Thresholds()
WINDOW_EV = 10.0
"""In which structure of the flux is looked for: as wide as what the edge itself does."""


def diagnose(scan: Scan, edge: Edge, mode: str, *, monitor: str = "i0", limits: Thresholds = LIMITS) -> tuple[str, ...]:
    """Return the flags of a scan.

    Parameters
    ----------
    scan : Scan
        Checked.
    edge : Edge
    mode, monitor : str
        Signal that is used, and what it is divided by.
    limits : Thresholds, optional

    Raises
    ------
    DataError
        If the scan does not hold the signal.
    """
    ratio, found = scan.signal(mode, monitor=monitor), list(scan.flags)
    use = np.isfinite(ratio)
    energy, ratio = scan.energy[use], ratio[use]
    found += _short(energy, edge, limits)
    found += _dark(scan, energy, ratio, edge, (mode, monitor))
    flux = scan.channels.get(monitor)
    if flux is not None and mode in scan.channels and mode not in scan.ratios:
        found += _steps(scan, monitor, mode, limits)
        found += _monitor(scan.energy, flux, edge, limits)
        found += _monitors(scan, edge, monitor, limits)
    found += _encoder(scan, limits)
    places = glitches(energy, ratio, limits)
    if places.any():
        found.append(f"GLITCH:{', '.join(f'{e:.2f}' for e in energy[places][:5])} eV")
    found += _yields(scan, edge, mode, monitor, limits)
    found += _substrate(energy, ratio, edge)
    return tuple(dict.fromkeys(found))


def _inside(energy: FloatArray, limits: tuple[float, float]) -> NDArray[np.bool_]:
    return (energy >= limits[0]) & (energy <= limits[1])


def _short(energy: FloatArray, edge: Edge, limits: Thresholds) -> list[str]:
    """Tell whether the lines before and after the edge have points."""
    found = []
    for name, asked in (("SHORT_PRE_EDGE", edge.pre_eV), ("SHORT_POST_EDGE", edge.post_eV)):
        inside = energy[_inside(energy, asked)]
        if inside.size < limits.least_points or np.ptp(inside) < 0.4 * (asked[1] - asked[0]):
            span = f"{inside[0]:.1f} to {inside[-1]:.1f}" if inside.size else "nothing"
            found.append(f"{name}:{span} of {asked[0]:g} to {asked[1]:g} eV")
    return found


def _dark(scan: Scan, energy: FloatArray, ratio: FloatArray, edge: Edge, roles: tuple[str, str]) -> list[str]:
    """Tell an edge that falls: what a dark level does that was not taken off, since it is divided by a rising flux.

    A background that falls of itself is no such thing: there the step between lines of one slope rises, and the
    readings before the edge do not go as a constant and a little of the flux.
    """
    before, after = energy < edge.search_eV[0] - 1.0, energy > edge.search_eV[1]
    if before.sum() < LIMITS.least_points or after.sum() < LIMITS.least_points:
        return []
    beside, middle = before | after, float(energy.mean())
    columns = np.stack([np.ones(beside.sum()), energy[beside] - middle, after[beside].astype(float)], axis=1)
    step = float(np.linalg.lstsq(columns, ratio[beside], rcond=None)[0][2])
    level = float(np.mean(ratio[before]))
    fall = float(np.mean(ratio[after])) - level
    pre = scan.energy < edge.search_eV[0] - 1.0
    words = ""
    if all(role in scan.channels for role in roles):
        signal, flux = (scan.channels[role][pre] for role in roles)
        if np.ptp(flux) > LIMITS.flux_range * flux.mean() and np.corrcoef(flux, signal)[0, 1] > LIMITS.straight:
            slope = np.cov(flux, signal)[0, 1] / np.var(flux, ddof=1)
            constant = float(signal.mean() - slope * flux.mean())
            if constant > 0.5 * signal.mean():
                words = f"; readings before it go as {constant:.3g} + {slope:.3g} times the flux"
    if fall > -LIMITS.fall * abs(level) or (step > 0 and not words):
        return []
    return [f"NEGATIVE_EDGE:{fall / abs(level):+.2f} of the signal before it{words}"]


def jumps_of(values: FloatArray, factor: float) -> list[tuple[int, float]]:
    """Return where readings rise or fall by a factor from one point to the next and stay there, and by how much."""
    if (values <= 0).any() or values.size < 6:
        return []
    logs = np.log(values)
    found = []
    for k in np.flatnonzero(np.abs(np.diff(logs)) > np.log(factor)) + 1:
        before, after = logs[max(k - 2, 0) : k], logs[k : k + 2]
        size = float(np.median(after) - np.median(before))
        if abs(size) > np.log(factor):
            found.append((int(k), float(np.exp(size))))
    return found


def _steps(scan: Scan, monitor: str, mode: str, limits: Thresholds) -> list[str]:
    """Tell jumps of the flux that the signal shares and the ratio does not: another dwell, or more sweeps."""
    flux, signal = scan.channels[monitor], scan.channels[mode]
    both = [
        (k, size)
        for k, size in jumps_of(flux, limits.jump)
        if signal[k - 1] > 0 and abs(np.log(signal[k] / signal[k - 1]) - np.log(size)) < 0.3 * abs(np.log(size))
    ]
    if not both:
        return []
    words = ", ".join(f"x{size:.2g} from {scan.energy[k]:.1f}" for k, size in both)
    level = np.prod([size for _, size in both])
    if scan.sweeps > 1 and abs(level - 1.0) > limits.jump - 1.0:
        return [f"SUM_UNEQUAL:said to be {scan.sweeps} sweeps, readings {words} eV"]
    return [f"DWELL_CHANGED:readings {words} eV"]


def _monitor(energy: FloatArray, flux: FloatArray, edge: Edge, limits: Thresholds) -> list[str]:
    """Tell structure of the flux at the edge: the largest range of it, less a straight line, within 10 eV."""
    smooth, best, at = _without_steps(flux, limits), 0.0, 0.0
    steps = energy[[k for k, _ in jumps_of(flux, limits.jump)]]
    for start in np.arange(max(energy[0], edge.pre_eV[1] - 5.0), min(energy[-1], edge.post_eV[0]) - WINDOW_EV + 0.1):
        part = _inside(energy, (start, start + WINDOW_EV))
        if part.sum() < 5 or _inside(steps, (start, start + WINDOW_EV)).any():
            continue
        off = smooth[part] - np.polynomial.Polynomial.fit(energy[part], smooth[part], 1)(energy[part])
        if (span := float(np.ptp(off) / smooth[part].mean())) > best:
            best, at = span, float(energy[part][np.argmax(np.abs(off))])
    return [f"MONITOR_STRUCTURE:{100 * best:.1f} % at {at:.1f} eV"] if best > limits.monitor else []


def _without_steps(flux: FloatArray, limits: Thresholds) -> FloatArray:
    """Return the flux with its jumps taken out."""
    smooth = flux.astype(float).copy()
    for k, size in jumps_of(flux, limits.jump):
        smooth[k:] /= size
    return smooth


def _monitors(scan: Scan, edge: Edge, monitor: str, limits: Thresholds) -> list[str]:
    """Tell two monitors that disagree, and which of them follows the edge: it sees what it should not."""
    other = {"i0": "i0_other", "i0_other": "i0"}.get(monitor, "")
    if other not in scan.channels or not (scan.channels[other] > 0).all():
        return []
    ratio = scan.channels[other] / scan.channels[monitor]
    change = float(ratio.max() / ratio.min() - 1.0)
    if change < limits.disagree:
        return []
    bent = {name: _local_bend(scan.energy, scan.channels[name], edge) for name in (monitor, other)}
    worst = max(bent, key=lambda name: bent[name])
    flag = "WRONG_MONITOR" if worst == monitor and bent[monitor] > 1.5 * bent[other] else "MONITORS_DISAGREE"
    labels = " and ".join(scan.labels.get(name, name) for name in (monitor, other))
    return [f"{flag}:{labels}, their ratio changes by {100 * change:.0f} %"]


def _local_bend(energy: FloatArray, flux: FloatArray, edge: Edge) -> float:
    """Return how far a monitor lies from a straight line within the edge, over its mean."""
    part = _inside(energy, (edge.pre_eV[1], edge.search_eV[1] + 6.0))
    if part.sum() < 6:
        return 0.0
    line = np.polynomial.Polynomial.fit(energy[part], flux[part], 1)(energy[part])
    return float(np.ptp(flux[part] - line) / np.mean(flux[part]))


def _encoder(scan: Scan, limits: Thresholds) -> list[str]:
    other = next((role for role in ("encoder", "setpoint") if role in scan.channels), None)
    if other is None:
        return []
    off = scan.channels[other] - scan.energy
    mean, spread = float(np.mean(off)), float(np.std(off))
    if abs(mean) < limits.encoder_eV:
        return []
    return [f"ENCODER_OFFSET:{other} minus axis {mean:+.3f} ± {spread:.3f} eV"]


def glitches(energy: FloatArray, ratio: FloatArray, limits: Thresholds = LIMITS) -> NDArray[np.bool_]:
    """Return which points lie alone, far from where their neighbours put them, shape (n,).

    A point is set against the cubic through two neighbours on each side. What a sharp line does so is seen at several
    points in a row with alternating signs of fixed sizes; a single point off leaves 1 : -4 : 6 : -4 : 1.
    """
    n = energy.size
    found = np.zeros(n, bool)
    if n < 12:
        return found
    scaled = differences(energy, ratio, 4)
    middle = np.zeros(n)
    middle[2:-2] = scaled
    noise = 1.4826 * float(np.median(np.abs(scaled)))
    if not noise > 0:
        return found
    local = np.array([np.median(np.abs(middle[max(k - 8, 2) : k + 9])) for k in range(n)]) * 1.4826
    size = np.abs(middle) / np.maximum(local, noise)
    for k in np.flatnonzero(size > limits.glitch):
        around = np.abs(middle[max(k - 2, 0) : k + 3])
        if abs(middle[k]) >= around.max() and _alone(energy, ratio, int(k)):
            found[k] = True
    return found


def _alone(energy: FloatArray, ratio: FloatArray, at: int) -> bool:
    """Tell whether without the point its surroundings are smooth: the spectrum has no such line."""
    low, high = max(at - 6, 0), min(at + 7, energy.size)
    keep = np.arange(low, high) != at
    if keep.sum() < 8:
        return False
    x, y = energy[low:high], ratio[low:high]
    left = differences(x[keep], y[keep], 4)
    whole = differences(x, y, 4)
    return float(np.abs(whole).max()) > 6.0 * float(np.abs(left).max())


def _yields(scan: Scan, edge: Edge, mode: str, monitor: str, limits: Thresholds) -> list[str]:
    """Tell a second yield whose maximum, or form, is another: saturation, another depth, or another thing."""
    others = [m for m in scan.modes if m != mode and m in ("tey", "tfy") and mode in ("tey", "tfy")]
    found = []
    for other in others:
        part = _inside(scan.energy, edge.area_eV)
        if part.sum() < 10:
            continue
        x = scan.energy[part]
        one, two = (_shape(x, scan.signal(m, monitor=monitor)[part]) for m in (mode, other))
        if not all(_is_clear(x, shape) for shape in (one, two)):
            continue
        near = _inside(x, edge.search_eV)
        apart = float(x[near][one[near].argmax()] - x[near][two[near].argmax()]) if near.any() else 0.0
        off = float(np.sqrt(np.mean((one - two) ** 2)))
        if abs(apart) > limits.maxima_eV or off > limits.yields:
            found.append(f"YIELDS_DISAGREE:{mode} and {other}, maxima {apart:+.2f} eV, forms {100 * off:.0f} % apart")
    return found


def _shape(energy: FloatArray, ratio: FloatArray) -> FloatArray:
    """Return a spectrum from its first level to its maximum, as 0 to 1."""
    low = float(np.median(ratio[: max(3, ratio.size // 20)]))
    top = float(np.max(ratio))
    return np.asarray((ratio - low) / (top - low)) if top > low else np.zeros(ratio.size)


def _is_clear(energy: FloatArray, shape: FloatArray) -> bool:
    """Tell whether a spectrum from 0 to 1 scatters little enough for its maximum to mean something."""
    return bool(shape.any()) and float(np.median(np.abs(differences(energy, shape)))) < 0.02


CARBONYL_EV = (531.9, 532.6)
"""Where the C=O pi* of adhesive carbon tape stands at the O K edge: 532.3 eV on a blank tape (SSRL 8-2)."""


def _substrate(energy: FloatArray, ratio: FloatArray, edge: Edge) -> list[str]:
    """Tell a line at the O K edge where carbon tape has one, beside that of carbonates."""
    if edge.name != "O K":
        return []
    near = np.flatnonzero(_inside(energy, (CARBONYL_EV[0] - 0.3, CARBONYL_EV[1] + 0.3)))
    if near.size < 5:
        return []
    k = int(near[np.argmax(ratio[near])])
    crest = CARBONYL_EV[0] <= energy[k] <= CARBONYL_EV[1] and 0 < k < energy.size - 1
    return [f"SUBSTRATE_SIGNAL:maximum at {energy[k]:.2f} eV, where the C=O pi* of carbon tape is"] if crest else []
