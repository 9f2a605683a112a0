"""Runs in an interpreter of its own that has xraylarch; knows nothing of layerscope.

Importing larch mutes all warnings and resets the root logger: here that harms nobody. Jobs come as JSON on stdin, a
list; answers go as JSON to stdout, one a job, with the error of a job in its place. All ranges are given: what larch
takes for itself on short scans of soft edges is off by factors (mback 7 to 84, pre_edge 2 or 3), without a word.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from typing import Any


def step(job: dict[str, Any]) -> dict[str, float]:
    """Return the edge steps of `preedge` and `mback` over the ranges of a job, relative to its e0."""
    import numpy as np
    from larch import Group
    from larch.xafs.mback import mback
    from larch.xafs.pre_edge import preedge

    energy, mu = np.array(job["energy"]), np.array(job["mu"])
    ranges = {key: float(job[key]) for key in ("pre1", "pre2", "norm1", "norm2")}
    found = {"pre_edge": preedge(energy, mu, e0=job["e0"], nnorm=1, nvict=0, npre=1, **ranges)["edge_step"]}
    if job["z"]:
        group = Group(energy=energy, mu=mu)
        mback(energy, mu, group=group, z=job["z"], edge=job["edge"], e0=job["e0"], order=1, **ranges)
        found["mback"] = group.edge_step
    return {key: float(value) for key, value in found.items()}


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """Return what one job gives, or the error that it met."""
    try:
        return step(job)
    except Exception as error:  # noqa: BLE001 - whatever larch meets belongs to its job alone
        return {"error": f"{type(error).__name__}: {error}"}


def main() -> None:
    """Answer all jobs; what larch prints is kept out of the answer."""
    jobs = json.load(sys.stdin)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        from larch.version import __version__

        answers = [answer(job) for job in jobs]
    json.dump({"version": __version__, "answers": answers}, sys.stdout)


if __name__ == "__main__":
    main()
