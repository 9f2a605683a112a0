"""How fast is the (003) series? The whole analysis against lmfit frame by frame, in one run; and how cost grows.

    python benchmarks/xrd_003_speed.py [--frames 1000] [--reference 12] [--repeats 5]

CPU time of this process, linear algebra on one thread; the analysis and lmfit take turns, and medians over the repeats
are compared, so that a machine busy with other things slows both. The analysis is everything that `analyse_series`
does: shape, search, names, sets of phases read three ways, onsets, joint fit with its covariance. lmfit (leastsq, as it
comes) is spared all that: it gets the phases that are truly there and starts beside the truth, in frames spread evenly
over the series. Its three models:

users       as users write it: `PseudoVoigtModel` twice for each line, K-alpha-2 tied by expressions, `PolynomialModel`;
            every line its own width and mixing
free        the very model of the analysis as one compiled function (axial divergence and doublet, the shapes of this
            package): width of every line, mixing and axial divergence free in each frame
held        the same with widths, mixing and axial divergence held at the values of the analysis, and its phases and
            priors; positions, areas and background free. The same minimum: chi2 must be equal

For each the sum of chi2 over the same frames with the same weights (those of the joint fit) is set beside ours. Widths,
mixing and axial divergence are shared here and free there: against `users` and `free` chi2 compares per degree of
freedom, against `held` as it is.

Printed besides: the cost of the joint fit alone, which is given what lmfit is given (phases, start values), and the
cost of a frame in series of a quarter, half and twice the frames.
"""

from __future__ import annotations

import argparse
import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from typing import Any  # noqa: E402

import lmfit  # noqa: E402
import numpy as np  # noqa: E402
import xrd_003_simulation as sim  # noqa: E402
from layerscope.diffraction.peaks import stages  # noqa: E402
from layerscope.diffraction.peaks.components import hardware_lines  # noqa: E402
from layerscope.diffraction.peaks.lines import DiffractionLine  # noqa: E402
from layerscope.diffraction.peaks.series import LineSeries, SeriesOptions, analyse_series  # noqa: E402
from layerscope.diffraction.radiation import tube_radiation  # noqa: E402
from lmfit.models import PolynomialModel, PseudoVoigtModel  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

FloatArray = NDArray[np.float64]
CU = tube_radiation("Cu")
OPTIONS = SeriesOptions(hardware=tuple(h for h in hardware_lines() if h.id == "PTFE_100"))
WANTED = 100.0


def series(frames: int) -> tuple[sim.Simulated, LineSeries, float]:
    """Simulate and analyse a series; CPU seconds of the analysis."""
    truth = sim.simulate("P", 3000.0, frames)
    counts = truth.counts(1)
    start = time.process_time()
    result = analyse_series(
        truth.two_theta, counts, CU, time_s=truth.time_h * 3600, voltage_V=truth.voltage_V, options=OPTIONS
    )
    return truth, result, time.process_time() - start


class Clock:
    """CPU time of the last joint fit of the analyses that run inside it."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> Clock:
        self._plain = plain = stages.fit_final

        def timed(*args: Any) -> Any:
            start = time.process_time()
            result = plain(*args)
            self.seconds = time.process_time() - start
            return result

        stages.fit_final = timed
        return self

    def __exit__(self, *_: object) -> None:
        stages.fit_final = self._plain


class Frames:
    """The frames that lmfit fits, with the weights of the joint fit."""

    def __init__(self, truth: sim.Simulated, result: LineSeries, chosen: NDArray[np.intp]) -> None:
        fit = result.joint.fit
        self.truth, self.result, self.chosen = truth, result, chosen
        self.x = truth.two_theta
        self.t = (2 * self.x - self.x[0] - self.x[-1]) / (self.x[-1] - self.x[0])
        self.y, self.weight = fit.y, fit.root_weight
        # what the analysis found of the cell's line, without its area, which each frame has of its own
        self.cell = result.hardware[0]
        self.line = DiffractionLine(CU, nodes=result.joint.model.line.nodes)

    def users(self, f: int) -> tuple[float, int]:
        """Fit a frame with lmfit's own models; chi2 and number of free parameters."""
        model = PolynomialModel(2, prefix="b_") + PseudoVoigtModel(prefix="cell_")
        lines = [k for k in range(3) if self.truth.area[k, f] > 0]
        for k in lines:
            model = model + PseudoVoigtModel(prefix=f"l{k}_") + PseudoVoigtModel(prefix=f"m{k}_")
        p = model.make_params()
        p["cell_center"].set(value=self.cell.center, vary=False)
        p["cell_sigma"].set(value=self.cell.fwhm / 2, vary=False)
        p["cell_fraction"].set(value=self.result.mixing[0], vary=False)
        p["cell_amplitude"].set(value=self.cell.area)
        for k in lines:
            place = self.truth.position[k, f]
            p[f"l{k}_center"].set(value=place + 0.01, min=place - 0.2, max=place + 0.2)
            p[f"l{k}_amplitude"].set(value=0.6 * self.truth.area[k, f], min=0)
            p[f"l{k}_sigma"].set(value=0.06, min=0.015, max=0.3)
            p[f"l{k}_fraction"].set(value=0.5, min=0, max=1)
            p[f"m{k}_center"].set(expr=f"360/pi*asin({sim.ALPHA2 / sim.ALPHA1:.10f}*sin(l{k}_center*pi/360))")
            p[f"m{k}_amplitude"].set(expr=f"{sim.RATIO}*l{k}_amplitude")
            p[f"m{k}_sigma"].set(expr=f"l{k}_sigma")
            p[f"m{k}_fraction"].set(expr=f"l{k}_fraction")
        p["b_c0"].set(value=float(self.y[f].min()))
        p["b_c1"].set(value=0.0)
        p["b_c2"].set(value=0.0)
        out = model.fit(self.y[f], p, x=self.x, weights=self.weight[f], method="leastsq")
        return float(out.chisqr), out.nvarys

    def free(self, f: int) -> tuple[float, int]:
        """Fit a frame with the model of the analysis, its shape free in every frame."""
        lines = [k for k in range(3) if self.truth.area[k, f] > 0]
        p = lmfit.Parameters()
        for k in lines:
            place = self.truth.position[k, f]
            p.add(f"c{k}", place + 0.01, min=place - 0.2, max=place + 0.2)
            p.add(f"a{k}", self.truth.area[k, f])
            p.add(f"w{k}", 0.12, min=0.03, max=0.6)
        p.add("mixing", 0.5, min=0, max=1)
        p.add("axial", 0.012, min=1e-3, max=0.04)
        self._background(p, f)

        def curves(v: dict[str, float]) -> FloatArray:
            q = [[v[f"c{k}"], v[f"w{k}"], v["mixing"], v["axial"]] for k in lines]
            q.append([self.cell.center, self.cell.fwhm, v["mixing"], v["axial"]])
            return self.line.evaluate(self.x, np.array(q), derivatives=False).value

        return self._minimise(p, f, lines, curves)

    def held(self, f: int) -> tuple[float, int]:
        """Fit a frame with the model, the shape, the phases and the priors of the analysis."""
        joint = self.result.joint
        lines = [k for k in range(len(joint.names)) if joint.present[k, f]]
        p = lmfit.Parameters()
        for k in lines:
            place = self.truth.position[k, f]
            p.add(f"c{k}", place + 0.01, min=place - 0.2, max=place + 0.2)
            p.add(f"a{k}", self.truth.area[k, f] if self.truth.area[k, f] > 0 else 1.0)
        self._background(p, f)
        shape = joint.shape
        rest = [[shape.width(joint.names[k]), shape.mixing, shape.axial] for k in lines]
        cell = self.line.evaluate(
            self.x, [self.cell.center, self.cell.fwhm, shape.mixing, shape.axial], derivatives=False
        ).value

        def curves(v: dict[str, float]) -> FloatArray:
            q = np.array([[v[f"c{k}"], *rest[i]] for i, k in enumerate(lines)])
            return np.concatenate([self.line.evaluate(self.x, q, derivatives=False).value, cell])

        known = joint.fit.batch.setup.series.priors or {}
        priors = [
            (f"c{k}", float(value[f]), float(sigma[f]))
            for k in lines
            for value, sigma in [tuple(map(np.asarray, known[f"{joint.names[k]}_center"]))]
            if np.isfinite(sigma[f])
        ]
        return self._minimise(p, f, lines, curves, priors)

    def _background(self, p: lmfit.Parameters, f: int) -> None:
        p.add("cell", self.cell.area)
        for i, start in enumerate((float(self.y[f].min()), 0.0, 0.0)):
            p.add(f"b{i}", start)

    def _minimise(
        self,
        p: lmfit.Parameters,
        f: int,
        lines: list[int],
        curves: Callable[[dict[str, float]], FloatArray],
        priors: list[tuple[str, float, float]] | None = None,
    ) -> tuple[float, int]:
        y, weight, t = self.y[f], self.weight[f], self.t

        def residual(p: lmfit.Parameters) -> FloatArray:
            v = p.valuesdict()
            areas = np.array([*(v[f"a{k}"] for k in lines), v["cell"]])
            left = (y - areas @ curves(v) - v["b0"] - t * (v["b1"] + t * v["b2"])) * weight
            if not priors:
                return left
            return np.concatenate([left, [(v[name] - value) / sigma for name, value, sigma in priors]])

        out = lmfit.minimize(residual, p, method="leastsq")
        return float((out.residual[: y.size] ** 2).sum()), out.nvarys


def compare(frames: Frames, repeats: int, joint: Clock) -> tuple[dict[str, float], float, dict[str, tuple[float, int]]]:
    """Let the analysis and lmfit take turns; CPU seconds a frame of each, of the joint fit, and lmfit's chi2."""
    models = {"users": frames.users, "free": frames.free, "held": frames.held}
    seconds: dict[str, list[float]] = {"ours": [], "joint": [], **{n: [] for n in models}}
    sums: dict[str, tuple[float, int]] = {}
    total = frames.truth.time_h.size
    for _ in range(repeats):
        seconds["ours"].append(series(total)[2] / total)
        seconds["joint"].append(joint.seconds / total)
        for name, work in models.items():
            start = time.process_time()
            found = [work(int(f)) for f in frames.chosen]
            seconds[name].append((time.process_time() - start) / frames.chosen.size)
            sums[name] = (sum(c for c, _ in found), sum(n for _, n in found))
    middle = {n: float(np.median(v)) for n, v in seconds.items()}
    return middle, float(np.ptp(seconds["ours"]) / middle["ours"]), sums


def growth(frames: int) -> float:
    """Print the cost of a frame in shorter and longer series; that of the longest over that of the given length."""
    cost = {}
    for count in (frames // 4, frames // 2, frames, 2 * frames):
        runs = [series(count) for _ in range(3 if count < frames else 2)]
        cost[count] = 1e3 * float(np.median([r[2] for r in runs])) / count
        truth, result, _ = runs[0]
        right = (result.present == (truth.area > 0)).mean() if result.names == sim.NAMES else np.nan
        print(f"   {count:5d} frames of {truth.two_theta.size} points: {cost[count]:.2f} ms a frame, reduced chi2"
              f" {result.joint.fit.redchi:.4f}, sets of phases right in {100 * right:.2f} %")  # fmt: skip
    return cost[2 * frames] / cost[frames]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--reference", type=int, default=12, help="frames that lmfit fits")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with Clock() as joint:
        series(60)  # imports and caches
        grown = growth(options.frames)
        truth, result, _ = series(options.frames)
        chosen = np.linspace(0, options.frames - 1, options.reference).round().astype(np.intp)
        frames = Frames(truth, result, chosen)
        cost, spread, sums = compare(frames, options.repeats, joint)
    fit = result.joint.fit
    own = float((((fit.y - fit.expected) * fit.root_weight) ** 2)[chosen].sum())
    own_free = int(sum(2 * result.joint.present[:, f].sum() + 4 for f in chosen))
    points = chosen.size * truth.two_theta.size
    print(f"{options.repeats} turns, medians of CPU time; {chosen.size} frames spread over the series by lmfit")
    print(f"   analysis : {1e3 * cost['ours']:6.2f} ms a frame (spread {100 * spread:.0f} %), of it the joint fit"
          f" {1e3 * cost['joint']:.2f}; chi2 of these frames {own:.2f}, {own_free} free of their own,"
          f" reduced {own / (points - own_free):.4f}")  # fmt: skip
    for name, (chi2, free) in sums.items():
        print(f"   {name:5s}    : {1e3 * cost[name]:6.1f} ms a frame, {cost[name] / cost['ours']:6.1f} x the analysis,"
              f" {cost[name] / cost['joint']:6.1f} x its joint fit; chi2 {chi2:.2f}, {free} free,"
              f" reduced {chi2 / (points - free):.4f}")  # fmt: skip
    equal = abs(sums["held"][0] - own) <= 1e-4 * own
    lower = own / (points - own_free) <= sums["users"][0] / (points - sums["users"][1]) * 1.001
    print(f"lmfit as users write it: {cost['users'] / cost['ours']:.0f} x (wanted {WANTED:.0f})")
    print(f"chi2 equal to that of lmfit with the same model: {equal}")
    print(f"a frame of a series twice as long costs {grown:.2f} x (wanted <= 1.1)")
    return 0 if cost["users"] / cost["ours"] >= WANTED and equal and lower and grown <= 1.1 else 1


if __name__ == "__main__":
    raise SystemExit(main())
