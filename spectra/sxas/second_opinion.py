"""xraylarch as a second opinion on the edge step, in a process of its own, with every range given to it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from layerscope.errors import FitError, MissingDependencyError
from layerscope.reference import read_tables

from .align import Curve
from .edges import Edge
from .normalise import Definition, Normalised, nearest_points, normalise

__all__ = ["BEYOND", "Opinion", "second_opinions"]

WORKER = Path(__file__).with_name("larch_worker.py")
TIME_LIMIT_S = 300.0
BEYOND = 3.0
"""Difference in standard errors from which on the two disagree."""


@dataclass(frozen=True)
class Opinion:
    """The edge step here and by another program, over the same ranges.

    Attributes
    ----------
    version : str
        Of xraylarch.
    ours : Normalised
        Step by two straight lines.
    theirs : dict of str to float
        By the name of the function: ``pre_edge``, ``mback``.
    """

    version: str
    ours: Normalised
    theirs: dict[str, float]

    def in_sigma(self, name: str) -> float:
        """Return how far theirs is from ours, in standard errors of ours."""
        return (self.theirs[name] - self.ours.value) / self.ours.sigma


def second_opinions(curves: Sequence[Curve], edge: Edge, definition: Definition) -> list[Opinion | Exception]:
    """Ask xraylarch for the edge steps of some spectra.

    Parameters
    ----------
    curves : sequence of Curve
        Points that are not used left out.
    edge : Edge
    definition : Definition
        Its ranges are those of both; whatever it is of, a step is compared.

    Returns
    -------
    list of Opinion or Exception
        A spectrum each; the error where the ranges do not fit, or larch met one.

    Raises
    ------
    MissingDependencyError
        If xraylarch is not installed.
    FitError
        If its process does not answer.
    """
    how = Definition("step", definition.pre_eV, definition.post_eV, definition.area_eV, definition.at_eV)
    found: list[Opinion | Exception] = []
    jobs, places = [], []
    for place, curve in enumerate(curves):
        try:
            ours = normalise(curve, how)
        except Exception as error:  # noqa: BLE001 - kept in its place, as an answer
            found.append(error)
            continue
        found.append(Opinion("", ours, {}))
        jobs.append(_job(curve, edge, how))
        places.append(place)
    if jobs:
        answers = _ask(jobs)
        for place, answer in zip(places, answers["answers"], strict=True):
            one = found[place]
            if "error" in answer:
                found[place] = FitError(f"xraylarch: {answer['error']}")
            elif isinstance(one, Opinion):
                found[place] = Opinion(answers["version"], one.ours, answer)
    return found


def _job(curve: Curve, edge: Edge, how: Definition) -> dict[str, Any]:
    """Return a job whose ranges take the points that are taken here; larch leaves out the last point of a range."""
    numbers = list(read_tables("elements")["masses"]["values"])
    energy, e0 = curve[0], how.at_eV
    ranges: dict[str, float] = {}
    for name, limits in (("pre", how.pre_eV), ("norm", how.post_eV)):
        chosen = np.flatnonzero(nearest_points(energy, limits))
        ends = float(energy[chosen[0]]), float(energy[min(chosen[-1] + 1, energy.size - 1)])
        ranges |= {f"{name}{k}": end - e0 for k, end in enumerate(ends, start=1)}
    return {
        "energy": energy.tolist(),
        "mu": np.asarray(curve[1]).tolist(),
        "e0": e0,
        **ranges,
        "z": numbers.index(edge.element) + 1 if edge.shell == "K" else 0,
        "edge": edge.shell,
    }


def _ask(jobs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter and a file of this package
            [sys.executable, "-I", str(WORKER)],
            input=json.dumps(jobs),
            capture_output=True,
            text=True,
            timeout=TIME_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise FitError(f"xraylarch did not answer within {TIME_LIMIT_S:g} s") from error
    if "No module named 'larch'" in done.stderr:
        raise MissingDependencyError("xraylarch is not installed", hint="pip install 'layerscope[xas]'")
    try:
        answers = json.loads(done.stdout)
    except (ValueError, RecursionError):
        answers = None
    if not isinstance(answers, dict):
        last = done.stderr.strip().splitlines()[-1:] or ["nothing"]
        raise FitError(f"xraylarch's process ended with: {last[0][:200]}")
    return answers
