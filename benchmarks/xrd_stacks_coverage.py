"""Is a (003) series right where its lines are no lines? Shares of layers against the layers that were counted.

    python benchmarks/xrd_stacks_coverage.py [--seeds 50] [--cells blocks even long] [--counts 300 2500 10000]

Series drawn layer by layer (`xrd_stacks.py`): stacks of blocks of about four layers ("blocks"), lengths all alike and
1000 crystallites a frame ("even"), blocks of nine ("long"), four of five blocks alternating ("rich"), O3' with a spread
of lithium contents and a strain that grow with the charge ("spread"). Over the frames with intergrowth:

oracle   RMS of all three shares for one who knows the mean pattern of each stack
stacks   RMS read as stacks; share of 68 % and 95 % intervals that hold the truth (an absent stack has [0, limit]);
         off: shares that are off by more than 0.05 and by more than three of their errors
lines    the same of weight fractions by lines of their own (a line without its name counts as absent)
empty    error of the share of empty interlayers in the intergrowth, mean and largest, and intervals that hold it
onset    mV from the truth, median and share within 5 mV, 95 % intervals that hold it
P - B    at the end of the charge: series with the right sign, mean and SD of the pull
"""

from __future__ import annotations

import argparse
import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import time  # noqa: E402

import numpy as np  # noqa: E402
import xrd_stacks as sim  # noqa: E402
from layerscope.diffraction.peaks.components import hardware_lines  # noqa: E402
from layerscope.diffraction.peaks.series import LineSeries, SeriesOptions, analyse_series  # noqa: E402
from layerscope.diffraction.peaks.stack_series import StackSeries, read_stacks  # noqa: E402
from layerscope.diffraction.radiation import tube_radiation  # noqa: E402

FloatArray = sim.FloatArray
CU = tube_radiation("Cu")
OPTIONS = SeriesOptions(hardware=tuple(h for h in hardware_lines() if h.id == "PTFE_100"))


class Tally:
    """Sums over seeds of one cell, sample and level of counts."""

    def __init__(self) -> None:
        self.oracle: list[FloatArray] = []
        self.stacks: list[FloatArray] = []
        self.lines: list[FloatArray] = []
        self.held: list[tuple[float, float]] = []
        self.lines_held: list[float] = []
        self.off = self.lines_off = self.failed = self.flagged = 0
        self.empty: list[tuple[float, bool]] = []
        self.onset: list[tuple[float, bool]] = []
        self.seconds: list[float] = []
        self.end: list[tuple[float, float, float]] = []  # intergrowth and H1-3 together: found, error, truth

    def add(self, sample: str, truth: sim.Simulated, counts: FloatArray) -> None:
        """Analyse one series."""
        frames = truth.share[1] > 0
        self.oracle.append((sim.oracle(truth, counts)[0] - truth.share)[:, frames])
        hours = np.arange(len(counts)) * 600.0
        lines = analyse_series(truth.two_theta, counts, CU, time_s=hours, voltage_V=truth.voltage_V, options=OPTIONS)
        self._lines(lines, truth, frames)
        start = time.process_time()
        read = read_stacks(lines)
        self.seconds.append((time.process_time() - start) / len(counts))
        if read is None:
            self.failed += 1
            return
        self._stacks(read, truth, frames)
        self._onsets(sample, read)

    def _lines(self, lines: LineSeries, truth: sim.Simulated, frames: sim.BoolArray) -> None:
        rows = [lines.names.index(n) if n in lines.names else None for n in sim.NAMES]
        none = np.zeros(truth.share.shape[1])
        value = np.stack([none if k is None else np.nan_to_num(lines.weight_fraction[k]) for k in rows])
        sigma = np.stack(
            [none if k is None else np.sqrt(np.maximum(lines.weight_fraction_covariance[:, k, k], 0)) for k in rows]
        )
        error, sigma = (value - truth.share)[:, frames], sigma[:, frames]
        there = sigma > 0
        self.lines.append(error)
        self.lines_held.append(float(np.mean((np.abs(error) < 1.96 * sigma)[there])))
        self.lines_off += int(((np.abs(error) > 0.05) & (np.abs(error) > 3 * sigma))[there].sum())

    def _stacks(self, read: StackSeries, truth: sim.Simulated, frames: sim.BoolArray) -> None:
        error = (read.share - truth.share)[:, frames]
        sigma = np.sqrt(np.maximum(np.einsum("fkk->kf", read.covariance), 0.0))[:, frames]
        absent, limit = ~read.present[:, frames], np.nan_to_num(read.limit[:, frames])
        inside = [
            np.where(absent, truth.share[:, frames] <= limit, np.abs(error) <= z * sigma + 1e-12) for z in (1.0, 1.96)
        ]
        told = ~absent & (sigma > 0)
        self.stacks.append(error)
        self.held.append((float(inside[0][told].mean()), float(inside[1].mean())))
        self.off += int(((np.abs(error) > 0.05) & (np.abs(error) > 3 * sigma) & told).sum())
        empty, real = read.empty, float(truth.empty[frames].mean())
        self.empty.append((empty.value - real, abs(empty.value - real) < 1.96 * empty.sigma))
        last = int(np.flatnonzero(frames)[-1])
        both = np.array([0.0, 1.0, 1.0])
        self.end.append(
            (
                float(both @ read.share[:, last]),
                float(np.sqrt(max(both @ read.covariance[last] @ both, 0.0))),
                float(both @ truth.share[:, last]),
            )
        )

    def _onsets(self, sample: str, read: StackSeries) -> None:
        for name in sim.NAMES[1:]:
            at = sim.ONSETS[sample][name]
            found = [e for e in read.events if e.phase == name and e.kind == "onset"]
            if len(found) != 1 or found[0].voltage_V is None:
                self.onset.append((np.nan, False))
                continue
            v = found[0].voltage_V
            low, high = v.low_95, v.high_95
            self.onset.append((1e3 * (v.value - at), (low is None or low <= at) and (high is None or at <= high)))

    def report(self, title: str) -> None:
        """Print."""

        def rms(errors: list[FloatArray]) -> float:
            return float(np.sqrt(np.mean(np.square(np.concatenate(errors, axis=1)))))

        held, lines_held = np.mean(self.held, axis=0), np.mean(self.lines_held)
        empty, empty_held = (np.array(column, float) for column in zip(*self.empty, strict=True))
        onset, onset_held = (np.array(column, float) for column in zip(*self.onset, strict=True))
        print(
            f"{title:22s} oracle {rms(self.oracle):.4f}  stacks {rms(self.stacks):.4f} {held[0]:.2f}/{held[1]:.2f} "
            f"off {self.off}  lines {rms(self.lines):.4f} {lines_held:.2f} off {self.lines_off}"
        )
        print(
            f"{'':22s} empty {empty.mean():+.4f} most {np.abs(empty).max():.4f} {empty_held.mean():.2f}  "
            f"onset {np.nanmedian(onset):+.1f} mV, {np.mean(np.abs(onset) <= 5):.2f} within 5 mV, "
            f"{onset_held.mean():.2f} held  {1e3 * np.mean(self.seconds):.0f} ms a frame, {self.failed} without",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--cells", nargs="+", default=list(sim.CELLS))
    parser.add_argument("--counts", type=float, nargs="+", default=[300.0, 2500.0, 10000.0])
    parser.add_argument("--frames", type=int, default=60)
    options = parser.parse_args()
    for cell in options.cells:
        for counts in options.counts:
            tallies = {"P": Tally(), "B": Tally()}
            for seed in range(options.seeds):
                for sample, tally in tallies.items():
                    truth = sim.simulate(cell, sample, counts, seed, frames=options.frames)
                    tally.add(sample, truth, truth.counts(seed))
            for sample, tally in tallies.items():
                tally.report(f"{cell} {sample} {counts:.0f}")
            pairs = zip(tallies["P"].end, tallies["B"].end, strict=False)
            pulls = [((p[0] - b[0]) - (p[2] - b[2])) / np.hypot(p[1], b[1]) for p, b in pairs]
            right = np.mean([p[0] > b[0] for p, b in zip(tallies["P"].end, tallies["B"].end, strict=False)])
            print(f"{'':22s} P - B: sign right {right:.2f}, pull {np.mean(pulls):+.2f}({np.std(pulls):.2f})")


if __name__ == "__main__":
    main()
