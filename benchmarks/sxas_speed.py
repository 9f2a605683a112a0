"""CPU time of the whole-edge fit of O K scans beside xraylarch's pre-edge and pre-peak fits, and its growth with scans.

``python benchmarks/sxas_speed.py [TURNS]``: in turns (5), medians. A pair of 286-point scans drawn by `sxas_pairs.py`:
one joint fit, and the whole ensemble with the choice of bands; `larch.xafs.pre_edge`, `pre_edge_baseline` and
`prepeaks_fit` of three Gaussians on each of the two, as its users do. Then one joint fit of 10, 100 and 1 000 scans.
Needs ``pip install layerscope[xas]`` for the comparison.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Callable

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from layerscope.spectra.sxas.ensemble import QUICK, default_members, fit_members
from layerscope.spectra.sxas.features import fit_edge
from layerscope.spectra.sxas.model import EdgeData, find_bands
from sxas_pairs import AREA, BLOCKS, ENERGY, MONO, NOISE, data_of, drawn_pair

BANDS = find_bands("O K")


def spent(work: Callable[[], object]) -> float:
    """Return CPU seconds."""
    began = time.process_time()
    work()
    return time.process_time() - began


def larch_scan(session: object, energy: np.ndarray, mu: np.ndarray) -> None:
    """Fit one scan as the documentation of xraylarch does."""
    from larch import Group
    from larch.xafs import pre_edge, pre_edge_baseline, prepeaks_fit, prepeaks_setup
    from lmfit.models import GaussianModel

    group = Group(energy=energy, mu=mu)
    where = {"elo": 529.0, "ehi": 535.5, "emin": 520.0, "emax": 545.0}
    pre_edge(group, _larch=session, e0=537.0, pre1=-22.0, pre2=-12.0, norm1=10.0, norm2=35.0, nnorm=1)
    pre_edge_baseline(group, _larch=session, **where)
    prepeaks_setup(group, _larch=session, **where)
    model = None
    for k, center in enumerate((530.5, 532.3, 533.9)):
        peak = GaussianModel(prefix=f"p{k}_")
        peak.set_param_hint("center", value=center, min=center - 0.8, max=center + 0.8)
        peak.set_param_hint("sigma", value=0.55, min=0.2, max=1.2)
        peak.set_param_hint("amplitude", value=0.5, min=0.0)
        model = peak if model is None else model + peak
    prepeaks_fit(group, peakmodel=model, params=model.make_params(), _larch=session)


def many(number: int) -> EdgeData:
    """Return a series of scans of two kinds."""
    curves = []
    for seed in range((number + 1) // 2):
        scans, found, _ = drawn_pair(seed % 5, BLOCKS["pairs"])
        rng = np.random.default_rng(seed)
        for y, off in zip(scans, found, strict=True):
            curves.append((ENERGY - off, y * (1.0 + NOISE * rng.normal(size=y.size)), 2.0 * (NOISE * y) ** 2, None))
    return EdgeData.of(curves[:number], BANDS, [MONO] * number)


def main() -> None:
    """Print times and ratios."""
    turns = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    members = default_members(BANDS)
    try:
        with warnings.catch_warnings():
            from larch import Interpreter

            session = Interpreter()
    except ImportError:
        session = None
        print("xraylarch is not there: no comparison")
    ours, whole, larch = [], [], []
    for turn in range(turns):
        scans, found, _ = drawn_pair(turn, BLOCKS["pairs"])
        data = data_of(scans, found)
        ours.append(spent(lambda data=data: fit_members(data, BANDS, members[:1], AREA, None, QUICK)) / 2)
        whole.append(spent(lambda data=data: fit_edge(data, BANDS, AREA)) / 2)
        if session is not None:
            larch.append(spent(lambda scans=scans: [larch_scan(session, ENERGY, y) for y in scans]) / 2)
    one, all_of_them = float(np.median(ours)), float(np.median(whole))
    print(f"CPU-ms a scan of {ENERGY.size} points, medians of {turns} turns")
    print(f"  one joint fit of the whole edge         {1e3 * one:8.1f}")
    print(f"  {len(members)} members and the choice of bands     {1e3 * all_of_them:8.1f}")
    if larch:
        other = float(np.median(larch))
        print(f"  xraylarch                               {1e3 * other:8.1f}")
        print(f"  one fit: 1/{other / one:.1f} of xraylarch (wanted 1/10); all members: {all_of_them / other:.2f} (1)")
    print("one joint fit of many scans")
    for number in (10, 100, 1000):
        data = many(number)
        cpu = spent(lambda data=data: fit_members(data, BANDS, members[:1], AREA, None, QUICK))
        print(f"  {number:5d} scans {cpu:8.2f} CPU-s, {1e3 * cpu / number:6.1f} ms a scan")


if __name__ == "__main__":
    main()
