"""An instrument that is still writing, watched: when each frame is there, and whether the end is that of a run.

``python benchmarks/live_series.py [N] [SECONDS]``: a process writes N (40) frames of a (003) line in small pieces, one
every SECONDS (1.5); every fifth under another name that is changed at its end, the third without its end for ever, the
eighth with words for counts, and one is replaced in the end. Prints how long after it was settled a frame was in the
record (median; of the last tenth), the time of an update against frames, and whether the records are those
of a run that was never watched.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from layerscope.runs.execute import execute
from layerscope.runs.watch import Watch

QUIET_S = 0.5
CUT, NO_NUMBERS = 2, 7
RECIPE = """layerscope = 1
pipeline = "xrd_peaks"
sample = "LCO"
components = "none"
[[series]]
files = ["f_*.uxd"]
frames = { start = 2026-01-01T10:00:00, period_s = 60.0 }
[[reflections]]
name = "(003)"
range_2theta = [18.0, 20.0]
axial = false
"""


def frame(number: int) -> str:
    """Return a frame in Bruker's UXD, which declares how many points it holds."""
    x = np.arange(17.0, 21.0, 0.02)
    mean = 200 + 4000 * np.exp(-(((x - 18.9 - 0.0005 * number) / 0.08) ** 2))
    counts = np.random.default_rng(number).poisson(mean)
    head = "_FILEVERSION=1\n_ANODE='Cu'\n_WL1=1.540593\n_WL2=1.544427\n_WLRATIO=0.5\n; Data for range 1\n"
    head += "_DRIVE='COUPLED'\n"
    head += f"_STEPTIME=1.0\n_STEPSIZE=0.02\n_STEPMODE='C'\n_STEPCOUNT={x.size}\n_START=17.0\n_2THETACOUNTS\n"
    return head + "".join(f"{a:.4f} {b}\n" for a, b in zip(x, counts, strict=True))


def instrument(folder: Path, frames: int, period_s: float) -> None:
    """Write frames in small pieces."""
    for number in range(frames):
        text, start = frame(number), time.monotonic()
        if number == NO_NUMBERS:
            text = text.replace("17.5", "seventeen ")
        path = folder / f"f_{number:03d}.uxd"
        shown = path.with_suffix(".tmp") if number % 5 == 4 else path
        with shown.open("w") as stream:
            for at in range(0, len(text) // (2 if number == CUT else 1), 900):
                stream.write(text[at : at + 900])
                stream.flush()
                time.sleep(0.01)
        shown.rename(path)
        time.sleep(max(period_s - (time.monotonic() - start), 0.0))
    (folder / "f_000.uxd").write_text(frame(9999))


def records(run: Path) -> dict[str, object]:
    """Return the records of a run without the times of writing."""
    found = {path.name: json.loads(path.read_text()) for path in (run / "records").glob("*.json")}
    return {name: {k: v for k, v in record.items() if k != "created"} for name, record in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("frames", nargs="?", type=int, default=40)
    parser.add_argument("period_s", nargs="?", type=float, default=1.5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as where:
        folder, recipe, run = Path(where) / "data", Path(where) / "recipe.toml", Path(where) / "run"
        folder.mkdir()
        recipe.write_text(RECIPE)
        delays, updates = [], []

        def told(line: str) -> None:
            now, count = time.time(), int(line.split()[0])
            fresh = [folder / one.name for one in watch.seen.files if one.state == "taken" and one.name not in known]
            known.update(path.name for path in fresh)
            delays.extend(now - path.stat().st_mtime - QUIET_S for path in fresh)
            updates.append((count, float(line.rsplit(", ", 1)[1].split()[0])))

        known: set[str] = set()
        watch = Watch(folder, recipe, run, quiet_s=QUIET_S, broken_after_s=5.0, told=told)
        stop = threading.Event()
        following = threading.Thread(target=watch.follow, args=(stop,), kwargs={"poll_s": 0.2})
        following.start()
        writing = multiprocessing.get_context("spawn").Process(
            target=instrument, args=(folder, asked.frames, asked.period_s)
        )
        writing.start()
        writing.join()
        deadline = time.monotonic() + 120
        while any(one.state not in ("taken", "broken") for one in watch.seen.files) and time.monotonic() < deadline:
            time.sleep(0.2)
        time.sleep(2 * QUIET_S + 5.0)
        stop.set()
        following.join()
        again = execute(recipe, run, data=folder, figures=False)
        execute(recipe, Path(where) / "batch", data=folder, figures=False)
        last = delays[-max(len(delays) // 10, 1) :]
        broken = sum(one.state == "broken" for one in watch.seen.files)
        print(
            f"{asked.frames} frames, one every {asked.period_s:g} s: {len(updates)} updates, {len(known)} frames taken,"
        )
        print(f"{broken} broken")
        print(f"settled until in the record: median {np.median(delays):.1f} s, last tenth {np.median(last):.1f} s")
        for count in sorted({updates[k][0] for k in np.linspace(0, len(updates) - 1, 6).astype(int)}):
            print(f"  update with {count:4} files: {np.median([s for n, s in updates if n == count]):5.1f} s")
        same = records(run) == records(Path(where) / "batch")
        print(f"records as of a run that was never watched: {same}; a run afterwards repeats {again.done} tasks")


if __name__ == "__main__":
    main()
