"""The charge of two LiCoO2 cells to 4.6 V: clocks, current, voltage, and what the phases do along it.

Nothing here comes from layerscope. Everything follows from the specific charge q (mAh/g): the voltage at C/20, the
layer spacings and the weight fractions are monotone cubic (Fritsch-Carlson) interpolations of the tables below or
formulas in q. The course is that of Ren et al. 2025, doi 10.1002/adfm.202504165: at 4.6 V lines at 18.9 (O3'), 19.2
(intergrowth) and 19.6 degrees (H1-3), the coated sample transforming later and less; the numbers are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from _generate.simulation import SEED, FloatArray, exact
from _generate.xrd_profile import ALPHA1_A, bragg_angle
from scipy.interpolate import PchipInterpolator
from scipy.optimize import brentq

FRAMES = 60
PERIOD_S, DURATION_S = 460.0, 450.9
"""From frame to frame, and length of a frame: 501 points of 0.9 s."""

REST_S, CHARGE_S, RELAX_S = 600.0, 27700.0, 300.0
FAST, SLOW = 54.8, 13.7
"""mA/g: C/5 up to 4.30 V, then C/20 up to 4.60 V (1C = 274 mA/g)."""

RESISTANCE = 0.00025
"""V per mA/g: what the fast step stands above the slow one, which the table of the voltage is for."""

SWITCH_V, REST_V = 4.30, 3.05
CLOCK_OFFSET_S, CLOCK_SIGMA_S = 42.0, 2.0
"""By how much the cycler's clock is ahead of the diffractometer's, and the error to state for it."""

CYCLER_START = {
    "P-LCO": datetime(2025, 9, 17, 8, 0, 0),
    "B-LCO": datetime(2025, 9, 18, 8, 0, 0),
}
"""Time of the first record by the cycler's clock."""


@dataclass(frozen=True)
class Sample:
    """One cell.

    ``voltage`` (q, V at C/20) and ``spacing`` (q, d of the O3 line in Å) are tables; ``onset_v`` and ``final`` hold
    the voltage at which a phase appears and its weight fraction at 4.6 V, ``bend`` the share of the quadratic term in
    its rise; ``layers`` the H1-3 layer fraction of the intergrowth at its onset and at 4.6 V; ``h13_spacing`` d (Å) at
    the onset and at 4.6 V; ``fwhm`` in degrees.
    """

    name: str
    key: str
    mass_mg: float
    voltage: tuple[tuple[float, float], ...]
    spacing: tuple[tuple[float, float], ...]
    onset_v: dict[str, float]
    final: dict[str, float]
    bend: dict[str, float]
    layers: tuple[float, float]
    h13_spacing: tuple[float, float]
    fwhm: dict[str, float]
    hardware_area: dict[str, float]

    def voltage_at(self, q: FloatArray | float) -> FloatArray:
        """Return the voltage (V) at C/20."""
        return _curve(self.voltage, q)

    def charge_at(self, voltage: float) -> float:
        """Return q (mAh/g) at which the voltage at C/20 is `voltage` (V)."""
        low, high = self.voltage[1][0], self.voltage[-1][0]
        return exact(brentq(lambda q: float(self.voltage_at(q)) - voltage, low, high, xtol=1e-10))

    @property
    def switch_charge(self) -> float:
        """Where the fast step reaches its limit, mAh/g."""
        return self.charge_at(SWITCH_V - RESISTANCE * (FAST - SLOW))

    @property
    def switch_s(self) -> float:
        """When, in s after the start of the charge."""
        return self.switch_charge / FAST * 3600.0

    @property
    def final_charge(self) -> float:
        """At the end of the charge, mAh/g."""
        return self.switch_charge + (CHARGE_S - self.switch_s) * SLOW / 3600.0

    @property
    def turn_charge(self) -> float:
        """Where the spacing of O3 is largest: from here on the line is called O3'."""
        return max(self.spacing, key=lambda row: row[1])[0]


def _curve(table: tuple[tuple[float, float], ...], q: FloatArray | float) -> FloatArray:
    x, y = np.array(table).T
    return np.asarray(PchipInterpolator(x, y)(np.clip(q, x[0], x[-1])), dtype=np.float64)


def charge_of_time(sample: Sample, time_s: FloatArray | float) -> FloatArray:
    """Return q (mAh/g) at times after the start of the charge (s)."""
    t = np.clip(np.asarray(time_s, dtype=np.float64), 0.0, CHARGE_S)
    fast = np.minimum(t, sample.switch_s)
    return np.asarray((FAST * fast + SLOW * (t - fast)) / 3600.0)


def time_of_charge(sample: Sample, q: float) -> float:
    """Return the time after the start of the charge (s) at which q is reached."""
    beyond = max(q - sample.switch_charge, 0.0)
    return min(q, sample.switch_charge) / FAST * 3600.0 + beyond / SLOW * 3600.0


def current_of_time(sample: Sample, time_s: FloatArray) -> FloatArray:
    """Return the current (mA/g): zero before and after the charge, fast, then slow."""
    t = np.asarray(time_s, dtype=np.float64)
    running = np.where(t < sample.switch_s, FAST, SLOW)
    return np.where((t >= 0.0) & (t <= CHARGE_S), running, 0.0)


def voltage_of_time(sample: Sample, time_s: FloatArray | float) -> FloatArray:
    """Return the voltage (V) of the cell: rest, charge in two steps, relaxation."""
    t = np.asarray(time_s, dtype=np.float64)
    charging = sample.voltage_at(charge_of_time(sample, t))
    charging = charging + np.where(t < sample.switch_s, RESISTANCE * (FAST - SLOW), 0.0)
    relaxing = charging - 0.035 * (1.0 - np.exp(-(t - CHARGE_S) / 90.0))
    return np.where(t < 0.0, REST_V, np.where(t > CHARGE_S, relaxing, charging))


def frame_times(frame: int) -> tuple[float, float]:
    """Return start and end of a frame in s after the start of the charge."""
    return frame * PERIOD_S, frame * PERIOD_S + DURATION_S


def frame_clock(sample: Sample, frame: int) -> tuple[datetime, datetime]:
    """Return start and end of a frame by the diffractometer's clock."""
    zero = CYCLER_START[sample.name] + timedelta(seconds=REST_S - CLOCK_OFFSET_S)
    start, end = frame_times(frame)
    return zero + timedelta(seconds=start), zero + timedelta(seconds=end)


def weight_fractions(sample: Sample, q: float) -> dict[str, float]:
    """Return the weight fraction of every phase that is there: O3 before the turn, O3', IG and H13 after it."""
    fractions = {}
    for phase in ("IG", "H13"):
        start = sample.charge_at(sample.onset_v[phase])
        u = (q - start) / (sample.final_charge - start)
        if u > 0.0:
            bend = sample.bend[phase]
            fractions[phase] = exact(sample.final[phase] * ((1.0 - bend) * u + bend * u * u))
    parent = "O3" if q < sample.turn_charge else "O3p"
    return {parent: exact(1.0 - sum(fractions.values())), **fractions}


def spacings(sample: Sample, q: float) -> dict[str, float]:
    """Return the layer spacing (Å) of every phase that is there; the intergrowth's by its layers."""
    present = weight_fractions(sample, q)
    parent = next(iter(present))
    found = {parent: exact(float(_curve(sample.spacing, q)))}
    h13_start = sample.charge_at(sample.onset_v["IG"])
    u = (q - h13_start) / (sample.final_charge - h13_start)
    h13 = sample.h13_spacing[0] + (sample.h13_spacing[1] - sample.h13_spacing[0]) * u
    if "IG" in present:
        share = layer_fraction(sample, q)
        found["IG"] = exact((1.0 - share) * found[parent] + share * h13)
    if "H13" in present:
        found["H13"] = exact(h13)
    return found


def layer_fraction(sample: Sample, q: float) -> float:
    """Return the share of H1-3 layers in the intergrowth."""
    start = sample.charge_at(sample.onset_v["IG"])
    u = (q - start) / (sample.final_charge - start)
    return exact(sample.layers[0] + (sample.layers[1] - sample.layers[0]) * u)


def h13_spacing(sample: Sample, q: float) -> float:
    """Return the spacing (Å) of H1-3 layers, also inside the intergrowth before H1-3 itself is there."""
    start = sample.charge_at(sample.onset_v["IG"])
    u = (q - start) / (sample.final_charge - start)
    return exact(sample.h13_spacing[0] + (sample.h13_spacing[1] - sample.h13_spacing[0]) * u)


def event(sample: Sample, q: float) -> dict[str, float | int]:
    """Return a moment on all scales: q, voltage, time and frame (0 at the middle of the first frame)."""
    t = time_of_charge(sample, q)
    frame = (t - 0.5 * DURATION_S) / PERIOD_S
    return {
        "capacity_mAh_g": exact(q),
        "voltage_V": exact(float(voltage_of_time(sample, t))),
        "time_s": exact(t),
        "frame": exact(frame),
        "first_frame": int(np.ceil(frame)),
    }


def cycler_csv(sample: Sample) -> bytes:
    """Return the cycler's record: a row a minute, more where the voltage or the step changes; voltage to 0.1 mV."""
    total = REST_S + CHARGE_S + RELAX_S
    regular = np.arange(0.0, total + 0.5, 60.0)
    early = REST_S + np.arange(0.0, 480.0, 5.0)  # the voltage rises by 0.8 V here
    switch = REST_S + sample.switch_s
    edges = (REST_S - 0.1, REST_S + CHARGE_S, REST_S + CHARGE_S + 0.1)
    times = np.unique(np.round([*regular, *early, switch - 0.1, switch + 0.1, *edges], 1))
    rows = ["Time [s],Voltage [V],Current [mA],Capacity [mAh/g],Step"]
    own = times - REST_S
    current = current_of_time(sample, own) * sample.mass_mg / 1000.0
    step = np.where(own < 0.0, 1, np.where(own < sample.switch_s, 2, np.where(own <= CHARGE_S, 3, 4)))
    voltage, capacity = voltage_of_time(sample, own), charge_of_time(sample, own)
    for t, v, i, q, s in zip(times, voltage, current, capacity, step, strict=True):
        rows.append(f"{t:.1f},{v:.4f},{i:.4f},{q:.3f},{int(s)}")
    return ("\n".join(rows) + "\n").encode("ascii")


def generator(*stream: int) -> np.random.Generator:
    """Return the random stream of a file: case 4, then sample, kind and number."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence((SEED, 4, *stream))))


def angle(d: float) -> float:
    """Return the Bragg angle of K-alpha-1 (degrees 2theta)."""
    return exact(bragg_angle(d, ALPHA1_A))
