"""How fast is the (003) series? The whole analysis against lmfit frame by frame, in one run; and how cost grows.

    python benchmarks/xrd_003_speed.py [--frames 1000] [--reference 12]

CPU time of this process, linear algebra on one thread. The analysis is everything that `analyse_series` does: shape,
search, names, sets of phases read three ways, onsets, joint fit with its covariance. lmfit is spared all that: it gets
the phases that are truly there, starts beside the truth, and fits

users       as users write it: `PseudoVoigtModel` twice for each line, K-alpha-2 tied by expressions, `PolynomialModel`;
            every line its own width and mixing                                                    wanted: >= 100x
same        the very model of the analysis, written as one function on the shapes of this package (axial divergence and
            doublet), width, mixing and axial divergence free in each frame

For each the sum of chi2 over the same frames with the same weights (those of the joint fit) is set beside ours. Widths,
mixing and axial divergence are shared here and free there, so that chi2 compares per degree of freedom.
"""

from __future__ import annotations

import argparse
import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import time  # noqa: E402

import lmfit  # noqa: E402
import numpy as np  # noqa: E402
import xrd_003_simulation as sim  # noqa: E402
from layerscope.diffraction.peaks.components import hardware_lines  # noqa: E402
from layerscope.diffraction.peaks.lines import DiffractionLine  # noqa: E402
from layerscope.diffraction.peaks.series import LineSeries, SeriesOptions, analyse_series  # noqa: E402
from layerscope.diffraction.radiation import tube_radiation  # noqa: E402
from lmfit.models import PolynomialModel, PseudoVoigtModel  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

FloatArray = NDArray[np.float64]
CU = tube_radiation("Cu")
LINE = DiffractionLine(CU)
OPTIONS = SeriesOptions(hardware=tuple(h for h in hardware_lines() if h.id == "PTFE_100"))


def series(frames: int) -> tuple[sim.Simulated, LineSeries, float]:
    """Simulate and analyse a series; CPU seconds of the analysis."""
    truth = sim.simulate("P", 3000.0, frames)
    counts = truth.counts(1)
    start = time.process_time()
    result = analyse_series(
        truth.two_theta, counts, CU, time_s=truth.time_h * 3600, voltage_V=truth.voltage_V, options=OPTIONS
    )
    return truth, result, time.process_time() - start


def by_users(truth: sim.Simulated, f: int, y: FloatArray, weight: FloatArray, cell: FloatArray) -> tuple[float, int]:
    """Fit a frame with lmfit's own models; chi2 and number of free parameters."""
    model = PolynomialModel(2, prefix="b_")
    lines = [k for k in range(3) if truth.area[k, f] > 0]
    for k in lines:
        model = model + PseudoVoigtModel(prefix=f"l{k}_") + PseudoVoigtModel(prefix=f"m{k}_")
    p = model.make_params()
    for k in lines:
        place = truth.position[k, f]
        p[f"l{k}_center"].set(value=place + 0.01, min=place - 0.2, max=place + 0.2)
        p[f"l{k}_amplitude"].set(value=0.6 * truth.area[k, f], min=0)
        p[f"l{k}_sigma"].set(value=0.06, min=0.015, max=0.3)
        p[f"l{k}_fraction"].set(value=0.5, min=0, max=1)
        p[f"m{k}_center"].set(expr=f"360/pi*asin({sim.ALPHA2 / sim.ALPHA1:.10f}*sin(l{k}_center*pi/360))")
        p[f"m{k}_amplitude"].set(expr=f"{sim.RATIO}*l{k}_amplitude")
        p[f"m{k}_sigma"].set(expr=f"l{k}_sigma")
        p[f"m{k}_fraction"].set(expr=f"l{k}_fraction")
    p["b_c0"].set(value=float(y.min()))
    p["b_c1"].set(value=0.0)
    p["b_c2"].set(value=0.0)
    out = model.fit(y - cell, p, x=truth.two_theta, weights=weight, method="leastsq")
    return float(out.chisqr), out.nvarys


def by_same(truth: sim.Simulated, f: int, y: FloatArray, weight: FloatArray, cell: FloatArray) -> tuple[float, int]:
    """Fit a frame with the model of the analysis as one function; chi2 and number of free parameters."""
    x = truth.two_theta
    t = (2 * x - x[0] - x[-1]) / (x[-1] - x[0])
    lines = [k for k in range(3) if truth.area[k, f] > 0]
    p = lmfit.Parameters()
    for k in lines:
        place = truth.position[k, f]
        p.add(f"c{k}", place + 0.01, min=place - 0.2, max=place + 0.2)
        p.add(f"a{k}", truth.area[k, f])
        p.add(f"w{k}", 0.12, min=0.03, max=0.6)
    p.add("mixing", 0.5, min=0, max=1)
    p.add("axial", 0.012, min=1e-3, max=0.04)
    for i, start in enumerate((float(y.min()), 0.0, 0.0)):
        p.add(f"b{i}", start)

    def residual(p: lmfit.Parameters) -> FloatArray:
        v = p.valuesdict()
        q = np.array([[v[f"c{k}"], v[f"w{k}"], v["mixing"], v["axial"]] for k in lines])
        peaks = np.array([v[f"a{k}"] for k in lines]) @ LINE.evaluate(x, q, derivatives=False).value
        return (y - cell - peaks - v["b0"] - v["b1"] * t - v["b2"] * t * t) * weight

    out = lmfit.minimize(residual, p, method="leastsq")
    return float(out.chisqr), out.nvarys


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--reference", type=int, default=12, help="frames that lmfit fits")
    options = parser.parse_args()
    series(60)  # imports and caches
    per_frame = []
    for frames in (options.frames // 4, options.frames // 2, options.frames):
        truth, result, seconds = series(frames)
        per_frame.append(1e3 * seconds / frames)
        right = (result.present == (truth.area > 0)).mean() if result.names == sim.NAMES else np.nan
        print(
            f"   {frames:5d} frames of {truth.two_theta.size} points: {seconds:6.2f} s, {per_frame[-1]:.2f} ms a frame,"
            f" reduced chi2 {result.joint.fit.redchi:.4f}, sets of phases right in {100 * right:.2f} %"
        )
    fit = result.joint.fit
    chosen = np.linspace(0, options.frames - 1, options.reference).round().astype(int)
    cell_curve = fit.component_curves()[0]["PTFE_100"]
    own_chi2, own_free = fit.pattern_chi2[chosen].sum(), int(sum(2 * result.present[:, f].sum() + 4 for f in chosen))
    points = chosen.size * truth.two_theta.size
    print(f"   the {chosen.size} frames that lmfit fits too: chi2 {own_chi2:.1f}, {own_free} free of their own,"
          f" reduced {own_chi2 / (points - own_free):.4f}")  # fmt: skip
    ratios = {}
    for name, work in (("users", by_users), ("same", by_same)):
        start, chi2, free = time.process_time(), 0.0, 0
        for f in chosen:
            one, n = work(truth, int(f), fit.y[f], fit.root_weight[f], cell_curve[f])
            chi2, free = chi2 + one, free + n
        each = 1e3 * (time.process_time() - start) / chosen.size
        ratios[name] = each / per_frame[-1]
        print(f"   lmfit, {name:5s}: {each:7.1f} ms a frame, {ratios[name]:6.1f} x; chi2 {chi2:.1f}, {free} free,"
              f" reduced {chi2 / (points - free):.4f}")  # fmt: skip
    growth = per_frame[-1] / per_frame[0]
    print(f"lmfit {ratios['users']:.0f}x (wanted 100); cost a frame grows by {growth:.2f} for four times the frames")
    return 0 if ratios["users"] >= 100 and growth < 1.2 else 1


if __name__ == "__main__":
    raise SystemExit(main())
