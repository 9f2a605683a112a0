"""Set fits that CasaXPS stored beside the same fits drawn, and fitted again, by layerscope.

    python benchmarks/casaxps_parity.py FOLDER [--active]

FOLDER holds FeO_analyzed.vms, FeO_analyzed_lineshapes_cols.txt (curves that CasaXPS exported) and
cellulose_fitted_following_briggs.vms. Printed: drawn curves against the exported ones, point by point and by area;
areas of drawn curves against the stored numbers; every position, width and area of the refit beside the stored one,
with Poisson weights and with equal weights. The stored numbers lie at minima of the plain sum of squares, so that the
refit with equal weights is the test of the engine; Poisson weights say what the counts support. The sum of squares and
the Poisson deviance of both fits are printed as well: the smaller one is the better fit of the same model.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Literal

import numpy as np
from layerscope.spectra.xps.casaxps.refitted import CasaRefit, refit
from layerscope.spectra.xps.casaxps.stored_fit import redraw
from layerscope.spectra.xps.casaxps.weigh import StoredFit, weigh_stored
from layerscope.spectra.xps.dataset import Spectrum
from layerscope.spectra.xps.readers import read

CELLULOSE = "cellulose_fitted_following_briggs.vms"


def compare_with_export(spectrum: Spectrum, path: Path) -> bool:
    """Print drawn against exported curves; return whether SGL keeps 0.2 % of the height and all areas 1 %."""
    lines = path.read_text().splitlines()
    exported = np.array([line.split("\t")[:8] for line in lines if line[:1].isdigit()], dtype=float)[::-1, 1:]
    curves, problem = redraw(spectrum), weigh_stored(spectrum).problem
    good = True
    print("FeO: curves drawn from the stored numbers against those that CasaXPS exported")
    for i, component in enumerate(problem.components):
        ours, theirs = curves.components[i], exported[:, 1 + i] - exported[:, 5]
        worst = float(np.abs(ours - theirs).max() / theirs.max())
        area = abs(float(ours @ theirs / (ours @ ours)) - 1.0)
        print(
            f"  {problem.labels[i]:<10} {component.line_shape:<22} worst point {worst:.2%} of the height,"
            f" area {area:.2%}"
        )
        good &= area < 0.01 and (component.shape.kind != "SGL" or worst < 0.002)
    return good


def show_areas(name: str, stored: StoredFit) -> bool:
    """Print areas of drawn curves; return whether they keep 1.5 % on the measured range and 0.01 % with their tails."""
    good = True
    print(f"{name}: areas of drawn curves against the stored numbers")
    for i, (label, outside) in enumerate(zip(stored.problem.labels, stored.outside, strict=True)):
        whole = stored.areas[i][0] / stored.problem.components[i].parameters["area"].value - 1.0
        print(f"  {label:<12} whole {whole:+.4%}, on the measured range {(1 + whole) * (1 - outside) - 1:+.2%}")
        good &= abs(whole) < 1e-4 and (name == "FeO" or outside < 0.015)
    (area, sigma), drawn = stored.net_area, stored.net_area_drawn
    print(
        f"  counts above the stored background against all curves: {area / drawn - 1:+.2%}"
        f" ({(area - drawn) / sigma:+.1f} sigma)"
    )
    return good


def show_refit(name: str, result: CasaRefit, weights: str) -> bool:
    """Print the parity of a refit; return whether it converged."""
    inside = result.stored.curves.inside
    squares = float(np.sum((result.stored.curves.counts - result.stored.curves.envelope)[inside] ** 2))
    ours = float(np.sum((result.fit.y[0] - result.fit.expected[0]) ** 2))
    print(f"{name}: refit, {weights} weights, background {result.model.background}")
    problem = result.model.problem
    for (i, name), (value, sigma) in sorted(result.values.items(), key=lambda item: item[0][0]):
        stored = problem.components[i].parameters[name].value
        scale = problem.area_scale if name == "area" else 1.0
        shift = problem.shift_eV if name == "center" else 0.0
        print(
            f"  {problem.labels[i]:<12} {name:<7} CasaXPS {stored / scale + shift:<11.7g}"
            f" ours {value / scale + shift:<11.7g} sigma {sigma / scale:<8.2g}"
            f" difference {(value - stored) / scale:<+9.2g} {(value - stored) / sigma:+6.2f} sigma"
            f"  {result.states[i, name]}"
        )
    if weights == "poisson":
        print(
            f"  Poisson deviance: CasaXPS {result.stored.deviance:.1f}, ours {result.fit.misfit:.1f};"
            f" {result.stored.n_data} points"
        )
    print(f"  sum of squares: ours over CasaXPS' {ours / squares:.4f}")
    print(f"  converged: {result.fit.converged}; {', '.join(result.flags)}")
    return result.fit.converged


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--active", action="store_true", help="refit with an active background as well (FeO takes 10 s)"
    )
    arguments = parser.parse_args()
    cellulose = read(arguments.folder / CELLULOSE)
    feo = read(arguments.folder / "FeO_analyzed.vms").levels("Fe 2p")[0]
    good = compare_with_export(feo, arguments.folder / "FeO_analyzed_lineshapes_cols.txt")
    all_weights: tuple[Literal["equal", "poisson"], ...] = ("equal", "poisson")
    spectra = {"cellulose C 1s": cellulose.levels("C 1s")[0], "cellulose O 1s": cellulose.levels("O 1s")[0], "FeO": feo}
    for name, spectrum in spectra.items():
        good &= show_areas(name, weigh_stored(spectrum))
        for weights in all_weights:
            result = refit(spectrum, weights=weights)
            good &= show_refit(name, result, weights)
            if weights == "equal":
                components = result.model.problem.components
                good &= all(
                    not abs(value - components[i].parameters[name].value) > 1.5 * sigma
                    for (i, name), (value, sigma) in result.values.items()
                )
        if arguments.active:
            good &= show_refit(name, refit(spectrum, background="active"), "poisson")
    print("all wanted figures reached" if good else "a wanted figure was missed")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
