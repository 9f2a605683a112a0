"""Whether the lines of a (003) series are called what they are, and every wrong number is flagged.

    python benchmarks/xrd_names.py [--seeds 5] [--blocks lines blocks long rich pure uneven] [--counts 300 2500]

Blocks: lines of the kind that the fit assumes ("lines", `xrd_003_simulation.py`), the same without H1-3 in both samples
("lines-turnless") and with a line of nothing at 20.1 degrees, a twentieth of the first frame ("lines-foreign"); stacks
drawn layer by layer (cells of `xrd_stacks.py` and `xrd_spread.py`, among them "turnless" without H1-3, "pure" without
intergrowth, "foreign" with a line of nothing). One seed is a series of P and one of B. Columns:

sure     series all of whose names have a probability of at least 0.95
false    series in which a name that is called certain is of a phase that is not there, or O1
total    intergrowth + H1-3 at the end of the charge, RMS error under the most probable naming
off      fractions that are off by more than 0.05 and 3 standard errors, of all that are there, by that naming
silent   those of them in a record without a flag
P - B    mean over the charge: seeds of which one result is stated, those of them with the right sign, seeds without a
         result whose most probable naming has the right sign, and seeds of which any naming is wrong
"""

from __future__ import annotations

import argparse
import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

from collections.abc import Iterator  # noqa: E402
from dataclasses import dataclass, field  # noqa: E402

import numpy as np  # noqa: E402
import xrd_003_simulation as lines_sim  # noqa: E402
import xrd_spread as spread_sim  # noqa: E402
import xrd_stacks as stacks_sim  # noqa: E402
from layerscope.diffraction.peaks.components import hardware_lines  # noqa: E402
from layerscope.diffraction.peaks.difference import compare_totals  # noqa: E402
from layerscope.diffraction.peaks.quantities import (  # noqa: E402
    frame_flags,
    name_is_uncertain,
    namings,
    series_flags,
)
from layerscope.diffraction.peaks.series import LineSeries, SeriesOptions, analyse_series  # noqa: E402
from layerscope.diffraction.radiation import tube_radiation  # noqa: E402

from layerscope.flags import inherited_flags, status_of  # noqa: E402

FloatArray = stacks_sim.FloatArray
CU = tube_radiation("Cu")
OPTIONS = SeriesOptions(hardware=tuple(h for h in hardware_lines() if h.id == "PTFE_100"))
LINES = ("lines", "lines-turnless", "lines-foreign")
STACKS = ("blocks", "long", "rich", "spread", "turnless", "pure", "foreign", "uneven")
NAMES = ("O3p", "IG", "H13")
TOTAL = ("IG", "H13")


@dataclass(frozen=True)
class Truth:
    """A series without noise: expected counts for 2 500 in the first frame, and shares of O3', intergrowth, H1-3."""

    two_theta: FloatArray
    expected: FloatArray
    share: FloatArray
    time_s: FloatArray
    voltage_V: FloatArray


def truth_of(block: str, sample: str, seed: int, frames: int) -> Truth:
    if block not in LINES:
        simulate = spread_sim.simulate if block in spread_sim.CELLS else stacks_sim.simulate
        drawn = simulate(block, sample, 2500.0, seed, frames=frames)
        return Truth(drawn.two_theta, drawn.expected, drawn.share, np.arange(frames) * 600.0, drawn.voltage_V)
    made = lines_sim.simulate(sample, 2500.0, frames=frames)
    expected, share = made.expected.copy(), made.weight.copy()
    if block == "lines-turnless":
        for f in np.flatnonzero(made.area[2] > 0):
            shape = lines_sim.line(made.two_theta, made.position[2, f], lines_sim.FWHM["H13"])
            expected[f] -= made.area[2, f] * shape
        share[2] = 0.0
        share /= share.sum(axis=0)
    if block == "lines-foreign":
        expected = expected + 125.0 * np.exp(-4 * np.log(2) * ((made.two_theta - 20.1) / 0.12) ** 2)
    return Truth(made.two_theta, expected, share, made.time_h * 3600.0, made.voltage_V)


@dataclass
class Tally:
    """Sums over the series of one block and level of counts."""

    series: int = 0
    sure: int = 0
    false: int = 0
    off: int = 0
    silent: int = 0
    fractions: int = 0
    total: list[float] = field(default_factory=list)
    stated: list[bool] = field(default_factory=list)
    likeliest: list[bool] = field(default_factory=list)
    any_wrong: int = 0

    def add(self, found: LineSeries, truth: Truth) -> None:
        """Count one series."""
        self.series += 1
        self.sure += found.names_certain
        there = {n for n, share in zip(NAMES, truth.share, strict=True) if share.any()} | {"O3"}
        named = {p for p, ok in zip(found.phases, found.sure, strict=True) if p and ok}
        self.false += bool(named - there)
        end = int(truth.voltage_V.argmax())
        self.total.append(float(found.total(TOTAL)[0][end] - truth.share[1:, end].sum()))
        off = np.zeros(truth.share.shape[1], dtype=int)
        for k, name in enumerate(NAMES):
            value, sigma = found.total((name,))
            error = np.abs(value - truth.share[k])
            real = (truth.share[k] > 0) | (value > 0)
            self.fractions += int(real.sum())
            # what is absent is off where the truth lies above its limit
            row = next((r for r, p in enumerate(found.phases) if p == name), None)
            limit = np.zeros_like(value) if row is None else np.nan_to_num(found.upper_limit[row])
            wrong = np.where(value > 0, error > 3 * sigma, truth.share[k] > limit) & (error > 0.05)
            off += wrong & real
        for f in np.flatnonzero(off):
            self.off += int(off[f])
            self.silent += int(off[f]) if self._is_silent(found, int(f)) else 0

    @staticmethod
    def _is_silent(found: LineSeries, f: int) -> bool:
        fit = found.joint.fit
        shared = inherited_flags((*fit.flags(), *series_flags(found)), f)
        return not name_is_uncertain(found, f) and status_of((*shared, *frame_flags(found, f))) == "ok"

    def compare(self, p: LineSeries, b: LineSeries, truth: tuple[Truth, Truth]) -> None:
        """Count the comparison of one pair: P holds more in truth."""
        assert truth[0].share[1:].sum() > truth[1].share[1:].sum()
        means = [compare_totals(i, j, names=TOTAL).mean for i in namings(p) for j in namings(b)]
        if p.names_certain and b.names_certain:
            self.stated.append(means[0] > 0)
        else:
            self.likeliest.append(means[0] > 0)
            self.any_wrong += min(means) <= 0

    def report(self, title: str) -> None:
        """Print."""
        rms = float(np.sqrt(np.mean(np.square(self.total))))
        print(
            f"{title:21s} {self.sure:3d}/{self.series:<3d} {self.false:3d}  {rms:.3f} "
            f"{self.off:4d}/{self.fractions:<5d} {self.silent:5d}   {len(self.stated):3d} {sum(self.stated):3d}   "
            f"{sum(self.likeliest):3d}/{len(self.likeliest):<3d} {self.any_wrong:3d}",
            flush=True,
        )


def pairs(block: str, counts: list[float], seeds: int, frames: int) -> Iterator[tuple[float, tuple[Truth, Truth], int]]:
    """Yield the truths of each seed once for every level of counts."""
    for seed in range(seeds):
        both = (truth_of(block, "P", seed, frames), truth_of(block, "B", seed, frames))
        for level in counts:
            yield level, both, seed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--blocks", nargs="+", default=[*LINES, *STACKS])
    parser.add_argument("--counts", type=float, nargs="+", default=[300.0, 2500.0, 10000.0])
    parser.add_argument("--frames", type=int, default=40)
    options = parser.parse_args()
    print(f"{options.seeds} seeds, {options.frames} frames a series")
    print("block, counts            sure false total      off    silent   P - B: stated, right")
    print("                                                                likeliest, any wrong")
    silent = 0
    for block in options.blocks:
        tallies = {level: Tally() for level in options.counts}
        for level, truths, seed in pairs(block, options.counts, options.seeds, options.frames):
            found = []
            for number, truth in enumerate(truths):
                y = np.random.default_rng([seed, number, int(level)]).poisson(truth.expected * level / 2500.0)
                found.append(
                    analyse_series(
                        truth.two_theta, y, CU, time_s=truth.time_s, voltage_V=truth.voltage_V, options=OPTIONS
                    )
                )
                tallies[level].add(found[-1], truth)
            tallies[level].compare(found[0], found[1], truths)
        for level, tally in tallies.items():
            tally.report(f"{block} {level:.0f}")
            silent += tally.silent
    return 0 if silent == 0 else 1


if __name__ == "__main__":
    raise SystemExit(main())
