"""How well the stated probabilities of phases hold, on kinematic images of `hrtem_kinematic`.

    python benchmarks/hrtem_calibration.py [N] [tem|stem|both] [seed]

Each image goes through the search for spots and the indexing as a user's would (scale prior 3 %, the library below).
An answer is a phase, "foreign" (another lattice) or "amorphous" (no lattice); zones of a phase are summed; sets are
the stated ones, which hold what strengths of spots alone would exclude. Windows that show no spot at all are
abstentions and counted apart. The expected calibration error (ECE) has ten equal bins;
"chance" is what a perfect classifier of the same statements would score on as many trials (median and 95 %). A table
comes every 250 images; times are CPU seconds.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from hrtem_kinematic import draw
from layerscope.microscopy.image import Image, Scale
from layerscope.microscopy.indexing import NO_LATTICE, OTHER_LATTICE, index_spots, library_of
from layerscope.microscopy.spots import find_spots

from layerscope.crystals import load_phase

PHASES = {"LiCoO2_O3": "LiCoO2"} | {n: n for n in ("Co3O4", "LiCo2O4", "CoO", "LiF", "Li2MnO3", "Li2O", "Li2CO3")}
ANSWERS = (*PHASES.values(), "foreign", "amorphous")
NONE = {NO_LATTICE: "amorphous", OTHER_LATTICE: "foreign"}
STRATA = (("1-2", 1, 2), ("3-5", 3, 5), ("6-9", 6, 9), (">=10", 10, 999))


def one(rng, law, library):
    """Truth, spots, probabilities of the answers, whether no lattice is ruled out, the stated set, and the flags."""
    trial = draw(rng, law)
    spots = find_spots(Image(trial.image, (trial.pixel_nm, trial.pixel_nm)), false_alarm=0.01)
    ranking = index_spots(spots, library, Scale())
    told = {NONE.get(name, name): p for name, p in ranking.by_phase().items()}
    crystal = not any(c.phase == NO_LATTICE for c in ranking.ambiguity_set)
    stated = {NONE.get(c.phase, c.phase) for c in ranking.ambiguity_set}
    return trial.truth, int((~spots.on_streak).sum()), told, crystal, stated, " ".join(ranking.flags)


def ece(stated, right, bins=10):
    """Return the expected calibration error."""
    stated, right = np.asarray(stated, float), np.asarray(right, float)
    place = np.minimum((stated * bins).astype(int), bins - 1)
    total = np.bincount(place, stated - right, bins)
    return float(np.abs(total).sum() / len(stated))


def chance(stated, rng, draws=300):
    """Median and 95 % of the ECE if every statement were true."""
    scores = [ece(stated, rng.random(len(stated)) < stated) for _ in range(draws)]
    return np.percentile(scores, [50, 95])


def line(name, rows, rng):
    """Print one stratum."""
    if not rows:
        return
    first = [(max(told.values()), max(told, key=told.get) == truth) for truth, _, told, *_ in rows]
    every = [(told.get(a, 0.0), a == truth) for truth, _, told, *_ in rows for a in ANSWERS]
    sets = [row[4] for row in rows]
    covers = np.mean([truth in chosen for (truth, *_), chosen in zip(rows, sets, strict=True)])
    stated = np.array([p for p, _ in first])
    low, high = chance(stated, rng)
    print(
        f"{name:>5} {len(rows):5d}  {np.mean([r for _, r in first]):.3f}  {stated.mean():.3f}   "
        f"{ece(*zip(*first, strict=True)):.3f} ({low:.3f}, {high:.3f})  {ece(*zip(*every, strict=True)):.3f}   "
        f"{covers:.3f}  {np.mean([len(s) for s in sets]):.2f}"
    )


def table(law, rows, seconds):
    """Print the table of one generator."""
    rng = np.random.default_rng(1)
    print(f"\ngenerator {law}: {len(rows)} images, {seconds / len(rows):.2f} s each")
    print("spots     n  right stated   ECE first (chance)   ECE all   set: covers, size")
    seen = [row for row in rows if row[1]]
    line("all", seen, rng)
    for name, low, high in STRATA:
        line(name, [row for row in seen if low <= row[1] <= high], rng)
    for flag in ("STRENGTHS_DECIDE", "STRENGTHS_NARROW"):
        own = [max(row[2], key=row[2].get) == row[0] for row in seen if flag in row[5]]
        print(f"{flag}: {len(own)} of {len(seen)}, {sum(own)} of these with the right answer first")
    glass = [row for row in rows if row[0] == "amorphous"]
    print(
        f"abstained (no spot): {sum(not row[1] for row in rows if row[0] != 'amorphous')} crystals; "
        f"amorphous: {len(glass)}, with spots {sum(row[1] > 0 for row in glass)},"
        f" called crystalline {sum(row[3] for row in glass)}",
        flush=True,
    )


def main():
    """Run both generators."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    which = sys.argv[2] if len(sys.argv) > 2 else "both"
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 2026
    library = library_of([load_phase(file, name=name) for file, name in PHASES.items()])
    for law in ("tem", "stem") if which == "both" else (which,):
        start, rows = time.process_time(), []
        for i in range(count):
            rows.append(one(np.random.default_rng([seed, i]), law, library))
            if len(rows) % 250 == 0 or len(rows) == count:
                table(law, rows, time.process_time() - start)


if __name__ == "__main__":
    main()
