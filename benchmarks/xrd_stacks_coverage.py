"""Is a (003) series right where its lines are no lines? Shares of layers against the layers that were counted.

    python benchmarks/xrd_stacks_coverage.py [--seeds 50] [--cells blocks even long]
        [--samples P B] [--counts 300 2500 10000] [--frames 40] [--lines]

Series drawn layer by layer (`xrd_stacks.py`; "cells" are kinds of electrodes and instruments) or with a spread of
lithium contents (`xrd_spread.py`: cells "uneven", "broad"). Over the frames with intergrowth, for each stack:

68, 95   share of intervals that hold the truth (an absent stack has [0, limit] and counts for 95)
rms      error of the share of layers, and that of one who knows the mean pattern of each stack
off      shares off by more than 0.05 and by three of their errors; in brackets those in records without a flag

and for each series (the table at the end has all shares of a row together: error of one who knows, rms, their ratio,
68, 95, mean error of ordered and mixed stacks, off, those of them not flagged, share of series with a flag)

empty    error of the share of empty interlayers in the intergrowth, mean and largest, and intervals that hold it
onset    mV from the truth: median, share within 5 mV, share of 95 % intervals that hold it; onsets of what never comes
P - B    intergrowth and H1-3 at the end of the charge: share with the right sign, mean and SD of the pull; the same of
         its mean over the charge
"""

from __future__ import annotations

import argparse
import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import sys  # noqa: E402
import time  # noqa: E402
from dataclasses import replace  # noqa: E402

import numpy as np  # noqa: E402
import xrd_spread  # noqa: E402
import xrd_stacks as sim  # noqa: E402
from layerscope.diffraction.peaks.components import hardware_lines  # noqa: E402
from layerscope.diffraction.peaks.difference import Course, compare_courses, course_of_stacks  # noqa: E402
from layerscope.diffraction.peaks.series import LineSeries, SeriesOptions, analyse_series  # noqa: E402
from layerscope.diffraction.peaks.stack_series import StackSeries, read_stacks  # noqa: E402
from layerscope.diffraction.radiation import tube_radiation  # noqa: E402

FloatArray = sim.FloatArray
CU = tube_radiation("Cu")
OPTIONS = SeriesOptions(hardware=tuple(h for h in hardware_lines() if h.id == "PTFE_100"))
LABELS = ("O3'", "IG", "H1-3")
CELLS = (*sim.CELLS, *xrd_spread.CELLS)


class Tally:
    """Sums over seeds of one cell, sample and level of counts; arrays are (3, frames with intergrowth) each."""

    def __init__(self) -> None:
        self.error: list[FloatArray] = []
        self.oracle: list[FloatArray] = []
        self.inside: list[FloatArray] = []  # at 68 %, NaN where nothing is told
        self.inside_95: list[FloatArray] = []
        self.off: list[FloatArray] = []
        self.flagged: list[bool] = []
        self.empty: list[tuple[float, bool]] = []
        self.onset: list[tuple[float, bool]] = []
        self.false = self.failed = 0
        self.lines: list[tuple[float, float, int]] = []
        self.end: dict[int, tuple[float, float, float]] = {}  # intergrowth and H1-3: found, error, truth
        self.course: dict[int, tuple[Course, Course]] = {}  # the same along the frames, and the truth
        self.seconds: list[float] = []

    def add(self, sample: str, seed: int, truth: sim.Simulated, *, by_lines: bool) -> None:
        """Analyse one series."""
        counts = truth.counts(seed)
        frames = truth.share[1] > 0 if truth.share[1].any() else truth.share[2] > 0
        seconds = np.arange(len(counts)) * 600.0
        lines = analyse_series(truth.two_theta, counts, CU, time_s=seconds, voltage_V=truth.voltage_V, options=OPTIONS)
        if by_lines:
            self.lines.append(_by_lines(lines, truth, frames))
        start = time.process_time()
        read = read_stacks(lines)
        self.seconds.append((time.process_time() - start) / len(counts))
        if read is None:
            self.failed += 1
            return
        self.oracle.append((sim.oracle(truth, counts)[0] - truth.share)[:, frames])
        self._shares(seed, read, truth, frames)
        self._onsets(truth, read)
        course = course_of_stacks(read, ("IG", "H13"), truth.voltage_V)
        self.course[seed] = course, replace(course, total=truth.share[1:].sum(axis=0))

    def _shares(self, seed: int, read: StackSeries, truth: sim.Simulated, frames: sim.BoolArray) -> None:
        real = truth.share[:, frames]
        error = read.share[:, frames] - real
        sigma = np.sqrt(np.maximum(np.einsum("fkk->kf", read.covariance), 0.0))[:, frames]
        absent, limit = ~read.present[:, frames], np.nan_to_num(read.limit[:, frames])
        told = ~absent & (sigma > 0)
        self.error.append(error)
        self.inside.append(np.where(told, np.abs(error) <= sigma, np.nan))
        self.inside_95.append(np.where(absent, real <= limit, np.abs(error) <= 1.96 * sigma + 1e-12))
        # of a stack that was judged absent a record holds what it would have, with an error of its own
        stated = np.where(absent, np.nan_to_num(read.free[:, frames]) - real, error)
        stated_sigma = np.where(absent, np.nan_to_num(read.free_sigma[:, frames]), sigma)
        self.off.append((np.abs(stated) > 0.05) & (np.abs(stated) > 3.0 * stated_sigma))
        alike = [bool(read.alike(int(f))) for f in np.flatnonzero(frames)]
        self.off[-1] = np.stack([self.off[-1], self.off[-1] & ~np.array(alike) & (not read.doubts)])
        self.flagged.append(bool(read.doubts))
        empty = float(truth.empty[frames].mean())
        if truth.share[1].any():
            self.empty.append((read.empty.value - empty, abs(read.empty.value - empty) < 1.96 * read.empty.sigma))
        last = int(np.flatnonzero(frames)[-1])
        both = np.array([0.0, 1.0, 1.0])
        error_of_both = float(np.sqrt(max(both @ read.covariance[last] @ both, 0.0)))
        self.end[seed] = (float(both @ read.share[:, last]), error_of_both, float(both @ truth.share[:, last]))

    def row(self) -> str:
        """Return what all shares of all series come to, in one line of the table."""
        if not self.error:
            return f"{0:4d}"
        error, oracle, inside, inside_95 = (
            np.concatenate(x, axis=1) for x in (self.error, self.oracle, self.inside, self.inside_95)
        )
        off, silent = np.concatenate(self.off, axis=2)
        rms, best = (float(np.sqrt(np.mean(x**2))) for x in (error, oracle))
        held = f"{np.nanmean(inside):6.2f}{inside_95.mean():6.3f}"
        bias = "".join(f"{x:+7.3f}" for x in error.mean(axis=1)[:2])
        return (
            f"{len(self.error):4d}{best:7.4f}{rms:7.4f}{rms / best:6.2f}{held}"
            f"{bias}{off.sum():5d}{silent.sum():4d}{np.mean(self.flagged):6.2f}"
        )

    def _onsets(self, truth: sim.Simulated, read: StackSeries) -> None:
        for k, name in enumerate(sim.NAMES[1:], start=1):
            found = [e for e in read.events if e.phase == name and e.kind == "onset"]
            if not truth.share[k].any():
                self.false += bool(found) or bool(read.present[k].any())
                continue
            at = truth.onset_V[name]
            if len(found) != 1 or found[0].voltage_V is None:
                self.onset.append((np.nan, False))
                continue
            v = found[0].voltage_V
            low, high = v.low_95, v.high_95
            self.onset.append((1e3 * (v.value - at), (low is None or low <= at) and (high is None or at <= high)))

    def report(self, title: str) -> None:
        """Print."""
        print(f"{title}: {len(self.error)} series", f"{self.failed} not read" if self.failed else "")
        if not self.error:
            return
        stacked = [np.concatenate(x, axis=1) for x in (self.error, self.oracle, self.inside, self.inside_95)]
        off, silent = np.concatenate(self.off, axis=2)
        for k in (*range(3), slice(None)):
            error, oracle, inside, inside_95 = (x[k] for x in stacked)
            print(
                f"  {'all' if isinstance(k, slice) else LABELS[k]:5s} 68 {np.nanmean(inside):.2f}  "
                f"95 {inside_95.mean():.2f}  rms {np.sqrt(np.mean(error**2)):.4f} "
                f"oracle {np.sqrt(np.mean(oracle**2)):.4f}  bias {error.mean():+.4f}  "
                f"off {int(off[k].sum())} ({int(silent[k].sum())})"
            )
        print(f"  flagged {np.mean(self.flagged):.2f}", end="  ")
        if self.empty:
            empty, held = (np.array(column, float) for column in zip(*self.empty, strict=True))
            print(f"empty {empty.mean():+.4f} most {np.abs(empty).max():.4f} held {held.mean():.2f}", end="  ")
        print(f"{1e3 * np.mean(self.seconds):.0f} ms a frame")
        if self.onset:
            onset, held = (np.array(column, float) for column in zip(*self.onset, strict=True))
            within = np.mean(np.abs(onset) <= 5)
            print(f"  onset {np.nanmedian(onset):+.1f} mV, within 5 mV {within:.2f}, held {held.mean():.2f}", end="  ")
        print(f"false {self.false}", flush=True)
        if self.lines:
            rms, held_lines, off_lines = np.mean(self.lines, axis=0)
            print(f"  by lines: 95 {held_lines:.2f}  rms {rms:.4f}  off {off_lines:.1f} a series")


def _by_lines(lines: LineSeries, truth: sim.Simulated, frames: sim.BoolArray) -> tuple[float, float, int]:
    """Return RMS, share of 95 % intervals that hold, and values far off, of weight fractions by lines of their own."""
    rows = [lines.names.index(n) if n in lines.names else None for n in sim.NAMES]
    none = np.zeros(truth.share.shape[1])
    value = np.stack([none if k is None else np.nan_to_num(lines.weight_fraction[k]) for k in rows])
    variance = [none if k is None else lines.weight_fraction_covariance[:, k, k] for k in rows]
    sigma = np.sqrt(np.maximum(np.stack(variance), 0.0))[:, frames]
    error = (value - truth.share)[:, frames]
    there = sigma > 0
    far = (np.abs(error) > 0.05) & (np.abs(error) > 3 * sigma)
    held = float(np.mean((np.abs(error) < 1.96 * sigma)[there]))
    return float(np.sqrt(np.mean(error**2))), held, int(far[there].sum())


def compare(first: Tally, second: Tally) -> None:
    """Print how the difference between two samples is met."""
    pairs = [(first.end[seed], second.end[seed]) for seed in sorted(first.end.keys() & second.end.keys())]
    if not pairs:
        return
    pulls = [((p[0] - b[0]) - (p[2] - b[2])) / max(np.hypot(p[1], b[1]), 1e-9) for p, b in pairs]
    right = np.mean([(p[0] > b[0]) == (p[2] > b[2]) for p, b in pairs])
    means = []
    for seed in sorted(first.course.keys() & second.course.keys()):
        both = zip(first.course[seed], second.course[seed], strict=True)
        found, truth = (compare_courses(p, b, np.zeros((0, 0))) for p, b in both)
        means.append((found.mean - truth.mean) / np.hypot(found.mean_sigma, found.mean_model_sigma))
    told = [f"{np.mean(x):+.2f}" + (f" SD {np.std(x, ddof=1):.2f}" if len(x) > 1 else "") for x in (pulls, means)]
    print(f"  P - B: sign right {right:.2f}, pull {told[0]}; of the mean {told[1]}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--cells", nargs="+", default=list(CELLS), choices=CELLS)
    parser.add_argument("--samples", nargs="+", default=["P", "B"], choices=["P", "B"])
    parser.add_argument("--counts", type=float, nargs="+", default=[300.0, 2500.0, 10000.0])
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--lines", action="store_true", help="also by lines of their own")
    options = parser.parse_args()
    begun, every, rows = time.process_time(), [], []
    for cell in options.cells:
        simulate = xrd_spread.simulate if cell in xrd_spread.CELLS else sim.simulate
        for counts in options.counts:
            tallies = {sample: Tally() for sample in options.samples}
            for sample, tally in tallies.items():  # one after the other: their crystallites are drawn once
                for seed in range(options.first, options.first + options.seeds):
                    truth = simulate(cell, sample, counts, seed, frames=options.frames)
                    tally.add(sample, seed, truth, by_lines=options.lines)
                    done = f"{len(tally.seconds)} of {options.seeds}, {time.process_time() - begun:.0f} CPU-s"
                    print(f"\r{cell} {sample} {counts:.0f}: {done}   ", end="", file=sys.stderr, flush=True)
                print(file=sys.stderr)
                tally.report(f"{cell} {sample} {counts:.0f}")
                rows.append(f"{cell:9s}{sample} {counts:6.0f}{tally.row()}")
            every += tallies.values()
            if len(tallies) == 2:
                compare(*tallies.values())
    held = [x.ravel() for tally in every for x in tally.inside_95]
    number = sum(len(tally.error) for tally in every)
    print(f"\n{'series':11s}counts   N  knows    rms ratio    68    95   bias O,   IG  off not  flag")
    print("\n".join(rows))
    if held:
        print(f"all: 95 % intervals hold {np.concatenate(held).mean():.3f} in {number} series", end=", ")
        print(f"{(time.process_time() - begun) / number:.1f} CPU-s each")


if __name__ == "__main__":
    main()
